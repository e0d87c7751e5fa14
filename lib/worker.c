/* worker.c - the threads of an executor: find work, run it, park; start, be replaced, leave.
 *
 * Models: test/model/parking.pml and test/model/shutdown.pml.
 *
 * A worker holds a seat (pool.c) while it is awake. It takes tasks from its seat's deque, oldest first; then from the
 * inbox and the queue, as they came; then from the other deques. Now and then it looks at the inbox and the queue
 * first, so that tasks that go on submitting tasks do not shut out the others.
 *
 * While tasks with a priority wait (lanes.c), the urgent ones come before all that, and the others after it. So that
 * nothing starves, of PRIORITY_TURNS tasks that it takes then, one is the one that has waited longest, in a lane or the
 * queue; and one is taken as if there were no priorities.
 *
 * Searchers doze, while threads from outside run what they have submitted themselves as they wait for it (claim.c): one
 * that searches is in their way, and one that sleeps would be woken again for each of these tasks. It counts as a
 * searcher meanwhile, so other work waits for the end of its doze, which is about as long as it takes to wake a thread.
 *
 * Who takes an entry from a queue or deque gets its reference, and tries to start the task. If somebody else has
 * started or cancelled it meanwhile, the entry is dead: its reference is dropped, and the queue is told, which had
 * stopped to count it. A task that was run past its entry and is to run again (plan.c) is PENDING once more, with
 * another entry, when the old one comes up in the queue; so that is marked as STALE.
 */
#include "worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "abandon.h"
#include "claim.h"
#include "fork.h"
#include "hold.h"
#include "memory.h"
#include "sync.h"
#include "task.h"
#include "thread.h"
#include "trace.h"

enum { QUEUE_FIRST_EVERY = 61, PRIORITY_TURNS = 32, SEARCH_ROUNDS = 200, YIELD_EVERY = 16, OFTEN = 4 };

#define DOZE EXEC_US(50)

/* --- finding work --- */

void exec__entry_bury(struct exec__pool *p, future_t *f) {
    if (exec__future_word(f) & EXEC__QUEUED)
        exec__queue_forgotten(&p->queue);
    exec__future_release(f, 1);
}

void exec__entry_drop(struct exec__pool *p, future_t *f) {
    if (!exec__future_revoke(f, ECANCELED)) {
        exec__entry_bury(p, f);
        return;
    }
    exec__revoked(f, ECANCELED);
    exec__future_release(f, 1);
}

static bool is_stale(const future_t *f) {
    return exec__future_word(f) & EXEC__STALE;
}

bool exec__ring_entry_is_dead(const void *f) {
    return exec__state_of(exec__future_word(f)) != FUTURE_PENDING || is_stale(f);
}

static void bury_stale(struct exec__pool *p, future_t *f) {
    atomic_fetch_and(&f->word, ~EXEC__STALE);
    exec__queue_forgotten(&p->queue);
    exec__future_release(f, 1);
}

static void ring_entry_bury(struct exec__pool *p, future_t *f) {
    if (is_stale(f))
        bury_stale(p, f);
    else
        exec__entry_bury(p, f);
}

void exec__ring_entry_swept(void *pool, void *f) {
    (void)pool;
    atomic_fetch_and(&((future_t *)f)->word, ~EXEC__STALE);
    exec__future_release(f, 1);
}

/* It may become stale at any moment until it has been revoked, or started. */
bool exec__ring_entry_drop(struct exec__pool *p, future_t *f) {
    bool revoked = !is_stale(f) && exec__future_revoke(f, ECANCELED);
    if (revoked) {
        exec__revoked(f, ECANCELED);
    } else if (!is_stale(f)) {
        exec__entry_bury(p, f);
        return false;
    }
    if (is_stale(f))
        bury_stale(p, f);
    else
        exec__future_release(f, 1);
    return revoked;
}

bool exec__ring_entry_accept(struct exec__pool *p, future_t *f) {
    if (atomic_load(&p->discarding)) {
        exec__ring_entry_drop(p, f);
        return false;
    }
    if (exec__future_start_fresh(f))
        return true;
    ring_entry_bury(p, f);
    return false;
}

bool exec__entry_accept(struct exec__pool *p, future_t *f) {
    if (atomic_load(&p->discarding)) {
        exec__entry_drop(p, f);
        return false;
    }
    if (exec__future_start(f))
        return true;
    exec__entry_bury(p, f);
    return false;
}

static future_t *from_queue(struct exec__pool *p) {
    void *f;
    while (exec__queue_try_get(&p->queue, &f) == EXEC__TAKEN)
        if (exec__ring_entry_accept(p, f))
            return f;
    return NULL;
}

static inline future_t *from_inbox(struct exec__pool *p, bool in_any_case) {
    future_t *f;
    while (!exec__inbox_is_empty(p) && (f = exec__inbox_take(p, in_any_case)) != NULL)
        if (exec__entry_accept(p, f))
            return f;
    return NULL;
}

static inline future_t *from_deque(struct exec__pool *p, struct exec__deque *d) {
    for (;;) {
        bool lost = false;
        future_t *f = exec__deque_steal(d, &lost);
        if (f != NULL && exec__entry_accept(p, f))
            return f;
        if (f == NULL && !lost)
            return NULL;
    }
}

/* xorshift: Marsaglia, "Xorshift RNGs" (2003). */
static uint32_t next_random(uint32_t *x) {
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static future_t *from_others(struct exec__seat *seat) {
    struct exec__pool *p = seat->pool;
    unsigned first = next_random(&seat->random) % p->n;
    for (unsigned i = 0; i < p->n; i++) {
        struct exec__seat *victim = &p->seats[(first + i) % p->n];
        future_t *f = victim == seat ? NULL : from_deque(p, &victim->deque);
        if (f != NULL) {
            exec__count(p, EXEC__STOLEN);
            if (atomic_load_explicit(&p->observed, memory_order_relaxed) & EXEC__TRACES)
                exec__trace_moment(p, EXEC__STEAL, seat->index);
            return f;
        }
    }
    return NULL;
}

static future_t *pick_in_turn(struct exec__seat *seat) {
    struct exec__pool *p = seat->pool;
    future_t *f = NULL;
    if (++seat->picks % QUEUE_FIRST_EVERY == 0) {
        f = from_inbox(p, false);
        if (f == NULL)
            f = from_queue(p);
    }
    if (f == NULL)
        f = from_deque(p, &seat->deque);
    if (f == NULL)
        f = from_inbox(p, false);
    if (f == NULL)
        f = from_queue(p);
    if (f == NULL)
        f = from_inbox(p, true);
    if (f == NULL)
        f = from_others(seat);
    return f;
}

static future_t *from_lanes(struct exec__pool *p, uint64_t lanes) {
    if (!exec__lanes_have(&p->lanes, lanes))
        return NULL;
    if (!atomic_load(&p->discarding))
        return exec__lanes_start(&p->lanes, lanes);
    while (exec__lane_drop(p, lanes))
        continue;
    return NULL;
}

static future_t *longest_waiting(struct exec__pool *p) {
    future_t *f = atomic_load(&p->discarding) ? NULL : exec__lanes_start_oldest(&p->lanes);
    return f != NULL ? f : from_queue(p);
}

static future_t *pick_by_priority(struct exec__seat *seat) {
    struct exec__pool *p = seat->pool;
    unsigned turn = ++seat->turns % PRIORITY_TURNS;
    future_t *f = NULL;
    if (turn == 0)
        f = longest_waiting(p);
    else if (turn == PRIORITY_TURNS / 2)
        f = pick_in_turn(seat);
    if (f == NULL)
        f = from_lanes(p, EXEC__LANES_URGENT);
    if (f == NULL)
        f = pick_in_turn(seat);
    if (f == NULL)
        f = from_lanes(p, EXEC__LANES_LOW);
    return f;
}

static future_t *pick(struct exec__seat *seat) {
    return exec__lanes_have(&seat->pool->lanes, EXEC__LANES_ALL) ? pick_by_priority(seat) : pick_in_turn(seat);
}

static future_t *search_for(struct exec__seat *seat, int rounds) {
    for (int round = 0; round < rounds; round++) {
        future_t *f = exec__pool_has_work(seat->pool) ? pick(seat) : NULL;
        if (f != NULL) {
            exec__search_end(seat->pool);
            return f;
        }
        if (round % YIELD_EVERY == YIELD_EVERY - 1)
            sched_yield();
        else
            exec__pause();
    }
    return NULL;
}

/* Finds a task, or gives up; dozes first while seats are lent often. */
static future_t *search(struct exec__seat *seat) {
    const struct exec__pool *p = seat->pool;
    for (;;) {
        unsigned lent = atomic_load_explicit(&p->lent, memory_order_relaxed);
        bool in_the_way = exec__self.in_the_way;
        if (in_the_way)
            exec__doze(DOZE);
        future_t *f = search_for(seat, in_the_way ? 1 : SEARCH_ROUNDS);
        exec__self.in_the_way = atomic_load_explicit(&p->lent, memory_order_relaxed) - lent >= OFTEN;
        if (f != NULL || !exec__self.in_the_way)
            return f;
    }
}

/* The next task to run, started; sleeps until there is one. NULL: everything is over. */
static future_t *next_task(struct exec__pool *p) {
    struct exec__thread *self = &exec__self;
    future_t *f = pick(self->seat);
    if (f != NULL)
        return f;
    bool searching = exec__search_begin(p);
    for (;;) {
        f = searching ? search(self->seat) : NULL;
        if (f != NULL)
            return f;
        if (atomic_load(&p->closed) && atomic_load(&p->held) > 0)
            exec__holds_end_schedules(p);
        self->seat = exec__pool_park(p, self->seat, searching);
        if (self->seat == NULL)
            return NULL;
        searching = true;
    }
}

/* --- a worker's life --- */

static int start_worker(struct exec__worker *w, struct exec__seat *seat, bool replaces);

/* The thread has called its hook, or has none. If somebody waits for that, it works only once that one has seen it, so
 * that a worker is started by one thread at a time. */
static void announce(struct exec__worker *w, int error) {
    struct exec__pool *p = w->pool;
    pthread_mutex_lock(&p->lock);
    if (error == 0)
        w->thread = pthread_self();
    if (w->state == EXEC__STARTING) {
        w->state = error == 0 ? EXEC__STARTED : EXEC__START_FAILED;
        w->start_error = error;
        pthread_cond_broadcast(&p->changed);
        while (w->state == EXEC__STARTED)
            pthread_cond_wait(&p->changed, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
}

static void leave(struct exec__pool *p) {
    pthread_mutex_lock(&p->lock);
    if (--p->threads == 0)
        pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void set_name(const struct exec__worker *w) {
    char name[64];
    int digits = snprintf(name, sizeof name, "-%u", w->index);
    snprintf(name, sizeof name, "%.*s-%u", 15 - digits, w->pool->opts.name, w->index);
    pthread_setname_np(pthread_self(), name);
}

/* The thread has been left by a task, and a fresh one takes over its seat: true; or goes on itself: false. */
static bool hand_over(struct exec__worker *w) {
    struct exec__seat *seat = exec__self.seat;
    exec__self.seat = NULL;
    if (start_worker(w, seat, true) == 0)
        return true;
    exec__self.seat = seat;
    exec__self.was_left = false;
    return false;
}

/* False: it is the worker no longer, since its last task was abandoned, and it is gone from the pool; or this is a
 * forked child, whose task has returned: there is nothing more to do in it. */
static bool work(struct exec__worker *w) {
    struct exec__pool *p = w->pool;
    future_t *f;
    while ((f = next_task(p)) != NULL) {
        if (!exec__may_be_abandoned(f))
            exec__seat_run(exec__self.seat, f, 1);
        else if (!exec__run_apart(w, f))
            return false;
        if (p->generation != exec__generation_now())
            return false;
        if (exec__self.was_left && hand_over(w))
            return true;
    }
    return true;
}

void exec__worker_works(struct exec__worker *w) {
    struct exec__pool *p = w->pool;
    const executor_opts *opts = &p->opts;
    unsigned index = w->index;
    if (!work(w))
        return;
    if (opts->on_stop != NULL)
        opts->on_stop(opts->hook_ctx, index);
    exec__self.seat = NULL;
    leave(p);
}

int exec__worker_enters(const struct exec__worker *w) {
    const executor_opts *opts = &w->pool->opts;
    set_name(w);
    exec__sleep_exactly();
    return opts->on_start != NULL ? opts->on_start(opts->hook_ctx, w->index) : 0;
}

void exec__worker_replaced(const struct exec__worker *w) {
    const executor_opts *opts = &w->pool->opts;
    if (opts->on_replace != NULL)
        opts->on_replace(opts->hook_ctx, w->index);
}

static void *run_worker(void *arg) {
    struct exec__worker *w = arg;
    exec__self.seat = w->seat;
    const bool replaces = w->replaces;
    const pthread_t predecessor = w->thread;
    int error = exec__worker_enters(w);
    announce(w, error);
    if (error == 0) {
        if (replaces)
            pthread_join(predecessor, NULL);
        if (replaces)
            exec__worker_replaced(w);
        exec__worker_works(w);
    } else {
        exec__self.seat = NULL;
        leave(w->pool);
    }
    return NULL;
}

/* --- starting --- */

static int make_attr(const struct exec__worker *w, pthread_attr_t *attr) {
    const executor_opts *opts = &w->pool->opts;
    int error = pthread_attr_init(attr);
    if (error != 0)
        return error;
    if (opts->stack_size > 0)
        error = pthread_attr_setstacksize(attr, opts->stack_size);
    if (error != 0)
        pthread_attr_destroy(attr);
    return error;
}

/* As pthread_create(), for a thread that runs on these CPUs from its beginning on. */
static int create_on_cpus(pthread_t *thread, pthread_attr_t *attr, void *(*main)(void *), void *arg,
                          const cpu_set_t *cpus) {
#ifdef __GLIBC__
    int error = pthread_attr_setaffinity_np(attr, sizeof *cpus, cpus);
    return error != 0 ? error : pthread_create(thread, attr, main, arg);
#else /* musl's attributes know no CPUs, but a thread inherits those of its creator */
    cpu_set_t before;
    int error = pthread_getaffinity_np(pthread_self(), sizeof before, &before);
    if (error == 0)
        error = pthread_setaffinity_np(pthread_self(), sizeof *cpus, cpus);
    if (error != 0)
        return error;
    error = pthread_create(thread, attr, main, arg);
    pthread_setaffinity_np(pthread_self(), sizeof before, &before);
    return error;
#endif
}

static int create_with_attr(const struct exec__worker *w, pthread_attr_t *attr, void *(*main)(void *), void *arg,
                            pthread_t *thread) {
    const executor_opts *opts = &w->pool->opts;
    if (opts->ncpus == 0)
        return pthread_create(thread, attr, main, arg);
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET((size_t)opts->cpus[w->index % opts->ncpus], &cpus);
    return create_on_cpus(thread, attr, main, arg, &cpus);
}

/* Starts a thread with all signals blocked, which it inherits. */
static int create_thread(struct exec__worker *w, void *(*main)(void *), void *arg, pthread_t *thread) {
    pthread_attr_t attr;
    int error = make_attr(w, &attr);
    if (error != 0)
        return error;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = create_with_attr(w, &attr, main, arg, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return error;
}

static int await_start_locked(struct exec__worker *w) {
    while (w->state == EXEC__STARTING)
        pthread_cond_wait(&w->pool->changed, &w->pool->lock);
    int error = w->start_error;
    if (error == 0) {
        w->state = EXEC__SEEN;
        pthread_cond_broadcast(&w->pool->changed);
    }
    return error;
}

/* Starts the worker's thread, the first one or a fresh one, which takes the seat if it comes to run, and joins the one
 * that calls this if it replaces it. 0 or an error: then there is no such thread. */
static int start_worker(struct exec__worker *w, struct exec__seat *seat, bool replaces) {
    struct exec__pool *p = w->pool;
    bool await = replaces || p->opts.on_start != NULL;
    pthread_t thread;
    pthread_mutex_lock(&p->lock);
    w->state = await ? EXEC__STARTING : EXEC__SEEN;
    w->start_error = 0;
    w->replaces = replaces;
    w->seat = seat;
    p->threads++;
    pthread_mutex_unlock(&p->lock);
    int error = create_thread(w, run_worker, w, &thread);
    if (error == 0 && !await)
        return 0;
    pthread_mutex_lock(&p->lock);
    bool created = error == 0;
    if (created)
        error = await_start_locked(w);
    else
        p->threads--;
    pthread_mutex_unlock(&p->lock);
    if (created && error != 0)
        pthread_join(thread, NULL);
    return error;
}

int exec__worker_thread(struct exec__worker *w, void *(*main)(void *), void *arg) {
    pthread_t unused;
    return create_thread(w, main, arg, &unused);
}

static void join_all(struct exec__worker *workers, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        pthread_join(workers[i].thread, NULL);
}

/* Nothing has been submitted yet: ends those that have started, as if all had been shut down and had nothing to do. */
static void stop_started(struct exec__pool *p, unsigned started) {
    exec__queue_mark_closed(&p->queue);
    atomic_store(&p->closed, true);
    for (unsigned i = started; i < p->n; i++)
        exec__seat_return(p, &p->seats[i]); /* nobody else will */
    exec__pool_wake(p);
    pthread_mutex_lock(&p->lock);
    while (p->threads > 0)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    join_all(p->workers, started);
}

int exec__workers_start(struct exec__pool *p) {
    p->threads = 0;
    p->reaping = EXEC__UNREAPED;
    p->runs = NULL;
    p->strays = p->successors = p->stopping = 0;
    p->destroyed = p->has_retired = false;
    p->workers = exec__calloc(p->n, sizeof *p->workers);
    if (p->workers == NULL)
        return ENOMEM;
    for (unsigned i = 0; i < p->n; i++) {
        struct exec__worker *w = &p->workers[i];
        w->pool = p;
        w->index = i;
        int error = start_worker(w, &p->seats[i], false);
        if (error != 0) {
            stop_started(p, i);
            free(p->workers);
            return error;
        }
    }
    return 0;
}

/* --- ending --- */

void exec__seat_discard(struct exec__seat *seat) {
    future_t *f = from_deque(seat->pool, &seat->deque); /* cancels all, since the pool discards */
    (void)f;
}

void exec__pool_discard(struct exec__pool *p) {
    from_queue(p);
    from_inbox(p, true);
    from_lanes(p, EXEC__LANES_ALL);
    exec__holds_discard(p);
    for (unsigned i = 0; i < p->n; i++)
        exec__seat_discard(&p->seats[i]);
}

static void reap(struct exec__pool *p) {
    p->reaping = EXEC__REAPING;
    pthread_mutex_unlock(&p->lock);
    join_all(p->workers, p->n);
    exec__timers_stop(&p->timers);
    pthread_mutex_lock(&p->lock);
    p->reaping = EXEC__REAPED;
    pthread_cond_broadcast(&p->changed);
}

int exec__workers_join(struct exec__pool *p, exec_time deadline) {
    int error = 0, state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&p->lock);
    while (error == 0 && p->threads > 0)
        error = exec__cond_wait(&p->changed, &p->lock, deadline);
    if (p->threads == 0) {
        if (p->reaping == EXEC__UNREAPED)
            reap(p);
        while (p->reaping != EXEC__REAPED) /* another one is at it, and soon done */
            pthread_cond_wait(&p->changed, &p->lock);
        error = exec__strays_join_locked(p, deadline);
    }
    pthread_mutex_unlock(&p->lock);
    pthread_setcancelstate(state, NULL);
    return error;
}
