/* clock.h - the clocks the library goes by, which a test can replace by ones that stand still until it moves them. */
#ifndef EXEC__CLOCK_H
#define EXEC__CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <exec/time.h>

/* The present moment on CLOCK_REALTIME: nanoseconds since the Epoch. */
int64_t exec__realtime_now(void);

/* Does the time stand still? Then nobody who waits for a point in time may leave it to the system's clock. */
bool exec__clock_stands(void);

/* For tests (timer.h). From the first call on both clocks stand, at the present moment. Moves them on by a duration,
 * and CLOCK_REALTIME besides by `set`, as if somebody had set it. */
void exec__clock_shift(exec_time duration, int64_t set);
/* The system's again. */
void exec__clock_restore(void);

#endif
