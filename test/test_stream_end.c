/* test_stream_end.c - how streams end when nobody stops them: the source has no more, or fails, or the consumer leaves
 * early. Deadlines and cancelling are in test_stream_stop.c. */
#include "streams.h"

#include <limits.h>

/* ---- the source ends ---- */

TEST(stream_end, a_source_of_nothing_is_asked_once) {
    for (int unordered = 0; unordered < 2; unordered++) {
        struct source src = {.n = 0};
        executor_t *ex = pool(2);
        exec_stream_t *s = stream_of(ex, &src, must_not_run, &(exec_stream_opts){.unordered = unordered});
        has_ended(s, &src, 0);
        eq_int(src.ends, 1);
        exec_stream_close(s);
        executor_destroy(ex);
    }
}

TEST(stream_end, false_stays_false_and_the_source_is_not_asked_again) {
    for (size_t n = 1; n < 20; n++) {
        struct source src = {.n = n};
        executor_t *ex = pool(2);
        exec_stream_t *s = stream_of(ex, &src, plus_one, NULL);
        exec_item item;
        for (size_t i = 0; i < n; i++)
            check(next_item(s, &src, &item));
        for (int i = 0; i < 5; i++)
            has_ended(s, &src, 0);
        exec_stream_close(s);
        executor_destroy(ex);
    }
}

static void *count_and_fail_some(void *arg) {
    ledger_run(arg);
    return (uintptr_t)arg % 3 == 0 ? exec_fail(EDOM) : arg;
}

static void ends_with(size_t n, int returned, int learned) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int way = 0; way < 6; way++) {
            struct source src = {.n = n, .end = returned};
            executor_t *ex = way & 1 ? pool_of_its_own(workers) : pool(workers);
            exec_stream_opts opts = {.unordered = way & 1, .window = (size_t)way / 2 * 7};
            exec_stream_t *s = stream_of(ex, &src, count_and_fail_some, ledger_opts(opts));
            ledger_reset();
            eq_err(take_all(s, &src), learned);
            eq_int(src.ends, 1);
            eq_int(src.handed, n);
            ledger_balances(&src, false);
            eq_int(atomic_load(&ledger.nruns), n);
            executor_destroy(ex);
        }
}

TEST(stream_end, a_source_that_fails_ends_the_stream_after_all_that_it_gave_before) {
    ends_with(0, EIO, EIO);
    ends_with(1, ENOENT, ENOENT);
    ends_with(50, EIO, EIO);
    ends_with(300, EAGAIN, EAGAIN);
    ends_with(50, ECANCELED, ECANCELED);
    ends_with(50, ETIMEDOUT, ETIMEDOUT);
    ends_with(50, ENODATA, 0);
}

TEST(stream_end, an_error_of_the_source_that_is_not_positive_counts_as_einval) {
    ends_with(0, -1, EINVAL);
    ends_with(20, -EIO, EINVAL);
    ends_with(20, INT_MIN, EINVAL);
}

/* ---- leaving early ---- */

TEST(stream_end, a_source_without_end_may_be_left_at_any_time) {
    const size_t windows[] = {0, 1, 2, 100};
    for (unsigned workers = 1; workers <= 3; workers++)
        for (size_t leave_at = 0; leave_at < 300; leave_at = leave_at * 2 + 1)
            for (int way = 0; way < 16; way++) {
                struct source src = {.n = SIZE_MAX};
                exec_item item;
                executor_t *ex = way & 1 ? pool_of_its_own(workers) : pool(workers);
                exec_stream_opts opts = {.window = windows[way / 4], .unordered = way & 2};
                ledger_reset();
                exec_stream_t *s = stream_of(ex, &src, ledger_run, ledger_opts(opts));
                for (size_t i = 0; i < leave_at; i++)
                    check(next_item(s, &src, &item));
                exec_stream_close(s);
                ledger_balances(&src, true);
                executor_destroy(ex);
            }
}

static struct begun stopping; /* the second item has begun */
static atomic_int asked;      /* how many items were */

/* The first one returns, all others wait until they are asked to stop. */
static void *first_returns(void *arg) {
    ledger_run(arg);
    if ((uintptr_t)arg == 1)
        return arg;
    gate_open(&stopping.begun);
    eq_err(exec_sleep(EXEC_NEVER), ECANCELED);
    check(exec_cancelled());
    atomic_fetch_add(&asked, 1);
    return (uintptr_t)arg % 2 ? exec_fail(ECANCELED) : arg;
}

TEST(stream_end, close_asks_items_that_run_to_stop_waits_for_them_and_drops_the_rest) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int unordered = 0; unordered < 2; unordered++) {
            struct source src = {.n = SIZE_MAX};
            exec_item item;
            executor_t *ex = pool_of_its_own(workers);
            exec_stream_opts opts = {.window = 8, .unordered = unordered};
            ledger_reset();
            atomic_store(&asked, 0);
            stopping.begun = (struct gate)GATE(1);
            exec_stream_t *s = stream_of(ex, &src, first_returns, ledger_opts(opts));
            check(next_item(s, &src, &item));
            eq_int(item.index, 0);
            bool others = src.taken > 1; /* where the first is back at once, no more may have been taken yet */
            if (others)
                gate_wait(&stopping.begun);
            exec_stream_close(s);
            ledger_balances(&src, false);
            eq_int(atomic_load(&asked), atomic_load(&ledger.nruns) - 1);
            between(atomic_load(&asked), others, workers);
            executor_destroy(ex);
        }
}

TEST(stream_end, close_frees_results_that_were_not_handed_out) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int unordered = 0; unordered < 2; unordered++) {
            struct source src = {.n = SIZE_MAX};
            exec_item item;
            executor_t *ex = pool_of_its_own(workers);
            exec_stream_opts opts = {.window = 100, .unordered = unordered};
            ledger_reset();
            exec_stream_t *s = stream_of(ex, &src, ledger_run, ledger_opts(opts));
            int handed = 0;
            while (handed < 5 || atomic_load(&ledger.nruns) == handed) {
                check(next_item(s, &src, &item));
                handed++;
            }
            exec_stream_close(s);
            ledger_balances(&src, true);
            eq_int(atomic_load(&ledger.nfrees), atomic_load(&ledger.nruns) - handed);
            at_least(atomic_load(&ledger.nfrees), 1);
            executor_destroy(ex);
        }
}

/* A helper that ended just as another block came left it to the consumer's next call: seen when perturbed. */
TEST(stream_end, what_was_taken_runs_while_the_consumer_is_elsewhere) {
    for (unsigned workers = 2; workers <= 3; workers++)
        for (int round = 0; round < 50; round++) {
            struct source src = {.n = SIZE_MAX};
            exec_item item;
            executor_t *ex = pool_of_its_own(workers);
            exec_stream_opts opts = {.window = 100, .unordered = true};
            ledger_reset();
            exec_stream_t *s = stream_of(ex, &src, ledger_run, ledger_opts(opts));
            for (int i = 0; i < 5; i++) {
                check(next_item(s, &src, &item));
                wait_until(atomic_load(&ledger.nruns) == (int)src.taken);
            }
            exec_stream_close(s);
            executor_destroy(ex);
        }
}

static void *null_or_failure(void *arg) {
    ledger_run(arg);
    return (uintptr_t)arg % 2 ? NULL : exec_fail(EIO);
}

TEST(stream_end, close_frees_no_null_and_nothing_of_items_that_failed) {
    struct source src = {.n = SIZE_MAX};
    exec_item item;
    executor_t *ex = pool_of_its_own(2);
    exec_stream_t *s =
        stream_of(ex, &src, null_or_failure, &(exec_stream_opts){.window = 100, .free_result = must_not_free});
    for (int handed = 0; atomic_load(&ledger.nruns) < handed + 2; handed++) /* one of either kind is left */
        check(next_item(s, &src, &item));
    exec_stream_close(s);
    executor_destroy(ex);
}

TEST(stream_end, close_needs_neither_drop_nor_free_result) {
    for (int i = 0; i < 50; i++) {
        struct source src = {.n = SIZE_MAX};
        exec_item item;
        executor_t *ex = pool(2);
        exec_stream_t *s = stream_of(ex, &src, ledger_run, NULL);
        ledger_reset();
        for (int k = 0; k < i; k++)
            check(next_item(s, &src, &item));
        exec_stream_close(s);
        at_most(atomic_load(&ledger.nruns), (intmax_t)src.taken);
        executor_destroy(ex);
    }
}

static struct gate cancel_is_pending;

static void *close_with_a_cancel_pending(void *stream) {
    int old;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    gate_wait(&cancel_is_pending);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
    exec_stream_close(stream);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    return stream;
}

TEST(stream_end, close_is_no_cancellation_point) {
    struct source src = {.n = SIZE_MAX};
    exec_item item;
    executor_t *ex = pool_of_its_own(2);
    stopping.begun = (struct gate)GATE(1);
    cancel_is_pending = (struct gate)GATE(1);
    exec_stream_t *s = stream_of(ex, &src, first_returns, ledger_opts((exec_stream_opts){.window = 8}));
    check(next_item(s, &src, &item));
    gate_wait(&stopping.begun);
    pthread_t thread = start(close_with_a_cancel_pending, s);
    ok(pthread_cancel(thread));
    gate_open(&cancel_is_pending);
    eq_ptr(finish(thread), s);
    ledger_balances(&src, false);
    executor_destroy(ex);
}

static exec_stream_t *own_stream;
static struct gate own_stream_is_set;

static void *close_own_stream(void *arg) {
    gate_wait(&own_stream_is_set);
    exec_stream_close(own_stream);
    return arg;
}

TEST(stream_end, close_does_nothing_in_an_item_of_the_stream) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct source src = {.n = 20};
        exec_item item;
        executor_t *ex = pool(workers);
        own_stream_is_set = (struct gate)GATE(1);
        own_stream = stream_of(ex, &src, close_own_stream, NULL);
        gate_open(&own_stream_is_set);
        while (next_item(own_stream, &src, &item)) {
            eq_err(item.error, 0);
            eq_ptr(item.result, item.arg);
        }
        eq_int(src.handed, 20);
        eq_err(take_all(own_stream, &src), 0);
        executor_destroy(ex);
    }
}

/* ---- a consumer that is cancelled ---- */

/* Cancels its thread when it is asked for the fourth. */
static int next_that_cancels(void *source, void **arg) {
    if (((struct source *)source)->taken == 3)
        ok(pthread_cancel(pthread_self()));
    pthread_testcancel();
    return source_next(source, arg);
}

/* The second item ends when it is asked to. */
static void *take_until_cancelled(void *arg) {
    struct source *src = arg;
    exec_item item;
    src->consumer = gettid();
    while (exec_stream_next(own_stream, &item)) {
        src->handed++;
        ledger.handed[(uintptr_t)item.arg] = true;
    }
    FAIL("a stream ended with %d, instead of the thread", item.error);
}

TEST(stream_end, next_is_a_cancellation_point_but_the_source_is_none) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int unordered = 0; unordered < 2; unordered++) {
            struct source src = {.n = SIZE_MAX, .window = 8};
            executor_t *ex = pool_of_its_own(workers);
            exec_stream_opts opts = {.window = 8, .unordered = unordered};
            stopping.begun = (struct gate)GATE(1);
            ledger_reset();
            ok(exec_stream_open(ex, next_that_cancels, &src, first_returns, ledger_opts(opts), &own_stream));
            eq_ptr(finish(start(take_until_cancelled, &src)), PTHREAD_CANCELED);
            at_least(src.taken, 4);
            exec_stream_close(own_stream);
            ledger_balances(&src, false);
            executor_destroy(ex);
        }
}
