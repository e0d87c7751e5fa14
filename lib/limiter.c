/* limiter.c - the object around the arithmetic of limit.c: who waits, and who is let through when.
 *
 * Tasks and threads that ask wait in one list, oldest first, and only the first one is ever let through, when the limit
 * has room for it and there is a token for it; so nobody is overtaken. Whoever gives room back looks at the list. For
 * want of a token somebody has to look again when one is due, and that is for the first in the list to see to: a task
 * by the timer thread of its executor, a thread by waking up; so a limiter needs no thread of its own. It is arranged
 * anew whenever another one has become the first.
 *
 * All is under one lock, but what follows for a task that was let through: it is moved on (hold.c) when the lock has
 * been given back. A thread is roused under it, since its turn lies on its stack. The list is short where limits do
 * their work, and a lock costs less than what is limited.
 *
 * Who looks for waits that cannot end (chain.c) looks at the tasks that were let through. It is in the monitor, and may
 * only try to take the lock; if it fails to, it comes again.
 *
 * References: the creator's, one for each task that names the limiter, one for each permit, and the timer's. Lock
 * order: limiter.lock, then the monitor or a timers.lock.
 */
#include "limiter.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "fork.h"
#include "limit.h"
#include "memory.h"
#include "sleep.h"
#include "sync.h"
#include "task.h"
#include "thread.h"

struct exec_limiter {
    _Atomic size_t references;
    unsigned generation; /* of its process (fork.h); r/o after init, as is the next */
    exec_limiter_opts opts;
    pthread_mutex_t lock;
    struct exec__limit limit; /* lock, as is all the rest */
    struct exec__bucket bucket;
    size_t in_flight;
    struct exec__turn *first, **last;
    struct exec__turn *through;  /* tasks that count in in_flight, */
    size_t nthrough;             /* and how many; the others are threads */
    struct exec__turn *arranged; /* the first one, when it is to look again; */
    exec_time due;               /* and when: */
    struct exec__timer timer;    /* a task, by this, in its executor's timers; armed, it has a reference */
};

static void look_again(struct exec__timer *t);

/* --- making and freeing --- */

int exec_limiter_create(const exec_limiter_opts *opts, exec_limiter_t **out) {
    static const exec_limiter_opts defaults;
    if (opts == NULL)
        opts = &defaults;
    int error = out == NULL ? EINVAL : exec__limit_check(opts);
    if (error != 0)
        return error;
    exec_limiter_t *l = exec__calloc(1, sizeof *l);
    if (l == NULL)
        return ENOMEM;
    int saved = errno;
    error = pthread_mutex_init(&l->lock, NULL);
    errno = saved;
    if (error != 0) {
        free(l);
        return error;
    }
    atomic_init(&l->references, 1);
    l->generation = exec__generation_now();
    l->opts = *opts;
    exec__limit_init(&l->limit, opts);
    exec__bucket_init(&l->bucket, opts, exec_now());
    l->last = &l->first;
    l->timer.fire = look_again;
    *out = l;
    return 0;
}

int exec__limiter_check(const exec_limiter_t *l) {
    if (l == NULL)
        return EINVAL;
    return l->generation == exec__generation_now() ? 0 : EOWNERDEAD;
}

exec_limiter_t *exec__limiter_ref(exec_limiter_t *l) {
    atomic_fetch_add_explicit(&l->references, 1, memory_order_relaxed); /* the caller has one already */
    return l;
}

void exec__limiter_unref(exec_limiter_t *l) {
    if (atomic_fetch_sub_explicit(&l->references, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void exec_limiter_destroy(exec_limiter_t *l) {
    if (l != NULL)
        exec__limiter_unref(l);
}

/* --- the list --- */

static void append_locked(exec_limiter_t *l, struct exec__turn *t) {
    t->next = NULL;
    t->link = l->last;
    *l->last = t;
    l->last = &t->next;
}

static void remove_locked(exec_limiter_t *l, struct exec__turn *t) {
    *t->link = t->next;
    if (t->next != NULL)
        t->next->link = t->link;
    else
        l->last = t->link;
    t->link = NULL;
}

/* The first one need not look again. Whoever calls this has a reference. */
static void disarrange_locked(exec_limiter_t *l) {
    const struct exec__turn *t = l->arranged;
    l->arranged = NULL;
    if (t != NULL && t->timers != NULL && exec__timer_cancel(t->timers, &l->timer))
        atomic_fetch_sub(&l->references, 1); /* not the last one */
}

/* --- letting through --- */

/* Room first: a token is not taken for one that there is no room for. */
static bool may_pass_locked(exec_limiter_t *l, exec_time now, exec_time *due) {
    *due = EXEC_NEVER;
    return l->in_flight < exec__limit_room(&l->limit) && exec__bucket_take(&l->bucket, now, due);
}

static void enter_through_locked(exec_limiter_t *l, struct exec__turn *t) {
    t->next_through = l->through;
    t->through_link = &l->through;
    if (t->next_through != NULL)
        t->next_through->through_link = &t->next_through;
    l->through = t;
    l->nthrough++;
}

static void leave_through_locked(exec_limiter_t *l, const struct exec__turn *t) {
    *t->through_link = t->next_through;
    if (t->next_through != NULL)
        t->next_through->through_link = t->through_link;
    l->nthrough--;
}

static void pass_locked(exec_limiter_t *l, struct exec__turn *t, exec_time now) {
    l->in_flight++;
    t->through = true;
    t->permit = (exec_permit){.started = now, .in_flight = l->in_flight};
    if (t->sleeper == NULL)
        enter_through_locked(l, t);
}

static void rouse(struct exec__sleeper *s) {
    exec__monitor_lock();
    exec__sleeper_rouse_locked(s, EXEC__LOOK_AGAIN);
    exec__monitor_unlock();
}

/* The first in the list is to look again when a token is due, if that is what it waits for. */
static void arrange_locked(exec_limiter_t *l, exec_time due) {
    struct exec__turn *t = l->first;
    if (l->arranged == t && l->due == due)
        return;
    disarrange_locked(l);
    if (t == NULL || due == EXEC_NEVER)
        return;
    l->arranged = t;
    l->due = due;
    if (t->timers != NULL) {
        exec__limiter_ref(l);
        exec__timer_arm(t->timers, &l->timer, due);
    } else {
        rouse(t->sleeper);
    }
}

/* Lets all through that may; returns the tasks among them. */
static struct exec__turn *look_locked(exec_limiter_t *l) {
    struct exec__turn *tasks = NULL, **last = &tasks, *t;
    exec_time now = exec_now(), due = EXEC_NEVER;
    while ((t = l->first) != NULL && may_pass_locked(l, now, &due)) {
        if (l->arranged == t)
            disarrange_locked(l);
        remove_locked(l, t);
        pass_locked(l, t, now);
        if (t->sleeper != NULL) {
            rouse(t->sleeper);
            continue;
        }
        t->next = NULL;
        *last = t;
        last = &t->next;
    }
    arrange_locked(l, due);
    return tasks;
}

static void tell(struct exec__turn *tasks) {
    while (tasks != NULL) {
        struct exec__turn *t = tasks;
        tasks = t->next;
        t->let_through(t); /* after this it may be gone */
    }
}

/* Somebody has left. If that has let nobody through, for the limit has fallen, say, those that wait now wait for the
 * others that are inside, who may need a thread that sleeps (chain.c). */
static void tell_of_leave(struct exec__turn *tasks, bool others_wait) {
    if (tasks == NULL && others_wait)
        exec__rouse_restless();
    tell(tasks);
}

/* A token is due. */
static void look(exec_limiter_t *l) {
    pthread_mutex_lock(&l->lock);
    disarrange_locked(l);
    struct exec__turn *tasks = look_locked(l);
    pthread_mutex_unlock(&l->lock);
    tell(tasks);
}

static void look_again(struct exec__timer *t) {
    exec_limiter_t *l = EXEC__WHOLE(t, exec_limiter_t, timer);
    look(l);
    exec__limiter_unref(l);
}

/* Passes at once, or is in the list. The list is looked at as a whole, for the sake of the first one in it. */
static struct exec__turn *enter_locked(exec_limiter_t *l, struct exec__turn *t) {
    t->through = false;
    append_locked(l, t);
    return look_locked(l);
}

bool exec__limiter_ask(exec_limiter_t *l, struct exec__turn *t) {
    pthread_mutex_lock(&l->lock);
    struct exec__turn *tasks = enter_locked(l, t), **link = &tasks;
    while (*link != NULL && *link != t)
        link = &(*link)->next;
    bool through = *link == t;
    if (through)
        *link = t->next;
    pthread_mutex_unlock(&l->lock);
    tell(tasks);
    return through;
}

bool exec__limiter_forgo(exec_limiter_t *l, struct exec__turn *t) {
    pthread_mutex_lock(&l->lock);
    bool waits = t->link != NULL;
    if (waits && l->arranged == t)
        disarrange_locked(l);
    if (waits)
        remove_locked(l, t);
    struct exec__turn *tasks = waits ? look_locked(l) : NULL;
    pthread_mutex_unlock(&l->lock);
    tell(tasks);
    return waits;
}

/* --- running, and what became of it --- */

static struct exec__turn *leave_locked(exec_limiter_t *l, const exec_permit *permit, enum exec__outcome outcome) {
    struct exec__sample sample = {.started = permit->started,
                                  .now = exec_now(),
                                  .level = permit->in_flight,
                                  .in_flight = l->in_flight,
                                  .outcome = outcome};
    exec__limit_sample(&l->limit, &sample);
    l->in_flight--;
    return look_locked(l);
}

static enum exec__outcome outcome_of(const exec_limiter_t *l, int error) {
    if (error == ECANCELED)
        return EXEC__NOTHING;
    int saved = errno;
    enum exec__outcome outcome = exec__limit_outcome(&l->opts, error);
    errno = saved;
    return outcome;
}

void exec__limiter_leave(exec_limiter_t *l, struct exec__turn *t, int error) {
    enum exec__outcome outcome = outcome_of(l, error);
    pthread_mutex_lock(&l->lock);
    bool through = t->through;
    t->through = false;
    if (through && t->sleeper == NULL)
        leave_through_locked(l, t);
    struct exec__turn *tasks = through ? leave_locked(l, &t->permit, outcome) : NULL;
    bool others_wait = through && l->first != NULL;
    pthread_mutex_unlock(&l->lock);
    tell_of_leave(tasks, others_wait);
}

int exec__limiter_each(exec_limiter_t *l, const struct exec__turn *t, void (*visit)(struct exec__turn *t, void *ctx),
                       void *ctx) {
    if (pthread_mutex_trylock(&l->lock) != 0)
        return EAGAIN;
    bool full = l->in_flight >= exec__limit_room(&l->limit) && l->nthrough == l->in_flight;
    struct exec__turn *next = full && t->link != NULL ? l->through : NULL;
    for (; next != NULL; next = next->next_through)
        visit(next, ctx);
    pthread_mutex_unlock(&l->lock);
    return 0;
}

/* --- threads --- */

/* A thread that waits to be let through. */
struct wait {
    struct exec__turn turn;
    struct exec__sleeper sleeper;
    exec_limiter_t *l;
};

/* Whatever has ended the wait: takes the turn out of the list. True: it has been let through. */
static bool end_wait(struct wait *w) {
    bool through = !exec__limiter_forgo(w->l, &w->turn);
    exec__monitor_lock();
    exec__sleeper_leave_locked(&w->sleeper);
    exec__monitor_unlock();
    exec__sleeper_fini(&w->sleeper);
    return through;
}

/* By pthread_cancel(). */
static void abandon(void *arg) {
    struct wait *w = arg;
    if (end_wait(w))
        exec__limiter_leave(w->l, &w->turn, ECANCELED);
}

static bool is_through(struct wait *w, exec_time *due) {
    pthread_mutex_lock(&w->l->lock);
    bool through = w->turn.through;
    *due = w->l->arranged == &w->turn ? w->l->due : EXEC_NEVER;
    pthread_mutex_unlock(&w->l->lock);
    return through;
}

static void sleep_until(struct wait *w, exec_time until) {
    exec__monitor_lock();
    pthread_cleanup_push(exec__monitor_release, NULL);
    exec__sleeper_wait_locked(&w->sleeper, until);
    w->sleeper.roused = EXEC__ASLEEP;
    pthread_cleanup_pop(1);
}

/* 0, or why it is not let through. */
static int wait_through(struct wait *w, exec_time deadline) {
    exec_time due;
    while (!is_through(w, &due)) {
        if (due <= exec_now()) {
            look(w->l);
            continue;
        }
        if (exec__self.frame != NULL && exec__frame_cancelled(exec__self.frame))
            return ECANCELED;
        if (deadline != EXEC_NEVER && exec_now() >= deadline)
            return ETIMEDOUT;
        sleep_until(w, exec__frame_deadline(exec__self.frame, due < deadline ? due : deadline));
    }
    return 0;
}

int exec_limiter_acquire(exec_limiter_t *l, exec_time deadline, exec_permit *permit) {
    int error = exec__limiter_check(l);
    if (error == 0 && permit == NULL)
        error = EINVAL;
    if (error != 0)
        return error;
    struct wait w = {.l = l, .turn.sleeper = &w.sleeper};
    bool in_task = exec__self.frame != NULL;
    error = exec__sleeper_init(&w.sleeper, in_task ? EXEC__SLEEPS_CANCELLABLY : EXEC__SLEEPS_FREELY, 1);
    if (error != 0)
        return error;
    w.sleeper.thread = &exec__self;
    w.sleeper.frame = exec__self.frame;
    exec__monitor_lock();
    exec__sleeper_enter_locked(&w.sleeper);
    exec__monitor_unlock();
    pthread_mutex_lock(&l->lock);
    struct exec__turn *tasks = enter_locked(l, &w.turn);
    pthread_mutex_unlock(&l->lock);
    tell(tasks);
    pthread_cleanup_push(abandon, &w);
    error = wait_through(&w, deadline);
    pthread_cleanup_pop(0);
    if (end_wait(&w))
        error = 0;
    if (error == 0) {
        *permit = w.turn.permit;
        exec__limiter_ref(l);
    }
    return error;
}

void exec_limiter_release(exec_limiter_t *l, const exec_permit *permit, int error) {
    if (exec__limiter_check(l) != 0 || permit == NULL)
        return;
    enum exec__outcome outcome = outcome_of(l, error);
    pthread_mutex_lock(&l->lock);
    struct exec__turn *tasks = l->in_flight > 0 ? leave_locked(l, permit, outcome) : NULL;
    bool others_wait = l->first != NULL;
    pthread_mutex_unlock(&l->lock);
    tell_of_leave(tasks, others_wait);
    exec__limiter_unref(l);
}

/* --- looking --- */

size_t exec_limiter_limit(const exec_limiter_t *limiter) {
    exec_limiter_t *l = (exec_limiter_t *)limiter; /* whose lock it is that changes */
    if (exec__limiter_check(l) != 0)
        return 0;
    pthread_mutex_lock(&l->lock);
    size_t limit = exec__limit_now(&l->limit);
    pthread_mutex_unlock(&l->lock);
    return limit;
}

size_t exec_limiter_in_flight(const exec_limiter_t *limiter) {
    exec_limiter_t *l = (exec_limiter_t *)limiter;
    if (exec__limiter_check(l) != 0)
        return 0;
    pthread_mutex_lock(&l->lock);
    size_t in_flight = l->in_flight;
    pthread_mutex_unlock(&l->lock);
    return in_flight;
}
