/* test_for.c - executor_for: its ranges cover each index once, fail as one, and end early. */
#include "helpers.h"

struct cover {
    atomic_uchar *touched;
    size_t n, fail_at; /* the range that holds fail_at fails */
    size_t failed_begin, failed_end;
};

static void touch(size_t begin, size_t end, void *ctx) {
    struct cover *cover = ctx;
    check(begin < end && end <= cover->n);
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&cover->touched[i], 1);
    if (begin <= cover->fail_at && cover->fail_at < end) {
        cover->failed_begin = begin, cover->failed_end = end;
        exec_fail(EDOM);
    }
}

TEST(for_range, a_loop_covers_each_index_once) {
    static atomic_uchar touched[100000];
    const size_t sizes[] = {1, 2, 3, 10, 1000, 100000};
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            struct cover cover = {.touched = touched, .n = sizes[k], .fail_at = SIZE_MAX};
            memset(touched, 0, sizeof touched);
            ok(executor_for(ex, cover.n, touch, &cover, NULL));
            for (size_t i = 0; i < cover.n; i++)
                eq_int(atomic_load(&touched[i]), 1);
        }
        executor_destroy(ex);
    }
}

TEST(for_range, a_range_that_fails_is_the_error_of_each_of_its_indices) {
    enum { N = 1000 };
    static atomic_uchar touched[N];
    static int errors[N];
    executor_t *ex = pool(2);
    for (size_t fail_at = 0; fail_at < N; fail_at += 333) {
        struct cover cover = {.touched = touched, .n = N, .fail_at = fail_at};
        memset(errors, 0xff, sizeof errors);
        memset(touched, 0, sizeof touched);
        eq_err(executor_for(ex, N, touch, &cover, &(exec_map_opts){.errors = errors}), EDOM);
        for (size_t i = 0; i < N; i++) {
            eq_int(atomic_load(&touched[i]), 1);
            eq_err(errors[i], cover.failed_begin <= i && i < cover.failed_end ? EDOM : 0);
        }
    }
    executor_destroy(ex);
}

static void fail_at_once(size_t begin, size_t end, void *runs) {
    (void)begin, (void)end;
    atomic_fetch_add((atomic_int *)runs, 1);
    exec_fail(EDOM);
}

TEST(for_range, a_loop_without_end_stops_at_its_first_failure) {
    atomic_int runs = 0;
    executor_t *ex = pool(3);
    eq_err(executor_for(ex, SIZE_MAX, fail_at_once, &runs, &(exec_map_opts){.stop_on_error = true}), EDOM);
    between(atomic_load(&runs), 1, 3);
    executor_destroy(ex);
}
