/* pool.c - seats, and the parking protocol.
 *
 * Models: test/model/parking.pml and test/model/shutdown.pml.
 *
 * A pool of n workers has n seats; to run its tasks a thread must hold one. So no more than n ever run, whoever they
 * are: a worker that finds nothing to do frees its seat and sleeps, and a thread from outside that waits for a task may
 * take the free seat and run it (wait.c). A seat owns a deque, which goes with it from holder to holder.
 *
 * The word `idle` holds the stack of free seats (the index of its top + 1, each seat naming the one below it), their
 * number, the number of searchers, and a tag that changes with every exchange, so that a compare-and-swap on a top that
 * went and came back fails. A searcher is a worker that holds a seat and looks for work, or one that has been woken and
 * will.
 *
 * Adding work: publish the task (queue: tail; deque: bottom; lanes: occupied), then read idle; with a seat free and
 * nobody searching, count a searcher and post the semaphore: whoever is woken by it is that searcher. Whoever adds work
 * while somebody searches does nothing: no wake-up is sent to where one is under way.
 *
 * The searcher's duty: one that finds a task stops to count, and if it was the last one, looks whether there is more
 * work, and wakes two others, so that all are up after a few wake-ups in a row. One that finds none frees its seat and
 * stops to count in one compare-and-swap, then looks once more at everything; if there is work it takes a free seat
 * again.
 *
 * Why no wake-up is lost. All accesses named are sequentially consistent. Who adds work either reads idle after the
 * last searcher has stopped to count, and then wakes a worker (if no seat is free, all n are busy, and each looks for
 * work when it has freed its seat); or before, and then that searcher's look at the queue and the deques comes after
 * the publication, and sees the task. Who was woken and finds all seats taken stops to count and sleeps again: those
 * who took them look for work. Why none is wasted: a wake-up is sent only for work that was there and nobody was
 * looking for.
 *
 * A post is a searcher's count, and belongs to whoever takes it from the semaphore. Threads without a seat are as many
 * as there are free and borrowed seats together.
 *
 * The end. The queue is closed, so that its tail is final, nobody holds a seat, and no task is held: then nothing runs,
 * nothing can be added, and when all is empty, all is over. (A task that was held is added before it ceases to count as
 * held, and then a worker is woken; so held is read before the rest.) Who frees the last seat (or a woken worker that
 * frees it again) finds that out by a compare-and-swap from exactly this state to OVER, and posts the semaphore for
 * all.
 *
 * A semaphore, since it is the one way to wake a thread that POSIX allows in a signal handler.
 */
#include "pool.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "fork.h"
#include "plan.h"
#include "memory.h"
#include "probe.h"
#include "thread.h"
#include "trace.h"

#define FIELD EXEC__FIELD
#define TOP FIELD
#define ONE_FREE (UINT64_C(1) << EXEC__FREE_SHIFT)
#define ONE_SEARCHING (UINT64_C(1) << EXEC__SEARCH_SHIFT)
#define MAX_SEARCHING 8u
#define WAKE_AT_ONCE 2u
#define OVER (FIELD << EXEC__SEARCH_SHIFT) /* as searchers: nobody wakes anybody any more */
#define ONE_TAG (UINT64_C(1) << EXEC__TAG_SHIFT)

_Static_assert(EXEC__MAX_WORKERS < FIELD, "no count of searchers looks like OVER");

static unsigned top_of(uint64_t idle) {
    return (unsigned)(idle & TOP);
}

static unsigned free_of(uint64_t idle) {
    return (unsigned)(idle >> EXEC__FREE_SHIFT & FIELD);
}

static unsigned searching_of(uint64_t idle) {
    return (unsigned)(idle >> EXEC__SEARCH_SHIFT & FIELD);
}

/* Takes the top seat off a non-empty stack, and counts so many searchers more. */
static struct exec__seat *pop(struct exec__pool *p, uint64_t *idle, uint64_t searching) {
    struct exec__seat *seat = &p->seats[top_of(*idle) - 1];
    uint64_t below = atomic_load_explicit(&seat->below, memory_order_relaxed); /* stale only if the tag is, too */
    uint64_t next = (*idle & ~TOP) + below - ONE_FREE + searching + ONE_TAG;
    return atomic_compare_exchange_weak(&p->idle, idle, next) ? seat : NULL;
}

static struct exec__seat *take_seat(struct exec__pool *p, uint64_t searching) {
    uint64_t idle = atomic_load(&p->idle);
    while (top_of(idle) != 0) {
        struct exec__seat *seat = pop(p, &idle, searching);
        if (seat != NULL)
            return seat;
    }
    return NULL;
}

static void free_seat(struct exec__pool *p, struct exec__seat *seat, uint64_t searching) {
    uint64_t idle = atomic_load_explicit(&p->idle, memory_order_relaxed);
    uint64_t next;
    do {
        atomic_store_explicit(&seat->below, top_of(idle), memory_order_relaxed);
        next = (idle & ~TOP) + seat->index + 1 + ONE_FREE - searching + ONE_TAG;
    } while (!atomic_compare_exchange_weak(&p->idle, &idle, next));
}

/* Sees to it that at least so many search, if there are free seats for them. */
static void wake(struct exec__pool *p, unsigned wanted) {
    uint64_t idle = atomic_load(&p->idle);
    while (top_of(idle) != 0 && searching_of(idle) < wanted)
        if (atomic_compare_exchange_weak(&p->idle, &idle, idle + ONE_SEARCHING)) {
            sem_post(&p->wake);
            idle += ONE_SEARCHING;
            EXEC__PROBE(wake);
            atomic_fetch_add_explicit(&p->counts.n[EXEC__WAKEUPS], 1, memory_order_relaxed);
        }
}

void exec__pool_wake_one(struct exec__pool *p) {
    wake(p, 1);
}

/* How many are in the inbox; above that, where the end of the queue was when the first one came. */
static uint32_t inbox_count(uint64_t state) {
    return (uint32_t)state;
}

bool exec__pool_has_work(const struct exec__pool *p) {
    if (!exec__queue_empty(&p->queue) || inbox_count(atomic_load(&p->inbox_state)) > 0)
        return true;
    if (!exec__lanes_empty(&p->lanes))
        return true;
    for (unsigned i = 0; i < p->n; i++)
        if (!exec__deque_empty(&p->seats[i].deque))
            return true;
    return false;
}

bool exec__pool_has_idle(const struct exec__pool *p) {
    for (unsigned i = 0; i < p->n; i++)
        if (atomic_load(&p->seats[i].base) == NULL)
            return true;
    return false;
}

bool exec__search_begin(struct exec__pool *p) {
    uint64_t idle = atomic_load_explicit(&p->idle, memory_order_relaxed);
    while (searching_of(idle) < p->search_limit)
        if (atomic_compare_exchange_weak(&p->idle, &idle, idle + ONE_SEARCHING))
            return true;
    return false;
}

void exec__search_end(struct exec__pool *p) {
    uint64_t before = atomic_fetch_sub(&p->idle, ONE_SEARCHING);
    if (searching_of(before) == 1 && top_of(before) != 0 && exec__pool_has_work(p))
        wake(p, WAKE_AT_ONCE);
}

/* Who has just freed a seat: ends it all, if it was the last thing to happen. */
static void end_if_over(struct exec__pool *p) {
    uint64_t idle = atomic_load(&p->idle);
    if (!atomic_load(&p->closed) || free_of(idle) != p->n || searching_of(idle) != 0)
        return;
    if (atomic_load(&p->held) > 0 || exec__pool_has_work(p))
        return;
    if (atomic_compare_exchange_strong(&p->idle, &idle, OVER))
        for (unsigned i = 0; i < p->n; i++)
            sem_post(&p->wake);
}

static void sleep_until_posted(struct exec__pool *p) {
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* a late pthread_cancel() hits the next task instead */
    while (sem_wait(&p->wake) != 0)
        continue; /* EINTR */
    pthread_setcancelstate(state, NULL);
}

/* In the seat that it gives up, or has taken. */
static void note(struct exec__pool *p, enum exec__event_kind kind, const struct exec__seat *seat) {
    if (atomic_load_explicit(&p->observed, memory_order_relaxed) & EXEC__TRACES)
        exec__trace_moment(p, kind, seat->index);
}

struct exec__seat *exec__pool_park(struct exec__pool *p, struct exec__seat *seat, bool searching) {
    EXEC__PROBE1(park, seat->index);
    note(p, EXEC__PARK, seat);
    free_seat(p, seat, searching ? ONE_SEARCHING : 0);
    for (;;) {
        if (exec__pool_has_work(p)) {
            seat = take_seat(p, ONE_SEARCHING);
            if (seat != NULL)
                return seat;
        } else {
            end_if_over(p);
        }
        sleep_until_posted(p);
        if (atomic_load(&p->idle) == OVER)
            return NULL;
        seat = take_seat(p, 0);
        if (seat != NULL) {
            note(p, EXEC__WAKE, seat);
            return seat;
        }
        atomic_fetch_sub(&p->idle, ONE_SEARCHING);
    }
}

struct exec__seat *exec__seat_borrow(struct exec__pool *p) {
    struct exec__seat *seat = take_seat(p, 0);
    if (seat != NULL) {
        unsigned lent = atomic_load_explicit(&p->lent, memory_order_relaxed);
        atomic_store_explicit(&p->lent, lent + 1, memory_order_relaxed);
    }
    return seat;
}

void exec__seat_return(struct exec__pool *p, struct exec__seat *seat) {
    free_seat(p, seat, 0);
    if (exec__pool_has_work(p))
        exec__pool_wake(p);
    else
        end_if_over(p);
}

bool exec__pool_hold(struct exec__pool *p) {
    atomic_fetch_add(&p->held, 1);
    return !atomic_load(&p->closed);
}

void exec__pool_let_go(struct exec__pool *p) {
    atomic_fetch_sub(&p->held, 1);
    if (atomic_load(&p->closed))
        exec__pool_wake(p); /* somebody has to see whether that was the last thing */
}

/* A task that is PENDING lies in its pool's queue, a lane or a deque, or is held, so the pool cannot have ended; and
 * who ends it waits for visitors. All sequentially consistent: a visitor counts itself, then finds the task PENDING;
 * who frees the pool has seen the task taken, then finds no visitor. Before the count the pool may be gone, but its
 * memory never is, and the count is never reset (registry.c). */
struct exec__pool *exec__pool_enter(const future_t *f) {
    struct exec__pool *p = f->pool;
    if (p == NULL || f->generation != exec__generation_now())
        return NULL;
    atomic_fetch_add(&p->visitors, 1);
    if (exec__state_of(atomic_load(&f->word)) == FUTURE_PENDING)
        return p;
    exec__pool_leave(p);
    return NULL;
}

void exec__pool_leave(struct exec__pool *p) {
    atomic_fetch_sub(&p->visitors, 1);
}

static unsigned end_plan(const future_t *f) {
    struct exec__plan *plan = exec__plan_of(f);
    return plan != NULL ? exec__plan_end(plan) : 0;
}

bool exec__revoke(future_t *f, int error) {
    struct exec__pool *p = NULL;
    unsigned references = 0;
    if (f->pool != NULL && (p = exec__pool_enter(f)) == NULL)
        return false;
    bool revoked = exec__future_revoke(f, error);
    if (p != NULL && revoked) {
        exec__count_end(p, exec__state_of(exec__future_word(f)), error);
        references = end_plan(f);
        if (exec__future_word(f) & EXEC__QUEUED) /* which may have changed, if it has run meanwhile */
            exec__queue_forget(&p->queue);
        if (exec__has_lane(f))
            exec__lanes_forget(&p->lanes, f);
    }
    if (p != NULL)
        exec__pool_leave(p);
    if (revoked)
        exec__future_revoked(f, error);
    if (references > 0)
        exec__future_release(f, references);
    return revoked;
}

void exec__revoked(future_t *f, int error) {
    unsigned references = end_plan(f);
    exec__count_end(f->pool, exec__state_of(exec__future_word(f)), error);
    exec__future_revoked(f, error);
    if (references > 0)
        exec__future_release(f, references);
}

/* --- the inbox --- */

static void set_inbox_state_locked(struct exec__pool *p, uint32_t count) {
    uint64_t turn = p->inbox != NULL ? exec__extra_of(p->inbox)->turn : 0;
    atomic_store(&p->inbox_state, turn << 32 | count);
}

static void put_into_inbox_locked(struct exec__pool *p, future_t *f) {
    struct exec__extra *x = exec__extra_of(f);
    x->in_box = true;
    x->next_in_box = NULL;
    x->turn = (uint32_t)exec__queue_end(&p->queue);
    if (p->inbox_last != NULL)
        exec__extra_of(p->inbox_last)->next_in_box = f;
    else
        p->inbox = f;
    p->inbox_last = f;
    set_inbox_state_locked(p, inbox_count(atomic_load(&p->inbox_state)) + 1);
}

/* One that was run past its entry there, and is to run again, has one already. */
void exec__inbox_put(struct exec__pool *p, future_t *f) {
    pthread_mutex_lock(&p->lock);
    bool there = exec__extra_of(f)->in_box;
    if (!there)
        put_into_inbox_locked(p, f);
    else
        atomic_fetch_sub(&f->word, EXEC__REFERENCE); /* not the last one */
    pthread_mutex_unlock(&p->lock);
}

static future_t *take_from_inbox_locked(struct exec__pool *p) {
    future_t *f = p->inbox;
    if (f == NULL)
        return NULL;
    p->inbox = exec__extra_of(f)->next_in_box;
    exec__extra_of(f)->in_box = false;
    if (p->inbox == NULL)
        p->inbox_last = NULL;
    set_inbox_state_locked(p, inbox_count(atomic_load(&p->inbox_state)) - 1);
    return f;
}

static bool queue_has_passed(const struct exec__pool *p, uint32_t turn) {
    return (int32_t)((uint32_t)exec__queue_begin(&p->queue) - turn) >= 0;
}

future_t *exec__inbox_take(struct exec__pool *p, bool in_any_case) {
    uint64_t state = atomic_load(&p->inbox_state);
    if (inbox_count(state) == 0 || (!in_any_case && !queue_has_passed(p, (uint32_t)(state >> 32))))
        return NULL;
    pthread_mutex_lock(&p->lock);
    future_t *f = take_from_inbox_locked(p);
    pthread_mutex_unlock(&p->lock);
    return f;
}

/* --- the lanes --- */

uint64_t exec__lane_put(struct exec__pool *p, future_t *f, bool counts) {
    uint64_t number = exec__lanes_put(&p->lanes, f, counts);
    if (atomic_load(&p->discarding))
        while (exec__lane_drop(p, EXEC__LANES_ALL))
            continue;
    exec__pool_wake(p);
    return number;
}

bool exec__lane_drop(struct exec__pool *p, uint64_t lanes) {
    future_t *f = exec__lanes_revoke(&p->lanes, lanes);
    if (f == NULL)
        return false;
    exec__revoked(f, ECANCELED);
    exec__future_release(f, 1);
    return true;
}

/* --- making and freeing --- */

int exec__seats_init(struct exec__pool *p) {
    p->seats = exec__aligned_alloc(EXEC__CACHE_LINE, p->n * sizeof *p->seats);
    if (p->seats == NULL)
        return ENOMEM;
    int error = sem_init(&p->wake, 0, 0) == 0 ? 0 : errno;
    if (error != 0)
        goto free_seats;
    unsigned made;
    for (made = 0; made < p->n; made++) {
        struct exec__seat *seat = &p->seats[made];
        error = exec__deque_init(&seat->deque);
        if (error != 0)
            goto destroy_deques;
        seat->pool = p;
        seat->index = made;
        seat->picks = seat->turns = 0;
        seat->random = made * 2654435761u + 1;
        atomic_init(&seat->base, NULL);
        atomic_init(&seat->floor, 0);
        atomic_init(&seat->mark, 0);
        atomic_init(&seat->marked_name, NULL);
        atomic_init(&seat->marked_began, 0);
        for (int i = 0; i < EXEC__MARK_WORDS; i++)
            atomic_init(&seat->marked_text[i], 0);
        atomic_init(&seat->below, 0);
        for (int i = 0; i < EXEC__COUNTS; i++)
            atomic_init(&seat->counts.n[i], 0);
    }
    p->search_limit = p->n / 2 < 1 ? 1 : p->n / 2 > MAX_SEARCHING ? MAX_SEARCHING : p->n / 2;
    atomic_store(&p->idle, 0);
    atomic_store(&p->lent, 0);
    return 0;
destroy_deques:
    while (made-- > 0)
        exec__deque_destroy(&p->seats[made].deque);
    sem_destroy(&p->wake);
free_seats:
    free(p->seats);
    return error;
}

void exec__seats_fini(struct exec__pool *p) {
    for (unsigned i = 0; i < p->n; i++)
        exec__deque_destroy(&p->seats[i].deque);
    sem_destroy(&p->wake);
    free(p->seats);
}
