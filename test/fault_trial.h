/* fault_trial.h - how a fault program goes, and what its scenarios share.
 *
 * Each scenario sets up what it needs, arms the faults around the calls it is about, and then checks that each call
 * said what its contract says, changed nothing where it failed, and that everything still works. A scenario is run
 *
 * - with no fault, to count the calls;
 * - with the first, the second and so on failing alone; where there are very many, about ROUGHLY of them, and the first
 *   at each site;
 * - with all failing from the first, the second and so on;
 * - with every two of them failing, if there are no more than ALL_PAIRS of these, or else with PAIRS_AT_RANDOM, from
 *   the printed seed, both times EXEC_STRESS_SCALE;
 * - with every other call interrupted that a signal could interrupt.
 *
 * After each run as much memory, as many threads and as many descriptors are there as before. What was reached and
 * failed goes to PROGRAM.sites, which test/check-faults.sh puts together.
 */
#ifndef FAULT_TRIAL_H
#define FAULT_TRIAL_H

#include "fault_calls.h"

enum { MANY = 12000, ROUGHLY = 100, ALL_PAIRS = 1800, PAIRS_AT_RANDOM = 300 };

/* ---- what scenarios share ---- */

static executor_t *ex; /* the one of the scenario */
static atomic_uint runs, drops;
static FILE *nowhere; /* what is written to it is gone */

static inline void *run(void *arg) {
    atomic_fetch_add(&runs, 1);
    return arg;
}

static inline void range(size_t begin, size_t end, void *ctx) {
    for (; begin < end; begin++)
        run(ctx);
}

/* Of a stream: gives the numbers from 1 to `last`. */
struct source {
    uintptr_t given, last;
};

static inline int count_to(void *arg, void **out) {
    struct source *source = arg;
    if (source->given == source->last)
        return ENODATA;
    *out = (void *)++source->given; // NOLINT(performance-no-int-to-ptr)
    return 0;
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
static inline void *as_task(exec_fn *fn, void *arg) {
    future_t *f;
    void *result = NULL;
    CHECK_ERROR(executor_submit(ex, fn, arg, NULL, &f), 0);
    while (!future_done(f))
        sched_yield();
    CHECK_ERROR(future_get(f, &result), 0);
    future_unref(f);
    return result;
}

static inline bool is_readable(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0) == 1;
}

extern struct fault_site *const __start_fault_sites[], *const __stop_fault_sites[];

/* How often that call in that function of the library has failed, in all trials so far. */
static inline unsigned failures_at(const char *function, const char *call) {
    unsigned n = 0;
    for (struct fault_site *const *at = __start_fault_sites; at != __stop_fault_sites; at++)
        if (strcmp((*at)->function, function) == 0 && strcmp((*at)->call, call) == 0)
            n += atomic_load(&(*at)->failed);
    return n;
}

/* ---- the runs ---- */

struct scenario {
    const char *name;
    void (*run)(void);
    bool has_sites; /* something that it asks for can fail each time; not: nothing, or only at times */
};

static struct {
    unsigned alone, pairs, interrupted; /* how many calls were made to fail alone, in pairs; how many interrupted */
    unsigned failures;                  /* in all trials */
} totals;

static bool clocks_fail;              /* calls that read a clock do, too: alone and in pairs */
static size_t slack;                  /* how many blocks the library may keep after each run */
static unsigned threads, descriptors; /* as many as at the beginning are there after each run */

/* Makes a trial in a process of its own; NULL: they are made in this one. */
static unsigned (*trial_apart)(const struct scenario *s, struct fault_plan plan);

static FILE *sites;

/* How much was made to fail. */
static inline unsigned trial_here(const struct scenario *s, struct fault_plan plan) {
    size_t live = fault_live();
    fault_begin(plan);
    s->run();
    stress_await_entries("/proc/self/task", threads);
    stress_await_entries("/proc/self/fd", descriptors);
    CHECK_OP(fault_live(), <=, live + slack);
    return fault_failures(true);
}

static inline unsigned trial(const struct scenario *s, struct fault_plan plan) {
    stress_doing(s->name, plan.first + plan.from, plan.second);
    plan.clocks = clocks_fail;
    unsigned failed = trial_apart != NULL ? trial_apart(s, plan) : trial_here(s, plan);
    totals.failures += failed;
    return failed;
}

/* There may be fewer calls, or more, than there were. */
static inline unsigned all_alone(const struct scenario *s, unsigned calls, unsigned step) {
    unsigned n = 0, failed = 1;
    for (unsigned i = 1; failed > 0 || i <= calls; i += step) {
        failed = trial(s, (struct fault_plan){.first = i});
        n += failed > 0;
    }
    return n;
}

/* The first call at each site, where there are too many calls to fail them all. The scenario may come to some of them
 * or not, but where it does, that call has failed. */
static inline unsigned at_sites(const struct scenario *s) {
    unsigned n = 0;
    for (struct fault_site *const *at = __start_fault_sites; at != __stop_fault_sites; at++) {
        unsigned reached = atomic_load(&(*at)->reached);
        unsigned failed = reached > 0 ? trial(s, (struct fault_plan){.at = *at}) : 0;
        if (failed == 0 && atomic_load(&(*at)->reached) != reached)
            stress_fail(__FILE__, __LINE__, "%s() in %s() was called, but did not fail", (*at)->call, (*at)->function);
        n += failed;
    }
    return n;
}

static inline void all_from_one_on(const struct scenario *s, unsigned calls, unsigned step) {
    for (unsigned i = 1; trial(s, (struct fault_plan){.from = i}) > 0 || i < calls; i += step)
        continue;
}

static inline unsigned all_pairs(const struct scenario *s, unsigned calls) {
    unsigned n = 0;
    for (unsigned i = 1; i < calls; i++) {
        unsigned failed = 2;
        for (unsigned j = i + 1; failed > 1 || j <= calls; j++) {
            failed = trial(s, (struct fault_plan){.first = i, .second = j});
            n += failed > 1;
        }
    }
    return n;
}

static inline unsigned some_pairs(const struct scenario *s, unsigned calls, size_t pairs) {
    static uint64_t stream;
    struct stress_rng rng = stress_rng_of(stream++);
    unsigned n = 0;
    for (; pairs > 0; pairs--) {
        unsigned i = 1 + stress_below(&rng, calls - 1), j = i + 1 + stress_below(&rng, calls - i);
        n += trial(s, (struct fault_plan){.first = i, .second = j}) > 1;
    }
    return n;
}

static inline unsigned in_pairs(const struct scenario *s, unsigned calls) {
    size_t all = (size_t)calls * (calls - 1) / 2;
    if (calls < 2)
        return 0;
    return all <= stress_scaled(ALL_PAIRS) ? all_pairs(s, calls) : some_pairs(s, calls, stress_scaled(PAIRS_AT_RANDOM));
}

/* Which public functions have failed in it. */
static inline void write_public(const struct scenario *s) {
    for (int i = 0; i < FAULT_PUBLIC && fault.public[i].name; i++)
        if (atomic_exchange(&fault.public[i].failed, 0) > 0)
            fprintf(sites, "public\t%s\t%s: %s\n", fault.public[i].name, stress.program, s->name);
}

static inline void every_fault(const struct scenario *s) {
    trial(s, (struct fault_plan){0});
    unsigned calls = atomic_load(&fault.calls), step = calls > 2 * ROUGHLY ? calls / ROUGHLY : 1;
    unsigned alone = all_alone(s, calls, step) + (step > 1 ? at_sites(s) : 0);
    if (!clocks_fail)
        all_from_one_on(s, calls, step);
    unsigned pairs = in_pairs(s, calls);
    unsigned interrupted = trial(s, (struct fault_plan){.interrupts = true});
    if (s->has_sites)
        CHECK_OP(alone, >, 0);
    totals.alone += alone;
    totals.pairs += pairs;
    totals.interrupted += interrupted;
    write_public(s);
    printf("  %-24s %5u calls, %3u made to fail alone, %5u pairs, %u interrupted\n", s->name, calls, alone, pairs,
           interrupted);
}

/* Those that were reached; or all. */
static inline void write_sites(bool all) {
    for (struct fault_site *const *at = __start_fault_sites; at != __stop_fault_sites; at++)
        if (all || atomic_load(&(*at)->reached) > 0)
            fprintf(sites, "site\t%s:%d\t%s()\t%s\t%u\t%u\n", (*at)->file, (*at)->line, (*at)->function, (*at)->call,
                    atomic_load(&(*at)->reached), atomic_load(&(*at)->failed));
}

/* Adds to what the program has written before; NULL: it begins. */
static inline void open_sites(const char *program, const char *mode) {
    char path[4096];
    CHECK_OP(snprintf(path, sizeof path, "%s.sites", program), <, (int)sizeof path);
    sites = fopen(path, mode);
    CHECK(sites != NULL);
}

/* The program's last words. */
static inline int fault_end(size_t scenarios) {
    stress_leave();
    double seconds = stress_end();
    CHECK_OP(totals.alone, >, 0);
    write_sites(true);
    fprintf(sites, "total\t%zu\t%u\t%u\t%u\t%u\t%.1f\n", scenarios, totals.alone, totals.pairs, totals.interrupted,
            totals.failures, seconds);
    CHECK_EQ(fclose(sites), 0);
    printf("%s: %u calls made to fail alone, %u pairs, %u failures in all, nothing lost, %.1f s\n", stress.program,
           totals.alone, totals.pairs, totals.failures, seconds);
    return 0;
}

static inline int fault_main(int argc, char **argv, const struct scenario scenarios[], size_t n) {
    stress_begin(argc, argv, 0);
    open_sites(argv[0], "w");
    nowhere = fopen("/dev/null", "w");
    CHECK(nowhere != NULL);
    threads = stress_entries("/proc/self/task");
    descriptors = stress_entries("/proc/self/fd");
    for (size_t i = 0; i < n; i++) {
        fault_begin((struct fault_plan){0});
        scenarios[i].run(); /* the library then has what it keeps for good */
        every_fault(&scenarios[i]);
    }
    fclose(nowhere);
    return fault_end(n);
}

#endif
