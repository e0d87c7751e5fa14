/* test_stream_shutdown.c - streams whose executor is shut down, in both modes and by whomever, and streams in a forked
 * child. */
#include "child.h"
#include "streams.h"

/* ---- drain ---- */

TEST(stream_shutdown, a_drain_runs_what_was_taken_and_ends_a_stream_with_eshutdown) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int way = 0; way < 8; way++) {
            struct source src = {.n = SIZE_MAX};
            exec_item item;
            executor_t *ex = way & 1 ? pool_of_its_own(workers) : pool(workers);
            exec_stream_opts opts = {.window = 10, .unordered = way & 2, .drop = must_not_free};
            exec_stream_t *s = stream_of(ex, &src, plus_one, &opts);
            check(next_item(s, &src, &item));
            ok(executor_shutdown(ex, EXECUTOR_DRAIN));
            if (way & 4)
                ok(executor_join(ex, exec_after(LIMIT)));
            size_t taken = src.taken;
            while (next_item(s, &src, &item)) {
                eq_err(item.error, 0);
                eq_ptr(item.result, plus_one(item.arg));
            }
            eq_err(take_all(s, &src), ESHUTDOWN);
            eq_int(src.taken, taken);
            executor_destroy(ex);
        }
}

static executor_t *ex_of_tasks; /* the tasks' that consume */

/* Takes n numbers, all of which must have run. The plug, if any, is at the tenth. */
static void consume_in_task(size_t n, struct plug *plug) {
    struct source src = {.n = n};
    exec_item item;
    exec_stream_t *s = stream_of(ex_of_tasks, &src, plus_one, &(exec_stream_opts){.window = 10});
    while (next_item(s, &src, &item)) {
        eq_int(item.index, src.handed - 1);
        eq_err(item.error, 0);
        eq_ptr(item.result, plus_one(item.arg));
        if (plug && src.handed == 10)
            plug_task(plug);
    }
    eq_int(src.handed, n);
    eq_err(take_all(s, &src), 0);
}

static void *consume_thousand(void *plug) {
    consume_in_task(1000, plug);
    return NULL;
}

TEST(stream_shutdown, while_the_executor_drains_a_stream_of_one_of_its_tasks_goes_on) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct plug plug = PLUG;
        ex_of_tasks = pool(workers);
        future_t *f = submit(ex_of_tasks, consume_thousand, &plug);
        gate_wait(&plug.started);
        ok(executor_shutdown(ex_of_tasks, EXECUTOR_DRAIN));
        plug_out(&plug);
        await_elsewhere(f);
        ok(outcome(f));
        executor_destroy(ex_of_tasks);
    }
}

static void *consume_five(void *arg) {
    consume_in_task(5, NULL);
    return arg;
}

static void *shut_down_and_consume(void *unused) {
    struct source src = {.n = 20};
    ok(executor_shutdown(ex_of_tasks, EXECUTOR_DRAIN));
    consume_in_task(100, NULL);
    eq_err(take_all(stream_of(ex_of_tasks, &src, consume_five, NULL), &src), 0);
    eq_int(src.handed, 20);
    return unused;
}

TEST(stream_shutdown, an_executor_that_was_shut_down_streams_for_its_own_tasks_alone) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        exec_stream_t *s = NULL;
        ex_of_tasks = pool(workers);
        ok(outcome(submit(ex_of_tasks, shut_down_and_consume, NULL)));
        eq_err(exec_stream_open(ex_of_tasks, must_not_be_asked, NULL, must_not_run, NULL, &s), ESHUTDOWN);
        ok(executor_shutdown(ex_of_tasks, EXECUTOR_DISCARD));
        eq_err(exec_stream_open(ex_of_tasks, must_not_be_asked, NULL, must_not_run, NULL, &s), ESHUTDOWN);
        executor_destroy(ex_of_tasks);
    }
}

/* ---- discard ---- */

static struct gate running;

static void *until_asked(void *arg) {
    ledger_run(arg);
    if ((uintptr_t)arg == 1)
        gate_open(&running);
    eq_err(exec_sleep(EXEC_NEVER), ECANCELED);
    return exec_fail((uintptr_t)arg == 1 ? ECANCELED : EIO);
}

static void *discard_once_running(void *ex) {
    gate_wait(&running);
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    return NULL;
}

TEST(stream_shutdown, a_discard_ends_a_stream_with_ecanceled) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int way = 0; way < 4; way++) {
            struct source src = {.n = SIZE_MAX};
            exec_item item;
            executor_t *ex = way & 1 ? pool_of_its_own(workers) : pool(workers);
            const exec_stream_opts opts = {.window = 10, .unordered = way & 2, .drop = ledger_drop};
            ledger_reset();
            running = (struct gate)GATE(1);
            exec_stream_t *s = stream_of(ex, &src, until_asked, &opts);
            pthread_t thread = start(discard_once_running, ex);
            while (next_item(s, &src, &item))
                eq_err(item.error, item.index > 0 && atomic_load(&ledger.runs[item.index + 1]) ? EIO : ECANCELED);
            eq_err(take_all(s, &src), ECANCELED);
            ledger_balances(&src, false);
            between(atomic_load(&ledger.nruns), 1, workers);
            finish(thread);
            executor_destroy(ex);
        }
}

/* ---- in a forked child ---- */

struct inherited {
    executor_t *ex;
    exec_stream_t *s;
};

static void is_dead(void *arg) {
    struct inherited *inherited = arg;
    exec_item item;
    exec_stream_t *other = NULL;
    for (int i = 0; i < 3; i++) {
        memset(&item, 0xff, sizeof item);
        check(!exec_stream_next(inherited->s, &item));
        is_an_end(&item, EOWNERDEAD);
    }
    eq_err(exec_stream_open(inherited->ex, must_not_be_asked, NULL, must_not_run, NULL, &other), EOWNERDEAD);
    exec_stream_close(inherited->s);
    executor_destroy(inherited->ex);
}

TEST(stream_shutdown, a_stream_is_dead_in_a_forked_child_and_lives_on_in_the_parent) {
    for (size_t before = 0; before < 3; before++)
        for (int unordered = 0; unordered < 2; unordered++) {
            struct source src = {.n = 1000};
            exec_item item;
            executor_t *ex = pool(2);
            exec_stream_t *s = stream_of(ex, &src, ledger_run, &(exec_stream_opts){.unordered = unordered});
            ledger_reset();
            for (size_t i = 0; i < before; i++)
                check(next_item(s, &src, &item));
            wait_until(atomic_load(&ledger.nruns) == (int)src.taken);
            in_child(is_dead, &(struct inherited){ex, s});
            eq_err(take_all(s, &src), 0);
            eq_int(src.handed, 1000);
            executor_destroy(ex);
        }
}
