/* abandon.h - runs that are given up when they take too long: EXEC_ABANDON. See abandon.c. */
#ifndef EXEC__ABANDON_H
#define EXEC__ABANDON_H

#include <stdbool.h>

#include <exec/executor.h>

#include "future.h"
#include "timer.h"

struct exec__frame;
struct exec__pool;
struct exec__seat;
struct exec__worker;

enum exec__run_state { EXEC__NOT_APART, EXEC__APART, EXEC__ABANDONED };

/* Part of the plan of a task (plan.h). */
struct exec__run {
    struct exec__timer
        timer;  /* when it has taken too long, if it may be abandoned; armed, it has a reference to the future */
    bool apart; /* the present run is; by who starts or runs it */
    _Atomic(struct exec__seat *) seat; /* kept for its worker meanwhile; NULL: it has a thread of its own */
    enum exec__run_state state;        /* pool.lock, as is the rest */
    struct exec__worker *worker;       /* in whose name it runs */
    exec_time began, until;
    struct exec__run *next, **link; /* in pool.runs */
};

/* Whether runs of this task may be abandoned. */
bool exec__task_abandons(const future_t *f);
static inline bool exec__may_be_abandoned(const future_t *f) {
    return exec__extra_of(f) != NULL && exec__task_abandons(f);
}

/* Runs such a task, started, on the thread of a worker that holds a seat, and finishes it; an entry's reference goes.
 * False: it was abandoned, and the thread, which is no worker now and has done with the pool, is to end. Or this is a
 * forked child. */
bool exec__run_apart(struct exec__worker *w, future_t *f);

/* The same, or any task with a plan, on a thread of its own. False: there cannot be one; or the task need not have one.
 */
bool exec__run_on_its_own(future_t *f, unsigned references);
static inline bool exec__run_gets_thread(future_t *f, unsigned references) {
    return exec__may_be_abandoned(f) && exec__run_on_its_own(f, references);
}

/* Its function is about to be called, and may take until then; on its thread, as is the next. */
void exec__run_begins(struct exec__run *run, struct exec__frame *frame, exec_time until);
/* It has returned, or is not called: true, unless it was abandoned. From now on it cannot be. */
bool exec__run_returns(struct exec__run *run);

/* The timer's. */
void exec__run_too_long(struct exec__timer *t);

/* Whether a worker's seat is kept for it while this task runs. */
bool exec__keeps_seat(const future_t *f);

/* executor_stragglers(): how many there are, of which it stores the first n. */
size_t exec__runs_list(struct exec__pool *p, exec_straggler list[], size_t n);

/* Visits those that may be abandoned, or were: any thread; in pool.lock. */
void exec__runs_each(struct exec__pool *p, void (*visit)(const exec_straggler *run, void *ctx), void *ctx);

/* The pool has ended, but for strays. Waits for them: 0 or ETIMEDOUT, at once with EXEC_NEVER. */
int exec__strays_join_locked(struct exec__pool *p, exec_time deadline);
/* True: there are some, and the last of them will free the pool. */
bool exec__strays_are_left(struct exec__pool *p);

#endif
