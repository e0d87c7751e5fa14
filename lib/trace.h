/* trace.h - recording what workers do. See trace.c. */
#ifndef EXEC__TRACE_H
#define EXEC__TRACE_H

#include <stdatomic.h>

#include <exec/trace.h>

struct exec__pool;

/* What happened. A run has a span; the others are moments. */
enum exec__event_kind { EXEC__RUN, EXEC__STEAL, EXEC__PARK, EXEC__WAKE };

/* The times of a run; `ready` 0: since when it could have started is not known. */
struct exec__run_times {
    exec_time ready, began, ended;
};

/* A run has ended: error 0, or how. */
void exec__trace_run(struct exec__pool *p, const char *name, struct exec__run_times span, int error);
/* Something has happened to the worker in whose seat this thread is, or was. */
void exec__trace_moment(struct exec__pool *p, enum exec__event_kind kind, unsigned seat);

void exec__trace_fini(struct exec__pool *p);
void exec__trace_orphan(struct exec__pool *p); /* in a forked child: nobody else writes any more */

#endif
