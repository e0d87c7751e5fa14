/* bench_io.c - tasks that only sleep, through 50 workers: how much longer than ideal it takes, in percent.
 *
 * 10,000 sleeps of 10 ms and 1,000 of 100 ms: ideal is 2.000 s for both. The sequential loop needs 100 s, of which it
 * runs a hundredth; its figure is extrapolated from that. With a thread for each task, a semaphore lets 50 run at once.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { WORKERS = 50, LOOP_SHARE = 100 };

struct sleeps {
    executor_t *ex;
    size_t n;
    exec_time duration;
    void **args;        /* n pointers to the duration */
    future_t **futures; /* n */
};

static void *sleep_once(void *arg) {
    exec_time *duration = arg;
    bench_check("exec_sleep", exec_sleep(*duration));
    return NULL;
}

/* How far `elapsed` is above the ideal time. */
static double percent_over(const struct sleeps *sleeps, double elapsed) {
    double ideal = (double)sleeps->duration * (double)sleeps->n / WORKERS;
    return (elapsed / ideal - 1) * 100;
}

static double run_map(void *ctx) {
    struct sleeps *sleeps = ctx;
    exec_time start = exec_now();
    bench_check("executor_map", executor_map(sleeps->ex, sleep_once, sleeps->args, NULL, sleeps->n, NULL));
    return percent_over(sleeps, bench_ns_per(start, 1));
}

static double run_submit(void *ctx) {
    struct sleeps *sleeps = ctx;
    exec_time start = exec_now();
    for (size_t i = 0; i < sleeps->n; i++)
        bench_check("executor_submit",
                    executor_submit(sleeps->ex, sleep_once, sleeps->args[i], NULL, &sleeps->futures[i]));
    for (size_t i = 0; i < sleeps->n; i++) {
        bench_check("future_get", future_get(sleeps->futures[i], NULL));
        future_unref(sleeps->futures[i]);
    }
    return percent_over(sleeps, bench_ns_per(start, 1));
}

static double run_loop(void *ctx) {
    struct sleeps *sleeps = ctx;
    exec_time start = exec_now();
    for (size_t i = 0; i < sleeps->n / LOOP_SHARE; i++)
        sleep_once(sleeps->args[i]);
    return percent_over(sleeps, bench_ns_per(start, 1) * LOOP_SHARE);
}

static sem_t room; /* for how many more threads */

static void *sleep_and_post(void *arg) {
    sleep_once(arg);
    sem_post(&room);
    return NULL;
}

static double run_threads(void *ctx) {
    struct sleeps *sleeps = ctx;
    pthread_t thread;
    exec_time start = exec_now();
    for (size_t i = 0; i < sleeps->n; i++) {
        sem_wait(&room);
        bench_check("pthread_create", pthread_create(&thread, NULL, sleep_and_post, sleeps->args[i]));
        bench_check("pthread_detach", pthread_detach(thread));
    }
    for (int i = 0; i < WORKERS; i++)
        sem_wait(&room);
    double figure = percent_over(sleeps, bench_ns_per(start, 1));
    for (int i = 0; i < WORKERS; i++)
        sem_post(&room);
    return figure;
}

static void io_case(executor_t *ex, size_t n, exec_time duration) {
    char name[64];
    struct sleeps sleeps = {ex, n, duration, bench_alloc(n, sizeof(void *)), bench_alloc(n, sizeof(future_t *))};
    for (size_t i = 0; i < n; i++)
        sleeps.args[i] = &sleeps.duration;
    snprintf(name, sizeof name, "io, %zu x %d ms, %d workers", n, (int)(duration / EXEC_MS(1)), WORKERS);
    const struct bench_side sides[] = {
        {"libexec map", run_map, &sleeps},
        {"libexec submit", run_submit, &sleeps},
        {"loop (1/100 run)", run_loop, &sleeps},
        {"thread per task", run_threads, &sleeps},
        {0},
    };
    bench_case(name, "% over ideal", sides);
    free(sleeps.args);
    free(sleeps.futures);
}

int main(void) {
    executor_t *ex = bench_executor(WORKERS, 0);
    bench_check("sem_init", sem_init(&room, 0, WORKERS) != 0 ? errno : 0);
    io_case(ex, 10000, EXEC_MS(10));
    io_case(ex, 1000, EXEC_MS(100));
    executor_destroy(ex);
    return 0;
}
