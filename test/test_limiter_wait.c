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

/* A task that has the only worker waits for one that is behind three others, which are submitted once it runs. */
static void with_others(exec_fn *waits, exec_fn *other) {
    struct parent here = {.ex = pool(1), .l = at_once(1), .begun = GATE(1), .others = GATE(1)};
    future_t *f = submit(here.ex, waits, &here), *others[3];
    gate_wait(&here.begun);
    for (int i = 0; i < 3; i++)
        others[i] = limited(here.ex, other, &here, here.l);
    gate_open(&here.others);
    await_elsewhere(f);
    ok(outcome(f));
    eq_int(atomic_load(&here.ran), 4);
    for (int i = 0; i < 3; i++)
        ok(outcome(others[i]));
    executor_destroy(here.ex);
    end_limiter(here.l);
}

static void *count_here(void *arg) {
    return count_up(&((struct parent *)arg)->ran);
}

TEST(limiter_wait, a_child_waits_behind_one_that_is_queued_behind_the_parent) {
    with_others(wait_behind_others, count_here);
}

/* It wants what the parent holds, which no thread may have twice: so it must not run on the parent's. */
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

static void *try_lock(void *arg) {
    struct parent *here = arg;
    eq_err(pthread_mutex_trylock(&held), EBUSY);
    check(atomic_fetch_add(&here->ran, 1) < 3);
    return NULL;
}

static void *hold_and_wait(void *arg) {
    pthread_mutexattr_t recursive;
    ok(pthread_mutexattr_init(&recursive));
    ok(pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE));
    ok(pthread_mutex_init(&held, &recursive));
    ok(pthread_mutexattr_destroy(&recursive));
    ok(pthread_mutex_lock(&held));
    wait_behind_others(arg);
    ok(pthread_mutex_unlock(&held));
    return NULL;
}

TEST(limiter_wait, a_stranger_does_not_run_on_the_thread_of_who_waits) {
    with_others(hold_and_wait, try_lock);
}

/* The permit is a thread's, which gives it back while the task sleeps; then it is let through that lies in the queue.
 */
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

/* ---- what makes those that wait look again, and who may run what ---- */

struct falling {
    executor_t *ex;
    exec_limiter_t *l;
    atomic_int ran, tid;
};

static void *wait_for_the_second(void *arg) {
    struct falling *here = arg;
    future_t *first = limited(here->ex, count_up, &here->ran, here->l);
    future_t *second = limited(here->ex, count_up, &here->ran, here->l);
    atomic_store(&here->tid, (int)gettid());
    ok(outcome(second));
    ok(outcome(first));
    return NULL;
}

/* The second task is not let through when the permit comes back, since the limit falls to 1: it waits for the first
 * one, which nobody but who waits can see to. */
static void *wait_for_one_that_is_not_due(void *arg) {
    struct parent *here = arg;
    gate_open(&here->begun);
    gate_wait(&here->others);
    const exec_task_opts opts = {.limiter = here->l, .delay = EXEC_MS(20)};
    ok(outcome(submit_opts(here->ex, count_up, &here->ran, &opts)));
    return NULL;
}

/* When it is due, it comes to wait behind one that was let through, and needs the thread that sleeps. */
TEST(limiter_wait, one_that_comes_to_the_limiter_while_all_sleep_runs) {
    struct parent here = {.ex = pool(1), .l = at_once(1), .begun = GATE(1), .others = GATE(1)};
    future_t *f = submit(here.ex, wait_for_one_that_is_not_due, &here);
    gate_wait(&here.begun);
    future_t *through = limited(here.ex, count_up, &here.ran, here.l);
    gate_open(&here.others);
    await_elsewhere(f);
    ok(outcome(f));
    ok(outcome(through));
    eq_int(atomic_load(&here.ran), 2);
    executor_destroy(here.ex);
    end_limiter(here.l);
}

TEST(limiter_wait, a_limit_that_falls_makes_who_waits_look_again) {
    struct falling here = {.ex = pool(1)};
    exec_permit permit;
    ok(exec_limiter_create(&(exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD, .initial = 2, .min = 1, .max = 2}, &here.l));
    ok(exec_limiter_acquire(here.l, EXEC_NEVER, &permit));
    future_t *f = submit(here.ex, wait_for_the_second, &here);
    wait_until_asleep(&here.tid);
    exec_limiter_release(here.l, &permit, EAGAIN);
    await_elsewhere(f);
    ok(outcome(f));
    eq_int(atomic_load(&here.ran), 2);
    executor_destroy(here.ex);
    end_limiter(here.l);
}

static int start_well(void *ctx, unsigned worker) {
    (void)ctx, (void)worker;
    return 0;
}

TEST(limiter_wait, a_task_that_may_be_abandoned_waits_as_any_other_on_threads_of_the_executor_s_own) {
    const exec_task_opts opts[] = {{.timeout = LIMIT}, {.timeout = LIMIT, .on_timeout = EXEC_ABANDON}};
    for (int i = 0; i < 2; i++) {
        struct falling here = {.ex = pool_of((executor_opts){.workers = 1, .on_start = start_well}), .l = at_once(1)};
        future_t *f = submit_opts(here.ex, wait_for_the_second, &here, &opts[i]);
        await_elsewhere(f);
        ok(outcome(f));
        executor_destroy(here.ex);
        end_limiter(here.l);
    }
}
