/* test_trace.c - what workers do, recorded and written as trace events. */
#include "shown.h"

enum { N = 500 };

static void *fail_some(void *arg) {
    return (uintptr_t)arg % 5 == 0 ? exec_fail(EIO) : arg;
}

static char *stopped(executor_t *ex) {
    return text_of(ex, executor_trace_stop);
}

static int count_of(const char *text, const char *part) {
    int n = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        n++;
    return n;
}

/* Submits n tasks, each second of which has a name, and waits for their ends. */
static void run_some(executor_t *ex, uintptr_t n) {
    future_t **fs = calloc(n, sizeof *fs);
    for (uintptr_t i = 0; i < n; i++)
        fs[i] = submit_opts(ex, fail_some, (void *)i, i % 2 ? NULL : &(exec_task_opts){.name = "a \"name\""});
    for (uintptr_t i = 0; i < n; i++) {
        ok(future_wait(fs[i], exec_after(LIMIT))); /* by the workers */
        future_unref(fs[i]);
    }
    free(fs);
}

TEST(trace, each_run_has_a_span_with_its_name_and_outcome) {
    for (unsigned workers = 1; workers <= 4; workers++) {
        executor_t *ex = pool(workers);
        exec_stats s;
        ok(executor_trace_start(ex, NULL));
        run_some(ex, N);
        do
            ok(executor_stats(ex, &s));
        while (s.running > 0); /* the last span comes after the task's end */
        char *text = stopped(ex);
        eq_int(count_of(text, "\"ph\":\"X\""), N);
        eq_int(count_of(text, "\"name\":\"a \\\"name\\\"\""), N / 2);
        eq_int(count_of(text, "\"outcome\":\"done\""), N - N / 5);
        eq_int(count_of(text, "\"outcome\":\"Input/output error\""), N / 5);
        eq_int(count_of(text, "\"ready_us\":"), N);
        eq_int(count_of(text, "\"name\":\"thread_name\""), workers);
        has(text, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n{");
        eq_str(text + strlen(text) - 4, "\n]}\n");
        free(text);
        executor_destroy(ex);
    }
}

TEST(trace, a_full_ring_keeps_the_newest) {
    executor_t *ex = pool(1);
    exec_stats s;
    ok(executor_trace_start(ex, &(exec_trace_opts){.events = 8}));
    run_some(ex, N);
    take(submit_opts(ex, identity, ex, &(exec_task_opts){.name = "the last one"}));
    do
        ok(executor_stats(ex, &s));
    while (s.running > 0);
    char *text = stopped(ex);
    at_most(count_of(text, "\"ph\":\"X\"") + count_of(text, "\"ph\":\"i\""), 16); /* and as many of other threads */
    has(text, "the last one");
    free(text);
    executor_destroy(ex);
}

static void *submit_and_wait(void *ex) {
    future_t *f = submit(ex, identity, ex);
    ok(future_wait(f, EXEC_NEVER));
    future_unref(f);
    return NULL;
}

TEST(trace, a_task_run_by_one_that_waits_for_it_lies_within_it) {
    executor_t *ex = pool(1);
    exec_stats s;
    ok(executor_trace_start(ex, NULL));
    future_t *f = submit(ex, submit_and_wait, ex);
    await_elsewhere(f);
    future_unref(f);
    do
        ok(executor_stats(ex, &s));
    while (s.running > 0);
    char *text = stopped(ex);
    double ts[2], dur[2];
    const char *at = text;
    for (int i = 0; i < 2; i++) { /* the inner one has ended first */
        at = strstr(at + 1, ",\"dur\":");
        check(at != NULL);
        dur[i] = strtod(at + 7, NULL);
        const char *ts_at = at;
        while (strncmp(ts_at, "\"ts\":", 5) != 0)
            ts_at--;
        ts[i] = strtod(ts_at + 5, NULL);
    }
    check(ts[1] <= ts[0] && ts[1] + dur[1] >= ts[0] + dur[0] - 0.002);
    free(text);
    executor_destroy(ex);
}

static void *note_thread(void *tid) {
    *(int *)tid = (int)gettid();
    return NULL;
}

/* What may be given up gets a thread of its own, as the only worker waits for it. */
struct inner {
    executor_t *ex;
    int tid;
};

static void *wait_for_one_apart(void *arg) {
    struct inner *inner = arg;
    const exec_task_opts opts = {.timeout = LIMIT, .on_timeout = EXEC_ABANDON, .name = "apart"};
    take(submit_opts(inner->ex, note_thread, &inner->tid, &opts));
    return NULL;
}

static bool runs_nothing(executor_t *ex) {
    exec_stats s;
    ok(executor_stats(ex, &s));
    return s.running == 0;
}

TEST(trace, a_run_on_a_thread_that_is_no_worker_has_its_number) {
    struct inner inner = {.ex = pool(1)};
    char tid[40];
    ok(executor_trace_start(inner.ex, NULL));
    future_t *f = submit(inner.ex, wait_for_one_apart, &inner);
    await_elsewhere(f);
    future_unref(f);
    wait_until(runs_nothing(inner.ex));
    char *text = stopped(inner.ex);
    snprintf(tid, sizeof tid, "{\"pid\":1,\"tid\":%d,", inner.tid);
    has(text, tid);
    free(text);
    executor_destroy(inner.ex);
}

TEST(trace, can_be_started_and_stopped_while_everything_runs) {
    executor_t *ex = pool(3);
    for (int round = 0; round < 50; round++) {
        for (uintptr_t i = 0; i < 200; i++)
            ok(executor_submit(ex, fail_some, (void *)i, NULL, NULL));
        ok(executor_trace_start(ex, &(exec_trace_opts){.events = 64}));
        for (uintptr_t i = 0; i < 200; i++)
            ok(executor_submit(ex, fail_some, (void *)i, NULL, NULL));
        if (round % 2)
            free(stopped(ex));
        else
            ok(executor_trace_stop(ex, NULL));
    }
    executor_destroy(ex);
}

TEST(trace, one_that_is_on_goes_with_its_executor) {
    executor_t *ex = pool(2);
    ok(executor_trace_start(ex, NULL));
    run_some(ex, 10);
    executor_destroy(ex);
    ex = pool(2); /* maybe in the same place */
    eq_err(executor_trace_stop(ex, NULL), ENODATA);
    executor_destroy(ex);
}

TEST(trace, errors) {
    executor_t *ex = pool(1);
    eq_err(executor_trace_start(NULL, NULL), EINVAL);
    eq_err(executor_trace_start(ex, &(exec_trace_opts){.events = ((size_t)1 << 24) + 1}), EINVAL);
    eq_err(executor_trace_stop(NULL, NULL), EINVAL);
    eq_err(executor_trace_stop(ex, NULL), ENODATA);
    ok(executor_trace_start(ex, NULL));
    eq_err(executor_trace_start(ex, NULL), EALREADY);
    FILE *full = fopen("/dev/full", "w");
    check(full != NULL);
    eq_err(executor_trace_stop(ex, full), ENOSPC);
    fclose(full);
    eq_err(executor_trace_stop(ex, NULL), ENODATA);
    executor_destroy(ex);
}
