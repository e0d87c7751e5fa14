/* fault_clock.c - clocks that cannot be read, once or twice, with all else that can fail. How it goes is in
 * fault_trial.h.
 *
 * The system does not document that this can be, with clocks that are there (clock_gettime(2)), and no call could say
 * so: the library reads the clock again (lib/clock.c), and nobody notices. That a clock is missing is said by
 * executor_create(), and by what has to wait, as pthread_condattr_setclock() says it: EINVAL.
 */
#include "fault_trial.h"

enum { TASKS = 12, ITEMS = 200 };

/* ---- time itself ---- */

static void read_time(void) {
    exec_time before = exec_now();
    fault_arm();
    exec_time now = exec_now(), later = exec_after(EXEC_SEC(1)), never = exec_after(EXEC_NEVER);
    fault_disarm();
    CHECK_OP(now, >=, before);
    CHECK_OP(later, >=, before + EXEC_SEC(1));
    CHECK_EQ(never, EXEC_NEVER);
    CHECK_OP(exec_now(), >=, before);
}

/* ---- tasks ---- */

static void create(void) {
    executor_t *made = NULL;
    const executor_opts opts = {.workers = 2, .measure = true};
    fault_arm();
    int error = executor_create(&opts, &made);
    fault_disarm();
    CHECK_FAULT(error);
    if (error == 0)
        check_works(made);
    executor_destroy(made);
}

static exec_task_opts some_times(int i) {
    switch (i % 6) {
    case 0: return (exec_task_opts){.drop = drop, .delay = EXEC_US(20)};
    case 1: return (exec_task_opts){.drop = drop, .deadline = exec_after(EXEC_SEC(3600))};
    case 2: return (exec_task_opts){.drop = drop, .timeout = EXEC_SEC(3600)};
    case 3: return (exec_task_opts){.drop = drop, .every = EXEC_US(10), .count = 3};
    case 4: return (exec_task_opts){.drop = drop, .retry = {.attempts = 2, .delay = EXEC_US(10)}};
    default: return (exec_task_opts){.drop = drop, .cron = "* * * * *"};
    }
}

static void submit_with_times(void) {
    future_t *fs[TASKS] = {NULL};
    CHECK_ERROR(executor_create(&(executor_opts){.workers = 2, .measure = true}, &ex), 0);
    atomic_store(&runs, 0);
    atomic_store(&drops, 0);
    unsigned n = 0;
    fault_arm();
    for (int i = 0; i < TASKS; i++) {
        const exec_task_opts opts = some_times(i);
        int error = executor_submit(ex, run, NULL, &opts, &fs[n]);
        CHECK_FAULT_OR_DONE(error);
        n += error == 0;
    }
    for (unsigned i = 0; i < n; i++) {
        int error = future_wait(fs[i], exec_after(EXEC_US(50))); /* it may be over */
        if (error != ETIMEDOUT)
            CHECK_FAULT_OR_DONE(error);
    }
    fault_disarm();
    check_works(ex);
    CHECK_ERROR(executor_shutdown(ex, EXECUTOR_DISCARD), 0);
    CHECK_ERROR(executor_join(ex, EXEC_NEVER), 0);
    for (unsigned i = 0; i < n; i++) {
        CHECK_ERROR(future_get(fs[i], NULL), 0, ECANCELED);
        future_unref(fs[i]);
    }
    executor_destroy(ex);
}

/* ---- waits ---- */

static void *wait_in_task(void *arg) {
    exec_queue_t *q = arg;
    void *item;
    int ready;
    fault_arm();
    CHECK_FAULT_OR_DONE(exec_sleep(EXEC_US(50)));
    int error = exec_poll(NULL, 0, exec_after(EXEC_US(50)), &ready);
    CHECK_FAULT_OR(error, ETIMEDOUT);
    CHECK_ERROR(exec_queue_get(q, exec_after(EXEC_US(50)), &item), ETIMEDOUT);
    CHECK_ERROR(exec_queue_put(q, arg, exec_after(EXEC_US(50))), 0);
    CHECK_ERROR(exec_queue_put(q, arg, exec_after(EXEC_US(50))), ETIMEDOUT);
    CHECK_ERROR(exec_queue_get(q, EXEC_NOW, &item), 0);
    fault_disarm();
    return arg;
}

static void wait_inside(void) {
    exec_queue_t *q;
    CHECK_ERROR(exec_queue_create(1, &q), 0);
    open_executor(1);
    as_task(wait_in_task, q);
    executor_destroy(ex);
    exec_queue_destroy(q);
}

static void wait_outside(void) {
    exec_group_t *g;
    future_t *f, *none = NULL;
    open_executor(1);
    CHECK_ERROR(future_create(&f), 0);
    CHECK_ERROR(exec_group_open(ex, NULL, &g), 0);
    CHECK_ERROR(exec_group_submit(g, run, NULL, &(exec_task_opts){.after = &f, .nafter = 1}, NULL), 0);
    fault_arm();
    int errors[] = {future_wait(f, exec_after(EXEC_US(50))), exec_group_wait(g, exec_after(EXEC_US(50))),
                    exec_group_next(g, exec_after(EXEC_US(50)), &none), executor_join(ex, exec_after(EXEC_US(50))),
                    exec_wait(&f, 1, 1, exec_after(EXEC_US(50)))};
    CHECK_ERROR(exec_sleep(EXEC_US(50)), 0);
    fault_disarm();
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        CHECK_FAULT_OR(errors[i], ETIMEDOUT);
    CHECK_ERROR(future_resolve(f, NULL, 0), 0);
    CHECK_ERROR(exec_group_close(g), 0);
    future_unref(f);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), 1);
}

/* ---- limiters ---- */

static void limit(void) {
    exec_limiter_t *l;
    exec_permit permit;
    future_t *f = NULL;
    open_executor(1);
    fault_arm();
    int error = exec_limiter_create(&(exec_limiter_opts){.rate = 20000, .burst = 1, .adapt = EXEC_LIMIT_AIMD}, &l);
    fault_disarm();
    CHECK_FAULT(error);
    if (error != 0)
        CHECK_ERROR(exec_limiter_create(&(exec_limiter_opts){.rate = 20000, .burst = 1}, &l), 0);
    unsigned n = 0;
    for (int i = 0; i < 4; i++) {
        fault_arm();
        error = exec_limiter_acquire(l, EXEC_NEVER, &permit);
        CHECK_FAULT_OR_DONE(error);
        if (error == 0)
            exec_limiter_release(l, &permit, 0);
        error = executor_submit(ex, run, NULL, &(exec_task_opts){.limiter = l}, &f);
        fault_disarm();
        CHECK_FAULT_OR_DONE(error);
        n += error == 0;
        if (error == 0)
            CHECK_ERROR(future_get(f, NULL), 0);
        if (error == 0)
            future_unref(f);
    }
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), n);
    CHECK_EQ(exec_limiter_in_flight(l), 0);
    exec_limiter_destroy(l);
}

/* ---- many at once ---- */

static void map_and_stream(void) {
    exec_stream_t *s;
    exec_item item = {0};
    struct source source = {.last = ITEMS};
    open_executor(2);
    fault_arm();
    int error = executor_for(ex, ITEMS, range, NULL, &(exec_map_opts){.deadline = exec_after(EXEC_SEC(3600))});
    fault_disarm();
    CHECK_FAULT_OR_DONE(error);
    CHECK(error != 0 || atomic_load(&runs) == ITEMS);
    atomic_store(&runs, 0);
    CHECK_ERROR(exec_stream_open(ex, count_to, &source, run, &(exec_stream_opts){.drop = drop}, &s), 0);
    fault_arm();
    while (exec_stream_next(s, &item))
        CHECK_ERROR(item.error, 0);
    exec_stream_close(s);
    fault_disarm();
    CHECK_FAULT_OR_DONE(item.error);
    CHECK_EQ(atomic_load(&runs) + atomic_load(&drops), source.given);
    check_works(ex);
    executor_destroy(ex);
}

/* ---- what is measured ---- */

static void measure(void) {
    static exec_histogram h;
    exec_worker_stats stats;
    size_t stragglers;
    exec_progress bar = {.out = nowhere};
    CHECK_ERROR(executor_create(&(executor_opts){.workers = 1, .measure = true}, &ex), 0);
    fault_arm();
    CHECK_FAULT_OR_DONE(executor_trace_start(ex, &(exec_trace_opts){.events = 10}));
    unsigned n = 0;
    for (int i = 0; i < 3; i++)
        n += executor_submit(ex, run, NULL, NULL, NULL) == 0;
    exec_progress_bar(0, 2, &bar);
    exec_progress_bar(1, 2, &bar);
    exec_progress_bar(2, 2, &bar);
    CHECK_ERROR(executor_worker_stats(ex, 0, &stats), 0);
    CHECK_ERROR(executor_stragglers(ex, NULL, 0, &stragglers), 0);
    fault_disarm();
    check_works(ex);
    CHECK_ERROR(executor_stats_write(ex, nowhere, EXEC_STATS_PROMETHEUS), 0);
    CHECK_ERROR(executor_dump(ex, nowhere), 0);
    CHECK_ERROR(executor_trace_stop(ex, nowhere), 0, ENODATA);
    CHECK_ERROR(executor_join(ex, EXEC_NOW), ETIMEDOUT);
    CHECK_ERROR(executor_shutdown(ex, EXECUTOR_DRAIN), 0);
    CHECK_ERROR(executor_join(ex, EXEC_NEVER), 0);
    CHECK_ERROR(executor_histogram(ex, EXEC_TIME_RUNNING, &h), 0);
    CHECK_EQ(h.total, n + 1);
    CHECK_OP(exec_histogram_percentile(&h, 50), >=, 0);
    executor_destroy(ex);
}

static const struct scenario scenarios[] = {
    {"time itself", read_time, true},
    {"create", create, true},
    {"tasks with times", submit_with_times, true},
    {"waits in a task", wait_inside, true},
    {"waits outside", wait_outside, true},
    {"limiter", limit, true},
    {"map and stream", map_and_stream, true},
    {"what is measured", measure, true},
};

int main(int argc, char **argv) {
    clocks_fail = true;
    setenv("TZ", "UTC0", 1);
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
