/* trace.c - recording what workers do: executor_trace_start(), executor_trace_stop().
 *
 * A trace has a ring for each seat, written by who holds it, and one for all other threads, which take turns by its
 * lock. Who writes counts itself in pool.tracers and then looks whether there is a trace; who stops takes the trace out
 * of the pool and then waits until the count is 0: all sequentially consistent, so either the writer finds none, or is
 * waited for. Then the trace is the stopper's alone.
 */
#include "trace.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executor.h"
#include "memory.h"
#include "sync.h"
#include "text.h"

enum { DEFAULT_EVENTS = 16384, MOST_EVENTS = 1 << 24, NAME_BYTES = 32 };

struct event {
    uint32_t kind;                            /* enum exec__event_kind */
    int32_t error;                            /* of a run */
    struct exec__run_times span;              /* or its first moment */
    char name[NAME_BYTES - sizeof(uint64_t)]; /* the beginning of it */
    uint64_t thread;                          /* 0: who holds the seat */
};

_Static_assert(sizeof(struct event) == EXEC__CACHE_LINE, "an event is one cache line");

struct ring {
    _Alignas(EXEC__CACHE_LINE) uint64_t written; /* how many there ever were; by who writes here */
    struct event *events;
};

struct exec__trace {
    exec_time began;
    size_t size; /* of each ring */
    unsigned n;
    pthread_mutex_t lock; /* of the last ring, which all without a seat share */
    struct ring rings[];  /* n + 1 */
};

/* --- recording --- */

static struct event *next_event(struct ring *r, size_t size) {
    return &r->events[r->written++ % size];
}

/* The trace, which stays until leave(); NULL: there is none. */
static struct exec__trace *enter(struct exec__pool *p) {
    atomic_fetch_add(&p->tracers, 1);
    struct exec__trace *t = atomic_load(&p->trace);
    if (t == NULL)
        atomic_fetch_sub(&p->tracers, 1);
    return t;
}

static void leave(struct exec__pool *p) {
    atomic_fetch_sub(&p->tracers, 1);
}

static void add_run(struct exec__trace *t, bool seated, const char *name, struct exec__run_times span, int error) {
    struct event *e = next_event(&t->rings[seated ? exec__self.seat->index : t->n], t->size);
    *e = (struct event){.kind = EXEC__RUN,
                        .error = error < 0 ? -error : error,
                        .span = span,
                        .thread = seated ? 0 : (uint64_t)gettid()};
    exec__copy_name(e->name, sizeof e->name, name);
}

void exec__trace_run(struct exec__pool *p, const char *name, struct exec__run_times span, int error) {
    bool seated = exec__seated_in(p);
    struct exec__trace *t = enter(p);
    if (t == NULL)
        return;
    if (!seated)
        pthread_mutex_lock(&t->lock);
    if (span.began >= t->began)
        add_run(t, seated, name, span, error);
    if (!seated)
        pthread_mutex_unlock(&t->lock);
    leave(p);
}

void exec__trace_moment(struct exec__pool *p, enum exec__event_kind kind, unsigned seat) {
    exec_time now = exec_now();
    struct exec__trace *t = enter(p);
    if (t == NULL)
        return;
    *next_event(&t->rings[seat], t->size) = (struct event){.kind = kind, .span.began = now};
    leave(p);
}

/* --- starting and stopping --- */

static void free_trace(struct exec__trace *t) {
    for (unsigned i = 0; i <= t->n; i++)
        free(t->rings[i].events);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static struct exec__trace *new_trace(unsigned n, size_t size) {
    struct exec__trace *t = exec__aligned_alloc(EXEC__CACHE_LINE, sizeof *t + (n + 1) * sizeof t->rings[0]);
    if (t == NULL)
        return NULL;
    memset(t, 0, sizeof *t + (n + 1) * sizeof t->rings[0]);
    t->n = n;
    t->size = size;
    t->began = exec_now();
    t->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    for (unsigned i = 0; i <= n; i++) {
        t->rings[i].events = exec__calloc(size, sizeof(struct event));
        if (t->rings[i].events == NULL) {
            free_trace(t);
            return NULL;
        }
    }
    return t;
}

int executor_trace_start(executor_t *ex, const exec_trace_opts *opts) {
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    size_t size = opts != NULL && opts->events != 0 ? opts->events : DEFAULT_EVENTS;
    if (size > MOST_EVENTS)
        return EINVAL;
    struct exec__pool *p = &ex->pool;
    struct exec__trace *t = new_trace(p->n, size), *none = NULL;
    if (t == NULL)
        return ENOMEM;
    if (!atomic_compare_exchange_strong(&p->trace, &none, t)) {
        free_trace(t);
        return EALREADY;
    }
    atomic_fetch_or(&p->observed, EXEC__TRACES);
    return 0;
}

/* Off, and nobody writes any more. */
static struct exec__trace *take_trace(struct exec__pool *p) {
    struct exec__trace *t = atomic_exchange(&p->trace, NULL);
    if (t == NULL)
        return NULL;
    atomic_fetch_and(&p->observed, ~(unsigned)EXEC__TRACES);
    for (unsigned tries = 0; atomic_load(&p->tracers) > 0; tries++)
        exec__wait_a_little(tries);     /* for a few stores */
    if (atomic_load(&p->trace) != NULL) /* another has been started meanwhile */
        atomic_fetch_or(&p->observed, EXEC__TRACES);
    return t;
}

void exec__trace_fini(struct exec__pool *p) {
    struct exec__trace *t = take_trace(p);
    if (t != NULL)
        free_trace(t);
}

void exec__trace_orphan(struct exec__pool *p) {
    atomic_store(&p->tracers, 0);
    exec__trace_fini(p);
}

/* --- writing --- */

static void write_run(FILE *out, const struct event *e) {
    fprintf(out,
            ",\"dur\":%.3f,\"ph\":\"X\",\"cat\":\"task\",\"name\":", (double)(e->span.ended - e->span.began) / 1e3);
    exec__write_quoted(out, e->name[0] != '\0' ? e->name : "task");
    fputs(",\"args\":{\"outcome\":", out);
    exec__write_quoted(out, e->error == 0 ? "done" : strerror_l(e->error, uselocale((locale_t)0)));
    if (e->span.ready != 0)
        fprintf(out, ",\"ready_us\":%.3f", (double)(e->span.began - e->span.ready) / 1e3);
    fputc('}', out);
}

static void write_moment(FILE *out, const struct event *e) {
    static const char *const names[] = {[EXEC__STEAL] = "steal", [EXEC__PARK] = "park", [EXEC__WAKE] = "wake"};
    fprintf(out, ",\"ph\":\"i\",\"s\":\"t\",\"cat\":\"worker\",\"name\":\"%s\"", names[e->kind]);
}

static void write_ring(FILE *out, const struct exec__trace *t, unsigned ring) {
    const struct ring *r = &t->rings[ring];
    for (uint64_t i = r->written > t->size ? r->written - t->size : 0; i < r->written; i++) {
        const struct event *e = &r->events[i % t->size];
        fprintf(out, ",\n{\"pid\":1,\"tid\":%" PRIu64 ",\"ts\":%.3f", e->thread != 0 ? e->thread : (uint64_t)ring,
                (double)(e->span.began - t->began) / 1e3);
        if (e->kind == EXEC__RUN)
            write_run(out, e);
        else
            write_moment(out, e);
        fputc('}', out);
    }
}

static void write_trace(FILE *out, const struct exec__pool *p, const struct exec__trace *t) {
    fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{\"pid\":1,\"ph\":\"M\",\"name\":\"process_name\",\"args\":{"
          "\"name\":",
          out);
    exec__write_quoted(out, p->opts.name);
    fputs("}}", out);
    for (unsigned i = 0; i < t->n; i++)
        fprintf(out,
                ",\n{\"pid\":1,\"tid\":%u,\"ph\":\"M\",\"name\":\"thread_name\",\"args\":{\"name\":\"worker %u\"}}", i,
                i);
    for (unsigned i = 0; i <= t->n; i++)
        write_ring(out, t, i);
    fputs("\n]}\n", out);
}

int executor_trace_stop(executor_t *ex, FILE *out) {
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    struct exec__trace *t = take_trace(&ex->pool);
    if (t == NULL)
        return ENODATA;
    struct exec__text text;
    if (out != NULL && (error = exec__text_open(&text)) == 0) {
        write_trace(text.stream, &ex->pool, t);
        error = exec__text_write(&text, out);
    }
    free_trace(t);
    return error;
}
