/* bench_growth.c - how the cost of a task grows with the number of tasks, of workers, and with the queue's capacity.
 *
 *     bench_growth [--out FILE] [TASKS]      up to 10,000,000 tasks, unless given, and a tenth of that where the number
 *                                            of workers or the capacity varies
 *
 * The work is that of bench_stream.c: a thread outside of the pool submits empty tasks, keeps all of their futures, and
 * then collects every result; and that of bench_map.c: executor_map() over items of 20 rounds of xorshift. One thing
 * varies along a curve; else there are 2 workers, and a queue for 1024. Each point is measured on an executor of its
 * own, made and used before the clocks start, and its work done again until they have run for a tenth of a second. All
 * points of all curves take turns, run by run, so that a slow minute of the machine falls on all of them.
 *
 * A line a point: the medians and [quartiles] of BENCH_RUNS runs, 5 unless given, of the nanoseconds a task, and of the
 * processor time that the whole process has used for it. A curve that should be flat is, when the largest median of the
 * part that counts is at most 1.25 times the smallest. FILE gets the same for `make bench-plot`.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum { MOST_POINTS = 10, DEFAULT_RUNS = 5, WIDTH = 9, ROUNDS = 20, FEWEST = 1000, WORKERS = 2, CAPACITY = 1024 };

static const double flat = 1.25; /* largest / smallest */
static const exec_time long_enough = EXEC_MS(100);

enum axis { BY_TASKS, BY_WORKERS, BY_CAPACITY };
enum clock { WALL, PROCESSOR, CLOCKS };

struct point {
    size_t x;
    double *figures[CLOCKS]; /* of each run, in the end sorted */
};

struct curve {
    const char *name, *unit;
    enum axis axis;
    void (*work)(executor_t *ex, size_t n);
    size_t flat_from, flat_to; /* 0, 0: it need not be flat */
    struct point points[MOST_POINTS];
    size_t npoints;
};

static size_t most_tasks, runs;   /* r/o */
static future_t **futures;        /* most_tasks */
static void **arguments, **items; /* most_tasks of each */

/* --- the work --- */

static void *empty(void *arg) {
    return arg;
}

static void stream(executor_t *ex, size_t n) {
    for (size_t i = 0; i < n; i++)
        bench_check("executor_submit", executor_submit(ex, empty, &futures[i], NULL, &futures[i]));
    for (size_t i = 0; i < n; i++) {
        void *result;
        bench_check("future_get", future_get(futures[i], &result));
        bench_expect("a result", (uintptr_t)result, (uintptr_t)&futures[i]);
        future_unref(futures[i]);
    }
}

static void *item(void *arg) {
    return (void *)bench_xorshift((uintptr_t)arg, ROUNDS);
}

static void map(executor_t *ex, size_t n) {
    bench_check("executor_map", executor_map(ex, item, arguments, items, n, NULL));
    bench_expect("an item", (uintptr_t)items[n / 2], (uintptr_t)item(arguments[n / 2]));
    items[n / 2] = NULL;
}

/* --- the curves --- */

static struct curve curves[] = {
    {.name = "stream", .unit = "task", .axis = BY_TASKS, .work = stream, .flat_from = 10000, .flat_to = 10000000},
    {.name = "stream", .unit = "task", .axis = BY_WORKERS, .work = stream, .flat_from = 2, .flat_to = 64},
    {.name = "stream", .unit = "task", .axis = BY_CAPACITY, .work = stream},
    {.name = "map x20", .unit = "item", .axis = BY_TASKS, .work = map, .flat_from = 10000, .flat_to = 10000000},
    {.name = "map x20", .unit = "item", .axis = BY_WORKERS, .work = map, .flat_from = 2, .flat_to = 64},
};
enum { CURVES = sizeof curves / sizeof curves[0] };

static size_t tasks_at(const struct curve *c, size_t x) {
    return c->axis == BY_TASKS ? x : most_tasks / 10;
}

static void describe(const struct curve *c, char *text, size_t size) {
    size_t n = tasks_at(c, 0);
    switch (c->axis) {
    case BY_TASKS: snprintf(text, size, "%s, by %ss: %d workers", c->name, c->unit, WORKERS); break;
    case BY_WORKERS: snprintf(text, size, "%s, by workers: %zu %ss", c->name, n, c->unit); break;
    case BY_CAPACITY: snprintf(text, size, "%s, by capacity: %zu %ss, %d workers", c->name, n, c->unit, WORKERS); break;
    }
}

static const char *axis_name(const struct curve *c) {
    return c->axis == BY_WORKERS    ? "workers"
           : c->axis == BY_CAPACITY ? "capacity"
           : c->unit[0] == 't'      ? "tasks"
                                    : "items";
}

/* Points from the first x on, each so many times the one before. */
static void add_points(struct curve *c, size_t x, size_t times, size_t last) {
    for (; x <= last; x *= times) {
        struct point *p = &c->points[c->npoints++];
        p->x = x;
        for (int clock = 0; clock < CLOCKS; clock++)
            p->figures[clock] = bench_alloc(runs, sizeof *p->figures[clock]);
    }
}

static void prepare(void) {
    futures = bench_alloc(most_tasks, sizeof *futures);
    arguments = bench_alloc(most_tasks, sizeof *arguments);
    items = bench_alloc(most_tasks, sizeof *items);
    for (size_t i = 0; i < most_tasks; i++)
        arguments[i] = (void *)(uintptr_t)(i + 1);
    for (struct curve *c = curves; c < curves + CURVES; c++) {
        switch (c->axis) {
        case BY_TASKS: add_points(c, FEWEST, 10, most_tasks); break;
        case BY_WORKERS: add_points(c, 1, 2, 64); break;
        case BY_CAPACITY: add_points(c, 1, 4, 65536); break;
        }
    }
}

/* --- measuring --- */

static void measure(const struct curve *c, struct point *p, size_t run) {
    size_t n = tasks_at(c, p->x), done = 0;
    executor_t *ex =
        bench_executor(c->axis == BY_WORKERS ? (unsigned)p->x : WORKERS, c->axis == BY_CAPACITY ? p->x : CAPACITY);
    c->work(ex, FEWEST);
    exec_time start = exec_now(), cpu = bench_cpu_time();
    do {
        c->work(ex, n);
        done += n;
    } while (exec_now() - start < long_enough);
    p->figures[WALL][run] = bench_ns_per(start, (double)done);
    p->figures[PROCESSOR][run] = (double)(bench_cpu_time() - cpu) / (double)done;
    executor_destroy(ex);
}

static void measure_all(void) {
    for (size_t run = 0; run < runs; run++)
        for (struct curve *c = curves; c < curves + CURVES; c++)
            for (size_t i = 0; i < c->npoints; i++)
                measure(c, &c->points[i], run);
    for (struct curve *c = curves; c < curves + CURVES; c++)
        for (size_t i = 0; i < c->npoints * CLOCKS; i++)
            bench_sort(c->points[i / CLOCKS].figures[i % CLOCKS], runs);
}

/* --- figures --- */

static double quantile(const struct point *p, enum clock clock, double q) {
    return bench_quantile(p->figures[clock], runs, q);
}

static bool counts(const struct curve *c, const struct point *p) {
    return p->x >= c->flat_from && p->x <= c->flat_to;
}

/* The largest median of those that count, and the smallest. 0, when there are none. */
static double extreme(const struct curve *c, enum clock clock, bool largest) {
    double found = 0;
    for (size_t i = 0; i < c->npoints; i++) {
        double median = quantile(&c->points[i], clock, 0.5);
        if (counts(c, &c->points[i]) && (found == 0 || (median > found) == largest))
            found = median;
    }
    return found;
}

static void print_figures(const struct point *p, enum clock clock) {
    bench_print(WIDTH, quantile(p, clock, 0.5));
    printf("  [");
    bench_print(WIDTH, quantile(p, clock, 0.25));
    bench_print(WIDTH, quantile(p, clock, 0.75));
    printf(" ]");
}

static void print_flatness(const struct curve *c) {
    static const char *const names[] = {[WALL] = "wall", [PROCESSOR] = "processor"};
    size_t last = c->points[c->npoints - 1].x;
    if (extreme(c, WALL, false) == 0)
        return;
    printf("  from %zu to %zu %s, largest / smallest:", c->flat_from, last < c->flat_to ? last : c->flat_to,
           axis_name(c));
    for (enum clock clock = WALL; clock < CLOCKS; clock++) {
        double ratio = extreme(c, clock, true) / extreme(c, clock, false);
        printf("%s %s %.2f, %s %.0f %%", clock == WALL ? "" : ";", names[clock], ratio,
               ratio <= flat ? "within" : "beyond", (flat - 1) * 100);
    }
    printf("\n");
}

static void print_curve(const struct curve *c) {
    char title[80];
    describe(c, title, sizeof title);
    printf("\n%s; ns per %s\n", title, c->unit);
    printf("%10s%*s  [%*s%*s ]%*s  [%*s%*s ]\n", axis_name(c), WIDTH, "wall", WIDTH, "quartile", WIDTH, "quartile",
           WIDTH, "processor", WIDTH, "quartile", WIDTH, "quartile");
    for (size_t i = 0; i < c->npoints; i++) {
        printf("%10zu", c->points[i].x);
        print_figures(&c->points[i], WALL);
        print_figures(&c->points[i], PROCESSOR);
        printf("\n");
    }
    print_flatness(c);
}

/* A block for gnuplot, two blank lines before the next: a line a point. x; median and quartiles by the wall clock, and
 * the same of processor time; what a flat curve's wall time lies between, where that counts; the title, the axes. */
static void write_curve(FILE *file, const struct curve *c) {
    char title[80];
    describe(c, title, sizeof title);
    double smallest = extreme(c, WALL, false);
    fprintf(file, c == curves ? "" : "\n\n");
    for (size_t i = 0; i < c->npoints; i++) {
        const struct point *p = &c->points[i];
        fprintf(file, "%zu", p->x);
        for (enum clock clock = WALL; clock < CLOCKS; clock++)
            fprintf(file, " %.4f %.4f %.4f", quantile(p, clock, 0.5), quantile(p, clock, 0.25),
                    quantile(p, clock, 0.75));
        if (counts(c, p))
            fprintf(file, " %.4f %.4f", smallest, smallest * flat);
        else
            fprintf(file, " NaN NaN");
        fprintf(file, " \"%s\" \"%s\" \"ns per %s\"\n", title, axis_name(c), c->unit);
    }
}

static void write_all(const char *path) {
    FILE *file = fopen(path, "w");
    bench_check(path, file == NULL ? errno : 0);
    for (const struct curve *c = curves; c < curves + CURVES; c++)
        write_curve(file, c);
    bench_check(path, fclose(file) != 0 ? errno : 0);
}

int main(int argc, char *argv[]) {
    const char *usage = "bench_growth [--out FILE] [TASKS]", *path = NULL;
    if (argc > 2 && strcmp(argv[1], "--out") == 0) {
        path = argv[2];
        argc -= 2;
        argv += 2;
    }
    most_tasks = bench_argument(argc, argv, 1, 10000000, 1000000000, usage);
    runs = bench_runs(DEFAULT_RUNS);
    most_tasks = most_tasks < FEWEST ? FEWEST : most_tasks;
    prepare();
    measure_all();
    for (const struct curve *c = curves; c < curves + CURVES; c++)
        print_curve(c);
    if (path != NULL)
        write_all(path);
    free(futures);
    free(arguments);
    free(items);
    return 0;
}
