/* test_map_options.c - what a map may be told: how many threads take part, how many items one claims at once, and whom
 * to tell how far it is. The options that end it early are in test_map_stop.c. */
#include "helpers.h"

static int no_hook(void *ctx, unsigned worker) {
    (void)ctx, (void)worker;
    return 0;
}

/* With `own`, its tasks need its own threads, and a caller from outside only waits. */
static executor_t *pool_of_kind(unsigned workers, bool own) {
    return pool_of((executor_opts){.workers = workers, .on_start = own ? no_hook : NULL});
}

/* ---- max_running ---- */

static void *pass_the_meter(void *meter) {
    meter_enter(meter);
    nap(EXEC_US(20));
    meter_leave(meter);
    return meter;
}

static void range_through_the_meter(size_t begin, size_t end, void *meter) {
    (void)begin, (void)end;
    pass_the_meter(meter);
}

TEST(map_options, never_more_than_max_running_run_at_once) {
    for (unsigned workers = 1; workers <= 4; workers++)
        for (size_t most = 1; most <= 5; most++)
            for (int own = 0; own < 2; own++) {
                struct meter meter = {0};
                void *args[100];
                executor_t *ex = pool_of_kind(workers, own);
                const exec_map_opts opts = {.max_running = most, .chunk = 1};
                for (int i = 0; i < 100; i++)
                    args[i] = &meter;
                ok(executor_map(ex, pass_the_meter, args, NULL, 100, &opts));
                ok(executor_for(ex, 100, range_through_the_meter, &meter, &opts));
                between(atomic_load(&meter.most), 1, (intmax_t)(most < workers ? most : workers));
                executor_destroy(ex);
            }
}

static void *meet(void *gate) {
    gate_open(gate);
    gate_wait(gate);
    return NULL;
}

TEST(map_options, as_many_as_max_running_do_run_at_once) {
    const size_t enough[] = {0, 3, 4, SIZE_MAX};
    executor_t *ex = pool(3);
    for (int round = 0; round < 20; round++) {
        struct gate all_in = GATE(3);
        void *args[3] = {&all_in, &all_in, &all_in};
        ok(executor_map(ex, meet, args, NULL, 3, &(exec_map_opts){.max_running = enough[round % 4]}));
        all_in = (struct gate)GATE(2);
        ok(executor_map(ex, meet, args, NULL, 2, &(exec_map_opts){.max_running = 2}));
    }
    executor_destroy(ex);
}

static void *is_on(void *tid) {
    eq_int(gettid(), *(pid_t *)tid);
    return NULL;
}

static void *map_on_this_thread(void *ex) {
    pid_t self = gettid();
    void *args[300];
    for (int i = 0; i < 300; i++)
        args[i] = &self;
    ok(executor_map(ex, is_on, args, NULL, 300, &(exec_map_opts){.max_running = 1}));
    return NULL;
}

TEST(map_options, with_one_running_the_caller_does_it_all) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        map_on_this_thread(ex);
        ok(outcome(submit(ex, map_on_this_thread, ex)));
        executor_destroy(ex);
    }
}

struct inner {
    executor_t *ex;
    struct meter *meter;
};

static void *map_metered(void *arg) {
    const struct inner *inner = arg;
    struct meter mine = {0};
    void *args[20];
    for (int i = 0; i < 20; i++)
        args[i] = &mine;
    meter_enter(inner->meter);
    ok(executor_map(inner->ex, pass_the_meter, args, NULL, 20, &(exec_map_opts){.max_running = 2}));
    meter_leave(inner->meter);
    between(atomic_load(&mine.most), 1, 2);
    return NULL;
}

TEST(map_options, each_of_maps_in_a_map_has_a_max_running_of_its_own) {
    struct meter meter = {0};
    executor_t *ex = pool(4);
    struct inner inner = {ex, &meter};
    void *args[20];
    for (int i = 0; i < 20; i++)
        args[i] = &inner;
    ok(executor_map(ex, map_metered, args, NULL, 20, &(exec_map_opts){.max_running = 2}));
    between(atomic_load(&meter.most), 1, 2);
    executor_destroy(ex);
}

/* ---- chunk ---- */

struct cover {
    atomic_uchar *touched;
    size_t n, chunk;
    atomic_size_t ranges;
};

static void touch_chunk(size_t begin, size_t end, void *ctx) {
    struct cover *cover = ctx;
    eq_int(begin % cover->chunk, 0);
    eq_int(end - begin, cover->n - begin < cover->chunk ? cover->n - begin : cover->chunk);
    for (size_t i = begin; i < end; i++)
        eq_int(atomic_fetch_add(&cover->touched[i], 1), 0);
    atomic_fetch_add(&cover->ranges, 1);
}

TEST(map_options, the_ranges_of_a_loop_have_the_size_of_the_chunk_but_the_last) {
    static atomic_uchar touched[10000];
    const size_t sizes[] = {1, 2, 7, 100, 1000, 10000}, chunks[] = {1, 2, 3, 99, 100, 101, 5000, 10000, SIZE_MAX};
    for (unsigned workers = 1; workers <= 4; workers++) {
        executor_t *ex = pool(workers);
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
                struct cover cover = {.touched = touched, .n = sizes[k], .chunk = chunks[c]};
                memset(touched, 0, sizeof touched);
                ok(executor_for(ex, cover.n, touch_chunk, &cover, &(exec_map_opts){.chunk = cover.chunk}));
                for (size_t i = 0; i < cover.n; i++)
                    eq_int(atomic_load(&touched[i]), 1);
                eq_int(atomic_load(&cover.ranges), (cover.n - 1) / cover.chunk + 1);
            }
        executor_destroy(ex);
    }
}

struct whole {
    atomic_size_t covered, ranges;
};

static void add_up(size_t begin, size_t end, void *ctx) {
    struct whole *whole = ctx;
    atomic_fetch_add(&whole->covered, end - begin);
    atomic_fetch_add(&whole->ranges, 1);
}

TEST(map_options, chunks_as_large_as_numbers_go_are_claimed_once) {
    const size_t chunks[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1, SIZE_MAX / 2, SIZE_MAX / 3, SIZE_MAX / 64};
    for (unsigned workers = 1; workers <= 4; workers++)
        for (int i = 0; i < 6; i++) {
            struct whole whole = {0};
            executor_t *ex = pool(workers);
            ok(executor_for(ex, SIZE_MAX, add_up, &whole, &(exec_map_opts){.chunk = chunks[i]}));
            check(atomic_load(&whole.covered) == SIZE_MAX);
            eq_int(atomic_load(&whole.ranges), (SIZE_MAX - 1) / chunks[i] + 1);
            executor_destroy(ex);
        }
}

static void *note_thread(void *tid) {
    atomic_store((atomic_int *)tid, gettid());
    return tid;
}

TEST(map_options, the_items_of_a_chunk_run_on_one_thread) {
    enum { N = 1000 };
    static atomic_int tids[N];
    static void *args[N], *results[N];
    const size_t chunks[] = {1, 2, 10, 333, N, N + 1, SIZE_MAX};
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
            for (int i = 0; i < N; i++) {
                args[i] = &tids[i];
                atomic_store(&tids[i], 0);
            }
            ok(executor_map(ex, note_thread, args, results, N, &(exec_map_opts){.chunk = chunks[c]}));
            for (size_t i = 0; i < N; i++) {
                check(atomic_load(&tids[i]) != 0);
                eq_int(atomic_load(&tids[i]), atomic_load(&tids[i - i % chunks[c]]));
                eq_ptr(results[i], args[i]);
            }
        }
        executor_destroy(ex);
    }
}

/* ---- progress ---- */

static atomic_size_t naps; /* how many are over */

struct progress {
    size_t n, last, first, failed;
    int calls, between; /* and how many neither at the begin nor at the end */
    atomic_bool inside;
    pid_t last_tid;
    exec_time began;
    bool counts; /* its items are naps */
};

/* Nothing here orders two calls, so ThreadSanitizer sees those that nothing else does. */
static void progress(size_t done, size_t total, void *ctx) {
    struct progress *p = ctx;
    check(!atomic_exchange_explicit(&p->inside, true, memory_order_relaxed));
    eq_int(total, p->n);
    check(p->last <= done && done <= total);
    check(!p->counts || done <= atomic_load(&naps));
    p->last = done;
    p->first = p->calls++ == 0 ? done : p->first;
    p->between += done > 0 && done < total;
    p->last_tid = gettid();
    errno = 77;
    atomic_store_explicit(&p->inside, false, memory_order_relaxed);
}

static exec_map_opts with_progress(struct progress *p, size_t n, exec_map_opts opts) {
    *p = (struct progress){.n = n, .began = exec_now()};
    atomic_store(&naps, 0);
    errno = 1234;
    opts.progress = progress;
    opts.progress_ctx = p;
    opts.failed = &p->failed;
    return opts;
}

/* The call has returned. */
static void ended_well(const struct progress *p) {
    eq_int(errno, 1234);
    exec_time took = exec_now() - p->began;
    eq_int(p->last, p->n);
    eq_int(p->last_tid, gettid());
    between(p->calls, 1, took / EXEC_MS(50) + 2);
}

/* And some of its items have run. */
static void went_well(const struct progress *p) {
    ended_well(p);
    eq_int(p->first, 0);
    at_least(p->calls, 2);
}

static void range_of_nothing(size_t begin, size_t end, void *ctx) {
    (void)begin, (void)end, (void)ctx;
}

static void *nap_a_little(void *arg) {
    nap((exec_time)(intptr_t)arg);
    atomic_fetch_add(&naps, 1);
    return arg;
}

TEST(map_options, progress_is_told_of_the_end_by_the_calling_thread) {
    const size_t sizes[] = {1, 2, 10, 1000};
    static void *args[1000];
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int own = 0; own < 2; own++)
            for (int i = 0; i < 4; i++) {
                struct progress p;
                executor_t *ex = pool_of_kind(workers, own);
                exec_map_opts opts = with_progress(&p, sizes[i], (exec_map_opts){0});
                ok(executor_map(ex, identity, args, NULL, sizes[i], &opts));
                went_well(&p);
                opts = with_progress(&p, sizes[i], (exec_map_opts){.chunk = 7});
                ok(executor_for(ex, sizes[i], range_of_nothing, NULL, &opts));
                went_well(&p);
                executor_destroy(ex);
            }
}

TEST(map_options, progress_is_told_once_of_a_map_of_nothing) {
    for (int own = 0; own < 2; own++) {
        struct progress p;
        executor_t *ex = pool_of_kind(2, own);
        exec_map_opts opts = with_progress(&p, 0, (exec_map_opts){.deadline = 1, .stop_on_error = true});
        ok(executor_map(ex, must_not_run, NULL, NULL, 0, &opts));
        eq_int(p.calls, 1);
        eq_int(p.last_tid, gettid());
        ok(executor_for(ex, 0, range_of_nothing, NULL, &opts));
        eq_int(p.calls, 2);
        executor_destroy(ex);
    }
}

static void nap_each(size_t begin, size_t end, void *ctx) {
    (void)ctx;
    nap((exec_time)(end - begin) * EXEC_MS(10));
    atomic_fetch_add(&naps, end - begin);
}

TEST(map_options, progress_is_told_on_the_way_when_it_takes_long) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int own = 0; own < 2; own++) {
            struct progress p;
            void *args[40];
            executor_t *ex = pool_of_kind(workers, own);
            for (int i = 0; i < 40; i++)
                args[i] = (void *)(intptr_t)EXEC_MS(10);
            exec_map_opts opts = with_progress(&p, 40, (exec_map_opts){0});
            p.counts = true;
            ok(executor_map(ex, nap_a_little, args, NULL, 40, &opts));
            went_well(&p);
            at_least(p.between, 1);
            opts = with_progress(&p, 40, (exec_map_opts){.chunk = 1});
            p.counts = true;
            ok(executor_for(ex, 40, nap_each, NULL, &opts));
            went_well(&p);
            at_least(p.between, 1);
            executor_destroy(ex);
        }
}

static void count_quick(size_t begin, size_t end, void *counter) {
    atomic_fetch_add((atomic_size_t *)counter, end - begin);
}

TEST(map_options, progress_comes_at_a_bounded_rate_however_quick_the_items_are) {
    static void *args[200000];
    executor_t *ex = pool(2);
    for (int round = 0; round < 5; round++) {
        struct progress p;
        atomic_size_t counter = 0;
        exec_map_opts opts = with_progress(&p, 200000, (exec_map_opts){0});
        ok(executor_map(ex, identity, args, NULL, 200000, &opts));
        went_well(&p);
        opts = with_progress(&p, 2000000, (exec_map_opts){.chunk = 3});
        ok(executor_for(ex, 2000000, count_quick, &counter, &opts));
        went_well(&p);
        eq_int(atomic_load(&counter), 2000000);
    }
    executor_destroy(ex);
}

/* Counts up to 20 with the progress of its map, on whichever thread. */
static void *map_with_progress(void *ex) {
    struct progress p;
    void *args[20];
    for (int i = 0; i < 20; i++)
        args[i] = (void *)(intptr_t)EXEC_US(100);
    exec_map_opts opts = with_progress(&p, 20, (exec_map_opts){0});
    ok(executor_map(ex, nap_a_little, args, NULL, 20, &opts));
    went_well(&p);
    return NULL;
}

TEST(map_options, maps_in_a_map_have_each_a_progress_of_its_own) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct progress p;
        void *args[50];
        executor_t *ex = pool(workers);
        for (int i = 0; i < 50; i++)
            args[i] = ex;
        exec_map_opts opts = with_progress(&p, 50, (exec_map_opts){0});
        ok(executor_map(ex, map_with_progress, args, NULL, 50, &opts));
        went_well(&p);
        ok(outcome(submit(ex, map_with_progress, ex)));
        executor_destroy(ex);
    }
}

/* ---- progress of what fails, is skipped, or does not happen ---- */

static void *fail_or_leave(void *arg) {
    if ((intptr_t)arg % 50 == 13)
        pthread_exit(NULL);
    return (intptr_t)arg % 3 ? arg : exec_fail(EDOM);
}

TEST(map_options, progress_counts_items_that_fail_leave_their_thread_or_are_skipped) {
    static void *args[300];
    static int errors[300];
    for (intptr_t i = 0; i < 300; i++)
        args[i] = (void *)i;
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int stop = 0; stop < 2; stop++) {
            struct progress p;
            executor_t *ex = pool(workers);
            exec_map_opts opts = with_progress(&p, 300, (exec_map_opts){.stop_on_error = stop, .errors = errors});
            eq_err(executor_map(ex, fail_or_leave, args, NULL, 300, &opts), EDOM);
            went_well(&p);
            eq_err(errors[299], stop ? ECANCELED : 0);
            size_t failed = 0;
            for (int i = 0; i < 300; i++)
                failed += errors[i] != 0;
            eq_int(p.failed, failed);
            opts.progress = NULL;
            eq_err(executor_map(ex, fail_or_leave, args, NULL, 300, &opts), EDOM);
            at_least(p.failed, 1);
            executor_destroy(ex);
        }
}

static void *until_asked(void *unused) {
    eq_err(exec_sleep(EXEC_NEVER), ECANCELED);
    return unused;
}

TEST(map_options, progress_is_told_of_the_end_after_a_deadline) {
    const exec_time time_left[] = {-1, EXEC_MS(10), EXEC_MS(150)};
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int way = 0; way < 6; way++) {
            struct progress p;
            void *args[100] = {0};
            executor_t *ex = pool_of_kind(workers, way & 1);
            exec_map_opts opts = {.deadline = exec_after(time_left[way / 2])};
            opts = with_progress(&p, 100, opts);
            eq_err(executor_map(ex, until_asked, args, NULL, 100, &opts), ETIMEDOUT);
            ended_well(&p);
            between(p.failed, 100 - workers, 100); /* those that ran have succeeded */
            executor_destroy(ex);
        }
}

static void *discard_and_wait(void *ex) {
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    return until_asked(NULL);
}

TEST(map_options, progress_is_told_of_the_end_when_the_executor_discards) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int own = 0; own < 2; own++) {
            struct progress p;
            void *args[100];
            executor_t *ex = pool_of_kind(workers, own);
            for (int i = 0; i < 100; i++)
                args[i] = ex;
            exec_map_opts opts = with_progress(&p, 100, (exec_map_opts){0});
            eq_err(executor_map(ex, discard_and_wait, args, NULL, 100, &opts), ECANCELED);
            went_well(&p);
            executor_destroy(ex);
        }
}

static void no_progress(size_t done, size_t total, void *ctx) {
    (void)ctx;
    FAIL("a progress of %zu of %zu where nothing happened", done, total);
}

TEST(map_options, there_is_no_progress_where_nothing_has_run_or_been_skipped) {
    size_t failed = 1234;
    const exec_map_opts opts = {.progress = no_progress, .failed = &failed};
    void *arg = NULL;
    executor_t *ex = pool(2);
    eq_err(executor_map(NULL, must_not_run, &arg, NULL, 1, &opts), EINVAL);
    eq_err(executor_map(ex, NULL, &arg, NULL, 1, &opts), EINVAL);
    eq_err(executor_map(ex, must_not_run, NULL, NULL, 1, &opts), EINVAL);
    eq_err(executor_for(ex, 1, NULL, NULL, &opts), EINVAL);
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    eq_err(executor_map(ex, must_not_run, &arg, NULL, 1, &opts), ESHUTDOWN);
    eq_err(executor_for(ex, 1, range_of_nothing, NULL, &opts), ESHUTDOWN);
    eq_int(failed, 1234);
    executor_destroy(ex);
}
