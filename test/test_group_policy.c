/* test_group_policy.c - which outcome a group has, and what ends its members: the three policies. What .deadline and
 * .max_running do is in test_group_limits.c. */
#include "groups.h"

/* ---- outcomes ---- */

TEST(group_policy, without_a_policy_every_member_runs_and_the_first_failure_is_the_outcome) {
    atomic_int counter = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    join(g, count_up, &counter);
    join(g, fail_with, as_error(EIO));
    join(g, fail_with, as_error(ENOENT));
    join(g, count_up, &counter);
    eq_err(exec_group_wait(g, EXEC_NEVER), EIO);
    eq_int(atomic_load(&counter), 2);
    join(g, count_up, &counter);
    join(g, fail_with, as_error(EPERM));
    eq_err(exec_group_wait(g, EXEC_NEVER), EIO);
    eq_int(atomic_load(&counter), 3);
    eq_err(exec_group_close(g), EIO);
    executor_destroy(ex);
}

TEST(group_policy, the_first_to_fail_is_first_in_time_and_not_in_order) {
    struct plug slow = PLUG;
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    future_t *after = plug_in(ex, &slow);
    exec_task_opts opts = {.after = &after, .nafter = 1};
    ok(exec_group_submit(g, fail_with, as_error(EIO), &opts, NULL));
    future_t *quick = member(g, fail_with, as_error(ENOENT));
    await_elsewhere(quick);
    plug_out(&slow);
    eq_err(exec_group_wait(g, EXEC_NEVER), ENOENT);
    eq_err(outcome_of_next(g), ENOENT);
    eq_err(outcome_of_next(g), EIO);
    close_empty(g, ENOENT);
    future_unref(quick), future_unref(after);
    executor_destroy(ex);
}

TEST(group_policy, a_failure_is_the_outcome_also_after_a_cancellation) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    future_unref(plug_member(g, &plug));
    future_t *cancelled = doomed_member(g, &drops);
    ok(future_cancel(cancelled));
    join(g, fail_with, as_error(EIO));
    plug_out(&plug);
    eq_err(exec_group_wait(g, EXEC_NEVER), EIO);
    future_unref(cancelled);
    eq_err(exec_group_close(g), EIO);
    executor_destroy(ex);
}

TEST(group_policy, a_member_that_ends_itself_with_ecanceled_counts_as_cancelled) {
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    join(g, fail_with, as_error(ECANCELED));
    join(g, identity, NULL);
    eq_err(exec_group_wait(g, EXEC_NEVER), ECANCELED);
    eq_err(exec_group_close(g), ECANCELED);
    executor_destroy(ex);
}

/* ---- EXEC_FAIL_FAST ---- */

TEST(group_policy, fail_fast_cancels_the_rest_at_the_first_failure) {
    struct obedient good = OBEDIENT(ECANCELED), late = OBEDIENT(EPERM);
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(3);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FAIL_FAST});
    future_t *a = obedient_member(g, &good), *b = obedient_member(g, &late), *plugging = plug_in(ex, &plug);
    join(g, fail_with, as_error(EIO));
    for (int i = 0; i < 10; i++)
        future_unref(doomed_member(g, &drops));
    plug_out(&plug);
    await_end(a, ECANCELED);
    await_end(b, EPERM);
    eq_err(exec_group_wait(g, EXEC_NEVER), EIO);
    eq_int(atomic_load(&drops), 10);
    refused(g, ECANCELED);
    eq_err(outcome_of_next(g), EIO);
    future_unref(plugging);
    eq_err(exec_group_close(g), EIO);
    executor_destroy(ex);
}

TEST(group_policy, fail_fast_lets_members_go_on_while_none_fails) {
    atomic_int counter = 0;
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FAIL_FAST});
    for (int i = 0; i < 100; i++)
        join(g, count_up, &counter);
    ok(exec_group_wait(g, EXEC_NEVER));
    eq_int(atomic_load(&counter), 100);
    join(g, count_up, &counter);
    ok(exec_group_close(g));
    eq_int(atomic_load(&counter), 101);
    executor_destroy(ex);
}

TEST(group_policy, a_cancelled_member_is_no_failure_to_fail_fast) {
    struct plug plug = PLUG;
    atomic_int drops = 0, counter = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FAIL_FAST});
    future_unref(plug_member(g, &plug));
    future_t *cancelled = doomed_member(g, &drops);
    ok(future_cancel(cancelled));
    join(g, count_up, &counter);
    plug_out(&plug);
    eq_err(exec_group_wait(g, EXEC_NEVER), ECANCELED);
    eq_int(atomic_load(&counter), 1);
    future_unref(cancelled);
    eq_err(exec_group_close(g), ECANCELED);
    executor_destroy(ex);
}

TEST(group_policy, a_dependency_that_fails_is_a_failure_to_fail_fast) {
    struct obedient other = OBEDIENT(ECANCELED);
    executor_t *ex = pool(1);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FAIL_FAST});
    future_t *before = promise(), *running = obedient_member(g, &other);
    ok(exec_group_submit(g, must_not_run, NULL, &(exec_task_opts){.after = &before, .nafter = 1}, NULL));
    ok(future_resolve(before, NULL, EIO));
    await_end(running, ECANCELED);
    eq_err(exec_group_close(g), EIO);
    future_unref(before);
    executor_destroy(ex);
}

/* ---- EXEC_FIRST ---- */

TEST(group_policy, first_cancels_the_rest_at_the_first_success) {
    struct obedient good = OBEDIENT(ECANCELED), late = OBEDIENT(0);
    struct plug plug = PLUG;
    atomic_int drops = 0;
    int found;
    executor_t *ex = pool(3);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FIRST});
    future_t *a = obedient_member(g, &good), *b = obedient_member(g, &late), *plugging = plug_in(ex, &plug);
    join(g, fail_with, as_error(EIO));
    future_t *winner = member(g, identity, &found);
    for (int i = 0; i < 10; i++)
        future_unref(doomed_member(g, &drops));
    plug_out(&plug);
    ok(exec_group_wait(g, EXEC_NEVER));
    eq_state(winner, FUTURE_DONE);
    refused(g, ECANCELED);
    next_is(g, winner);
    await_end(a, ECANCELED);
    await_end(b, 0);
    ok(exec_group_wait(g, EXEC_NEVER));
    eq_ptr(take(winner), &found);
    future_unref(plugging);
    ok(exec_group_close(g));
    eq_int(atomic_load(&drops), 10);
    executor_destroy(ex);
}

TEST(group_policy, waiting_for_the_first_does_not_wait_for_the_others) {
    struct plug plug = PLUG;
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FIRST});
    future_t *deaf = plug_member(g, &plug);
    join(g, identity, g);
    ok(exec_group_wait(g, EXEC_NEVER));
    eq_state(deaf, FUTURE_RUNNING);
    eq_ptr(take_next(g), g);
    eq_err(try_next(g), ETIMEDOUT);
    ok(exec_group_wait(g, EXEC_NOW));
    plug_out(&plug);
    next_is(g, deaf);
    future_unref(deaf);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group_policy, when_none_succeeds_first_gives_the_first_failure) {
    executor_t *ex = pool(1);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FIRST});
    eq_err(exec_group_wait(g, EXEC_NEVER), ENODATA);
    eq_err(exec_group_wait(g, EXEC_NOW), ENODATA);
    join(g, fail_with, as_error(ECANCELED));
    eq_err(exec_group_wait(g, EXEC_NEVER), ECANCELED);
    join(g, fail_with, as_error(EIO));
    eq_err(exec_group_wait(g, EXEC_NEVER), EIO);
    join(g, fail_with, as_error(ENOENT));
    eq_err(exec_group_wait(g, EXEC_NEVER), EIO);
    join(g, identity, NULL);
    ok(exec_group_wait(g, EXEC_NEVER));
    ok(exec_group_close(g));
    executor_destroy(ex);
}

TEST(group_policy, an_empty_first_group_closes_with_enodata) {
    executor_t *ex = pool(1);
    close_empty(group_of(ex, (exec_group_opts){.policy = EXEC_FIRST}), ENODATA);
    executor_destroy(ex);
}

TEST(group_policy, close_of_a_first_group_waits_for_all) {
    struct plug plug = PLUG;
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FIRST});
    future_t *deaf = plug_member(g, &plug);
    join(g, identity, NULL);
    ok(exec_group_wait(g, EXEC_NEVER));
    plug_out(&plug);
    ok(exec_group_close(g));
    eq_state(deaf, FUTURE_DONE);
    future_unref(deaf);
    executor_destroy(ex);
}
