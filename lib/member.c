/* member.c - what the members of a group do to it: where they are kept, and how they finish.
 *
 * Model: test/model/group.pml.
 *
 * Kept. A member that has not finished is in a slot of the group, so that it can be cancelled, and be found by
 * a task that waits. Slots lie in blocks, which form a ring. Submitters go round it; where they find a few slots in a
 * row still taken, they put in another block; so a group's memory follows the number of its unfinished members, and
 * behind the place where they are, the ring goes from the oldest member to the newest. Who looks at a slot's member
 * sets the bit BUSY; who finishes the member takes it out of the slot by a compare-and-swap that fails while that bit
 * is set, and so the future is there as long as somebody looks at it; who wants more takes a reference meanwhile.
 *
 * Finishing, in this order:
 * 1. The member leaves its slot, notes what has failed, and takes its number in the queue `finished` (finished.c),
 *    while it is RUNNING (or just after it has become CANCELLED); so of two members that wait for one another the first
 *    one is handed out first.
 * 2. Its future becomes final (future.c).
 * 3. It stores the future in its place in the queue, from which it may be handed out now, and be gone. That is the last
 *    thing it does to the group, which may be gone, too: it wakes those who sleep for the group by its address alone
 *    (sleep.c).
 * 4. With callbacks to call, the rest to cancel, or room to give back it stays for that: it says so before it stores
 *    itself, or even before it is counted.
 * So a group has ended when as many have a number as have entered, these are in their places, and then nobody stays.
 * The first success of EXEC_FIRST has no number: it is handed out before all others, and counts by a flag of its own.
 *
 * Who sleeps for a group sets a flag beside the count of numbers and then looks once more at what it waits for; a
 * finisher sees the flags in the step in which it counts itself. WANTS_NEXT is taken away by who is going to wake. With
 * WANTS_END, it is the one that makes the count that of all who have entered who wakes; who is woken by it and finds
 * that more have entered sleeps again. Entering, counting and the flags are sequentially consistent, so one of the two
 * sees the other.
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
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"
#include "executor.h"
#include "hold.h"
#include "memory.h"
#include "sleep.h"

#define BUSY ((uintptr_t)1)

enum { PROBES = 16, SPINS = 100 };

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
    atomic_init(&g->put_in, slots);
    atomic_init(&g->put_at, 0);
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

void exec__member_init(struct exec_group *g, future_t *f, bool in_room) {
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

static void set_slot(future_t *f, _Atomic uintptr_t *slot) {
    if (f->extra & EXEC__MEMBER)
        f->extra = (uintptr_t)slot | (f->extra & (EXEC__MEMBER | EXEC__IN_ROOM));
    else
        exec__extra_of(f)->slot = slot;
}

static _Atomic uintptr_t *slot_of(const future_t *f) {
    if (f->extra & EXEC__MEMBER)
        return (_Atomic uintptr_t *)(f->extra & ~(EXEC__MEMBER | EXEC__IN_ROOM)); // NOLINT(performance-no-int-to-ptr)
    return exec__extra_of(f)->slot;
}

static bool try_slot(_Atomic uintptr_t *slot, future_t *f) {
    uintptr_t none = 0;
    if (atomic_load_explicit(slot, memory_order_relaxed) != 0)
        return false;
    set_slot(f, slot);
    return atomic_compare_exchange_strong(slot, &none, (uintptr_t)f); /* see exec__group_stop() */
}

/* Tries some slots behind the last one used; *last is the block it has come to. */
static bool try_put(struct exec_group *g, future_t *f, struct exec__slots **last) {
    struct exec__slots *slots = atomic_load_explicit(&g->put_in, memory_order_acquire);
    size_t at = atomic_load_explicit(&g->put_at, memory_order_relaxed);
    bool put = false;
    for (int i = 0; i < PROBES && !put; i++, at++) {
        if (at >= EXEC__SLOTS) {
            at = 0;
            slots = next_slots(slots);
            atomic_store_explicit(&g->put_in, slots, memory_order_release);
        }
        put = try_slot(&slots->at[at], f);
    }
    atomic_store_explicit(&g->put_at, at, memory_order_relaxed);
    *last = slots;
    return put;
}

static int more_slots(struct exec_group *g, struct exec__slots *after) {
    struct exec__slots *slots = make_slots(g);
    if (slots == NULL)
        return ENOMEM;
    pthread_mutex_lock(&g->lock);
    atomic_store_explicit(&slots->next, next_slots(after), memory_order_relaxed);
    atomic_store_explicit(&after->next, slots, memory_order_release);
    pthread_mutex_unlock(&g->lock);
    atomic_store_explicit(&g->put_in, slots, memory_order_release);
    atomic_store_explicit(&g->put_at, 0, memory_order_relaxed);
    return 0;
}

/* The one behind the last, as a rule. */
static inline bool put_next(struct exec_group *g, future_t *f) {
    struct exec__slots *slots = atomic_load_explicit(&g->put_in, memory_order_acquire);
    size_t at = atomic_load_explicit(&g->put_at, memory_order_relaxed);
    if (at >= EXEC__SLOTS || !try_slot(&slots->at[at], f))
        return false;
    atomic_store_explicit(&g->put_at, at + 1, memory_order_relaxed);
    return true;
}

int exec__slot_put(struct exec_group *g, future_t *f) {
    struct exec__slots *last;
    if (put_next(g, f))
        return 0;
    while (!try_put(g, f, &last)) {
        int error = more_slots(g, last);
        if (error != 0)
            return error;
    }
    return 0;
}

void exec__slot_clear(const future_t *f) {
    _Atomic uintptr_t *slot = slot_of(f);
    uintptr_t member = (uintptr_t)f;
    while (!atomic_compare_exchange_weak(slot, &member, 0)) {
        member = (uintptr_t)f;
        exec__pause();
    }
}

/* The member in a slot, which is BUSY then, or NULL. */
static future_t *look_into(_Atomic uintptr_t *slot) {
    uintptr_t member = atomic_load(slot);
    while (member != 0) {
        if (member & BUSY) {
            exec__pause();
            member = atomic_load(slot);
        } else if (atomic_compare_exchange_weak(slot, &member, member | BUSY)) {
            return (future_t *)member;
        }
    }
    return NULL;
}

static void look_away(_Atomic uintptr_t *slot, future_t *f) {
    atomic_store_explicit(slot, (uintptr_t)f, memory_order_release);
}

size_t exec__group_each(struct exec_group *g, void (*visit)(future_t *f, void *ctx), void *ctx) {
    struct exec__slots *slots = g->slots;
    size_t n = 0;
    do {
        for (size_t i = 0; i < EXEC__SLOTS; i++) {
            future_t *f = look_into(&slots->at[i]);
            if (f == NULL)
                continue;
            visit(f, ctx);
            look_away(&slots->at[i], f);
            n++;
        }
        slots = next_slots(slots);
    } while (slots != g->slots);
    return n;
}

/* A reference to the member in a slot, if `is` is true for it. */
static future_t *take_if(_Atomic uintptr_t *slot, bool (*is)(const future_t *f)) {
    future_t *f = look_into(slot);
    if (f == NULL)
        return NULL;
    bool found = is(f);
    if (found)
        future_ref(f);
    look_away(slot, f);
    return found ? f : NULL;
}

static future_t *find_in(struct exec__slots *slots, bool (*is)(const future_t *f)) {
    size_t from = atomic_load_explicit(&slots->from, memory_order_relaxed);
    for (size_t i = 0; i < EXEC__SLOTS; i++) {
        size_t at = (from + i) % EXEC__SLOTS;
        future_t *f = take_if(&slots->at[at], is);
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
        future_t *f = find_in(slots, is);
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

/* A member that is submitted meanwhile is in its slot before its submitter looks at `cancelled`, or at the time. */
void exec__group_stop(struct exec_group *g, int error) {
    struct exec__slots *slots = g->slots;
    bool asked = false;
    do {
        for (size_t i = 0; i < EXEC__SLOTS; i++) {
            future_t *f = take_if(&slots->at[i], is_any);
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

int exec__member_refused(const struct exec_group *g, struct exec__frame *frame) {
    frame->within = g->scope.owner;
    frame->deadline = g->deadline;
    if (atomic_load(&g->cancelled) || (g->scope.owner != NULL && exec__frame_cancelled(g->scope.owner)))
        return ECANCELED;
    return g->deadline != EXEC_NEVER && exec_now() >= g->deadline ? ETIMEDOUT : 0;
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

static void count(struct exec_group *g, struct exec__farewell *farewell) {
    uint64_t word = exec__finished_enter(&g->finished), number = exec__finished_number(word);
    int fd = atomic_load(&g->fd);
    farewell->place = exec__finished_place(&g->finished, number);
    farewell->rouses = (word & EXEC__WANTS_END) && exec__members_since(g, number + 1) == atomic_load(&g->passed);
    farewell->rouses |= wanted_next(g, word);
    if (fd >= 0 && exec__finished_is_next(&g->finished, number))
        exec__event_set(fd);
}

static void count_first(struct exec_group *g, future_t *f, struct exec__farewell *farewell) {
    atomic_store(&g->first, f);
    atomic_store(&g->passed, true); /* after that, so that the group does not seem empty; it stays */
    int fd = atomic_load(&g->fd);
    farewell->rouses = wanted_next(g, atomic_load(&g->finished.counted));
    if (fd >= 0)
        exec__event_set(fd);
}

struct exec__farewell exec__member_finishes(struct exec_group *g, future_t *f, int error) {
    struct exec__farewell farewell = {.decides = (error != 0 || g->policy == EXEC_FIRST) && note(g, error)};
    bool first = farewell.decides && error == 0;
    if (exec__room_is_limited(g))
        farewell.room = !(exec__future_word(f) & EXEC__HELD) && exec__member_in_room(f);
    if (farewell.decides || farewell.room)
        exec__member_stays(g, &farewell);
    exec__slot_clear(f);
    if (farewell.decides)
        atomic_store(&g->cancelled, true);
    if (first)
        count_first(g, f, &farewell);
    else
        count(g, &farewell);
    return farewell;
}

void exec__member_leaves(struct exec_group *g, future_t *f, const struct exec__farewell *farewell) {
    if (farewell->place != NULL)
        atomic_store_explicit(farewell->place, f, memory_order_release);
    if (farewell->rouses)
        exec__group_rouse(g); /* which may be gone */
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

int exec__member_makes_room(struct exec_group *g, uint64_t number) {
    int error = exec__finished_reserve(&g->finished, number);
    if (error != 0)
        exec__member_withdraws(g);
    return error;
}

/* Others may be waiting for a count that will not be reached now. */
void exec__member_withdraws(struct exec_group *g) {
    atomic_fetch_sub(&g->entered, 1);
    if (atomic_load(&g->finished.counted) & EXEC__WANTS_END)
        exec__group_rouse(g);
}

void exec__group_pin(struct exec_group *g) {
    atomic_fetch_add(&g->pins, 1);
}

void exec__group_unpin(struct exec_group *g) {
    atomic_fetch_sub(&g->pins, 1);
    exec__group_rouse(g); /* which may be gone */
}

/* --- those that have finished --- */

void exec__taking_lock(struct exec_group *g) {
    for (int i = 0; atomic_exchange_explicit(&g->taking, true, memory_order_acquire); i++)
        if (i < SPINS)
            exec__pause();
        else
            sched_yield();
}

void exec__taking_unlock(struct exec_group *g) {
    atomic_store_explicit(&g->taking, false, memory_order_release); /* pairs with the acquire above, and below */
}

bool exec__group_settled(struct exec_group *g) {
    if (atomic_exchange_explicit(&g->taking, true, memory_order_acquire))
        return false;
    bool settled = exec__finished_settled(&g->finished, false);
    exec__taking_unlock(g);
    return settled;
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
