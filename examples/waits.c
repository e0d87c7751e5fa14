/* waits.c - many waits, few threads: 1,000 waits of 10 ms through 50 workers, in 200 ms instead of 10 s.
 *
 *     waits [WAITS [MILLISECONDS [WORKERS]]]
 *     waits --demo
 *
 * An ideal pool would need ceil(WAITS / WORKERS) rounds of one wait each; what libexec needs beyond that is its
 * overhead. --demo runs all of the waits one after another first: 10 s.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exec.h>

#include "demo.h"

struct wait {
    exec_time duration; /* what was asked for */
    exec_time waited;   /* what it took; 0: it has not been run */
};

struct waits {
    struct wait *wait;
    void **args; /* pointers to them, for executor_map() */
    size_t n;
    unsigned workers;
};

/* One task. */
static void *wait_once(void *arg) {
    struct wait *wait = arg;
    exec_time start = exec_now();
    int error = exec_sleep(wait->duration);
    if (error != 0)
        return exec_fail(error);
    wait->waited = exec_now() - start;
    return NULL;
}

static exec_time run_sequential(struct waits *waits) {
    exec_time start = exec_now();
    for (size_t i = 0; i < waits->n; i++)
        wait_once(&waits->wait[i]);
    return exec_now() - start;
}

/* On success *elapsed is how long the waits took, without the start and the end of the threads. */
static int run_libexec(struct waits *waits, exec_time *elapsed) {
    executor_t *ex;
    int error = executor_create(&(executor_opts){.workers = waits->workers}, &ex);
    if (error != 0)
        return error;
    exec_time start = exec_now();
    error = executor_map(ex, wait_once, waits->args, NULL, waits->n, NULL);
    *elapsed = exec_now() - start;
    executor_destroy(ex);
    return error;
}

static int waits_init(struct waits *waits) {
    waits->wait = calloc(waits->n, sizeof *waits->wait);
    waits->args = calloc(waits->n, sizeof *waits->args);
    if (waits->wait == NULL || waits->args == NULL)
        return ENOMEM;
    for (size_t i = 0; i < waits->n; i++)
        waits->args[i] = &waits->wait[i];
    return 0;
}

static void waits_start_over(struct waits *waits, exec_time duration) {
    for (size_t i = 0; i < waits->n; i++)
        waits->wait[i] = (struct wait){.duration = duration};
}

/* How many waits ended before their time. */
static size_t count_short(const struct waits *waits) {
    size_t n = 0;
    for (size_t i = 0; i < waits->n; i++)
        n += waits->wait[i].waited < waits->wait[i].duration;
    return n;
}

static void print_overhead(const struct waits *waits, exec_time duration, exec_time elapsed) {
    size_t rounds = (waits->n + waits->workers - 1) / waits->workers;
    double ideal = (double)rounds * (double)duration;
    printf("  %zu waits of %g ms, %u workers: ideal %.3f s, libexec %.4f s, %.2f %% over it\n", waits->n,
           (double)duration / 1e6, waits->workers, ideal / 1e9, demo_seconds(elapsed),
           ((double)elapsed / ideal - 1) * 100);
}

static int run(struct waits *waits, exec_time duration, bool is_demo) {
    exec_time sequential = 0, libexec;
    size_t too_short = 0;
    if (is_demo) {
        waits_start_over(waits, duration);
        sequential = run_sequential(waits);
        too_short += count_short(waits);
    }
    waits_start_over(waits, duration);
    int error = run_libexec(waits, &libexec);
    if (error != 0)
        return demo_error("waits", "executor_map", error);
    too_short += count_short(waits);
    if (is_demo)
        demo_row("waits", waits->n, sequential, libexec);
    print_overhead(waits, duration, libexec);
    if (too_short > 0)
        fprintf(stderr, "waits: %zu waits ended before their time\n", too_short);
    return too_short > 0;
}

static int usage(void) {
    fputs("usage: waits [WAITS [MILLISECONDS [WORKERS]]]\n"
          "       waits --demo\n"
          "1000 waits of 10 ms through 50 workers, unless given.\n",
          stderr);
    return 2;
}

int main(int argc, char *argv[]) {
    unsigned long number[3] = {1000, 10, 50};
    const unsigned long most[3] = {10000000, 86400000, 32767};
    bool is_demo = argc > 1 && strcmp(argv[1], "--demo") == 0;

    if (argc > (is_demo ? 2 : 4))
        return usage();
    for (int i = 1; !is_demo && i < argc; i++) {
        if (demo_number(argv[i], 1, most[i - 1], &number[i - 1]) != 0)
            return usage();
    }

    struct waits waits = {.n = number[0], .workers = (unsigned)number[2]};
    int error = waits_init(&waits);
    int status = error != 0 ? demo_error("waits", "start", error) : run(&waits, EXEC_MS(number[1]), is_demo);
    free(waits.args);
    free(waits.wait);
    return demo_finish("waits", status);
}
