/* backoff.h - the arithmetic of retry: whether a task that failed is run again, and how much later. No locks, no clock,
 * no random numbers of its own.
 */
#ifndef EXEC__BACKOFF_H
#define EXEC__BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include <exec/retry.h>

/* 0, or EINVAL: a negative time; a factor that is less than 1, infinite or not a number; no such jitter. */
int exec__retry_check(const exec_retry *r);

/* Whether there is to be another run after run number `attempt`, 1 being the first, failed with this error. Calls
 * .when, unless it was the last run. */
bool exec__retry_wants(const exec_retry *r, int error, unsigned attempt);

/* The delay until then, of checked options; `random` is any 64 bits, all equally likely. */
exec_time exec__backoff(const exec_retry *r, unsigned attempt, uint64_t random);

#endif
