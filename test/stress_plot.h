/* stress_plot.h - the plot of stress_times.c: what is known of each node, how its options are chosen, what is done to
 * it from outside, and whether there is a cause for how it has ended.
 */
#ifndef STRESS_PLOT_H
#define STRESS_PLOT_H

#include "stress.h"

enum { NODES = 64, GROWERS = 2, MEDDLERS = 2, PLAYERS = GROWERS + MEDDLERS, PROMISES = 4, GROUPS = 2 };

enum kind { VALUE, FAILS, FLAKY, ENDS, OBEYS, NAPS, SLEEPS, WAITS, BEARS, KINDS };

struct node {
    unsigned number;
    enum kind kind;
    uint64_t random;
    exec_task_opts opts;
    future_t *after[2];
    exec_group_t *group; /* or NULL */
    unsigned in;         /* which of the groups that is */
    bool endless, accepted;
    bool refused_as_cancelled;
    _Atomic(future_t *) f; /* kept until the end of the round; NULL: not known, or not any more */
    atomic_bool asked;     /* somebody cancels it, or has */
    atomic_bool cancelled; /* a cancel returned 0 */
    atomic_bool final;     /* it was seen to have finished */
    atomic_int outcome;    /* of the function's last run */
    atomic_uint inside, runs, turns, attempt, drops, made, frees, added, calls;
};

/* What a run returns. */
struct result {
    struct node *node;
};

static struct {
    uint64_t round;
    bool over; /* written before, read after a meeting, as is all that is not atomic */
    struct stress_barrier barrier;
    executor_t *ex;
    executor_opts opts;
    enum executor_shutdown mode;
    unsigned shut_at; /* how many nodes there are when it is shut down */
    atomic_bool shutting, discarding;
    atomic_uint grown;
    exec_group_t *groups[GROUPS];
    exec_group_opts group_opts[GROUPS];
    atomic_bool group_cancelled[GROUPS];
    future_t *promises[PROMISES];
    struct node nodes[NODES], children[NODES];
} plot;

static atomic_uint_fast64_t total_tasks, total_runs, total_drops, total_refused, total_late, total_cancelled;

/* ---- choosing ---- */

static inline struct node *pick(struct stress_rng *rng, unsigned before) {
    struct node *node = before > 0 ? &plot.nodes[stress_below(rng, before)] : NULL;
    return node && atomic_load(&node->f) ? node : NULL;
}

static inline exec_time some_us(struct stress_rng *rng, unsigned most) {
    return EXEC_US(1 + stress_below(rng, most));
}

static inline bool try_again(int error, unsigned attempt, void *ctx) {
    struct node *node = ctx;
    CHECK(error == EIO || error == ETIMEDOUT);
    CHECK_EQ(attempt, atomic_load(&node->attempt));
    return node->random % 5 != attempt;
}

static inline exec_retry choose_retry(struct node *node, struct stress_rng *rng) {
    return (exec_retry){.attempts = 1 + stress_below(rng, 4),
                        .delay = some_us(rng, stress_percent(rng, 20) ? 2000 : 100),
                        .max_delay = stress_percent(rng, 50) ? EXEC_MS(3) : 0,
                        .jitter = (enum exec_jitter)stress_below(rng, 3),
                        .when = stress_percent(rng, 20) ? try_again : NULL,
                        .ctx = node};
}

static inline void choose_times(struct node *node, struct stress_rng *rng) {
    exec_task_opts *opts = &node->opts;
    if (stress_percent(rng, 30))
        opts->delay = some_us(rng, 1500);
    if (stress_percent(rng, 30))
        opts->deadline = exec_after(EXEC_US((int)stress_below(rng, 4000) - 100));
    if (stress_percent(rng, 30))
        opts->timeout = some_us(rng, stress_percent(rng, 50) ? 50 : 1000);
    if (stress_percent(rng, 40))
        opts->retry = choose_retry(node, rng);
    if (stress_percent(rng, 20))
        opts->every = some_us(rng, 500);
    else if (stress_percent(rng, 3))
        opts->cron = "* * * * *";
    if (opts->every || opts->cron)
        opts->count = stress_percent(rng, 75) ? 1 + stress_below(rng, 4) : 0;
    opts->keep_going = stress_percent(rng, 50);
}

/* Comes after an earlier node, or a promise: those are counted from NODES on. */
static inline void need(struct node *node, unsigned earlier) {
    node->after[node->opts.nafter++] =
        earlier < NODES ? atomic_load(&plot.nodes[earlier].f) : plot.promises[earlier % PROMISES];
    if (earlier < NODES && plot.nodes[earlier].endless)
        node->endless = true;
}

static inline void choose_needs(struct node *node, struct stress_rng *rng) {
    for (unsigned i = 0; i < 2 && stress_percent(rng, 20); i++) {
        struct node *before = pick(rng, node->number);
        need(node, before ? before->number : NODES + stress_below(rng, PROMISES));
    }
    if ((node->opts.every && node->opts.count == 0) || node->opts.cron)
        node->endless = true;
}

static inline enum kind choose_kind(const struct node *node, struct stress_rng *rng) {
    enum kind kind = (enum kind)stress_below(rng, KINDS);
    return kind == SLEEPS && !node->opts.deadline && !node->opts.timeout ? VALUE : kind;
}

static inline void choose_group(struct node *node, struct stress_rng *rng) {
    if (!stress_percent(rng, 40))
        return;
    node->in = stress_below(rng, GROUPS);
    node->group = plot.groups[node->in];
}

/* ---- what is done to nodes ---- */

static inline bool group_may_cancel(const struct node *node) {
    if (!node->group)
        return false;
    return atomic_load(&plot.group_cancelled[node->in]) || plot.group_opts[node->in].policy != EXEC_ALL;
}

static inline bool needs_ended_with(const struct node *node, int error) {
    for (size_t i = 0; i < node->opts.nafter; i++)
        if (future_done(node->after[i]) && future_get(node->after[i], NULL) == error)
            return true;
    return false;
}

static inline bool may_time_out(const struct node *node) {
    exec_time now = exec_now();
    const exec_time group = node->group ? plot.group_opts[node->in].deadline : 0;
    return (node->opts.deadline && now >= node->opts.deadline) || (group && now >= group) ||
           (node->opts.timeout && atomic_load(&node->runs) > 0);
}

static inline bool may_be_cancelled(const struct node *node) {
    bool is_schedule = node->opts.every || node->opts.cron;
    return atomic_load(&node->asked) || atomic_load(&plot.discarding) || group_may_cancel(node) ||
           (is_schedule && atomic_load(&plot.shutting)) || plot.opts.when_full == EXECUTOR_DROP_OLDEST;
}

/* It was seen to have ended like that: there is a cause. */
static inline void check_cause(const struct node *node, int error) {
    const int last = atomic_load(&node->runs) > 0 ? atomic_load(&node->outcome) : -1;
    if (error == last || (error != 0 && needs_ended_with(node, error)))
        return;
    CHECK_ERROR(error, ETIMEDOUT, ECANCELED);
    CHECK(error == ETIMEDOUT ? may_time_out(node) : may_be_cancelled(node));
}

static inline int look_at(struct node *node, future_t *f) {
    void *result = NULL;
    CHECK(future_done(f));
    int error = future_get(f, &result);
    CHECK_EQ(future_state(f), error == 0 ? FUTURE_DONE : error == ECANCELED ? FUTURE_CANCELLED : FUTURE_FAILED);
    CHECK_EQ(result != NULL, error == 0);
    if (result)
        CHECK_PTR(((struct result *)result)->node, node);
    atomic_store(&node->final, true);
    check_cause(node, error);
    return error;
}

static inline void cancel(struct node *node) {
    future_t *f = node ? atomic_load(&node->f) : NULL;
    if (!f)
        return;
    atomic_store(&node->asked, true);
    int error = future_cancel(f);
    CHECK_ERROR(error, 0, EINPROGRESS, EALREADY);
    if (error != EINPROGRESS)
        CHECK(future_done(f));
    if (error != 0)
        return;
    atomic_store(&node->cancelled, true);
    CHECK_EQ(future_state(f), FUTURE_CANCELLED);
    CHECK_EQ(atomic_load(&node->inside), 0);
}

static inline void called(future_t *f, void *arg) {
    struct node *node = arg;
    struct stress_rng rng = {node->random + atomic_fetch_add(&node->calls, 1)};
    CHECK(future_done(f));
    if (stress_percent(&rng, 10))
        cancel(pick(&rng, NODES));
}

static inline void add_callback(struct node *node) {
    future_t *f = node ? atomic_load(&node->f) : NULL;
    if (!f)
        return;
    atomic_fetch_add(&node->added, 1);
    CHECK_ERROR(future_on_done(f, called, node), 0);
}

/* Without a deadline only for what ends by itself. */
static inline void await(struct node *node, struct stress_rng *rng, bool endlessly) {
    future_t *f = node ? atomic_load(&node->f) : NULL;
    if (!f)
        return;
    if (!endlessly || node->endless || stress_percent(rng, 40)) {
        if (future_wait(f, exec_after(EXEC_US(stress_below(rng, 1000)))) == 0)
            look_at(node, f);
        return;
    }
    CHECK_ERROR(future_wait(f, EXEC_NEVER), 0);
    look_at(node, f);
}

#endif
