/* lanes.c - tasks with a priority: one list a level, oldest first.
 *
 * A task with a priority other than 0 never lies in the queue, a deque or the inbox: when it may start, it lies in the
 * lane of its level. Each level has two lanes: one for tasks of outside producers, which count against the queue's
 * capacity (queue.c, `aside`), and one for all others. Within a level the older of their two first ones is next.
 *
 * A task has one entry, made with it, so that it can lie in a lane again after each run, whatever memory there is. The
 * entry has a reference to the future while it is in a lane, which goes with it: who takes an entry out drops that, and
 * gives back the room in the queue, if it had any.
 *
 * Lanes hold tasks that are PENDING and not HELD. Who takes the first entry of a lane starts or revokes its task in the
 * same step, under the lock. Whoever else starts or revokes one (a thread that waits for it, claim.c; a cancel, pool.c)
 * does so first and then takes the entry out, if it still is in; and who puts one in looks under the lock whether it
 * may still be started. The lock comes between, so one of the two sees the other, and nothing dead is left behind. By
 * the time that a task is to run again, its entry is out: who has started it took it out before it ran.
 *
 * It may run, and be ready again, before its first putter has come to put it in. Then there are two, each with a
 * reference, for one entry: the one that comes second finds it in, or the task gone, and drops its own.
 *
 * `occupied` says which lanes are not empty, to those who look for work without the lock. It is written under the lock
 * (sequentially consistent, for the parking protocol in pool.c: it is what publishes a task here).
 *
 * Who waited longest. Entries are numbered as they are put, and remember where the end of the queue was then: when all
 * that was before that end has been taken, the entry is older than what the queue has.
 *
 * Lock order: lanes.lock alone.
 */
#include "lanes.h"

#include <errno.h>
#include <stddef.h>

#include "slab.h"

struct exec__lane_entry {
    struct exec__lane_entry *next,
        **link; /* first; in its lane; link NULL: in none; the lanes' lock, as are the next three */
    uint64_t number;
    uint64_t queue_end; /* when it was put */
    unsigned lane;
    future_t *f;  /* r/o after init, as is the next */
    int priority; /* not 0 */
};

_Static_assert(sizeof(struct exec__lane_entry) <= EXEC__CELL_BYTES, "an entry is one cell");
_Static_assert(EXEC__LANES < 64, "a bit for each lane");

int exec__lanes_init(struct exec__lanes *l, struct exec_queue *q) {
    int saved = errno;
    int error = pthread_mutex_init(&l->lock, NULL);
    errno = saved;
    if (error != 0)
        return error;
    atomic_store(&l->occupied, 0);
    l->queue = q;
    l->puts = 0;
    for (unsigned i = 0; i < EXEC__LANES; i++)
        l->lanes[i] = (struct exec__lane){NULL, &l->lanes[i].first};
    return 0;
}

void exec__lanes_fini(struct exec__lanes *l) {
    pthread_mutex_destroy(&l->lock);
}

int exec__lane_choose(future_t *f, int priority) {
    if (exec__future_extend(f) != 0)
        return ENOMEM;
    struct exec__lane_entry *e = exec__cell_alloc();
    if (e == NULL)
        return ENOMEM;
    *e = (struct exec__lane_entry){.f = f, .priority = priority};
    exec__extra_of(f)->lane_entry = e;
    atomic_fetch_or_explicit(&f->word, EXEC__LANE, memory_order_relaxed); /* nobody else knows it */
    return 0;
}

void exec__lane_free(struct exec__lane_entry *e) {
    exec__cell_free(e);
}

/* --- the lists --- */

static uint64_t bit_of(unsigned lane) {
    return UINT64_C(1) << lane;
}

static bool counts(const struct exec__lane_entry *e) {
    return bit_of(e->lane) & EXEC__LANES_COUNTED;
}

static void append_locked(struct exec__lanes *l, struct exec__lane_entry *e, bool counted) {
    e->lane = 2 * (unsigned)(e->priority + EXEC__MOST_URGENT) + counted;
    e->number = ++l->puts;
    e->queue_end = exec__queue_end(l->queue);
    struct exec__lane *lane = &l->lanes[e->lane];
    e->next = NULL;
    e->link = lane->last;
    *lane->last = e;
    lane->last = &e->next;
    atomic_store(&l->occupied, atomic_load_explicit(&l->occupied, memory_order_relaxed) | bit_of(e->lane));
}

static void remove_locked(struct exec__lanes *l, struct exec__lane_entry *e) {
    struct exec__lane *lane = &l->lanes[e->lane];
    *e->link = e->next;
    if (e->next != NULL)
        e->next->link = e->link;
    else
        lane->last = e->link;
    e->link = NULL;
    if (lane->first == NULL)
        atomic_store(&l->occupied, atomic_load_explicit(&l->occupied, memory_order_relaxed) & ~bit_of(e->lane));
}

/* The entry's, when it has been taken out by this thread: its task was started or revoked, or will be gone. */
static void drop_reference(struct exec__lanes *l, future_t *f, bool counted) {
    if (counted)
        exec__queue_unreserve(l->queue);
    exec__future_release(f, 1);
}

uint64_t exec__lanes_put(struct exec__lanes *l, future_t *f, bool counted) {
    struct exec__lane_entry *e = exec__extra_of(f)->lane_entry;
    pthread_mutex_lock(&l->lock);
    bool put = e->link == NULL && exec__startable(exec__future_word(f));
    if (put)
        append_locked(l, e, counted);
    uint64_t number = put ? e->number : 0;
    pthread_mutex_unlock(&l->lock);
    if (!put)
        drop_reference(l, f, counted);
    return number;
}

void exec__lanes_forget(struct exec__lanes *l, future_t *f) {
    struct exec__lane_entry *e = exec__extra_of(f)->lane_entry;
    pthread_mutex_lock(&l->lock);
    bool was_in = e->link != NULL, counted = was_in && counts(e);
    if (was_in)
        remove_locked(l, e);
    pthread_mutex_unlock(&l->lock);
    if (was_in)
        drop_reference(l, f, counted);
}

/* --- taking --- */

typedef struct exec__lane_entry *choose_fn(const struct exec__lanes *l, uint64_t lanes, uint64_t number);

/* The oldest of the first ones. */
static struct exec__lane_entry *oldest_locked(const struct exec__lanes *l, uint64_t lanes) {
    struct exec__lane_entry *oldest = NULL;
    for (; lanes != 0; lanes &= lanes - 1) {
        struct exec__lane_entry *e = l->lanes[__builtin_ctzll(lanes)].first;
        if (oldest == NULL || e->number < oldest->number)
            oldest = e;
    }
    return oldest;
}

/* Those of its level. */
static struct exec__lane_entry *oldest_of_level_locked(const struct exec__lanes *l, uint64_t lanes, int lane) {
    return oldest_locked(l, lanes & (UINT64_C(3) << (lane & ~1)));
}

static struct exec__lane_entry *most_urgent_locked(const struct exec__lanes *l, uint64_t lanes, uint64_t unused) {
    (void)unused;
    return oldest_of_level_locked(l, lanes, 63 - __builtin_clzll(lanes));
}

static struct exec__lane_entry *least_urgent_locked(const struct exec__lanes *l, uint64_t lanes, uint64_t unused) {
    (void)unused;
    return oldest_of_level_locked(l, lanes, __builtin_ctzll(lanes));
}

static struct exec__lane_entry *longest_waiting_locked(const struct exec__lanes *l, uint64_t lanes, uint64_t unused) {
    (void)unused;
    struct exec__lane_entry *e = oldest_locked(l, lanes);
    return exec__queue_begin(l->queue) >= e->queue_end ? e : NULL;
}

/* Of the last ones. */
static struct exec__lane_entry *of_put_locked(const struct exec__lanes *l, uint64_t lanes, uint64_t number) {
    for (; lanes != 0; lanes &= lanes - 1) {
        struct exec__lane_entry **last = l->lanes[__builtin_ctzll(lanes)].last;
        struct exec__lane_entry *e = EXEC__WHOLE(last, struct exec__lane_entry, next);
        if (e->number == number)
            return e;
    }
    return NULL;
}

/* Takes one out whose task can still be started, or revoked, and does that. */
static future_t *take(struct exec__lanes *l, uint64_t lanes, uint64_t number, choose_fn *choose,
                      bool (*move)(future_t *f)) {
    for (;;) {
        pthread_mutex_lock(&l->lock);
        lanes &= atomic_load_explicit(&l->occupied, memory_order_relaxed);
        struct exec__lane_entry *e = lanes != 0 ? choose(l, lanes, number) : NULL;
        future_t *f = e != NULL ? e->f : NULL;
        bool counted = f != NULL && counts(e), moved = f != NULL && move(f);
        if (f != NULL)
            remove_locked(l, e);
        pthread_mutex_unlock(&l->lock);
        if (f == NULL)
            return NULL;
        if (moved && counted)
            exec__queue_unreserve(l->queue);
        if (moved)
            return f;
        drop_reference(l, f, counted); /* somebody else was just about to take it out */
    }
}

static bool revoke_entry(future_t *f) {
    return exec__future_revoke(f, ECANCELED);
}

future_t *exec__lanes_start(struct exec__lanes *l, uint64_t lanes) {
    return take(l, lanes, 0, most_urgent_locked, exec__future_start);
}

future_t *exec__lanes_start_oldest(struct exec__lanes *l) {
    return take(l, EXEC__LANES_ALL, 0, longest_waiting_locked, exec__future_start);
}

future_t *exec__lanes_start_put(struct exec__lanes *l, uint64_t number) {
    return take(l, EXEC__LANES_ALL, number, of_put_locked, exec__future_start);
}

future_t *exec__lanes_revoke(struct exec__lanes *l, uint64_t lanes) {
    return take(l, lanes, 0, least_urgent_locked, revoke_entry);
}
