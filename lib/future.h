/* future.h - the future inside: its state word and what moves it. See future.c. */
#ifndef EXEC__FUTURE_H
#define EXEC__FUTURE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <exec/future.h>
#include <exec/task.h>

#include "fork.h"
#include "sleep.h"

struct exec__pool;

struct exec_group;
struct exec__hold;
struct exec__lane_entry;

/* What few tasks have; in a cell of its own when there is any. */
struct exec__extra {
    void (*drop)(void *); /* r/o after init, as are the next three */
    void (*free_result)(void *);
    const char *name;
    struct exec_group *group;     /* it is a member of, or NULL; only while the task has not finished known to exist */
    struct future *_Atomic *slot; /* a member's in its group (member.c); set before others know it */
    struct exec__hold *hold;      /* while HELD: hold.c; and its times, if it has any; r/o after init */
    union {
        struct future *next_in_box;          /* the pool's inbox: its lock, as are the next two */
        struct exec__lane_entry *lane_entry; /* of one with a LANE (lanes.c), never there; r/o after init */
    };
    uint32_t turn; /* where the end of the queue was when it was put there */
    bool in_box;   /* it is there, dead or alive */
    bool in_room;  /* a member that counts as running under .max_running; by who starts or finishes it */
};

struct future {
    _Atomic uint64_t word;            /* state, flags, references: see below */
    exec_fn *fn;                      /* r/o after init */
    void *arg;                        /* r/o after init */
    _Atomic(void *) value;            /* while RUNNING the thread it runs on, then its result */
    struct exec__pool *pool;          /* its executor, r/o after init; NULL: a promise. Only while the task has not
                                                finished is that known to exist; see exec__pool_enter() in pool.h */
    struct exec__listener *listeners; /* monitor */
    uintptr_t extra;     /* what few tasks have, or a plain member's slot, or 0; see below; r/o after init */
    int error;           /* set before the final state, by who made it RUNNING; else 0 */
    unsigned generation; /* of its process (fork.h); r/o after init; a promise's: monitor */
};

_Static_assert(sizeof(struct future) == EXEC__CACHE_LINE, "a future is one cache line");

/* The word, from the lowest bit. */
#define EXEC__STATE UINT64_C(7)           /* enum future_state */
#define EXEC__ASKED UINT64_C(8)           /* asked to stop */
#define EXEC__LISTENED UINT64_C(16)       /* someone is, or was, in the list of listeners */
#define EXEC__TAKEN_BY_GET UINT64_C(32)   /* the result belongs to who called future_get() */
#define EXEC__QUEUED UINT64_C(64)         /* it went into the bounded queue, and counts against its capacity */
#define EXEC__RUNS_ANYWHERE UINT64_C(128) /* a thread outside of its executor may run it */
#define EXEC__HELD UINT64_C(256)          /* it must not start yet, and is in no queue (hold.c) */
#define EXEC__NEVER_RUNS UINT64_C(512)    /* RUNNING for an instant, on its way from PENDING to FAILED */
#define EXEC__HAS_RUN UINT64_C(1024)      /* and failed, or is to run again: its argument is not to be dropped */
#define EXEC__STALE UINT64_C(2048) /* it was run past its entry in the queue, which is still there, and runs again */
#define EXEC__LANE UINT64_C(4096)  /* it has a priority, and a lane to lie in instead of the queue; r/o after init */
#define EXEC__REFERENCE UINT64_C(65536)

static inline uint64_t exec__future_word(const future_t *f) {
    return atomic_load_explicit(&f->word, memory_order_acquire); /* pairs with the release in move(), future.c */
}

static inline enum future_state exec__state_of(uint64_t word) {
    return (enum future_state)(word & EXEC__STATE);
}

static inline bool exec__finished(uint64_t word) {
    return exec__state_of(word) > FUTURE_RUNNING;
}

/* PENDING, and nothing keeps it from being started. */
static inline bool exec__startable(uint64_t word) {
    return (word & (EXEC__STATE | EXEC__HELD)) == FUTURE_PENDING;
}

/* A future's `extra` is a pointer to a struct exec__extra; or, with the bit MEMBER, to the slot of a member of a group
 * that has nothing else out of the ordinary, but maybe IN_ROOM, as in there. */
#define EXEC__MEMBER ((uintptr_t)1)
#define EXEC__IN_ROOM ((uintptr_t)2)

static inline struct exec__extra *exec__extra_of(const future_t *f) {
    return f->extra & EXEC__MEMBER ? NULL : (struct exec__extra *)f->extra; // NOLINT(performance-no-int-to-ptr)
}

/* A member of a group, and nothing else out of the ordinary. */
static inline bool exec__is_plain_member(const future_t *f) {
    return f->extra & EXEC__MEMBER;
}

/* The slots of a group lie in blocks, aligned to their size, that begin with its address. */
#define EXEC__SLOTS_BYTES ((uintptr_t)512)

/* The group it is a member of, or NULL. Only for one that has not finished. */
static inline struct exec_group *exec__group_of(const future_t *f) {
    if (f->extra & EXEC__MEMBER)
        return *(struct exec_group **)(f->extra & ~(EXEC__SLOTS_BYTES - 1)); // NOLINT(performance-no-int-to-ptr)
    return f->extra != 0 ? exec__extra_of(f)->group : NULL;
}

/* Sets all fields of a PENDING one without options; pool NULL: a promise, as yet. */
static inline void exec__future_init(future_t *f, struct exec__pool *pool, exec_fn *fn, void *arg,
                                     unsigned references) {
    atomic_init(&f->word, FUTURE_PENDING | references * EXEC__REFERENCE);
    f->fn = fn;
    f->arg = arg;
    atomic_init(&f->value, NULL);
    f->pool = pool;
    f->listeners = NULL;
    f->extra = 0;
    f->error = 0;
    f->generation = exec__generation_now();
}

/* A PENDING future with so many references; opts may be NULL. NULL: ENOMEM. */
future_t *exec__future_new(exec_fn *fn, void *arg, const exec_task_opts *opts, unsigned references);
/* Gives it what few tasks have, while nobody else knows it. 0 or ENOMEM. */
int exec__future_extend(future_t *f);
/* Undoes exec__future_new() for a task that was not accepted. */
void exec__future_discard(future_t *f);

/* PENDING and not HELD becomes RUNNING, on this thread: true for the one who wins, who must then call
 * exec__future_finish(). */
bool exec__future_start(future_t *f);
bool exec__future_start_fresh(future_t *f); /* and not STALE */
/* The same for one whose entry stays behind, and, if it may run again, becomes STALE in the same step; *word as before.
 */
bool exec__future_start_past(future_t *f, bool stale, uint64_t *word);

/* RUNNING becomes DONE with the value (error 0), CANCELLED (ECANCELED) or FAILED; everyone waiting is told, and the
 * given number of references go. An error below 0: the same for -error, but the function was never called. */
void exec__future_finish(future_t *f, void *value, int error, unsigned references);

/* PENDING, also HELD, becomes CANCELLED (ECANCELED) or FAILED: true for the one who wins, who must then call
 * exec__future_revoked(), which calls .drop and tells everyone waiting. It never runs. */
bool exec__future_revoke(future_t *f, int error);
void exec__future_revoked(future_t *f, int error);

/* RUNNING by this thread becomes PENDING again, and HELD: it will run once more. False: it was asked to stop. */
bool exec__future_again(future_t *f);

/* It has failed, and its executor is to be told, unless somebody asks for the error: executor_opts.on_failure. */
static inline bool exec__future_records_failure(const future_t *f) {
    return exec__state_of(exec__future_word(f)) == FUTURE_FAILED &&
           atomic_load_explicit(&f->value, memory_order_relaxed) != NULL;
}

/* What becomes of a result that nobody takes. */
void exec__free_result(const future_t *f, void *result);

/* RUNNING by this thread, but it is not to run after all: calls .drop; what to finish it with. */
int exec__future_refuse(future_t *f, int error);

/* A HELD task may start now: true; or it is PENDING no more. */
bool exec__future_unhold(future_t *f);

/* Raises the flag of a task that runs: true if it runs. */
bool exec__future_ask(future_t *f);

/* One that somebody is finishing this instant: waits for that. */
void exec__future_settle(const future_t *f);

void exec__future_release(future_t *f, unsigned references);

/* A task from before a fork that had not finished by then. */
static inline bool exec__orphaned(const future_t *f) {
    return f->pool != NULL && f->generation != exec__generation_now() && !exec__finished(exec__future_word(f));
}

/* RUNNING, in a way that its users need not know of: a promise that is being resolved, a task that fails without having
 * run. */
static inline bool exec__is_ending(uint64_t word, const future_t *f) {
    return exec__state_of(word) == FUTURE_RUNNING && (f->pool == NULL || (word & EXEC__NEVER_RUNS));
}

/* The error that future_get() reports for a finished future. */
int exec__future_error(const future_t *f);

/* Puts a listener into its list: true; or it has finished: false. */
bool exec__future_listen_locked(future_t *f, struct exec__listener *l);
/* The same for one that has finished: nobody will tell it, but exec__forget_listeners() will find it. */
void exec__future_keep_locked(future_t *f, struct exec__listener *l);

#endif
