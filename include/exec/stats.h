/* exec/stats.h - what an executor has done, and what it is doing now.
 *
 * Numbers are counted by the threads that work, each its own, and added up when somebody asks; so counting costs next
 * to nothing, asking never holds up a worker, and what is read while tasks run may miss the last few events. When
 * nothing runs, every number is exact. Times and histograms need two looks at the clock for each task, and are only
 * there with executor_opts.measure.
 *
 * A task is what was accepted by executor_submit() or exec_group_submit(), and what executor_map(), executor_for() and
 * streams ask the workers to do: one for each thread that is called to help, whatever the number of items, which ends
 * as cancelled if it comes too late to help.
 *
 * A worker here is one of the .workers places in which tasks run. A thread may wake up in another place than it has
 * fallen asleep in, and others may run a task in one that is free; so these numbers are not those of the threads, which
 * on_start is told.
 */
#ifndef EXEC_STATS_H
#define EXEC_STATS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <exec/executor.h>
#include <exec/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exec_stats {
    /* Since the executor was created. Each task that was submitted ends as one of the four below it. */
    uint64_t submitted; /* accepted */
    uint64_t done;
    uint64_t failed;    /* but not timed out */
    uint64_t cancelled; /* by whatever, dropped included */
    uint64_t timed_out; /* failed with ETIMEDOUT */
    uint64_t retried;   /* further runs by .retry */
    uint64_t rejected;  /* not accepted, since the queue was full: EAGAIN, or ETIMEDOUT after .room_wait */
    uint64_t dropped;   /* by EXECUTOR_DROP_OLDEST */
    uint64_t stolen;    /* submitted by a task on one worker, and taken by another */
    uint64_t wakeups;   /* of workers that slept */

    /* Now. */
    uint64_t unfinished; /* accepted and not ended: waiting, held back or running */
    size_t queued;       /* of these, those that wait in the bounded queue */
    size_t most_queued;  /* how many those have been at most; only with .measure, else 0 */
    unsigned running;    /* workers, or threads in their place, that are at a task */
    unsigned workers;
} exec_stats;

/* Of one worker, or of the threads that have run tasks in its place. */
typedef struct exec_worker_stats {
    uint64_t ended;  /* tasks that have ended here */
    uint64_t stolen; /* and were taken from others */
    exec_time busy;  /* time at tasks, those that still run included, and other time, since the executor was created; */
    exec_time idle;  /* both only with .measure, else 0. Runs that may be given up (EXEC_ABANDON) are left out */
} exec_worker_stats;

/* Which time a histogram is of. */
enum exec_histogram_of {
    EXEC_TIME_QUEUED, /* from when a task could have started to when it did */
    EXEC_TIME_RUNNING /* in its function, each run by itself */
};

/* How many tasks took how long: EXEC_HISTOGRAM_BUCKETS counts, of which those of short times are a nanosecond wide, and
 * those of longer ones at most 1/32 of the time, so that its middle is wrong by less than 1.6 per cent. Times of 2^44
 * ns, some five hours, and more are in the last one. (Log-linear, as in HdrHistogram.) */
#define EXEC_HISTOGRAM_BUCKETS 1280
typedef struct exec_histogram {
    uint64_t counts[EXEC_HISTOGRAM_BUCKETS];
    uint64_t total; /* of all counts */
    exec_time sum;  /* of all times, exactly */
    exec_time most; /* the longest one, exactly */
} exec_histogram;

/* Stores the executor's numbers, or those of one worker. Any thread, also in a task; never blocks. EINVAL: NULL, or
 * there is no such worker. EOWNERDEAD: in a forked child. */
int executor_stats(executor_t *ex, exec_stats *out);
int executor_worker_stats(executor_t *ex, unsigned worker, exec_worker_stats *out);

/* Stores a histogram of all of the executor's tasks. ENOTSUP: it was created without .measure. EINVAL: NULL, or no such
 * histogram. EOWNERDEAD. */
int executor_histogram(executor_t *ex, enum exec_histogram_of of, exec_histogram *out);

/* The time that so many per cent of the tasks did not exceed, to 1.6 per cent: exec_histogram_percentile(&h, 99). At
 * 100 and more the longest one, below 0 the shortest; 0 for NULL and where there are none. */
exec_time exec_histogram_percentile(const exec_histogram *h, double percent);

enum exec_stats_format {
    EXEC_STATS_TABLE,     /* for people: a line for each number, and for each worker */
    EXEC_STATS_JSON,      /* one object on one line (RFC 8259) */
    EXEC_STATS_PROMETHEUS /* the text format of Prometheus, version 0.0.4: metrics libexec_..., with a label for the
                             executor's name */
};

/* Writes all of that. 0, or what writing has failed with (errno). EINVAL: NULL, or no such format. ENOMEM. EOWNERDEAD.
 * Blocks as long as writing does. */
int executor_stats_write(executor_t *ex, FILE *out, enum exec_stats_format format);

/* Writes, for people, what the executor is doing: a line for each worker, with what it runs and since when; for each
 * run that was given up; and for each task that waits, with what for. Tasks are called by their .name; times
 * are known of those with a name, and with .measure of all. At most 200 that wait are listed, and no queued ones. Any
 * thread, while everything runs: it holds up only those who are about to sleep or to wake somebody, for as long as it
 * takes to copy that. Errors as above. */
int executor_dump(executor_t *ex, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
