/* task.h - one task's run: the frames on a thread's stack, and the call itself. See task.c. */
#ifndef EXEC__TASK_H
#define EXEC__TASK_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <exec/task.h>

#include "future.h"
#include "thread.h"

/* Something that runs on a thread: a task, or the share of a map. On that thread's stack; the innermost one is
 * exec__self.frame. All but the last two r/o while it is there. */
struct exec__frame {
    struct exec__frame *below;        /* what it runs on top of, on this thread */
    const struct exec__frame *within; /* a map, a member: what it was called or opened in, maybe on another thread */
    const struct exec__pool *pool;    /* the executor it belongs to */
    const _Atomic bool *discarding;   /* that one's */
    struct exec__seat *seat;          /* where it runs, or NULL */
    future_t *task;                   /* a task's future, else NULL */
    const _Atomic bool *stop;         /* a map's, else NULL */
    exec_time deadline;               /* a map's or a group's, or the task's own, else EXEC_NEVER */
    exec_time began;                  /* a task's that has times (plan.c) */
    _Atomic unsigned scopes;          /* what was opened in it and is not closed (scope.c) */
    int error;                        /* what exec_fail() left; the thread's own */
};

static inline void exec__frame_push(struct exec__frame *frame) {
    frame->below = exec__self.frame;
    exec__self.frame = frame;
}

static inline void exec__frame_pop(struct exec__frame *frame) {
    exec__self.frame = frame->below;
}

/* Has anyone asked what runs in this frame to stop? Any thread that knows the frame to be there. */
bool exec__frame_cancelled(const struct exec__frame *frame);

/* The first of the deadlines in whose way it may be asked to, or the given one. */
exec_time exec__frame_deadline(const struct exec__frame *frame, exec_time deadline);

/* Calls the function of a future that exec__future_start() has made RUNNING; what to finish it with; or
 * EXEC__ABANDONED_BY_NOW (abandon.c): somebody else has finished it. */
#define EXEC__ABANDONED_BY_NOW INT_MIN
int exec__task_call(future_t *f, const _Atomic bool *discarding, void **value);

/* The same, and finishes it, and drops the references. */
void exec__task_run(future_t *f, const _Atomic bool *discarding, unsigned references);

/* fn(arg) into *value, as a task in the frame, which is the innermost one: 0, an error from exec_fail(), or EOWNERDEAD
 * when the function left its thread. */
int exec__call(exec_fn *fn, void *arg, struct exec__frame *frame, void **value);

/* Whether a task's function has returned what exec_fail() gave it. */
extern char exec__failure;
static inline bool exec__is_failure(const void *value) {
    return value == &exec__failure;
}

/* After a flag was raised: wakes those sleepers whose tasks it concerns. */
void exec__rouse_cancelled(void);

/* How often that was called: while it does not change, and no deadline passes, nobody is asked to stop. */
extern _Atomic unsigned exec__stops;

#endif
