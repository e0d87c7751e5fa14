/* test_fork.c - forked children: an executor made before the fork answers EOWNERDEAD, what finished before is still
 * there, and a new executor works. */
#include "child.h"

#include <malloc.h>

static void no_range(size_t begin, size_t end, void *ctx) {
    (void)begin, (void)end;
    must_not_run(ctx);
}

static void works(executor_t *ex) {
    void *args[100];
    for (intptr_t i = 0; i < 100; i++)
        args[i] = (void *)i;
    for (int i = 0; i < 20; i++)
        eq_ptr(take(submit(ex, identity, ex)), ex);
    ok(executor_map(ex, identity, args, args, 100, NULL));
    for (intptr_t i = 0; i < 100; i++)
        eq_int((intptr_t)args[i], i);
}

static void all_ownerdead(executor_t *ex) {
    future_t *f = (future_t *)ex;
    void *arg = NULL;
    eq_err(executor_submit(ex, must_not_run, NULL, NULL, &f), EOWNERDEAD);
    eq_err(executor_submit(ex, must_not_run, NULL, &(exec_task_opts){.drop = must_not_free}, NULL), EOWNERDEAD);
    eq_ptr(f, ex);
    eq_err(executor_map(ex, must_not_run, &arg, NULL, 1, NULL), EOWNERDEAD);
    eq_err(executor_for(ex, 1, no_range, NULL, NULL), EOWNERDEAD);
    eq_err(executor_shutdown(ex, EXECUTOR_DRAIN), EOWNERDEAD);
    eq_err(executor_shutdown(ex, EXECUTOR_DISCARD), EOWNERDEAD);
    eq_err(executor_join(ex, EXEC_NEVER), EOWNERDEAD);
    eq_err(executor_join(ex, EXEC_NOW), EOWNERDEAD);
    executor_request_shutdown(ex);
}

/* ---- the executor ---- */

static void nothing_is_shown(executor_t *ex) {
    exec_stats s;
    eq_err(executor_stats(ex, &s), EOWNERDEAD);
    eq_err(executor_worker_stats(ex, 0, &(exec_worker_stats){0}), EOWNERDEAD);
    eq_err(executor_histogram(ex, EXEC_TIME_QUEUED, NULL), EOWNERDEAD);
    eq_err(executor_stats_write(ex, stderr, EXEC_STATS_TABLE), EOWNERDEAD);
    eq_err(executor_dump(ex, stderr), EOWNERDEAD);
    eq_err(executor_trace_start(ex, NULL), EOWNERDEAD);
    eq_err(executor_trace_stop(ex, NULL), EOWNERDEAD);
}

static void inherit(void *ex) {
    all_ownerdead(ex);
    all_ownerdead(ex);
    nothing_is_shown(ex);
    executor_destroy(ex);
}

TEST(fork, an_idle_executor_is_dead_in_the_child_and_lives_on_in_the_parent) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        in_child(inherit, ex);
        works(ex);
        in_child(inherit, ex);
        works(ex);
        executor_destroy(ex);
    }
}

TEST(fork, a_busy_executor_with_a_full_queue_is_dead_in_the_child_and_lives_on_in_the_parent) {
    for (int when_full = EXECUTOR_BLOCK; when_full <= EXECUTOR_DROP_OLDEST; when_full++) {
        struct plug plug = PLUG;
        executor_t *ex =
            pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = (enum executor_when_full)when_full});
        future_t *running = plug_in(ex, &plug), *queued = submit(ex, identity, ex);
        in_child(inherit, ex);
        plug_out(&plug);
        eq_ptr(take(running), &plug);
        eq_ptr(take(queued), ex);
        works(ex);
        executor_destroy(ex);
    }
}

TEST(fork, an_executor_that_was_shut_down_is_dead_too) {
    executor_t *ex = pool(2);
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    in_child(inherit, ex);
    ok(executor_join(ex, EXEC_NEVER));
    in_child(inherit, ex);
    executor_destroy(ex);
}

static void destroy_at_once(void *ex) {
    executor_destroy(ex);
}

TEST(fork, the_child_may_destroy_it_at_once) {
    struct plug plug = PLUG;
    executor_t *ex = pool(2);
    future_t *f = plug_in(ex, &plug);
    in_child(destroy_at_once, ex);
    plug_out(&plug);
    take(f);
    executor_destroy(ex);
}

/* How much is allocated, where malloc is the system's; 0 where a sanitizer has its own. */
static size_t allocated(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct many {
    executor_t *exs[20];
    size_t before, with;
};

static void destroy_many(void *arg) {
    struct many *many = arg;
    for (int i = 0; i < 20; i++)
        executor_destroy(many->exs[i]);
    at_most(allocated(), (intmax_t)(many->before + (many->with - many->before) / 4));
}

TEST(fork, destroying_it_in_the_child_frees_its_memory) {
    struct many many;
    many.before = allocated();
    for (int i = 0; i < 20; i++)
        many.exs[i] = pool_of((executor_opts){.workers = 1, .capacity = 10000});
    many.with = allocated();
    in_child(destroy_many, &many);
    for (int i = 0; i < 20; i++)
        executor_destroy(many.exs[i]);
}

static void only_ask(void *ex) {
    all_ownerdead(ex);
}

/* What a child does when threads of its parent were awake at the fork. AddressSanitizer's malloc then may be locked for
 * ever; ThreadSanitizer cannot follow a child's threads at all. */
#if defined(TEST_UNDER_ASAN) || defined(TEST_UNDER_TSAN)
#define MAKE_IN_NOISE only_ask
#else
#define MAKE_IN_NOISE make_a_new_one
#endif

#ifndef TEST_UNDER_TSAN
static void inherit_trace(void *ex) {
    executor_destroy(ex);
    executor_t *mine = pool(2); /* maybe in the same place */
    eq_err(executor_trace_stop(mine, NULL), ENODATA);
    ok(executor_trace_start(mine, NULL));
    works(mine);
    ok(executor_trace_stop(mine, NULL));
    executor_destroy(mine);
}

TEST(fork, a_trace_that_is_on_stays_with_the_parent) {
    executor_t *ex = pool_of((executor_opts){.workers = 2, .measure = true});
    ok(executor_trace_start(ex, NULL));
    works(ex);
    in_child(inherit_trace, ex);
    works(ex);
    ok(executor_trace_stop(ex, NULL));
    executor_destroy(ex);
}

static void make_a_new_one(void *inherited) {
    executor_t *ex = pool(2);
    works(ex);
    if (inherited)
        all_ownerdead(inherited);
    executor_destroy(inherited);
    works(ex);
    executor_destroy(ex);
}

static void fork_again(void *inherited) {
    executor_t *ex = pool(1);
    works(ex);
    in_child(make_a_new_one, ex);
    in_child(inherit, inherited);
    works(ex);
    executor_destroy(inherited);
    executor_destroy(ex);
}

TEST(fork, a_new_executor_works_in_the_child_and_in_its_child) {
    in_child(make_a_new_one, NULL);
    executor_t *ex = pool(2);
    works(ex);
    in_child(make_a_new_one, ex);
    in_child(fork_again, ex);
    works(ex);
    executor_destroy(ex);
}
#endif

/* ---- futures ---- */

static void cannot_finish(void *arg) {
    future_t *f = arg;
    void *result = f;
    future_t *twice[] = {f, f};
    check(!future_done(f));
    eq_err(future_wait(f, EXEC_NEVER), EOWNERDEAD);
    eq_err(future_wait(f, EXEC_NOW), EOWNERDEAD);
    eq_err(future_wait(f, exec_after(EXEC_MS(1))), EOWNERDEAD);
    eq_err(future_get(f, &result), EOWNERDEAD);
    eq_ptr(result, NULL);
    eq_err(future_cancel(f), EOWNERDEAD);
    eq_err(exec_wait(&f, 1, 1, EXEC_NEVER), EOWNERDEAD);
    eq_err(exec_wait(twice, 2, 1, EXEC_NEVER), EOWNERDEAD);
    future_t *some[] = {f, promise()};
    eq_err(exec_wait(some, 2, 1, EXEC_NEVER), EOWNERDEAD);
    future_unref(some[1]);
    future_unref(future_ref(f));
    future_unref(f);
}

TEST(fork, what_had_not_finished_can_never_finish_in_the_child) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *running = plug_in(ex, &plug), *pending = submit(ex, identity, ex);
    in_child(cannot_finish, running);
    in_child(cannot_finish, pending);
    plug_out(&plug);
    eq_ptr(take(running), &plug);
    eq_ptr(take(pending), ex);
    executor_destroy(ex);
}

static void is_finished(void *arg) {
    future_t **fs = arg;
    check(future_done(fs[0]));
    ok(future_wait(fs[0], EXEC_NEVER));
    ok(exec_wait(fs, 2, 2, EXEC_NEVER));
    eq_err(future_cancel(fs[0]), EALREADY);
    eq_str(future_name(fs[0]), "before");
    eq_ptr(future_arg(fs[0]), fs);
    eq_ptr(take(fs[0]), fs);
    eq_err(outcome(fs[1]), EIO);
}

TEST(fork, what_had_finished_is_there_in_the_child) {
    future_t *fs[2];
    executor_t *ex = pool(2);
    fs[0] = submit_opts(ex, identity, fs, &(exec_task_opts){.name = "before"});
    fs[1] = submit(ex, fail_with, as_error(EIO));
    ok(exec_wait(fs, 2, 2, EXEC_NEVER));
    in_child(is_finished, fs);
    future_unref(fs[0]), future_unref(fs[1]);
    executor_destroy(ex);
}

static void resolve_it(void *arg) {
    future_t *f = arg;
    eq_err(future_wait(f, EXEC_NOW), ETIMEDOUT);
    eq_err(future_wait(f, exec_after(1)), ETIMEDOUT);
    ok(future_resolve(f, f, 0));
    eq_ptr(take(f), f);
}

TEST(fork, a_promise_is_the_childs_own_as_well) {
    future_t *f = promise();
    in_child(resolve_it, f);
    eq_state(f, FUTURE_PENDING);
    ok(future_resolve(f, NULL, EIO));
    eq_err(outcome(f), EIO);
}

/* ---- from where and when ---- */

static void in_a_tasks_child(void *ex) {
    all_ownerdead(ex);
    check(!exec_cancelled());
    ok(exec_sleep(1));
    eq_err(exec_poll(NULL, 0, EXEC_NOW, NULL), ETIMEDOUT);
    MAKE_IN_NOISE(ex);
}

static void *fork_in_a_task(void *ex) {
    in_child(in_a_tasks_child, ex);
    return ex;
}

TEST(fork, a_task_may_fork) {
    executor_t *ex = pool(2);
    for (int i = 0; i < 5; i++)
        eq_ptr(take(submit(ex, fork_in_a_task, ex)), ex);
    future_t *f = submit(ex, fork_in_a_task, ex);
    await_elsewhere(f);
    eq_ptr(take(f), ex);
    executor_destroy(ex);
}

struct storm {
    executor_t *ex;
    atomic_bool over;
};

static void *make_noise(void *arg) {
    struct storm *storm = arg;
    while (!atomic_load(&storm->over)) {
        future_t *f = submit(storm->ex, identity, storm), *made = promise();
        future_wait(f, exec_after(EXEC_US(20)));
        future_cancel(f);
        ok(future_resolve(made, NULL, 0));
        future_unref(f), future_unref(made);
    }
    return NULL;
}

TEST(fork, the_fork_may_come_at_any_moment) {
    struct storm storm = {.ex = pool_of((executor_opts){.workers = 2, .capacity = 4})};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = start(make_noise, &storm);
    for (int i = 0; i < 40; i++)
        in_child(i % 2 ? only_ask : MAKE_IN_NOISE, storm.ex);
    atomic_store(&storm.over, true);
    for (int i = 0; i < 3; i++)
        finish(threads[i]);
    works(storm.ex);
    executor_destroy(storm.ex);
}
