/* test_group_cancel.c - cancelling a group: from outside, by a member, in a callback, while an argument is dropped; and
 * cancelling one member, or a dependency of one. */
#include "groups.h"

/* ---- the group ---- */

TEST(group_cancel, cancelling_cancels_what_has_not_started_and_asks_what_runs) {
    struct obedient good = OBEDIENT(ECANCELED), deaf = OBEDIENT(0);
    atomic_int drops = 0;
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    future_t *a = obedient_member(g, &good), *b = obedient_member(g, &deaf), *pending[10];
    for (int i = 0; i < 10; i++)
        pending[i] = doomed_member(g, &drops);
    exec_group_cancel(g);
    for (int i = 0; i < 10; i++)
        await_end(pending[i], ECANCELED); /* the worker that `good` leaves may have taken one, to refuse it */
    eq_int(atomic_load(&drops), 10);
    await_end(a, ECANCELED);
    await_end(b, 0);
    eq_err(exec_group_wait(g, EXEC_NEVER), ECANCELED);
    eq_err(exec_group_close(g), ECANCELED);
    eq_int(atomic_load(&drops), 10);
    executor_destroy(ex);
}

TEST(group_cancel, a_cancelled_group_takes_no_more_members) {
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    join(g, identity, NULL);
    ok(exec_group_wait(g, EXEC_NEVER));
    exec_group_cancel(g);
    refused(g, ECANCELED);
    exec_group_cancel(g);
    refused(g, ECANCELED);
    eq_ptr(take_next(g), NULL);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group_cancel, a_group_cancelled_before_it_had_members_takes_none_and_closes) {
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    exec_group_cancel(g);
    refused(g, ECANCELED);
    close_empty(g, 0);
    eq_ptr(take(submit(ex, identity, ex)), ex);
    executor_destroy(ex);
}

TEST(group_cancel, cancelling_a_group_touches_no_other_group_and_no_other_task) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    exec_group_t *mine = group(ex), *other = group(ex);
    future_t *plugging = plug_in(ex, &plug), *task = submit(ex, identity, ex);
    future_t *cancelled = member(mine, must_not_run, NULL), *stays = member(other, identity, other);
    exec_group_cancel(mine);
    eq_state(task, FUTURE_PENDING);
    eq_state(stays, FUTURE_PENDING);
    plug_out(&plug);
    eq_ptr(take(task), ex);
    eq_ptr(take(stays), other);
    eq_err(outcome(cancelled), ECANCELED);
    future_unref(plugging);
    eq_err(exec_group_close(mine), ECANCELED);
    ok(exec_group_close(other));
    executor_destroy(ex);
}

static void *cancel_own_group(void *arg) {
    struct visit *here = arg;
    check(!exec_cancelled());
    exec_group_cancel(here->g);
    check(exec_cancelled());
    refused(here->g, ECANCELED);
    return here;
}

TEST(group_cancel, a_member_may_cancel_its_group) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct plug plug = PLUG;
        struct visit here = {.ex = pool(workers)};
        here.g = group(here.ex);
        future_t *plugs[2] = {plug_in(here.ex, &plug)};
        struct plug second = PLUG;
        if (workers == 2)
            plugs[1] = plug_in(here.ex, &second);
        future_t *first = member(here.g, cancel_own_group, &here);
        for (int i = 0; i < 10; i++)
            future_unref(doomed_member(here.g, &here.drops));
        plug_out(&plug);
        await_end(first, 0);
        plug_out(&second);
        eq_err(exec_group_wait(here.g, EXEC_NEVER), ECANCELED);
        eq_int(atomic_load(&here.drops), 10);
        eq_err(exec_group_close(here.g), ECANCELED);
        future_unref(plugs[0]), future_unref(plugs[1]);
        executor_destroy(here.ex);
    }
}

static void cancel_group_of(future_t *f, void *arg) {
    struct visit *here = arg;
    check(future_done(f));
    exec_group_cancel(here->g);
    refused(here->g, ECANCELED);
    gate_open(&here->begun);
}

TEST(group_cancel, a_callback_may_cancel_the_group) {
    struct plug plug = PLUG;
    struct visit here = {.ex = pool(1), .begun = GATE(1)};
    here.g = group(here.ex);
    future_t *first = plug_member(here.g, &plug);
    ok(future_on_done(first, cancel_group_of, &here));
    future_unref(first);
    for (int i = 0; i < 10; i++)
        future_unref(doomed_member(here.g, &here.drops));
    plug_out(&plug);
    gate_wait(&here.begun);
    eq_err(exec_group_wait(here.g, EXEC_NEVER), ECANCELED);
    eq_int(atomic_load(&here.drops), 10);
    eq_err(exec_group_close(here.g), ECANCELED);
    executor_destroy(here.ex);
}

static void cancel_again(void *arg) {
    struct visit *here = arg;
    atomic_fetch_add(&here->drops, 1);
    exec_group_cancel(here->g);
    eq_err(exec_group_submit(here->g, must_not_run, NULL, NULL, NULL), ECANCELED);
}

TEST(group_cancel, what_drops_an_argument_may_use_the_group) {
    struct plug plug = PLUG;
    struct visit here = {.ex = pool(1)};
    here.g = group(here.ex);
    future_unref(plug_member(here.g, &plug));
    for (int i = 0; i < 10; i++)
        ok(exec_group_submit(here.g, must_not_run, &here, &(exec_task_opts){.drop = cancel_again}, NULL));
    exec_group_cancel(here.g);
    eq_int(atomic_load(&here.drops), 10);
    plug_out(&plug);
    eq_err(exec_group_close(here.g), ECANCELED);
    executor_destroy(here.ex);
}

TEST(group_cancel, a_member_may_be_cancelled_alone) {
    struct plug plug = PLUG;
    atomic_int drops = 0, counter = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    future_unref(plug_member(g, &plug));
    future_t *f = doomed_member(g, &drops);
    join(g, count_up, &counter);
    ok(future_cancel(f));
    eq_int(atomic_load(&drops), 1);
    join(g, count_up, &counter);
    plug_out(&plug);
    eq_err(exec_group_wait(g, EXEC_NEVER), ECANCELED);
    eq_int(atomic_load(&counter), 2);
    next_is(g, f);
    future_unref(f);
    eq_err(exec_group_close(g), ECANCELED);
    executor_destroy(ex);
}

/* ---- members that wait for others ---- */

TEST(group_cancel, a_member_that_still_waits_for_others_is_cancelled_with_the_group) {
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    future_t *never = promise();
    exec_task_opts opts = {.after = &never, .nafter = 1, .drop = count_drop};
    future_t *f = member_opts(g, must_not_run, &drops, &opts);
    eq_err(exec_group_wait(g, exec_after(EXEC_MS(5))), ETIMEDOUT);
    exec_group_cancel(g);
    eq_state(f, FUTURE_CANCELLED);
    eq_int(atomic_load(&drops), 1);
    eq_err(exec_group_wait(g, EXEC_NEVER), ECANCELED);
    next_is(g, f);
    close_empty(g, ECANCELED);
    ok(future_resolve(never, NULL, 0));
    future_unref(f), future_unref(never);
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 1);
}

TEST(group_cancel, members_run_after_those_they_depend_on_in_the_group_and_outside) {
    struct plug plug = PLUG;
    struct record order = RECORD;
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    future_t *outside = promise(), *first = plug_member(g, &plug);
    struct entry entries[2] = {{&order, 1}, {&order, 2}};
    future_t *second = member_opts(g, write_down, &entries[0], &(exec_task_opts){.after = &first, .nafter = 1});
    future_t *third = member_opts(g, write_down, &entries[1],
                                  &(exec_task_opts){.after = (future_t *[]){second, outside}, .nafter = 2});
    eq_state(second, FUTURE_PENDING);
    plug_out(&plug);
    await_end(second, 0);
    eq_state(third, FUTURE_PENDING);
    ok(future_resolve(outside, NULL, 0));
    ok(exec_group_wait(g, EXEC_NEVER));
    next_is(g, first);
    next_is(g, second);
    next_is(g, third);
    future_unref(first), future_unref(third), future_unref(outside);
    close_empty(g, 0);
    eq_int(order.n, 2);
    eq_int(order.items[0], 1);
    executor_destroy(ex);
}

TEST(group_cancel, a_member_whose_dependency_fails_fails_in_the_same_way) {
    const int errors[] = {EIO, ECANCELED};
    for (int i = 0; i < 2; i++) {
        atomic_int drops = 0;
        executor_t *ex = pool(1);
        exec_group_t *g = group(ex);
        future_t *before = promise();
        exec_task_opts opts = {.after = &before, .nafter = 1, .drop = count_drop};
        for (int n = 0; n < 5; n++)
            ok(exec_group_submit(g, must_not_run, &drops, &opts, NULL));
        ok(future_resolve(before, NULL, errors[i]));
        eq_err(exec_group_wait(g, EXEC_NEVER), errors[i]);
        eq_int(atomic_load(&drops), 5);
        for (int n = 0; n < 5; n++)
            eq_err(outcome_of_next(g), errors[i]);
        close_empty(g, errors[i]);
        future_unref(before);
        executor_destroy(ex);
    }
}

/* ---- callbacks ---- */

/* The callback of a member submits the next. */
struct relay {
    exec_group_t *g;
    int left;
    struct gate over;
};

static void hand_on(future_t *f, void *arg) {
    struct relay *relay = arg;
    check(future_done(f));
    if (relay->left-- == 0) {
        gate_open(&relay->over);
        return;
    }
    future_t *next = member(relay->g, identity, relay);
    ok(future_on_done(next, hand_on, relay));
    future_unref(next);
}

TEST(group_cancel, a_callback_may_submit_to_the_group) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        executor_t *ex = pool(workers);
        struct relay relay = {.g = group(ex), .left = 200, .over = GATE(1)};
        future_t *first = member(relay.g, identity, &relay);
        ok(future_on_done(first, hand_on, &relay));
        future_unref(first);
        gate_wait(&relay.over);
        ok(exec_group_wait(relay.g, EXEC_NEVER));
        for (int i = 0; i < 201; i++)
            eq_ptr(take_next(relay.g), &relay);
        close_empty(relay.g, 0);
        executor_destroy(ex);
    }
}

static void count_done(future_t *f, void *counter) {
    check(future_done(f));
    count_up(counter);
}

TEST(group_cancel, every_members_callbacks_are_called_once_whether_it_ran_or_was_cancelled) {
    struct plug plug = PLUG;
    atomic_int callbacks = 0, drops = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    future_t *fs[21] = {plug_member(g, &plug)};
    for (int i = 1; i <= 20; i++)
        fs[i] = doomed_member(g, &drops);
    for (int i = 0; i <= 20; i++) {
        ok(future_on_done(fs[i], count_done, &callbacks));
        future_unref(fs[i]);
    }
    eq_int(atomic_load(&callbacks), 0);
    exec_group_cancel(g);
    eq_int(atomic_load(&callbacks), 20);
    plug_out(&plug);
    eq_err(exec_group_close(g), ECANCELED);
    executor_destroy(ex);
    eq_int(atomic_load(&callbacks), 21);
    eq_int(atomic_load(&drops), 20);
}
