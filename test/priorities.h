/* priorities.h - what the tests of priorities share, beside groups.h: tasks with a number that write it down as they
 * run, one worker that is held meanwhile, and a look into the lanes (lanes.h) to learn that a task is ready. */
#ifndef PRIORITIES_H
#define PRIORITIES_H

#include "groups.h"

#include <limits.h>

#include "executor.h"

enum { MANY_TASKS = 200, NO_MORE = INT_MIN };

/* An executor whose one worker is held until line_run(), and what runs after that. */
struct line {
    executor_t *ex;
    struct plug plug;
    future_t *plugged;
    struct record ran, dropped;
    struct ticket {
        struct line *line;
        int number;
    } tickets[MANY_TASKS];
    int n;
};

static inline void *ticket_run(void *arg) {
    const struct ticket *t = arg;
    record_add(&t->line->ran, t->number);
    return arg;
}

static inline void ticket_drop(void *arg) {
    const struct ticket *t = arg;
    record_add(&t->line->dropped, t->number);
}

static inline struct ticket *ticket(struct line *l, int number) {
    at_most(l->n, MANY_TASKS - 1);
    l->tickets[l->n] = (struct ticket){l, number};
    return &l->tickets[l->n++];
}

static inline void line_open(struct line *l, executor_opts opts) {
    *l = (struct line){.plug = PLUG, .ran = RECORD, .dropped = RECORD};
    opts.workers = 1;
    l->ex = pool_of(opts);
    l->plugged = plug_in(l->ex, &l->plug);
}

/* Submits a task with that number. */
static inline int line_try(struct line *l, int number, exec_task_opts opts, future_t **f) {
    opts.drop = ticket_drop;
    return executor_submit(l->ex, ticket_run, ticket(l, number), &opts, f);
}

static inline future_t *line_add(struct line *l, int number, exec_task_opts opts) {
    future_t *f = NULL;
    ok(line_try(l, number, opts, &f));
    return f;
}

/* One that is known by its priority alone. */
static inline void line_put(struct line *l, int priority) {
    future_unref(line_add(l, priority, (exec_task_opts){.priority = priority}));
}

static inline bool lanes_hold_any(const executor_t *ex) {
    return exec__lanes_have(&ex->pool.lanes, EXEC__LANES_ALL);
}

/* How many lie in lanes and count against the capacity. */
static inline int aside(const executor_t *ex) {
    return (int)atomic_load(&ex->pool.queue.aside);
}

static inline void recorded_at(const char *file, int line, struct record *r, const int expected[]) {
    int n = 0;
    for (; expected[n] != NO_MORE; n++)
        if (n >= r->n || r->items[n] != expected[n])
            fail(file, line, "item %d of %d is %d, expected %d", n, r->n, n < r->n ? r->items[n] : NO_MORE,
                 expected[n]);
    if (r->n != n)
        fail(file, line, "there are %d, expected %d", r->n, n);
}

#define recorded(record, ...) recorded_at(__FILE__, __LINE__, (record), (int[]){__VA_ARGS__, NO_MORE})

static inline void line_close(struct line *l) {
    executor_destroy(l->ex);
    future_unref(l->plugged);
}

/* Lets the worker go on, until all is done. */
static inline void line_run(struct line *l) {
    plug_out(&l->plug);
    line_close(l);
}

/* The same, where a task submits others, or runs again: that one ends before the executor is shut down. */
static inline void line_run_until(struct line *l, future_t *f) {
    plug_out(&l->plug);
    await_elsewhere(f);
    ok(outcome(f));
    line_close(l);
}

#endif
