/* stats.h - counters and times of an executor. See stats.c. */
#ifndef EXEC__STATS_H
#define EXEC__STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <exec/stats.h>

#include "sync.h"

struct exec__pool;
struct exec__frame;

/* What is counted, where it happens. What goes through the queue is not counted as submitted: its positions say that.
 */
enum exec__count {
    EXEC__DONE,
    EXEC__FAILED,
    EXEC__CANCELLED,
    EXEC__TIMED_OUT,
    EXEC__SUBMITTED,
    EXEC__RETRIED,
    EXEC__REJECTED,
    EXEC__DROPPED,
    EXEC__STOLEN,
    EXEC__WAKEUPS,
    EXEC__COUNTS
};

/* Those of a seat are written by who holds it, those of a pool by all others (release); read by anyone. */
struct exec__counts {
    _Atomic uint64_t n[EXEC__COUNTS];
};

/* Why the runs of a pool's tasks are looked at: pool.observed. */
enum exec__observer { EXEC__MEASURES = 1, EXEC__TRACES = 2 };

/* A histogram in the making; exec/stats.h. */
struct exec__times {
    _Atomic uint64_t counts[EXEC_HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum;
    _Atomic exec_time most;
};

/* What is measured in a seat, by who holds it; or by all threads without one, which share the last of pool.measures. */
struct exec__measures {
    _Alignas(EXEC__CACHE_LINE) struct exec__times times[EXEC_TIME_RUNNING + 1];
    _Atomic unsigned turn;   /* odd while the next two are changed: set_busy() */
    _Atomic exec_time busy;  /* in all, but for */
    _Atomic exec_time since; /* when the present task began, the lowest of those on the stack; 0: there is none */
    exec_time told_of;       /* the `since` of the one that on_slow was called for last; the timer thread's */
};

/* The longest time that a bucket of a histogram is for. */
exec_time exec__bucket_end(unsigned bucket);

/* When the pool measures: 0, ENOMEM or EAGAIN. */
int exec__measures_init(struct exec__pool *p);
/* Once its timers can be started: the watch for slow runs (.slow_after). 0 or EAGAIN. */
int exec__watch_init(struct exec__pool *p);

/* A task's function is called, and has returned, in a pool that measures. `ready`: since when it could have been, 0:
 * unknown. */
struct exec__measuring {
    struct exec__measures *measures;
    bool shared, lowest;
    exec_time began;
};
struct exec__measuring exec__measuring_begin(struct exec__pool *p, exec_time ready, exec_time now);
exec_time exec__measuring_end(const struct exec__measuring *m); /* when that was */

/* The queue has become longer. */
void exec__measure_queue(struct exec__pool *p);

/* For how long the task has run that was begun first of those that run in a seat; 0: none, or nothing is measured. */
exec_time exec__measured_since(const struct exec__pool *p, unsigned seat);

#endif
