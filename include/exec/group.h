/* exec/group.h - several tasks as one piece of work: waited for, limited, cancelled and closed together.
 *
 * A group is a scope: whoever opens it closes it, and closing always waits for every member. So members may point into
 * the opener's stack. A group opened in a task belongs to that task: when the task is asked to stop, the group is
 * cancelled. A task that returns with a group of its own open has made a mistake: the group is cancelled, waited for
 * and freed, the task's result (if any) goes to .free_result, and its future ends FAILED with EBUSY. (A task that
 * leaves by pthread_exit() fails with EOWNERDEAD; its groups are closed in the same way.)
 *
 * Members may submit to their group, and several threads may use it at once, except that nothing may be called on it
 * any more once exec_group_close() has been called, except by those whom that waits for, until they end. It is closed
 * before its executor is destroyed. In tasks, waits are as
 * future_wait() says: members that have not started are run by the waiting task, with one worker too, and a wait that
 * could never end is EDEADLK.
 *
 * In a forked child, every call on a group opened before the fork returns EOWNERDEAD, and exec_group_close() frees it.
 */
#ifndef EXEC_GROUP_H
#define EXEC_GROUP_H

#include <stddef.h>

#include <exec/executor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exec_group exec_group_t;

enum exec_group_policy {
    EXEC_ALL,       /* every member runs to its end */
    EXEC_FAIL_FAST, /* the first failure cancels the rest */
    EXEC_FIRST      /* the first success cancels the rest */
};

/* All zero: every member runs, as many at once as there are workers, without a deadline. */
typedef struct exec_group_opts {
    enum exec_group_policy policy;
    exec_time deadline; /* when it passes, members that have not started end FAILED with ETIMEDOUT, their .drop called,
                            and those that run are asked to stop; one that then ends with ECANCELED has timed out, too.
                            Nobody need wait for that: the executor's timer thread sees to it. 0: EXEC_NEVER */
    size_t max_running; /* at most so many members are with the executor at once; the others wait in the group, where
                            they hold no worker and no room in the queue. 0: any number */
} exec_group_opts;

/* Opens a group whose members run on this executor. NULL options: the defaults. EINVAL: NULL, no such policy, a
 * negative deadline. EAGAIN: there is a .deadline, or one of what the group is opened in, and the timer thread, which
 * starts when it is first needed, cannot be started. ENOMEM. EOWNERDEAD. */
int exec_group_open(executor_t *ex, const exec_group_opts *opts, exec_group_t **out);

/* Submits a member, as executor_submit() does, whose errors it has; every member is also handed out by
 * exec_group_next(), whether or not `out` was given. ECANCELED: the group was cancelled, by exec_group_cancel() or by
 * its policy, or its deadline has passed, or the task it belongs to was asked to stop: nothing is started, and .drop
 * has been called with the argument, as for a member that was cancelled. With all other errors the argument remains the
 * caller's. A member submitted at the moment of a cancel may be accepted and cancelled. With .max_running, members do
 * not count against the executor's capacity while they wait in the group. */
int exec_group_submit(exec_group_t *g, exec_fn *fn, void *arg, const exec_task_opts *opts, future_t **out);

/* Hands out the next finished member, in the order in which they finish; with EXEC_FIRST the first success, once there
 * is one, comes before all others. Waits for one until the deadline. 0: *out is a reference that is the caller's to
 * give back. ENODATA: every member has been handed out, and none is left. ETIMEDOUT: none finished before the deadline.
 * EDEADLK: the only members left wait for the caller. EINVAL: NULL. ENOMEM. Members are kept until they are handed out,
 * or the group is closed. A cancellation point (POSIX). */
int exec_group_next(exec_group_t *g, exec_time deadline, future_t **out);

/* Waits until no member is left that has not finished, those included that are submitted meanwhile, or until the
 * deadline; with EXEC_FIRST only until one has succeeded. Returns the outcome so far: 0, when all succeeded; otherwise
 * the error of the first to fail; ECANCELED, when none failed, but some were cancelled (a member that is cancelled
 * alone has not failed: EXEC_FAIL_FAST goes on). With EXEC_FIRST: 0, when one succeeded; ENODATA, when there were no
 * members; otherwise as before. ETIMEDOUT: the deadline passed before (or a member failed with it). EDEADLK: called by
 * a member, in a callback of one, or by something that one waits for. EINVAL: NULL. ENOMEM. May be called again after
 * more was submitted, and by several threads. A cancellation point (POSIX). */
int exec_group_wait(exec_group_t *g, exec_time deadline);

/* Cancels the group: members that have not started are CANCELLED, those that run are asked to stop, and no more are
 * accepted. Does not wait. May be called by members, and in callbacks. NULL: nothing. */
void exec_group_cancel(exec_group_t *g);

/* Waits for every member and its callbacks, without a deadline, and frees the group; what exec_group_next() has not
 * handed out is given up. Its results go to .free_result, if not before the call returns, then a moment later on a
 * worker. Returns the outcome, as exec_group_wait(). A member that no thread has the stack to run fails with ENOMEM.
 * Where a member can never end because of this wait, the wait that it is in is EDEADLK; and one that has not started,
 * since it depends (.after) on the calling task, fails with EDEADLK.
 * EDEADLK: called by one of its members, or in a callback of one, for which it would wait: the group remains. EINVAL:
 * NULL. EOWNERDEAD: in a forked child, freed without waiting. Not a cancellation point. */
int exec_group_close(exec_group_t *g);

/* *fd becomes a descriptor for poll(2), epoll(7) and event loops: readable while exec_group_next() has something to
 * hand out. Made at the first call, the same one at each; closed with the group; only to be polled. After it was
 * readable, call exec_group_next() with EXEC_NOW until it returns an error. EMFILE, ENFILE: no descriptor is left.
 * ENOMEM. EINVAL: NULL. EOWNERDEAD. */
int exec_group_fd(exec_group_t *g, int *fd);

#ifdef __cplusplus
}
#endif
#endif
