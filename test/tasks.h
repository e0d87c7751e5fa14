/* tasks.h - part of helpers.h: making executors, the tasks that many tests submit, and what they leave behind. */
#ifndef TASKS_H
#define TASKS_H

/* A CPU that this thread may use. */
static inline int first_cpu(void) {
    cpu_set_t mine;
    ok(sched_getaffinity(0, sizeof mine, &mine));
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &mine))
            return cpu;
    FAIL("this process may use no CPU");
}

static inline executor_t *pool_of(executor_opts opts) {
    executor_t *ex = NULL;
    ok(executor_create(&opts, &ex));
    check(ex != NULL);
    return ex;
}

static inline executor_t *pool(unsigned workers) {
    return pool_of((executor_opts){.workers = workers});
}

static inline future_t *submit_opts(executor_t *ex, exec_fn *fn, void *arg, const exec_task_opts *opts) {
    future_t *f = NULL;
    ok(executor_submit(ex, fn, arg, opts, &f));
    check(f != NULL);
    return f;
}

static inline future_t *submit(executor_t *ex, exec_fn *fn, void *arg) {
    return submit_opts(ex, fn, arg, NULL);
}

static inline future_t *promise(void) {
    future_t *f = NULL;
    ok(future_create(&f));
    check(f != NULL);
    return f;
}

/* Waits for the result, and gives the reference back. */
static inline void *take(future_t *f) {
    void *result = NULL;
    ok(future_get(f, &result));
    future_unref(f);
    return result;
}

/* Waits for the end, gives the reference back, and returns the task's error. */
static inline int outcome(future_t *f) {
    int error = future_get(f, NULL);
    future_unref(f);
    return error;
}

/* Waits for the end without ever running the task on the calling thread. */
static inline void await_elsewhere(future_t *f) {
    ok(future_wait(f, exec_after(LIMIT)));
}

static inline void *identity(void *arg) {
    return arg;
}

static inline void *count_up(void *counter) {
    atomic_fetch_add((atomic_int *)counter, 1);
    return NULL;
}

static inline void count_drop(void *counter) {
    atomic_fetch_add((atomic_int *)counter, 1);
}

static inline void *open_it(void *gate) {
    gate_open(gate);
    return NULL;
}

static inline void *fail_with(void *error) {
    return exec_fail((int)(intptr_t)error);
}

static inline void *as_error(int error) {
    return (void *)(intptr_t)error;
}

static inline void *must_not_run(void *arg) {
    (void)arg;
    FAIL("a task ran that must not");
}

static inline void must_not_free(void *result) {
    (void)result;
    FAIL("something was freed that must not be");
}

/* Holds a worker from gate to gate. */
struct plug {
    struct gate started, release;
};

#define PLUG \
    { GATE(1), GATE(1) }

static inline void *plug_task(void *arg) {
    struct plug *plug = arg;
    gate_open(&plug->started);
    gate_wait(&plug->release);
    return plug;
}

static inline future_t *plug_in(executor_t *ex, struct plug *plug) {
    future_t *f = submit(ex, plug_task, plug);
    gate_wait(&plug->started);
    return f;
}

static inline void plug_out(struct plug *plug) {
    gate_open(&plug->release);
}

/* How many are inside at once, and the most there ever were. */
struct meter {
    atomic_int now, most;
};

static inline void meter_enter(struct meter *m) {
    int now = atomic_fetch_add(&m->now, 1) + 1, most = atomic_load(&m->most);
    while (now > most && !atomic_compare_exchange_weak(&m->most, &most, now)) {
    }
}

static inline void meter_leave(struct meter *m) {
    atomic_fetch_sub(&m->now, 1);
}

/* What happened, in order. */
struct record {
    pthread_mutex_t lock;
    int n, items[2000]; /* under lock */
};

#define RECORD \
    { .lock = PTHREAD_MUTEX_INITIALIZER }

static inline void record_add(struct record *r, int item) {
    pthread_mutex_lock(&r->lock);
    if (r->n < 2000)
        r->items[r->n++] = item;
    pthread_mutex_unlock(&r->lock);
}

/* Starts a task, cancels it once it says that it has begun, and returns how it ended. */
struct begun {
    struct gate begun;
    void *arg;
};

static inline int cancel_once_begun(executor_t *ex, exec_fn *fn, struct begun *task) {
    future_t *f = submit(ex, fn, task);
    gate_wait(&task->begun);
    eq_err(future_cancel(f), EINPROGRESS);
    await_elsewhere(f);
    return outcome(f);
}

static inline int discard_once_begun(exec_fn *fn, struct begun *task) {
    executor_t *ex = pool(1);
    future_t *f = submit(ex, fn, task);
    gate_wait(&task->begun);
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    await_elsewhere(f);
    executor_destroy(ex);
    return outcome(f);
}

static inline void *wait_for_the_flag(struct begun *task) {
    check(!exec_cancelled());
    gate_open(&task->begun);
    wait_until(exec_cancelled());
    return NULL;
}

#endif
