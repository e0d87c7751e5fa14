/* fault_alloc.c - every allocation, thread start, descriptor and initialisation in the library made to fail in turn:
 * the core. Waits are in fault_wait.c, groups in fault_groups.c, what else stands on the core in fault_scopes.c. How it
 * goes is in fault_trial.h. */
#include "fault_trial.h"

enum { CHILDREN = 200, ITEMS = 500, WIDE = 40 };

static atomic_uint hooks;

/* ---- creating ---- */

static int cpus_of_mine(void) {
    cpu_set_t cpus;
    CHECK_EQ(sched_getaffinity(0, sizeof cpus, &cpus), 0);
    return CPU_COUNT(&cpus);
}

static int on_start(void *ctx, unsigned worker) {
    (void)worker;
    atomic_fetch_add((atomic_uint *)ctx, 1);
    return 0;
}

static int on_start_pinned(void *ctx, unsigned worker) {
    CHECK_EQ(cpus_of_mine(), 1);
    return on_start(ctx, worker);
}

static void on_stop(void *ctx, unsigned worker) {
    (void)worker;
    atomic_fetch_sub((atomic_uint *)ctx, 1);
}

static void create(const executor_opts *opts) {
    executor_t *spare, *made = NULL;
    CHECK_ERROR(executor_create(&(executor_opts){.workers = 1}, &spare), 0); /* takes the memory of a former one */
    errno = 4242;
    fault_arm();
    int error = executor_create(opts, &made);
    fault_disarm();
    if (opts == NULL)
        CHECK_FAULT_OR_DONE(error); /* where CPU_ALLOC() is malloc(): CPUs are counted without it, too */
    else
        CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    if (error != 0)
        CHECK_PTR(made, NULL);
    else
        check_works(made);
    executor_destroy(made);
    executor_destroy(spare);
}

static void create_default(void) {
    create(NULL);
}

static void create_with_all_options(void) {
    int cpu = sched_getcpu(), before = cpus_of_mine();
    executor_opts opts = {.workers = 4,
                          .capacity = 10,
                          .when_full = EXECUTOR_REJECT,
                          .name = "a long name for a worker",
                          .stack_size = 256 * 1024,
                          .on_start = on_start_pinned,
                          .on_stop = on_stop,
                          .hook_ctx = &hooks,
                          .cpus = &cpu,
                          .ncpus = 1};
    create(&opts);
    CHECK_EQ(atomic_load(&hooks), 0);
    CHECK_EQ(cpus_of_mine(), before); /* also where a thread inherits them */
}

/* ---- submitting ---- */

static void submit_once(const exec_task_opts *opts, bool with_future) {
    future_t *f = NULL;
    errno = 4242;
    fault_arm();
    int error = executor_submit(ex, run, &f, opts, with_future ? &f : NULL);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    if (error != 0 || !with_future)
        CHECK_PTR(f, NULL);
    else
        CHECK_ERROR(future_wait(f, EXEC_NEVER), 0);
    future_unref(f);
    check_works(ex);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), error == 0 ? 2 : 1);
    CHECK_EQ(atomic_load(&drops), 0);
}

static void submit_plain(void) {
    open_executor(2);
    submit_once(NULL, true);
}

static void submit_with_options(void) {
    open_executor(2);
    submit_once(&all_opts, true);
}

static void fire_and_forget(void) {
    open_executor(1);
    submit_once(&all_opts, false);
}

/* More than a deque holds at first, so that it has to grow. */
static void *submit_children(void *unused) {
    static future_t *fs[CHILDREN];
    unsigned n = 0;
    fault_arm();
    for (unsigned i = 0; i < CHILDREN; i++) {
        fs[n] = NULL;
        int error = executor_submit(ex, run, fs, i % 2 ? &all_opts : NULL, &fs[n]);
        CHECK_FAULT_OR_DONE(error);
        if (error != 0)
            CHECK_PTR(fs[n], NULL);
        n += error == 0;
    }
    fault_disarm();
    CHECK_OP(n + fault_failures(false), >=, CHILDREN);
    for (unsigned i = 0; i < n; i++) {
        CHECK_ERROR(future_get(fs[i], NULL), 0);
        future_unref(fs[i]);
    }
    CHECK_EQ(atomic_load(&runs), n);
    CHECK_EQ(atomic_load(&drops), 0);
    return unused;
}

static void submit_inside(void) {
    open_executor(1);
    as_task(submit_children, NULL);
    check_works(ex);
    executor_destroy(ex);
}

/* ---- promises ---- */

static void promise(void) {
    future_t *f = NULL;
    fault_arm();
    int error = future_create(&f);
    fault_disarm();
    CHECK_FAULT(error);
    if (error != 0)
        CHECK_PTR(f, NULL);
    else
        CHECK_ERROR(future_resolve(f, NULL, 0), 0);
    future_unref(f);
}

/* Enough to fill several slabs, where the library allocates futures from slabs. */
static void many_promises(void) {
    static future_t *fs[MANY];
    unsigned n = 0;
    fault_arm();
    int error = 0;
    while (n < MANY && error == 0) {
        error = future_create(&fs[n]);
        n += error == 0;
    }
    fault_disarm();
    CHECK_FAULT(error);
    while (n > 0)
        future_unref(fs[--n]);
}

/* ---- map and for ---- */

static void map_items(bool loop) {
    static void *args[ITEMS], *results[ITEMS];
    for (size_t i = 0; i < ITEMS; i++)
        args[i] = &args[i];
    unsigned before = atomic_load(&runs);
    fault_arm();
    int error = loop ? executor_for(ex, ITEMS, range, NULL, NULL) : executor_map(ex, run, args, results, ITEMS, NULL);
    fault_disarm();
    CHECK_FAULT_OR_DONE(error); /* it can do without the workers' help */
    CHECK_EQ(atomic_load(&runs) - before, error == 0 ? ITEMS : 0);
    for (size_t i = 0; i < ITEMS && error == 0 && !loop; i++)
        CHECK_PTR(results[i], args[i]);
}

static void map_outside(void) {
    open_executor(3);
    map_items(false);
    check_works(ex);
    executor_destroy(ex);
}

static void for_outside_wide(void) {
    open_executor(WIDE);
    map_items(true);
    check_works(ex);
    executor_destroy(ex);
}

static void *map_task(void *arg) {
    map_items(false);
    return arg;
}

static void map_inside(void) {
    open_executor(2);
    as_task(map_task, NULL);
    check_works(ex);
    executor_destroy(ex);
}

static void map_on_own_threads(void) {
    executor_opts opts = {.workers = 2, .on_start = on_start, .on_stop = on_stop, .hook_ctx = &hooks};
    atomic_store(&runs, 0);
    CHECK_ERROR(executor_create(&opts, &ex), 0);
    map_items(true);
    check_works(ex);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&hooks), 0);
}

/* ---- the public queue ---- */

static void queue(void) {
    exec_queue_t *q = NULL;
    void *item = NULL;
    fault_arm();
    int error = exec_queue_create(2, &q);
    if (error == 0) {
        CHECK_ERROR(exec_queue_get(q, exec_after(EXEC_US(100)), &item), ETIMEDOUT);
        CHECK_ERROR(exec_queue_put(q, &q, EXEC_NOW), 0);
        CHECK_ERROR(exec_queue_put(q, &q, EXEC_NOW), 0);
        CHECK_ERROR(exec_queue_put(q, &q, exec_after(EXEC_US(100))), ETIMEDOUT);
        CHECK_ERROR(exec_queue_get(q, EXEC_NOW, &item), 0);
    }
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_PTR(item, error == 0 ? &q : NULL);
    if (error != 0)
        CHECK_PTR(q, NULL);
    exec_queue_destroy(q);
}

/* ---- a worker left by its task, and replaced ---- */

static atomic_uint arrived;
static atomic_bool all_submitted;

static void *leave(void *unused) {
    (void)unused;
    for (unsigned spin = 0; !atomic_load(&all_submitted); spin++)
        stress_spin(spin);
    fault_arm();
    pthread_exit(NULL);
}

/* Needs as many workers as there were. */
static void *meet(void *arg) {
    atomic_fetch_add(&arrived, 1);
    for (unsigned spin = 0; atomic_load(&arrived) < 2; spin++)
        stress_spin(spin);
    return arg;
}

static void replace_worker(void) {
    future_t *left, *meeting[2];
    open_executor(2);
    atomic_store(&arrived, 0);
    atomic_store(&all_submitted, false);
    CHECK_ERROR(executor_submit(ex, leave, NULL, &all_opts, &left), 0);
    for (int i = 0; i < 2; i++)
        CHECK_ERROR(executor_submit(ex, meet, NULL, &all_opts, &meeting[i]), 0);
    atomic_store(&all_submitted, true);
    while (!future_done(left) || !future_done(meeting[0]) || !future_done(meeting[1]))
        sched_yield();
    fault_disarm();
    CHECK_ERROR(future_get(left, NULL), EOWNERDEAD);
    future_unref(left);
    for (int i = 0; i < 2; i++) {
        CHECK_ERROR(future_get(meeting[i], NULL), 0);
        future_unref(meeting[i]);
    }
    check_works(ex);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&drops), 0);
}

/* ---- what cannot fail, whatever fails ---- */

static void *wait_to_be_stopped(void *arg) {
    atomic_fetch_add(&arrived, 1);
    for (unsigned spin = 0; !exec_cancelled(); spin++)
        stress_spin(spin);
    return arg;
}

static void end_all(void) {
    future_t *fs[3];
    open_executor(1);
    atomic_store(&arrived, 0);
    CHECK_ERROR(executor_submit(ex, wait_to_be_stopped, NULL, &all_opts, &fs[0]), 0);
    for (int i = 1; i < 3; i++)
        CHECK_ERROR(executor_submit(ex, run, NULL, &all_opts, &fs[i]), 0);
    while (atomic_load(&arrived) == 0)
        sched_yield();
    fault_arm();
    CHECK_ERROR(future_cancel(fs[1]), 0);
    CHECK_ERROR(executor_shutdown(ex, EXECUTOR_DISCARD), 0); /* stops the one that runs, too */
    CHECK_ERROR(future_cancel(fs[0]), EINPROGRESS, EALREADY);
    CHECK_ERROR(executor_join(ex, EXEC_NEVER), 0);
    CHECK_ERROR(future_get(fs[0], NULL), 0);
    CHECK_ERROR(future_get(fs[2], NULL), ECANCELED);
    for (int i = 0; i < 3; i++)
        future_unref(fs[i]);
    executor_destroy(ex);
    fault_disarm();
    CHECK_EQ(atomic_load(&runs), 0);
    CHECK_EQ(atomic_load(&drops), 2);
}

/* ---- the runs ---- */

static const struct scenario scenarios[] = {
    {"create", create_default, true},
    {"create with all options", create_with_all_options, true},
    {"submit", submit_plain, true},
    {"submit with options", submit_with_options, true},
    {"fire and forget", fire_and_forget, true},
    {"submit inside", submit_inside, true},
    {"promise", promise, true},
    {"many promises", many_promises, true},
    {"map", map_outside, true},
    {"for, with many workers", for_outside_wide, true},
    {"map inside", map_inside, true},
    {"for, with hooks", map_on_own_threads, true},
    {"queue", queue, true},
    {"replace a worker", replace_worker, true},
    {"end all", end_all, false},
};

int main(int argc, char **argv) {
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
