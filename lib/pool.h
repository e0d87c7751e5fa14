/* pool.h - an executor's seats: who may work in it, who sleeps, who is woken. See pool.c for the protocol. */
#ifndef EXEC__POOL_H
#define EXEC__POOL_H

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <exec/executor.h>

#include "deque.h"
#include "future.h"
#include "lanes.h"
#include "memory.h"
#include "queue.h"
#include "stats.h"
#include "thread.h"
#include "timer.h"

#define EXEC__MAX_WORKERS 8000u /* has to fit into a field of pool.idle */

#define EXEC__MARK_WORDS 4

/* A place to work in an executor, with the deque that goes with it. Who holds it is its owner. */
struct exec__seat {
    struct exec__deque deque;
    struct exec__pool *pool; /* r/o after init, as is index */
    unsigned index;
    unsigned picks;           /* tasks taken from here; owner, as is the next */
    unsigned turns;           /* those of them while others had a priority */
    uint32_t random;          /* for the choice of a victim; owner */
    _Atomic(future_t *) base; /* what runs in it (claim.c), NULL: nothing; written by the owner, as is floor */
    _Atomic int64_t floor;    /* the deque's bottom at that time */
    _Atomic unsigned mark; /* changes before and after the next two do, and is odd between; the owner's, as they are */
    _Atomic(const char *) marked_name;              /* of the task that runs here, if it has one; */
    _Atomic exec_time marked_began;                 /* and since when; */
    _Atomic uint64_t marked_text[EXEC__MARK_WORDS]; /* and the beginning of that name, for who may come too late */
    _Atomic unsigned below; /* the next free seat's index + 1, 0: none; written by who frees it, guarded by the tag */
    struct exec__counts counts; /* what has happened here; owner */
};

/* A worker's thread on its way: until it has called on_start; until its starter has seen that. */
enum exec__worker_state { EXEC__STARTING, EXEC__STARTED, EXEC__START_FAILED, EXEC__SEEN };

struct exec__worker {
    pthread_t thread; /* pool.lock, as are the next three; the first thread of the worker's or the last */
    enum exec__worker_state state;
    int start_error;
    bool replaces;  /* its predecessor is still in `thread` as it starts */
    unsigned index; /* r/o after init, as is pool */
    struct exec__pool *pool;
    struct exec__seat *seat; /* where a thread that starts sits down; handed over by pthread_create() */
};

struct exec__hold;
struct exec__run;
struct exec__trace;

struct exec__pool {
    /* Never set back, so that who comes late can look at it (exec__pool_enter()). */
    _Alignas(EXEC__CACHE_LINE) _Atomic unsigned visitors;
    _Atomic uint64_t serial; /* changes when an executor that lived here is destroyed */

    /* r/o after init */
    _Alignas(EXEC__CACHE_LINE) struct exec__seat *seats;
    struct exec__worker *workers;
    unsigned n; /* of each */
    unsigned search_limit;
    unsigned generation;             /* of its process (fork.h) */
    bool own_threads;                /* its tasks may run on its workers only */
    struct exec__measures *measures; /* for each seat, and for threads without one; NULL: nothing is measured */
    exec_time created;
    _Atomic unsigned observed; /* enum exec__observer: bits; changed seldom */
    executor_opts opts;        /* name and cpus are its own copies */

    _Alignas(EXEC__CACHE_LINE) _Atomic uint64_t idle; /* the free seats, and who searches: pool.c */
    _Atomic unsigned lent;                            /* how often a seat was lent; relaxed, and some may be missed */
    sem_t wake;

    struct exec__counts counts; /* what has happened elsewhere than in a seat */
    _Atomic size_t most_queued; /* if it measures */
    _Atomic(struct exec__trace *) trace;
    _Atomic unsigned tracers; /* threads that may be writing to it */
    struct exec__timer watch; /* for slow runs */
    _Atomic bool watching;    /* it is armed, or being fired */

    _Alignas(EXEC__CACHE_LINE) _Atomic bool closed; /* shut down */
    _Atomic bool discarding;                        /* by EXECUTOR_DISCARD */

    struct exec_queue queue;
    struct exec__lanes lanes;
    struct exec__timers timers;

    _Atomic size_t held;          /* tasks that were accepted and must not start yet (hold.c) */
    struct exec__hold *holds;     /* those; monitor */
    _Atomic uint64_t inbox_state; /* of the inbox; written under lock, read by all: pool.c */
    future_t *inbox, *inbox_last; /* tasks that came from outside and past the queue, oldest first; lock */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* predicates: a worker has started; left == 0; reaped */
    unsigned threads;       /* that have not left; lock, as is reaping */
    enum { EXEC__UNREAPED, EXEC__REAPING, EXEC__REAPED } reaping;

    /* Of abandon.c; lock. */
    struct exec__run *runs; /* those that may be abandoned, or were and have not returned */
    unsigned strays;        /* so many of them were; not in `threads` any more */
    unsigned successors;    /* threads that may be about to make one so */
    unsigned stopping;      /* strays that are calling on_stop */
    bool destroyed;         /* but for strays: the last one frees it */
    bool has_retired;       /* there is a thread that was not a worker in the end, and nobody has joined; it is */
    pthread_t retired;
};

/* Something has happened to one of the pool's tasks. */
void exec__count_elsewhere(struct exec__pool *p, enum exec__count what);
static inline void exec__count(struct exec__pool *p, enum exec__count what) {
    struct exec__seat *seat = exec__self.seat;
    if (seat == NULL || seat->pool != p) {
        exec__count_elsewhere(p, what);
        return;
    }
    _Atomic uint64_t *n = &seat->counts.n[what];
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_release);
}

/* One of them is about to end, or was just revoked: error 0, or why. */
void exec__count_failure(struct exec__pool *p, enum future_state to, int error);
static inline void exec__count_end(struct exec__pool *p, enum future_state to, int error) {
    if (to == FUTURE_DONE)
        exec__count(p, EXEC__DONE);
    else
        exec__count_failure(p, to, error);
}

/* The present time as a pointer, which it cannot be. */
static inline void *exec__stamp_now(void) {
    return (void *)((uintptr_t)exec_now() | 1); // NOLINT
}

/* Notes since when a task could start, in a future that nobody else knows yet. */
static inline void exec__stamp(const struct exec__pool *p, future_t *f) {
    if (atomic_load_explicit(&p->observed, memory_order_relaxed) != 0)
        atomic_store_explicit(&f->value, exec__stamp_now(), memory_order_relaxed);
}

/* What runs in a seat, for others to see: name NULL, nothing that has one. */
struct exec__mark {
    const char *name;
    exec_time began;
    union {
        char bytes[EXEC__MARK_WORDS * sizeof(uint64_t)]; /* of the name, ended by a zero */
        uint64_t words[EXEC__MARK_WORDS];
    } text;
};

static inline struct exec__mark exec__mark_now(const char *name) {
    struct exec__mark mark = {.name = name, .began = exec_now()};
    exec__copy_name(mark.text.bytes, sizeof mark.text.bytes, name);
    return mark;
}

/* Owner. Each store publishes the ones before it, so that a reader that sees a new field sees mark changed. */
static inline void exec__seat_mark(struct exec__seat *seat, struct exec__mark mark) {
    unsigned n = atomic_load_explicit(&seat->mark, memory_order_relaxed);
    atomic_store_explicit(&seat->mark, n + 1, memory_order_relaxed);
    atomic_store_explicit(&seat->marked_name, mark.name, memory_order_release);
    atomic_store_explicit(&seat->marked_began, mark.began, memory_order_release);
    for (int i = 0; mark.name != NULL && i < EXEC__MARK_WORDS; i++)
        atomic_store_explicit(&seat->marked_text[i], mark.text.words[i], memory_order_release);
    atomic_store_explicit(&seat->mark, n + 2, memory_order_release);
}

/* Any thread. */
static inline struct exec__mark exec__seat_marked(struct exec__seat *seat) {
    struct exec__mark mark;
    unsigned n;
    do {
        n = atomic_load_explicit(&seat->mark, memory_order_acquire);
        mark.name = atomic_load_explicit(&seat->marked_name, memory_order_acquire);
        mark.began = atomic_load_explicit(&seat->marked_began, memory_order_acquire);
        for (int i = 0; i < EXEC__MARK_WORDS; i++)
            mark.text.words[i] = atomic_load_explicit(&seat->marked_text[i], memory_order_acquire);
    } while (n % 2 != 0 || atomic_load_explicit(&seat->mark, memory_order_relaxed) != n);
    return mark;
}

/* Makes the seats, all held, for n workers to sit down in. The rest of the pool is set already. 0 or an error. */
int exec__seats_init(struct exec__pool *p);
void exec__seats_fini(struct exec__pool *p);

/* The word `idle`, from the lowest bit: top, free and searching, a field each, and the tag. */
#define EXEC__FIELD UINT64_C(0x1fff)
#define EXEC__FREE_SHIFT 13
#define EXEC__SEARCH_SHIFT 26
#define EXEC__TAG_SHIFT 39

void exec__pool_wake_one(struct exec__pool *p);

/* After work was added, or the pool was closed: wakes a worker if none searches. Async-signal-safe. */
static inline void exec__pool_wake(struct exec__pool *p) {
    uint64_t idle = atomic_load(&p->idle);
    if ((idle & EXEC__FIELD) != 0 && (idle >> EXEC__SEARCH_SHIFT & EXEC__FIELD) == 0)
        exec__pool_wake_one(p);
}

/* Something has been put somewhere and not been taken. Sequentially consistent. */
bool exec__pool_has_work(const struct exec__pool *p);

/* Keeps the pool from ending, as a task that is held does: false, it has been shut down, and may have ended before.
 * Either way it must be let go again, by a thread that knows the pool to be there. */
bool exec__pool_hold(struct exec__pool *p);
void exec__pool_let_go(struct exec__pool *p);

/* The inbox, for tasks whose submitter cannot wait for room: those that were held (hold.c). Puts one there, with its
 * entry's reference. Takes the oldest one, when all that was in the queue before it has been taken, or in any case. */
void exec__inbox_put(struct exec__pool *p, future_t *f);
future_t *exec__inbox_take(struct exec__pool *p, bool in_any_case);

/* Its state is how many are there; above that, where the end of the queue was when the first one came. */
static inline bool exec__inbox_is_empty(const struct exec__pool *p) {
    return (uint32_t)atomic_load(&p->inbox_state) == 0;
}

/* Puts a task with a priority into its lane (exec__lanes_put()), and wakes a worker. Cancels one that lies in these
 * lanes, the oldest of the least urgent: false, there is none. */
uint64_t exec__lane_put(struct exec__pool *p, future_t *f, bool counts);
bool exec__lane_drop(struct exec__pool *p, uint64_t lanes);

/* Ends a PENDING task, wherever it lies, without running it (exec__future_revoke()): false, it is PENDING no more. */
bool exec__revoke(future_t *f, int error);
/* One that was revoked (exec__future_revoke()), in a pool that cannot end meanwhile: what follows from that. */
void exec__revoked(future_t *f, int error);

/* A worker without work: may it search, rather than sleep at once? If so, it counts until it ends its search. */
bool exec__search_begin(struct exec__pool *p);
/* It has found a task: passes on the duty to look for more. */
void exec__search_end(struct exec__pool *p);

/* A worker that has nothing to do gives up its seat (and its search), and sleeps until it has another one and searches
 * again, or until everything is over: NULL. */
struct exec__seat *exec__pool_park(struct exec__pool *p, struct exec__seat *seat, bool searching);

/* A thread from outside takes the seat of an idle worker, and gives it back. NULL: none is idle. */
struct exec__seat *exec__seat_borrow(struct exec__pool *p);
void exec__seat_return(struct exec__pool *p, struct exec__seat *seat);

/* Is there a seat in which nothing runs, whether its worker sleeps, searches, or is about to? */
bool exec__pool_has_idle(const struct exec__pool *p);

/* The pool of a task, for a thread that has no seat in it: not freed until exec__pool_leave(). NULL: the task is no
 * longer PENDING, and its pool may be gone. */
struct exec__pool *exec__pool_enter(const future_t *f);
void exec__pool_leave(struct exec__pool *p);

#endif
