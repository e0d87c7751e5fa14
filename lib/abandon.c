/* abandon.c - runs that are given up when they take too long: EXEC_ABANDON.
 *
 * A run that may be abandoned is set apart, so that nothing hangs on its thread:
 *
 * - Nothing runs beneath it on its stack. A worker calls it with its stack empty; a thread that would run it while it
 *   waits starts one of its own for it instead, which is there for this run only, and keeps the pool from ending. (So
 *   does one that has to see to it that a stranger is run: chain.c.)
 * - It holds no seat. Its worker's is kept in the run meanwhile, so that nobody else takes it. What it submits to its
 *   executor goes to the inbox.
 * - Its frame is within no other. What it belongs to asks it to stop by its future's flag.
 *
 * When its time is up, the timer thread starts a successor to the worker, which first calls its hook, and then decides:
 * if the run is still APART, it is ABANDONED. The successor becomes the worker, in the seat that was kept, and finishes
 * the future. A run that has its own thread needs no successor: the timer thread decides. Whoever decides, and the
 * thread that comes back from the function, do so under pool.lock: the one that comes second does nothing.
 *
 * Who comes back to an ABANDONED run is a stray. Nobody waits for it, so all that it may touch is kept for it: its
 * future, by a reference; and its pool, which the last stray frees if its executor was destroyed meanwhile. From its
 * being flagged on, before its future is final, it sees that it is asked to stop without looking at anything else.
 *
 * Threads that are no worker's in the end (strays, those that had a run of their own, successors that came too late)
 * retire: each joins the one that retired before it, and who joins the executor joins the last.
 *
 * A timer of an earlier run may still be about to fire, or its successor about to decide, when the task runs once more:
 * both look at the present run's time, and the successor at its worker.
 *
 * Lock order: pool.lock, timers.lock.
 */
#include "abandon.h"

#include <errno.h>
#include <stdlib.h>

#include "claim.h"
#include "executor.h"
#include "memory.h"
#include "plan.h"
#include "pool.h"
#include "task.h"
#include "thread.h"
#include "worker.h"

static struct exec__run *run_of(const future_t *f) {
    return &exec__plan_of(f)->run;
}

static struct exec__plan *plan_of(struct exec__run *run) {
    return EXEC__WHOLE(run, struct exec__plan, run);
}

bool exec__task_abandons(const future_t *f) {
    const struct exec__plan *plan = exec__plan_of(f);
    return plan != NULL && plan->abandons;
}

bool exec__keeps_seat(const future_t *f) {
    return exec__may_be_abandoned(f) && atomic_load_explicit(&run_of(f)->seat, memory_order_relaxed) != NULL;
}

static bool in_forked_child(const struct exec__pool *p) {
    return p->generation != exec__generation_now();
}

/* --- a run --- */

static void unlink_locked(struct exec__run *run) {
    *run->link = run->next;
    if (run->next != NULL)
        run->next->link = run->link;
}

/* The thread that is to run the task, or to start one for it, has started it. */
static void set_apart(struct exec__run *run, struct exec__worker *w, struct exec__seat *seat) {
    struct exec__pool *p = w->pool;
    run->apart = true;
    pthread_mutex_lock(&p->lock);
    p->threads += seat == NULL; /* its own */
    atomic_store_explicit(&run->seat, seat, memory_order_relaxed);
    run->worker = w;
    run->state = EXEC__APART;
    run->began = exec_now();
    run->until = EXEC_NEVER;
    run->next = p->runs;
    run->link = &p->runs;
    if (run->next != NULL)
        run->next->link = &run->next;
    p->runs = run;
    pthread_mutex_unlock(&p->lock);
}

void exec__run_begins(struct exec__run *run, struct exec__frame *frame, exec_time until) {
    const struct exec__plan *plan = plan_of(run);
    struct exec__pool *p = plan->pool;
    frame->within = NULL;
    future_ref(plan->f);
    pthread_mutex_lock(&p->lock);
    run->until = until;
    exec__timer_arm(&p->timers, &run->timer, until);
    pthread_mutex_unlock(&p->lock);
}

bool exec__run_returns(struct exec__run *run) {
    const struct exec__plan *plan = plan_of(run);
    struct exec__pool *p = plan->pool;
    if (!run->apart)
        return true;
    if (in_forked_child(p))
        return false;
    pthread_mutex_lock(&p->lock);
    bool ours = run->state == EXEC__APART;
    if (ours) {
        run->state = EXEC__NOT_APART;
        atomic_store_explicit(&run->seat, NULL, memory_order_relaxed);
        unlink_locked(run);
    }
    pthread_mutex_unlock(&p->lock);
    if (!ours)
        return false;
    run->apart = false;
    if (exec__timer_cancel(&p->timers, &run->timer))
        future_unref(plan->f);
    return true;
}

/* --- threads that retire --- */

static void join_retired_locked(struct exec__pool *p) {
    while (p->has_retired) {
        pthread_t thread = p->retired;
        p->has_retired = false;
        pthread_mutex_unlock(&p->lock);
        pthread_join(thread, NULL);
        pthread_mutex_lock(&p->lock);
    }
}

static void uncount_locked(struct exec__pool *p, unsigned *counted) {
    if (--*counted == 0)
        pthread_cond_broadcast(&p->changed);
}

/* The thread's last act: it ceases to count as one of these. */
static void retire(struct exec__pool *p, unsigned *counted) {
    pthread_mutex_lock(&p->lock);
    const bool follows = p->has_retired;
    const pthread_t before = p->retired;
    p->has_retired = true;
    p->retired = pthread_self();
    uncount_locked(p, counted);
    const bool frees = p->destroyed && p->strays == 0;
    pthread_mutex_unlock(&p->lock);
    if (follows)
        pthread_join(before, NULL);
    if (frees) {
        pthread_detach(pthread_self());
        exec__pool_free(p);
    }
}

/* A late pthread_cancel() is too late: what the thread still has to do must be done. */
static void outlive_cancel(void) {
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
}

/* It comes back to a pool that may have ended, and been destroyed, without it. */
static void stray_returns(future_t *f) {
    struct exec__run *run = run_of(f);
    struct exec__pool *p = plan_of(run)->pool;
    if (in_forked_child(p))
        return;
    outlive_cancel();
    pthread_mutex_lock(&p->lock);
    const unsigned index = run->worker->index;
    unlink_locked(run);
    const bool stops = p->opts.on_stop != NULL && !p->destroyed;
    p->stopping += stops;
    pthread_mutex_unlock(&p->lock);
    future_unref(f);
    if (stops) {
        p->opts.on_stop(p->opts.hook_ctx, index);
        pthread_mutex_lock(&p->lock);
        p->stopping--;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
    }
    retire(p, &p->strays);
}

/* --- where it runs --- */

bool exec__run_apart(struct exec__worker *w, future_t *f) {
    struct exec__seat *seat = exec__self.seat;
    void *value;
    exec__seat_set_base(seat, f);
    set_apart(run_of(f), w, seat);
    exec__self.seat = NULL;
    int error = exec__task_call(f, &w->pool->discarding, &value);
    if (error == EXEC__ABANDONED_BY_NOW) {
        stray_returns(f);
        return false;
    }
    exec__self.seat = seat;
    exec__seat_set_base(seat, NULL);
    exec__future_finish(f, value, error, 1);
    return true;
}

/* The thread is of no use if its hook fails: then the task does as well. */
static int call_on_its_own(future_t *f, struct exec__worker *w, int unfit, void **value) {
    if (unfit == 0)
        return exec__task_call(f, &w->pool->discarding, value);
    *value = NULL;
    exec__run_returns(run_of(f));
    return exec__future_refuse(f, unfit);
}

static void *run_on_its_own(void *arg) {
    future_t *f = arg;
    struct exec__worker *w = run_of(f)->worker;
    struct exec__pool *p = w->pool;
    void *value;
    atomic_store_explicit(&f->value, &exec__self, memory_order_relaxed);
    int unfit = exec__worker_enters(w);
    int error = call_on_its_own(f, w, unfit, &value);
    if (error == EXEC__ABANDONED_BY_NOW) {
        stray_returns(f);
        return NULL;
    }
    outlive_cancel();
    exec__future_finish(f, value, error, 1);
    exec__pool_let_go(p);
    if (unfit == 0 && p->opts.on_stop != NULL)
        p->opts.on_stop(p->opts.hook_ctx, w->index);
    retire(p, &p->threads);
    return NULL;
}

bool exec__run_on_its_own(future_t *f, unsigned references) {
    struct exec__run *run = run_of(f);
    struct exec__pool *p = plan_of(run)->pool;
    struct exec__worker *w = &p->workers[exec__seated_in(p) ? exec__self.seat->index : 0];
    if (references == 0)
        future_ref(f);
    exec__pool_hold(p);
    set_apart(run, w, NULL);
    atomic_store_explicit(&f->value, NULL, memory_order_relaxed); /* chain.c: not on this thread */
    if (exec__worker_thread(w, run_on_its_own, f) == 0)
        return true;
    atomic_store_explicit(&f->value, &exec__self, memory_order_relaxed);
    exec__run_returns(run);
    pthread_mutex_lock(&p->lock);
    uncount_locked(p, &p->threads);
    pthread_mutex_unlock(&p->lock);
    exec__pool_let_go(p);
    if (references == 0)
        exec__future_release(f, 1);
    return false;
}

/* --- giving up --- */

/* The decider has a reference, which goes; the timer, too, if it was not the one that has led to this. */
static void finish_abandoned(struct exec__plan *plan) {
    future_t *f = plan->f;
    unsigned references = 1 + exec__timer_cancel(&plan->pool->timers, &plan->run.timer);
    atomic_fetch_or(&f->word, EXEC__ASKED);
    exec__rouse_cancelled();
    exec__plan_report(plan, ETIMEDOUT);
    exec__future_finish(f, NULL, ETIMEDOUT, references);
}

static void abandon_locked(struct exec__pool *p, struct exec__run *run) {
    run->state = EXEC__ABANDONED;
    p->strays++;
    p->threads--; /* not the last one: the decider's is there, or a worker's */
}

static bool takes_too_long_locked(const struct exec__run *run) {
    return run->state == EXEC__APART && exec_now() >= run->until;
}

struct succession {
    struct exec__run *run; /* with a reference to the future */
    struct exec__worker *worker;
};

/* The seat of the worker, which this thread is from now on; NULL: it is not. */
static struct exec__seat *succeed(struct exec__run *run, struct exec__worker *w, bool fit) {
    struct exec__pool *p = w->pool;
    struct exec__seat *seat = NULL;
    pthread_mutex_lock(&p->lock);
    p->successors--;
    if (fit && takes_too_long_locked(run) && run->worker == w)
        seat = atomic_exchange(&run->seat, NULL); /* NULL, if a later run has a thread of its own */
    if (seat != NULL) {
        abandon_locked(p, run);
        w->thread = pthread_self();
    }
    pthread_mutex_unlock(&p->lock);
    return seat;
}

static void *run_successor(void *arg) {
    struct succession s = *(struct succession *)arg;
    struct exec__plan *plan = plan_of(s.run);
    struct exec__pool *p = s.worker->pool;
    free(arg);
    bool fit = exec__worker_enters(s.worker) == 0;
    exec__self.seat = succeed(s.run, s.worker, fit);
    if (exec__self.seat != NULL) {
        exec__seat_set_base(exec__self.seat, NULL);
        finish_abandoned(plan);
        exec__worker_replaced(s.worker);
        exec__worker_works(s.worker);
        return NULL;
    }
    future_unref(plan->f);
    if (fit && p->opts.on_stop != NULL)
        p->opts.on_stop(p->opts.hook_ctx, s.worker->index);
    retire(p, &p->threads);
    return NULL;
}

/* It counts already. */
static void start_successor(struct exec__run *run, struct exec__worker *w) {
    struct exec__pool *p = w->pool;
    struct succession *s = exec__malloc(sizeof *s);
    if (s != NULL) {
        *s = (struct succession){run, w};
        if (exec__worker_thread(w, run_successor, s) == 0)
            return;
    }
    free(s);
    pthread_mutex_lock(&p->lock);
    p->successors--;
    uncount_locked(p, &p->threads);
    pthread_mutex_unlock(&p->lock);
    future_unref(plan_of(run)->f);
}

void exec__run_too_long(struct exec__timer *t) {
    struct exec__run *run = EXEC__WHOLE(t, struct exec__run, timer);
    struct exec__plan *plan = plan_of(run);
    struct exec__pool *p = plan->pool;
    pthread_mutex_lock(&p->lock);
    bool given_up = takes_too_long_locked(run) && p->strays + p->successors < p->opts.max_abandoned;
    bool succeeded = given_up && atomic_load_explicit(&run->seat, memory_order_relaxed) != NULL;
    struct exec__worker *w = run->worker;
    if (succeeded) {
        p->successors++;
        p->threads++; /* while the run's own is there, and so the pool */
    } else if (given_up) {
        abandon_locked(p, run);
    }
    pthread_mutex_unlock(&p->lock);
    if (succeeded) {
        start_successor(run, w);
    } else if (given_up) {
        finish_abandoned(plan);
        exec__pool_let_go(p);
    } else {
        future_unref(plan->f);
    }
}

/* --- who is left --- */

static void note(exec_straggler list[], size_t n, size_t *found, exec_straggler straggler) {
    if (*found < n)
        list[*found] = straggler;
    ++*found;
}

static bool is_kept_locked(const struct exec__pool *p, const struct exec__seat *seat) {
    const struct exec__run *run = p->runs;
    while (run != NULL && atomic_load_explicit(&run->seat, memory_order_relaxed) != seat)
        run = run->next;
    return run != NULL;
}

static exec_straggler describe_locked(struct exec__run *run, exec_time now) {
    return (exec_straggler){future_name(plan_of(run)->f), now - run->began, run->state == EXEC__ABANDONED};
}

void exec__runs_each(struct exec__pool *p, void (*visit)(const exec_straggler *run, void *ctx), void *ctx) {
    exec_time now = exec_now();
    pthread_mutex_lock(&p->lock);
    for (struct exec__run *run = p->runs; run != NULL; run = run->next) {
        const exec_straggler straggler = describe_locked(run, now);
        visit(&straggler, ctx);
    }
    pthread_mutex_unlock(&p->lock);
}

size_t exec__runs_list(struct exec__pool *p, exec_straggler list[], size_t n) {
    exec_time now = exec_now();
    size_t found = 0;
    pthread_mutex_lock(&p->lock);
    for (struct exec__run *run = p->runs; run != NULL; run = run->next)
        note(list, n, &found, describe_locked(run, now));
    for (unsigned i = 0; i < p->n; i++) {
        struct exec__seat *seat = &p->seats[i];
        if (atomic_load(&seat->base) == NULL || is_kept_locked(p, seat))
            continue;
        const struct exec__mark mark = exec__seat_marked(seat);
        note(list, n, &found, (exec_straggler){mark.name, mark.name != NULL ? now - mark.began : 0, false});
    }
    pthread_mutex_unlock(&p->lock);
    return found;
}

int exec__strays_join_locked(struct exec__pool *p, exec_time deadline) {
    int error = 0;
    while (error == 0 && p->strays > 0)
        error = deadline == EXEC_NEVER ? ETIMEDOUT : exec__cond_wait(&p->changed, &p->lock, deadline);
    error = p->strays > 0 ? ETIMEDOUT : 0;
    join_retired_locked(p);
    return error;
}

bool exec__strays_are_left(struct exec__pool *p) {
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&p->lock);
    while (p->stopping > 0 || p->has_retired) {
        if (p->has_retired)
            join_retired_locked(p);
        else
            pthread_cond_wait(&p->changed, &p->lock);
    }
    bool left = p->strays > 0;
    p->destroyed = true; /* from here on it may be gone, once it is unlocked */
    pthread_mutex_unlock(&p->lock);
    pthread_setcancelstate(state, NULL);
    return left;
}
