/* fault_stats.c - every allocation and thread start made to fail in turn: executors that measure and watch, what they
 * write, traces. How it goes is in fault_trial.h. */
#include "fault_trial.h"

enum { TASKS = 50 };

static void on_slow(void *ctx, unsigned worker, const char *name, exec_time running) {
    (void)ctx, (void)worker, (void)name, (void)running;
}

static void create_measuring(void) {
    executor_t *spare, *made = NULL;
    const executor_opts opts = {.workers = 2, .slow_after = EXEC_SEC(100), .on_slow = on_slow};
    CHECK_ERROR(executor_create(&(executor_opts){.workers = 1}, &spare), 0); /* takes the memory of a former one */
    errno = 4242;
    fault_arm();
    int error = executor_create(&opts, &made);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    if (error == 0)
        check_works(made);
    executor_destroy(made);
    executor_destroy(spare);
}

static void open_measuring(void) {
    CHECK_ERROR(executor_create(&(executor_opts){.workers = 2, .measure = true}, &ex), 0);
    for (int i = 0; i < TASKS; i++)
        check_works(ex);
}

static void write_as(enum exec_stats_format format) {
    open_measuring();
    errno = 4242;
    fault_arm();
    int error = executor_stats_write(ex, nowhere, format);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    executor_destroy(ex);
}

static void write_table(void) {
    write_as(EXEC_STATS_TABLE);
}

static void write_json(void) {
    write_as(EXEC_STATS_JSON);
}

static void write_prometheus(void) {
    write_as(EXEC_STATS_PROMETHEUS);
}

static void dump(void) {
    open_measuring();
    errno = 4242;
    fault_arm();
    int error = executor_dump(ex, nowhere);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    executor_destroy(ex);
}

static void trace(void) {
    open_measuring();
    errno = 4242;
    fault_arm();
    int error = executor_trace_start(ex, &(exec_trace_opts){.events = 10});
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    check_works(ex);
    stress_nap(EXEC_MS(1)); /* most often the workers sleep by then, which is recorded, too */
    fault_arm();
    int stopped = executor_trace_stop(ex, nowhere);
    fault_disarm();
    if (error != 0)
        CHECK_ERROR(stopped, ENODATA);
    else
        CHECK_FAULT(stopped);
    CHECK_ERROR(executor_trace_stop(ex, NULL), ENODATA);
    executor_destroy(ex);
}

/* ---- a dump in which there is everything ---- */

enum { HELD_BACK = 250, AWAITED = 12, SLEEPERS = 5, WORKERS = 9 };

static atomic_bool released;
static future_t *promise, *awaited[AWAITED];
static exec_limiter_t *limiter;

static atomic_uint begun;

static void *until_released(void *arg) {
    atomic_fetch_add(&begun, 1);
    while (!atomic_load(&released))
        sched_yield();
    return arg;
}

/* A task that waits may be roused to look again, sleep anew, and so be what fails while the faults are armed. */
static atomic_uint refused;

static bool was_refused(int error) {
    if (error == 0 || error == ECANCELED)
        return false;
    CHECK_FAULT_OR_DONE(error);
    atomic_fetch_add(&refused, 1);
    return true;
}

static void *wait_for_promise(void *arg) {
    while (was_refused(future_wait(promise, EXEC_NEVER)))
        continue;
    return arg;
}

static void *wait_for_some(void *arg) {
    while (was_refused(exec_wait(awaited, AWAITED, AWAITED / 2, EXEC_NEVER)))
        continue;
    return arg;
}

static void *sleep_until_asked(void *arg) {
    CHECK_ERROR(exec_sleep(EXEC_SEC(3600)), ECANCELED);
    return arg;
}

static void await_begun(unsigned n) {
    while (atomic_load(&begun) < n)
        sched_yield();
}

/* One member runs, and one has no room. */
static void *wait_for_group(void *arg) {
    exec_group_t *g;
    unsigned before = atomic_load(&begun);
    CHECK_ERROR(exec_group_open(ex, &(exec_group_opts){.max_running = 1}, &g), 0);
    for (int i = 0; i < 2; i++)
        CHECK_ERROR(exec_group_submit(g, until_released, NULL, NULL, NULL), 0);
    await_begun(before + 1); /* elsewhere, or else this task would run it */
    while (was_refused(exec_group_wait(g, EXEC_NEVER)))
        continue;
    CHECK_ERROR(exec_group_close(g), 0, ECANCELED);
    return arg;
}

static void *map_that_waits(void *arg) {
    void *args[1] = {arg};
    CHECK_ERROR(executor_map(ex, wait_for_promise, args, NULL, 1, NULL), 0);
    return arg;
}

static future_t *submitted(exec_fn *fn, exec_task_opts opts) {
    future_t *f;
    CHECK_ERROR(executor_submit(ex, fn, NULL, &opts, &f), 0);
    return f;
}

/* How often a dump has that text. */
static unsigned dump_has(const char *what) {
    char *text = NULL;
    size_t size;
    unsigned n = 0;
    FILE *out = open_memstream(&text, &size);
    CHECK(out != NULL);
    CHECK_ERROR(executor_dump(ex, out), 0);
    CHECK_EQ(fclose(out), 0);
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    free(text);
    return n;
}

static void await_in_dump(const char *what, unsigned n) {
    while (dump_has(what) < n)
        sched_yield();
}

static void make_busy(exec_permit *permit) {
    const exec_time hour = EXEC_SEC(3600);
    atomic_store(&released, false);
    atomic_store(&begun, 0);
    atomic_store(&refused, 0);
    CHECK_ERROR(executor_create(&(executor_opts){.workers = WORKERS, .measure = true, .max_abandoned = 1}, &ex), 0);
    CHECK_ERROR(future_create(&promise), 0);
    CHECK_ERROR(exec_limiter_create(&(exec_limiter_opts){.max_running = 1}, &limiter), 0);
    CHECK_ERROR(exec_limiter_acquire(limiter, EXEC_NOW, permit), 0);
    for (int i = 0; i < HELD_BACK; i++) /* the first ones, which are listed last */
        future_unref(submitted(run, (exec_task_opts){.after = &promise, .nafter = 1}));
    awaited[0] = future_ref(promise);
    awaited[1] = submitted(until_released, (exec_task_opts){.name = "a \"quoted\" name \\ and \xff"});
    await_begun(1);
    awaited[2] = submitted(run, (exec_task_opts){.delay = hour});
    for (int i = 3; i < AWAITED; i++)
        awaited[i] = submitted(run, (exec_task_opts){.limiter = limiter});
    future_unref(submitted(until_released, (exec_task_opts){.timeout = EXEC_US(1), .on_timeout = EXEC_ABANDON}));
    await_in_dump("given up: ", 1);
    await_begun(2);
    future_unref(submitted(until_released, (exec_task_opts){.timeout = hour, .on_timeout = EXEC_ABANDON}));
    await_begun(3);
    future_unref(submitted(wait_for_promise, (exec_task_opts){0}));
    future_unref(submitted(wait_for_some, (exec_task_opts){0}));
    future_unref(submitted(sleep_until_asked, (exec_task_opts){0}));
    future_unref(submitted(wait_for_group, (exec_task_opts){0}));
    future_unref(submitted(map_that_waits, (exec_task_opts){0}));
    await_in_dump("waits: ", SLEEPERS);
    await_in_dump("runs apart: ", 1);
    CHECK_EQ(dump_has(" more wait, or are held"), 1);
}

static void end_busy(exec_permit *permit) {
    CHECK_ERROR(executor_shutdown(ex, EXECUTOR_DISCARD), 0);
    atomic_store(&released, true);
    CHECK_ERROR(future_resolve(promise, NULL, 0), 0);
    executor_destroy(ex);
    for (int i = 0; i < AWAITED; i++)
        future_unref(awaited[i]);
    future_unref(promise);
    exec_limiter_release(limiter, permit, 0);
    exec_limiter_destroy(limiter);
}

static void dump_all(void) {
    exec_permit permit;
    make_busy(&permit);
    errno = 4242;
    fault_arm();
    int error = executor_dump(ex, nowhere);
    fault_disarm();
    CHECK_FAULT_OR_DONE(error);
    CHECK_EQ(errno, 4242);
    while (error == 0 && atomic_load(&refused) < fault_failures(false))
        sched_yield(); /* all that failed did so elsewhere */
    await_in_dump("waits: ", SLEEPERS);
    end_busy(&permit);
}

/* ---- numbers, which nothing can fail ---- */

static void read_numbers(void) {
    static exec_histogram h;
    exec_stats stats;
    exec_worker_stats worker;
    exec_straggler list[3];
    size_t found = 7;
    open_measuring();
    errno = 4242;
    fault_arm();
    CHECK_ERROR(executor_stats(ex, &stats), 0);
    CHECK_ERROR(executor_worker_stats(ex, 1, &worker), 0);
    CHECK_ERROR(executor_histogram(ex, EXEC_TIME_RUNNING, &h), 0);
    CHECK_OP(exec_histogram_percentile(&h, 99), >=, 0);
    CHECK_ERROR(executor_stragglers(ex, list, 3, &found), 0);
    CHECK_EQ(executor_workers(ex), 2);
    fault_disarm();
    CHECK_EQ(errno, 4242);
    CHECK_EQ(stats.submitted, TASKS);
    CHECK_EQ(h.total, TASKS);
    executor_destroy(ex);
}

static const struct scenario scenarios[] = {
    {"create, measuring", create_measuring, true},
    {"write a table", write_table, true},
    {"write JSON", write_json, true},
    {"write for Prometheus", write_prometheus, true},
    {"dump", dump, true},
    {"trace", trace, true},
    {"dump with all in it", dump_all, true},
    {"numbers", read_numbers, false},
};

int main(int argc, char **argv) {
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
