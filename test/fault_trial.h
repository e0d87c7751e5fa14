/* fault_trial.h - how a fault program goes, and what its scenarios share.
 *
 * Each scenario sets up what it needs, arms the faults around the calls it is about, and then checks that each call
 * said what its contract says, changed nothing where it failed, and that everything still works. A scenario is run
 * first with no fault, to count the calls; then with the first, the second and so on failing alone; then with all
 * failing from the first, the second and so on. After each run as much memory, as many threads and as many descriptors
 * are there as before.
 */
#ifndef FAULT_TRIAL_H
#define FAULT_TRIAL_H

#include "fault.h"

enum { MANY = 12000, ROUGHLY = 100 };

/* ---- what scenarios share ---- */

static executor_t *ex; /* the one of the scenario */
static atomic_uint runs, drops;

static inline void *run(void *arg) {
    atomic_fetch_add(&runs, 1);
    return arg;
}

static inline void drop(void *arg) {
    (void)arg;
    atomic_fetch_add(&drops, 1);
}

static inline void free_result(void *result) {
    (void)result;
}

static const exec_task_opts all_opts = {.drop = drop, .free_result = free_result, .name = "fault", .room_wait = 1};

static inline void open_executor(unsigned workers) {
    atomic_store(&runs, 0);
    atomic_store(&drops, 0);
    CHECK_ERROR(executor_create(&(executor_opts){.workers = workers, .capacity = MANY}, &ex), 0);
}

/* With no fault any more: submits a task and gets it. */
static inline void check_works(executor_t *executor) {
    future_t *f;
    void *result = NULL;
    CHECK_ERROR(executor_submit(executor, run, &f, NULL, &f), 0);
    CHECK_ERROR(future_get(f, &result), 0);
    CHECK_PTR(result, &f);
    future_unref(f);
}

/* Runs a function as a task, which arms and disarms by itself; waits without any call that could fail. */
static inline void as_task(exec_fn *fn) {
    future_t *f;
    CHECK_ERROR(executor_submit(ex, fn, NULL, NULL, &f), 0);
    while (!future_done(f))
        sched_yield();
    CHECK_ERROR(future_get(f, NULL), 0);
    future_unref(f);
}

/* ---- the runs ---- */

struct scenario {
    const char *name;
    void (*run)(void);
    bool has_sites; /* with futures from slabs, too */
    size_t slack;   /* what the library may keep of slabs */
};

static unsigned total_sites, total_failures;
static unsigned threads, descriptors; /* as many as at the beginning are there after each run */

/* Whether anything was made to fail. */
static inline bool trial(const struct scenario *s, unsigned first, unsigned last) {
    stress_doing(s->name, first, last);
    size_t live = fault_live();
    fault_plan(first, last);
    s->run();
    stress_await_entries("/proc/self/task", threads);
    stress_await_entries("/proc/self/fd", descriptors);
    CHECK_OP(fault_live(), <=, live + s->slack);
    total_failures += fault_failures(true);
    return fault_failures(true) > 0;
}

static inline void every_fault(const struct scenario *s) {
    s->run(); /* the library then has what it keeps for good */
    trial(s, UINT32_MAX, 0);
    unsigned calls = atomic_load(&fault.calls), step = calls > 2 * ROUGHLY ? calls / ROUGHLY : 1, sites = 0;
    for (unsigned i = 1; trial(s, i, i); i += step)
        sites++;
    for (unsigned i = 1; trial(s, i, UINT32_MAX); i += step) {
    }
    if (s->has_sites)
        CHECK_OP(sites, >, 0);
    total_sites += sites;
    printf("  %-24s %5u calls, %3u of them made to fail\n", s->name, calls, sites);
}

static inline int fault_main(int argc, char **argv, const struct scenario scenarios[], size_t n) {
    stress_begin(argc, argv, 0);
    threads = stress_entries("/proc/self/task");
    descriptors = stress_entries("/proc/self/fd");
    for (size_t i = 0; i < n; i++)
        every_fault(&scenarios[i]);
    stress_leave();
    double seconds = stress_end();
    CHECK_OP(total_sites, >, 0);
    printf("%s: %u calls made to fail alone, %u failures in all, nothing lost, %.1f s\n", stress.program, total_sites,
           total_failures, seconds);
    return 0;
}

#endif
