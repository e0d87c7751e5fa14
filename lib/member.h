/* member.h - a group as its members see it: where they are kept, and what they do when they finish. See member.c. */
#ifndef EXEC__MEMBER_H
#define EXEC__MEMBER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <exec/group.h>

#include "finished.h"
#include "future.h"
#include "scope.h"
#include "sync.h"
#include "timer.h"

struct exec__hold;

enum { EXEC__SLOTS = (EXEC__SLOTS_BYTES - 3 * sizeof(void *)) / sizeof(future_t *) };

/* Where the members that have not finished are. Blocks of slots form a ring, in the order in which they are filled. */
struct exec__slots {
    struct exec_group *group;            /* r/o after init; first: see future.h */
    struct exec__slots *_Atomic next;    /* written under `entering` */
    _Atomic size_t from;                 /* where to look for a member to run: a hint */
    _Atomic(future_t *) at[EXEC__SLOTS]; /* NULL: free */
};

_Static_assert(sizeof(struct exec__slots) == EXEC__SLOTS_BYTES, "a block of slots is aligned to its size");

struct exec_group {
    struct exec__scope scope; /* first */

    /* r/o after init */
    executor_t *ex;
    unsigned generation; /* of its process (fork.h) */
    enum exec_group_policy policy;
    exec_time deadline;        /* EXEC_NEVER: none */
    exec_time until;           /* that, or an earlier one of what the group was opened in; EXEC_NEVER: no timer */
    size_t max_running;        /* 0: any number */
    struct exec__slots *slots; /* the first ones; the ring does not change but by more of them */

    struct exec__timer timer;    /* fires at `until`; armed, it has a reference */
    _Atomic unsigned references; /* who closes it, and the timer */

    /* Changed seldom, read by all. */
    _Atomic bool cancelled;    /* no more are accepted */
    _Atomic bool decided;      /* EXEC_FIRST has its success, and the rest are cancelled */
    _Atomic(future_t *) first; /* with EXEC_FIRST: the first success, until handed out */
    _Atomic bool passed;       /* and that it is counted, which has no number */
    _Atomic int fd;            /* exec_group_fd()'s, -1: none */

    /* By who submits, mostly. */
    _Alignas(EXEC__CACHE_LINE) struct exec__spinlock entering;
    struct exec__slots *put_in;           /* where to look for a free slot; entering */
    size_t put_at;                        /* and the first to look at there; entering */
    struct exec__slots *_Atomic found_in; /* where the last member to run was found: a hint */
    _Atomic uint64_t entered;             /* members there ever were; written under `entering`, read by all */
    _Atomic uint64_t pins;                /* what else keeps the group from ending, */
    _Atomic uint64_t staying;             /* and finished members that do */

    struct exec__finished finished; /* its flags: below */

    /* By who takes those that have finished; or looks at those that have not. */
    _Alignas(EXEC__CACHE_LINE) struct exec__spinlock taking;

    _Alignas(EXEC__CACHE_LINE) pthread_mutex_t lock;
    int error;                               /* of the first that failed, 0: none; lock, as is the rest */
    bool some_cancelled, some_done;          /* members have ended like that */
    size_t running;                          /* members that have room, under max_running */
    struct exec__hold *waiting, **last_link; /* for room, the oldest first */
};

#define EXEC__WANTS_NEXT UINT64_C(1) /* somebody sleeps until a member has finished, */
#define EXEC__WANTS_END UINT64_C(2)  /* or until all have */

static inline uint64_t exec__members_gone(const struct exec_group *g) {
    return exec__finished_count(&g->finished) + atomic_load(&g->passed);
}

/* How many members have entered since so many were gone, and are not. */
static inline uint64_t exec__members_since(const struct exec_group *g, uint64_t gone) {
    return atomic_load(&g->entered) - gone;
}

/* Those who were gone before are all there are, and nothing else keeps the group. Entered is read last: it is only seen
 * if it is true then. */
static inline bool exec__group_counted(const struct exec_group *g, uint64_t gone) {
    return atomic_load(&g->staying) == 0 && atomic_load(&g->pins) == 0 && exec__members_since(g, gone) == 0;
}

/* What a finishing member still has to do when its future is final. */
struct exec__farewell {
    _Atomic(future_t *) *place; /* where it is handed out; NULL: it is the first success, which decides */
    bool rouses;                /* those who sleep for the group */
    bool decides;               /* it cancels the rest */
    bool room;                  /* it makes room for another one */
    bool stays;                 /* for one of these, or since others are to be told */
};

/* It takes its number; and if others want to know, they are told, or are to be. */
void exec__member_announces(struct exec_group *g, uint64_t word, struct exec__farewell *farewell);
static inline void exec__member_counts(struct exec_group *g, struct exec__farewell *farewell) {
    uint64_t word = exec__finished_enter(&g->finished);
    farewell->place = exec__finished_place(&g->finished, exec__finished_number(word));
    if ((word & (EXEC__WANTS_NEXT | EXEC__WANTS_END)) || atomic_load(&g->fd) >= 0)
        exec__member_announces(g, word, farewell);
}

/* A member's future is about to become final, or has become CANCELLED: it is counted. */
void exec__member_finishes_specially(struct exec_group *g, future_t *f, int error, struct exec__farewell *farewell);
EXEC__WITHIN struct exec__farewell exec__member_finishes(struct exec_group *g, future_t *f, int error) {
    struct exec__farewell farewell = {0};
    if (error != 0 || g->policy == EXEC_FIRST || g->max_running > 0)
        exec__member_finishes_specially(g, f, error, &farewell);
    else
        exec__member_counts(g, &farewell);
    return farewell;
}

/* It has something left to do: keeps the group meanwhile. */
static inline void exec__member_stays(struct exec_group *g, struct exec__farewell *farewell) {
    if (!farewell->stays)
        atomic_fetch_add(&g->staying, 1);
    farewell->stays = true;
}

/* The slot that it has entered; that becomes free. */
static inline _Atomic(future_t *) *exec__slot_of(const future_t *f) {
    if (f->extra & EXEC__MEMBER)
        return (_Atomic(future_t *) *)(f->extra & ~(EXEC__MEMBER | EXEC__IN_ROOM)); // NOLINT(performance-no-int-to-ptr)
    return exec__extra_of(f)->slot;
}

static inline void exec__slot_empty(const future_t *f) {
    atomic_store_explicit(exec__slot_of(f), NULL, memory_order_relaxed);
}

/* It is final: hands it out. The future may be gone after this, and the group, too, unless it stays. */
EXEC__WITHIN void exec__member_leaves(struct exec_group *g, future_t *f, const struct exec__farewell *farewell) {
    if (farewell->place != NULL) {
        exec__slot_empty(f);
        atomic_store_explicit(farewell->place, f, memory_order_release);
    }
    if (farewell->rouses)
        exec__group_rouse(g);
}

/* One that stays: does what is left to do, and goes. */
void exec__member_makes_way(struct exec_group *g, const struct exec__farewell *farewell);

/* Keeps the group from ending, as a member does. */
void exec__group_pin(struct exec_group *g);
void exec__group_unpin(struct exec_group *g);

/* Makes a future a member that nobody else knows yet, with room under max_running or without. */
void exec__member_init_special(struct exec_group *g, future_t *f, bool in_room);
static inline void exec__member_init(const struct exec_group *g, future_t *f) {
    f->extra = (uintptr_t)g->slots | EXEC__MEMBER;
}
bool exec__member_in_room(const future_t *f);

/* It is counted, and can be found in the group: 0; ENOMEM; ECANCELED, the group is cancelled. Or it was not accepted
 * after all, and has not started. */
int exec__member_enters(struct exec_group *g, future_t *f);
void exec__member_withdraws(struct exec_group *g, const future_t *f);

int exec__slots_init(struct exec_group *g);
void exec__slots_fini(struct exec_group *g);

/* Visits the members that have not finished; those that come or finish meanwhile may be left out. The visitor must not
 * block, or finish any. How many. */
size_t exec__group_each(struct exec_group *g, void (*visit)(future_t *f, void *ctx), void *ctx);

/* One of them for which `is` is true, with a reference; not always the same. NULL: there is none. */
future_t *exec__group_find(struct exec_group *g, bool (*is)(const future_t *f));

/* Ends members that have not started with this error, and asks the others to stop. */
void exec__group_stop(struct exec_group *g, int error);

/* Until when the group has time, set as it is made, and whether there is a timer thread to keep that: 0 or EAGAIN. It
 * counts once the group's scope is open, until nobody is left in the group. */
int exec__group_set_time(struct exec_group *g);
void exec__group_begin_time(struct exec_group *g);
void exec__group_end_time(struct exec_group *g);

/* The closer, or the timer, has done with it: the last one frees it. */
void exec__group_release(struct exec_group *g);
void exec__group_free(struct exec_group *g);

/* Room under max_running: takes it; or, with a hold, waits for it in the group's list. */
static inline bool exec__room_is_limited(const struct exec_group *g) { /* false for NULL */
    return g != NULL && g->max_running > 0;
}
bool exec__room_take(struct exec_group *g);
bool exec__room_take_or_wait(struct exec_group *g, struct exec__hold *h);
/* Waits no longer: true; or somebody has made room for it. */
bool exec__room_forgo(struct exec_group *g, struct exec__hold *h);
/* Gives it back, or to the next that waits for it. */
void exec__room_return(struct exec_group *g);

#endif
