/* member.c - what the members of a group do to it: where they are kept, and how they finish.
 *
 * Model: test/model/group.pml.
 *
 * Kept. A member that has not finished is in a slot of the group, so that it can be cancelled, and be found by a task
 * that waits. Slots lie in blocks, which form a ring. Submitters go round it; where they find a few slots in a
 * row still taken, they put in another block; so a group's memory follows the number of its unfinished members, and
 * behind the place where they are, the ring goes from the oldest member to the newest.
 *
 * Entering. Who submits counts the member and puts it into a slot, in that order, under the lock `entering`, and not if
 * the group is cancelled. Who has cancelled it passes that lock before it looks into the slots: it finds the member
 * there, or the other one finds the group cancelled. In the same way who is about to sleep, and looks for a member to
 * run, and who submits one, and then looks for sleepers, do not miss one another.
 *
 * Looking. Who looks at the member in a slot holds the lock `taking`. The group has a reference to each member, which
 * goes with it when it is handed out, and that is done under the same lock; so as long as it is held the future is
 * there. A member empties its slot without the lock, before it can be handed out.
 *
 * Finishing, in this order:
 * 1. The member notes what has failed, and takes its number in the queue `finished` (finished.c), while it is RUNNING
 *    (or just after it has become CANCELLED); so of two members that wait for one another the first one is handed out
 *    first.
 * 2. Its future becomes final (future.c).
 * 3. It empties its slot and stores the future in its place in the queue, from which it may be handed out now, and be
 *    gone. That is the last thing it does to the group, which may be gone, too: it wakes those who sleep for the group
 *    by its address alone (sleep.c).
 * 4. With callbacks to call, the rest to cancel, or room to give back it stays for that: it says so before it stores
 *    itself, or even before it is counted.
 * So a group has ended when as many have a number as have entered, these are in their places, and then nobody stays.
 * The first success of EXEC_FIRST has no number: it is handed out before all others, as soon as it is final, and counts
 * by a flag of its own.
 *
 * Who sleeps for a group sets a flag beside the count of numbers and then looks once more at what it waits for; a
 * finisher sees the flags in the step in which it counts itself. WANTS_NEXT is taken away by who is going to wake. With
 * WANTS_END, it is the one that makes the count that of all who have entered who wakes; who is woken by it and finds
 * that more have entered sleeps again. The last to count itself sees all those entered that were counted before.
 * Withdrawing, counting and the flags are sequentially consistent, so one of the two sees the other.
 *
 * The deadline. A timer is armed from when the group is opened until it has been closed, at the group's deadline or, if
 * that is earlier, at one of what the group was opened in: a map has no timer of its own. When it fires, members that
 * have not started end and others are asked to stop; or the group's owner has been asked to stop, which cancels the
 * group (scope.c). A member that is submitted just then is in its slot before its submitter looks at the time once
 * more. The timer has a reference to the group's memory, so that whoever closes the group need not wait for one that is
 * being fired.
 *
 * The descriptor: who puts a member into the empty queue writes to it; who takes the last one reads from it and then
 * looks at the queue again, and writes if something is there.
 */
#include "member.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "executor.h"
#include "hold.h"
#include "memory.h"
#include "sleep.h"

enum { PROBES = 16 };

/* --- slots --- */

static struct exec__slots *make_slots(struct exec_group *g) {
    struct exec__slots *slots = exec__aligned_alloc(EXEC__SLOTS_BYTES, sizeof *slots);
    if (slots == NULL)
        return NULL;
    memset(slots, 0, sizeof *slots);
    slots->group = g;
    return slots;
}

int exec__slots_init(struct exec_group *g) {
    struct exec__slots *slots = make_slots(g);
    if (slots == NULL)
        return ENOMEM;
    atomic_init(&slots->next, slots);
    g->slots = slots;
    g->put_in = slots;
    g->put_at = 0;
    atomic_init(&g->found_in, slots);
    return 0;
}

static struct exec__slots *next_slots(const struct exec__slots *slots) {
    return atomic_load_explicit(&slots->next, memory_order_acquire); /* pairs with the release in more_slots() */
}

void exec__slots_fini(struct exec_group *g) {
    struct exec__slots *slots = g->slots;
    do {
        struct exec__slots *next = next_slots(slots);
        free(slots);
        slots = next;
    } while (slots != g->slots);
}

void exec__member_init_special(struct exec_group *g, future_t *f, bool in_room) {
    struct exec__extra *x = exec__extra_of(f);
    if (x != NULL) {
        x->group = g;
        x->in_room = in_room;
    } else {
        f->extra = (uintptr_t)g->slots | EXEC__MEMBER | (in_room ? EXEC__IN_ROOM : 0);
    }
}

bool exec__member_in_room(const future_t *f) {
    return f->extra & EXEC__MEMBER ? f->extra & EXEC__IN_ROOM : exec__extra_of(f)->in_room;
}

static void set_slot(future_t *f, _Atomic(future_t *) *slot) {
    if (f->extra & EXEC__MEMBER)
        f->extra = (uintptr_t)slot | (f->extra & (EXEC__MEMBER | EXEC__IN_ROOM));
    else
        exec__extra_of(f)->slot = slot;
}

static bool is_free(_Atomic(future_t *) *slot) {
    return atomic_load_explicit(slot, memory_order_relaxed) == NULL;
}

/* The slot behind the last one that was used, or one of some more; NULL: none of them is free. */
static _Atomic(future_t *) *find_slot_entering(struct exec_group *g) {
    for (int i = 0; i < PROBES; i++, g->put_at++) {
        if (g->put_at == EXEC__SLOTS) {
            g->put_at = 0;
            g->put_in = next_slots(g->put_in);
        }
        if (is_free(&g->put_in->at[g->put_at]))
            return &g->put_in->at[g->put_at++];
    }
    return NULL;
}

/* The next member goes there: behind those whose slots were not free. */
static int more_slots(struct exec_group *g) {
    struct exec__slots *slots = make_slots(g);
    if (slots == NULL)
        return ENOMEM;
    exec__spin_lock(&g->entering);
    atomic_store_explicit(&slots->next, next_slots(g->put_in), memory_order_relaxed);
    atomic_store_explicit(&g->put_in->next, slots, memory_order_release);
    g->put_in = slots;
    g->put_at = 0;
    exec__spin_unlock(&g->entering);
    return 0;
}

/* Why no member can enter now: ECANCELED; or EAGAIN, there must be more room among the finished; or 0. */
static inline int refuses_entering(const struct exec_group *g) {
    if (atomic_load_explicit(&g->cancelled, memory_order_relaxed))
        return ECANCELED;
    uint64_t number = atomic_load_explicit(&g->entered, memory_order_relaxed);
    return exec__finished_has_room(&g->finished, number) ? 0 : EAGAIN;
}

/* Whoever finds it in its slot sees that it is counted. */
static inline void enter_entering(struct exec_group *g, future_t *f, _Atomic(future_t *) *slot) {
    uint64_t number = atomic_load_explicit(&g->entered, memory_order_relaxed);
    set_slot(f, slot);
    atomic_store_explicit(&g->entered, number + 1, memory_order_relaxed);
    atomic_store_explicit(slot, f, memory_order_release);
}

EXEC__SELDOM static int enter_slowly(struct exec_group *g, future_t *f) {
    int error = 0;
    _Atomic(future_t *) *slot = NULL;
    while (error == 0 && slot == NULL) {
        exec__spin_lock(&g->entering);
        error = refuses_entering(g);
        if (error == 0 && (slot = find_slot_entering(g)) != NULL)
            enter_entering(g, f, slot);
        exec__spin_unlock(&g->entering);
        if (error == EAGAIN)
            error = exec__finished_reserve(&g->finished, atomic_load(&g->entered));
        else if (error == 0 && slot == NULL)
            error = more_slots(g);
    }
    return error;
}

/* As a rule the slot behind the last one that was used is free. */
int exec__member_enters(struct exec_group *g, future_t *f) {
    exec__spin_lock(&g->entering);
    bool enters = refuses_entering(g) == 0 && g->put_at < EXEC__SLOTS && is_free(&g->put_in->at[g->put_at]);
    if (enters)
        enter_entering(g, f, &g->put_in->at[g->put_at++]);
    exec__spin_unlock(&g->entering);
    return enters ? 0 : enter_slowly(g, f);
}

/* Others may be waiting for a count that will not be reached now. */
void exec__member_withdraws(struct exec_group *g, const future_t *f) {
    exec__spin_lock(&g->taking);
    exec__slot_empty(f);
    exec__spin_unlock(&g->taking);
    exec__spin_lock(&g->entering);
    atomic_fetch_sub(&g->entered, 1);
    exec__spin_unlock(&g->entering);
    if (atomic_load(&g->finished.counted) & EXEC__WANTS_END)
        exec__group_rouse(g);
}

/* --- looking --- */

static bool visit(_Atomic(future_t *) *slot, struct exec_group *g, void (*visitor)(future_t *f, void *ctx), void *ctx) {
    if (is_free(slot))
        return false;
    exec__spin_lock(&g->taking);
    future_t *f = atomic_load_explicit(slot, memory_order_acquire);
    if (f != NULL)
        visitor(f, ctx);
    exec__spin_unlock(&g->taking);
    return f != NULL;
}

size_t exec__group_each(struct exec_group *g, void (*visitor)(future_t *f, void *ctx), void *ctx) {
    struct exec__slots *slots = g->slots;
    size_t n = 0;
    exec__spin_pass(&g->entering);
    do {
        for (size_t i = 0; i < EXEC__SLOTS; i++)
            n += visit(&slots->at[i], g, visitor, ctx);
        slots = next_slots(slots);
    } while (slots != g->slots);
    return n;
}

struct search {
    bool (*is)(const future_t *f);
    future_t *found;
};

static void take_if(future_t *f, void *search) {
    struct search *s = search;
    if (s->is(f))
        s->found = future_ref(f);
}

/* A reference to the member in a slot, if `is` is true for it. */
static future_t *look_into(_Atomic(future_t *) *slot, struct exec_group *g, bool (*is)(const future_t *f)) {
    struct search s = {is, NULL};
    visit(slot, g, take_if, &s);
    return s.found;
}

static future_t *find_in(struct exec__slots *slots, struct exec_group *g, bool (*is)(const future_t *f)) {
    size_t from = atomic_load_explicit(&slots->from, memory_order_relaxed);
    for (size_t i = 0; i < EXEC__SLOTS; i++) {
        size_t at = (from + i) % EXEC__SLOTS;
        future_t *f = look_into(&slots->at[at], g, is);
        if (f != NULL) {
            atomic_store_explicit(&slots->from, at, memory_order_relaxed);
            return f;
        }
    }
    return NULL;
}

future_t *exec__group_find(struct exec_group *g, bool (*is)(const future_t *f)) {
    struct exec__slots *first = atomic_load_explicit(&g->found_in, memory_order_acquire), *slots = first;
    do {
        future_t *f = find_in(slots, g, is);
        if (f != NULL) {
            atomic_store_explicit(&g->found_in, slots, memory_order_release);
            return f;
        }
        slots = next_slots(slots);
    } while (slots != first);
    return NULL;
}

/* --- stopping --- */

static bool is_any(const future_t *f) {
    (void)f;
    return true;
}

/* Whether it runs, and was asked. */
static bool stop_member(future_t *f, int error) {
    while (!future_done(f)) {
        if (exec__revoke(f, error))
            return false;
        if (exec__future_ask(f))
            return true;
    }
    return false;
}

/* A member that is submitted meanwhile is in its slot, or its submitter finds the group cancelled, or its time over. */
void exec__group_stop(struct exec_group *g, int error) {
    struct exec__slots *slots = g->slots;
    bool asked = false;
    exec__spin_pass(&g->entering);
    do {
        for (size_t i = 0; i < EXEC__SLOTS; i++) {
            future_t *f = look_into(&slots->at[i], g, is_any);
            asked |= f != NULL && stop_member(f, error);
            future_unref(f);
        }
        slots = next_slots(slots);
    } while (slots != g->slots);
    if (asked)
        exec__rouse_cancelled();
}

/* --- the deadline --- */

/* On the timer thread. The group may have been closed meanwhile: then it has no members. */
static void time_is_up(struct exec__timer *t) {
    struct exec_group *g = EXEC__WHOLE(t, struct exec_group, timer);
    if (exec_now() >= g->deadline)
        exec__group_stop(g, ETIMEDOUT);
    exec__rouse_cancelled(); /* what runs in members, or in the group's owner, whose deadline it may have been */
    exec__group_release(g);
}

/* An executor whose timers have been stopped has ended, and the group will have no members. */
int exec__group_set_time(struct exec_group *g) {
    struct exec__pool *p = &g->ex->pool;
    g->timer = (struct exec__timer){.fire = time_is_up};
    g->until = exec__frame_deadline(exec__self.frame, g->deadline);
    int error = g->until != EXEC_NEVER ? exec__timers_start(&p->timers, p->opts.name) : 0;
    if (error == ESHUTDOWN)
        g->until = EXEC_NEVER;
    return error == ESHUTDOWN ? 0 : error;
}

void exec__group_begin_time(struct exec_group *g) {
    if (g->until == EXEC_NEVER)
        return;
    atomic_store_explicit(&g->references, 2, memory_order_relaxed); /* published by the timers' lock */
    exec__timer_arm(&g->ex->pool.timers, &g->timer, g->until);
}

void exec__group_end_time(struct exec_group *g) {
    if (g->until != EXEC_NEVER && exec__timer_cancel(&g->ex->pool.timers, &g->timer))
        exec__group_release(g); /* in the timer's stead: not the last one */
}

void exec__group_release(struct exec_group *g) {
    if (atomic_fetch_sub_explicit(&g->references, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&g->lock);
    exec__group_free(g);
}

void exec__group_free(struct exec_group *g) {
    exec__finished_fini(&g->finished);
    exec__slots_fini(g);
    free(g);
}

/* --- finishing --- */

/* Notes how a member has ended, where that matters; true, if it decides the outcome. */
static bool note(struct exec_group *g, int error) {
    pthread_mutex_lock(&g->lock);
    bool first = error == 0 ? !g->some_done : error != ECANCELED && g->error == 0;
    if (error == 0)
        g->some_done = true;
    else if (error == ECANCELED)
        g->some_cancelled = true;
    else if (first)
        g->error = error;
    pthread_mutex_unlock(&g->lock);
    return first && g->policy == (error == 0 ? EXEC_FIRST : EXEC_FAIL_FAST);
}

/* Whether anybody waits for a member: it is the caller who wakes them. */
static bool wanted_next(struct exec_group *g, uint64_t word) {
    return (word & EXEC__WANTS_NEXT) && (atomic_fetch_and(&g->finished.counted, ~EXEC__WANTS_NEXT) & EXEC__WANTS_NEXT);
}

void exec__member_announces(struct exec_group *g, uint64_t word, struct exec__farewell *farewell) {
    uint64_t number = exec__finished_number(word);
    int fd = atomic_load(&g->fd);
    farewell->rouses = (word & EXEC__WANTS_END) && exec__members_since(g, number + 1) == atomic_load(&g->passed);
    farewell->rouses |= wanted_next(g, word);
    if (fd >= 0 && exec__finished_is_next(&g->finished, number))
        exec__event_set(fd);
}

static void count_first(struct exec_group *g, future_t *f, struct exec__farewell *farewell) {
    exec__slot_empty(f); /* before it is final, and may be handed out */
    atomic_store(&g->first, f);
    atomic_store(&g->passed, true); /* after that, so that the group does not seem empty; it stays */
    int fd = atomic_load(&g->fd);
    farewell->rouses = wanted_next(g, atomic_load(&g->finished.counted));
    if (fd >= 0)
        exec__event_set(fd);
}

void exec__member_finishes_specially(struct exec_group *g, future_t *f, int error, struct exec__farewell *farewell) {
    farewell->decides = (error != 0 || g->policy == EXEC_FIRST) && note(g, error);
    if (exec__room_is_limited(g))
        farewell->room = !(exec__future_word(f) & EXEC__HELD) && exec__member_in_room(f);
    if (farewell->decides || farewell->room)
        exec__member_stays(g, farewell);
    if (farewell->decides)
        atomic_store(&g->cancelled, true);
    if (farewell->decides && error == 0)
        count_first(g, f, farewell);
    else
        exec__member_counts(g, farewell);
}

void exec__member_makes_way(struct exec_group *g, const struct exec__farewell *farewell) {
    if (farewell->decides) {
        exec__group_stop(g, ECANCELED);
        atomic_store(&g->decided, true);
    }
    if (farewell->room)
        exec__room_return(g);
    atomic_fetch_sub(&g->staying, 1);
    exec__group_rouse(g); /* which may be gone */
}

void exec__group_pin(struct exec_group *g) {
    atomic_fetch_add(&g->pins, 1);
}

void exec__group_unpin(struct exec_group *g) {
    atomic_fetch_sub(&g->pins, 1);
    exec__group_rouse(g); /* which may be gone */
}

/* --- room --- */

static bool take_locked(struct exec_group *g) {
    if (g->running >= g->max_running)
        return false;
    g->running++;
    return true;
}

bool exec__room_take(struct exec_group *g) {
    pthread_mutex_lock(&g->lock);
    bool taken = take_locked(g);
    pthread_mutex_unlock(&g->lock);
    return taken;
}

static void wait_locked(struct exec_group *g, struct exec__hold *h) {
    h->next_for_room = NULL;
    h->room_link = g->last_link;
    *g->last_link = h;
    g->last_link = &h->next_for_room;
    atomic_store(&h->waits_for_room, true);
}

static void wait_no_longer_locked(struct exec_group *g, struct exec__hold *h) {
    atomic_store(&h->waits_for_room, false);
    *h->room_link = h->next_for_room;
    if (h->next_for_room != NULL)
        h->next_for_room->room_link = h->room_link;
    else
        g->last_link = h->room_link;
    h->room_link = NULL;
}

bool exec__room_take_or_wait(struct exec_group *g, struct exec__hold *h) {
    if (!exec__room_is_limited(g))
        return true;
    pthread_mutex_lock(&g->lock);
    bool taken = take_locked(g);
    if (taken)
        exec__extra_of(h->f)->in_room = true;
    else
        wait_locked(g, h);
    pthread_mutex_unlock(&g->lock);
    return taken;
}

bool exec__room_forgo(struct exec_group *g, struct exec__hold *h) {
    pthread_mutex_lock(&g->lock);
    bool waits = h->room_link != NULL;
    if (waits)
        wait_no_longer_locked(g, h);
    pthread_mutex_unlock(&g->lock);
    return waits;
}

void exec__room_return(struct exec_group *g) {
    if (!exec__room_is_limited(g))
        return;
    pthread_mutex_lock(&g->lock);
    struct exec__hold *h = g->waiting;
    if (h != NULL) {
        wait_no_longer_locked(g, h);
        exec__extra_of(h->f)->in_room = true;
    } else {
        g->running--;
    }
    pthread_mutex_unlock(&g->lock);
    if (h != NULL)
        exec__hold_has_room(h);
}
