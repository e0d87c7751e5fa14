/* test_hooks.c - what an executor tells of: failures that nobody asks for, slow runs, workers that were replaced. */
#include "helpers.h"

/* ---- failures ---- */

static struct {
    atomic_int n;
    atomic_int error; /* of the last one, as the rest */
    _Atomic(void *) arg;
    pthread_mutex_t lock;
    char name[32]; /* lock */
} told = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note_failure(void *ctx, const exec_failure *failure) {
    eq_ptr(ctx, &told);
    atomic_store(&told.error, failure->error);
    atomic_store(&told.arg, failure->arg);
    pthread_mutex_lock(&told.lock);
    snprintf(told.name, sizeof told.name, "%s", failure->name != NULL ? failure->name : "(none)");
    pthread_mutex_unlock(&told.lock);
    errno = ERANGE;
    atomic_fetch_add(&told.n, 1);
}

static executor_t *telling_pool(unsigned workers) {
    atomic_store(&told.n, 0);
    return pool_of((executor_opts){.workers = workers, .on_failure = note_failure, .hook_ctx = &told});
}

TEST(hooks, a_failure_without_a_future_is_told_of) {
    executor_t *ex = telling_pool(2);
    ok(executor_submit(ex, fail_with, as_error(EIO), NULL, NULL));
    wait_until(atomic_load(&told.n) == 1);
    eq_int(atomic_load(&told.error), EIO);
    eq_ptr(atomic_load(&told.arg), as_error(EIO));
    eq_str(told.name, "(none)");
    ok(executor_submit(ex, fail_with, as_error(EPERM), &(exec_task_opts){.name = "this one"}, NULL));
    wait_until(atomic_load(&told.n) == 2);
    eq_str(told.name, "this one");
    executor_destroy(ex);
    eq_int(atomic_load(&told.n), 2);
}

TEST(hooks, one_with_a_future_when_the_last_reference_goes_and_only_if_nobody_has_asked) {
    executor_t *ex = telling_pool(2);
    future_t *f = submit(ex, fail_with, as_error(EIO));
    await_elsewhere(f);
    future_ref(f);
    future_unref(f);
    eq_int(atomic_load(&told.n), 0);
    errno = 0;
    future_unref(f);
    eq_int(errno, 0);
    wait_until(atomic_load(&told.n) == 1); /* the worker may have been the last one */
    eq_err(outcome(submit(ex, fail_with, as_error(EIO))), EIO);
    executor_destroy(ex);
    eq_int(atomic_load(&told.n), 1);
}

TEST(hooks, the_name_may_be_gone_by_then) {
    executor_t *ex = telling_pool(2);
    for (int i = 1; i <= 1000; i++) {
        char *name = strdup("soon gone");
        future_t *f = submit_opts(ex, fail_with, as_error(EIO), &(exec_task_opts){.name = name});
        await_elsewhere(f);
        future_unref(f);
        memset(name, 'x', strlen(name));
        free(name);
        wait_until(atomic_load(&told.n) == i);
        eq_str(told.name, "soon gone");
    }
    executor_destroy(ex);
}

TEST(hooks, what_is_no_failure_is_not_told_of) {
    executor_t *ex = telling_pool(1);
    struct plug plug = PLUG;
    future_t *plugged = plug_in(ex, &plug);
    future_t *cancelled = submit(ex, identity, ex), *promised = promise();
    ok(future_cancel(cancelled));
    ok(future_resolve(promised, NULL, EIO));
    ok(executor_submit(ex, fail_with, as_error(ECANCELED), NULL, NULL));
    ok(executor_submit(ex, identity, ex, NULL, NULL));
    plug_out(&plug);
    future_unref(plugged);
    future_unref(cancelled);
    future_unref(promised);
    executor_destroy(ex);
    eq_int(atomic_load(&told.n), 0);
}

TEST(hooks, members_of_groups_are_the_groups) {
    executor_t *ex = telling_pool(2);
    exec_group_t *g = NULL;
    ok(exec_group_open(ex, NULL, &g));
    for (int i = 0; i < 10; i++)
        ok(exec_group_submit(g, fail_with, as_error(EIO), i % 2 ? NULL : &(exec_task_opts){.name = "x"}, NULL));
    eq_err(exec_group_close(g), EIO);
    executor_destroy(ex);
    eq_int(atomic_load(&told.n), 0);
}

TEST(hooks, a_task_that_never_ran_has_failed_too_but_a_retried_one_once) {
    executor_t *ex = telling_pool(1);
    struct plug plug = PLUG;
    future_t *plugged = plug_in(ex, &plug);
    future_t *late = submit_opts(ex, must_not_run, ex, &(exec_task_opts){.deadline = exec_after(EXEC_MS(1))});
    await_elsewhere(late);
    future_unref(late);
    plug_out(&plug); /* its entry in the queue has the last reference */
    wait_until(atomic_load(&told.n) == 1);
    eq_int(atomic_load(&told.error), ETIMEDOUT);
    future_unref(plugged);
    ok(executor_submit(ex, fail_with, as_error(EIO), &(exec_task_opts){.retry = {.attempts = 3, .delay = 1}}, NULL));
    wait_until(atomic_load(&told.n) == 2);
    executor_destroy(ex);
    eq_int(atomic_load(&told.n), 2);
}

TEST(hooks, nobody_is_told_once_the_executor_is_gone) {
    executor_t *ex = telling_pool(2);
    future_t *f = submit(ex, fail_with, as_error(EIO));
    await_elsewhere(f);
    executor_destroy(ex);
    executor_t *next = telling_pool(2); /* maybe in the same place */
    future_unref(f);
    eq_int(atomic_load(&told.n), 0);
    executor_destroy(next);
}

/* Many that fail, given back while their executor goes. */
TEST(hooks, each_failure_is_told_of_at_most_once_whenever_it_is_given_back) {
    for (int round = 0; round < 100; round++) {
        executor_t *ex = telling_pool(2);
        future_t *fs[20];
        for (int i = 0; i < 20; i++)
            fs[i] = submit(ex, fail_with, as_error(EIO));
        for (int i = 0; i < 10; i++)
            future_unref(fs[i]);
        executor_destroy(ex);
        eq_int(atomic_load(&told.n), 10);
        for (int i = 10; i < 20; i++)
            future_unref(fs[i]);
        eq_int(atomic_load(&told.n), 10);
    }
}

/* ---- slow runs ---- */

static struct {
    atomic_int n;
    atomic_uint worker;
    _Atomic exec_time running;
    char name[40];
} slow;

static void note_slow(void *ctx, unsigned worker, const char *name, exec_time running) {
    eq_ptr(ctx, &slow);
    atomic_store(&slow.worker, worker);
    atomic_store(&slow.running, running);
    snprintf(slow.name, sizeof slow.name, "%s", name);
    atomic_fetch_add(&slow.n, 1);
}

TEST(hooks, a_slow_run_is_told_of_once_while_it_runs) {
    struct plug first = PLUG, second = PLUG;
    atomic_store(&slow.n, 0);
    executor_t *ex =
        pool_of((executor_opts){.workers = 2, .slow_after = EXEC_MS(50), .on_slow = note_slow, .hook_ctx = &slow});
    future_t *a = submit_opts(ex, plug_task, &first, &(exec_task_opts){.name = "a task with a name that is too long"});
    gate_wait(&first.started);
    wait_until(atomic_load(&slow.n) == 1);
    eq_str(slow.name, "a task with a name that is too "); /* its beginning */
    at_least(atomic_load(&slow.running), EXEC_MS(50));
    at_most(atomic_load(&slow.worker), 1);
    future_t *b = plug_in(ex, &second);
    wait_until(atomic_load(&slow.n) == 2);
    eq_str(slow.name, "");
    nap(EXEC_MS(150)); /* would be time enough for more */
    eq_int(atomic_load(&slow.n), 2);
    plug_out(&first);
    plug_out(&second);
    future_unref(a);
    future_unref(b);
    executor_destroy(ex);
}

TEST(hooks, after_a_quiet_time_slow_runs_are_seen_again) {
    atomic_store(&slow.n, 0);
    executor_t *ex =
        pool_of((executor_opts){.workers = 1, .slow_after = EXEC_MS(2), .on_slow = note_slow, .hook_ctx = &slow});
    for (int i = 1; i <= 5; i++) {
        struct plug plug = PLUG;
        future_t *f = plug_in(ex, &plug);
        wait_until(atomic_load(&slow.n) == i);
        plug_out(&plug);
        take(f);
        nap(EXEC_MS(6)); /* the watch finds nothing, and is not kept */
    }
    executor_destroy(ex);
}

/* ---- replaced workers ---- */

static atomic_int replaced;

static void note_replaced(void *ctx, unsigned worker) {
    eq_ptr(ctx, &replaced);
    eq_int(worker, 0);
    atomic_fetch_add(&replaced, 1);
}

static void *leave(void *arg) {
    pthread_exit(arg);
}

TEST(hooks, a_replaced_worker_is_told_of) {
    static struct plug plug = PLUG; /* the thread that is given up may be at it after this function */
    atomic_store(&replaced, 0);
    executor_t *ex = pool_of((executor_opts){.workers = 1, .on_replace = note_replaced, .hook_ctx = &replaced});
    future_t *left = submit(ex, leave, NULL);
    await_elsewhere(left);
    eq_err(outcome(left), EOWNERDEAD);
    wait_until(atomic_load(&replaced) == 1);
    ok(executor_submit(ex, plug_task, &plug, &(exec_task_opts){.timeout = EXEC_MS(5), .on_timeout = EXEC_ABANDON},
                       NULL));
    wait_until(atomic_load(&replaced) == 2);
    plug_out(&plug);
    take(submit(ex, identity, ex));
    executor_destroy(ex);
    eq_int(atomic_load(&replaced), 2);
}

TEST(hooks, options_out_of_range) {
    executor_t *ex = NULL;
    eq_err(executor_create(&(executor_opts){.slow_after = -1}, &ex), EINVAL);
    eq_ptr(ex, NULL);
}
