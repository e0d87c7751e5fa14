/* test_limiter_wait.c - tasks that wait for tasks which their limiter holds back: what that has let through runs, with
 * one worker, too; and a wait for one that waits for the waiter is EDEADLK. */
#include "limiters.h"

enum { CHILDREN = 8 };

struct parent {
    executor_t *ex;
    exec_limiter_t *l;
    atomic_int ran;
    struct gate begun, others; /* it runs; and the tasks of others are submitted */
};

static void *get_children_last_first(void *arg) {
    struct parent *here = arg;
    future_t *fs[CHILDREN];
    for (int i = 0; i < CHILDREN; i++)
        fs[i] = limited(here->ex, count_up, &here->ran, here->l);
    for (int i = CHILDREN; i-- > 0;)
        ok(outcome(fs[i]));
    return NULL;
}

TEST(limiter_wait, children_are_waited_for_in_any_order) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (size_t limit = 1; limit <= 3; limit++) {
            struct parent here = {.ex = pool(workers), .l = at_once(limit)};
            future_t *f = submit(here.ex, get_children_last_first, &here);
            await_elsewhere(f);
            ok(outcome(f));
            eq_int(atomic_load(&here.ran), CHILDREN);
            executor_destroy(here.ex);
            end_limiter(here.l);
        }
}

TEST(limiter_wait, children_are_waited_for_on_threads_of_the_executor_s_own) {
    struct parent here = {.ex = pool_of((executor_opts){.workers = 1, .stack_size = 1 << 20}), .l = at_once(1)};
    future_t *f = submit(here.ex, get_children_last_first, &here);
    await_elsewhere(f);
    ok(outcome(f));
    executor_destroy(here.ex);
    end_limiter(here.l);
}

static void *wait_behind_others(void *arg) {
    struct parent *here = arg;
    gate_open(&here->begun);
    gate_wait(&here->others);
    ok(outcome(limited(here->ex, count_up, &here->ran, here->l)));
    return NULL;
}

TEST(limiter_wait, a_child_waits_behind_one_that_is_queued_behind_the_parent) {
    struct parent here = {.ex = pool(1), .l = at_once(1), .begun = GATE(1), .others = GATE(1)};
    future_t *f = submit(here.ex, wait_behind_others, &here);
    gate_wait(&here.begun);
    future_t *others[3];
    for (int i = 0; i < 3; i++)
        others[i] = limited(here.ex, count_up, &here.ran, here.l);
    gate_open(&here.others);
    await_elsewhere(f);
    ok(outcome(f));
    eq_int(atomic_load(&here.ran), 4);
    for (int i = 0; i < 3; i++)
        ok(outcome(others[i]));
    executor_destroy(here.ex);
    end_limiter(here.l);
}

/* The permit is a thread's, which gives it back while the task sleeps; then it is let through that lies in the queue. */
TEST(limiter_wait, one_that_is_let_through_while_all_sleep_runs) {
    struct parent here = {.ex = pool(1), .l = at_once(1), .begun = GATE(1), .others = GATE(1)};
    exec_permit permit;
    ok(exec_limiter_acquire(here.l, EXEC_NEVER, &permit));
    future_t *f = submit(here.ex, wait_behind_others, &here);
    gate_wait(&here.begun);
    future_t *other = limited(here.ex, count_up, &here.ran, here.l);
    gate_open(&here.others);
    eq_err(future_wait(f, exec_after(EXEC_MS(20))), ETIMEDOUT); /* time to fall asleep; either order must end */
    exec_limiter_release(here.l, &permit, 0);
    await_elsewhere(f);
    ok(outcome(f));
    ok(outcome(other));
    eq_int(atomic_load(&here.ran), 2);
    executor_destroy(here.ex);
    end_limiter(here.l);
}

static void *wait_for_one_with_the_same_limiter(void *arg) {
    struct parent *here = arg;
    future_t *f = limited(here->ex, count_up, &here->ran, here->l);
    eq_err(future_wait(f, EXEC_NEVER), EDEADLK);
    future_unref(f);
    return NULL;
}

TEST(limiter_wait, one_under_a_limiter_that_waits_for_one_behind_it_gets_edeadlk) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct parent here = {.ex = pool(workers), .l = at_once(1)};
        future_t *f = limited(here.ex, wait_for_one_with_the_same_limiter, &here, here.l);
        await_elsewhere(f);
        ok(outcome(f));
        executor_destroy(here.ex);
        eq_int(atomic_load(&here.ran), 1);
        end_limiter(here.l);
    }
}
