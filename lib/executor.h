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

/* Whether the calling thread runs something of this executor, maybe beneath something else. */
bool exec__runs_here(const struct exec__pool *p);

/* Whether it holds one of its seats. */
static inline bool exec__seated_in(const struct exec__pool *p) {
    return exec__self.seat != NULL && exec__self.seat->pool == p;
}

/* A task of the executor runs here without a seat: one that its producer, or who waits for it, has run; or this is its
 * timer thread. */
static inline bool exec__own_without_seat(const struct exec__pool *p) {
    return (exec__self.frame != NULL || exec__self.timers != NULL) && !exec__seated_in(p) && exec__runs_here(p);
}

/* Flags of a task in the queue. */
static inline uint64_t exec__flags_in_queue(const struct exec__pool *p) {
    return p->own_threads || p->n == 1 ? EXEC__QUEUED : EXEC__QUEUED | EXEC__RUNS_ANYWHERE;
}

/* Makes a future the pool's that nobody else knows yet. */
static inline void exec__task_place(struct exec__pool *p, future_t *f, uint64_t flags) {
    uint64_t word = atomic_load_explicit(&f->word, memory_order_relaxed);
    atomic_store_explicit(&f->word, word | flags, memory_order_relaxed);
    f->pool = p;
    exec__stamp(p, f);
}

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

/* EINVAL, when a task cannot be submitted like that; EOWNERDEAD. opts may be NULL only if fn is. */
int exec__task_check(exec_fn *fn, const exec_task_opts *opts);

/* It was refused: counts that, if there was no room. */
static inline void exec__count_refused(struct exec__pool *p, int error) {
    if (error == EAGAIN || error == ETIMEDOUT)
        exec__count(p, EXEC__REJECTED);
}

/* What to refuse a task with for which there is no memory. */
static inline int exec__no_memory(const struct exec__pool *p) {
    return atomic_load(&p->closed) ? ESHUTDOWN : ENOMEM;
}

/* Everything is over: frees what the pool has, and gives the executor's memory back. */
void exec__pool_free(struct exec__pool *p);

/* EINVAL for NULL, EOWNERDEAD in a forked child, else 0. */
static inline int exec__executor_check(const executor_t *ex) {
    if (ex == NULL)
        return EINVAL;
    return ex->pool.generation == exec__generation_now() ? 0 : EOWNERDEAD;
}

#endif
