/* fault.h - makes what the library asks of the system fail: at one call, at two, from one call on, or whenever a signal
 * could interrupt it; and counts what it keeps.
 *
 * The program is linked with the library's files as fault_sites.h has them compiled: whatever could fail there is a
 * site, and goes through a function of fault_calls.h. Between fault_arm() and fault_disarm() all these calls, on all
 * threads, are numbered from 1 on, and those fail that the plan of fault_begin() names. Memory obtained through them is
 * known by address until it is freed; the memory of executors, which the library keeps for the next one, does not
 * count.
 *
 * A failure is noted with its site, and with the public function that the program has called there (fault_api.h, made
 * from lib/libexec.map). What fails on a thread of the library, outside of them, is no public function's.
 */
#ifndef FAULT_H
#define FAULT_H

#include "stress.h"

#include "../lib/executor.h"

#include "fault_site.h"

enum { FAULT_BLOCKS = 1 << 17 };

enum fault_kind {
    FAULT_SOFT,      /* the library can do without; the error is the call's own */
    FAULT_INTERRUPT, /* EINTR, after which it tries again */
    FAULT_CLOCK,     /* the clock cannot be read; only where a scenario is about that */
    FAULT_MEMORY,    /* from here on, what the caller should see */
    FAULT_THREAD,
    FAULT_DESCRIPTOR,
    FAULT_ROOM,
    FAULT_INVALID,
    FAULT_KINDS
};

static const int fault_errors[] = {0, EINTR, EINVAL, ENOMEM, EAGAIN, EMFILE, ENOSPC, EINVAL};

/* Which calls fail, by their numbers; 0: none. */
struct fault_plan {
    unsigned first, second, from;
    const struct fault_site *at; /* the first call at this site, and nothing else; NULL: as numbered */
    bool interrupts;             /* every other call that a signal could interrupt is, and nothing else fails */
    bool clocks;                 /* calls that read a clock are numbered, too */
};

enum { FAULT_PUBLIC = 128 };

static struct {
    atomic_bool armed;
    struct fault_plan plan; /* written while it is not armed */
    atomic_uint calls, failed[FAULT_KINDS], turns;
    _Atomic(FILE *) broken;          /* a stream that a write to its memory has failed for */
    void (*_Atomic meanwhile)(void); /* what comes about while a descriptor is made; once, in the call; NULL: nothing */
    pthread_mutex_t lock;
    void *blocks[FAULT_BLOCKS]; /* an open hash table; lock, as is live */
    size_t live;
    struct {
        _Atomic(const char *) name;
        atomic_uint failed;
    } public[FAULT_PUBLIC]; /* by the address of the name, which has one in the program */
} fault = {.lock = PTHREAD_MUTEX_INITIALIZER};

_Thread_local struct fault_frame *fault_here;
static _Thread_local const char *fault_api; /* the public function that the program is in, on this thread */

/* ---- when to fail ---- */

/* Whether a plan has a say in calls of that kind. */
static inline bool fault_concerns(enum fault_kind kind) {
    if (fault.plan.interrupts)
        return kind == FAULT_INTERRUPT;
    return kind != FAULT_INTERRUPT && (kind != FAULT_CLOCK || fault.plan.clocks);
}

/* Whether this thread's call is made there, or for a call that is: the library's own functions have sites, too. */
static inline bool fault_is_at(const struct fault_site *site) {
    const struct fault_frame *frame = fault_here;
    while (frame != NULL && frame->site != site)
        frame = frame->outer;
    return frame != NULL;
}

static inline bool fault_is_planned(void) {
    const struct fault_plan *plan = &fault.plan;
    if (plan->interrupts)
        return atomic_fetch_add(&fault.turns, 1) % 2 == 0;
    unsigned call = atomic_fetch_add(&fault.calls, 1) + 1;
    if (plan->at != NULL)
        return fault_is_at(plan->at) && atomic_fetch_add(&fault.turns, 1) == 0;
    return call == plan->first || call == plan->second || (plan->from > 0 && call >= plan->from);
}

static inline void fault_note_public(const char *name) {
    for (int i = 0; i < FAULT_PUBLIC; i++) {
        const char *none = NULL;
        if (atomic_compare_exchange_strong(&fault.public[i].name, &none, name) || none == name) {
            atomic_fetch_add(&fault.public[i].failed, 1);
            return;
        }
    }
    stress_fail(__FILE__, __LINE__, "more than %d public functions", FAULT_PUBLIC);
}

/* The watchdog reads a clock, but is no part of what is tried. */
static inline bool fault_now(enum fault_kind kind) {
    if (!atomic_load(&fault.armed) || pthread_equal(pthread_self(), stress.watchdog) || !fault_concerns(kind))
        return false;
    bool fails = fault_is_planned();
    for (struct fault_frame *frame = fault_here; frame != NULL; frame = frame->outer) {
        atomic_fetch_add(&frame->site->reached, 1);
        atomic_fetch_add(&frame->site->failed, fails);
    }
    if (fails && fault_api != NULL)
        fault_note_public(fault_api);
    atomic_fetch_add(&fault.failed[kind], fails);
    return fails;
}

static inline void fault_arm(void) {
    atomic_store(&fault.armed, true);
}

static inline void fault_disarm(void) {
    atomic_store(&fault.armed, false);
}

static inline void fault_begin(struct fault_plan plan) {
    fault.plan = plan;
    atomic_store(&fault.calls, 0);
    atomic_store(&fault.turns, 0);
    for (int i = 0; i < FAULT_KINDS; i++)
        atomic_store(&fault.failed[i], 0);
}

static inline unsigned fault_failures(bool soft_too) {
    unsigned n = 0;
    for (int i = soft_too ? FAULT_SOFT : FAULT_MEMORY; i < FAULT_KINDS; i++)
        n += atomic_load(&fault.failed[i]);
    return n;
}

/* The call that was to fail said `error`: it must be one of those injected; or `expected`, where nothing that matters
 * was, or where the call can do without. */
static inline void fault_check(const char *file, int line, int error, int expected, bool can_do_without) {
    bool right = error == expected && (can_do_without || fault_failures(false) == 0);
    for (int i = FAULT_MEMORY; i < FAULT_KINDS; i++)
        right = right || (error == fault_errors[i] && atomic_load(&fault.failed[i]) > 0);
    if (!right)
        stress_fail(file, line, "error %d (%s), with %u failures injected: calls %u, %u, and from %u on", error,
                    strerror(error), fault_failures(true), fault.plan.first, fault.plan.second, fault.plan.from);
}

#define CHECK_FAULT_ELSE(error, expected) fault_check(__FILE__, __LINE__, error, expected, false)
#define CHECK_FAULT_OR(error, expected) fault_check(__FILE__, __LINE__, error, expected, true)
#define CHECK_FAULT(error) CHECK_FAULT_ELSE(error, 0)
#define CHECK_FAULT_OR_DONE(error) CHECK_FAULT_OR(error, 0)

/* ---- what is kept ---- */

static inline size_t fault_home(const void *block) {
    return (size_t)stress_mix64((uintptr_t)block) % FAULT_BLOCKS;
}

static inline size_t fault_slot_locked(const void *block) {
    size_t i = fault_home(block);
    while (fault.blocks[i] != block && fault.blocks[i] != NULL)
        i = (i + 1) % FAULT_BLOCKS;
    return i;
}

/* Closes the gap, so that each block can be found from its home on. */
static inline void fault_remove_locked(size_t gap) {
    for (size_t i = (gap + 1) % FAULT_BLOCKS; fault.blocks[i] != NULL; i = (i + 1) % FAULT_BLOCKS)
        if ((i - fault_home(fault.blocks[i])) % FAULT_BLOCKS >= (i - gap) % FAULT_BLOCKS) {
            fault.blocks[gap] = fault.blocks[i];
            gap = i;
        }
    fault.blocks[gap] = NULL;
}

static inline void *fault_keep(void *block, size_t size) {
    if (!block || size == sizeof(struct executor))
        return block;
    pthread_mutex_lock(&fault.lock);
    CHECK_OP(fault.live, <, FAULT_BLOCKS / 2);
    fault.blocks[fault_slot_locked(block)] = block;
    fault.live++;
    pthread_mutex_unlock(&fault.lock);
    return block;
}

static inline void fault_forget(const void *block) {
    if (!block)
        return;
    pthread_mutex_lock(&fault.lock);
    size_t i = fault_slot_locked(block);
    if (fault.blocks[i] != NULL) {
        fault_remove_locked(i);
        fault.live--;
    }
    pthread_mutex_unlock(&fault.lock);
}

static inline size_t fault_live(void) {
    pthread_mutex_lock(&fault.lock);
    size_t live = fault.live;
    pthread_mutex_unlock(&fault.lock);
    return live;
}

/* ---- the public functions, from here on ---- */

static inline const char *fault_enter_public(const char *name) {
    const char *before = fault_api;
    fault_api = name;
    return before;
}

static inline void fault_leave_public(const char *const *before) {
    fault_api = *before;
}

#define FAULT_PUBLIC_CALL(name, ...)                                                                                \
    __extension__({                                                                                                 \
        __attribute__((cleanup(fault_leave_public), unused)) const char *const before_ = fault_enter_public(#name); \
        name(__VA_ARGS__);                                                                                          \
    })

#if __has_include("fault_api.h") /* not where the files are only looked at */
#include "fault_api.h"
#endif

#endif
