/* limiters.h - what the tests of limiters share, beside groups.h: making one, permits, tasks that it holds back, and
 * threads that ask it. */
#ifndef LIMITERS_H
#define LIMITERS_H

#include "groups.h"

#include "timer.h"

#define HOUR EXEC_SEC(3600)

static inline exec_limiter_t *limiter_of(exec_limiter_opts opts) {
    exec_limiter_t *l = NULL;
    ok(exec_limiter_create(&opts, &l));
    check(l != NULL);
    return l;
}

static inline exec_limiter_t *at_once(size_t max_running) {
    return limiter_of((exec_limiter_opts){.max_running = max_running});
}

/* So many at once after a pause, and one in every hour. */
static inline exec_limiter_t *one_an_hour(size_t burst) {
    return limiter_of((exec_limiter_opts){.rate = 1, .per = HOUR, .burst = burst});
}

/* There is room for one more: takes it. */
static inline exec_permit permit_of(exec_limiter_t *l) {
    exec_permit permit = {0};
    ok(exec_limiter_acquire(l, EXEC_NOW, &permit));
    at_least(permit.started, 1);
    return permit;
}

static inline void give_back(exec_limiter_t *l, const exec_permit *permit) {
    exec_limiter_release(l, permit, 0);
}

/* It lets nobody through now. */
static inline void is_full(exec_limiter_t *l) {
    exec_permit permit = {.started = 7};
    eq_err(exec_limiter_acquire(l, EXEC_NOW, &permit), ETIMEDOUT);
    eq_int(permit.started, 7);
}

/* Nobody is in flight and nobody waits: gives it back. */
static inline void end_limiter(exec_limiter_t *l) {
    eq_int(exec_limiter_in_flight(l), 0);
    exec_limiter_destroy(l);
}

static inline future_t *limited(executor_t *ex, exec_fn *fn, void *arg, exec_limiter_t *l) {
    return submit_opts(ex, fn, arg, &(exec_task_opts){.limiter = l});
}

/* Will never run, and counts when it is dropped. */
static inline future_t *doomed(executor_t *ex, atomic_int *drops, exec_limiter_t *l) {
    return submit_opts(ex, must_not_run, drops, &(exec_task_opts){.limiter = l, .drop = count_drop});
}

static inline void in_order(struct record *r, int n) {
    eq_int(r->n, n);
    for (int i = 0; i < n; i++)
        eq_int(r->items[i], i);
}

/* With one worker, what was in the queue before has run now. */
static inline void run_through(executor_t *ex) {
    future_t *f = submit(ex, identity, ex);
    await_elsewhere(f);
    eq_ptr(take(f), ex);
}

/* A thread that asks, and keeps what it gets until it is let go. */
struct client {
    exec_limiter_t *l;
    exec_time deadline;
    struct gate release; /* closed: it holds its permit until this opens */
    struct record *record;
    int number, error;
    atomic_int tid;
    pthread_t thread;
};

static inline void *ask(void *arg) {
    struct client *c = arg;
    exec_permit permit;
    atomic_store(&c->tid, (int)gettid());
    c->error = exec_limiter_acquire(c->l, c->deadline, &permit);
    if (c->error)
        return NULL;
    if (c->record)
        record_add(c->record, c->number);
    gate_wait(&c->release);
    give_back(c->l, &permit);
    return c;
}

/* One that is asleep in exec_limiter_acquire(). */
static inline void client_waits(struct client *c, exec_limiter_t *l) {
    c->l = l;
    c->deadline = c->deadline ? c->deadline : EXEC_NEVER;
    c->thread = start(ask, c);
    wait_until_asleep(&c->tid);
}

#endif
