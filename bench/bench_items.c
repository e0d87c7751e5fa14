/* bench_items.c - a stream of many items against executor_map() over an array of as many, and what a stream needs in
 * memory.
 *
 *     bench_items [ITEMS [WORKERS]]      10,000,000 items and 2 workers, unless given
 *
 * An item is 20 rounds of xorshift, as in bench_map.c. The loop calls the same function through a pointer. The second
 * case is the growth of resident memory from before the stream was opened to the most it was while the items came, in
 * a new process for each run, forked off before libexec was used, since freed memory is used again.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { ROUNDS = 20, SAMPLES = 100 };

struct items {
    size_t n;
    unsigned workers;
    executor_t *ex;
    void **args, **results; /* n of each, for the map */
    uintptr_t expected;     /* all results together, by xor */
};

static void *item(void *arg) {
    return (void *)bench_xorshift((uintptr_t)arg, ROUNDS);
}

static exec_fn *volatile call = item; /* volatile: the loop must call, too */

/* The source: 1, 2, 3 and so on. */
struct numbers {
    size_t last, n;
};

static int next_number(void *arg, void **number) {
    struct numbers *numbers = arg;
    if (numbers->last == numbers->n)
        return ENODATA;
    *number = (void *)(uintptr_t)++numbers->last;
    return 0;
}

static size_t resident_bytes(void) {
    size_t total, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL || fscanf(statm, "%zu %zu", &total, &resident) != 2)
        bench_check("/proc/self/statm", EIO);
    fclose(statm);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* Runs the whole stream. With `most`, looks SAMPLES times how much memory is resident. Returns the xor of the results.
 */
static uintptr_t consume(const struct items *items, const exec_stream_opts *opts, size_t *most) {
    struct numbers numbers = {0, items->n};
    size_t sample_every = items->n / SAMPLES + 1;
    uintptr_t all = 0;
    exec_stream_t *stream;
    exec_item out;
    bench_check("exec_stream_open", exec_stream_open(items->ex, next_number, &numbers, call, opts, &stream));
    while (exec_stream_next(stream, &out)) {
        all ^= (uintptr_t)out.result;
        if (most != NULL && out.index % sample_every == 0) {
            size_t resident = resident_bytes();
            *most = resident > *most ? resident : *most;
        }
    }
    bench_check("exec_stream_next", out.error);
    exec_stream_close(stream);
    return all;
}

static double time_stream(const struct items *items, const exec_stream_opts *opts) {
    exec_time start = exec_now();
    uintptr_t all = consume(items, opts, NULL);
    double figure = bench_ns_per(start, (double)items->n);
    bench_expect("results", all, items->expected);
    return figure;
}

static double run_ordered(void *ctx) {
    return time_stream(ctx, NULL);
}

static double run_unordered(void *ctx) {
    return time_stream(ctx, &(exec_stream_opts){.unordered = true});
}

/* The array of arguments was made before; the results are looked at, as a stream's are. */
static double run_map(void *ctx) {
    struct items *items = ctx;
    uintptr_t all = 0;
    exec_time start = exec_now();
    bench_check("executor_map", executor_map(items->ex, call, items->args, items->results, items->n, NULL));
    double figure = bench_ns_per(start, (double)items->n);
    for (size_t i = 0; i < items->n; i++)
        all ^= (uintptr_t)items->results[i];
    bench_expect("results", all, items->expected);
    return figure;
}

static double run_loop(void *ctx) {
    struct items *items = ctx;
    uintptr_t all = 0;
    exec_time start = exec_now();
    for (size_t i = 0; i < items->n; i++)
        all ^= (uintptr_t)call((void *)(uintptr_t)(i + 1));
    double figure = bench_ns_per(start, (double)items->n);
    items->expected = all;
    return figure;
}

static double measure_memory(struct items *items) {
    items->ex = bench_executor(items->workers, 0);
    size_t before = resident_bytes(), most = before;
    uintptr_t all = consume(items, NULL, &most);
    executor_destroy(items->ex);
    bench_expect("results", all, items->expected);
    return (double)(most - before) / 1024;
}

/* Measures in a child process, which sends the figure through a pipe. */
static double run_memory(void *ctx) {
    int fds[2], status;
    double figure;
    bench_check("pipe", pipe(fds) != 0 ? errno : 0);
    pid_t child = fork();
    bench_check("fork", child < 0 ? errno : 0);
    if (child == 0) {
        figure = measure_memory(ctx);
        _exit(write(fds[1], &figure, sizeof figure) != sizeof figure);
    }
    close(fds[1]);
    ssize_t size = read(fds[0], &figure, sizeof figure);
    close(fds[0]);
    bench_check("waitpid", waitpid(child, &status, 0) != child ? errno : 0);
    bench_check("measurement", size != sizeof figure || status != 0 ? EIO : 0);
    return figure;
}

static void memory_case(struct items *items) {
    char name[64];
    const struct bench_side sides[] = {
        {"stream", run_memory, items},
        {0},
    };
    snprintf(name, sizeof name, "items x%d, %zu, memory", ROUNDS, items->n);
    bench_case(name, "KiB in all", sides);
}

static void time_case(struct items *items) {
    char name[64];
    const struct bench_side sides[] = {
        {"map", run_map, items},
        {"stream", run_ordered, items},
        {"stream, as finished", run_unordered, items},
        {"loop", run_loop, items},
        {0},
    };
    items->ex = bench_executor(items->workers, 0);
    items->args = bench_alloc(items->n, sizeof *items->args);
    items->results = bench_alloc(items->n, sizeof *items->results);
    for (size_t i = 0; i < items->n; i++)
        items->args[i] = (void *)(uintptr_t)(i + 1);
    snprintf(name, sizeof name, "items x%d, %zu, %u workers", ROUNDS, items->n, items->workers);
    bench_case(name, "ns/item", sides);
    executor_destroy(items->ex);
    free(items->args);
    free(items->results);
}

int main(int argc, char *argv[]) {
    const char *usage = "bench_items [ITEMS [WORKERS]]";
    struct items items = {.n = bench_argument(argc, argv, 1, 10000000, 1000000000, usage)};
    items.workers = (unsigned)bench_argument(argc, argv, 2, 2, 8000, usage);
    run_loop(&items); /* finds what is expected */
    memory_case(&items);
    time_case(&items);
    return 0;
}
