/* test_after_wait.c - waiting, in a task, for tasks that depend on others (.after): the waiter runs what has to be run
 * first, with one worker too, and sees what others do meanwhile. Waits that can never end are in test_after_ring.c. */
#include "after.h"

static int by_get(future_t *f) {
    return future_get(f, NULL);
}

static int by_deadline(future_t *f) {
    int error = future_wait(f, exec_after(LIMIT));
    return error ? error : future_get(f, NULL);
}

static int by_all(future_t *f) {
    int error = exec_wait((future_t *[]){f, f}, 2, 2, EXEC_NEVER);
    return error ? error : future_get(f, NULL);
}

static int by_any(future_t *f) {
    future_t *never = promise();
    int error = exec_wait((future_t *[]){never, f}, 2, 1, EXEC_NEVER);
    future_unref(never);
    return error ? error : future_get(f, NULL);
}

static int (*const ways[])(future_t *) = {by_get, by_deadline, by_all, by_any};
enum { WAYS = sizeof ways / sizeof *ways };

/* A task that waits, and those whom it waits for. */
struct waiter {
    executor_t *ex, *other;
    int (*wait)(future_t *);
    future_t *p;
    struct plug plug;
    atomic_int tid, ran;
};

/* Runs fn(w) as a task, for each number of workers and each way of waiting. */
static void in_all_ways(exec_fn *fn) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int way = 0; way < WAYS; way++) {
            struct waiter w = {.ex = pool(workers), .other = pool(1), .wait = ways[way], .p = promise(), .plug = PLUG};
            future_t *f = submit(w.ex, fn, &w);
            await_elsewhere(f);
            ok(outcome(f));
            future_unref(w.p);
            executor_destroy(w.ex), executor_destroy(w.other);
        }
}

/* ---- the waiter runs what comes first ---- */

static void *await_a_diamond(void *arg) {
    struct waiter *w = arg;
    future_t *a = submit(w->ex, count_up, &w->ran), *b = submit_after(w->ex, count_up, &w->ran, a),
             *c = submit_after(w->ex, count_up, &w->ran, a);
    future_t *d = submit_opts(w->ex, count_up, &w->ran, &(exec_task_opts){AFTER(b, c, a)});
    ok(w->wait(d));
    eq_int(atomic_load(&w->ran), 4);
    future_unref(a), future_unref(b), future_unref(c), future_unref(d);
    return NULL;
}

TEST(after_wait, a_task_may_wait_for_the_end_of_a_diamond_on_its_own_executor) {
    in_all_ways(await_a_diamond);
}

static void *await_a_chain(void *arg) {
    struct waiter *w = arg;
    future_t *last = submit(w->ex, count_up, &w->ran);
    for (int i = 1; i < 1000; i++) {
        future_t *next = submit_after(w->ex, count_up, &w->ran, last);
        future_unref(last);
        last = next;
    }
    ok(w->wait(last));
    eq_int(atomic_load(&w->ran), 1000);
    future_unref(last);
    return NULL;
}

TEST(after_wait, a_task_may_wait_for_the_end_of_a_chain_nobody_else_knows_of) {
    in_all_ways(await_a_chain);
}

static void *await_a_long_chain(void *arg) {
    struct waiter *w = arg;
    future_t *last = submit(w->ex, count_up, &w->ran);
    for (int i = 1; i < LONG; i++) {
        future_t *next = submit_after(w->ex, count_up, &w->ran, last);
        future_unref(last);
        last = next;
    }
    ok(w->wait(last));
    eq_int(atomic_load(&w->ran), LONG);
    future_unref(last);
    return NULL;
}

TEST(after_wait, a_task_may_wait_for_the_end_of_a_chain_of_a_hundred_thousand_on_little_stack) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct waiter w = {.ex = shallow_pool(workers), .wait = by_get};
        future_t *f = submit(w.ex, await_a_long_chain, &w);
        await_elsewhere(f);
        ok(outcome(f));
        executor_destroy(w.ex);
    }
}

static void *await_the_sum(void *arg) {
    enum { N = 300 };
    struct waiter *w = arg;
    future_t *fs[N];
    for (int i = 0; i < N; i++)
        fs[i] = submit(w->ex, count_up, &w->ran);
    future_t *f = submit_opts(w->ex, count_up, &w->ran, &(exec_task_opts){.after = fs, .nafter = N});
    unref_all(fs, N);
    ok(w->wait(f));
    eq_int(atomic_load(&w->ran), N + 1);
    future_unref(f);
    return NULL;
}

TEST(after_wait, a_task_may_wait_for_one_that_comes_after_hundreds) {
    in_all_ways(await_the_sum);
}

static void *await_in_reverse(void *arg) {
    struct waiter *w = arg;
    future_t *fs[20];
    for (int i = 0; i < 20; i++)
        fs[i] = i ? submit_after(w->ex, count_up, &w->ran, fs[i - 1]) : submit(w->ex, count_up, &w->ran);
    for (int i = 19; i >= 0; i--)
        ok(w->wait(fs[i]));
    eq_int(atomic_load(&w->ran), 20);
    unref_all(fs, 20);
    return NULL;
}

/* What it awaits waits in turn, for tasks of the same kind. */
static void *await_what_awaits(void *arg) {
    struct waiter *w = arg;
    future_t *a = submit(w->ex, await_a_diamond, &(struct waiter){.ex = w->ex, .wait = w->wait});
    ok(w->wait(a));
    struct waiter below = {.ex = w->ex, .wait = w->wait};
    future_t *b = submit_after(w->ex, await_in_reverse, &below, a);
    future_t *c = submit_after(w->ex, count_up, &w->ran, b);
    ok(w->wait(c));
    eq_int(atomic_load(&w->ran), 1);
    future_unref(a), future_unref(b), future_unref(c);
    return NULL;
}

TEST(after_wait, what_a_task_waits_for_may_wait_for_others_that_depend_on_others) {
    in_all_ways(await_in_reverse);
    in_all_ways(await_what_awaits);
}

/* ---- others see to what comes first, meanwhile ---- */

static void *sleep_until_others_are_done(void *arg) {
    struct waiter *w = arg;
    future_t *mine = submit(w->ex, count_up, &w->ran), *theirs = plug_in(w->other, &w->plug);
    future_t *first = submit_opts(w->ex, count_up, &w->ran, &(exec_task_opts){AFTER(mine, theirs, w->p)});
    future_t *last = submit_after(w->ex, count_up, &w->ran, first);
    atomic_store(&w->tid, gettid());
    ok(w->wait(last));
    eq_int(atomic_load(&w->ran), 3);
    future_unref(mine), future_unref(theirs), future_unref(first), future_unref(last);
    return NULL;
}

/* The task has one way of waiting; promise and other executor come in either order. */
static void meanwhile(unsigned workers, int (*wait)(future_t *), bool promise_first) {
    struct waiter w = {.ex = pool(workers), .other = pool(1), .wait = wait, .p = promise(), .plug = PLUG};
    future_t *f = submit(w.ex, sleep_until_others_are_done, &w);
    for (int i = 0; i < 2; i++) {
        wait_until_asleep(&w.tid);
        check(!future_done(f));
        if ((i == 0) == promise_first)
            fulfil(w.p);
        else
            plug_out(&w.plug);
    }
    await_elsewhere(f);
    ok(outcome(f));
    future_unref(w.p);
    executor_destroy(w.ex), executor_destroy(w.other);
}

TEST(after_wait, a_waiter_runs_what_may_start_once_a_promise_and_another_executor_have_finished) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int way = 0; way < 2 * WAYS; way++)
            meanwhile(workers, ways[way / 2], way % 2);
}

struct hall {
    executor_t *ex;
    future_t *p;
    atomic_int waiting, ran;
};

static void *wait_in_the_hall(void *arg) {
    struct hall *hall = arg;
    future_t *f = submit_after(hall->ex, count_up, &hall->ran, hall->p);
    atomic_fetch_add(&hall->waiting, 1);
    ok(outcome(f));
    return NULL;
}

TEST(after_wait, all_workers_may_wait_for_held_tasks) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int i = 0; i < 10; i++) {
            struct hall hall = {.ex = pool(workers), .p = promise()};
            future_t *fs[3];
            for (unsigned j = 0; j < workers; j++)
                fs[j] = submit(hall.ex, wait_in_the_hall, &hall);
            wait_until(atomic_load(&hall.waiting) == (int)workers);
            fulfil(hall.p);
            for (unsigned j = 0; j < workers; j++) {
                await_elsewhere(fs[j]);
                ok(outcome(fs[j]));
            }
            eq_int(atomic_load(&hall.ran), (int)workers);
            future_unref(hall.p);
            executor_destroy(hall.ex);
        }
}

static void *ends_badly(void *arg) {
    struct waiter *w = arg;
    atomic_int drops = 0;
    future_t *bad = submit(w->ex, fail_with, as_error(EIO)), *f = doomed_after(w->ex, &drops, bad),
             *g = doomed_after(w->ex, &drops, f);
    eq_err(w->wait(g), EIO);
    wait_until(atomic_load(&drops) == 2);
    eq_err(w->wait(f), EIO);
    eq_err(w->wait(bad), EIO);
    future_unref(bad), future_unref(f), future_unref(g);
    return NULL;
}

TEST(after_wait, a_waiter_learns_that_what_comes_first_failed) {
    in_all_ways(ends_badly);
}

static void *await_one_that_ends(void *arg) {
    struct waiter *w = arg;
    atomic_int drops = 0;
    future_t *f = doomed_after(w->ex, &drops, w->p), *g = doomed_after(w->ex, &drops, f);
    atomic_store(&w->tid, gettid());
    eq_err(w->wait(g), ECANCELED);
    wait_until(atomic_load(&drops) == 2);
    future_unref(f), future_unref(g);
    return NULL;
}

TEST(after_wait, a_waiter_wakes_when_what_comes_first_is_cancelled) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int way = 0; way < WAYS; way++) {
            struct waiter w = {.ex = pool(workers), .wait = ways[way], .p = promise()};
            future_t *f = submit(w.ex, await_one_that_ends, &w);
            wait_until_asleep(&w.tid);
            ok(future_cancel(w.p));
            await_elsewhere(f);
            ok(outcome(f));
            future_unref(w.p);
            executor_destroy(w.ex);
        }
}

/* ---- to and fro ---- */

/* A task waits for one of the other executor, that comes after one of its own, and does the same. */
struct rally {
    executor_t *here, *there;
    int left;
};

static void *rally(void *arg) {
    const struct rally *here = arg;
    struct rally next = {here->there, here->here, here->left - 1};
    if (here->left == 0)
        return NULL;
    future_t *first = submit(here->here, identity, NULL), *then = submit_after(here->there, rally, &next, first);
    ok(outcome(then));
    ok(outcome(first));
    return NULL;
}

TEST(after_wait, two_executors_may_wait_for_each_other_s_held_tasks_in_turn) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int i = 0; i < 20; i++) {
            struct rally top = {pool(workers), pool(workers), 8};
            future_t *f = submit(top.here, rally, &top);
            await_elsewhere(f);
            ok(outcome(f));
            executor_destroy(top.here), executor_destroy(top.there);
        }
}

/* Three tasks, each of which waits for the next one, which belongs to the other executor; the last one submits more to
 * its own than fits into the queue. */
struct crossing {
    executor_t *one, *two;
    future_t *done;
    atomic_int ran;
};

static void *submit_more_than_fits(void *arg) {
    struct crossing *here = arg;
    for (int i = 0; i < 5; i++) {
        ok(executor_submit(here->one, count_up, &here->ran, NULL, NULL));
        ok(executor_submit(here->one, count_up, &here->ran, &(exec_task_opts){AFTER(here->done)}, NULL));
    }
    return NULL;
}

static void *cross_back(void *arg) {
    struct crossing *here = arg;
    ok(outcome(submit_after(here->one, submit_more_than_fits, here, here->done)));
    return NULL;
}

static void *cross(void *arg) {
    struct crossing *here = arg;
    ok(outcome(submit_after(here->two, cross_back, here, here->done)));
    return NULL;
}

TEST(after_wait, a_task_that_runs_on_another_executor_s_thread_never_waits_for_room_in_its_own_queue) {
    for (int mode = EXECUTOR_BLOCK; mode <= EXECUTOR_DROP_OLDEST; mode++) {
        const executor_opts opts = {.workers = 1, .capacity = 1, .when_full = (enum executor_when_full)mode};
        struct crossing here = {.one = pool_of(opts), .two = pool_of(opts), .done = promise()};
        fulfil(here.done);
        future_t *f = submit(here.one, cross, &here);
        await_elsewhere(f);
        ok(outcome(f));
        future_unref(here.done);
        executor_destroy(here.one), executor_destroy(here.two);
        eq_int(atomic_load(&here.ran), 10);
    }
}

static void *await_until_a_deadline(void *arg) {
    struct waiter *w = arg;
    future_t *f = submit_after(w->ex, count_up, &w->ran, w->p);
    exec_time deadline = exec_after(EXEC_MS(10));
    eq_err(future_wait(f, deadline), ETIMEDOUT);
    at_least(exec_now(), deadline);
    eq_err(future_wait(f, EXEC_NOW), ETIMEDOUT);
    eq_err(exec_wait((future_t *[]){f, w->p}, 2, 1, exec_after(EXEC_MS(1))), ETIMEDOUT);
    fulfil(w->p);
    ok(w->wait(f));
    eq_int(atomic_load(&w->ran), 1);
    future_unref(f);
    return NULL;
}

TEST(after_wait, a_wait_for_a_held_task_keeps_its_deadline) {
    in_all_ways(await_until_a_deadline);
}

TEST(after_wait, a_thread_outside_may_wait_for_held_tasks_in_every_way) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int way = 0; way < WAYS; way++) {
            struct waiter w = {.ex = pool(workers), .wait = ways[way], .p = promise()};
            w.other = w.ex;
            fulfil(w.p);
            await_a_diamond(&w);
            atomic_store(&w.ran, 0);
            await_a_chain(&w);
            atomic_store(&w.ran, 0);
            await_in_reverse(&w);
            ends_badly(&w);
            future_unref(w.p);
            executor_destroy(w.ex);
        }
}
