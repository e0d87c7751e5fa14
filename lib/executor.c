/* executor.c - admits tasks: create, submit, shut down, join, destroy.
 *
 * A submit from a thread that holds a seat of the executor goes to that seat's deque and never waits; any other goes to
 * the bounded queue, by the executor's policy. The queue's closed bit decides between a submit and a shutdown: the task
 * was either put before, and is finished, or is refused. A task's own submissions look at pool.closed; one that slips
 * in beside the shutdown lies in the deque of a seat that is held, whose holder cannot leave it behind.
 *
 * EXECUTOR_DISCARD sets pool.discarding, closes, then cancels what lies in the queue and the deques. Whoever pushes
 * onto a deque looks at the flag afterwards and cancels its own, whoever takes a task from either looks before it
 * starts it; push, flag and look are sequentially consistent, so nothing is left lying.
 */
#include "executor.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "cpus.h"
#include "fork.h"
#include "hold.h"
#include "member.h"
#include "memory.h"
#include "plan.h"
#include "registry.h"
#include "slab.h"
#include "task.h"
#include "worker.h"

#define DEFAULT_CAPACITY 1024
#define NAME_BYTES 16       /* of a thread's name on Linux */
#define RECHECK EXEC_MS(50) /* for blocked producers, of a shutdown from a signal handler */

/* --- create --- */

static bool valid(const executor_opts *o) {
    if (o->workers > EXEC__MAX_WORKERS || o->when_full < EXECUTOR_BLOCK || o->when_full > EXECUTOR_DROP_OLDEST)
        return false;
    if (o->stack_size != 0 && o->stack_size < (size_t)PTHREAD_STACK_MIN)
        return false;
    if ((o->cpus == NULL) != (o->ncpus == 0) || o->ncpus > EXEC__MAX_WORKERS)
        return false;
    for (size_t i = 0; i < o->ncpus; i++)
        if (!exec__cpu_is_allowed(o->cpus[i]))
            return false;
    return true;
}

static int copy_opts(executor_opts *to, const executor_opts *from) {
    *to = *from;
    const char *name = from->name != NULL ? from->name : "exec";
    char *copy = exec__calloc(1, NAME_BYTES);
    if (copy == NULL)
        return ENOMEM;
    to->name = memcpy(copy, name, strnlen(name, NAME_BYTES - 1));
    if (from->ncpus > 0) {
        int *cpus = exec__malloc(from->ncpus * sizeof *cpus);
        if (cpus == NULL) {
            free((char *)to->name);
            return ENOMEM;
        }
        memcpy(cpus, from->cpus, from->ncpus * sizeof *cpus);
        to->cpus = cpus;
    }
    return 0;
}

static void free_opts(executor_opts *o) {
    free((char *)o->name);
    free((int *)o->cpus);
}

static int open_pool(struct exec__pool *p, const executor_opts *opts) {
    int error = copy_opts(&p->opts, opts);
    if (error != 0)
        return error;
    p->n = opts->workers != 0 ? opts->workers : opts->ncpus != 0 ? (unsigned)opts->ncpus : exec__cpus();
    p->generation = exec__generation_now();
    bool hooks = opts->on_start != NULL || opts->on_stop != NULL;
    p->own_threads = hooks || opts->stack_size != 0 || opts->ncpus != 0;
    atomic_store(&p->closed, false);
    atomic_store(&p->discarding, false);
    atomic_store(&p->held, 0);
    p->holds = NULL;
    atomic_store(&p->inbox_state, 0);
    p->inbox = p->inbox_last = NULL;
    error = exec__queue_init(&p->queue, opts->capacity != 0 ? opts->capacity : DEFAULT_CAPACITY);
    if (error != 0)
        goto free_opts;
    p->queue.is_dead = exec__ring_entry_is_dead;
    p->queue.bury = exec__ring_entry_bury;
    p->queue.owner = p;
    error = exec__timers_init(&p->timers);
    if (error != 0)
        goto fini_queue;
    error = pthread_mutex_init(&p->lock, NULL);
    if (error != 0)
        goto fini_timers;
    error = exec__cond_init(&p->changed);
    if (error != 0)
        goto destroy_lock;
    error = exec__seats_init(p);
    if (error != 0)
        goto destroy_changed;
    error = exec__workers_start(p);
    if (error != 0)
        goto fini_seats;
    return 0;
fini_seats:
    exec__seats_fini(p);
destroy_changed:
    pthread_cond_destroy(&p->changed);
destroy_lock:
    pthread_mutex_destroy(&p->lock);
fini_timers:
    exec__timers_fini(&p->timers);
fini_queue:
    exec__queue_fini(&p->queue);
free_opts:
    free_opts(&p->opts);
    return error;
}

int executor_create(const executor_opts *opts, executor_t **out) {
    static const executor_opts defaults;
    if (opts == NULL)
        opts = &defaults;
    if (out == NULL || !valid(opts))
        return EINVAL;
    int error = exec__fork_error();
    if (error != 0)
        return error;
    executor_t *ex = exec__registry_take();
    if (ex == NULL)
        return ENOMEM;
    int saved = errno;
    error = open_pool(&ex->pool, opts);
    errno = saved;
    if (error != 0)
        exec__registry_give(ex);
    else
        *out = ex;
    return error;
}

unsigned executor_workers(const executor_t *ex) {
    return ex != NULL ? ex->pool.n : 0;
}

/* --- submit --- */

/* Room for one more in the deque of the seat that this thread holds: 0, or why there is not to be any. */
static inline int prepare_own(const struct exec__pool *p, struct exec__seat *seat) {
    if (atomic_load_explicit(&p->closed, memory_order_relaxed))
        return ESHUTDOWN;
    return exec__deque_has_room(&seat->deque) ? 0 : exec__deque_grow(&seat->deque);
}

static inline void append_own(struct exec__pool *p, struct exec__seat *seat, future_t *f) {
    exec__deque_append(&seat->deque, f);
    exec__self.stirred = true;
    if (atomic_load(&p->discarding))
        exec__seat_discard(seat);
    exec__pool_wake(p);
}

static int push_own(struct exec__pool *p, future_t *f) {
    struct exec__seat *seat = exec__self.seat;
    int error = prepare_own(p, seat);
    if (error == 0)
        append_own(p, seat, f);
    return error;
}

/* Of a task in the queue. */
static uint64_t flags_in_queue(const struct exec__pool *p) {
    return p->own_threads || p->n == 1 ? EXEC__QUEUED : EXEC__QUEUED | EXEC__RUNS_ANYWHERE;
}

/* Of a future that nobody else knows yet. */
static void set_flags(struct exec__pool *p, future_t *f, uint64_t flags) {
    uint64_t word = atomic_load_explicit(&f->word, memory_order_relaxed);
    atomic_store_explicit(&f->word, word | flags, memory_order_relaxed);
    f->pool = p;
}

static int run_here(struct exec__pool *p, future_t *f) {
    bool open = exec__pool_hold(p);
    int saved = errno;
    if (open && exec__future_start(f))
        exec__task_run(f, &p->discarding, 1);
    else if (open)
        exec__entry_bury(p, f); /* a member of a group, which somebody has cancelled or run already */
    errno = saved;
    exec__pool_let_go(p);
    return open ? 0 : ESHUTDOWN;
}

static int try_put(struct exec__pool *p, future_t *f) {
    int error = exec__queue_try_put(&p->queue, f);
    if (error == 0)
        exec__pool_wake(p);
    return error;
}

static int put_waiting(struct exec__pool *p, future_t *f, exec_time deadline) {
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    int error = exec__queue_put(&p->queue, f, deadline, RECHECK);
    pthread_setcancelstate(state, NULL);
    if (error == 0)
        exec__pool_wake(p);
    return error;
}

static int put_dropping_oldest(struct exec__pool *p, future_t *f) {
    int error;
    while ((error = try_put(p, f)) == EAGAIN) {
        void *oldest;
        if (exec__queue_try_get(&p->queue, &oldest) == EXEC__TAKEN)
            exec__ring_entry_drop(p, oldest);
    }
    return error;
}

static int put_by_policy(struct exec__pool *p, future_t *f, exec_time room_wait) {
    switch (p->opts.when_full) {
    case EXECUTOR_BLOCK: return put_waiting(p, f, room_wait == 0 ? EXEC_NEVER : exec_after(room_wait));
    case EXECUTOR_CALLER_RUNS: return run_here(p, f);
    case EXECUTOR_DROP_OLDEST: return put_dropping_oldest(p, f);
    default: return EAGAIN;
    }
}

static int or_shut_down(int error) {
    return error == EPIPE ? ESHUTDOWN : error;
}

static int put_in_queue(struct exec__pool *p, future_t *f, exec_time room_wait) {
    int error = try_put(p, f);
    if (error == EAGAIN)
        error = put_by_policy(p, f, room_wait);
    return or_shut_down(error);
}

/* A task of the executor runs here without a seat: one that its producer, or who waits for it, has run; or this is its
 * timer thread. */
static inline bool is_own_without_seat(const struct exec__pool *p) {
    return (exec__self.frame != NULL || exec__self.timers != NULL) && !exec__seated_in(p) && exec__runs_here(p);
}

static int put_in_box(struct exec__pool *p, future_t *f) {
    bool open = exec__pool_hold(p);
    if (open)
        exec__inbox_put(p, f);
    exec__pool_let_go(p);
    exec__pool_wake(p);
    return open ? 0 : ESHUTDOWN;
}

int exec__admit(struct exec__pool *p, future_t *f, exec_time room_wait) {
    if (exec__seated_in(p))
        return push_own(p, f);
    return is_own_without_seat(p) ? put_in_box(p, f) : put_in_queue(p, f, room_wait);
}

int exec__admit_waiting(struct exec__pool *p, future_t *f, exec_time deadline) {
    if (exec__seated_in(p) || is_own_without_seat(p))
        return exec__admit(p, f, 0);
    return or_shut_down(put_waiting(p, f, deadline));
}

int exec__task_check(exec_fn *fn, const exec_task_opts *opts) {
    if (fn == NULL)
        return EINVAL;
    if (opts == NULL)
        return 0;
    if (opts->room_wait < 0 || (opts->nafter > 0 && opts->after == NULL))
        return EINVAL;
    for (size_t i = 0; i < opts->nafter; i++)
        if (opts->after[i] == NULL || exec__orphaned(opts->after[i]))
            return opts->after[i] == NULL ? EINVAL : EOWNERDEAD;
    return exec__plan_check(opts);
}

int exec__no_memory(const struct exec__pool *p) {
    return atomic_load(&p->closed) ? ESHUTDOWN : ENOMEM;
}

static int add_hold(struct exec__pool *p, future_t *f, const exec_task_opts *opts, bool times) {
    int error = exec__future_extend(f);
    if (error == 0)
        error = exec__hold_new(f, p, opts);
    return error == 0 && times ? exec__plan_new(f, p, opts) : error;
}

int exec__task_init(struct exec__pool *p, future_t *f, const exec_task_opts *opts, bool waits) {
    uint64_t flags = exec__seated_in(p) ? 0 : flags_in_queue(p);
    bool times = opts != NULL && exec__has_times(opts), boxed = is_own_without_seat(p);
    int error = 0;
    if (times || waits)
        error = add_hold(p, f, opts, times);
    else if (boxed)
        error = exec__future_extend(f);
    if (error != 0)
        return error;
    if (waits || (times && exec__plan_is_early(exec__plan_of(f))))
        flags = EXEC__HELD | (flags_in_queue(p) & ~EXEC__QUEUED);
    set_flags(p, f, boxed ? flags & ~EXEC__QUEUED : flags);
    return 0;
}

int exec__task_begin(struct exec__pool *p, future_t *f, exec__admit_fn *put, exec_time time) {
    struct exec__plan *plan = exec__plan_of(f);
    if (plan != NULL && atomic_load(&p->closed))
        return ESHUTDOWN; /* before its deadline can be the reason */
    if (plan != NULL)
        exec__plan_begin(plan);
    return exec__future_word(f) & EXEC__HELD ? exec__hold_begin(f) : put(p, f, time);
}

bool exec__task_withdraw(struct exec__pool *p, future_t *f, unsigned references) {
    struct exec__plan *plan = exec__plan_of(f);
    if (plan == NULL && exec__group_of(f) == NULL) {
        exec__future_discard(f);
        return true;
    }
    if (!exec__future_revoke(f, ECANCELED)) {
        exec__entry_bury(p, f);
        return false;
    }
    if (exec__group_of(f) != NULL)
        exec__slot_clear(f);
    if (plan != NULL)
        references += exec__plan_end(plan);
    exec__future_release(f, references);
    return true;
}

static int submit(struct exec__pool *p, future_t *f, const exec_task_opts *opts, unsigned references) {
    int error = exec__task_init(p, f, opts, exec__must_wait(opts));
    if (error != 0) {
        exec__future_discard(f);
        return error;
    }
    error = exec__task_begin(p, f, exec__admit, opts != NULL ? opts->room_wait : 0);
    return error == 0 || !exec__task_withdraw(p, f, references) ? 0 : error;
}

static int submit_with(struct exec__pool *p, exec_fn *fn, void *arg, const exec_task_opts *opts, future_t **out) {
    unsigned references = out != NULL ? 2 : 1;
    future_t *f = exec__future_new(fn, arg, opts, references), *before = NULL;
    if (f == NULL)
        return exec__no_memory(p);
    if (out != NULL) {
        before = *out;
        *out = f;
    }
    int error = submit(p, f, opts, references);
    if (error != 0 && out != NULL)
        *out = before;
    return error;
}

/* What that comes to for a task without options, by a thread with a seat of the executor; */
static int submit_own(struct exec__pool *p, exec_fn *fn, void *arg, future_t **out) {
    struct exec__seat *seat = exec__self.seat;
    int error = prepare_own(p, seat);
    if (error != 0)
        return error;
    future_t *f = exec__cell_alloc();
    if (f == NULL)
        return ENOMEM;
    exec__future_init(f, p, fn, arg, out != NULL ? 2 : 1);
    if (out != NULL)
        *out = f;
    append_own(p, seat, f);
    return 0;
}

/* and by one from outside. */
static int submit_from_outside(struct exec__pool *p, exec_fn *fn, void *arg, future_t **out) {
    future_t *f = exec__cell_alloc(), *before = NULL;
    if (f == NULL)
        return exec__no_memory(p);
    exec__future_init(f, p, fn, arg, out != NULL ? 2 : 1);
    set_flags(p, f, flags_in_queue(p));
    if (out != NULL) {
        before = *out;
        *out = f;
    }
    int error = put_in_queue(p, f, 0);
    if (error == 0)
        return 0;
    if (out != NULL)
        *out = before;
    exec__cell_free(f);
    return error;
}

int executor_submit(executor_t *ex, exec_fn *fn, void *arg, const exec_task_opts *opts, future_t **out) {
    int error = exec__executor_check(ex);
    if (error == 0 && (fn == NULL || opts != NULL))
        error = exec__task_check(fn, opts);
    if (error != 0)
        return error;
    struct exec__pool *p = &ex->pool;
    if (opts == NULL && exec__seated_in(p))
        return submit_own(p, fn, arg, out);
    if (opts == NULL && !is_own_without_seat(p))
        return submit_from_outside(p, fn, arg, out);
    return submit_with(p, fn, arg, opts, out);
}

static int offer(struct exec__pool *p, future_t *f, exec_time unused) {
    int error = exec__task_init(p, f, NULL, false);
    if (error != 0)
        return error;
    if (exec__seated_in(p) || is_own_without_seat(p))
        return exec__admit(p, f, unused);
    return or_shut_down(try_put(p, f));
}

static int put_in_any_case(struct exec__pool *p, future_t *f, exec_time deadline) {
    set_flags(p, f, flags_in_queue(p));
    return or_shut_down(put_waiting(p, f, deadline));
}

static int submit_by(exec__admit_fn *put, exec_time deadline, executor_t *ex, exec_fn *fn, void *arg, future_t **out) {
    future_t *f = exec__future_new(fn, arg, NULL, 2);
    if (f == NULL)
        return ENOMEM;
    int error = put(&ex->pool, f, deadline);
    if (error == 0)
        *out = f;
    else
        exec__future_discard(f);
    return error;
}

int exec__offer(executor_t *ex, exec_fn *fn, void *arg, future_t **out) {
    return submit_by(offer, EXEC_NOW, ex, fn, arg, out);
}

int exec__submit_waiting(executor_t *ex, exec_fn *fn, void *arg, exec_time deadline, future_t **out) {
    return submit_by(put_in_any_case, deadline, ex, fn, arg, out);
}

/* --- shut down, join, destroy --- */

/* From now on nothing is accepted. Async-signal-safe. */
static void mark_closed(struct exec__pool *p) {
    atomic_store(&p->closed, true);
    exec__queue_mark_closed(&p->queue);
}

int executor_shutdown(executor_t *ex, enum executor_shutdown mode) {
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    if (mode != EXECUTOR_DRAIN && mode != EXECUTOR_DISCARD)
        return EINVAL;
    struct exec__pool *p = &ex->pool;
    if (mode == EXECUTOR_DISCARD)
        atomic_store(&p->discarding, true); /* first: who is refused by this call sees why */
    mark_closed(p);
    exec_queue_close(&p->queue); /* wakes those who wait for room */
    if (mode == EXECUTOR_DISCARD) {
        exec__pool_discard(p);
        exec__rouse_cancelled();
    }
    exec__pool_wake(p);
    return 0;
}

void executor_request_shutdown(executor_t *ex) {
    if (exec__executor_check(ex) != 0)
        return;
    mark_closed(&ex->pool);
    exec__pool_wake(&ex->pool);
}

bool exec__runs_here(const struct exec__pool *p) {
    if (exec__seated_in(p) || exec__self.timers == &p->timers)
        return true;
    for (const struct exec__frame *frame = exec__self.frame; frame != NULL; frame = frame->below)
        if (frame->pool == p)
            return true;
    return false;
}

int executor_join(executor_t *ex, exec_time deadline) {
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    if (exec__runs_here(&ex->pool))
        return EDEADLK;
    return exec__workers_join(&ex->pool, deadline);
}

static void free_pool(struct exec__pool *p) {
    free(p->workers);
    exec__seats_fini(p);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    exec__timers_fini(&p->timers);
    exec__queue_fini(&p->queue);
    free_opts(&p->opts);
}

/* In a forked child: what the pool's threads may have held when they ceased to be is left alone. */
static void free_orphan(struct exec__pool *p) {
    free(p->workers);
    for (unsigned i = 0; i < p->n; i++)
        exec__deque_destroy(&p->seats[i].deque);
    free(p->seats);
    free(p->queue.slots);
    exec__timers_orphan(&p->timers);
    free_opts(&p->opts);
    atomic_store(&p->visitors, 0); /* theirs */
}

void executor_destroy(executor_t *ex) {
    if (ex == NULL)
        return;
    struct exec__pool *p = &ex->pool;
    if (p->generation != exec__generation_now()) {
        if (exec__runs_here(p))
            return; /* a task of it has forked, and is still in there */
        free_orphan(p);
    } else {
        executor_shutdown(ex, EXECUTOR_DRAIN);
        if (executor_join(ex, EXEC_NEVER) != 0)
            return; /* EDEADLK: called in one of its own tasks */
        while (atomic_load(&p->visitors) > 0)
            sched_yield(); /* all is over: they are about to leave */
        free_pool(p);
    }
    exec__registry_give(ex);
}
