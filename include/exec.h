/* exec.h - all of libexec: executors, futures, map, groups, streams, bounded queues.
 *
 *     cc app.c -lexec
 *
 * Conventions, without exception:
 *
 * - A function that can fail returns 0 or a positive error number from <errno.h>, as the pthread functions do, and
 *   leaves errno alone. strerror() explains every error.
 * - An object that a function makes comes through an out-parameter, the last one, which a failed call leaves as it was.
 * - Options are structs passed by pointer; a field that is zero, and a NULL pointer, mean the documented default.
 * - Times are exec_time, nanoseconds: a deadline is a point on CLOCK_MONOTONIC, a timeout a duration (exec/time.h).
 *
 * The nouns have a header each, which may also be included alone.
 */
#ifndef EXEC_H
#define EXEC_H

#include <exec/time.h>
#include <exec/task.h>
#include <exec/future.h>
#include <exec/executor.h>
#include <exec/map.h>
#include <exec/group.h>
#include <exec/stream.h>
#include <exec/queue.h>
#include <exec/limiter.h>
#include <exec/retry.h>
#include <exec/cron.h>
#include <exec/progress.h>
#include <exec/stats.h>
#include <exec/trace.h>

#endif
