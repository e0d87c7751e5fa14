/* hold.c - tasks that were accepted and must not start yet: because of .after, of their times (plan.c), of their
 * group's .max_running, or of a limiter.
 *
 * A held task is PENDING with the flag HELD, which keeps everybody from starting it. It lies in no queue, and counts in
 * pool.held, so that the pool does not end before it. It goes through four stages:
 *
 * - It waits for other futures, with an entry in the list of each (notify.c). When the last one is DONE, or the first
 *   one has failed, the hold is decided, in the monitor: the decider takes the entries that are left out of their
 *   lists, and what follows is its errand.
 * - It waits until its next run is due, for its timer; who fires that moves it on.
 * - It waits for room in its group, in the group's list, under the group's lock; who makes room takes it out.
 * - It waits to be let through by its limiter, in that one's list, in the same way.
 *
 * Then HELD is cleared, and it is put where the pool's workers find it: into its lane, if it has a priority; else into
 * the pool's inbox, which cannot be full; or, because this thread has just made what it waited for, into the deque of
 * the seat that it holds.
 *
 * A task that has run and is to run again goes back to the second stage.
 *
 * Meanwhile anybody may revoke it. Who does so owns what is left to be done if the task is still waiting in one of the
 * four places, which the same locks decide; if not, whoever is about to move it finds that HELD cannot be cleared.
 *
 * A pool with held tasks cannot end; who lets go of the last one counts as its visitor until it has woken a worker,
 * which sees whether it is to end.
 */
#include "hold.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "deque.h"
#include "fork.h"
#include "member.h"
#include "memory.h"
#include "plan.h"
#include "thread.h"

/* Not by a run, if its hold is still waiting: it was revoked. (That it runs says nothing: it may run again.) */
static bool ended(const future_t *f) {
    return exec__finished(atomic_load(&f->word));
}

/* --- the first stage --- */

bool exec__must_wait(const exec_task_opts *opts) {
    if (opts == NULL || exec__starts_later(opts))
        return opts != NULL;
    for (size_t i = 0; i < opts->nafter; i++)
        if (exec__state_of(exec__future_word(opts->after[i])) != FUTURE_DONE)
            return true;
    return false;
}

/* Whoever decides a hold: nothing need be told to it any more. */
static void decide_locked(struct exec__hold *h) {
    h->decided = true;
    for (size_t i = 0; i < h->n; i++)
        if (h->needs[i].listener.next != NULL)
            exec__unlisten_locked(&h->needs[i].f->listeners, &h->needs[i].listener);
}

/* One of the futures has finished. True: that decides it. */
static bool count_locked(struct exec__hold *h, const future_t *f) {
    h->error = exec__future_error(f);
    if (--h->left > 0 && h->error == 0)
        return false;
    decide_locked(h);
    return true;
}

static struct exec__errand *need_told_locked(struct exec__listener *l, future_t *f) {
    struct exec__hold *h = ((struct exec__need *)l)->hold;
    return count_locked(h, f) ? &h->errand : NULL;
}

/* Enters all lists; true, when it is decided at once. */
static bool listen_locked(struct exec__hold *h) {
    h->left = h->n;
    for (size_t i = 0; i < h->n; i++)
        if (!exec__future_listen_locked(h->needs[i].f, &h->needs[i].listener) && count_locked(h, h->needs[i].f))
            return true;
    if (h->n == 0)
        h->decided = true;
    return h->decided;
}

static void unref_needs(struct exec__hold *h) {
    for (size_t i = 0; i < h->n; i++) {
        future_unref(h->needs[i].f);
        h->needs[i].f = NULL;
    }
}

/* --- letting go --- */

static void enter_pool_locked(struct exec__hold *h) {
    h->next = h->pool->holds;
    h->link = &h->pool->holds;
    if (h->next != NULL)
        h->next->link = &h->next;
    h->pool->holds = h;
}

/* Returns the last exploration that has passed it. */
static unsigned leave_pool(struct exec__hold *h) {
    exec__monitor_lock();
    unsigned exploration = h->node.exploration;
    *h->link = h->next;
    if (h->next != NULL)
        h->next->link = h->link;
    h->link = NULL;
    exec__monitor_unlock();
    return exploration;
}

/* Of the pool, as its visitor, and of the group: nothing of either is touched after this. */
static void leave(struct exec__pool *p, struct exec_group *g) {
    exec__pool_let_go(p);
    exec__pool_leave(p);
    if (g != NULL)
        exec__group_unpin(g);
}

/* It was revoked, and is in the pool's list no more. The caller is a visitor. */
static void end(struct exec__hold *h) {
    struct exec__pool *p = h->pool;
    struct exec_group *g = exec__group_of(h->f);
    exec__future_release(h->f, 1);
    leave(p, g);
}

/* It was revoked, and nobody else will do this. */
static void let_go(struct exec__hold *h) {
    atomic_fetch_add(&h->pool->visitors, 1);
    leave_pool(h);
    end(h);
}

/* What it has got, to go on, and does not need: room in its group, and its limiter's leave. */
static void give_back(struct exec__hold *h) {
    struct exec_group *g = exec__group_of(h->f);
    if (h->plan != NULL)
        exec__plan_report(h->plan, ECANCELED);
    if (!exec__room_is_limited(g) || !exec__extra_of(h->f)->in_room)
        return;
    exec__extra_of(h->f)->in_room = false;
    exec__room_return(g);
}

/* One that waited for room only goes behind those that have room already. */
static void post(struct exec__pool *p, future_t *f, unsigned exploration) {
    struct exec__thread *self = &exec__self;
    bool ours = self->seat != NULL && self->seat->pool == p && exec__extra_of(f)->hold->n > 0;
    if (exec__has_lane(f)) {
        uint64_t put = exec__lane_put(p, f, false);
        self->released = NULL;
        self->released_in = ours ? &p->lanes : NULL;
        self->released_put = put;
        self->released_on = exploration;
    } else if (ours && exec__deque_push(&self->seat->deque, f) == 0) {
        self->released = f;
        self->released_in = NULL;
        self->released_on = exploration;
    } else {
        exec__inbox_put(p, f);
    }
    exec__pool_wake(p);
    exec__rouse_restless();
}

/* Notes since when the task could start, and lets it. False: it has ended. Who has ended it meanwhile may have left a
 * record of the failure where the note goes, which is put back then, while there is a reference. */
static bool unhold(const struct exec__pool *p, future_t *f) {
    if (atomic_load_explicit(&p->observed, memory_order_relaxed) == 0)
        return exec__future_unhold(f);
    void *stamp = exec__stamp_now(), *before = atomic_exchange_explicit(&f->value, stamp, memory_order_relaxed);
    bool released = exec__future_unhold(f);
    if (!released)
        atomic_compare_exchange_strong_explicit(&f->value, &stamp, before, memory_order_relaxed, memory_order_relaxed);
    return released;
}

/* It leaves the pool's list before it can be run, since it may have to enter it again after that. */
void exec__hold_release(struct exec__hold *h) {
    future_t *f = h->f;
    struct exec__pool *p = h->pool;
    struct exec_group *g = exec__group_of(f);
    atomic_fetch_add(&p->visitors, 1);
    unsigned exploration = leave_pool(h);
    if (!unhold(p, f)) {
        give_back(h);
        end(h);
        return;
    }
    post(p, f, exploration); /* from here on it may be gone */
    leave(p, g);
}

/* --- the second stage --- */

/* What a thread that moves a hold needs after it has handed it on: somebody else may have run the task, and all that it
 * belonged to may be gone. */
struct kept {
    future_t *f;
    struct exec__pool *pool;
    struct exec_group *group;
};

static struct kept keep(struct exec__hold *h) {
    struct kept k = {future_ref(h->f), h->pool, exec__group_of(h->f)};
    atomic_fetch_add(&k.pool->visitors, 1);
    if (k.group != NULL)
        exec__group_pin(k.group);
    return k;
}

static void keep_no_longer(const struct kept *k) {
    exec__pool_leave(k->pool);
    if (k->group != NULL)
        exec__group_unpin(k->group);
    future_unref(k->f);
}

static void ask_for_room(struct exec__hold *h) {
    struct kept k = keep(h);
    bool waits = k.group != NULL && !exec__room_take_or_wait(k.group, h);
    if (!waits)
        exec__hold_has_room(h);
    else if (ended(k.f) && exec__room_forgo(k.group, h))
        let_go(h);
    if (waits)
        exec__rouse_restless(); /* who waits for it has to look at the group's members now */
    keep_no_longer(&k);
}

void exec__hold_has_room(struct exec__hold *h) {
    struct kept k = keep(h);
    bool waits = h->plan != NULL && !exec__plan_ask(h->plan);
    if (!waits) {
        exec__hold_release(h);
    } else if (ended(k.f) && exec__plan_unask(h->plan)) {
        give_back(h);
        let_go(h);
    }
    if (waits)
        exec__rouse_restless(); /* who waits for it has to look at those that were let through now */
    keep_no_longer(&k);
}

void exec__hold_wait(struct exec__hold *h) {
    struct kept k = keep(h);
    bool waits = h->plan != NULL && exec__plan_is_early(h->plan);
    if (waits)
        exec__plan_wait(h->plan);
    else
        ask_for_room(h);
    if (waits && ended(k.f) && exec__plan_forgo(h->plan))
        let_go(h);
    keep_no_longer(&k);
}

/* It has been decided, and this thread is to see to it. */
static void go_on(struct exec__errand *e) {
    struct exec__hold *h = EXEC__WHOLE(e, struct exec__hold, errand);
    if (h->pool->generation != exec__generation_now())
        return; /* a promise from before a fork was resolved in the child, where the task never runs */
    unref_needs(h);
    if (h->error == 0) {
        exec__hold_wait(h);
        return;
    }
    if (exec__future_revoke(h->f, h->error))
        exec__revoked(h->f, h->error);
    let_go(h);
}

/* --- beginning and revoking --- */

int exec__hold_new(future_t *f, struct exec__pool *p, const exec_task_opts *opts) {
    size_t n = opts != NULL ? opts->nafter : 0;
    struct exec__hold *h = NULL;
    if (n < SIZE_MAX / sizeof(struct exec__need) - 8)
        h = exec__calloc(1, sizeof *h + n * sizeof h->needs[0]);
    if (h == NULL)
        return ENOMEM;
    h->node.is_hold = true;
    h->errand.run = go_on;
    h->f = f;
    h->pool = p;
    h->n = n;
    for (size_t i = 0; i < n; i++)
        h->needs[i] = (struct exec__need){{.told_locked = need_told_locked}, h, future_ref(opts->after[i])};
    exec__extra_of(f)->hold = h;
    return 0;
}

void exec__hold_free(struct exec__hold *h) {
    unref_needs(h); /* if it never began */
    if (h->plan != NULL)
        exec__plan_free(h->plan);
    free(h);
}

static void begin(struct exec__hold *h) {
    exec__monitor_lock();
    bool revoked = h->decided; /* before it began */
    bool decided = !revoked && listen_locked(h);
    enter_pool_locked(h);
    exec__monitor_unlock();
    if (revoked) {
        unref_needs(h);
        let_go(h);
    } else if (decided) {
        exec__errands_run(&h->errand);
    }
}

/* It has entered the list of those that are held just after somebody who shuts down has looked there. */
static void cancel_if_ending(const struct exec__pool *p, future_t *f) {
    const struct exec__plan *plan = exec__plan_of(f);
    if (atomic_load(&p->discarding) || (atomic_load(&p->closed) && plan != NULL && exec__plan_is_schedule(plan)))
        exec__revoke(f, ECANCELED);
    else if (plan != NULL && plan->deadline != EXEC_NEVER && exec_now() >= plan->deadline)
        exec__revoke(f, ETIMEDOUT); /* it has passed while the task ran */
}

int exec__hold_begin(future_t *f) {
    struct exec__hold *h = exec__extra_of(f)->hold;
    struct exec__pool *p = h->pool;
    struct exec_group *g = exec__group_of(f);
    if (!exec__pool_hold(p)) {
        exec__pool_let_go(p);
        return ESHUTDOWN;
    }
    exec__count(p, EXEC__SUBMITTED);
    if (g != NULL)
        exec__group_pin(g);
    future_ref(f);
    begin(h);
    cancel_if_ending(p, f);
    future_unref(f);
    return 0;
}

void exec__hold_revoked(future_t *f) {
    struct exec__hold *h = exec__extra_of(f)->hold;
    struct exec_group *g = exec__group_of(f);
    exec__monitor_lock();
    bool begun = h->link != NULL;
    bool ours = !h->decided;
    if (ours)
        decide_locked(h);
    exec__monitor_unlock();
    if (!begun)
        return; /* exec__hold_begin() will see it */
    if (ours)
        unref_needs(h);
    else
        ours = (h->plan != NULL && exec__plan_forgo(h->plan)) || (g != NULL && exec__room_forgo(g, h));
    if (!ours && h->plan != NULL && exec__plan_unask(h->plan)) {
        give_back(h);
        ours = true;
    }
    if (ours)
        let_go(h);
}

/* --- again --- */

static void enter_again(struct exec__hold *h) {
    exec__pool_hold(h->pool);
    exec__monitor_lock();
    h->decided = true;
    enter_pool_locked(h);
    exec__monitor_unlock();
}

bool exec__hold_again(future_t *f, unsigned references, void *result) {
    struct exec__hold *h = exec__extra_of(f)->hold;
    struct exec__pool *p = h->pool;
    struct exec_group *g = exec__group_of(f);
    enter_again(h);
    if (g != NULL)
        exec__group_pin(g);
    if (references == 0)
        future_ref(f);
    bool again = exec__future_again(f);
    if (again) {
        exec__free_result(f, result);
        give_back(h);
        exec__hold_wait(h);
        cancel_if_ending(p, f);
    } else {
        leave_pool(h);
        exec__pool_let_go(p);
        if (g != NULL)
            exec__group_unpin(g);
    }
    if (!again && references == 0)
        future_unref(f);
    return again;
}

/* --- discarding --- */

static bool is_any(const struct exec__hold *h) {
    (void)h;
    return true;
}

static bool is_schedule(const struct exec__hold *h) {
    return h->plan != NULL && exec__plan_is_schedule(h->plan);
}

/* All that have not been found before, each with a reference to its future. */
static struct exec__hold *find_to_discard(struct exec__pool *p, bool (*is)(const struct exec__hold *h)) {
    struct exec__hold *found = NULL;
    exec__monitor_lock();
    for (struct exec__hold *h = p->holds; h != NULL; h = h->next) {
        if (h->discarded || !is(h))
            continue;
        h->discarded = true;
        h->next_discarded = found;
        found = h;
        future_ref(h->f);
    }
    exec__monitor_unlock();
    return found;
}

/* One that comes to run meanwhile and is held again cancels itself then, as what is held later does. */
static void discard(struct exec__pool *p, bool (*is)(const struct exec__hold *h)) {
    struct exec__hold *h = find_to_discard(p, is);
    while (h != NULL) {
        future_t *f = h->f;
        h = h->next_discarded;
        exec__revoke(f, ECANCELED);
        future_unref(f);
    }
}

void exec__holds_discard(struct exec__pool *p) {
    discard(p, is_any);
}

void exec__holds_end_schedules(struct exec__pool *p) {
    discard(p, is_schedule);
}
