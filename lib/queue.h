/* queue.h - the bounded queue inside: what the executor does with it beyond exec/queue.h. See queue.c. */
#ifndef EXEC__QUEUE_H
#define EXEC__QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <exec/queue.h>

#include "sync.h"

struct exec__slot {
    _Atomic uint64_t turn; /* 2 * lap: may be written; 2 * lap + 1: may be read */
    _Atomic(void *) item;  /* by turn, and by head: relaxed */
};

/* Those who sleep at one end of the queue. */
struct exec__gate {
    pthread_cond_t cond;      /* predicate: not full, or not empty; or closed */
    unsigned sleepers;        /* waiting for cond; queue.lock */
    _Atomic unsigned unwoken; /* those of them nobody has signalled; written under queue.lock, read by all */
};

struct exec_queue {
    struct exec__slot *slots; /* r/o after init, as are the next three */
    uint64_t nslots;          /* a power of two, more than capacity */
    unsigned shift;           /* log2(nslots) */
    uint64_t capacity;

    bool (*is_dead)(const void *item);     /* whether it does not count any more; NULL: all count */
    void (*bury)(void *owner, void *item); /* what becomes of one that was swept out, and is not counted in `dead` */
    void *owner;

    _Alignas(EXEC__CACHE_LINE) _Atomic uint64_t tail; /* where the next item goes, and more: queue.c */
    _Atomic uint64_t head_seen;                       /* a head that producers have seen: at most head */
    _Atomic uint64_t aside;                           /* items that count against the capacity and lie elsewhere */
    _Alignas(EXEC__CACHE_LINE) _Atomic uint64_t head; /* where the oldest item is; and the bit SWEPT */
    _Alignas(EXEC__CACHE_LINE) _Atomic int64_t dead;  /* items in it that do not count any more */

    _Alignas(EXEC__CACHE_LINE) pthread_mutex_t lock;
    struct exec__gate not_full, not_empty;
};

enum exec__taken { EXEC__TAKEN, EXEC__EMPTY, EXEC__ENDED }; /* an item; none now; none ever again: closed and empty */

int exec__queue_init(struct exec_queue *q, size_t capacity);
void exec__queue_fini(struct exec_queue *q);

/* Without waiting: 0, EAGAIN when it is full, EPIPE when it is closed. */
int exec__queue_try_put(struct exec_queue *q, void *item);
/* As exec_queue_put(); looks again every `recheck`, for the sake of a close that could not wake it. */
int exec__queue_put(struct exec_queue *q, void *item, exec_time deadline, exec_time recheck);
/* The same for room alone, for an item that lies elsewhere; and gives that room back. */
int exec__queue_try_reserve(struct exec_queue *q);
int exec__queue_reserve(struct exec_queue *q, exec_time deadline, exec_time recheck);
void exec__queue_unreserve(struct exec_queue *q);
/* Without waiting. Wakes a producer that waits for room. */
enum exec__taken exec__queue_try_get(struct exec_queue *q, void **item);
/* Takes the oldest item if it is this one. False: it is not, or somebody is in the way. */
bool exec__queue_take_this(struct exec_queue *q, const void *item);

/* An item in the queue is dead and does not count against the capacity any longer; and: it has been taken out. */
void exec__queue_forget(struct exec_queue *q);
void exec__queue_forgotten(struct exec_queue *q);

/* exec_queue_close() without waking anybody: async-signal-safe. */
void exec__queue_mark_closed(struct exec_queue *q);

/* The positions of the oldest item and of the next one that is put: an item that was put when the end was there has
 * been taken when the begin is. As good as the next moment; they only grow. */
uint64_t exec__queue_begin(const struct exec_queue *q);
uint64_t exec__queue_end(const struct exec_queue *q);

/* How many items count against the capacity now. */
size_t exec__queue_used(const struct exec_queue *q);

/* Nothing has been reserved that was not taken. Sequentially consistent, for whoever goes to sleep. */
bool exec__queue_empty(const struct exec_queue *q);

#endif
