/* test_wait.c - waiting inside of tasks: with one worker, at any depth, with deadlines, for several, for tasks of other
 * executors. What a waiter must not run is in test_stranger.c, waits that can never end in test_deadlock.c. */
#include "helpers.h"

/* ---- at any depth ---- */

struct depth {
    executor_t *ex;
    int left;
};

/* Submits and gets itself until nothing is left. When a wait fails, the one awaited must not outlive its argument. */
static void *descend(void *arg) {
    const struct depth *here = arg;
    struct depth next = {here->ex, here->left - 1};
    future_t *f;
    if (here->left == 0)
        return NULL;
    int error = executor_submit(here->ex, descend, &next, NULL, &f);
    if (error)
        return exec_fail(error);
    error = future_get(f, NULL);
    if (!future_done(f) && future_cancel(f) == EINPROGRESS)
        future_get(f, NULL);
    future_unref(f);
    return error ? exec_fail(error) : NULL;
}

static int descend_by(executor_t *ex, int levels) {
    struct depth top = {ex, levels};
    future_t *f = submit(ex, descend, &top);
    await_elsewhere(f);
    return outcome(f);
}

TEST(wait, submit_and_get_goes_a_thousand_levels_deep_on_the_default_stack) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        for (int i = 0; i < 3; i++)
            ok(descend_by(ex, 1000));
        executor_destroy(ex);
    }
}

#ifdef TEST_UNDER_TSAN
enum { DEEP = 5000 }; /* it keeps no more than 65,535 frames */
#else
enum { DEEP = 10000 };
#endif

TEST(wait, ten_thousand_levels_work_or_end_in_a_clear_error) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        executor_t *ex = pool(workers);
        int error = descend_by(ex, DEEP);
        if (error)
            eq_err(error, ENOMEM);
        ok(descend_by(ex, 100));
        executor_destroy(ex);
    }
}

TEST(wait, a_stack_too_small_for_the_depth_is_enomem_and_no_crash) {
    executor_t *ex = pool_of((executor_opts){.workers = 1, .stack_size = 256 * 1024});
    for (int i = 0; i < 3; i++) {
        eq_err(descend_by(ex, DEEP), ENOMEM);
        ok(descend_by(ex, 10));
    }
    executor_destroy(ex);
}

struct fib {
    executor_t *ex;
    int n;
    atomic_int *calls;
};

static void *fib(void *arg) {
    const struct fib *here = arg;
    atomic_fetch_add(here->calls, 1);
    if (here->n < 2)
        return as_error(here->n);
    struct fib left = {here->ex, here->n - 1, here->calls}, right = {here->ex, here->n - 2, here->calls};
    future_t *f = submit(here->ex, fib, &left);
    intptr_t b = (intptr_t)fib(&right), a = (intptr_t)take(f);
    return (void *)(a + b);
}

TEST(wait, divide_and_conquer_comes_out_right) {
    for (unsigned workers = 1; workers <= 4; workers++) {
        atomic_int calls = 0;
        struct fib top = {.ex = pool(workers), .n = 14, .calls = &calls};
        eq_int((intptr_t)take(submit(top.ex, fib, &top)), 377);
        eq_int(atomic_load(&calls), 1219);
        executor_destroy(top.ex);
    }
}

/* ---- with a deadline, and for several ---- */

static int by_get(future_t *f) {
    return future_get(f, NULL);
}

static int by_deadline(future_t *f) {
    return future_wait(f, exec_after(LIMIT));
}

static int by_short_deadlines(future_t *f) {
    int error = ETIMEDOUT;
    for (exec_time limit = exec_after(LIMIT); error == ETIMEDOUT && exec_now() < limit;)
        error = future_wait(f, exec_after(EXEC_US(500)));
    return error;
}

static int by_all(future_t *f) {
    return exec_wait((future_t *[]){f, f}, 2, 2, EXEC_NEVER);
}

static int by_any(future_t *f) {
    future_t *never = promise();
    int error = exec_wait((future_t *[]){never, f}, 2, 1, EXEC_NEVER);
    future_unref(never);
    return error;
}

static int by_any_until(future_t *f) {
    future_t *never = promise();
    int error = exec_wait((future_t *[]){f, never}, 2, 1, exec_after(LIMIT));
    future_unref(never);
    return error;
}

static int (*const ways[])(future_t *) = {by_get, by_deadline, by_short_deadlines, by_all, by_any, by_any_until};
enum { WAYS = sizeof ways / sizeof *ways };

struct awaiting {
    executor_t *ex;
    int (*wait)(future_t *);
};

static void *await_a_child(void *arg) {
    const struct awaiting *here = arg;
    future_t *f = submit(here->ex, identity, arg);
    ok(here->wait(f));
    eq_ptr(take(f), arg);
    return NULL;
}

static void *await_a_family(void *arg) {
    const struct awaiting *here = arg;
    future_t *a = submit(here->ex, await_a_child, arg), *b = submit(here->ex, await_a_child, arg);
    ok(here->wait(b));
    ok(here->wait(a));
    future_unref(a), future_unref(b);
    return NULL;
}

TEST(wait, every_way_of_waiting_makes_progress_with_all_workers_waiting) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int way = 0; way < WAYS; way++) {
            struct awaiting top = {pool(workers), ways[way]};
            future_t *fs[6];
            for (int i = 0; i < 6; i++)
                fs[i] = submit(top.ex, await_a_family, &top);
            for (int i = 0; i < 6; i++)
                ok(outcome(fs[i]));
            executor_destroy(top.ex);
        }
}

/* Waits until the deadline for a task that holds the idle worker until that wait is over. */
struct punctual {
    executor_t *ex;
    struct plug plug;
    int (*wait)(future_t *, exec_time);
};

static void *be_punctual(void *arg) {
    struct punctual *here = arg;
    future_t *f = submit(here->ex, plug_task, &here->plug);
    exec_time deadline = exec_after(EXEC_MS(30));
    eq_err(here->wait(f, deadline), ETIMEDOUT);
    at_least(exec_now(), deadline);
    plug_out(&here->plug);
    future_unref(f);
    return NULL;
}

static int until_by_any(future_t *f, exec_time deadline) {
    future_t *never = promise();
    int error = exec_wait((future_t *[]){f, never}, 2, 1, deadline);
    future_unref(never);
    return error;
}

static int until_by_all(future_t *f, exec_time deadline) {
    return exec_wait(&f, 1, 1, deadline);
}

TEST(wait, a_wait_in_a_task_keeps_its_deadline_while_a_worker_is_idle) {
    int (*const waits[])(future_t *, exec_time) = {future_wait, until_by_any, until_by_all};
    for (unsigned workers = 2; workers <= 3; workers++)
        for (int i = 0; i < 3; i++) {
            struct punctual here = {pool(workers), PLUG, waits[i]};
            ok(outcome(submit(here.ex, be_punctual, &here)));
            executor_destroy(here.ex);
        }
}

static void *time_out(void *running) {
    exec_time deadline = exec_after(EXEC_MS(10));
    eq_err(future_wait(running, deadline), ETIMEDOUT);
    at_least(exec_now(), deadline);
    eq_err(future_wait(running, EXEC_NOW), ETIMEDOUT);
    eq_err(exec_wait((future_t *const *)&running, 1, 1, EXEC_NOW), ETIMEDOUT);
    return NULL;
}

TEST(wait, a_wait_in_a_task_for_what_runs_elsewhere_ends_at_its_deadline) {
    struct plug plug = PLUG;
    executor_t *ex = pool(2);
    future_t *running = plug_in(ex, &plug), *never = promise();
    ok(outcome(submit(ex, time_out, running)));
    ok(outcome(submit(ex, time_out, never)));
    plug_out(&plug);
    ok(outcome(running));
    future_unref(never);
    executor_destroy(ex);
}

static void *only_look(void *ex) {
    future_t *f = submit(ex, identity, ex);
    for (int i = 0; i < 3; i++) {
        eq_err(future_wait(f, EXEC_NOW), ETIMEDOUT);
        eq_err(exec_wait(&f, 1, 1, EXEC_NOW), ETIMEDOUT);
    }
    eq_state(f, FUTURE_PENDING);
    eq_ptr(take(f), ex);
    return NULL;
}

TEST(wait, a_wait_in_a_task_that_only_looks_runs_nothing) {
    executor_t *ex = pool(1);
    ok(outcome(submit(ex, only_look, ex)));
    executor_destroy(ex);
}

/* ---- for several ---- */

struct several {
    executor_t *ex;
    size_t n, want;
    exec_time deadline;
};

static void *await_several(void *arg) {
    const struct several *here = arg;
    future_t *fs[10];
    size_t done = 0;
    for (size_t i = 0; i < here->n; i++)
        fs[i] = i % 3 == 0 && here->want < here->n ? promise() : submit(here->ex, identity, NULL);
    ok(exec_wait(fs, here->n, here->want, here->deadline));
    for (size_t i = 0; i < here->n; i++)
        done += future_done(fs[i]);
    at_least(done, (intmax_t)here->want);
    for (size_t i = 0; i < here->n; i++)
        future_unref(fs[i]);
    return NULL;
}

TEST(wait, one_worker_can_wait_for_any_all_or_some_of_its_tasks) {
    const size_t wants[] = {1, 2, 6, 10};
    executor_t *ex = pool(1);
    for (size_t i = 0; i < 8; i++) {
        struct several here = {ex, 10, wants[i / 2], i % 2 ? EXEC_NEVER : exec_after(LIMIT)};
        ok(outcome(submit(ex, await_several, &here)));
    }
    executor_destroy(ex);
}

/* ---- for tasks of other executors ---- */

static void *is_named(void *prefix) {
    char name[32];
    ok(pthread_getname_np(pthread_self(), name, sizeof name));
    name[strlen(prefix)] = 0;
    eq_str(name, prefix);
    return NULL;
}

static void *await_the_other(void *other) {
    for (int i = 0; i < 50; i++)
        ok(outcome(submit(other, is_named, "other")));
    return NULL;
}

TEST(wait, a_task_of_another_executor_with_one_worker_runs_on_that_worker) {
    executor_t *mine = pool_of((executor_opts){.workers = 1, .name = "mine"});
    executor_t *other = pool_of((executor_opts){.workers = 1, .name = "other"});
    ok(outcome(submit(mine, await_the_other, other)));
    executor_destroy(mine);
    executor_destroy(other);
}

static void *await_cancelled(void *f) {
    eq_err(future_get(f, NULL), ECANCELED);
    return NULL;
}

TEST(wait, cancelling_the_awaited_task_of_another_executor_ends_the_wait) {
    struct plug plug = PLUG;
    executor_t *mine = pool(1), *other = pool(1);
    future_unref(plug_in(other, &plug));
    future_t *awaited = submit(other, must_not_run, NULL), *f = submit(mine, await_cancelled, awaited);
    wait_until(future_state(f) == FUTURE_RUNNING);
    ok(future_cancel(awaited));
    ok(outcome(f));
    future_unref(awaited);
    plug_out(&plug);
    executor_destroy(mine);
    executor_destroy(other);
}

/* To and fro between two executors, each of which waits for the other's task. */
struct rally {
    executor_t *here, *there;
    int left;
};

static void *rally(void *arg) {
    const struct rally *here = arg;
    struct rally next = {here->there, here->here, here->left - 1};
    if (here->left > 0)
        ok(outcome(submit(here->there, rally, &next)));
    return NULL;
}

TEST(wait, two_executors_may_wait_for_each_other_in_turn) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct rally top = {pool(workers), pool(workers), 8};
        ok(outcome(submit(top.here, rally, &top)));
        executor_destroy(top.here);
        executor_destroy(top.there);
    }
}

/* ---- one worker stays in order whoever waits ---- */

enum { N = 150 };

struct line {
    future_t *fs[N];
    struct meter meter;
    struct record record;
    atomic_int next;
};

struct place {
    struct line *line;
    int number;
};

static void *pass(void *arg) {
    struct place *place = arg;
    meter_enter(&place->line->meter);
    record_add(&place->line->record, place->number);
    meter_leave(&place->line->meter);
    return NULL;
}

static void *await_from_the_end(void *arg) {
    struct line *line = arg;
    for (int i; (i = atomic_fetch_sub(&line->next, 1)) >= 0;)
        ok(future_get(line->fs[i], NULL));
    return NULL;
}

TEST(wait, one_worker_never_overlaps_its_tasks_nor_breaks_their_order_whoever_waits_for_them) {
    for (int round = 0; round < 5; round++) {
        struct line line = {.record = RECORD, .next = N - 1};
        struct place places[N];
        struct plug plug = PLUG;
        executor_t *one = pool(1), *others = pool(3);
        pthread_t threads[3];
        future_t *waits[3];
        future_unref(plug_in(one, &plug));
        for (int i = 0; i < N; i++) {
            places[i] = (struct place){&line, i};
            line.fs[i] = submit(one, pass, &places[i]);
        }
        for (int i = 0; i < 3; i++) {
            threads[i] = start(await_from_the_end, &line);
            waits[i] = submit(others, await_from_the_end, &line);
        }
        plug_out(&plug);
        for (int i = 0; i < 3; i++) {
            finish(threads[i]);
            ok(outcome(waits[i]));
        }
        executor_destroy(others);
        executor_destroy(one);
        eq_int(atomic_load(&line.meter.most), 1);
        for (int i = 0; i < N; i++) {
            eq_int(line.record.items[i], i);
            future_unref(line.fs[i]);
        }
    }
}
