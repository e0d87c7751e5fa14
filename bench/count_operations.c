/* count_operations.c - single operations, done again and again, for instructions.sh to count their instructions.
 *
 *     valgrind --tool=callgrind count_operations [OPERATION...]      all of them, unless named
 *
 * Each operation is done so often to warm up, and once more as often to be counted. Callgrind writes what it has
 * counted to a file after either, named "warm-up" and by the operation; its name and how often it was done go to
 * standard output. Without valgrind it only does that. What the operations are says instructions.table.
 *
 * A count is worth something where it repeats, and times do not. So all is kept on one thread: an operation is done in
 * a task of an executor with one worker, while the main thread sleeps; or by the main thread, while the worker is held
 * in a task that waits for a promise. Where two threads take part (submit-run) they do so one after the other. Nothing
 * here depends on how long anything takes: maps have chunks of a fixed size, streams a window so small that each item
 * travels alone, and no timer ever fires.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"

#if defined(__has_include)
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif
#endif
#ifndef CALLGRIND_DUMP_STATS_AT
#define CALLGRIND_DUMP_STATS_AT(name) ((void)(name))
#endif

enum { OPERATIONS = 2000, FIB = 14, FIB_CALLS = 1219, CHUNK = 100 };

static executor_t *ex; /* of the operation; r/o while that is done */
static future_t *futures[OPERATIONS];
static void *items[OPERATIONS];

static void *empty(void *arg) {
    return arg;
}

static void submit(exec_fn *fn, void *arg, const exec_task_opts *opts, future_t **out) {
    bench_check("executor_submit", executor_submit(ex, fn, arg, opts, out));
}

static void take(future_t *f) {
    bench_check("future_get", future_get(f, NULL));
    future_unref(f);
}

static future_t *promise(void) {
    future_t *f;
    bench_check("future_create", future_create(&f));
    return f;
}

static void resolve(future_t *f) {
    bench_check("future_resolve", future_resolve(f, NULL, 0));
}

/* --- tasks --- */

static void submit_get_with(const exec_task_opts *opts) {
    for (size_t i = 0; i < OPERATIONS; i++) {
        future_t *f;
        submit(empty, NULL, opts, &f);
        take(f);
    }
}

static void submit_get(void) {
    submit_get_with(NULL);
}

static void submit_get_name(void) {
    submit_get_with(&(exec_task_opts){.name = "task"});
}

static void submit_get_priority(void) {
    submit_get_with(&(exec_task_opts){.priority = 1});
}

static void submit_get_deadline(void) {
    submit_get_with(&(exec_task_opts){.deadline = exec_after(EXEC_SEC(3600))});
}

static void submit_get_limiter(void) {
    exec_limiter_t *limiter;
    bench_check("exec_limiter_create", exec_limiter_create(&(exec_limiter_opts){.max_running = 4}, &limiter));
    submit_get_with(&(exec_task_opts){.limiter = limiter});
    exec_limiter_destroy(limiter);
}

static void submit_get_after(void) {
    for (size_t i = 0; i < OPERATIONS; i++) {
        future_t *first = promise(), *f;
        submit(empty, NULL, &(exec_task_opts){.after = &first, .nafter = 1}, &f);
        resolve(first);
        take(f);
        future_unref(first);
    }
}

static void *must_not_run(void *arg) {
    bench_expect("tasks that ran", 1, 0);
    return arg;
}

static void submit_cancel_with(const exec_task_opts *opts) {
    for (size_t i = 0; i < OPERATIONS; i++) {
        future_t *f;
        submit(must_not_run, NULL, opts, &f);
        bench_check("future_cancel", future_cancel(f));
        future_unref(f);
    }
}

static void submit_cancel(void) {
    submit_cancel_with(NULL);
}

static void delay_cancel(void) {
    submit_cancel_with(&(exec_task_opts){.delay = EXEC_SEC(3600)});
}

static void *fib_task(void *arg) {
    uintptr_t k = (uintptr_t)arg;
    if (k < 2)
        return arg;
    future_t *f;
    void *a;
    submit(fib_task, (void *)(k - 1), NULL, &f);
    uintptr_t b = (uintptr_t)fib_task((void *)(k - 2));
    bench_check("future_get", future_get(f, &a));
    future_unref(f);
    return (void *)((uintptr_t)a + b);
}

static void fork_join(void) {
    bench_expect("fib", (uintptr_t)fib_task((void *)(uintptr_t)FIB), 377);
}

/* --- promises, and what hangs on a future --- */

static void promise_get(void) {
    for (size_t i = 0; i < OPERATIONS; i++) {
        future_t *f = promise();
        resolve(f);
        take(f);
    }
}

static void ref_unref(void) {
    future_t *f = promise();
    for (size_t i = 0; i < OPERATIONS; i++)
        future_unref(future_ref(f));
    future_unref(f);
}

static void note(future_t *f, void *called) {
    (void)f;
    ++*(size_t *)called;
}

static void on_done(void) {
    size_t called = 0;
    for (size_t i = 0; i < OPERATIONS; i++) {
        future_t *f = promise();
        bench_check("future_on_done", future_on_done(f, note, &called));
        resolve(f);
        future_unref(f);
    }
    bench_expect("callbacks", called, OPERATIONS);
}

static void cancelled(void) {
    size_t n = 0;
    for (size_t i = 0; i < OPERATIONS; i++)
        n += exec_cancelled();
    bench_expect("cancelled", n, 0);
}

/* --- many at once --- */

static void map(void) {
    bench_check("executor_map", executor_map(ex, empty, items, NULL, OPERATIONS, &(exec_map_opts){.chunk = CHUNK}));
}

static void range(size_t begin, size_t end, void *sum) {
    *(size_t *)sum += end - begin;
}

static void ranges(void) {
    size_t sum = 0;
    bench_check("executor_for", executor_for(ex, OPERATIONS, range, &sum, &(exec_map_opts){.chunk = 1}));
    bench_expect("indices", sum, OPERATIONS);
}

static void group(void) {
    exec_group_t *g;
    future_t *f;
    bench_check("exec_group_open", exec_group_open(ex, NULL, &g));
    for (size_t i = 0; i < OPERATIONS; i++)
        bench_check("exec_group_submit", exec_group_submit(g, empty, NULL, NULL, NULL));
    for (size_t i = 0; i < OPERATIONS; i++) {
        bench_check("exec_group_next", exec_group_next(g, EXEC_NEVER, &f));
        future_unref(f);
    }
    bench_check("exec_group_close", exec_group_close(g));
}

static int next_item(void *source, void **arg) {
    size_t *left = source;
    *arg = NULL;
    return (*left)-- > 0 ? 0 : ENODATA;
}

static void stream(void) {
    exec_stream_t *s;
    exec_item item;
    size_t left = OPERATIONS, n = 0;
    bench_check("exec_stream_open",
                exec_stream_open(ex, next_item, &left, empty, &(exec_stream_opts){.window = 4}, &s));
    while (exec_stream_next(s, &item))
        n++;
    bench_check("exec_stream_next", item.error);
    exec_stream_close(s);
    bench_expect("items", n, OPERATIONS);
}

static void queue(void) {
    exec_queue_t *q;
    void *item;
    bench_check("exec_queue_create", exec_queue_create(CHUNK, &q));
    for (size_t i = 0; i < OPERATIONS; i++) {
        bench_check("exec_queue_put", exec_queue_put(q, q, EXEC_NEVER));
        bench_check("exec_queue_get", exec_queue_get(q, EXEC_NEVER, &item));
    }
    exec_queue_destroy(q);
}

/* --- from outside --- */

static void *wait_for(void *gate) {
    bench_check("future_get", future_get(gate, NULL));
    return NULL;
}

/* Keeps the worker in a task until the promise that is returned is resolved. */
static future_t *hold_worker(void) {
    future_t *gate = promise(), *busy;
    submit(wait_for, gate, NULL, &busy);
    while (future_state(busy) == FUTURE_PENDING)
        exec_sleep(EXEC_MS(1));
    exec_sleep(EXEC_MS(10)); /* until it has gone to sleep */
    future_unref(busy);
    return gate;
}

/* All wait in the queue before the first is run, and all have been run before the first result is taken. */
static void submit_run(void) {
    future_t *gate = hold_worker();
    for (size_t i = 0; i < OPERATIONS; i++)
        submit(empty, NULL, NULL, &futures[i]);
    resolve(gate);
    bench_check("future_wait", future_wait(futures[OPERATIONS - 1], EXEC_NEVER));
    for (size_t i = 0; i < OPERATIONS; i++)
        take(futures[i]);
    future_unref(gate);
}

/* Until the worker has come past all that was cancelled, to a last task. */
static void submit_cancel_outside(void) {
    future_t *gate = hold_worker(), *last;
    submit_cancel();
    submit(empty, NULL, NULL, &last);
    resolve(gate);
    take(last);
    future_unref(gate);
}

/* --- counting --- */

static const struct operation {
    const char *name;
    void (*run)(void);
    bool outside; /* on the main thread, not in a task */
    size_t times;
} operations[] = {
    {"submit-get", submit_get, false, OPERATIONS},
    {"submit-get-name", submit_get_name, false, OPERATIONS},
    {"submit-get-priority", submit_get_priority, false, OPERATIONS},
    {"submit-get-deadline", submit_get_deadline, false, OPERATIONS},
    {"submit-get-limiter", submit_get_limiter, false, OPERATIONS},
    {"submit-get-after", submit_get_after, false, OPERATIONS},
    {"submit-cancel", submit_cancel, false, OPERATIONS},
    {"delay-cancel", delay_cancel, false, OPERATIONS},
    {"fork-join", fork_join, false, FIB_CALLS},
    {"promise-get", promise_get, false, OPERATIONS},
    {"ref-unref", ref_unref, false, OPERATIONS},
    {"on-done", on_done, false, OPERATIONS},
    {"cancelled", cancelled, false, OPERATIONS},
    {"map", map, false, OPERATIONS},
    {"for", ranges, false, OPERATIONS},
    {"group", group, false, OPERATIONS},
    {"stream", stream, false, OPERATIONS},
    {"queue", queue, false, OPERATIONS},
    {"submit-run", submit_run, true, OPERATIONS},
    {"submit-cancel-outside", submit_cancel_outside, true, OPERATIONS},
};
enum { N = sizeof operations / sizeof operations[0] };

static void *count(void *arg) {
    const struct operation *o = arg;
    o->run();
    CALLGRIND_DUMP_STATS_AT("warm-up");
    o->run();
    CALLGRIND_DUMP_STATS_AT(o->name);
    return NULL;
}

static void count_on_its_thread(const struct operation *o) {
    future_t *f;
    ex = bench_executor(1, 2 * OPERATIONS);
    if (o->outside) {
        count((void *)o);
    } else {
        submit(count, (void *)o, NULL, &f);
        take(f);
    }
    executor_destroy(ex);
    printf("%s %zu\n", o->name, o->times);
}

static const struct operation *find(const char *name) {
    for (size_t i = 0; i < N; i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    fprintf(stderr, "count_operations: no operation %s\n", name);
    return NULL;
}

int main(int argc, char *argv[]) {
    for (int i = 1; i < argc; i++) {
        const struct operation *o = find(argv[i]);
        if (o == NULL)
            return 2;
        count_on_its_thread(o);
    }
    for (size_t i = 0; argc == 1 && i < N; i++)
        count_on_its_thread(&operations[i]);
    return 0;
}
