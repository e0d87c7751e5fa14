/* worker.h - the threads of an executor. See worker.c. */
#ifndef EXEC__WORKER_H
#define EXEC__WORKER_H

#include "pool.h"

/* Starts all workers, and waits for their on_start hooks: 0; or an error, and none is left. */
int exec__workers_start(struct exec__pool *p);

/* Waits until all have left, and joins them: 0 or ETIMEDOUT. The same for strays, but not with EXEC_NEVER: then
 * ETIMEDOUT at once. */
int exec__workers_join(struct exec__pool *p, exec_time deadline);

/* Threads that work in a worker's name (abandon.c). Starts one, which counts in pool.threads already: 0 or an error. It
 * gets its name, and calls its hook: 0 or that one's error. And it becomes that worker, whose seat it has taken. */
int exec__worker_thread(struct exec__worker *w, void *(*main)(void *), void *arg);
int exec__worker_enters(const struct exec__worker *w);
void exec__worker_works(struct exec__worker *w);
/* It does so in the place of one that is gone: says so. */
void exec__worker_replaced(const struct exec__worker *w);

/* Of an entry that was taken from the queue or a deque: starts its task, which is to be run then, or drops the entry.
 * */
bool exec__entry_accept(struct exec__pool *p, future_t *f);

/* An entry whose task is not to be run from there: its reference goes. Or the task is cancelled first, if it has not
 * started. */
void exec__entry_bury(struct exec__pool *p, future_t *f);
void exec__entry_drop(struct exec__pool *p, future_t *f);

/* The same, and as exec__entry_accept(), of an entry in the queue, which may be STALE. (Swept: the queue has stopped to
 * count it as dead.) */
bool exec__ring_entry_is_dead(const void *f);
void exec__ring_entry_swept(void *pool, void *f);
bool exec__ring_entry_drop(struct exec__pool *p, future_t *f); /* true: it is cancelled */
bool exec__ring_entry_accept(struct exec__pool *p, future_t *f);

/* The pool discards: cancels all that lies in the queue, the lanes and the deques. Any thread. */
void exec__pool_discard(struct exec__pool *p);

/* The holder of a seat has pushed a task there, and the pool has come to discard in the meantime. */
void exec__seat_discard(struct exec__seat *seat);

#endif
