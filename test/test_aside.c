/* test_aside.c - inside the bounded queue: items that count against its capacity and lie elsewhere, beside those in the
 * ring; and what becomes of its positions when the bits that tail has for them are used up. */
#include "helpers.h"

#include "queue.h"

enum { POSITION_BITS = 44, PRODUCERS = 4 };

static struct exec_queue *queue(size_t capacity) {
    exec_queue_t *q = NULL;
    ok(exec_queue_create(capacity, &q));
    return q;
}

static void no_room(struct exec_queue *q) {
    eq_err(exec__queue_try_reserve(q), EAGAIN);
    eq_err(exec__queue_try_put(q, q), EAGAIN);
}

/* So many of each, which fill the queue: each place that becomes free is for one of either kind. */
static void fill_and_refill(size_t aside, size_t in_ring) {
    struct exec_queue *q = queue(aside + in_ring);
    void *item;
    for (size_t i = 0; i < aside; i++)
        ok(exec__queue_try_reserve(q));
    for (size_t i = 0; i < in_ring; i++)
        ok(exec__queue_try_put(q, q));
    no_room(q);
    for (size_t i = 0; i < aside; i++) {
        exec__queue_unreserve(q);
        ok(exec__queue_try_put(q, q));
        no_room(q);
    }
    eq_int(exec_queue_len(q), aside + in_ring);
    for (size_t i = 0; i < aside + in_ring; i++) {
        eq_int(exec__queue_try_get(q, &item), EXEC__TAKEN);
        ok(exec__queue_try_reserve(q));
        no_room(q);
    }
    check(exec__queue_empty(q));
    exec_queue_destroy(q);
}

TEST(aside, both_kinds_count_together) {
    for (size_t aside = 0; aside <= 5; aside++)
        for (size_t in_ring = aside == 0; in_ring <= 5; in_ring++)
            fill_and_refill(aside, in_ring);
}

TEST(aside, a_closed_queue_takes_none) {
    struct exec_queue *q = queue(2);
    ok(exec__queue_try_reserve(q));
    exec_queue_close(q);
    eq_err(exec__queue_try_reserve(q), EPIPE);
    eq_err(exec__queue_reserve(q, EXEC_NEVER, EXEC_NEVER), EPIPE);
    exec__queue_unreserve(q);
    eq_err(exec__queue_try_put(q, q), EPIPE);
    eq_err(exec_queue_get(q, EXEC_NEVER, &(void *){NULL}), EPIPE);
    exec_queue_destroy(q);
}

/* Far more than the tag has values: whatever they were, the closed bit and the positions are not touched. */
TEST(aside, the_tag_goes_round) {
    struct exec_queue *q = queue(2);
    void *item = NULL;
    ok(exec__queue_try_put(q, q));
    for (int i = 0; i < 600000; i++) {
        ok(exec__queue_try_reserve(q));
        if (i % 1000 == 0)
            eq_err(exec__queue_try_put(q, q), EAGAIN);
        exec__queue_unreserve(q);
    }
    eq_int(exec_queue_len(q), 1);
    ok(exec_queue_get(q, EXEC_NOW, &item));
    eq_ptr(item, q);
    eq_err(exec_queue_get(q, EXEC_NOW, &item), ETIMEDOUT);
    exec_queue_destroy(q);
}

/* As if so many items had gone through it. */
static void move_on(struct exec_queue *q, uint64_t position) {
    atomic_store(&q->head, position);
    atomic_store(&q->head_seen, position);
    atomic_store(&q->tail, position & ((UINT64_C(1) << POSITION_BITS) - 1));
    for (uint64_t at = position; at < position + q->nslots; at++)
        atomic_store(&q->slots[at & (q->nslots - 1)].turn, 2 * (at >> q->shift));
}

TEST(aside, positions_go_on_when_their_bits_in_tail_are_used_up) {
    const uint64_t laps[] = {1, 2, 3, 200000};
    for (size_t capacity = 1; capacity <= 9; capacity++)
        for (size_t lap = 0; lap < sizeof laps / sizeof *laps; lap++) {
            struct exec_queue *q = queue(capacity);
            move_on(q, (laps[lap] << POSITION_BITS) - 20);
            uint64_t begin = exec__queue_begin(q);
            size_t put = 0, got = 0;
            for (int round = 0; round < 50; round++) {
                while (exec__queue_try_put(q, (void *)(uintptr_t)(put + 1)) == 0)
                    put++;
                eq_int(put - got, capacity);
                eq_int(exec_queue_len(q), capacity);
                eq_int(exec__queue_end(q), begin + put);
                eq_err(exec__queue_try_reserve(q), EAGAIN);
                for (size_t i = 0; i <= (size_t)round % capacity; i++) {
                    void *item = NULL;
                    ok(exec_queue_get(q, EXEC_NOW, &item));
                    eq_int((uintptr_t)item, ++got);
                }
                eq_int(exec__queue_begin(q), begin + got);
            }
            check(begin + got > laps[lap] << POSITION_BITS);
            exec_queue_destroy(q);
        }
}

/* ---- races ---- */

/* Producers of both kinds, and a count of what is in, which is raised after and lowered before it is so. */
struct race {
    struct exec_queue *q;
    atomic_int in, producing;
    int rounds;
};

static void raise_count(struct race *r) {
    at_most(atomic_fetch_add(&r->in, 1) + 1, (intmax_t)r->q->capacity);
}

static void *put_them(void *arg) {
    struct race *r = arg;
    for (int i = 0; i < r->rounds; i++) {
        ok(exec__queue_put(r->q, r, exec_after(LIMIT), EXEC_NEVER));
        raise_count(r);
    }
    atomic_fetch_sub(&r->producing, 1);
    return NULL;
}

static void *reserve_them(void *arg) {
    struct race *r = arg;
    for (int i = 0; i < r->rounds; i++) {
        ok(exec__queue_reserve(r->q, exec_after(LIMIT), EXEC_NEVER));
        raise_count(r);
        if (i % 3 == 0)
            sched_yield();
        atomic_fetch_sub(&r->in, 1);
        exec__queue_unreserve(r->q);
    }
    atomic_fetch_sub(&r->producing, 1);
    return NULL;
}

/* Takes an item only when it has been counted. */
static void *get_them(void *arg) {
    struct race *r = arg;
    for (int i = 0; i < r->rounds * PRODUCERS / 2; i++) {
        void *item;
        int in = 0;
        wait_until((in = atomic_load(&r->in)) > 0 && exec_queue_len(r->q) > 0);
        atomic_fetch_sub(&r->in, 1);
        while (exec__queue_try_get(r->q, &item) != EXEC__TAKEN)
            sched_yield();
    }
    return NULL;
}

TEST(aside, no_more_are_in_than_there_is_room_for_whoever_races) {
    for (size_t capacity = 1; capacity <= 4; capacity++) {
        struct race r = {.q = queue(capacity), .producing = PRODUCERS, .rounds = 2000};
        pthread_t threads[PRODUCERS + 1];
        for (int i = 0; i < PRODUCERS; i++)
            threads[i] = start(i % 2 ? put_them : reserve_them, &r);
        threads[PRODUCERS] = start(get_them, &r);
        for (int i = 0; i <= PRODUCERS; i++)
            finish(threads[i]);
        eq_int(atomic_load(&r.in), 0);
        eq_int(atomic_load(&r.q->aside), 0);
        exec_queue_destroy(r.q);
    }
}
