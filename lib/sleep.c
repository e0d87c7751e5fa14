/* sleep.c - the monitor: one mutex for everyone who has to sleep until a future has finished or a task is stopped.
 *
 * Models: test/model/future.pml and test/model/group.pml.
 *
 * Nobody comes here who does not sleep, or has no sleeper to wake: finished futures are read, and futures without
 * listeners finished, by their state word alone (future.c). A sleep and a wake-up cost some 25 microseconds, so one
 * lock for all of them is held for less than a hundredth of the time they take; and having one lock makes the chain of
 * waits (wait.c) a thing that can be looked at while it stands still.
 *
 * The monitor guards: the list of listeners of every future, the list of sleepers inside tasks, and all that is in
 * them. Listeners and sleepers lie on the stacks of their threads, which take them out of the lists before they return.
 * Lock order: the monitor alone; no user code under it.
 */
#include "sleep.h"
#include "event.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static pthread_mutex_t monitor = PTHREAD_MUTEX_INITIALIZER;
struct exec__sleeper *exec__sleepers;
static struct exec__sleeper *for_groups; /* those who wait for groups; monitor */
static _Atomic unsigned
    cancellable; /* how many sleep cancellably; written in the monitor, read by all; the next, too */
static _Atomic unsigned restless;

void exec__monitor_lock(void) {
    pthread_mutex_lock(&monitor);
}

void exec__monitor_unlock(void) {
    pthread_mutex_unlock(&monitor);
}

void exec__monitor_release(void *unused) {
    (void)unused;
    exec__monitor_unlock();
}

int exec__sleeper_init(struct exec__sleeper *s, enum exec__sleep_kind kind, size_t want) {
    memset(s, 0, sizeof *s);
    s->kind = kind;
    s->want = want;
    s->wake_fd = -1;
    return exec__cond_init(&s->cond);
}

void exec__sleeper_fini(struct exec__sleeper *s) {
    pthread_cond_destroy(&s->cond);
}

static void enter_groups_locked(struct exec__sleeper *s) {
    s->next_for_group = for_groups;
    s->group_link = &for_groups;
    if (s->next_for_group != NULL)
        s->next_for_group->group_link = &s->next_for_group;
    for_groups = s;
}

static void leave_groups_locked(struct exec__sleeper *s) {
    *s->group_link = s->next_for_group;
    if (s->next_for_group != NULL)
        s->next_for_group->group_link = s->group_link;
}

void exec__sleeper_enter_locked(struct exec__sleeper *s) {
    if (s->group != NULL)
        enter_groups_locked(s);
    if (s->kind == EXEC__SLEEPS_FREELY)
        return;
    s->next = exec__sleepers;
    s->link = &exec__sleepers;
    if (s->next != NULL)
        s->next->link = &s->next;
    exec__sleepers = s;
    if (s->kind == EXEC__SLEEPS_CANCELLABLY)
        atomic_fetch_add(&cancellable, 1);
}

void exec__sleeper_leave_locked(struct exec__sleeper *s) {
    if (s->group != NULL)
        leave_groups_locked(s);
    if (s->kind == EXEC__SLEEPS_FREELY)
        return;
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
    if (s->kind == EXEC__SLEEPS_CANCELLABLY)
        atomic_fetch_sub_explicit(&cancellable, 1, memory_order_relaxed);
    if (s->restless)
        atomic_fetch_sub_explicit(&restless, 1, memory_order_relaxed);
}

void exec__sleeper_unsettle_locked(struct exec__sleeper *s) {
    if (!s->restless)
        atomic_fetch_add(&restless, 1);
    s->restless = true;
}

bool exec__anyone_sleeps_cancellably(void) {
    return atomic_load(&cancellable) > 0;
}

int exec__sleeper_wait_locked(struct exec__sleeper *s, exec_time deadline) {
    int error = 0;
    while (s->told < s->want && s->roused == EXEC__ASLEEP && error == 0)
        error = exec__cond_wait(&s->cond, &monitor, deadline);
    return s->told >= s->want || s->roused != EXEC__ASLEEP ? 0 : error;
}

static void wake(struct exec__sleeper *s) {
    pthread_cond_signal(&s->cond);
    if (s->wake_fd >= 0)
        exec__event_set(s->wake_fd);
}

void exec__sleeper_rouse_locked(struct exec__sleeper *s, enum exec__roused why) {
    if (s->roused >= why)
        return;
    s->roused = why;
    wake(s);
}

void exec__group_rouse(const struct exec_group *g) {
    exec__monitor_lock();
    for (struct exec__sleeper *s = for_groups; s != NULL; s = s->next_for_group)
        if (s->group == g)
            exec__sleeper_rouse_locked(s, EXEC__LOOK_AGAIN);
    exec__monitor_unlock();
}

void exec__rouse_restless(void) {
    if (atomic_load(&restless) == 0)
        return;
    exec__monitor_lock();
    for (struct exec__sleeper *s = exec__sleepers; s != NULL; s = s->next)
        if (s->restless)
            exec__sleeper_rouse_locked(s, EXEC__LOOK_AGAIN);
    exec__monitor_unlock();
}

/* --- lists of listeners --- */

void exec__listen_locked(struct exec__listener **list, struct exec__listener *l) {
    struct exec__listener *first = *list;
    if (first == NULL) {
        *list = l->next = l->before = l;
        return;
    }
    l->next = first;
    l->before = first->before;
    l->before->next = l;
    first->before = l;
}

void exec__unlisten_locked(struct exec__listener **list, struct exec__listener *l) {
    if (l->next == NULL)
        return;
    if (*list == l)
        *list = l->next != l ? l->next : NULL;
    l->before->next = l->next;
    l->next->before = l->before;
    l->next = l->before = NULL;
}

static struct exec__errand *ring_locked(struct exec__listener *l, struct future *f) {
    (void)f;
    struct exec__sleeper *s = ((struct exec__bell *)l)->sleeper;
    if (++s->told == s->want)
        wake(s);
    return NULL;
}

void exec__bell_init(struct exec__bell *b, struct exec__sleeper *s) {
    *b = (struct exec__bell){.listener = {.told_locked = ring_locked}, .sleeper = s};
}

bool exec__is_bell(const struct exec__listener *l) {
    return l->told_locked == ring_locked;
}

void exec__sleep_reset(void) {
    monitor = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    exec__sleepers = NULL;
    for_groups = NULL;
    atomic_store_explicit(&cancellable, 0, memory_order_relaxed);
    atomic_store_explicit(&restless, 0, memory_order_relaxed);
}
