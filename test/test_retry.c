/* test_retry.c - .retry of a task, and exec_attempt(): how often, when, what happens between two attempts. */
#include "after.h"
#include "child.h"
#include "groups.h"
#include "moved_clock.h"

#include <math.h>

#include "backoff.h"
#include "random.h"

/* Attempts a second after one another. */
#define EACH_SECOND(n) \
    { .attempts = (n), .delay = EXEC_SEC(1), .factor = 1, .jitter = EXEC_JITTER_NONE }

/* It has run so often, and waits for the next attempt. */
static void rests_after(future_t *f, struct run_log *log, int n) {
    comes_to(&log->n, n);
    wait_until(future_state(f) == FUTURE_PENDING);
}

static void ends_with(future_t *f, int error) {
    wait_until(future_done(f));
    eq_state(f, error == 0 ? FUTURE_DONE : error == ECANCELED ? FUTURE_CANCELLED : FUTURE_FAILED);
    eq_err(outcome(f), error);
}

/* ---- how often ---- */

TEST(retry, a_task_that_fails_is_run_again_until_it_succeeds) {
    struct run_log log = {.failures = 3};
    executor_t *ex = pool(1);
    stop_clock();
    exec_time begun = exec_now();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.retry = EACH_SECOND(10)});
    for (int i = 1; i <= 3; i++) {
        rests_after(f, &log, i);
        pass(ex, EXEC_SEC(1));
    }
    eq_ptr(take(f), &log);
    comes_to(&log.n, 4);
    for (int i = 0; i < 4; i++) {
        eq_int(log.attempts[i], i + 1);
        eq_int(log.at[i], begun + EXEC_SEC(i));
    }
    executor_destroy(ex);
    eq_int(atomic_load(&log.drops), 0);
    eq_int(atomic_load(&log.freed), 0);
}

TEST(retry, when_there_were_enough_attempts_the_last_error_is_the_tasks) {
    struct run_log log = {.failures = 100};
    executor_t *ex = pool(1);
    ends_with(submit_log(ex, &log, (exec_task_opts){.retry = {.attempts = 20, .delay = 1, .max_delay = 1000}}), EIO);
    eq_int(atomic_load(&log.n), 20);
    executor_destroy(ex);
    eq_int(atomic_load(&log.drops), 0);
}

TEST(retry, none_and_one_attempt_are_one_run) {
    executor_t *ex = pool(1);
    for (unsigned attempts = 0; attempts <= 1; attempts++) {
        struct run_log log = {.failures = 100};
        ends_with(submit_log(ex, &log, (exec_task_opts){.retry = {.attempts = attempts}}), EIO);
        eq_int(atomic_load(&log.n), 1);
        eq_int(log.attempts[0], 1);
    }
    executor_destroy(ex);
}

TEST(retry, a_task_that_succeeds_is_run_once) {
    struct run_log log = {0};
    executor_t *ex = pool(1);
    eq_ptr(take(submit_log(ex, &log, (exec_task_opts){.retry = {.attempts = 5}})), &log);
    eq_int(atomic_load(&log.n), 1);
    executor_destroy(ex);
}

TEST(retry, a_run_that_ends_cancelled_is_the_last_one) {
    executor_t *ex = pool(1);
    const exec_task_opts opts = {.retry = {.attempts = 5}, .drop = must_not_free};
    ends_with(submit_opts(ex, fail_with, as_error(ECANCELED), &opts), ECANCELED);
    executor_destroy(ex);
}

static void *leave_once(void *arg) {
    if (atomic_fetch_add((atomic_int *)arg, 1) == 0)
        pthread_exit(NULL);
    eq_int(exec_attempt(), 2);
    return arg;
}

TEST(retry, a_function_that_left_its_thread_is_called_again) {
    atomic_int runs = 0;
    executor_t *ex = pool(1);
    future_t *f = submit_opts(ex, leave_once, &runs, &(exec_task_opts){.retry = {.attempts = 5, .delay = 1}});
    await_elsewhere(f);
    eq_ptr(take(f), &runs);
    executor_destroy(ex);
}

/* ---- which errors ---- */

struct judge {
    int calls, until;
    int errors[10];
    unsigned attempts[10];
};

static bool is_worth_it(int error, unsigned attempt, void *ctx) {
    struct judge *judge = ctx;
    check(judge->calls < 10);
    judge->errors[judge->calls] = error;
    judge->attempts[judge->calls++] = attempt;
    return judge->calls < judge->until;
}

static void judged(int until, int expected_runs, int expected_calls) {
    struct judge judge = {.until = until};
    struct run_log log = {.failures = 100};
    executor_t *ex = pool(1);
    const exec_retry retry = {.attempts = 4, .delay = 1, .when = is_worth_it, .ctx = &judge};
    ends_with(submit_log(ex, &log, (exec_task_opts){.retry = retry}), EIO);
    eq_int(atomic_load(&log.n), expected_runs);
    eq_int(judge.calls, expected_calls);
    for (int i = 0; i < judge.calls; i++) {
        eq_err(judge.errors[i], EIO);
        eq_int(judge.attempts[i], i + 1);
    }
    executor_destroy(ex);
}

TEST(retry, when_is_asked_after_each_failure_but_the_last_and_has_the_say) {
    judged(1, 1, 1);
    judged(3, 3, 3);
    judged(100, 4, 3);
}

TEST(retry, bad_options_are_einval) {
    const exec_retry bad[] = {{.attempts = 3, .delay = -1},
                              {.attempts = 3, .max_delay = -1},
                              {.attempts = 3, .factor = 0.5},
                              {.attempts = 3, .factor = -2},
                              {.attempts = 3, .factor = NAN},
                              {.attempts = 3, .factor = INFINITY},
                              {.attempts = 3, .jitter = (enum exec_jitter)3},
                              {.jitter = (enum exec_jitter) - 1}};
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const exec_task_opts opts = {.retry = bad[i], .drop = must_not_free};
        eq_err(executor_submit(ex, must_not_run, NULL, &opts, NULL), EINVAL);
        atomic_int drops = 0;
        const exec_task_opts of_member = {.retry = bad[i], .drop = count_drop};
        eq_err(exec_group_submit(g, must_not_run, &drops, &of_member, NULL), EINVAL);
    }
    ok(exec_group_close(g));
    executor_destroy(ex);
}

/* ---- when ---- */

/* The clock stands while it runs, so what is between two runs is the delay. */
static void follows(const exec_retry *retry, int attempts) {
    struct run_log log = {.failures = 100};
    executor_t *ex = pool(1);
    exec_time due = exec_now();
    exec__random_seed(4711);
    exec_time delays[100];
    for (int i = 1; i < attempts; i++)
        delays[i] = exec__backoff(retry, (unsigned)i, exec__random());
    exec__random_seed(4711);
    exec_retry own = *retry;
    own.attempts = (unsigned)attempts;
    future_t *f = submit_log(ex, &log, (exec_task_opts){.retry = own});
    for (int i = 1; i < attempts; i++) {
        rests_after(f, &log, i);
        if (delays[i] > 0)
            pass(ex, delays[i] - 1);
        eq_int(atomic_load(&log.n), i);
        exec__clock_move(delays[i] > 0, 0);
        due += delays[i];
        comes_to(&log.n, i + 1);
        eq_int(log.at[i], due);
    }
    ends_with(f, EIO);
    executor_destroy(ex);
}

TEST(retry, the_attempts_follow_one_another_by_the_back_off) {
    stop_clock();
    follows(&(exec_retry){0}, 8);
    follows(&(exec_retry){.delay = EXEC_SEC(1), .jitter = EXEC_JITTER_NONE}, 10);
    follows(&(exec_retry){.delay = EXEC_SEC(1), .factor = 10, .max_delay = EXEC_SEC(60)}, 10);
    follows(&(exec_retry){.delay = EXEC_MS(10), .factor = 1.5, .jitter = EXEC_JITTER_EQUAL}, 10);
}

static void *fail_after_a_minute(void *arg) {
    struct run_log *log = arg;
    exec__clock_move(EXEC_SEC(60), 0); /* less than LIMIT, which goes by this clock, too */
    return log_run(log);
}

TEST(retry, the_delay_counts_from_the_end_of_the_run_that_failed) {
    struct run_log log = {.failures = 1};
    executor_t *ex = pool(1);
    stop_clock();
    exec_time begun = exec_now();
    future_t *f = submit_opts(ex, fail_after_a_minute, &log, &(exec_task_opts){.retry = EACH_SECOND(2)});
    rests_after(f, &log, 1);
    pass(ex, EXEC_SEC(1) - 1);
    eq_int(atomic_load(&log.n), 1);
    exec__clock_move(1, 0);
    eq_ptr(take(f), &log);
    eq_int(log.at[1], begun + EXEC_SEC(121));
    executor_destroy(ex);
}

/* ---- which attempt ---- */

static void *attempt_is_one(void *arg) {
    eq_int(exec_attempt(), 1);
    return arg;
}

static void *attempts_within(void *arg) {
    void *args[3] = {arg, arg, arg};
    unsigned attempt = exec_attempt();
    ok(outcome(submit(arg, attempt_is_one, NULL)));
    ok(executor_map(arg, attempt_is_one, args, NULL, 3, NULL));
    eq_int(exec_attempt(), attempt);
    return attempt < 3 ? exec_fail(EIO) : arg;
}

TEST(retry, exec_attempt_speaks_of_the_innermost_task_and_is_0_outside) {
    executor_t *ex = pool(2);
    eq_int(exec_attempt(), 0);
    ok(outcome(submit(ex, attempt_is_one, NULL)));
    eq_ptr(take(submit_opts(ex, attempts_within, ex, &(exec_task_opts){.retry = {.attempts = 3, .delay = 1}})), ex);
    eq_ptr(take(submit_opts(ex, attempt_is_one, ex, &(exec_task_opts){.timeout = LIMIT})), ex);
    eq_int(exec_attempt(), 0);
    executor_destroy(ex);
}

/* ---- between two attempts ---- */

TEST(retry, between_two_attempts_a_task_holds_no_worker_and_no_room) {
    struct run_log logs[100];
    memset(logs, 0, sizeof logs);
    future_t *fs[100];
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_REJECT});
    stop_clock();
    for (int i = 0; i < 100; i++) {
        logs[i].failures = 1;
        fs[i] = submit_log(ex, &logs[i], (exec_task_opts){.retry = EACH_SECOND(2)});
        rests_after(fs[i], &logs[i], 1);
    }
    for (int i = 0; i < 100; i++)
        eq_ptr(take(submit(ex, identity, ex)), ex);
    pass(ex, EXEC_SEC(1));
    for (int i = 0; i < 100; i++)
        eq_ptr(take(fs[i]), &logs[i]);
    executor_destroy(ex);
}

TEST(retry, a_task_that_is_cancelled_between_two_attempts_ends_at_once) {
    struct run_log log = {.failures = 100};
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.retry = EACH_SECOND(10)});
    rests_after(f, &log, 1);
    ok(future_cancel(f));
    eq_state(f, FUTURE_CANCELLED);
    ok(future_cancel(f));
    pass(ex, EXEC_SEC(100));
    ends_with(f, ECANCELED);
    executor_destroy(ex);
    eq_int(atomic_load(&log.n), 1);
    eq_int(atomic_load(&log.drops), 0);
}

static void *fail_when_asked(void *arg) {
    struct obedient *task = arg;
    gate_open(&task->started);
    wait_until(exec_cancelled());
    return exec_fail(task->then);
}

TEST(retry, a_task_that_is_cancelled_while_it_runs_is_not_run_again) {
    struct obedient task = OBEDIENT(EIO);
    executor_t *ex = pool(1);
    future_t *f = submit_opts(ex, fail_when_asked, &task, &(exec_task_opts){.retry = {.attempts = 5, .delay = 1}});
    gate_wait(&task.started);
    eq_err(future_cancel(f), EINPROGRESS);
    ends_with(f, EIO);
    executor_destroy(ex);
}

TEST(retry, a_drained_executor_makes_all_attempts) {
    struct run_log log = {.failures = 3};
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.retry = EACH_SECOND(10)});
    rests_after(f, &log, 1);
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    for (int i = 1; i <= 3; i++) {
        rests_after(f, &log, i);
        exec__clock_move(EXEC_SEC(1), 0);
    }
    executor_destroy(ex);
    eq_state(f, FUTURE_DONE);
    future_unref(f);
    eq_int(atomic_load(&log.n), 4);
    eq_int(atomic_load(&log.freed), 1);
}

TEST(retry, a_discarded_executor_cancels_between_two_attempts) {
    struct run_log log = {.failures = 100};
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.retry = EACH_SECOND(10)});
    rests_after(f, &log, 1);
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    ends_with(f, ECANCELED);
    executor_destroy(ex);
    eq_int(atomic_load(&log.n), 1);
    eq_int(atomic_load(&log.drops), 0);
}

TEST(retry, a_discarded_executor_makes_no_attempt_after_the_one_that_runs) {
    struct obedient task = OBEDIENT(EIO);
    executor_t *ex = pool(1);
    future_t *f = submit_opts(ex, fail_when_asked, &task, &(exec_task_opts){.retry = {.attempts = 5, .delay = 1}});
    gate_wait(&task.started);
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    executor_destroy(ex);
    check(future_done(f));
    check(outcome(f) != 0);
}

/* ---- with the other options ---- */

static void *too_slow_twice(void *arg) {
    struct run_log *log = arg;
    if (exec_attempt() < 3)
        exec__clock_move(EXEC_SEC(1), 0);
    return log_run(log);
}

TEST(retry, a_run_that_times_out_is_tried_again_and_each_has_its_whole_time) {
    struct run_log log = {0};
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_opts(
        ex, too_slow_twice, &log,
        &(exec_task_opts){.timeout = EXEC_SEC(1), .retry = EACH_SECOND(5), .free_result = log_free, .drop = log_drop});
    for (int i = 1; i <= 2; i++) {
        rests_after(f, &log, i);
        eq_int(atomic_load(&log.freed), i);
        pass(ex, EXEC_SEC(1));
    }
    eq_ptr(take(f), &log);
    executor_destroy(ex);
    eq_int(atomic_load(&log.n), 3);
    eq_int(atomic_load(&log.freed), 2);
}

TEST(retry, a_task_whose_next_attempt_would_be_past_its_deadline_ends_with_its_error) {
    struct run_log log = {.failures = 100};
    executor_t *ex = pool(1);
    stop_clock();
    const exec_task_opts opts = {.deadline = exec_now() + EXEC_SEC(2), .retry = EACH_SECOND(10)};
    future_t *f = submit_log(ex, &log, opts);
    rests_after(f, &log, 1);
    pass(ex, EXEC_SEC(1));
    comes_to(&log.n, 2);
    ends_with(f, EIO);
    executor_destroy(ex);
}

TEST(retry, a_task_that_misses_its_attempt_before_the_deadline_times_out) {
    struct run_log log = {.failures = 100};
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    stop_clock();
    const exec_task_opts opts = {.deadline = exec_now() + EXEC_SEC(2), .retry = EACH_SECOND(10)};
    future_t *f = submit_log(ex, &log, opts);
    rests_after(f, &log, 1);
    future_t *first = plug_in(ex, &plug);
    pass(ex, EXEC_SEC(2));
    ends_with(f, ETIMEDOUT);
    plug_out(&plug);
    ok(outcome(first));
    executor_destroy(ex);
    eq_int(atomic_load(&log.n), 1);
    eq_int(atomic_load(&log.drops), 0);
}

TEST(retry, who_comes_after_it_waits_for_its_end) {
    struct run_log log = {.failures = 1}, doomed = {.failures = 100};
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.retry = EACH_SECOND(2)});
    future_t *after = submit_after(ex, identity, ex, f);
    future_t *bad = submit_log(ex, &doomed, (exec_task_opts){.retry = EACH_SECOND(2)});
    future_t *never = doomed_after(ex, &drops, bad);
    rests_after(f, &log, 1);
    rests_after(bad, &doomed, 1);
    eq_state(after, FUTURE_PENDING);
    eq_state(never, FUTURE_PENDING);
    pass(ex, EXEC_SEC(1));
    eq_ptr(take(after), ex);
    ends_with(never, EIO);
    ends_with(bad, EIO);
    future_unref(f);
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 1);
}

static void note_end(future_t *f, void *ends) {
    check(future_done(f));
    count_up(ends);
}

TEST(retry, the_end_is_told_once_and_not_between) {
    struct run_log log = {.failures = 2};
    atomic_int ends = 0;
    int fd;
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.retry = EACH_SECOND(3)});
    ok(future_on_done(f, note_end, &ends));
    ok(future_fd(f, &fd));
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    for (int i = 1; i <= 2; i++) {
        rests_after(f, &log, i);
        eq_int(atomic_load(&ends), 0);
        check(!future_done(f));
        eq_err(future_wait(f, EXEC_NOW), ETIMEDOUT);
        eq_err(exec_wait(&f, 1, 1, EXEC_NOW), ETIMEDOUT);
        eq_int(poll(&readable, 1, 0), 0);
        pass(ex, EXEC_SEC(1));
    }
    ok(exec_wait(&f, 1, 1, EXEC_NEVER));
    eq_int(poll(&readable, 1, (int)(LIMIT / EXEC_MS(1))), 1);
    wait_until(atomic_load(&ends) == 1);
    eq_ptr(take(f), &log);
    executor_destroy(ex);
    eq_int(atomic_load(&ends), 1);
}

/* ---- who waits ---- */

struct family {
    executor_t *ex;
    struct run_log log;
    future_t *f;
};

static void *wait_for_attempts(void *arg) {
    struct family *own = arg;
    own->f = submit_log(own->ex, &own->log, (exec_task_opts){.retry = {.attempts = 20, .delay = 1}});
    eq_ptr(take(own->f), &own->log);
    return own;
}

TEST(retry, a_task_of_the_only_worker_may_wait_for_it) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct family own = {.ex = pool(workers), .log = {.failures = 19}};
        future_t *f = submit(own.ex, wait_for_attempts, &own);
        await_elsewhere(f);
        eq_ptr(take(f), &own);
        eq_int(atomic_load(&own.log.n), 20);
        executor_destroy(own.ex);
    }
}

static void *wait_for_given(void *arg) {
    struct family *own = arg;
    ok(exec_wait(&own->f, 1, 1, EXEC_NEVER));
    eq_err(future_get(own->f, NULL), EIO);
    return own;
}

TEST(retry, a_task_of_the_only_worker_may_wait_for_it_between_two_attempts) {
    struct family own = {.ex = pool(1), .log = {.failures = 100}};
    stop_clock();
    own.f = submit_log(own.ex, &own.log, (exec_task_opts){.retry = EACH_SECOND(3)});
    rests_after(own.f, &own.log, 1);
    future_t *f = submit(own.ex, wait_for_given, &own);
    for (int i = 1; i <= 2; i++) {
        wait_until(future_state(f) == FUTURE_RUNNING);
        rests_after(own.f, &own.log, i);
        pass(own.ex, EXEC_SEC(1));
    }
    eq_ptr(take(f), &own);
    future_unref(own.f);
    executor_destroy(own.ex);
}

TEST(retry, threads_outside_may_run_the_attempts_they_wait_for) {
    executor_t *ex = pool(2);
    for (int i = 0; i < 100; i++) {
        struct run_log log = {.failures = 5};
        eq_ptr(take(submit_log(ex, &log, (exec_task_opts){.retry = {.attempts = 10, .delay = 1}})), &log);
        eq_int(atomic_load(&log.n), 6);
    }
    executor_destroy(ex);
}

/* ---- groups ---- */

TEST(retry, a_member_between_two_attempts_leaves_its_room_to_others) {
    struct run_log log = {.failures = 1};
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 1});
    stop_clock();
    future_t *f = member_opts(g, log_run, &log, &(exec_task_opts){.retry = EACH_SECOND(2)});
    rests_after(f, &log, 1);
    for (int i = 0; i < 10; i++) {
        eq_ptr(take(member(g, identity, ex)), ex);
        ok(outcome_of_next(g));
    }
    struct plug plug = PLUG;
    future_t *other = plug_member(g, &plug);
    pass(ex, EXEC_SEC(1));
    eq_state(f, FUTURE_PENDING);
    plug_out(&plug);
    next_is(g, other);
    next_is(g, f);
    eq_int(atomic_load(&log.n), 2);
    future_unref(other), future_unref(f);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(retry, to_its_group_only_the_last_attempt_counts) {
    const enum exec_group_policy policies[] = {EXEC_ALL, EXEC_FAIL_FAST, EXEC_FIRST};
    executor_t *ex = pool(2);
    for (int i = 0; i < 3; i++) {
        struct run_log log = {.failures = 3};
        exec_group_t *g = group_of(ex, (exec_group_opts){.policy = policies[i]});
        future_unref(member_opts(g, log_run, &log, &(exec_task_opts){.retry = {.attempts = 4, .delay = 1}}));
        ok(exec_group_wait(g, EXEC_NEVER));
        eq_ptr(take_next(g), &log);
        eq_int(atomic_load(&log.n), 4);
        ok(exec_group_close(g));
    }
    executor_destroy(ex);
}

TEST(retry, a_cancelled_group_makes_no_more_attempts) {
    for (size_t limit = 0; limit <= 1; limit++) {
        struct run_log log = {.failures = 100};
        executor_t *ex = pool(1);
        exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = limit});
        future_t *f = member_opts(g, log_run, &log, &(exec_task_opts){.retry = {.attempts = 9, .delay = LIMIT * 2}});
        rests_after(f, &log, 1);
        exec_group_cancel(g);
        ends_with(f, ECANCELED);
        eq_err(exec_group_close(g), ECANCELED);
        eq_int(atomic_load(&log.n), 1);
        executor_destroy(ex);
    }
}

TEST(retry, who_closes_a_group_waits_for_all_attempts) {
    struct run_log log = {.failures = 5};
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    ok(exec_group_submit(g, log_run, &log, &(exec_task_opts){.retry = {.attempts = 9, .delay = EXEC_MS(1)}}, NULL));
    ok(exec_group_close(g));
    eq_int(atomic_load(&log.n), 6);
    executor_destroy(ex);
}

/* ---- a full queue, a forked child ---- */

TEST(retry, what_the_caller_runs_is_run_again_by_the_executor) {
    struct plug plug = PLUG;
    struct run_log log = {.failures = 3};
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_CALLER_RUNS});
    future_t *first = plug_in(ex, &plug), *queued = submit(ex, identity, NULL);
    future_t *f = submit_log(ex, &log, (exec_task_opts){.retry = {.attempts = 9, .delay = 1}});
    at_least(atomic_load(&log.n), 1);
    plug_out(&plug);
    eq_ptr(take(f), &log);
    eq_int(atomic_load(&log.n), 4);
    ok(outcome(first));
    ok(outcome(queued));
    executor_destroy(ex);
}

TEST(retry, a_task_that_is_dropped_from_the_queue_is_not_run_again) {
    struct plug plug = PLUG;
    struct run_log log = {.failures = 3};
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_DROP_OLDEST});
    future_t *first = plug_in(ex, &plug);
    future_t *f = submit_log(ex, &log, (exec_task_opts){.retry = {.attempts = 9, .delay = 1}});
    future_t *last = submit(ex, identity, NULL);
    ends_with(f, ECANCELED);
    plug_out(&plug);
    ok(outcome(first));
    ok(outcome(last));
    executor_destroy(ex);
    eq_int(atomic_load(&log.n), 0);
    eq_int(atomic_load(&log.drops), 1);
}

#ifndef TEST_UNDER_TSAN /* which cannot follow a child's threads */
static void retry_in_child(void *ex) {
    struct run_log log = {.failures = 3};
    executor_destroy(ex);
    executor_t *own = pool(1);
    eq_ptr(take(submit_log(own, &log, (exec_task_opts){.retry = {.attempts = 9, .delay = 1}})), &log);
    executor_destroy(own);
}

TEST(retry, a_child_forked_between_two_attempts_is_on_its_own) {
    struct run_log log = {.failures = 1};
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_log(ex, &log, (exec_task_opts){.retry = EACH_SECOND(2)});
    rests_after(f, &log, 1);
    exec__clock_release();
    in_child(retry_in_child, ex);
    eq_ptr(take(f), &log);
    executor_destroy(ex);
}
#endif
