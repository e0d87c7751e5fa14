/* plan.h - the times of a task: when it starts, how long it may take, whether it runs again. See plan.c. */
#ifndef EXEC__PLAN_H
#define EXEC__PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abandon.h"
#include "cron.h"
#include "hold.h"
#include "limiter.h"
#include "task.h"
#include "timer.h"

struct exec__plan {
    struct exec__timer start; /* its next run, while the task is held for it (hold.c) */
    struct exec__timer limit; /* what it is to be asked to stop at; armed, it has a reference to the future */
    future_t *f;              /* r/o after init, as are the next */
    struct exec__pool *pool;
    exec_time deadline; /* EXEC_NEVER: none */
    exec_time timeout;  /* of a run; EXEC_NEVER: none */
    exec_time every;    /* 0: no period */
    bool keep_going;
    exec_retry retry;
    struct exec__zone *zone; /* of the cron expression; NULL: there is none */
    struct exec__cron cron;

    bool abandons;        /* on_timeout is EXEC_ABANDON, and there is a timeout; r/o after init */
    struct exec__run run; /* its lock, if the task abandons */

    exec_limiter_t *limiter; /* a reference, or NULL */
    struct exec__turn turn;  /* its lock */

    /* By who runs it, or moves it on: there is but one at a time. */
    size_t left;      /* runs of a schedule, this one included; 0: without end */
    unsigned attempt; /* which of this run's, from 1 */
    exec_time due;    /* when it is to start; */
    exec_time of_run; /* and, of a period, when its first attempt was */
    int64_t target;   /* the same on CLOCK_REALTIME, of a cron expression; */
    int64_t offset;   /* and what that clock was ahead of the monotonic one when `due` was found */
};

/* Have these options anything to do with times? */
bool exec__has_times(const exec_task_opts *opts);

/* Do they have it start later than it could? */
bool exec__starts_later(const exec_task_opts *opts);

/* 0, or EINVAL: they are out of their ranges, or contradict each other. */
int exec__plan_check(const exec_task_opts *opts);

/* Makes the plan of a task that nobody else knows yet, and that has a hold. 0; ENOMEM; EAGAIN: there is no room for the
 * timer thread; what the zone cannot be read for. */
int exec__plan_new(future_t *f, struct exec__pool *p, const exec_task_opts *opts);
void exec__plan_free(struct exec__plan *plan);

/* Is its start still to come? May it be run more than once? */
bool exec__plan_is_early(struct exec__plan *plan);
bool exec__plan_repeats(const struct exec__plan *plan);
bool exec__plan_is_schedule(const struct exec__plan *plan); /* .every or .cron */

/* The task is about to be accepted: from now on its deadline counts. */
void exec__plan_begin(struct exec__plan *plan);
/* It has ended, or was not accepted: nothing more is timed. How many references to its future that leaves over. */
unsigned exec__plan_end(struct exec__plan *plan);

/* Sees to it that the task's hold goes on at its time (hold.c), or looks again before. */
void exec__plan_wait(struct exec__plan *plan);
/* It is not to. True: it will not; false: it is about to. */
exec_time exec__plan_due(struct exec__plan *plan); /* when, 0: it does not wait for that */
bool exec__plan_forgo(struct exec__plan *plan);

/* A run begins: 0, or ETIMEDOUT; sets the frame's deadline. It has returned that: what the run has ended with. */
int exec__plan_run_begins(struct exec__plan *plan, struct exec__frame *frame);
int exec__plan_run_ends(struct exec__plan *plan, const struct exec__frame *frame, int error, void **value);

/* What the run has ended with is known. */
void exec__plan_report(struct exec__plan *plan, int error);

/* Before each run: true, if the task's limiter lets it through at once; else the hold is told (hold.c). It need not be:
 * true; or it is about to be. */
bool exec__plan_ask(struct exec__plan *plan);
bool exec__plan_unask(struct exec__plan *plan);

/* In the monitor: calls visit for each task that has to leave the task's limiter before that lets it through, if it
 * waits for nothing else, else for none. False: it could not look. */
bool exec__plan_each_before(struct exec__plan *plan, void (*visit)(future_t *f, void *ctx), void *ctx);

/* What a run has ended with is not the task's end: there will be another one, at plan->due. */
bool exec__plan_goes_on(struct exec__plan *plan, int error);

#endif
