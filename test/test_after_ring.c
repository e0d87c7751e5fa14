/* test_after_ring.c - waits that can never end, because what is waited for depends on the waiter (.after), are EDEADLK;
 * waits that can end are not. And dependencies in forked children. */
#include "after.h"
#include "child.h"

static int by_get(future_t *f) {
    return future_get(f, NULL);
}

static int by_deadline(future_t *f) {
    return future_wait(f, exec_after(LIMIT));
}

static int by_all(future_t *f) {
    future_t *done = promise();
    fulfil(done);
    int error = exec_wait((future_t *[]){done, f}, 2, 2, EXEC_NEVER);
    future_unref(done);
    return error;
}

static int by_one(future_t *f) {
    return exec_wait(&f, 1, 1, EXEC_NEVER);
}

static int (*const ways[])(future_t *) = {by_get, by_deadline, by_all, by_one};
enum { WAYS = sizeof ways / sizeof *ways };

/* A task that knows its own future, and submits what depends on it. */
struct ring {
    executor_t *ex, *other;
    int (*wait)(future_t *);
    future_t *self, *p, *last;
};

/* Runs fn(ring), which leaves its last future in ring->last: that must end well, later. */
static void close_ring(exec_fn *fn, unsigned most_workers) {
    for (unsigned workers = 1; workers <= most_workers; workers++)
        for (int way = 0; way < WAYS; way++) {
            struct ring ring = {.ex = pool(workers), .other = pool(1), .wait = ways[way], .p = promise()};
            ok(executor_submit(ring.ex, fn, &ring, NULL, &ring.self));
            await_elsewhere(ring.self);
            ok(outcome(ring.self));
            if (!future_done(ring.p))
                fulfil(ring.p);
            await_elsewhere(ring.last);
            ok(outcome(ring.last));
            future_unref(ring.p);
            executor_destroy(ring.ex), executor_destroy(ring.other);
        }
}

/* ---- what depends on the waiter ---- */

static void *await_what_comes_after_it(void *arg) {
    struct ring *ring = arg;
    ring->last = submit_after(ring->ex, identity, NULL, ring->self);
    eq_err(ring->wait(ring->last), EDEADLK);
    eq_err(ring->wait(ring->last), EDEADLK);
    eq_state(ring->last, FUTURE_PENDING);
    return NULL;
}

TEST(after_ring, a_task_that_waits_for_what_comes_after_itself_gets_edeadlk) {
    close_ring(await_what_comes_after_it, 2);
}

static void *await_the_end_of_a_chain(void *arg) {
    struct ring *ring = arg;
    future_t *f = future_ref(ring->self);
    for (int i = 0; i < 500; i++) {
        ring->last = submit_after(i % 3 ? ring->ex : ring->other, identity, NULL, f);
        future_unref(f);
        f = ring->last;
    }
    eq_err(ring->wait(ring->last), EDEADLK);
    return NULL;
}

TEST(after_ring, also_through_a_chain_and_through_another_executor) {
    close_ring(await_the_end_of_a_chain, 2);
}

static void *await_one_of_several(void *arg) {
    struct ring *ring = arg;
    future_t *mine = submit(ring->ex, identity, NULL), *theirs = submit(ring->other, identity, NULL);
    future_t *beside = submit_opts(ring->ex, identity, NULL, &(exec_task_opts){AFTER(mine, theirs)});
    future_t *f = submit_opts(ring->other, identity, NULL, &(exec_task_opts){AFTER(mine, ring->p, ring->self, theirs)});
    ring->last = submit_opts(ring->ex, identity, NULL, &(exec_task_opts){AFTER(beside, f)});
    eq_err(ring->wait(ring->last), EDEADLK);
    eq_err(ring->wait(f), EDEADLK);
    ok(ring->wait(beside));
    future_unref(mine), future_unref(theirs), future_unref(beside), future_unref(f);
    return NULL;
}

TEST(after_ring, also_when_it_depends_on_others_too) {
    close_ring(await_one_of_several, 2);
}

static void *await_after_the_one_beneath(void *arg) {
    struct ring *ring = arg;
    ring->last = submit_after(ring->ex, identity, NULL, ring->self);
    eq_err(ring->wait(ring->last), EDEADLK);
    return NULL;
}

static void *await_one_that_awaits(void *arg) {
    struct ring *ring = arg;
    ok(outcome(submit(ring->ex, await_after_the_one_beneath, ring)));
    return NULL;
}

/* With one worker. With more, each of the two may be the one that closes the ring, and gets it. */
TEST(after_ring, also_when_what_is_awaited_waits_for_what_comes_after_its_waiter) {
    close_ring(await_one_that_awaits, 1);
}

static void *await_in_item(void *last) {
    eq_err(future_get(last, NULL), EDEADLK);
    return NULL;
}

static void *map_over_waiters(void *arg) {
    struct ring *ring = arg;
    void *args[5];
    ring->last = submit_after(ring->ex, identity, NULL, ring->self);
    for (int i = 0; i < 5; i++)
        args[i] = ring->last;
    ok(executor_map(ring->ex, await_in_item, args, NULL, 5, NULL));
    return NULL;
}

TEST(after_ring, also_in_the_items_of_a_map) {
    close_ring(map_over_waiters, 2);
}

/* Two tasks on workers of their own: one waits for what comes after the other, and that one waits for the first. */
struct pair {
    future_t *fs[2], *held;
    struct gate known;
    int errors[2];
    int (*wait)(future_t *);
};

static void *await_the_held(void *arg) {
    struct pair *pair = arg;
    gate_wait(&pair->known);
    pair->errors[0] = pair->wait(pair->held);
    return NULL;
}

static void *await_the_first(void *arg) {
    struct pair *pair = arg;
    gate_wait(&pair->known);
    pair->errors[1] = pair->wait(pair->fs[0]);
    return NULL;
}

static void close_pair(executor_t *one, executor_t *two, executor_t *three, int (*wait)(future_t *)) {
    struct pair pair = {.known = GATE(1), .wait = wait};
    pair.fs[0] = submit(one, await_the_held, &pair);
    pair.fs[1] = submit(two, await_the_first, &pair);
    future_t *between_them = submit_after(two, identity, NULL, pair.fs[1]);
    pair.held = submit_after(three, identity, NULL, between_them);
    gate_open(&pair.known);
    await_elsewhere(pair.held);
    for (int i = 0; i < 2; i++) {
        await_elsewhere(pair.fs[i]);
        ok(outcome(pair.fs[i]));
        if (pair.errors[i])
            eq_err(pair.errors[i], EDEADLK);
    }
    eq_int((pair.errors[0] != 0) + (pair.errors[1] != 0), 1);
    ok(outcome(pair.held));
    ok(outcome(between_them));
}

TEST(after_ring, a_ring_that_two_tasks_close_through_a_held_one_is_broken_once) {
    int (*const endless[])(future_t *) = {by_get, by_all, by_one};
    executor_t *one = pool(1), *two = pool(2);
    for (int i = 0; i < 90; i++) {
        close_pair(two, two, two, endless[i % 3]);
        close_pair(one, two, two, endless[i % 3]);
        close_pair(two, one, two, endless[i % 3]);
        close_pair(two, two, one, endless[i % 3]);
    }
    executor_destroy(one), executor_destroy(two);
}

/* ---- what is no ring ---- */

static void *await_either(void *arg) {
    struct ring *ring = arg;
    ring->last = submit_after(ring->ex, identity, NULL, ring->self);
    future_t *child = submit(ring->ex, identity, NULL);
    ok(exec_wait((future_t *[]){ring->last, child}, 2, 1, EXEC_NEVER));
    check(future_done(child));
    future_unref(child);
    return NULL;
}

TEST(after_ring, one_that_waits_for_either_of_two_of_which_one_can_finish_gets_it) {
    close_ring(await_either, 2);
}

struct lone {
    future_t *held;
    atomic_int tid;
};

static void *await_it(void *arg) {
    struct lone *lone = arg;
    atomic_store(&lone->tid, gettid());
    ok(future_get(lone->held, NULL));
    return NULL;
}

TEST(after_ring, waiting_for_what_comes_after_one_that_sleeps_elsewhere_is_no_ring) {
    for (int i = 0; i < 20; i++) {
        executor_t *ex = pool(1), *other = pool(2);
        future_t *p = promise();
        struct lone first = {.held = p}, second;
        future_t *sleeper = submit(other, await_it, &first);
        wait_until_asleep(&first.tid);
        second = (struct lone){.held = submit_after(i % 2 ? ex : other, identity, NULL, sleeper)};
        future_t *f = submit(ex, await_it, &second);
        wait_until_asleep(&second.tid);
        check(!future_done(f));
        fulfil(p);
        await_elsewhere(f);
        ok(outcome(f));
        future_unref(sleeper), future_unref(second.held), future_unref(p);
        executor_destroy(ex), executor_destroy(other);
    }
}

/* ---- in a forked child ---- */

struct inherited {
    executor_t *ex;
    future_t *p, *held, *done;
};

static void must_not_be_called(future_t *f, void *arg) {
    (void)f, (void)arg;
    FAIL("a callback was called that must not be");
}

static void is_dead(void *arg) {
    struct inherited *here = arg;
    future_t *f = NULL;
    eq_err(future_wait(here->held, EXEC_NEVER), EOWNERDEAD);
    eq_err(future_cancel(here->held), EOWNERDEAD);
    int fd = -7;
    eq_err(future_on_done(here->held, must_not_be_called, NULL), EOWNERDEAD);
    eq_err(future_fd(here->held, &fd), EOWNERDEAD);
    eq_int(fd, -7);
    eq_err(executor_submit(here->ex, must_not_run, NULL, &(exec_task_opts){AFTER(here->p)}, &f), EOWNERDEAD);
    eq_ptr(f, NULL);
    fulfil(here->p);
    check(!future_done(here->held));
    eq_err(future_get(here->held, NULL), EOWNERDEAD);
    future_unref(here->held), future_unref(here->p), future_unref(here->done);
    executor_destroy(here->ex);
}

static void *run_in_the_parent(void *pid) {
    eq_int((intptr_t)pid, getpid());
    return pid;
}

TEST(after_ring, a_held_task_stays_as_it_is_in_a_forked_child) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct inherited here = {.ex = pool(workers), .p = promise()};
        here.done = submit(here.ex, identity, NULL);
        here.held = submit_opts(here.ex, run_in_the_parent, (void *)(intptr_t)getpid(),
                                &(exec_task_opts){AFTER(here.p, here.done), .drop = must_not_free});
        await_elsewhere(here.done);
        in_child(is_dead, &here);
        is_held(here.held);
        fulfil(here.p);
        eq_int((intptr_t)take(here.held), getpid());
        future_unref(here.p), future_unref(here.done);
        executor_destroy(here.ex);
    }
}

#ifndef TEST_UNDER_TSAN /* which cannot follow a child's threads */
static void depend_on_both(void *arg) {
    struct inherited *here = arg;
    executor_t *ex = pool(2);
    const exec_task_opts hopeless = {AFTER(here->p, here->held), .drop = must_not_free};
    future_t *f = submit_opts(ex, identity, ex, &(exec_task_opts){AFTER(here->p, here->done)});
    eq_err(executor_submit(ex, must_not_run, NULL, &hopeless, NULL), EOWNERDEAD);
    is_held(f);
    fulfil(here->p);
    eq_ptr(take(f), ex);
    executor_destroy(ex);
}

TEST(after_ring, in_a_child_new_tasks_may_depend_on_promises_and_on_what_had_finished_before) {
    struct inherited here = {.ex = pool(1), .p = promise()};
    here.done = submit(here.ex, identity, NULL);
    here.held = submit_after(here.ex, identity, NULL, here.p);
    await_elsewhere(here.done);
    in_child(depend_on_both, &here);
    fulfil(here.p);
    ok(outcome(here.held));
    future_unref(here.p), future_unref(here.done);
    executor_destroy(here.ex);
}
#endif
