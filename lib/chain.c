/* chain.c - who waits for whom, and whether that can end.
 *
 * Model: test/model/group.pml.
 *
 * Before a thread sleeps inside of a task, it looks at what it waits for, and what that waits for in turn: a running
 * task may be asleep in a wait of its own, a held one waits for others (hold.c). So there is a graph, whose nodes are
 * sleepers and holds, and whose edges are the futures they wait for. All of it is looked at in the monitor (sleep.c),
 * so that it stands still, and of the waits that can only end together one comes last and sees the others. It may find
 *
 * - a ring: the way leads back to the thread, by waits that need all of what they wait for. Then none of them could
 *   ever go on, and the wait fails with EDEADLK; or, if it is one that has to be waited out (a map's for its helpers, a
 *   group's close), another one in the ring does; or, if there is none, the first held task in it, which never runs.
 * - a task that has not started, of an executor that the thread itself works for. It is run here: what the thread waits
 *   for waits for it. With a deadline this is so only when no worker is idle. What that task lets go of in turn, and
 *   this exploration has passed on its way, is run next without another look (claim.c), so that a long chain of tasks
 *   takes no longer than its length.
 * - a task that has not started, of another executor, and the thread is stuck: it cannot be woken before that one's
 *   workers, who all wait, stuck in the same way. The task is run here as well, in the place of one of those, since
 *   otherwise two executors whose tasks wait for each other's could hang. If it must have its own threads, those of
 *   them who wait for it, too, are roused to look again, and run it; they fell asleep before it was there. If there is
 *   none: EDEADLK.
 *
 * Stuck are, of all nodes without a deadline, those that remain when one after the other is taken away that can still
 * end: because enough of its futures have finished, or run on a thread that is not stuck, or have not started and have
 * an executor with a seat that no stuck sleeper holds; or are promises, which anyone may resolve.
 *
 * A task that its limiter holds back waits for any of those that were let through and have not ended, if only such are
 * in its way. That is looked at only to see who is stuck: when nothing else goes on, one of them is run, on a thread of
 * its own, since it may be a stranger to the task that waits (abandon.c).
 *
 * Where that hangs on a group that somebody is just entering or leaving, or on a limiter that is in use, the thread is
 * not sure, sleeps for a moment only, and looks again.
 *
 * A held task, or one that runs and may be held again, may be for a sleeper to run later that has found nothing. Such
 * sleepers are restless: who lets go of a held task rouses them, and so does a thread that has done something and falls
 * asleep with work left in its executor, and they look again.
 */
#include "chain.h"

#include <errno.h>

#include "abandon.h"
#include "executor.h"
#include "hold.h"
#include "member.h"
#include "plan.h"
#include "pool.h"
#include "task.h"
#include "thread.h"
#include "wait.h"

bool exec__runs_beneath(const future_t *f) {
    for (const struct exec__frame *frame = exec__self.frame; frame != NULL; frame = frame->below)
        if (frame->task == f)
            return true;
    return false;
}

static bool startable(const future_t *f) {
    return f->pool != NULL && exec__startable(exec__future_word(f));
}

static bool is_held(const future_t *f) {
    uint64_t word = exec__future_word(f);
    return exec__state_of(word) == FUTURE_PENDING && (word & EXEC__HELD);
}

/* Its present run may not be its last. */
static bool may_be_held_again(const future_t *f) {
    const struct exec__plan *plan = exec__plan_of(f);
    return plan != NULL && exec__plan_repeats(plan);
}

/* The sleeper whose thread runs this future. A thread's address in value is right if the future is still RUNNING
 * afterwards, and the address still there: a task that runs again may have changed its thread in between. */
static struct exec__sleeper *sleeper_on_locked(const future_t *f) {
    const void *thread = atomic_load_explicit(&f->value, memory_order_acquire); /* before the word */
    if (f->pool == NULL || exec__state_of(exec__future_word(f)) != FUTURE_RUNNING)
        return NULL;
    if (atomic_load_explicit(&f->value, memory_order_relaxed) != thread)
        return NULL;
    for (struct exec__sleeper *s = exec__sleepers; s != NULL; s = s->next)
        if (s->thread == thread)
            return s;
    return NULL;
}

static bool waits_endlessly(const struct exec__sleeper *s) {
    return s->endless && s->roused == EXEC__ASLEEP && s->told < s->want;
}

/* What this future waits for, without a deadline, or NULL. A hold that has left its pool may be gone at any moment: its
 * task is about to be startable. */
static struct exec__node *node_of_locked(const future_t *f) {
    if (is_held(f)) {
        struct exec__hold *h = exec__extra_of(f)->hold;
        return h->link != NULL ? &h->node : NULL;
    }
    struct exec__sleeper *s = sleeper_on_locked(f);
    return s != NULL && waits_endlessly(s) ? &s->node : NULL;
}

/* --- the edges of a node --- */

typedef void visit_fn(future_t *f, void *ctx);

static const struct exec__hold *as_hold(const struct exec__node *node) {
    return (const struct exec__hold *)node;
}

static const struct exec__sleeper *as_sleeper(const struct exec__node *node) {
    return (const struct exec__sleeper *)node;
}

static void visit_needs_locked(const struct exec__hold *h, visit_fn *visit, void *ctx) {
    for (size_t i = 0; i < h->n; i++)
        if (h->needs[i].listener.next != NULL)
            visit(h->needs[i].f, ctx);
}

/* One that has been decided starts when its time has come, unless it waits for room in its group, which any of the
 * members may make, or for its limiter, as below. */
static struct exec_group *group_edges(const struct exec__node *node) {
    if (!node->is_hold)
        return as_sleeper(node)->group;
    struct exec_group *g = exec__group_of(as_hold(node)->f);
    return as_hold(node)->waits_for_room ? g : NULL;
}

/* True, when it has seen all of them: members of a group may be on their way in or out, and a limiter may be in use. (A
 * member that is counted may be in its slot still. It is visited, and can end, for it is about to be final; and so,
 * whether one is left out instead or not, can a wait that needs any of them.) */
static bool visit_edges_locked(const struct exec__node *node, bool limiters, visit_fn *visit, void *ctx) {
    struct exec_group *g = group_edges(node);
    if (g != NULL) {
        uint64_t gone = exec__members_gone(g);
        if (atomic_load(&g->staying) > 0)
            return false;
        size_t n = exec__group_each(g, visit, ctx);
        return n >= exec__members_since(g, gone) && group_edges(node) == g; /* it may have been given room by now */
    }
    if (node->is_hold && !as_hold(node)->decided)
        visit_needs_locked(as_hold(node), visit, ctx);
    else if (node->is_hold && limiters && as_hold(node)->plan != NULL)
        return exec__plan_each_before(as_hold(node)->plan, visit, ctx);
    if (!node->is_hold)
        for (size_t i = 0; i < as_sleeper(node)->nfs; i++)
            visit(as_sleeper(node)->fs[i], ctx);
    return true;
}

/* Does it need all of them? */
static bool needs_all_locked(const struct exec__node *node) {
    if (node->is_hold)
        return !as_hold(node)->decided;
    const struct exec__sleeper *s = as_sleeper(node);
    return s->group != NULL ? !s->awaited->any : s->want >= s->nfs;
}

/* --- exploring --- */

enum follow { NEEDS_ALL, AWAITS, AWAITS_AND_SEATS };
/* What is startable: of an executor that we work for; whose tasks may run anywhere; or no more than a look whether
 * there is one of an executor that the sleeper where it begins works for. */
enum take { NOTHING, OURS, ANYONES, SEEN_AS_THEIRS };

struct walk {
    enum follow follow;
    enum take take;
    unsigned exploration;
    struct exec__node *todo, *done; /* found; and looked at, the last one first */
    const struct exec__node *from, *at;
    const struct exec__node *leads_back; /* a node that waits for something beneath us */
    future_t *taken;                     /* the first that was to be taken, with a reference */
    bool patient;                        /* what an idle worker may run is left to it */
    bool left;                           /* there was such a task */
    bool held;                           /* there was a held task, or one that may be held again */
    bool startable;                      /* there was one that could be taken by anyone */
    bool theirs;                         /* and one for whose executor the sleeper works */
    bool unsure;                         /* whoever it hangs on may just have come or gone */
};

static void find(struct walk *w, struct exec__node *node) {
    if (node->exploration == w->exploration || (w->follow == NEEDS_ALL && !needs_all_locked(node)))
        return;
    node->exploration = w->exploration;
    node->parent = w->at;
    node->stuck = true;
    node->next = w->todo;
    w->todo = node;
}

/* How many of the pool's seats this sleeper's thread holds. */
static unsigned seats_held(const struct exec__sleeper *s, const struct exec__pool *p) {
    const struct exec__seat *last = s->seat;
    unsigned n = last != NULL && last->pool == p;
    for (const struct exec__frame *frame = s->frame; frame != NULL; frame = frame->below) {
        if (frame->seat != NULL && frame->seat != last && frame->seat->pool == p)
            n++;
        if (frame->task != NULL && exec__keeps_seat(frame->task) && frame->pool == p)
            n++;
        last = frame->seat;
    }
    return n;
}

static void find_seated(struct walk *w, const struct exec__pool *p) {
    for (struct exec__sleeper *s = exec__sleepers; s != NULL; s = s->next)
        if (waits_endlessly(s) && seats_held(s, p) > 0)
            find(w, &s->node);
}

static bool is_anyones(const future_t *f) {
    return !f->pool->own_threads || exec__runs_here(f->pool);
}

static bool is_wanted(struct walk *w, const future_t *f) {
    if (w->take != OURS)
        return w->take == ANYONES && is_anyones(f);
    bool left = w->patient && exec__pool_has_idle(f->pool);
    w->left = w->left || left;
    return !left && exec__runs_here(f->pool);
}

static void look_at(future_t *f, void *ctx) {
    struct walk *w = ctx;
    if (exec__runs_beneath(f) && w->leads_back == NULL)
        w->leads_back = w->at;
    if (startable(f)) {
        w->startable = w->startable || is_anyones(f);
        if (w->take == SEEN_AS_THEIRS)
            w->theirs = w->theirs || seats_held(as_sleeper(w->from), f->pool) > 0;
        else if (w->taken == NULL && is_wanted(w, f))
            w->taken = future_ref(f);
        if (w->follow == AWAITS_AND_SEATS)
            find_seated(w, f->pool);
        return;
    }
    struct exec__node *node = node_of_locked(f);
    w->held = w->held || is_held(f) || may_be_held_again(f);
    if (node != NULL)
        find(w, node);
}

/* Looks at all that can be reached from the node. What it has found stands still as long as the monitor is held. */
static struct walk explore_locked(struct exec__node *from, enum follow follow, enum take take) {
    static unsigned exploration; /* monitor */
    exploration++;
    struct walk w = {.follow = follow, .take = take, .exploration = exploration, .from = from};
    bool limiters = take == NOTHING || take == ANYONES; /* what they let through is a stranger */
    w.patient = !from->is_hold && !as_sleeper(from)->endless;
    from->exploration = w.exploration;
    from->parent = NULL;
    from->stuck = true;
    from->next = NULL;
    w.todo = from;
    while (w.todo != NULL) {
        struct exec__node *node = w.todo;
        w.todo = node->next;
        node->next = w.done;
        w.done = node;
        w.at = node;
        if (!visit_edges_locked(node, limiters, look_at, &w))
            w.unsure = true;
    }
    return w;
}

/* --- who is stuck --- */

static bool all_seats_stuck_locked(const struct exec__pool *p, unsigned exploration) {
    unsigned n = 0;
    for (const struct exec__sleeper *s = exec__sleepers; s != NULL; s = s->next)
        if (s->node.exploration == exploration && s->node.stuck)
            n += seats_held(s, p);
    return n >= p->n;
}

struct count {
    struct walk *w;
    size_t may, cannot;
};

static void count_one(future_t *f, void *ctx) {
    struct count *c = ctx;
    const struct exec__node *node;
    bool stuck;
    if (startable(f)) {
        stuck = all_seats_stuck_locked(f->pool, c->w->exploration);
        c->w->startable = c->w->startable || is_anyones(f);
    } else {
        stuck = (node = node_of_locked(f)) != NULL && node->exploration == c->w->exploration && node->stuck;
    }
    c->may += !stuck;
    c->cannot += stuck;
}

/* One who sleeps for a member that is there, or for an outcome that is decided, and has not been roused yet. */
static bool is_over_locked(const struct exec__node *node) {
    return !node->is_hold && as_sleeper(node)->awaited->is_over(as_sleeper(node)->awaited);
}

/* A hold that was decided and waits neither for room nor for its limiter is about to move. If it only may since not all
 * was seen, that is unsure. */
static bool may_end_locked(const struct exec__node *node, struct walk *w) {
    struct count c = {.w = w};
    bool all = visit_edges_locked(node, true, count_one, &c);
    if (needs_all_locked(node))
        return c.cannot == 0;
    if (!node->is_hold && as_sleeper(node)->group == NULL)
        return c.may >= as_sleeper(node)->want;
    bool may = c.may > 0 || (c.cannot == 0 && all) || is_over_locked(node);
    w->unsure = w->unsure || (!may && !all);
    return may || !all;
}

static bool is_stuck_locked(const struct exec__node *self, struct walk *w) {
    for (bool changed = true; changed;) {
        changed = false;
        for (struct exec__node *node = w->done; node != NULL; node = node->next)
            if (node->stuck && may_end_locked(node, w)) {
                node->stuck = false;
                changed = true;
            }
    }
    return self->stuck;
}

/* --- the check --- */

/* Another wait in the ring, on the way from us to the one that leads back to us, fails instead; or, if there is none,
 * the held task that is nearest to us is to: false, and *doomed is that one, with a reference. */
static bool break_ring_locked(const struct exec__node *leads_back, future_t **doomed) {
    const struct exec__node *held = NULL;
    for (const struct exec__node *node = leads_back; node->parent != NULL; node = node->parent) {
        if (!node->is_hold && as_sleeper(node)->kind == EXEC__SLEEPS_IN_TASK) {
            exec__sleeper_rouse_locked((struct exec__sleeper *)node, EXEC__GIVE_UP);
            return true;
        }
        held = node->is_hold ? node : held;
    }
    if (held != NULL)
        *doomed = future_ref(as_hold(held)->f);
    return false;
}

/* There may be several rings, if we wait for several. */
static int check_rings_locked(struct exec__sleeper *self, future_t **doomed) {
    if (!needs_all_locked(&self->node))
        return 0;
    struct walk w = explore_locked(&self->node, NEEDS_ALL, NOTHING);
    if (self->kind == EXEC__SLEEPS_IN_TASK)
        return w.leads_back != NULL ? EDEADLK : 0;
    while (w.leads_back != NULL && break_ring_locked(w.leads_back, doomed))
        w = explore_locked(&self->node, NEEDS_ALL, NOTHING);
    return *doomed != NULL ? EDEADLK : 0;
}

/* What is to give way when nothing can end: this wait; if it must be waited out, the nearest other one; else the
 * nearest held task. */
struct way_out {
    struct exec__sleeper *wait;
    const struct exec__hold *hold;
};

static struct way_out find_way_out_locked(const struct exec__sleeper *self, const struct walk *w) {
    struct way_out out = {NULL, NULL};
    for (struct exec__node *node = w->done; node != NULL; node = node->next) { /* the nearest is the last */
        if (!node->stuck || node == &self->node)
            continue;
        if (node->is_hold)
            out.hold = as_hold(node);
        else if (as_sleeper(node)->kind == EXEC__SLEEPS_IN_TASK)
            out.wait = (struct exec__sleeper *)node;
    }
    return out;
}

/* There may be more that are stuck, so it looks again soon. */
static int take_way_out_locked(struct exec__sleeper *self, const struct way_out *out, future_t **doomed) {
    if (self->kind == EXEC__SLEEPS_IN_TASK)
        return EDEADLK;
    self->impatient = true;
    if (out->wait != NULL) {
        exec__sleeper_rouse_locked(out->wait, EXEC__GIVE_UP);
        return 0;
    }
    if (out->hold != NULL)
        *doomed = future_ref(out->hold->f);
    return out->hold != NULL ? EDEADLK : 0;
}

/* Those who work for the executor of a task that they wait for, which was not there when they looked, look again. */
static bool rouse_who_may_run_locked(void) {
    bool roused = false;
    for (struct exec__sleeper *s = exec__sleepers; s != NULL; s = s->next)
        if (waits_endlessly(s) && explore_locked(&s->node, AWAITS, SEEN_AS_THEIRS).theirs) {
            exec__sleeper_rouse_locked(s, EXEC__LOOK_AGAIN);
            roused = true;
        }
    return roused;
}

int exec__chain_check_locked(struct exec__sleeper *self, struct exec__starving *starving) {
    int error = check_rings_locked(self, &starving->f);
    if (error != 0)
        return error;
    struct walk w = explore_locked(&self->node, AWAITS, OURS);
    if (w.taken == NULL && (w.held || self->group != NULL) && !self->restless) {
        exec__sleeper_unsettle_locked(self);
        w = explore_locked(&self->node, AWAITS, OURS); /* what was let go of before is seen, what is later rouses us */
    }
    if (w.taken == NULL && !self->endless) {
        self->impatient = w.left;
        return 0;
    }
    if (w.taken == NULL) {
        struct walk all = explore_locked(&self->node, AWAITS_AND_SEATS, NOTHING);
        if (!is_stuck_locked(&self->node, &all)) {
            self->impatient = all.unsure;
            return 0;
        }
        const struct way_out out = find_way_out_locked(self, &all);
        w = explore_locked(&self->node, AWAITS_AND_SEATS, ANYONES);
        if (w.taken == NULL && (all.startable || rouse_who_may_run_locked())) {
            self->impatient = true; /* somebody has just started it, or is going to */
            return 0;
        }
        if (w.taken == NULL)
            return take_way_out_locked(self, &out, &starving->f);
        starving->stranger = true;
    }
    exec__self.exploration = w.exploration;
    starving->f = w.taken;
    return EAGAIN;
}
