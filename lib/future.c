/* future.c - states, references, and the list of those to tell.
 *
 * Models: test/model/future.pml and test/model/group.pml.
 *
 * Everything that decides is in one atomic word: the state, some flags, and the count of references. A future changes
 * state in move() alone, by one compare-and-swap; who loses it does nothing.
 *
 *     PENDING --start--> RUNNING --finish--> DONE | FAILED | CANCELLED         PENDING --revoke--> CANCELLED | FAILED
 *             <--again--
 *
 * - Who made it RUNNING owns value and error until it finishes it. The result is published by the release of that
 *   compare-and-swap, and read after an acquire of the word that shows a final state.
 * - References: the caller of submit has one, and the entry in a queue or deque has one, which goes with the entry, in
 *   the compare-and-swap that finishes the task where the entry's taker has run it. A thread that sees itself holding
 *   the only one need not count it down (acquire: it sees what those who left did).
 * - Telling: a sleeper enters the list of listeners in the monitor, having set LISTENED in the word by a compare-and-
 *   swap that fails once the state is final. The finisher's compare-and-swap therefore either comes first, and the
 *   sleeper does not sleep; or it sees LISTENED, and then takes the monitor, where it finds the sleeper in the list. No
 *   wake-up is lost, and without LISTENED none is looked for. The finisher keeps its reference until all are told.
 * - drop is called by who made it CANCELLED from PENDING, so exactly once, and never when the function ran.
 *
 * In a forked child the listeners of promises from before the fork are gone with their threads, and forgotten. (Tasks
 * from before the fork do not finish there.)
 */
#include "future.h"

#include <errno.h>
#include <stdlib.h>

#include "fork.h"
#include "hold.h"
#include "lanes.h"
#include "member.h"
#include "memory.h"
#include "notify.h"
#include "plan.h"
#include "pool.h"
#include "slab.h"
#include "sync.h"
#include "thread.h"

/* --- memory and references --- */

_Static_assert(sizeof(struct exec__extra) <= EXEC__CELL_BYTES, "what few tasks have is one cell");

static bool needs_extra(const exec_task_opts *opts) {
    return opts != NULL && (opts->drop || opts->free_result || opts->name);
}

int exec__future_extend(future_t *f) {
    if (f->extra != 0)
        return 0;
    struct exec__extra *x = exec__cell_alloc();
    if (x == NULL)
        return ENOMEM;
    *x = (struct exec__extra){.drop = NULL};
    f->extra = (uintptr_t)x;
    return 0;
}

static int set_options(future_t *f, const exec_task_opts *opts) {
    if (exec__future_extend(f) != 0)
        return ENOMEM;
    struct exec__extra *x = exec__extra_of(f);
    x->drop = opts->drop;
    x->free_result = opts->free_result;
    x->name = opts->name;
    return 0;
}

future_t *exec__future_new(exec_fn *fn, void *arg, const exec_task_opts *opts, unsigned references) {
    future_t *f = exec__cell_alloc();
    if (f == NULL)
        return NULL;
    exec__future_init(f, NULL, fn, arg, references);
    if (needs_extra(opts) && set_options(f, opts) != 0) {
        exec__cell_free(f);
        return NULL;
    }
    return f;
}

void exec__future_discard(future_t *f) {
    struct exec__extra *x = exec__extra_of(f);
    if (x != NULL && x->hold != NULL)
        exec__hold_free(x->hold);
    if (x != NULL && exec__has_lane(f))
        exec__lane_free(x->lane_entry);
    if (x != NULL)
        exec__cell_free(x);
    exec__cell_free(f);
}

void exec__free_result(const future_t *f, void *result) {
    const struct exec__extra *x = exec__extra_of(f);
    int saved = errno;
    if (result != NULL && x != NULL && x->free_result != NULL)
        x->free_result(result);
    errno = saved;
}

/* --- failures that nobody asks for --- */

/* The future of a task that has failed has no result, but a record in its place, if its executor wants to be told. */
struct record {
    uint64_t serial; /* of the executor, of those that live in the pool's memory one after the other */
    bool has_name;
    char name[48]; /* its beginning: who waits for the task may free it */
};

_Static_assert(sizeof(struct record) <= EXEC__CELL_BYTES, "a record is one cell");

/* Without memory for it, nobody is told. */
static void *failure_value(const future_t *f) {
    const struct exec__pool *p = f->pool;
    if (p == NULL || p->opts.on_failure == NULL || exec__group_of(f) != NULL)
        return NULL;
    struct record *record = exec__cell_alloc();
    if (record == NULL)
        return NULL;
    record->serial = atomic_load_explicit(&p->serial, memory_order_relaxed);
    record->has_name = future_name(f) != NULL;
    exec__copy_name(record->name, sizeof record->name, future_name(f));
    return record;
}

/* Who destroys the executor changes the serial number and then waits for visitors; a visitor counts itself and then
 * looks at the number (pool.c). */
static void report_failure(const future_t *f, const struct record *record) {
    struct exec__pool *p = f->pool;
    if (f->generation != exec__generation_now())
        return;
    atomic_fetch_add(&p->visitors, 1);
    if (atomic_load(&p->serial) == record->serial) {
        const exec_failure failure = {record->has_name ? record->name : NULL, f->arg, f->error};
        int saved = errno;
        p->opts.on_failure(p->opts.hook_ctx, &failure);
        errno = saved;
    }
    exec__pool_leave(p);
}

static void bury_failure(const future_t *f, uint64_t word) {
    struct record *record = atomic_load_explicit(&f->value, memory_order_relaxed);
    if (record == NULL)
        return;
    if (!(word & EXEC__TAKEN_BY_GET))
        report_failure(f, record);
    exec__cell_free(record);
}

EXEC__SELDOM static void bury_special(future_t *f, uint64_t word) {
    if (exec__state_of(word) == FUTURE_FAILED)
        bury_failure(f, word);
    if (word & EXEC__LISTENED)
        exec__forget_listeners(&f->listeners);
    if (exec__state_of(word) == FUTURE_DONE && !(word & EXEC__TAKEN_BY_GET))
        exec__free_result(f, atomic_load_explicit(&f->value, memory_order_relaxed));
    exec__future_discard(f);
}

/* The last reference has gone. */
static inline void bury(future_t *f, uint64_t word) {
    if (exec__extra_of(f) == NULL && !(word & EXEC__LISTENED) && exec__state_of(word) != FUTURE_FAILED)
        exec__cell_free(f);
    else
        bury_special(f, word);
}

static inline void release(future_t *f, unsigned references) {
    uint64_t word = exec__future_word(f);
    if (word / EXEC__REFERENCE > references)
        word = atomic_fetch_sub_explicit(&f->word, references * EXEC__REFERENCE, memory_order_acq_rel);
    if (word / EXEC__REFERENCE == references)
        bury(f, word);
}

void exec__future_release(future_t *f, unsigned references) {
    release(f, references);
}

future_t *future_ref(future_t *f) {
    if (f != NULL)
        atomic_fetch_add_explicit(&f->word, EXEC__REFERENCE, memory_order_relaxed); /* the caller has one already */
    return f;
}

void future_unref(future_t *f) {
    if (f != NULL)
        release(f, 1);
}

/* --- transitions --- */

/* The place where a future changes state: from one to another, if it is in that one, and none of the `unless`
 * flags is set; sets or leaves off what else goes with it in the same step. *seen is the word before. What was written
 * before a transition is seen after the next; sequentially consistent for the sake of exec__pool_enter(). */
static bool move(future_t *f, enum future_state from, uint64_t unless, uint64_t to, unsigned references,
                 uint64_t *seen) {
    uint64_t word = atomic_load_explicit(&f->word, memory_order_relaxed);
    uint64_t next;
    do {
        if (exec__state_of(word) != from || (word & unless)) {
            *seen = word;
            return false;
        }
        next = (word & ~EXEC__STATE) | to;
        if (!(word & EXEC__LISTENED))
            next -= references * EXEC__REFERENCE;
    } while (!atomic_compare_exchange_weak(&f->word, &word, next));
    *seen = word;
    return true;
}

/* A promise from before the fork: those who slept until it was resolved are gone. */
static void disown_locked(future_t *f) {
    if (f->generation == exec__generation_now())
        return;
    exec__forget_sleepers_locked(&f->listeners);
    f->generation = exec__generation_now();
}

static void tell(future_t *f) {
    exec__monitor_lock();
    if (f->pool == NULL)
        disown_locked(f);
    struct exec__errand *errands = exec__tell_locked(&f->listeners, f);
    exec__monitor_unlock();
    exec__errands_run(errands);
}

static bool start(future_t *f, uint64_t unless, uint64_t flags) {
    uint64_t seen;
    if (!move(f, FUTURE_PENDING, unless, FUTURE_RUNNING | flags, 0, &seen))
        return false;
    exec__self.ready_stamp = (uintptr_t)atomic_load_explicit(&f->value, memory_order_relaxed);
    atomic_store_explicit(&f->value, &exec__self, memory_order_relaxed);
    return true;
}

bool exec__future_start(future_t *f) {
    return start(f, EXEC__HELD, 0);
}

bool exec__future_start_fresh(future_t *f) {
    return start(f, EXEC__HELD | EXEC__STALE, 0);
}

bool exec__future_start_past(future_t *f, bool stale, uint64_t *word) {
    uint64_t before = atomic_load_explicit(&f->word, memory_order_relaxed), after;
    do {
        if (!exec__startable(before))
            return false;
        after = (before & ~EXEC__STATE) | FUTURE_RUNNING;
        if (stale && (before & EXEC__QUEUED))
            after = (after & ~EXEC__QUEUED) | EXEC__STALE;
    } while (!atomic_compare_exchange_weak(&f->word, &before, after));
    exec__self.ready_stamp = (uintptr_t)atomic_load_explicit(&f->value, memory_order_relaxed);
    atomic_store_explicit(&f->value, &exec__self, memory_order_relaxed);
    *word = before;
    return true;
}

/* Someone listens; without a reference of this thread's it may be gone after that. */
EXEC__SELDOM static void tell_and_release(future_t *f, unsigned references) {
    tell(f);
    if (references > 0)
        exec__future_release(f, references);
}

/* RUNNING becomes final: who waits is told, and the references go. */
EXEC__WITHIN void conclude(future_t *f, enum future_state to, unsigned references) {
    uint64_t seen;
    if (f->pool != NULL)
        exec__count_end(f->pool, to, f->error);
    move(f, FUTURE_RUNNING, 0, to, references, &seen);
    if (seen & EXEC__LISTENED) {
        tell_and_release(f, references);
    } else if (references > 0 && seen / EXEC__REFERENCE == references) {
        bury(f, (seen & ~EXEC__STATE) | to);
    }
}

/* A member that is final, and `listened` to: the reference of exec_group_next() goes with it. */
EXEC__WITHIN void part(struct exec_group *g, future_t *f, struct exec__farewell farewell, bool listened,
                       unsigned references) {
    if (listened)
        exec__member_stays(g, &farewell);
    exec__member_leaves(g, f, &farewell);
    if (listened)
        tell_and_release(f, references);
    if (farewell.stays)
        exec__member_makes_way(g, &farewell);
}

EXEC__WITHIN void conclude_member(struct exec_group *g, future_t *f, enum future_state to, int error,
                                  unsigned references) {
    struct exec__farewell farewell = exec__member_finishes(g, f, error);
    uint64_t seen;
    exec__count_end(f->pool, to, f->error);
    move(f, FUTURE_RUNNING, 0, to, references, &seen);
    part(g, f, farewell, seen & EXEC__LISTENED, references);
}

bool exec__future_again(future_t *f) {
    uint64_t word = exec__future_word(f);
    atomic_store_explicit(&f->value, NULL, memory_order_relaxed);
    do
        if (word & EXEC__ASKED)
            return false;
    while (!atomic_compare_exchange_weak(
        &f->word, &word, (word & ~(EXEC__STATE | EXEC__QUEUED)) | FUTURE_PENDING | EXEC__HELD | EXEC__HAS_RUN));
    return true;
}

/* What one run has ended with is not the end of the task. */
static bool runs_again(future_t *f, struct exec__plan *plan, void *value, int error, unsigned references) {
    if (!exec__plan_goes_on(plan, error))
        return false;
    const unsigned retried = plan->attempt > 0; /* before somebody else runs it */
    struct exec__pool *p = plan->pool;
    atomic_fetch_add_explicit(&p->counts.n[EXEC__RETRIED], retried, memory_order_relaxed);
    future_ref(f);
    bool again = exec__hold_again(f, references, error == 0 ? value : NULL);
    future_unref(f);
    if (!again)
        atomic_fetch_sub_explicit(&p->counts.n[EXEC__RETRIED], retried, memory_order_relaxed);
    return again;
}

static enum future_state final_state(int error) {
    return error == 0 ? FUTURE_DONE : error == ECANCELED ? FUTURE_CANCELLED : FUTURE_FAILED;
}

/* An error below 0: it never ran. */
static inline enum future_state set_result(future_t *f, void *value, int error) {
    bool ran = error >= 0;
    if (!ran)
        error = -error;
    enum future_state to = final_state(error);
    if (to == FUTURE_FAILED)
        value = failure_value(f);
    atomic_store_explicit(&f->value, value, memory_order_relaxed);
    f->error = to == FUTURE_CANCELLED && !ran ? 0 : error;
    return to;
}

EXEC__WITHIN void finish_member(struct exec_group *g, future_t *f, void *value, int error, unsigned references) {
    enum future_state to = set_result(f, value, error);
    conclude_member(g, f, to, error < 0 ? -error : error, references);
}

/* One that has something out of the ordinary. */
EXEC__SELDOM static void finish_special(future_t *f, void *value, int error, unsigned references) {
    struct exec__plan *plan = exec__plan_of(f);
    if (plan != NULL && error >= 0 && runs_again(f, plan, value, error, references))
        return;
    if (plan != NULL)
        references += exec__plan_end(plan);
    struct exec_group *g = exec__group_of(f);
    if (g != NULL)
        finish_member(g, f, value, error, references);
    else
        conclude(f, set_result(f, value, error), references);
}

EXEC__OUTSIDE static void finish_extra(future_t *f, void *value, int error, unsigned references) {
    if (exec__is_plain_member(f))
        finish_member(exec__group_of(f), f, value, error, references);
    else
        finish_special(f, value, error, references);
}

void exec__future_finish(future_t *f, void *value, int error, unsigned references) {
    if (f->extra != 0) {
        finish_extra(f, value, error, references);
        return;
    }
    conclude(f, set_result(f, value, error), references);
}

bool exec__future_revoke(future_t *f, int error) {
    uint64_t seen;
    if (error == ECANCELED)
        return move(f, FUTURE_PENDING, 0, FUTURE_CANCELLED, 0, &seen);
    if (!start(f, 0, EXEC__NEVER_RUNS))
        return false;
    f->error = error;
    atomic_store_explicit(&f->value, failure_value(f), memory_order_relaxed);
    move(f, FUTURE_RUNNING, 0, FUTURE_FAILED, 0, &seen);
    return true;
}

static void drop_argument(const future_t *f) {
    int saved = errno;
    const struct exec__extra *x = exec__extra_of(f);
    if (x != NULL && x->drop != NULL && !(exec__future_word(f) & EXEC__HAS_RUN))
        x->drop(f->arg);
    errno = saved;
}

void exec__future_revoked(future_t *f, int error) {
    struct exec_group *g = exec__group_of(f);
    if (exec__future_word(f) & EXEC__HELD)
        exec__hold_revoked(f);
    drop_argument(f);
    if (g == NULL) {
        if (exec__future_word(f) & EXEC__LISTENED)
            tell(f);
        return;
    }
    struct exec__farewell farewell = exec__member_finishes(g, f, error);
    part(g, f, farewell, exec__future_word(f) & EXEC__LISTENED, 0);
}

int exec__future_refuse(future_t *f, int error) {
    drop_argument(f);
    return -error;
}

bool exec__future_unhold(future_t *f) {
    uint64_t word = atomic_load_explicit(&f->word, memory_order_relaxed);
    do
        if (exec__state_of(word) != FUTURE_PENDING)
            return false;
    while (!atomic_compare_exchange_weak(&f->word, &word, word & ~EXEC__HELD));
    return true;
}

bool exec__future_ask(future_t *f) {
    uint64_t word = exec__future_word(f);
    while (exec__state_of(word) == FUTURE_RUNNING && !(word & EXEC__NEVER_RUNS))
        if (atomic_compare_exchange_weak(&f->word, &word,
                                         word | EXEC__ASKED)) /* see exec__anyone_sleeps_cancellably() */
            return true;
    return false;
}

bool exec__future_listen_locked(future_t *f, struct exec__listener *l) {
    uint64_t word = exec__future_word(f);
    do {
        if (exec__finished(word))
            return false;
    } while (!atomic_compare_exchange_weak(&f->word, &word, word | EXEC__LISTENED));
    if (f->pool == NULL)
        disown_locked(f);
    exec__listen_locked(&f->listeners, l);
    return true;
}

void exec__future_keep_locked(future_t *f, struct exec__listener *l) {
    atomic_fetch_or(&f->word, EXEC__LISTENED);
    exec__listen_locked(&f->listeners, l);
}

int exec__future_error(const future_t *f) {
    switch (exec__state_of(exec__future_word(f))) {
    case FUTURE_DONE: return 0;
    case FUTURE_CANCELLED: return ECANCELED;
    default: return f->error;
    }
}

/* --- public --- */

bool future_done(const future_t *f) {
    return f != NULL && exec__finished(exec__future_word(f));
}

enum future_state future_state(const future_t *f) {
    uint64_t word = exec__future_word(f);
    return exec__is_ending(word, f) ? FUTURE_PENDING : exec__state_of(word);
}

void *future_arg(const future_t *f) {
    return f->arg;
}

const char *future_name(const future_t *f) {
    return exec__extra_of(f) != NULL ? exec__extra_of(f)->name : NULL;
}

int future_create(future_t **out) {
    if (out == NULL)
        return EINVAL;
    future_t *f = exec__future_new(NULL, NULL, NULL, 1);
    if (f == NULL)
        return ENOMEM;
    *out = f;
    return 0;
}

void exec__future_settle(const future_t *f) {
    for (unsigned tries = 0; !exec__finished(exec__future_word(f)); tries++)
        exec__wait_a_little(tries);
}

int future_resolve(future_t *f, void *value, int error) {
    if (f == NULL || f->pool != NULL || error < 0)
        return EINVAL;
    if (exec__future_start(f)) {
        exec__future_finish(f, error == 0 ? value : NULL, error, 0);
        return 0;
    }
    exec__future_settle(f);
    return EALREADY;
}
