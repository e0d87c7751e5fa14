/* bench.h - what the benchmarks share: runs of several alternatives, interleaved, and one line of figures a case.
 *
 * A case is one piece of work and the sides that do it: libexec first, then what it is compared with: the sequential
 * loop, a thread for each task, another library. A side's function does the work once, times the part that counts,
 * and returns its figure in the unit of the case. The sides take turns, run by run, so that a slow minute of the
 * machine falls on all of them. A line shows each side's median and [quartiles], and its median as a multiple of
 * libexec's. The environment variable BENCH_RUNS sets the number of runs, 5 unless given.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#include <exec.h>

struct bench_side {
    const char *name;
    double (*run)(void *ctx);
    void *ctx;
};

/* Runs a case and prints its line. The sides end with one that has no name; at most 16. Exits when BENCH_RUNS is wrong
 * or memory is short. */
void bench_case(const char *name, const char *unit, const struct bench_side sides[]);

/* Ends the program with a message, unless error is 0: a benchmark that failed has no figures. */
void bench_check(const char *what, int error);

/* As bench_check(), where the work's result must be right. */
void bench_expect(const char *what, unsigned long long actual, unsigned long long expected);

void *bench_alloc(size_t n, size_t size); /* zeroed and touched: page faults come before the clock starts */

executor_t *bench_executor(unsigned workers, size_t capacity);

/* Nanoseconds since `start` for each of `count`. */
double bench_ns_per(exec_time start, double count);

/* The processor time that all threads of this process have used, together. */
exec_time bench_cpu_time(void);

/* The work of an item: so many rounds of xorshift. */
static inline uintptr_t bench_xorshift(uintptr_t x, unsigned rounds) {
    uint64_t y = x;
    for (unsigned i = 0; i < rounds; i++) {
        y ^= y << 13;
        y ^= y >> 7;
        y ^= y << 17;
    }
    return (uintptr_t)y;
}

/* Starts a thread for each of n calls of fn(arg), `at_once` of them before joining those. */
void bench_threads(size_t n, size_t at_once, exec_fn *fn, void *arg);

/* The environment variable BENCH_RUNS, or otherwise. Exits when it is wrong. */
size_t bench_runs(size_t otherwise);

/* Sorts n figures; and of those the quantile q, between two neighbours where it falls there. */
void bench_sort(double *figures, size_t n);
double bench_quantile(const double *sorted, size_t n, double q);

/* Prints a figure, at least so wide, with three significant digits, never as a power of ten. */
void bench_print(int width, double value);

/* A number of the command line, from 1 to `most`; `otherwise` when argv is shorter than that. Exits with the usage when
 * it is no such number. */
size_t bench_argument(int argc, char *argv[], int index, size_t otherwise, size_t most, const char *usage);

#endif
