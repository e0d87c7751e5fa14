/* exec/map.h - one function over many arguments, and loops over ranges.
 *
 * The calling thread works too, together with the executor's workers, so that a map of nothing, of one item, and a map
 * inside of a map all cost little, and none can deadlock. (When the executor's tasks need its own threads, because it
 * has hooks, a stack size or CPUs, a caller from outside only waits.) At most as many threads as the executor has
 * workers take part, the caller included. Items are claimed in chunks that grow only while items prove quick.
 */
#ifndef EXEC_MAP_H
#define EXEC_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include <exec/executor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exec_map_opts {
    exec_time deadline; /* for the whole call: when it passes, items that have not started are skipped with ETIMEDOUT,
                            and those that run are asked to stop; one that then ends with ECANCELED has timed out,
                            too. 0: EXEC_NEVER */
    bool stop_on_error; /* after the first failure, items that have not started are skipped with ECANCELED, and those
                            that run are asked to stop; false: every item runs */
    int *errors;        /* n of them, one for each item: 0 or its error; left alone by a call that returns an error
                            without having run or skipped anything. NULL: not wanted */
    size_t max_running; /* at most so many threads take part, the caller included. 0: as many as there are workers */
    size_t chunk;       /* how many items a thread claims at once; executor_for() calls its body for ranges of that
                            size. 0: chosen by how long items take */
    size_t *failed;     /* set to how many items have an error so far, failed or skipped: before each call of .progress,
                            and before the call returns; left alone as .errors is. NULL: not wanted */

    /* Called with the number of items that have finished, failed or been skipped, and n: never concurrently, on any of
     * the threads that take part, at most 20 times a second, and never with a smaller number than before; a first time
     * with done == 0, before the first item runs; and a last time, with done == total, by the calling thread before it
     * returns, also for n == 0, unless the call returns an error without having run or skipped anything. It holds up
     * the map. exec_progress_bar() is one (exec/progress.h). NULL: nothing. */
    void (*progress)(size_t done, size_t total, void *ctx);
    void *progress_ctx;
} exec_map_opts;

/* results[i] = fn(args[i]) for i from 0 to n - 1, in no particular order, and returns when all have finished. Results
 * keep the order of the arguments. results may be NULL. The result of an item that failed or was skipped is NULL.
 * results may be args itself: then each result takes its argument's place, and items that failed or were skipped keep
 * theirs. Returns 0 when all items succeeded, also when n is 0; otherwise the error of the lowest index that failed,
 * where with .stop_on_error the items that merely stopped because of another's failure do not count. When the calling
 * task is asked to stop, or its executor discards, items that have not started are skipped: ECANCELED. EINVAL: NULL
 * executor or function, NULL args with n > 0. ESHUTDOWN: called from outside of an executor that was shut down; nothing
 * has run. (Called in one of its tasks it works.) ENOMEM, EOWNERDEAD: nothing has run. */
int executor_map(executor_t *ex, exec_fn *fn, void *const args[], void *results[], size_t n, const exec_map_opts *opts);

/* The body of a loop: works through the indices from begin to end - 1. May call exec_fail() to fail the range. */
typedef void exec_range_fn(size_t begin, size_t end, void *ctx);

/* Calls body for ranges that together cover 0 to n - 1, each index once, and returns when all have finished; as
 * executor_map() in everything else. A range that fails sets the error of each of its indices. */
int executor_for(executor_t *ex, size_t n, exec_range_fn *body, void *ctx, const exec_map_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
