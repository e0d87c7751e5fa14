/* bench.c - the harness of bench.h: takes turns, sorts figures, prints lines. */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_SIDES = 16, MAX_RUNS = 10000, DEFAULT_RUNS = 5 };

static void fail(const char *what, const char *why) {
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

void bench_check(const char *what, int error) {
    if (error != 0)
        fail(what, strerror(error));
}

void bench_expect(const char *what, unsigned long long actual, unsigned long long expected) {
    if (actual == expected)
        return;
    fprintf(stderr, "bench: %s: %llu, expected %llu\n", what, actual, expected);
    exit(1);
}

void *bench_alloc(size_t n, size_t size) {
    volatile char *memory = calloc(n, size);
    if (memory == NULL)
        fail("bench_alloc", strerror(ENOMEM));
    for (size_t i = 0; i < n * size; i += 4096)
        memory[i] = 0;
    return (void *)memory;
}

executor_t *bench_executor(unsigned workers, size_t capacity) {
    executor_t *ex;
    bench_check("executor_create", executor_create(&(executor_opts){.workers = workers, .capacity = capacity}, &ex));
    return ex;
}

double bench_ns_per(exec_time start, double count) {
    return (double)(exec_now() - start) / count;
}

exec_time bench_cpu_time(void) {
    struct rusage usage;
    bench_check("getrusage", getrusage(RUSAGE_SELF, &usage) != 0 ? errno : 0);
    return EXEC_SEC(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           EXEC_US(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void bench_threads(size_t n, size_t at_once, exec_fn *fn, void *arg) {
    pthread_t *threads = bench_alloc(at_once, sizeof *threads);
    while (n > 0) {
        size_t batch = n < at_once ? n : at_once;
        for (size_t i = 0; i < batch; i++)
            bench_check("pthread_create", pthread_create(&threads[i], NULL, fn, arg));
        for (size_t i = 0; i < batch; i++)
            bench_check("pthread_join", pthread_join(threads[i], NULL));
        n -= batch;
    }
    free(threads);
}

/* Reads a whole decimal number from 1 to `most`. 0 for anything else. */
static size_t parse(const char *text, size_t most) {
    if (strspn(text, "0123456789") != strlen(text))
        return 0;
    errno = 0;
    unsigned long long number = strtoull(text, NULL, 10);
    return errno == 0 && number <= most ? (size_t)number : 0;
}

size_t bench_argument(int argc, char *argv[], int index, size_t otherwise, size_t most, const char *usage) {
    if (argc <= index)
        return otherwise;
    size_t number = parse(argv[index], most);
    if (number == 0) {
        fprintf(stderr, "usage: %s\n", usage);
        exit(2);
    }
    return number;
}

size_t bench_runs(size_t otherwise) {
    const char *text = getenv("BENCH_RUNS");
    size_t runs = text == NULL ? otherwise : parse(text, MAX_RUNS);
    if (runs == 0)
        fail("BENCH_RUNS", "not a number from 1 to 10000");
    return runs;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_sort(double *figures, size_t n) {
    qsort(figures, n, sizeof *figures, by_value);
}

double bench_quantile(const double *sorted, size_t n, double q) {
    double position = q * (double)(n - 1);
    size_t below = (size_t)position;
    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + (position - (double)below) * (sorted[below + 1] - sorted[below]);
}

void bench_print(int width, double value) {
    double size = value < 0 ? -value : value;
    printf("%*.*f", width, size >= 99.95 ? 0 : size >= 9.995 ? 1 : size >= 0.9995 ? 2 : 3, value);
}

static void print_side(const char *name, double *figures, size_t runs, double reference) {
    bench_sort(figures, runs);
    double median = bench_quantile(figures, runs, 0.5);
    printf("  %s ", name);
    bench_print(0, median);
    printf(" [");
    bench_print(0, bench_quantile(figures, runs, 0.25));
    printf(" ");
    bench_print(0, bench_quantile(figures, runs, 0.75));
    printf("]");
    if (reference > 0) {
        printf(" ");
        bench_print(0, median / reference);
        printf("x");
    }
}

void bench_case(const char *name, const char *unit, const struct bench_side sides[]) {
    double *figures[MAX_SIDES];
    size_t nsides = 0, runs = bench_runs(DEFAULT_RUNS);
    for (; sides[nsides].name != NULL; nsides++) {
        if (nsides == MAX_SIDES)
            fail(name, "too many sides");
        figures[nsides] = bench_alloc(runs, sizeof **figures);
    }

    for (size_t run = 0; run < runs; run++) {
        for (size_t side = 0; side < nsides; side++)
            figures[side][run] = sides[side].run(sides[side].ctx);
    }

    double reference = 0;
    printf("%-34s %-12s", name, unit);
    for (size_t side = 0; side < nsides; side++) {
        print_side(sides[side].name, figures[side], runs, reference);
        if (side == 0)
            reference = bench_quantile(figures[0], runs, 0.5);
        free(figures[side]);
    }
    printf("\n");
    fflush(stdout);
}
