/* test_limiter.c - limiters by themselves, and the threads that ask them: the limit, permits, order, waiting. */
#include "limiters.h"

#include "child.h"

/* ---- making ---- */

TEST(limiter, options_that_contradict_each_other_make_nothing) {
    static const exec_limiter_opts bad[] = {
        {.per = 1},
        {.burst = 1},
        {.rate = 1, .per = -1},
        {.rate = 1, .per = EXEC_SEC(367 * 86400)},
        {.rate = 1000000001},
        {.rate = 1, .burst = SIZE_MAX},
        {.max_running = 1, .adapt = EXEC_LIMIT_AIMD},
        {.max_running = 1, .adapt = EXEC_LIMIT_GRADIENT},
        {.min = 1},
        {.max = 1},
        {.initial = 1},
        {.slow = 1},
        {.slow = 1, .adapt = EXEC_LIMIT_GRADIENT},
        {.slow = -1, .adapt = EXEC_LIMIT_AIMD},
        {.adapt = EXEC_LIMIT_AIMD, .max = ((size_t)1 << 20) + 1},
        {.adapt = EXEC_LIMIT_AIMD, .min = 3, .max = 2},
        {.adapt = EXEC_LIMIT_GRADIENT, .min = 3, .initial = 2},
        {.adapt = EXEC_LIMIT_GRADIENT, .initial = 3, .max = 2},
        {.adapt = (enum exec_limiter_kind)3},
    };
    errno = 4242;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        exec_limiter_t *l = (exec_limiter_t *)&errno;
        if (exec_limiter_create(&bad[i], &l) != EINVAL)
            FAIL("options %zu are not refused", i);
        eq_ptr(l, &errno);
        eq_err(exec_limiter_create(&bad[i], NULL), EINVAL);
    }
    eq_err(exec_limiter_create(NULL, NULL), EINVAL);
    eq_int(errno, 4242);
}

TEST(limiter, without_options_nothing_is_held_back) {
    exec_permit permits[100];
    exec_limiter_t *l = NULL;
    ok(exec_limiter_create(NULL, &l));
    for (int i = 0; i < 100; i++) {
        eq_int(exec_limiter_in_flight(l), i);
        permits[i] = permit_of(l);
        eq_int(permits[i].in_flight, i + 1);
    }
    eq_int(exec_limiter_limit(l) == SIZE_MAX, 1);
    for (int i = 0; i < 100; i++)
        give_back(l, &permits[i]);
    end_limiter(l);
}

TEST(limiter, null_is_no_limiter_and_no_permit) {
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    eq_err(exec_limiter_acquire(NULL, EXEC_NOW, &permit), EINVAL);
    eq_err(exec_limiter_acquire(l, EXEC_NEVER, NULL), EINVAL);
    exec_limiter_release(NULL, &permit, 0);
    exec_limiter_release(l, NULL, 0);
    eq_int(exec_limiter_in_flight(l), 1);
    eq_int(exec_limiter_limit(NULL), 0);
    eq_int(exec_limiter_in_flight(NULL), 0);
    exec_limiter_destroy(NULL);
    give_back(l, &permit);
    end_limiter(l);
}

TEST(limiter, the_limit_is_readable) {
    static const struct {
        exec_limiter_opts opts;
        size_t limit;
    } cases[] = {
        {{.max_running = 3}, 3},
        {{.rate = 3}, SIZE_MAX},
        {{.adapt = EXEC_LIMIT_AIMD}, 10},
        {{.adapt = EXEC_LIMIT_GRADIENT, .initial = 7}, 7},
        {{.adapt = EXEC_LIMIT_AIMD, .min = 12}, 12},
        {{.adapt = EXEC_LIMIT_GRADIENT, .max = 4}, 4},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        exec_limiter_t *l = limiter_of(cases[i].opts);
        eq_int(exec_limiter_limit(l) == cases[i].limit, 1);
        end_limiter(l);
    }
}

/* ---- how many at once ---- */

TEST(limiter, no_more_permits_are_out_than_the_limit) {
    exec_limiter_t *l = at_once(3);
    exec_permit permits[3];
    for (int i = 0; i < 3; i++)
        permits[i] = permit_of(l);
    is_full(l);
    eq_int(exec_limiter_in_flight(l), 3);
    give_back(l, &permits[1]);
    permits[1] = permit_of(l);
    eq_int(permits[1].in_flight, 3);
    is_full(l);
    for (int i = 0; i < 3; i++)
        give_back(l, &permits[i]);
    end_limiter(l);
}

static void *use_permits(void *arg) {
    struct client *c = arg;
    struct meter *m = (struct meter *)c->record;
    for (int i = 0; i < c->number; i++) {
        exec_permit permit;
        ok(exec_limiter_acquire(c->l, EXEC_NEVER, &permit));
        between(permit.in_flight, 1, 3);
        meter_enter(m);
        sched_yield();
        meter_leave(m);
        exec_limiter_release(c->l, &permit, i % 2 ? EBUSY : 0);
    }
    return NULL;
}

TEST(limiter, threads_that_share_it_are_no_more_at_once_than_the_limit) {
    struct meter inside = {0};
    exec_limiter_t *l = at_once(3);
    struct client clients[5];
    for (int i = 0; i < 5; i++) {
        clients[i] = (struct client){.l = l, .record = (struct record *)&inside, .number = 40};
        clients[i].thread = start(use_permits, &clients[i]);
    }
    for (int i = 0; i < 5; i++)
        finish(clients[i].thread);
    between(atomic_load(&inside.most), 1, 3);
    end_limiter(l);
}

static void *release_it(void *arg) {
    struct client *c = arg;
    exec_limiter_release(c->l, (exec_permit *)(void *)c->record, EIO);
    return NULL;
}

TEST(limiter, a_permit_is_given_back_on_any_thread) {
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    struct client c = {.l = l, .record = (struct record *)(void *)&permit};
    finish(start(release_it, &c));
    permit = permit_of(l);
    give_back(l, &permit);
    end_limiter(l);
}

/* ---- waiting ---- */

TEST(limiter, threads_are_let_through_in_the_order_in_which_they_asked) {
    struct record record = RECORD;
    struct client clients[6];
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    for (int i = 0; i < 6; i++) {
        clients[i] = (struct client){.release = GATE(1), .record = &record, .number = i};
        client_waits(&clients[i], l);
    }
    eq_int(record.n, 0);
    give_back(l, &permit);
    for (int i = 0; i < 6; i++) {
        gate_open(&clients[i].release);
        eq_ptr(finish(clients[i].thread), &clients[i]);
    }
    in_order(&record, 6);
    end_limiter(l);
}

TEST(limiter, nobody_is_overtaken_by_one_that_only_looks) {
    struct client c = {.release = GATE(1)};
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    client_waits(&c, l);
    is_full(l);
    give_back(l, &permit);
    is_full(l); /* it is the other one's now */
    gate_open(&c.release);
    finish(c.thread);
    ok(c.error);
    end_limiter(l);
}

TEST(limiter, a_wait_ends_at_its_deadline) {
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    for (int i = 0; i < 3; i++) {
        exec_time deadline = exec_after(EXEC_MS(10));
        eq_err(exec_limiter_acquire(l, deadline, &(exec_permit){0}), ETIMEDOUT);
        at_least(exec_now(), deadline);
    }
    eq_int(exec_limiter_in_flight(l), 1);
    give_back(l, &permit);
    permit = permit_of(l); /* nobody is left before it */
    give_back(l, &permit);
    end_limiter(l);
}

TEST(limiter, one_that_gives_up_leaves_its_place_to_those_behind) {
    struct client first = {.deadline = exec_after(EXEC_SEC(3))}, second = {.release = GATE(1)};
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    client_waits(&first, l);
    client_waits(&second, l);
    eq_ptr(finish(first.thread), NULL);
    eq_err(first.error, ETIMEDOUT);
    give_back(l, &permit);
    gate_open(&second.release);
    eq_ptr(finish(second.thread), &second);
    end_limiter(l);
}

/* ---- in a task ---- */

struct asker {
    struct gate begun;
    exec_limiter_t *l;
    int error;
};

static void *ask_in_task(void *arg) {
    struct asker *a = arg;
    exec_permit permit;
    gate_open(&a->begun);
    a->error = exec_limiter_acquire(a->l, EXEC_NEVER, &permit);
    if (a->error)
        return exec_fail(a->error);
    give_back(a->l, &permit);
    return a;
}

TEST(limiter, a_task_that_is_asked_to_stop_waits_no_longer) {
    executor_t *ex = pool(1);
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    struct asker a = {.begun = GATE(1), .l = l};
    future_t *f = submit(ex, ask_in_task, &a);
    gate_wait(&a.begun);
    eq_err(future_cancel(f), EINPROGRESS);
    eq_err(outcome(f), ECANCELED);
    eq_err(a.error, ECANCELED);

    a.begun = (struct gate)GATE(1);
    f = submit_opts(ex, ask_in_task, &a, &(exec_task_opts){.timeout = EXEC_MS(20)});
    eq_err(outcome(f), ETIMEDOUT);
    eq_err(a.error, ECANCELED);
    eq_int(exec_limiter_in_flight(l), 1);

    a.begun = (struct gate)GATE(1);
    f = submit(ex, ask_in_task, &a);
    gate_wait(&a.begun);
    give_back(l, &permit);
    eq_ptr(take(f), &a);
    executor_destroy(ex);
    end_limiter(l);
}

static void *cancelled_before(void *arg) {
    struct asker *a = arg;
    gate_open(&a->begun);
    wait_until(exec_cancelled());
    a->error = exec_limiter_acquire(a->l, EXEC_NEVER, &(exec_permit){0});
    return a;
}

TEST(limiter, a_task_that_was_asked_to_stop_before_does_not_begin_to_wait) {
    executor_t *ex = pool(1);
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    struct asker a = {.begun = GATE(1), .l = l};
    future_t *f = submit(ex, cancelled_before, &a);
    gate_wait(&a.begun);
    eq_err(future_cancel(f), EINPROGRESS);
    eq_ptr(take(f), &a);
    eq_err(a.error, ECANCELED);
    give_back(l, &permit);
    executor_destroy(ex);
    end_limiter(l);
}

/* ---- rates ---- */

TEST(limiter, no_more_are_let_through_than_the_rate_and_the_burst) {
    exec__clock_move(0, 0);
    exec_limiter_t *l = limiter_of((exec_limiter_opts){.rate = 4, .per = HOUR, .burst = 3});
    for (int i = 0; i < 3; i++)
        give_back(l, (exec_permit[]){permit_of(l)});
    is_full(l);
    for (int i = 0; i < 8; i++) {
        exec__clock_move(HOUR / 4 - 1, 0);
        is_full(l);
        exec__clock_move(1, 0);
        give_back(l, (exec_permit[]){permit_of(l)});
        is_full(l);
    }
    exec__clock_move(100 * HOUR, 0); /* a pause: the burst again, and no more */
    for (int i = 0; i < 3; i++)
        give_back(l, (exec_permit[]){permit_of(l)});
    is_full(l);
    exec__clock_release();
    end_limiter(l);
}

TEST(limiter, a_rate_is_kept_to_by_threads_that_wait_for_it) {
    struct client clients[4];
    exec_limiter_t *l = limiter_of((exec_limiter_opts){.rate = 1, .per = EXEC_MS(20)});
    exec_time began = exec_now();
    for (int i = 0; i < 4; i++) {
        clients[i] = (struct client){.l = l, .deadline = EXEC_NEVER};
        clients[i].thread = start(ask, &clients[i]);
    }
    for (int i = 0; i < 4; i++)
        eq_ptr(finish(clients[i].thread), &clients[i]);
    at_least(exec_now() - began, EXEC_MS(60) - 1);
    end_limiter(l);
}

TEST(limiter, a_token_is_not_taken_for_one_that_there_is_no_room_for) {
    exec__clock_move(0, 0);
    exec_limiter_t *l = limiter_of((exec_limiter_opts){.max_running = 1, .rate = 1, .per = HOUR, .burst = 2});
    exec_permit permit = permit_of(l);
    is_full(l);
    is_full(l);
    give_back(l, &permit);
    permit = permit_of(l);
    give_back(l, &permit);
    is_full(l);
    exec__clock_release();
    end_limiter(l);
}

TEST(limiter, when_the_first_for_a_token_gives_up_the_next_one_waits_for_it) {
    struct client first = {.deadline = exec_after(EXEC_MS(30))}, second = {0};
    exec_limiter_t *l = limiter_of((exec_limiter_opts){.rate = 1, .per = EXEC_MS(200)});
    exec_permit permit = permit_of(l);
    exec_time began = permit.started;
    give_back(l, &permit);
    first.l = second.l = l;
    second.deadline = EXEC_NEVER;
    first.thread = start(ask, &first);
    second.thread = start(ask, &second);
    finish(first.thread);
    finish(second.thread);
    ok(second.error);
    if (first.error)
        eq_err(first.error, ETIMEDOUT);
    at_least(exec_now() - began, EXEC_MS(200));
    end_limiter(l);
}

/* ---- giving up the limiter ---- */

TEST(limiter, permits_keep_a_limiter_that_was_destroyed) {
    exec_limiter_t *l = at_once(5);
    exec_permit permits[5];
    for (int i = 0; i < 5; i++)
        permits[i] = permit_of(l);
    exec_limiter_destroy(l);
    for (int i = 0; i < 5; i++)
        exec_limiter_release(l, &permits[i], EBUSY);
}

/* ---- pthread_cancel() ---- */

TEST(limiter, a_thread_that_is_cancelled_while_it_waits_leaves_nothing_behind) {
    struct client victim = {.release = GATE(1)}, other = {.release = GATE(1)};
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    client_waits(&victim, l);
    client_waits(&other, l);
    ok(pthread_cancel(victim.thread));
    eq_ptr(finish(victim.thread), PTHREAD_CANCELED);
    give_back(l, &permit);
    gate_open(&other.release);
    eq_ptr(finish(other.thread), &other);
    end_limiter(l);
}

TEST(limiter, a_thread_that_is_cancelled_while_it_waits_for_a_token_does_so_too) {
    struct client victim = {.release = GATE(1)}, other = {.release = GATE(1)};
    exec_limiter_t *l = one_an_hour(1);
    exec_permit permit = permit_of(l);
    give_back(l, &permit);
    client_waits(&victim, l);
    client_waits(&other, l);
    ok(pthread_cancel(victim.thread)); /* now the other one is to wake up when the token is due */
    eq_ptr(finish(victim.thread), PTHREAD_CANCELED);
    ok(pthread_cancel(other.thread));
    eq_ptr(finish(other.thread), PTHREAD_CANCELED);
    end_limiter(l);
}

/* ---- fork() ---- */

static void inherit(void *limiter) {
    exec_limiter_t *l = limiter;
    exec_permit permit = {.started = 7, .in_flight = 1};
    eq_err(exec_limiter_acquire(l, EXEC_NOW, &permit), EOWNERDEAD);
    eq_err(exec_limiter_acquire(l, EXEC_NEVER, &permit), EOWNERDEAD);
    eq_int(permit.started, 7);
    exec_limiter_release(l, &permit, 0);
    exec_limiter_destroy(l);
    l = at_once(1);
    permit = permit_of(l);
    is_full(l);
    give_back(l, &permit);
    end_limiter(l);
}

TEST(limiter, in_a_forked_child_it_is_dead_and_lives_on_in_the_parent) {
    exec_limiter_t *l = at_once(2);
    exec_permit permit = permit_of(l);
    struct client c = {.release = GATE(1)};
    client_waits(&c, l);
    in_child(inherit, l);
    eq_int(exec_limiter_in_flight(l), 2);
    gate_open(&c.release);
    eq_ptr(finish(c.thread), &c);
    give_back(l, &permit);
    end_limiter(l);
}
