/* test_map.c - executor_map and executor_for: order, who works, errors, maps inside of maps and of tasks. How they are
 * ended early is in test_map_stop.c. */
#include "helpers.h"

enum { MOST = 5000 };

static void *plus_one(void *arg) {
    return (void *)((intptr_t)arg + 1);
}

static void number(void *args[], size_t n) {
    for (size_t i = 0; i < n; i++)
        args[i] = (void *)(intptr_t)(i * 3);
}

static void all_plus_one(void *results[], size_t n) {
    for (size_t i = 0; i < n; i++)
        eq_int((intptr_t)results[i], i * 3 + 1);
}

/* ---- order ---- */

TEST(map, results_keep_the_order_of_the_arguments) {
    static void *args[MOST], *results[MOST];
    const size_t sizes[] = {1, 2, 3, 7, 64, 65, 1000, MOST};
    number(args, MOST);
    for (unsigned workers = 1; workers <= 4; workers++) {
        executor_t *ex = pool(workers);
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            memset(results, 0xff, sizeof results);
            ok(executor_map(ex, plus_one, args, results, sizes[i], NULL));
            all_plus_one(results, sizes[i]);
            if (sizes[i] < MOST)
                eq_int((intptr_t)results[sizes[i]], -1);
        }
        executor_destroy(ex);
    }
}

TEST(map, results_may_be_the_arguments) {
    static void *args[1000];
    executor_t *ex = pool(2);
    number(args, 1000);
    ok(executor_map(ex, plus_one, args, args, 1000, NULL));
    all_plus_one(args, 1000);
    executor_destroy(ex);
}

TEST(map, results_may_be_null) {
    atomic_int counter = 0;
    void *args[100];
    executor_t *ex = pool(2);
    for (int i = 0; i < 100; i++)
        args[i] = &counter;
    ok(executor_map(ex, count_up, args, NULL, 100, NULL));
    eq_int(atomic_load(&counter), 100);
    executor_destroy(ex);
}

static void no_range(size_t begin, size_t end, void *ctx) {
    (void)ctx;
    FAIL("a range from %zu to %zu of nothing", begin, end);
}

TEST(map, a_map_of_nothing_returns_0) {
    void *arg = NULL, *result = &arg;
    executor_t *ex = pool(2);
    ok(executor_map(ex, must_not_run, &arg, &result, 0, NULL));
    ok(executor_map(ex, must_not_run, NULL, NULL, 0, &(exec_map_opts){.deadline = 1, .stop_on_error = true}));
    ok(executor_for(ex, 0, no_range, NULL, NULL));
    eq_ptr(result, &arg);
    executor_destroy(ex);
}

TEST(map, what_is_null_is_einval_and_nothing_runs) {
    void *arg = NULL;
    executor_t *ex = pool(1);
    eq_err(executor_map(NULL, must_not_run, &arg, NULL, 1, NULL), EINVAL);
    eq_err(executor_map(ex, NULL, &arg, NULL, 1, NULL), EINVAL);
    eq_err(executor_map(ex, must_not_run, NULL, NULL, 1, NULL), EINVAL);
    eq_err(executor_for(NULL, 1, no_range, NULL, NULL), EINVAL);
    eq_err(executor_for(ex, 1, NULL, NULL, NULL), EINVAL);
    executor_destroy(ex);
}

/* ---- who works ---- */

static void *meet(void *gate) {
    gate_open(gate);
    gate_wait(gate);
    return NULL;
}

TEST(map, as_many_slow_items_run_at_once_as_there_are_workers) {
    for (unsigned workers = 1; workers <= 4; workers++) {
        executor_t *ex = pool(workers);
        for (int round = 0; round < 20; round++) {
            struct gate all_in = GATE((int)workers);
            void *args[4] = {&all_in, &all_in, &all_in, &all_in};
            ok(executor_map(ex, meet, args, NULL, workers, NULL));
        }
        executor_destroy(ex);
    }
}

struct domino {
    struct gate *second_ran;
    int number;
};

static void *first_awaits_second(void *arg) {
    const struct domino *item = arg;
    if (item->number == 0)
        gate_wait(item->second_ran);
    if (item->number == 1)
        gate_open(item->second_ran);
    return NULL;
}

TEST(map, items_are_claimed_one_by_one_at_first) {
    executor_t *ex = pool(2);
    for (int round = 0; round < 20; round++) {
        struct gate second_ran = GATE(1);
        struct domino items[300];
        void *args[300];
        for (int i = 0; i < 300; i++) {
            items[i] = (struct domino){&second_ran, i};
            args[i] = &items[i];
        }
        ok(executor_map(ex, first_awaits_second, args, NULL, 300, NULL));
    }
    executor_destroy(ex);
}

static void *pass_the_meter(void *meter) {
    meter_enter(meter);
    sched_yield();
    meter_leave(meter);
    return NULL;
}

TEST(map, no_more_items_run_at_once_than_there_are_workers_the_caller_included) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct meter meter = {0};
        void *args[300];
        executor_t *ex = pool(workers);
        for (int i = 0; i < 300; i++)
            args[i] = &meter;
        for (int round = 0; round < 5; round++)
            ok(executor_map(ex, pass_the_meter, args, NULL, 300, NULL));
        between(atomic_load(&meter.most), 1, workers);
        executor_destroy(ex);
    }
}

TEST(map, the_caller_does_it_all_while_the_workers_are_busy) {
    struct plug a = PLUG, b = PLUG;
    static void *args[1000];
    executor_t *ex = pool(2);
    future_t *fa = plug_in(ex, &a), *fb = plug_in(ex, &b);
    number(args, 1000);
    ok(executor_map(ex, plus_one, args, args, 1000, NULL));
    all_plus_one(args, 1000);
    plug_out(&a), plug_out(&b);
    take(fa), take(fb);
    executor_destroy(ex);
}

TEST(map, a_full_queue_neither_holds_a_map_up_nor_loses_a_task_for_it) {
    for (int when_full = EXECUTOR_BLOCK; when_full <= EXECUTOR_DROP_OLDEST; when_full++) {
        struct plug a = PLUG, b = PLUG;
        static void *args[1000];
        executor_t *ex =
            pool_of((executor_opts){.workers = 2, .capacity = 1, .when_full = (enum executor_when_full)when_full});
        future_t *fa = plug_in(ex, &a), *fb = plug_in(ex, &b), *queued = submit(ex, identity, ex);
        number(args, 1000);
        ok(executor_map(ex, plus_one, args, args, 1000, NULL));
        all_plus_one(args, 1000);
        eq_state(queued, FUTURE_PENDING);
        plug_out(&a), plug_out(&b);
        take(fa), take(fb);
        eq_ptr(take(queued), ex);
        executor_destroy(ex);
    }
}

static int nothing_to_do(void *ctx, unsigned worker) {
    (void)ctx, (void)worker;
    return 0;
}

static void *is_not_on(void *thread) {
    check(!pthread_equal(pthread_self(), *(pthread_t *)thread));
    return NULL;
}

TEST(map, a_caller_from_outside_only_waits_where_tasks_need_the_executors_own_threads) {
    pthread_t self = pthread_self();
    void *args[200];
    const executor_opts opts[] = {{.workers = 2, .on_start = nothing_to_do}, {.workers = 1, .stack_size = 1 << 20}};
    for (int i = 0; i < 200; i++)
        args[i] = &self;
    for (int i = 0; i < 2; i++) {
        executor_t *ex = pool_of(opts[i]);
        ok(executor_map(ex, is_not_on, args, NULL, 200, NULL));
        executor_destroy(ex);
    }
}

struct shared {
    executor_t *ex;
    atomic_int tid;
};

static void *map_thousand(void *arg) {
    static void *args[1000];
    struct shared *shared = arg;
    number(args, 1000);
    atomic_store(&shared->tid, gettid());
    ok(executor_map(shared->ex, plus_one, args, args, 1000, NULL));
    all_plus_one(args, 1000);
    return NULL;
}

TEST(map, a_map_that_waits_in_a_queue_that_drops_the_oldest_is_not_lost) {
    struct plug plug = PLUG;
    const executor_opts opts = {
        .workers = 1, .capacity = 1, .when_full = EXECUTOR_DROP_OLDEST, .on_start = nothing_to_do};
    struct shared shared = {.ex = pool_of(opts)};
    future_t *f = plug_in(shared.ex, &plug);
    pthread_t thread = start(map_thousand, &shared);
    for (int i = 0; i < 5; i++) {
        wait_until_asleep(&shared.tid);
        future_unref(submit(shared.ex, identity, NULL));
    }
    plug_out(&plug);
    finish(thread);
    take(f);
    executor_destroy(shared.ex);
}

static void *map_again_and_again(void *arg) {
    const struct shared *shared = arg;
    void *args[200];
    for (int round = 0; round < 20; round++) {
        number(args, 200);
        ok(executor_map(shared->ex, plus_one, args, args, 200, NULL));
        all_plus_one(args, 200);
    }
    return NULL;
}

TEST(map, several_threads_may_map_at_once) {
    struct shared shared = {.ex = pool(3)};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = start(map_again_and_again, &shared);
    for (int i = 0; i < 4; i++)
        finish(threads[i]);
    executor_destroy(shared.ex);
}

/* ---- errors ---- */

/* Fails with 1000 + its number when that leaves `remainder` modulo 7. */
struct failing {
    int number, remainder;
    atomic_int *runs;
};

static void *fail_some(void *arg) {
    const struct failing *item = arg;
    atomic_fetch_add(item->runs, 1);
    return item->number % 7 == item->remainder ? exec_fail(1000 + item->number) : arg;
}

TEST(map, every_item_runs_and_the_error_of_the_lowest_index_is_returned) {
    enum { N = 500 };
    static struct failing items[N];
    static void *args[N], *results[N];
    static int errors[N];
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        for (int remainder = 0; remainder <= 7; remainder++) {
            atomic_int runs = 0;
            for (int i = 0; i < N; i++) {
                items[i] = (struct failing){i, remainder, &runs};
                args[i] = &items[i];
                results[i] = &runs;
                errors[i] = -1;
            }
            int error = executor_map(ex, fail_some, args, results, N, &(exec_map_opts){.errors = errors});
            eq_err(error, remainder < 7 ? 1000 + remainder : 0);
            eq_int(atomic_load(&runs), N);
            for (int i = 0; i < N; i++) {
                bool failed = i % 7 == remainder;
                eq_err(errors[i], failed ? 1000 + i : 0);
                eq_ptr(results[i], failed ? NULL : &items[i]);
            }
        }
        executor_destroy(ex);
    }
}

/* Fails with its error, the others before it if it is the lowest. */
struct in_turn {
    struct gate *others; /* have failed */
    bool lowest;
    int error;
};

static void *fail_in_turn(void *arg) {
    const struct in_turn *item = arg;
    if (item->lowest)
        gate_wait(item->others);
    else
        gate_open(item->others);
    return exec_fail(item->error);
}

TEST(map, the_error_of_the_lowest_index_is_returned_also_when_it_comes_last) {
    executor_t *ex = pool(2);
    for (int round = 0; round < 20; round++) {
        struct gate others = GATE(1);
        struct in_turn items[2] = {{&others, true, EDOM}, {&others, false, EIO}};
        void *args[2] = {&items[0], &items[1]};
        int errors[2];
        eq_err(executor_map(ex, fail_in_turn, args, NULL, 2, &(exec_map_opts){.errors = errors}), EDOM);
        eq_err(errors[0], EDOM);
        eq_err(errors[1], EIO);
    }
    executor_destroy(ex);
}

TEST(map, an_item_that_fails_with_ecanceled_is_an_error_like_any_other) {
    void *args[2] = {as_error(ECANCELED), as_error(EIO)};
    int errors[2] = {-1, -1};
    executor_t *ex = pool(2);
    eq_err(executor_map(ex, fail_with, args, NULL, 2, &(exec_map_opts){.errors = errors}), ECANCELED);
    eq_err(errors[0], ECANCELED);
    eq_err(errors[1], EIO);
    executor_destroy(ex);
}

TEST(map, an_error_that_is_not_positive_counts_as_einval) {
    void *args[2] = {as_error(0), as_error(-EIO)};
    int errors[2] = {-1, -1};
    executor_t *ex = pool(1);
    eq_err(executor_map(ex, fail_with, args, NULL, 2, &(exec_map_opts){.errors = errors}), EINVAL);
    eq_err(errors[0], EINVAL);
    eq_err(errors[1], EINVAL);
    executor_destroy(ex);
}

/* ---- in tasks, and in each other ---- */

struct nest {
    executor_t *ex;
    int levels;
    atomic_int leaves;
};

static void *map_below(void *arg);

struct floor {
    struct nest *nest;
    int level;
};

static void *map_below(void *arg) {
    const struct floor *here = arg;
    struct floor below[5];
    void *args[5];
    if (here->level == here->nest->levels)
        return count_up(&here->nest->leaves);
    for (int i = 0; i < 5; i++) {
        below[i] = (struct floor){here->nest, here->level + 1};
        args[i] = &below[i];
    }
    ok(executor_map(here->nest->ex, map_below, args, NULL, 5, NULL));
    return NULL;
}

TEST(map, a_map_in_a_map_in_a_map_ends) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct nest nest = {.ex = pool(workers), .levels = 4};
        struct floor top = {&nest, 0};
        map_below(&top);
        eq_int(atomic_load(&nest.leaves), 625);
        ok(outcome(submit(nest.ex, map_below, &top)));
        eq_int(atomic_load(&nest.leaves), 1250);
        executor_destroy(nest.ex);
    }
}

TEST(map, tasks_may_map_all_at_once) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct nest nest = {.ex = pool(workers), .levels = 2};
        struct floor top = {&nest, 0};
        future_t *fs[10];
        for (int i = 0; i < 10; i++)
            fs[i] = submit(nest.ex, map_below, &top);
        for (int i = 0; i < 10; i++)
            ok(outcome(fs[i]));
        eq_int(atomic_load(&nest.leaves), 250);
        executor_destroy(nest.ex);
    }
}

static void *submit_and_get(void *arg) {
    const struct shared *shared = arg;
    eq_ptr(take(submit(shared->ex, identity, arg)), arg);
    return NULL;
}

TEST(map, items_may_submit_and_wait) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct shared shared = {.ex = pool(workers)};
        void *args[50];
        for (int i = 0; i < 50; i++)
            args[i] = &shared;
        for (int round = 0; round < 10; round++)
            ok(executor_map(shared.ex, submit_and_get, args, NULL, 50, NULL));
        executor_destroy(shared.ex);
    }
}

/* ---- shut down ---- */

TEST(map, from_outside_of_an_executor_that_was_shut_down_it_is_eshutdown) {
    for (int mode = EXECUTOR_DRAIN; mode <= EXECUTOR_DISCARD; mode++) {
        void *arg = NULL;
        executor_t *ex = pool(2);
        ok(executor_shutdown(ex, (enum executor_shutdown)mode));
        eq_err(executor_map(ex, must_not_run, &arg, NULL, 1, NULL), ESHUTDOWN);
        eq_err(executor_for(ex, 10, no_range, NULL, NULL), ESHUTDOWN);
        ok(executor_join(ex, EXEC_NEVER));
        eq_err(executor_map(ex, must_not_run, &arg, NULL, 1, NULL), ESHUTDOWN);
        executor_destroy(ex);
    }
}

static void *shut_down_and_map(void *arg) {
    struct nest *nest = arg;
    struct floor top = {nest, 0};
    ok(executor_shutdown(nest->ex, EXECUTOR_DRAIN));
    map_below(&top);
    return NULL;
}

TEST(map, in_a_task_of_an_executor_that_drains_it_works) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct nest nest = {.ex = pool(workers), .levels = 2};
        ok(outcome(submit(nest.ex, shut_down_and_map, &nest)));
        eq_int(atomic_load(&nest.leaves), 25);
        executor_destroy(nest.ex);
    }
}
