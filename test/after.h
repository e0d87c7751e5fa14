/* after.h - what the tests of dependencies share, beside helpers.h: naming prerequisites, ways for one to end, and a
 * thread with little stack, on which nothing can go deep. */
#ifndef AFTER_H
#define AFTER_H

#include "helpers.h"

#if defined(TEST_UNDER_TSAN) || defined(EXEC__PERTURBED)
enum { LONG = 10000 };
#else
enum { LONG = 100000 };
#endif

/* In exec_task_opts: the task starts after these. */
#define AFTER(...) .after = FUTURES(__VA_ARGS__), .nafter = sizeof FUTURES(__VA_ARGS__) / sizeof(future_t *)
#define FUTURES(...) ((future_t *[]){__VA_ARGS__})

static inline future_t *submit_after(executor_t *ex, exec_fn *fn, void *arg, future_t *before) {
    return submit_opts(ex, fn, arg, &(exec_task_opts){AFTER(before)});
}

/* It will never run, and counts when it is dropped. */
static inline future_t *doomed_after(executor_t *ex, atomic_int *drops, future_t *before) {
    return submit_opts(ex, must_not_run, drops, &(exec_task_opts){AFTER(before), .drop = count_drop});
}

static inline void fulfil(future_t *f) {
    ok(future_resolve(f, NULL, 0));
}

/* It has not started, and does not for a moment. */
static inline void is_held(future_t *f) {
    eq_err(future_wait(f, exec_after(EXEC_MS(1))), ETIMEDOUT);
    eq_state(f, FUTURE_PENDING);
}

static inline void unref_all(future_t *fs[], int n) {
    for (int i = 0; i < n; i++)
        future_unref(fs[i]);
}

/* Calls fn(arg) on a stack that 100,000 levels of anything would overflow. */
static inline void on_little_stack(void *(*fn)(void *), void *arg) {
    pthread_attr_t attr;
    pthread_t thread;
    ok(pthread_attr_init(&attr));
    ok(pthread_attr_setstacksize(&attr, 256 * 1024));
    ok(pthread_create(&thread, &attr, fn, arg));
    pthread_attr_destroy(&attr);
    finish(thread);
}

/* An executor whose workers have as little. */
static inline executor_t *shallow_pool(unsigned workers) {
    return pool_of((executor_opts){.workers = workers, .stack_size = 256 * 1024});
}

static inline void *leave(void *arg) {
    pthread_exit(arg);
}

#endif
