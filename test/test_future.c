/* test_future.c - futures and promises: their states, getting and waiting. Cancelling and what becomes of arguments and
 * results is in test_cancel.c, waiting for several at once in test_exec_wait.c, waiting inside tasks in test_wait.c. */
#include "helpers.h"

/* ---- states ---- */

TEST(future, a_future_is_pending_until_its_task_starts) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug), *second = submit(ex, identity, &plug);
    eq_state(second, FUTURE_PENDING);
    check(!future_done(second));
    plug_out(&plug);
    eq_ptr(take(second), &plug);
    eq_ptr(take(first), &plug);
    executor_destroy(ex);
}

TEST(future, a_future_is_running_while_its_function_runs) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *f = plug_in(ex, &plug);
    eq_state(f, FUTURE_RUNNING);
    check(!future_done(f));
    plug_out(&plug);
    take(f);
    executor_destroy(ex);
}

TEST(future, a_task_that_returns_a_value_ends_done) {
    int value;
    executor_t *ex = pool(2);
    future_t *f = submit(ex, identity, &value);
    ok(future_wait(f, EXEC_NEVER));
    eq_state(f, FUTURE_DONE);
    check(future_done(f));
    eq_ptr(take(f), &value);
    executor_destroy(ex);
}

TEST(future, a_task_that_fails_ends_failed) {
    executor_t *ex = pool(2);
    future_t *f = submit(ex, fail_with, as_error(EIO));
    ok(future_wait(f, EXEC_NEVER));
    eq_state(f, FUTURE_FAILED);
    check(future_done(f));
    eq_err(outcome(f), EIO);
    executor_destroy(ex);
}

TEST(future, a_task_that_fails_with_ecanceled_ends_cancelled) {
    executor_t *ex = pool(2);
    future_t *f = submit(ex, fail_with, as_error(ECANCELED));
    ok(future_wait(f, EXEC_NEVER));
    eq_state(f, FUTURE_CANCELLED);
    eq_err(outcome(f), ECANCELED);
    executor_destroy(ex);
}

TEST(future, once_it_is_done_its_result_is_there_without_waiting) {
    executor_t *ex = pool(1);
    for (int i = 0; i < 300; i++) {
        int value = 0;
        void *result = NULL;
        future_t *f = submit(ex, identity, &value);
        while (!future_done(f))
            sched_yield();
        ok(future_wait(f, EXEC_NOW));
        ok(future_get(f, &result));
        eq_ptr(result, &value);
        future_unref(f);
    }
    executor_destroy(ex);
}

/* ---- getting and waiting ---- */

TEST(future, get_gives_everyone_the_same_result) {
    int value;
    executor_t *ex = pool(2);
    future_t *f = submit(ex, identity, &value);
    for (int i = 0; i < 3; i++) {
        void *result = NULL;
        ok(future_get(f, &result));
        eq_ptr(result, &value);
    }
    future_unref(f);
    executor_destroy(ex);
}

TEST(future, get_sets_the_result_to_null_on_an_error) {
    executor_t *ex = pool(1);
    future_t *f = submit(ex, fail_with, as_error(EPERM));
    void *result = &ex;
    eq_err(future_get(f, &result), EPERM);
    eq_ptr(result, NULL);
    future_unref(f);
    executor_destroy(ex);
}

TEST(future, get_needs_no_place_for_the_result) {
    executor_t *ex = pool(1);
    future_t *good = submit(ex, identity, ex), *bad = submit(ex, fail_with, as_error(ENOENT));
    ok(outcome(good));
    eq_err(outcome(bad), ENOENT);
    executor_destroy(ex);
}

TEST(future, wait_returns_0_whatever_the_outcome) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    plug_out(&plug);
    future_t *done = plug_in(ex, &plug), *failed = submit(ex, fail_with, as_error(EIO));
    ok(future_wait(done, EXEC_NEVER));
    ok(future_wait(failed, exec_after(LIMIT)));
    struct plug again = PLUG;
    future_t *running = plug_in(ex, &again), *cancelled = submit(ex, must_not_run, NULL);
    ok(future_cancel(cancelled));
    ok(future_wait(cancelled, EXEC_NEVER));
    ok(future_wait(cancelled, EXEC_NOW));
    plug_out(&again);
    future_unref(done), future_unref(failed), future_unref(running), future_unref(cancelled);
    executor_destroy(ex);
}

TEST(future, wait_ends_at_its_deadline_and_not_before) {
    future_t *f = promise();
    exec_time deadline = exec_after(EXEC_MS(20));
    eq_err(future_wait(f, deadline), ETIMEDOUT);
    at_least(exec_now(), deadline);
    future_unref(f);
}

TEST(future, wait_with_a_deadline_in_the_past_only_looks) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *f = plug_in(ex, &plug);
    eq_err(future_wait(f, EXEC_NOW), ETIMEDOUT);
    eq_err(future_wait(f, exec_after(EXEC_MS(-5))), ETIMEDOUT);
    eq_err(future_wait(f, -1), ETIMEDOUT);
    plug_out(&plug);
    take(f);
    executor_destroy(ex);
}

TEST(future, a_wait_that_timed_out_leaves_nothing_behind) {
    for (int i = 0; i < 100; i++) {
        future_t *f = promise();
        eq_err(future_wait(f, exec_after(EXEC_US(50))), ETIMEDOUT);
        eq_err(exec_wait((future_t *[]){f}, 1, 1, exec_after(EXEC_US(50))), ETIMEDOUT);
        ok(future_resolve(f, NULL, 0));
        ok(outcome(f));
    }
}

/* ---- everyone wakes ---- */

struct waiter {
    future_t *f;
    atomic_int tid;
    int expected; /* what future_get() returns */
};

static void *wait_by_get(void *arg) {
    struct waiter *w = arg;
    atomic_store(&w->tid, gettid());
    eq_err(future_get(w->f, NULL), w->expected);
    return NULL;
}

static void *wait_by_wait(void *arg) {
    struct waiter *w = arg;
    atomic_store(&w->tid, gettid());
    ok(future_wait(w->f, EXEC_NEVER));
    return NULL;
}

static void *wait_by_deadline(void *arg) {
    struct waiter *w = arg;
    atomic_store(&w->tid, gettid());
    ok(future_wait(w->f, exec_after(LIMIT)));
    return NULL;
}

static void *wait_by_exec_wait(void *arg) {
    struct waiter *w = arg;
    future_t *never = promise();
    atomic_store(&w->tid, gettid());
    ok(exec_wait((future_t *[]){never, w->f}, 2, 1, EXEC_NEVER));
    future_unref(never);
    return NULL;
}

/* Has `f` waited for in every way, ends it by end(f, arg), and sees everyone wake. */
static void all_wake(future_t *f, int expected, void (*end)(future_t *, void *), void *arg) {
    void *(*const ways[])(void *) = {wait_by_get, wait_by_wait, wait_by_deadline, wait_by_exec_wait};
    struct waiter waiters[8] = {0};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        waiters[i].f = f;
        waiters[i].expected = expected;
        threads[i] = start(ways[i % 4], &waiters[i]);
    }
    for (int i = 0; i < 8; i++)
        wait_until_asleep(&waiters[i].tid);
    end(f, arg);
    for (int i = 0; i < 8; i++)
        finish(threads[i]);
}

static void end_by_cancel(future_t *f, void *unused) {
    (void)unused;
    ok(future_cancel(f));
}

static void end_by_unplugging(future_t *f, void *plug) {
    (void)f;
    plug_out(plug);
}

static void end_by_resolving(future_t *f, void *error) {
    ok(future_resolve(f, NULL, (int)(intptr_t)error));
}

TEST(future, a_cancelled_future_wakes_all_of_its_waiters) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug), *f = submit(ex, must_not_run, NULL);
    all_wake(f, ECANCELED, end_by_cancel, NULL);
    plug_out(&plug);
    future_unref(first), future_unref(f);
    executor_destroy(ex);
}

TEST(future, a_finished_task_wakes_all_of_its_waiters) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *f = plug_in(ex, &plug);
    all_wake(f, 0, end_by_unplugging, &plug);
    future_unref(f);
    executor_destroy(ex);
}

TEST(future, a_task_behind_another_wakes_all_of_its_waiters) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug), *f = submit(ex, fail_with, as_error(EIO));
    all_wake(f, EIO, end_by_unplugging, &plug);
    future_unref(first), future_unref(f);
    executor_destroy(ex);
}

TEST(future, a_resolved_promise_wakes_all_of_its_waiters) {
    const int errors[] = {0, EIO, ECANCELED};
    for (int i = 0; i < 3; i++) {
        future_t *f = promise();
        all_wake(f, errors[i], end_by_resolving, as_error(errors[i]));
        future_unref(f);
    }
}

TEST(future, a_cancelled_promise_wakes_all_of_its_waiters) {
    future_t *f = promise();
    all_wake(f, ECANCELED, end_by_cancel, NULL);
    future_unref(f);
}

/* ---- which task was this? ---- */

TEST(future, a_future_knows_its_argument_and_its_name) {
    static const char name[] = "fetch";
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug);
    future_t *f = submit_opts(ex, identity, &plug, &(exec_task_opts){.name = name});
    eq_ptr(future_name(f), name);
    eq_ptr(future_arg(f), &plug);
    eq_ptr(future_name(first), NULL);
    plug_out(&plug);
    ok(future_wait(f, EXEC_NEVER));
    eq_ptr(future_name(f), name);
    eq_ptr(future_arg(f), &plug);
    future_unref(first), future_unref(f);
    executor_destroy(ex);
}

/* ---- promises ---- */

TEST(future, a_promise_is_pending_and_knows_no_task) {
    future_t *f = promise();
    eq_state(f, FUTURE_PENDING);
    check(!future_done(f));
    eq_ptr(future_arg(f), NULL);
    eq_ptr(future_name(f), NULL);
    future_unref(f);
}

TEST(future, a_promise_ends_as_it_is_resolved) {
    int value;
    void *result = NULL;
    future_t *done = promise(), *failed = promise(), *cancelled = promise();
    ok(future_resolve(done, &value, 0));
    ok(future_resolve(failed, &value, EIO));
    ok(future_resolve(cancelled, &value, ECANCELED));
    eq_state(done, FUTURE_DONE);
    eq_state(failed, FUTURE_FAILED);
    eq_state(cancelled, FUTURE_CANCELLED);
    eq_ptr(take(done), &value);
    result = &value;
    eq_err(future_get(failed, &result), EIO);
    eq_ptr(result, NULL);
    eq_err(outcome(failed), EIO);
    eq_err(outcome(cancelled), ECANCELED);
}

TEST(future, the_first_to_resolve_a_promise_wins) {
    int value;
    future_t *f = promise();
    ok(future_resolve(f, &value, 0));
    eq_err(future_resolve(f, NULL, 0), EALREADY);
    eq_err(future_resolve(f, NULL, EIO), EALREADY);
    eq_err(future_cancel(f), EALREADY);
    eq_ptr(take(f), &value);
}

TEST(future, a_cancelled_promise_cannot_be_resolved) {
    future_t *f = promise();
    ok(future_cancel(f));
    eq_state(f, FUTURE_CANCELLED);
    eq_err(future_resolve(f, NULL, 0), EALREADY);
    eq_err(outcome(f), ECANCELED);
}

TEST(future, only_promises_can_be_resolved_and_with_no_negative_error) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *running = plug_in(ex, &plug), *pending = submit(ex, identity, ex), *f = promise();
    eq_err(future_resolve(running, NULL, 0), EINVAL);
    eq_err(future_resolve(pending, NULL, 0), EINVAL);
    eq_err(future_resolve(f, NULL, -1), EINVAL);
    eq_state(f, FUTURE_PENDING);
    plug_out(&plug);
    ok(future_wait(running, EXEC_NEVER));
    eq_err(future_resolve(running, NULL, 0), EINVAL);
    eq_ptr(take(pending), ex);
    future_unref(running), future_unref(f);
    executor_destroy(ex);
}

struct racer {
    future_t *f;
    struct gate *go;
    int error; /* what future_resolve() returned */
};

static void *race_to_resolve(void *arg) {
    struct racer *racer = arg;
    gate_wait(racer->go);
    racer->error = future_resolve(racer->f, racer, 0);
    return NULL;
}

TEST(future, of_many_that_resolve_a_promise_at_once_one_wins) {
    for (int round = 0; round < 20; round++) {
        struct gate go = GATE(1);
        struct racer racers[4], *winner;
        pthread_t threads[4];
        future_t *f = promise();
        for (int i = 0; i < 4; i++) {
            racers[i] = (struct racer){f, &go, -1};
            threads[i] = start(race_to_resolve, &racers[i]);
        }
        gate_open(&go);
        winner = take(future_ref(f));
        for (int i = 0; i < 4; i++)
            finish(threads[i]);
        for (int i = 0; i < 4; i++)
            eq_err(racers[i].error, &racers[i] == winner ? 0 : EALREADY);
        future_unref(f);
    }
}

TEST(future, what_is_null_or_nothing_is_einval) {
    future_t *f = promise();
    void *result = &f;
    eq_err(future_create(NULL), EINVAL);
    eq_err(future_resolve(NULL, NULL, 0), EINVAL);
    eq_err(future_cancel(NULL), EINVAL);
    eq_err(future_wait(NULL, EXEC_NEVER), EINVAL);
    eq_err(future_wait(NULL, EXEC_NOW), EINVAL);
    eq_err(future_get(NULL, NULL), EINVAL);
    eq_err(future_get(NULL, &result), EINVAL);
    future_unref(f);
}
