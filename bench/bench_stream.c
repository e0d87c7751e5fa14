/* bench_stream.c - one thread outside of the pool submits many empty tasks, then collects every result.
 *
 *     bench_stream [TASKS [WORKERS]]      1,000,000 tasks and 2 workers, unless given
 *
 * The figure includes the making and the freeing of each task's future. "measured" is the same with .measure, which
 * looks at the clock three times a task; "traced" while a trace is recorded.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { THREADS = 10000, THREADS_AT_ONCE = 100 };

struct stream {
    executor_t *ex;
    future_t **futures;
    size_t n;
};

static void *empty(void *arg) {
    return arg;
}

static exec_fn *volatile call = empty; /* volatile: the loop must call, too */

static double run_libexec(void *ctx) {
    struct stream *stream = ctx;
    void *result;
    exec_time start = exec_now();
    for (size_t i = 0; i < stream->n; i++)
        bench_check("executor_submit", executor_submit(stream->ex, call, stream, NULL, &stream->futures[i]));
    for (size_t i = 0; i < stream->n; i++) {
        bench_check("future_get", future_get(stream->futures[i], &result));
        future_unref(stream->futures[i]);
    }
    return bench_ns_per(start, (double)stream->n);
}

static double run_traced(void *ctx) {
    struct stream *stream = ctx;
    bench_check("executor_trace_start", executor_trace_start(stream->ex, NULL));
    double figure = run_libexec(ctx);
    bench_check("executor_trace_stop", executor_trace_stop(stream->ex, NULL));
    return figure;
}

static double run_loop(void *ctx) {
    struct stream *stream = ctx;
    exec_time start = exec_now();
    for (size_t i = 0; i < stream->n; i++)
        call(stream);
    return bench_ns_per(start, (double)stream->n);
}

static double run_threads(void *ctx) {
    exec_time start = exec_now();
    bench_threads(THREADS, THREADS_AT_ONCE, call, ctx);
    return bench_ns_per(start, THREADS);
}

int main(int argc, char *argv[]) {
    const char *usage = "bench_stream [TASKS [WORKERS]]";
    size_t n = bench_argument(argc, argv, 1, 1000000, 1000000000, usage);
    size_t workers = bench_argument(argc, argv, 2, 2, 32767, usage);
    char name[64];

    struct stream stream = {bench_executor((unsigned)workers, 0), bench_alloc(n, sizeof(future_t *)), n};
    struct stream measured = stream;
    bench_check("executor_create",
                executor_create(&(executor_opts){.workers = (unsigned)workers, .measure = true}, &measured.ex));
    snprintf(name, sizeof name, "stream, %zu tasks, %zu workers", n, workers);
    const struct bench_side sides[] = {
        {"libexec", run_libexec, &stream}, {"measured", run_libexec, &measured},      {"traced", run_traced, &stream},
        {"loop", run_loop, &stream},       {"thread per task", run_threads, &stream}, {0},
    };
    bench_case(name, "ns/task", sides);
    executor_destroy(stream.ex);
    executor_destroy(measured.ex);
    free(stream.futures);
    return 0;
}
