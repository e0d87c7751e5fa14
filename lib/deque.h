/* deque.h - a worker's own list of tasks: the owner's end and the thieves' end. See deque.c for the protocol. */
#ifndef EXEC__DEQUE_H
#define EXEC__DEQUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sync.h"

struct exec__ring;

struct exec__deque {
    _Alignas(EXEC__CACHE_LINE) _Atomic int64_t top;    /* the oldest item; thieves, and the owner for the last item */
    _Alignas(EXEC__CACHE_LINE) _Atomic int64_t bottom; /* one past the newest; written by the owner */
    struct exec__ring *_Atomic ring;                   /* the items; replaced by the owner when it is full */
};

int exec__deque_init(struct exec__deque *d); /* 0 or ENOMEM */
void exec__deque_destroy(struct exec__deque *d);

/* Owner: appends an item. 0, or ENOMEM: nothing has changed. Sequentially consistent: a thread that then reads that
 * nobody searches for work is seen, or its item is, by whoever goes to sleep (worker.c). */
int exec__deque_push(struct exec__deque *d, void *item);

/* Owner: takes the newest item if that is `item`. */
bool exec__deque_take(struct exec__deque *d, const void *item);

/* Anyone: takes the oldest item; NULL when there is none. *lost becomes true when another thread was faster, so that it
 * is worth another try. */
void *exec__deque_steal(struct exec__deque *d, bool *lost);

/* Anyone: the oldest item and its index, or NULL; takes it, if it is still there. */
void *exec__deque_peek(struct exec__deque *d, int64_t *top);
bool exec__deque_steal_at(struct exec__deque *d, int64_t top);

/* Anyone; sequentially consistent, for whoever goes to sleep. */
bool exec__deque_empty(const struct exec__deque *d);

#endif
