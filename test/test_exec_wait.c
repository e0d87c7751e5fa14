/* test_exec_wait.c - waiting for any, all, or k of several futures at once. */
#include "helpers.h"

static void promises(future_t *fs[], int n) {
    for (int i = 0; i < n; i++)
        fs[i] = promise();
}

static void unref_all(future_t *fs[], int n) {
    for (int i = 0; i < n; i++)
        future_unref(fs[i]);
}

static int count_done(future_t *const fs[], int n) {
    int done = 0;
    for (int i = 0; i < n; i++)
        done += future_done(fs[i]);
    return done;
}

/* A thread that waits for `want` of n. */
struct waiting {
    future_t **fs;
    size_t n, want;
    atomic_int tid;
    struct gate over;
};

static void *wait_for_them(void *arg) {
    struct waiting *w = arg;
    atomic_store(&w->tid, gettid());
    ok(exec_wait(w->fs, w->n, w->want, EXEC_NEVER));
    gate_open(&w->over);
    return NULL;
}

/* Resolves n promises one after the other, and sees a thread that waits for `want` of them wake at the want-th. */
static void wakes_at(int n, int want) {
    future_t *fs[8];
    struct waiting w = {.fs = fs, .n = (size_t)n, .want = (size_t)want, .over = GATE(1)};
    promises(fs, n);
    pthread_t thread = start(wait_for_them, &w);
    for (int i = 0; i < want; i++) {
        wait_until_asleep(&w.tid);
        check(!gate_is_open(&w.over));
        ok(future_resolve(fs[(i * 3 + 1) % n], NULL, 0)); /* n is not a multiple of 3 */
    }
    finish(thread);
    eq_int(count_done(fs, n), want);
    unref_all(fs, n);
}

TEST(exec_wait, any_returns_with_the_first) {
    wakes_at(1, 1);
    wakes_at(5, 1);
}

TEST(exec_wait, all_returns_with_the_last) {
    wakes_at(2, 2);
    wakes_at(8, 8);
}

TEST(exec_wait, k_of_n_returns_with_the_kth) {
    wakes_at(5, 3);
    wakes_at(7, 6);
}

TEST(exec_wait, what_has_finished_counts_without_waiting) {
    future_t *fs[3];
    promises(fs, 3);
    eq_err(exec_wait(fs, 3, 1, EXEC_NOW), ETIMEDOUT);
    ok(future_resolve(fs[1], NULL, 0));
    ok(exec_wait(fs, 3, 1, EXEC_NOW));
    ok(exec_wait(fs, 3, 1, EXEC_NEVER));
    eq_err(exec_wait(fs, 3, 2, EXEC_NOW), ETIMEDOUT);
    ok(future_resolve(fs[2], NULL, EIO));
    ok(exec_wait(fs, 3, 2, EXEC_NOW));
    ok(future_cancel(fs[0]));
    ok(exec_wait(fs, 3, 3, EXEC_NOW));
    unref_all(fs, 3);
}

TEST(exec_wait, every_outcome_counts) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *fs[3] = {submit(ex, identity, NULL), submit(ex, fail_with, as_error(EIO))};
    future_t *plugging = plug_in(ex, &plug);
    fs[2] = submit(ex, must_not_run, NULL);
    ok(future_cancel(fs[2]));
    ok(exec_wait(fs, 3, 3, exec_after(LIMIT)));
    plug_out(&plug);
    unref_all(fs, 3);
    future_unref(plugging);
    executor_destroy(ex);
}

TEST(exec_wait, wanting_none_waits_for_nothing) {
    future_t *f = promise();
    ok(exec_wait(&f, 1, 0, EXEC_NEVER));
    ok(exec_wait(&f, 1, 0, EXEC_NOW));
    ok(exec_wait(&f, 0, 0, EXEC_NEVER));
    ok(exec_wait(NULL, 0, 0, EXEC_NEVER));
    future_unref(f);
}

TEST(exec_wait, the_deadline_ends_it_and_not_before) {
    future_t *fs[3];
    promises(fs, 3);
    ok(future_resolve(fs[0], NULL, 0));
    exec_time deadline = exec_after(EXEC_MS(20));
    eq_err(exec_wait(fs, 3, 2, deadline), ETIMEDOUT);
    at_least(exec_now(), deadline);
    eq_err(exec_wait(fs, 3, 3, exec_after(EXEC_MS(-1))), ETIMEDOUT);
    unref_all(fs, 3);
}

TEST(exec_wait, one_that_is_named_twice_counts_once) {
    future_t *a = promise(), *b = promise();
    future_t *fs[] = {a, a, b, a};
    ok(future_resolve(a, NULL, 0));
    ok(exec_wait(fs, 4, 1, EXEC_NOW));
    eq_err(exec_wait(fs, 4, 2, EXEC_NOW), ETIMEDOUT);
    eq_err(exec_wait(fs, 4, 2, exec_after(EXEC_MS(5))), ETIMEDOUT);
    ok(future_resolve(b, NULL, 0));
    ok(exec_wait(fs, 4, 2, EXEC_NOW));
    future_unref(a), future_unref(b);
}

TEST(exec_wait, no_more_are_waited_for_than_there_are_different_ones) {
    future_t *a = promise(), *b = promise();
    future_t *fs[] = {b, a, b, a, b};
    ok(future_resolve(a, NULL, 0));
    eq_err(exec_wait(fs, 5, 5, EXEC_NOW), ETIMEDOUT);
    ok(future_resolve(b, NULL, 0));
    ok(exec_wait(fs, 5, 5, EXEC_NOW));
    ok(exec_wait(fs, 5, 5, EXEC_NEVER));
    future_unref(a), future_unref(b);
}

TEST(exec_wait, one_that_is_named_twice_wakes_at_its_one_end) {
    future_t *a = promise(), *b = promise();
    future_t *fs[] = {a, b, a};
    struct waiting w = {.fs = fs, .n = 3, .want = 3, .over = GATE(1)};
    pthread_t thread = start(wait_for_them, &w);
    wait_until_asleep(&w.tid);
    ok(future_resolve(a, NULL, 0));
    wait_until_asleep(&w.tid);
    check(!gate_is_open(&w.over));
    ok(future_resolve(b, NULL, 0));
    finish(thread);
    future_unref(a), future_unref(b);
}

TEST(exec_wait, futures_of_several_executors_and_promises_may_be_mixed) {
    struct plug plug = PLUG;
    executor_t *one = pool(1), *two = pool(2);
    future_t *fs[] = {submit(one, identity, NULL), submit(two, identity, NULL), promise(), plug_in(two, &plug)};
    ok(exec_wait(fs, 4, 2, EXEC_NEVER));
    ok(future_resolve(fs[2], NULL, 0));
    plug_out(&plug);
    ok(exec_wait(fs, 4, 4, EXEC_NEVER));
    unref_all(fs, 4);
    executor_destroy(one), executor_destroy(two);
}

TEST(exec_wait, a_thousand_can_be_waited_for) {
    enum { N = 1000 };
    static future_t *fs[N];
    executor_t *ex = pool(2);
    for (int i = 0; i < N; i++)
        fs[i] = submit(ex, identity, NULL);
    ok(exec_wait(fs, N, N, EXEC_NEVER));
    eq_int(count_done(fs, N), N);
    unref_all(fs, N);
    executor_destroy(ex);
}

TEST(exec_wait, any_of_a_busy_pool_is_found_again_and_again) {
    enum { N = 100 };
    future_t *fs[N];
    executor_t *ex = pool(2);
    for (int i = 0; i < N; i++)
        fs[i] = submit(ex, identity, NULL);
    for (int left = N; left > 0;) {
        ok(exec_wait(fs, (size_t)left, 1, exec_after(LIMIT)));
        int before = left;
        for (int i = left - 1; i >= 0; i--)
            if (future_done(fs[i])) {
                future_unref(fs[i]);
                fs[i] = fs[--left];
            }
        check(left < before);
    }
    executor_destroy(ex);
}

TEST(exec_wait, many_threads_may_wait_for_overlapping_ones) {
    enum { THREADS = 6, N = 6 };
    future_t *fs[N];
    struct waiting waits[THREADS];
    pthread_t threads[THREADS];
    promises(fs, N);
    for (int i = 0; i < THREADS; i++) {
        waits[i] = (struct waiting){.fs = fs, .n = N, .want = (size_t)i + 1, .over = GATE(1)};
        threads[i] = start(wait_for_them, &waits[i]);
    }
    for (int i = 0; i < THREADS; i++)
        wait_until_asleep(&waits[i].tid);
    for (int i = 0; i < N; i++) {
        ok(future_resolve(fs[N - 1 - i], NULL, 0));
        finish(threads[i]);
        for (int later = i + 1; later < THREADS; later++)
            check(!gate_is_open(&waits[later].over));
    }
    unref_all(fs, N);
}

TEST(exec_wait, a_wait_that_ended_early_leaves_nothing_in_the_others) {
    enum { N = 20 };
    future_t *fs[N];
    promises(fs, N);
    for (int i = 0; i < N; i++) {
        eq_err(exec_wait(&fs[i], (size_t)(N - i), 1, exec_after(EXEC_US(100))), ETIMEDOUT);
        ok(future_resolve(fs[i], NULL, 0));
        ok(exec_wait(fs, N, 1, EXEC_NEVER));
        ok(exec_wait(fs, N, (size_t)i + 1, EXEC_NEVER));
    }
    unref_all(fs, N);
}

TEST(exec_wait, more_than_there_are_and_null_are_einval) {
    future_t *f = promise(), *with_null[] = {f, NULL};
    ok(future_resolve(f, NULL, 0));
    eq_err(exec_wait(&f, 1, 2, EXEC_NOW), EINVAL);
    eq_err(exec_wait(&f, 0, 1, EXEC_NOW), EINVAL);
    eq_err(exec_wait(NULL, 1, 1, EXEC_NOW), EINVAL);
    eq_err(exec_wait(with_null, 2, 2, EXEC_NOW), EINVAL);
    eq_err(exec_wait(with_null, 2, 1, EXEC_NOW), EINVAL);
    future_unref(f);
}
