/* timer.c - one thread for all of an executor's timers, and the wheel they lie in.
 *
 * The wheel has LEVELS rings of 64 slots (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", SOSP 1987). Time
 * is counted in ticks of 2^16 ns, some 65 us; a slot of level n is 64^n ticks wide. A timer's level is that of the
 * highest of the six-bit digits in which its tick differs from the tick the wheel stands at, and the digit is its slot.
 * So on each level only slots behind the present one are in use, and all timers of a level come before all of the next.
 * To arm one or to cancel it takes a few steps, however many there are; on its way down to level 0 each timer is moved
 * LEVELS times at most. Ticks only sort: in the slot that has come up the thread looks at each timer's own time, and
 * sleeps until the first.
 *
 * The thread takes timers that are due out of the wheel, in the order of their ticks, and fires them one by one without
 * the lock. It sleeps until wake_at; who arms an earlier timer sets that back and wakes it. Nobody waits for a timer
 * that is being fired: what it needs must be kept, by a reference, until its function has returned.
 *
 * Lock order: timers.lock is the last one. Timers are fired without it.
 */
#include "timer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "clock.h"
#include "registry.h"
#include "thread.h"

enum { TICK_SHIFT = 16, DIGIT_BITS = 6, LAST_DIGIT = EXEC__PER_LEVEL - 1 };

static struct exec__timers *all; /* the registry's lock */

/* --- the wheel --- */

static uint64_t tick_of(exec_time when) {
    return when > 0 ? (uint64_t)when >> TICK_SHIFT : 0;
}

static unsigned digit_of(uint64_t tick, unsigned level) {
    return (unsigned)(tick >> (DIGIT_BITS * level)) & LAST_DIGIT;
}

static unsigned slot_for(const struct exec__timers *ts, uint64_t tick) {
    if (tick <= ts->now)
        return digit_of(ts->now, 0);
    unsigned level = (unsigned)(63 - __builtin_clzll(tick ^ ts->now)) / DIGIT_BITS;
    return level * EXEC__PER_LEVEL + digit_of(tick, level);
}

static void put(struct exec__timers *ts, struct exec__timer *t, unsigned slot) {
    struct exec__timer *first = ts->slots[slot];
    t->slot = slot;
    if (first == NULL) {
        ts->slots[slot] = t->next = t->before = t;
        if (slot != EXEC__DUE)
            ts->used[slot / EXEC__PER_LEVEL] |= UINT64_C(1) << slot % EXEC__PER_LEVEL;
        return;
    }
    t->next = first;
    t->before = first->before;
    t->before->next = t;
    first->before = t;
}

static void take_out(struct exec__timers *ts, struct exec__timer *t) {
    unsigned slot = t->slot;
    if (t->next == t) {
        ts->slots[slot] = NULL;
        if (slot != EXEC__DUE)
            ts->used[slot / EXEC__PER_LEVEL] &= ~(UINT64_C(1) << slot % EXEC__PER_LEVEL);
    } else {
        if (ts->slots[slot] == t)
            ts->slots[slot] = t->next;
        t->before->next = t->next;
        t->next->before = t->before;
    }
    t->next = t->before = NULL;
}

/* The first slot in use, or EXEC__DUE: none is; and the tick at which it begins. */
static unsigned first_slot(const struct exec__timers *ts, uint64_t *tick) {
    for (unsigned level = 0; level < EXEC__LEVELS; level++) {
        if (ts->used[level] == 0)
            continue;
        unsigned digit = (unsigned)__builtin_ctzll(ts->used[level]), shift = DIGIT_BITS * level;
        *tick = (((ts->now >> shift) & ~(uint64_t)LAST_DIGIT) | digit) << shift;
        return level * EXEC__PER_LEVEL + digit;
    }
    return EXEC__DUE;
}

/* Moves the timers of a slot that has come up: from level 0 those that are due, to be fired; from any other level all,
 * further down, so that they are fired in their order, however late. */
static void sift(struct exec__timers *ts, unsigned slot, exec_time now) {
    struct exec__timer *t = ts->slots[slot], *last = t->before, *next;
    for (bool more = true; more; t = next) {
        bool due = slot < EXEC__PER_LEVEL && t->when <= now;
        next = t->next;
        more = t != last;
        if (due || slot >= EXEC__PER_LEVEL) {
            take_out(ts, t);
            put(ts, t, due ? EXEC__DUE : slot_for(ts, tick_of(t->when)));
        }
    }
}

/* Turns the wheel to the present moment. */
static void turn(struct exec__timers *ts, exec_time now) {
    uint64_t tick;
    unsigned slot;
    while ((slot = first_slot(ts, &tick)) != EXEC__DUE && tick <= tick_of(now)) {
        if (tick > ts->now)
            ts->now = tick;
        sift(ts, slot, now);
        if (slot < EXEC__PER_LEVEL && ts->slots[slot] != NULL)
            break; /* the present tick has not passed */
    }
}

static exec_time first_time(const struct exec__timers *ts) {
    uint64_t tick;
    unsigned slot = first_slot(ts, &tick);
    if (slot == EXEC__DUE)
        return EXEC_NEVER;
    if (slot >= EXEC__PER_LEVEL)
        return (exec_time)(tick << TICK_SHIFT);
    const struct exec__timer *t = ts->slots[slot];
    exec_time first = t->when;
    for (t = t->next; t != ts->slots[slot]; t = t->next)
        first = t->when < first ? t->when : first;
    return first;
}

/* --- the thread --- */

static void fire_due_locked(struct exec__timers *ts) {
    struct exec__timer *t;
    while ((t = ts->slots[EXEC__DUE]) != NULL && !ts->stop) {
        take_out(ts, t);
        pthread_mutex_unlock(&ts->lock);
        t->fire(t);
        pthread_mutex_lock(&ts->lock);
    }
}

static void *run(void *arg) {
    struct exec__timers *ts = arg;
    exec__self.timers = ts;
    exec__sleep_exactly();
    pthread_mutex_lock(&ts->lock);
    while (!ts->stop) {
        turn(ts, exec_now());
        fire_due_locked(ts);
        ts->wake_at = first_time(ts);
        if (!ts->stop && ts->wake_at > exec_now())
            exec__cond_wait(&ts->changed, &ts->lock, exec__clock_stands() ? EXEC_NEVER : ts->wake_at);
    }
    pthread_mutex_unlock(&ts->lock);
    return NULL;
}

static void enter_all(struct exec__timers *ts) {
    exec__registry_lock();
    ts->following = all;
    ts->preceding = &all;
    if (all != NULL)
        all->preceding = &ts->following;
    all = ts;
    exec__registry_unlock();
}

static void leave_all(struct exec__timers *ts) {
    exec__registry_lock();
    *ts->preceding = ts->following;
    if (ts->following != NULL)
        ts->following->preceding = ts->preceding;
    exec__registry_unlock();
}

/* With all signals blocked. */
static int start_locked(struct exec__timers *ts, const char *prefix) {
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    int error = pthread_create(&ts->thread, NULL, run, ts);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        return error;
    char name[32];
    snprintf(name, sizeof name, "%.9s-timer", prefix);
    pthread_setname_np(ts->thread, name);
    ts->started = true;
    return 0;
}

int exec__timers_start(struct exec__timers *ts, const char *prefix) {
    int error = 0, saved = errno;
    pthread_mutex_lock(&ts->lock);
    if (ts->stop)
        error = ESHUTDOWN;
    else if (!ts->started)
        error = start_locked(ts, prefix);
    pthread_mutex_unlock(&ts->lock);
    errno = saved;
    return error;
}

void exec__timers_stop(struct exec__timers *ts) {
    pthread_mutex_lock(&ts->lock);
    bool started = ts->started;
    ts->stop = true;
    ts->started = false;
    pthread_cond_broadcast(&ts->changed);
    pthread_mutex_unlock(&ts->lock);
    if (started)
        pthread_join(ts->thread, NULL);
}

void exec__timers_orphan(struct exec__timers *ts) {
    leave_all(ts);
}

static void all_look(void) {
    exec__registry_lock();
    for (struct exec__timers *ts = all; ts != NULL; ts = ts->following) {
        pthread_mutex_lock(&ts->lock);
        pthread_cond_broadcast(&ts->changed);
        pthread_mutex_unlock(&ts->lock);
    }
    exec__registry_unlock();
}

void exec__clock_move(exec_time duration, int64_t set) {
    exec__clock_shift(duration, set);
    all_look();
}

void exec__clock_release(void) {
    exec__clock_restore();
    all_look();
}

/* --- arming --- */

void exec__timer_arm(struct exec__timers *ts, struct exec__timer *t, exec_time when) {
    pthread_mutex_lock(&ts->lock);
    if (t->next != NULL)
        take_out(ts, t);
    t->when = when;
    put(ts, t, slot_for(ts, tick_of(when)));
    if (when < ts->wake_at) {
        ts->wake_at = when;
        pthread_cond_signal(&ts->changed);
    }
    pthread_mutex_unlock(&ts->lock);
}

bool exec__timer_cancel(struct exec__timers *ts, struct exec__timer *t) {
    pthread_mutex_lock(&ts->lock);
    bool armed = t->next != NULL;
    if (armed)
        take_out(ts, t);
    pthread_mutex_unlock(&ts->lock);
    return armed;
}

exec_time exec__timer_due(struct exec__timers *ts, const struct exec__timer *t) {
    pthread_mutex_lock(&ts->lock);
    exec_time when = t->next != NULL ? t->when : 0;
    pthread_mutex_unlock(&ts->lock);
    return when;
}

/* --- making --- */

int exec__timers_init(struct exec__timers *ts) {
    *ts = (struct exec__timers){.wake_at = EXEC_NEVER};
    ts->now = tick_of(exec_now());
    int error = pthread_mutex_init(&ts->lock, NULL);
    if (error != 0)
        return error;
    error = exec__cond_init(&ts->changed);
    if (error != 0)
        pthread_mutex_destroy(&ts->lock);
    else
        enter_all(ts);
    return error;
}

void exec__timers_fini(struct exec__timers *ts) {
    leave_all(ts);
    pthread_cond_destroy(&ts->changed);
    pthread_mutex_destroy(&ts->lock);
}
