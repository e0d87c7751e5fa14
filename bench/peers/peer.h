/* peer.h - how one library does one piece of work: what the programs in this folder share. C and C++.
 *
 *     peer_NAME list          the cases it can do, a line each: the name, a tab, the unit of the figure
 *     peer_NAME CASE          does it, and prints the figure; then, where it is a time for each of many, the time of
 *                             the processors for one, all threads of the process together
 *
 * There are two kinds of cases. Work is done once to warm up, then again and again for a fifth of a second at least,
 * and the figure is the mean of these. Other cases measure themselves, once, in a process that has done nothing else.
 *
 * `compare` runs these programs in turn. Each library does the same work in the way that is usual for it, with the
 * settings that are best for it; what they are is said in its file. All use PEER_WORKERS threads. What the work is, is
 * in work.h; what needs other threads to be in a certain state, in threads.h.
 */
#ifndef PEER_H
#define PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define PEER_WORKERS 2
#define PEER_LONG_ENOUGH 2e8 /* nanoseconds */

/* Does the work: n tasks, or n items, or fib(n). What `how` is depends on the case. */
typedef void peer_fn(size_t n, unsigned how);

/* Measures itself, and returns the figure. */
typedef double peer_figure_fn(size_t n, unsigned how);

struct peer_case {
    const char *name, *unit;
    peer_fn *run; /* one of these two */
    peer_figure_fn *figure;
    size_t n;
    unsigned how;
    size_t times;   /* the work is done so often, */
    double units;   /* which makes so many units */
    peer_fn *check; /* looks at what the last run has done. NULL: the work has done that itself */
};

static inline void peer_fail(const char *what) {
    fprintf(stderr, "peer: %s went wrong\n", what);
    exit(1);
}

static inline void peer_expect(const char *what, uint64_t actual, uint64_t expected) {
    if (actual != expected)
        peer_fail(what);
}

/* Memory that is zero, and touched before the clock starts. */
static inline void *peer_alloc(size_t n, size_t size) {
    volatile char *memory = (volatile char *)calloc(n, size);
    if (memory == NULL)
        peer_fail("memory");
    for (size_t i = 0; i < n * size; i += 4096)
        memory[i] = 0;
    return (void *)memory;
}

/* --- figures --- */

static inline double peer_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline double peer_cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return ((double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec) * 1e9 +
           ((double)used.ru_utime.tv_usec + (double)used.ru_stime.tv_usec) * 1e3;
}

static inline void peer_sleep(unsigned microseconds) {
    const struct timespec duration = {microseconds / 1000000, (long)(microseconds % 1000000) * 1000};
    nanosleep(&duration, NULL);
}

/* How much memory of this process is resident, in bytes. */
static inline double peer_resident(void) {
    unsigned long total, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL || fscanf(statm, "%lu %lu", &total, &resident) != 2)
        peer_fail("/proc/self/statm");
    fclose(statm);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static inline int peer_by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of n figures, which it sorts, the one that so many per cent of them are not above. */
static inline double peer_percentile(double *figures, size_t n, unsigned percent) {
    qsort(figures, n, sizeof *figures, peer_by_value);
    return figures[(n - 1) * percent / 100];
}

/* --- the program --- */

static inline void peer_run(const struct peer_case *c) {
    for (size_t i = 0; i < c->times; i++) {
        c->run(c->n, c->how);
        __asm__ volatile("" ::: "memory"); /* each of them counts */
    }
}

static inline void peer_measure(const struct peer_case *c) {
    peer_run(c);
    double begun = peer_clock(), cpu = peer_cpu(), wall, units = 0;
    do {
        peer_run(c);
        units += c->units;
        wall = peer_clock() - begun;
    } while (wall < PEER_LONG_ENOUGH);
    cpu = peer_cpu() - cpu;
    if (c->check != NULL)
        c->check(c->n, c->how);
    if (strcmp(c->unit, "us") == 0)
        units *= 1e3;
    printf("%.4f %.4f\n", wall / units, cpu / units);
}

static inline int peer_main(int argc, char **argv, const struct peer_case *cases) {
    const char *wanted = argc == 2 ? argv[1] : "";
    bool list = strcmp(wanted, "list") == 0, found = list;
    for (const struct peer_case *c = cases; c->name != NULL; c++) {
        if (list)
            printf("%s\t%s\n", c->name, c->unit);
        if (strcmp(wanted, c->name) != 0)
            continue;
        found = true;
        if (c->run != NULL)
            peer_measure(c);
        else
            printf("%.4f\n", c->figure(c->n, c->how));
    }
    if (!found)
        fprintf(stderr, "usage: %s list|CASE\n", argv[0]);
    return found ? 0 : 2;
}

#endif
