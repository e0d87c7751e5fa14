/* observe.c - what an executor does, seen from outside: hooks, a dump while it runs, its numbers, a trace.
 *
 *     observe DIRECTORY           writes DIRECTORY/observe.prom and DIRECTORY/observe.json
 *     observe --demo              the same in a directory of its own, which it removes
 *
 * The work is the checksums of blocks of generated data. Some blocks cannot be read at the first attempt, some never;
 * one task waits for a key, and one is slow. Nobody asks what became of them: failures and slow runs are told by hooks.
 * While that runs, the program prints what the executor is doing; in the end, its numbers as a table, and, into the
 * files, as text for Prometheus, and the trace, which ui.perfetto.dev opens. It checks that they all say the same.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <exec.h>

#include "demo.h"
#include "json_check.h"
#include "sha256.h"

enum { BLOCKS = 64, BLOCK_BYTES = 64 * 1024, SHAKY = 8, BROKEN = 16 }; /* every 8th is shaky, every 16th broken */
enum { RETRIED = BLOCKS / SHAKY, FAILED = BLOCKS / BROKEN, TASKS = BLOCKS + 2 };

/* What the hooks have been told. */
struct told {
    atomic_uint failures, slow_ones;
};

struct paths {
    char prometheus[4100], trace[4100];
};

/* --- the work --- */

static void fill(unsigned char *block, uint32_t seed) {
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        seed = seed * 1664525 + 1013904223; /* Knuth, "Seminumerical Algorithms", 3.3.4, line 16 */
        block[i] = (unsigned char)(seed >> 24);
    }
}

static void *checksum(void *number) {
    const uintptr_t n = (uintptr_t)number;
    struct sha256 sha;
    char digest[65];
    if (n % BROKEN == 7)
        return exec_fail(ENOENT);
    if (n % SHAKY == 5 && exec_attempt() == 1)
        return exec_fail(EIO);
    unsigned char *block = malloc(BLOCK_BYTES);
    if (block == NULL)
        return exec_fail(ENOMEM);
    fill(block, (uint32_t)n);
    sha256_init(&sha);
    sha256_update(&sha, block, BLOCK_BYTES);
    sha256_finish(&sha, digest);
    free(block);
    return NULL;
}

static void *wait_for_key(void *key) {
    int error = future_get(key, NULL);
    return error != 0 ? exec_fail(error) : NULL;
}

static void *dawdle(void *duration) {
    int error = exec_sleep(*(const exec_time *)duration);
    return error != 0 ? exec_fail(error) : NULL;
}

/* What is not there will not be there in a moment. */
static bool is_worth_it(int error, unsigned attempt, void *ctx) {
    (void)attempt;
    (void)ctx;
    return error == EIO;
}

static int submit_all(executor_t *ex, future_t *key) {
    static const exec_time duration = EXEC_MS(400);
    const exec_task_opts block = {.name = "block", .retry = {.attempts = 3, .delay = EXEC_MS(5), .when = is_worth_it}};
    int error = executor_submit(ex, wait_for_key, key, &(exec_task_opts){.name = "locked"}, NULL);
    if (error == 0)
        error = executor_submit(ex, dawdle, (void *)(uintptr_t)&duration, &(exec_task_opts){.name = "slow one"}, NULL);
    for (uintptr_t n = 0; n < BLOCKS && error == 0; n++)
        error = executor_submit(ex, checksum, (void *)n, &block, NULL);
    return error;
}

/* --- hooks --- */

static void count_failure(void *ctx, const exec_failure *failure) {
    struct told *told = ctx;
    atomic_fetch_add(&told->failures, 1);
    printf("%s %" PRIuPTR " failed: %s\n", failure->name, (uintptr_t)failure->arg, strerror(failure->error));
}

static void count_slow(void *ctx, unsigned worker, const char *name, exec_time running) {
    struct told *told = ctx;
    atomic_fetch_add(&told->slow_ones, 1);
    printf("worker %u is at \"%s\" for %.3f s\n", worker, name, demo_seconds(running));
}

/* --- looking at it --- */

/* What executor_dump() writes, to be freed; NULL: no memory. */
static char *dump(executor_t *ex) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    int error = executor_dump(ex, out);
    if (fclose(out) == 0 && error == 0)
        return text;
    free(text);
    return NULL;
}

/* Until the dump shows that the locked task waits for its key: 0, ETIMEDOUT or ENOMEM. */
static int watch(executor_t *ex) {
    const exec_time deadline = exec_after(EXEC_SEC(60));
    int error = ETIMEDOUT;
    while (error == ETIMEDOUT && exec_now() < deadline) {
        exec_sleep(EXEC_MS(5));
        char *text = dump(ex);
        if (text == NULL)
            error = ENOMEM;
        else if (strstr(text, "waits: \"locked\" for a promise") != NULL)
            error = 0;
        if (error == 0)
            fputs(text, stdout);
        free(text);
    }
    return error;
}

static int write_file(const char *path, executor_t *ex, int (*write)(executor_t *ex, FILE *out)) {
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return errno;
    int error = write(ex, out);
    if (fclose(out) != 0 && error == 0)
        error = errno;
    return error;
}

static int write_prometheus(executor_t *ex, FILE *out) {
    return executor_stats_write(ex, out, EXEC_STATS_PROMETHEUS);
}

static int write_all(executor_t *ex, const struct paths *paths) {
    int error = executor_stats_write(ex, stdout, EXEC_STATS_TABLE);
    if (error == 0)
        error = write_file(paths->prometheus, ex, write_prometheus);
    if (error == 0)
        error = write_file(paths->trace, ex, executor_trace_stop);
    return error;
}

/* --- checking --- */

static size_t is_wrong(const char *what, uint64_t is, uint64_t should_be) {
    if (is != should_be)
        fprintf(stderr, "observe: %s: %" PRIu64 ", not %" PRIu64 "\n", what, is, should_be);
    return is != should_be;
}

static size_t check_numbers(executor_t *ex, const struct told *told) {
    exec_stats s;
    size_t wrong = is_wrong("executor_stats", (uint64_t)executor_stats(ex, &s), 0);
    if (wrong > 0)
        return wrong;
    wrong += is_wrong("submitted", s.submitted, TASKS);
    wrong += is_wrong("done", s.done, TASKS - FAILED);
    wrong += is_wrong("failed", s.failed, FAILED);
    wrong += is_wrong("retried", s.retried, RETRIED);
    wrong += is_wrong("unfinished", s.unfinished, 0);
    wrong += is_wrong("failures that were told", atomic_load(&told->failures), FAILED);
    wrong += is_wrong("slow ones, if any", atomic_load(&told->slow_ones) > 0, 1);
    return wrong;
}

/* The whole file, to be freed; NULL: it could not be read. */
static char *read_file(const char *path) {
    char *text = NULL;
    size_t size = 0;
    FILE *in = fopen(path, "r");
    if (in == NULL)
        return NULL;
    if (getdelim(&text, &size, '\0', in) < 0) {
        free(text);
        text = NULL;
    }
    fclose(in);
    return text;
}

static size_t check_files(const struct paths *paths) {
    char sample[120];
    char *prometheus = read_file(paths->prometheus), *trace = read_file(paths->trace);
    size_t spans = 0;
    bool valid = trace != NULL && json_is_valid(trace, &spans);
    snprintf(sample, sizeof sample, "\nlibexec_tasks_ended_total{executor=\"observe\",outcome=\"done\"} %d\n",
             TASKS - FAILED);
    size_t wrong = is_wrong("the trace, as JSON", valid, 1);
    wrong += is_wrong("spans", spans, TASKS + RETRIED);
    wrong += is_wrong("the sample of Prometheus", prometheus != NULL && strstr(prometheus, sample) != NULL, 1);
    free(prometheus);
    free(trace);
    return wrong;
}

/* --- all of it --- */

/* Runs the work to its end: from then on every number is exact. */
static int work(executor_t *ex, future_t *key) {
    int error = executor_trace_start(ex, NULL);
    if (error == 0)
        error = submit_all(ex, key);
    if (error == 0)
        error = watch(ex);
    future_resolve(key, NULL, 0);
    executor_shutdown(ex, EXECUTOR_DRAIN);
    int joined = executor_join(ex, EXEC_NEVER);
    return error != 0 ? error : joined;
}

static int observe(const struct paths *paths) {
    struct told told = {0};
    const executor_opts opts = {.workers = 4,
                                .name = "observe",
                                .measure = true,
                                .on_failure = count_failure,
                                .slow_after = EXEC_MS(100),
                                .on_slow = count_slow,
                                .hook_ctx = &told};
    executor_t *ex;
    future_t *key;
    int error = future_create(&key);
    if (error != 0)
        return demo_error("observe", "future_create", error);
    error = executor_create(&opts, &ex);
    if (error != 0) {
        future_unref(key);
        return demo_error("observe", "executor_create", error);
    }
    error = work(ex, key);
    if (error == 0)
        error = write_all(ex, paths);
    size_t wrong = error == 0 ? check_numbers(ex, &told) + check_files(paths) : 0;
    executor_destroy(ex);
    future_unref(key);
    return error != 0 ? demo_error("observe", "the work", error) : wrong > 0;
}

static int observe_in(const char *directory) {
    struct paths paths;
    snprintf(paths.prometheus, sizeof paths.prometheus, "%s/observe.prom", directory);
    snprintf(paths.trace, sizeof paths.trace, "%s/observe.json", directory);
    return observe(&paths);
}

static void remove_in(const char *directory, const char *name) {
    char path[4100];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    remove(path);
}

static int demo(void) {
    char directory[4000];
    int error = demo_temporary("observe", directory, sizeof directory);
    if (error == 0 && mkdtemp(directory) == NULL)
        error = errno;
    if (error != 0)
        return demo_error("observe", "a directory for its files", error);
    int status = observe_in(directory);
    remove_in(directory, "observe.prom");
    remove_in(directory, "observe.json");
    rmdir(directory);
    return status;
}

int main(int argc, char *argv[]) {
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    if (argc != 2 || (argv[1][0] == '-' && !is_demo) || strlen(argv[1]) >= 4000) {
        fputs("usage: observe DIRECTORY\n"
              "       observe --demo\n",
              stderr);
        return 2;
    }
    return demo_finish("observe", is_demo ? demo() : observe_in(argv[1]));
}
