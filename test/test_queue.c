/* test_queue.c - the public bounded queue: order, capacity, deadlines, closing, many on both sides. */
#include "helpers.h"

static const size_t capacities[] = {1, 2, 3, 1000};
enum { CAPACITIES = sizeof capacities / sizeof *capacities };

static exec_queue_t *queue(size_t capacity) {
    exec_queue_t *q = NULL;
    ok(exec_queue_create(capacity, &q));
    check(q != NULL);
    return q;
}

static void put(exec_queue_t *q, intptr_t number) {
    ok(exec_queue_put(q, (void *)number, EXEC_NEVER));
}

static void gets(exec_queue_t *q, intptr_t number) {
    void *item = &item;
    ok(exec_queue_get(q, EXEC_NEVER, &item));
    eq_int((intptr_t)item, number);
}

/* ---- alone ---- */

TEST(queue, a_capacity_of_none_or_too_much_is_einval) {
    exec_queue_t *none = (exec_queue_t *)&none, *q = none;
    eq_err(exec_queue_create(0, &q), EINVAL);
    eq_err(exec_queue_create(((size_t)1 << 40) + 1, &q), EINVAL);
    eq_err(exec_queue_create(SIZE_MAX, &q), EINVAL);
    eq_err(exec_queue_create(1, NULL), EINVAL);
    eq_ptr(q, none);
}

TEST(queue, what_is_null_is_einval) {
    exec_queue_t *q = queue(1);
    void *item = q;
    eq_err(exec_queue_put(NULL, NULL, EXEC_NOW), EINVAL);
    eq_err(exec_queue_get(NULL, EXEC_NOW, &item), EINVAL);
    eq_err(exec_queue_get(q, EXEC_NOW, NULL), EINVAL);
    eq_ptr(item, q);
    exec_queue_destroy(q);
    exec_queue_destroy(NULL);
}

TEST(queue, it_takes_as_many_as_its_capacity_and_gives_them_back_in_order) {
    for (int c = 0; c < CAPACITIES; c++) {
        intptr_t n = (intptr_t)capacities[c];
        exec_queue_t *q = queue(capacities[c]);
        for (int lap = 0; lap < 5; lap++) {
            for (intptr_t i = 0; i < n; i++) {
                eq_int(exec_queue_len(q), i);
                ok(exec_queue_put(q, (void *)(lap + i), i % 2 ? EXEC_NOW : EXEC_NEVER));
            }
            eq_int(exec_queue_len(q), n);
            eq_err(exec_queue_put(q, NULL, EXEC_NOW), ETIMEDOUT);
            for (intptr_t i = 0; i < n; i++)
                gets(q, lap + i);
            eq_int(exec_queue_len(q), 0);
        }
        exec_queue_destroy(q);
    }
}

TEST(queue, one_in_one_out_goes_round_and_round) {
    for (int c = 0; c < CAPACITIES; c++) {
        exec_queue_t *q = queue(capacities[c]);
        intptr_t behind = (intptr_t)capacities[c] - 1, n = behind + 2000;
        for (intptr_t i = 0; i < behind; i++)
            put(q, i);
        for (intptr_t i = behind; i < n; i++) {
            put(q, i);
            gets(q, i - behind);
        }
        eq_int(exec_queue_len(q), behind);
        exec_queue_destroy(q);
    }
}

TEST(queue, an_item_may_be_null) {
    void *item = &item;
    exec_queue_t *q = queue(2);
    ok(exec_queue_put(q, NULL, EXEC_NOW));
    eq_int(exec_queue_len(q), 1);
    ok(exec_queue_get(q, EXEC_NOW, &item));
    eq_ptr(item, NULL);
    exec_queue_destroy(q);
}

TEST(queue, an_empty_queue_ends_get_at_its_deadline_and_not_before) {
    exec_queue_t *q = queue(1);
    void *item = q;
    eq_err(exec_queue_get(q, EXEC_NOW, &item), ETIMEDOUT);
    eq_err(exec_queue_get(q, exec_after(EXEC_MS(-1)), &item), ETIMEDOUT);
    eq_err(exec_queue_get(q, -1, &item), ETIMEDOUT);
    exec_time deadline = exec_after(EXEC_MS(20));
    eq_err(exec_queue_get(q, deadline, &item), ETIMEDOUT);
    at_least(exec_now(), deadline);
    exec_queue_destroy(q);
}

TEST(queue, a_full_queue_ends_put_at_its_deadline_and_not_before) {
    for (int c = 0; c < CAPACITIES; c++) {
        exec_queue_t *q = queue(capacities[c]);
        for (size_t i = 0; i < capacities[c]; i++)
            put(q, 1);
        eq_err(exec_queue_put(q, NULL, EXEC_NOW), ETIMEDOUT);
        exec_time deadline = exec_after(EXEC_MS(20));
        eq_err(exec_queue_put(q, NULL, deadline), ETIMEDOUT);
        at_least(exec_now(), deadline);
        eq_int(exec_queue_len(q), capacities[c]);
        exec_queue_destroy(q);
    }
}

TEST(queue, a_closed_queue_refuses_puts_and_gives_out_what_is_in_it) {
    for (int c = 0; c < CAPACITIES; c++) {
        void *item;
        intptr_t n = (intptr_t)capacities[c];
        exec_queue_t *q = queue(capacities[c]);
        for (intptr_t i = 0; i < n; i++)
            put(q, i);
        exec_queue_close(q);
        exec_queue_close(q);
        eq_err(exec_queue_put(q, NULL, EXEC_NOW), EPIPE);
        eq_err(exec_queue_put(q, NULL, EXEC_NEVER), EPIPE);
        eq_int(exec_queue_len(q), n);
        for (intptr_t i = 0; i < n; i++) {
            gets(q, i);
            eq_err(exec_queue_put(q, NULL, EXEC_NEVER), EPIPE);
        }
        eq_err(exec_queue_get(q, EXEC_NEVER, &item), EPIPE);
        eq_err(exec_queue_get(q, EXEC_NOW, &item), EPIPE);
        exec_queue_close(q);
        exec_queue_destroy(q);
    }
}

TEST(queue, what_is_still_in_it_remains_the_callers) {
    int value = 7;
    exec_queue_t *q = queue(3);
    ok(exec_queue_put(q, &value, EXEC_NOW));
    exec_queue_destroy(q);
    eq_int(value, 7);
}

TEST(queue, errno_is_left_alone) {
    void *item;
    exec_queue_t *q = queue(1);
    errno = 1234;
    ok(exec_queue_put(q, NULL, EXEC_NEVER));
    eq_err(exec_queue_put(q, NULL, exec_after(EXEC_MS(1))), ETIMEDOUT);
    ok(exec_queue_get(q, EXEC_NEVER, &item));
    eq_err(exec_queue_get(q, exec_after(EXEC_MS(1)), &item), ETIMEDOUT);
    exec_queue_close(q);
    eq_err(exec_queue_get(q, EXEC_NEVER, &item), EPIPE);
    exec_queue_len(q);
    exec_queue_destroy(q);
    eq_err(exec_queue_create(0, &q), EINVAL);
    eq_int(errno, 1234);
}

/* ---- those who wait ---- */

struct visitor {
    exec_queue_t *q;
    void *item;
    exec_time deadline;
    atomic_int tid;
    int error;
};

static void *visit_put(void *arg) {
    struct visitor *v = arg;
    atomic_store(&v->tid, gettid());
    v->error = exec_queue_put(v->q, v->item, v->deadline);
    return NULL;
}

static void *visit_get(void *arg) {
    struct visitor *v = arg;
    atomic_store(&v->tid, gettid());
    v->error = exec_queue_get(v->q, v->deadline, &v->item);
    return NULL;
}

enum { VISITORS = 4 };

static void start_visitors(exec_queue_t *q, struct visitor vs[], pthread_t threads[], void *(*fn)(void *)) {
    for (int i = 0; i < VISITORS; i++) {
        vs[i] = (struct visitor){.q = q, .item = &vs[i], .deadline = i % 2 ? exec_after(LIMIT) : EXEC_NEVER};
        threads[i] = start(fn, &vs[i]);
    }
    for (int i = 0; i < VISITORS; i++)
        wait_until_asleep(&vs[i].tid);
}

static void finish_visitors(struct visitor vs[], const pthread_t threads[], int error) {
    for (int i = 0; i < VISITORS; i++) {
        finish(threads[i]);
        eq_err(vs[i].error, error);
    }
}

TEST(queue, closing_wakes_all_who_wait_for_room) {
    for (int c = 0; c < CAPACITIES; c++) {
        struct visitor vs[VISITORS];
        pthread_t threads[VISITORS];
        exec_queue_t *q = queue(capacities[c]);
        for (size_t i = 0; i < capacities[c]; i++)
            put(q, 1);
        start_visitors(q, vs, threads, visit_put);
        exec_queue_close(q);
        finish_visitors(vs, threads, EPIPE);
        eq_int(exec_queue_len(q), capacities[c]);
        exec_queue_destroy(q);
    }
}

TEST(queue, closing_wakes_all_who_wait_for_an_item) {
    for (int c = 0; c < CAPACITIES; c++) {
        struct visitor vs[VISITORS];
        pthread_t threads[VISITORS];
        exec_queue_t *q = queue(capacities[c]);
        start_visitors(q, vs, threads, visit_get);
        exec_queue_close(q);
        finish_visitors(vs, threads, EPIPE);
        exec_queue_destroy(q);
    }
}

TEST(queue, each_item_wakes_one_who_waits_for_it) {
    for (int c = 0; c < CAPACITIES; c++) {
        struct visitor vs[VISITORS];
        pthread_t threads[VISITORS];
        intptr_t sum = 0;
        exec_queue_t *q = queue(capacities[c]);
        start_visitors(q, vs, threads, visit_get);
        for (intptr_t i = 1; i <= VISITORS; i++)
            put(q, i);
        finish_visitors(vs, threads, 0);
        for (int i = 0; i < VISITORS; i++)
            sum += (intptr_t)vs[i].item;
        eq_int(sum, VISITORS * (VISITORS + 1) / 2);
        exec_queue_destroy(q);
    }
}

TEST(queue, each_item_taken_lets_one_in_who_waits_for_room) {
    for (int c = 0; c < 3; c++) {
        struct visitor vs[VISITORS];
        pthread_t threads[VISITORS];
        void *item;
        bool seen[VISITORS] = {0};
        exec_queue_t *q = queue(capacities[c]);
        for (size_t i = 0; i < capacities[c]; i++)
            put(q, 1);
        start_visitors(q, vs, threads, visit_put);
        for (size_t i = 0; i < capacities[c]; i++)
            gets(q, 1);
        for (int i = 0; i < VISITORS; i++) {
            ok(exec_queue_get(q, EXEC_NEVER, &item));
            check(!seen[(struct visitor *)item - vs]);
            seen[(struct visitor *)item - vs] = true;
        }
        finish_visitors(vs, threads, 0);
        exec_queue_destroy(q);
    }
}

TEST(queue, pthread_cancel_ends_a_wait_and_leaves_the_queue_usable) {
    for (int round = 0; round < 30; round++) {
        struct visitor getter = {.q = queue(1), .deadline = EXEC_NEVER};
        pthread_t thread = start(visit_get, &getter);
        if (round % 2)
            wait_until_asleep(&getter.tid);
        pthread_cancel(thread);
        eq_ptr(finish(thread), PTHREAD_CANCELED);
        put(getter.q, 5);
        struct visitor putter = {.q = getter.q, .deadline = EXEC_NEVER, .item = &getter};
        thread = start(visit_put, &putter);
        if (round % 2)
            wait_until_asleep(&putter.tid);
        pthread_cancel(thread);
        eq_ptr(finish(thread), PTHREAD_CANCELED);
        gets(getter.q, 5);
        eq_int(exec_queue_len(getter.q), 0);
        exec_queue_destroy(getter.q);
    }
}

TEST(queue, who_is_cancelled_passes_its_item_on) {
    for (int round = 0; round < 30; round++) {
        exec_queue_t *q = queue(2);
        struct visitor a = {.q = q, .deadline = EXEC_NEVER}, b = {.q = q, .deadline = EXEC_NEVER};
        pthread_t ta = start(visit_get, &a), tb = start(visit_get, &b);
        wait_until_asleep(&a.tid), wait_until_asleep(&b.tid);
        put(q, 1);
        pthread_cancel(ta);
        bool a_left = finish(ta) == PTHREAD_CANCELED;
        if (!a_left)
            put(q, 2);
        finish(tb);
        eq_int((intptr_t)b.item + (a_left ? 0 : (intptr_t)a.item), a_left ? 1 : 3);
        exec_queue_destroy(q);
    }
}

/* ---- many on both sides ---- */

enum { SIDES = 3, EACH = 1000 };

struct traffic {
    exec_queue_t *q;
    atomic_uchar seen[SIDES * EACH];
    atomic_int next_producer, got;
    bool impatient;
};

static exec_time patience(const struct traffic *t) {
    return t->impatient ? exec_after(EXEC_US(20)) : EXEC_NEVER;
}

static void *produce(void *arg) {
    struct traffic *t = arg;
    intptr_t from = atomic_fetch_add(&t->next_producer, 1) * EACH;
    for (intptr_t i = from; i < from + EACH; i++) {
        int error;
        while ((error = exec_queue_put(t->q, (void *)i, patience(t))) == ETIMEDOUT) {
        }
        ok(error);
    }
    return NULL;
}

/* What comes from one producer comes in its order. */
static void *consume(void *arg) {
    struct traffic *t = arg;
    intptr_t last[SIDES] = {-1, -1, -1};
    for (;;) {
        void *item;
        int error = exec_queue_get(t->q, patience(t), &item);
        if (error == EPIPE)
            return NULL;
        if (error == ETIMEDOUT)
            continue;
        ok(error);
        intptr_t i = (intptr_t)item;
        check(i % EACH > last[i / EACH]);
        last[i / EACH] = i % EACH;
        atomic_fetch_add(&t->seen[i], 1);
        atomic_fetch_add(&t->got, 1);
    }
}

static void all_arrives(size_t capacity, int producers, int consumers, bool impatient) {
    static struct traffic t;
    pthread_t ps[SIDES], cs[SIDES];
    t = (struct traffic){.q = queue(capacity), .impatient = impatient};
    for (int i = 0; i < consumers; i++)
        cs[i] = start(consume, &t);
    for (int i = 0; i < producers; i++)
        ps[i] = start(produce, &t);
    for (int i = 0; i < producers; i++)
        finish(ps[i]);
    exec_queue_close(t.q);
    for (int i = 0; i < consumers; i++)
        finish(cs[i]);
    eq_int(atomic_load(&t.got), producers * EACH);
    for (int i = 0; i < producers * EACH; i++)
        eq_int(atomic_load(&t.seen[i]), 1);
    eq_int(exec_queue_len(t.q), 0);
    exec_queue_destroy(t.q);
}

TEST(queue, between_many_producers_and_consumers_nothing_is_lost_or_doubled) {
    for (int c = 0; c < CAPACITIES; c++) {
        all_arrives(capacities[c], 3, 3, false);
        all_arrives(capacities[c], 3, 1, false);
        all_arrives(capacities[c], 1, 3, false);
        all_arrives(capacities[c], 1, 1, false);
    }
}

TEST(queue, deadlines_that_pass_lose_nothing_either) {
    for (int c = 0; c < CAPACITIES; c++)
        all_arrives(capacities[c], 3, 3, true);
}

/* ---- in tasks ---- */

static void *relay(void *arg) {
    struct visitor *v = arg;
    for (int i = 0; i < 100; i++)
        put(v->q, i);
    exec_queue_close(v->q);
    return NULL;
}

static void *drain_it(void *arg) {
    struct visitor *v = arg;
    void *item;
    int n = 0;
    while (!exec_queue_get(v->q, EXEC_NEVER, &item))
        eq_int((intptr_t)item, n++);
    return as_error(n);
}

TEST(queue, tasks_may_put_and_get) {
    struct visitor v = {.q = queue(2)};
    executor_t *ex = pool(2);
    future_t *from = submit(ex, drain_it, &v), *to = submit(ex, relay, &v);
    eq_int((intptr_t)take(from), 100);
    take(to);
    executor_destroy(ex);
    exec_queue_destroy(v.q);
}

TEST(queue, without_one_nothing_is_in_it_and_closing_does_nothing) {
    exec_queue_close(NULL);
    eq_int(exec_queue_len(NULL), 0);
}
