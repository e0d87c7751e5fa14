/* test_stats.c - what an executor counts and measures: every number exact when nothing runs, and never more ends than
 * submissions while tasks do; histograms to 1.6 per cent; and how all of that is written. */
#include "shown.h"

enum { N = 2000 };

static exec_stats stats_of(executor_t *ex) {
    exec_stats s;
    memset(&s, 0xff, sizeof s);
    ok(executor_stats(ex, &s));
    at_least(s.submitted, (intmax_t)(s.done + s.failed + s.cancelled + s.timed_out));
    eq_int(s.unfinished, s.submitted - s.done - s.failed - s.cancelled - s.timed_out);
    return s;
}

/* Waits until all has ended. */
static exec_stats final_stats(executor_t *ex) {
    wait_until(stats_of(ex).unfinished == 0);
    return stats_of(ex);
}

TEST(stats, a_new_executor_has_done_nothing) {
    executor_t *ex = pool_of((executor_opts){.workers = 3, .measure = true});
    const exec_stats zero = {.workers = 3};
    exec_stats s = stats_of(ex);
    s.wakeups = 0; /* a worker may have been woken as it started */
    check(memcmp(&s, &zero, sizeof s) == 0);
    executor_destroy(ex);
}

TEST(stats, every_task_is_counted_once_by_how_it_ended) {
    for (unsigned workers = 1; workers <= 4; workers++) {
        executor_t *ex = pool_of((executor_opts){.workers = workers, .capacity = 16});
        for (uintptr_t i = 0; i < N; i++)
            ok(executor_submit(ex, end_somehow, (void *)i, i % 3 ? NULL : &(exec_task_opts){.name = "x", .priority = 1},
                               NULL));
        exec_stats s = final_stats(ex);
        eq_int(s.submitted, N);
        eq_int(s.done, N / 4);
        eq_int(s.failed, N / 4);
        eq_int(s.cancelled, N / 4);
        eq_int(s.timed_out, N / 4);
        eq_int(s.retried + s.rejected + s.dropped, 0);
        eq_int(s.queued, 0);
        wait_until(stats_of(ex).running == 0);
        executor_destroy(ex);
    }
}

static void *submit_some(void *ex) {
    for (uintptr_t i = 0; i < 100; i++)
        ok(executor_submit(ex, end_somehow, (void *)i, i % 2 ? NULL : &(exec_task_opts){.delay = EXEC_US(10)}, NULL));
    return NULL;
}

TEST(stats, tasks_of_tasks_and_held_ones_count_once_too) {
    for (unsigned workers = 1; workers <= 4; workers++) {
        executor_t *ex = pool_of((executor_opts){.workers = workers});
        for (int i = 0; i < 20; i++)
            ok(executor_submit(ex, submit_some, ex, NULL, NULL));
        exec_stats s = final_stats(ex);
        eq_int(s.submitted, 20 * 101);
        eq_int(s.done, 20 * 25 + 20);
        eq_int(s.failed, 20 * 25);
        executor_destroy(ex);
    }
}

TEST(stats, what_waits_and_what_runs_is_seen_and_what_is_cancelled_counts) {
    struct plug plug = PLUG;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 10, .measure = true});
    future_t *plugged = plug_in(ex, &plug), *fs[5];
    for (int i = 0; i < 5; i++)
        fs[i] = submit(ex, identity, ex);
    exec_stats s = stats_of(ex);
    eq_int(s.running, 1);
    eq_int(s.queued, 5);
    eq_int(s.unfinished, 6);
    for (int i = 0; i < 4; i++)
        eq_err(future_cancel(fs[i]), 0);
    s = stats_of(ex);
    eq_int(s.cancelled, 4);
    eq_int(s.queued, 1);
    eq_int(s.unfinished, 2);
    between(s.most_queued, 5, 6);
    plug_out(&plug);
    s = final_stats(ex);
    eq_int(s.done, 2);
    for (int i = 0; i < 5; i++)
        future_unref(fs[i]);
    future_unref(plugged);
    executor_destroy(ex);
}

TEST(stats, what_a_full_queue_refuses_or_drops_counts) {
    for (int drops = 0; drops < 2; drops++) {
        struct plug plug = PLUG;
        executor_t *ex = pool_of(
            (executor_opts){.workers = 1, .capacity = 2, .when_full = drops ? EXECUTOR_DROP_OLDEST : EXECUTOR_REJECT});
        future_t *plugged = plug_in(ex, &plug);
        for (int i = 0; i < 7; i++)
            eq_err(executor_submit(ex, identity, ex, NULL, NULL), drops || i < 2 ? 0 : EAGAIN);
        exec_stats s = stats_of(ex);
        eq_int(s.submitted, drops ? 8 : 3);
        eq_int(s.rejected, drops ? 0 : 5);
        eq_int(s.dropped, drops ? 5 : 0);
        eq_int(s.cancelled, s.dropped);
        plug_out(&plug);
        eq_int(final_stats(ex).done, 3);
        future_unref(plugged);
        executor_destroy(ex);
    }
}

TEST(stats, further_attempts_count_as_retried) {
    executor_t *ex = pool_of((executor_opts){.workers = 2});
    for (uintptr_t i = 0; i < 8; i++)
        ok(executor_submit(ex, end_somehow, (void *)i, &(exec_task_opts){.retry = {.attempts = 3, .delay = 1}}, NULL));
    exec_stats s = final_stats(ex);
    eq_int(s.submitted, 8);
    eq_int(s.retried, 2 * 4); /* those that fail by EIO and ETIMEDOUT */
    eq_int(s.failed, 2);
    eq_int(s.timed_out, 2);
    executor_destroy(ex);
}

TEST(stats, a_worker_has_what_it_has_ended_and_its_busy_time) {
    struct plug plug = PLUG;
    executor_t *ex = pool_of((executor_opts){.workers = 2, .measure = true});
    future_t *f = plug_in(ex, &plug);
    exec_worker_stats w[2];
    nap(EXEC_MS(20));
    exec_time busy = 0;
    for (unsigned i = 0; i < 2; i++) {
        ok(executor_worker_stats(ex, i, &w[i]));
        busy += w[i].busy;
        eq_int(w[i].ended, 0);
    }
    at_least(busy, EXEC_MS(20)); /* it counts while it runs */
    plug_out(&plug);
    ok(future_wait(f, EXEC_NEVER));
    future_unref(f);
    uint64_t ended = 0;
    for (unsigned i = 0; i < 2; i++) {
        ok(executor_worker_stats(ex, i, &w[i]));
        ended += w[i].ended;
        at_least(w[i].idle, 0);
    }
    eq_int(ended, 1);
    executor_destroy(ex);
}

static atomic_bool watched;

static void *watch_busy(void *ex) {
    exec_time before[2] = {0, 0};
    while (atomic_load(&watched))
        for (unsigned i = 0; i < 2; i++) {
            exec_worker_stats w;
            ok(executor_worker_stats(ex, i, &w));
            at_least(w.busy, before[i]);
            before[i] = w.busy;
        }
    return NULL;
}

TEST(stats, busy_time_never_goes_back) {
    executor_t *ex = pool_of((executor_opts){.workers = 2, .measure = true});
    atomic_store(&watched, true);
    pthread_t watcher = start(watch_busy, ex);
    for (int i = 0; i < 20000; i++)
        ok(executor_submit(ex, identity, ex, NULL, NULL));
    final_stats(ex);
    atomic_store(&watched, false);
    finish(watcher);
    executor_destroy(ex);
}

/* ---- more ends than submissions? ---- */

static void *submit_late(void *ex) {
    const exec_task_opts opts = {.priority = 1, .deadline = exec_after(EXEC_MS(2))};
    int error = executor_submit(ex, identity, ex, &opts, NULL);
    check(error == 0 || error == ESHUTDOWN);
    return NULL;
}

TEST(stats, a_task_that_ends_while_its_submitter_waits_for_room_is_not_counted_below_zero) {
    struct plug plug = PLUG;
    pthread_t submitters[4];
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1});
    future_t *plugged = plug_in(ex, &plug);
    ok(executor_submit(ex, identity, ex, NULL, NULL));
    for (int i = 0; i < 4; i++)
        submitters[i] = start(submit_late, ex);
    wait_until(stats_of(ex).timed_out == 4); /* stats_of() checks the rest */
    plug_out(&plug);
    for (int i = 0; i < 4; i++)
        finish(submitters[i]);
    future_unref(plugged);
    exec_stats s = final_stats(ex);
    eq_int(s.submitted, 6);
    eq_int(s.done, 2);
    executor_destroy(ex);
}

/* ---- histograms ---- */

TEST(stats, times_go_into_histograms) {
    executor_t *ex = pool_of((executor_opts){.workers = 2, .measure = true});
    static exec_histogram h;
    for (uintptr_t i = 0; i < N; i++)
        ok(executor_submit(ex, end_somehow, (void *)i, NULL, NULL));
    final_stats(ex);
    for (int of = EXEC_TIME_QUEUED; of <= EXEC_TIME_RUNNING; of++) {
        uint64_t total = 0;
        ok(executor_histogram(ex, (enum exec_histogram_of)of, &h));
        for (int i = 0; i < EXEC_HISTOGRAM_BUCKETS; i++)
            total += h.counts[i];
        eq_int(h.total, N);
        eq_int(total, N);
        at_least(h.sum, h.most);
        eq_int(exec_histogram_percentile(&h, 100), h.most);
        at_most(exec_histogram_percentile(&h, 50), h.most);
    }
    executor_destroy(ex);
}

static void *sleep_for(void *duration) {
    nap(*(exec_time *)duration);
    return NULL;
}

TEST(stats, a_time_is_found_again_to_its_precision) {
    executor_t *ex = pool_of((executor_opts){.workers = 1, .measure = true});
    static exec_histogram h;
    exec_time duration = EXEC_MS(3);
    ok(executor_map(ex, sleep_for, (void *[]){&duration}, NULL, 1, NULL));
    take(submit(ex, sleep_for, &duration));
    ok(executor_histogram(ex, EXEC_TIME_RUNNING, &h));
    at_least(h.most, duration);
    double found = (double)exec_histogram_percentile(&h, 99.9), exact = (double)h.most;
    check(found > exact * (1 - 0.016) && found <= exact);
    executor_destroy(ex);
}

TEST(stats, percentiles_of_known_counts) {
    static exec_histogram h;
    h = (exec_histogram){.total = 100, .sum = 0, .most = 1000};
    h.counts[10] = 50; /* 10 ns */
    h.counts[20] = 49; /* 20 ns */
    h.counts[EXEC_HISTOGRAM_BUCKETS - 1] = 1;
    eq_int(exec_histogram_percentile(&h, -5), 10);
    eq_int(exec_histogram_percentile(&h, 0), 10);
    eq_int(exec_histogram_percentile(&h, 50), 10);
    eq_int(exec_histogram_percentile(&h, 50.1), 20);
    eq_int(exec_histogram_percentile(&h, 99), 20);
    eq_int(exec_histogram_percentile(&h, 99.5), 1000);
    eq_int(exec_histogram_percentile(&h, 100), 1000);
    eq_int(exec_histogram_percentile(&h, 1e9), 1000);
    eq_int(exec_histogram_percentile(NULL, 50), 0);
    h = (exec_histogram){.total = 0};
    eq_int(exec_histogram_percentile(&h, 50), 0);
    h = (exec_histogram){.total = 10, .most = 7}; /* more than are counted: not one of ours */
    eq_int(exec_histogram_percentile(&h, 50), 7);
}

/* ---- errors ---- */

TEST(stats, errors) {
    executor_t *ex = pool_of((executor_opts){.workers = 1});
    static exec_histogram h;
    exec_worker_stats w;
    exec_stats s;
    eq_err(executor_stats(NULL, &s), EINVAL);
    eq_err(executor_stats(ex, NULL), EINVAL);
    eq_err(executor_worker_stats(ex, 1, &w), EINVAL);
    eq_err(executor_worker_stats(ex, 0, NULL), EINVAL);
    eq_err(executor_worker_stats(NULL, 0, &w), EINVAL);
    eq_err(executor_histogram(ex, EXEC_TIME_QUEUED, &h), ENOTSUP);
    eq_err(executor_histogram(ex, (enum exec_histogram_of)2, &h), EINVAL);
    eq_err(executor_histogram(ex, EXEC_TIME_QUEUED, NULL), EINVAL);
    eq_err(executor_histogram(NULL, EXEC_TIME_QUEUED, &h), EINVAL);
    eq_err(executor_stats_write(ex, NULL, EXEC_STATS_TABLE), EINVAL);
    eq_err(executor_stats_write(ex, stderr, (enum exec_stats_format)3), EINVAL);
    eq_err(executor_stats_write(NULL, stderr, EXEC_STATS_TABLE), EINVAL);
    eq_err(executor_dump(ex, NULL), EINVAL);
    eq_err(executor_dump(NULL, stderr), EINVAL);
    executor_destroy(ex);
}

/* ---- while it runs ---- */

static atomic_bool over;

static void *keep_asking(void *arg) {
    executor_t *ex = arg;
    static exec_histogram h;
    FILE *nowhere = fopen("/dev/null", "w");
    exec_stats before = stats_of(ex);
    while (!atomic_load(&over)) {
        exec_stats now = stats_of(ex);
        at_least(now.submitted, (intmax_t)before.submitted);
        at_least(now.done, (intmax_t)before.done);
        before = now;
        ok(executor_histogram(ex, EXEC_TIME_QUEUED, &h));
        ok(executor_dump(ex, nowhere));
        ok(executor_stats_write(ex, nowhere, EXEC_STATS_JSON));
    }
    fclose(nowhere);
    return NULL;
}

static void *named(void *ex) {
    char name[40];
    static atomic_uint number;
    future_t *f = NULL;
    snprintf(name, sizeof name, "task %u", atomic_fetch_add(&number, 1));
    ok(executor_submit(ex, end_somehow, NULL, &(exec_task_opts){.name = name}, &f)); /* a name that is soon gone */
    ok(future_get(f, NULL));
    future_unref(f);
    return NULL;
}

TEST(stats, can_be_asked_for_while_everything_runs) {
    executor_t *ex = pool_of((executor_opts){.workers = 3, .measure = true, .capacity = 64});
    pthread_t asking = start(keep_asking, ex);
    for (int i = 0; i < N; i++) {
        future_t *f = submit(ex, named, ex);
        if (i % 3 == 0)
            future_cancel(f);
        future_unref(f);
    }
    eq_int(final_stats(ex).failed, 0);
    atomic_store(&over, true);
    finish(asking);
    executor_destroy(ex);
}
