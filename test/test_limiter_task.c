/* test_limiter_task.c - tasks with a .limiter: how many run, in which order, and what those that are held back leave to
 * others; beside the other options of a task. */
#include "limiters.h"

/* ---- how many at once ---- */

struct crowd {
    exec_limiter_t *l;
    struct meter inside;
    atomic_int ran;
    int most;
};

static void *be_inside(void *arg) {
    struct crowd *c = arg;
    meter_enter(&c->inside);
    between(exec_limiter_in_flight(c->l), 1, c->most);
    sched_yield();
    meter_leave(&c->inside);
    atomic_fetch_add(&c->ran, 1);
    return arg;
}

static void submit_each(executor_t *ex, struct crowd *c, int n) {
    for (int i = 0; i < n; i++)
        ok(executor_submit(ex, be_inside, c, &(exec_task_opts){.limiter = c->l}, NULL));
}

TEST(limiter_task, tasks_of_several_executors_and_threads_share_one_limit) {
    enum { EACH = 200 };
    struct crowd c = {.l = at_once(3), .most = 3};
    executor_t *exs[3];
    for (int i = 0; i < 3; i++) {
        exs[i] = pool(3);
        submit_each(exs[i], &c, EACH);
    }
    for (int i = 0; i < EACH; i++) {
        exec_permit permit;
        ok(exec_limiter_acquire(c.l, EXEC_NEVER, &permit));
        be_inside(&c);
        give_back(c.l, &permit);
    }
    for (int i = 0; i < 3; i++)
        executor_destroy(exs[i]);
    eq_int(atomic_load(&c.ran), 4 * EACH);
    between(atomic_load(&c.inside.most), 1, 3);
    end_limiter(c.l);
}

TEST(limiter_task, tasks_that_may_run_at_once_do) {
    struct plug plugs[3] = {PLUG, PLUG, PLUG};
    executor_t *ex = pool(4);
    exec_limiter_t *l = at_once(3);
    future_t *fs[3];
    for (int i = 0; i < 3; i++)
        fs[i] = limited(ex, plug_task, &plugs[i], l);
    for (int i = 0; i < 3; i++)
        gate_wait(&plugs[i].started);
    is_full(l);
    for (int i = 0; i < 3; i++) {
        eq_int(exec_limiter_in_flight(l), 3 - i);
        plug_out(&plugs[i]);
        eq_ptr(take(fs[i]), &plugs[i]);
        wait_until(exec_limiter_in_flight(l) == (size_t)(2 - i));
    }
    executor_destroy(ex);
    end_limiter(l);
}

TEST(limiter_task, a_group_has_a_limit_of_its_own_as_well) {
    struct crowd all = {.l = at_once(3), .most = 3};
    executor_t *ex = pool(4);
    exec_group_t *gs[3];
    for (int i = 0; i < 3; i++)
        gs[i] = group_of(ex, (exec_group_opts){.max_running = 2});
    for (int i = 0; i < 300; i++)
        ok(exec_group_submit(gs[i % 3], be_inside, &all, &(exec_task_opts){.limiter = all.l}, NULL));
    for (int i = 0; i < 3; i++)
        ok(exec_group_close(gs[i]));
    eq_int(atomic_load(&all.ran), 300);
    between(atomic_load(&all.inside.most), 1, 3);
    executor_destroy(ex);
    end_limiter(all.l);
}

TEST(limiter_task, the_limit_of_a_group_holds_although_the_limiter_has_more_room) {
    struct plug plugs[2] = {PLUG, PLUG};
    executor_t *ex = pool(3);
    exec_limiter_t *l = at_once(3);
    exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 1});
    exec_task_opts opts = {.limiter = l};
    future_t *first = member_opts(g, plug_task, &plugs[0], &opts),
             *second = member_opts(g, plug_task, &plugs[1], &opts);
    gate_wait(&plugs[0].started);
    eq_int(exec_limiter_in_flight(l), 1);
    eq_state(second, FUTURE_PENDING);
    plug_out(&plugs[0]);
    gate_wait(&plugs[1].started);
    eq_int(exec_limiter_in_flight(l), 1);
    plug_out(&plugs[1]);
    future_unref(first);
    future_unref(second);
    ok(exec_group_close(g));
    executor_destroy(ex);
    end_limiter(l);
}

/* ---- what those held back do not hold ---- */

TEST(limiter_task, those_held_back_hold_no_worker_and_no_room_in_the_queue) {
    enum { HELD = 500 };
    atomic_int ran = 0;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_REJECT});
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    future_t *fs[HELD];
    for (int i = 0; i < HELD; i++)
        fs[i] = limited(ex, count_up, &ran, l);
    for (int i = 0; i < 10; i++)
        run_through(ex);
    for (int i = 0; i < HELD; i++)
        eq_state(fs[i], FUTURE_PENDING);
    eq_int(exec_limiter_in_flight(l), 1);
    give_back(l, &permit);
    for (int i = 0; i < HELD; i++)
        take(fs[i]);
    eq_int(atomic_load(&ran), HELD);
    executor_destroy(ex);
    end_limiter(l);
}

TEST(limiter_task, whatever_is_done_about_a_full_queue_does_not_concern_them) {
    for (int when_full = EXECUTOR_BLOCK; when_full <= EXECUTOR_DROP_OLDEST; when_full++) {
        struct plug plug = PLUG;
        executor_t *ex =
            pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = (enum executor_when_full)when_full});
        exec_limiter_t *l = at_once(1);
        atomic_int ran = 0;
        future_t *plugging = plug_in(ex, &plug), *queued = submit(ex, identity, ex), *fs[3];
        for (int i = 0; i < 3; i++)
            fs[i] = limited(ex, count_up, &ran, l);
        eq_int(atomic_load(&ran), 0);
        eq_int(exec_limiter_in_flight(l), 1);
        plug_out(&plug);
        take(plugging);
        eq_ptr(take(queued), ex);
        for (int i = 0; i < 3; i++)
            take(fs[i]);
        eq_int(atomic_load(&ran), 3);
        executor_destroy(ex);
        end_limiter(l);
    }
}

/* ---- order ---- */

TEST(limiter_task, tasks_and_threads_are_let_through_in_the_order_in_which_they_asked) {
    enum { EACH = 4 };
    struct record record = RECORD;
    executor_t *exs[2] = {pool(1), pool(3)};
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    struct client clients[EACH];
    struct entry entries[2 * EACH];
    future_t *fs[2 * EACH];
    for (int i = 0; i < EACH; i++) {
        for (int n = 0; n < 2; n++) {
            entries[2 * i + n] = (struct entry){&record, 3 * i + n};
            fs[2 * i + n] = limited(exs[n], write_down, &entries[2 * i + n], l);
        }
        clients[i] = (struct client){.record = &record, .number = 3 * i + 2};
        client_waits(&clients[i], l);
    }
    give_back(l, &permit);
    for (int i = 0; i < EACH; i++)
        finish(clients[i].thread);
    for (int i = 0; i < 2 * EACH; i++)
        take(fs[i]);
    in_order(&record, 3 * EACH);
    for (int n = 0; n < 2; n++)
        executor_destroy(exs[n]);
    end_limiter(l);
}

/* ---- rates ---- */

TEST(limiter_task, tasks_start_as_often_as_the_rate_says) {
    atomic_int ran = 0;
    exec__clock_move(0, 0);
    executor_t *exs[2] = {pool(1), pool(1)};
    exec_limiter_t *l = one_an_hour(2);
    for (int i = 0; i < 6; i++)
        ok(executor_submit(exs[i % 2], count_up, &ran, &(exec_task_opts){.limiter = l}, NULL));
    wait_until(atomic_load(&ran) == 2);
    for (int i = 3; i <= 6; i++) {
        exec__clock_move(HOUR - 1, 0);
        run_through(exs[0]);
        run_through(exs[1]);
        eq_int(atomic_load(&ran), i - 1);
        exec__clock_move(1, 0);
        wait_until(atomic_load(&ran) == i);
    }
    for (int i = 0; i < 2; i++)
        executor_destroy(exs[i]);
    exec__clock_release();
    end_limiter(l);
}

TEST(limiter_task, whoever_becomes_the_first_sees_to_the_next_token) {
    atomic_int ran = 0, drops = 0;
    exec__clock_move(0, 0);
    executor_t *first = pool(1), *second = pool(1);
    exec_limiter_t *l = one_an_hour(1);
    exec_permit permit = permit_of(l);
    give_back(l, &permit);
    future_t *f = doomed(first, &drops, l), *g = limited(second, count_up, &ran, l);
    ok(future_cancel(f));
    executor_destroy(first);
    eq_state(g, FUTURE_PENDING);
    exec__clock_move(HOUR, 0);
    wait_until(atomic_load(&ran) == 1);
    take(g);
    future_unref(f);
    executor_destroy(second);
    exec__clock_release();
    eq_int(atomic_load(&drops), 1);
    end_limiter(l);
}

TEST(limiter_task, a_task_behind_a_thread_waits_for_the_same_tokens) {
    executor_t *ex = pool(1);
    exec_limiter_t *l = limiter_of((exec_limiter_opts){.rate = 1, .per = EXEC_MS(30)});
    exec_permit permit = permit_of(l);
    struct client c = {.l = l, .deadline = EXEC_NEVER};
    give_back(l, &permit);
    c.thread = start(ask, &c);
    future_t *f = limited(ex, identity, ex, l);
    eq_ptr(take(f), ex);
    finish(c.thread);
    ok(c.error);
    at_least(exec_now() - permit.started, EXEC_MS(60));
    executor_destroy(ex);
    end_limiter(l);
}

/* ---- with the other options ---- */

/* Fails until its last attempt. */
struct trier {
    struct record *record;
    int number;
    unsigned attempts;
};

static void *try_again(void *arg) {
    const struct trier *t = arg;
    record_add(t->record, t->number);
    return exec_attempt() < t->attempts ? exec_fail(EBUSY) : arg;
}

TEST(limiter_task, every_attempt_is_let_through_anew_and_goes_behind_those_that_asked_before) {
    struct record record = RECORD;
    struct trier first = {&record, 0, 3};
    struct entry second = {&record, 1}, third = {&record, 2};
    executor_t *ex = pool(2);
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    exec_task_opts opts = {.limiter = l, .retry = {.attempts = 3, .delay = 1, .jitter = EXEC_JITTER_NONE}};
    future_t *fs[] = {submit_opts(ex, try_again, &first, &opts), limited(ex, write_down, &second, l),
                      limited(ex, write_down, &third, l)};
    give_back(l, &permit);
    eq_ptr(take(fs[0]), &first);
    take(fs[1]);
    take(fs[2]);
    const int expected[] = {0, 1, 2, 0, 0};
    eq_int(record.n, 5);
    for (int i = 0; i < 5; i++)
        eq_int(record.items[i], expected[i]);
    executor_destroy(ex);
    end_limiter(l);
}

static void *fail_once(void *tries) {
    return atomic_fetch_add((atomic_int *)tries, 1) == 0 ? exec_fail(EBUSY) : tries;
}

TEST(limiter_task, between_two_attempts_nothing_is_in_flight) {
    atomic_int tries = 0;
    exec__clock_move(0, 0);
    executor_t *ex = pool(1);
    exec_limiter_t *l = at_once(1);
    exec_task_opts opts = {.limiter = l,
                           .retry = {.attempts = 2, .delay = HOUR, .max_delay = HOUR, .jitter = EXEC_JITTER_NONE}};
    future_t *f = submit_opts(ex, fail_once, &tries, &opts);
    wait_until(atomic_load(&tries) == 1 && exec_limiter_in_flight(l) == 0);
    exec_permit permit = permit_of(l);
    run_through(ex);
    eq_state(f, FUTURE_PENDING);
    exec__clock_move(HOUR, 0);
    nap(EXEC_MS(1));
    run_through(ex);
    eq_state(f, FUTURE_PENDING); /* now for want of room */
    eq_int(atomic_load(&tries), 1);
    give_back(l, &permit);
    eq_ptr(take(f), &tries);
    executor_destroy(ex);
    exec__clock_release();
    end_limiter(l);
}

TEST(limiter_task, every_run_of_a_schedule_is_let_through_anew) {
    atomic_int ran = 0;
    exec__clock_move(0, 0);
    executor_t *ex = pool(1);
    exec_limiter_t *l = one_an_hour(1);
    future_t *f = submit_opts(ex, count_up, &ran, &(exec_task_opts){.limiter = l, .every = EXEC_SEC(60), .count = 3});
    for (int i = 1; i <= 3; i++) {
        wait_until(atomic_load(&ran) == i && exec_limiter_in_flight(l) == 0);
        if (i == 3)
            break;
        wait_until(future_state(f) == FUTURE_PENDING); /* its permit goes back a moment before */
        exec__clock_move(HOUR / 2, 0);
        nap(EXEC_MS(1));
        run_through(ex);
        eq_int(atomic_load(&ran), i);
        exec__clock_move(HOUR / 2, 0);
    }
    take(f);
    executor_destroy(ex);
    exec__clock_release();
    end_limiter(l);
}

TEST(limiter_task, one_that_is_to_start_later_asks_when_its_time_has_come) {
    struct record record = RECORD;
    struct entry early = {&record, 0}, late = {&record, 1}, behind = {&record, 2};
    exec__clock_move(0, 0);
    executor_t *ex = pool(1);
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    future_t *before = promise();
    future_t *delayed = submit_opts(ex, write_down, &late, &(exec_task_opts){.limiter = l, .delay = HOUR});
    const exec_task_opts after_before = {.limiter = l, .after = &before, .nafter = 1};
    future_t *dependent = submit_opts(ex, write_down, &behind, &after_before);
    future_t *f = limited(ex, write_down, &early, l);
    give_back(l, &permit);
    take(f);
    wait_until(exec_limiter_in_flight(l) == 0);
    permit = permit_of(l);
    exec__clock_move(HOUR, 0);
    ok(future_resolve(before, NULL, 0));
    run_through(ex);
    eq_int(record.n, 1);
    give_back(l, &permit);
    take(delayed);
    take(dependent);
    eq_int(record.n, 3);
    future_unref(before);
    executor_destroy(ex);
    exec__clock_release();
    end_limiter(l);
}

TEST(limiter_task, a_timeout_begins_with_the_run) {
    exec__clock_move(0, 0);
    executor_t *ex = pool(1);
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    future_t *f = submit_opts(ex, identity, ex, &(exec_task_opts){.limiter = l, .timeout = EXEC_SEC(1)});
    exec__clock_move(HOUR, 0);
    run_through(ex);
    eq_state(f, FUTURE_PENDING);
    give_back(l, &permit);
    eq_ptr(take(f), ex);
    executor_destroy(ex);
    exec__clock_release();
    end_limiter(l);
}

static void *leave(void *arg) {
    pthread_exit(arg);
}

TEST(limiter_task, one_that_leaves_its_thread_is_in_flight_no_more) {
    executor_t *ex = pool(2);
    exec_limiter_t *l = at_once(1);
    for (int i = 0; i < 5; i++) {
        future_t *f = limited(ex, leave, NULL, l);
        await_elsewhere(f);
        eq_err(outcome(f), EOWNERDEAD);
        wait_until(exec_limiter_in_flight(l) == 0);
    }
    eq_ptr(take(limited(ex, identity, ex, l)), ex);
    executor_destroy(ex);
    end_limiter(l);
}

/* ---- in tasks ---- */

struct spawner {
    executor_t *ex;
    struct crowd *c;
    int n;
};

static void *spawn(void *arg) {
    const struct spawner *s = arg;
    submit_each(s->ex, s->c, s->n);
    return NULL;
}

TEST(limiter_task, tasks_may_submit_tasks_with_the_limiter_they_run_under) {
    struct crowd c = {.l = at_once(2), .most = 2};
    executor_t *ex = pool(3);
    struct spawner s = {ex, &c, 100};
    future_t *fs[4];
    for (int i = 0; i < 4; i++)
        fs[i] = limited(ex, spawn, &s, c.l);
    for (int i = 0; i < 4; i++)
        take(fs[i]);
    executor_destroy(ex);
    eq_int(atomic_load(&c.ran), 400);
    end_limiter(c.l);
}
