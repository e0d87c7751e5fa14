/* moved_clock.h - what the tests of times share, beside helpers.h: a clock that stands still until a test moves it, and
 * waiting until the timer thread has seen where it stands. */
#ifndef MOVED_CLOCK_H
#define MOVED_CLOCK_H

#include "helpers.h"

#include "clock.h"
#include "executor.h"
#include "timer.h"

#if defined(TEST_UNDER_TSAN) || defined(TEST_UNDER_ASAN)
#define TEST_IS_SLOWED 1
#elif defined(RUNNING_ON_VALGRIND)
#define TEST_IS_SLOWED RUNNING_ON_VALGRIND
#else
#define TEST_IS_SLOWED 0
#endif

/* From now on time stands still. */
static inline void stop_clock(void) {
    exec__clock_move(0, 0);
}

/* What is fired last of all that is due. */
struct flush {
    struct exec__timer timer; /* first */
    atomic_bool fired;
};

static inline void flush_fires(struct exec__timer *t) {
    atomic_store(&((struct flush *)t)->fired, true);
}

/* Waits until the executor's timer thread, which it has, has fired all that is due by now. */
static inline void settle(executor_t *ex) {
    struct flush flush = {.timer = {.fire = flush_fires}};
    exec__timer_arm(&ex->pool.timers, &flush.timer, exec_now());
    wait_until(atomic_load(&flush.fired));
}

/* Moves the clock, and waits until what is due then has been fired. */
static inline void pass(executor_t *ex, exec_time duration) {
    exec__clock_move(duration, 0);
    settle(ex);
}

static inline future_t *submit_until(executor_t *ex, exec_fn *fn, void *arg, exec_time deadline) {
    return submit_opts(ex, fn, arg, &(exec_task_opts){.deadline = deadline});
}

/* A task that notes when it has run, and fails as often as it is told. */
struct run_log {
    atomic_int n, drops, freed, inside;
    int failures; /* how many of the first runs fail, with EIO */
    exec_time at[100];
    unsigned attempts[100];
};

/* Its result is the log, for log_free(). */
static inline void *log_run(void *arg) {
    struct run_log *log = arg;
    int n = atomic_load(&log->n);
    eq_int(atomic_fetch_add(&log->inside, 1), 0);
    check(n < 100);
    log->at[n] = exec_now();
    log->attempts[n] = exec_attempt();
    atomic_fetch_sub(&log->inside, 1);
    atomic_store(&log->n, n + 1);
    return n < log->failures ? exec_fail(EIO) : log;
}

static inline void log_drop(void *arg) {
    atomic_fetch_add(&((struct run_log *)arg)->drops, 1);
}

static inline void log_free(void *result) {
    atomic_fetch_add(&((struct run_log *)result)->freed, 1);
}

/* With .drop and .free_result, which count in the log. */
static inline future_t *submit_log(executor_t *ex, struct run_log *log, exec_task_opts opts) {
    opts.drop = log_drop;
    opts.free_result = log_free;
    return submit_opts(ex, log_run, log, &opts);
}

#endif
