/* bench_forkjoin.c - fib(27) with a task for fib(n-1) at every call with n >= 2, joined there.
 *
 *     bench_forkjoin [N [WORKERS]]      27 and 2, unless given
 *
 * The work of a call is a handful of instructions: the figure is the price of a task that a task submits.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include "bench.h"

enum { THREADS_N = 15 };

static executor_t *ex; /* r/o while tasks run */
static size_t n;       /* r/o */

static void *fib_task(void *arg) {
    uintptr_t k = (uintptr_t)arg;
    if (k < 2)
        return arg;
    future_t *f;
    void *a;
    bench_check("executor_submit", executor_submit(ex, fib_task, (void *)(k - 1), NULL, &f));
    uintptr_t b = (uintptr_t)fib_task((void *)(k - 2));
    bench_check("future_get", future_get(f, &a));
    future_unref(f);
    return (void *)((uintptr_t)a + b);
}

static void *fib_thread(void *arg) {
    uintptr_t k = (uintptr_t)arg;
    if (k < 2)
        return arg;
    pthread_t thread;
    void *a;
    bench_check("pthread_create", pthread_create(&thread, NULL, fib_thread, (void *)(k - 1)));
    uintptr_t b = (uintptr_t)fib_thread((void *)(k - 2));
    bench_check("pthread_join", pthread_join(thread, &a));
    return (void *)((uintptr_t)a + b);
}

static uintptr_t fib(uintptr_t k);
static uintptr_t (*volatile fib_again)(uintptr_t) = fib; /* volatile: every call must be one */

static uintptr_t fib(uintptr_t k) {
    return k < 2 ? k : fib_again(k - 1) + fib_again(k - 2);
}

/* How many calls of fib it takes to compute fib(k). */
static double count_calls(size_t k) {
    double a = 1, b = 1;
    for (; k >= 2; k--) {
        double c = a + b + 1;
        a = b;
        b = c;
    }
    return b;
}

static uintptr_t fib_by_addition(size_t k) {
    uintptr_t a = 0, b = 1;
    for (; k > 0; k--) {
        uintptr_t c = a + b;
        a = b;
        b = c;
    }
    return a;
}

static double run_libexec(void *ctx) {
    (void)ctx;
    future_t *f;
    void *result;
    exec_time start = exec_now();
    bench_check("executor_submit", executor_submit(ex, fib_task, (void *)n, NULL, &f));
    bench_check("future_get", future_get(f, &result));
    future_unref(f);
    double figure = bench_ns_per(start, count_calls(n));
    bench_expect("fib by libexec", (uintptr_t)result, fib_by_addition(n));
    return figure;
}

static double run_loop(void *ctx) {
    (void)ctx;
    exec_time start = exec_now();
    uintptr_t result = fib(n);
    double figure = bench_ns_per(start, count_calls(n));
    bench_expect("sequential fib", result, fib_by_addition(n));
    return figure;
}

static double run_threads(void *ctx) {
    (void)ctx;
    exec_time start = exec_now();
    void *result = fib_thread((void *)(uintptr_t)THREADS_N);
    double figure = bench_ns_per(start, count_calls(THREADS_N));
    bench_expect("fib by threads", (uintptr_t)result, fib_by_addition(THREADS_N));
    return figure;
}

int main(int argc, char *argv[]) {
    const char *usage = "bench_forkjoin [N [WORKERS]]";
    n = bench_argument(argc, argv, 1, 27, 60, usage);
    ex = bench_executor((unsigned)bench_argument(argc, argv, 2, 2, 32767, usage), 0);
    char name[64];
    snprintf(name, sizeof name, "fork-join, fib(%zu), %.0f calls", n, count_calls(n));
    const struct bench_side sides[] = {
        {"libexec", run_libexec, NULL},
        {"plain recursion", run_loop, NULL},
        {"thread per task, fib(15)", run_threads, NULL},
        {0},
    };
    bench_case(name, "ns/call", sides);
    executor_destroy(ex);
    return 0;
}
