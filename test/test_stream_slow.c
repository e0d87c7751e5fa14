/* test_stream_slow.c - streams in which an item, or the source, is slow or waits for another: quick items travel in
 * runs, but with a small window each travels alone. */
#include "streams.h"

enum { N = 10000, LONGEST_RUN = 1024 };

static struct plug slow;   /* holds up one item, */
static uintptr_t slow_one; /* that with this argument */

static void *one_is_plugged(void *arg) {
    if ((uintptr_t)arg == slow_one)
        plug_task(&slow);
    return plus_one(arg);
}

/* The same, but not so quick that the consumer would run some, too. */
static void *one_is_plugged_none_is_very_quick(void *arg) {
    for (exec_time until = exec_after(EXEC_NS(300)); exec_now() < until;)
        continue;
    return one_is_plugged(arg);
}

/* The next item is another than that, and right; its index. */
static size_t another(exec_stream_t *s, struct source *src) {
    exec_item item;
    check(next_item(s, src, &item));
    check(item.index != slow_one - 1);
    eq_err(item.error, 0);
    eq_ptr(item.result, plus_one(item.arg));
    return item.index;
}

static exec_stream_t *stream_with_a_slow_one(executor_t *ex, struct source *src, exec_fn *fn, uintptr_t number,
                                             const exec_stream_opts *opts) {
    slow = (struct plug)PLUG;
    slow_one = number;
    return stream_of(ex, src, fn, opts);
}

/* ---- as they finish ---- */

/* All others come but those of its run, while item `number` is held up. */
static void holds_back(unsigned workers, uintptr_t number, size_t window, size_t run) {
    struct source src = {.n = N};
    executor_t *ex = pool_of_its_own(workers);
    exec_stream_opts opts = {.window = window, .unordered = true};
    exec_stream_t *s = stream_with_a_slow_one(ex, &src, one_is_plugged, number, &opts);
    for (size_t i = 0; i < N - run; i++)
        another(s, &src);
    plug_out(&slow);
    eq_err(take_all(s, &src), 0);
    eq_int(src.handed, N);
    executor_destroy(ex);
}

TEST(stream_slow, unordered_a_slow_first_item_holds_back_no_other) {
    for (unsigned workers = 2; workers <= 4; workers++) {
        holds_back(workers, 1, 2, 1);
        holds_back(workers, 1, 1000, 1);
        holds_back(workers, 1, 0, 1);
    }
}

TEST(stream_slow, unordered_with_a_small_window_a_slow_item_among_quick_ones_holds_back_no_other) {
    for (unsigned workers = 2; workers <= 4; workers++)
        for (uintptr_t number = 1000; number < 8000; number += 2003) {
            holds_back(workers, number, 2, 1);
            holds_back(workers, number, 4 * workers, 1);
        }
}

TEST(stream_slow, unordered_it_holds_back_at_most_those_of_its_run) {
    for (unsigned workers = 2; workers <= 4; workers++)
        for (uintptr_t number = 1000; number < 8000; number += 2003) {
            holds_back(workers, number, 0, LONGEST_RUN);
            holds_back(workers, number, 4000, LONGEST_RUN);
        }
}

/* ---- in order ---- */

/* What was taken before the run of item `number` comes, while it is held up. */
static void comes_before(unsigned workers, uintptr_t number, size_t window, size_t run) {
    struct source src = {.n = N};
    executor_t *ex = pool_of_its_own(workers);
    exec_stream_opts opts = {.window = window};
    exec_stream_t *s = stream_with_a_slow_one(ex, &src, one_is_plugged_none_is_very_quick, number, &opts);
    for (size_t i = 0; i + run < number; i++)
        eq_int(another(s, &src), i);
    plug_out(&slow);
    eq_err(take_all(s, &src), 0);
    eq_int(src.handed, N);
    executor_destroy(ex);
}

TEST(stream_slow, with_a_small_window_what_comes_before_a_slow_item_does_not_wait_for_it) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (uintptr_t number = 1000; number < 8000; number += 2003) {
            comes_before(workers, number, 1, 1);
            comes_before(workers, number, 4 * workers, 1);
        }
}

TEST(stream_slow, what_was_taken_before_the_run_of_a_slow_item_does_not_wait_for_it) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (uintptr_t number = 1000; number < 8000; number += 2003) {
            comes_before(workers, number, 0, LONGEST_RUN);
            comes_before(workers, number, 4000, LONGEST_RUN);
        }
}

/* ---- the whole window ---- */

enum { WINDOW = 20, SLOW_ONES = 18 };

/* So slow at first that the stream has time to see how quick the items are, and wants to have them travel in runs. */
static int next_slow_at_first(void *source, void **arg) {
    const struct source *src = source;
    if (src->taken < SLOW_ONES)
        nap(EXEC_MS(1));
    return source_next(source, arg);
}

static atomic_int others;

static void *first_waits_for_all_others(void *arg) {
    if ((uintptr_t)arg == 1)
        wait_until(atomic_load(&others) == WINDOW - 1);
    else
        atomic_fetch_add(&others, 1);
    return plus_one(arg);
}

TEST(stream_slow, what_is_left_of_the_window_is_used_though_it_has_no_room_for_a_run) {
    for (unsigned workers = 2; workers <= 4; workers++) {
        struct source src = {.n = 100, .window = WINDOW};
        exec_stream_t *s = NULL;
        executor_t *ex = pool(workers);
        atomic_store(&others, 0);
        ok(exec_stream_open(ex, next_slow_at_first, &src, first_waits_for_all_others,
                            &(exec_stream_opts){.window = WINDOW}, &s));
        eq_err(take_all(s, &src), 0);
        eq_int(src.handed, 100);
        executor_destroy(ex);
    }
}

/* ---- a source that waits for what it gave ---- */

static int next_after_the_last_ran(void *source, void **arg) {
    const struct source *src = source;
    for (exec_time until = exec_after(LIMIT); src->taken > 0 && !atomic_load(&ledger.runs[src->taken]); sched_yield())
        check(exec_now() < until);
    return source_next(source, arg);
}

TEST(stream_slow, with_a_small_window_a_source_may_wait_for_the_items_that_it_gave) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int way = 0; way < 8; way++) {
            struct source src = {.n = 1000};
            exec_stream_t *s = NULL;
            executor_t *ex = way & 1 ? pool_of_its_own(workers) : pool(workers);
            exec_stream_opts opts = {.window = way & 4 ? 1 : 4 * workers, .unordered = way & 2};
            ledger_reset();
            src.window = opts.window;
            ok(exec_stream_open(ex, next_after_the_last_ran, &src, ledger_run, &opts, &s));
            eq_err(take_all(s, &src), 0);
            eq_int(src.handed, 1000);
            executor_destroy(ex);
        }
}
