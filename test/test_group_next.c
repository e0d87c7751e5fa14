/* test_group_next.c - taking finished members from a group: their order, several consumers, deadlines, inside of tasks;
 * and the descriptor that says when there is one. */
#include "groups.h"

#include <fcntl.h>

/* ---- in the order in which they finish ---- */

TEST(group_next, members_come_in_the_order_in_which_they_finish) {
    static const int order[] = {2, 0, 3, 1};
    struct plug plugs[4] = {PLUG, PLUG, PLUG, PLUG};
    executor_t *ex = pool(4);
    exec_group_t *g = group(ex);
    future_t *fs[4];
    for (int i = 0; i < 4; i++)
        fs[i] = plug_member(g, &plugs[i]);
    eq_err(try_next(g), ETIMEDOUT);
    for (int i = 0; i < 4; i++) {
        plug_out(&plugs[order[i]]);
        await_elsewhere(fs[order[i]]);
    }
    for (int i = 0; i < 4; i++)
        next_is(g, fs[order[i]]);
    for (int i = 0; i < 4; i++)
        eq_ptr(take(fs[i]), &plugs[i]);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group_next, every_outcome_is_handed_out_in_its_turn) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    future_t *first = plug_member(g, &plug), *cancelled = doomed_member(g, &drops);
    join(g, fail_with, as_error(EIO));
    ok(future_cancel(cancelled));
    next_is(g, cancelled);
    plug_out(&plug);
    next_is(g, first);
    eq_err(outcome_of_next(g), EIO);
    future_unref(first), future_unref(cancelled);
    close_empty(g, EIO);
    executor_destroy(ex);
}

TEST(group_next, each_member_is_handed_out_once_whether_or_not_anyone_has_its_future) {
    enum { N = 300 };
    static char seen[N];
    executor_t *ex = pool(3);
    exec_group_t *g = group(ex);
    for (int i = 0; i < N; i++) {
        future_t *f = NULL;
        ok(exec_group_submit(g, identity, &seen[i], NULL, i % 2 ? &f : NULL));
        future_unref(f);
    }
    for (int i = 0; i < N; i++) {
        char *mine = take_next(g);
        eq_int((*mine)++, 0);
    }
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group_next, what_is_handed_out_says_which_member_it_was) {
    int value;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    ok(exec_group_submit(g, fail_with, as_error(EIO), &(exec_task_opts){.name = "bad"}, NULL));
    ok(exec_group_submit(g, identity, &value, &(exec_task_opts){.name = "good"}, NULL));
    future_t *bad = next_of(g), *good = next_of(g);
    eq_str(future_name(bad), "bad");
    eq_str(future_name(good), "good");
    eq_ptr(future_arg(good), &value);
    eq_state(bad, FUTURE_FAILED);
    close_empty(g, EIO);
    eq_err(outcome(bad), EIO);
    eq_ptr(take(good), &value);
    executor_destroy(ex);
}

TEST(group_next, after_a_wait_all_are_there) {
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    for (int i = 0; i < 50; i++)
        join(g, identity, ex);
    ok(exec_group_wait(g, EXEC_NEVER));
    for (int i = 0; i < 50; i++)
        ok(try_next(g));
    eq_err(try_next(g), ENODATA);
    ok(exec_group_wait(g, EXEC_NOW));
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group_next, with_first_the_winner_comes_before_those_that_had_failed) {
    int found;
    executor_t *ex = pool(1);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FIRST});
    join(g, fail_with, as_error(EIO));
    join(g, fail_with, as_error(ENOENT));
    join(g, identity, &found);
    ok(exec_group_wait(g, EXEC_NEVER));
    eq_ptr(take_next(g), &found);
    eq_err(outcome_of_next(g), EIO);
    eq_err(outcome_of_next(g), ENOENT);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group_next, with_first_failures_are_handed_out_when_none_succeeds) {
    executor_t *ex = pool(1);
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FIRST});
    join(g, fail_with, as_error(EIO));
    join(g, fail_with, as_error(ENOENT));
    eq_err(outcome_of_next(g), EIO);
    eq_err(outcome_of_next(g), ENOENT);
    close_empty(g, EIO);
    executor_destroy(ex);
}

/* ---- when there is none ---- */

TEST(group_next, enodata_when_none_is_left_until_more_is_submitted) {
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    future_t *f = (future_t *)ex;
    for (int i = 0; i < 3; i++) {
        eq_err(exec_group_next(g, EXEC_NEVER, &f), ENODATA);
        eq_err(exec_group_next(g, EXEC_NOW, &f), ENODATA);
        eq_err(exec_group_next(g, exec_after(LIMIT), &f), ENODATA);
        eq_ptr(f, ex);
        join(g, identity, &f);
        eq_ptr(take_next(g), &f);
    }
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group_next, the_deadline_ends_it_and_not_before) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    future_t *f = (future_t *)ex;
    future_unref(plug_member(g, &plug));
    exec_time deadline = exec_after(EXEC_MS(20));
    eq_err(exec_group_next(g, deadline, &f), ETIMEDOUT);
    at_least(exec_now(), deadline);
    eq_err(exec_group_next(g, EXEC_NOW, &f), ETIMEDOUT);
    eq_err(exec_group_next(g, exec_after(EXEC_MS(-1)), &f), ETIMEDOUT);
    eq_ptr(f, ex);
    plug_out(&plug);
    eq_ptr(take_next(g), &plug);
    close_empty(g, 0);
    executor_destroy(ex);
}

/* ---- several consumers ---- */

struct consumer {
    exec_group_t *g;
    atomic_int tid;
    int taken, error; /* the last one */
};

static void *consume(void *arg) {
    struct consumer *c = arg;
    future_t *f;
    atomic_store(&c->tid, gettid());
    while ((c->error = exec_group_next(c->g, EXEC_NEVER, &f)) == 0) {
        check(future_done(f));
        atomic_int *member = future_arg(f);
        eq_int(atomic_fetch_add(member, 1), 1); /* its function counted first */
        future_unref(f);
        c->taken++;
    }
    return NULL;
}

TEST(group_next, several_consumers_share_the_members_and_all_see_the_end) {
    enum { N = 500, CONSUMERS = 3 };
    static atomic_int members[N];
    struct plug plug = PLUG;
    struct consumer consumers[CONSUMERS];
    pthread_t threads[CONSUMERS];
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    future_t *plugging = plug_in(ex, &plug);
    for (int i = 0; i < N; i++)
        join(g, count_up, &members[i]);
    for (int i = 0; i < CONSUMERS; i++) {
        consumers[i] = (struct consumer){.g = g};
        threads[i] = start(consume, &consumers[i]);
    }
    plug_out(&plug);
    int taken = 0;
    for (int i = 0; i < CONSUMERS; i++) {
        finish(threads[i]);
        eq_err(consumers[i].error, ENODATA);
        taken += consumers[i].taken;
    }
    eq_int(taken, N);
    future_unref(plugging);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group_next, consumers_that_wait_for_the_last_one_all_wake_when_one_has_it) {
    struct plug plug = PLUG;
    struct consumer consumers[3];
    pthread_t threads[3];
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    atomic_int last = 1;
    future_t *plugging = plug_in(ex, &plug), *f = member(g, must_not_run, &last);
    for (int i = 0; i < 3; i++) {
        consumers[i] = (struct consumer){.g = g};
        threads[i] = start(consume, &consumers[i]);
    }
    for (int i = 0; i < 3; i++)
        wait_until_asleep(&consumers[i].tid);
    ok(future_cancel(f));
    int taken = 0;
    for (int i = 0; i < 3; i++) {
        finish(threads[i]);
        eq_err(consumers[i].error, ENODATA);
        taken += consumers[i].taken;
    }
    eq_int(taken, 1);
    plug_out(&plug);
    future_unref(f), future_unref(plugging);
    eq_err(exec_group_close(g), ECANCELED);
    executor_destroy(ex);
}

static void *await_next(void *arg) {
    struct consumer *c = arg;
    future_t *f = NULL;
    atomic_store(&c->tid, gettid());
    c->error = exec_group_next(c->g, EXEC_NEVER, &f);
    future_unref(f);
    return NULL;
}

static void *run_until_somebody_waits(void *arg) {
    struct consumer *c = arg;
    wait_until(atomic_load(&c->tid) != 0);
    return NULL;
}

/* The one goes to sleep just as the other takes the last member: a window of a few instructions, which is wide when the
 * library is perturbed. */
TEST(group_next, nobody_sleeps_on_while_another_one_takes_the_last) {
    executor_t *ex = pool(1);
    for (int round = 0; round < 2000; round++) {
        exec_group_t *g = group(ex);
        struct consumer sleeper = {.g = g};
        join(g, run_until_somebody_waits, &sleeper);
        pthread_t thread = start(await_next, &sleeper);
        future_t *f = NULL;
        int error;
        while ((error = exec_group_next(g, EXEC_NOW, &f)) == ETIMEDOUT)
            sched_yield();
        finish(thread);
        eq_err(sleeper.error, error == 0 ? ENODATA : 0);
        future_unref(f);
        close_empty(g, 0);
    }
    executor_destroy(ex);
}

static void *count_taken(void *arg) {
    struct tree *t = arg;
    intptr_t taken = 0;
    future_t *f;
    int error;
    for (; (error = exec_group_next(t->g, EXEC_NEVER, &f)) == 0; taken++)
        future_unref(f);
    eq_err(error, ENODATA);
    return as_error((int)taken);
}

TEST(group_next, consumers_go_on_while_members_submit_more) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        struct tree t = {.g = group(ex), .left = 300};
        pthread_t threads[2];
        intptr_t taken = 0;
        join(t.g, grow, &t);
        for (int i = 0; i < 2; i++)
            threads[i] = start(count_taken, &t);
        for (int i = 0; i < 2; i++)
            taken += (intptr_t)finish(threads[i]);
        eq_int(taken, 601);
        close_empty(t.g, 0);
        executor_destroy(ex);
    }
}

/* ---- inside of tasks ---- */

enum { CHILDREN = 20 };

static void *take_all(void *arg) {
    struct visit *here = arg;
    exec_group_t *g = group(here->ex);
    for (int i = 0; i < CHILDREN; i++)
        join(g, count_up, &here->ran);
    for (int i = 0; i < CHILDREN; i++) {
        future_t *f = NULL;
        ok(exec_group_next(g, i % 2 ? EXEC_NEVER : exec_after(LIMIT), &f));
        check(future_done(f));
        future_unref(f);
    }
    close_empty(g, 0);
    return NULL;
}

TEST(group_next, a_task_runs_the_members_it_waits_for) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct visit here = {.ex = pool(workers)};
        for (int i = 0; i < 10; i++)
            as_task(&here, take_all, 0);
        eq_int(atomic_load(&here.ran), 10 * CHILDREN);
        executor_destroy(here.ex);
    }
}

static void *only_look(void *arg) {
    struct visit *here = arg;
    exec_group_t *g = group(here->ex);
    future_t *f = member(g, count_up, &here->ran);
    for (int i = 0; i < 3; i++) {
        eq_err(try_next(g), ETIMEDOUT);
        eq_err(exec_group_wait(g, EXEC_NOW), ETIMEDOUT);
    }
    eq_state(f, FUTURE_PENDING);
    ok(exec_group_wait(g, EXEC_NEVER));
    next_is(g, f);
    future_unref(f);
    close_empty(g, 0);
    return NULL;
}

TEST(group_next, a_task_that_only_looks_runs_nothing) {
    struct visit here = {.ex = pool(1)};
    as_task(&here, only_look, 0);
    executor_destroy(here.ex);
}

static void *take_others(void *arg) {
    struct visit *here = arg;
    future_t *f = NULL;
    ok(exec_group_next(here->g, EXEC_NEVER, &f));
    eq_ptr(future_arg(f), &here->ran);
    future_unref(f);
    eq_err(exec_group_next(here->g, EXEC_NEVER, &f), EDEADLK);
    return NULL;
}

TEST(group_next, a_member_can_take_the_others_but_not_wait_for_itself) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct plug plug = PLUG;
        struct visit here = {.ex = pool(workers)};
        here.g = group(here.ex);
        future_t *plugging = plug_in(here.ex, &plug);
        join(here.g, take_others, &here);
        join(here.g, count_up, &here.ran);
        plug_out(&plug);
        ok(exec_group_wait(here.g, EXEC_NEVER));
        ok(outcome_of_next(here.g));
        future_unref(plugging);
        close_empty(here.g, 0);
        executor_destroy(here.ex);
    }
}

/* ---- the descriptor ---- */

static int descriptor_of(exec_group_t *g) {
    int fd = -1, same = -1;
    ok(exec_group_fd(g, &fd));
    at_least(fd, 0);
    ok(exec_group_fd(g, &same));
    eq_int(same, fd);
    return fd;
}

static bool readable(int fd, exec_time timeout) {
    struct pollfd poll = {.fd = fd, .events = POLLIN};
    int error = exec_poll(&poll, 1, exec_after(timeout), NULL);
    check(error == 0 || error == ETIMEDOUT);
    return error == 0;
}

static void take_until_error(exec_group_t *g, int fd, int n, int error) {
    for (int i = 0; i < n; i++) {
        check(readable(fd, LIMIT));
        ok(try_next(g));
    }
    eq_err(try_next(g), error);
    check(!readable(fd, 0));
}

TEST(group_next, the_descriptor_is_readable_while_there_is_something_to_take) {
    struct plug plug = PLUG;
    executor_t *ex = pool(2);
    exec_group_t *g = group(ex);
    int fd = descriptor_of(g);
    check(!readable(fd, 0));
    future_unref(plug_member(g, &plug));
    check(!readable(fd, EXEC_MS(5)));
    for (int i = 0; i < 5; i++) {
        future_t *f = member(g, identity, NULL);
        await_end(f, 0);
    }
    take_until_error(g, fd, 5, ETIMEDOUT);
    plug_out(&plug);
    take_until_error(g, fd, 1, ENODATA);
    for (int i = 0; i < 3; i++) {
        join(g, identity, NULL);
        take_until_error(g, fd, 1, ENODATA);
    }
    close_empty(g, 0);
    eq_int(fcntl(fd, F_GETFD), -1);
    executor_destroy(ex);
}

TEST(group_next, a_descriptor_made_late_tells_of_what_had_finished_and_of_cancelled_members) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    join(g, identity, NULL);
    ok(exec_group_wait(g, EXEC_NEVER));
    int fd = descriptor_of(g);
    take_until_error(g, fd, 1, ENODATA);
    future_unref(plug_member(g, &plug));
    for (int i = 0; i < 3; i++)
        future_unref(doomed_member(g, &drops));
    check(!readable(fd, 0));
    exec_group_cancel(g);
    take_until_error(g, fd, 3, ETIMEDOUT);
    plug_out(&plug);
    take_until_error(g, fd, 1, ENODATA);
    close_empty(g, ECANCELED);
    executor_destroy(ex);
}

TEST(group_next, closing_with_something_to_take_closes_the_descriptor) {
    executor_t *ex = pool(1);
    for (int i = 0; i < 50; i++) {
        exec_group_t *g = group(ex);
        join(g, identity, NULL);
        int fd = descriptor_of(g);
        check(i % 2 || readable(fd, LIMIT));
        ok(exec_group_close(g));
        eq_int(fcntl(fd, F_GETFD), -1);
    }
    executor_destroy(ex);
}
