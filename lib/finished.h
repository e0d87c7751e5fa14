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

enum { EXEC__PER_SEGMENT = 256, EXEC__AHEAD = 8 };

struct exec__segment {
    struct exec__segment *_Atomic next;
    _Atomic uint64_t base; /* the number of the first */
    _Atomic(future_t *) at[EXEC__PER_SEGMENT];
};

/* The lowest bits of the word `counted` are flags, which who takes a number sees in the same step. */
#define EXEC__FINISHED_ONE UINT64_C(4)

struct exec__finished {
    /* By who puts. */
    _Alignas(EXEC__CACHE_LINE) _Atomic uint64_t counted; /* how many have a number, above the group's two flags */
    struct exec__segment *_Atomic hint;                  /* where to look for the segment of a number */

    /* By who takes. */
    _Alignas(EXEC__CACHE_LINE) _Atomic uint64_t taken; /* how many have been */
    struct exec__segment *_Atomic first;               /* where the next is taken from */
    uint64_t settled;                 /* so many are known to be in their places, if more than taken, */
    struct exec__segment *settled_in; /* the last of them there */

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

/* Takes a number, for which there is room: the word before. Sequentially consistent. */
static inline uint64_t exec__finished_enter(struct exec__finished *q) {
    return atomic_fetch_add(&q->counted, EXEC__FINISHED_ONE);
}

static inline uint64_t exec__finished_number(uint64_t word) {
    return word / EXEC__FINISHED_ONE;
}

/* Where the one with that number belongs: it stores itself there (release), and does so soon. Sought from the hint on.
 */
struct exec__segment *exec__finished_find(struct exec__finished *q, uint64_t number);
static inline _Atomic(future_t *) *exec__finished_place(struct exec__finished *q, uint64_t number) {
    struct exec__segment *s = atomic_load_explicit(&q->hint, memory_order_acquire);
    if (number - atomic_load_explicit(&s->base, memory_order_acquire) >= EXEC__PER_SEGMENT)
        s = exec__finished_find(q, number);
    return &s->at[number % EXEC__PER_SEGMENT];
}

/* How many have a number. Sequentially consistent, as is what follows. */
static inline uint64_t exec__finished_count(const struct exec__finished *q) {
    return exec__finished_number(atomic_load(&q->counted));
}

/* Whether there is nothing to take before that number. */
static inline bool exec__finished_is_next(const struct exec__finished *q, uint64_t number) {
    return atomic_load(&q->taken) == number;
}

static inline bool exec__finished_empty(const struct exec__finished *q) {
    return exec__finished_is_next(q, exec__finished_count(q));
}

/* One at a time: takes the oldest, or NULL if that is not in its place. Those to come are fetched ahead; a segment that
 * is empty moves on. */
void exec__finished_move_on(struct exec__finished *q, struct exec__segment *s);
static inline future_t *exec__finished_take(struct exec__finished *q) {
    uint64_t number = atomic_load_explicit(&q->taken, memory_order_relaxed);
    struct exec__segment *s = atomic_load_explicit(&q->first, memory_order_relaxed);
    size_t i = number % EXEC__PER_SEGMENT;
    future_t *f = atomic_load_explicit(&s->at[i], memory_order_acquire);
    if (f == NULL)
        return NULL;
    if (i + EXEC__AHEAD < EXEC__PER_SEGMENT)
        __builtin_prefetch(atomic_load_explicit(&s->at[i + EXEC__AHEAD], memory_order_relaxed), 1);
    atomic_store_explicit(&s->at[i], NULL, memory_order_relaxed);
    if (i == EXEC__PER_SEGMENT - 1)
        exec__finished_move_on(q, s);
    atomic_store_explicit(&q->taken, number + 1, memory_order_release);
    return f;
}

/* One at a time, in turn with those who take: whether all that have a number are in their places. */
bool exec__finished_settled(struct exec__finished *q);

/* After a take, before a look at whether there is more: sequentially consistent with exec__finished_enter() and
 * exec__finished_is_next(), which the take alone is not. */
static inline void exec__finished_show(struct exec__finished *q) {
    atomic_fetch_add(&q->taken, 0);
}

#endif
