/* bench_ping.c - submit one empty task, wait for it, and again: the round trip of a single task.
 *
 * A wait without a deadline runs the task itself where it has not started. A wait with one leaves it to an idle worker:
 * the second case is the way there and back, one right after the other, and with pauses of 100 us in between, in which
 * the workers fall asleep.
 */
#include "bench.h"

enum { PINGS = 100000, HANDED_PINGS = 20000, WOKEN_PINGS = 2000, THREADS = 10000 };

static void *empty(void *arg) {
    return arg;
}

static exec_fn *volatile call = empty; /* volatile: the loop must call, too */

static double run_libexec(void *ex) {
    exec_time start = exec_now();
    for (int i = 0; i < PINGS; i++) {
        future_t *f;
        void *result;
        bench_check("executor_submit", executor_submit(ex, call, ex, NULL, &f));
        bench_check("future_get", future_get(f, &result));
        future_unref(f);
    }
    return bench_ns_per(start, PINGS) / 1e3;
}

/* One round trip through a worker: how long it took. */
static exec_time ping_worker(executor_t *ex) {
    future_t *f;
    exec_time start = exec_now();
    bench_check("executor_submit", executor_submit(ex, call, ex, NULL, &f));
    bench_check("future_wait", future_wait(f, start + EXEC_SEC(60)));
    future_unref(f);
    return exec_now() - start;
}

static double run_handed(void *ex) {
    exec_time elapsed = 0;
    for (int i = 0; i < HANDED_PINGS; i++)
        elapsed += ping_worker(ex);
    return (double)elapsed / HANDED_PINGS / 1e3;
}

static double run_woken(void *ex) {
    exec_time elapsed = 0;
    for (int i = 0; i < WOKEN_PINGS; i++) {
        exec_sleep(EXEC_US(100));
        elapsed += ping_worker(ex);
    }
    return (double)elapsed / WOKEN_PINGS / 1e3;
}

static double run_loop(void *ex) {
    exec_time start = exec_now();
    for (int i = 0; i < PINGS; i++)
        call(ex);
    return bench_ns_per(start, PINGS) / 1e3;
}

static double run_threads(void *ex) {
    exec_time start = exec_now();
    bench_threads(THREADS, 1, call, ex);
    return bench_ns_per(start, THREADS) / 1e3;
}

int main(void) {
    executor_t *ex = bench_executor(2, 0);
    const struct bench_side claimed[] = {
        {"libexec", run_libexec, ex},
        {"loop", run_loop, ex},
        {"thread per task", run_threads, ex},
        {0},
    };
    const struct bench_side by_worker[] = {
        {"libexec, awake", run_handed, ex},
        {"libexec, asleep", run_woken, ex},
        {"thread per task", run_threads, ex},
        {0},
    };
    bench_case("ping, 100000 round trips", "us", claimed);
    bench_case("ping, run by a worker", "us", by_worker);
    executor_destroy(ex);
    return 0;
}
