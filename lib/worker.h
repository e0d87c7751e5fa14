/* worker.h - the threads of an executor. See worker.c. */
#ifndef EXEC__WORKER_H
#define EXEC__WORKER_H

#include "pool.h"

/* Starts all workers, and waits for their on_start hooks: 0; or an error, and none is left. */
int exec__workers_start(struct exec__pool *p);

/* Waits until all have left, and joins them: 0 or ETIMEDOUT. */
int exec__workers_join(struct exec__pool *p, exec_time deadline);

/* Of an entry that was taken from the queue or a deque: starts its task, which is to be run then, or drops the entry.
 * */
bool exec__entry_accept(struct exec__pool *p, future_t *f);

/* An entry whose task is not to be run from there: its reference goes. Or the task is cancelled first, if it has not
 * started. */
void exec__entry_bury(struct exec__pool *p, future_t *f);
void exec__entry_drop(struct exec__pool *p, future_t *f);

/* The same of an entry in the queue, which may be STALE. (Swept: the queue has stopped to count it as dead.) */
bool exec__ring_entry_is_dead(const void *f);
void exec__ring_entry_swept(void *pool, void *f);
void exec__ring_entry_drop(struct exec__pool *p, future_t *f);

/* The pool discards: cancels all that lies in the queue, the lanes and the deques. Any thread. */
void exec__pool_discard(struct exec__pool *p);

/* The holder of a seat has pushed a task there, and the pool has come to discard in the meantime. */
void exec__seat_discard(struct exec__seat *seat);

#endif
