/* stress_overtaken.c - tasks that are let go on at the very moment at which their deadline ends them, on two threads.
 *
 * Each round many tasks wait for the same promise, and have the same deadline; the promise is resolved about when that
 * passes. Each task runs or is dropped, once, and each that fails is told to .on_failure, once. The executor measures,
 * so that a task has a time at which it was ready, and that must not get in the way of its failure.
 */
#include "stress.h"

enum { TASKS = 64 };

static atomic_uint runs, drops, failures;
static uint64_t total_runs, total_failures;

static void *run(void *arg) {
    atomic_fetch_add(&runs, 1);
    return arg;
}

static void drop(void *arg) {
    (void)arg;
    atomic_fetch_add(&drops, 1);
}

static void note_failure(void *ctx, const exec_failure *failure) {
    CHECK_PTR(ctx, &failures);
    CHECK_EQ(failure->error, ETIMEDOUT);
    CHECK_EQ(strcmp(failure->name, "overtaken"), 0);
    atomic_fetch_add(&failures, 1);
}

static void one_round(executor_t *ex, struct stress_rng *rng) {
    future_t *promise, *fs[TASKS];
    atomic_store(&runs, 0);
    atomic_store(&drops, 0);
    atomic_store(&failures, 0);
    CHECK_ERROR(future_create(&promise), 0);
    exec_task_opts opts = {
        .name = "overtaken", .drop = drop, .after = &promise, .nafter = 1, .deadline = exec_after(EXEC_US(100))};
    for (unsigned i = 0; i < TASKS; i++)
        CHECK_ERROR(executor_submit(ex, run, &runs, &opts, &fs[i]), 0);
    exec_time moment = opts.deadline - EXEC_US(20) + EXEC_US(stress_below(rng, 120));
    for (unsigned spin = 0; exec_now() < moment; spin++)
        stress_spin(spin);
    CHECK_ERROR(future_resolve(promise, NULL, 0), 0);
    CHECK_ERROR(exec_wait(fs, TASKS, TASKS, EXEC_NEVER), 0);
    unsigned failed = 0;
    for (unsigned i = 0; i < TASKS; i++) {
        failed += future_state(fs[i]) == FUTURE_FAILED;
        future_unref(fs[i]);
    }
    future_unref(promise);
    for (unsigned spin = 0; atomic_load(&failures) < failed; spin++) /* the last reference may be another's */
        stress_spin(spin);
    CHECK_EQ(atomic_load(&runs), TASKS - failed);
    CHECK_EQ(atomic_load(&drops), failed);
    CHECK_EQ(atomic_load(&failures), failed);
    total_runs += TASKS - failed;
    total_failures += failed;
}

int main(int argc, char **argv) {
    executor_t *ex;
    executor_opts opts = {.workers = 1, .measure = true, .on_failure = note_failure, .hook_ctx = &failures};
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    size_t rounds = stress_scaled(10000);
    CHECK_ERROR(executor_create(&opts, &ex), 0);
    for (size_t i = 0; i < rounds; i++) {
        stress_doing("a round", i, 0);
        one_round(ex, &rng);
    }
    executor_destroy(ex);
    stress_leave();
    double seconds = stress_end();
    printf("stress_overtaken: %zu rounds: %" PRIu64 " tasks run, %" PRIu64 " failed, %.1f s\n", rounds, total_runs,
           total_failures, seconds);
    return 0;
}
