/* fault_limiter.c - every allocation and thread start made to fail in turn: limiters, and tasks with one. How it goes
 * is in fault_trial.h. */
#include "fault_trial.h"

enum { TASKS = 100 };

static exec_limiter_t *l;
static exec_permit permit;

static void open_limiter(const exec_limiter_opts *opts) {
    CHECK_ERROR(exec_limiter_create(opts, &l), 0);
}

static void end_limiter(void) {
    CHECK_EQ(exec_limiter_in_flight(l), 0);
    exec_limiter_destroy(l);
}

static void take_and_give_back(void) {
    CHECK_ERROR(exec_limiter_acquire(l, EXEC_NOW, &permit), 0);
    exec_limiter_release(l, &permit, 0);
}

/* ---- making ---- */

static void create_limiter(void) {
    const exec_limiter_opts opts = {.adapt = EXEC_LIMIT_GRADIENT, .rate = 1000000, .burst = 10};
    l = NULL;
    errno = 4242;
    fault_arm();
    int error = exec_limiter_create(&opts, &l);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    if (error != 0) {
        CHECK_PTR(l, NULL);
        open_limiter(&opts);
    }
    take_and_give_back();
    end_limiter();
}

/* ---- threads ---- */

static void acquire_at_once(void) {
    open_limiter(&(exec_limiter_opts){.max_running = 1});
    errno = 4242;
    fault_arm();
    int error = exec_limiter_acquire(l, EXEC_NEVER, &permit);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    CHECK_EQ(exec_limiter_in_flight(l), error == 0);
    if (error != 0)
        CHECK_ERROR(exec_limiter_acquire(l, EXEC_NOW, &permit), 0);
    fault_arm();
    exec_limiter_release(l, &permit, EBUSY); /* takes nothing that could fail */
    fault_disarm();
    end_limiter();
}

static void acquire_in_vain(void) {
    open_limiter(&(exec_limiter_opts){.max_running = 1});
    CHECK_ERROR(exec_limiter_acquire(l, EXEC_NOW, &permit), 0);
    fault_arm();
    int error = exec_limiter_acquire(l, exec_after(EXEC_US(100)), &(exec_permit){0});
    fault_disarm();
    CHECK_FAULT_ELSE(error, ETIMEDOUT);
    CHECK_EQ(exec_limiter_in_flight(l), 1);
    exec_limiter_release(l, &permit, 0);
    take_and_give_back();
    end_limiter();
}

static void *acquire_in_task(void *arg) {
    fault_arm();
    int error = exec_limiter_acquire(l, EXEC_NEVER, &permit);
    fault_disarm();
    CHECK_FAULT(error);
    if (error == 0)
        exec_limiter_release(l, &permit, 0);
    return arg;
}

static void ask_in_task(void) {
    open_executor(1);
    open_limiter(&(exec_limiter_opts){.max_running = 1});
    as_task(acquire_in_task, NULL);
    executor_destroy(ex);
    take_and_give_back();
    end_limiter();
}

/* ---- tasks ---- */

static unsigned submit_each(const exec_task_opts *opts, exec_group_t *g) {
    unsigned n = 0;
    for (unsigned i = 0; i < TASKS; i++) {
        future_t *f = NULL;
        errno = 4242;
        int error = g ? exec_group_submit(g, run, NULL, opts, i % 2 ? &f : NULL)
                      : executor_submit(ex, run, NULL, opts, i % 2 ? &f : NULL);
        CHECK_FAULT_OR_DONE(error);
        CHECK_EQ(errno, 4242);
        CHECK_EQ(f != NULL, error == 0 && i % 2);
        future_unref(f);
        n += error == 0;
    }
    CHECK_OP(n + fault_failures(false), >=, TASKS);
    return n;
}

/* Submits while everything may fail, on the workers too unless the limiter holds all back. What was not accepted leaves
 * nothing with the limiter; what was is let through. */
static void submit_tasks(exec_task_opts opts, bool held, bool members) {
    exec_group_t *g = NULL;
    open_executor(2);
    open_limiter(&(exec_limiter_opts){.max_running = 3, .rate = 1000000, .burst = 1000});
    exec_permit permits[3];
    if (members)
        CHECK_ERROR(exec_group_open(ex, &(exec_group_opts){.max_running = 2}, &g), 0);
    for (int i = 0; i < 3 && held; i++)
        CHECK_ERROR(exec_limiter_acquire(l, EXEC_NEVER, &permits[i]), 0);
    opts.limiter = l;
    fault_arm();
    unsigned n = submit_each(&opts, g);
    if (held)
        CHECK_EQ(exec_limiter_in_flight(l), 3);
    for (int i = 0; i < 3 && held; i++)
        exec_limiter_release(l, &permits[i], 0);
    fault_disarm();
    if (members)
        CHECK_ERROR(exec_group_close(g), 0);
    check_works(ex);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), n + 1);
    CHECK_EQ(atomic_load(&drops), 0);
    end_limiter();
}

static void submit_limited(void) {
    submit_tasks((exec_task_opts){.drop = drop}, false, false);
}

static void submit_held_back(void) {
    submit_tasks(all_opts, true, false);
}

static void submit_with_times(void) {
    submit_tasks((exec_task_opts){.drop = drop, .delay = EXEC_US(50), .deadline = exec_after(EXEC_SEC(3600))}, true,
                 false);
}

static void submit_members(void) {
    submit_tasks((exec_task_opts){.drop = drop}, false, true);
}

static void submit_members_held_back(void) {
    submit_tasks(all_opts, true, true);
}

static void *submit_in_task(void *arg) {
    unsigned *n = arg;
    fault_arm();
    *n = submit_each(&(exec_task_opts){.limiter = l, .drop = drop}, NULL);
    fault_disarm();
    return arg;
}

static void spawn_limited(void) {
    unsigned n = 0;
    open_executor(1);
    open_limiter(&(exec_limiter_opts){.max_running = 1});
    as_task(submit_in_task, &n);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), n);
    CHECK_EQ(atomic_load(&drops), 0);
    end_limiter();
}

/* ---- ending ---- */

/* What ends tasks that are held back cannot fail, whatever does. */
static void end_held_back(void) {
    open_executor(2);
    open_limiter(&(exec_limiter_opts){.max_running = 1});
    CHECK_ERROR(exec_limiter_acquire(l, EXEC_NEVER, &permit), 0);
    future_t *f;
    const exec_task_opts opts = {.limiter = l, .drop = drop};
    CHECK_ERROR(executor_submit(ex, run, NULL, &opts, &f), 0);
    for (int i = 0; i < 10; i++)
        CHECK_ERROR(executor_submit(ex, run, NULL, &opts, NULL), 0);
    fault_arm();
    CHECK_ERROR(future_cancel(f), 0);
    CHECK_ERROR(executor_shutdown(ex, EXECUTOR_DISCARD), 0);
    exec_limiter_release(l, &permit, ECANCELED);
    fault_disarm();
    future_unref(f);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&drops), 11);
    end_limiter();
}

/* ---- the runs ---- */

static const struct scenario scenarios[] = {
    {"create a limiter", create_limiter, true},
    {"acquire", acquire_at_once, true},
    {"acquire in vain", acquire_in_vain, true},
    {"acquire in a task", ask_in_task, true},
    {"limited tasks", submit_limited, true},
    {"held back", submit_held_back, true},
    {"held back, with times", submit_with_times, true},
    {"limited members", submit_members, true},
    {"members held back", submit_members_held_back, true},
    {"submit in a task", spawn_limited, true},
    {"end those held back", end_held_back, false},
};

int main(int argc, char **argv) {
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
