/* exec/trace.h - a record of what an executor's workers do, to be looked at in time.
 *
 * While a trace is on, each run of a task leaves a span, with its name, how long it was ready before, and how it ended;
 * steals, and workers that fall asleep and are woken, leave a mark. They go into rings of fixed size, one for each
 * worker; when one is full, its oldest events are overwritten. The result is JSON in the trace event format that
 * Perfetto (ui.perfetto.dev) and chrome://tracing open ("Trace Event Format", Google 2016).
 */
#ifndef EXEC_TRACE_H
#define EXEC_TRACE_H

#include <stddef.h>
#include <stdio.h>

#include <exec/executor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* All zero: the default. */
typedef struct exec_trace_opts {
    size_t events; /* that each worker's ring has room for, 64 bytes each, at most 2^24. 0: 16384 */
} exec_trace_opts;

/* Starts to record. NULL options: the default. EALREADY: it is on. EINVAL: NULL executor, an option out of its range.
 * ENOMEM. EOWNERDEAD: in a forked child. Any thread. */
int executor_trace_start(executor_t *ex, const exec_trace_opts *opts);

/* Stops, and writes what was recorded; NULL: forgets it. Tasks that still run are left out. EINVAL: NULL executor.
 * ENODATA: no trace is on. ENOMEM. EOWNERDEAD. What writing has failed with (errno): the record is gone. */
int executor_trace_stop(executor_t *ex, FILE *out);

#ifdef __cplusplus
}
#endif
#endif
