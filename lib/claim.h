/* claim.h - running a task on the thread that waits for it. See claim.c. */
#ifndef EXEC__CLAIM_H
#define EXEC__CLAIM_H

#include "pool.h"

/* Runs a started task in the seat the thread holds, finishes it, and drops the references. */
void exec__seat_run(struct exec__seat *seat, future_t *f, unsigned references);

/* Names the task at the base of a seat, NULL: none. By its owner. */
void exec__seat_set_base(struct exec__seat *seat, future_t *base);

/* A task that is awaited here: runs it on this thread, if it is PENDING and that is its due. With patience it is left
 * to an idle worker, if there is one. 0, or an error that ends the wait. */
int exec__claim(future_t *f, bool patient);

/* The same, for one whose executor cannot run it before the caller's wait ends: a seat or none, it is run here; or, a
 * stranger that its limiter has let through, on a thread of its own, if there can be one. */
int exec__claim_starving(future_t *f, bool stranger);

/* What such a task has let go of, and so on, as long as the same exploration of the chain of waits has found it. */
void exec__claim_released(void);

/* Runs something that a task running elsewhere has submitted: true, when there was anything. */
bool exec__claim_descendant(const future_t *f);

/* Whether it is PENDING and the calling thread holds a seat of its executor. */
bool exec__claimable(const future_t *f);

#endif
