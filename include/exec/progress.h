/* exec/progress.h - shows how far a map, or a loop of one's own, is.
 *
 * Of a map it is told by the map:
 *
 *     exec_progress bar = {.title = "pages"};
 *     exec_map_opts opts = {.progress = exec_progress_bar, .progress_ctx = &bar, .failed = &bar.failed};
 *
 * and of anything else by hand, first with 0, then as often as one likes: exec_progress_bar(done, total, &bar).
 *
 * On a terminal it is one line, as wide as the window is just then, drawn at most 10 times a second: the title, a bar,
 * how much is done, at which rate, how long the rest will take at that, and how much has failed. Elsewhere, and where
 * TERM is unset or "dumb", it is a line of text every 5 seconds. In both cases the last line says how long all took.
 * There are no colours where the environment has a NO_COLOR that is not empty (no-color.org), and nothing is shown at
 * all where it has such a NO_PROGRESS. The environment is looked at when a bar begins.
 */
#ifndef EXEC_PROGRESS_H
#define EXEC_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <exec/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A bar, on its owner's stack or wherever: needs no more than to be zero but for what is wanted, and nothing when it is
 * no longer used. One thread at a time may use it, as a map does. */
typedef struct exec_progress {
    const char *title; /* before the bar: UTF-8, a column a character; control characters, and what is none, are '?'.
                           Kept as a pointer. NULL: none */
    FILE *out;         /* where to, which stays its owner's. NULL: stderr */
    bool quiet;        /* nothing is shown while it is true */
    size_t failed;     /* how much has failed so far, for exec_map_opts.failed to point to, or set by hand */

    struct {
        int phase, shows;      /* 0: as yet unknown */
        size_t columns;        /* of a terminal that does not say */
        exec_time began, next; /* when it may be shown again */
        exec_time measured;
        size_t first, done; /* then, and when it was measured */
        double rate;        /* items a nanosecond, lately; 0: unknown */
    } own;                  /* the library's, to be left alone */
} exec_progress;

/* Shows that `done` of `total` are done, if it is time for that; ctx is an exec_progress. A call with done >= total,
 * and only that, always shows it, and ends the bar and its line; from then on such calls do nothing, and one with less
 * begins it anew. Times and rates count from the call that begins it. Shown is only what it is called for: so a loop
 * that waits long calls it meanwhile, too, with what it did before. Waits where the stream does; errors of the stream
 * are left to ferror(). NULL ctx: nothing. Not a cancellation point. */
void exec_progress_bar(size_t done, size_t total, void *ctx);

/* Takes the line off a terminal, so that something else may be printed there, or since no more calls will follow; the
 * next call may draw it again. Where it is not on a terminal, it does nothing. NULL: nothing. Not a cancellation
 * point. */
void exec_progress_clear(exec_progress *bar);

#ifdef __cplusplus
}
#endif
#endif
