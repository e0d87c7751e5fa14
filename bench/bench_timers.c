/* bench_timers.c - timers: what one costs while many are pending, and how exactly it fires.
 *
 *     bench_timers [PENDING [TASKS]]     1,000,000 timers and 10,000 tasks, unless given
 *
 * The first case arms and cancels one timer again and again, at random times within an hour, while PENDING others are
 * armed; by lib/timer.h. The other side does the same with none. The second case is the same through the public API,
 * with a tenth as many pending: a task is submitted with .delay, cancelled, and given back; the other side submits
 * plain tasks that cannot start, and cancels those. Then TASKS tasks with a .delay are spread over one second: how much
 * later than they were due they started.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/timer.h"
#include "bench.h"

enum { OPERATIONS = 200000, SUBMITS = 20000 };

static uint64_t state = 1;

static uint64_t random_below(uint64_t n) {
    uint64_t x = state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) % n;
}

/* From one minute to one hour from now: none fires while this runs. */
static exec_time some_time(void) {
    return exec_after(EXEC_SEC(60) + (exec_time)random_below((uint64_t)EXEC_SEC(3540)));
}

/* --- the wheel --- */

struct wheel {
    struct exec__timers timers;
    struct exec__timer *pending;
    exec_time *when; /* OPERATIONS */
    size_t n;
};

static void never_fires(struct exec__timer *t) {
    (void)t;
    bench_expect("timers that fire", 1, 0);
}

static void fill(struct wheel *w, size_t n) {
    w->n = n;
    w->pending = bench_alloc(n + 1, sizeof *w->pending);
    w->when = bench_alloc(OPERATIONS, sizeof *w->when);
    for (size_t i = 0; i < OPERATIONS; i++)
        w->when[i] = some_time();
    bench_check("exec__timers_init", exec__timers_init(&w->timers));
    bench_check("exec__timers_start", exec__timers_start(&w->timers, "bench"));
    for (size_t i = 0; i < n; i++) {
        w->pending[i].fire = never_fires;
        exec__timer_arm(&w->timers, &w->pending[i], some_time());
    }
}

static void empty(struct wheel *w) {
    exec__timers_stop(&w->timers);
    exec__timers_fini(&w->timers);
    free(w->pending);
    free(w->when);
}

static double arm_and_cancel(void *ctx) {
    struct wheel *w = ctx;
    struct exec__timer t = {.fire = never_fires};
    size_t cancelled = 0;
    exec_time start = exec_now();
    for (size_t i = 0; i < OPERATIONS; i++) {
        exec__timer_arm(&w->timers, &t, w->when[i]);
        cancelled += exec__timer_cancel(&w->timers, &t);
    }
    double figure = bench_ns_per(start, OPERATIONS);
    bench_expect("cancelled", cancelled, OPERATIONS);
    return figure;
}

/* Cancels those that are pending, all over the memory, and arms them anew. */
static double cancel_and_arm_any(void *ctx) {
    struct wheel *w = ctx;
    size_t cancelled = 0;
    exec_time start = exec_now();
    for (size_t i = 0; i < OPERATIONS; i++) {
        struct exec__timer *t = &w->pending[w->when[i] / 64 % (exec_time)w->n];
        cancelled += exec__timer_cancel(&w->timers, t);
        exec__timer_arm(&w->timers, t, w->when[i]);
    }
    double figure = bench_ns_per(start, OPERATIONS);
    bench_expect("cancelled", cancelled, OPERATIONS);
    return figure;
}

static void bench_wheel(size_t pending) {
    struct wheel none, many;
    char name[64];
    fill(&none, 0);
    fill(&many, pending);
    const struct bench_side sides[] = {
        {"one of them", arm_and_cancel, &many},
        {"any of them", cancel_and_arm_any, &many},
        {"none pending", arm_and_cancel, &none},
        {0},
    };
    snprintf(name, sizeof name, "arm + cancel, %zu pending", pending);
    bench_case(name, "ns for both", sides);
    empty(&many);
    empty(&none);
}

/* --- tasks --- */

struct tasks {
    executor_t *ex;
    exec_task_opts opts;
};

static void *must_not_run(void *arg) {
    bench_expect("tasks that ran", 1, 0);
    return arg;
}

static double submit_and_cancel(void *ctx) {
    struct tasks *tasks = ctx;
    exec_time start = exec_now();
    for (size_t i = 0; i < SUBMITS; i++) {
        future_t *f;
        bench_check("executor_submit", executor_submit(tasks->ex, must_not_run, NULL, &tasks->opts, &f));
        bench_check("future_cancel", future_cancel(f));
        future_unref(f);
    }
    return bench_ns_per(start, SUBMITS);
}

static void *wait_for(void *f) {
    bench_check("future_wait", future_wait(f, EXEC_NEVER));
    return f;
}

static void bench_tasks(size_t pending) {
    char name[64];
    future_t *promise;
    executor_t *held = bench_executor(1, 2 * SUBMITS), *ex = bench_executor(1, 0), *alone = bench_executor(1, 0);
    bench_check("future_create", future_create(&promise));
    bench_check("executor_submit", executor_submit(held, wait_for, promise, NULL, NULL));
    for (size_t i = 0; i < pending; i++) {
        const exec_task_opts opts = {.delay = some_time() - exec_now()};
        bench_check("executor_submit", executor_submit(ex, must_not_run, NULL, &opts, NULL));
    }
    struct tasks many = {ex, {.delay = EXEC_SEC(3600)}}, none = {alone, {.delay = EXEC_SEC(3600)}}, plain = {held, {0}};
    const struct bench_side sides[] = {
        {".delay", submit_and_cancel, &many},
        {"none pending", submit_and_cancel, &none},
        {"plain", submit_and_cancel, &plain},
        {0},
    };
    snprintf(name, sizeof name, "submit + cancel, %zu pending", pending);
    bench_case(name, "ns/task", sides);
    bench_check("future_resolve", future_resolve(promise, NULL, 0));
    future_unref(promise);
    bench_check("executor_shutdown", executor_shutdown(ex, EXECUTOR_DISCARD));
    executor_destroy(ex);
    executor_destroy(alone);
    executor_destroy(held);
}

/* --- accuracy --- */

struct start {
    exec_time due, late;
};

static void *note(void *arg) {
    struct start *start = arg;
    start->late = exec_now() - start->due;
    return NULL;
}

static int by_lateness(const void *a, const void *b) {
    const exec_time x = ((const struct start *)a)->late, y = ((const struct start *)b)->late;
    return (x > y) - (x < y);
}

/* In microseconds, so many per cent of the sorted ones are at most so late. */
static double quantile(const struct start *starts, size_t n, size_t percent) {
    size_t at = n * percent / 100;
    return (double)starts[at < n ? at : n - 1].late / 1e3;
}

static void print_lateness(const struct start *starts, size_t n) {
    size_t within = 0;
    while (within < n && starts[within].late <= EXEC_MS(1))
        within++;
    printf("%-34s %-12s  median %.1f, 90 %% %.1f, 99 %% %.1f, most %.1f; %.2f %% within 1 ms\n", "start after .delay",
           "us late", quantile(starts, n, 50), quantile(starts, n, 90), quantile(starts, n, 99),
           quantile(starts, n, 100), 100.0 * (double)within / (double)n);
}

/* Due from 0.2 s on, when all have been submitted. */
static void bench_accuracy(size_t n) {
    struct start *starts = bench_alloc(n, sizeof *starts);
    executor_t *ex = bench_executor(1, 0);
    for (size_t i = 0; i < n; i++) {
        exec_time delay = EXEC_MS(200) + (exec_time)random_below((uint64_t)EXEC_SEC(1));
        starts[i].due = exec_after(delay);
        bench_check("executor_submit", executor_submit(ex, note, &starts[i], &(exec_task_opts){.delay = delay}, NULL));
    }
    executor_destroy(ex); /* runs all */
    qsort(starts, n, sizeof *starts, by_lateness);
    bench_expect("tasks that were early", starts[0].late < 0, 0);
    print_lateness(starts, n);
    free(starts);
}

int main(int argc, char *argv[]) {
    const char *usage = "bench_timers [PENDING [TASKS]]";
    size_t pending = bench_argument(argc, argv, 1, 1000000, 10000000, usage);
    size_t tasks = bench_argument(argc, argv, 2, 10000, 1000000, usage);
    bench_wheel(pending);
    bench_tasks(pending / 10);
    bench_accuracy(tasks);
    return 0;
}
