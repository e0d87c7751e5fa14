/* fault_wait.c - every allocation, descriptor and initialisation made to fail in turn: waits, sleeps and polls. How it
 * goes is in fault_trial.h. */
#include "fault_trial.h"

/* ---- for futures ---- */

static void wait_for_promises(void) {
    future_t *fs[3];
    for (int i = 0; i < 3; i++)
        CHECK_ERROR(future_create(&fs[i]), 0);
    fault_arm();
    int some = exec_wait(fs, 3, 2, exec_after(EXEC_US(100)));
    int one = future_wait(fs[0], exec_after(EXEC_US(100)));
    fault_disarm();
    CHECK_FAULT_OR(some, ETIMEDOUT);
    CHECK_FAULT_OR(one, ETIMEDOUT);
    CHECK_FAULT_ELSE(some != ETIMEDOUT ? some : one, ETIMEDOUT); /* one of them must have said so */
    for (int i = 0; i < 2; i++)
        CHECK_ERROR(future_resolve(fs[i], NULL, 0), 0);
    CHECK_ERROR(exec_wait(fs, 3, 2, EXEC_NEVER), 0);
    CHECK_ERROR(exec_wait(fs, 3, 3, exec_after(1)), ETIMEDOUT);
    for (int i = 0; i < 3; i++)
        future_unref(fs[i]);
}

/* A task that waits for its child, which another worker runs, until the task has come to where it may fail. */
struct child {
    _Atomic bool begun, let_go;
};

static void *run_until_waited_for(void *arg) {
    struct child *c = arg;
    atomic_store(&c->begun, true);
    while (!atomic_load(&c->let_go) && atomic_load(&fault.calls) == 0)
        sched_yield();
    return NULL;
}

static void *wait_for_child(void *arg) {
    struct child c = {.let_go = fault.plan.interrupts}; /* which counts no such calls */
    future_t *f;
    CHECK_ERROR(executor_submit(ex, run_until_waited_for, &c, NULL, &f), 0);
    while (!atomic_load(&c.begun))
        sched_yield();
    fault_arm();
    int error = future_get(f, NULL);
    fault_disarm();
    CHECK_FAULT_OR_DONE(error);
    atomic_store(&c.let_go, true);
    CHECK_ERROR(future_get(f, NULL), 0);
    future_unref(f);
    return arg;
}

static void get_inside(void) {
    open_executor(2);
    as_task(wait_for_child, NULL);
    check_works(ex);
    executor_destroy(ex);
}

static void *sleep_a_little(void *arg) {
    fault_arm();
    int error = exec_sleep(EXEC_US(100));
    fault_disarm();
    CHECK_FAULT_OR_DONE(error);
    CHECK_ERROR(exec_sleep(1), 0);
    return arg;
}

static void sleep_inside(void) {
    open_executor(1);
    as_task(sleep_a_little, NULL);
    executor_destroy(ex);
}

static void *poll_a_little(void *arg) {
    int fds[2], ready = -1, again = -1;
    CHECK_EQ(pipe(fds), 0);
    struct pollfd fd = {.fd = fds[0], .events = POLLIN};
    fault_arm();
    int error = exec_poll(&fd, 1, exec_after(EXEC_US(100)), &ready);
    fault_disarm();
    CHECK_FAULT_ELSE(error, ETIMEDOUT);
    CHECK_EQ(ready, 0);
    CHECK_EQ(write(fds[1], "x", 1), 1);
    CHECK_ERROR(exec_poll(&fd, 1, EXEC_NEVER, &again), 0);
    CHECK_EQ(again, 1);
    close(fds[0]);
    close(fds[1]);
    return arg;
}

static void poll_inside(void) {
    open_executor(1);
    as_task(poll_a_little, NULL);
    executor_destroy(ex);
}

/* A poll that is asked to stop, which it is told through a descriptor. */
static void *poll_until_asked(void *arg) {
    int ready = -1;
    errno = 4242;
    fault_arm();
    int error = exec_poll(NULL, 0, EXEC_NEVER, &ready);
    fault_disarm();
    CHECK_EQ(errno, 4242);
    CHECK_EQ(ready, 0);
    CHECK_FAULT_OR(error, ECANCELED);
    return arg;
}

static void cancel_it(exec_group_t *g, future_t *f) {
    (void)g;
    CHECK_ERROR(future_cancel(f), EINPROGRESS, EALREADY);
}

static void cancel_group(exec_group_t *g, future_t *f) {
    (void)f;
    exec_group_cancel(g);
}

static void discard_all(exec_group_t *g, future_t *f) {
    (void)g, (void)f;
    CHECK_ERROR(executor_shutdown(ex, EXECUTOR_DISCARD), 0);
}

static void stop_poll(void (*stop)(exec_group_t *g, future_t *f)) {
    exec_group_t *g;
    future_t *f;
    open_executor(1);
    CHECK_ERROR(exec_group_open(ex, NULL, &g), 0);
    CHECK_ERROR(exec_group_submit(g, poll_until_asked, NULL, NULL, &f), 0);
    while (future_state(f) == FUTURE_PENDING)
        sched_yield();
    stress_nap(EXEC_MS(1)); /* most often it polls by then */
    stop(g, f);
    while (!future_done(f))
        sched_yield();
    CHECK_ERROR(future_get(f, NULL), 0);
    future_unref(f);
    CHECK_ERROR(exec_group_close(g), 0, ECANCELED);
    executor_destroy(ex);
}

static void cancel_poll(void) {
    stop_poll(cancel_it);
}

static void cancel_group_of_poll(void) {
    stop_poll(cancel_group);
}

static void discard_poll(void) {
    stop_poll(discard_all);
}

/* ---- outside of tasks ---- */

/* Signals do not shorten a sleep, nor a poll. */
static void sleep_outside(void) {
    int ready = -1;
    errno = 4242;
    exec_time until = exec_after(EXEC_US(200));
    fault_arm();
    CHECK_ERROR(exec_sleep(EXEC_US(200)), 0);
    fault_disarm();
    CHECK_OP(exec_now(), >=, until);
    until = exec_after(EXEC_US(200));
    fault_arm();
    int error = exec_poll(NULL, 0, until, &ready);
    fault_disarm();
    CHECK_FAULT_ELSE(error, ETIMEDOUT);
    CHECK(error != ETIMEDOUT || exec_now() >= until);
    CHECK_EQ(ready, 0);
    CHECK_EQ(errno, 4242);
}

/* Whoever runs its own tasks has the worker doze, which signals may shorten; nothing else comes of it. */
static void doze(void) {
    unsigned n = 0;
    open_executor(2);
    if (fault.plan.interrupts)
        fault_arm();
    do {
        future_t *f;
        CHECK_ERROR(executor_submit(ex, run, NULL, NULL, &f), 0);
        CHECK_ERROR(future_get(f, NULL), 0);
        future_unref(f);
    } while (++n % ROUGHLY != 0 || (fault.plan.interrupts && failures_at("exec__doze", "clock_nanosleep") == 0));
    fault_disarm();
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), n);
}

/* ---- the runs ---- */

static const struct scenario scenarios[] = {
    {"wait for promises", wait_for_promises, true},
    {"get inside", get_inside, true},
    {"sleep", sleep_inside, true},
    {"poll", poll_inside, true},
    {"poll that is cancelled", cancel_poll, true},
    {"poll in such a group", cancel_group_of_poll, true},
    {"poll that is discarded", discard_poll, true},
    {"doze", doze, false},
    {"sleep outside of tasks", sleep_outside, true},
};

int main(int argc, char **argv) {
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
