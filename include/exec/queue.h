/* exec/queue.h - a bounded queue of pointers between any number of producers and consumers.
 *
 * First in, first out. A full queue holds producers back, an empty one consumers; closing it takes the place of the
 * pills with which consumers are otherwise told to stop. All functions may be called from any thread and in tasks.
 */
#ifndef EXEC_QUEUE_H
#define EXEC_QUEUE_H

#include <stddef.h>

#include <exec/time.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exec_queue exec_queue_t;

/* Makes a queue for up to `capacity` items. EINVAL: NULL out, a capacity of 0 or of more than 2^40. ENOMEM. */
int exec_queue_create(size_t capacity, exec_queue_t **out);

/* Appends an item, which may be NULL, and waits for room until the deadline. 0: appended. ETIMEDOUT: full until the
 * deadline (at once with EXEC_NOW). EPIPE: closed, before or during the wait. EINVAL: NULL queue. On an error the item
 * remains the caller's. A cancellation point (POSIX). */
int exec_queue_put(exec_queue_t *q, void *item, exec_time deadline);

/* Takes the oldest item into *item, and waits for one until the deadline. 0: taken. ETIMEDOUT: empty until the
 * deadline. EPIPE: closed, and empty: nothing will come any more. EINVAL: NULL. A cancellation point (POSIX). */
int exec_queue_get(exec_queue_t *q, exec_time deadline, void **item);

/* Closes it: puts are refused with EPIPE from now on, also those that wait; gets go on until it is empty. Once is
 * enough, more do no harm. */
void exec_queue_close(exec_queue_t *q);

/* How many items wait in it; out of date as soon as it is known. */
size_t exec_queue_len(const exec_queue_t *q);

/* Frees it; items still in it remain the caller's to free. No other call may be under way. NULL: nothing. */
void exec_queue_destroy(exec_queue_t *q);

#ifdef __cplusplus
}
#endif
#endif
