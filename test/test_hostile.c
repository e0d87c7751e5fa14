/* test_hostile.c - what the library must leave alone: signals and errno. Forks are in test_fork.c, tasks that leave
 * their thread in test_exit.c and test_pthread_cancel.c; what is NULL or out of its range is in the file of each
 * noun. */
#include "helpers.h"

/* ---- signals ---- */

static void *blocks_all(void *unused) {
    sigset_t mask;
    (void)unused;
    ok(pthread_sigmask(SIG_SETMASK, NULL, &mask));
    for (int s = 1; s <= SIGRTMAX; s++)
        if (s != SIGKILL && s != SIGSTOP && (s < 32 || s >= SIGRTMIN) && !sigismember(&mask, s))
            FAIL("signal %d (%s) is not blocked", s, strsignal(s));
    return NULL;
}

TEST(hostile, workers_block_all_signals) {
    executor_t *ex = pool(3);
    for (int i = 0; i < 30; i++) {
        future_t *f = submit(ex, blocks_all, NULL);
        await_elsewhere(f);
        ok(outcome(f));
    }
    executor_destroy(ex);
}

static void same_mask(const sigset_t *expected) {
    sigset_t mask;
    ok(pthread_sigmask(SIG_SETMASK, NULL, &mask));
    for (int s = 1; s <= SIGRTMAX; s++)
        eq_int(sigismember(&mask, s), sigismember(expected, s));
}

static void *has_mask(void *mask) {
    same_mask(mask);
    return NULL;
}

TEST(hostile, the_callers_mask_is_left_alone) {
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    ok(pthread_sigmask(SIG_SETMASK, &mask, NULL));
    executor_t *ex = pool(2);
    same_mask(&mask);
    for (int i = 0; i < 50; i++)
        ok(outcome(submit(ex, identity, NULL)));
    same_mask(&mask);
    executor_destroy(ex);
    same_mask(&mask);
}

TEST(hostile, a_task_that_the_caller_runs_has_the_callers_mask) {
    struct plug plug = PLUG;
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    ok(pthread_sigmask(SIG_SETMASK, &mask, NULL));
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_CALLER_RUNS});
    future_unref(plug_in(ex, &plug));
    ok(executor_submit(ex, identity, NULL, NULL, NULL));
    ok(outcome(submit(ex, has_mask, &mask)));
    plug_out(&plug);
    executor_destroy(ex);
}

static atomic_int handled_by, handled;

static void on_signal(int signal) {
    (void)signal;
    atomic_store(&handled_by, gettid());
    atomic_fetch_add(&handled, 1);
}

TEST(hostile, a_signal_to_the_process_is_not_handled_by_a_worker) {
    struct sigaction action = {.sa_handler = on_signal};
    executor_t *ex = pool(4);
    ok(sigaction(SIGUSR1, &action, NULL));
    for (int i = 1; i <= 20; i++) {
        ok(kill(getpid(), SIGUSR1));
        wait_until(atomic_load(&handled) == i);
        eq_int(atomic_load(&handled_by), gettid());
    }
    executor_destroy(ex);
}

/* ---- errno ---- */

#define KEEPS_ERRNO(call)                                                       \
    do {                                                                        \
        errno = 1234;                                                           \
        (void)(call);                                                           \
        int errno_ = errno;                                                     \
        if (errno_ != 1234)                                                     \
            FAIL("errno is %d (%s) after %s", errno_, strerror(errno_), #call); \
    } while (0)
#define KEEPS_ERRNO_VOID(call) KEEPS_ERRNO(((call), 0))

static void *spoil_errno(void *arg) {
    errno = 77;
    return arg;
}

static void spoil_in_range(size_t begin, size_t end, void *ctx) {
    (void)begin, (void)end, (void)ctx;
    errno = 77;
}

static void drop_spoiling_errno(void *arg) {
    (void)arg;
    errno = 77;
}

static const exec_task_opts spoiling = {.drop = drop_spoiling_errno, .free_result = drop_spoiling_errno};

TEST(hostile, futures_leave_errno_alone) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *f = NULL, *running = plug_in(ex, &plug), *made = NULL;
    KEEPS_ERRNO(future_create(&made));
    KEEPS_ERRNO(future_create(NULL));
    KEEPS_ERRNO(future_wait(made, EXEC_NOW));
    KEEPS_ERRNO(future_wait(made, exec_after(EXEC_MS(1))));
    KEEPS_ERRNO(future_wait(NULL, EXEC_NOW));
    KEEPS_ERRNO(exec_wait((future_t *[]){made, running}, 2, 1, exec_after(EXEC_MS(1))));
    KEEPS_ERRNO(future_resolve(made, NULL, EIO));
    KEEPS_ERRNO(future_resolve(made, NULL, 0));
    KEEPS_ERRNO(future_get(made, NULL));
    KEEPS_ERRNO(future_cancel(made));
    KEEPS_ERRNO_VOID(future_unref(made));
    KEEPS_ERRNO(executor_submit(ex, spoil_errno, ex, &spoiling, &f));
    KEEPS_ERRNO(future_cancel(running));
    KEEPS_ERRNO(future_cancel(f));
    KEEPS_ERRNO_VOID(future_unref(f));
    plug_out(&plug);
    KEEPS_ERRNO(future_get(running, NULL));
    KEEPS_ERRNO_VOID(future_unref(running));
    f = submit_opts(ex, spoil_errno, ex, &spoiling);
    KEEPS_ERRNO(future_wait(f, EXEC_NEVER));
    KEEPS_ERRNO_VOID(future_unref(f));
    executor_destroy(ex);
}

TEST(hostile, executors_leave_errno_alone) {
    const executor_opts opts = {.workers = 2, .capacity = 1, .when_full = EXECUTOR_REJECT};
    struct plug a = PLUG, b = PLUG;
    executor_t *ex = NULL;
    KEEPS_ERRNO(executor_create(&opts, NULL));
    KEEPS_ERRNO(executor_create(&(executor_opts){.workers = 1, .stack_size = 1}, &ex));
    KEEPS_ERRNO(executor_create(&opts, &ex));
    KEEPS_ERRNO(executor_submit(ex, NULL, NULL, NULL, NULL));
    KEEPS_ERRNO(executor_join(ex, exec_after(EXEC_MS(1))));
    future_unref(plug_in(ex, &a)), future_unref(plug_in(ex, &b));
    KEEPS_ERRNO(executor_submit(ex, spoil_errno, NULL, &spoiling, NULL));
    KEEPS_ERRNO(executor_submit(ex, spoil_errno, NULL, &spoiling, NULL)); /* full */
    KEEPS_ERRNO_VOID(executor_request_shutdown(ex));
    KEEPS_ERRNO(executor_submit(ex, spoil_errno, NULL, NULL, NULL)); /* shut down */
    KEEPS_ERRNO(executor_shutdown(ex, EXECUTOR_DISCARD));
    plug_out(&a), plug_out(&b);
    KEEPS_ERRNO(executor_join(ex, EXEC_NEVER));
    KEEPS_ERRNO_VOID(executor_destroy(ex));
}

TEST(hostile, the_other_policies_leave_errno_alone) {
    const enum executor_when_full policies[] = {EXECUTOR_BLOCK, EXECUTOR_CALLER_RUNS, EXECUTOR_DROP_OLDEST};
    for (int i = 0; i < 3; i++) {
        struct plug plug = PLUG;
        const exec_task_opts opts = {.drop = drop_spoiling_errno, .room_wait = EXEC_MS(1)};
        executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = policies[i]});
        future_unref(plug_in(ex, &plug));
        for (int k = 0; k < 3; k++)
            KEEPS_ERRNO(executor_submit(ex, spoil_errno, NULL, &opts, NULL));
        plug_out(&plug);
        KEEPS_ERRNO_VOID(executor_destroy(ex));
    }
}

static void *keeps_errno_in_a_task(void *arg) {
    executor_t *ex = arg;
    void *args[20] = {0};
    future_t *f = submit_opts(ex, spoil_errno, ex, &spoiling), *never = promise();
    KEEPS_ERRNO(future_get(f, NULL));
    future_unref(f);
    f = submit(ex, spoil_errno, ex);
    KEEPS_ERRNO(future_wait(f, exec_after(LIMIT)));
    KEEPS_ERRNO(exec_wait((future_t *[]){f, never}, 2, 1, EXEC_NEVER));
    KEEPS_ERRNO(future_wait(never, exec_after(EXEC_MS(1))));
    KEEPS_ERRNO(executor_map(ex, spoil_errno, args, NULL, 20, NULL));
    KEEPS_ERRNO(executor_for(ex, 1000, spoil_in_range, NULL, NULL));
    KEEPS_ERRNO(exec_sleep(EXEC_MS(1)));
    KEEPS_ERRNO(exec_sleep(-1));
    KEEPS_ERRNO(exec_poll(NULL, 0, exec_after(EXEC_MS(1)), NULL));
    KEEPS_ERRNO(exec_poll(NULL, 1, EXEC_NOW, NULL));
    KEEPS_ERRNO(exec_poll(&(struct pollfd){.fd = 1 << 20}, 1, EXEC_NEVER, NULL));
    KEEPS_ERRNO(exec_cancelled());
    KEEPS_ERRNO(executor_join(ex, EXEC_NEVER));
    future_unref(f), future_unref(never);
    KEEPS_ERRNO(exec_fail(EIO));
    return exec_fail(EIO);
}

TEST(hostile, what_a_task_can_call_leaves_errno_alone) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        executor_t *ex = pool(workers);
        for (int i = 0; i < 5; i++)
            eq_err(outcome(submit(ex, keeps_errno_in_a_task, ex)), EIO);
        executor_destroy(ex);
    }
}

TEST(hostile, waiting_from_outside_and_mapping_leave_errno_alone) {
    void *args[50] = {0};
    executor_t *ex = pool(2);
    for (int i = 0; i < 100; i++) {
        future_t *f = submit(ex, spoil_errno, ex);
        KEEPS_ERRNO(future_get(f, NULL));
        future_unref(f);
        KEEPS_ERRNO(executor_map(ex, spoil_errno, args, NULL, 50, NULL));
    }
    KEEPS_ERRNO(exec_sleep(EXEC_MS(1)));
    KEEPS_ERRNO(exec_poll(NULL, 0, exec_after(EXEC_MS(1)), NULL));
    KEEPS_ERRNO(exec_poll(&(struct pollfd){.fd = 1 << 20}, 1, EXEC_NEVER, NULL));
    executor_destroy(ex);
}
