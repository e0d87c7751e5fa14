/* test_full.c - a full queue: the four policies, waiting for room, and what gives room back. Each rule is tried at the
 * smallest capacities, where a queue is full and empty most often. */
#include "helpers.h"

enum { WIDEST = 3 };

static executor_t *narrow(size_t capacity, enum executor_when_full when_full) {
    return pool_of((executor_opts){.workers = 1, .capacity = capacity, .when_full = when_full});
}

/* Adds its number to a record, or says that it was dropped by adding -1 - number. */
struct numbered {
    struct record *record;
    int number;
};

static void *write_down(void *arg) {
    struct numbered *task = arg;
    record_add(task->record, task->number);
    return NULL;
}

static void write_off(void *arg) {
    struct numbered *task = arg;
    record_add(task->record, -1 - task->number);
}

/* A narrow executor whose one worker is held, and whose queue is full of tasks 0 to capacity - 1. */
struct full {
    executor_t *ex;
    struct plug plug;
    struct record record;
    struct numbered tasks[12];
    future_t *fs[12], *plugged;
    size_t capacity;
};

static int add(struct full *q, int i, exec_time room_wait) {
    q->tasks[i] = (struct numbered){&q->record, i};
    return executor_submit(q->ex, write_down, &q->tasks[i],
                           &(exec_task_opts){.drop = write_off, .room_wait = room_wait}, &q->fs[i]);
}

static void fill(struct full *q, size_t capacity, enum executor_when_full when_full) {
    *q = (struct full){.plug = PLUG, .record = RECORD, .capacity = capacity};
    q->ex = narrow(capacity, when_full);
    q->plugged = plug_in(q->ex, &q->plug);
    for (size_t i = 0; i < capacity; i++)
        ok(add(q, (int)i, EXEC_NEVER));
}

static void empty(struct full *q) {
    plug_out(&q->plug);
    executor_destroy(q->ex);
    future_unref(q->plugged);
    for (int i = 0; i < 12; i++)
        future_unref(q->fs[i]);
}

static void recorded(struct full *q, int n, const int expected[]) {
    eq_int(q->record.n, n);
    for (int i = 0; i < n; i++)
        eq_int(q->record.items[i], expected[i]);
}

/* Another thread that submits task number `capacity`, and so has to wait. */
struct submitter {
    struct full *q;
    exec_time room_wait;
    atomic_int tid;
    int error;
    struct gate over;
};

static void *submit_one_more(void *arg) {
    struct submitter *s = arg;
    atomic_store(&s->tid, gettid());
    s->error = add(s->q, (int)s->q->capacity, s->room_wait);
    gate_open(&s->over);
    return NULL;
}

/* ---- EXECUTOR_BLOCK ---- */

static void blocks_until(struct full *q, exec_time room_wait, void (*give_room)(struct full *)) {
    struct submitter s = {.q = q, .room_wait = room_wait, .error = -1, .over = GATE(1)};
    pthread_t thread = start(submit_one_more, &s);
    wait_until_asleep(&s.tid);
    check(!gate_is_open(&s.over));
    give_room(q);
    finish(thread);
    ok(s.error);
}

static void let_worker_go_on(struct full *q) {
    plug_out(&q->plug);
}

static void cancel_newest(struct full *q) {
    ok(future_cancel(q->fs[q->capacity - 1]));
}

TEST(full, submit_blocks_until_a_worker_makes_room) {
    for (size_t capacity = 1; capacity <= WIDEST; capacity++) {
        struct full q;
        fill(&q, capacity, EXECUTOR_BLOCK);
        blocks_until(&q, capacity % 2 ? 0 : EXEC_NEVER, let_worker_go_on);
        empty(&q);
        recorded(&q, (int)capacity + 1, (int[]){0, 1, 2, 3});
    }
}

TEST(full, submit_blocks_until_a_queued_task_is_cancelled) {
    for (size_t capacity = 1; capacity <= WIDEST; capacity++) {
        struct full q;
        fill(&q, capacity, EXECUTOR_BLOCK);
        blocks_until(&q, LIMIT, cancel_newest);
        empty(&q);
        eq_int(q.record.n, (int)capacity + 1);
        eq_int(q.record.items[0], -(int)capacity);
        eq_int(q.record.items[capacity], (int)capacity);
    }
}

TEST(full, room_wait_bounds_the_block) {
    for (size_t capacity = 1; capacity <= WIDEST; capacity++) {
        struct full q;
        fill(&q, capacity, EXECUTOR_BLOCK);
        exec_time deadline = exec_after(EXEC_MS(20));
        eq_err(add(&q, 11, EXEC_MS(20)), ETIMEDOUT);
        at_least(exec_now(), deadline);
        eq_ptr(q.fs[11], NULL);
        eq_err(add(&q, 11, 1), ETIMEDOUT);
        empty(&q);
        recorded(&q, (int)capacity, (int[]){0, 1, 2});
    }
}

TEST(full, every_one_of_several_blocked_submitters_gets_in) {
    enum { N = 4 };
    struct full q;
    struct submitter s[N];
    pthread_t threads[N];
    fill(&q, 1, EXECUTOR_BLOCK);
    struct full parts[N];
    for (int i = 0; i < N; i++) {
        parts[i] = (struct full){.ex = q.ex, .record = RECORD, .capacity = 1};
        s[i] = (struct submitter){.q = &parts[i], .error = -1, .over = GATE(1)};
        threads[i] = start(submit_one_more, &s[i]);
    }
    for (int i = 0; i < N; i++)
        wait_until_asleep(&s[i].tid);
    plug_out(&q.plug);
    for (int i = 0; i < N; i++) {
        finish(threads[i]);
        ok(s[i].error);
        ok(outcome(parts[i].fs[1]));
        eq_int(parts[i].record.n, 1);
    }
    empty(&q);
}

/* ---- EXECUTOR_REJECT ---- */

TEST(full, reject_returns_eagain_and_the_task_remains_the_callers) {
    for (size_t capacity = 1; capacity <= WIDEST; capacity++) {
        struct full q;
        fill(&q, capacity, EXECUTOR_REJECT);
        for (int i = 0; i < 3; i++) {
            eq_err(add(&q, 11, EXEC_NEVER), EAGAIN);
            eq_ptr(q.fs[11], NULL);
            eq_err(executor_submit(q.ex, must_not_run, NULL, NULL, NULL), EAGAIN);
        }
        empty(&q);
        recorded(&q, (int)capacity, (int[]){0, 1, 2});
    }
}

TEST(full, reject_takes_tasks_again_as_soon_as_there_is_room) {
    for (size_t capacity = 1; capacity <= WIDEST; capacity++) {
        struct full q;
        fill(&q, capacity, EXECUTOR_REJECT);
        eq_err(add(&q, 11, 0), EAGAIN);
        plug_out(&q.plug);
        await_elsewhere(q.fs[capacity - 1]);
        for (size_t i = 0; i < capacity; i++)
            ok(add(&q, (int)(capacity + i), 0));
        empty(&q);
        recorded(&q, (int)capacity * 2, (int[]){0, 1, 2, 3, 4, 5});
    }
}

/* ---- EXECUTOR_CALLER_RUNS ---- */

static void *is_on_thread(void *thread) {
    check(pthread_equal(pthread_self(), *(pthread_t *)thread));
    check(!exec_cancelled());
    return thread;
}

TEST(full, the_caller_runs_the_task_before_submit_returns) {
    for (size_t capacity = 1; capacity <= WIDEST; capacity++) {
        struct full q;
        pthread_t self = pthread_self();
        atomic_int runs = 0;
        fill(&q, capacity, EXECUTOR_CALLER_RUNS);
        future_t *f = submit(q.ex, is_on_thread, &self), *bad = submit(q.ex, fail_with, as_error(EIO));
        eq_state(f, FUTURE_DONE);
        eq_state(bad, FUTURE_FAILED);
        ok(executor_submit(q.ex, count_up, &runs, NULL, NULL));
        eq_int(atomic_load(&runs), 1);
        eq_ptr(take(f), &self);
        eq_err(outcome(bad), EIO);
        eq_int(q.record.n, 0);
        empty(&q);
        recorded(&q, (int)capacity, (int[]){0, 1, 2});
    }
}

TEST(full, while_there_is_room_the_caller_runs_nothing) {
    struct plug plug = PLUG;
    executor_t *ex = narrow(3, EXECUTOR_CALLER_RUNS);
    future_t *first = plug_in(ex, &plug), *f = submit(ex, identity, ex);
    eq_state(f, FUTURE_PENDING);
    plug_out(&plug);
    eq_ptr(take(f), ex);
    future_unref(first);
    executor_destroy(ex);
}

static void *submit_another(void *arg) {
    struct full *q = arg;
    ok(add(q, 10, 0));
    eq_state(q->fs[10], FUTURE_PENDING);
    return NULL;
}

TEST(full, what_a_task_that_the_caller_runs_submits_needs_no_room) {
    struct full q;
    fill(&q, 1, EXECUTOR_CALLER_RUNS);
    future_t *f = submit(q.ex, submit_another, &q);
    eq_state(f, FUTURE_DONE);
    ok(outcome(f));
    empty(&q);
    recorded(&q, 2, (int[]){0, 10});
}

/* ---- EXECUTOR_DROP_OLDEST ---- */

TEST(full, the_oldest_is_dropped_and_ends_cancelled) {
    for (size_t capacity = 1; capacity <= WIDEST; capacity++) {
        struct full q;
        int n = (int)capacity;
        fill(&q, capacity, EXECUTOR_DROP_OLDEST);
        for (int i = 0; i < 4; i++) {
            ok(add(&q, n + i, 0));
            eq_state(q.fs[i], FUTURE_CANCELLED);
            eq_int(q.record.n, i + 1);
            eq_int(q.record.items[i], -1 - i);
        }
        for (int i = 4; i < 4 + n; i++)
            eq_state(q.fs[i], FUTURE_PENDING);
        eq_err(future_get(q.fs[0], NULL), ECANCELED);
        empty(&q);
        recorded(&q, 4 + n, (int[]){-1, -2, -3, -4, 4, 5, 6});
    }
}

static void *wait_for_cancelled(void *f) {
    eq_err(future_get(f, NULL), ECANCELED);
    return NULL;
}

TEST(full, what_is_dropped_wakes_who_waits_for_it) {
    struct full q;
    fill(&q, 2, EXECUTOR_DROP_OLDEST);
    pthread_t thread = start(wait_for_cancelled, q.fs[0]);
    ok(add(&q, 2, 0));
    finish(thread);
    empty(&q);
}

/* ---- room ---- */

TEST(full, a_cancelled_queued_task_gives_back_its_room_at_once) {
    for (size_t capacity = 1; capacity <= WIDEST; capacity++) {
        for (size_t at = 0; at < capacity; at++) {
            struct full q;
            fill(&q, capacity, EXECUTOR_REJECT);
            eq_err(add(&q, 11, 0), EAGAIN);
            ok(future_cancel(q.fs[at]));
            ok(add(&q, 10, 0));
            eq_err(add(&q, 11, 0), EAGAIN);
            empty(&q);
            eq_int(q.record.n, (int)capacity + 1);
            eq_int(q.record.items[0], -1 - (int)at);
            eq_int(q.record.items[capacity], 10);
        }
    }
}

TEST(full, cancelling_all_and_filling_again_goes_on_and_on) {
    for (size_t capacity = 1; capacity <= WIDEST; capacity++) {
        struct full q;
        fill(&q, capacity, EXECUTOR_REJECT);
        for (int round = 0; round < 50; round++)
            for (size_t i = 0; i < capacity; i++) {
                ok(future_cancel(q.fs[i]));
                future_unref(q.fs[i]);
                ok(add(&q, (int)i, 0));
            }
        eq_err(add(&q, 11, 0), EAGAIN);
        empty(&q);
        eq_int(q.record.n, 51 * (int)capacity);
    }
}

/* One task that is queued, and one that waits for it and so runs it in its place in the queue's stead. */
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

TEST(full, a_task_that_a_waiter_runs_gives_back_its_room_at_once) {
    struct claim claim = {GATE(1), PLUG, NULL};
    executor_t *ex = narrow(1, EXECUTOR_REJECT);
    future_t *outer = submit(ex, claim_it, &claim);
    wait_until(future_state(outer) == FUTURE_RUNNING);
    claim.queued = submit(ex, plug_task, &claim.inner);
    eq_err(executor_submit(ex, identity, NULL, NULL, NULL), EAGAIN);
    gate_open(&claim.go);
    gate_wait(&claim.inner.started);
    eq_state(claim.queued, FUTURE_RUNNING);
    ok(executor_submit(ex, identity, NULL, NULL, NULL));
    eq_err(executor_submit(ex, identity, NULL, NULL, NULL), EAGAIN);
    plug_out(&claim.inner);
    ok(outcome(outer));
    future_unref(claim.queued);
    executor_destroy(ex);
}

/* ---- tasks never wait for room ---- */

struct burst {
    executor_t *ex;
    atomic_int runs;
    int n;
};

static void *submit_many(void *arg) {
    struct burst *burst = arg;
    for (int i = 0; i < burst->n; i++)
        ok(executor_submit(burst->ex, count_up, &burst->runs, NULL, NULL));
    eq_int(atomic_load(&burst->runs), 0); /* this is the only worker: none was run here, or dropped for another */
    return NULL;
}

TEST(full, what_a_task_submits_never_waits_is_never_refused_and_never_dropped) {
    for (int when_full = EXECUTOR_BLOCK; when_full <= EXECUTOR_DROP_OLDEST; when_full++) {
        struct burst burst = {.ex = narrow(1, (enum executor_when_full)when_full), .n = 300};
        ok(outcome(submit(burst.ex, submit_many, &burst)));
        executor_destroy(burst.ex);
        eq_int(atomic_load(&burst.runs), 300);
    }
}

static void *submit_many_without_a_look(void *arg) {
    struct burst *burst = arg;
    for (int i = 0; i < burst->n; i++)
        ok(executor_submit(burst->ex, count_up, &burst->runs, NULL, NULL));
    return NULL;
}

TEST(full, that_holds_for_a_task_run_by_a_thread_that_waits_for_it_too) {
    struct burst burst = {.ex = pool_of((executor_opts){.workers = 3, .capacity = 1}), .n = 50};
    for (int round = 0; round < 20; round++)
        ok(outcome(submit(burst.ex, submit_many_without_a_look, &burst)));
    executor_destroy(burst.ex);
    eq_int(atomic_load(&burst.runs), 1000);
}

static void *submit_to_full(void *arg) {
    struct full *q = arg;
    eq_err(add(q, 11, EXEC_MS(1)), ETIMEDOUT);
    return NULL;
}

TEST(full, a_task_of_another_executor_is_a_producer_like_any_other) {
    struct full q;
    executor_t *other = pool(1);
    fill(&q, 2, EXECUTOR_BLOCK);
    ok(outcome(submit(other, submit_to_full, &q)));
    executor_destroy(other);
    empty(&q);
    recorded(&q, 2, (int[]){0, 1});
}

/* ---- shut down is reported before full ---- */

TEST(full, a_full_queue_that_was_shut_down_is_eshutdown) {
    for (int when_full = EXECUTOR_BLOCK; when_full <= EXECUTOR_DROP_OLDEST; when_full++) {
        for (size_t capacity = 1; capacity <= WIDEST; capacity++) {
            struct full q;
            fill(&q, capacity, (enum executor_when_full)when_full);
            ok(executor_shutdown(q.ex, EXECUTOR_DRAIN));
            eq_err(add(&q, 11, EXEC_MS(1)), ESHUTDOWN);
            eq_err(executor_submit(q.ex, must_not_run, NULL, NULL, NULL), ESHUTDOWN);
            eq_ptr(q.fs[11], NULL);
            empty(&q);
            recorded(&q, (int)capacity, (int[]){0, 1, 2});
        }
    }
}

static void shut_down_wakes(enum executor_shutdown mode, exec_time room_wait) {
    struct full q;
    fill(&q, 2, EXECUTOR_BLOCK);
    struct submitter s = {.q = &q, .room_wait = room_wait, .error = -1, .over = GATE(1)};
    pthread_t thread = start(submit_one_more, &s);
    wait_until_asleep(&s.tid);
    check(!gate_is_open(&s.over));
    ok(executor_shutdown(q.ex, mode));
    finish(thread);
    eq_err(s.error, ESHUTDOWN);
    eq_ptr(q.fs[2], NULL);
    empty(&q);
    eq_int(q.record.n, 2);
}

TEST(full, a_submitter_that_waits_for_room_is_woken_by_a_shutdown) {
    shut_down_wakes(EXECUTOR_DRAIN, 0);
    shut_down_wakes(EXECUTOR_DRAIN, LIMIT);
    shut_down_wakes(EXECUTOR_DISCARD, EXEC_NEVER);
}
