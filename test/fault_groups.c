/* fault_groups.c - every allocation, thread start and descriptor made to fail in turn: groups. How it goes is in
 * fault_trial.h. */
#include "fault_trial.h"

enum { MEMBERS = 100, LARGE = 600 };

static atomic_uint arrived;

/* ---- opening and submitting ---- */

static void use_group(exec_group_t *g) {
    future_t *f = NULL;
    CHECK_ERROR(exec_group_submit(g, run, g, NULL, NULL), 0);
    CHECK_ERROR(exec_group_next(g, EXEC_NEVER, &f), 0);
    CHECK_PTR(future_arg(f), g);
    future_unref(f);
}

static void open_group(const exec_group_opts *opts) {
    exec_group_t *g = NULL;
    open_executor(2);
    errno = 4242;
    fault_arm();
    int error = exec_group_open(ex, opts, &g);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    if (error != 0) {
        CHECK_PTR(g, NULL);
        CHECK_ERROR(exec_group_open(ex, opts, &g), 0);
    }
    use_group(g);
    CHECK_ERROR(exec_group_close(g), 0);
    executor_destroy(ex);
}

static void open_plain(void) {
    open_group(NULL);
}

static void open_with_all_options(void) {
    open_group(&(exec_group_opts){.policy = EXEC_FIRST, .deadline = exec_after(EXEC_SEC(3600)), .max_running = 1});
}

/* Holds a worker, for as long as the gate is shut. */
static atomic_bool shut;

static void *arrive_and_wait(void *arg) {
    atomic_fetch_add(&arrived, 1);
    for (unsigned spin = 0; atomic_load(&shut); spin++)
        stress_spin(spin);
    return run(arg);
}

static void hold_workers(exec_group_t *g, unsigned n) {
    atomic_store(&shut, n > 0);
    for (unsigned i = 0; i < n; i++) {
        atomic_store(&arrived, 0);
        CHECK_ERROR(exec_group_submit(g, arrive_and_wait, g, NULL, NULL), 0);
        while (atomic_load(&arrived) == 0)
            sched_yield();
    }
}

static unsigned submit_each(exec_group_t *g, const exec_task_opts *task) {
    unsigned n = 0;
    for (unsigned i = 0; i < MEMBERS; i++) {
        future_t *f = NULL;
        int error = exec_group_submit(g, run, g, task, i % 2 ? &f : NULL);
        CHECK_FAULT_OR_DONE(error);
        CHECK_EQ(f != NULL, error == 0 && i % 2);
        future_unref(f);
        n += error == 0;
    }
    return n;
}

/* Submits members while everything may fail, on the workers too unless they are held; and takes them when nothing does
 * any more. */
static void submit_members(const exec_group_opts *opts, const exec_task_opts *task, unsigned held) {
    exec_group_t *g;
    unsigned taken = 0;
    future_t *f = NULL;
    open_executor(2);
    CHECK_ERROR(exec_group_open(ex, opts, &g), 0);
    hold_workers(g, held);
    fault_arm();
    unsigned n = submit_each(g, task);
    fault_disarm();
    CHECK_OP(n + fault_failures(false), >=, MEMBERS);
    atomic_store(&shut, false);
    CHECK_ERROR(exec_group_wait(g, EXEC_NEVER), 0);
    for (; exec_group_next(g, EXEC_NOW, &f) == 0; taken++)
        future_unref(f);
    CHECK_EQ(taken, n + held);
    use_group(g);
    CHECK_ERROR(exec_group_close(g), 0);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), n + held + 1);
    CHECK_EQ(atomic_load(&drops), 0);
}

static void submit_to_group(void) {
    submit_members(NULL, NULL, 0);
}

static void submit_while_held(void) {
    submit_members(NULL, NULL, 2);
}

static void submit_behind_max_running(void) {
    submit_members(&(exec_group_opts){.max_running = 2}, &all_opts, 0);
}

static void wait_behind_max_running(void) {
    submit_members(&(exec_group_opts){.max_running = 2}, &all_opts, 2);
}

static void submit_until_deadline(void) {
    submit_members(&(exec_group_opts){.deadline = exec_after(EXEC_SEC(3600))}, &all_opts, 0);
}

/* ---- waiting ---- */

/* From outside; both may be short of memory, and then have changed nothing. */
static void wait_for_group(void) {
    exec_group_t *g;
    future_t *f = NULL;
    open_executor(2);
    CHECK_ERROR(exec_group_open(ex, NULL, &g), 0);
    hold_workers(g, 1);
    fault_arm();
    int waited = exec_group_wait(g, exec_after(EXEC_US(100))), none = exec_group_next(g, exec_after(EXEC_US(100)), &f);
    CHECK_PTR(f, NULL);
    atomic_store(&shut, false);
    int taken = exec_group_next(g, EXEC_NEVER, &f);
    fault_disarm();
    CHECK_FAULT_OR(waited, ETIMEDOUT);
    CHECK_FAULT_OR(none, ETIMEDOUT);
    CHECK_FAULT_OR_DONE(taken);
    if (taken != 0)
        CHECK_ERROR(exec_group_next(g, EXEC_NEVER, &f), 0);
    future_unref(f);
    CHECK_ERROR(exec_group_next(g, EXEC_NEVER, &f), ENODATA);
    CHECK_ERROR(exec_group_close(g), 0);
    executor_destroy(ex);
}

/* In a task; the close cannot fail, whatever does. */
static void *use_group_in_task(void *arg) {
    exec_group_t *g;
    future_t *f = NULL;
    unsigned n = 0, taken = 0;
    CHECK_ERROR(exec_group_open(ex, &(exec_group_opts){.max_running = 3}, &g), 0);
    fault_arm();
    for (int i = 0; i < MEMBERS; i++) {
        int error = exec_group_submit(g, run, arg, i % 2 ? &all_opts : NULL, NULL);
        CHECK_FAULT_OR_DONE(error);
        n += error == 0;
    }
    int error = exec_group_next(g, EXEC_NEVER, &f);
    CHECK_FAULT_OR(error, n > 0 ? 0 : ENODATA);
    taken += error == 0;
    future_unref(f);
    CHECK_FAULT_OR_DONE(exec_group_wait(g, EXEC_NEVER));
    CHECK_ERROR(exec_group_close(g), 0);
    fault_disarm();
    CHECK_OP(taken, <=, n);
    CHECK_EQ(atomic_load(&runs), n);
    CHECK_EQ(atomic_load(&drops), 0);
    return arg;
}

static void group_in_task(void) {
    open_executor(1);
    as_task(use_group_in_task, NULL);
    check_works(ex);
    executor_destroy(ex);
}

/* ---- ending ---- */

/* What ends a group cannot fail, whatever does: its cancellation, and a task that leaves it open. */
static void *until_asked(void *arg) {
    atomic_fetch_add(&arrived, 1);
    for (unsigned spin = 0; !exec_cancelled(); spin++)
        stress_spin(spin);
    (void)arg;
    return exec_fail(ECANCELED);
}

static exec_group_t *group_to_end(void) {
    exec_group_t *g;
    atomic_store(&arrived, 0);
    CHECK_ERROR(exec_group_open(ex, &(exec_group_opts){.max_running = 2}, &g), 0);
    CHECK_ERROR(exec_group_submit(g, until_asked, NULL, NULL, NULL), 0);
    while (atomic_load(&arrived) == 0)
        sched_yield();
    CHECK_ERROR(exec_group_submit(g, until_asked, NULL, NULL, NULL), 0);
    while (atomic_load(&arrived) == 1)
        sched_yield();
    for (int i = 0; i < 10; i++)
        CHECK_ERROR(exec_group_submit(g, run, NULL, &all_opts, NULL), 0);
    return g;
}

static void end_group(void) {
    open_executor(3);
    exec_group_t *g = group_to_end();
    fault_arm();
    exec_group_cancel(g);
    CHECK_ERROR(exec_group_submit(g, run, NULL, &all_opts, NULL), ECANCELED);
    CHECK_ERROR(exec_group_close(g), ECANCELED);
    fault_disarm();
    check_works(ex);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), 1);
    CHECK_EQ(atomic_load(&drops), 11);
}

static void *leave_open(void *arg) {
    group_to_end();
    fault_arm();
    return arg;
}

static void leave_group_open(void) {
    future_t *f;
    open_executor(3);
    CHECK_ERROR(executor_submit(ex, leave_open, NULL, NULL, &f), 0);
    while (!future_done(f))
        sched_yield();
    fault_disarm();
    CHECK_ERROR(future_get(f, NULL), EBUSY);
    future_unref(f);
    check_works(ex);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&drops), 10);
}

/* ---- the descriptor ---- */

static void group_descriptor(void) {
    exec_group_t *g;
    future_t *f = NULL;
    int fd = -7;
    open_executor(1);
    CHECK_ERROR(exec_group_open(ex, NULL, &g), 0);
    errno = 4242;
    fault_arm();
    int error = exec_group_fd(g, &fd);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    if (error != 0) {
        CHECK_EQ(fd, -7);
        CHECK_ERROR(exec_group_fd(g, &fd), 0);
    }
    CHECK(!is_readable(fd));
    fault_arm(); /* saying that one has finished takes nothing that could fail */
    CHECK_FAULT_OR_DONE(exec_group_submit(g, run, NULL, NULL, NULL));
    fault_disarm();
    CHECK_ERROR(exec_group_submit(g, run, NULL, NULL, NULL), 0);
    while (!is_readable(fd))
        sched_yield();
    CHECK_ERROR(exec_group_next(g, EXEC_NOW, &f), 0);
    future_unref(f);
    CHECK_ERROR(exec_group_close(g), 0);
    executor_destroy(ex);
}

/* Reading it, writing to it and closing it may fail, but mean nothing then. */
static void group_descriptor_in_use(void) {
    exec_group_t *g;
    future_t *fs[3];
    int fd = -7;
    open_executor(1);
    CHECK_ERROR(exec_group_open(ex, NULL, &g), 0);
    for (int i = 0; i < 2; i++)
        CHECK_ERROR(exec_group_submit(g, run, NULL, NULL, &fs[i]), 0);
    while (!future_done(fs[0]) || !future_done(fs[1]))
        sched_yield();
    errno = 4242;
    fault_arm();
    int error = exec_group_fd(g, &fd); /* with two that have finished */
    fault_disarm();
    CHECK_FAULT_OR_DONE(error);
    CHECK_EQ(errno, 4242);
    if (error != 0)
        CHECK_ERROR(exec_group_fd(g, &fd), 0);
    for (int i = 0; i < 2; i++) {
        future_t *f;
        CHECK(is_readable(fd));
        fault_arm();
        CHECK_ERROR(exec_group_next(g, EXEC_NOW, &f), 0);
        fault_disarm();
        future_unref(f);
    }
    CHECK(!is_readable(fd));
    CHECK_EQ(errno, 4242);
    atomic_store(&shut, true);
    CHECK_ERROR(exec_group_submit(g, arrive_and_wait, NULL, NULL, &fs[2]), 0);
    fault_arm();
    atomic_store(&shut, false);
    while (!is_readable(fd))
        sched_yield();
    CHECK_ERROR(exec_group_close(g), 0);
    fault_disarm();
    CHECK_EQ(errno, 4242);
    for (int i = 0; i < 3; i++)
        future_unref(fs[i]);
    check_works(ex);
    executor_destroy(ex);
}

/* So many that the group needs more room for those that have finished. */
static void many_members(void) {
    exec_group_t *g;
    unsigned n = 0;
    open_executor(2);
    CHECK_ERROR(exec_group_open(ex, NULL, &g), 0);
    fault_arm();
    for (unsigned i = 0; i < LARGE; i++) {
        int error = exec_group_submit(g, run, NULL, NULL, NULL);
        CHECK_FAULT_OR_DONE(error);
        n += error == 0;
    }
    fault_disarm();
    CHECK_OP(n + fault_failures(false), >=, LARGE);
    CHECK_ERROR(exec_group_close(g), 0);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), n);
}

/* ---- the runs ---- */

static const struct scenario scenarios[] = {
    {"open a group", open_plain, true},
    {"with all options", open_with_all_options, true},
    {"submit to a group", submit_to_group, true},
    {"while workers are held", submit_while_held, true},
    {"behind max_running", submit_behind_max_running, true},
    {"all behind max_running", wait_behind_max_running, true},
    {"until a deadline", submit_until_deadline, true},
    {"wait for a group", wait_for_group, true},
    {"group in a task", group_in_task, true},
    {"end a group", end_group, false},
    {"leave a group open", leave_group_open, true},
    {"descriptor of a group", group_descriptor, true},
    {"descriptor in use", group_descriptor_in_use, true},
    {"many members", many_members, true},
};

int main(int argc, char **argv) {
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
