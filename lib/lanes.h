/* lanes.h - tasks with a priority: one list a level, oldest first. See lanes.c. */
#ifndef EXEC__LANES_H
#define EXEC__LANES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "future.h"
#include "queue.h"
#include "sync.h"

enum { EXEC__MOST_URGENT = 8, EXEC__LANES = 2 * (2 * EXEC__MOST_URGENT + 1) };

struct exec__lane_entry;

struct exec__lane {
    struct exec__lane_entry *first, **last;
};

struct exec__lanes {
    _Alignas(
        EXEC__CACHE_LINE) _Atomic uint64_t occupied; /* lanes that are not empty; written under lock, read by all */
    struct exec_queue *queue;                        /* whose capacity some count against; r/o after init */
    pthread_mutex_t lock;
    uint64_t puts; /* how many there ever were; lock, as is the next */
    struct exec__lane lanes[EXEC__LANES];
};

/* Sets of lanes. Each level has two, the upper one for tasks that count against the queue's capacity. */
#define EXEC__LANES_ALL ((UINT64_C(1) << EXEC__LANES) - 1)
#define EXEC__LANES_LOW ((UINT64_C(1) << (2 * EXEC__MOST_URGENT)) - 1)
#define EXEC__LANES_URGENT (EXEC__LANES_ALL & ~((UINT64_C(1) << (2 * EXEC__MOST_URGENT + 2)) - 1))
#define EXEC__LANES_COUNTED (EXEC__LANES_ALL / 3 * 2)

int exec__lanes_init(struct exec__lanes *l, struct exec_queue *q);
void exec__lanes_fini(struct exec__lanes *l);

/* Gives a priority other than 0 to a task that nobody else knows yet: 0 or ENOMEM. */
int exec__lane_choose(future_t *f, int priority);
void exec__lane_free(struct exec__lane_entry *e); /* with the task's future */

static inline bool exec__has_lane(const future_t *f) {
    return exec__future_word(f) & EXEC__LANE;
}

/* Puts a task that may start into its lane, with its entry's reference, and with room in the queue that was reserved
 * for it, if it counts. If somebody has started or revoked it already, both go. The number of this put, from 1; 0: it
 * was none. */
uint64_t exec__lanes_put(struct exec__lanes *l, future_t *f, bool counts);

/* Takes a task out of these lanes, and starts it: the most urgent and of those the oldest; or the oldest of all, if
 * that is older than what lies in the queue; or the one of that put, if it is the newest of its lane. Its entry's
 * reference is the caller's. NULL: there is none. */
future_t *exec__lanes_start(struct exec__lanes *l, uint64_t lanes);
future_t *exec__lanes_start_oldest(struct exec__lanes *l);
future_t *exec__lanes_start_put(struct exec__lanes *l, uint64_t number);

/* The same, but that it is revoked (ECANCELED): the oldest one of the least urgent. */
future_t *exec__lanes_revoke(struct exec__lanes *l, uint64_t lanes);

/* A task that may lie in its lane was started or revoked by the caller: takes its entry out, unless somebody has. */
void exec__lanes_forget(struct exec__lanes *l, future_t *f);

/* Sequentially consistent, for whoever goes to sleep. */
static inline bool exec__lanes_empty(const struct exec__lanes *l) {
    return atomic_load(&l->occupied) == 0;
}

/* As good as the next moment. */
static inline bool exec__lanes_have(const struct exec__lanes *l, uint64_t lanes) {
    return atomic_load_explicit(&l->occupied, memory_order_relaxed) & lanes;
}

#endif
