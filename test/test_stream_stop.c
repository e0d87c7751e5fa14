/* test_stream_stop.c - ending a stream early: a deadline, a consumer that is asked to stop. What shuts its executor
 * down is in test_stream_shutdown.c. */
#include "streams.h"

/* ---- the deadline ---- */

TEST(stream_stop, after_its_deadline_nothing_is_called) {
    for (int own = 0; own < 2; own++) {
        executor_t *ex = own ? pool_of_its_own(2) : pool(2);
        const exec_time deadlines[] = {1, exec_now()};
        for (int i = 0; i < 2; i++) {
            struct source src = {.n = SIZE_MAX};
            exec_stream_opts opts = {.deadline = deadlines[i], .drop = must_not_free};
            exec_stream_t *s = stream_of(ex, &src, must_not_run, &opts);
            has_ended(s, &src, ETIMEDOUT);
            eq_int(src.taken, 0);
            exec_stream_close(s);
        }
        executor_destroy(ex);
    }
}

TEST(stream_stop, a_deadline_that_does_not_come_changes_nothing) {
    const exec_time deadlines[] = {EXEC_NEVER, exec_after(LIMIT)};
    for (int i = 0; i < 2; i++) {
        struct source src = {.n = 1000};
        executor_t *ex = pool(2);
        exec_stream_t *s = stream_of(ex, &src, plus_one, &(exec_stream_opts){.deadline = deadlines[i]});
        eq_err(take_all(s, &src), 0);
        eq_int(src.handed, 1000);
        executor_destroy(ex);
    }
}

static atomic_int asked; /* how many items were */

/* The third one obeys, the others return their arguments in spite of it. */
static void *until_asked(void *arg) {
    ledger_run(arg);
    eq_err(exec_sleep(EXEC_NEVER), ECANCELED);
    check(exec_cancelled());
    atomic_fetch_add(&asked, 1);
    return (uintptr_t)arg == 3 ? exec_fail(ECANCELED) : arg;
}

/* Takes all items of an endless source, which must end with one of these errors, or with the argument if they ran and
 * were not to obey. */
static void ends_early(exec_stream_t *s, struct source *src, int error, unsigned workers) {
    exec_item item;
    while (next_item(s, src, &item)) {
        bool ran = atomic_load(&ledger.runs[item.index + 1]);
        eq_int(atomic_load(&ledger.drops[item.index + 1]), !ran);
        eq_err(item.error, ran && item.index != 2 ? 0 : error);
        eq_ptr(item.result, item.error ? NULL : item.arg);
    }
    eq_int(src->handed, src->taken);
    eq_int(src->ends, 0);
    has_ended(s, src, error);
    exec_stream_close(s);
    ledger_balances(src, false);
    eq_int(atomic_load(&ledger.nfrees), 0);
    eq_int(atomic_load(&asked), atomic_load(&ledger.nruns));
    at_most(atomic_load(&asked), workers);
}

TEST(stream_stop, when_the_deadline_passes_items_are_asked_or_dropped_and_the_source_left_alone) {
    for (unsigned workers = 1; workers <= 4; workers++)
        for (int way = 0; way < 4; way++) {
            struct source src = {.n = SIZE_MAX};
            executor_t *ex = way & 1 ? pool_of_its_own(workers) : pool(workers);
            ledger_reset();
            atomic_store(&asked, 0);
            exec_time deadline = exec_after(EXEC_MS(10));
            exec_stream_opts opts = {.window = 10, .unordered = way & 2, .deadline = deadline};
            ends_early(stream_of(ex, &src, until_asked, ledger_opts(opts)), &src, ETIMEDOUT, workers);
            at_least(exec_now(), deadline);
            executor_destroy(ex);
        }
}

static struct gate second_was_asked;

static void *second_waits(void *arg) {
    ledger_run(arg);
    if ((uintptr_t)arg != 2)
        return arg;
    eq_err(exec_sleep(EXEC_NEVER), ECANCELED);
    gate_open(&second_was_asked);
    return exec_fail(ECANCELED);
}

/* Says whether the second item had begun before the deadline. */
static bool is_asked_without_next(exec_time time_left, bool unordered) {
    struct source src = {.n = SIZE_MAX};
    exec_item item;
    executor_t *ex = pool_of_its_own(1);
    exec_time deadline = exec_after(time_left);
    exec_stream_opts opts = {.window = 10, .unordered = unordered, .deadline = deadline};
    ledger_reset();
    second_was_asked = (struct gate)GATE(1);
    exec_stream_t *s = stream_of(ex, &src, second_waits, ledger_opts(opts));
    next_item(s, &src, &item);
    wait_until(atomic_load(&ledger.runs[2]) || exec_now() >= deadline);
    bool begun = atomic_load(&ledger.runs[2]);
    if (begun) {
        gate_wait(&second_was_asked);
        at_least(exec_now(), deadline);
    }
    eq_err(take_all(s, &src), ETIMEDOUT);
    ledger_balances(&src, false);
    executor_destroy(ex);
    return begun;
}

TEST(stream_stop, the_deadline_reaches_items_while_nobody_is_in_next) {
    for (int unordered = 0; unordered < 2; unordered++)
        for (exec_time time_left = EXEC_MS(20); !is_asked_without_next(time_left, unordered);)
            time_left *= 2;
}

TEST(stream_stop, the_source_is_not_asked_once_the_deadline_has_passed) {
    for (int own = 0; own < 2; own++) {
        struct source src = {.n = SIZE_MAX};
        exec_item item;
        executor_t *ex = own ? pool_of_its_own(2) : pool(2);
        exec_time deadline = exec_after(EXEC_MS(20));
        ledger_reset();
        exec_stream_t *s =
            stream_of(ex, &src, ledger_run, ledger_opts((exec_stream_opts){.window = 10, .deadline = deadline}));
        check(next_item(s, &src, &item) || item.error == ETIMEDOUT);
        wait_until(exec_now() > deadline);
        size_t taken = src.taken;
        eq_err(take_all(s, &src), ETIMEDOUT);
        eq_int(src.taken, taken);
        ledger_balances(&src, false);
        executor_destroy(ex);
    }
}

/* Is slow once, until after the deadline. */
struct late_source {
    struct source src;
    exec_time deadline;
    size_t slow_at;
};

static int next_late(void *source, void **arg) {
    struct late_source *late = source;
    check(late->src.taken < late->slow_at);
    int error = source_next(&late->src, arg);
    if (late->src.taken == late->slow_at)
        wait_until(exec_now() > late->deadline);
    return error;
}

TEST(stream_stop, nor_when_the_deadline_passed_while_it_was_being_asked) {
    for (size_t slow_at = 1; slow_at < 20000; slow_at += slow_at / 3 + 1) {
        exec_stream_t *s = NULL;
        executor_t *ex = pool(2);
        struct late_source late = {{.n = SIZE_MAX}, exec_after(EXEC_MS(50)), slow_at};
        ok(exec_stream_open(ex, next_late, &late, plus_one, &(exec_stream_opts){.deadline = late.deadline}, &s));
        eq_err(take_all(s, &late.src), ETIMEDOUT);
        executor_destroy(ex);
    }
}

/* ---- a consumer that is asked to stop ---- */

struct consumer {
    executor_t *ex;
    exec_stream_opts opts;
    struct source src;
    struct gate begun;
    unsigned workers;
};

static struct consumer *consumer; /* whose items run */

static void *begin_until_asked(void *arg) {
    gate_open(&consumer->begun);
    return until_asked(arg);
}

static void *consume(void *arg) {
    struct consumer *c = arg;
    ends_early(stream_of(c->ex, &c->src, begin_until_asked, &c->opts), &c->src, ECANCELED, c->workers);
    return exec_fail(EINTR);
}

static void stops(unsigned workers, int way, bool elsewhere) {
    struct consumer c = {.begun = GATE(1), .src = {.n = SIZE_MAX}, .workers = workers};
    c.opts = *ledger_opts((exec_stream_opts){.window = 10, .unordered = way & 1});
    c.ex = pool(workers);
    executor_t *own = elsewhere ? pool(1) : c.ex;
    ledger_reset();
    atomic_store(&asked, 0);
    consumer = &c;
    future_t *f = submit(own, consume, &c);
    gate_wait(&c.begun);
    if (way & 2)
        ok(executor_shutdown(own, EXECUTOR_DISCARD));
    else
        eq_err(future_cancel(f), EINPROGRESS);
    await_elsewhere(f);
    eq_err(outcome(f), EINTR);
    executor_destroy(c.ex);
    if (elsewhere)
        executor_destroy(own);
}

TEST(stream_stop, a_task_that_is_asked_to_stop_learns_ecanceled_and_so_do_its_items) {
    for (unsigned workers = 1; workers <= 4; workers++)
        for (int way = 0; way < 4; way++)
            stops(workers, way, false);
}

TEST(stream_stop, also_where_the_items_run_on_another_executor) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int way = 0; way < 4; way++)
            stops(workers, way, true);
}

static void *open_when_asked(void *arg) {
    struct consumer *c = arg;
    gate_open(&c->begun);
    wait_until(exec_cancelled());
    exec_stream_t *s = stream_of(c->ex, &c->src, must_not_run, NULL);
    has_ended(s, &c->src, ECANCELED);
    eq_int(c->src.taken, 0);
    exec_stream_close(s);
    return NULL;
}

TEST(stream_stop, a_task_that_was_asked_before_takes_nothing_from_the_source) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct consumer c = {.ex = pool(workers), .begun = GATE(1), .src = {.n = SIZE_MAX}};
        future_t *f = submit(c.ex, open_when_asked, &c);
        gate_wait(&c.begun);
        eq_err(future_cancel(f), EINPROGRESS);
        await_elsewhere(f);
        ok(outcome(f));
        executor_destroy(c.ex);
    }
}
