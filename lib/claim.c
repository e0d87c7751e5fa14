/* claim.c - running a task on the thread that waits for it.
 *
 * Models: test/model/parking.pml and test/model/shutdown.pml.
 *
 * - A thread that holds a seat of the task's executor runs it on its own stack. It never runs anything else that
 *   happens to be queued: a task that holds a lock must not find itself running a stranger that wants it.
 * - One from outside takes the seat of an idle worker for it (pool.c), so that never more tasks run than there are
 *   workers. It does so only without a deadline, and not when tasks need the executor's own threads, or when there is
 *   one worker only, whose tasks run in order.
 * - While the awaited task runs elsewhere, what it has submitted, and somebody has a future of, may be run here
 *   meanwhile (Wagner and Calder, "Leapfrogging", PPoPP 1993). What nobody has one of is only moved here.
 * - One that may be abandoned is left to an idle worker; if there is none, it gets a thread of its own (abandon.c).
 *
 * Who makes a task RUNNING runs it; its entry in the queue or a deque stays behind, dead, and does not count. (One in a
 * lane is taken out; and a thread from outside takes its own out of the queue where that is the oldest one, so that
 * submit and wait by turns leaves nothing there that a worker would be woken for.)
 *
 * Descendants. A seat names the task at its base: the last one begun there that was not taken from the new end of its
 * own deque; and the deque's floor, where its bottom was at that time. What lies above the floor while the task is at
 * the base was submitted by it, or by something it submitted and awaits. A thread that waits for that task reads base,
 * floor and the oldest item, then base and floor again, and takes the item only if neither has changed: whoever pushes
 * another task's items has changed one of them before, and the push publishes that. The base is cleared before the task
 * finishes, since afterwards its address may name another one. The thread's own seat is left out: what runs at its base
 * runs beneath the wait, which cannot end.
 */
#include "claim.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "abandon.h"
#include "plan.h"
#include "task.h"
#include "thread.h"
#include "worker.h"

enum { STACK_RESERVE = 64 * 1024 };

static bool startable(const future_t *f) {
    return exec__startable(exec__future_word(f));
}

bool exec__claimable(const future_t *f) {
    return exec__self.seat != NULL && exec__self.seat->pool == f->pool && startable(f);
}

/* Where this thread's stack has too little room left for another task. */
EXEC__SELDOM static char *find_stack_floor(void) {
    pthread_attr_t attr;
    void *lowest;
    size_t size;
    int saved = errno;
    int error = pthread_getattr_np(pthread_self(), &attr);
    errno = saved;
    if (error != 0)
        return NULL;
    error = pthread_attr_getstack(&attr, &lowest, &size);
    pthread_attr_destroy(&attr);
    return error != 0 ? NULL : (char *)lowest + (size / 4 < STACK_RESERVE ? size / 4 : STACK_RESERVE);
}

static inline bool stack_is_short(void) {
    if (exec__self.stack_floor == NULL)
        exec__self.stack_floor = find_stack_floor();
    return (char *)__builtin_frame_address(0) < exec__self.stack_floor;
}

void exec__seat_set_base(struct exec__seat *seat, future_t *base) {
    int64_t bottom = atomic_load_explicit(&seat->deque.bottom, memory_order_relaxed);
    atomic_store_explicit(&seat->floor, bottom, memory_order_relaxed);
    atomic_store_explicit(&seat->base, base, memory_order_release); /* after the floor; pairs with the acquires below */
}

void exec__seat_run(struct exec__seat *seat, future_t *f, unsigned references) {
    future_t *before = atomic_load_explicit(&seat->base, memory_order_relaxed);
    void *value;
    exec__seat_set_base(seat, f);
    int error = exec__task_call(f, &seat->pool->discarding, &value);
    exec__seat_set_base(seat, before);
    exec__future_finish(f, value, error, references);
}

/* Starts a task past its entry, which stays behind, dead, and is not counted any longer; or is taken out of its lane.
 * */
static bool start_past_entry(struct exec__pool *p, future_t *f) {
    const struct exec__plan *plan = exec__plan_of(f);
    uint64_t word;
    if (!exec__future_start_past(f, plan != NULL && exec__plan_repeats(plan), &word))
        return false;
    if (word & EXEC__QUEUED)
        exec__queue_forget(&p->queue);
    if (word & EXEC__LANE)
        exec__lanes_forget(&p->lanes, f);
    return true;
}

/* Starts the newest task of this thread's own deque, if that is the one: its entry goes with it. *started, or somebody
 * else has. One whose entry is in the queue or a lane may look like it, where an earlier future in the same memory was
 * stolen from the deque. */
static inline bool start_newest(struct exec__seat *seat, future_t *f, bool *started) {
    if ((exec__future_word(f) & (EXEC__QUEUED | EXEC__LANE)) || !exec__deque_reach(&seat->deque, f))
        return false;
    *started = exec__future_start(f);
    if (!*started)
        atomic_fetch_add(&seat->deque.bottom, 0); /* it may not have come to a compare-and-swap: deque.c */
    return exec__deque_grasp(&seat->deque);
}

static int run_in_seat(struct exec__seat *seat, future_t *f) {
    bool started = false;
    if (stack_is_short())
        return ENOMEM;
    bool own = start_newest(seat, f, &started);
    if (!own && !started)
        started = start_past_entry(seat->pool, f);
    if (!started) {
        if (own)
            exec__future_release(f, 1); /* the entry's */
        return 0;
    }
    if (exec__run_gets_thread(f, own ? 1 : 0))
        return 0;
    int *error = &errno, saved = *error;
    if (own)
        exec__task_run(f, &seat->pool->discarding, 1);
    else
        exec__seat_run(seat, f, 0);
    *error = saved;
    return 0;
}

/* The same; or, where the entry is the queue's oldest, takes it first, as a worker would. *references go with it. */
static bool start_from_outside(struct exec__pool *p, future_t *f, unsigned *references) {
    *references = exec__future_word(f) & EXEC__QUEUED && exec__queue_take_this(&p->queue, f);
    return *references > 0 ? exec__ring_entry_accept(p, f) : start_past_entry(p, f);
}

static void run_in_borrowed(struct exec__seat *seat, future_t *f, unsigned references) {
    struct exec__seat *own = exec__self.seat;
    int saved = errno;
    exec__self.seat = seat;
    exec__seat_run(seat, f, references);
    exec__self.seat = own;
    errno = saved;
}

/* 0, whether or not it did. */
EXEC__SELDOM static int run_from_outside(future_t *f) {
    if (!(exec__future_word(f) & EXEC__RUNS_ANYWHERE) || stack_is_short())
        return 0;
    struct exec__pool *p = exec__pool_enter(f);
    if (p == NULL)
        return 0;
    struct exec__seat *seat = exec__seat_borrow(p);
    unsigned references;
    if (seat != NULL && start_from_outside(p, f, &references))
        run_in_borrowed(seat, f, references);
    if (seat != NULL)
        exec__seat_return(p, seat);
    exec__pool_leave(p); /* last: once the seat is free, only the visit keeps the pool */
    return 0;
}

int exec__claim(future_t *f, bool patient) {
    struct exec__seat *seat = exec__self.seat;
    if (f->pool == NULL || !startable(f))
        return 0;
    patient = patient || exec__may_be_abandoned(f);
    if (seat == NULL || seat->pool != f->pool)
        return patient ? 0 : run_from_outside(f);
    return patient && exec__pool_has_idle(f->pool) ? 0 : run_in_seat(seat, f);
}

/* What it submits comes from outside. As long as it runs, the caller is no visitor, for whom the end of the pool would
 * be waited for without sleeping. */
static void run_without_seat(struct exec__pool *p, future_t *f) {
    struct exec__seat *seat = exec__self.seat;
    int saved = errno;
    exec__pool_leave(p);
    exec__self.seat = NULL;
    exec__task_run(f, &p->discarding, 0);
    exec__self.seat = seat;
    errno = saved;
    atomic_fetch_add(&p->visitors, 1);
}

/* A stranger comes from a limiter, so it has a plan. */
static bool gets_thread(future_t *f, bool stranger) {
    return exec__run_gets_thread(f, 0) || (stranger && exec__plan_of(f) != NULL && exec__run_on_its_own(f, 0));
}

int exec__claim_starving(future_t *f, bool stranger) {
    if (!stranger && exec__claimable(f))
        return run_in_seat(exec__self.seat, f);
    if (stack_is_short())
        return ENOMEM;
    struct exec__pool *p = exec__pool_enter(f);
    if (p == NULL)
        return 0;
    bool started = start_past_entry(p, f);
    exec__pool_hold(p); /* who waits for this thread, and keeps the pool, may cease to */
    if (started && !gets_thread(f, stranger))
        run_without_seat(p, f);
    exec__pool_let_go(p);
    exec__pool_leave(p);
    return 0;
}

/* What this thread has let go of last is in its deque, or in a lane, if it still is: this thread has put it there. */
static bool run_released_in_deque(struct exec__seat *seat) {
    future_t *f = exec__self.released;
    exec__self.released = NULL;
    if (stack_is_short() || !exec__deque_take(&seat->deque, f))
        return false;
    int saved = errno;
    if (!exec__future_start(f))
        exec__future_release(f, 1);
    else if (!exec__run_gets_thread(f, 1))
        exec__task_run(f, &seat->pool->discarding, 1);
    errno = saved;
    return true;
}

static bool run_released_in_lane(struct exec__seat *seat) {
    bool here = exec__self.released_in == &seat->pool->lanes;
    exec__self.released_in = NULL;
    future_t *f = NULL;
    if (here && !stack_is_short())
        f = exec__lanes_start_put(&seat->pool->lanes, exec__self.released_put);
    if (f == NULL)
        return false;
    int saved = errno;
    if (!exec__run_gets_thread(f, 1))
        exec__seat_run(seat, f, 1);
    errno = saved;
    return true;
}

void exec__claim_released(void) {
    struct exec__thread *self = &exec__self;
    const unsigned exploration = self->exploration;
    bool ran = true;
    while (ran && self->seat != NULL && self->released_on == exploration) {
        if (self->released != NULL)
            ran = run_released_in_deque(self->seat);
        else
            ran = self->released_in != NULL && run_released_in_lane(self->seat);
    }
}

/* --- descendants --- */

static bool still_at_base(struct exec__seat *seat, const future_t *f, int64_t floor) {
    return atomic_load(&seat->base) == f && atomic_load(&seat->floor) == floor;
}

static future_t *take_descendant(struct exec__seat *victim, const future_t *f) {
    if (atomic_load_explicit(&victim->base, memory_order_acquire) != f)
        return NULL;
    int64_t floor = atomic_load(&victim->floor);
    int64_t top;
    future_t *child = exec__deque_peek(&victim->deque, &top);
    if (child == NULL || top < floor || !still_at_base(victim, f, floor))
        return NULL;
    return exec__deque_steal_at(&victim->deque, top) ? child : NULL;
}

/* Fire and forget: the awaited task does not wait for it either, and it may well wait for us. */
static bool nobody_awaits(const future_t *f) {
    return exec__future_word(f) / EXEC__REFERENCE == 1;
}

bool exec__claim_descendant(const future_t *f) {
    struct exec__seat *seat = exec__self.seat;
    if (seat == NULL || seat->pool != f->pool || stack_is_short())
        return false;
    struct exec__pool *p = seat->pool;
    for (unsigned i = 0; i < p->n; i++) {
        future_t *child = &p->seats[i] != seat ? take_descendant(&p->seats[i], f) : NULL;
        if (child == NULL)
            continue;
        if (nobody_awaits(child) && exec__deque_push(&seat->deque, child) == 0) {
            exec__pool_wake(p);
        } else if (exec__entry_accept(p, child)) {
            exec__count(p, EXEC__STOLEN);
            int saved = errno;
            if (!exec__run_gets_thread(child, 1))
                exec__seat_run(seat, child, 1);
            errno = saved;
        }
        return true;
    }
    return false;
}
