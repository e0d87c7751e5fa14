/* finished.h - the members of a group that have finished, in that order, until they are handed out. See finished.c. */
#ifndef EXEC__FINISHED_H
#define EXEC__FINISHED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "future.h"
#include "sync.h"

struct exec__segment;

struct exec__finished {
    /* By who puts. */
    _Alignas(EXEC__CACHE_LINE) _Atomic uint64_t put; /* how many have been put, or are about to be */
    struct exec__segment *_Atomic hint;              /* where to look for the segment of a number */

    /* By who takes. */
    _Alignas(EXEC__CACHE_LINE) _Atomic uint64_t taken; /* how many have been */
    struct exec__segment *_Atomic first;               /* where the next is taken from */

    /* Changed seldom. */
    _Alignas(EXEC__CACHE_LINE) _Atomic uint64_t room; /* how many may ever be put as things stand; written under the
                                                         group's lock, read by all */
    struct exec__segment *last;                       /* the last one there is; the same lock */
    pthread_mutex_t *lock;                            /* the group's */
};

int exec__finished_init(struct exec__finished *q, pthread_mutex_t *lock); /* 0 or ENOMEM */
void exec__finished_fini(struct exec__finished *q);

/* Is there room for one that is to be put when so many may have been before? */
static inline bool exec__finished_has_room(const struct exec__finished *q, uint64_t n) {
    return n < atomic_load_explicit(&q->room, memory_order_relaxed);
}

/* Makes it. 0 or ENOMEM. */
int exec__finished_reserve(struct exec__finished *q, uint64_t n);

/* Anyone, for whom there is room. Returns its number. Sequentially consistent. */
uint64_t exec__finished_put(struct exec__finished *q, future_t *f);
/* Whether there is nothing to take before that number. */
static inline bool exec__finished_is_next(const struct exec__finished *q, uint64_t number) {
    return atomic_load(&q->taken) == number;
}

/* One at a time: takes the oldest, or NULL. */
future_t *exec__finished_take(struct exec__finished *q);

/* After a take, before a look at whether there is more: sequentially consistent with exec__finished_put() and
 * exec__finished_is_next(), which the take alone is not. */
static inline void exec__finished_show(struct exec__finished *q) {
    atomic_fetch_add(&q->taken, 0);
}

/* Whether there is none. Sequentially consistent. */
static inline bool exec__finished_empty(const struct exec__finished *q) {
    return atomic_load(&q->put) == atomic_load(&q->taken);
}

#endif
