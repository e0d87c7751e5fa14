/* test_map_stop.c - ending a map early: a deadline, the first failure, a caller that is asked to stop. */
#include "helpers.h"

enum { N = 200 };

/* ---- the deadline ---- */

static void all_are(const int errors[], size_t n, int error) {
    for (size_t i = 0; i < n; i++)
        eq_err(errors[i], error);
}

TEST(map_stop, after_its_deadline_nothing_starts) {
    void *args[N] = {0}, *results[N];
    int errors[N];
    executor_t *ex = pool(2);
    memset(results, 0xff, sizeof results);
    memset(errors, 0xff, sizeof errors);
    exec_map_opts opts = {.deadline = exec_now(), .errors = errors};
    eq_err(executor_map(ex, must_not_run, args, results, N, &opts), ETIMEDOUT);
    all_are(errors, N, ETIMEDOUT);
    for (int i = 0; i < N; i++)
        eq_ptr(results[i], NULL);
    opts.deadline = 1;
    eq_err(executor_map(ex, must_not_run, args, NULL, N, &opts), ETIMEDOUT);
    executor_destroy(ex);
}

static int nothing_to_do(void *ctx, unsigned worker) {
    (void)ctx, (void)worker;
    return 0;
}

/* The one thread that may run items is busy. */
TEST(map_stop, a_caller_that_only_waits_for_the_executors_own_threads_does_so_until_the_deadline) {
    struct plug plug = PLUG;
    void *args[N] = {0};
    int errors[N];
    executor_t *ex = pool_of((executor_opts){.workers = 1, .on_start = nothing_to_do});
    future_t *running = plug_in(ex, &plug);
    exec_map_opts opts = {.deadline = exec_after(EXEC_MS(10)), .errors = errors};
    eq_err(executor_map(ex, must_not_run, args, NULL, N, &opts), ETIMEDOUT);
    all_are(errors, N, ETIMEDOUT);
    eq_state(running, FUTURE_RUNNING);
    plug_out(&plug);
    eq_ptr(take(running), &plug);
    executor_destroy(ex);
}

/* Nor is there room in the queue for the task that would map in its stead. */
TEST(map_stop, so_it_does_where_the_queue_is_full_until_then) {
    struct plug plug = PLUG;
    void *args[N] = {0};
    int errors[N];
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .on_start = nothing_to_do});
    future_t *running = plug_in(ex, &plug), *waiting = submit(ex, identity, ex);
    exec_map_opts opts = {.deadline = exec_after(EXEC_MS(10)), .errors = errors};
    eq_err(executor_map(ex, must_not_run, args, NULL, N, &opts), ETIMEDOUT);
    all_are(errors, N, ETIMEDOUT);
    eq_state(waiting, FUTURE_PENDING);
    plug_out(&plug);
    eq_ptr(take(running), &plug);
    eq_ptr(take(waiting), ex);
    executor_destroy(ex);
}

TEST(map_stop, a_deadline_that_does_not_come_changes_nothing) {
    static void *args[N];
    int errors[N];
    executor_t *ex = pool(2);
    exec_map_opts opts = {.deadline = EXEC_NEVER, .errors = errors};
    ok(executor_map(ex, identity, args, NULL, N, &opts));
    opts.deadline = exec_after(LIMIT);
    ok(executor_map(ex, identity, args, NULL, N, &opts));
    all_are(errors, N, 0);
    executor_destroy(ex);
}

/* Runs until it is asked to stop, and then returns its argument in spite of it. */
static void *until_asked(void *runs) {
    atomic_fetch_add((atomic_int *)runs, 1);
    eq_err(exec_sleep(EXEC_SEC(1000000)), ECANCELED);
    check(exec_cancelled());
    return runs;
}

static void times_out(unsigned workers, bool stop_on_error) {
    atomic_int runs = 0;
    void *args[N], *results[N];
    int errors[N];
    executor_t *ex = pool(workers);
    for (int i = 0; i < N; i++)
        args[i] = &runs;
    exec_time deadline = exec_after(EXEC_MS(10));
    exec_map_opts opts = {.deadline = deadline, .stop_on_error = stop_on_error, .errors = errors};
    eq_err(executor_map(ex, until_asked, args, results, N, &opts), ETIMEDOUT);
    at_least(exec_now(), deadline);
    int done = 0;
    for (int i = 0; i < N; i++) {
        done += errors[i] == 0;
        eq_err(errors[i], errors[i] ? ETIMEDOUT : 0);
        eq_ptr(results[i], errors[i] ? NULL : &runs);
    }
    eq_int(done, atomic_load(&runs));
    between(done, 1, workers);
    executor_destroy(ex);
}

TEST(map_stop, when_the_deadline_passes_items_that_run_are_asked_and_the_rest_are_skipped) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        times_out(workers, false);
        times_out(workers, true);
    }
}

static void loop_until_asked(size_t begin, size_t end, void *runs) {
    (void)begin, (void)end;
    until_asked(runs);
}

TEST(map_stop, a_loop_has_a_deadline_too) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        atomic_int runs = 0;
        executor_t *ex = pool(workers);
        exec_map_opts opts = {.deadline = exec_after(EXEC_MS(50))};
        eq_err(executor_for(ex, SIZE_MAX, loop_until_asked, &runs, &opts), ETIMEDOUT);
        between(atomic_load(&runs), 1, workers);
        executor_destroy(ex);
    }
}

static void *map_until_deadline(void *arg) {
    executor_t *ex = arg;
    atomic_int runs = 0;
    void *args[4] = {&runs, &runs, &runs, &runs};
    exec_map_opts opts = {.deadline = exec_after(EXEC_MS(5))};
    eq_err(executor_map(ex, until_asked, args, NULL, 4, &opts), ETIMEDOUT);
    check(!exec_cancelled());
    return NULL;
}

TEST(map_stop, the_deadline_is_the_maps_and_not_the_tasks_that_calls_it) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        executor_t *ex = pool(workers);
        ok(outcome(submit(ex, map_until_deadline, ex)));
        map_until_deadline(ex);
        executor_destroy(ex);
    }
}

/* ---- the first failure ---- */

struct stop {
    atomic_int runs;
    int fail_at;
};

struct item {
    struct stop *stop;
    int number;
};

static void *fail_at(void *arg) {
    const struct item *item = arg;
    atomic_fetch_add(&item->stop->runs, 1);
    return item->number == item->stop->fail_at ? exec_fail(EDOM) : arg;
}

static void make_items(struct item items[], void *args[], int n, struct stop *stop) {
    for (int i = 0; i < n; i++) {
        items[i] = (struct item){stop, i};
        args[i] = &items[i];
    }
}

TEST(map_stop, after_a_failure_what_has_not_started_is_skipped) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int at = 0; at < N; at += 66) {
            struct stop stop = {.fail_at = at};
            struct item items[N];
            void *args[N], *results[N];
            int errors[N], done = 0;
            executor_t *ex = pool(workers);
            make_items(items, args, N, &stop);
            exec_map_opts opts = {.stop_on_error = true, .errors = errors};
            eq_err(executor_map(ex, fail_at, args, results, N, &opts), EDOM);
            for (int i = 0; i < N; i++) {
                done += errors[i] == 0;
                if (errors[i])
                    eq_err(errors[i], i == at ? EDOM : ECANCELED);
                eq_ptr(results[i], errors[i] ? NULL : args[i]);
            }
            eq_err(errors[at], EDOM);
            eq_int(atomic_load(&stop.runs), done + 1);
            executor_destroy(ex);
        }
}

TEST(map_stop, one_worker_starts_nothing_after_the_failure) {
    struct stop stop = {.fail_at = 0};
    struct item items[N];
    void *args[N];
    executor_t *ex = pool(1);
    make_items(items, args, N, &stop);
    eq_err(executor_map(ex, fail_at, args, NULL, N, &(exec_map_opts){.stop_on_error = true}), EDOM);
    eq_int(atomic_load(&stop.runs), 1);
    executor_destroy(ex);
}

/* Two items that run at the same time, of which the higher one fails and the lower one stops for it. */
struct pair {
    struct gate all_in;
    atomic_int asked;
};

struct half {
    struct pair *pair;
    int number;
};

static void *stop_for_the_other(void *arg) {
    const struct half *half = arg;
    gate_open(&half->pair->all_in);
    gate_wait(&half->pair->all_in);
    if (half->number == 1)
        return exec_fail(EDOM);
    eq_err(exec_sleep(EXEC_SEC(1000000)), ECANCELED);
    atomic_fetch_add(&half->pair->asked, 1);
    return exec_fail(ECANCELED);
}

TEST(map_stop, what_merely_stopped_for_anothers_failure_does_not_count_as_the_error) {
    executor_t *ex = pool(2);
    for (int round = 0; round < 20; round++) {
        struct pair pair = {.all_in = GATE(2)};
        struct half halves[2] = {{&pair, 0}, {&pair, 1}};
        void *args[2] = {&halves[0], &halves[1]};
        int errors[2];
        exec_map_opts opts = {.stop_on_error = true, .errors = errors};
        eq_err(executor_map(ex, stop_for_the_other, args, NULL, 2, &opts), EDOM);
        eq_int(atomic_load(&pair.asked), 1);
        eq_err(errors[0], ECANCELED);
        eq_err(errors[1], EDOM);
    }
    executor_destroy(ex);
}

/* ---- a caller that is asked to stop ---- */

struct caller {
    executor_t *ex;
    struct gate begun;
    atomic_int runs;
};

static void *item_until_asked(void *arg) {
    struct caller *caller = arg;
    gate_open(&caller->begun);
    if (atomic_fetch_add(&caller->runs, 1) % 2)
        eq_err(exec_poll(NULL, 0, EXEC_NEVER, NULL), ECANCELED);
    eq_err(exec_sleep(EXEC_SEC(1000000)), ECANCELED);
    check(exec_cancelled());
    return exec_fail(ECANCELED);
}

static void *map_all(struct caller *caller, exec_fn *fn) {
    void *args[N], *results[N];
    int errors[N];
    for (int i = 0; i < N; i++)
        args[i] = caller;
    eq_err(executor_map(caller->ex, fn, args, results, N, &(exec_map_opts){.errors = errors}), ECANCELED);
    all_are(errors, N, ECANCELED);
    for (int i = 0; i < N; i++)
        eq_ptr(results[i], NULL);
    check(exec_cancelled());
    return exec_fail(EINTR);
}

static void *map_items(void *caller) {
    return map_all(caller, item_until_asked);
}

static void *inner_map(void *caller) {
    map_all(caller, item_until_asked);
    return exec_fail(ECANCELED);
}

static void *map_maps(void *caller) {
    return map_all(caller, inner_map);
}

/* The task that maps is one of the executor that it maps with, or of another one; then it may be one more to run items,
 * when all of the workers are just awake as it comes. */
static void stops(unsigned workers, exec_fn *fn, bool discard, bool elsewhere) {
    struct caller caller = {.ex = pool(workers), .begun = GATE(1)};
    executor_t *own = elsewhere ? pool(1) : caller.ex;
    future_t *f = submit(own, fn, &caller);
    gate_wait(&caller.begun);
    if (discard)
        ok(executor_shutdown(own, EXECUTOR_DISCARD));
    else
        eq_err(future_cancel(f), EINPROGRESS);
    await_elsewhere(f);
    eq_err(outcome(f), EINTR);
    between(atomic_load(&caller.runs), 1, elsewhere ? workers + 1 : workers);
    executor_destroy(caller.ex);
    if (elsewhere)
        executor_destroy(own);
}

TEST(map_stop, cancelling_the_task_that_maps_reaches_its_items) {
    for (unsigned workers = 1; workers <= 3; workers++)
        stops(workers, map_items, false, false);
}

TEST(map_stop, discarding_reaches_the_items_of_the_tasks_that_map) {
    for (unsigned workers = 1; workers <= 3; workers++)
        stops(workers, map_items, true, false);
}

TEST(map_stop, cancelling_reaches_the_items_of_a_map_in_a_map) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        stops(workers, map_maps, false, false);
        stops(workers, map_maps, true, false);
    }
}

TEST(map_stop, it_reaches_the_items_on_another_executor) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        stops(workers, map_items, false, true);
        stops(workers, map_items, true, true);
        stops(workers, map_maps, false, true);
        stops(workers, map_maps, true, true);
    }
}

static void *map_from_outside(void *arg) {
    struct caller *caller = arg;
    void *args[N];
    for (int i = 0; i < N; i++)
        args[i] = caller;
    eq_err(executor_map(caller->ex, item_until_asked, args, NULL, N, NULL), ECANCELED);
    return NULL;
}

TEST(map_stop, discarding_reaches_the_items_of_a_map_from_outside) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct caller caller = {.ex = pool(workers), .begun = GATE(1)};
        pthread_t thread = start(map_from_outside, &caller);
        gate_wait(&caller.begun);
        ok(executor_shutdown(caller.ex, EXECUTOR_DISCARD));
        finish(thread);
        executor_destroy(caller.ex);
    }
}

static void *map_after_the_flag(void *arg) {
    struct caller *caller = arg;
    void *args[N] = {0};
    gate_open(&caller->begun);
    wait_until(exec_cancelled());
    eq_err(executor_map(caller->ex, must_not_run, args, NULL, N, NULL), ECANCELED);
    return NULL;
}

TEST(map_stop, a_task_that_was_asked_before_maps_nothing) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct caller caller = {.ex = pool(workers), .begun = GATE(1)};
        future_t *f = submit(caller.ex, map_after_the_flag, &caller);
        gate_wait(&caller.begun);
        eq_err(future_cancel(f), EINPROGRESS);
        await_elsewhere(f);
        ok(outcome(f));
        executor_destroy(caller.ex);
    }
}
