/* exec/retry.h - what becomes of a task that fails: how often, and how much later, it is run again. */
#ifndef EXEC_RETRY_H
#define EXEC_RETRY_H

#include <stdbool.h>

#include <exec/time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How the delay between two runs is spread, so that what failed together is not tried again together. d stands for the
 * delay without jitter. After Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015). */
enum exec_jitter {
    EXEC_JITTER_FULL,  /* anything from 0 to d */
    EXEC_JITTER_EQUAL, /* anything from d / 2 to d */
    EXEC_JITTER_NONE   /* d */
};

/* The delay d is .delay after the first run, and .factor times the one before after each further run, but never more
 * than .max_delay. The delay is counted from the end of the run that failed. All zero: no retry. */
typedef struct exec_retry {
    unsigned attempts;       /* how many runs there are in all, at most; 0 and 1: one */
    exec_time delay;         /* 0: EXEC_MS(100) */
    exec_time max_delay;     /* 0: EXEC_SEC(30), or .delay where that is more; EXEC_NEVER: no bound */
    double factor;           /* 1 or more, and finite; 0: 2 */
    enum exec_jitter jitter; /* EXEC_JITTER_FULL unless given */
    bool (*when)(int error, unsigned attempt, void *ctx); /* whether a run that ended with this error is worth another;
                                attempt is 1 for the first. Called after each run that failed but the last. NULL: every
                                error is */
    void *ctx;                                            /* for when */
} exec_retry;

#ifdef __cplusplus
}
#endif
#endif
