/* groups.h - what the tests of groups share, beside helpers.h: opening, submitting, taking what has finished, and tasks
 * that run until they are asked to stop. */
#ifndef GROUPS_H
#define GROUPS_H

#include "helpers.h"

static inline exec_group_t *group_of(executor_t *ex, exec_group_opts opts) {
    exec_group_t *g = NULL;
    ok(exec_group_open(ex, &opts, &g));
    check(g != NULL);
    return g;
}

static inline exec_group_t *group(executor_t *ex) {
    return group_of(ex, (exec_group_opts){0});
}

static inline future_t *member_opts(exec_group_t *g, exec_fn *fn, void *arg, const exec_task_opts *opts) {
    future_t *f = NULL;
    ok(exec_group_submit(g, fn, arg, opts, &f));
    check(f != NULL);
    return f;
}

static inline future_t *member(exec_group_t *g, exec_fn *fn, void *arg) {
    return member_opts(g, fn, arg, NULL);
}

/* A member of which only exec_group_next() will know. */
static inline void join(exec_group_t *g, exec_fn *fn, void *arg) {
    ok(exec_group_submit(g, fn, arg, NULL, NULL));
}

static inline future_t *plug_member(exec_group_t *g, struct plug *plug) {
    future_t *f = member(g, plug_task, plug);
    gate_wait(&plug->started);
    return f;
}

/* The next that finishes, which must be one. */
static inline future_t *next_of(exec_group_t *g) {
    future_t *f = NULL;
    ok(exec_group_next(g, exec_after(LIMIT), &f));
    check(f != NULL);
    check(future_done(f));
    return f;
}

/* Takes the next one's result, or its error. */
static inline void *take_next(exec_group_t *g) {
    return take(next_of(g));
}

static inline int outcome_of_next(exec_group_t *g) {
    return outcome(next_of(g));
}

static inline void next_is(exec_group_t *g, future_t *f) {
    future_t *next = next_of(g);
    eq_ptr(next, f);
    future_unref(next);
}

static inline int try_next(exec_group_t *g) {
    future_t *f = NULL;
    int error = exec_group_next(g, EXEC_NOW, &f);
    if (error)
        eq_ptr(f, NULL);
    future_unref(f);
    return error;
}

/* Nothing is left in it: it is closed, with that outcome. */
static inline void close_empty(exec_group_t *g, int expected) {
    eq_err(exec_group_next(g, EXEC_NEVER, &(future_t *){NULL}), ENODATA);
    eq_err(exec_group_close(g), expected);
}

/* A member that splits into two members of the same group until nothing is left. */
struct tree {
    exec_group_t *g;
    atomic_int left;
};

static inline void *grow(void *arg) {
    struct tree *t = arg;
    if (atomic_fetch_sub(&t->left, 1) > 0)
        for (int i = 0; i < 2; i++)
            join(t->g, grow, t);
    return NULL;
}

/* Runs until it is asked to stop, and then ends as `then` says. */
struct obedient {
    struct gate started;
    int then; /* an error, or 0: returns a value in spite of all */
};

#define OBEDIENT(error) \
    { GATE(1), (error) }

static inline void *until_asked(void *arg) {
    struct obedient *task = arg;
    gate_open(&task->started);
    wait_until(exec_cancelled());
    return task->then ? exec_fail(task->then) : task;
}

static inline future_t *obedient_member(exec_group_t *g, struct obedient *task) {
    future_t *f = member_opts(g, until_asked, task, &(exec_task_opts){.drop = must_not_free});
    gate_wait(&task->started);
    return f;
}

/* A member that adds its number to a record. */
struct entry {
    struct record *record;
    int number;
};

static inline void *write_down(void *arg) {
    const struct entry *entry = arg;
    record_add(entry->record, entry->number);
    return NULL;
}

/* A member that will never run, and counts when it is dropped. */
static inline future_t *doomed_member(exec_group_t *g, atomic_int *drops) {
    return member_opts(g, must_not_run, drops, &(exec_task_opts){.drop = count_drop});
}

/* Submits to a group that takes no more: the argument is dropped at once, and *out left as it was. */
static inline void refused(exec_group_t *g, int error) {
    atomic_int drops = 0;
    exec_task_opts opts = {.drop = count_drop};
    future_t *f = (future_t *)g;
    eq_err(exec_group_submit(g, must_not_run, &drops, &opts, &f), error);
    eq_int(atomic_load(&drops), 1);
    eq_ptr(f, g);
    eq_err(exec_group_submit(g, must_not_run, &drops, &opts, NULL), error);
    eq_int(atomic_load(&drops), 2);
    eq_err(exec_group_submit(g, must_not_run, NULL, NULL, NULL), error);
}

/* Waits until the future has finished, without having any part in it: it may be a member that ends by a deadline. */
static inline void await_end(future_t *f, int error) {
    wait_until(future_done(f));
    eq_err(outcome(f), error);
}

/* A task that works with a group of its own, or with what it is given. */
struct visit {
    executor_t *ex;
    exec_group_t *g;
    struct gate begun;
    atomic_int drops, ran;
};

/* Runs fn(here) as a task of here->ex, which must end with `expected`. */
static inline void as_task(struct visit *here, exec_fn *fn, int expected) {
    future_t *f = submit(here->ex, fn, here);
    await_elsewhere(f);
    eq_err(outcome(f), expected);
}

#endif
