/* limiter.h - a limiter, for the tasks it holds back. See limiter.c. */
#ifndef EXEC__LIMITER_H
#define EXEC__LIMITER_H

#include <stdbool.h>

#include <exec/limiter.h>

#include "timer.h"

struct exec__sleeper;

/* Who asks a limiter to be let through: part of a task's plan, or on the stack of a thread. */
struct exec__turn {
    struct exec__turn *next, **link; /* in its list; link is NULL while it is not there; limiter.lock, as is the rest */
    bool through;                    /* it has been let through, and counts until it leaves */
    exec_permit permit;              /* .started is set again by who runs a task, when it begins */
    void (*let_through)(struct exec__turn *t);       /* a task's: called without the lock. A thread's is NULL: */
    struct exec__sleeper *sleeper;                   /* it is roused instead, by who holds the lock */
    struct exec__timers *timers;                     /* a task's executor's, for when a token is due */
    struct exec__turn *next_through, **through_link; /* a task's among those that were let through */
};

/* EINVAL for NULL, EOWNERDEAD in a forked child, else 0. */
int exec__limiter_check(const exec_limiter_t *l);

exec_limiter_t *exec__limiter_ref(exec_limiter_t *l);
void exec__limiter_unref(exec_limiter_t *l);

/* A task asks: true, it is let through at once; or it will be told. */
bool exec__limiter_ask(exec_limiter_t *l, struct exec__turn *t);

/* It asks no longer: true; or it has been let through. */
bool exec__limiter_forgo(exec_limiter_t *l, struct exec__turn *t);

/* In the monitor: calls visit, with the lock held, for each task that was let through and has not left, if this turn
 * waits for nothing but that one of those leaves. 0; or EAGAIN: the lock was taken, and nobody was visited. */
int exec__limiter_each(exec_limiter_t *l, const struct exec__turn *t, void (*visit)(struct exec__turn *t, void *ctx),
                       void *ctx);

/* If it was let through: it has ended like that. ECANCELED: it counts as nothing. */
void exec__limiter_leave(exec_limiter_t *l, struct exec__turn *t, int error);

#endif
