/* test_callback.c - future_on_done: what is called when a future finishes: however it does, once each, in order, on
 * which thread, with no lock held; what a callback may do, also in long chains; and what is added too late. */
#include "helpers.h"

/* What became of one callback. */
struct call {
    future_t *f; /* whose it is, r/o after watch() */
    atomic_int calls, tid;
    int state, error; /* how the callback found the future; written before calls */
};

static void note(future_t *f, void *arg) {
    struct call *call = arg;
    eq_ptr(f, call->f);
    check(future_done(f));
    call->state = (int)future_state(f);
    call->error = future_get(f, NULL);
    atomic_store(&call->tid, gettid());
    atomic_fetch_add(&call->calls, 1);
}

static void watch(future_t *f, struct call *call) {
    *call = (struct call){.f = f};
    ok(future_on_done(f, note, call));
}

/* Called once, with the future in this state. */
static void called(struct call *call, int state, int error) {
    eq_int(atomic_load(&call->calls), 1);
    eq_state_at(__FILE__, __LINE__, "the state that the callback saw", call->state, state);
    eq_err(call->error, error);
}

static void called_here(struct call *call, int state, int error) {
    called(call, state, error);
    eq_int(atomic_load(&call->tid), gettid());
}

static void must_not_be_called(future_t *f, void *arg) {
    (void)f, (void)arg;
    FAIL("a callback was called that must not be");
}

static void *say_where(void *tid) {
    atomic_store((atomic_int *)tid, gettid());
    return NULL;
}

static void *leave(void *arg) {
    pthread_exit(arg);
}

/* ---- however it finishes ---- */

TEST(callback, a_callback_is_called_once_however_a_task_ends) {
    struct plug plug = PLUG;
    struct call calls[5];
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug);
    future_t *fs[5] = {submit(ex, identity, ex), submit(ex, fail_with, as_error(EIO)),
                       submit(ex, fail_with, as_error(ECANCELED)), submit(ex, leave, NULL),
                       submit(ex, must_not_run, NULL)};
    for (int i = 0; i < 5; i++)
        watch(fs[i], &calls[i]);
    ok(future_cancel(fs[4]));
    called_here(&calls[4], FUTURE_CANCELLED, ECANCELED);
    plug_out(&plug);
    executor_destroy(ex);
    called(&calls[0], FUTURE_DONE, 0);
    called(&calls[1], FUTURE_FAILED, EIO);
    called(&calls[2], FUTURE_CANCELLED, ECANCELED);
    called(&calls[3], FUTURE_FAILED, EOWNERDEAD);
    called(&calls[4], FUTURE_CANCELLED, ECANCELED);
    for (int i = 0; i < 5; i++)
        future_unref(fs[i]);
    future_unref(first);
}

TEST(callback, a_callback_is_called_once_however_a_promise_ends) {
    const int errors[] = {0, EIO, ECANCELED, ECANCELED}; /* the last one by future_cancel() */
    const int states[] = {FUTURE_DONE, FUTURE_FAILED, FUTURE_CANCELLED, FUTURE_CANCELLED};
    for (int i = 0; i < 4; i++) {
        struct call call;
        future_t *f = promise();
        watch(f, &call);
        eq_int(atomic_load(&call.calls), 0);
        ok(i == 3 ? future_cancel(f) : future_resolve(f, &call, errors[i]));
        called_here(&call, states[i], errors[i]);
        eq_err(future_resolve(f, NULL, 0), EALREADY);
        future_unref(f);
        eq_int(atomic_load(&call.calls), 1);
    }
}

TEST(callback, a_discarded_task_calls_its_callback_and_so_does_the_one_that_ran_on) {
    enum { N = 10 };
    struct plug plug = PLUG;
    struct call ran, calls[N];
    executor_t *ex = pool(1);
    future_t *running = plug_in(ex, &plug), *fs[N];
    watch(running, &ran);
    for (int i = 0; i < N; i++) {
        fs[i] = submit(ex, must_not_run, NULL);
        watch(fs[i], &calls[i]);
    }
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    plug_out(&plug);
    executor_destroy(ex);
    called(&ran, FUTURE_DONE, 0);
    for (int i = 0; i < N; i++) {
        called(&calls[i], FUTURE_CANCELLED, ECANCELED);
        future_unref(fs[i]);
    }
    future_unref(running);
}

TEST(callback, a_task_that_a_full_queue_drops_calls_its_callback) {
    struct plug plug = PLUG;
    struct call dropped, kept;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_DROP_OLDEST});
    future_t *first = plug_in(ex, &plug), *oldest = submit(ex, must_not_run, NULL), *newest;
    watch(oldest, &dropped);
    newest = submit(ex, identity, NULL);
    watch(newest, &kept);
    await_elsewhere(oldest);
    plug_out(&plug);
    executor_destroy(ex);
    called(&dropped, FUTURE_CANCELLED, ECANCELED);
    called(&kept, FUTURE_DONE, 0);
    future_unref(first), future_unref(oldest), future_unref(newest);
}

TEST(callback, nothing_is_called_for_a_promise_that_goes_before_it_was_resolved) {
    for (int n = 0; n < 4; n++) {
        future_t *f = promise();
        for (int i = 0; i < n; i++)
            ok(future_on_done(f, must_not_be_called, NULL));
        future_unref(f);
    }
}

TEST(callback, null_is_einval_and_calls_nothing) {
    future_t *f = promise();
    eq_err(future_on_done(NULL, must_not_be_called, NULL), EINVAL);
    eq_err(future_on_done(NULL, NULL, NULL), EINVAL);
    eq_err(future_on_done(f, NULL, f), EINVAL);
    ok(future_resolve(f, NULL, 0));
    eq_err(future_on_done(f, NULL, f), EINVAL);
    eq_err(future_on_done(NULL, must_not_be_called, NULL), EINVAL);
    future_unref(f);
}

/* ---- on which thread ---- */

TEST(callback, a_callback_is_called_on_the_thread_that_finishes_the_future) {
    struct plug plug = PLUG;
    struct call call;
    atomic_int ran = 0;
    executor_t *ex = pool(3);
    for (int i = 0; i < 50; i++) {
        struct plug again = PLUG;
        future_t *f = plug_in(ex, &again);
        watch(f, &call);
        plug_out(&again);
        await_elsewhere(f);
        wait_until(atomic_load(&call.calls) == 1);
        check(atomic_load(&call.tid) != gettid());
        future_unref(f);
    }
    executor_destroy(ex);
    ex = pool(1);
    future_t *first = plug_in(ex, &plug), *f = submit(ex, say_where, &ran);
    watch(f, &call);
    plug_out(&plug);
    executor_destroy(ex);
    called(&call, FUTURE_DONE, 0);
    eq_int(atomic_load(&call.tid), atomic_load(&ran));
    future_unref(first), future_unref(f);
}

/* A task that adds a callback to its own future, which is in `self` before it starts. */
struct introvert {
    future_t *self;
    struct call call;
    atomic_int tid;
};

static void *watch_itself(void *arg) {
    struct introvert *here = arg;
    watch(here->self, &here->call);
    atomic_store(&here->tid, gettid());
    eq_int(atomic_load(&here->call.calls), 0);
    return here;
}

TEST(callback, a_task_may_add_a_callback_to_its_own_future) {
    struct introvert task = {0};
    executor_t *ex = pool(2);
    for (int i = 0; i < 100; i++) {
        task.self = NULL;
        ok(executor_submit(ex, watch_itself, &task, NULL, &task.self));
        await_elsewhere(task.self);
        wait_until(atomic_load(&task.call.calls) == 1);
        called(&task.call, FUTURE_DONE, 0);
        eq_int(atomic_load(&task.call.tid), atomic_load(&task.tid));
        future_unref(task.self);
    }
    executor_destroy(ex);
}

TEST(callback, a_task_that_its_submitter_runs_calls_its_callback_there) {
    struct plug plug = PLUG;
    struct introvert task = {0};
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_CALLER_RUNS});
    future_t *first = plug_in(ex, &plug), *second = submit(ex, identity, NULL);
    ok(executor_submit(ex, watch_itself, &task, NULL, &task.self));
    called_here(&task.call, FUTURE_DONE, 0);
    plug_out(&plug);
    future_unref(first), future_unref(second), future_unref(task.self);
    executor_destroy(ex);
}

static void *watch_a_child(void *ex) {
    struct plug plug = PLUG;
    struct call call;
    plug_out(&plug);
    future_t *f = submit(ex, plug_task, &plug), *made = promise();
    watch(f, &call);
    ok(future_get(f, NULL));
    called_here(&call, FUTURE_DONE, 0); /* one worker: it ran the task, in the wait */
    watch(made, &call);
    ok(future_resolve(made, NULL, EPERM));
    called_here(&call, FUTURE_FAILED, EPERM);
    future_unref(f), future_unref(made);
    return NULL;
}

TEST(callback, callbacks_work_in_tasks) {
    executor_t *ex = pool(1);
    for (int i = 0; i < 20; i++) {
        future_t *f = submit(ex, watch_a_child, ex);
        await_elsewhere(f);
        ok(outcome(f));
    }
    executor_destroy(ex);
}

/* ---- too late ---- */

static void *add_late(void *f) {
    struct call calls[3];
    for (int i = 0; i < 3; i++) {
        watch(f, &calls[i]);
        called_here(&calls[i], (int)future_state(f), future_get(f, NULL));
    }
    return NULL;
}

TEST(callback, one_added_when_it_has_finished_is_called_at_once_on_the_calling_thread) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *fs[6] = {submit(ex, identity, ex), submit(ex, fail_with, as_error(EIO)), submit(ex, leave, NULL),
                       promise(), promise()};
    ok(future_resolve(fs[3], NULL, 0));
    ok(future_resolve(fs[4], NULL, EPERM));
    ok(exec_wait(fs, 5, 5, exec_after(LIMIT)));
    future_t *first = plug_in(ex, &plug);
    fs[5] = submit(ex, must_not_run, NULL);
    ok(future_cancel(fs[5]));
    plug_out(&plug);
    for (int i = 0; i < 6; i++) {
        add_late(fs[i]);
        ok(outcome(submit(ex, add_late, fs[i])));
        future_unref(fs[i]);
    }
    future_unref(first);
    executor_destroy(ex);
}

/* ---- in order ---- */

enum { MANY = 10000 };

static atomic_int turn;

static void in_turn(future_t *f, void *number) {
    check(future_done(f));
    eq_int(atomic_fetch_add(&turn, 1), (intptr_t)number);
}

static void add_many(future_t *f) {
    atomic_store(&turn, 0);
    for (intptr_t i = 0; i < MANY; i++)
        ok(future_on_done(f, in_turn, (void *)i));
    eq_int(atomic_load(&turn), 0);
}

TEST(callback, ten_thousand_are_called_in_the_order_in_which_they_were_added) {
    struct plug plug = PLUG, again = PLUG;
    executor_t *ex = pool(1);
    future_t *made = promise(), *running = plug_in(ex, &plug), *pending = submit(ex, identity, NULL);
    add_many(made);
    ok(future_resolve(made, NULL, 0));
    eq_int(atomic_load(&turn), MANY);
    add_many(pending);
    ok(future_cancel(pending));
    eq_int(atomic_load(&turn), MANY);
    add_many(running);
    plug_out(&plug);
    wait_until(atomic_load(&turn) == MANY);
    future_unref(running), future_unref(pending);
    running = plug_in(ex, &again), pending = submit(ex, fail_with, as_error(EIO));
    add_many(pending);
    plug_out(&again);
    executor_destroy(ex);
    eq_int(atomic_load(&turn), MANY);
    future_unref(made), future_unref(running), future_unref(pending);
}

enum { ADDERS = 3, EACH = 40 };

struct crowd {
    future_t *f;
    struct gate all_in;
    atomic_int calls;
};

static void count_one(future_t *f, void *crowd) {
    check(future_done(f));
    atomic_fetch_add(&((struct crowd *)crowd)->calls, 1);
}

static void *add_some(void *arg) {
    struct crowd *crowd = arg;
    gate_open(&crowd->all_in);
    gate_wait(&crowd->all_in);
    for (int i = 0; i < EACH; i++)
        ok(future_on_done(crowd->f, count_one, crowd));
    return NULL;
}

static void *pass_through(void *arg) {
    struct crowd *crowd = arg;
    gate_open(&crowd->all_in);
    gate_wait(&crowd->all_in);
    return NULL;
}

/* Several threads add callbacks while a promise is resolved or cancelled, or a task ends. */
static void race(executor_t *ex, int way) {
    struct crowd crowd = {.all_in = GATE(ADDERS + 1)};
    pthread_t threads[ADDERS];
    crowd.f = way == 2 ? submit(ex, pass_through, &crowd) : promise();
    for (int i = 0; i < ADDERS; i++)
        threads[i] = start(add_some, &crowd);
    if (way != 2)
        pass_through(&crowd);
    if (way == 0)
        ok(future_resolve(crowd.f, NULL, 0));
    if (way == 1)
        ok(future_cancel(crowd.f));
    for (int i = 0; i < ADDERS; i++)
        finish(threads[i]);
    wait_until(atomic_load(&crowd.calls) == ADDERS * EACH);
    future_unref(crowd.f);
}

TEST(callback, what_is_added_while_it_finishes_is_called_once) {
    executor_t *ex = pool(1);
    for (int i = 0; i < 150; i++)
        race(ex, i % 3);
    executor_destroy(ex);
}
