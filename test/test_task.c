/* test_task.c - what a task can call while it runs: exec_fail, exec_cancelled, exec_sleep; and what they do outside of
 * one. exec_poll is in test_poll.c. */
#include "helpers.h"

#include <limits.h>

/* ---- exec_fail ---- */

TEST(task, exec_fail_ends_the_task_with_its_error) {
    const int errors[] = {EIO, EPERM, ETIMEDOUT, EOWNERDEAD, ESHUTDOWN, 4321, 70000, INT_MAX};
    executor_t *ex = pool(1);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        void *result = ex;
        future_t *f = submit(ex, fail_with, as_error(errors[i]));
        eq_err(future_get(f, &result), errors[i]);
        eq_ptr(result, NULL);
        eq_state(f, FUTURE_FAILED);
        future_unref(f);
    }
    executor_destroy(ex);
}

TEST(task, exec_fail_with_ecanceled_ends_the_task_cancelled) {
    executor_t *ex = pool(1);
    future_t *f = submit(ex, fail_with, as_error(ECANCELED));
    eq_err(future_get(f, NULL), ECANCELED);
    eq_state(f, FUTURE_CANCELLED);
    future_unref(f);
    executor_destroy(ex);
}

TEST(task, an_error_that_is_not_positive_counts_as_einval) {
    const int errors[] = {0, -1, -EIO, INT_MIN};
    executor_t *ex = pool(1);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        future_t *f = submit(ex, fail_with, as_error(errors[i]));
        eq_err(future_get(f, NULL), EINVAL);
        eq_state(f, FUTURE_FAILED);
        future_unref(f);
    }
    executor_destroy(ex);
}

TEST(task, outside_of_a_task_exec_fail_returns_null_and_does_nothing) {
    executor_t *ex = pool(1);
    eq_ptr(exec_fail(EIO), NULL);
    eq_ptr(exec_fail(0), NULL);
    eq_ptr(exec_fail(ECANCELED), NULL);
    eq_ptr(take(submit(ex, identity, ex)), ex);
    executor_destroy(ex);
}

TEST(task, a_failure_is_not_the_next_tasks) {
    executor_t *ex = pool(1);
    for (int i = 0; i < 50; i++) {
        eq_err(outcome(submit(ex, fail_with, as_error(EIO))), EIO);
        eq_ptr(take(submit(ex, identity, NULL)), NULL);
        eq_ptr(take(submit(ex, identity, ex)), ex);
    }
    executor_destroy(ex);
}

static void *fail_after_a_failed_one(void *ex) {
    eq_err(outcome(submit(ex, fail_with, as_error(EIO))), EIO);
    eq_ptr(take(submit(ex, identity, ex)), ex);
    return exec_fail(EPERM);
}

static void *succeed_after_a_failed_one(void *ex) {
    eq_err(outcome(submit(ex, fail_with, as_error(EIO))), EIO);
    return ex;
}

TEST(task, a_failure_is_not_that_of_the_task_beneath) {
    executor_t *ex = pool(1);
    eq_err(outcome(submit(ex, fail_after_a_failed_one, ex)), EPERM);
    eq_ptr(take(submit(ex, succeed_after_a_failed_one, ex)), ex);
    executor_destroy(ex);
}

/* ---- exec_cancelled ---- */

TEST(task, outside_of_a_task_nothing_is_cancelled) {
    executor_t *ex = pool(1);
    check(!exec_cancelled());
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    check(!exec_cancelled());
    executor_destroy(ex);
}

static void *see_the_flag(void *arg) {
    wait_for_the_flag(arg);
    check(exec_cancelled());
    return exec_fail(EINTR);
}

TEST(task, a_task_sees_that_it_was_cancelled) {
    struct begun task = {.begun = GATE(1)};
    executor_t *ex = pool(1);
    eq_err(cancel_once_begun(ex, see_the_flag, &task), EINTR);
    executor_destroy(ex);
}

TEST(task, a_task_sees_that_its_executor_discards) {
    struct begun task = {.begun = GATE(1)};
    eq_err(discard_once_begun(see_the_flag, &task), EINTR);
}

static void *not_cancelled(void *unused) {
    (void)unused;
    check(!exec_cancelled());
    return NULL;
}

TEST(task, the_flag_is_not_the_next_tasks) {
    executor_t *ex = pool(1);
    for (int i = 0; i < 20; i++) {
        struct begun task = {.begun = GATE(1)};
        eq_err(cancel_once_begun(ex, see_the_flag, &task), EINTR);
        ok(outcome(submit(ex, not_cancelled, NULL)));
        check(!exec_cancelled());
    }
    executor_destroy(ex);
}

static void *await_one_that_is_not_asked(void *arg) {
    struct begun *task = arg;
    wait_for_the_flag(task);
    ok(outcome(submit(task->arg, not_cancelled, NULL)));
    check(exec_cancelled());
    return exec_fail(EINTR);
}

TEST(task, a_task_run_by_one_that_was_asked_to_stop_is_not_asked) {
    executor_t *ex = pool(1);
    struct begun task = {GATE(1), ex};
    eq_err(cancel_once_begun(ex, await_one_that_is_not_asked, &task), EINTR);
    executor_destroy(ex);
}

struct inner {
    executor_t *ex;
    struct begun task;
    future_t *f;
    struct gate known;
};

static void *await_one_that_is_asked(void *arg) {
    struct inner *inner = arg;
    inner->f = submit(inner->ex, see_the_flag, &inner->task);
    gate_open(&inner->known);
    eq_err(future_get(inner->f, NULL), EINTR);
    check(!exec_cancelled());
    return NULL;
}

TEST(task, a_task_beneath_one_that_is_asked_to_stop_is_not_asked) {
    struct inner inner = {.ex = pool(1), .task = {.begun = GATE(1)}, .known = GATE(1)};
    future_t *outer = submit(inner.ex, await_one_that_is_asked, &inner);
    gate_wait(&inner.known);
    gate_wait(&inner.task.begun);
    eq_err(future_cancel(inner.f), EINPROGRESS);
    ok(outcome(outer));
    future_unref(inner.f);
    executor_destroy(inner.ex);
}

/* ---- exec_sleep ---- */

static void *sleep_twenty(void *unused) {
    (void)unused;
    exec_time until = exec_after(EXEC_MS(20));
    ok(exec_sleep(EXEC_MS(20)));
    at_least(exec_now(), until);
    return NULL;
}

TEST(task, sleep_lasts_its_duration) {
    executor_t *ex = pool(1);
    ok(outcome(submit(ex, sleep_twenty, NULL)));
    sleep_twenty(NULL);
    executor_destroy(ex);
}

static void *sleep_no_time(void *unused) {
    (void)unused;
    ok(exec_sleep(0));
    ok(exec_sleep(-1));
    ok(exec_sleep(INT64_MIN));
    ok(exec_sleep(1));
    return NULL;
}

TEST(task, sleeping_for_no_time_returns_at_once) {
    executor_t *ex = pool(1);
    ok(outcome(submit(ex, sleep_no_time, NULL)));
    sleep_no_time(NULL);
    executor_destroy(ex);
}

static void *sleep_for_ever(void *arg) {
    struct begun *task = arg;
    gate_open(&task->begun);
    eq_err(exec_sleep(*(exec_time *)task->arg), ECANCELED);
    check(exec_cancelled());
    eq_err(exec_sleep(EXEC_NEVER), ECANCELED);
    return exec_fail(ECANCELED);
}

TEST(task, cancelling_ends_a_sleep_at_once) {
    exec_time durations[] = {EXEC_SEC(1000000), EXEC_NEVER, EXEC_NEVER - 1};
    executor_t *ex = pool(1);
    for (int i = 0; i < 100; i++) {
        struct begun task = {GATE(1), &durations[i % 3]};
        eq_err(cancel_once_begun(ex, sleep_for_ever, &task), ECANCELED);
    }
    executor_destroy(ex);
}

TEST(task, discarding_ends_a_sleep_at_once) {
    exec_time duration = EXEC_SEC(1000000);
    for (int i = 0; i < 20; i++) {
        struct begun task = {GATE(1), &duration};
        eq_err(discard_once_begun(sleep_for_ever, &task), ECANCELED);
    }
}

static void *sleep_after_the_flag(void *arg) {
    wait_for_the_flag(arg);
    eq_err(exec_sleep(EXEC_SEC(1000000)), ECANCELED);
    eq_err(exec_sleep(1), ECANCELED);
    return exec_fail(ECANCELED);
}

TEST(task, one_that_was_asked_before_does_not_fall_asleep) {
    struct begun task = {.begun = GATE(1)};
    executor_t *ex = pool(1);
    eq_err(cancel_once_begun(ex, sleep_after_the_flag, &task), ECANCELED);
    executor_destroy(ex);
}

static void *sleep_and_await_a_sleeper(void *arg) {
    struct begun *task = arg;
    wait_for_the_flag(task);
    ok(outcome(submit(task->arg, sleep_twenty, NULL)));
    eq_err(exec_sleep(EXEC_SEC(1000000)), ECANCELED);
    return exec_fail(ECANCELED);
}

TEST(task, a_sleep_belongs_to_the_innermost_task) {
    executor_t *ex = pool(1);
    struct begun task = {GATE(1), ex};
    eq_err(cancel_once_begun(ex, sleep_and_await_a_sleeper, &task), ECANCELED);
    executor_destroy(ex);
}
