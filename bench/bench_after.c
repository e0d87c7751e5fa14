/* bench_after.c - tasks that start when another has finished: a chain, and a fan-out.
 *
 *     bench_after [TASKS [WORKERS]]      100,000 tasks and 2 workers, unless given
 *
 * The first of a chain comes after a promise, each other one after the one before it; all of a fan-out come after the
 * promise. It is resolved when all tasks have been submitted, which is the worst case: none could start meanwhile. The
 * tasks are empty, and the figure has all of it: submitting, running, getting the results, freeing. The other sides do
 * the same number of tasks in the same order without .after: each is submitted when the one before has finished; and
 * all are submitted at once.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

struct tasks {
    executor_t *ex;
    future_t **futures; /* n */
    size_t n;
    size_t ran; /* in a chain, where one runs after the other */
};

static void *count(void *arg) {
    struct tasks *tasks = arg;
    return (void *)(uintptr_t)++tasks->ran;
}

static void *empty(void *arg) {
    return arg;
}

static void submit(struct tasks *tasks, size_t i, exec_fn *fn, const exec_task_opts *opts) {
    bench_check("executor_submit", executor_submit(tasks->ex, fn, tasks, opts, &tasks->futures[i]));
}

static void get(struct tasks *tasks, size_t i, uintptr_t expected) {
    void *result;
    bench_check("future_get", future_get(tasks->futures[i], &result));
    bench_expect("result", (uintptr_t)result, expected);
    future_unref(tasks->futures[i]);
}

static double run_chain(void *ctx) {
    struct tasks *tasks = ctx;
    future_t *before;
    tasks->ran = 0;
    bench_check("future_create", future_create(&before));
    future_t *promise = before;
    exec_time start = exec_now();
    for (size_t i = 0; i < tasks->n; i++) {
        submit(tasks, i, count, &(exec_task_opts){.after = &before, .nafter = 1});
        before = tasks->futures[i];
    }
    bench_check("future_resolve", future_resolve(promise, NULL, 0));
    for (size_t i = tasks->n; i > 0; i--)
        get(tasks, i - 1, i);
    double figure = bench_ns_per(start, (double)tasks->n);
    future_unref(promise);
    return figure;
}

static double run_one_by_one(void *ctx) {
    struct tasks *tasks = ctx;
    tasks->ran = 0;
    exec_time start = exec_now();
    for (size_t i = 0; i < tasks->n; i++) {
        submit(tasks, i, count, NULL);
        get(tasks, i, i + 1);
    }
    return bench_ns_per(start, (double)tasks->n);
}

static double run_fan_out(void *ctx) {
    struct tasks *tasks = ctx;
    future_t *promise;
    bench_check("future_create", future_create(&promise));
    exec_time start = exec_now();
    for (size_t i = 0; i < tasks->n; i++)
        submit(tasks, i, empty, &(exec_task_opts){.after = &promise, .nafter = 1});
    bench_check("future_resolve", future_resolve(promise, NULL, 0));
    for (size_t i = 0; i < tasks->n; i++)
        get(tasks, i, (uintptr_t)tasks);
    double figure = bench_ns_per(start, (double)tasks->n);
    future_unref(promise);
    return figure;
}

static double run_at_once(void *ctx) {
    struct tasks *tasks = ctx;
    exec_time start = exec_now();
    for (size_t i = 0; i < tasks->n; i++)
        submit(tasks, i, empty, NULL);
    for (size_t i = 0; i < tasks->n; i++)
        get(tasks, i, (uintptr_t)tasks);
    return bench_ns_per(start, (double)tasks->n);
}

int main(int argc, char *argv[]) {
    const char *usage = "bench_after [TASKS [WORKERS]]";
    size_t n = bench_argument(argc, argv, 1, 100000, 100000000, usage);
    size_t workers = bench_argument(argc, argv, 2, 2, 8000, usage);
    char name[64];

    struct tasks tasks = {bench_executor((unsigned)workers, 0), bench_alloc(n, sizeof(future_t *)), n, 0};
    const struct bench_side chain[] = {
        {"after", run_chain, &tasks},
        {"submit, get, one by one", run_one_by_one, &tasks},
        {0},
    };
    const struct bench_side fan_out[] = {
        {"after", run_fan_out, &tasks},
        {"submit all, get all", run_at_once, &tasks},
        {0},
    };
    snprintf(name, sizeof name, "chain of %zu, %zu workers", n, workers);
    bench_case(name, "ns/task", chain);
    snprintf(name, sizeof name, "fan-out of %zu, %zu workers", n, workers);
    bench_case(name, "ns/task", fan_out);
    executor_destroy(tasks.ex);
    free(tasks.futures);
    return 0;
}
