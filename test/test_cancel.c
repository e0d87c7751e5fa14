/* test_cancel.c - cancelling at every state; references; what becomes of arguments that never run and of results that
 * nobody took. */
#include "helpers.h"

/* Runs until it is asked to stop, and then ends as `then` says. */
struct obedient {
    struct gate started;
    int then; /* an error, or 0: returns a value in spite of all */
};

static void *until_asked(void *arg) {
    struct obedient *task = arg;
    gate_open(&task->started);
    wait_until(exec_cancelled());
    return task->then ? exec_fail(task->then) : task;
}

/* ---- cancelling ---- */

static __thread atomic_int *dropped_here; /* counts what is dropped on this thread */

static void drop_on_this_thread(void *arg) {
    (void)arg;
    check(dropped_here != NULL);
    atomic_fetch_add(dropped_here, 1);
}

TEST(cancel, a_task_cancelled_before_it_starts_never_runs_and_is_dropped_at_once) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug);
    future_t *f = submit_opts(ex, must_not_run, NULL, &(exec_task_opts){.drop = drop_on_this_thread});
    dropped_here = &drops;
    ok(future_cancel(f));
    eq_int(atomic_load(&drops), 1);
    check(future_done(f));
    eq_state(f, FUTURE_CANCELLED);
    plug_out(&plug);
    eq_err(outcome(f), ECANCELED);
    future_unref(first);
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 1);
}

TEST(cancel, cancelling_again_returns_0_and_drops_nothing) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug);
    future_t *f = submit_opts(ex, must_not_run, &drops, &(exec_task_opts){.drop = count_drop});
    for (int i = 0; i < 3; i++)
        ok(future_cancel(f));
    eq_int(atomic_load(&drops), 1);
    plug_out(&plug);
    future_unref(first), future_unref(f);
    executor_destroy(ex);
}

TEST(cancel, a_running_task_is_asked_and_ends_as_its_function_says) {
    const struct { int then, state; } cases[] = {{0, FUTURE_DONE}, {ECANCELED, FUTURE_CANCELLED}, {EIO, FUTURE_FAILED}};
    executor_t *ex = pool(1);
    for (int i = 0; i < 3; i++) {
        struct obedient task = {GATE(1), cases[i].then};
        future_t *f = submit_opts(ex, until_asked, &task, &(exec_task_opts){.drop = must_not_free});
        gate_wait(&task.started);
        eq_err(future_cancel(f), EINPROGRESS);
        await_elsewhere(f);
        eq_state(f, cases[i].state);
        eq_err(outcome(f), cases[i].then);
    }
    executor_destroy(ex);
}

TEST(cancel, a_running_task_may_be_asked_more_than_once_and_stays_running) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *f = plug_in(ex, &plug);
    for (int i = 0; i < 3; i++)
        eq_err(future_cancel(f), EINPROGRESS);
    eq_state(f, FUTURE_RUNNING);
    eq_err(future_wait(f, exec_after(EXEC_MS(5))), ETIMEDOUT);
    plug_out(&plug);
    eq_ptr(take(f), &plug);
    executor_destroy(ex);
}

static void *cancel_itself(void *slot) {
    future_t *self = *(future_t **)slot;
    check(!exec_cancelled());
    eq_err(future_cancel(self), EINPROGRESS);
    check(exec_cancelled());
    eq_state(self, FUTURE_RUNNING);
    return exec_fail(ECANCELED);
}

TEST(cancel, a_task_may_cancel_itself) {
    executor_t *ex = pool(2);
    future_t *f = NULL;
    ok(executor_submit(ex, cancel_itself, &f, NULL, &f));
    eq_err(future_get(f, NULL), ECANCELED);
    eq_state(f, FUTURE_CANCELLED);
    future_unref(f);
    executor_destroy(ex);
}

TEST(cancel, a_finished_task_cannot_be_cancelled) {
    executor_t *ex = pool(1);
    future_t *done = submit(ex, identity, ex), *failed = submit(ex, fail_with, as_error(EIO));
    ok(future_wait(done, EXEC_NEVER)), ok(future_wait(failed, EXEC_NEVER));
    eq_err(future_cancel(done), EALREADY);
    eq_err(future_cancel(failed), EALREADY);
    eq_ptr(take(done), ex);
    eq_err(outcome(failed), EIO);
    executor_destroy(ex);
}

/* A task whose argument says what became of it. */
struct fate {
    atomic_int runs, drops;
    future_t *f;
    int cancelled; /* what future_cancel() returned */
};

static void *fate_run(void *arg) {
    atomic_fetch_add(&((struct fate *)arg)->runs, 1);
    return NULL;
}

static void fate_drop(void *arg) {
    atomic_fetch_add(&((struct fate *)arg)->drops, 1);
}

struct fates {
    struct fate *all;
    int n, from, step;
};

static void *cancel_some(void *arg) {
    struct fates *some = arg;
    for (int i = some->from; i < some->n; i += some->step)
        some->all[i].cancelled = future_cancel(some->all[i].f);
    return NULL;
}

TEST(cancel, each_task_either_runs_or_is_dropped_and_only_once) {
    enum { N = 600 };
    static struct fate fates[N];
    executor_t *ex = pool(2);
    for (int i = 0; i < N; i++)
        fates[i].f = submit_opts(ex, fate_run, &fates[i], &(exec_task_opts){.drop = fate_drop});
    struct fates backwards[2] = {{fates, N, 0, 2}, {fates, N, 1, 2}};
    pthread_t other = start(cancel_some, &backwards[1]);
    cancel_some(&backwards[0]);
    finish(other);
    executor_destroy(ex);
    for (int i = 0; i < N; i++) {
        struct fate *fate = &fates[i];
        eq_int(atomic_load(&fate->runs) + atomic_load(&fate->drops), 1);
        eq_int(fate->cancelled == 0, atomic_load(&fate->drops));
        eq_state(fate->f, fate->cancelled == 0 ? FUTURE_CANCELLED : FUTURE_DONE);
        eq_err(outcome(fate->f), fate->cancelled == 0 ? ECANCELED : 0);
    }
}

static void *cancel_one(void *arg) {
    struct fate *fate = arg;
    return as_error(future_cancel(fate->f));
}

TEST(cancel, two_that_cancel_at_once_drop_the_argument_once) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug);
    for (int i = 0; i < 50; i++) {
        struct fate fate = {0};
        fate.f = submit_opts(ex, fate_run, &fate, &(exec_task_opts){.drop = fate_drop});
        pthread_t other = start(cancel_one, &fate);
        ok(future_cancel(fate.f));
        eq_ptr(finish(other), NULL);
        eq_int(atomic_load(&fate.drops), 1);
        future_unref(fate.f);
    }
    plug_out(&plug);
    future_unref(first);
    executor_destroy(ex);
}

/* ---- references, and what outlives what ---- */

TEST(cancel, ref_returns_its_argument_and_null_is_nothing) {
    future_t *f = promise();
    eq_ptr(future_ref(f), f);
    future_unref(f);
    eq_state(f, FUTURE_PENDING);
    future_unref(f);
    eq_ptr(future_ref(NULL), NULL);
    future_unref(NULL);
}

TEST(cancel, futures_outlive_their_executor) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *done = plug_in(ex, &plug), *failed = submit(ex, fail_with, as_error(EIO));
    future_t *dropped = submit_opts(ex, must_not_run, &drops, &(exec_task_opts){.drop = count_drop, .name = "late"});
    ok(future_cancel(dropped));
    plug_out(&plug);
    executor_destroy(ex);
    eq_state(done, FUTURE_DONE);
    eq_state(failed, FUTURE_FAILED);
    eq_state(dropped, FUTURE_CANCELLED);
    eq_str(future_name(dropped), "late");
    eq_ptr(future_arg(done), &plug);
    eq_err(future_cancel(done), EALREADY);
    ok(future_wait(done, EXEC_NEVER));
    ok(exec_wait((future_t *[]){done, failed, dropped}, 3, 3, EXEC_NOW));
    eq_ptr(take(done), &plug);
    eq_err(outcome(failed), EIO);
    eq_err(outcome(dropped), ECANCELED);
}

TEST(cancel, a_task_runs_whether_or_not_anyone_refers_to_its_future) {
    struct plug plug = PLUG;
    atomic_int runs = 0;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug);
    for (int i = 0; i < 10; i++)
        future_unref(submit(ex, count_up, &runs));
    plug_out(&plug);
    future_unref(first);
    executor_destroy(ex);
    eq_int(atomic_load(&runs), 10);
}

TEST(cancel, the_last_reference_may_go_while_the_task_ends) {
    executor_t *ex = pool(2);
    for (int i = 0; i < 500; i++) {
        future_t *f = submit(ex, identity, ex);
        future_ref(f);
        if (i % 2)
            future_wait(f, exec_after(EXEC_US(i % 50)));
        future_unref(f);
        future_unref(f);
    }
    executor_destroy(ex);
}

/* ---- results nobody took ---- */

static void *hand_over(void *arg) {
    return arg; /* an atomic_int that counts how often it was freed */
}

static const exec_task_opts counted = {.free_result = count_drop};

TEST(cancel, a_result_that_nobody_took_is_freed_with_the_last_reference) {
    atomic_int frees = 0;
    executor_t *ex = pool(1);
    future_t *f = submit_opts(ex, hand_over, &frees, &counted);
    future_ref(f);
    ok(future_wait(f, EXEC_NEVER));
    check(future_done(f));
    executor_destroy(ex);
    future_unref(f);
    eq_int(atomic_load(&frees), 0);
    future_unref(f);
    eq_int(atomic_load(&frees), 1);
}

TEST(cancel, a_result_that_was_taken_is_not_freed) {
    atomic_int frees = 0;
    executor_t *ex = pool(1);
    future_t *f = submit_opts(ex, hand_over, &frees, &counted);
    eq_ptr(take(f), &frees);
    executor_destroy(ex);
    eq_int(atomic_load(&frees), 0);
}

TEST(cancel, the_result_of_a_task_without_a_future_is_freed) {
    atomic_int frees = 0;
    executor_t *ex = pool(1);
    ok(executor_submit(ex, hand_over, &frees, &counted, NULL));
    future_unref(submit_opts(ex, hand_over, &frees, &counted));
    executor_destroy(ex);
    eq_int(atomic_load(&frees), 2);
}

TEST(cancel, without_a_result_nothing_is_freed) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    const exec_task_opts opts = {.free_result = must_not_free};
    executor_t *ex = pool(1);
    future_t *nothing = submit_opts(ex, identity, NULL, &opts),
             *failed = submit_opts(ex, fail_with, as_error(1), &opts);
    ok(future_wait(nothing, EXEC_NEVER)), ok(future_wait(failed, EXEC_NEVER));
    future_t *first = plug_in(ex, &plug);
    future_t *dropped =
        submit_opts(ex, must_not_run, &drops, &(exec_task_opts){.free_result = must_not_free, .drop = count_drop});
    ok(future_cancel(dropped));
    plug_out(&plug);
    future_unref(nothing), future_unref(failed), future_unref(first), future_unref(dropped);
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 1);
}

TEST(cancel, the_argument_of_a_task_that_ran_is_not_dropped) {
    executor_t *ex = pool(1);
    future_t *f = submit_opts(ex, identity, ex, &(exec_task_opts){.drop = must_not_free});
    ok(future_wait(f, EXEC_NEVER));
    eq_err(future_cancel(f), EALREADY);
    future_unref(f);
    f = submit_opts(ex, fail_with, as_error(EIO), &(exec_task_opts){.drop = must_not_free});
    eq_err(outcome(f), EIO);
    executor_destroy(ex);
}
