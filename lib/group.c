/* group.c - several tasks as one piece of work: open, submit, next, wait, cancel, close.
 *
 * Model: test/model/group.pml.
 *
 * What members do to the group, and how they are kept, is in member.c; here is what those do who use it.
 *
 * A wait for a group goes through the stages of a wait for a future (wait.c): a task that holds a seat of the executor
 * runs a member that has not started; or something that a running member has submitted; then it looks for a moment,
 * and then it sleeps. A thread from outside only looks and sleeps.
 *
 * The group's deadline is the timer thread's to keep (member.c). Who waits, or submits, and finds that it has passed
 * does the same, and does not depend on that thread's turn. A member that starts looks at the deadline, too, and one
 * that runs has it in its frame.
 */
#include "group.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "claim.h"
#include "event.h"
#include "executor.h"
#include "fork.h"
#include "hold.h"
#include "member.h"
#include "memory.h"
#include "notify.h"
#include "slab.h"
#include "wait.h"
#include "worker.h"

enum { SPINS = 200 };

/* What a wait is for. */
enum goal { A_MEMBER, THE_OUTCOME, THE_END };

static int check(const exec_group_t *g) {
    if (g == NULL)
        return EINVAL;
    return g->generation == exec__generation_now() ? 0 : EOWNERDEAD;
}

/* --- open --- */

static void cancel_scope(struct exec__scope *scope) {
    exec_group_cancel((exec_group_t *)scope);
}

static void close_scope(struct exec__scope *scope) {
    exec_group_cancel((exec_group_t *)scope);
    exec_group_close((exec_group_t *)scope);
}

static int init(exec_group_t *g, executor_t *ex, const exec_group_opts *opts) {
    g->ex = ex;
    g->generation = exec__generation_now();
    g->policy = opts->policy;
    g->deadline = opts->deadline != 0 ? opts->deadline : EXEC_NEVER;
    g->max_running = opts->max_running;
    atomic_init(&g->entered, 0);
    atomic_init(&g->pins, 0);
    atomic_init(&g->staying, 0);
    atomic_init(&g->references, 1);
    g->entering = g->taking = (struct exec__spinlock){0};
    atomic_init(&g->first, NULL);
    atomic_init(&g->passed, false);
    atomic_init(&g->fd, -1);
    atomic_init(&g->cancelled, false);
    atomic_init(&g->decided, false);
    g->error = 0;
    g->some_cancelled = g->some_done = false;
    g->running = 0;
    g->waiting = NULL;
    g->last_link = &g->waiting;
    int error = exec__group_set_time(g);
    if (error == 0)
        error = exec__slots_init(g);
    if (error != 0)
        return error;
    error = exec__finished_init(&g->finished, &g->lock);
    if (error != 0)
        goto fini_slots;
    error = pthread_mutex_init(&g->lock, NULL);
    if (error != 0)
        goto fini_finished;
    return 0;
fini_finished:
    exec__finished_fini(&g->finished);
fini_slots:
    exec__slots_fini(g);
    return error;
}

int exec_group_open(executor_t *ex, const exec_group_opts *opts, exec_group_t **out) {
    static const exec_group_opts defaults;
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    if (opts == NULL)
        opts = &defaults;
    if (out == NULL || opts->policy < EXEC_ALL || opts->policy > EXEC_FIRST || opts->deadline < 0)
        return EINVAL;
    exec_group_t *g = exec__aligned_alloc(EXEC__CACHE_LINE, sizeof *g);
    if (g == NULL)
        return ENOMEM;
    int saved = errno;
    error = init(g, ex, opts);
    errno = saved;
    if (error != 0) {
        free(g);
        return error;
    }
    exec__scope_open(&g->scope, cancel_scope, close_scope);
    exec__group_begin_time(g);
    *out = g;
    return 0;
}

/* --- cancel --- */

void exec_group_cancel(exec_group_t *g) {
    if (check(g) != 0)
        return;
    atomic_store(&g->cancelled, true);
    exec__group_stop(g, ECANCELED);
}

/* The group's deadline has passed. */
static bool is_late(const exec_group_t *g) {
    return g->deadline != EXEC_NEVER && exec_now() >= g->deadline;
}

/* --- submit --- */

/* Are no more members accepted? */
static bool is_cancelled(const exec_group_t *g) {
    return atomic_load(&g->cancelled) || is_late(g) ||
           (g->scope.owner != NULL && exec__frame_cancelled(g->scope.owner));
}

static int refuse(void *arg, const exec_task_opts *opts) {
    int saved = errno;
    if (opts != NULL && opts->drop != NULL)
        opts->drop(arg);
    errno = saved;
    return ECANCELED;
}

/* Makes a member that nobody else knows yet: held, if it cannot start now. */
static int make_member(exec_group_t *g, exec_fn *fn, void *arg, const exec_task_opts *opts, unsigned references,
                       future_t **out) {
    struct exec__pool *p = &g->ex->pool;
    future_t *f = exec__future_new(fn, arg, opts, references);
    if (f == NULL)
        return exec__no_memory(p);
    bool waits = exec__must_wait(opts);
    bool limited = exec__room_is_limited(g), room = limited && !waits && exec__room_take(g);
    int error = exec__task_init(p, f, opts, waits || (limited && !room));
    if (error != 0) {
        if (room)
            exec__room_return(g);
        exec__future_discard(f);
        return error == ENOMEM ? exec__no_memory(p) : error;
    }
    exec__member_init_special(g, f, room);
    *out = f;
    return 0;
}

static unsigned references_of(future_t **out) {
    return out != NULL ? 3 : 2; /* the entry's, exec_group_next()'s, the caller's */
}

/* Makes the member known, and has it accepted; else it has never been there, unless somebody has cancelled or run it by
 * now: then it was accepted, and has ended. */
static int enter_and_begin(exec_group_t *g, future_t *f, unsigned references, exec__admit_fn *put,
                           exec_time room_wait) {
    struct exec__pool *p = &g->ex->pool;
    int error =
        atomic_load(&p->closed) ? ESHUTDOWN : exec__member_enters(g, f); /* before anybody can find and end it */
    if (error != 0) {
        exec__future_discard(f);
        return error;
    }
    error = exec__is_plain_member(f) ? put(p, f, room_wait) : exec__task_begin(p, f, put, room_wait);
    if (error == 0 || !exec__task_withdraw(p, f, references))
        return 0;
    if (put == exec__admit)
        exec__count_refused(p, error);
    return error;
}

/* *out is the future before it can start. */
static int enter(exec_group_t *g, future_t *f, exec__admit_fn *put, exec_time room_wait, future_t **out) {
    bool room = exec__room_is_limited(g) && exec__member_in_room(f);
    future_t *before = NULL;
    if (out != NULL) {
        before = *out;
        *out = f;
    }
    int error = enter_and_begin(g, f, references_of(out), put, room_wait);
    if (error == 0) {
        if (is_late(g)) /* who has ended the others may have passed its slot by */
            exec__group_stop(g, ETIMEDOUT);
        exec__rouse_restless();
        return 0;
    }
    if (room)
        exec__room_return(g);
    if (out != NULL)
        *out = before;
    return error;
}

static int submit(exec_group_t *g, exec_fn *fn, void *arg, const exec_task_opts *opts, exec__admit_fn *put,
                  future_t **out) {
    future_t *f = NULL;
    int error = make_member(g, fn, arg, opts, references_of(out), &f);
    return error == 0 ? enter(g, f, put, opts != NULL ? opts->room_wait : 0, out) : error;
}

/* What that comes to for one without options, by a thread with a seat of the executor or from outside, in a group
 * without .max_running. */
static int submit_plain(exec_group_t *g, exec_fn *fn, void *arg, future_t **out) {
    struct exec__pool *p = &g->ex->pool;
    future_t *f = exec__cell_alloc();
    if (f == NULL)
        return exec__no_memory(p);
    exec__future_init(f, p, fn, arg, references_of(out));
    exec__task_place(p, f, exec__seated_in(p) ? 0 : exec__flags_in_queue(p));
    exec__member_init(g, f);
    return enter(g, f, exec__admit, 0, out);
}

int exec_group_submit(exec_group_t *g, exec_fn *fn, void *arg, const exec_task_opts *opts, future_t **out) {
    int error = check(g);
    if (error == 0 && (opts != NULL || fn == NULL))
        error = exec__task_check(fn, opts);
    if (error != 0)
        return error;
    if (is_cancelled(g))
        error = ECANCELED;
    else if (opts != NULL || exec__room_is_limited(g) || exec__own_without_seat(&g->ex->pool))
        error = submit(g, fn, arg, opts, exec__admit, out);
    else
        error = submit_plain(g, fn, arg, out);
    return error == ECANCELED ? refuse(arg, opts) : error;
}

int exec__group_put(exec_group_t *g, exec_fn *fn, void *arg, exec_time deadline) {
    return submit(g, fn, arg, &(exec_task_opts){.room_wait = deadline}, exec__admit_waiting, NULL);
}

/* --- waiting --- */

static bool has_finished_one(const exec_group_t *g) {
    return !exec__finished_empty(&g->finished) || atomic_load(&g->first) != NULL;
}

/* Everyone has been handed out, the first success, too. */
static bool is_empty(const exec_group_t *g) {
    uint64_t taken = atomic_load(&g->finished.taken) + atomic_load(&g->passed);
    return exec__members_since(g, taken) == 0 && atomic_load(&g->first) == NULL;
}

/* Or nearly so: members that are counted may be about to become final. */
static bool is_reached(const exec_group_t *g, enum goal goal) {
    if (goal == A_MEMBER)
        return has_finished_one(g) || is_empty(g);
    return exec__group_counted(g, exec__members_gone(g)) || (goal == THE_OUTCOME && atomic_load(&g->decided));
}

/* Are all who are counted in their places? */
static bool is_settled(exec_group_t *g) {
    exec__spin_lock(&g->taking);
    bool settled = exec__finished_settled(&g->finished);
    exec__spin_unlock(&g->taking);
    return settled;
}

/* See member.c. The same ones are counted twice: a callback may have submitted more while they came to their places. */
static bool has_ended(exec_group_t *g) {
    uint64_t gone = exec__members_gone(g);
    if (!exec__group_counted(g, gone))
        return false;
    for (unsigned tries = 0; !is_settled(g); tries++)
        exec__wait_a_little(tries);
    return exec__group_counted(g, gone);
}

/* Says so to the finishers, then looks. */
static bool is_over(const struct exec__awaited *a) {
    exec_group_t *g = a->group;
    uint64_t flags = EXEC__WANTS_END | (a->goal == A_MEMBER ? EXEC__WANTS_NEXT : 0);
    atomic_fetch_or(&g->finished.counted, flags);
    return is_reached(g, (enum goal)a->goal);
}

static int sleep_for(exec_group_t *g, enum goal goal, exec_time until, enum exec__sleep_kind kind) {
    const struct exec__awaited awaited = {.group = g,
                                          .any = goal == A_MEMBER || (goal == THE_OUTCOME && g->policy == EXEC_FIRST),
                                          .is_over = is_over,
                                          .goal = (int)goal};
    int error = exec__sleep(&awaited, until, kind);
    return error == EAGAIN || error == ETIMEDOUT ? 0 : error;
}

static bool is_running(const future_t *f) {
    return exec__state_of(exec__future_word(f)) == FUTURE_RUNNING;
}

/* Runs a member here, or something that one has submitted: *ran. An error that ends the wait; *until is how long this
 * thread may sleep before it looks again. */
static int help(exec_group_t *g, exec_time *until, bool *ran) {
    bool patient = *until != EXEC_NEVER;
    future_t *f = exec__group_find(g, exec__claimable);
    *ran = false;
    if (f != NULL) {
        int error = exec__claim(f, patient);
        *ran = error == 0 && !exec__claimable(f);
        if (error == 0 && !*ran)
            *until = exec__until_patience_ends(*until);
        future_unref(f);
        return error;
    }
    f = patient ? NULL : exec__group_find(g, is_running);
    if (f != NULL) {
        *ran = exec__claim_descendant(f);
        future_unref(f);
    }
    return 0;
}

static bool spin(const exec_group_t *g, enum goal goal) {
    for (int i = 0; i < SPINS; i++) {
        if (is_reached(g, goal))
            return true;
        exec__pause();
    }
    return false;
}

/* Waits for a while: 0 when there is reason to look again, or an error that ends the wait. */
static int wait_a_while(exec_group_t *g, enum goal goal, exec_time deadline, enum exec__sleep_kind kind) {
    exec_time until = deadline;
    if (is_late(g))
        exec__group_stop(g, ETIMEDOUT);
    else if (g->deadline < until)
        until = g->deadline;
    if (exec__seated_in(&g->ex->pool)) {
        bool ran;
        int error = help(g, &until, &ran);
        if (error != 0 || ran)
            return error;
    }
    return spin(g, goal) ? 0 : sleep_for(g, goal, until, kind);
}

bool exec__called_by_member(const exec_group_t *g) {
    if (exec__in_callback_of(g))
        return true;
    for (const struct exec__frame *frame = exec__self.frame; frame != NULL; frame = frame->below)
        if (frame->task != NULL && !future_done(frame->task) && exec__group_of(frame->task) == g)
            return true;
    return false;
}

static int wait_for_outcome(exec_group_t *g, exec_time deadline) {
    while (!has_ended(g) && !atomic_load(&g->decided)) {
        if (exec__called_by_member(g))
            return EDEADLK;
        if (deadline != EXEC_NEVER && exec_now() >= deadline)
            return ETIMEDOUT;
        int error = wait_a_while(g, THE_OUTCOME, deadline, exec__sleep_kind_here());
        if (error != 0)
            return error;
    }
    return 0;
}

static int outcome(exec_group_t *g) {
    pthread_mutex_lock(&g->lock);
    int error = g->error != 0 ? g->error : g->some_cancelled ? ECANCELED : 0;
    if (g->policy == EXEC_FIRST)
        error = g->some_done ? 0 : error != 0 ? error : ENODATA;
    pthread_mutex_unlock(&g->lock);
    return error;
}

int exec_group_wait(exec_group_t *g, exec_time deadline) {
    int error = check(g);
    if (error == 0)
        error = wait_for_outcome(g, deadline);
    return error != 0 ? error : outcome(g);
}

/* --- next --- */

/* The first success, before others, if it is final. */
static future_t *take_first_taking(exec_group_t *g, future_t *first) {
    if (!exec__finished(exec__future_word(first)))
        return NULL;
    atomic_store(&g->first, NULL);
    return first;
}

/* The descriptor is readable as long as there is something to take. */
static void drain_fd_taking(exec_group_t *g) {
    int fd = atomic_load(&g->fd);
    if (fd < 0)
        return;
    exec__event_clear(fd);
    exec__finished_show(&g->finished); /* who puts one now finds that it is the next, or is seen here */
    if (has_finished_one(g))
        exec__event_set(fd);
}

static future_t *try_to_take(exec_group_t *g) {
    exec__spin_lock(&g->taking);
    future_t *first = atomic_load_explicit(&g->first, memory_order_relaxed);
    future_t *f = first != NULL ? take_first_taking(g, first) : exec__finished_take(&g->finished);
    drain_fd_taking(g);
    exec__spin_unlock(&g->taking);
    return f;
}

/* One that is counted is about to be there. */
static future_t *take(exec_group_t *g) {
    future_t *f;
    for (unsigned tries = 0; (f = try_to_take(g)) == NULL && has_finished_one(g); tries++)
        exec__wait_a_little(tries);
    return f;
}

int exec_group_next(exec_group_t *g, exec_time deadline, future_t **out) {
    int error = check(g);
    if (error == 0 && out == NULL)
        error = EINVAL;
    while (error == 0) {
        future_t *f = take(g);
        if (f != NULL) {
            *out = f;
            return 0;
        }
        if (is_empty(g))
            return ENODATA;
        if (deadline != EXEC_NEVER && exec_now() >= deadline)
            return ETIMEDOUT;
        error = wait_a_while(g, A_MEMBER, deadline, exec__sleep_kind_here());
    }
    return error;
}

/* --- the descriptor --- */

int exec_group_fd(exec_group_t *g, int *fd) {
    int error = check(g);
    if (error == 0 && fd == NULL)
        error = EINVAL;
    if (error != 0)
        return error;
    exec__spin_lock(&g->taking); /* nobody takes between the look and the write */
    if (atomic_load(&g->fd) < 0) {
        int made;
        error = exec__event_open(&made);
        if (error == 0)
            atomic_store(&g->fd, made);
        if (error == 0 && has_finished_one(g))
            exec__event_set(made);
    }
    if (error == 0)
        *fd = atomic_load(&g->fd);
    exec__spin_unlock(&g->taking);
    return error;
}

/* --- close --- */

/* A member that this thread would have to run, and lacks the stack for: if nobody else is there for it, it fails. */
static void fail_unrunnable(exec_group_t *g) {
    if (exec__pool_has_idle(&g->ex->pool))
        return;
    future_t *f = exec__group_find(g, exec__claimable);
    if (f != NULL)
        exec__revoke(f, ENOMEM);
    future_unref(f);
}

static void wait_out(exec_group_t *g) {
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    enum exec__sleep_kind kind = exec__self.frame != NULL ? EXEC__SLEEPS_CLOSING : EXEC__SLEEPS_FREELY;
    while (!has_ended(g))
        if (wait_a_while(g, THE_END, EXEC_NEVER, kind) != 0) {
            fail_unrunnable(g);
            sched_yield();
        }
    pthread_setcancelstate(state, NULL);
}

static void unref_rest(exec_group_t *g) {
    future_t *f;
    while ((f = take(g)) != NULL)
        future_unref(f);
}

int exec_group_close(exec_group_t *g) {
    int error = check(g);
    if (error == EOWNERDEAD) { /* what other threads may have held when they ceased to be is left alone */
        if (g->scope.owner != NULL)
            atomic_fetch_sub(&g->scope.owner->scopes, 1);
        exec__event_close(atomic_load(&g->fd));
        exec__group_free(g);
    }
    if (error == 0 && exec__called_by_member(g))
        error = EDEADLK;
    if (error != 0)
        return error;
    wait_out(g);
    exec__group_end_time(g);
    exec__scope_close(&g->scope);
    error = outcome(g);
    unref_rest(g);
    exec__event_close(atomic_load(&g->fd));
    exec__group_release(g);
    return error;
}
