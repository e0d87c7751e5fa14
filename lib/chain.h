/* chain.h - who waits for whom. See chain.c. */
#ifndef EXEC__CHAIN_H
#define EXEC__CHAIN_H

#include "future.h"
#include "sleep.h"

/* Whether f runs on the calling thread, beneath what runs now. */
bool exec__runs_beneath(const future_t *f);

/* The calling thread's sleeper, entered, and about to sleep: 0 when it may; EDEADLK when it would wait for itself;
 * EAGAIN when a task is to be run here first, which is in *starving then, with a reference; EDEADLK with a task there,
 * when that one is held and to fail, since it waits for the caller, which has to wait for it. */
int exec__chain_check_locked(struct exec__sleeper *self, future_t **starving);

#endif
