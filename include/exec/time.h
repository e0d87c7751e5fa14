/* exec/time.h - points in time and durations.
 *
 * Every time is an exec_time: signed 64-bit nanoseconds. A deadline is absolute, on CLOCK_MONOTONIC, so that it stays
 * right however many calls it is handed through, and whatever happens to the wall clock. A timeout, delay or period is
 * a duration. EXEC_MS() and the like make durations; exec_after() turns one into a deadline.
 */
#ifndef EXEC_TIME_H
#define EXEC_TIME_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t exec_time;

#define EXEC_NEVER INT64_MAX    /* the deadline that does not come: wait as long as it takes */
#define EXEC_NOW ((exec_time)0) /* the deadline that has passed: look, but do not wait */

/* Durations. The argument may be an integer or a floating-point number: EXEC_SEC(1), EXEC_SEC(0.5). */
#define EXEC_NS(n) ((exec_time)(n))
#define EXEC_US(n) ((exec_time)(INT64_C(1000) * (n)))
#define EXEC_MS(n) ((exec_time)(INT64_C(1000000) * (n)))
#define EXEC_SEC(n) ((exec_time)(INT64_C(1000000000) * (n)))

/* The present moment on CLOCK_MONOTONIC; always more than EXEC_NOW. Safe in a signal handler. */
exec_time exec_now(void);

/* The deadline a duration from now. Saturates: EXEC_NEVER, and whatever would come after it, is EXEC_NEVER; what would
 * lie before the clock's zero is EXEC_NOW. Safe in a signal handler. */
exec_time exec_after(exec_time duration);

#ifdef __cplusplus
}
#endif
#endif
