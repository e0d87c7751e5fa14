/* test_schedule_cron.c - .cron and .zone of a task, by clocks that stand still until they are moved, or set. */
#include "after.h"
#include "groups.h"
#include "moved_clock.h"

#define MINUTE EXEC_SEC(60)
#define HOUR EXEC_SEC(3600)
#define LOOK EXEC_SEC(10) /* so soon a clock that was set is seen */

enum { MARCH_28_2026 = 1774656000 }; /* midnight UTC; the next night the clocks of Europe go forward */
enum { OCTOBER_25_2026 = 1792886400 };

/* Sets CLOCK_REALTIME, and nothing else, to so many seconds since the Epoch. */
static void set_clock(int64_t seconds) {
    exec__clock_move(0, 0);
    exec__clock_move(0, EXEC_SEC(seconds) - exec__realtime_now());
}

/* When a task has run, by CLOCK_REALTIME in seconds. */
struct runs {
    atomic_int n;
    int64_t at[50];
    exec_time take;
    int failures;
};

static void *log_time(void *arg) {
    struct runs *runs = arg;
    int n = atomic_load(&runs->n);
    check(n < 50);
    runs->at[n] = exec__realtime_now() / EXEC_SEC(1);
    exec__clock_move(runs->take, 0);
    atomic_store(&runs->n, n + 1);
    return n < runs->failures ? exec_fail(EIO) : runs;
}

static future_t *submit_cron(executor_t *ex, struct runs *runs, const char *cron, const char *zone, size_t count) {
    const exec_task_opts opts = {.cron = cron, .zone = zone, .count = count};
    return submit_opts(ex, log_time, runs, &opts);
}

/* Moves the clocks on to so many seconds since the Epoch, and waits until what is due has been fired. */
static void pass_to(executor_t *ex, int64_t seconds) {
    pass(ex, EXEC_SEC(seconds) - exec__realtime_now());
}

/* It waits for its next run, having run so often. */
static void rests_after(future_t *f, struct runs *runs, int n) {
    comes_to(&runs->n, n);
    wait_until(future_state(f) == FUTURE_PENDING);
}

/* Nothing until a second before; then it runs. */
static void runs_at(executor_t *ex, future_t *f, struct runs *runs, int64_t seconds) {
    int n = atomic_load(&runs->n);
    rests_after(f, runs, n);
    pass_to(ex, seconds - 1);
    rests_after(f, runs, n);
    pass_to(ex, seconds);
    comes_to(&runs->n, n + 1);
    eq_int(runs->at[n], seconds);
}

static void cancel(future_t *f) {
    ok(future_cancel(f));
    eq_err(outcome(f), ECANCELED);
}

/* ---- options ---- */

TEST(schedule_cron, a_bad_expression_and_an_unknown_zone_are_einval) {
    const exec_task_opts bad[] = {{.cron = "", .drop = must_not_free},
                                  {.cron = "60 * * * *", .drop = must_not_free},
                                  {.cron = "@never", .drop = must_not_free},
                                  {.cron = "* * * * *", .zone = "No/Where", .drop = must_not_free},
                                  {.cron = "* * * * *", .zone = "../../etc/passwd", .drop = must_not_free},
                                  {.cron = "* * * * *", .every = EXEC_SEC(1), .drop = must_not_free}};
    executor_t *ex = pool(1);
    future_t *f = (future_t *)ex;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        eq_err(executor_submit(ex, must_not_run, NULL, &bad[i], &f), EINVAL);
        eq_err(executor_submit(ex, must_not_run, NULL, &bad[i], NULL), EINVAL);
    }
    eq_ptr(f, ex);
    executor_destroy(ex);
}

/* ---- when ---- */

TEST(schedule_cron, it_runs_when_the_expression_is_due_and_so_often_as_it_is_counted) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026 + 59);
    future_t *f = submit_cron(ex, &runs, "*/20 * * * *", "UTC", 6);
    for (int i = 1; i <= 6; i++)
        runs_at(ex, f, &runs, MARCH_28_2026 + i * 1200);
    eq_ptr(take(f), &runs);
    pass(ex, HOUR);
    executor_destroy(ex);
    eq_int(atomic_load(&runs.n), 6);
}

TEST(schedule_cron, one_that_is_due_at_this_moment_waits_for_the_next) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026);
    future_t *f = submit_cron(ex, &runs, "@hourly", "UTC", 0);
    runs_at(ex, f, &runs, MARCH_28_2026 + 3600);
    rests_after(f, &runs, 1);
    cancel(f);
    executor_destroy(ex);
}

TEST(schedule_cron, a_delay_counts_before_its_first_time) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026);
    const exec_task_opts opts = {.cron = "*/20 * * * *", .zone = "UTC", .delay = 30 * MINUTE, .count = 2};
    future_t *f = submit_opts(ex, log_time, &runs, &opts);
    runs_at(ex, f, &runs, MARCH_28_2026 + 2400);
    runs_at(ex, f, &runs, MARCH_28_2026 + 3600);
    eq_ptr(take(f), &runs);
    executor_destroy(ex);
}

TEST(schedule_cron, what_was_missed_by_a_long_run_is_left_out) {
    struct runs runs = {.take = MINUTE + EXEC_SEC(1)};
    executor_t *ex = pool(2);
    set_clock(MARCH_28_2026);
    future_t *f = submit_cron(ex, &runs, "* * * * *", "UTC", 3);
    for (int i = 0; i < 3; i++)
        runs_at(ex, f, &runs, MARCH_28_2026 + 60 + i * 120);
    eq_ptr(take(f), &runs);
    executor_destroy(ex);
}

TEST(schedule_cron, one_that_is_never_due_waits_until_it_is_cancelled) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026);
    future_t *f = submit_cron(ex, &runs, "0 0 30 2 *", "UTC", 0);
    pass(ex, 10000 * HOUR);
    rests_after(f, &runs, 0);
    cancel(f);
    executor_destroy(ex);
}

/* ---- zones ---- */

TEST(schedule_cron, it_goes_by_its_zone) {
    struct runs berlin = {0}, kolkata = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026);
    future_t *f = submit_cron(ex, &kolkata, "0 9 * * *", "Asia/Kolkata", 1);
    future_t *g = submit_cron(ex, &berlin, "0 9 * * *", "Europe/Berlin", 1);
    runs_at(ex, f, &kolkata, MARCH_28_2026 + 3600 * 3 + 1800);
    runs_at(ex, g, &berlin, MARCH_28_2026 + 3600 * 8);
    eq_ptr(take(f), &kolkata);
    eq_ptr(take(g), &berlin);
    executor_destroy(ex);
}

TEST(schedule_cron, without_a_zone_it_goes_by_the_processs_own) {
    struct runs runs = {0};
    setenv("TZ", "XYZ-5", 1);
    tzset();
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026);
    future_t *f = submit_cron(ex, &runs, "0 9 * * *", NULL, 1);
    runs_at(ex, f, &runs, MARCH_28_2026 + 3600 * 4);
    eq_ptr(take(f), &runs);
    executor_destroy(ex);
}

TEST(schedule_cron, a_time_that_the_clock_leaves_out_is_due_right_after) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026);
    future_t *f = submit_cron(ex, &runs, "30 2 * * *", "Europe/Berlin", 3);
    runs_at(ex, f, &runs, MARCH_28_2026 + 3600 + 1800);
    runs_at(ex, f, &runs, MARCH_28_2026 + 86400 + 3600); /* 3:00, where 2:00 would be */
    runs_at(ex, f, &runs, MARCH_28_2026 + 2 * 86400 + 1800);
    eq_ptr(take(f), &runs);
    executor_destroy(ex);
}

TEST(schedule_cron, a_time_that_comes_twice_is_due_once) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(OCTOBER_25_2026 - 3600);
    future_t *f = submit_cron(ex, &runs, "30 2 * * *", "Europe/Berlin", 2);
    runs_at(ex, f, &runs, OCTOBER_25_2026 + 1800);
    runs_at(ex, f, &runs, OCTOBER_25_2026 + 86400 + 3600 + 1800);
    eq_ptr(take(f), &runs);
    executor_destroy(ex);
}

/* ---- the clock is set ---- */

TEST(schedule_cron, when_the_clock_is_set_forward_it_runs_at_the_new_time) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026);
    future_t *f = submit_cron(ex, &runs, "0 12 * * *", "UTC", 0);
    pass(ex, HOUR);
    set_clock(MARCH_28_2026 + 12 * 3600 - 20);
    pass(ex, LOOK);
    rests_after(f, &runs, 0);
    runs_at(ex, f, &runs, MARCH_28_2026 + 12 * 3600);
    rests_after(f, &runs, 1);
    cancel(f);
    executor_destroy(ex);
}

TEST(schedule_cron, what_a_set_clock_jumps_over_is_left_out) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026 + 11 * 3600);
    future_t *f = submit_cron(ex, &runs, "0 12 * * *", "UTC", 0);
    pass(ex, MINUTE);
    set_clock(MARCH_28_2026 + 13 * 3600);
    pass(ex, LOOK);
    pass(ex, 2 * HOUR);
    rests_after(f, &runs, 0);
    runs_at(ex, f, &runs, MARCH_28_2026 + 36 * 3600);
    rests_after(f, &runs, 1);
    cancel(f);
    executor_destroy(ex);
}

TEST(schedule_cron, when_the_clock_is_set_back_it_waits_for_the_time_to_come_again) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026 + 11 * 3600);
    future_t *f = submit_cron(ex, &runs, "0 12 * * *", "UTC", 0);
    pass(ex, MINUTE);
    set_clock(MARCH_28_2026 + 9 * 3600);
    pass(ex, LOOK);
    pass_to(ex, MARCH_28_2026 + 11 * 3600 + 1800);
    rests_after(f, &runs, 0);
    runs_at(ex, f, &runs, MARCH_28_2026 + 12 * 3600);
    rests_after(f, &runs, 1);
    set_clock(MARCH_28_2026 + 11 * 3600); /* and once more */
    pass(ex, LOOK);
    runs_at(ex, f, &runs, MARCH_28_2026 + 12 * 3600);
    rests_after(f, &runs, 2);
    cancel(f);
    executor_destroy(ex);
}

TEST(schedule_cron, a_clock_that_is_set_within_the_last_seconds_before_it_is_due_is_seen) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026 + 11 * 3600);
    future_t *f = submit_cron(ex, &runs, "0 12 * * *", "UTC", 0);
    pass_to(ex, MARCH_28_2026 + 12 * 3600 - 5);
    set_clock(MARCH_28_2026 + 11 * 3600);
    pass(ex, LOOK);
    rests_after(f, &runs, 0);
    runs_at(ex, f, &runs, MARCH_28_2026 + 12 * 3600);
    rests_after(f, &runs, 1);
    cancel(f);
    executor_destroy(ex);
}

/* ---- with the other options ---- */

TEST(schedule_cron, a_run_that_fails_is_tried_again_before_the_next_is_due) {
    struct runs runs = {.failures = 3};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026);
    const exec_retry retry = {.attempts = 2, .delay = EXEC_SEC(30), .jitter = EXEC_JITTER_NONE};
    const exec_task_opts opts = {.cron = "@hourly", .zone = "UTC", .count = 2, .keep_going = true, .retry = retry};
    future_t *f = submit_opts(ex, log_time, &runs, &opts);
    runs_at(ex, f, &runs, MARCH_28_2026 + 3600);
    runs_at(ex, f, &runs, MARCH_28_2026 + 3630);
    runs_at(ex, f, &runs, MARCH_28_2026 + 7200);
    runs_at(ex, f, &runs, MARCH_28_2026 + 7230);
    eq_ptr(take(f), &runs);
    executor_destroy(ex);
}

TEST(schedule_cron, without_keep_going_a_failure_ends_it) {
    struct runs runs = {.failures = 1};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026);
    future_t *f = submit_cron(ex, &runs, "@hourly", "UTC", 0);
    runs_at(ex, f, &runs, MARCH_28_2026 + 3600);
    eq_err(outcome(f), EIO);
    executor_destroy(ex);
}

TEST(schedule_cron, it_ends_with_the_last_run_before_its_deadline) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026);
    const exec_task_opts opts = {.cron = "@hourly", .zone = "UTC", .deadline = exec_now() + 2 * HOUR + 1};
    future_t *f = submit_opts(ex, log_time, &runs, &opts);
    runs_at(ex, f, &runs, MARCH_28_2026 + 3600);
    runs_at(ex, f, &runs, MARCH_28_2026 + 7200);
    eq_ptr(take(f), &runs);
    executor_destroy(ex);
}

TEST(schedule_cron, prerequisites_hold_the_first_run_and_a_time_missed_meanwhile_is_made_up_for_once) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    future_t *p = promise();
    set_clock(MARCH_28_2026);
    const exec_task_opts opts = {AFTER(p), .cron = "@hourly", .zone = "UTC", .count = 2};
    future_t *f = submit_opts(ex, log_time, &runs, &opts);
    pass(ex, 3 * HOUR + 30 * MINUTE);
    fulfil(p);
    rests_after(f, &runs, 1);
    runs_at(ex, f, &runs, MARCH_28_2026 + 4 * 3600);
    eq_ptr(take(f), &runs);
    future_unref(p);
    executor_destroy(ex);
}

TEST(schedule_cron, it_ends_with_a_cancel_of_its_group_and_any_shutdown) {
    for (int how = 0; how < 3; how++) {
        struct runs runs = {0};
        executor_t *ex = pool(1);
        exec_group_t *g = group(ex);
        set_clock(MARCH_28_2026);
        future_t *f = member_opts(g, log_time, &runs, &(exec_task_opts){.cron = "@hourly", .zone = "UTC"});
        runs_at(ex, f, &runs, MARCH_28_2026 + 3600);
        rests_after(f, &runs, 1);
        if (how == 0)
            exec_group_cancel(g);
        else
            ok(executor_shutdown(ex, how == 1 ? EXECUTOR_DRAIN : EXECUTOR_DISCARD));
        wait_until(future_done(f));
        eq_err(outcome(f), ECANCELED);
        eq_err(exec_group_close(g), ECANCELED);
        executor_destroy(ex);
    }
}

static void *wait_for_cron(void *arg) {
    future_t *f = arg;
    ok(future_get(f, NULL));
    return f;
}

TEST(schedule_cron, a_task_of_the_only_worker_may_wait_for_it) {
    struct runs runs = {0};
    executor_t *ex = pool(1);
    set_clock(MARCH_28_2026);
    future_t *f = submit_cron(ex, &runs, "@hourly", "UTC", 2), *waiter = submit(ex, wait_for_cron, f);
    runs_at(ex, f, &runs, MARCH_28_2026 + 3600);
    runs_at(ex, f, &runs, MARCH_28_2026 + 7200);
    eq_ptr(take(waiter), f);
    future_unref(f);
    executor_destroy(ex);
}
