/* test_group_limits.c - the .max_running of a group. */
#include "groups.h"

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
