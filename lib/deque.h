/* deque.h - a worker's own list of tasks: the owner's end and the thieves' end. See deque.c for the protocol. */
#ifndef EXEC__DEQUE_H
#define EXEC__DEQUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sync.h"

struct exec__ring {
    struct exec__ring *older; /* r/o after init */
    int64_t size;             /* a power of two; r/o after init */
    void *_Atomic items[];    /* relaxed: ordered by top and bottom */
};

struct exec__deque {
    _Alignas(EXEC__CACHE_LINE) _Atomic int64_t top;    /* the oldest item; thieves, and the owner for the last item */
    _Alignas(EXEC__CACHE_LINE) _Atomic int64_t bottom; /* one past the newest; written by the owner */
    struct exec__ring *_Atomic ring;                   /* the items; replaced by the owner when it is full */
};

int exec__deque_init(struct exec__deque *d); /* 0 or ENOMEM */
void exec__deque_destroy(struct exec__deque *d);

/* Owner: makes room for an item, in a larger ring: 0, or ENOMEM. */
int exec__deque_grow(struct exec__deque *d);

static inline bool exec__deque_has_room(struct exec__deque *d) {
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);
    int64_t top = atomic_load_explicit(&d->top, memory_order_acquire); /* slots below it are free for reuse */
    return bottom - top < atomic_load_explicit(&d->ring, memory_order_relaxed)->size;
}

/* Owner: appends an item, for which there is room. Sequentially consistent: a thread that then reads that nobody
 * searches for work is seen, or its item is, by whoever goes to sleep (worker.c). */
static inline void exec__deque_append(struct exec__deque *d, void *item) {
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);
    struct exec__ring *r = atomic_load_explicit(&d->ring, memory_order_relaxed);
    atomic_store_explicit(&r->items[bottom & (r->size - 1)], item, memory_order_relaxed);
    atomic_store(&d->bottom, bottom + 1);
}

/* Owner: both. 0, or ENOMEM: nothing has changed. */
static inline int exec__deque_push(struct exec__deque *d, void *item) {
    int error = exec__deque_has_room(d) ? 0 : exec__deque_grow(d);
    if (error == 0)
        exec__deque_append(d, item);
    return error;
}

/* Owner: takes the newest item if that is `item`, in two steps: reaches for it, if it is the newest; and after a
 * sequentially consistent read-modify-write of anything has it, unless a thief was faster. */
static inline bool exec__deque_reach(struct exec__deque *d, const void *item) {
    int64_t last = atomic_load_explicit(&d->bottom, memory_order_relaxed) - 1;
    struct exec__ring *r = atomic_load_explicit(&d->ring, memory_order_relaxed);
    if (last < 0 || atomic_load_explicit(&r->items[last & (r->size - 1)], memory_order_relaxed) != item)
        return false; /* only the owner writes slots: what it reads is what it wrote last */
    atomic_store_explicit(&d->bottom, last, memory_order_relaxed);
    return true;
}

static inline bool exec__deque_grasp(struct exec__deque *d) {
    int64_t last = atomic_load_explicit(&d->bottom, memory_order_relaxed);
#if !defined(__x86_64__) && !defined(__i386__)
    atomic_fetch_add(&d->bottom, 0); /* see deque.c */
#endif
    int64_t top = atomic_load(&d->top);
    if (top < last)
        return true;
    bool won = top == last && atomic_compare_exchange_strong(&d->top, &top, last + 1);
    atomic_store_explicit(&d->bottom, last + 1, memory_order_relaxed);
    return won;
}

/* Owner: both, where there is no other such step. */
static inline bool exec__deque_take(struct exec__deque *d, const void *item) {
    if (!exec__deque_reach(d, item))
        return false;
    atomic_fetch_add(&d->bottom, 0);
    return exec__deque_grasp(d);
}

/* Anyone: the oldest item and its index, or NULL; takes it, if it is still there. */
static inline void *exec__deque_peek(struct exec__deque *d, int64_t *top) {
    *top = atomic_load(&d->top);
    if (*top >= atomic_load(&d->bottom))
        return NULL;
    struct exec__ring *r = atomic_load_explicit(&d->ring, memory_order_acquire);
    return atomic_load_explicit(&r->items[*top & (r->size - 1)], memory_order_relaxed);
}

static inline bool exec__deque_steal_at(struct exec__deque *d, int64_t top) {
    return atomic_compare_exchange_strong(&d->top, &top, top + 1);
}

/* Anyone: takes the oldest item; NULL when there is none. *lost becomes true when another thread was faster, so that it
 * is worth another try. */
static inline void *exec__deque_steal(struct exec__deque *d, bool *lost) {
    int64_t top;
    void *item = exec__deque_peek(d, &top);
    if (item == NULL || exec__deque_steal_at(d, top))
        return item;
    *lost = true;
    return NULL;
}

/* Anyone; sequentially consistent, for whoever goes to sleep. */
bool exec__deque_empty(const struct exec__deque *d);

#endif
