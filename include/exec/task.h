/* exec/task.h - what a task is, and what it can call while it runs.
 *
 * A task is any function of the shape of a pthread start routine, with an argument. It ends DONE with the value it
 * returns, or FAILED with an error when it returns exec_fail(error). It is never killed: whoever wants it to stop
 * raises its flag, which the task sees with exec_cancelled(), and which ends exec_sleep() and exec_poll() at once.
 *
 * A task may have a priority, from -8 to 8, which decides which one of those that are ready to start does so next:
 *
 * - The highest first. A priority above 0 is urgent: such a task overtakes those that have none. One below 0 gives way:
 *   such a task starts when nothing above it waits. Those of one priority start in the order in which they became
 *   ready.
 * - Nothing starves. Of every 32 tasks that a worker takes while some with a priority wait, one is the task that has
 *   waited longest, whatever its priority, and one is taken as if nothing were urgent. So a task with a priority, or in
 *   the executor's queue, that n others waited before starts after 32 * (n + workers) tasks at the latest, however many
 *   urgent ones keep coming. What tasks submit to their own executor without a priority goes on meanwhile, too, with
 *   one turn in 32. (This counts tasks, not time: what runs is never interrupted.)
 * - It speaks of tasks that are ready. Until then, while they wait for .after, .delay, a limiter or room in a group,
 *   all wait alike; a limiter and a group let tasks through in the order in which they came. A task that is run again
 *   keeps its priority.
 * - A task or thread that waits for a task that has not started may run it itself (see future_get()), whatever its
 *   priority. So what an urgent task waits for is not held up by its own priority.
 * - Priorities count within one executor.
 *
 * The functions here speak of the innermost task (or item of a map) that runs on the calling thread. Outside of one
 * they behave as each says, so that a task's function can be called as a plain function, too.
 */
#ifndef EXEC_TASK_H
#define EXEC_TASK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include <exec/retry.h>
#include <exec/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A task's function. It is run on a thread of the executor; or on a thread that waits for it, when it has not started
 * (see future_get()). A function that leaves by pthread_exit(), or is cancelled by pthread_cancel(), fails with
 * EOWNERDEAD, and its worker is replaced; if it was a waiting thread that ran it, that goes on, but cannot be cancelled
 * by pthread_cancel() any more. It must not leave by longjmp() or by a C++ exception. */
typedef void *exec_fn(void *arg);

struct future;
struct exec_limiter;

/* What becomes of a run that has taken its .timeout. */
enum exec_on_timeout {
    /* The task is asked to stop, and ends when its function returns. */
    EXEC_ASK,
    /* The task does not wait for that, but is asked to stop and ends at once, FAILED with ETIMEDOUT, also in its group,
     * and a fresh thread takes the place of the one that is stuck, so that the executor keeps its size. That one goes
     * on, asked to stop, until its function returns, which nobody waits for, not even exec_group_close() and
     * executor_destroy(); a result goes to .free_result then. So ONLY A FUNCTION THAT OWNS ITS ARGUMENT, AND ALL ELSE
     * IT USES, MAY BE ABANDONED. The run is the task's last, whatever .retry, .every and .cron say. Where
     * executor_opts.max_abandoned of them are on the loose, or the system has no room for another thread, it is as
     * EXEC_ASK. So that its thread can be given up, no other task runs beneath it: a task or thread that waits for it
     * never runs it itself, but starts a thread for it when no worker is free. */
    EXEC_ABANDON
};

/* What differs from one task to the next. Zero is the default throughout. */
typedef struct exec_task_opts {
    exec_time room_wait;         /* how long submit may wait for room in a full queue of an executor that blocks: a
                                     duration; 0 and EXEC_NEVER: as long as it takes */
    void (*drop)(void *arg);     /* called with the argument when the accepted task will never run: exactly one of
                                     the function and drop is called, once, with no lock held, on the thread that
                                     cancelled, shut down or dropped, on a worker, or on the thread that keeps the
                                     executor's times. Where another thread looks just then, the future may be seen
                                     to have finished a moment before the call; who sleeps until it has finished is
                                     woken after it, and a group it is in has not ended before */
    void (*free_result)(void *); /* called with the result that no future_get() has taken, when the last reference to
                                     the future goes; not called for NULL */
    const char *name;            /* what future_name() answers; kept as a pointer, so it must outlive the future */
    struct future *const *after; /* the task starts when these futures, of any executor, and promises, are all DONE. If
                                     one of them fails or is cancelled, the task ends at once in the same way, with the
                                     same error, without running: .drop is called. Until it may start it holds no worker
                                     and no room in the queue. The array is copied, and the futures are referred to for
                                     as long as needed */
    size_t nafter;               /* how many; 0: it may start at once */
    int priority;                /* from -8 to 8, above 0: urgent, below: gives way; see above. A task with one costs a
                                     lock and an allocation more */
    exec_time deadline;          /* the task does not start after it, and ends FAILED with ETIMEDOUT when it passes
                                     before, wherever the task is then: .drop is called, if it has never run. A task
                                     that runs is asked to stop, and one that then ends with ECANCELED has timed out,
                                     too. A task that would run once more after it ends at once, as its last run did. 0:
                                     EXEC_NEVER */
    exec_time timeout;           /* how long a run may take, a duration. When it has passed, the task is asked to stop;
                                     and whatever its function returns then, the run has failed with ETIMEDOUT (a result
                                     goes to .free_result). 0: any time */
    exec_retry retry;            /* what becomes of a run that fails (exec/retry.h) */
    exec_time delay;             /* the task does not start before this has passed since it was submitted. 0: at once */
    exec_time every;             /* a period: the task runs again and again. Its runs are due one period after one
                                     another, from the first on, however long they take, and never overlap; those that
                                     are missed are left out. The future remains PENDING or RUNNING until the task ends:
                                     by a cancel, after .count runs, at its deadline, by a failure, or by a shutdown,
                                     which cancels it between two runs. 0: it runs once */
    const char *cron;            /* the same, at the times of this crontab expression (exec/cron.h), which follow
                                     CLOCK_REALTIME; when that is set, the task sees it within 10 seconds. Not together
                                     with .every. NULL: none */
    const char *zone;            /* in which .cron is read. NULL: the process's own */
    size_t count;                /* of runs, under .every or .cron: the last one's outcome is the task's, the results
                                     of the others go to .free_result, each before the next run. 0: any number */
    bool keep_going;             /* a run that fails, after all of its .retry, does not end the schedule */
    struct exec_limiter *limiter; /* which each run of the task has to be let through by (exec/limiter.h); until then it
                                     holds no worker and no room in the queue. NULL: none */

    enum exec_on_timeout on_timeout; /* what becomes of a run that has taken its .timeout: see above */
} exec_task_opts;

/* Ends the task as failed: `return exec_fail(EIO);`. What it returns must be returned by the task's function unchanged;
 * it is not a pointer to anything. ECANCELED ends the task CANCELLED. An error that is not positive counts as EINVAL.
 * In the body of executor_for(), which returns nothing, the call alone marks the range as failed.
 * Outside of a task it returns NULL and does nothing else. */
void *exec_fail(int error);

/* Has anyone asked this task to stop? True from the moment of a future_cancel(), or of an EXECUTOR_DISCARD of the
 * task's executor; in a member of a group from the group's cancel or deadline; in an item of a map from its deadline or
 * a failure under .stop_on_error; in an item of a stream from its deadline or close; and in all of these from the
 * moment that the same is asked of the task that has opened the group or the stream, or called the map. Cheap: made to
 * be called in a loop. False outside of a task. */
bool exec_cancelled(void);

/* Which attempt at the present run of the task this is: 1 for the first, more when .retry has run it again. 0 outside
 * of a task. */
unsigned exec_attempt(void);

/* Sleeps for a duration: 0 when it has passed, ECANCELED as soon as the task is asked to stop (at once, if it has been
 * already), ENOMEM. A duration of zero or less returns at once. Outside of a task it just sleeps. A cancellation point
 * (POSIX). */
int exec_sleep(exec_time duration);

/* poll(2) that cancellation interrupts: waits until one of the n descriptors is ready, and stores how many are in
 * *ready, which may be NULL. Returns 0 when some are; ETIMEDOUT when the deadline passes before; ECANCELED as soon as
 * the task is asked to stop; EINVAL for a NULL array with n > 0, for more descriptors than the process may have, or,
 * in a task, as many; EMFILE or ENFILE when no descriptor is left for the interruption; ENOMEM. On an error *ready is
 * 0. Interrupting signals do not end it. A cancellation point (POSIX). */
int exec_poll(struct pollfd *fds, nfds_t n, exec_time deadline, int *ready);

#ifdef __cplusplus
}
#endif
#endif
