/* submit.c - admits tasks.
 *
 * Models: test/model/parking.pml and test/model/shutdown.pml.
 *
 * A submit from a thread that holds a seat of the executor goes to that seat's deque and never waits; any other goes to
 * the bounded queue, by the executor's policy. The queue's closed bit decides between a submit and a shutdown: the task
 * was either put before, and is finished, or is refused. A task's own submissions look at pool.closed; one that slips
 * in beside the shutdown lies in the deque of a seat that is held, whose holder cannot leave it behind.
 *
 * A task with a priority goes to its lane instead (lanes.c): from outside with room in the queue that is reserved for
 * it, by the same policy, else without. In either case the pool is held meanwhile, so that it does not end between the
 * reservation and the put.
 *
 * EXECUTOR_DROP_OLDEST makes room among all that count: the oldest task of the lowest priority goes.
 */
#include "executor.h"

#include <errno.h>
#include <sched.h>

#include "abandon.h"
#include "hold.h"
#include "member.h"
#include "plan.h"
#include "probe.h"
#include "slab.h"
#include "task.h"
#include "wait.h"
#include "worker.h"

#define RECHECK EXEC_MS(50) /* for blocked producers, of a shutdown from a signal handler */

/* --- to a deque, the queue, a lane or the inbox --- */

/* Room for one more in the deque of the seat that this thread holds: 0, or why there is not to be any. */
static inline int prepare_own(const struct exec__pool *p, struct exec__seat *seat) {
    if (atomic_load_explicit(&p->closed, memory_order_relaxed))
        return ESHUTDOWN;
    return exec__deque_has_room(&seat->deque) ? 0 : exec__deque_grow(&seat->deque);
}

static inline void append_own(struct exec__pool *p, struct exec__seat *seat, future_t *f) {
    exec__count(p, EXEC__SUBMITTED);
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

/* The caller is slowed down in either case. */
static void run_started_here(struct exec__pool *p, future_t *f) {
    future_ref(f);
    if (exec__run_gets_thread(f, 1))
        exec__wait_out(f, EXEC_NEVER);
    else
        exec__task_run(f, &p->discarding, 1);
    future_unref(f);
}

static int run_here(struct exec__pool *p, future_t *f) {
    bool open = exec__pool_hold(p);
    int saved = errno;
    if (open)
        exec__count(p, EXEC__SUBMITTED);
    if (open && exec__future_start(f))
        run_started_here(p, f);
    else if (open)
        exec__entry_bury(p, f); /* a member of a group, which somebody has cancelled or run already */
    errno = saved;
    exec__pool_let_go(p);
    return open ? 0 : ESHUTDOWN;
}

static int reserve_at_once(struct exec__pool *p, exec_time unused) {
    (void)unused;
    return exec__queue_try_reserve(&p->queue);
}

static int reserve_waiting(struct exec__pool *p, exec_time deadline) {
    return exec__queue_reserve(&p->queue, deadline, RECHECK);
}

static int put_in_lane(struct exec__pool *p, future_t *f, int (*reserve)(struct exec__pool *, exec_time),
                       exec_time deadline) {
    int error = exec__pool_hold(p) ? reserve(p, deadline) : EPIPE;
    if (error == 0) {
        exec__count(p, EXEC__SUBMITTED);
        if (p->measures != NULL)
            exec__measure_queue(p);
        exec__lane_put(p, f, true);
    }
    exec__pool_let_go(p);
    return error;
}

/* After something was put into the ring. */
static inline void announce(struct exec__pool *p) {
    if (p->measures != NULL)
        exec__measure_queue(p);
    exec__pool_wake(p);
}

static inline int try_put_in_ring(struct exec__pool *p, future_t *f) {
    int error = exec__queue_try_put(&p->queue, f);
    if (error == 0)
        announce(p);
    return error;
}

static int try_put(struct exec__pool *p, future_t *f) {
    return exec__has_lane(f) ? put_in_lane(p, f, reserve_at_once, EXEC_NOW) : try_put_in_ring(p, f);
}

static int put_waiting(struct exec__pool *p, future_t *f, exec_time deadline) {
    int state, error;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    if (exec__has_lane(f))
        error = put_in_lane(p, f, reserve_waiting, deadline);
    else
        error = exec__queue_put(&p->queue, f, deadline, RECHECK);
    pthread_setcancelstate(state, NULL);
    if (error == 0)
        announce(p);
    return error;
}

/* Of the tasks that count. */
static void drop_least_urgent(struct exec__pool *p) {
    void *oldest;
    bool dropped = exec__lane_drop(p, EXEC__LANES_LOW & EXEC__LANES_COUNTED);
    if (!dropped && exec__queue_try_get(&p->queue, &oldest) == EXEC__TAKEN)
        dropped = exec__ring_entry_drop(p, oldest);
    else if (!dropped && !(dropped = exec__lane_drop(p, EXEC__LANES_URGENT & EXEC__LANES_COUNTED)))
        sched_yield(); /* somebody has room, and has not come to use it */
    if (dropped)
        exec__count(p, EXEC__DROPPED);
}

static int put_dropping_oldest(struct exec__pool *p, future_t *f) {
    int error;
    while ((error = try_put(p, f)) == EAGAIN)
        drop_least_urgent(p);
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

static int put_past_queue(struct exec__pool *p, future_t *f) {
    bool open = exec__pool_hold(p);
    exec__self.stirred = true;
    if (open)
        exec__count(p, EXEC__SUBMITTED);
    if (open && exec__has_lane(f))
        exec__lane_put(p, f, false);
    else if (open)
        exec__inbox_put(p, f);
    exec__pool_let_go(p);
    exec__pool_wake(p);
    return open ? 0 : ESHUTDOWN;
}

int exec__admit(struct exec__pool *p, future_t *f, exec_time room_wait) {
    if (exec__seated_in(p))
        return exec__has_lane(f) ? put_past_queue(p, f) : push_own(p, f);
    if (exec__own_without_seat(p))
        return put_past_queue(p, f);
    int error = exec__has_lane(f) ? put_in_lane(p, f, reserve_at_once, EXEC_NOW) : try_put_in_ring(p, f);
    if (error == EAGAIN)
        error = put_by_policy(p, f, room_wait);
    return or_shut_down(error);
}

int exec__admit_waiting(struct exec__pool *p, future_t *f, exec_time deadline) {
    if (exec__seated_in(p) || exec__own_without_seat(p))
        return exec__admit(p, f, 0);
    return or_shut_down(put_waiting(p, f, deadline));
}

/* --- submit --- */

int exec__task_check(exec_fn *fn, const exec_task_opts *opts) {
    if (fn == NULL)
        return EINVAL;
    if (opts->priority < -EXEC__MOST_URGENT || opts->priority > EXEC__MOST_URGENT)
        return EINVAL;
    if (opts->room_wait < 0 || (opts->nafter > 0 && opts->after == NULL))
        return EINVAL;
    for (size_t i = 0; i < opts->nafter; i++)
        if (opts->after[i] == NULL || exec__orphaned(opts->after[i]))
            return opts->after[i] == NULL ? EINVAL : EOWNERDEAD;
    return exec__plan_check(opts);
}

static int add_hold(struct exec__pool *p, future_t *f, const exec_task_opts *opts, bool times) {
    int error = exec__future_extend(f);
    if (error == 0)
        error = exec__hold_new(f, p, opts);
    return error == 0 && times ? exec__plan_new(f, p, opts) : error;
}

int exec__task_init(struct exec__pool *p, future_t *f, const exec_task_opts *opts, bool waits) {
    uint64_t flags = exec__seated_in(p) ? 0 : exec__flags_in_queue(p);
    bool times = opts != NULL && exec__has_times(opts), boxed = exec__own_without_seat(p);
    bool lane = opts != NULL && opts->priority != 0;
    int error = lane ? exec__lane_choose(f, opts->priority) : 0;
    if (error != 0)
        return error;
    if (times || waits)
        error = add_hold(p, f, opts, times);
    else if (boxed)
        error = exec__future_extend(f);
    if (error != 0)
        return error;
    if (waits || (times && exec__plan_is_early(exec__plan_of(f))))
        flags = EXEC__HELD | exec__flags_in_queue(p);
    else if (lane)
        flags = exec__flags_in_queue(p);
    exec__task_place(p, f, boxed || lane || (flags & EXEC__HELD) ? flags & ~EXEC__QUEUED : flags);
    return 0;
}

int exec__task_begin(struct exec__pool *p, future_t *f, exec__admit_fn *put, exec_time time) {
    struct exec__plan *plan = exec__plan_of(f);
    EXEC__PROBE2(submit, f, f->fn);
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
        exec__count(p, EXEC__SUBMITTED);
        exec__entry_bury(p, f);
        return false;
    }
    if (exec__group_of(f) != NULL)
        exec__member_withdraws(exec__group_of(f), f);
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
    if (error == 0 || !exec__task_withdraw(p, f, references))
        return 0;
    exec__count_refused(p, error);
    return error;
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
    exec__stamp(p, f);
    if (out != NULL)
        *out = f;
    EXEC__PROBE2(submit, f, fn);
    append_own(p, seat, f);
    return 0;
}

/* and by one from outside. */
static int submit_from_outside(struct exec__pool *p, exec_fn *fn, void *arg, future_t **out) {
    future_t *f = exec__cell_alloc(), *before = NULL;
    if (f == NULL)
        return exec__no_memory(p);
    exec__future_init(f, p, fn, arg, out != NULL ? 2 : 1);
    exec__task_place(p, f, exec__flags_in_queue(p));
    if (out != NULL) {
        before = *out;
        *out = f;
    }
    EXEC__PROBE2(submit, f, fn);
    int error = try_put_in_ring(p, f);
    if (error == EAGAIN)
        error = put_by_policy(p, f, 0);
    if (error == 0)
        return 0;
    if (out != NULL)
        *out = before;
    exec__cell_free(f);
    exec__count_refused(p, error);
    return or_shut_down(error);
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
    if (opts == NULL && !exec__own_without_seat(p))
        return submit_from_outside(p, fn, arg, out);
    return submit_with(p, fn, arg, opts, out);
}

static int offer(struct exec__pool *p, future_t *f, exec_time unused) {
    int error = exec__task_init(p, f, NULL, false);
    if (error != 0)
        return error;
    if (exec__seated_in(p) || exec__own_without_seat(p))
        return exec__admit(p, f, unused);
    return or_shut_down(try_put(p, f));
}

static int put_in_any_case(struct exec__pool *p, future_t *f, exec_time deadline) {
    exec__task_place(p, f, exec__flags_in_queue(p));
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
