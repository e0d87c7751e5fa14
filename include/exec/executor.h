/* exec/executor.h - a fixed number of worker threads that run tasks from a bounded queue.
 *
 * Threads outside of the executor submit into the queue, whose capacity holds them back (executor_opts.when_full).
 * What a task submits to its own executor goes to a list of its worker's, which grows, and from which other workers
 * steal: it never waits. With one worker, the tasks of one producer start in the order in which they were submitted,
 * but for those whose priorities differ (exec/task.h).
 * Never more than .workers threads run the executor's tasks at once; a thread that runs a task it waits for does so in
 * the place of an idle worker (the exceptions: EXECUTOR_CALLER_RUNS, and the caller of executor_map()).
 *
 * Workers block all signals. In a forked child, every call on an executor made before the fork returns EOWNERDEAD at
 * once, and executor_destroy() frees without joining.
 */
#ifndef EXEC_EXECUTOR_H
#define EXEC_EXECUTOR_H

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
    EXECUTOR_BLOCK,       /* waits for room, for at most .room_wait */
    EXECUTOR_REJECT,      /* returns EAGAIN */
    EXECUTOR_CALLER_RUNS, /* runs the task itself before it returns; the caller slows down to the pool's pace */
    EXECUTOR_DROP_OLDEST  /* cancels the task that has waited longest, of those with the lowest priority, and takes its
                             place, whatever its own priority */
};

enum executor_shutdown {
    EXECUTOR_DRAIN,  /* what has been accepted is run */
    EXECUTOR_DISCARD /* what has not started is cancelled, what runs is asked to stop */
};

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
     * executor_create() return it. A worker that replaces another calls it again. NULL: nothing. */
    int (*on_start)(void *hook_ctx, unsigned worker);
    /* Called on each worker whose on_start returned 0, as it leaves. NULL: nothing. */
    void (*on_stop)(void *hook_ctx, unsigned worker);
    void *hook_ctx;

    const int *cpus; /* worker i runs on CPU cpus[i % ncpus] alone; copied. NULL: wherever the system puts it */
    size_t ncpus;
} executor_opts;

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
 * NULL. EOWNERDEAD. May be called more than once and by several threads. */
int executor_join(executor_t *ex, exec_time deadline);

/* Shuts down (EXECUTOR_DRAIN, unless it was done before), joins without a deadline, and frees. NULL: nothing. No other
 * call on the executor may be under way or follow; its futures remain. In a task of this executor it only shuts down,
 * since the join would be EDEADLK: the executor remains, to be destroyed by another thread. (In a task of it that has
 * forked, in the child, it does nothing.) */
void executor_destroy(executor_t *ex);

/* EXECUTOR_DRAIN, as executor_shutdown() would, from a signal handler: async-signal-safe (POSIX, XSH 2.4.3). A
 * submitter that waits for room may notice up to 50 ms later. */
void executor_request_shutdown(executor_t *ex);

#ifdef __cplusplus
}
#endif
#endif
