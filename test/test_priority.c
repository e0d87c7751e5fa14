/* test_priority.c - priorities: who starts before whom, among tasks of all origins; that nothing starves; and that all
 * else is as for other tasks: waits, retries, times, groups, limiters. */
#include "priorities.h"

#include "after.h"
#include "limiters.h"

/* ---- options ---- */

TEST(priority, it_is_from_minus_8_to_8) {
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    const int bad[] = {-9, 9, 100, -100, INT_MIN, INT_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const exec_task_opts opts = {.priority = bad[i], .drop = must_not_free};
        future_t *f = (future_t *)ex;
        eq_err(executor_submit(ex, must_not_run, NULL, &opts, &f), EINVAL);
        eq_err(exec_group_submit(g, must_not_run, NULL, &opts, &f), EINVAL);
        eq_ptr(f, ex);
    }
    for (int priority = -8; priority <= 8; priority++) {
        const exec_task_opts opts = {.priority = priority, .name = "with a priority"};
        future_t *f = submit_opts(ex, identity, ex, &opts);
        eq_str(future_name(f), "with a priority");
        eq_ptr(future_arg(f), ex);
        eq_ptr(take(f), ex);
        ok(executor_submit(ex, identity, ex, &opts, NULL));
        ok(outcome(member_opts(g, identity, ex, &opts)));
    }
    ok(exec_group_close(g));
    executor_destroy(ex);
}

/* ---- order ---- */

TEST(priority, urgent_tasks_overtake_what_is_queued_and_low_ones_give_way) {
    struct line l;
    line_open(&l, (executor_opts){0});
    line_put(&l, -1);
    line_put(&l, 0);
    line_put(&l, 1);
    line_put(&l, 0);
    line_put(&l, 8);
    line_put(&l, -8);
    line_run(&l);
    recorded(&l.ran, 8, 1, 0, 0, -1, -8);
}

TEST(priority, the_highest_of_all_levels_goes_first) {
    struct line l;
    line_open(&l, (executor_opts){0});
    for (int priority = -8; priority <= 8; priority++)
        line_put(&l, priority);
    line_run(&l);
    recorded(&l.ran, 8, 7, 6, 5, 4, 3, 2, 1, 0, -1, -2, -3, -4, -5, -6, -7, -8);
}

TEST(priority, within_one_priority_the_first_in_is_the_first_out) {
    const int levels[] = {-8, -1, 0, 1, 8};
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        struct line l;
        line_open(&l, (executor_opts){0});
        for (int n = 0; n < 100; n++)
            future_unref(line_add(&l, n, (exec_task_opts){.priority = levels[i]}));
        line_run(&l);
        in_order(&l.ran, 100);
    }
}

static void *submit_own(void *arg) {
    struct line *l = arg;
    line_put(l, -2);
    line_put(l, 0);
    line_put(l, 2);
    line_put(l, 2);
    return NULL;
}

TEST(priority, what_a_task_submits_to_its_own_executor_follows_the_same_order) {
    struct line l;
    line_open(&l, (executor_opts){0});
    future_t *f = submit(l.ex, submit_own, &l);
    line_put(&l, 1);
    line_put(&l, -1);
    line_put(&l, -2);
    future_unref(line_add(&l, 100, (exec_task_opts){0}));
    line_run_until(&l, f);
    recorded(&l.ran, 1, 2, 2, 0, 100, -1, -2, -2);
}

static void *submit_urgent_and_see(void *arg) {
    struct line *l = arg;
    executor_t *other = pool(1);
    line_put(l, 0);
    ok(outcome(submit(other, submit_own, l))); /* outside of l's executor */
    executor_destroy(other);
    line_put(l, 2);
    return NULL;
}

TEST(priority, tasks_of_all_origins_share_a_level_in_the_order_in_which_they_came) {
    struct line l;
    line_open(&l, (executor_opts){0});
    future_t *f = submit(l.ex, submit_urgent_and_see, &l);
    line_run_until(&l, f);
    recorded(&l.ran, 2, 2, 2, 0, 0, -2);
}

/* ---- nothing starves ---- */

enum { EVERY = 32 };

/* Urgent tasks without end, each of which submits the next, until the task that is looked for has run. The bound holds
 * for each worker by itself: one that the system stops between taking a task and starting it lets the others start any
 * number meanwhile. */
struct flood {
    executor_t *ex;
    int priority;
    atomic_bool over;
    atomic_int started; /* since the one that is looked for was submitted */
    int after;          /* how many its own worker had started before it */
};

static _Thread_local int started_by_mine;

static void count_start(struct flood *f) {
    atomic_fetch_add(&f->started, 1);
    started_by_mine++;
}

static void *flood(void *arg) {
    struct flood *f = arg;
    count_start(f);
    int error = executor_submit(f->ex, flood, f, &(exec_task_opts){.priority = f->priority}, NULL);
    eq_err(error, atomic_load(&f->over) ? error : 0);
    return NULL;
}

static void *emerge(void *arg) {
    struct flood *f = arg;
    f->after = started_by_mine;
    atomic_store(&f->over, true);
    return NULL;
}

static void *count_in_flood(void *arg) {
    count_start(arg);
    return NULL;
}

/* A task of that priority is submitted behind `before` others of `of`, while a flood of `priority` runs. */
static int advances_after(unsigned workers, int priority, int before, int of, int wanted) {
    struct flood f = {.ex = pool_of((executor_opts){.workers = workers}), .priority = priority};
    struct plug plugs[2] = {PLUG, PLUG};
    future_t *plugged[2];
    for (unsigned i = 0; i < workers; i++)
        plugged[i] = plug_in(f.ex, &plugs[i]);
    for (unsigned i = 0; i < workers; i++)
        ok(executor_submit(f.ex, flood, &f, &(exec_task_opts){.priority = priority}, NULL));
    for (int i = 0; i < before; i++)
        ok(executor_submit(f.ex, count_in_flood, &f, &(exec_task_opts){.priority = of}, NULL));
    ok(executor_submit(f.ex, emerge, &f, &(exec_task_opts){.priority = wanted}, NULL));
    for (unsigned i = 0; i < workers; i++)
        plug_out(&plugs[i]);
    wait_until(atomic_load(&f.over));
    executor_destroy(f.ex);
    for (unsigned i = 0; i < workers; i++)
        future_unref(plugged[i]);
    return f.after;
}

TEST(priority, the_lowest_advances_under_a_flood_of_urgent_ones_by_the_bound) {
    for (int before = 0; before <= 20; before += 5)
        for (int of = -8; of <= 8; of += 8) {
            at_most(advances_after(1, 8, before, of, -8), EVERY * (before + 1 + 1));
            at_most(advances_after(2, 8, before, of, -8), EVERY * (before + 1 + 1));
        }
}

TEST(priority, one_without_a_priority_advances_in_the_queue_by_the_bound) {
    for (int before = 0; before <= 20; before += 10) {
        at_most(advances_after(1, 1, before, 0, 0), EVERY * (before + 1 + 1));
        at_most(advances_after(2, 8, before, -8, 0), EVERY * (before + 1 + 1));
    }
}

TEST(priority, a_low_one_advances_while_tasks_without_a_priority_go_on_submitting) {
    at_most(advances_after(1, 0, 0, 0, -1), EVERY * 2);
    at_most(advances_after(1, -1, 0, 0, -2), EVERY * 2);
}

/* Once the flood has begun, whose task this is. */
static void *emerge_from_own(void *arg) {
    struct flood *f = arg;
    ok(executor_submit(f->ex, flood, f, &(exec_task_opts){.priority = f->priority}, NULL));
    ok(executor_submit(f->ex, emerge, f, NULL, NULL));
    return NULL;
}

TEST(priority, what_a_task_submits_without_a_priority_advances_under_a_flood_of_urgent_ones) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct flood f = {.ex = pool(workers), .priority = 8};
        ok(outcome(submit(f.ex, emerge_from_own, &f)));
        wait_until(atomic_load(&f.over));
        executor_destroy(f.ex);
        at_most(f.after, EVERY * 2);
    }
}

TEST(priority, one_that_was_held_and_has_none_advances_under_a_flood_of_urgent_ones) {
    struct flood f = {.ex = pool(1), .priority = 8};
    future_t *before = promise();
    ok(executor_submit(f.ex, emerge, &f, &(exec_task_opts){.after = &before, .nafter = 1}, NULL));
    ok(executor_submit(f.ex, flood, &f, &(exec_task_opts){.priority = 8}, NULL));
    wait_until(atomic_load(&f.started) > 2 * EVERY);
    check(!atomic_load(&f.over));
    ok(future_resolve(before, NULL, 0));
    wait_until(atomic_load(&f.over));
    future_unref(before);
    executor_destroy(f.ex);
}

/* ---- waiting ---- */

static void *wait_for_low(void *arg) {
    struct line *l = arg;
    record_add(&l->ran, 50);
    future_t *f = line_add(l, -8, (exec_task_opts){.priority = -8});
    ok(future_get(f, NULL));
    future_unref(f);
    record_add(&l->ran, 51);
    return NULL;
}

TEST(priority, a_task_runs_what_it_waits_for_whatever_its_priority_and_no_stranger) {
    struct line l;
    line_open(&l, (executor_opts){0});
    future_t *f = submit_opts(l.ex, wait_for_low, &l, &(exec_task_opts){.priority = 1});
    line_put(&l, 0);
    line_put(&l, 8);
    line_run_until(&l, f);
    recorded(&l.ran, 8, 50, -8, 51, 0);
}

static void *wait_for_outer(void *arg) {
    return exec_wait(arg, 3, 3, EXEC_NEVER) == 0 ? arg : exec_fail(EIO);
}

TEST(priority, a_task_may_wait_for_several_that_lie_in_lanes) {
    struct line l;
    future_t *fs[3];
    line_open(&l, (executor_opts){.capacity = 4, .when_full = EXECUTOR_REJECT});
    future_t *waiter = submit_opts(l.ex, wait_for_outer, fs, &(exec_task_opts){.priority = 8});
    for (int i = 0; i < 3; i++)
        fs[i] = line_add(&l, i, (exec_task_opts){.priority = i - 8});
    line_run(&l);
    ok(outcome(waiter));
    in_order(&l.ran, 3);
    for (int i = 0; i < 3; i++)
        ok(outcome(fs[i]));
}

TEST(priority, a_thread_that_waits_runs_one_in_the_place_of_an_idle_worker) {
    executor_t *ex = pool(2);
    for (int i = 0; i < 1000; i++)
        eq_ptr(take(submit_opts(ex, identity, ex, &(exec_task_opts){.priority = i % 17 - 8})), ex);
    executor_destroy(ex);
}

/* ---- tasks that run again, and later ---- */

struct retried {
    struct line l;
    future_t *f;
};

static void *fail_first(void *arg) {
    struct retried *r = arg;
    record_add(&r->l.ran, (int)exec_attempt());
    return exec_attempt() > 1 ? arg : exec_fail(EIO);
}

/* Has it become ready, and maybe run? */
static void *see_it_ready(void *arg) {
    struct retried *r = arg;
    wait_until(lanes_hold_any(r->l.ex) || future_done(r->f));
    return NULL;
}

TEST(priority, a_retry_keeps_its_priority) {
    struct retried r;
    line_open(&r.l, (executor_opts){0});
    const exec_task_opts opts = {.priority = 5, .retry = {.attempts = 2, .delay = 1}};
    r.f = submit_opts(r.l.ex, fail_first, &r, &opts);
    ok(executor_submit(r.l.ex, see_it_ready, &r, NULL, NULL));
    line_put(&r.l, 0);
    line_run(&r.l);
    ok(outcome(r.f));
    recorded(&r.l.ran, 1, 2, 0);
}

TEST(priority, a_task_that_was_delayed_has_its_priority_among_those_that_are_ready) {
    struct line l;
    line_open(&l, (executor_opts){0});
    line_put(&l, 0);
    line_put(&l, 0);
    future_unref(line_add(&l, 7, (exec_task_opts){.priority = 7, .delay = EXEC_MS(1)}));
    wait_until(lanes_hold_any(l.ex));
    eq_int(aside(l.ex), 0);
    line_run(&l);
    recorded(&l.ran, 7, 0, 0);
}

TEST(priority, a_schedule_keeps_its_priority) {
    struct retried r;
    line_open(&r.l, (executor_opts){0});
    r.f = line_add(&r.l, 3, (exec_task_opts){.priority = 3, .every = EXEC_MS(1), .count = 2});
    ok(executor_submit(r.l.ex, see_it_ready, &r, NULL, NULL));
    line_put(&r.l, 0);
    line_run_until(&r.l, future_ref(r.f));
    future_unref(r.f);
    recorded(&r.l.ran, 3, 3, 0);
}

TEST(priority, those_that_waited_for_others_start_by_priority) {
    struct line l;
    future_t *before = promise();
    line_open(&l, (executor_opts){0});
    for (int priority = -1; priority <= 2; priority++)
        future_unref(line_add(&l, priority, (exec_task_opts){.priority = priority, .after = &before, .nafter = 1}));
    line_put(&l, 0);
    ok(future_resolve(before, NULL, 0));
    line_run(&l);
    future_unref(before);
    recorded(&l.ran, 2, 1, 0, 0, -1);
}

TEST(priority, those_that_a_task_lets_go_of_start_by_priority) {
    struct line l;
    line_open(&l, (executor_opts){0});
    future_t *before = line_add(&l, 0, (exec_task_opts){0});
    for (int priority = -1; priority <= 2; priority++)
        future_unref(line_add(&l, priority, (exec_task_opts){.priority = priority, .after = &before, .nafter = 1}));
    line_put(&l, 1);
    future_unref(before);
    line_run(&l);
    recorded(&l.ran, 1, 0, 2, 1, 0, -1);
}

static void *wait_for_last(void *arg) {
    future_t **last = arg;
    ok(future_get(*last, NULL));
    return NULL;
}

TEST(priority, a_chain_of_them_is_run_by_the_task_that_waits_for_its_end) {
    enum { LENGTH = 100 };
    struct line l;
    future_t *fs[LENGTH];
    line_open(&l, (executor_opts){0});
    future_t *waiter = submit_opts(l.ex, wait_for_last, &fs[LENGTH - 1], &(exec_task_opts){.priority = 8});
    for (int i = 0; i < LENGTH; i++)
        fs[i] = line_add(&l, i,
                         (exec_task_opts){.priority = -1 - i % 8, .after = i > 0 ? &fs[i - 1] : NULL, .nafter = i > 0});
    line_run(&l);
    ok(outcome(waiter));
    for (int i = 0; i < LENGTH; i++)
        future_unref(fs[i]);
    in_order(&l.ran, LENGTH);
}

/* In a time that goes with its length: each is run by the thread that has let go of it. */
TEST(priority, so_is_a_long_one) {
    executor_t *ex = pool(1);
    atomic_int runs = 0;
    future_t *begin = promise(), *last = future_ref(begin);
    for (int i = 0; i < LONG; i++) {
        future_t *f = submit_opts(ex, count_up, &runs, &(exec_task_opts){.priority = i % 2 ? -1 : 1, AFTER(last)});
        future_unref(last);
        last = f;
    }
    future_t *waiter = submit(ex, wait_for_last, &last);
    wait_until(future_state(waiter) == FUTURE_RUNNING);
    fulfil(begin);
    ok(outcome(waiter));
    eq_int(atomic_load(&runs), LONG);
    future_unref(begin);
    future_unref(last);
    executor_destroy(ex);
}

TEST(priority, one_whose_prerequisite_fails_ends_with_it) {
    struct line l;
    future_t *before = promise();
    line_open(&l, (executor_opts){0});
    future_t *f = line_add(&l, 1, (exec_task_opts){.priority = 1, .after = &before, .nafter = 1});
    ok(future_resolve(before, NULL, EIO));
    eq_state(f, FUTURE_FAILED);
    recorded(&l.dropped, 1);
    line_run(&l);
    future_unref(before);
    eq_err(outcome(f), EIO);
    eq_int(l.ran.n, 0);
}

/* ---- groups and limiters let through in the order of arrival ---- */

static void join_line(exec_group_t *g, struct line *l, int number, int priority) {
    const exec_task_opts opts = {.priority = priority, .drop = ticket_drop};
    ok(exec_group_submit(g, ticket_run, ticket(l, number), &opts, NULL));
}

TEST(priority, members_of_a_group_start_by_priority) {
    struct line l;
    line_open(&l, (executor_opts){0});
    exec_group_t *g = group(l.ex);
    for (int priority = -2; priority <= 2; priority++)
        join_line(g, &l, priority, priority);
    plug_out(&l.plug);
    ok(exec_group_close(g));
    line_close(&l);
    recorded(&l.ran, 2, 1, 0, -1, -2);
}

TEST(priority, room_in_a_group_goes_to_the_first_that_came) {
    struct line l;
    line_open(&l, (executor_opts){0});
    exec_group_t *g = group_of(l.ex, (exec_group_opts){.max_running = 1});
    const int priorities[] = {-8, 8, 0, 3, -3};
    for (int i = 0; i < 5; i++)
        join_line(g, &l, i, priorities[i]);
    plug_out(&l.plug);
    ok(exec_group_close(g));
    line_close(&l);
    in_order(&l.ran, 5);
}

TEST(priority, a_group_that_is_cancelled_cancels_members_in_lanes) {
    struct line l;
    line_open(&l, (executor_opts){.capacity = 3, .when_full = EXECUTOR_REJECT});
    exec_group_t *g = group(l.ex);
    for (int i = 0; i < 3; i++)
        join_line(g, &l, i, 3 - i * 3);
    exec_group_cancel(g);
    eq_int(aside(l.ex), 0);
    check(!lanes_hold_any(l.ex));
    eq_err(exec_group_close(g), ECANCELED);
    line_run(&l);
    in_order(&l.dropped, 3);
}

TEST(priority, a_limiter_lets_through_the_first_that_came) {
    struct line l;
    exec_limiter_t *limiter = at_once(1);
    line_open(&l, (executor_opts){0});
    const int priorities[] = {-8, 8, 0, 3, -3};
    for (int i = 0; i < 5; i++)
        future_unref(line_add(&l, i, (exec_task_opts){.priority = priorities[i], .limiter = limiter}));
    line_run(&l);
    in_order(&l.ran, 5);
    end_limiter(limiter);
}

TEST(priority, a_task_that_its_limiter_has_let_through_has_its_priority) {
    struct line l;
    exec_limiter_t *limiter = at_once(1);
    line_open(&l, (executor_opts){0});
    line_put(&l, 0);
    future_unref(line_add(&l, 1, (exec_task_opts){.priority = 1, .limiter = limiter}));
    future_unref(line_add(&l, -1, (exec_task_opts){.priority = -1, .limiter = limiter}));
    line_put(&l, 0);
    line_run(&l);
    recorded(&l.ran, 1, 0, 0, -1);
    end_limiter(limiter);
}
