/* exec/executor.h - a fixed number of worker threads that run tasks from a bounded queue.
 *
 * Threads outside of the executor submit into the queue, whose capacity holds them back (executor_opts.when_full).
 * What a task submits to its own executor goes to a list of its worker's, which grows, and from which other workers
 * steal: it never waits. With one worker, the tasks of one producer start in the order in which they were submitted,
 * but for those whose priorities differ (exec/task.h).
 * Never more than .workers threads run the executor's tasks at once; a thread that runs a task it waits for does so in
 * the place of an idle worker (the exceptions: EXECUTOR_CALLER_RUNS, the caller of executor_map(), and functions that
 * were given up by EXEC_ABANDON, with what they wait for).
 *
 * Workers block all signals. In a forked child, every call on an executor made before the fork returns EOWNERDEAD at
 * once, and executor_destroy() frees without joining.
 */
#ifndef EXEC_EXECUTOR_H
#define EXEC_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>

#include <exec/future.h>
#include <exec/task.h>
#include <exec/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct executor executor_t;

/* What executor_submit() does in a thread outside of the executor when the queue is full. */
enum executor_when_full {
    EXECUTOR_BLOCK,       /* waits for room, for at most .room_wait; in a task of another executor, too: two that wait
                             for one another may do so for ever */
    EXECUTOR_REJECT,      /* returns EAGAIN */
    EXECUTOR_CALLER_RUNS, /* runs the task itself before it returns; the caller slows down to the pool's pace */
    EXECUTOR_DROP_OLDEST  /* cancels the task that has waited longest, of those with the lowest priority, and takes its
                             place, whatever its own priority */
};

enum executor_shutdown {
    EXECUTOR_DRAIN,  /* what has been accepted is run */
    EXECUTOR_DISCARD /* what has not started is cancelled, what runs is asked to stop */
};

/* A task that has failed. */
typedef struct exec_failure {
    const char *name; /* the beginning of the task's .name, or NULL; until the call returns */
    void *arg;        /* its argument, as future_arg() would say: whether that still exists the caller knows */
    int error;
} exec_failure;

/* All zero: as many workers as CPUs, a queue for 1024 tasks, submit blocks when it is full. */
typedef struct executor_opts {
    unsigned workers; /* threads, at most 8000. 0: one for each of .cpus; else the CPUs this process may use, by its
                          affinity mask and the CPU quota of its cgroup, whichever is less */
    size_t capacity;  /* how many tasks of outside producers may wait, at most 2^40. 0: 1024 */
    enum executor_when_full when_full;
    const char *name;  /* prefix of the threads' names, NAME-0, NAME-1 and so on, cut to the 15 characters that Linux
                           keeps; copied. NULL: "exec" */
    size_t stack_size; /* of each worker in bytes, at least PTHREAD_STACK_MIN. 0: the system's default */

    /* Called on each worker as it starts, before any task, with .hook_ctx and the worker's number. An error makes
     * executor_create() return it. A worker that replaces another calls it again, and so does a thread that is started
     * for a task with EXEC_ABANDON, in the name of a worker: if it fails there, so does the task. NULL: nothing. */
    int (*on_start)(void *hook_ctx, unsigned worker);
    /* Called on each worker whose on_start returned 0, as it leaves; but not for one that was given up and comes back
     * when the executor has been destroyed. NULL: nothing. */
    void (*on_stop)(void *hook_ctx, unsigned worker);
    void *hook_ctx;

    const int *cpus; /* worker i runs on CPU cpus[i % ncpus] alone; copied. NULL: wherever the system puts it */
    size_t ncpus;

    /* How many runs that were given up (EXEC_ABANDON) may be on the loose at the same time, each with a thread; beyond
     * that they are asked to stop, and waited for. 0: 64. */
    unsigned max_abandoned;

    /* Called when the last reference to a task's future goes that has failed, and whose error nobody has asked for by
     * future_get(): once for each, with .hook_ctx, on the thread that gives the reference back, which for a task
     * without a future is the one that ran it; so maybe on several threads at once. Tasks that fail because one did
     * that they wait for (.after) count each. Not for members of groups, whose errors are the group's; and not once
     * executor_destroy() has returned, which waits for calls that are under way. It must not destroy the executor.
     * NULL: nothing. */
    void (*on_failure)(void *hook_ctx, const exec_failure *failure);

    /* Called once for each run that takes longer than .slow_after, while it does, with .hook_ctx, the worker's number
     * as exec/stats.h has it, the beginning of the name of the innermost task there that has one ("": none) and how
     * long it has run by then: more than .slow_after, and as a rule less than twice that. On the timer thread, which
     * it holds up. Runs that may be given up (EXEC_ABANDON), those of threads that are no workers, and those of tasks
     * that were started by one that waits for them, are left out. Both together imply .measure. 0 or NULL: nothing. */
    exec_time slow_after;
    void (*on_slow)(void *hook_ctx, unsigned worker, const char *name, exec_time running);

    /* Called on the thread that replaces a worker, after its on_start, because a task has left the one before by
     * pthread_exit(), was cancelled by pthread_cancel(), or given up (EXEC_ABANDON). NULL: nothing. */
    void (*on_replace)(void *hook_ctx, unsigned worker);

    /* Looks at the clock as each task is submitted, starts and ends: histograms, the workers' busy times, and how full
     * the queue has been (exec/stats.h). */
    bool measure;
} executor_opts;

/* A task that runs; or that has ended, by EXEC_ABANDON, but its function has not returned. */
typedef struct exec_straggler {
    const char *name;  /* the task's .name, or NULL */
    exec_time running; /* for how long, a duration; 0 for a task without a name and without EXEC_ABANDON, since
                          nobody has looked at the clock when it began */
    bool abandoned;    /* its function was given up */
} exec_straggler;

/* Makes an executor and starts its workers. NULL options: the defaults. On any error nothing is left behind.
 * EINVAL: NULL out, an option out of its range, a CPU that this process may not use. ENOMEM. EAGAIN: the system has no
 * room for another thread. Any error of on_start. */
int executor_create(const executor_opts *opts, executor_t **out);

/* Submits fn(arg) as a task. With `out`, *out becomes a future with one reference for the caller, set before the task
 * can start; with NULL, nobody waits for it: fire and forget. NULL options: the defaults.
 * Errors: the task was not accepted, the function will not run, .drop is not called, the argument remains the caller's.
 * EINVAL: NULL executor or function, negative .room_wait, .priority out of its range, NULL among .after. ESHUTDOWN:
 * shut down, which is reported before full. EAGAIN: full (EXECUTOR_REJECT). ETIMEDOUT: full for all of .room_wait.
 * ENOMEM. EOWNERDEAD: in a forked child. Blocks only on EXECUTOR_BLOCK, outside of the executor's own tasks, and not
 * for a task that has to wait for others (.after). A drain waits for those, too; EXECUTOR_DISCARD cancels them. */
int executor_submit(executor_t *ex, exec_fn *fn, void *arg, const exec_task_opts *opts, future_t **out);

/* How many workers it has. */
unsigned executor_workers(const executor_t *ex);

/* Stops taking tasks: from now on every submit returns ESHUTDOWN, also those that wait for room, and those of tasks.
 * May be called at any time, any number of times, by several threads and in tasks; DISCARD after DRAIN discards what is
 * left, DRAIN after DISCARD changes nothing. Does not wait. EINVAL: NULL, or no such mode. EOWNERDEAD. */
int executor_shutdown(executor_t *ex, enum executor_shutdown mode);

/* Waits until the executor has been shut down, everything it accepted has finished, and all of its workers are gone: 0.
 * ETIMEDOUT: the deadline passed before. EDEADLK: called in a task of this executor, which it would wait for. EINVAL:
 * NULL. EOWNERDEAD. May be called more than once and by several threads. For functions that were given up
 * (EXEC_ABANDON) it waits as well, but not with EXEC_NEVER: then ETIMEDOUT says that all else has ended, and some of
 * them have not returned. */
int executor_join(executor_t *ex, exec_time deadline);

/* What still runs on the executor's workers, or was given up and has not returned: stores the first n of them in list,
 * which may be NULL if n is 0, and how many there are in *found. Made for saying what a shutdown waits for, but may be
 * called at any time, by any thread. What runs on threads of others, such as that of a map's caller, is left out. The
 * names are the tasks' own. EINVAL: NULL. EOWNERDEAD. */
int executor_stragglers(executor_t *ex, exec_straggler list[], size_t n, size_t *found);

/* Shuts down (EXECUTOR_DRAIN, unless it was done before), joins without a deadline, and frees. NULL: nothing. No other
 * call on the executor may be under way or follow; its futures remain. In a task of this executor it only shuts down,
 * since the join would be EDEADLK: the executor remains, to be destroyed by another thread. (In a task of it that has
 * forked, in the child, it does nothing.) Functions that were given up (EXEC_ABANDON) are not waited for: the last one
 * to return frees what it might have touched. */
void executor_destroy(executor_t *ex);

/* EXECUTOR_DRAIN, as executor_shutdown() would, from a signal handler: async-signal-safe (POSIX, XSH 2.4.3). A
 * submitter that waits for room may notice up to 50 ms later. */
void executor_request_shutdown(executor_t *ex);

#ifdef __cplusplus
}
#endif
#endif
