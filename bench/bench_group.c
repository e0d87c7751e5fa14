/* bench_group.c - one thread outside of the pool submits many empty tasks to one group, then takes each as it finished.
 *
 *     bench_group [TASKS [WORKERS]]      1,000,000 tasks and 2 workers, unless given
 *
 * The first side is the same work without a group: executor_submit(), then future_get() for each, as bench_stream has
 * it; so the others' multiples say what the group costs. "submit, next" takes every member, its result too;
 * "submit, wait" only waits for all; "next meanwhile" takes what has finished after every hundredth submit.
 *
 * The difference is, in the main, one atomic step more for each of entering, counting out and handing out, at 6 to 9 ns
 * each, 350 instructions, and two more lines that go from core to core. Tried, and no gain: fetching the lines that a
 * member will write when it finishes before it runs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { TAKE_EVERY = 100 };

struct tasks {
    executor_t *ex;
    future_t **futures; /* n; without a group */
    size_t n;
};

static void *empty(void *arg) {
    return arg;
}

static double run_futures(void *ctx) {
    struct tasks *tasks = ctx;
    exec_time start = exec_now();
    for (size_t i = 0; i < tasks->n; i++)
        bench_check("executor_submit", executor_submit(tasks->ex, empty, tasks, NULL, &tasks->futures[i]));
    for (size_t i = 0; i < tasks->n; i++) {
        bench_check("future_get", future_get(tasks->futures[i], NULL));
        future_unref(tasks->futures[i]);
    }
    return bench_ns_per(start, (double)tasks->n);
}

static exec_group_t *open_group(struct tasks *tasks) {
    exec_group_t *group;
    bench_check("exec_group_open", exec_group_open(tasks->ex, NULL, &group));
    return group;
}

static void submit(exec_group_t *group, struct tasks *tasks) {
    bench_check("exec_group_submit", exec_group_submit(group, empty, tasks, NULL, NULL));
}

/* Takes what has finished by the deadline. Returns how many that were. */
static size_t take(exec_group_t *group, exec_time deadline) {
    future_t *finished;
    size_t taken = 0;
    int error;
    while ((error = exec_group_next(group, deadline, &finished)) == 0) {
        bench_check("future_get", future_get(finished, NULL));
        future_unref(finished);
        taken++;
    }
    bench_check("exec_group_next", error == ENODATA || (error == ETIMEDOUT && deadline == EXEC_NOW) ? 0 : error);
    return taken;
}

static double run_next(void *ctx) {
    struct tasks *tasks = ctx;
    exec_time start = exec_now();
    exec_group_t *group = open_group(tasks);
    for (size_t i = 0; i < tasks->n; i++)
        submit(group, tasks);
    size_t taken = take(group, EXEC_NEVER);
    bench_check("exec_group_close", exec_group_close(group));
    bench_expect("members", taken, tasks->n);
    return bench_ns_per(start, (double)tasks->n);
}

static double run_meanwhile(void *ctx) {
    struct tasks *tasks = ctx;
    size_t taken = 0;
    exec_time start = exec_now();
    exec_group_t *group = open_group(tasks);
    for (size_t i = 0; i < tasks->n; i++) {
        submit(group, tasks);
        taken += i % TAKE_EVERY == 0 ? take(group, EXEC_NOW) : 0;
    }
    taken += take(group, EXEC_NEVER);
    bench_check("exec_group_close", exec_group_close(group));
    bench_expect("members", taken, tasks->n);
    return bench_ns_per(start, (double)tasks->n);
}

static double run_wait(void *ctx) {
    struct tasks *tasks = ctx;
    exec_time start = exec_now();
    exec_group_t *group = open_group(tasks);
    for (size_t i = 0; i < tasks->n; i++)
        submit(group, tasks);
    bench_check("exec_group_wait", exec_group_wait(group, EXEC_NEVER));
    bench_check("exec_group_close", exec_group_close(group));
    return bench_ns_per(start, (double)tasks->n);
}

int main(int argc, char *argv[]) {
    const char *usage = "bench_group [TASKS [WORKERS]]";
    size_t n = bench_argument(argc, argv, 1, 1000000, 1000000000, usage);
    size_t workers = bench_argument(argc, argv, 2, 2, 8000, usage);
    char name[64];

    struct tasks tasks = {bench_executor((unsigned)workers, 0), bench_alloc(n, sizeof(future_t *)), n};
    snprintf(name, sizeof name, "group, %zu tasks, %zu workers", n, workers);
    const struct bench_side sides[] = {
        {"no group: submit, get", run_futures, &tasks},
        {"submit, next", run_next, &tasks},
        {"next meanwhile", run_meanwhile, &tasks},
        {"submit, wait", run_wait, &tasks},
        {0},
    };
    bench_case(name, "ns/task", sides);
    executor_destroy(tasks.ex);
    free(tasks.futures);
    return 0;
}
