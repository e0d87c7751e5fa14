/* fault_abandon.c - every allocation and thread start made to fail in turn: tasks that are given up. How it goes is in
 * fault_trial.h.
 *
 * Without a thread for it a run cannot be given up, or is run by who waits for it; it is asked to stop, and does.
 */
#include "fault_trial.h"

static atomic_uint returned;

/* Is over a while after it was asked to stop: there is time to give it up. */
static void *until_asked(void *arg) {
    atomic_fetch_add(&runs, 1);
    while (!exec_cancelled())
        sched_yield();
    for (exec_time until = exec_after(EXEC_MS(5)); exec_now() < until;)
        sched_yield();
    atomic_fetch_add(&returned, 1);
    return arg;
}

static const exec_task_opts given_up = {
    .timeout = EXEC_US(300), .on_timeout = EXEC_ABANDON, .drop = drop, .free_result = free_result};

static void check_timed_out(future_t *f) {
    while (!future_done(f))
        sched_yield();
    CHECK_ERROR(future_get(f, NULL), ETIMEDOUT);
    future_unref(f);
}

/* All functions are back, and the pool is whole. */
static void end(unsigned n) {
    while (atomic_load(&returned) < n)
        sched_yield();
    check_works(ex);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&drops), 0);
}

static void by_a_worker(void) {
    future_t *fs[3];
    open_executor(1);
    atomic_store(&returned, 0);
    for (int i = 0; i < 3; i++)
        CHECK_ERROR(executor_submit(ex, until_asked, ex, &given_up, &fs[i]), 0);
    fault_arm();
    for (int i = 0; i < 3; i++)
        check_timed_out(fs[i]);
    fault_disarm();
    end(3);
}

static void *wait_here(void *unused) {
    future_t *fs[3];
    (void)unused;
    for (int i = 0; i < 3; i++)
        CHECK_ERROR(executor_submit(ex, until_asked, ex, &given_up, &fs[i]), 0);
    fault_arm();
    for (int i = 0; i < 3; i++) {
        int error = future_get(fs[i], NULL);
        CHECK_FAULT_OR(error, ETIMEDOUT); /* it could not sleep */
    }
    fault_disarm();
    for (int i = 0; i < 3; i++)
        check_timed_out(fs[i]);
    return NULL;
}

static void by_who_waits(void) {
    open_executor(1);
    atomic_store(&returned, 0);
    as_task(wait_here, NULL);
    end(3);
}

static void by_the_caller(void) {
    atomic_store(&runs, 0);
    atomic_store(&drops, 0);
    atomic_store(&returned, 0);
    CHECK_ERROR(executor_create(&(executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_CALLER_RUNS}, &ex),
                0);
    unsigned n = 0;
    for (int i = 0; i < 5; i++) {
        future_t *f = NULL;
        fault_arm();
        int error = executor_submit(ex, until_asked, ex, &given_up, &f);
        fault_disarm();
        CHECK_FAULT_OR_DONE(error);
        n += error == 0;
        if (error == 0)
            check_timed_out(f);
    }
    end(n);
}

static const struct scenario scenarios[] = {
    {"by a worker", by_a_worker, true},
    {"by who waits", by_who_waits, true},
    {"by the caller", by_the_caller, true},
};

int main(int argc, char **argv) {
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
