/* test_shutdown.c - how an executor ends: shutdown in both modes, join, destroy, from everywhere and at any time.
 * The request from a signal handler is in test_request.c. */
#include "helpers.h"

/* ---- drain and discard ---- */

TEST(shutdown, drain_runs_what_has_been_accepted_and_takes_no_more) {
    struct plug plug = PLUG;
    atomic_int runs = 0;
    executor_t *ex = pool(1);
    future_unref(plug_in(ex, &plug));
    for (int i = 0; i < 20; i++)
        ok(executor_submit(ex, count_up, &runs, NULL, NULL));
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    future_t *f = (future_t *)ex;
    eq_err(executor_submit(ex, must_not_run, NULL, &(exec_task_opts){.drop = must_not_free}, &f), ESHUTDOWN);
    eq_ptr(f, ex);
    plug_out(&plug);
    ok(executor_join(ex, EXEC_NEVER));
    eq_int(atomic_load(&runs), 20);
    executor_destroy(ex);
}

static void *until_asked(void *started) {
    gate_open(started);
    wait_until(exec_cancelled());
    return exec_fail(ECANCELED);
}

TEST(shutdown, discard_cancels_what_has_not_started_and_asks_what_runs_to_stop) {
    enum { N = 20 };
    struct gate started = GATE(2);
    atomic_int drops = 0;
    future_t *fs[N];
    executor_t *ex = pool(2);
    future_t *a = submit(ex, until_asked, &started), *b = submit(ex, until_asked, &started);
    gate_wait(&started);
    for (int i = 0; i < N; i++)
        fs[i] = submit_opts(ex, must_not_run, &drops, &(exec_task_opts){.drop = count_drop});
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    for (int i = 0; i < N; i++) {
        ok(future_wait(fs[i], exec_after(LIMIT))); /* a worker that `a` leaves may have taken one, to refuse it */
        eq_state(fs[i], FUTURE_CANCELLED);
        future_unref(fs[i]);
    }
    comes_to(&drops, N);
    eq_err(executor_submit(ex, must_not_run, NULL, NULL, NULL), ESHUTDOWN);
    ok(executor_join(ex, EXEC_NEVER));
    eq_err(outcome(a), ECANCELED);
    eq_err(outcome(b), ECANCELED);
    executor_destroy(ex);
    eq_int(atomic_load(&drops), N);
}

static __thread atomic_int *dropped_here;

static void drop_on_this_thread(void *arg) {
    check(dropped_here == arg);
    atomic_fetch_add(dropped_here, 1);
}

TEST(shutdown, discard_drops_what_is_queued_on_the_thread_that_calls_it) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_unref(plug_in(ex, &plug));
    for (int i = 0; i < 5; i++)
        ok(executor_submit(ex, must_not_run, &drops, &(exec_task_opts){.drop = drop_on_this_thread}, NULL));
    dropped_here = &drops;
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    eq_int(atomic_load(&drops), 5);
    plug_out(&plug);
    executor_destroy(ex);
}

/* A task with children in its worker's own list, which it does not wait for. */
struct parent {
    executor_t *ex;
    struct plug plug;
    atomic_int runs, drops;
};

static void child_drop(void *parent) {
    atomic_fetch_add(&((struct parent *)parent)->drops, 1);
}

static void *child_run(void *parent) {
    atomic_fetch_add(&((struct parent *)parent)->runs, 1);
    return NULL;
}

static void *have_children(void *arg) {
    struct parent *parent = arg;
    for (int i = 0; i < 10; i++)
        ok(executor_submit(parent->ex, child_run, parent, &(exec_task_opts){.drop = child_drop}, NULL));
    plug_task(&parent->plug);
    eq_err(executor_submit(parent->ex, child_run, parent, &(exec_task_opts){.drop = child_drop}, NULL), ESHUTDOWN);
    return NULL;
}

static void shut_down_parent(enum executor_shutdown mode, int runs, int drops) {
    struct parent parent = {.ex = pool(1), .plug = PLUG};
    future_t *f = submit(parent.ex, have_children, &parent);
    gate_wait(&parent.plug.started);
    ok(executor_shutdown(parent.ex, mode));
    plug_out(&parent.plug);
    ok(executor_join(parent.ex, EXEC_NEVER));
    eq_int(atomic_load(&parent.runs), runs);
    eq_int(atomic_load(&parent.drops), drops);
    ok(outcome(f));
    executor_destroy(parent.ex);
}

TEST(shutdown, what_tasks_submitted_is_drained_and_discarded_like_the_rest) {
    shut_down_parent(EXECUTOR_DRAIN, 10, 0);
    shut_down_parent(EXECUTOR_DISCARD, 0, 10);
}

TEST(shutdown, discard_after_drain_discards_what_is_left) {
    struct gate started = GATE(1);
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *running = submit(ex, until_asked, &started);
    gate_wait(&started);
    for (int i = 0; i < 5; i++)
        ok(executor_submit(ex, must_not_run, &drops, &(exec_task_opts){.drop = count_drop}, NULL));
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    eq_int(atomic_load(&drops), 0);
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    comes_to(&drops, 5); /* the worker that the running one leaves may have taken one, to refuse it */
    eq_err(outcome(running), ECANCELED);
    executor_destroy(ex);
}

TEST(shutdown, drain_after_discard_changes_nothing) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug), *f = submit(ex, must_not_run, NULL);
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    eq_state(f, FUTURE_CANCELLED);
    eq_err(executor_submit(ex, must_not_run, NULL, NULL, NULL), ESHUTDOWN);
    plug_out(&plug);
    future_unref(first), future_unref(f);
    executor_destroy(ex);
}

static void *wait_for_cancelled(void *f) {
    eq_err(future_get(f, NULL), ECANCELED);
    return NULL;
}

TEST(shutdown, discard_wakes_who_waits_for_a_task_that_has_not_started) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug), *f = submit(ex, must_not_run, NULL);
    pthread_t waiter = start(wait_for_cancelled, f);
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    finish(waiter);
    plug_out(&plug);
    future_unref(first), future_unref(f);
    executor_destroy(ex);
}

/* Calls back into the library from .drop. */
struct callback {
    executor_t *ex;
    future_t *f, *other;
    int calls;
};

static void calls_back(void *arg) {
    struct callback *c = arg;
    check(future_done(c->f));
    eq_err(future_get(c->f, NULL), ECANCELED);
    eq_err(executor_submit(c->ex, must_not_run, NULL, NULL, NULL), ESHUTDOWN);
    ok(future_cancel(c->other));
    ok(executor_shutdown(c->ex, EXECUTOR_DISCARD));
    eq_err(executor_join(c->ex, EXEC_NOW), ETIMEDOUT);
    c->calls++;
}

TEST(shutdown, drop_may_call_the_library) {
    const exec_task_opts opts = {.drop = calls_back};
    struct plug plug = PLUG;
    struct callback c[2] = {{0}, {0}};
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug);
    for (int i = 0; i < 2; i++)
        c[i].ex = ex;
    c[0].f = c[1].other = submit_opts(ex, must_not_run, &c[0], &opts);
    c[1].f = c[0].other = submit_opts(ex, must_not_run, &c[1], &opts);
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    plug_out(&plug);
    for (int i = 0; i < 2; i++) {
        eq_int(c[i].calls, 1);
        future_unref(c[i].f);
    }
    future_unref(first);
    executor_destroy(ex);
}

/* ---- at any time, any number of times ---- */

TEST(shutdown, it_may_come_before_anything_was_submitted) {
    for (int mode = EXECUTOR_DRAIN; mode <= EXECUTOR_DISCARD; mode++)
        for (unsigned workers = 1; workers <= 3; workers++) {
            executor_t *ex = pool(workers);
            ok(executor_shutdown(ex, (enum executor_shutdown)mode));
            ok(executor_join(ex, EXEC_NEVER));
            eq_err(executor_submit(ex, must_not_run, NULL, NULL, NULL), ESHUTDOWN);
            executor_destroy(ex);
        }
}

TEST(shutdown, shutdown_and_join_may_be_called_twice) {
    executor_t *ex = pool(2);
    ok(outcome(submit(ex, identity, ex)));
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    ok(executor_join(ex, EXEC_NEVER));
    ok(executor_join(ex, EXEC_NOW));
    ok(executor_join(ex, EXEC_NEVER));
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    executor_destroy(ex);
}

static void *shut_down(void *ex) {
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    ok(executor_join(ex, EXEC_NEVER));
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    ok(executor_join(ex, exec_after(LIMIT)));
    return NULL;
}

TEST(shutdown, several_threads_may_shut_down_and_join_at_once) {
    for (int round = 0; round < 20; round++) {
        atomic_int runs = 0;
        pthread_t threads[4];
        executor_t *ex = pool(2);
        for (int i = 0; i < 20; i++)
            ok(executor_submit(ex, count_up, &runs, NULL, NULL));
        for (int i = 0; i < 4; i++)
            threads[i] = start(shut_down, ex);
        for (int i = 0; i < 4; i++)
            finish(threads[i]);
        eq_int(atomic_load(&runs), 20);
        executor_destroy(ex);
    }
}

/* Submits until it is refused. */
struct flood {
    executor_t *ex;
    atomic_int accepted, runs, drops;
};

static void *flood_run(void *flood) {
    atomic_fetch_add(&((struct flood *)flood)->runs, 1);
    return NULL;
}

static void flood_drop(void *flood) {
    atomic_fetch_add(&((struct flood *)flood)->drops, 1);
}

static void *submit_until_refused(void *arg) {
    struct flood *flood = arg;
    int error;
    while (!(error = executor_submit(flood->ex, flood_run, flood, &(exec_task_opts){.drop = flood_drop}, NULL)))
        atomic_fetch_add(&flood->accepted, 1);
    eq_err(error, ESHUTDOWN);
    return NULL;
}

/* Two threads and a task submit. */
static void shut_down_under_load(enum executor_shutdown mode, size_t capacity) {
    struct flood flood = {.ex = pool_of((executor_opts){.workers = 2, .capacity = capacity})};
    future_t *task = submit(flood.ex, submit_until_refused, &flood);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        threads[i] = start(submit_until_refused, &flood);
    wait_until(atomic_load(&flood.accepted) > 50);
    ok(executor_shutdown(flood.ex, mode));
    ok(executor_join(flood.ex, EXEC_NEVER));
    for (int i = 0; i < 2; i++)
        finish(threads[i]);
    executor_destroy(flood.ex);
    future_unref(task);
    eq_int(atomic_load(&flood.runs) + atomic_load(&flood.drops), atomic_load(&flood.accepted));
    if (mode == EXECUTOR_DRAIN)
        eq_int(atomic_load(&flood.drops), 0);
}

TEST(shutdown, a_task_is_either_accepted_and_finishes_or_refused) {
    const size_t capacities[] = {1, 2, 1024};
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < 3; i++) {
            shut_down_under_load(EXECUTOR_DRAIN, capacities[i]);
            shut_down_under_load(EXECUTOR_DISCARD, capacities[i]);
        }
}

/* ---- join ---- */

TEST(shutdown, join_ends_at_its_deadline_and_not_before) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    eq_err(executor_join(ex, EXEC_NOW), ETIMEDOUT);
    exec_time deadline = exec_after(EXEC_MS(10));
    eq_err(executor_join(ex, deadline), ETIMEDOUT);
    at_least(exec_now(), deadline);
    future_unref(plug_in(ex, &plug));
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    eq_err(executor_join(ex, EXEC_NOW), ETIMEDOUT);
    deadline = exec_after(EXEC_MS(10));
    eq_err(executor_join(ex, deadline), ETIMEDOUT);
    at_least(exec_now(), deadline);
    plug_out(&plug);
    ok(executor_join(ex, exec_after(LIMIT)));
    executor_destroy(ex);
}

TEST(shutdown, after_join_all_workers_are_gone) {
    int threads = thread_count();
    executor_t *ex = pool(4);
    eq_int(thread_count(), threads + 4);
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    ok(executor_join(ex, EXEC_NEVER));
    wait_until(thread_count() == threads);
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

TEST(shutdown, join_may_wait_for_a_shutdown_that_comes_later) {
    struct joiner j = {.ex = pool(2)};
    pthread_t thread = start(join_it, &j);
    wait_until_asleep(&j.tid);
    ok(outcome(submit(j.ex, identity, NULL)));
    ok(executor_shutdown(j.ex, EXECUTOR_DRAIN));
    finish(thread);
    executor_destroy(j.ex);
}

/* ---- destroy ---- */

TEST(shutdown, destroy_drains) {
    atomic_int runs = 0;
    executor_t *ex = pool(2);
    for (int i = 0; i < 200; i++)
        ok(executor_submit(ex, count_up, &runs, NULL, NULL));
    executor_destroy(ex);
    eq_int(atomic_load(&runs), 200);
    executor_destroy(NULL);
}

TEST(shutdown, executors_come_and_go) {
    for (int i = 0; i < 200; i++) {
        executor_t *ex = pool(1 + (unsigned)i % 3);
        if (i % 4 == 0)
            ok(executor_submit(ex, identity, NULL, NULL, NULL));
        executor_destroy(ex);
    }
}

/* ---- in tasks ---- */

static void *join_inside(void *ex) {
    eq_err(executor_join(ex, EXEC_NEVER), EDEADLK);
    eq_err(executor_join(ex, EXEC_NOW), EDEADLK);
    return ex;
}

static void *join_inside_nested(void *ex) {
    eq_ptr(take(submit(ex, join_inside, ex)), ex);
    return join_inside(ex);
}

TEST(shutdown, joining_ones_own_executor_is_edeadlk) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        executor_t *ex = pool(workers);
        ok(outcome(submit(ex, join_inside_nested, ex)));
        executor_destroy(ex);
    }
}

static void *shut_down_inside(void *ex) {
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    eq_err(executor_join(ex, EXEC_NEVER), EDEADLK);
    eq_err(executor_submit(ex, must_not_run, NULL, NULL, NULL), ESHUTDOWN);
    return ex;
}

TEST(shutdown, a_task_may_shut_its_own_executor_down) {
    executor_t *ex = pool(1);
    future_t *f = submit(ex, shut_down_inside, ex);
    ok(executor_join(ex, EXEC_NEVER));
    eq_ptr(take(f), ex);
    executor_destroy(ex);
}

static void *destroy_inside(void *ex) {
    executor_destroy(ex);
    eq_err(executor_submit(ex, must_not_run, NULL, NULL, NULL), ESHUTDOWN);
    eq_err(executor_join(ex, EXEC_NEVER), EDEADLK);
    eq_int(executor_workers(ex), 2);
    return ex;
}

TEST(shutdown, destroy_in_a_task_only_shuts_down_and_the_executor_remains) {
    executor_t *ex = pool(2);
    future_t *f = submit(ex, destroy_inside, ex);
    await_elsewhere(f);
    ok(executor_join(ex, EXEC_NEVER));
    eq_ptr(take(f), ex);
    executor_destroy(ex);
}

static void *destroy_another(void *ex) {
    executor_destroy(ex);
    return NULL;
}

TEST(shutdown, a_task_may_destroy_another_executor) {
    struct gate ran = GATE(1);
    executor_t *mine = pool(1), *other = pool(1);
    future_unref(submit(other, open_it, &ran));
    ok(outcome(submit(mine, destroy_another, other)));
    executor_destroy(mine);
}

TEST(shutdown, what_is_null_or_no_mode_is_einval) {
    executor_t *ex = pool(1);
    eq_err(executor_shutdown(NULL, EXECUTOR_DRAIN), EINVAL);
    eq_err(executor_shutdown(ex, (enum executor_shutdown)2), EINVAL);
    eq_err(executor_shutdown(ex, (enum executor_shutdown)(-1)), EINVAL);
    eq_err(executor_join(NULL, EXEC_NOW), EINVAL);
    eq_ptr(take(submit(ex, identity, ex)), ex);
    executor_destroy(ex);
}
