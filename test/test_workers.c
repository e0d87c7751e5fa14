/* test_workers.c - an executor's threads: how many, their names, stacks and CPUs, their hooks, and that they sleep. */
#include "helpers.h"

/* ---- threads ---- */

/* One of several tasks that are inside at the same time, each on its own thread. */
struct look {
    struct gate *all_in;
    char name[32];
    pthread_t thread;
    pid_t tid;
    size_t stack_size;
    cpu_set_t cpus;
};

static void *look_round(void *arg) {
    struct look *look = arg;
    pthread_attr_t attr;
    void *stack;
    look->thread = pthread_self();
    look->tid = gettid();
    ok(pthread_getname_np(pthread_self(), look->name, sizeof look->name));
    ok(pthread_getattr_np(pthread_self(), &attr));
    ok(pthread_attr_getstack(&attr, &stack, &look->stack_size));
    pthread_attr_destroy(&attr);
    ok(sched_getaffinity(0, sizeof look->cpus, &look->cpus));
    gate_open(look->all_in);
    gate_wait(look->all_in);
    return NULL;
}

static void look_at_all(executor_t *ex, struct look looks[], int n) {
    struct gate all_in = GATE(n);
    future_t *fs[8];
    for (int i = 0; i < n; i++) {
        looks[i].all_in = &all_in;
        fs[i] = submit(ex, look_round, &looks[i]);
    }
    for (int i = 0; i < n; i++) {
        await_elsewhere(fs[i]);
        ok(outcome(fs[i]));
    }
}

static void has_names(struct look looks[], int n, const char *const names[]) {
    for (int i = 0; i < n; i++) {
        int found = 0;
        for (int j = 0; j < n; j++)
            found += strcmp(looks[j].name, names[i]) == 0;
        if (found != 1)
            FAIL("%d threads are named %s", found, names[i]);
    }
}

TEST(workers, workers_are_named_and_numbered) {
    struct look looks[3];
    char name[] = "fetcher";
    executor_t *ex = pool_of((executor_opts){.workers = 3, .name = name});
    memset(name, 'x', sizeof name - 1);
    look_at_all(ex, looks, 3);
    has_names(looks, 3, (const char *[]){"fetcher-0", "fetcher-1", "fetcher-2"});
    executor_destroy(ex);
}

TEST(workers, workers_are_named_exec_by_default) {
    struct look looks[2];
    executor_t *ex = pool(2);
    look_at_all(ex, looks, 2);
    has_names(looks, 2, (const char *[]){"exec-0", "exec-1"});
    executor_destroy(ex);
}

TEST(workers, a_long_name_is_cut_to_what_linux_keeps) {
    struct look look;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .name = "a-name-that-is-longer-than-fifteen"});
    look_at_all(ex, &look, 1);
    eq_int(strlen(look.name), 15);
    eq_int(strncmp(look.name, "a-name-that-", 12), 0);
    executor_destroy(ex);
}

static void has_stack(size_t size) {
    struct look looks[2];
    executor_t *ex = pool_of((executor_opts){.workers = 2, .stack_size = size});
    look_at_all(ex, looks, 2);
    for (int i = 0; i < 2; i++)
        between(looks[i].stack_size, (intmax_t)size - sysconf(_SC_PAGESIZE), (intmax_t)size + (1 << 20));
    executor_destroy(ex);
}

TEST(workers, workers_have_the_stack_size_asked_for) {
    has_stack((size_t)1 << 20);
    has_stack(((size_t)3 << 20) + 1);
}

TEST(workers, the_smallest_stack_is_enough_for_a_small_task) {
    executor_t *ex = pool_of((executor_opts){.workers = 1, .stack_size = (size_t)PTHREAD_STACK_MIN});
    eq_ptr(take(submit(ex, identity, ex)), ex);
    executor_destroy(ex);
}

TEST(workers, worker_i_runs_on_cpu_i_of_those_named) {
    cpu_set_t mine;
    int cpus[2], n = 0;
    struct look looks[3];
    ok(sched_getaffinity(0, sizeof mine, &mine));
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && n < 2; cpu--)
        if (CPU_ISSET(cpu, &mine))
            cpus[n++] = cpu;
    executor_t *ex = pool_of((executor_opts){.workers = 3, .name = "on", .cpus = cpus, .ncpus = (size_t)n});
    int named[2] = {cpus[0], n > 1 ? cpus[1] : 0};
    memset(cpus, 0xff, sizeof cpus); /* they were copied */
    look_at_all(ex, looks, 3);
    for (int i = 0; i < 3; i++) {
        int worker = atoi(looks[i].name + strlen("on-"));
        eq_int(CPU_COUNT(&looks[i].cpus), 1);
        check(CPU_ISSET(named[worker % n], &looks[i].cpus));
    }
    executor_destroy(ex);
}

TEST(workers, as_many_tasks_run_at_once_as_there_are_workers) {
    for (int n = 1; n <= 5; n++) {
        executor_t *ex = pool((unsigned)n);
        struct look looks[5];
        for (int round = 0; round < 20; round++)
            look_at_all(ex, looks, n);
        executor_destroy(ex);
    }
}

static long voluntary_switches(const pid_t tids[], int n) {
    long sum = 0, one;
    for (int i = 0; i < n; i++) {
        char path[64], line[128];
        snprintf(path, sizeof path, "/proc/self/task/%d/status", (int)tids[i]);
        FILE *status = fopen(path, "r");
        check(status != NULL);
        while (fgets(line, sizeof line, status))
            if (sscanf(line, "voluntary_ctxt_switches: %ld", &one) == 1)
                sum += one;
        fclose(status);
    }
    return sum;
}

TEST(workers, idle_workers_stay_asleep) {
    enum { N = 3 };
    pid_t tids[N];
    executor_t *ex = pool_of((executor_opts){.workers = N, .name = "idle"});
    wait_until(threads_named("idle-", tids, N) == N);
    for (int i = 0; i < 50; i++)
        take(submit(ex, identity, ex));
    for (int i = 0; i < N; i++) {
        atomic_int tid = tids[i];
        wait_until_asleep(&tid);
    }
    long before = voluntary_switches(tids, N);
    nap(EXEC_MS(300));
    eq_int(voluntary_switches(tids, N), before);
    executor_destroy(ex);
}

/* ---- hooks ---- */

struct hooks {
    atomic_int starts[8], stops[8];
    pthread_t threads[8]; /* by worker, written in its start hook */
    int fail_at, error;   /* the worker whose hook fails, or -1 */
};

static __thread int hooked_worker = -1;

static int on_start(void *ctx, unsigned worker) {
    struct hooks *h = ctx;
    check(worker < 8);
    atomic_fetch_add(&h->starts[worker], 1);
    h->threads[worker] = pthread_self();
    if ((int)worker == h->fail_at)
        return h->error;
    hooked_worker = (int)worker;
    return 0;
}

static void on_stop(void *ctx, unsigned worker) {
    struct hooks *h = ctx;
    eq_int(worker, hooked_worker);
    check(pthread_equal(pthread_self(), h->threads[worker]));
    atomic_fetch_add(&h->stops[worker], 1);
}

static executor_opts with_hooks(struct hooks *h, unsigned workers) {
    return (executor_opts){.workers = workers, .on_start = on_start, .on_stop = on_stop, .hook_ctx = h};
}

static void *is_on_a_hooked_thread(void *unused) {
    (void)unused;
    at_least(hooked_worker, 0);
    return NULL;
}

static void count_a_stop(void *ctx, unsigned worker) {
    atomic_fetch_add(&((struct hooks *)ctx)->stops[worker], 1);
}

TEST(workers, each_worker_calls_its_hooks_once) {
    struct hooks h = {.fail_at = -1};
    executor_t *ex = pool_of(with_hooks(&h, 4));
    for (int i = 0; i < 4; i++) {
        eq_int(atomic_load(&h.starts[i]), 1);
        eq_int(atomic_load(&h.stops[i]), 0);
    }
    for (int i = 0; i < 100; i++)
        take(submit(ex, is_on_a_hooked_thread, NULL));
    executor_destroy(ex);
    for (int i = 0; i < 8; i++) {
        eq_int(atomic_load(&h.starts[i]), i < 4);
        eq_int(atomic_load(&h.stops[i]), i < 4);
    }
}

TEST(workers, either_hook_may_be_missing) {
    struct hooks h = {.fail_at = -1};
    executor_t *ex = pool_of((executor_opts){.workers = 2, .on_start = on_start, .hook_ctx = &h});
    take(submit(ex, is_on_a_hooked_thread, NULL));
    executor_destroy(ex);
    ex = pool_of((executor_opts){.workers = 2, .on_stop = count_a_stop, .hook_ctx = &h});
    executor_destroy(ex);
    for (int i = 0; i < 2; i++) {
        eq_int(atomic_load(&h.starts[i]), 1);
        eq_int(atomic_load(&h.stops[i]), 1);
    }
}

static void *is_on_a_thread_named_own(void *unused) {
    char name[32];
    (void)unused;
    ok(pthread_getname_np(pthread_self(), name, sizeof name));
    eq_int(strncmp(name, "own-", 4), 0);
    return NULL;
}

static void runs_on_its_own_threads(executor_opts opts) {
    enum { N = 200 };
    future_t *fs[N];
    opts.name = "own";
    executor_t *ex = pool_of(opts);
    for (int i = 0; i < N; i++)
        fs[i] = submit(ex, is_on_a_thread_named_own, NULL);
    for (int i = N - 1; i >= 0; i--)
        ok(outcome(fs[i]));
    for (int i = 0; i < N; i++)
        ok(outcome(submit(ex, is_on_a_thread_named_own, NULL)));
    executor_destroy(ex);
}

TEST(workers, waiting_threads_run_no_task_that_needs_the_executors_own_threads) {
    struct hooks h = {.fail_at = -1};
    int cpus[] = {first_cpu()};
    runs_on_its_own_threads((executor_opts){.workers = 1});
    runs_on_its_own_threads((executor_opts){.workers = 3, .on_start = on_start, .hook_ctx = &h});
    runs_on_its_own_threads((executor_opts){.workers = 3, .on_stop = count_a_stop, .hook_ctx = &h});
    runs_on_its_own_threads((executor_opts){.workers = 3, .stack_size = 1 << 20});
    runs_on_its_own_threads((executor_opts){.workers = 3, .cpus = cpus, .ncpus = 1});
}

TEST(workers, a_start_hook_that_fails_fails_create_and_stops_the_others) {
    for (int fail_at = 0; fail_at < 4; fail_at++) {
        struct hooks h = {.fail_at = fail_at, .error = fail_at % 2 ? EPERM : 4321};
        executor_opts opts = with_hooks(&h, 4);
        executor_t *none = (executor_t *)&h, *ex = none;
        int threads = thread_count();
        eq_err(executor_create(&opts, &ex), h.error);
        eq_ptr(ex, none);
        wait_until(thread_count() == threads);
        at_most(atomic_load(&h.starts[fail_at]), 1);
        eq_int(atomic_load(&h.stops[fail_at]), 0);
        for (int i = 0; i < 4; i++)
            if (i != fail_at)
                eq_int(atomic_load(&h.stops[i]), atomic_load(&h.starts[i]));
    }
}
