/* test_deadline.c - .deadline and .timeout of a task: what it ends with, in whatever stage they find it. */
#include "after.h"
#include "child.h"
#include "groups.h"
#include "moved_clock.h"

#define IN(duration) (exec_now() + (duration))

static void timed_out(future_t *f) {
    wait_until(future_done(f));
    eq_state(f, FUTURE_FAILED);
    eq_err(outcome(f), ETIMEDOUT);
}

/* A task that must end at this deadline without having run. */
static future_t *doomed_until(executor_t *ex, atomic_int *drops, exec_time deadline) {
    return submit_opts(ex, must_not_run, drops, &(exec_task_opts){.deadline = deadline, .drop = count_drop});
}

/* ---- options ---- */

TEST(deadline, negative_times_are_einval_and_nothing_is_accepted) {
    const exec_task_opts bad[] = {{.deadline = -1, .drop = must_not_free},
                                  {.timeout = -1, .drop = must_not_free},
                                  {.deadline = INT64_MIN, .drop = must_not_free},
                                  {.timeout = INT64_MIN, .deadline = 1, .drop = must_not_free}};
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    future_t *f = (future_t *)ex;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        eq_err(executor_submit(ex, must_not_run, NULL, &bad[i], &f), EINVAL);
        eq_err(executor_submit(ex, must_not_run, NULL, &bad[i], NULL), EINVAL);
    }
    eq_ptr(f, ex);
    ok(exec_group_close(g));
    executor_destroy(ex);
}

TEST(deadline, a_task_that_is_in_time_is_as_without) {
    executor_t *ex = pool(2);
    const exec_time never[] = {EXEC_NEVER, EXEC_NEVER - 1, exec_after(LIMIT)};
    for (int i = 0; i < 3; i++) {
        eq_ptr(take(submit_until(ex, identity, ex, never[i])), ex);
        eq_ptr(take(submit_opts(ex, identity, ex, &(exec_task_opts){.timeout = never[i]})), ex);
        eq_ptr(take(submit_opts(ex, identity, ex, &(exec_task_opts){.timeout = LIMIT, .deadline = never[i]})), ex);
        eq_err(outcome(submit_opts(ex, fail_with, as_error(EIO), &(exec_task_opts){.timeout = LIMIT})), EIO);
    }
    executor_destroy(ex);
}

TEST(deadline, there_is_a_timer_thread_from_the_first_need_on) {
    executor_t *ex = pool_of((executor_opts){.workers = 1, .name = "clockwork"});
    ok(outcome(submit(ex, identity, NULL)));
    eq_int(threads_named("clockwork-timer", NULL, 0), 0);
    ok(outcome(submit_until(ex, identity, NULL, EXEC_NEVER - 1)));
    ok(outcome(submit_until(ex, identity, NULL, EXEC_NEVER - 1)));
    eq_int(threads_named("clockwork-timer", NULL, 0), 1);
    executor_destroy(ex);
}

/* ---- before it starts ---- */

TEST(deadline, a_task_whose_deadline_has_passed_does_not_start) {
    atomic_int drops = 0;
    executor_t *ex = pool(2);
    for (int i = 0; i < 50; i++)
        timed_out(doomed_until(ex, &drops, i % 2 ? exec_now() : 1));
    comes_to(&drops, 50);
    executor_destroy(ex);
}

TEST(deadline, a_task_that_waits_for_a_worker_ends_when_the_deadline_passes) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug);
    stop_clock();
    future_t *f = doomed_until(ex, &drops, IN(EXEC_SEC(10)));
    pass(ex, EXEC_SEC(10) - 1);
    eq_state(f, FUTURE_PENDING);
    pass(ex, 1);
    eq_state(f, FUTURE_FAILED);
    eq_int(atomic_load(&drops), 1);
    timed_out(f);
    plug_out(&plug);
    ok(outcome(first));
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 1);
}

TEST(deadline, a_task_that_waits_for_others_ends_when_the_deadline_passes) {
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *p = promise();
    stop_clock();
    future_t *f = submit_opts(ex, must_not_run, &drops,
                              &(exec_task_opts){AFTER(p), .deadline = IN(EXEC_SEC(1)), .drop = count_drop});
    future_t *next = doomed_after(ex, &drops, f);
    pass(ex, EXEC_SEC(1) - 1);
    eq_state(f, FUTURE_PENDING);
    pass(ex, 1);
    timed_out(f);
    timed_out(next);
    comes_to(&drops, 2);
    fulfil(p);
    future_unref(p);
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 2);
}

TEST(deadline, a_task_that_is_delayed_ends_when_the_deadline_passes) {
    struct run_log log = {0};
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.delay = EXEC_SEC(2), .deadline = IN(EXEC_SEC(1))});
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    pass(ex, EXEC_SEC(5));
    executor_destroy(ex);
    eq_int(atomic_load(&log.n), 0);
    eq_int(atomic_load(&log.drops), 1);
}

TEST(deadline, a_member_that_waits_for_room_in_its_group_ends_when_the_deadline_passes) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 1});
    future_t *first = plug_member(g, &plug);
    stop_clock();
    future_t *f =
        member_opts(g, must_not_run, &drops, &(exec_task_opts){.deadline = IN(EXEC_SEC(1)), .drop = count_drop});
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    eq_err(outcome_of_next(g), ETIMEDOUT);
    plug_out(&plug);
    ok(outcome(first));
    ok(outcome_of_next(g));
    close_empty(g, ETIMEDOUT);
    eq_int(atomic_load(&drops), 1);
    executor_destroy(ex);
}

TEST(deadline, under_fail_fast_a_deadline_is_a_failure) {
    struct obedient other = OBEDIENT(ECANCELED);
    atomic_int drops = 0;
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FAIL_FAST});
    future_t *p = promise();
    stop_clock();
    future_unref(obedient_member(g, &other));
    future_unref(member_opts(g, must_not_run, &drops,
                             &(exec_task_opts){AFTER(p), .deadline = IN(EXEC_SEC(1)), .drop = count_drop}));
    pass(ex, EXEC_SEC(1));
    eq_err(outcome_of_next(g), ETIMEDOUT);
    eq_err(outcome_of_next(g), ECANCELED);
    close_empty(g, ETIMEDOUT);
    eq_int(atomic_load(&drops), 1);
    future_unref(p);
    executor_destroy(ex);
}

TEST(deadline, under_first_a_deadline_is_no_success) {
    struct plug plug = PLUG;
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FIRST});
    future_t *p = promise();
    stop_clock();
    future_unref(plug_member(g, &plug));
    future_unref(member_opts(g, must_not_run, NULL, &(exec_task_opts){AFTER(p), .deadline = IN(EXEC_SEC(1))}));
    pass(ex, EXEC_SEC(1));
    plug_out(&plug);
    ok(exec_group_wait(g, EXEC_NEVER));
    ok(exec_group_close(g));
    future_unref(p);
    executor_destroy(ex);
}

/* ---- who waits ---- */

static void *get_it(void *f) {
    return as_error(future_get(f, NULL));
}

static void *wait_for_it(void *f) {
    return as_error(future_wait(f, EXEC_NEVER));
}

static void *wait_for_any(void *f) {
    future_t *one = f;
    return as_error(exec_wait(&one, 1, 1, EXEC_NEVER));
}

static void note_end(future_t *f, void *ends) {
    eq_state(f, FUTURE_FAILED);
    count_up(ends);
}

TEST(deadline, everybody_who_waits_for_it_is_told) {
    struct plug plug = PLUG;
    atomic_int ends = 0;
    int fd;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug);
    stop_clock();
    future_t *f = doomed_until(ex, &ends, IN(EXEC_SEC(1)));
    ok(future_on_done(f, note_end, &ends));
    ok(future_fd(f, &fd));
    pthread_t get = start(wait_for_any, f), wait = start(wait_for_it, f), any = start(get_it, f);
    pass(ex, EXEC_SEC(1));
    finish(get), finish(wait);
    eq_int((intptr_t)finish(any), ETIMEDOUT);
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    ok(exec_poll(&readable, 1, EXEC_NEVER, NULL));
    wait_until(atomic_load(&ends) == 2);
    timed_out(f);
    plug_out(&plug);
    ok(outcome(first));
    executor_destroy(ex);
}

struct waiter {
    future_t *f;
    struct gate begun;
};

static void *get_in_task(void *arg) {
    struct waiter *w = arg;
    gate_open(&w->begun);
    eq_err(future_get(w->f, NULL), ETIMEDOUT);
    eq_err(exec_wait(&w->f, 1, 1, EXEC_NEVER), 0);
    return w;
}

TEST(deadline, a_task_of_the_only_worker_may_wait_for_it) {
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *p = promise();
    stop_clock();
    struct waiter w = {.begun = GATE(1)};
    w.f = submit_opts(ex, must_not_run, &drops,
                      &(exec_task_opts){AFTER(p), .deadline = IN(EXEC_SEC(1)), .drop = count_drop});
    future_t *f = submit(ex, get_in_task, &w);
    gate_wait(&w.begun);
    pass(ex, EXEC_SEC(1));
    eq_ptr(take(f), &w);
    future_unref(w.f), future_unref(p);
    comes_to(&drops, 1);
    executor_destroy(ex);
}

/* ---- a task that runs ---- */

/* Runs past `opts` by the clock's move, and ends as `then` says. */
static future_t *run_past(executor_t *ex, struct obedient *task, exec_task_opts opts, exec_time move) {
    future_t *f = submit_opts(ex, until_asked, task, &opts);
    gate_wait(&task->started);
    pass(ex, move - 1);
    eq_state(f, FUTURE_RUNNING);
    exec__clock_move(1, 0);
    return f;
}

TEST(deadline, a_task_that_runs_at_the_deadline_is_asked_to_stop_and_has_timed_out_if_it_does) {
    struct obedient task = OBEDIENT(ECANCELED);
    executor_t *ex = pool(1);
    stop_clock();
    timed_out(run_past(ex, &task, (exec_task_opts){.deadline = IN(EXEC_SEC(1))}, EXEC_SEC(1)));
    executor_destroy(ex);
}

TEST(deadline, a_task_that_goes_on_past_the_deadline_ends_as_it_says) {
    struct obedient good = OBEDIENT(0), bad = OBEDIENT(EIO);
    executor_t *ex = pool(1);
    stop_clock();
    eq_ptr(take(run_past(ex, &good, (exec_task_opts){.deadline = IN(EXEC_SEC(1))}, EXEC_SEC(1))), &good);
    eq_err(outcome(run_past(ex, &bad, (exec_task_opts){.deadline = IN(EXEC_SEC(1))}, EXEC_SEC(1))), EIO);
    executor_destroy(ex);
}

static void *sleep_long(void *arg) {
    (void)arg;
    return exec_fail(exec_sleep(EXEC_SEC(1000)));
}

static void *poll_long(void *arg) {
    (void)arg;
    return exec_fail(exec_poll(NULL, 0, EXEC_NEVER, NULL));
}

static void *map_long(void *ex) {
    void *args[2] = {NULL, NULL};
    int error = executor_map(ex, sleep_long, args, NULL, 2, NULL);
    return error != 0 ? exec_fail(ECANCELED) : NULL;
}

static void *group_long(void *ex) {
    exec_group_t *g = group(ex);
    int error = exec_group_submit(g, sleep_long, NULL, NULL, NULL); /* it may be too late for that already */
    if (error == 0)
        exec_group_submit(g, poll_long, NULL, NULL, NULL);
    int closed = exec_group_close(g);
    return error != 0 || closed != 0 ? exec_fail(ECANCELED) : NULL;
}

TEST(deadline, both_end_sleeps_and_polls_and_what_is_within_the_task) {
    exec_fn *const long_ones[] = {sleep_long, poll_long, map_long, group_long};
    executor_t *ex = pool(2);
    for (int i = 0; i < 8; i++) {
        exec_task_opts by_deadline = {.deadline = exec_after(EXEC_MS(30))}, by_timeout = {.timeout = EXEC_MS(5)};
        exec_time begun = exec_now();
        timed_out(submit_opts(ex, long_ones[i / 2], ex, i % 2 ? &by_deadline : &by_timeout));
        between(exec_now() - begun, i % 2 ? 0 : EXEC_MS(5), LIMIT);
    }
    executor_destroy(ex);
}

/* ---- .timeout ---- */

static void *spend_a_second(void *arg) {
    check(!exec_cancelled());
    exec__clock_move(EXEC_SEC(1), 0);
    check(exec_cancelled());
    return arg == NULL ? exec_fail(EIO) : arg;
}

TEST(deadline, a_run_that_takes_its_timeout_has_failed_whatever_it_returns) {
    const int ends[] = {0, EIO, ECANCELED, ETIMEDOUT};
    executor_t *ex = pool(1);
    stop_clock();
    for (int i = 0; i < 4; i++) {
        struct obedient task = OBEDIENT(ends[i]);
        timed_out(run_past(ex, &task, (exec_task_opts){.timeout = EXEC_SEC(1)}, EXEC_SEC(1)));
    }
    executor_destroy(ex);
}

TEST(deadline, the_result_of_a_run_that_took_too_long_is_freed_once) {
    struct run_log log = {0};
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_opts(ex, spend_a_second, &log,
                              &(exec_task_opts){.timeout = EXEC_SEC(1), .free_result = log_free, .drop = log_drop});
    void *result = ex;
    eq_err(future_get(f, &result), ETIMEDOUT);
    eq_ptr(result, NULL);
    timed_out(f);
    timed_out(submit_opts(ex, spend_a_second, NULL, &(exec_task_opts){.timeout = 1, .free_result = must_not_free}));
    executor_destroy(ex);
    eq_int(atomic_load(&log.freed), 1);
    eq_int(atomic_load(&log.drops), 0);
}

TEST(deadline, a_timeout_counts_from_the_start_of_the_run) {
    struct plug plug = PLUG;
    struct run_log log = {0};
    executor_t *ex = pool(1);
    stop_clock();
    future_t *first = plug_in(ex, &plug), *f = submit_log(ex, &log, (exec_task_opts){.timeout = EXEC_SEC(1)});
    pass(ex, EXEC_SEC(100));
    eq_state(f, FUTURE_PENDING);
    plug_out(&plug);
    ok(outcome(first));
    eq_ptr(take(f), &log);
    executor_destroy(ex);
}

TEST(deadline, the_earlier_one_of_both_counts) {
    const exec_time deadlines[] = {EXEC_SEC(1), EXEC_SEC(3)};
    executor_t *ex = pool(1);
    stop_clock();
    for (int i = 0; i < 2; i++) {
        struct obedient task = OBEDIENT(ECANCELED);
        exec_task_opts opts = {.timeout = EXEC_SEC(2), .deadline = IN(deadlines[i])};
        timed_out(run_past(ex, &task, opts, EXEC_SEC(i + 1)));
    }
    pass(ex, EXEC_SEC(100));
    executor_destroy(ex);
}

/* Its timeout is later than its deadline, which it ignores; both have passed when it returns. */
TEST(deadline, a_value_that_comes_after_the_deadline_and_before_the_timeout_counts) {
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_opts(ex, spend_a_second, ex, &(exec_task_opts){.timeout = EXEC_SEC(2), .deadline = IN(1)});
    eq_ptr(take(f), ex);
    executor_destroy(ex);
}

static void *time_out_here(void *arg) {
    executor_t *ex = arg;
    future_t *f = submit_opts(ex, spend_a_second, ex, &(exec_task_opts){.timeout = EXEC_SEC(1)});
    timed_out(f); /* nobody else can run it */
    return NULL;
}

static void *time_out_claimed(void *arg) {
    executor_t *ex = arg;
    future_t *f = submit_opts(ex, spend_a_second, ex, &(exec_task_opts){.timeout = EXEC_SEC(1)});
    eq_err(outcome(f), ETIMEDOUT);
    check(!exec_cancelled());
    return NULL;
}

TEST(deadline, a_task_that_its_waiter_runs_times_out_alone) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    stop_clock();
    ok(outcome(submit(ex, time_out_claimed, ex)));
    future_t *first = plug_in(ex, &plug);
    plug_out(&plug);
    ok(outcome(first));
    executor_destroy(ex);
    ex = pool(2);
    ok(outcome(submit(ex, time_out_here, ex)));
    executor_destroy(ex);
}

static void *leave_late(void *arg) {
    exec__clock_move(EXEC_SEC(1), 0);
    pthread_exit(arg);
}

TEST(deadline, a_function_that_left_its_thread_is_ownerdead_also_when_it_was_late) {
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_opts(ex, leave_late, NULL, &(exec_task_opts){.timeout = EXEC_SEC(1)});
    await_elsewhere(f);
    eq_err(outcome(f), EOWNERDEAD);
    ok(outcome(submit(ex, identity, NULL)));
    executor_destroy(ex);
}

/* ---- cancelling, shutting down ---- */

TEST(deadline, what_was_cancelled_before_is_cancelled_once) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug);
    stop_clock();
    future_t *f = doomed_until(ex, &drops, IN(EXEC_SEC(1)));
    ok(future_cancel(f));
    pass(ex, EXEC_SEC(2));
    eq_state(f, FUTURE_CANCELLED);
    eq_err(outcome(f), ECANCELED);
    f = doomed_until(ex, &drops, IN(EXEC_SEC(1)));
    pass(ex, EXEC_SEC(2));
    eq_err(future_cancel(f), EALREADY);
    timed_out(f);
    plug_out(&plug);
    ok(outcome(first));
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 2);
}

TEST(deadline, a_task_that_is_cancelled_while_it_runs_is_cancelled) {
    const exec_task_opts opts[] = {{.deadline = exec_after(LIMIT)}, {.timeout = LIMIT}};
    executor_t *ex = pool(1);
    for (int i = 0; i < 2; i++) {
        struct obedient task = OBEDIENT(ECANCELED);
        future_t *f = submit_opts(ex, until_asked, &task, &opts[i]);
        gate_wait(&task.started);
        eq_err(future_cancel(f), EINPROGRESS);
        await_elsewhere(f);
        eq_state(f, FUTURE_CANCELLED);
        eq_err(outcome(f), ECANCELED);
    }
    executor_destroy(ex);
}

TEST(deadline, a_drained_executor_ends_at_the_deadline_of_what_it_holds) {
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *p = promise();
    exec_time deadline = exec_after(EXEC_MS(20));
    future_t *f =
        submit_opts(ex, must_not_run, &drops, &(exec_task_opts){AFTER(p), .deadline = deadline, .drop = count_drop});
    executor_destroy(ex);
    at_least(exec_now(), deadline);
    eq_int(atomic_load(&drops), 1);
    timed_out(f);
    future_unref(p);
}

TEST(deadline, a_discarded_executor_cancels_in_every_stage) {
    struct obedient task = OBEDIENT(ECANCELED);
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *p = promise(), *fs[3];
    exec_time deadline = exec_after(LIMIT);
    fs[0] = submit_opts(ex, until_asked, &task, &(exec_task_opts){.deadline = deadline, .timeout = LIMIT});
    gate_wait(&task.started);
    fs[1] = doomed_until(ex, &drops, deadline);
    fs[2] =
        submit_opts(ex, must_not_run, &drops, &(exec_task_opts){AFTER(p), .deadline = deadline, .drop = count_drop});
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    for (int i = 0; i < 3; i++) {
        await_elsewhere(fs[i]);
        eq_state(fs[i], FUTURE_CANCELLED);
        eq_err(outcome(fs[i]), ECANCELED);
    }
    comes_to(&drops, 2);
    eq_err(executor_submit(ex, must_not_run, NULL, &(exec_task_opts){.deadline = deadline}, NULL), ESHUTDOWN);
    eq_err(executor_submit(ex, must_not_run, NULL, &(exec_task_opts){.deadline = 1}, NULL), ESHUTDOWN);
    future_unref(p);
    executor_destroy(ex);
}

/* ---- a full queue ---- */

TEST(deadline, one_that_has_timed_out_in_the_queue_leaves_its_room) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_REJECT});
    future_t *first = plug_in(ex, &plug);
    stop_clock();
    for (int i = 0; i < 20; i++) {
        future_t *f = doomed_until(ex, &drops, IN(EXEC_SEC(1)));
        eq_err(executor_submit(ex, must_not_run, NULL, &(exec_task_opts){.deadline = EXEC_NEVER - 1}, NULL), EAGAIN);
        pass(ex, EXEC_SEC(1));
        timed_out(f);
    }
    future_t *f = submit(ex, identity, ex);
    plug_out(&plug);
    eq_ptr(take(f), ex);
    ok(outcome(first));
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 20);
}

TEST(deadline, a_task_that_is_refused_is_not_dropped_and_not_timed) {
    struct plug plug = PLUG;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_REJECT});
    future_t *first = plug_in(ex, &plug), *queued = submit(ex, identity, NULL), *f = first;
    stop_clock();
    const exec_task_opts opts = {.deadline = IN(EXEC_SEC(1)), .timeout = 1, .drop = must_not_free};
    for (int i = 0; i < 20; i++) {
        eq_err(executor_submit(ex, must_not_run, NULL, &opts, &f), EAGAIN);
        eq_err(executor_submit(ex, must_not_run, NULL, &opts, NULL), EAGAIN);
    }
    eq_ptr(f, first);
    pass(ex, EXEC_SEC(2));
    plug_out(&plug);
    ok(outcome(first));
    ok(outcome(queued));
    executor_destroy(ex);
}

TEST(deadline, one_that_is_submitted_too_late_to_a_full_queue_is_refused_or_times_out) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    int accepted = 0;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_REJECT});
    future_t *first = plug_in(ex, &plug), *queued = submit(ex, identity, NULL);
    for (int i = 0; i < 500; i++) {
        future_t *f = NULL;
        exec_task_opts opts = {.deadline = 1, .drop = count_drop};
        int error = executor_submit(ex, must_not_run, &drops, &opts, &f);
        check(error == 0 || error == EAGAIN);
        accepted += error == 0;
        if (error == 0)
            timed_out(f);
    }
    plug_out(&plug);
    ok(outcome(first));
    ok(outcome(queued));
    executor_destroy(ex);
    eq_int(atomic_load(&drops), accepted);
}

TEST(deadline, where_the_caller_runs_it_a_task_is_timed_as_well) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_CALLER_RUNS});
    future_t *first = plug_in(ex, &plug), *queued = submit(ex, identity, NULL);
    stop_clock();
    timed_out(submit_opts(ex, spend_a_second, ex, &(exec_task_opts){.timeout = EXEC_SEC(1)}));
    timed_out(doomed_until(ex, &drops, exec_now()));
    comes_to(&drops, 1);
    plug_out(&plug);
    ok(outcome(first));
    ok(outcome(queued));
    executor_destroy(ex);
}

TEST(deadline, the_oldest_that_is_dropped_is_not_timed_any_more) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_DROP_OLDEST});
    future_t *first = plug_in(ex, &plug);
    stop_clock();
    future_t *f = doomed_until(ex, &drops, IN(EXEC_SEC(1))), *newest = submit_until(ex, identity, ex, EXEC_NEVER - 1);
    eq_state(f, FUTURE_CANCELLED);
    pass(ex, EXEC_SEC(1));
    eq_err(outcome(f), ECANCELED);
    plug_out(&plug);
    ok(outcome(first));
    eq_ptr(take(newest), ex);
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 1);
}

/* ---- a forked child ---- */

#ifndef TEST_UNDER_TSAN /* which cannot follow a child's threads */
static void use_in_child(void *ex) {
    const exec_task_opts opts = {.deadline = 1, .timeout = 1, .drop = must_not_free};
    eq_err(executor_submit(ex, must_not_run, NULL, &opts, NULL), EOWNERDEAD);
    executor_destroy(ex);
    executor_t *own = pool(1);
    future_t *f = submit_until(own, must_not_run, NULL, 1);
    timed_out(f);
    timed_out(submit_opts(own, sleep_long, NULL, &(exec_task_opts){.timeout = EXEC_MS(1)}));
    executor_destroy(own);
}

TEST(deadline, a_forked_child_can_free_what_it_inherits_and_time_tasks_of_its_own) {
    executor_t *ex = pool(1);
    future_t *p = promise();
    future_t *f = submit_opts(ex, must_not_run, NULL, &(exec_task_opts){AFTER(p), .deadline = exec_after(LIMIT)});
    in_child(use_in_child, ex);
    ok(future_cancel(f));
    future_unref(f), future_unref(p);
    executor_destroy(ex);
}
#endif
