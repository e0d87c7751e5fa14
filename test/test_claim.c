/* test_claim.c - a thread from outside that runs what it waits for takes its entry out of the queue, beside workers
 * that take entries from there, too; and is not in the way of tasks that nobody waits for. */
#include "helpers.h"

#include "queue.h"

enum { ROUNDS = 20000, TAKERS = 2, PINGS = 20000 };

static struct exec_queue *queue(size_t capacity) {
    exec_queue_t *q = NULL;
    ok(exec_queue_create(capacity, &q));
    return q;
}

TEST(claim, only_the_oldest_item_is_taken_by_name) {
    int a, b;
    struct exec_queue *q = queue(2);
    void *item = NULL;
    check(!exec__queue_take_this(q, &a));
    for (int lap = 0; lap < 10; lap++) {
        ok(exec__queue_try_put(q, &a));
        ok(exec__queue_try_put(q, &b));
        check(!exec__queue_take_this(q, &b));
        check(exec__queue_take_this(q, &a));
        check(!exec__queue_take_this(q, &a));
        ok(exec__queue_try_put(q, &a));
        eq_err(exec__queue_try_put(q, &a), EAGAIN);
        check(exec__queue_take_this(q, &b));
        eq_int(exec__queue_try_get(q, &item), EXEC__TAKEN);
        eq_ptr(item, &a);
        check(!exec__queue_take_this(q, &a));
        check(exec__queue_empty(q));
    }
    exec_queue_destroy(q);
}

static void *put_one(void *q) {
    return exec_queue_put(q, q, exec_after(LIMIT)) == 0 ? q : NULL;
}

TEST(claim, whoever_takes_an_item_by_name_wakes_a_producer_that_waits_for_room) {
    int a;
    struct exec_queue *q = queue(1);
    ok(exec__queue_try_put(q, &a));
    pthread_t producer = start(put_one, q);
    wait_until(atomic_load(&q->not_full.unwoken) == 1);
    check(exec__queue_take_this(q, &a));
    eq_ptr(finish(producer), q);
    check(exec__queue_take_this(q, q));
    exec_queue_destroy(q);
}

/* ---- races ---- */

struct race {
    struct exec_queue *q;
    atomic_uintptr_t newest; /* the item that was put last */
    atomic_uint got[ROUNDS + 1];
    atomic_bool over;
};

static void *take_any(void *arg) {
    struct race *r = arg;
    void *item;
    for (; !atomic_load(&r->over); sched_yield())
        if (exec__queue_try_get(r->q, &item) == EXEC__TAKEN)
            atomic_fetch_add(&r->got[(uintptr_t)item], 1);
    return NULL;
}

static void *take_newest(void *arg) {
    struct race *r = arg;
    for (; !atomic_load(&r->over); sched_yield()) {
        uintptr_t item = atomic_load(&r->newest);
        if (exec__queue_take_this(r->q, (void *)item))
            atomic_fetch_add(&r->got[item], 1);
    }
    return NULL;
}

TEST(claim, each_item_is_taken_once_whoever_takes_it) {
    static struct race r;
    pthread_t by_name[TAKERS], any;
    r.q = queue(2);
    any = start(take_any, &r);
    for (int i = 0; i < TAKERS; i++)
        by_name[i] = start(take_newest, &r);
    for (uintptr_t item = 1; item <= ROUNDS; item++) {
        ok(exec_queue_put(r.q, (void *)item, exec_after(LIMIT)));
        atomic_store(&r.newest, item);
    }
    wait_until(exec__queue_empty(r.q));
    atomic_store(&r.over, true);
    finish(any);
    for (int i = 0; i < TAKERS; i++)
        finish(by_name[i]);
    for (size_t item = 1; item <= ROUNDS; item++)
        eq_int(atomic_load(&r.got[item]), 1);
    exec_queue_destroy(r.q);
}

/* ---- submit and wait by turns ---- */

static atomic_int ran;

static void *count(void *arg) {
    atomic_fetch_add(&ran, 1);
    return arg;
}

static atomic_bool pinging;

static void *ping(void *arg) {
    executor_t *ex = arg;
    int pings = 0;
    for (; pings < PINGS || atomic_load(&pinging); pings++) {
        future_t *f = NULL;
        void *result = NULL;
        ok(executor_submit(ex, identity, &f, NULL, &f));
        ok(future_get(f, &result));
        eq_ptr(result, &f);
        future_unref(f);
    }
    return NULL;
}

TEST(claim, tasks_that_nobody_waits_for_run_beside_threads_that_run_their_own) {
    for (unsigned workers = 1; workers <= 4; workers++) {
        executor_t *ex = NULL;
        ok(executor_create(&(executor_opts){.workers = workers, .capacity = 8}, &ex));
        atomic_store(&ran, 0);
        atomic_store(&pinging, true);
        pthread_t threads[] = {start(ping, ex), start(ping, ex)};
        for (int i = 1; i <= 100; i++) {
            ok(executor_submit(ex, count, NULL, NULL, NULL));
            wait_until(atomic_load(&ran) == i);
        }
        atomic_store(&pinging, false);
        finish(threads[0]);
        finish(threads[1]);
        executor_destroy(ex);
    }
}

/* ---- a future in the memory of an earlier one ---- */

struct reuse {
    executor_t *ex;
    struct gate stolen, next;
    future_t *earlier, *later;
};

static void *wait_for_later(void *arg) {
    struct reuse *r = arg;
    r->earlier = submit(r->ex, identity, r);
    wait_until(future_done(r->earlier)); /* by the other worker, who has stolen it */
    gate_open(&r->stolen);
    gate_wait(&r->next);
    eq_ptr(take(r->later), r);
    return r;
}

TEST(claim, one_from_the_queue_in_the_memory_of_one_that_was_stolen_is_counted_out_of_the_queue) {
    bool same = false;
    for (int round = 0; round < 100 && !same; round++) {
        struct reuse r = {.ex = pool(2), .stolen = GATE(1), .next = GATE(1)};
        struct plug plug = PLUG;
        exec_stats stats;
        future_t *waiter = submit(r.ex, wait_for_later, &r);
        gate_wait(&r.stolen);
        future_t *plugged = plug_in(r.ex, &plug);
        future_unref(r.earlier);
        r.later = submit(r.ex, identity, &r);
        same = r.later == r.earlier;
        gate_open(&r.next);
        await_elsewhere(waiter);
        eq_ptr(take(waiter), &r);
        plug_out(&plug);
        eq_ptr(take(plugged), &plug);
        ok(executor_shutdown(r.ex, EXECUTOR_DRAIN));
        ok(executor_join(r.ex, EXEC_NEVER));
        ok(executor_stats(r.ex, &stats));
        eq_int(stats.queued, 0);
        executor_destroy(r.ex);
    }
#if !defined(EXEC_PLAIN_FUTURES) && !defined(__SANITIZE_ADDRESS__)
    check(same);
#endif
}
