/* wait.c - what others do with a future: wait for it, or for some of several, take its result, cancel it.
 *
 * Model: test/model/future.pml.
 *
 * A wait goes through three stages. A task that has not started may be run by the waiting thread itself, or something
 * it has submitted (claim.c). Then the thread looks at the state for a moment, since a sleep and a wake-up cost
 * thousands of such looks. Then it sleeps (sleep.c), after it has made sure that the wait can end (chain.c).
 */
#include "wait.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>

#include "abandon.h"
#include "chain.h"
#include "claim.h"
#include "memory.h"
#include "notify.h"
#include "pool.h"
#include "sleep.h"
#include "task.h"
#include "thread.h"

enum { SPINS = 200 };

#define PATIENCE EXEC_MS(1) /* for an idle worker to take a task that has not started */

static bool finished(const future_t *f) {
    return exec__finished(exec__future_word(f));
}

/* --- sleeping --- */

/* How long to sleep while a task is PENDING that this thread may yet have to run. */
exec_time exec__until_patience_ends(exec_time deadline) {
    exec_time until = exec_after(PATIENCE);
    return until < deadline ? until : deadline;
}

/* A sleeper and its entries in the lists of the futures it waits for. */
struct vigil {
    struct exec__sleeper sleeper;
    const struct exec__awaited *awaited;
    size_t n; /* entries made so far */
};

static void end_vigil(void *arg) {
    struct vigil *v = arg;
    for (size_t i = 0; i < v->n; i++)
        exec__unlisten_locked(&v->awaited->fs[i]->listeners, &v->awaited->bells[i].listener);
    exec__sleeper_leave_locked(&v->sleeper);
    exec__monitor_unlock();
    exec__sleeper_fini(&v->sleeper);
}

/* Whether there is still something to wait for. */
static bool listen_locked(struct vigil *v) {
    const struct exec__awaited *a = v->awaited;
    if (a->group != NULL)
        return !a->is_over(a);
    for (; v->n < a->n; v->n++) {
        exec__bell_init(&a->bells[v->n], &v->sleeper);
        if (!exec__future_listen_locked(a->fs[v->n], &a->bells[v->n].listener))
            v->sleeper.told++;
    }
    return true;
}

static int sleep_locked(struct vigil *v, exec_time until, struct exec__starving *starving) {
    struct exec__sleeper *s = &v->sleeper;
    int error = s->kind != EXEC__SLEEPS_FREELY ? exec__chain_check_locked(s, starving) : 0;
    if (error != 0)
        return error;
    if (!listen_locked(v))
        return 0;
    exec_time soon = s->impatient ? exec__until_patience_ends(until) : until;
    error = exec__sleeper_wait_locked(s, soon);
    if (s->told >= s->want)
        return 0;
    if (error == ETIMEDOUT && soon < until)
        return EAGAIN;
    return s->roused == EXEC__GIVE_UP ? EDEADLK : s->roused == EXEC__LOOK_AGAIN ? EAGAIN : error;
}

static int sleep_once(const struct exec__awaited *a, exec_time until, enum exec__sleep_kind kind,
                      struct exec__starving *starving) {
    struct vigil v = {.awaited = a};
    int error = exec__sleeper_init(&v.sleeper, kind, a->group != NULL ? 1 : a->want);
    if (error != 0)
        return error;
    v.sleeper.thread = &exec__self;
    v.sleeper.frame = exec__self.frame;
    v.sleeper.seat = exec__self.seat;
    v.sleeper.fs = a->fs;
    v.sleeper.nfs = a->n;
    v.sleeper.group = a->group;
    v.sleeper.awaited = a;
    v.sleeper.endless = until == EXEC_NEVER;
    exec__monitor_lock();
    exec__sleeper_enter_locked(&v.sleeper);
    pthread_cleanup_push(end_vigil, &v);
    error = sleep_locked(&v, until, starving);
    pthread_cleanup_pop(1);
    return error;
}

/* A thread that has run or submitted something, and leaves work behind that no worker may come to: those who have
 * found nothing to run before look again. */
static void rouse_others(void) {
    const struct exec__seat *seat = exec__self.seat;
    if (seat == NULL || !exec__self.stirred)
        return;
    exec__self.stirred = false;
    if (exec__pool_has_work(seat->pool) && !exec__pool_has_idle(seat->pool))
        exec__rouse_restless();
}

int exec__sleep(const struct exec__awaited *a, exec_time until, enum exec__sleep_kind kind) {
    exec__errands_flush();
    rouse_others();
    struct exec__starving starving = {NULL, false};
    int error = sleep_once(a, until, kind, &starving);
    if (starving.f == NULL)
        return error;
    if (error == EDEADLK) {
        exec__revoke(starving.f, EDEADLK);
        error = 0;
    } else {
        error = exec__claim_starving(starving.f, starving.stranger);
        if (error == 0)
            exec__claim_released();
    }
    future_unref(starving.f);
    return error != 0 ? error : EAGAIN;
}

enum exec__sleep_kind exec__sleep_kind_here(void) {
    return exec__self.frame != NULL ? EXEC__SLEEPS_IN_TASK : EXEC__SLEEPS_FREELY;
}

/* --- waiting for one --- */

static bool spin(const future_t *f) {
    for (int i = 0; i < SPINS; i++) {
        if (finished(f))
            return true;
        exec__pause();
    }
    return false;
}

EXEC__SELDOM static int wait_long(future_t *f, exec_time deadline, enum exec__sleep_kind kind) {
    bool patient = deadline != EXEC_NEVER || exec__may_be_abandoned(f);
    for (;;) {
        if (finished(f))
            return 0;
        if (exec__orphaned(f))
            return EOWNERDEAD;
        if (deadline == EXEC_NOW)
            return ETIMEDOUT;
        int error = exec__claim(f, patient);
        if (error != 0)
            return error;
        if (spin(f))
            return 0;
        if (!patient && exec__claim_descendant(f))
            continue;
        exec_time until = patient && exec__claimable(f) ? exec__until_patience_ends(deadline) : deadline;
        struct exec__bell bell;
        error = exec__sleep(&(struct exec__awaited){.fs = &f, .n = 1, .want = 1, .bells = &bell}, until, kind);
        if (error != EAGAIN && (error != ETIMEDOUT || until == deadline))
            return error;
    }
}

/* The short way first: the task is run here, and that is that. */
static int wait_for(future_t *f, exec_time deadline, enum exec__sleep_kind kind) {
    if (finished(f))
        return 0;
    if (deadline == EXEC_NEVER && !exec__orphaned(f)) {
        int error = exec__claim(f, false);
        if (error != 0 || finished(f))
            return error;
    }
    return wait_long(f, deadline, kind);
}

void exec__wait_out(future_t *f, exec_time deadline) {
    int state, error;
    if (finished(f))
        return;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    while ((error = wait_for(f, deadline, EXEC__SLEEPS_CLOSING)) != 0 && error != ETIMEDOUT)
        sched_yield(); /* no memory to sleep */
    pthread_setcancelstate(state, NULL);
}

int future_wait(future_t *f, exec_time deadline) {
    return f != NULL ? wait_for(f, deadline, exec__sleep_kind_here()) : EINVAL;
}

/* The result is the caller's from now on. */
static void take_result(future_t *f) {
    if (exec__extra_of(f) != NULL && exec__extra_of(f)->free_result != NULL)
        atomic_fetch_or_explicit(&f->word, EXEC__TAKEN_BY_GET, memory_order_relaxed); /* published by unref */
}

int future_get(future_t *f, void **result) {
    int error = f != NULL ? wait_for(f, EXEC_NEVER, exec__sleep_kind_here()) : EINVAL;
    if (error == 0)
        error = exec__future_error(f);
    if (result != NULL)
        *result = error == 0 ? atomic_load_explicit(&f->value, memory_order_relaxed) : NULL;
    if (error == 0)
        take_result(f);
    else if (f != NULL && exec__future_records_failure(f))
        atomic_fetch_or_explicit(&f->word, EXEC__TAKEN_BY_GET, memory_order_relaxed); /* as above */
    return error;
}

/* --- waiting for some of several --- */

static int by_address(const void *a, const void *b) {
    uintptr_t x = (uintptr_t) * (future_t *const *)a;
    uintptr_t y = (uintptr_t) * (future_t *const *)b;
    return (x > y) - (x < y);
}

/* Different futures, and room to listen to them all. */
struct choice {
    future_t **fs;
    struct exec__bell *bells;
    size_t n;
};

static int make_choice(struct choice *c, future_t *const fs[], size_t n) {
    c->fs = exec__calloc(n, sizeof *c->fs);
    c->bells = exec__calloc(n, sizeof *c->bells);
    if (c->fs == NULL || c->bells == NULL) {
        free(c->fs);
        free(c->bells);
        return ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        c->fs[i] = fs[i];
    qsort(c->fs, n, sizeof *c->fs, by_address);
    c->n = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || c->fs[i] != c->fs[c->n - 1])
            c->fs[c->n++] = c->fs[i];
    return 0;
}

static void free_choice(void *arg) {
    struct choice *c = arg;
    free(c->fs);
    free(c->bells);
}

static size_t count(const struct choice *c, bool (*is)(const future_t *)) {
    size_t found = 0;
    for (size_t i = 0; i < c->n; i++)
        found += is(c->fs[i]);
    return found;
}

/* Runs the first task of the caller's list that is for this thread to run: 0, or an error that ends the wait. */
static int run_first(future_t *const fs[], size_t n) {
    for (size_t i = 0; i < n; i++)
        if (exec__claimable(fs[i]))
            return exec__claim(fs[i], true);
    return 0;
}

static int wait_for_some(const struct choice *c, future_t *const fs[], size_t n, size_t want, exec_time deadline) {
    for (;;) {
        if (count(c, finished) >= want)
            return 0;
        if (count(c, exec__orphaned) > 0)
            return EOWNERDEAD;
        if (deadline == EXEC_NOW)
            return ETIMEDOUT;
        if (c->n - count(c, exec__runs_beneath) < want)
            return EDEADLK;
        int error = run_first(fs, n);
        if (error != 0)
            return error;
        if (count(c, finished) >= want)
            return 0;
        exec_time until = count(c, exec__claimable) > 0 ? exec__until_patience_ends(deadline) : deadline;
        const struct exec__awaited awaited = {.fs = c->fs, .n = c->n, .want = want, .bells = c->bells};
        error = exec__sleep(&awaited, until, exec__sleep_kind_here());
        if (error != EAGAIN && (error != ETIMEDOUT || until == deadline))
            return error;
    }
}

static int wait_for_all(future_t *const fs[], size_t n, exec_time deadline) {
    int error = 0;
    for (size_t i = 0; i < n && error == 0; i++)
        error = wait_for(fs[i], deadline, exec__sleep_kind_here());
    return error;
}

int exec_wait(future_t *const fs[], size_t n, size_t want, exec_time deadline) {
    if (want > n || (fs == NULL && n > 0))
        return EINVAL;
    for (size_t i = 0; i < n; i++)
        if (fs[i] == NULL)
            return EINVAL;
    if (want == 0)
        return 0;
    if (want == n)
        return wait_for_all(fs, n, deadline);
    struct choice c;
    int error = make_choice(&c, fs, n);
    if (error != 0)
        return error;
    pthread_cleanup_push(free_choice, &c);
    if (want < c.n)
        error = wait_for_some(&c, fs, n, want, deadline);
    else
        error = wait_for_all(fs, n, deadline);
    pthread_cleanup_pop(1);
    return error;
}

/* --- cancelling --- */

/* One that ran, and ended itself that way, has an error; one that never ran has none. */
static int cancel_finished(const future_t *f) {
    bool never_ran = exec__state_of(exec__future_word(f)) == FUTURE_CANCELLED && f->error == 0;
    return never_ran ? 0 : EALREADY;
}

int future_cancel(future_t *f) {
    if (f == NULL)
        return EINVAL;
    for (;;) {
        if (finished(f))
            return cancel_finished(f);
        if (exec__orphaned(f))
            return EOWNERDEAD;
        if (exec__revoke(f, ECANCELED))
            return 0;
        if (exec__is_ending(exec__future_word(f), f))
            exec__future_settle(f);
        else if (exec__future_ask(f)) {
            exec__rouse_cancelled();
            return EINPROGRESS;
        }
    }
}
