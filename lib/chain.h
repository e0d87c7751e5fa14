/* chain.h - who waits for whom. See chain.c. */
#ifndef EXEC__CHAIN_H
#define EXEC__CHAIN_H

#include "future.h"
#include "sleep.h"

/* Whether f runs on the calling thread, beneath what runs now. */
bool exec__runs_beneath(const future_t *f);

/* A task that nobody else will come to run. */
struct exec__starving {
    future_t *f;   /* with a reference; NULL: there is none */
    bool stranger; /* who sleeps may not wait for it, but only for what it has to make room for */
};

/* The calling thread's sleeper, entered, and about to sleep: 0 when it may; EDEADLK when it would wait for itself;
 * EAGAIN when a task is to be run first, which is in *starving then; EDEADLK with a task there, when that one is held
 * and to fail, since it waits for the caller, which has to wait for it. */
int exec__chain_check_locked(struct exec__sleeper *self, struct exec__starving *starving);

#endif
