/* test_exit.c - tasks that leave their thread by pthread_exit(). */
#include "helpers.h"

static void *leave(void *arg) {
    pthread_exit(arg);
}

static void *meet(void *gate) {
    gate_open(gate);
    gate_wait(gate);
    return NULL;
}

/* As many tasks as there are workers run at the same time, on threads of the executor. */
static void has_all_its_workers(executor_t *ex, unsigned workers) {
    struct gate all_in = GATE((int)workers);
    future_t *fs[4];
    eq_int(executor_workers(ex), workers);
    for (unsigned i = 0; i < workers; i++)
        fs[i] = submit(ex, meet, &all_in);
    for (unsigned i = 0; i < workers; i++) {
        await_elsewhere(fs[i]);
        ok(outcome(fs[i]));
    }
}

static void left(future_t *f) {
    void *result = f;
    await_elsewhere(f);
    eq_state(f, FUTURE_FAILED);
    eq_err(future_get(f, &result), EOWNERDEAD);
    eq_ptr(result, NULL);
    future_unref(f);
}

/* ---- pthread_exit ---- */

TEST(exit, a_task_that_exits_its_thread_fails_and_the_pool_keeps_its_size) {
    const exec_task_opts opts = {.drop = must_not_free, .free_result = must_not_free};
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool_of((executor_opts){.workers = workers, .name = "leaving"});
        for (int i = 0; i < 10; i++) {
            left(submit_opts(ex, leave, ex, &opts));
            eq_ptr(take(submit(ex, identity, ex)), ex);
        }
        has_all_its_workers(ex, workers);
        wait_until(threads_named("leaving-", NULL, 0) == (int)workers);
        executor_destroy(ex);
    }
}

static void *meet_and_leave(void *gate) {
    meet(gate);
    pthread_exit(NULL);
}

TEST(exit, all_workers_may_leave_at_once) {
    executor_t *ex = pool(4);
    for (int round = 0; round < 10; round++) {
        struct gate all_in = GATE(4);
        future_t *fs[4];
        for (int i = 0; i < 4; i++)
            fs[i] = submit(ex, meet_and_leave, &all_in);
        for (int i = 0; i < 4; i++)
            left(fs[i]);
        has_all_its_workers(ex, 4);
    }
    executor_destroy(ex);
}

static void *thread_number(void *tid) {
    *(pid_t *)tid = gettid();
    return NULL;
}

static void *thread_number_and_leave(void *tid) {
    thread_number(tid);
    pthread_exit(NULL);
}

TEST(exit, the_thread_that_was_left_is_replaced) {
    pid_t first = 0, second = 0;
    executor_t *ex = pool(1);
    left(submit(ex, thread_number_and_leave, &first));
    ok(outcome(submit(ex, thread_number, &second)));
    check(first != second);
    executor_destroy(ex);
}

static void *leave_quietly(void *counter) {
    atomic_fetch_add((atomic_int *)counter, 1);
    pthread_exit(NULL);
}

TEST(exit, tasks_without_a_future_and_queued_ones_go_on) {
    atomic_int runs = 0;
    executor_t *ex = pool(2);
    for (int i = 0; i < 100; i++)
        ok(executor_submit(ex, i % 3 ? count_up : leave_quietly, &runs, NULL, NULL));
    executor_destroy(ex);
    eq_int(atomic_load(&runs), 100);
}

TEST(exit, a_drain_and_a_discard_end_as_usual_while_tasks_leave) {
    for (int round = 0; round < 20; round++) {
        atomic_int runs = 0;
        executor_t *ex = pool(2);
        for (int i = 0; i < 10; i++)
            ok(executor_submit(ex, leave_quietly, &runs, NULL, NULL));
        ok(executor_shutdown(ex, round % 2 ? EXECUTOR_DISCARD : EXECUTOR_DRAIN));
        ok(executor_join(ex, exec_after(LIMIT)));
        if (round % 2 == 0)
            eq_int(atomic_load(&runs), 10);
        executor_destroy(ex);
    }
}

TEST(exit, a_thread_from_outside_that_waits_lives_on) {
    executor_t *ex = pool(3);
    for (int i = 0; i < 200; i++)
        eq_err(outcome(submit(ex, leave, ex)), EOWNERDEAD);
    has_all_its_workers(ex, 3);
    executor_destroy(ex);
}

TEST(exit, a_caller_that_runs_a_task_itself_lives_on) {
    struct plug plug = PLUG;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_CALLER_RUNS});
    future_unref(plug_in(ex, &plug));
    ok(executor_submit(ex, identity, NULL, NULL, NULL));
    for (int i = 0; i < 5; i++)
        left(submit(ex, leave, ex));
    plug_out(&plug);
    executor_destroy(ex);
}

struct hooks {
    atomic_int starts[2], stops[2];
};

static int on_start(void *hooks, unsigned worker) {
    atomic_fetch_add(&((struct hooks *)hooks)->starts[worker], 1);
    return 0;
}

static void on_stop(void *hooks, unsigned worker) {
    atomic_fetch_add(&((struct hooks *)hooks)->stops[worker], 1);
}

static void *is_a_worker(void *unused) {
    char name[32];
    sigset_t mask;
    (void)unused;
    ok(pthread_getname_np(pthread_self(), name, sizeof name));
    check(!strcmp(name, "fresh-0") || !strcmp(name, "fresh-1"));
    ok(pthread_sigmask(SIG_SETMASK, NULL, &mask));
    check(sigismember(&mask, SIGINT) && sigismember(&mask, SIGUSR1));
    return NULL;
}

TEST(exit, a_worker_that_replaces_another_has_its_name_and_calls_the_hooks_again) {
    struct hooks h = {0};
    executor_t *ex = pool_of(
        (executor_opts){.workers = 2, .name = "fresh", .on_start = on_start, .on_stop = on_stop, .hook_ctx = &h});
    for (int i = 0; i < 10; i++) {
        left(submit(ex, leave, ex));
        ok(outcome(submit(ex, is_a_worker, NULL)));
    }
    has_all_its_workers(ex, 2);
    executor_destroy(ex);
    eq_int(atomic_load(&h.starts[0]) + atomic_load(&h.starts[1]), 12);
    for (int i = 0; i < 2; i++)
        eq_int(atomic_load(&h.stops[i]), atomic_load(&h.starts[i]));
}

/* ---- beneath others ---- */

struct nest {
    executor_t *ex;
    int levels;
    int cleanups; /* handlers that ran */
    int (*wait)(future_t *);
};

static void clean_up(void *arg) {
    ((struct nest *)arg)->cleanups++;
}

static int by_get(future_t *f) {
    return future_get(f, NULL);
}

static int by_deadline(future_t *f) {
    ok(future_wait(f, exec_after(LIMIT)));
    return by_get(f);
}

static int by_any(future_t *f) {
    future_t *never = promise();
    ok(exec_wait((future_t *[]){never, f}, 2, 1, EXEC_NEVER));
    future_unref(never);
    return by_get(f);
}

/* Each level waits for the next; the deepest leaves its thread, and so do all others once their wait has ended. */
static void *leave_from_the_bottom_up(void *arg) {
    struct nest *nest = arg;
    pthread_cleanup_push(clean_up, nest);
    if (nest->levels-- > 0) {
        int before = nest->cleanups, levels = nest->levels + 1;
        future_t *f = submit(nest->ex, leave_from_the_bottom_up, nest);
        eq_err(nest->wait(f), EOWNERDEAD);
        future_unref(f);
        eq_int(nest->cleanups, before + levels);
    }
    pthread_exit(NULL);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *survive(void *arg) {
    struct nest *nest = arg;
    volatile int here = 4711;
    future_t *f = submit(nest->ex, leave_from_the_bottom_up, nest);
    eq_err(nest->wait(f), EOWNERDEAD);
    future_unref(f);
    eq_int(here, 4711);
    eq_ptr(take(submit(nest->ex, identity, nest)), nest);
    check(!exec_cancelled());
    return nest;
}

TEST(exit, of_tasks_run_on_top_of_each_other_only_the_one_that_leaves_fails) {
    int (*const ways[])(future_t *) = {by_get, by_deadline, by_any};
    for (int i = 0; i < 3; i++) {
        executor_t *ex = pool(1);
        for (int levels = 0; levels < 5; levels++) {
            struct nest nest = {.ex = ex, .levels = levels, .wait = ways[i]};
            eq_ptr(take(submit(ex, survive, &nest)), &nest);
            eq_int(nest.cleanups, levels + 1);
            has_all_its_workers(ex, 1);
        }
        executor_destroy(ex);
    }
}

/* ---- in maps ---- */

static void *leave_if_null(void *arg) {
    if (!arg)
        pthread_exit(NULL);
    return arg;
}

static void *map_with_leavers(void *ex) {
    enum { N = 60 };
    void *args[N], *results[N];
    int errors[N];
    for (int i = 0; i < N; i++)
        args[i] = i % 5 == 3 ? NULL : ex;
    exec_map_opts opts = {.errors = errors};
    eq_err(executor_map(ex, leave_if_null, args, results, N, &opts), EOWNERDEAD);
    for (int i = 0; i < N; i++) {
        eq_err(errors[i], args[i] ? 0 : EOWNERDEAD);
        eq_ptr(results[i], args[i]);
    }
    return ex;
}

TEST(exit, an_item_that_leaves_fails_alone) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        for (int i = 0; i < 5; i++) {
            map_with_leavers(ex);
            eq_ptr(take(submit(ex, map_with_leavers, ex)), ex);
            has_all_its_workers(ex, workers);
        }
        executor_destroy(ex);
    }
}

static void leave_at_seven(size_t begin, size_t end, void *ctx) {
    (void)ctx;
    if (begin <= 7 && 7 < end)
        pthread_exit(NULL);
}

TEST(exit, a_range_that_leaves_fails) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        int errors[100];
        executor_t *ex = pool(workers);
        eq_err(executor_for(ex, 100, leave_at_seven, NULL, &(exec_map_opts){.errors = errors}), EOWNERDEAD);
        eq_err(errors[7], EOWNERDEAD);
        eq_err(errors[99], 0);
        has_all_its_workers(ex, workers);
        executor_destroy(ex);
    }
}
