/* fault_times.c - every allocation and thread start made to fail in turn: tasks with times. How it goes is in
 * fault_trial.h. */
#include "fault_trial.h"

enum { TASKS = 40 };

static atomic_uint failures;

static void *fail(void *arg) {
    atomic_fetch_add(&failures, 1);
    (void)arg;
    return exec_fail(EIO);
}

static exec_task_opts with(exec_task_opts opts) {
    opts.drop = drop;
    opts.free_result = free_result;
    return opts;
}

/* What each call asks for, in turn: all of it ends by itself, with success. */
static exec_task_opts some_times(unsigned i) {
    switch (i % 6) {
    case 0: return with((exec_task_opts){.delay = 1});
    case 1: return with((exec_task_opts){.deadline = exec_after(EXEC_SEC(3600))});
    case 2: return with((exec_task_opts){.timeout = EXEC_SEC(3600)});
    case 3: return with((exec_task_opts){.retry = {.attempts = 2}, .delay = EXEC_US(50)});
    case 4: return with((exec_task_opts){.every = EXEC_US(10), .count = 1});
    default: return (exec_task_opts){.delay = EXEC_US(100), .timeout = EXEC_SEC(3600)};
    }
}

/* ---- submitting ---- */

/* The first one starts the timer thread. */
static void submit_first(void) {
    open_executor(1);
    for (int i = 0; i < 2; i++) {
        future_t *f = NULL;
        const exec_task_opts opts = some_times(0);
        unsigned before = fault_failures(false);
        errno = 4242;
        fault_arm();
        int error = executor_submit(ex, run, &f, &opts, &f);
        fault_disarm();
        CHECK_FAULT_OR_DONE(error);
        CHECK_EQ(error == 0, fault_failures(false) == before);
        CHECK_EQ(errno, 4242);
        CHECK_EQ(f == NULL, error != 0);
        if (error == 0)
            CHECK_ERROR(future_get(f, NULL), 0);
        future_unref(f);
    }
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&drops), 0);
}

static unsigned submit_each(exec_group_t *g, void *arg) {
    unsigned n = 0;
    for (unsigned i = 0; i < TASKS; i++) {
        future_t *f = NULL;
        const exec_task_opts opts = some_times(i);
        int error = g ? exec_group_submit(g, run, arg, &opts, i % 2 ? &f : NULL)
                      : executor_submit(ex, run, arg, &opts, i % 2 ? &f : NULL);
        CHECK_FAULT_OR_DONE(error);
        CHECK_EQ(f != NULL, error == 0 && i % 2);
        future_unref(f);
        n += error == 0;
    }
    return n;
}

/* While everything may fail, on the workers and the timer thread, too. */
static void submit_many(void) {
    open_executor(2);
    fault_arm();
    unsigned n = submit_each(NULL, NULL);
    fault_disarm();
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), n);
    CHECK_EQ(atomic_load(&drops), 0);
}

static void *submit_in_here(void *arg) {
    fault_arm();
    unsigned n = submit_each(NULL, arg);
    fault_disarm();
    return (void *)(uintptr_t)n; // NOLINT(performance-no-int-to-ptr)
}

static void submit_in_task(void) {
    open_executor(1);
    void *n = as_task(submit_in_here, NULL);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), (uintptr_t)n);
    CHECK_EQ(atomic_load(&drops), 0);
}

static void submit_members(const exec_group_opts *opts) {
    exec_group_t *g;
    open_executor(2);
    CHECK_ERROR(exec_group_open(ex, opts, &g), 0);
    fault_arm();
    unsigned n = submit_each(g, NULL);
    fault_disarm();
    CHECK_ERROR(exec_group_close(g), 0);
    check_works(ex);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), n + 1);
    CHECK_EQ(atomic_load(&drops), 0);
}

static void submit_to_group(void) {
    submit_members(NULL);
}

static void submit_behind_max_running(void) {
    submit_members(&(exec_group_opts){.max_running = 2});
}

static void submit_after(void) {
    future_t *promise, *f = NULL;
    open_executor(1);
    CHECK_ERROR(future_create(&promise), 0);
    const exec_task_opts opts = with((exec_task_opts){.after = &promise, .nafter = 1, .delay = EXEC_US(50)});
    errno = 4242;
    fault_arm();
    int error = executor_submit(ex, run, NULL, &opts, &f);
    CHECK_ERROR(future_resolve(promise, NULL, 0), 0);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    future_unref(f);
    future_unref(promise);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), error == 0);
    CHECK_EQ(atomic_load(&drops), 0);
}

/* Reads a zone, and then waits for long. */
static void submit_cron(void) {
    future_t *f = NULL;
    const exec_task_opts opts = with((exec_task_opts){.cron = "0 0 1 1 *", .zone = "Europe/Berlin"});
    open_executor(1);
    errno = 4242;
    fault_arm();
    int error = executor_submit(ex, run, NULL, &opts, &f);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    CHECK_EQ(f == NULL, error != 0);
    check_works(ex);
    executor_destroy(ex);
    if (error == 0)
        CHECK_ERROR(future_get(f, NULL), ECANCELED);
    future_unref(f);
    CHECK_EQ(atomic_load(&drops), error == 0);
}

/* ---- what goes on by itself ---- */

static future_t *submitted(exec_fn *fn, exec_task_opts opts) {
    future_t *f;
    opts = with(opts);
    CHECK_ERROR(executor_submit(ex, fn, NULL, &opts, &f), 0);
    return f;
}

/* To run a task again takes nothing that could fail; nor does its end. */
static void run_again(void) {
    open_executor(2);
    atomic_store(&failures, 0);
    future_t *retried = submitted(fail, (exec_task_opts){.retry = {.attempts = 5, .delay = 1}, .delay = EXEC_US(200)});
    future_t *periodic = submitted(run, (exec_task_opts){.every = EXEC_US(50), .count = 5, .delay = EXEC_US(200)});
    fault_arm();
    while (!future_done(retried) || !future_done(periodic))
        sched_yield();
    fault_disarm();
    CHECK_ERROR(future_get(retried, NULL), EIO);
    CHECK_ERROR(future_get(periodic, NULL), 0);
    CHECK_EQ(atomic_load(&failures), 5);
    CHECK_EQ(atomic_load(&runs), 5);
    future_unref(retried);
    future_unref(periodic);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&drops), 0);
}

/* Those that wait for a time end by it, by a cancel, and by a shutdown. */
static void end_early(void) {
    open_executor(1);
    const exec_time hour = EXEC_SEC(3600);
    future_t *late = submitted(run, (exec_task_opts){.deadline = exec_after(EXEC_US(200)), .delay = hour});
    future_t *cancelled = submitted(run, (exec_task_opts){.delay = hour});
    future_t *discarded = submitted(run, (exec_task_opts){.delay = hour});
    fault_arm();
    CHECK_ERROR(future_cancel(cancelled), 0);
    while (!future_done(late))
        sched_yield();
    CHECK_ERROR(executor_shutdown(ex, EXECUTOR_DISCARD), 0);
    executor_destroy(ex);
    fault_disarm();
    CHECK_ERROR(future_get(late, NULL), ETIMEDOUT);
    CHECK_ERROR(future_get(cancelled, NULL), ECANCELED);
    CHECK_ERROR(future_get(discarded, NULL), ECANCELED);
    future_unref(late);
    future_unref(cancelled);
    future_unref(discarded);
    CHECK_EQ(atomic_load(&runs), 0);
    CHECK_EQ(atomic_load(&drops), 3);
}

/* A task that is short of memory cannot sleep; but its time is up in any case. */
static void *sleep_for_ever(void *arg) {
    (void)arg;
    fault_arm();
    while (!exec_cancelled()) {
        int error = exec_sleep(EXEC_SEC(3600));
        CHECK_FAULT_OR(error, ECANCELED);
    }
    fault_disarm();
    return exec_fail(ECANCELED);
}

static void time_out(void) {
    open_executor(1);
    future_t *f = submitted(sleep_for_ever, (exec_task_opts){.timeout = EXEC_US(300)});
    while (!future_done(f))
        sched_yield();
    CHECK_ERROR(future_get(f, NULL), ETIMEDOUT);
    future_unref(f);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&drops), 0);
}

/* ---- the runs ---- */

static const struct scenario scenarios[] = {
    {"submit the first", submit_first, true},
    {"submit many", submit_many, true},
    {"submit in a task", submit_in_task, true},
    {"submit to a group", submit_to_group, true},
    {"behind max_running", submit_behind_max_running, true},
    {"after a promise", submit_after, true},
    {"by cron", submit_cron, true},
    {"run again", run_again, false},
    {"end early", end_early, false},
    {"time out", time_out, true},
};

int main(int argc, char **argv) {
    unsetenv("TZDIR");
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0) {
        fprintf(stderr, "there is no tz database in /usr/share/zoneinfo: install the package tzdata\n");
        return 1;
    }
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
