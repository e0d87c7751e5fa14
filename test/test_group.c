/* test_group.c - groups: opening, submitting, waiting and closing, from outside and by members. Cancelling is in
 * test_group_cancel.c; policies in test_group_policy.c; .deadline and .max_running in test_group_limits.c; taking what
 * has finished, and descriptors, in test_group_next.c; waits that can never end in test_group_deadlock.c; groups that
 * belong to tasks in test_group_owner.c and test_group_open.c; full queues, shutdown and several executors in
 * test_group_executor.c. */
#include "groups.h"

/* ---- opening ---- */

TEST(group, an_empty_group_waits_for_nothing_and_closes_with_0) {
    executor_t *ex = pool(1);
    exec_group_t *g = NULL;
    ok(exec_group_open(ex, NULL, &g));
    ok(exec_group_wait(g, EXEC_NEVER));
    ok(exec_group_wait(g, EXEC_NOW));
    eq_err(try_next(g), ENODATA);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group, what_is_null_or_out_of_range_is_einval) {
    executor_t *ex = pool(1);
    exec_group_t *g = (exec_group_t *)ex;
    future_t *f = (future_t *)ex;
    int fd = -7;
    eq_err(exec_group_open(NULL, NULL, &g), EINVAL);
    eq_err(exec_group_open(ex, NULL, NULL), EINVAL);
    eq_err(exec_group_open(ex, &(exec_group_opts){.policy = (enum exec_group_policy)3}, &g), EINVAL);
    eq_err(exec_group_open(ex, &(exec_group_opts){.policy = (enum exec_group_policy)(-1)}, &g), EINVAL);
    eq_err(exec_group_open(ex, &(exec_group_opts){.deadline = -1}, &g), EINVAL);
    eq_err(exec_group_open(ex, &(exec_group_opts){.deadline = INT64_MIN}, &g), EINVAL);
    eq_ptr(g, ex);
    eq_err(exec_group_submit(NULL, must_not_run, NULL, NULL, &f), EINVAL);
    eq_err(exec_group_next(NULL, EXEC_NOW, &f), EINVAL);
    eq_err(exec_group_wait(NULL, EXEC_NEVER), EINVAL);
    eq_err(exec_group_close(NULL), EINVAL);
    eq_err(exec_group_fd(NULL, &fd), EINVAL);
    exec_group_cancel(NULL);
    eq_ptr(f, ex);
    eq_int(fd, -7);
    executor_destroy(ex);
}

TEST(group, a_submit_that_is_einval_leaves_the_group_and_the_argument_alone) {
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    future_t *f = (future_t *)ex, *after[1] = {NULL};
    exec_task_opts keeps = {.drop = must_not_free}, room = {.drop = must_not_free, .room_wait = -1},
                   null = {.drop = must_not_free, .after = after, .nafter = 1};
    eq_err(exec_group_submit(g, NULL, NULL, &keeps, &f), EINVAL);
    eq_err(exec_group_submit(g, must_not_run, NULL, &room, &f), EINVAL);
    eq_err(exec_group_submit(g, must_not_run, NULL, &null, &f), EINVAL);
    eq_ptr(f, ex);
    eq_err(exec_group_next(g, EXEC_NOW, NULL), EINVAL);
    eq_err(exec_group_fd(g, NULL), EINVAL);
    ok(exec_group_wait(g, EXEC_NEVER));
    close_empty(g, 0);
    executor_destroy(ex);
}

/* ---- members ---- */

TEST(group, a_member_is_a_task_like_any_other) {
    static const char name[] = "member";
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    future_t *running = plug_member(g, &plug), *pending = member_opts(g, identity, g, &(exec_task_opts){.name = name});
    eq_state(running, FUTURE_RUNNING);
    eq_state(pending, FUTURE_PENDING);
    eq_ptr(future_arg(pending), g);
    eq_ptr(future_name(pending), name);
    eq_ptr(future_name(running), NULL);
    plug_out(&plug);
    eq_ptr(take(running), &plug);
    eq_ptr(take(pending), g);
    ok(exec_group_close(g));
    executor_destroy(ex);
}

TEST(group, a_members_future_outlives_its_group) {
    int value;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    future_t *f = member_opts(g, identity, &value, &(exec_task_opts){.free_result = must_not_free, .name = "late"});
    ok(exec_group_close(g));
    eq_state(f, FUTURE_DONE);
    eq_str(future_name(f), "late");
    eq_ptr(take(f), &value);
    executor_destroy(ex);
}

TEST(group, members_may_point_into_the_openers_stack) {
    executor_t *ex = pool(3);
    for (int round = 0; round < 50; round++) {
        atomic_int counter = 0;
        exec_group_t *g = group(ex);
        for (int i = 0; i < 20; i++)
            join(g, count_up, &counter);
        ok(exec_group_close(g));
        eq_int(atomic_load(&counter), 20);
    }
    executor_destroy(ex);
}

static void *submit_many(void *arg) {
    struct visit *here = arg;
    for (int i = 0; i < 100; i++)
        join(here->g, count_up, &here->ran);
    return NULL;
}

TEST(group, several_threads_may_submit_to_it_at_once) {
    struct visit here = {.ex = pool(2)};
    pthread_t threads[4];
    here.g = group(here.ex);
    for (int i = 0; i < 4; i++)
        threads[i] = start(submit_many, &here);
    for (int i = 0; i < 4; i++)
        finish(threads[i]);
    ok(exec_group_wait(here.g, EXEC_NEVER));
    eq_int(atomic_load(&here.ran), 400);
    ok(exec_group_close(here.g));
    executor_destroy(here.ex);
}

/* ---- waiting ---- */

TEST(group, wait_returns_when_all_members_have_finished) {
    struct plug plug = PLUG;
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    future_t *first = plug_member(g, &plug), *second = member(g, identity, NULL);
    await_elsewhere(second);
    exec_time deadline = exec_after(EXEC_MS(20));
    eq_err(exec_group_wait(g, deadline), ETIMEDOUT);
    at_least(exec_now(), deadline);
    eq_err(exec_group_wait(g, EXEC_NOW), ETIMEDOUT);
    plug_out(&plug);
    ok(exec_group_wait(g, exec_after(LIMIT)));
    check(future_done(first));
    ok(exec_group_wait(g, EXEC_NOW));
    ok(exec_group_wait(g, EXEC_NEVER));
    future_unref(first), future_unref(second);
    ok(exec_group_close(g));
    executor_destroy(ex);
}

TEST(group, wait_may_be_called_again_after_more_was_submitted) {
    atomic_int counter = 0;
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    for (int i = 1; i <= 20; i++) {
        join(g, count_up, &counter);
        join(g, count_up, &counter);
        ok(exec_group_wait(g, i % 2 ? EXEC_NEVER : exec_after(LIMIT)));
        eq_int(atomic_load(&counter), 2 * i);
    }
    ok(exec_group_close(g));
    executor_destroy(ex);
}

static void *wait_outside(void *arg) {
    struct visit *here = arg;
    gate_open(&here->begun);
    ok(exec_group_wait(here->g, EXEC_NEVER));
    atomic_fetch_add(&here->ran, 1);
    return NULL;
}

TEST(group, several_threads_may_wait_for_it) {
    struct plug plug = PLUG;
    struct visit here = {.ex = pool(1), .begun = GATE(4)};
    pthread_t threads[4];
    here.g = group(here.ex);
    future_unref(plug_member(here.g, &plug));
    for (int i = 0; i < 4; i++)
        threads[i] = start(wait_outside, &here);
    gate_wait(&here.begun);
    eq_int(atomic_load(&here.ran), 0);
    plug_out(&plug);
    for (int i = 0; i < 4; i++)
        finish(threads[i]);
    ok(exec_group_close(here.g));
    executor_destroy(here.ex);
}

struct waiting {
    exec_group_t *g;
    atomic_int tid;
    struct gate over;
};

static void *wait_for_all(void *arg) {
    struct waiting *w = arg;
    atomic_store(&w->tid, gettid());
    ok(exec_group_wait(w->g, EXEC_NEVER));
    gate_open(&w->over);
    return NULL;
}

TEST(group, wait_waits_also_for_what_is_submitted_meanwhile) {
    struct plug early = PLUG, late = PLUG;
    executor_t *ex = pool(2);
    struct waiting w = {.g = group(ex), .over = GATE(1)};
    future_t *first = plug_member(w.g, &early);
    pthread_t thread = start(wait_for_all, &w);
    wait_until_asleep(&w.tid);
    future_unref(plug_member(w.g, &late));
    plug_out(&early);
    await_elsewhere(first);
    wait_until_asleep(&w.tid);
    check(!gate_is_open(&w.over));
    plug_out(&late);
    finish(thread);
    future_unref(first);
    ok(exec_group_close(w.g));
    executor_destroy(ex);
}

/* ---- closing ---- */

TEST(group, close_waits_for_every_member) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct plug plug = PLUG;
        atomic_int counter = 0;
        executor_t *ex = pool(workers);
        exec_group_t *g = group(ex);
        future_t *last = member(g, plug_task, &plug);
        for (int i = 0; i < 30; i++)
            join(g, count_up, &counter);
        plug_out(&plug);
        ok(exec_group_close(g));
        eq_int(atomic_load(&counter), 30);
        eq_state(last, FUTURE_DONE);
        future_unref(last);
        executor_destroy(ex);
    }
}

static void *close_it(void *arg) {
    struct waiting *w = arg;
    atomic_store(&w->tid, gettid());
    ok(exec_group_close(w->g));
    gate_open(&w->over);
    return NULL;
}

TEST(group, close_does_not_return_while_a_member_runs) {
    struct plug plug = PLUG;
    executor_t *ex = pool(2);
    struct waiting w = {.g = group(ex), .over = GATE(1)};
    future_unref(plug_member(w.g, &plug));
    join(w.g, identity, NULL);
    pthread_t thread = start(close_it, &w);
    wait_until_asleep(&w.tid);
    check(!gate_is_open(&w.over));
    plug_out(&plug);
    finish(thread);
    check(gate_is_open(&w.over));
    executor_destroy(ex);
}

TEST(group, close_waits_also_for_what_members_submit_while_it_waits) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (size_t limit = 0; limit <= 2; limit++) {
            executor_t *ex = pool(workers);
            struct tree t = {.left = 500};
            t.g = group_of(ex, (exec_group_opts){.max_running = limit});
            join(t.g, grow, &t);
            ok(exec_group_close(t.g));
            eq_int(atomic_load(&t.left), -501); /* 500 inner nodes and 501 leaves */
            executor_destroy(ex);
        }
}

TEST(group, closing_gives_up_what_was_not_handed_out) {
    atomic_int frees = 0;
    exec_task_opts opts = {.free_result = count_drop};
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    for (int i = 0; i < 10; i++)
        ok(exec_group_submit(g, identity, &frees, &opts, NULL));
    ok(exec_group_wait(g, EXEC_NEVER));
    eq_int(atomic_load(&frees), 0);
    eq_ptr(take_next(g), &frees);
    future_unref(next_of(g)); /* handed out, but nobody took its result */
    eq_int(atomic_load(&frees), 1);
    future_t *kept = next_of(g);
    ok(exec_group_close(g));
    eq_int(atomic_load(&frees), 8);
    future_unref(kept);
    eq_int(atomic_load(&frees), 9);
    executor_destroy(ex);
}

/* ---- pthread_cancel() ---- */

static void *cancelled_in_wait(void *arg) {
    struct waiting *w = arg;
    atomic_store(&w->tid, gettid());
    exec_group_wait(w->g, EXEC_NEVER);
    FAIL("a wait that must not end has ended");
}

static void *cancelled_in_next(void *arg) {
    struct waiting *w = arg;
    future_t *f;
    atomic_store(&w->tid, gettid());
    exec_group_next(w->g, EXEC_NEVER, &f);
    FAIL("a wait that must not end has ended");
}

TEST(group, wait_and_next_are_cancellation_points_that_leave_the_group_as_it_was) {
    struct plug plug = PLUG;
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    future_unref(plug_member(g, &plug));
    for (int i = 0; i < 2; i++) {
        struct waiting w = {.g = g};
        pthread_t thread = start(i ? cancelled_in_wait : cancelled_in_next, &w);
        wait_until_asleep(&w.tid);
        ok(pthread_cancel(thread));
        eq_ptr(finish(thread), PTHREAD_CANCELED);
    }
    plug_out(&plug);
    eq_ptr(take_next(g), &plug);
    close_empty(g, 0);
    executor_destroy(ex);
}

static void *close_while_cancelled(void *arg) {
    struct waiting *w = arg;
    ok(pthread_cancel(pthread_self()));
    ok(exec_group_close(w->g));
    gate_open(&w->over);
    pthread_testcancel();
    FAIL("a cancelled thread went on");
}

TEST(group, close_is_no_cancellation_point) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    struct waiting w = {.g = group(ex), .over = GATE(1)};
    future_t *f = plug_member(w.g, &plug), *last = member(w.g, identity, &plug);
    pthread_t thread = start(close_while_cancelled, &w);
    plug_out(&plug);
    eq_ptr(finish(thread), PTHREAD_CANCELED);
    check(gate_is_open(&w.over));
    eq_ptr(take(f), &plug);
    eq_ptr(take(last), &plug);
    executor_destroy(ex);
}

/* ---- members that leave, and errno ---- */

static void *leave(void *arg) {
    (void)arg;
    pthread_exit(NULL);
}

static void *own_leavers(void *arg) {
    struct visit *here = arg;
    exec_group_t *g = group(here->ex);
    for (int i = 0; i < 5; i++) {
        join(g, leave, NULL);
        join(g, count_up, &here->ran);
    }
    eq_err(exec_group_wait(g, EXEC_NEVER), EOWNERDEAD);
    eq_err(exec_group_close(g), EOWNERDEAD);
    return NULL;
}

TEST(group, members_that_leave_their_thread_have_failed_and_the_others_run) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct visit here = {.ex = pool(workers)};
        as_task(&here, own_leavers, 0);
        own_leavers(&here);
        eq_int(atomic_load(&here.ran), 10);
        executor_destroy(here.ex);
    }
}

static void drop_with_errno(void *arg) {
    errno = ENOTTY;
    count_drop(arg);
}

static void *use_all_functions(void *arg) {
    struct visit *here = arg;
    exec_task_opts opts = {.drop = drop_with_errno, .free_result = drop_with_errno};
    future_t *never = promise(), *f;
    exec_group_t *g;
    int fd;
    errno = 4242;
    ok(exec_group_open(here->ex, &(exec_group_opts){.max_running = 1}, &g));
    for (int i = 0; i < 3; i++)
        ok(exec_group_submit(g, identity, &here->drops, &opts, NULL));
    ok(exec_group_fd(g, &fd));
    ok(exec_group_wait(g, EXEC_NEVER));
    ok(exec_group_next(g, EXEC_NOW, &f));
    future_unref(f);
    opts.after = &never, opts.nafter = 1;
    ok(exec_group_submit(g, must_not_run, &here->drops, &opts, NULL));
    ok(exec_group_next(g, EXEC_NEVER, &f));
    future_unref(f);
    ok(exec_group_next(g, EXEC_NEVER, &f));
    future_unref(f);
    eq_err(exec_group_next(g, exec_after(1), &f), ETIMEDOUT);
    eq_err(exec_group_wait(g, exec_after(1)), ETIMEDOUT);
    exec_group_cancel(g);
    eq_err(exec_group_submit(g, must_not_run, &here->drops, &opts, NULL), ECANCELED);
    eq_err(exec_group_close(g), ECANCELED);
    eq_int(errno, 4242);
    future_unref(never);
    return NULL;
}

TEST(group, groups_leave_errno_alone_whatever_is_called_for_them) {
    struct visit here = {.ex = pool(1)};
    use_all_functions(&here);
    as_task(&here, use_all_functions, 0);
    executor_destroy(here.ex);
    eq_int(atomic_load(&here.drops), 10);
}
