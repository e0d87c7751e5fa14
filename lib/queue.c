/* queue.c - the bounded queue: the executor's own, and the public one.
 *
 * Model: test/model/queue.pml.
 *
 * A ring of slots, each with a turn that says whose it is, so that producers and consumers meet without a lock; a mutex
 * and two condition variables only for those who find it full or empty and sleep.
 *
 * The ring. Items lie at the positions from head to tail - 1; position p is slot p % nslots in lap p / nslots. A
 * producer reserves a position by a compare-and-swap on tail, writes the item, and publishes it by the turn 2 * lap + 1
 * (release; pairs with the consumer's acquire). A consumer takes a position by a compare-and-swap on head, reads the
 * item, and hands the slot to the next lap by the turn 2 * lap + 2 (release; pairs with the producer's acquire). tail -
 * head never exceeds the capacity, but for `dead`, since a producer compares them before it reserves, and head only
 * grows. head_seen spares producers the consumers' cache line: it is at most head, so it errs to the safe side, and is
 * brought up to date only when the queue looks full. tail has the lower bits of its position alone; the others follow
 * from any head that is not 2^44 items old.
 *
 * Items aside count against the capacity, and lie elsewhere (a task with a priority, lanes.c): tail - head + aside does
 * not exceed the capacity. Who puts one aside looks for room at a tail as any producer does, then sets the bit COUNTING
 * in it by a compare-and-swap, counts, and clears the bit with another tag. Producers wait for the few instructions in
 * between. So a reservation of either kind, which read tail first (acquire) and aside after it, and then succeeds from
 * that tail, has missed no other one: the tag comes back only after 2^18 items were put aside and none into the ring,
 * all of that between a producer's look and its next step. (It would be one item too many for a while, no more.)
 *
 * Dead items, which their consumer will throw away (a task that was cancelled), stay where they are, and do not count:
 * `dead` does that. They may fill the slots, though. Then a producer sweeps: it sets a bit in head, at which consumers
 * and other sweepers wait, moves the items that are alive up to tail, and head behind them. So the order remains, head
 * only grows, and it costs nobody anything where fewer are cancelled than there are slots to spare. A sweeper uncounts
 * the dead before it moves head, so nobody finds too much room meanwhile; and who finds none looks again, if head has
 * moved since it looked, or is about to. (Who takes a dead item moves head first and uncounts it then; in between a
 * producer may be let in early, where the taker is about to take the next item anyway.)
 *
 * Closing sets a bit in tail. No reservation succeeds after it, so tail is then final, and "closed and empty" is exact:
 * an item is either in, and will be taken, or was refused.
 *
 * Sleeping. A sleeper first counts itself in gate.unwoken and then looks at the ring once more; the other side first
 * changes head, tail or aside and then looks at unwoken. All four accesses are sequentially consistent, so at least one
 * of the two sees the other: no wake-up is lost. Whoever sees a sleeper takes the mutex, which the sleeper holds from
 * its count to its wait, uncounts it and signals: one signal for each item or room, none without a sleeper. A sleeper
 * tries once more after its deadline, so it never leaves with a signal that another could use; one that is cancelled by
 * pthread_cancel() passes on the signal that it may have swallowed.
 *
 * Lock order: queue.lock alone.
 */
#include "queue.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "memory.h"

/* The word tail, from the lowest bit: the position (44 bits), the tag (18), COUNTING, CLOSED. The word head: the
 * position, SWEPT. */
#define ONE_TAG (UINT64_C(1) << 44)
#define POSITION (ONE_TAG - 1)
#define COUNTING (UINT64_C(1) << 62)
#define TAG (COUNTING - ONE_TAG)
#define CLOSED (UINT64_C(1) << 63)
#define SWEPT (UINT64_C(1) << 62)
#define SWEEP_AT_ONCE 128
#define YIELDS 4
#define MAX_CAPACITY (UINT64_C(1) << 40)
#define MAX_SLACK 1024

static uint64_t position_of(uint64_t head) {
    return head & ~SWEPT;
}

/* How many positions lie between them, where tail is the later one. */
static uint64_t between(uint64_t head, uint64_t tail) {
    return (tail - head) & POSITION;
}

/* --- the ring --- */

static struct exec__slot *slot_at(struct exec_queue *q, uint64_t position) {
    return &q->slots[position & (q->nslots - 1)];
}

/* The turn at which the slot may be written for this position; one more: it may be read. */
static uint64_t turn_at(const struct exec_queue *q, uint64_t position) {
    return 2 * (position >> q->shift);
}

static inline void *item_in(struct exec__slot *s) {
    return atomic_load_explicit(&s->item, memory_order_relaxed);
}

static inline void put_item(struct exec__slot *s, void *item) {
    atomic_store_explicit(&s->item, item, memory_order_relaxed);
}

/* Consumers wait: gathers the items that are alive below tail, and takes out up to SWEEP_AT_ONCE dead ones. How many.
 * */
static size_t gather(struct exec_queue *q, uint64_t *head, uint64_t tail, void *dead[]) {
    size_t n = 0;
    uint64_t to = tail;
    for (uint64_t at = tail; at-- > *head;) {
        struct exec__slot *s = slot_at(q, at);
        for (unsigned tries = 0; atomic_load_explicit(&s->turn, memory_order_acquire) != turn_at(q, at) + 1; tries++)
            exec__wait_a_little(tries); /* reserved, but not published */
        void *item = item_in(s);
        if (n < SWEEP_AT_ONCE && q->is_dead(item))
            dead[n++] = item;
        else
            put_item(slot_at(q, --to), item);
    }
    for (; *head < to; ++*head)
        atomic_store_explicit(&slot_at(q, *head)->turn, turn_at(q, *head) + 2, memory_order_release);
    return n;
}

/* Makes room where only dead items are in the way. False: there were none. */
static bool sweep(struct exec_queue *q) {
    void *dead[SWEEP_AT_ONCE];
    uint64_t head = atomic_fetch_or(&q->head, SWEPT);
    if (head & SWEPT) {
        for (unsigned tries = 0; atomic_load(&q->head) & SWEPT; tries++)
            exec__wait_a_little(tries); /* another one is at it */
        return true;
    }
    size_t n = gather(q, &head, head + between(head, atomic_load(&q->tail)), dead);
    atomic_fetch_sub(&q->dead, (int64_t)n);
    atomic_store(&q->head, head);
    for (size_t i = 0; i < n; i++)
        q->bury(q->owner, dead[i]);
    return n > 0;
}

/* Whether there is room at this tail, which was read before, for the item at *position, by a head that was seen before:
 * true is so; false may not be. */
static inline bool seems_to_have_room(const struct exec_queue *q, uint64_t tail, uint64_t *position) {
    uint64_t seen = atomic_load_explicit(&q->head_seen, memory_order_relaxed), used = between(seen, tail);
    *position = seen + used;
    return used + atomic_load_explicit(&q->aside, memory_order_relaxed) < q->capacity;
}

/* The same by what the consumers have taken meanwhile; for the ring there is a slot, too: it sweeps when only dead
 * items are in the way. At a tail that has been left behind it may be wrong. */
static bool has_room(struct exec_queue *q, uint64_t tail, bool in_ring, uint64_t *position) {
    if (seems_to_have_room(q, tail, position))
        return true;
    uint64_t head;
    int64_t used;
    for (unsigned tries = 0;; tries++) {
        head = atomic_load(&q->head);
        used = (int64_t)between(head, tail);
        if (used - atomic_load(&q->dead) + (int64_t)atomic_load(&q->aside) < (int64_t)q->capacity)
            break;
        if (!(head & SWEPT) && atomic_load(&q->head) == head)
            return false;
        exec__wait_a_little(tries);
    }
    atomic_store_explicit(&q->head_seen, position_of(head), memory_order_relaxed); /* may step back; at most head */
    *position = position_of(head) + (uint64_t)used;
    return !in_ring || used < (int64_t)q->nslots || sweep(q);
}

/* Reads tail until there is room at it: 0, EAGAIN, EPIPE. */
static int find_room(struct exec_queue *q, uint64_t *tail, bool in_ring, uint64_t *position) {
    for (unsigned tries = 0;; tries++) {
        bool open = !(*tail & (CLOSED | COUNTING));
        if (open && has_room(q, *tail, in_ring, position))
            return 0;
        if (*tail & CLOSED)
            return EPIPE;
        if (!open)
            exec__wait_a_little(tries);
        uint64_t now = atomic_load(&q->tail);
        if (open && now == *tail)
            return EAGAIN;
        *tail = now;
    }
}

/* Puts the item at the position that tail stands for. False: tail has moved, or the slot's consumer has taken what was
 * there, but not handed it on yet. */
static inline bool put_at(struct exec_queue *q, uint64_t tail, uint64_t position, void *item) {
    struct exec__slot *s = slot_at(q, position);
    uint64_t turn = turn_at(q, position);
    if (atomic_load_explicit(&s->turn, memory_order_acquire) != turn ||
        !atomic_compare_exchange_strong(&q->tail, &tail, tail + 1))
        return false;
    put_item(s, item);
    atomic_store_explicit(&s->turn, turn + 1, memory_order_release);
    return true;
}

/* It looks full, or somebody is in the way. */
EXEC__SELDOM static int try_put_again(struct exec_queue *q, void *item) {
    for (unsigned tries = 0;; tries++) {
        uint64_t tail = atomic_load(&q->tail), position;
        int error = find_room(q, &tail, true, &position);
        if (error != 0 || put_at(q, tail, position, item))
            return error;
        exec__wait_a_little(tries);
    }
}

int exec__queue_try_put(struct exec_queue *q, void *item) {
    uint64_t tail = atomic_load_explicit(&q->tail, memory_order_acquire); /* pairs with count_aside() */
    uint64_t position;
    if (!(tail & (CLOSED | COUNTING)) && seems_to_have_room(q, tail, &position) && put_at(q, tail, position, item))
        return 0;
    return try_put_again(q, item);
}

/* COUNTING has been set in this tail, so that no more than CLOSED changes in it meanwhile. */
static void count_aside(struct exec_queue *q, uint64_t tail) {
    uint64_t now = tail | COUNTING, next = (tail & ~TAG) | ((tail + ONE_TAG) & TAG);
    atomic_fetch_add(&q->aside, 1);
    while (!atomic_compare_exchange_weak(&q->tail, &now, next | (now & CLOSED)))
        continue;
}

int exec__queue_try_reserve(struct exec_queue *q) {
    uint64_t tail = atomic_load(&q->tail), unused;
    int error;
    while ((error = find_room(q, &tail, false, &unused)) == 0)
        if (atomic_compare_exchange_weak(&q->tail, &tail, tail | COUNTING)) {
            count_aside(q, tail);
            break;
        }
    return error;
}

static enum exec__taken take(struct exec_queue *q, void **item) {
    uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    for (unsigned tries = 0;; tries++) {
        struct exec__slot *s = slot_at(q, head);
        uint64_t turn = turn_at(q, head) + 1;
        if (!(head & SWEPT) && atomic_load_explicit(&s->turn, memory_order_acquire) == turn) {
            if (atomic_compare_exchange_weak(&q->head, &head, head + 1)) {
                *item = item_in(s);
                atomic_store_explicit(&s->turn, turn + 1, memory_order_release);
                return EXEC__TAKEN;
            }
            continue;
        }
        uint64_t now = atomic_load(&q->head);
        if (now == head) {
            uint64_t tail = atomic_load(&q->tail);
            if (!(head & SWEPT) && between(head, tail) == 0)
                return tail & CLOSED ? EXEC__ENDED : EXEC__EMPTY;
            exec__wait_a_little(tries); /* reserved, but not published; or swept */
        }
        head = now;
    }
}

uint64_t exec__queue_begin(const struct exec_queue *q) {
    return position_of(atomic_load_explicit(&q->head, memory_order_acquire));
}

uint64_t exec__queue_end(const struct exec_queue *q) {
    uint64_t head = exec__queue_begin(q); /* first: at a later tail it can only be too small */
    return head + between(head, atomic_load_explicit(&q->tail, memory_order_relaxed));
}

size_t exec__queue_used(const struct exec_queue *q) {
    int64_t used = (int64_t)(exec__queue_end(q) - exec__queue_begin(q)) - atomic_load(&q->dead);
    used += (int64_t)atomic_load(&q->aside);
    return used < 0 ? 0 : (uint64_t)used < q->capacity ? (size_t)used : (size_t)q->capacity;
}

bool exec__queue_empty(const struct exec_queue *q) {
    uint64_t head = position_of(atomic_load(&q->head)); /* first, again */
    return between(head, atomic_load(&q->tail)) == 0;
}

/* --- sleeping --- */

EXEC__SELDOM static void wake_sleeper(struct exec_queue *q, struct exec__gate *g) {
    pthread_mutex_lock(&q->lock);
    unsigned unwoken = atomic_load_explicit(&g->unwoken, memory_order_relaxed);
    if (unwoken > 0) {
        atomic_store_explicit(&g->unwoken, unwoken - 1, memory_order_relaxed);
        pthread_cond_signal(&g->cond);
    }
    pthread_mutex_unlock(&q->lock);
}

static inline void wake_one(struct exec_queue *q, struct exec__gate *g) {
    if (atomic_load(&g->unwoken) > 0)
        wake_sleeper(q, g);
}

struct sleep {
    struct exec_queue *q;
    struct exec__gate *gate;
    bool decided; /* false: cancelled by pthread_cancel() */
};

static void leave(void *arg) {
    struct sleep *s = arg;
    struct exec__gate *g = s->gate;
    g->sleepers--;
    if (atomic_load_explicit(&g->unwoken, memory_order_relaxed) > g->sleepers)
        atomic_store_explicit(&g->unwoken, g->sleepers, memory_order_relaxed);
    if (!s->decided)
        pthread_cond_signal(&g->cond);
    pthread_mutex_unlock(&s->q->lock);
}

/* Tries again and again, asleep in between, until try() answers with something but EAGAIN, or the deadline. */
static int sleep_until(struct exec_queue *q, struct exec__gate *g, int (*try)(struct exec_queue *, void **),
                       void **item, exec_time deadline, exec_time recheck) {
    struct sleep self = {q, g, false};
    int error, waited = 0;
    pthread_mutex_lock(&q->lock);
    g->sleepers++;
    pthread_cleanup_push(leave, &self);
    for (;;) {
        unsigned unwoken = atomic_load_explicit(&g->unwoken, memory_order_relaxed);
        atomic_store(&g->unwoken, unwoken < g->sleepers ? unwoken + 1 : unwoken);
        error = try(q, item);
        if (error != EAGAIN)
            break;
        exec_time until = deadline;
        if (recheck != EXEC_NEVER) {
            exec_time next = exec_after(recheck);
            until = next < deadline ? next : deadline;
        }
        if (waited == ETIMEDOUT && exec_now() >= deadline) {
            error = ETIMEDOUT;
            break;
        }
        waited = exec__cond_wait(&g->cond, &q->lock, until);
    }
    self.decided = true;
    pthread_cleanup_pop(1);
    return error;
}

static int try_put(struct exec_queue *q, void **item) {
    return exec__queue_try_put(q, *item);
}

static int try_reserve(struct exec_queue *q, void **unused) {
    (void)unused;
    return exec__queue_try_reserve(q);
}

static int try_get(struct exec_queue *q, void **item) {
    enum exec__taken taken = take(q, item);
    return taken == EXEC__TAKEN ? 0 : taken == EXEC__EMPTY ? EAGAIN : EPIPE;
}

enum exec__taken exec__queue_try_get(struct exec_queue *q, void **item) {
    enum exec__taken taken = take(q, item);
    if (taken == EXEC__TAKEN)
        wake_one(q, &q->not_full);
    return taken;
}

/* The item at head is what it is for as long as head stays there and is not SWEPT. */
bool exec__queue_take_this(struct exec_queue *q, const void *item) {
    uint64_t head = atomic_load_explicit(&q->head, memory_order_relaxed);
    struct exec__slot *s = slot_at(q, head);
    uint64_t turn = turn_at(q, head) + 1;
    if ((head & SWEPT) || atomic_load_explicit(&s->turn, memory_order_acquire) != turn || item_in(s) != item ||
        !atomic_compare_exchange_strong(&q->head, &head, head + 1))
        return false;
    atomic_store_explicit(&s->turn, turn + 1, memory_order_release);
    wake_one(q, &q->not_full);
    return true;
}

static int put_waiting(struct exec_queue *q, int (*try)(struct exec_queue *, void **), void *item, exec_time deadline,
                       exec_time recheck) {
    int error = try(q, &item);
    if (error == EAGAIN && deadline == EXEC_NOW)
        return ETIMEDOUT;
    for (int i = 0; i < YIELDS && error == EAGAIN; i++) {
        sched_yield(); /* to a consumer, maybe: cheaper than to be woken for each item it takes */
        error = try(q, &item);
    }
    if (error == EAGAIN)
        error = sleep_until(q, &q->not_full, try, &item, deadline, recheck);
    return error;
}

int exec__queue_put(struct exec_queue *q, void *item, exec_time deadline, exec_time recheck) {
    return put_waiting(q, try_put, item, deadline, recheck);
}

int exec__queue_reserve(struct exec_queue *q, exec_time deadline, exec_time recheck) {
    return put_waiting(q, try_reserve, NULL, deadline, recheck);
}

void exec__queue_unreserve(struct exec_queue *q) {
    atomic_fetch_sub(&q->aside, 1);
    wake_one(q, &q->not_full);
}

void exec__queue_forget(struct exec_queue *q) {
    atomic_fetch_add(&q->dead, 1);
    wake_one(q, &q->not_full);
}

void exec__queue_forgotten(struct exec_queue *q) {
    atomic_fetch_sub_explicit(&q->dead, 1, memory_order_relaxed);
}

void exec__queue_mark_closed(struct exec_queue *q) {
    atomic_fetch_or(&q->tail, CLOSED);
}

/* --- making and freeing --- */

static int gate_init(struct exec__gate *g) {
    g->sleepers = 0;
    atomic_init(&g->unwoken, 0);
    return exec__cond_init(&g->cond);
}

static unsigned log2_of(uint64_t power) {
    return (unsigned)__builtin_ctzll(power);
}

static uint64_t power_of_two_from(uint64_t n) {
    uint64_t power = 1;
    while (power < n)
        power *= 2;
    return power;
}

int exec__queue_init(struct exec_queue *q, size_t capacity) {
    if (capacity == 0 || capacity > MAX_CAPACITY)
        return EINVAL;
    q->capacity = capacity;
    q->nslots = power_of_two_from(capacity + (capacity < MAX_SLACK ? capacity : MAX_SLACK));
    q->shift = log2_of(q->nslots);
    q->is_dead = NULL;
    q->slots = exec__calloc(q->nslots, sizeof *q->slots); /* zero: everyone's first turn; touched only as it fills */
    if (q->slots == NULL)
        return ENOMEM;
    atomic_init(&q->tail, 0);
    atomic_init(&q->aside, 0);
    atomic_init(&q->head_seen, 0);
    atomic_init(&q->head, 0);
    atomic_init(&q->dead, 0);
    int saved = errno;
    int error = pthread_mutex_init(&q->lock, NULL);
    errno = saved;
    if (error != 0)
        goto free_slots;
    error = gate_init(&q->not_full);
    if (error != 0)
        goto destroy_lock;
    error = gate_init(&q->not_empty);
    if (error != 0)
        goto destroy_not_full;
    return 0;
destroy_not_full:
    pthread_cond_destroy(&q->not_full.cond);
destroy_lock:
    pthread_mutex_destroy(&q->lock);
free_slots:
    free(q->slots);
    return error;
}

void exec__queue_fini(struct exec_queue *q) {
    pthread_cond_destroy(&q->not_empty.cond);
    pthread_cond_destroy(&q->not_full.cond);
    pthread_mutex_destroy(&q->lock);
    free(q->slots);
}

/* --- public --- */

int exec_queue_create(size_t capacity, exec_queue_t **out) {
    if (out == NULL)
        return EINVAL;
    exec_queue_t *q = exec__aligned_alloc(EXEC__CACHE_LINE, sizeof *q);
    if (q == NULL)
        return ENOMEM;
    int error = exec__queue_init(q, capacity);
    if (error != 0)
        free(q);
    else
        *out = q;
    return error;
}

int exec_queue_put(exec_queue_t *q, void *item, exec_time deadline) {
    if (q == NULL)
        return EINVAL;
    int error = exec__queue_put(q, item, deadline, EXEC_NEVER);
    if (error == 0)
        wake_one(q, &q->not_empty);
    return error;
}

int exec_queue_get(exec_queue_t *q, exec_time deadline, void **item) {
    if (q == NULL || item == NULL)
        return EINVAL;
    int error = try_get(q, item);
    if (error == EAGAIN && deadline == EXEC_NOW)
        return ETIMEDOUT;
    if (error == EAGAIN)
        error = sleep_until(q, &q->not_empty, try_get, item, deadline, EXEC_NEVER);
    if (error == 0)
        wake_one(q, &q->not_full);
    return error;
}

void exec_queue_close(exec_queue_t *q) {
    if (q == NULL)
        return;
    exec__queue_mark_closed(q);
    pthread_mutex_lock(&q->lock);
    pthread_cond_broadcast(&q->not_full.cond);
    pthread_cond_broadcast(&q->not_empty.cond);
    pthread_mutex_unlock(&q->lock);
}

size_t exec_queue_len(const exec_queue_t *q) {
    if (q == NULL)
        return 0;
    uint64_t head = exec__queue_begin(q);
    uint64_t len = between(head, atomic_load(&q->tail));
    return (size_t)(len < q->capacity ? len : q->capacity);
}

void exec_queue_destroy(exec_queue_t *q) {
    if (q == NULL)
        return;
    exec__queue_fini(q);
    free(q);
}
