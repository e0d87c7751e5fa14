/* exec/future.h - the result of a task, before it is there.
 *
 * A future is made by executor_submit(), or by hand as a promise. It moves once, by itself:
 *
 *     PENDING -> RUNNING -> DONE | FAILED | CANCELLED        and        PENDING -> CANCELLED | FAILED
 *
 * The last three are final. Every task that was accepted reaches one of them, whatever happens, and then everyone who
 * waits for it wakes. Futures are counted references: one comes from executor_submit() or future_create() and is given
 * back by future_unref(). They may outlive their executor. All functions may be called from any thread and in tasks.
 *
 * In a forked child, a future of an executor made before the fork that had not finished can never finish there:
 * waiting for it, cancelling it, listening to it and depending on it return EOWNERDEAD.
 */
#ifndef EXEC_FUTURE_H
#define EXEC_FUTURE_H

#include <stdbool.h>
#include <stddef.h>

#include <exec/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct future future_t;

enum future_state {
    FUTURE_PENDING,  /* accepted, not started */
    FUTURE_RUNNING,  /* its function runs */
    FUTURE_DONE,     /* its function returned a value */
    FUTURE_FAILED,   /* it ended with an error */
    FUTURE_CANCELLED /* it was cancelled before it started, or ended itself by exec_fail(ECANCELED) */
};

/* Waits until the future has finished, and then returns 0, whatever its outcome. ETIMEDOUT: the deadline passed before.
 *
 * A task may wait for any future, also one of its own executor, with a single worker, at any depth: a task of the same
 * executor that has not started is run right here, by the thread that waits; otherwise the thread sleeps, and may in
 * the meantime run tasks that the awaited task has submitted, but no others. With a deadline, it is run here only when
 * no worker is idle, and then the wait may end later than its deadline by as long as that task takes. A thread outside
 * of the executor that waits without a deadline runs the task in the same way when a worker is idle, in its stead; it
 * never does so when the executor has one worker, start or stop hooks, a stack size, or CPUs of its own; but what no
 * worker can come to run, because the executor's workers wait for the caller, it runs in any case.
 *
 * EDEADLK, at once, with a deadline too: the future's task waits, without one, directly or through others, for the
 * caller, or for something beneath it on its thread. ENOMEM: too little of the caller's stack is left to run the
 * awaited task on it. EINVAL: NULL. A cancellation point (POSIX). */
int future_wait(future_t *f, exec_time deadline);

/* Waits without a deadline, and returns 0 with the task's result in *result, or the error it failed with: ECANCELED for
 * one that was cancelled; EOWNERDEAD for one whose function left its thread. *result, which may be NULL itself, is set
 * to NULL on an error. May be called more than once and by several threads: all get the same result; the first call
 * takes it, so that .free_result will not be called for it. Its other errors are those of future_wait(). */
int future_get(future_t *f, void **result);

/* Asks the task to stop. 0: it will never run; it is finished from this moment, and its .drop has
 * been called (or, when it was cancelled before, maybe is being called by who cancelled it). EINPROGRESS: it is
 * running; exec_cancelled() is now true in it, and it goes on until its function returns. EALREADY: it has finished. A
 * promise that nobody has resolved is cancelled: 0. EINVAL: NULL. Never blocks. */
int future_cancel(future_t *f);

/* Has it finished, in whichever way? From the first true on, its result can be taken without waiting. */
bool future_done(const future_t *f);

/* Its state; PENDING and RUNNING may be out of date when the call returns. */
enum future_state future_state(const future_t *f);

/* The argument and the .name it was submitted with (NULL without; both NULL for a promise). */
void *future_arg(const future_t *f);
const char *future_name(const future_t *f);

/* Makes a promise: a future without a task, finished by future_resolve() or future_cancel(). ENOMEM; EINVAL: NULL. */
int future_create(future_t **out);

/* Finishes a promise: DONE with the value when error is 0, else FAILED with the error (CANCELLED with ECANCELED). The
 * first one wins: EALREADY, when it has finished before. EINVAL: a future that is not a promise, a negative error. */
int future_resolve(future_t *f, void *value, int error);

/* Takes, and gives back, a reference; a future goes with its last one. A task runs whether or not anyone still refers
 * to its future. future_ref() returns its argument. Both do nothing for NULL. */
future_t *future_ref(future_t *f);
void future_unref(future_t *f);

/* Waits until at least `want` of the n futures have finished: 1 waits for any, n for all. One that is named twice
 * counts once, and no more are waited for than there are different ones. 0: they have (find out which with
 * future_done()). ETIMEDOUT: the deadline passed before. EINVAL: want > n, or a NULL among them. ENOMEM, also when want
 * < n and memory is short. The rest as for future_wait(), except that a thread outside of the executor runs awaited
 * tasks only when it waits for all of them. */
int exec_wait(future_t *const fs[], size_t n, size_t want, exec_time deadline);

/* Calls fn(f, ctx) when the future has finished, however: once for each call of this function, in the order of the
 * calls, with no lock held, on the thread that finishes it; or, when it has finished already, at once on the calling
 * thread. fn may use any function on this future and on others: unref it (the future is there until fn returns, in any
 * case), add another callback, submit, cancel, resolve; it should not wait. A callback that finishes other futures has
 * returned before their callbacks are called. fn must return. Nothing is called for a promise whose last reference goes
 * before it was resolved. ENOMEM; EINVAL: NULL future or fn: then fn is not called. */
int future_on_done(future_t *f, void (*fn)(future_t *f, void *ctx), void *ctx);

/* *fd becomes a descriptor for poll(2), epoll(7) and event loops, which is readable from the moment the future has
 * finished. Made at the first call, the same one at each; closed when the last reference to the future goes; only to be
 * polled. EMFILE, ENFILE: no descriptor is left. ENOMEM; EOWNERDEAD: see above; EINVAL: NULL. */
int future_fd(future_t *f, int *fd);

#ifdef __cplusplus
}
#endif
#endif
