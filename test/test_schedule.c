/* test_schedule.c - .delay, .every, .count and .keep_going of a task: when it runs, how often, and how that ends. */
#include "after.h"
#include "child.h"
#include "groups.h"
#include "moved_clock.h"

#define PERIOD EXEC_SEC(2)

/* It has run so often, and waits for its next run. */
static void rests_after(future_t *f, struct run_log *log, int n) {
    comes_to(&log->n, n);
    wait_until(future_state(f) == FUTURE_PENDING);
}

static void ends_with(future_t *f, int error) {
    wait_until(future_done(f));
    eq_state(f, error == 0 ? FUTURE_DONE : error == ECANCELED ? FUTURE_CANCELLED : FUTURE_FAILED);
    eq_err(outcome(f), error);
}

/* ---- options ---- */

TEST(schedule, bad_options_are_einval_and_nothing_is_accepted) {
    const exec_task_opts bad[] = {{.delay = -1, .drop = must_not_free},
                                  {.every = -1, .drop = must_not_free},
                                  {.delay = INT64_MIN, .every = PERIOD, .drop = must_not_free},
                                  {.every = PERIOD, .cron = "* * * * *", .drop = must_not_free}};
    executor_t *ex = pool(1);
    future_t *f = (future_t *)ex;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        eq_err(executor_submit(ex, must_not_run, NULL, &bad[i], &f), EINVAL);
        eq_err(executor_submit(ex, must_not_run, NULL, &bad[i], NULL), EINVAL);
    }
    eq_ptr(f, ex);
    executor_destroy(ex);
}

/* ---- .delay ---- */

TEST(schedule, a_delayed_task_starts_when_its_delay_has_passed_and_not_before) {
    struct run_log log = {0};
    executor_t *ex = pool(1);
    stop_clock();
    exec_time due = exec_now() + EXEC_SEC(10);
    future_t *f = submit_log(ex, &log, (exec_task_opts){.delay = EXEC_SEC(10)});
    pass(ex, EXEC_SEC(10) - 1);
    eq_state(f, FUTURE_PENDING);
    eq_int(atomic_load(&log.n), 0);
    exec__clock_move(1, 0);
    eq_ptr(take(f), &log);
    eq_int(log.at[0], due);
    executor_destroy(ex);
}

TEST(schedule, by_the_real_clock_a_delayed_task_is_not_early) {
    executor_t *ex = pool(2);
    for (int i = 0; i < 20; i++) {
        struct run_log log = {0};
        exec_time begun = exec_now();
        eq_ptr(take(submit_log(ex, &log, (exec_task_opts){.delay = EXEC_US(300) * i})), &log);
        at_least(log.at[0], begun + EXEC_US(300) * i);
    }
    executor_destroy(ex);
}

TEST(schedule, delayed_tasks_start_in_the_order_of_their_times) {
    enum { N = 200 };
    struct record order = RECORD;
    struct entry entries[N];
    executor_t *ex = pool(1);
    stop_clock();
    for (int i = 0; i < N; i++) {
        entries[i] = (struct entry){&order, i * 77 % N};
        exec_task_opts opts = {.delay = EXEC_MS(1 + entries[i].number)};
        ok(executor_submit(ex, write_down, &entries[i], &opts, NULL));
    }
    exec__clock_move(EXEC_SEC(1), 0);
    executor_destroy(ex);
    eq_int(order.n, N);
    for (int i = 0; i < N; i++)
        eq_int(order.items[i], i);
}

TEST(schedule, delayed_tasks_hold_no_worker_and_no_room) {
    atomic_int ran = 0;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_REJECT});
    stop_clock();
    for (int i = 0; i < 100; i++)
        ok(executor_submit(ex, count_up, &ran, &(exec_task_opts){.delay = EXEC_SEC(1)}, NULL));
    for (int i = 0; i < 10; i++)
        eq_ptr(take(submit(ex, identity, ex)), ex);
    eq_int(atomic_load(&ran), 0);
    exec__clock_move(EXEC_SEC(1), 0);
    executor_destroy(ex);
    eq_int(atomic_load(&ran), 100);
}

TEST(schedule, a_delay_and_prerequisites_must_both_have_passed) {
    struct run_log early = {0}, late = {0};
    executor_t *ex = pool(1);
    future_t *p = promise(), *q = promise();
    stop_clock();
    exec_time begun = exec_now();
    future_t *f = submit_log(ex, &early, (exec_task_opts){AFTER(p), .delay = EXEC_SEC(10)});
    future_t *g = submit_log(ex, &late, (exec_task_opts){AFTER(q), .delay = EXEC_SEC(10)});
    fulfil(p);
    pass(ex, EXEC_SEC(10) - 1);
    eq_state(f, FUTURE_PENDING);
    exec__clock_move(1, 0);
    eq_ptr(take(f), &early);
    eq_int(early.at[0], begun + EXEC_SEC(10));
    pass(ex, EXEC_SEC(5));
    eq_state(g, FUTURE_PENDING);
    fulfil(q);
    eq_ptr(take(g), &late);
    eq_int(late.at[0], begun + EXEC_SEC(15));
    future_unref(p), future_unref(q);
    executor_destroy(ex);
}

TEST(schedule, when_a_prerequisite_fails_a_delayed_task_ends_at_once) {
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *p = promise();
    const exec_task_opts opts = {AFTER(p), .delay = LIMIT * 2, .drop = count_drop};
    future_t *f = submit_opts(ex, must_not_run, &drops, &opts);
    ok(future_resolve(p, NULL, EIO));
    ends_with(f, EIO);
    eq_int(atomic_load(&drops), 1);
    future_unref(p);
    executor_destroy(ex);
}

TEST(schedule, a_delayed_task_can_be_cancelled) {
    const exec_time delays[] = {LIMIT * 2, EXEC_NEVER, EXEC_NEVER - 1};
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    for (int i = 0; i < 3; i++) {
        const exec_task_opts opts = {.delay = delays[i], .drop = count_drop};
        future_t *f = submit_opts(ex, must_not_run, &drops, &opts);
        ok(future_cancel(f));
        eq_int(atomic_load(&drops), i + 1);
        ends_with(f, ECANCELED);
    }
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 3);
}

/* What a drain does to each schedule must not take longer for each of the others: it is far less than a submit. */
TEST(schedule, a_drain_ends_many_schedules_among_many_delayed_tasks_without_looking_at_each_for_each) {
    enum { MANY = 20000, FACTOR = 5 };
    executor_t *ex = pool(1);
    const exec_task_opts later = {.delay = EXEC_SEC(3600)}, schedule = {.delay = EXEC_SEC(3600), .every = EXEC_SEC(1)};
    exec_time began = exec_now();
    future_t *first = submit_opts(ex, must_not_run, NULL, &schedule);
    for (int i = 1; i < MANY; i++)
        ok(executor_submit(ex, must_not_run, NULL, &schedule, NULL));
    future_t *last = submit_opts(ex, must_not_run, NULL, &schedule);
    for (int i = 0; i < MANY; i++)
        ok(executor_submit(ex, must_not_run, NULL, &later, NULL));
    exec_time drained = exec_now();
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    eq_err(outcome(first), ECANCELED);
    eq_err(outcome(last), ECANCELED);
    check(exec_now() - drained < FACTOR * (drained - began));
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    executor_destroy(ex);
}

TEST(schedule, a_drained_executor_waits_for_delayed_tasks_and_a_discarded_one_cancels_them) {
    atomic_int ran = 0, drops = 0;
    executor_t *ex = pool(1);
    stop_clock();
    ok(executor_submit(ex, count_up, &ran, &(exec_task_opts){.delay = EXEC_SEC(5)}, NULL));
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    eq_err(executor_join(ex, EXEC_NOW), ETIMEDOUT);
    exec__clock_move(EXEC_SEC(5), 0);
    executor_destroy(ex);
    eq_int(atomic_load(&ran), 1);
    ex = pool(1);
    const exec_task_opts opts = {.delay = EXEC_SEC(5), .drop = count_drop};
    future_t *f = submit_opts(ex, must_not_run, &drops, &opts);
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    ends_with(f, ECANCELED);
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 1);
}

struct waiting {
    executor_t *ex;
    future_t *f;
    struct gate begun;
};

static void *get_given(void *arg) {
    struct waiting *w = arg;
    gate_open(&w->begun);
    ok(future_get(w->f, NULL));
    return w;
}

static void *get_own(void *arg) {
    struct waiting *w = arg;
    struct run_log log = {0};
    future_t *f = submit_log(w->ex, &log, (exec_task_opts){.delay = EXEC_MS(1)});
    eq_ptr(take(f), &log);
    f = submit_log(w->ex, &log, (exec_task_opts){.every = EXEC_US(10), .count = 20});
    eq_ptr(take(f), &log);
    eq_int(atomic_load(&log.n), 21);
    return w;
}

TEST(schedule, a_task_of_the_only_worker_may_wait_for_a_delayed_task) {
    struct run_log log = {0};
    struct waiting w = {.ex = pool(1), .begun = GATE(1)};
    stop_clock();
    w.f = submit_log(w.ex, &log, (exec_task_opts){.delay = EXEC_SEC(1)});
    future_t *f = submit(w.ex, get_given, &w);
    gate_wait(&w.begun);
    pass(w.ex, EXEC_SEC(1));
    eq_ptr(take(f), &w);
    future_unref(w.f);
    exec__clock_release();
    f = submit(w.ex, get_own, &w);
    await_elsewhere(f);
    eq_ptr(take(f), &w);
    executor_destroy(w.ex);
}

/* ---- .every ---- */

TEST(schedule, twenty_runs_of_a_period_do_not_drift) {
    enum { RUNS = 20 };
    struct run_log log = {0};
    executor_t *ex = pool(1);
    stop_clock();
    exec_time begun = exec_now();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.every = PERIOD, .count = RUNS});
    for (int i = 1; i < RUNS; i++) {
        rests_after(f, &log, i);
        if (i % 3 == 0)
            pass(ex, PERIOD - 1);
        eq_int(atomic_load(&log.n), i);
        exec__clock_move(i % 3 == 0 ? 1 : PERIOD, 0);
    }
    eq_ptr(take(f), &log);
    comes_to(&log.n, RUNS);
    for (int i = 0; i < RUNS; i++) {
        eq_int(log.at[i], begun + i * PERIOD);
        eq_int(log.attempts[i], 1);
    }
    pass(ex, 10 * PERIOD);
    executor_destroy(ex);
    eq_int(atomic_load(&log.n), RUNS);
    eq_int(atomic_load(&log.freed), RUNS - 1);
    eq_int(atomic_load(&log.drops), 0);
}

TEST(schedule, runs_that_come_late_do_not_shift_the_next) {
    struct run_log log = {0};
    executor_t *ex = pool(1);
    stop_clock();
    exec_time begun = exec_now();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.every = PERIOD, .count = 10});
    for (int i = 1; i < 10; i++) {
        rests_after(f, &log, i);
        exec_time late = EXEC_MS(i * 200);
        exec__clock_move(begun + i * PERIOD + late - exec_now(), 0);
        comes_to(&log.n, i + 1);
        eq_int(log.at[i], begun + i * PERIOD + late);
    }
    eq_ptr(take(f), &log);
    executor_destroy(ex);
}

TEST(schedule, what_was_missed_is_left_out_and_not_made_up_for) {
    struct run_log log = {0};
    executor_t *ex = pool(1);
    stop_clock();
    exec_time begun = exec_now();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.every = PERIOD, .count = 3});
    rests_after(f, &log, 1);
    exec__clock_move(7 * PERIOD + 1, 0);
    rests_after(f, &log, 2);
    pass(ex, PERIOD - 2);
    eq_int(atomic_load(&log.n), 2);
    exec__clock_move(1, 0);
    eq_ptr(take(f), &log);
    eq_int(log.at[1], begun + 7 * PERIOD + 1);
    eq_int(log.at[2], begun + 8 * PERIOD);
    executor_destroy(ex);
}

static void *take_three_periods(void *arg) {
    exec__clock_move(3 * PERIOD, 0);
    return log_run(arg);
}

TEST(schedule, a_run_that_takes_longer_than_the_period_is_followed_by_the_next_one_due) {
    struct run_log log = {0};
    executor_t *ex = pool(2);
    stop_clock();
    exec_time begun = exec_now();
    future_t *f = submit_opts(ex, take_three_periods, &log, &(exec_task_opts){.every = PERIOD, .count = 2});
    rests_after(f, &log, 1);
    pass(ex, PERIOD - 1);
    eq_int(atomic_load(&log.n), 1);
    exec__clock_move(1, 0);
    eq_ptr(take(f), &log);
    eq_int(log.at[1], begun + 7 * PERIOD);
    executor_destroy(ex);
}

TEST(schedule, runs_never_overlap) {
    struct run_log logs[8];
    future_t *fs[8];
    memset(logs, 0, sizeof logs);
    executor_t *ex = pool(4);
    for (int i = 0; i < 8; i++)
        fs[i] = submit_log(ex, &logs[i], (exec_task_opts){.every = 1 + i * EXEC_US(10), .count = 90});
    for (int i = 0; i < 8; i++) {
        eq_ptr(take(fs[i]), &logs[i]); /* log_run() would see it */
        eq_int(atomic_load(&logs[i].n), 90);
        eq_int(atomic_load(&logs[i].freed), 89);
    }
    executor_destroy(ex);
}

static void *add_one(void *counter) {
    count_up(counter);
    return NULL;
}

TEST(schedule, one_without_end_leaves_the_only_worker_to_others) {
    atomic_int runs = 0;
    executor_t *ex = pool(1);
    future_t *f = submit_opts(ex, add_one, &runs, &(exec_task_opts){.every = 1});
    for (int i = 0; i < 100; i++) {
        future_t *other = submit(ex, identity, ex);
        await_elsewhere(other);
        eq_ptr(take(other), ex);
    }
    wait_until(atomic_load(&runs) > 100);
    check(!future_done(f));
    future_cancel(f);
    await_elsewhere(f);
    future_unref(f);
    executor_destroy(ex);
}

TEST(schedule, the_first_run_is_due_at_once_or_after_the_delay) {
    struct run_log at_once = {0}, later = {0};
    executor_t *ex = pool(1);
    stop_clock();
    exec_time begun = exec_now();
    future_t *f = submit_log(ex, &at_once, (exec_task_opts){.every = PERIOD, .count = 2});
    future_t *g = submit_log(ex, &later, (exec_task_opts){.every = PERIOD, .count = 2, .delay = EXEC_SEC(1)});
    rests_after(f, &at_once, 1);
    pass(ex, EXEC_SEC(1));
    rests_after(g, &later, 1);
    pass(ex, EXEC_SEC(1));
    eq_ptr(take(f), &at_once);
    pass(ex, EXEC_SEC(1));
    eq_ptr(take(g), &later);
    for (int i = 0; i < 2; i++) {
        eq_int(at_once.at[i], begun + i * PERIOD);
        eq_int(later.at[i], begun + EXEC_SEC(1) + i * PERIOD);
    }
    executor_destroy(ex);
}

TEST(schedule, prerequisites_hold_the_first_run_only) {
    struct run_log log = {0};
    executor_t *ex = pool(1);
    future_t *p = promise();
    stop_clock();
    exec_time begun = exec_now();
    future_t *f = submit_log(ex, &log, (exec_task_opts){AFTER(p), .every = PERIOD, .count = 2});
    pass(ex, 2 * PERIOD + EXEC_SEC(1));
    eq_state(f, FUTURE_PENDING);
    fulfil(p);
    rests_after(f, &log, 1);
    exec__clock_move(EXEC_SEC(1), 0);
    eq_ptr(take(f), &log);
    eq_int(log.at[1], begun + 3 * PERIOD);
    future_unref(p);
    executor_destroy(ex);
}

TEST(schedule, a_period_that_never_ends_and_a_count_of_one_are_one_run) {
    const exec_task_opts once[] = {{.every = EXEC_NEVER}, {.every = PERIOD, .count = 1}, {.count = 5}};
    executor_t *ex = pool(1);
    for (int i = 0; i < 3; i++) {
        struct run_log log = {0};
        eq_ptr(take(submit_log(ex, &log, once[i])), &log);
        eq_int(atomic_load(&log.n), 1);
    }
    executor_destroy(ex);
}

/* ---- failing ---- */

TEST(schedule, a_run_that_fails_ends_it) {
    struct run_log log = {.failures = 100};
    executor_t *ex = pool(1);
    stop_clock();
    ends_with(submit_log(ex, &log, (exec_task_opts){.every = PERIOD}), EIO);
    pass(ex, 3 * PERIOD);
    executor_destroy(ex);
    eq_int(atomic_load(&log.n), 1);
    eq_int(atomic_load(&log.drops), 0);
}

TEST(schedule, with_keep_going_it_goes_on_and_ends_as_its_last_run) {
    for (int failures = 3; failures <= 4; failures++) {
        struct run_log log = {.failures = failures};
        executor_t *ex = pool(1);
        stop_clock();
        future_t *f = submit_log(ex, &log, (exec_task_opts){.every = PERIOD, .count = 4, .keep_going = true});
        for (int i = 1; i < 4; i++) {
            rests_after(f, &log, i);
            pass(ex, PERIOD);
        }
        comes_to(&log.n, 4);
        ends_with(f, failures == 4 ? EIO : 0);
        executor_destroy(ex);
        eq_int(atomic_load(&log.drops), 0);
        eq_int(atomic_load(&log.freed), 0);
    }
}

TEST(schedule, each_run_has_all_of_its_attempts) {
    struct run_log log = {.failures = 5};
    const unsigned attempts[] = {1, 2, 3, 1, 2, 3, 1};
    const exec_time seconds[] = {0, 1, 2, 10, 11, 12, 20};
    executor_t *ex = pool(1);
    stop_clock();
    exec_time begun = exec_now();
    const exec_retry retry = {.attempts = 3, .delay = EXEC_SEC(1), .factor = 1, .jitter = EXEC_JITTER_NONE};
    const exec_task_opts opts = {.every = EXEC_SEC(10), .count = 3, .retry = retry, .keep_going = true};
    future_t *f = submit_log(ex, &log, opts);
    for (int i = 0; i < 6; i++) {
        rests_after(f, &log, i + 1);
        pass(ex, EXEC_SEC(seconds[i + 1] - seconds[i]));
    }
    eq_ptr(take(f), &log);
    comes_to(&log.n, 7);
    for (int i = 0; i < 7; i++) {
        eq_int(log.attempts[i], attempts[i]);
        eq_int(log.at[i], begun + EXEC_SEC(seconds[i]));
    }
    executor_destroy(ex);
}

TEST(schedule, each_run_has_its_timeout) {
    struct run_log log = {0};
    executor_t *ex = pool(1);
    stop_clock();
    const exec_task_opts opts = {
        .every = PERIOD, .timeout = 3 * PERIOD, .count = 2, .keep_going = true, .free_result = log_free};
    future_t *f = submit_opts(ex, take_three_periods, &log, &opts);
    rests_after(f, &log, 1);
    eq_int(atomic_load(&log.freed), 1);
    pass(ex, PERIOD);
    ends_with(f, ETIMEDOUT);
    executor_destroy(ex);
    eq_int(atomic_load(&log.freed), 2);
}

static void *fail_cancelled(void *arg) {
    count_up(arg);
    return exec_fail(ECANCELED);
}

TEST(schedule, a_run_that_ends_cancelled_is_a_failure_like_others) {
    for (int keep_going = 0; keep_going <= 1; keep_going++) {
        atomic_int runs = 0;
        executor_t *ex = pool(1);
        exec_task_opts opts = {.every = 1, .count = 3, .keep_going = keep_going};
        ends_with(submit_opts(ex, fail_cancelled, &runs, &opts), ECANCELED);
        eq_int(atomic_load(&runs), keep_going ? 3 : 1);
        executor_destroy(ex);
    }
}

/* ---- ending it ---- */

TEST(schedule, it_can_be_cancelled_before_between_and_in_its_runs) {
    struct run_log log = {0};
    struct obedient task = OBEDIENT(0);
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.every = PERIOD, .delay = PERIOD});
    ok(future_cancel(f));
    ends_with(f, ECANCELED);
    eq_int(atomic_load(&log.drops), 1);
    f = submit_log(ex, &log, (exec_task_opts){.every = PERIOD});
    rests_after(f, &log, 1);
    ok(future_cancel(f));
    eq_state(f, FUTURE_CANCELLED);
    ends_with(f, ECANCELED);
    f = submit_opts(ex, until_asked, &task, &(exec_task_opts){.every = PERIOD});
    gate_wait(&task.started);
    eq_err(future_cancel(f), EINPROGRESS);
    eq_ptr(take(f), &task);
    pass(ex, 5 * PERIOD);
    executor_destroy(ex);
    eq_int(atomic_load(&log.n), 1);
    eq_int(atomic_load(&log.drops), 1);
    eq_int(atomic_load(&log.freed), 1);
}

TEST(schedule, it_ends_with_its_last_run_before_the_deadline) {
    struct run_log log = {0};
    executor_t *ex = pool(1);
    stop_clock();
    const exec_task_opts opts = {.every = PERIOD, .deadline = exec_now() + 2 * PERIOD + 1};
    future_t *f = submit_log(ex, &log, opts);
    for (int i = 1; i <= 2; i++) {
        rests_after(f, &log, i);
        pass(ex, PERIOD);
    }
    eq_ptr(take(f), &log);
    comes_to(&log.n, 3);
    pass(ex, 5 * PERIOD);
    executor_destroy(ex);
    eq_int(atomic_load(&log.n), 3);
}

TEST(schedule, when_the_deadline_passes_while_it_waits_for_a_worker_it_times_out) {
    struct run_log log = {0};
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    stop_clock();
    const exec_task_opts opts = {.every = PERIOD, .deadline = exec_now() + PERIOD + 1};
    future_t *f = submit_log(ex, &log, opts);
    rests_after(f, &log, 1);
    future_t *first = plug_in(ex, &plug);
    pass(ex, PERIOD);
    pass(ex, 1);
    ends_with(f, ETIMEDOUT);
    plug_out(&plug);
    ok(outcome(first));
    executor_destroy(ex);
    eq_int(atomic_load(&log.n), 1);
    eq_int(atomic_load(&log.drops), 0);
}

static void shut_down(executor_t *ex, int how) {
    if (how == 0)
        ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    else if (how == 1)
        ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    else
        executor_request_shutdown(ex);
}

TEST(schedule, a_shutdown_of_any_kind_cancels_it_between_two_runs_and_before_the_first) {
    for (int how = 0; how < 3; how++) {
        struct run_log log = {0}, later = {0};
        executor_t *ex = pool(1);
        stop_clock();
        future_t *f = submit_log(ex, &log, (exec_task_opts){.every = PERIOD});
        future_t *g = submit_log(ex, &later, (exec_task_opts){.every = PERIOD, .delay = PERIOD});
        rests_after(f, &log, 1);
        shut_down(ex, how);
        ok(executor_join(ex, EXEC_NEVER));
        ends_with(f, ECANCELED);
        ends_with(g, ECANCELED);
        executor_destroy(ex);
        eq_int(atomic_load(&log.n), 1);
        eq_int(atomic_load(&log.drops), 0);
        eq_int(atomic_load(&later.n), 0);
        eq_int(atomic_load(&later.drops), 1);
    }
}

TEST(schedule, a_run_that_is_going_on_at_a_shutdown_is_the_last_one) {
    for (int how = 0; how < 3; how++) {
        struct plug plug = PLUG;
        executor_t *ex = pool(1);
        future_t *f = submit_opts(ex, plug_task, &plug, &(exec_task_opts){.every = 1});
        gate_wait(&plug.started);
        shut_down(ex, how);
        plug_out(&plug);
        executor_destroy(ex);
        check(future_done(f));
        future_unref(f);
    }
}

TEST(schedule, executors_can_be_destroyed_under_schedules_at_full_speed) {
    for (int i = 0; i < 50; i++) {
        atomic_int runs = 0;
        executor_t *ex = pool(2);
        for (int n = 0; n < 4; n++)
            ok(executor_submit(ex, add_one, &runs, &(exec_task_opts){.every = 1 + n * EXEC_US(20)}, NULL));
        wait_until(atomic_load(&runs) >= i);
        shut_down(ex, i % 3);
        executor_destroy(ex);
    }
}

/* ---- who is told ---- */

static void note_end(future_t *f, void *ends) {
    check(future_done(f));
    count_up(ends);
}

TEST(schedule, only_the_end_of_all_runs_is_told) {
    struct run_log log = {0};
    atomic_int ends = 0;
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.every = PERIOD, .count = 3});
    future_t *after = submit_after(ex, identity, ex, f);
    ok(future_on_done(f, note_end, &ends));
    for (int i = 1; i <= 2; i++) {
        rests_after(f, &log, i);
        eq_err(exec_wait(&f, 1, 1, EXEC_NOW), ETIMEDOUT);
        eq_state(after, FUTURE_PENDING);
        eq_int(atomic_load(&ends), 0);
        pass(ex, PERIOD);
    }
    eq_ptr(take(after), ex);
    ok(exec_wait(&f, 1, 1, EXEC_NEVER));
    eq_ptr(take(f), &log);
    executor_destroy(ex);
    eq_int(atomic_load(&ends), 1);
}

/* ---- groups ---- */

TEST(schedule, a_member_between_two_runs_leaves_its_room_to_others) {
    struct run_log log = {0};
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 1});
    stop_clock();
    future_t *f = member_opts(g, log_run, &log, &(exec_task_opts){.every = PERIOD, .count = 2});
    rests_after(f, &log, 1);
    eq_ptr(take(member(g, identity, ex)), ex);
    ok(outcome_of_next(g));
    pass(ex, PERIOD);
    next_is(g, f);
    eq_ptr(take(f), &log);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(schedule, a_delayed_member_takes_no_room_until_it_is_due) {
    struct run_log log = {0};
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 1});
    stop_clock();
    future_t *f = member_opts(g, log_run, &log, &(exec_task_opts){.delay = PERIOD});
    for (int i = 0; i < 5; i++) {
        eq_ptr(take(member(g, identity, ex)), ex);
        ok(outcome_of_next(g));
    }
    pass(ex, PERIOD);
    next_is(g, f);
    eq_ptr(take(f), &log);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(schedule, a_group_that_is_cancelled_or_fails_ends_the_schedules_in_it) {
    for (int fails = 0; fails <= 1; fails++) {
        struct run_log log = {0}, later = {0};
        executor_t *ex = pool(2);
        exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FAIL_FAST});
        stop_clock();
        future_t *f = member_opts(g, log_run, &log, &(exec_task_opts){.every = PERIOD, .drop = log_drop});
        future_t *d = member_opts(g, log_run, &later, &(exec_task_opts){.delay = PERIOD, .drop = log_drop});
        rests_after(f, &log, 1);
        if (fails)
            join(g, fail_with, as_error(EIO));
        else
            exec_group_cancel(g);
        ends_with(f, ECANCELED);
        ends_with(d, ECANCELED);
        eq_err(exec_group_close(g), fails ? EIO : ECANCELED);
        executor_destroy(ex);
        eq_int(atomic_load(&log.drops), 0);
        eq_int(atomic_load(&later.drops), 1);
    }
}

TEST(schedule, at_the_deadline_of_its_group_a_member_that_waits_for_its_time_ends) {
    for (int i = 0; i < 2; i++) {
        struct run_log log = {0};
        executor_t *ex = pool(1);
        exec_group_t *g = group_of(ex, (exec_group_opts){.deadline = exec_after(EXEC_MS(50))});
        const exec_task_opts opts = {.delay = LIMIT * 2, .every = i ? PERIOD : 0, .drop = log_drop};
        future_t *f = NULL;
        int error = exec_group_submit(g, log_run, &log, &opts, &f);
        check(error == 0 || error == ECANCELED); /* a machine may be that slow */
        eq_err(exec_group_wait(g, EXEC_NEVER), error == 0 ? ETIMEDOUT : 0);
        exec_group_close(g);
        check(f == NULL || future_done(f));
        future_unref(f);
        executor_destroy(ex);
        eq_int(atomic_load(&log.n), 0);
        eq_int(atomic_load(&log.drops), 1);
    }
}

TEST(schedule, who_closes_a_group_waits_for_all_runs) {
    struct run_log log = {0};
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    ok(exec_group_submit(g, log_run, &log, &(exec_task_opts){.every = EXEC_US(100), .count = 20}, NULL));
    ok(exec_group_close(g));
    eq_int(atomic_load(&log.n), 20);
    executor_destroy(ex);
}

/* ---- a full queue, a forked child ---- */

TEST(schedule, what_the_caller_runs_first_the_executor_runs_again) {
    struct plug plug = PLUG;
    struct run_log log = {0};
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_CALLER_RUNS});
    future_t *first = plug_in(ex, &plug), *queued = submit(ex, identity, NULL);
    future_t *f = submit_log(ex, &log, (exec_task_opts){.every = 1, .count = 5});
    at_least(atomic_load(&log.n), 1);
    plug_out(&plug);
    eq_ptr(take(f), &log);
    eq_int(atomic_load(&log.n), 5);
    ok(outcome(first));
    ok(outcome(queued));
    executor_destroy(ex);
}

#ifndef TEST_UNDER_TSAN /* which cannot follow a child's threads */
static void schedule_in_child(void *ex) {
    struct run_log log = {0};
    eq_err(executor_submit(ex, must_not_run, NULL, &(exec_task_opts){.every = 1}, NULL), EOWNERDEAD);
    executor_destroy(ex);
    executor_t *own = pool(1);
    eq_ptr(take(submit_log(own, &log, (exec_task_opts){.every = 1, .count = 5, .delay = EXEC_MS(1)})), &log);
    executor_destroy(own);
}

TEST(schedule, a_child_forked_between_two_runs_is_on_its_own) {
    struct run_log log = {0};
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.every = PERIOD});
    rests_after(f, &log, 1);
    exec__clock_release();
    in_child(schedule_in_child, ex);
    future_cancel(f);
    await_elsewhere(f);
    future_unref(f);
    executor_destroy(ex);
}
#endif
