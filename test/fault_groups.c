/* fault_groups.c - every allocation, thread start and descriptor made to fail in turn: groups. How it goes is in
 * fault_trial.h. */
#include "fault_trial.h"

#include <poll.h>

enum { MEMBERS = 100 };

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
    CHECK_FAULT_OR_DONE(waited == ETIMEDOUT ? 0 : waited);
    CHECK_FAULT_OR_DONE(none == ETIMEDOUT ? 0 : none);
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
    if (n > 0)
        CHECK_FAULT_OR_DONE(error);
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
    as_task(use_group_in_task);
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

static bool is_readable(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

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

/* ---- the runs ---- */

static const struct scenario scenarios[] = {
    {"open a group", open_plain, true, 0},
    {"with all options", open_with_all_options, true, 0},
    {"submit to a group", submit_to_group, true, 0},
    {"while workers are held", submit_while_held, true, 0},
    {"behind max_running", submit_behind_max_running, true, 0},
    {"all behind max_running", wait_behind_max_running, true, 0},
    {"until a deadline", submit_until_deadline, true, 0},
    {"wait for a group", wait_for_group, false, 0},
    {"group in a task", group_in_task, true, 0},
    {"end a group", end_group, false, 0},
    {"leave a group open", leave_group_open, false, 0},
    {"descriptor of a group", group_descriptor, true, 0},
};

int main(int argc, char **argv) {
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
