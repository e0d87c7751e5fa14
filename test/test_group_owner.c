/* test_group_owner.c - groups that belong to tasks: waited for with one worker at depth, cancelled with their task,
 * nested, and left open by it. */
#include "groups.h"

/* ---- divide and conquer ---- */

/* Counts the leaves of a tree, each inner node with a group of its own. */
struct node {
    executor_t *ex;
    int depth, width; /* of inner nodes: a deep child, and width - 1 leaves */
    int (*wait)(exec_group_t *);
};

static int by_wait(exec_group_t *g) {
    return exec_group_wait(g, EXEC_NEVER);
}

static int by_deadline(exec_group_t *g) {
    return exec_group_wait(g, exec_after(LIMIT));
}

static int by_next(exec_group_t *g) {
    future_t *f;
    int error;
    while ((error = exec_group_next(g, EXEC_NEVER, &f)) == 0)
        ok(outcome(f));
    return error == ENODATA ? 0 : error;
}

static int by_close_alone(exec_group_t *g) {
    (void)g;
    return 0;
}

static int (*const ways[])(exec_group_t *) = {by_wait, by_deadline, by_next, by_close_alone};
enum { WAYS = sizeof ways / sizeof *ways };

static void *count_leaves(void *arg) {
    const struct node *here = arg;
    struct node deep = {here->ex, here->depth - 1, here->width, here->wait}, leaf = {here->ex, 0, 0, here->wait};
    future_t *fs[4];
    intptr_t leaves = 0;
    if (here->depth == 0)
        return as_error(1);
    exec_group_t *g = group(here->ex);
    for (int i = 0; i < here->width; i++)
        fs[i] = member(g, count_leaves, i == here->depth % here->width ? &deep : &leaf);
    ok(here->wait(g));
    ok(exec_group_close(g));
    for (int i = 0; i < here->width; i++)
        leaves += (intptr_t)take(fs[i]);
    return (void *)leaves;
}

static void counts_to(executor_t *ex, int depth, int width, int (*wait)(exec_group_t *)) {
    struct node top = {ex, depth, width, wait};
    future_t *f = submit(ex, count_leaves, &top);
    await_elsewhere(f);
    eq_int((intptr_t)take(f), depth * (width - 1) + 1);
}

TEST(group_owner, groups_in_tasks_nest_hundreds_of_levels_deep_with_any_number_of_workers) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        for (int way = 0; way < WAYS; way++) {
            counts_to(ex, 300, 1, ways[way]);
            counts_to(ex, 300, 3, ways[way]);
        }
        executor_destroy(ex);
    }
}

struct fib {
    executor_t *ex;
    int n;
};

static void *fib(void *arg) {
    const struct fib *here = arg;
    struct fib left = {here->ex, here->n - 1}, right = {here->ex, here->n - 2};
    if (here->n < 2)
        return as_error(here->n);
    exec_group_t *g = group_of(here->ex, (exec_group_opts){.policy = EXEC_FAIL_FAST});
    future_t *a = member(g, fib, &left), *b = member(g, fib, &right);
    ok(exec_group_close(g));
    intptr_t sum = (intptr_t)take(a);
    return (void *)(sum + (intptr_t)take(b));
}

TEST(group_owner, divide_and_conquer_through_groups_comes_out_right) {
    for (unsigned workers = 1; workers <= 4; workers++) {
        struct fib top = {pool(workers), 14};
        eq_int((intptr_t)take(submit(top.ex, fib, &top)), 377);
        executor_destroy(top.ex);
    }
}

/* Goes down without end, each level with a group of its own. */
static void *descend(void *arg) {
    const struct node *here = arg;
    struct node next = {here->ex, here->depth - 1, here->width, here->wait};
    if (here->depth == 0)
        return NULL;
    exec_group_t *g = group(here->ex);
    join(g, descend, &next);
    int error = here->wait(g);
    if (error)
        exec_group_cancel(g);
    int closed = exec_group_close(g);
    return error || closed ? exec_fail(error ? error : closed) : NULL;
}

TEST(group_owner, a_stack_too_small_for_the_depth_is_enomem_and_neither_a_crash_nor_a_hang) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int way = 0; way < 2; way++) {
            executor_t *ex = pool_of((executor_opts){.workers = workers, .stack_size = 256 * 1024});
            struct node top = {ex, 10000, 1, way ? by_close_alone : by_wait};
            future_t *f = submit(ex, descend, &top);
            await_elsewhere(f);
            eq_err(outcome(f), ENOMEM);
            counts_to(ex, 5, 3, by_wait);
            executor_destroy(ex);
        }
}

static void *limited(void *arg) {
    struct visit *here = arg;
    exec_group_t *g = group_of(here->ex, (exec_group_opts){.max_running = 1});
    for (int i = 0; i < 20; i++)
        join(g, count_up, &here->ran);
    ok(exec_group_wait(g, EXEC_NEVER));
    for (int i = 0; i < 20; i++)
        join(g, count_up, &here->ran);
    for (int i = 0; i < 40; i++)
        eq_ptr(take_next(g), NULL);
    close_empty(g, 0);
    return NULL;
}

TEST(group_owner, a_task_waits_for_members_behind_max_running_with_one_worker_too) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct visit here = {.ex = pool(workers)};
        as_task(&here, limited, 0);
        eq_int(atomic_load(&here.ran), 40);
        executor_destroy(here.ex);
    }
}

/* ---- cancelled with the task ---- */

static void *hold_a_group(void *arg) {
    struct visit *here = arg;
    struct obedient good = OBEDIENT(ECANCELED), deaf = OBEDIENT(0);
    struct plug plug = PLUG;
    exec_group_t *g = group(here->ex);
    future_t *a = obedient_member(g, &good), *b = obedient_member(g, &deaf), *third = plug_member(g, &plug);
    for (int i = 0; i < 5; i++)
        future_unref(doomed_member(g, &here->drops));
    gate_open(&here->begun);
    await_end(a, ECANCELED);
    await_end(b, 0);
    check(exec_cancelled());
    wait_until(atomic_load(&here->drops) == 5);
    refused(g, ECANCELED);
    plug_out(&plug);
    eq_err(exec_group_close(g), ECANCELED);
    future_unref(third);
    return exec_fail(ECANCELED);
}

TEST(group_owner, when_its_task_is_asked_to_stop_the_group_is_cancelled) {
    struct visit here = {.ex = pool(4), .begun = GATE(1)};
    future_t *f = submit(here.ex, hold_a_group, &here);
    gate_wait(&here.begun);
    eq_err(future_cancel(f), EINPROGRESS);
    await_end(f, ECANCELED);
    executor_destroy(here.ex);
}

static void *wait_for_obedient(void *arg) {
    struct visit *here = arg;
    struct obedient task = OBEDIENT(ECANCELED);
    exec_group_t *g = group(here->ex);
    join(g, until_asked, &task);
    gate_open(&here->begun);
    eq_err(exec_group_wait(g, EXEC_NEVER), ECANCELED);
    eq_err(exec_group_close(g), ECANCELED);
    return NULL;
}

TEST(group_owner, a_task_that_waits_for_its_group_is_woken_by_its_cancellation) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct visit here = {.ex = pool(workers), .begun = GATE(1)};
        future_t *f = submit(here.ex, wait_for_obedient, &here);
        gate_wait(&here.begun);
        eq_err(future_cancel(f), EINPROGRESS);
        await_end(f, 0);
        executor_destroy(here.ex);
    }
}

static void *open_when_asked(void *arg) {
    struct visit *here = arg;
    gate_open(&here->begun);
    wait_until(exec_cancelled());
    exec_group_t *g = group(here->ex);
    refused(g, ECANCELED);
    close_empty(g, 0);
    return NULL;
}

TEST(group_owner, a_group_opened_by_a_task_that_was_asked_to_stop_takes_no_members) {
    struct visit here = {.ex = pool(1), .begun = GATE(1)};
    future_t *f = submit(here.ex, open_when_asked, &here);
    gate_wait(&here.begun);
    eq_err(future_cancel(f), EINPROGRESS);
    await_end(f, 0);
    executor_destroy(here.ex);
}

TEST(group_owner, a_discard_of_the_tasks_executor_cancels_its_groups_on_any_executor) {
    struct visit here = {.ex = pool(3), .begun = GATE(1)};
    executor_t *mine = pool(1);
    future_t *f = submit(mine, hold_a_group, &here);
    gate_wait(&here.begun);
    ok(executor_shutdown(mine, EXECUTOR_DISCARD));
    await_end(f, ECANCELED);
    executor_destroy(mine);
    executor_destroy(here.ex);
}

static void *hold_until_asked(void *arg) {
    struct visit *here = arg;
    struct obedient task = OBEDIENT(ECANCELED);
    exec_group_t *g = group(here->ex);
    future_t *running = obedient_member(g, &task);
    for (int i = 0; i < 5; i++)
        future_unref(member_opts(g, identity, &here->drops,
                                 &(exec_task_opts){.after = &running, .nafter = 1, .drop = count_drop}));
    gate_open(&here->begun);
    await_end(running, ECANCELED);
    check(exec_cancelled());
    eq_err(exec_group_close(g), ECANCELED);
    return exec_fail(ECANCELED);
}

/* The items of a map: one that waits for its group, and one that then fails with this error, if it is one. */
struct item {
    struct visit *visit;
    int error;
};

static void *fail_or_hold(void *arg) {
    const struct item *item = arg;
    if (item->error == 0)
        return hold_until_asked(item->visit);
    gate_wait(&item->visit->begun);
    return exec_fail(item->error);
}

TEST(group_owner, a_failure_that_stops_a_map_cancels_the_groups_of_its_items) {
    struct visit here = {.ex = pool(3), .begun = GATE(1)};
    struct item items[2] = {{&here, 0}, {&here, EIO}};
    void *args[2] = {&items[0], &items[1]};
    int errors[2];
    exec_map_opts opts = {.stop_on_error = true, .errors = errors, .chunk = 1};
    eq_err(executor_map(here.ex, fail_or_hold, args, NULL, 2, &opts), EIO);
    eq_err(errors[0], ECANCELED);
    eq_err(errors[1], EIO);
    eq_int(atomic_load(&here.drops), 5);
    executor_destroy(here.ex);
}

static void *hold_until_the_deadline(void *arg) {
    struct visit *here = arg;
    struct obedient task = OBEDIENT(ECANCELED);
    exec_group_t *g = group(here->ex);
    int error = exec_group_submit(g, until_asked, &task, NULL, NULL);
    check(error == 0 || exec_cancelled());
    eq_err(exec_group_close(g), error ? 0 : ECANCELED);
    if (gate_is_open(&task.started))
        gate_open(&here->begun);
    return exec_fail(ECANCELED);
}

TEST(group_owner, the_deadline_of_a_map_cancels_the_groups_of_its_items) {
    bool begun = false;
    for (exec_time duration = EXEC_MS(20); !begun; duration *= 4) { /* as often as that was too short to begin */
        struct visit here = {.ex = pool(3), .begun = GATE(1)};
        void *arg = &here;
        exec_map_opts opts = {.deadline = exec_after(duration)};
        eq_err(executor_map(here.ex, hold_until_the_deadline, &arg, NULL, 1, &opts), ETIMEDOUT);
        begun = gate_is_open(&here.begun);
        executor_destroy(here.ex);
    }
}

static void *map_over_holders(void *arg) {
    struct visit *here = arg;
    void *args[2] = {here, here};
    eq_err(executor_map(here->ex, hold_until_asked, args, NULL, 2, &(exec_map_opts){.chunk = 1}), ECANCELED);
    return NULL;
}

TEST(group_owner, cancelling_the_task_that_maps_cancels_the_groups_of_the_items) {
    struct visit here = {.ex = pool(6), .begun = GATE(2)};
    future_t *f = submit(here.ex, map_over_holders, &here);
    gate_wait(&here.begun);
    eq_err(future_cancel(f), EINPROGRESS);
    await_end(f, 0);
    eq_int(atomic_load(&here.drops), 10);
    executor_destroy(here.ex);
}

static void *cancel_one_of_two(void *arg) {
    struct visit *here = arg;
    exec_group_t *one = group(here->ex), *two = group(here->ex);
    future_unref(doomed_member(one, &here->drops));
    join(two, count_up, &here->ran);
    exec_group_cancel(one);
    check(!exec_cancelled());
    join(two, count_up, &here->ran);
    ok(exec_group_close(two));
    eq_err(exec_group_close(one), ECANCELED);
    return NULL;
}

TEST(group_owner, a_task_may_cancel_one_of_its_groups_and_go_on_with_another) {
    struct visit here = {.ex = pool(1)};
    as_task(&here, cancel_one_of_two, 0);
    eq_int(atomic_load(&here.drops), 1);
    eq_int(atomic_load(&here.ran), 2);
    executor_destroy(here.ex);
}

/* ---- nested ---- */

/* Each level opens a group for the next, on one executor and the other in turn; the last waits to be asked. */
struct level {
    executor_t *exs[2];
    struct gate *begun;
    int depth;
};

static void *nest(void *arg) {
    const struct level *here = arg;
    struct level next = {{here->exs[1], here->exs[0]}, here->begun, here->depth - 1};
    if (here->depth > 0) {
        exec_group_t *g = group(here->exs[0]);
        int error = exec_group_submit(g, nest, &next, NULL, NULL); /* refused, when the deadline has passed */
        eq_err(exec_group_close(g), error ? 0 : ECANCELED);
        check(exec_cancelled());
        return exec_fail(ECANCELED);
    }
    gate_open(here->begun);
    eq_err(exec_sleep(EXEC_SEC(1000000)), ECANCELED);
    return exec_fail(ECANCELED);
}

TEST(group_owner, cancelling_the_outer_task_reaches_the_members_of_the_innermost_group) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct gate begun = GATE(1);
        executor_t *ex = pool(workers);
        struct level top = {{ex, ex}, &begun, 100};
        future_t *f = submit(ex, nest, &top);
        gate_wait(&begun);
        eq_err(future_cancel(f), EINPROGRESS);
        await_end(f, ECANCELED);
        executor_destroy(ex);
    }
}

TEST(group_owner, cancelling_the_outer_group_reaches_the_members_of_the_innermost_on_two_executors) {
    struct gate begun = GATE(1);
    executor_t *one = pool(2), *two = pool(2);
    struct level top = {{one, two}, &begun, 1};
    exec_group_t *g = group(two);
    join(g, nest, &top);
    gate_wait(&begun);
    exec_group_cancel(g);
    eq_err(exec_group_close(g), ECANCELED);
    executor_destroy(one), executor_destroy(two);
}

TEST(group_owner, the_deadline_of_the_outer_group_reaches_the_members_of_the_innermost) {
    bool in_time = false;
    for (exec_time duration = EXEC_MS(20); !in_time; duration *= 4) { /* as often as that was too short to begin */
        struct gate begun = GATE(1);
        executor_t *ex = pool(1);
        struct level top = {{ex, ex}, &begun, 5};
        exec_group_t *g = group_of(ex, (exec_group_opts){.deadline = exec_after(duration)});
        exec_group_submit(g, nest, &top, NULL, NULL);
        exec_group_close(g);
        in_time = gate_is_open(&begun);
        executor_destroy(ex);
    }
}

/* ---- what a waiting task runs ---- */

static atomic_bool in_a_wait;

static void *be_a_stranger(void *arg) {
    check(!atomic_load(&in_a_wait));
    return count_up(arg);
}

static void *wait_among_strangers(void *arg) {
    struct visit *here = arg;
    exec_group_t *g = group(here->ex);
    gate_wait(&here->begun);
    for (int i = 0; i < 10; i++)
        join(g, count_up, &here->ran);
    atomic_store(&in_a_wait, true);
    ok(exec_group_wait(g, EXEC_NEVER));
    ok(try_next(g));
    join(g, count_up, &here->ran);
    ok(exec_group_close(g));
    atomic_store(&in_a_wait, false);
    return NULL;
}

TEST(group_owner, a_task_that_waits_for_its_group_runs_no_strangers) {
    struct visit here = {.ex = pool(1), .begun = GATE(1)};
    atomic_int strangers = 0;
    future_t *f = submit(here.ex, wait_among_strangers, &here);
    for (int i = 0; i < 10; i++)
        future_unref(submit(here.ex, be_a_stranger, &strangers));
    gate_open(&here.begun);
    await_end(f, 0);
    executor_destroy(here.ex);
    eq_int(atomic_load(&strangers), 10);
    eq_int(atomic_load(&here.ran), 11);
}
