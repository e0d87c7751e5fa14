/* hold.h - tasks that were accepted and must not start yet. See hold.c. */
#ifndef EXEC__HOLD_H
#define EXEC__HOLD_H

#include <stdbool.h>
#include <stddef.h>

#include "future.h"
#include "notify.h"
#include "pool.h"

/* One future that a held task waits for. */
struct exec__need {
    struct exec__listener listener;
    struct exec__hold *hold;
    future_t *f; /* a reference until the hold has been decided */
};

struct exec__plan;

/* What holds a task. It is freed with the task's future. */
struct exec__hold {
    struct exec__node node; /* first */
    struct exec__errand errand;
    future_t *f;                       /* r/o after init; the reference that the task's entry will have */
    struct exec__pool *pool;           /* r/o after init, as is the next */
    struct exec__plan *plan;           /* its times (plan.c), or NULL */
    bool decided;                      /* monitor, as are the next four: nobody need be waited for any more */
    int error;                         /* of the one that failed */
    size_t left;                       /* how many have not finished */
    struct exec__hold *next, **link;   /* in pool.holds */
    bool discarded;                    /* it was found there to be cancelled; stays so */
    struct exec__hold *next_discarded; /* by who has found it */
    struct exec__hold *next_for_room;  /* waiting in a group; its lock, as is the next */
    struct exec__hold **room_link;     /* NULL: not waiting; */
    _Atomic bool waits_for_room;       /* the same, for who looks for rings of waits */
    size_t n;
    struct exec__need needs[];
};

static inline struct exec__plan *exec__plan_of(const future_t *f) {
    const struct exec__extra *x = exec__extra_of(f);
    return x != NULL && x->hold != NULL ? x->hold->plan : NULL;
}

/* Must a task with these options wait for others, its time or its limiter, or end because of another? */
bool exec__must_wait(const exec_task_opts *opts);

/* Makes the hold of a task whose future nobody else knows yet. 0 or ENOMEM. */
int exec__hold_new(future_t *f, struct exec__pool *p, const exec_task_opts *opts);

void exec__hold_free(struct exec__hold *h);

/* Holds the task, until it may start: from now on it is accepted. ESHUTDOWN: it is not. */
int exec__hold_begin(future_t *f);

/* The task will not start, says who revoked it. */
void exec__hold_revoked(future_t *f);

/* Who has made room in its group for a task that was waiting for that: it goes on. */
void exec__hold_has_room(struct exec__hold *h);

/* There is nothing more to wait for: lets it start. */
void exec__hold_release(struct exec__hold *h);

/* Who moves the hold: waits for the task's time, and goes on when that has come. */
void exec__hold_wait(struct exec__hold *h);

/* A task that this thread runs, and was to finish with so many references, is to run once more when its plan says so:
 * true, its result has been freed, and it is no longer this thread's, but for a reference that the caller has besides.
 * False: it was asked to stop, and ends now. */
bool exec__hold_again(future_t *f, unsigned references, void *result);

/* EXECUTOR_DISCARD: cancels all that the pool holds. */
void exec__holds_discard(struct exec__pool *p);
/* EXECUTOR_DRAIN: cancels the schedules among them. */
void exec__holds_end_schedules(struct exec__pool *p);

#endif
