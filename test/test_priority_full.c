/* test_priority_full.c - tasks with a priority and the queue's capacity: the four policies, room that is given back,
 * the count when many race; and what ends such tasks otherwise: cancels, deadlines, shutdowns, forks. */
#include "priorities.h"

#include "child.h"

enum { WIDEST = 3 };

/* A line whose queue is full of tasks 0 to capacity - 1, with these priorities. */
static void fill(struct line *l, size_t capacity, const int priorities[], enum executor_when_full when_full) {
    line_open(l, (executor_opts){.capacity = capacity, .when_full = when_full});
    for (size_t i = 0; i < capacity; i++)
        future_unref(line_add(l, (int)i, (exec_task_opts){.priority = priorities[i]}));
}

static int try_one(struct line *l, int number, int priority) {
    return line_try(l, number, (exec_task_opts){.priority = priority, .room_wait = 1}, NULL);
}

/* The same, when there is no room: the argument remains the caller's. */
static void is_full(struct line *l, int error) {
    for (int priority = -8; priority <= 8; priority += 4)
        eq_err(try_one(l, 199, priority), error);
    l->n -= 5;
}

static const int low[] = {-1, -2, -3, -4, -5, -6, -7, -8}, urgent[] = {1, 2, 3, 4, 5, 6, 7, 8},
                 mixed[] = {1, 0, -1, 0, 2, 0, -2, 0};
static const int *const kinds[] = {low, urgent, mixed};

enum { KINDS = sizeof kinds / sizeof *kinds };

/* ---- EXECUTOR_REJECT and EXECUTOR_BLOCK ---- */

TEST(priority_full, they_count_against_the_capacity_together_with_all_others) {
    for (size_t capacity = 1; capacity <= 8; capacity++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct line l;
            fill(&l, capacity, kinds[kind], EXECUTOR_REJECT);
            is_full(&l, EAGAIN);
            line_run(&l);
            eq_int(l.ran.n, (int)capacity);
            eq_int(l.dropped.n, 0);
        }
}

TEST(priority_full, room_wait_bounds_the_block) {
    for (size_t capacity = 1; capacity <= WIDEST; capacity++)
        for (int kind = 0; kind < KINDS; kind++) {
            struct line l;
            fill(&l, capacity, kinds[kind], EXECUTOR_BLOCK);
            is_full(&l, ETIMEDOUT);
            exec_time deadline = exec_after(EXEC_MS(20));
            eq_err(line_try(&l, 9, (exec_task_opts){.priority = 1, .room_wait = EXEC_MS(20)}, NULL), ETIMEDOUT);
            at_least(exec_now(), deadline);
            line_run(&l);
            eq_int(l.ran.n, (int)capacity);
        }
}

/* Another thread, which submits one more task and so has to wait. */
struct submitter {
    struct line *l;
    int priority, error;
    atomic_int tid;
    struct gate over;
};

static void *submit_one_more(void *arg) {
    struct submitter *s = arg;
    atomic_store(&s->tid, gettid());
    s->error = line_try(s->l, 100, (exec_task_opts){.priority = s->priority}, NULL);
    gate_open(&s->over);
    return NULL;
}

static void blocks_until(struct line *l, int priority, void (*give_room)(struct line *, future_t *), future_t *f,
                         int error) {
    struct submitter s = {.l = l, .priority = priority, .error = -1, .over = GATE(1)};
    pthread_t thread = start(submit_one_more, &s);
    wait_until_asleep(&s.tid);
    check(!gate_is_open(&s.over));
    give_room(l, f);
    finish(thread);
    eq_err(s.error, error);
}

static void by_worker(struct line *l, future_t *f) {
    (void)f;
    plug_out(&l->plug);
}

static void by_cancel(struct line *l, future_t *f) {
    (void)l;
    ok(future_cancel(f));
}

static void by_drain(struct line *l, future_t *f) {
    (void)f;
    ok(executor_shutdown(l->ex, EXECUTOR_DRAIN));
}

static void by_discard(struct line *l, future_t *f) {
    (void)f;
    ok(executor_shutdown(l->ex, EXECUTOR_DISCARD));
}

static void by_signal(struct line *l, future_t *f) {
    (void)f;
    executor_request_shutdown(l->ex);
}

/* The queue's one place has a task of the first priority, and the producer wants to put one of the second. */
static const int pairs[][2] = {{0, 1}, {1, 0}, {-1, 0}, {0, -1}, {-1, 1}, {1, -1}, {8, 8}};

enum { PAIRS = sizeof pairs / sizeof *pairs };

TEST(priority_full, submit_blocks_until_a_worker_makes_room) {
    for (int i = 0; i < PAIRS; i++) {
        struct line l;
        fill(&l, 1, &pairs[i][0], EXECUTOR_BLOCK);
        blocks_until(&l, pairs[i][1], by_worker, NULL, 0);
        line_close(&l);
        recorded(&l.ran, 0, 100);
    }
}

TEST(priority_full, submit_blocks_until_one_that_waits_is_cancelled) {
    for (int i = 0; i < PAIRS; i++) {
        struct line l;
        line_open(&l, (executor_opts){.capacity = 1});
        future_t *f = line_add(&l, 0, (exec_task_opts){.priority = pairs[i][0]});
        blocks_until(&l, pairs[i][1], by_cancel, f, 0);
        recorded(&l.dropped, 0);
        line_run(&l);
        future_unref(f);
        recorded(&l.ran, 100);
    }
}

TEST(priority_full, submit_that_waits_for_room_is_woken_by_a_shutdown) {
    void (*const how[])(struct line *, future_t *) = {by_drain, by_discard, by_signal};
    for (int i = 0; i < 3; i++) {
        struct line l;
        fill(&l, 1, &pairs[i][0], EXECUTOR_BLOCK);
        blocks_until(&l, pairs[i][1], how[i], NULL, ESHUTDOWN);
        eq_err(try_one(&l, 9, 1), ESHUTDOWN); /* before full */
        line_run(&l);
        eq_int(l.ran.n + l.dropped.n, 1);
    }
}

/* ---- EXECUTOR_CALLER_RUNS and EXECUTOR_DROP_OLDEST ---- */

TEST(priority_full, the_caller_runs_what_there_is_no_room_for_whatever_its_priority) {
    for (int kind = 0; kind < KINDS; kind++) {
        struct line l;
        fill(&l, 2, kinds[kind], EXECUTOR_CALLER_RUNS);
        for (int priority = -8; priority <= 8; priority += 8) {
            future_t *f = line_add(&l, priority + 50, (exec_task_opts){.priority = priority});
            eq_state(f, FUTURE_DONE);
            future_unref(f);
        }
        recorded(&l.ran, 42, 50, 58);
        line_run(&l);
        eq_int(l.ran.n, 5);
    }
}

TEST(priority_full, what_is_dropped_is_the_oldest_of_the_lowest_priority_and_never_the_new_one) {
    struct line l;
    line_open(&l, (executor_opts){.capacity = 7, .when_full = EXECUTOR_DROP_OLDEST});
    const int priorities[] = {0, 2, -3, 2, 0, -1, -3};
    for (int i = 0; i < 7; i++)
        future_unref(line_add(&l, i, (exec_task_opts){.priority = priorities[i]}));
    const int order[] = {2, 6, 5, 0, 4, 1, 3};
    for (int i = 0; i < 7; i++) {
        ok(try_one(&l, 10 + i, 3));
        eq_int(l.dropped.n, i + 1);
        eq_int(l.dropped.items[i], order[i]);
    }
    ok(try_one(&l, 20, -8)); /* takes the place of one that is more urgent */
    eq_int(l.dropped.items[7], 10);
    ok(try_one(&l, 21, 0));
    eq_int(l.dropped.items[8], 20);
    line_run(&l);
    recorded(&l.ran, 11, 12, 13, 14, 15, 16, 21);
}

static void *submit_own(void *arg) {
    struct line *l = arg;
    for (int i = 0; i < 30; i++)
        ok(try_one(l, i, i % 3 - 1));
    eq_int(aside(l->ex), 0);
    return NULL;
}

TEST(priority_full, what_a_task_submits_does_not_count_and_is_never_dropped) {
    for (int when_full = EXECUTOR_BLOCK; when_full <= EXECUTOR_DROP_OLDEST; when_full++) {
        struct line l;
        line_open(&l, (executor_opts){.capacity = 1, .when_full = (enum executor_when_full)when_full});
        line_run_until(&l, submit(l.ex, submit_own, &l));
        eq_int(l.ran.n, 30);
        eq_int(l.dropped.n, 0);
    }
}

static void *be_dropped_for(void *arg) {
    struct line *l = arg;
    ok(try_one(l, 0, -8)); /* its own: stays */
    gate_open(&l->plug.started);
    gate_wait(&l->plug.release);
    return NULL;
}

TEST(priority_full, those_that_do_not_count_are_passed_by_when_one_is_dropped) {
    struct line l = {.plug = PLUG, .ran = RECORD, .dropped = RECORD};
    l.ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_DROP_OLDEST});
    l.plugged = submit(l.ex, be_dropped_for, &l);
    gate_wait(&l.plug.started);
    ok(try_one(&l, 1, -8));
    ok(try_one(&l, 2, -8));
    recorded(&l.dropped, 1);
    line_run(&l);
    recorded(&l.ran, 0, 2);
}

/* ---- the count is exact ---- */

enum { RACERS = 4 };

struct racer {
    struct line *l;
    struct gate *go;
    int kind, accepted;
};

static void *race_for_room(void *arg) {
    struct racer *r = arg;
    gate_wait(r->go);
    for (int i = 0; i < 8; i++) {
        const exec_task_opts opts = {.priority = r->kind == 0 ? 0 : r->kind == 1 ? i % 17 - 8 : (i + r->kind) % 3 - 1};
        int error = executor_submit(r->l->ex, identity, NULL, &opts, NULL);
        eq_err(error, error == 0 ? 0 : EAGAIN);
        r->accepted += error == 0;
    }
    return NULL;
}

TEST(priority_full, producers_that_race_for_room_are_accepted_as_often_as_there_is_some) {
    for (int round = 0; round < 300; round++) {
        struct line l;
        struct gate go = GATE(1);
        struct racer racers[RACERS];
        pthread_t threads[RACERS];
        size_t capacity = 1 + (size_t)round % 24;
        int accepted = 0;
        line_open(&l, (executor_opts){.capacity = capacity, .when_full = EXECUTOR_REJECT});
        for (int i = 0; i < RACERS; i++) {
            racers[i] = (struct racer){&l, &go, i, 0};
            threads[i] = start(race_for_room, &racers[i]);
        }
        gate_open(&go);
        for (int i = 0; i < RACERS; i++) {
            finish(threads[i]);
            accepted += racers[i].accepted;
        }
        eq_int(accepted, (int)capacity);
        line_run(&l);
    }
}

/* ---- what gives room back ---- */

TEST(priority_full, one_that_is_cancelled_is_dropped_and_gives_back_its_room_at_once) {
    for (int i = 0; i < PAIRS; i++) {
        struct line l;
        line_open(&l, (executor_opts){.capacity = 2, .when_full = EXECUTOR_REJECT});
        future_t *first = line_add(&l, 0, (exec_task_opts){.priority = pairs[i][0]});
        future_t *second = line_add(&l, 1, (exec_task_opts){.priority = pairs[i][1]});
        is_full(&l, EAGAIN);
        ok(future_cancel(second));
        eq_state(second, FUTURE_CANCELLED);
        recorded(&l.dropped, 1);
        ok(future_cancel(second));
        ok(try_one(&l, 2, pairs[i][1]));
        is_full(&l, EAGAIN);
        ok(future_cancel(first));
        ok(try_one(&l, 3, pairs[i][0]));
        is_full(&l, EAGAIN);
        line_run(&l);
        future_unref(first);
        future_unref(second);
        recorded(&l.dropped, 1, 0);
        eq_int(l.ran.n, 2);
    }
}

TEST(priority_full, one_whose_deadline_passes_fails_and_gives_back_its_room) {
    struct line l;
    line_open(&l, (executor_opts){.capacity = 1, .when_full = EXECUTOR_REJECT});
    for (int priority = -8; priority <= 8; priority += 16) {
        future_t *f =
            line_add(&l, priority, (exec_task_opts){.priority = priority, .deadline = exec_after(EXEC_MS(2))});
        wait_until(future_done(f));
        eq_err(outcome(f), ETIMEDOUT);
        wait_until(aside(l.ex) == 0);
    }
    ok(try_one(&l, 1, 1));
    line_run(&l);
    recorded(&l.dropped, -8, 8);
    recorded(&l.ran, 1);
}

struct claim {
    struct gate go;
    struct plug inner;
    future_t *queued;
};

static void *claim_it(void *arg) {
    struct claim *claim = arg;
    gate_wait(&claim->go);
    ok(future_get(claim->queued, NULL));
    return NULL;
}

TEST(priority_full, one_that_a_waiter_runs_gives_back_its_room_at_once) {
    for (int priority = -8; priority <= 8; priority += 16) {
        struct claim claim = {GATE(1), PLUG, NULL};
        executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_REJECT});
        future_t *outer = submit(ex, claim_it, &claim);
        wait_until(future_state(outer) == FUTURE_RUNNING);
        const exec_task_opts opts = {.priority = priority};
        claim.queued = submit_opts(ex, plug_task, &claim.inner, &opts);
        eq_err(executor_submit(ex, identity, NULL, NULL, NULL), EAGAIN);
        gate_open(&claim.go);
        gate_wait(&claim.inner.started);
        eq_int(aside(ex), 0);
        ok(executor_submit(ex, identity, NULL, &opts, NULL));
        eq_err(executor_submit(ex, identity, NULL, &opts, NULL), EAGAIN);
        plug_out(&claim.inner);
        ok(outcome(outer));
        future_unref(claim.queued);
        executor_destroy(ex);
    }
}

/* ---- shutting down ---- */

TEST(priority_full, a_drain_runs_them_all) {
    struct line l;
    line_open(&l, (executor_opts){0});
    for (int priority = -8; priority <= 8; priority++)
        line_put(&l, priority);
    ok(executor_shutdown(l.ex, EXECUTOR_DRAIN));
    eq_err(try_one(&l, 9, 1), ESHUTDOWN);
    eq_err(try_one(&l, 9, -1), ESHUTDOWN);
    line_run(&l);
    eq_int(l.ran.n, 17);
    eq_int(l.dropped.n, 0);
}

TEST(priority_full, a_discard_cancels_them_all_at_once) {
    struct line l;
    line_open(&l, (executor_opts){0});
    for (int priority = -8; priority <= 8; priority++)
        line_put(&l, priority);
    ok(executor_shutdown(l.ex, EXECUTOR_DISCARD));
    eq_int(l.dropped.n, 17);
    eq_int(aside(l.ex), 0);
    check(!lanes_hold_any(l.ex));
    line_run(&l);
    eq_int(l.ran.n, 0);
}

static void *shut_down_and_submit(void *arg) {
    struct line *l = arg;
    ok(executor_shutdown(l->ex, EXECUTOR_DISCARD));
    eq_err(try_one(l, 9, 1), ESHUTDOWN);
    eq_err(try_one(l, 9, -1), ESHUTDOWN);
    return l;
}

TEST(priority_full, a_task_of_an_executor_that_was_shut_down_cannot_submit_any) {
    struct line l;
    line_open(&l, (executor_opts){0});
    future_t *f = submit_opts(l.ex, shut_down_and_submit, &l, &(exec_task_opts){.priority = 1});
    line_put(&l, 0);
    line_put(&l, -1);
    line_run_until(&l, f);
    eq_int(l.dropped.n, 2);
}

/* ---- in a forked child ---- */

static void inherit(void *arg) {
    struct line *l = arg;
    future_t *f = NULL;
    eq_err(executor_submit(l->ex, must_not_run, NULL, &(exec_task_opts){.priority = 1}, &f), EOWNERDEAD);
    eq_ptr(f, NULL);
    executor_destroy(l->ex);
}

TEST(priority_full, in_a_child_they_are_dead_and_in_the_parent_they_live_on) {
    struct line l;
    line_open(&l, (executor_opts){0});
    future_t *f = line_add(&l, 3, (exec_task_opts){.priority = 3});
    line_put(&l, -3);
    in_child(inherit, &l);
    line_run(&l);
    ok(outcome(f));
    recorded(&l.ran, 3, -3);
}

struct forker {
    struct line l;
    future_t *queued;
};

static void wait_for_inherited(void *arg) {
    struct forker *f = arg;
    eq_err(future_get(f->queued, NULL), EOWNERDEAD);
    eq_err(future_cancel(f->queued), EOWNERDEAD);
    eq_err(try_one(&f->l, 9, 1), EOWNERDEAD);
}

static void *fork_in_task(void *arg) {
    in_child(wait_for_inherited, arg);
    return NULL;
}

TEST(priority_full, a_task_with_a_priority_may_fork_while_others_lie_in_lanes) {
    struct forker f;
    line_open(&f.l, (executor_opts){0});
    future_t *task = submit_opts(f.l.ex, fork_in_task, &f, &(exec_task_opts){.priority = 8});
    f.queued = line_add(&f.l, 1, (exec_task_opts){.priority = 1});
    line_run_until(&f.l, task);
    ok(outcome(f.queued));
    recorded(&f.l.ran, 1);
}
