/* task.c - runs one task, and what a task can call.
 *
 * What runs on a thread is a stack of frames: a task on top of a task it was awaited by, on top of a map, and so on.
 * exec_fail() and exec_cancelled() speak of the innermost one.
 *
 * A function that calls pthread_exit(), or is cancelled, unwinds its thread's stack. That is stopped where the function
 * was called: a cleanup handler jumps back into the call, which reports EOWNERDEAD, and the frames below go on as if
 * the function had returned. So only the task that left fails, not those that wait for it on the same stack, and no
 * thread that lends itself to a task is lost by it. POSIX leaves such a jump undefined; glibc and musl, whose thread
 * exits run cleanup handlers before they touch anything else, define it in fact, and a test holds them to it.
 * Afterwards the thread cannot be cancelled any more, so a worker is replaced by a fresh thread as soon as its stack is
 * empty.
 *
 * Being asked to stop. Flags are raised on a future (ASKED), on a map, or on an executor that discards; who raises one
 * calls exec__rouse_cancelled(). A task that is about to sleep enters the list of sleepers and then looks at its flags;
 * who raises one then looks for sleepers. All four sequentially consistent: one of the two sees the other.
 */
#undef __EXCEPTIONS /* else pthread.h hides from C what exec__call() needs */

#include "task.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "event.h"
#include "member.h"
#include "memory.h"
#include "plan.h"
#include "pool.h"
#include "probe.h"
#include "scope.h"
#include "sleep.h"
#include "sync.h"
#include "trace.h"

_Thread_local struct exec__thread exec__self;

char exec__failure; /* its address is what exec_fail() returns */
_Atomic unsigned exec__stops;

/* --- running --- */

/* The function has left its thread: what runs here now is the frame that called it. */
static int was_left(struct exec__frame *frame, void **value) {
    exec__self.frame = frame;
    exec__self.seat = frame->seat;
    exec__self.was_left = true;
    exec__self.at_errands = false; /* if it was in a callback */
    exec__self.callback = NULL;
    *value = NULL;
    return EOWNERDEAD;
}

static int returned(struct exec__frame *frame, void **value) {
    if (!exec__is_failure(*value))
        return 0;
    *value = NULL;
    return frame->error;
}

#ifdef __GLIBC__

#if __GLIBC_PREREQ(2, 34)
#define SET_JUMP(buf) __sigsetjmp_cancel((buf)->__cancel_jmp_buf, 0)
#else
#define SET_JUMP(buf) __sigsetjmp((struct __jmp_buf_tag *)(void *)(buf)->__cancel_jmp_buf, 0)
#endif

/* What pthread_cleanup_push() and pthread_cleanup_pop() make of this in C, but that the handler does not unwind on.
 * Those that the function has pushed are taken off with ours. */
int exec__call(exec_fn *fn, void *arg, struct exec__frame *frame, void **value) {
    __pthread_unwind_buf_t here;
    if (SET_JUMP(&here) != 0) {
        __pthread_unregister_cancel(&here);
        return was_left(frame, value);
    }
    __pthread_register_cancel(&here);
    *value = fn(arg);
    __pthread_unregister_cancel(&here);
    return returned(frame, value);
}

#else

static void jump_back(void *env) {
    _longjmp(*(jmp_buf *)env, 1);
}

int exec__call(exec_fn *fn, void *arg, struct exec__frame *frame, void **value) {
    jmp_buf env;
    if (_setjmp(env) != 0)
        return was_left(frame, value);
    pthread_cleanup_push(jump_back, &env);
    *value = fn(arg);
    pthread_cleanup_pop(0);
    return returned(frame, value);
}

#endif

/* Something was left open by what has just returned this: it has failed. */
static int left_open(const future_t *f, int error, void **value) {
    if (error == EOWNERDEAD)
        return error;
    if (error == 0)
        exec__free_result(f, *value);
    *value = NULL;
    return EBUSY;
}

static inline int call_in_frame(future_t *f, struct exec__frame *frame, void **value) {
    exec__self.stirred = true;
    exec__frame_push(frame);
    int error = exec__call(f->fn, f->arg, frame, value);
    if (exec__scopes_left(frame))
        error = left_open(f, error, value);
    exec__frame_pop(frame);
    return error;
}

/* A member that has been started here: sets what its frame has from its group. 0, or why it is not to run. */
static inline int member_refused(const struct exec_group *g, struct exec__frame *frame) {
    frame->within = g->scope.owner;
    frame->deadline = g->deadline;
    if (atomic_load(&g->cancelled) || (g->scope.owner != NULL && exec__frame_cancelled(g->scope.owner)))
        return ECANCELED;
    return g->deadline != EXEC_NEVER && exec_now() >= g->deadline ? ETIMEDOUT : 0;
}

/* Why it is not to run, or 0. Sets the frame's deadline. */
static int reason_to_refuse(const future_t *f, struct exec__plan *plan, struct exec__frame *frame) {
    const struct exec_group *g = exec__group_of(f);
    int reason = g != NULL ? member_refused(g, frame) : 0;
    return reason == 0 && plan != NULL ? exec__plan_run_begins(plan, frame) : reason;
}

/* One that has a name is shown by executor_stragglers() while it runs in a seat. */
static int call_marked(future_t *f, struct exec__frame *frame, void **value) {
    const char *name = future_name(f);
    if (name == NULL || frame->seat == NULL)
        return call_in_frame(f, frame, value);
    const struct exec__mark before = exec__seat_marked(frame->seat);
    exec__seat_mark(frame->seat, exec__mark_now(name));
    int error = call_in_frame(f, frame, value);
    exec__seat_mark(frame->seat, before);
    return error;
}

static int abandoned_by_now(const future_t *f, int error, void **value) {
    if (error == 0)
        exec__free_result(f, *value);
    *value = NULL;
    return EXEC__ABANDONED_BY_NOW;
}

/* A deadline, when it has passed, is why a task stopped that was asked to. */
EXEC__SELDOM static int call_special(future_t *f, struct exec__frame *frame, void **value) {
    struct exec__plan *plan = exec__plan_of(f);
    int error = reason_to_refuse(f, plan, frame);
    if (error != 0) {
        *value = NULL;
        if (plan != NULL)
            exec__run_returns(&plan->run);
        return exec__future_refuse(f, error);
    }
    error = call_marked(f, frame, value);
    if (plan != NULL && !exec__run_returns(&plan->run))
        return abandoned_by_now(f, error, value);
    if (plan != NULL)
        error = exec__plan_run_ends(plan, frame, error, value);
    if (error == ECANCELED && exec_now() >= frame->deadline)
        error = ETIMEDOUT;
    if (plan != NULL)
        exec__plan_report(plan, error);
    return error;
}

/* The same for one that is a member of a group, and has no options. */
EXEC__OUTSIDE static int call_member(future_t *f, struct exec__frame *frame, void **value) {
    int error = member_refused(exec__group_of(f), frame);
    if (error != 0) {
        *value = NULL;
        return exec__future_refuse(f, error);
    }
    error = call_in_frame(f, frame, value);
    return error == ECANCELED && exec_now() >= frame->deadline ? ETIMEDOUT : error;
}

static inline int call_by_kind(future_t *f, struct exec__frame *frame, void **value) {
    if (exec__is_plain_member(f))
        return call_member(f, frame, value);
    return f->extra != 0 ? call_special(f, frame, value) : call_in_frame(f, frame, value);
}

EXEC__SELDOM static int call_observed(future_t *f, struct exec__frame *frame, void **value) {
    struct exec__pool *p = f->pool;
    exec_time ready = (exec_time)exec__self.ready_stamp, began = exec_now();
    struct exec__measuring m;
    if (p->measures != NULL)
        m = exec__measuring_begin(p, ready, began);
    int error = call_by_kind(f, frame, value);
    if (error == EXEC__ABANDONED_BY_NOW)
        return error; /* the pool may be gone */
    exec_time ended = p->measures != NULL ? exec__measuring_end(&m) : exec_now();
    if (atomic_load_explicit(&p->observed, memory_order_relaxed) & EXEC__TRACES)
        exec__trace_run(p, future_name(f), (struct exec__run_times){ready, began, ended}, error);
    return error;
}

static inline int call(future_t *f, const _Atomic bool *discarding, void **value) {
    struct exec__frame frame = {
        .pool = f->pool, .discarding = discarding, .seat = exec__self.seat, .task = f, .deadline = EXEC_NEVER};
    EXEC__PROBE2(start, f, f->fn);
    unsigned observed = atomic_load_explicit(&f->pool->observed, memory_order_relaxed);
    int error = observed != 0 ? call_observed(f, &frame, value) : call_by_kind(f, &frame, value);
    EXEC__PROBE2(finish, f, error);
    return error;
}

int exec__task_call(future_t *f, const _Atomic bool *discarding, void **value) {
    return call(f, discarding, value);
}

void exec__task_run(future_t *f, const _Atomic bool *discarding, unsigned references) {
    void *value;
    int error = call(f, discarding, &value);
    exec__future_finish(f, value, error, references);
}

/* --- what a task can call --- */

void *exec_fail(int error) {
    struct exec__frame *frame = exec__self.frame;
    if (frame == NULL)
        return NULL;
    frame->error = error > 0 ? error : EINVAL;
    return &exec__failure;
}

bool exec__frame_cancelled(const struct exec__frame *frame) {
    for (; frame != NULL; frame = frame->within) {
        if (frame->task != NULL && (atomic_load(&frame->task->word) & EXEC__ASKED))
            return true;
        if (atomic_load(frame->discarding) || (frame->stop != NULL && atomic_load(frame->stop)))
            return true;
        if (frame->deadline != EXEC_NEVER && exec_now() >= frame->deadline)
            return true;
    }
    return false;
}

bool exec_cancelled(void) {
    return exec__frame_cancelled(exec__self.frame);
}

unsigned exec_attempt(void) {
    const struct exec__frame *frame = exec__self.frame;
    if (frame == NULL)
        return 0;
    const struct exec__plan *plan = frame->task != NULL ? exec__plan_of(frame->task) : NULL;
    return plan != NULL ? plan->attempt : 1;
}

void exec__rouse_cancelled(void) {
    atomic_fetch_add(&exec__stops, 1);
    exec__scopes_tell();
    if (!exec__anyone_sleeps_cancellably())
        return;
    exec__monitor_lock();
    for (struct exec__sleeper *s = exec__sleepers; s != NULL; s = s->next)
        if (s->kind == EXEC__SLEEPS_CANCELLABLY && exec__frame_cancelled(s->frame))
            exec__sleeper_rouse_locked(s, EXEC__GIVE_UP);
    exec__monitor_unlock();
}

exec_time exec__frame_deadline(const struct exec__frame *frame, exec_time deadline) {
    for (; frame != NULL; frame = frame->within)
        if (frame->deadline < deadline)
            deadline = frame->deadline;
    return deadline;
}

static int sleep_outside(exec_time until) {
    struct timespec at = exec__timespec(until);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
        continue;
    return 0;
}

static void leave_monitor(void *sleeper) {
    exec__sleeper_leave_locked(sleeper);
    exec__monitor_unlock();
    exec__sleeper_fini(sleeper);
}

int exec_sleep(exec_time duration) {
    const struct exec__frame *frame = exec__self.frame;
    exec_time until = exec_after(duration);
    if (frame == NULL)
        return duration > 0 ? sleep_outside(until) : 0;
    struct exec__sleeper s;
    int error = exec__sleeper_init(&s, EXEC__SLEEPS_CANCELLABLY, 1);
    if (error != 0)
        return error;
    s.frame = frame;
    exec__monitor_lock();
    exec__sleeper_enter_locked(&s);
    pthread_cleanup_push(leave_monitor, &s);
    if (!exec__frame_cancelled(frame) && duration > 0)
        exec__sleeper_wait_locked(&s, exec__frame_deadline(frame, until));
    error = exec__frame_cancelled(frame) ? ECANCELED : 0;
    pthread_cleanup_pop(1);
    return error;
}

/* --- exec_poll --- */

/* One poll(2) to the deadline, by the library's clock, which the kernel's timeout may be a little ahead of.
 * Interrupting signals do not end it. The number of ready descriptors, or -error. */
static int poll_until(struct pollfd *fds, nfds_t n, exec_time deadline) {
    if (deadline < EXEC_NOW)
        deadline = EXEC_NOW;
    for (;;) {
        exec_time left = deadline == EXEC_NEVER ? 0 : deadline - exec_now();
        struct timespec timeout = exec__timespec(left);
        int ready = ppoll(fds, n, deadline == EXEC_NEVER ? NULL : &timeout, NULL);
        if (ready > 0 || (ready == 0 && exec_now() >= deadline))
            return ready;
        if (ready < 0 && errno != EINTR)
            return -errno;
    }
}

struct poll {
    struct exec__sleeper sleeper;
    struct pollfd *fds; /* the caller's, and one more to be roused by */
};

static void end_poll(void *arg) {
    struct poll *p = arg;
    exec__monitor_lock();
    exec__sleeper_leave_locked(&p->sleeper);
    exec__monitor_unlock();
    exec__sleeper_fini(&p->sleeper);
    exec__event_close(p->sleeper.wake_fd);
    free(p->fds);
}

static int begin_poll(struct poll *p, const struct pollfd *fds, nfds_t n) {
    int error = exec__sleeper_init(&p->sleeper, EXEC__SLEEPS_CANCELLABLY, 1);
    if (error != 0)
        return error;
    p->fds = exec__calloc(n + 1, sizeof *p->fds);
    if (p->fds == NULL) {
        error = ENOMEM;
        goto fini_sleeper;
    }
    int fd;
    error = exec__event_open(&fd);
    if (error != 0)
        goto free_fds;
    if (n > 0)
        memcpy(p->fds, fds, n * sizeof *fds);
    p->fds[n] = (struct pollfd){.fd = fd, .events = POLLIN};
    p->sleeper.wake_fd = fd;
    p->sleeper.frame = exec__self.frame;
    exec__monitor_lock();
    exec__sleeper_enter_locked(&p->sleeper);
    exec__monitor_unlock();
    return 0;
free_fds:
    free(p->fds);
fini_sleeper:
    exec__sleeper_fini(&p->sleeper);
    return error;
}

static int poll_in_task(const struct exec__frame *frame, struct pollfd *fds, nfds_t n, exec_time deadline) {
    struct poll p;
    int error = begin_poll(&p, fds, n);
    if (error != 0)
        return -error;
    int ready = -ECANCELED;
    pthread_cleanup_push(end_poll, &p);
    if (!exec__frame_cancelled(frame)) {
        ready = poll_until(p.fds, n + 1, exec__frame_deadline(frame, deadline));
        if (ready >= 0) {
            if (n > 0)
                memcpy(fds, p.fds, n * sizeof *fds);
            ready -= p.fds[n].revents != 0;
            if (ready == 0 && exec__frame_cancelled(frame))
                ready = -ECANCELED;
        }
    }
    pthread_cleanup_pop(1);
    return ready;
}

int exec_poll(struct pollfd *fds, nfds_t n, exec_time deadline, int *ready) {
    int saved = errno;
    int count;
    const struct exec__frame *frame = exec__self.frame;
    if ((fds == NULL && n > 0) || n > INT_MAX)
        count = -EINVAL;
    else if (frame == NULL)
        count = poll_until(fds, n, deadline);
    else
        count = poll_in_task(frame, fds, n, deadline);
    errno = saved;
    if (ready != NULL)
        *ready = count > 0 ? count : 0;
    return count > 0 ? 0 : count < 0 ? -count : ETIMEDOUT;
}
