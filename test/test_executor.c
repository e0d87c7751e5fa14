/* test_executor.c - making executors, submitting, the order and the number of tasks that run. The threads are in
 * test_workers.c, what happens when the queue is full in test_full.c, the end in test_shutdown.c. */
#include "helpers.h"

#include <limits.h>

/* ---- options ---- */

static void refused(executor_opts opts) {
    executor_t *none = (executor_t *)&opts, *ex = none;
    eq_err(executor_create(&opts, &ex), EINVAL);
    eq_ptr(ex, none);
}

TEST(executor, an_option_out_of_its_range_is_einval) {
    const int negative = -1, beyond = 1 << 24, fine = 0;
    refused((executor_opts){.workers = 8001});
    refused((executor_opts){.workers = UINT_MAX});
    refused((executor_opts){.workers = 1, .capacity = ((size_t)1 << 40) + 1});
    refused((executor_opts){.workers = 1, .capacity = SIZE_MAX});
    refused((executor_opts){.workers = 1, .when_full = (enum executor_when_full)(EXECUTOR_DROP_OLDEST + 1)});
    refused((executor_opts){.workers = 1, .when_full = (enum executor_when_full)(-1)});
    refused((executor_opts){.workers = 1, .stack_size = 1});
    refused((executor_opts){.workers = 1, .stack_size = (size_t)PTHREAD_STACK_MIN - 1});
    refused((executor_opts){.workers = 1, .cpus = &negative, .ncpus = 1});
    refused((executor_opts){.workers = 1, .cpus = &beyond, .ncpus = 1});
    refused((executor_opts){.workers = 1, .cpus = (const int[]){fine, beyond}, .ncpus = 2});
    refused((executor_opts){.workers = 1, .cpus = &fine});
    refused((executor_opts){.workers = 1, .ncpus = 1});
    eq_err(executor_create(NULL, NULL), EINVAL);
    eq_err(executor_create(&(executor_opts){.workers = 1}, NULL), EINVAL);
}

/* Leaves this thread, and those it makes, one CPU. */
static int keep_one_cpu(void) {
    int cpu = first_cpu();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ok(sched_setaffinity(0, sizeof one, &one));
    return cpu;
}

TEST(executor, a_cpu_that_this_process_may_not_use_is_einval) {
    int other = keep_one_cpu() + 1;
    refused((executor_opts){.workers = 1, .cpus = &other, .ncpus = 1});
}

TEST(executor, null_options_are_the_defaults) {
    cpu_set_t mine;
    executor_t *ex = NULL;
    ok(sched_getaffinity(0, sizeof mine, &mine));
    ok(executor_create(NULL, &ex));
    between(executor_workers(ex), 1, CPU_COUNT(&mine));
    eq_ptr(take(submit(ex, identity, &mine)), &mine);
    executor_destroy(ex);
}

TEST(executor, by_default_there_are_no_more_workers_than_the_affinity_mask_has_cpus) {
    keep_one_cpu();
    executor_t *ex = pool(0);
    eq_int(executor_workers(ex), 1);
    executor_destroy(ex);
}

TEST(executor, by_default_there_is_a_worker_for_each_of_the_cpus_named) {
    int cpu = first_cpu(), cpus[] = {cpu, cpu, cpu};
    executor_t *ex = pool_of((executor_opts){.cpus = cpus, .ncpus = 3});
    eq_int(executor_workers(ex), 3);
    executor_destroy(ex);
}

TEST(executor, it_has_as_many_threads_as_workers) {
    for (int n = 1; n <= 5; n++) {
        executor_t *ex = pool_of((executor_opts){.workers = (unsigned)n, .name = "count"});
        eq_int(executor_workers(ex), n);
        wait_until(threads_named("count-", NULL, 0) == n);
        executor_destroy(ex);
        wait_until(threads_named("count-", NULL, 0) == 0);
    }
}

TEST(executor, the_queue_has_room_for_1024_by_default) {
    struct plug plug = PLUG;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .when_full = EXECUTOR_REJECT});
    future_unref(plug_in(ex, &plug));
    for (int i = 0; i < 1024; i++)
        ok(executor_submit(ex, identity, NULL, NULL, NULL));
    eq_err(executor_submit(ex, identity, NULL, NULL, NULL), EAGAIN);
    plug_out(&plug);
    executor_destroy(ex);
}

/* ---- submitting ---- */

TEST(executor, what_is_null_or_negative_is_einval) {
    executor_t *ex = pool(1);
    future_t *none = (future_t *)ex, *f = none;
    eq_err(executor_submit(NULL, identity, NULL, NULL, &f), EINVAL);
    eq_err(executor_submit(ex, NULL, NULL, NULL, &f), EINVAL);
    eq_err(executor_submit(ex, identity, NULL, &(exec_task_opts){.room_wait = -1}, &f), EINVAL);
    eq_err(executor_submit(ex, identity, NULL, &(exec_task_opts){.room_wait = INT64_MIN}, &f), EINVAL);
    eq_err(executor_submit(NULL, NULL, NULL, NULL, NULL), EINVAL);
    eq_ptr(f, none);
    executor_destroy(ex);
}

static void *reads_its_own_future(void *slot) {
    future_t *f = *(future_t **)slot;
    check(f != NULL);
    eq_ptr(future_arg(f), slot);
    eq_state(f, FUTURE_RUNNING);
    return f;
}

TEST(executor, a_task_finds_its_own_future_where_submit_put_it) {
    executor_t *ex = pool(2);
    for (int i = 0; i < 500; i++) {
        future_t *f = NULL;
        ok(executor_submit(ex, reads_its_own_future, &f, NULL, &f));
        void *result = NULL;
        ok(future_get(f, &result));
        eq_ptr(result, f);
        future_unref(f);
    }
    executor_destroy(ex);
}

TEST(executor, a_task_without_a_future_runs) {
    struct gate ran = GATE(100);
    executor_t *ex = pool(2);
    for (int i = 0; i < 100; i++)
        ok(executor_submit(ex, open_it, &ran, NULL, NULL));
    gate_wait(&ran);
    executor_destroy(ex);
}

TEST(executor, an_idle_pool_wakes_for_every_single_task) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        for (int i = 0; i < 300; i++) {
            struct gate ran = GATE(1);
            ok(executor_submit(ex, open_it, &ran, NULL, NULL));
            gate_wait(&ran);
        }
        executor_destroy(ex);
    }
}

struct split {
    executor_t *ex;
    struct gate all_in;
};

static void *open_and_wait(void *gate) {
    gate_open(gate);
    gate_wait(gate);
    return NULL;
}

static void *submit_two_and_meet_them(void *arg) {
    struct split *split = arg;
    future_t *a = submit(split->ex, open_and_wait, &split->all_in);
    future_t *b = submit(split->ex, open_and_wait, &split->all_in);
    open_and_wait(&split->all_in);
    ok(outcome(a));
    ok(outcome(b));
    return NULL;
}

TEST(executor, other_workers_take_over_what_a_task_submits) {
    executor_t *ex = pool(3);
    for (int i = 0; i < 100; i++) {
        struct split split = {ex, GATE(3)};
        future_t *f = submit(ex, submit_two_and_meet_them, &split);
        if (i % 2)
            await_elsewhere(f);
        ok(outcome(f));
    }
    executor_destroy(ex);
}

/* ---- order and number ---- */

struct numbered {
    struct record *record;
    int number;
};

static void *write_down(void *arg) {
    struct numbered *task = arg;
    record_add(task->record, task->number);
    return NULL;
}

static void *is_not_on(void *thread) {
    check(!pthread_equal(pthread_self(), *(pthread_t *)thread));
    return NULL;
}

TEST(executor, a_thread_that_waits_with_a_deadline_or_for_some_of_several_runs_no_task) {
    pthread_t self = pthread_self();
    executor_t *ex = pool(3);
    for (int round = 0; round < 200; round++) {
        future_t *fs[4];
        for (int i = 0; i < 4; i++)
            fs[i] = submit(ex, is_not_on, &self);
        ok(exec_wait(fs, 4, 1 + (size_t)round % 3, EXEC_NEVER));
        ok(exec_wait(fs, 4, 4, exec_after(LIMIT)));
        for (int i = 0; i < 4; i++)
            future_unref(fs[i]);
    }
    executor_destroy(ex);
}

TEST(executor, one_worker_starts_the_tasks_of_one_producer_in_order) {
    enum { N = 1500 };
    static struct record record = RECORD;
    static struct numbered tasks[N];
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 7});
    for (int i = 0; i < N; i++) {
        tasks[i] = (struct numbered){&record, i};
        ok(executor_submit(ex, write_down, &tasks[i], NULL, NULL));
    }
    executor_destroy(ex);
    eq_int(record.n, N);
    for (int i = 0; i < N; i++)
        eq_int(record.items[i], i);
}

TEST(executor, waiting_for_the_newer_of_two_tasks_of_one_worker_does_not_run_it_first) {
    executor_t *ex = pool(1);
    for (int round = 0; round < 300; round++) {
        struct record record = RECORD;
        struct numbered tasks[2] = {{&record, 0}, {&record, 1}};
        future_t *older = submit(ex, write_down, &tasks[0]), *newer = submit(ex, write_down, &tasks[1]);
        ok(outcome(newer));
        ok(outcome(older));
        eq_int(record.items[0], 0);
        eq_int(record.items[1], 1);
    }
    executor_destroy(ex);
}

enum { PRODUCERS = 4, EACH = 300 };
static struct record produced = RECORD;
static struct numbered products[PRODUCERS][EACH];
static executor_t *consumer;

static void *produce(void *row) {
    for (int i = 0; i < EACH; i++)
        ok(executor_submit(consumer, write_down, &((struct numbered *)row)[i], NULL, NULL));
    return NULL;
}

TEST(executor, one_worker_keeps_the_order_of_each_of_several_producers) {
    pthread_t threads[PRODUCERS];
    int next[PRODUCERS] = {0};
    consumer = pool_of((executor_opts){.workers = 1, .capacity = 16});
    for (int p = 0; p < PRODUCERS; p++) {
        for (int i = 0; i < EACH; i++)
            products[p][i] = (struct numbered){&produced, p * EACH + i};
        threads[p] = start(produce, products[p]);
    }
    for (int p = 0; p < PRODUCERS; p++)
        finish(threads[p]);
    executor_destroy(consumer);
    eq_int(produced.n, PRODUCERS * EACH);
    for (int i = 0; i < produced.n; i++)
        eq_int(produced.items[i] % EACH, next[produced.items[i] / EACH]++);
}

struct crowd {
    executor_t *ex;
    struct meter meter;
};

static void *pass_the_meter(void *arg) {
    struct crowd *crowd = arg;
    meter_enter(&crowd->meter);
    for (int i = 0; i < 3; i++)
        sched_yield();
    meter_leave(&crowd->meter);
    return NULL;
}

static void *submit_and_get(void *arg) {
    struct crowd *crowd = arg;
    future_t *fs[4];
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < 4; i++)
            fs[i] = submit(crowd->ex, pass_the_meter, crowd);
        if (round % 2)
            ok(exec_wait(fs, 4, 4, EXEC_NEVER));
        for (int i = 3; i >= 0; i--)
            ok(outcome(fs[i]));
    }
    return NULL;
}

TEST(executor, no_more_tasks_run_at_once_than_there_are_workers_whoever_waits_for_them) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct crowd crowd = {.ex = pool(workers)};
        pthread_t threads[5];
        for (int i = 0; i < 5; i++)
            threads[i] = start(submit_and_get, &crowd);
        for (int i = 0; i < 5; i++)
            finish(threads[i]);
        executor_destroy(crowd.ex);
        between(atomic_load(&crowd.meter.most), 1, workers);
    }
}
