/* exec/limiter.h - as much at once as whoever is called can take.
 *
 * A limiter holds tasks back, and threads that ask it, so that no more of them run at once than a limit, and no more
 * start than a rate allows. The limit is given, or it is found while they run, from what becomes of them: a service
 * that is overrun refuses, or answers late. Tasks name it in .limiter; those that it holds back hold no worker and no
 * room in the queue. Any number of executors, and threads outside of them, may share one, and then share the limit.
 * What it lets through comes in the order in which it asked.
 *
 * A task that waits for one that its limiter holds back keeps its worker meanwhile. When every worker is kept like
 * that, and what the limiter has let through needs one of them, a thread is started for that; but a wait that has a
 * deadline waits for that instead. Who waits for one that only waits for the caller to end, since that runs under the
 * same limiter, gets EDEADLK.
 */
#ifndef EXEC_LIMITER_H
#define EXEC_LIMITER_H

#include <stdbool.h>
#include <stddef.h>

#include <exec/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exec_limiter exec_limiter_t;

/* How the limit on those that run at once is found. Both of the latter learn from overload, as .is_overload says what
 * it is, at most once in a round trip, so that many failures of one moment count once. They grow only while the limit
 * is what holds others back, and fast until the first sign of trouble, or when what there was trouble with before now
 * works. */
enum exec_limiter_kind {
    EXEC_LIMIT_FIXED,   /* it stays at .max_running */
    EXEC_LIMIT_AIMD,    /* additive increase, multiplicative decrease: for a service that refuses, or with .slow */
    EXEC_LIMIT_GRADIENT /* by latency, how much longer it takes than when the service is not busy: for one that queues
                           what it cannot do at once */
};

/* All zero: nothing is held back. */
typedef struct exec_limiter_opts {
    size_t max_running; /* at most so many run at once; only with EXEC_LIMIT_FIXED. 0: any number */
    size_t rate;        /* so many start in every .per, evenly spaced but for .burst, at most 10^9 in a second. In any
                           stretch of time that long there start at most .rate and .burst together. 0: any number */
    exec_time per;      /* the time that .rate is meant for, at most 366 days. 0: EXEC_SEC(1) */
    size_t burst;       /* so many may start at once after a pause. 0: 1. With 1, what a late start has lost is never
                           made up for */
    enum exec_limiter_kind adapt;
    size_t min;     /* the limit never falls below it. 0: 1 */
    size_t max;     /* and never rises above it, at most 2^20. 0: 1000 */
    size_t initial; /* where it begins. 0: 10, or the bound that is nearest to that */
    exec_time slow; /* EXEC_LIMIT_AIMD: a success that took longer counts as overload. 0: however long it took */
    bool (*is_overload)(int error, void *ctx); /* whether a task that ended with this error was refused for want of
                           room. Called with no lock held, not for 0 and not for ECANCELED: a success counts as one,
                           and what was cancelled, or failed for other reasons, as nothing. NULL: EAGAIN, EBUSY,
                           ETIMEDOUT, ECONNREFUSED, ECONNRESET, ENOBUFS, EMFILE and ENFILE mean that */
    void *ctx;                                 /* for is_overload */
} exec_limiter_opts;

/* What exec_limiter_acquire() hands out, to be given back as it is by exec_limiter_release(), once, on any thread. */
typedef struct exec_permit {
    exec_time started;
    size_t in_flight; /* when it started, itself included */
} exec_permit;

/* Makes a limiter. NULL options: the defaults. EINVAL: NULL out; .per or .burst without .rate; .max_running with
 * another kind than EXEC_LIMIT_FIXED; .min, .max or .initial with that; .slow with another than EXEC_LIMIT_AIMD; a time
 * that is negative; values out of range, or not .min <= .initial <= .max; a .burst of more than 2^62 divided by .per in
 * nanoseconds, from which whatever it has in common with .rate is taken out. ENOMEM. */
int exec_limiter_create(const exec_limiter_opts *opts, exec_limiter_t **out);

/* For what is not a task: waits until the limiter lets one more through, or until the deadline. 0: *permit is to be
 * given back; what happens until then counts as running, and how long that is as its latency. ETIMEDOUT: not before the
 * deadline; with EXEC_NOW, not at once. ECANCELED: called in a task, which is asked to stop. EINVAL: NULL. ENOMEM.
 * EOWNERDEAD: in a child forked after the limiter was made. Who holds a permit, or runs as a task with the same
 * limiter, and asks for another may wait for itself: that is not seen. A cancellation point (POSIX). */
int exec_limiter_acquire(exec_limiter_t *l, exec_time deadline, exec_permit *permit);

/* Gives a permit back; `error` is what became of it: 0, or a positive error number, which .is_overload judges.
 * ECANCELED: count it as nothing. Does not wait. NULL: nothing. */
void exec_limiter_release(exec_limiter_t *l, const exec_permit *permit, int error);

/* The limit as it is just now; SIZE_MAX: any number. Out of date as soon as it is known. With EXEC_LIMIT_GRADIENT it is
 * what the limiter takes the capacity for: to see whether that is still so it lets some 15 % more through, up to half
 * as many more while there seems to be no queue, and at times a tenth less. 0 for NULL. */
size_t exec_limiter_limit(const exec_limiter_t *l);

/* How many run, or hold a permit. After a decrease those go on that are too many. 0 for NULL. */
size_t exec_limiter_in_flight(const exec_limiter_t *l);

/* Gives up the creator's hold on it. Tasks that were submitted with it, and permits, keep it: it goes when the last of
 * them is done. So it may be called as soon as the last task has been submitted, but not while a thread is in
 * exec_limiter_acquire(). NULL: nothing. */
void exec_limiter_destroy(exec_limiter_t *l);

#ifdef __cplusplus
}
#endif
#endif
