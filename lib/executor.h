/* executor.h - the executor inside: a pool of workers, and what it does with producers. */
#ifndef EXEC__EXECUTOR_H
#define EXEC__EXECUTOR_H

#include <errno.h>

#include <exec/executor.h>

#include "fork.h"
#include "pool.h"
#include "thread.h"

struct executor {
    struct exec__pool pool;       /* first: its visitors count must outlive the executor (registry.c) */
    struct executor *next_unused; /* the registry's */
};

/* Submits a task that may as well not be run: 0, or an error instead of whatever the executor does when it is full. The
 * future may start before it is in *out. */
int exec__offer(executor_t *ex, exec_fn *fn, void *arg, future_t **out);

/* Submits a task past the policy: waits for room until the deadline. */
int exec__submit_waiting(executor_t *ex, exec_fn *fn, void *arg, exec_time deadline, future_t **out);

/* What submit does with a new future: makes it the pool's, for this thread to submit, while nobody else knows it, and
 * held (hold.h), when it must wait for something or its options say so; then gives it to the seat the thread holds, or
 * to the queue, by the policy. 0, or an error: then it was not accepted. */
int exec__task_init(struct exec__pool *p, future_t *f, const exec_task_opts *opts, bool waits);
int exec__admit(struct exec__pool *p, future_t *f, exec_time room_wait);

/* The same, past the policy: waiting for room until the deadline. */
int exec__admit_waiting(struct exec__pool *p, future_t *f, exec_time deadline);
typedef int exec__admit_fn(struct exec__pool *p, future_t *f, exec_time time);

/* Its deadline counts, and it is given to whom it concerns: as `put`, or held. */
int exec__task_begin(struct exec__pool *p, future_t *f, exec__admit_fn *put, exec_time time);
/* That has failed: true, and it has never been; false, when somebody has ended it meanwhile, as if it had been
 * accepted. The references go. */
bool exec__task_withdraw(struct exec__pool *p, future_t *f, unsigned references);

/* EINVAL, when a task cannot be submitted like that. */
int exec__task_check(exec_fn *fn, const exec_task_opts *opts);

/* What to refuse a task with for which there is no memory. */
int exec__no_memory(const struct exec__pool *p);

/* Whether the calling thread runs something of this executor, maybe beneath something else. */
bool exec__runs_here(const struct exec__pool *p);

/* Whether it holds one of its seats. */
static inline bool exec__seated_in(const struct exec__pool *p) {
    return exec__self.seat != NULL && exec__self.seat->pool == p;
}

/* EINVAL for NULL, EOWNERDEAD in a forked child, else 0. */
static inline int exec__executor_check(const executor_t *ex) {
    if (ex == NULL)
        return EINVAL;
    return ex->pool.generation == exec__generation_now() ? 0 : EOWNERDEAD;
}

#endif
