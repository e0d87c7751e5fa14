/* test_stream.c - streams: what comes out and in which order, and how far ahead the source is. Slow items
 * among quick ones are in test_stream_slow.c, how they end in test_stream_end.c, test_stream_stop.c and
 * test_stream_shutdown.c, where they can be used in test_stream_within.c. */
#include "streams.h"

/* ---- order ---- */

/* The next item is number `index`, and has the result that plus_one() would give. */
static void is_next(exec_stream_t *s, struct source *src, size_t index) {
    exec_item item;
    check(next_item(s, src, &item));
    eq_int(item.index, index);
    eq_err(item.error, 0);
    eq_ptr(item.result, plus_one(item.arg));
}

static void comes_in_order(executor_t *ex, exec_fn *fn, size_t n, size_t window) {
    struct source src = {.n = n};
    exec_stream_t *s = stream_of(ex, &src, fn, &(exec_stream_opts){.window = window});
    for (size_t i = 0; i < n; i++)
        is_next(s, &src, i);
    has_ended(s, &src, 0);
    eq_int(src.taken, n);
    eq_int(src.ends, 1);
    exec_stream_close(s);
}

static void comes_once(executor_t *ex, exec_fn *fn, size_t n, size_t window) {
    static bool seen[100000];
    struct source src = {.n = n};
    exec_item item;
    exec_stream_t *s = stream_of(ex, &src, fn, &(exec_stream_opts){.window = window, .unordered = true});
    memset(seen, 0, sizeof seen);
    while (next_item(s, &src, &item)) {
        check(item.index < n && !seen[item.index]);
        seen[item.index] = true;
        eq_err(item.error, 0);
        eq_ptr(item.result, plus_one(item.arg));
    }
    eq_int(src.handed, n);
    has_ended(s, &src, 0);
    eq_int(src.ends, 1);
    exec_stream_close(s);
}

static void in_all_sizes(exec_fn *fn, void (*comes)(executor_t *, exec_fn *, size_t, size_t)) {
    const size_t sizes[] = {1, 2, 3, 7, 64, 65, 1000, 5000}, windows[] = {0, 1, 2, 5, 1000, 1 << 20};
    for (unsigned workers = 1; workers <= 4; workers++) {
        executor_t *ex = pool(workers);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (size_t k = 0; k < sizeof windows / sizeof *windows; k++)
                comes(ex, fn, sizes[i], windows[k]);
        executor_destroy(ex);
    }
}

TEST(stream, results_come_in_the_order_of_the_arguments) {
    in_all_sizes(plus_one, comes_in_order);
}

TEST(stream, unordered_each_comes_once_and_knows_which_it_is) {
    in_all_sizes(plus_one, comes_once);
}

/* Most take hardly any time, some a little, and some very long. */
static void *uneven(void *arg) {
    uintptr_t number = (uintptr_t)arg;
    if (number % 500 == 7)
        nap(EXEC_MS(1));
    for (volatile unsigned turns = number % 31 ? number % 3 * 20 : 20000; turns > 0; turns--) {
    }
    return plus_one(arg);
}

TEST(stream, items_of_uneven_length_keep_their_order) {
    for (unsigned workers = 1; workers <= 4; workers++) {
        executor_t *ex = pool(workers);
        comes_in_order(ex, uneven, 5000, 0);
        comes_in_order(ex, uneven, 2000, 3);
        comes_once(ex, uneven, 5000, 0);
        comes_once(ex, uneven, 2000, 3);
        executor_destroy(ex);
    }
}

static atomic_int others;   /* how many others have run */
static int others_expected; /* before item 0 goes on in first_waits_for_others() */

static void *first_waits_for_others(void *arg) {
    if ((uintptr_t)arg == 1)
        wait_until(atomic_load(&others) >= others_expected);
    else
        atomic_fetch_add(&others, 1);
    return plus_one(arg);
}

TEST(stream, a_slow_first_item_comes_first_though_the_others_have_run) {
    for (unsigned workers = 2; workers <= 4; workers++)
        for (int own = 0; own < 2; own++) {
            struct source src = {.n = 100};
            executor_t *ex = own ? pool_of_its_own(workers) : pool(workers);
            exec_stream_t *s = stream_of(ex, &src, first_waits_for_others, &(exec_stream_opts){.window = 20});
            atomic_store(&others, 0);
            others_expected = 19;
            for (size_t i = 0; i < 100; i++)
                is_next(s, &src, i);
            eq_err(take_all(s, &src), 0);
            executor_destroy(ex);
        }
}

TEST(stream, unordered_what_finishes_later_comes_later_also_where_the_consumer_works) {
    for (unsigned workers = 2; workers <= 4; workers++) {
        struct source src = {.n = 40};
        exec_item item = {.index = SIZE_MAX};
        executor_t *ex = pool(workers);
        exec_stream_t *s =
            stream_of(ex, &src, first_waits_for_others, &(exec_stream_opts){.window = 40, .unordered = true});
        atomic_store(&others, 0);
        others_expected = 39;
        for (int before = 0; item.index != 0; before++) {
            check(next_item(s, &src, &item));
            if (item.index == 0)
                at_least(before, 5); /* each worker's last block, of up to 16, may still be on its way */
        }
        eq_err(take_all(s, &src), 0);
        executor_destroy(ex);
    }
}

/* ---- errors of items ---- */

static void *fail_some(void *arg) {
    uintptr_t number = (uintptr_t)arg;
    ledger_run(arg);
    switch (number % 7) {
    case 1: return exec_fail((int)(1000 + number));
    case 2: return exec_fail(ECANCELED);
    case 3: return exec_fail(0);
    case 4: return exec_fail(-EIO);
    case 5: return NULL;
    default: return arg;
    }
}

static void came_as_it_failed(const exec_item *item) {
    uintptr_t number = (uintptr_t)item->arg;
    const int errors[] = {0, (int)(1000 + number), ECANCELED, EINVAL, EINVAL, 0, 0};
    eq_err(item->error, errors[number % 7]);
    eq_ptr(item->result, number % 7 == 0 || number % 7 == 6 ? item->arg : NULL);
}

TEST(stream, items_that_fail_come_with_their_errors_and_the_others_go_on) {
    const exec_stream_opts opts[] = {
        {.drop = must_not_free, .free_result = must_not_free},
        {.drop = must_not_free, .free_result = must_not_free, .unordered = true, .window = 5}};
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int i = 0; i < 2; i++) {
            struct source src = {.n = 2000};
            exec_item item;
            executor_t *ex = pool(workers);
            exec_stream_t *s = stream_of(ex, &src, fail_some, &opts[i]);
            ledger_reset();
            while (next_item(s, &src, &item))
                came_as_it_failed(&item);
            eq_int(src.handed, 2000);
            eq_err(take_all(s, &src), 0);
            ledger_balances(&src, false);
            eq_int(atomic_load(&ledger.nruns), 2000);
            executor_destroy(ex);
        }
}

static void *leave_some(void *arg) {
    if ((uintptr_t)arg % 10 == 3)
        pthread_exit(arg);
    return plus_one(arg);
}

TEST(stream, items_that_leave_their_thread_fail_with_eownerdead_and_the_others_go_on) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int way = 0; way < 4; way++) {
            struct source src = {.n = 200};
            exec_item item;
            executor_t *ex = way & 1 ? pool_of_its_own(workers) : pool(workers);
            exec_stream_t *s = stream_of(ex, &src, leave_some, &(exec_stream_opts){.unordered = way & 2});
            while (next_item(s, &src, &item)) {
                bool left = (uintptr_t)item.arg % 10 == 3;
                eq_err(item.error, left ? EOWNERDEAD : 0);
                eq_ptr(item.result, left ? NULL : plus_one(item.arg));
            }
            eq_int(src.handed, 200);
            eq_err(take_all(s, &src), 0);
            eq_ptr(take(submit(ex, identity, ex)), ex);
            executor_destroy(ex);
        }
}

/* ---- how far ahead, and how many at once ---- */

TEST(stream, nothing_is_called_until_the_first_next) {
    const exec_stream_opts opts = {.drop = must_not_free, .free_result = must_not_free};
    executor_t *ex = pool(2);
    for (int i = 0; i < 10; i++) {
        exec_stream_t *s = NULL;
        ok(exec_stream_open(ex, must_not_be_asked, NULL, must_not_run, i % 2 ? &opts : NULL, &s));
        for (int k = 0; k < 10; k++)
            eq_ptr(take(submit(ex, identity, ex)), ex);
        exec_stream_close(s);
    }
    executor_destroy(ex);
}

TEST(stream, the_source_is_asked_only_as_the_consumer_takes_results) {
    const size_t windows[] = {1, 2, 3, 10, 1000};
    for (unsigned workers = 1; workers <= 3; workers++)
        for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
            struct source src = {.n = SIZE_MAX};
            executor_t *ex = pool(workers);
            exec_stream_t *s = stream_of(ex, &src, plus_one, &(exec_stream_opts){.window = windows[i]});
            for (size_t k = 0; k < 3000; k++) {
                is_next(s, &src, k);
                size_t taken = src.taken;
                at_most(taken - src.handed, (intmax_t)windows[i]);
                if (k % 100 == 0)
                    ok(outcome(submit(ex, identity, NULL)));
                eq_int(src.taken, taken);
            }
            between(src.most_ahead, 1, (intmax_t)windows[i]);
            exec_stream_close(s);
            executor_destroy(ex);
        }
}

static struct meter meter;

static void *slow_and_metered(void *arg) {
    meter_enter(&meter);
    nap(EXEC_US(100));
    meter_leave(&meter);
    return plus_one(arg);
}

TEST(stream, by_default_slow_items_are_taken_four_for_each_worker_ahead) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int unordered = 0; unordered < 2; unordered++) {
            struct source src = {.n = 200};
            executor_t *ex = pool(workers);
            exec_stream_t *s = stream_of(ex, &src, slow_and_metered, &(exec_stream_opts){.unordered = unordered});
            src.window = 4 * workers;
            eq_err(take_all(s, &src), 0);
            at_least(src.most_ahead, workers);
            executor_destroy(ex);
        }
}

TEST(stream, with_a_window_of_one_items_run_one_at_a_time) {
    for (int unordered = 0; unordered < 2; unordered++) {
        struct source src = {.n = 100};
        executor_t *ex = pool(3);
        meter = (struct meter){0};
        exec_stream_opts opts = {.window = 1, .unordered = unordered};
        eq_err(take_all(stream_of(ex, &src, slow_and_metered, &opts), &src), 0);
        eq_int(src.most_ahead, 1);
        eq_int(atomic_load(&meter.most), 1);
        executor_destroy(ex);
    }
}

TEST(stream, no_more_items_run_at_once_than_there_are_workers) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int own = 0; own < 2; own++) {
            struct source src = {.n = 200};
            executor_t *ex = own ? pool_of_its_own(workers) : pool(workers);
            meter = (struct meter){0};
            eq_err(take_all(stream_of(ex, &src, slow_and_metered, &(exec_stream_opts){.window = 50}), &src), 0);
            between(atomic_load(&meter.most), 1, workers);
            executor_destroy(ex);
        }
}

static struct gate all_in;

static void *meet(void *arg) {
    gate_open(&all_in);
    gate_wait(&all_in);
    return arg;
}

TEST(stream, nor_when_the_queue_is_full) {
    const enum executor_when_full policies[] = {EXECUTOR_BLOCK, EXECUTOR_REJECT, EXECUTOR_DROP_OLDEST};
    for (int way = 0; way < 6; way++) {
        struct source src = {.n = 200};
        executor_t *ex = pool_of((executor_opts){
            .workers = 2, .capacity = 1, .when_full = policies[way % 3], .on_start = way < 3 ? NULL : no_hook});
        meter = (struct meter){0};
        eq_err(take_all(stream_of(ex, &src, slow_and_metered, &(exec_stream_opts){.window = 50}), &src), 0);
        between(atomic_load(&meter.most), 1, 2);
        executor_destroy(ex);
    }
}

TEST(stream, as_many_slow_items_run_at_once_as_there_are_workers) {
    for (unsigned workers = 1; workers <= 4; workers++)
        for (int own = 0; own < 2; own++) {
            executor_t *ex = own ? pool_of_its_own(workers) : pool(workers);
            for (int round = 0; round < 20; round++) {
                struct source src = {.n = workers};
                all_in = (struct gate)GATE((int)workers);
                exec_stream_opts opts = {.unordered = round & 1, .window = round & 2 ? workers : 0};
                eq_err(take_all(stream_of(ex, &src, meet, &opts), &src), 0);
                eq_int(src.handed, workers);
            }
            executor_destroy(ex);
        }
}

/* ---- very many ---- */

TEST(stream, a_million_quick_items_come_right_and_in_order) {
    executor_t *ex = pool(2);
    comes_in_order(ex, plus_one, 1000000, 0);
    executor_destroy(ex);
}

TEST(stream, a_hundred_thousand_quick_items_come_unordered_once_each) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        comes_once(ex, plus_one, 100000, 0);
        comes_once(ex, plus_one, 100000, 64);
        executor_destroy(ex);
    }
}

/* What the sanitizers and valgrind (which is given plain futures) need themselves, grows. */
#if !defined(TEST_UNDER_ASAN) && !defined(TEST_UNDER_TSAN) && !defined(EXEC_PLAIN_FUTURES)
static size_t resident_bytes(void) {
    size_t size = 0, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    check(statm && fscanf(statm, "%zu %zu", &size, &resident) == 2);
    fclose(statm);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void takes_no_memory(size_t n, const exec_stream_opts *opts) {
    struct source src = {.n = n};
    exec_item item;
    size_t before = 0, most = 0;
    executor_t *ex = pool(2);
    exec_stream_t *s = stream_of(ex, &src, plus_one, opts);
    while (next_item(s, &src, &item))
        if (src.handed % 100000 == 0) {
            size_t now = resident_bytes();
            before = before > 0 ? before : now;
            most = now > most ? now : most;
        }
    eq_int(src.handed, n);
    at_most(most - before, (1 << 20) - 1);
    exec_stream_close(s);
    executor_destroy(ex);
}

TEST(stream, three_million_items_need_no_more_memory_than_a_hundred_thousand) {
    takes_no_memory(3000000, NULL);
}

TEST(stream, nor_do_they_unordered) {
    takes_no_memory(3000000, &(exec_stream_opts){.unordered = true});
}
#endif

/* ---- arguments ---- */

TEST(stream, what_is_null_or_out_of_range_is_einval) {
    exec_stream_t *s = NULL;
    exec_item item;
    executor_t *ex = pool(1);
    eq_err(exec_stream_open(NULL, must_not_be_asked, NULL, must_not_run, NULL, &s), EINVAL);
    eq_err(exec_stream_open(ex, NULL, NULL, must_not_run, NULL, &s), EINVAL);
    eq_err(exec_stream_open(ex, must_not_be_asked, NULL, NULL, NULL, &s), EINVAL);
    eq_err(exec_stream_open(ex, must_not_be_asked, NULL, must_not_run, NULL, NULL), EINVAL);
    const size_t too_far[] = {(1 << 20) + 1, SIZE_MAX / 2, SIZE_MAX};
    for (int i = 0; i < 3; i++) {
        const exec_stream_opts opts = {.window = too_far[i]};
        eq_err(exec_stream_open(ex, must_not_be_asked, NULL, must_not_run, &opts, &s), EINVAL);
    }
    memset(&item, 0xff, sizeof item);
    check(!exec_stream_next(NULL, &item));
    is_an_end(&item, EINVAL);
    check(!exec_stream_next(NULL, NULL));
    ok(exec_stream_open(ex, must_not_be_asked, NULL, must_not_run, NULL, &s));
    check(!exec_stream_next(s, NULL));
    exec_stream_close(s);
    exec_stream_close(NULL);
    executor_destroy(ex);
}
