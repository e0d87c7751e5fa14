/* test_request.c - shutting an executor down from a real signal handler. */
#include "helpers.h"

static executor_t *_Atomic to_shut_down;

static void on_signal(int signal) {
    (void)signal;
    executor_request_shutdown(atomic_load(&to_shut_down));
}

static void handle_signals(executor_t *ex) {
    struct sigaction action = {.sa_handler = on_signal};
    atomic_store(&to_shut_down, ex);
    ok(sigaction(SIGUSR1, &action, NULL));
}

TEST(request, a_signal_handler_may_shut_down_an_idle_pool) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        ok(outcome(submit(ex, identity, NULL)));
        handle_signals(ex);
        ok(pthread_kill(pthread_self(), SIGUSR1));
        ok(pthread_kill(pthread_self(), SIGUSR1));
        eq_err(executor_submit(ex, must_not_run, NULL, NULL, NULL), ESHUTDOWN);
        ok(executor_join(ex, EXEC_NEVER));
        ok(pthread_kill(pthread_self(), SIGUSR1));
        executor_destroy(ex);
    }
}

TEST(request, a_request_drains) {
    struct plug plug = PLUG;
    atomic_int runs = 0;
    executor_t *ex = pool(1);
    handle_signals(ex);
    future_unref(plug_in(ex, &plug));
    for (int i = 0; i < 10; i++)
        ok(executor_submit(ex, count_up, &runs, NULL, NULL));
    ok(pthread_kill(pthread_self(), SIGUSR1));
    eq_err(executor_submit(ex, must_not_run, NULL, NULL, NULL), ESHUTDOWN);
    plug_out(&plug);
    ok(executor_join(ex, EXEC_NEVER));
    eq_int(atomic_load(&runs), 10);
    executor_destroy(ex);
}

struct joiner {
    executor_t *ex;
    atomic_int tid;
};

static void *join_it(void *arg) {
    struct joiner *j = arg;
    atomic_store(&j->tid, gettid());
    ok(executor_join(j->ex, EXEC_NEVER));
    return NULL;
}

TEST(request, a_request_ends_a_join_that_is_under_way) {
    struct joiner j = {.ex = pool(2)};
    handle_signals(j.ex);
    pthread_t thread = start(join_it, &j);
    wait_until_asleep(&j.tid);
    ok(pthread_kill(pthread_self(), SIGUSR1));
    finish(thread);
    executor_destroy(j.ex);
}

TEST(request, a_request_on_the_joining_thread_itself_ends_the_join) {
    struct joiner j = {.ex = pool(2)};
    handle_signals(j.ex);
    pthread_t thread = start(join_it, &j);
    wait_until_asleep(&j.tid);
    ok(pthread_kill(thread, SIGUSR1));
    finish(thread);
    executor_destroy(j.ex);
}

struct blocked {
    executor_t *ex;
    atomic_int tid;
    exec_time room_wait;
};

static void *is_blocked(void *arg) {
    struct blocked *b = arg;
    atomic_store(&b->tid, gettid());
    eq_err(executor_submit(b->ex, must_not_run, NULL, &(exec_task_opts){.room_wait = b->room_wait}, NULL), ESHUTDOWN);
    return NULL;
}

/* The signal goes to the submitter that waits for room, or to this thread; its wait ends while the queue is full. */
static void request_while_blocked(bool to_submitter, exec_time room_wait) {
    struct plug plug = PLUG;
    struct blocked b = {.ex = pool_of((executor_opts){.workers = 1, .capacity = 1}), .room_wait = room_wait};
    handle_signals(b.ex);
    future_unref(plug_in(b.ex, &plug));
    ok(executor_submit(b.ex, identity, NULL, NULL, NULL));
    pthread_t thread = start(is_blocked, &b);
    wait_until_asleep(&b.tid);
    ok(pthread_kill(to_submitter ? thread : pthread_self(), SIGUSR1));
    finish(thread);
    check(!gate_is_open(&plug.release));
    plug_out(&plug);
    executor_destroy(b.ex);
}

TEST(request, a_request_reaches_a_submitter_that_waits_for_room) {
    request_while_blocked(false, 0);
    request_while_blocked(true, 0);
    request_while_blocked(false, LIMIT);
    request_while_blocked(true, LIMIT);
}

static void *request_again_and_again(void *thread) {
    for (int i = 0; i < 20; i++) {
        pthread_kill(*(pthread_t *)thread, SIGUSR1);
        sched_yield();
    }
    return NULL;
}

TEST(request, a_request_may_interrupt_any_call) {
    pthread_t self = pthread_self();
    for (int round = 0; round < 20; round++) {
        executor_t *ex = pool_of((executor_opts){.workers = 2, .capacity = 2});
        int error = 0, accepted = 0;
        atomic_int runs = 0;
        handle_signals(ex);
        pthread_t other = start(request_again_and_again, &self);
        while (!(error = executor_submit(ex, count_up, &runs, NULL, NULL)))
            accepted++;
        eq_err(error, ESHUTDOWN);
        ok(executor_join(ex, EXEC_NEVER));
        finish(other);
        eq_int(atomic_load(&runs), accepted);
        signal(SIGUSR1, SIG_IGN);
        executor_destroy(ex);
    }
}

TEST(request, a_request_leaves_errno_alone) {
    executor_t *ex = pool(2);
    errno = 1234;
    executor_request_shutdown(ex);
    executor_request_shutdown(ex);
    eq_int(errno, 1234);
    executor_destroy(ex);
}
