/* test_group_limits.c - the .deadline of a group, and its .max_running. */
#include "groups.h"

/* ---- .deadline ---- */

static exec_group_t *until(executor_t *ex, exec_time deadline) {
    return group_of(ex, (exec_group_opts){.deadline = deadline});
}

/* Each of these takes the time until the deadline, and is false when that was too short to submit to the group; it is
 * then tried again with more. */
static void with_time_enough(bool (*try)(exec_time)) {
    exec_time duration = EXEC_MS(20);
    while (!try(duration))
        duration *= 4;
}

static bool time_out_behind_others(exec_time duration) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *plugging = plug_in(ex, &plug), *fs[5];
    exec_time deadline = exec_after(duration);
    exec_group_t *g = until(ex, deadline);
    int n = 0;
    while (n < 5 && exec_group_submit(g, must_not_run, &drops, &(exec_task_opts){.drop = count_drop}, &fs[n]) == 0)
        n++;
    eq_err(exec_group_wait(g, EXEC_NEVER), n ? ETIMEDOUT : 0);
    at_least(exec_now(), n ? deadline : 0);
    eq_int(atomic_load(&drops), n < 5 ? n + 1 : 5);
    for (int i = 0; i < n; i++) {
        eq_state(fs[i], FUTURE_FAILED);
        eq_err(outcome(fs[i]), ETIMEDOUT);
        eq_err(outcome_of_next(g), ETIMEDOUT);
    }
    plug_out(&plug);
    future_unref(plugging);
    close_empty(g, n ? ETIMEDOUT : 0);
    executor_destroy(ex);
    return n == 5;
}

TEST(group_limits, at_the_deadline_members_that_have_not_started_time_out) {
    with_time_enough(time_out_behind_others);
}

static bool time_out_alone(exec_time duration) {
    struct obedient task = OBEDIENT(ECANCELED);
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = until(ex, exec_after(duration));
    future_t *never = promise(), *running = NULL, *pending = NULL;
    exec_task_opts opts = {.after = &never, .nafter = 1, .drop = count_drop};
    int error = exec_group_submit(g, until_asked, &task, NULL, &running);
    if (error == 0)
        error = exec_group_submit(g, must_not_run, &drops, &opts, &pending);
    if (running)
        await_end(running, ETIMEDOUT);
    ok(future_resolve(never, NULL, 0)); /* now it would be the turn of the other one */
    if (pending)
        await_end(pending, ETIMEDOUT);
    eq_int(atomic_load(&drops), pending || running ? 1 : 0);
    exec_group_close(g);
    future_unref(never);
    executor_destroy(ex);
    return error == 0 && gate_is_open(&task.started);
}

TEST(group_limits, when_nobody_waits_for_the_group_members_time_out_in_their_turn) {
    with_time_enough(time_out_alone);
}

TEST(group_limits, after_the_deadline_nothing_is_taken_any_more) {
    executor_t *ex = pool(1);
    exec_group_t *g = until(ex, exec_now());
    refused(g, ECANCELED);
    close_empty(g, 0);
    g = until(ex, 1);
    refused(g, ECANCELED);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group_limits, a_deadline_that_does_not_come_changes_nothing) {
    const exec_time deadlines[] = {EXEC_NEVER, exec_after(LIMIT), 0};
    executor_t *ex = pool(2);
    for (int i = 0; i < 3; i++) {
        atomic_int counter = 0;
        exec_group_t *g = until(ex, deadlines[i]);
        for (int n = 0; n < 50; n++)
            join(g, count_up, &counter);
        ok(exec_group_wait(g, EXEC_NEVER));
        ok(exec_group_close(g));
        eq_int(atomic_load(&counter), 50);
    }
    executor_destroy(ex);
}

static void *sleep_long(void *begun) {
    gate_open(begun);
    eq_err(exec_sleep(EXEC_SEC(1000000)), ECANCELED);
    check(exec_cancelled());
    return exec_fail(ECANCELED);
}

static void *poll_long(void *begun) {
    gate_open(begun);
    eq_err(exec_poll(NULL, 0, EXEC_NEVER, NULL), ECANCELED);
    return begun;
}

static void *fail_when_asked(void *begun) {
    gate_open(begun);
    wait_until(exec_cancelled());
    return exec_fail(EIO);
}

static bool ask_those_that_run(exec_time duration) {
    exec_fn *const fns[] = {sleep_long, poll_long, fail_when_asked};
    const int errors[] = {ETIMEDOUT, 0, EIO};
    bool enough = true;
    for (int i = 0; i < 3; i++) {
        struct gate begun = GATE(1);
        executor_t *ex = pool(1);
        exec_group_t *g = until(ex, exec_after(duration));
        bool taken = exec_group_submit(g, fns[i], &begun, NULL, NULL) == 0;
        int error = exec_group_wait(g, EXEC_NEVER);
        if (gate_is_open(&begun)) {
            eq_err(error, errors[i]);
            eq_err(outcome_of_next(g), errors[i]);
            close_empty(g, errors[i]);
        } else {
            eq_err(exec_group_close(g), taken ? ETIMEDOUT : 0);
            enough = false;
        }
        executor_destroy(ex);
    }
    return enough;
}

TEST(group_limits, at_the_deadline_members_that_run_are_asked_and_end_as_they_say) {
    with_time_enough(ask_those_that_run);
}

/* ---- .max_running ---- */

struct crowd {
    struct meter inside;
    atomic_int ran;
    exec_group_t *g;
    int more; /* how many each member submits; r/o */
};

static void *be_inside(void *arg) {
    struct crowd *crowd = arg;
    meter_enter(&crowd->inside);
    sched_yield();
    atomic_fetch_add(&crowd->ran, 1);
    meter_leave(&crowd->inside);
    return NULL;
}

static void *bring_more(void *arg) {
    struct crowd *crowd = arg;
    meter_enter(&crowd->inside);
    for (int i = 0; i < crowd->more; i++)
        join(crowd->g, be_inside, crowd);
    atomic_fetch_add(&crowd->ran, 1);
    meter_leave(&crowd->inside);
    return NULL;
}

TEST(group_limits, never_more_members_run_at_once_than_max_running) {
    for (size_t limit = 1; limit <= 5; limit++) {
        struct crowd crowd = {.more = 4};
        executor_t *ex = pool(4);
        crowd.g = group_of(ex, (exec_group_opts){.max_running = limit});
        for (int i = 0; i < 100; i++)
            join(crowd.g, i % 2 ? be_inside : bring_more, &crowd);
        ok(exec_group_close(crowd.g));
        eq_int(atomic_load(&crowd.ran), 300);
        between(atomic_load(&crowd.inside.most), 1, (intmax_t)limit);
        executor_destroy(ex);
    }
}

TEST(group_limits, as_many_members_as_max_running_do_run_at_once) {
    struct plug plugs[3] = {PLUG, PLUG, PLUG};
    executor_t *ex = pool(4);
    exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 2});
    future_t *fs[3];
    for (int i = 0; i < 3; i++)
        fs[i] = member(g, plug_task, &plugs[i]);
    gate_wait(&plugs[0].started);
    gate_wait(&plugs[1].started);
    for (int i = 0; i < 20; i++)
        eq_ptr(take(submit(ex, identity, g)), g); /* the others hold no worker */
    eq_state(fs[2], FUTURE_PENDING);
    plug_out(&plugs[1]);
    gate_wait(&plugs[2].started);
    plug_out(&plugs[0]), plug_out(&plugs[2]);
    ok(exec_group_close(g));
    for (int i = 0; i < 3; i++)
        eq_ptr(take(fs[i]), &plugs[i]);
    executor_destroy(ex);
}

TEST(group_limits, members_behind_max_running_start_in_the_order_submitted) {
    enum { N = 50 };
    struct record order = RECORD;
    struct entry entries[N];
    executor_t *ex = pool(1);
    exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 3});
    for (int i = 0; i < N; i++) {
        entries[i] = (struct entry){&order, i};
        join(g, write_down, &entries[i]);
    }
    ok(exec_group_close(g));
    eq_int(order.n, N);
    for (int i = 0; i < N; i++)
        eq_int(order.items[i], i);
    executor_destroy(ex);
}

TEST(group_limits, members_behind_max_running_can_be_cancelled_alone_and_with_the_group) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 1});
    future_t *running = plug_member(g, &plug), *one = doomed_member(g, &drops);
    for (int i = 0; i < 10; i++)
        future_unref(doomed_member(g, &drops));
    ok(future_cancel(one));
    eq_state(one, FUTURE_CANCELLED);
    eq_int(atomic_load(&drops), 1);
    next_is(g, one);
    exec_group_cancel(g);
    eq_int(atomic_load(&drops), 11);
    plug_out(&plug);
    eq_err(exec_group_close(g), ECANCELED);
    eq_ptr(take(running), &plug);
    future_unref(one);
    executor_destroy(ex);
}

TEST(group_limits, a_failure_ends_members_behind_max_running) {
    struct obedient task = OBEDIENT(EIO);
    atomic_int drops = 0;
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FAIL_FAST, .max_running = 1});
    future_t *running = obedient_member(g, &task);
    for (int i = 0; i < 10; i++)
        future_unref(doomed_member(g, &drops));
    eq_err(future_cancel(running), EINPROGRESS);
    eq_err(exec_group_close(g), EIO);
    eq_int(atomic_load(&drops), 10);
    future_unref(running);
    executor_destroy(ex);
}

static bool time_out_behind_max_running(exec_time duration) {
    struct obedient task = OBEDIENT(0);
    atomic_int drops = 0;
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.deadline = exec_after(duration), .max_running = 1});
    int error = exec_group_submit(g, until_asked, &task, NULL, NULL), taken = error == 0;
    for (int i = 0; i < 10; i++)
        taken += exec_group_submit(g, must_not_run, &drops, &(exec_task_opts){.drop = count_drop}, NULL) == 0;
    wait_until(atomic_load(&drops) == 10);
    int outcome = exec_group_close(g);
    if (taken == 11)
        eq_err(outcome, ETIMEDOUT);
    executor_destroy(ex);
    return taken == 11 && gate_is_open(&task.started);
}

TEST(group_limits, the_deadline_ends_members_behind_max_running) {
    with_time_enough(time_out_behind_max_running);
}

TEST(group_limits, members_behind_max_running_may_depend_on_those_before_them) {
    enum { N = 30 };
    for (size_t limit = 1; limit <= 3; limit++) {
        struct record order = RECORD;
        struct entry entries[N];
        executor_t *ex = pool(2);
        exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = limit});
        future_t *last = promise(), *first = future_ref(last);
        for (int i = 0; i < N; i++) {
            entries[i] = (struct entry){&order, i};
            future_t *f = member_opts(g, write_down, &entries[i], &(exec_task_opts){.after = &last, .nafter = 1});
            future_unref(last);
            last = f;
        }
        eq_int(order.n, 0);
        ok(future_resolve(first, NULL, 0));
        ok(exec_group_close(g));
        eq_int(order.n, N);
        for (int i = 0; i < N; i++)
            eq_int(order.items[i], i);
        future_unref(first), future_unref(last);
        executor_destroy(ex);
    }
}

TEST(group_limits, a_member_that_waits_for_others_keeps_nobody_out) {
    atomic_int ran = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 1});
    future_t *before = promise();
    ok(exec_group_submit(g, count_up, &ran, &(exec_task_opts){.after = &before, .nafter = 1}, NULL));
    for (int i = 0; i < 5; i++)
        join(g, count_up, &ran);
    wait_until(atomic_load(&ran) == 5);
    ok(future_resolve(before, NULL, 0));
    ok(exec_group_close(g));
    eq_int(atomic_load(&ran), 6);
    future_unref(before);
    executor_destroy(ex);
}

static void *await_one_behind(void *arg) {
    struct visit *here = arg;
    future_t *f = member(here->g, count_up, &here->ran);
    int error = future_get(f, NULL);
    check(error == 0 || error == EDEADLK); /* but it must not hang */
    future_unref(f);
    return NULL;
}

TEST(group_limits, a_member_that_waits_for_one_behind_itself_does_not_hang) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct visit here = {.ex = pool(workers)};
        here.g = group_of(here.ex, (exec_group_opts){.max_running = 1});
        for (int i = 0; i < 5; i++)
            join(here.g, await_one_behind, &here);
        ok(exec_group_close(here.g));
        eq_int(atomic_load(&here.ran), 5);
        executor_destroy(here.ex);
    }
}

/* ---- waiting for one member alone ---- */

static int one_by_get(future_t *f) {
    return future_get(f, NULL);
}

static int one_by_deadline(future_t *f) {
    return future_wait(f, exec_after(LIMIT));
}

static int one_of_two(future_t *f) {
    future_t *never = promise();
    int error = exec_wait((future_t *[]){never, f}, 2, 1, EXEC_NEVER);
    future_unref(never);
    return error;
}

static int (*const one_ways[])(future_t *) = {one_by_get, one_by_deadline, one_of_two};

struct one {
    struct visit visit;
    bool chained; /* each after the one before, instead of behind .max_running */
    int (*wait)(future_t *);
};

static void *await_the_last(void *arg) {
    enum { N = 10 };
    struct one *here = arg;
    future_t *fs[N];
    exec_group_t *g = group_of(here->visit.ex, (exec_group_opts){.max_running = here->chained ? 0 : 1});
    for (int i = 0; i < N; i++) {
        exec_task_opts opts = {.after = &fs[i > 0 ? i - 1 : 0], .nafter = here->chained && i > 0};
        fs[i] = member_opts(g, count_up, &here->visit.ran, &opts);
    }
    ok(here->wait(fs[N - 1]));
    eq_int(atomic_load(&here->visit.ran), N);
    for (int i = 0; i < N; i++)
        next_is(g, fs[i]);
    for (int i = 0; i < N; i++)
        future_unref(fs[i]);
    close_empty(g, 0);
    return NULL;
}

TEST(group_limits, a_task_may_wait_for_a_single_member_that_others_must_precede) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int i = 0; i < 6; i++) {
            struct one here = {.visit = {.ex = pool(workers)}, .chained = i % 2, .wait = one_ways[i / 2]};
            future_t *f = submit(here.visit.ex, await_the_last, &here);
            await_elsewhere(f);
            ok(outcome(f));
            executor_destroy(here.visit.ex);
        }
}
