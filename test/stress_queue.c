/* stress_queue.c - full and empty queues, the public one and the executor's own, at capacity 1 and 2 above all.
 *
 * Producers and consumers with random deadlines go through a queue that is closed at a random moment, or when all is
 * done. An item is a producer's number and a sequence number. Nothing may be lost or come twice, each consumer must
 * see each producer's items in order, the queue may never hold more than its capacity, and after a close nothing goes
 * in and what went in comes out. Then the same through executors of one and two workers, with each policy for a full
 * queue.
 */
#include "stress.h"

enum { MAX_SIDE = 4, MAX_ITEMS = 4096 };

static atomic_uint_fast64_t total_items, total_timeouts, total_tasks, total_refused;

static exec_time random_deadline(struct stress_rng *rng) {
    switch (stress_below(rng, 4)) {
    case 0: return EXEC_NOW;
    case 1: return exec_after(EXEC_US(stress_below(rng, 200)));
    case 2: return exec_after(EXEC_SEC(300));
    default: return EXEC_NEVER;
    }
}

/* ---- the public queue ---- */

struct line {
    exec_queue_t *queue;
    size_t capacity;
    uint32_t per_producer;
    atomic_bool closed;  /* a close has returned */
    atomic_bool drained; /* a get has returned EPIPE */
    atomic_long puts;    /* that have returned 0 */
    atomic_long gets;    /* that have begun, and not failed */
    atomic_uchar got[MAX_SIDE][MAX_ITEMS];
    uint32_t put[MAX_SIDE]; /* how many each producer put; read after the join */
};

struct hand {
    struct line *line;
    struct stress_rng rng;
    unsigned number;
    pthread_t thread;
};

static void *item_of(unsigned producer, uint32_t sequence) {
    return (void *)(uintptr_t)((uintptr_t)producer << 32 | sequence);
}

static void check_timeout(exec_time deadline) {
    atomic_fetch_add_explicit(&total_timeouts, 1, memory_order_relaxed);
    CHECK_OP(exec_now(), >=, deadline);
}

/* The puts first: what is counted from then on makes the difference smaller. */
static void check_capacity(struct line *line) {
    long puts = atomic_fetch_add(&line->puts, 1) + 1;
    CHECK_OP(puts - atomic_load(&line->gets), <=, (long)line->capacity);
}

static void *produce(void *arg) {
    struct hand *h = arg;
    struct line *line = h->line;
    uint32_t next = 0;
    while (next < line->per_producer) {
        exec_time deadline = random_deadline(&h->rng);
        bool closed = atomic_load(&line->closed);
        stress_doing("put", h->number, next);
        int error = exec_queue_put(line->queue, item_of(h->number, next), deadline);
        CHECK_ERROR(error, 0, ETIMEDOUT, EPIPE);
        if (error == 0) {
            CHECK(!closed);
            check_capacity(line);
            next++;
        } else if (error == ETIMEDOUT) {
            check_timeout(deadline);
        } else {
            break;
        }
        stress_pause(&h->rng);
    }
    line->put[h->number] = next;
    stress_leave();
    return NULL;
}

static void take_item(struct line *line, void *item, int64_t last[MAX_SIDE]) {
    unsigned producer = (unsigned)((uintptr_t)item >> 32);
    uint32_t sequence = (uint32_t)(uintptr_t)item;
    CHECK_OP(producer, <, MAX_SIDE);
    CHECK_OP(sequence, <, line->per_producer);
    CHECK_OP(sequence, >, last[producer]);
    last[producer] = sequence;
    CHECK_EQ(atomic_fetch_add(&line->got[producer][sequence], 1), 0);
}

static void *consume(void *arg) {
    struct hand *h = arg;
    struct line *line = h->line;
    int64_t last[MAX_SIDE] = {-1, -1, -1, -1};
    for (uint64_t turn = 0;; turn++) {
        exec_time deadline = random_deadline(&h->rng);
        bool drained = atomic_load(&line->drained);
        void *item = line;
        stress_doing("get", h->number, turn);
        atomic_fetch_add(&line->gets, 1);
        int error = exec_queue_get(line->queue, deadline, &item);
        CHECK_ERROR(error, 0, ETIMEDOUT, EPIPE);
        if (error == 0) {
            CHECK(!drained);
            take_item(line, item, last);
        } else {
            CHECK_PTR(item, line);
            atomic_fetch_sub(&line->gets, 1);
            if (error == EPIPE)
                break;
            CHECK(!drained);
            check_timeout(deadline);
        }
        CHECK_OP(exec_queue_len(line->queue), <=, line->capacity);
        stress_pause(&h->rng);
    }
    atomic_store(&line->drained, true);
    stress_leave();
    return NULL;
}

static void start_hands(struct hand *hands, unsigned n, struct line *line, struct stress_rng *rng,
                        void *(*fn)(void *)) {
    for (unsigned i = 0; i < n; i++) {
        hands[i] = (struct hand){.line = line, .rng = {stress_next(rng)}, .number = i};
        stress_start(&hands[i].thread, fn, &hands[i]);
    }
}

static void join_hands(struct hand *hands, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        pthread_join(hands[i].thread, NULL);
}

static void check_line(struct line *line) {
    void *item;
    CHECK_ERROR(exec_queue_get(line->queue, EXEC_NEVER, &item), EPIPE);
    CHECK_ERROR(exec_queue_put(line->queue, NULL, EXEC_NEVER), EPIPE);
    CHECK_EQ(exec_queue_len(line->queue), 0);
    for (unsigned p = 0; p < MAX_SIDE; p++)
        for (uint32_t i = 0; i < line->per_producer; i++)
            CHECK_EQ(atomic_load(&line->got[p][i]), i < line->put[p] ? 1 : 0);
    for (unsigned p = 0; p < MAX_SIDE; p++)
        atomic_fetch_add_explicit(&total_items, line->put[p], memory_order_relaxed);
}

/* Closes when the producers are done, or at a random moment before. */
static void public_round(struct stress_rng *rng, size_t capacity) {
    struct line *line = stress_alloc(1, sizeof *line);
    struct hand producers[MAX_SIDE], consumers[MAX_SIDE];
    unsigned nproducers = 1 + stress_below(rng, MAX_SIDE), nconsumers = 1 + stress_below(rng, MAX_SIDE);
    bool early = stress_percent(rng, 50);
    line->capacity = capacity;
    line->per_producer = 1 + stress_below(rng, 400);
    CHECK_ERROR(exec_queue_create(capacity, &line->queue), 0);
    start_hands(consumers, nconsumers, line, rng, consume);
    start_hands(producers, nproducers, line, rng, produce);
    if (early)
        stress_nap(EXEC_US(stress_below(rng, 2000)));
    else
        join_hands(producers, nproducers);
    exec_queue_close(line->queue);
    atomic_store(&line->closed, true);
    exec_queue_close(line->queue);
    if (early)
        join_hands(producers, nproducers);
    stress_doing("joining the consumers", capacity, nconsumers);
    join_hands(consumers, nconsumers);
    check_line(line);
    exec_queue_destroy(line->queue);
    free(line);
}

/* ---- the executor's own queue ---- */

struct ticket {
    struct shop *shop;
    uint32_t producer, sequence;
    atomic_uchar runs, drops;
    future_t *future;
};

struct shop {
    executor_t *ex;
    enum executor_when_full when_full;
    unsigned workers;
    uint32_t per_producer;
    atomic_bool shut;       /* a shutdown has returned */
    bool discards;          /* r/o after init: the shutdown discards */
    int64_t last[MAX_SIDE]; /* with one worker: the worker's */
    struct ticket *tickets[MAX_SIDE];
    uint32_t accepted[MAX_SIDE]; /* read after the join */
};

struct customer {
    struct shop *shop;
    struct stress_rng rng;
    unsigned number;
    pthread_t thread;
};

static _Thread_local bool is_customer;

static void *serve(void *arg) {
    struct ticket *t = arg;
    CHECK_EQ(atomic_fetch_add(&t->runs, 1), 0);
    if (t->shop->workers == 1 && !is_customer) {
        CHECK_OP(t->sequence, >, t->shop->last[t->producer]);
        t->shop->last[t->producer] = t->sequence;
    }
    return t;
}

static void turn_away(void *arg) {
    struct ticket *t = arg;
    CHECK_EQ(atomic_fetch_add(&t->drops, 1), 0);
}

/* What submit may say to a producer, by the contract. */
static void check_refusal(struct customer *c, int error, exec_time began, exec_time room_wait, bool shut) {
    struct shop *shop = c->shop;
    atomic_fetch_add_explicit(&total_refused, error != 0, memory_order_relaxed);
    if (shut)
        CHECK_ERROR(error, ESHUTDOWN);
    else if (shop->when_full == EXECUTOR_REJECT)
        CHECK_ERROR(error, 0, ESHUTDOWN, EAGAIN);
    else if (shop->when_full == EXECUTOR_BLOCK && room_wait > 0)
        CHECK_ERROR(error, 0, ESHUTDOWN, ETIMEDOUT);
    else
        CHECK_ERROR(error, 0, ESHUTDOWN);
    if (error == ETIMEDOUT)
        CHECK_OP(exec_now() - began, >=, room_wait);
}

static void *shopping(void *arg) {
    struct customer *c = arg;
    struct shop *shop = c->shop;
    is_customer = true;
    for (uint32_t next = 0; next < shop->per_producer;) {
        struct ticket *t = &shop->tickets[c->number][next];
        exec_task_opts opts = {.drop = turn_away,
                               .room_wait = stress_percent(&c->rng, 50) ? 1 + EXEC_US(stress_below(&c->rng, 200)) : 0};
        *t = (struct ticket){.shop = shop, .producer = c->number, .sequence = next};
        bool shut = atomic_load(&shop->shut);
        exec_time began = exec_now();
        stress_doing("submit", c->number, next);
        int error = executor_submit(shop->ex, serve, t, &opts, &t->future);
        check_refusal(c, error, began, opts.room_wait, shut);
        if (error == ESHUTDOWN)
            break;
        if (error == 0)
            next++;
        else
            CHECK_PTR(t->future, NULL);
        shop->accepted[c->number] = next;
        stress_pause(&c->rng);
    }
    stress_leave();
    return NULL;
}

static void settle(struct shop *shop, struct ticket *t) {
    void *result = shop;
    int error = future_get(t->future, &result);
    CHECK_EQ(atomic_load(&t->runs) + atomic_load(&t->drops), 1);
    CHECK_ERROR(error, atomic_load(&t->runs) ? 0 : ECANCELED);
    CHECK_PTR(result, error == 0 ? t : NULL);
    CHECK_EQ(future_state(t->future), error == 0 ? FUTURE_DONE : FUTURE_CANCELLED);
    if (shop->when_full != EXECUTOR_DROP_OLDEST && !shop->discards)
        CHECK_ERROR(error, 0);
    CHECK_PTR(future_arg(t->future), t);
    future_unref(t->future);
    atomic_fetch_add_explicit(&total_tasks, 1, memory_order_relaxed);
}

static void executor_round(struct stress_rng *rng, size_t capacity, enum executor_when_full when_full) {
    struct shop *shop = stress_alloc(1, sizeof *shop);
    struct customer customers[MAX_SIDE];
    unsigned n = 1 + stress_below(rng, MAX_SIDE);
    *shop = (struct shop){.when_full = when_full,
                          .workers = 1 + stress_below(rng, 2),
                          .per_producer = 1 + stress_below(rng, 300),
                          .discards = stress_percent(rng, 30),
                          .last = {-1, -1, -1, -1}};
    CHECK_ERROR(
        executor_create(&(executor_opts){.workers = shop->workers, .capacity = capacity, .when_full = when_full},
                        &shop->ex),
        0);
    bool early = stress_percent(rng, 40);
    for (unsigned i = 0; i < n; i++) {
        shop->tickets[i] = stress_alloc(shop->per_producer, sizeof *shop->tickets[i]);
        customers[i] = (struct customer){.shop = shop, .rng = {stress_next(rng)}, .number = i};
        stress_start(&customers[i].thread, shopping, &customers[i]);
    }
    for (unsigned i = 0; !early && i < n; i++)
        pthread_join(customers[i].thread, NULL);
    if (early)
        stress_nap(EXEC_US(stress_below(rng, 2000)));
    CHECK_ERROR(executor_shutdown(shop->ex, shop->discards ? EXECUTOR_DISCARD : EXECUTOR_DRAIN), 0);
    atomic_store(&shop->shut, true);
    for (unsigned i = 0; early && i < n; i++)
        pthread_join(customers[i].thread, NULL);
    stress_doing("destroying an executor", capacity, when_full);
    executor_destroy(shop->ex);
    for (unsigned i = 0; i < n; i++) {
        for (uint32_t k = 0; k < shop->accepted[i]; k++)
            settle(shop, &shop->tickets[i][k]);
        free(shop->tickets[i]);
    }
    free(shop);
}

int main(int argc, char **argv) {
    static const size_t capacities[] = {1, 2, 1, 2, 3, 7, 64};
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    for (size_t round = stress_scaled(350); round > 0; round--) {
        size_t capacity = capacities[round % 7];
        public_round(&rng, capacity);
        executor_round(&rng, capacity, (enum executor_when_full)stress_below(&rng, 4));
    }
    stress_leave();
    double seconds = stress_end();
    printf("stress_queue: %" PRIu64 " items and %" PRIu64 " timeouts in the public queue, %" PRIu64
           " tasks and %" PRIu64 " refusals in executors', %.1f s\n",
           (uint64_t)total_items, (uint64_t)total_timeouts, (uint64_t)total_tasks, (uint64_t)total_refused, seconds);
    return 0;
}
