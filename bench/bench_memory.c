/* bench_memory.c - what a waiting task costs in memory, all told.
 *
 *     bench_memory [TASKS]      1,000,000, unless given
 *
 * One worker is kept busy while tasks pile up behind it, submitted by a thread outside of the pool (into a queue with
 * room for all), or by the very task that keeps the worker busy. The figure is the growth of resident memory since
 * before the executor was made, for each task: the queue, the futures, whatever else. The caller's array of pointers to
 * the futures is not counted. Each run is a new process, forked off before libexec was used, since freed memory is used
 * again.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

struct pile {
    size_t n;
    executor_t *ex;
    future_t **futures;
    future_t *gate; /* a promise that ends the busy task */
    size_t before;  /* resident bytes before there was an executor */
    double figure;  /* bytes a task */
};

static size_t resident_bytes(void) {
    size_t total, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL || fscanf(statm, "%zu %zu", &total, &resident) != 2)
        bench_check("/proc/self/statm", EIO);
    fclose(statm);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void *empty(void *arg) {
    return arg;
}

static void *wait_for_gate(void *arg) {
    struct pile *pile = arg;
    bench_check("future_get", future_get(pile->gate, NULL));
    return NULL;
}

static void submit_all(struct pile *pile) {
    for (size_t i = 0; i < pile->n; i++)
        bench_check("executor_submit", executor_submit(pile->ex, empty, NULL, NULL, &pile->futures[i]));
    pile->figure = ((double)resident_bytes() - (double)pile->before) / (double)pile->n;
}

static void *submit_all_task(void *arg) {
    submit_all(arg);
    return NULL;
}

static void collect_all(struct pile *pile) {
    for (size_t i = 0; i < pile->n; i++) {
        bench_check("future_get", future_get(pile->futures[i], NULL));
        future_unref(pile->futures[i]);
    }
}

static void pile_up_outside(struct pile *pile) {
    future_t *busy;
    bench_check("executor_submit", executor_submit(pile->ex, wait_for_gate, pile, NULL, &busy));
    while (future_state(busy) == FUTURE_PENDING)
        exec_sleep(EXEC_MS(1));
    submit_all(pile);
    bench_check("future_resolve", future_resolve(pile->gate, NULL, 0));
    future_unref(busy);
}

static void pile_up_inside(struct pile *pile) {
    future_t *busy;
    bench_check("executor_submit", executor_submit(pile->ex, submit_all_task, pile, NULL, &busy));
    bench_check("future_get", future_get(busy, NULL));
    future_unref(busy);
}

static double measure(size_t n, void (*pile_up)(struct pile *)) {
    struct pile pile = {.n = n, .futures = bench_alloc(n, sizeof(future_t *))};
    pile.before = resident_bytes();
    bench_check("future_create", future_create(&pile.gate));
    pile.ex = bench_executor(1, n);
    pile_up(&pile);
    collect_all(&pile);
    executor_destroy(pile.ex);
    future_unref(pile.gate);
    free(pile.futures);
    return pile.figure;
}

/* Measures in a child process, which sends the figure through a pipe. */
static double in_child(size_t n, void (*pile_up)(struct pile *)) {
    int fds[2], status;
    double figure;
    bench_check("pipe", pipe(fds) != 0 ? errno : 0);
    pid_t child = fork();
    bench_check("fork", child < 0 ? errno : 0);
    if (child == 0) {
        figure = measure(n, pile_up);
        _exit(write(fds[1], &figure, sizeof figure) != sizeof figure);
    }
    close(fds[1]);
    ssize_t size = read(fds[0], &figure, sizeof figure);
    close(fds[0]);
    bench_check("waitpid", waitpid(child, &status, 0) != child ? errno : 0);
    bench_check("measurement", size != sizeof figure || status != 0 ? EIO : 0);
    return figure;
}

static double run_outside(void *ctx) {
    return in_child(*(size_t *)ctx, pile_up_outside);
}

static double run_inside(void *ctx) {
    return in_child(*(size_t *)ctx, pile_up_inside);
}

int main(int argc, char *argv[]) {
    size_t n = bench_argument(argc, argv, 1, 1000000, 100000000, "bench_memory [TASKS]");
    char name[64];
    snprintf(name, sizeof name, "memory, %zu waiting tasks", n);
    const struct bench_side sides[] = {
        {"libexec, from outside", run_outside, &n},
        {"libexec, from a task", run_inside, &n},
        {0},
    };
    bench_case(name, "bytes/task", sides);
    return 0;
}
