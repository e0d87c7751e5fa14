/* fault_priority.c - every allocation made to fail in turn: tasks with a priority. How it goes is in fault_trial.h. */
#include "fault_trial.h"

enum { TASKS = 40 };

/* What each call asks for, in turn: all of it ends by itself, with success. */
static exec_task_opts some_opts(int i) {
    exec_task_opts opts = {.priority = i % 17 - 8, .room_wait = EXEC_NEVER};
    if (i % 2)
        opts.drop = drop;
    if (i % 5 == 0)
        opts.delay = EXEC_US(50);
    if (i % 7 == 0)
        opts.name = "with a priority";
    return opts;
}

static unsigned submit_each(exec_group_t *g, void *arg) {
    unsigned n = 0;
    for (int i = 0; i < TASKS; i++) {
        future_t *f = NULL;
        const exec_task_opts opts = some_opts(i);
        unsigned before = fault_failures(false);
        errno = 4242;
        int error = g ? exec_group_submit(g, run, arg, &opts, i % 2 ? &f : NULL)
                      : executor_submit(ex, run, arg, &opts, i % 2 ? &f : NULL);
        CHECK_FAULT_OR_DONE(error);
        if (error != 0)
            CHECK_OP(fault_failures(false), >, before);
        CHECK_EQ(errno, 4242);
        CHECK_EQ(f != NULL, error == 0 && i % 2);
        future_unref(f);
        n += error == 0;
    }
    return n;
}

static void ended(unsigned n) {
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), n);
    CHECK_EQ(atomic_load(&drops), 0);
}

static void make_executor(void) {
    executor_t *made = NULL;
    fault_arm();
    int error = executor_create(&(executor_opts){.workers = 2}, &made);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(made != NULL, error == 0);
    executor_destroy(made);
}

static void submit_many(void) {
    open_executor(2);
    fault_arm();
    unsigned n = submit_each(NULL, NULL);
    fault_disarm();
    ended(n);
}

static void *submit_in_here(void *arg) {
    fault_arm();
    unsigned n = submit_each(NULL, arg);
    fault_disarm();
    return (void *)(uintptr_t)n; // NOLINT(performance-no-int-to-ptr)
}

static void submit_in_task(void) {
    open_executor(1);
    ended((unsigned)(uintptr_t)as_task(submit_in_here, NULL));
}

static void submit_members(const exec_group_opts *opts) {
    exec_group_t *g;
    open_executor(2);
    CHECK_ERROR(exec_group_open(ex, opts, &g), 0);
    fault_arm();
    unsigned n = submit_each(g, NULL);
    fault_disarm();
    CHECK_ERROR(exec_group_close(g), 0);
    ended(n);
}

static void submit_to_group(void) {
    submit_members(NULL);
}

static void submit_behind_max_running(void) {
    submit_members(&(exec_group_opts){.max_running = 2});
}

static atomic_uint attempts;

static void *fail(void *arg) {
    (void)arg;
    atomic_fetch_add(&attempts, 1);
    return exec_fail(EIO);
}

/* To lie in a lane again takes nothing that could fail; nor do a cancel, a claim and a discard. */
static void go_on(void) {
    future_t *again, *promise, *held;
    open_executor(2);
    atomic_store(&attempts, 0);
    CHECK_ERROR(future_create(&promise), 0);
    const exec_task_opts retried = {.priority = -1, .retry = {.attempts = 5, .delay = 1}};
    const exec_task_opts later = {.priority = 1, .after = &promise, .nafter = 1};
    CHECK_ERROR(executor_submit(ex, fail, NULL, &retried, &again), 0);
    CHECK_ERROR(executor_submit(ex, run, NULL, &later, &held), 0);
    fault_arm();
    CHECK_ERROR(future_resolve(promise, NULL, 0), 0);
    while (!future_done(again) || !future_done(held))
        sched_yield();
    fault_disarm();
    CHECK_ERROR(future_get(again, NULL), EIO);
    CHECK_EQ(atomic_load(&attempts), 5);
    future_unref(again);
    future_unref(held);
    future_unref(promise);
    ended(1);
}

static void *wait_for_it(void *arg) {
    while (!atomic_load((atomic_bool *)arg))
        sched_yield();
    return NULL;
}

static void end_early(void) {
    atomic_bool go = false;
    future_t *blocks, *fs[3];
    open_executor(1);
    CHECK_ERROR(executor_submit(ex, wait_for_it, &go, NULL, &blocks), 0);
    while (future_state(blocks) != FUTURE_RUNNING)
        sched_yield(); /* or the urgent one goes first */
    for (int i = 0; i < 3; i++) {
        const exec_task_opts opts = {.priority = i - 1, .drop = drop};
        CHECK_ERROR(executor_submit(ex, run, NULL, &opts, &fs[i]), 0);
    }
    fault_arm();
    CHECK_ERROR(future_cancel(fs[0]), 0);
    CHECK_ERROR(executor_shutdown(ex, EXECUTOR_DISCARD), 0);
    atomic_store(&go, true);
    while (!future_done(blocks))
        sched_yield();
    fault_disarm();
    executor_destroy(ex);
    for (int i = 0; i < 3; i++) {
        CHECK_ERROR(future_get(fs[i], NULL), ECANCELED);
        future_unref(fs[i]);
    }
    future_unref(blocks);
    CHECK_EQ(atomic_load(&runs), 0);
    CHECK_EQ(atomic_load(&drops), 3);
}

static const struct scenario scenarios[] = {
    {"make an executor", make_executor, true},
    {"submit many", submit_many, true},
    {"submit in a task", submit_in_task, true},
    {"submit to a group", submit_to_group, true},
    {"behind max_running", submit_behind_max_running, true},
    {"go on", go_on, false},
    {"end early", end_early, false},
};

int main(int argc, char **argv) {
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
