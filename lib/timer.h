/* timer.h - what is to happen at a point in time: one thread for all of an executor's timers. See timer.c. */
#ifndef EXEC__TIMER_H
#define EXEC__TIMER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <exec/time.h>

#include "sync.h"

enum { EXEC__LEVELS = 8, EXEC__PER_LEVEL = 64, EXEC__DUE = EXEC__LEVELS * EXEC__PER_LEVEL };

/* Part of what it is for. All zero: not armed. */
struct exec__timer {
    struct exec__timer *next, *before; /* the ring of its slot; NULL: not armed; timers.lock, as is the rest but fire */
    exec_time when;
    unsigned slot;
    void (*fire)(struct exec__timer *t); /* called on the timer thread, with no lock held, when it has passed */
};

struct exec__timers {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* predicates: wake_at; stop */
    bool started;           /* there is a thread; lock, as is all the rest */
    bool stop;
    pthread_t thread;
    exec_time wake_at;                        /* when the thread will look again */
    uint64_t now;                             /* the tick the wheel stands at */
    uint64_t used[EXEC__LEVELS];              /* one bit for each slot that is not empty */
    struct exec__timer *slots[EXEC__DUE + 1]; /* the first one of each ring; the last slot: those about to be fired */
    struct exec__timers *following, **preceding; /* among all; the registry's lock */
};

int exec__timers_init(struct exec__timers *ts); /* 0 or an error */
void exec__timers_fini(struct exec__timers *ts);

/* Starts the thread, if there is none yet, whose name begins like that: 0, EAGAIN, or ESHUTDOWN after
 * exec__timers_stop(). Before anything is armed. */
int exec__timers_start(struct exec__timers *ts, const char *prefix);

/* Ends it. What is armed will not be fired. */
void exec__timers_stop(struct exec__timers *ts);
/* In a forked child: there is no such thread. */
void exec__timers_orphan(struct exec__timers *ts);

/* Arms a timer, which may be armed already, and then is moved. Any thread. */
void exec__timer_arm(struct exec__timers *ts, struct exec__timer *t, exec_time when);

/* True: it was armed, and will not be fired now. False: it has been, or is about to be, or never was armed. */
bool exec__timer_cancel(struct exec__timers *ts, struct exec__timer *t);

/* When it will be fired; 0: it is not armed. */
exec_time exec__timer_due(struct exec__timers *ts, const struct exec__timer *t);

/* For tests, by one thread at a time: as exec__clock_shift() and exec__clock_restore(), and all timers follow. */
void exec__clock_move(exec_time duration, int64_t set);
void exec__clock_release(void);

#endif
