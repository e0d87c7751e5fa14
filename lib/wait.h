/* wait.h - waiting, for what is built on it. See wait.c. */
#ifndef EXEC__WAIT_H
#define EXEC__WAIT_H

#include <stdbool.h>
#include <stddef.h>

#include <exec/future.h>

#include "sleep.h"

/* What a thread sleeps for. */
struct exec__awaited {
    future_t *const *fs; /* so many of n different futures, */
    size_t n, want;
    struct exec__bell *bells; /* with room for n; */
    struct exec_group *group; /* or members of a group: any of them, or all, until is_over() says so */
    bool any;
    bool (*is_over)(const struct exec__awaited *a); /* called in the monitor */
    int goal;                                       /* is_over()'s */
};

/* Sleeps until then: 0, ETIMEDOUT, EDEADLK or ENOMEM. EAGAIN: look again, since something else has happened. */
int exec__sleep(const struct exec__awaited *a, exec_time until, enum exec__sleep_kind kind);

enum exec__sleep_kind exec__sleep_kind_here(void);

/* How long to sleep while a task is PENDING that this thread may yet have to run. */
exec_time exec__until_patience_ends(exec_time deadline);

/* Waits until the future has finished, or the deadline, whatever it takes: no cancellation point, and where the chain
 * of waits closes to a ring, another wait in it is the one that fails. */
void exec__wait_out(future_t *f, exec_time deadline);

#endif
