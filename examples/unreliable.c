/* unreliable.c - a batch of tasks of which some fail: each failure is reported with its task, and nothing stays stuck.
 *
 *     unreliable [--demo]
 *
 * Some tasks are fine; one would take 1,000 s, has a .timeout and obeys it; one would take as long, hears nothing, and
 * is given up; one fails as expected, which its .retry knows not to be worth another attempt; one fails twice and
 * succeeds at its third attempt; one never succeeds; and one fails unexpectedly, by leaving its thread. They run on two
 * workers, as members of a group, from which they are taken as they end. Afterwards both workers must be there for
 * more. The program checks how each one ended; with --demo it does the same.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <exec.h>

#include "demo.h"

struct job {
    const char *name;
    exec_fn *fn;
    int expected; /* what it ends with */
};

static void *succeed(void *arg) {
    int error = exec_sleep(EXEC_MS(20));
    return error != 0 ? exec_fail(error) : arg;
}

/* Waits for something that never comes; exec_sleep() returns as soon as the task is asked to stop. */
static void *get_stuck(void *arg) {
    int error = exec_sleep(EXEC_SEC(1000));
    return error != 0 ? exec_fail(error) : arg;
}

/* As if in a call that has hung. Its argument is there for as long as the program is, so that it may be given up. */
static void *hear_nothing(void *arg) {
    struct timespec left = {.tv_sec = 1000};
    while (nanosleep(&left, &left) != 0)
        continue;
    return arg;
}

static void *find_nothing(void *arg) {
    (void)arg;
    return exec_fail(ENOENT);
}

static void *recover(void *arg) {
    return exec_attempt() < 3 ? exec_fail(EIO) : arg;
}

static void *never_recover(void *arg) {
    (void)arg;
    return exec_fail(EIO);
}

static void *leave(void *arg) {
    pthread_exit(arg);
}

/* What is not there will not be there in a moment, and who has left may leave again. */
static bool is_worth_it(int error, unsigned attempt, void *ctx) {
    (void)attempt;
    (void)ctx;
    return error != ENOENT && error != EOWNERDEAD && error != ETIMEDOUT;
}

static const struct job jobs[] = {
    {"first good one", succeed, 0},        {"stuck one", get_stuck, ETIMEDOUT},  {"deaf one", hear_nothing, ETIMEDOUT},
    {"missing one", find_nothing, ENOENT}, {"second good one", succeed, 0},      {"shaky one", recover, 0},
    {"broken one", never_recover, EIO},    {"one that left", leave, EOWNERDEAD}, {"third good one", succeed, 0},
};
enum { JOBS = sizeof jobs / sizeof jobs[0] };

static int submit_all(exec_group_t *group) {
    int error = 0;
    for (size_t i = 0; i < JOBS && error == 0; i++) {
        const exec_task_opts opts = {.name = jobs[i].name,
                                     .timeout = EXEC_MS(300),
                                     .on_timeout = EXEC_ABANDON,
                                     .retry = {.attempts = 4, .delay = EXEC_MS(10), .when = is_worth_it}};
        error = exec_group_submit(group, jobs[i].fn, (void *)(uintptr_t)&jobs[i], &opts, NULL);
    }
    return error;
}

/* Returns how many did not end as they should, or were not there. */
static size_t report(exec_group_t *group) {
    future_t *ended;
    size_t right = 0;
    while (exec_group_next(group, EXEC_NEVER, &ended) == 0) {
        const struct job *job = future_arg(ended);
        int error = future_get(ended, NULL);
        printf("%-16s %s\n", future_name(ended), error != 0 ? strerror(error) : "done");
        right += error == job->expected;
        future_unref(ended);
    }
    return JOBS - right;
}

static int run(executor_t *ex, size_t *wrong) {
    exec_group_t *group;
    int error = exec_group_open(ex, NULL, &group);
    if (error != 0)
        return error;
    error = submit_all(group);
    if (error != 0)
        exec_group_cancel(group);
    *wrong = report(group);
    exec_group_close(group); /* returns the error of the first that failed */
    return error;
}

int main(int argc, char *argv[]) {
    executor_t *ex;
    size_t wrong = 0;
    void *args[2] = {&wrong, &wrong};
    if (argc > 2 || (argc == 2 && strcmp(argv[1], "--demo") != 0)) {
        fputs("usage: unreliable [--demo]\n", stderr);
        return 2;
    }
    int error = executor_create(&(executor_opts){.workers = 2}, &ex);
    if (error != 0)
        return demo_error("unreliable", "executor_create", error);
    error = run(ex, &wrong);
    if (error == 0)
        error = executor_map(ex, succeed, args, NULL, 2, NULL);
    executor_destroy(ex);
    if (error == 0 && wrong > 0)
        error = EPROTO;
    return demo_finish("unreliable", error != 0 ? demo_error("unreliable", "the batch", error) : 0);
}
