/* bench_idle.c - the CPU time that a pool uses in a second in which it has nothing to do, all threads together.
 *
 * The pool has worked before, and then had 50 ms to come to rest.
 */
#include "bench.h"

/* Microseconds of CPU time. */
static double idle_for_a_second(void) {
    exec_time start = bench_cpu_time();
    exec_sleep(EXEC_SEC(1));
    return (double)(bench_cpu_time() - start) / 1e3;
}

static void *short_task(void *arg) {
    exec_sleep(EXEC_US(100));
    return arg;
}

static double run_idle(void *ctx) {
    void *args[1000] = {0};
    executor_t *ex = bench_executor(*(unsigned *)ctx, 0);
    bench_check("executor_map", executor_map(ex, short_task, args, NULL, 1000, NULL));
    exec_sleep(EXEC_MS(50));
    double figure = idle_for_a_second();
    executor_destroy(ex);
    return figure;
}

static double run_without(void *ctx) {
    (void)ctx;
    return idle_for_a_second();
}

int main(void) {
    unsigned few = 2, many = 64;
    const struct bench_side sides[] = {
        {"libexec, 2 workers", run_idle, &few},
        {"libexec, 64 workers", run_idle, &many},
        {"no executor", run_without, NULL},
        {0},
    };
    bench_case("idle for 1 s", "us of CPU", sides);
    return 0;
}
