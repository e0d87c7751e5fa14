/* fault_once.c - what the library does once in a process, or once in a thread, made to fail in turn: each time in a
 * process of its own, with futures from slabs (lib/slab.c). How it goes is in fault_trial.h.
 *
 * The program begins itself anew for each failure, and says which one in the environment: so that also what comes
 * before main(), the registration of the fork handlers, can fail.
 */
#include "fault_trial.h"

#include <sys/wait.h>

#define TASK "EXEC_FAULT_TASK"

enum { FUTURES = 5000, SLABS = 2 }; /* so many futures take so many slabs, which the library may keep */

/* ---- the first of all, in a process and in each of its threads ---- */

static void create_first(void) {
    executor_t *made = NULL;
    errno = 4242;
    fault_arm();
    int error = executor_create(&(executor_opts){.workers = 2}, &made);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    CHECK_EQ(made != NULL, error == 0);
    if (error == 0)
        check_works(made);
    executor_destroy(made);
}

/* The thread may have no list of futures, or there may be no slab: then there is no future, this time. */
static void promise_first(void) {
    static future_t *fs[FUTURES];
    unsigned n = 0, refused = 0;
    errno = 4242;
    fault_arm();
    for (unsigned i = 0; i < FUTURES; i++) {
        int error = future_create(&fs[n]);
        if (error != 0)
            CHECK_ERROR(error, ENOMEM);
        n += error == 0;
        refused += error != 0;
    }
    fault_disarm();
    CHECK_EQ(errno, 4242);
    CHECK_EQ(refused > 0, fault_failures(false) > 0);
    while (n > 0)
        future_unref(fs[--n]);
}

/* A thread that frees futures, but never made one. */
static void *free_here(void *f) {
    fault_arm();
    future_unref(f);
    fault_disarm();
    return NULL;
}

static void free_elsewhere(void) {
    pthread_t thread;
    future_t *f;
    CHECK_ERROR(future_create(&f), 0);
    stress_start(&thread, free_here, f);
    pthread_join(thread, NULL);
    CHECK_ERROR(future_create(&f), 0);
    future_unref(f);
}

/* ---- before main() ---- */

/* Who forks could find the library's locks held by threads that are no more: so there is no executor. */
static void without_fork_handlers(void) {
    executor_t *made = NULL;
    errno = 4242;
    int error = executor_create(&(executor_opts){.workers = 1}, &made);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    CHECK_EQ(made != NULL, error == 0);
    executor_destroy(made);
}

/* ---- the runs ---- */

/* Where each future is an allocation, nothing is asked for when one is freed. */
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
enum { HAS_SLABS = false };
#else
enum { HAS_SLABS = true };
#endif

static const struct scenario scenarios[] = {
    {"before main", without_fork_handlers, true},
    {"the first executor", create_first, true},
    {"the first futures", promise_first, true},
    {"freed elsewhere", free_elsewhere, HAS_SLABS},
};

/* What a process is to try: one of these, and what fails; and where to write what came of it. */
static struct {
    unsigned scenario;
    struct fault_plan plan;
    int results;
} task;

struct result {
    unsigned failed, calls;
};

/* Before the library's own constructor, which the first scenario is about. */
__attribute__((constructor(101))) static void take_task(void) {
    const char *text = getenv(TASK);
    if (text == NULL)
        return;
    int interrupts = 0;
    sscanf(text, "%u %u %u %u %d %d", &task.scenario, &task.plan.first, &task.plan.second, &task.plan.from, &interrupts,
           &task.results);
    task.plan.interrupts = interrupts;
    fault_begin(task.plan);
    if (task.scenario == 0)
        fault_arm();
}

static void *do_nothing(void *arg) {
    return arg;
}

/* ThreadSanitizer has a thread of its own, from when there has been another one on. */
static void count_threads(void) {
    pthread_t thread;
    threads = stress_entries("/proc/self/task");
#ifdef STRESS_UNDER_TSAN
    threads++;
#endif
    stress_start(&thread, do_nothing, NULL);
    pthread_join(thread, NULL);
    stress_await_entries("/proc/self/task", threads);
}

static int do_task(char **argv) {
    const struct scenario *s = &scenarios[task.scenario];
    stress.program = "fault_once";
    stress.began = exec_now();
    open_sites(argv[0], "a");
    if (task.scenario > 0)
        count_threads();
    descriptors = stress_entries("/proc/self/fd");
    slack = SLABS;
    if (task.scenario == 0)
        s->run();
    else
        trial_here(s, task.plan);
    write_public(s);
    write_sites(false);
    CHECK_EQ(fclose(sites), 0);
    const struct result result = {fault_failures(true), atomic_load(&fault.calls)};
    CHECK_EQ(write(task.results, &result, sizeof result), (ssize_t)sizeof result);
    return 0;
}

static char *program; /* argv[0] */

/* The child, which has no watchdog, ends with this process, which has one. */
static void begin_anew(unsigned scenario, struct fault_plan plan, int results) {
    char text[64], *argv[] = {program, NULL};
    snprintf(text, sizeof text, "%u %u %u %u %d %d", scenario, plan.first, plan.second, plan.from, plan.interrupts,
             results);
    setenv(TASK, text, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv("/proc/self/exe", argv);
    _exit(127);
}

static unsigned trial_in_child(const struct scenario *s, struct fault_plan plan) {
    struct result result = {0};
    int results[2], status;
    CHECK_EQ(pipe(results), 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(results[0]);
        begin_anew((unsigned)(s - scenarios), plan, results[1]);
    }
    close(results[1]);
    ssize_t size = read(results[0], &result, sizeof result);
    close(results[0]);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_EQ(size, (ssize_t)sizeof result);
    atomic_store(&fault.calls, result.calls);
    return result.failed;
}

int main(int argc, char **argv) {
    if (getenv(TASK) != NULL)
        return do_task(argv);
    const unsigned n = sizeof scenarios / sizeof scenarios[0];
    stress_begin(argc, argv, 0);
    open_sites(argv[0], "w");
    CHECK_EQ(fclose(sites), 0);
    open_sites(argv[0], "a"); /* as the children do */
    program = argv[0];
    trial_apart = trial_in_child;
    for (unsigned i = 0; i < n; i++)
        every_fault(&scenarios[i]);
    return fault_end(n);
}
