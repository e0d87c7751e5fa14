/* test_group_open.c - tasks that return with a group of their own open: a mistake that is caught, and that lets nothing
 * outlive the task. */
#include "groups.h"

/* Leaves a group with a member that runs until it is asked to stop, one that does not listen, and some that never
 * start. */
struct leaver {
    executor_t *ex;
    struct obedient good;
    struct plug deaf;
    struct gate submitted; /* all of them */
    int then;              /* 0: returns a value; -1: leaves its thread */
    atomic_int drops, frees;
    future_t *members[2];
};

#define LEAVER(executor, error) \
    { .ex = (executor), .good = OBEDIENT(ECANCELED), .deaf = PLUG, .submitted = GATE(1), .then = (error) }

static void *leave_open(void *arg) {
    struct leaver *here = arg;
    exec_group_t *g = group(here->ex);
    here->members[0] = obedient_member(g, &here->good);
    here->members[1] = plug_member(g, &here->deaf);
    for (int i = 0; i < 5; i++)
        future_unref(doomed_member(g, &here->drops));
    gate_open(&here->submitted);
    if (here->then < 0)
        pthread_exit(NULL);
    return here->then ? exec_fail(here->then) : &here->frees;
}

/* The members have been cancelled, but the task has not ended while one of them runs. */
static void let_go(struct leaver *here, future_t *f) {
    wait_until(atomic_load(&here->drops) == 5);
    wait_until(future_done(here->members[0]));
    check(!future_done(f));
    plug_out(&here->deaf);
    await_elsewhere(f);
    check(future_done(here->members[1]));
    eq_err(outcome(here->members[0]), ECANCELED);
    eq_ptr(take(here->members[1]), &here->deaf);
}

static void ends_busy(int then) {
    executor_t *ex = pool(3);
    struct leaver here = LEAVER(ex, then);
    void *result = &here;
    future_t *f = submit_opts(ex, leave_open, &here, &(exec_task_opts){.free_result = count_drop});
    let_go(&here, f);
    eq_state(f, FUTURE_FAILED);
    eq_err(future_get(f, &result), EBUSY);
    eq_ptr(result, NULL);
    eq_int(atomic_load(&here.frees), then ? 0 : 1);
    future_unref(f);
    eq_int(atomic_load(&here.frees), then ? 0 : 1);
    eq_ptr(take(submit(ex, identity, ex)), ex);
    executor_destroy(ex);
    eq_int(atomic_load(&here.drops), 5);
}

TEST(group_open, a_task_that_returns_with_its_group_open_fails_with_ebusy_and_its_result_is_freed) {
    ends_busy(0);
}

TEST(group_open, a_task_that_fails_with_its_group_open_fails_with_ebusy) {
    ends_busy(EIO);
    ends_busy(ECANCELED);
}

TEST(group_open, a_task_that_is_asked_to_stop_and_leaves_its_group_open_fails_with_ebusy) {
    executor_t *ex = pool(3);
    struct leaver here = LEAVER(ex, ECANCELED);
    future_t *f = submit(ex, leave_open, &here);
    gate_wait(&here.submitted);
    eq_err(future_cancel(f), EINPROGRESS); /* as long as a member runs */
    let_go(&here, f);
    await_end(f, EBUSY);
    executor_destroy(ex);
}

TEST(group_open, a_task_that_leaves_its_thread_with_its_group_open_fails_with_eownerdead_after_its_members) {
    executor_t *ex = pool(3);
    struct leaver here = LEAVER(ex, -1);
    future_t *f = submit(ex, leave_open, &here);
    let_go(&here, f);
    eq_state(f, FUTURE_FAILED);
    eq_err(outcome(f), EOWNERDEAD);
    eq_ptr(take(submit(ex, identity, ex)), ex);
    executor_destroy(ex);
}

TEST(group_open, a_group_on_another_executor_is_waited_for_too) {
    executor_t *mine = pool(1), *other = pool(2);
    struct leaver here = LEAVER(other, 0);
    future_t *f = submit_opts(mine, leave_open, &here, &(exec_task_opts){.free_result = count_drop});
    let_go(&here, f);
    await_end(f, EBUSY);
    eq_int(atomic_load(&here.frees), 1);
    executor_destroy(mine), executor_destroy(other);
}

static void *leave_several_open(void *arg) {
    struct visit *here = arg;
    for (int i = 0; i < 10; i++) {
        exec_group_t *g = group_of(here->ex, (exec_group_opts){.max_running = (size_t)i % 3});
        for (int n = 0; n < 5; n++)
            ok(exec_group_submit(g, count_up, &here->ran, &(exec_task_opts){.drop = count_drop}, NULL));
        if (i % 4 == 3)
            ok(exec_group_close(g));
    }
    return NULL;
}

TEST(group_open, several_open_groups_are_all_freed_and_closed_ones_not_again) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct visit here = {.ex = pool(workers)};
        as_task(&here, leave_several_open, EBUSY);
        eq_int(atomic_load(&here.ran), 50); /* whether they ran or were dropped */
        executor_destroy(here.ex);
    }
}

TEST(group_open, a_task_without_a_future_that_leaves_a_group_open_is_cleaned_up_as_well) {
    executor_t *ex = pool(3);
    struct leaver here = LEAVER(ex, 0);
    ok(executor_submit(ex, leave_open, &here, &(exec_task_opts){.free_result = count_drop}, NULL));
    wait_until(atomic_load(&here.drops) == 5);
    plug_out(&here.deaf);
    executor_destroy(ex);
    eq_int(atomic_load(&here.frees), 1);
    eq_err(outcome(here.members[0]), ECANCELED);
    eq_ptr(take(here.members[1]), &here.deaf);
}

/* ---- members and items as owners ---- */

TEST(group_open, a_member_that_leaves_a_group_of_its_own_open_fails_its_group_with_ebusy) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct visit here = {.ex = pool(workers)};
        exec_group_t *g = group(here.ex);
        join(g, leave_several_open, &here);
        eq_err(exec_group_wait(g, EXEC_NEVER), EBUSY);
        eq_int(atomic_load(&here.ran), 50);
        eq_err(outcome_of_next(g), EBUSY);
        close_empty(g, EBUSY);
        executor_destroy(here.ex);
    }
}

static void *leave_open_if_odd(void *arg) {
    struct visit *here = arg;
    return here->drops % 2 ? leave_several_open(here) : here;
}

TEST(group_open, an_item_of_a_map_that_leaves_a_group_open_fails_with_ebusy) {
    enum { N = 10 };
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        struct visit items[N];
        void *args[N], *results[N];
        int errors[N];
        for (int i = 0; i < N; i++) {
            items[i] = (struct visit){.ex = ex, .drops = i};
            args[i] = &items[i];
        }
        eq_err(executor_map(ex, leave_open_if_odd, args, results, N, &(exec_map_opts){.errors = errors}), EBUSY);
        for (int i = 0; i < N; i++) {
            eq_err(errors[i], i % 2 ? EBUSY : 0);
            eq_ptr(results[i], i % 2 ? NULL : &items[i]);
            eq_int(atomic_load(&items[i].ran), i % 2 ? 50 : 0);
        }
        executor_destroy(ex);
    }
}

static void leave_open_in_range(size_t begin, size_t end, void *visit) {
    (void)begin, (void)end;
    leave_several_open(visit);
}

TEST(group_open, a_range_that_leaves_a_group_open_fails_with_ebusy) {
    struct visit here = {.ex = pool(2)};
    int errors[4];
    eq_err(executor_for(here.ex, 4, leave_open_in_range, &here, &(exec_map_opts){.errors = errors, .chunk = 2}), EBUSY);
    for (int i = 0; i < 4; i++)
        eq_err(errors[i], EBUSY);
    eq_int(atomic_load(&here.ran), 100);
    executor_destroy(here.ex);
}

/* Each level leaves a group open in which the next one runs, once all of them do. */
static void *leave_nest(void *arg) {
    struct visit *here = arg;
    if (atomic_fetch_sub(&here->drops, 1) > 0)
        join(group(here->ex), leave_nest, here);
    else
        gate_open(&here->begun);
    gate_wait(&here->begun);
    atomic_fetch_add(&here->ran, 1);
    return NULL;
}

TEST(group_open, open_groups_within_open_groups_are_all_waited_for) {
    struct visit here = {.ex = pool(8), .drops = 7, .begun = GATE(1)};
    as_task(&here, leave_nest, EBUSY);
    eq_int(atomic_load(&here.ran), 8);
    executor_destroy(here.ex);
}
