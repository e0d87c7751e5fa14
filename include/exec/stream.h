/* exec/stream.h - a lazy map: one function over as many arguments as a source has, in constant memory.
 *
 * The source is asked for arguments as the consumer takes results, at most .window ahead, so a source without an end
 * and a thousand million items need no more memory than a hundred. The source is only ever called on a thread that is
 * in exec_stream_next(), and so is not called concurrently. A consumer that is a task of the executor runs items itself
 * while it waits.
 *
 * Quick items travel in runs of up to 1024, one after the other on one thread, for as long as a run takes less than
 * some 20 microseconds, and are handed out when the run has come to its end; so one that is unexpectedly slow holds
 * back others of its run. Where items take less than 0.1 microseconds, the consumer of an ordered stream runs some of
 * the runs itself rather than wait, and then such a one holds back all. With a .window of at most four for each worker
 * every item travels alone, and is on its way before the source is asked for the next one; otherwise a source must not
 * wait for items that it gave.
 *
 * A stream is used by one thread at a time, and closed before its executor is destroyed. One opened in a task belongs
 * to it: its items are asked to stop when the task is.
 */
#ifndef EXEC_STREAM_H
#define EXEC_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include <exec/executor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exec_stream exec_stream_t;

/* A source: stores the next argument and returns 0; or ENODATA, when there are no more; or any other error, which ends
 * the stream, too. It is not called again after either. An error that is not positive counts as EINVAL. */
typedef int exec_next_fn(void *source, void **arg);

/* All zero: results in the order of their arguments, the default window, no deadline. */
typedef struct exec_stream_opts {
    size_t window;               /* how many arguments the source may be ahead of the consumer: taken from the source
                                     and not yet handed out, at most 2^20. 0: four for each worker, and as many as 8192
                                     while items take less than a few microseconds */
    bool unordered;              /* results as they finish */
    exec_time deadline;          /* when it passes, the source is not asked any more; items that have not started end
                                     with ETIMEDOUT, those that run are asked to stop, and one that then ends with
                                     ECANCELED has timed out, too. What .drop is called for, it is called for by the
                                     consumer's next call. 0: EXEC_NEVER */
    void (*drop)(void *arg);     /* called with the argument of each item that will never run, before the item is handed
                                     out with its error, if it is */
    void (*free_result)(void *); /* called by exec_stream_close() with results that were not handed out; not for NULL */
} exec_stream_opts;

/* One item as the consumer gets it. */
typedef struct exec_item {
    size_t index; /* which argument of the source it was, from 0 */
    void *arg;    /* which the source gave */
    void *result; /* what the function returned, NULL on an error; the consumer's from now on */
    int error;    /* 0, or what the item failed with, as future_get() would say */
} exec_item;

/* Opens a stream of fn(arg) for each argument of the source. Nothing is called yet. NULL options: the defaults. EINVAL:
 * NULL executor, function, source function or out; an option out of its range. ENOMEM. EAGAIN: there is a .deadline, or
 * one of what the stream is opened in, and the timer thread cannot be started. ESHUTDOWN: the executor was shut down,
 * and the caller is not one of its tasks. EOWNERDEAD. */
int exec_stream_open(executor_t *ex, exec_next_fn *next, void *source, exec_fn *fn, const exec_stream_opts *opts,
                     exec_stream_t **out);

/* Hands out the next item, and waits for it: true. False at the end: then out->error is 0 when the source has no more;
 * what the source returned, when it failed; ETIMEDOUT after the deadline; ECANCELED, when the calling task was asked to
 * stop, or the executor discards; ESHUTDOWN, when it has been shut down by somebody else than one of its tasks;
 * EDEADLK, when the items left wait for the caller, or one of them calls this; EINVAL for a NULL stream; EOWNERDEAD in
 * a forked child; ENOMEM. The rest of the item is zero. Every argument taken from the source is handed out before that,
 * once (except before EDEADLK, ENOMEM and EOWNERDEAD): items that fail do not end the stream. Once false, it stays so.
 * NULL out: false. A cancellation point (POSIX), but not in the source. */
bool exec_stream_next(exec_stream_t *s, exec_item *out);

/* Ends a stream, wherever it stands: items that have not started will not run (.drop), those that run are asked to stop
 * and waited for, results not handed out go to .free_result. NULL: nothing. Called in an item of the stream it does
 * nothing. Not a cancellation point. */
void exec_stream_close(exec_stream_t *s);

#ifdef __cplusplus
}
#endif
#endif
