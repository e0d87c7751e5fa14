/* stress_times.c - random tasks with every option of time, while others cancel, wait for, and shut down what they can.
 *
 * A round is an executor of 1 to 3 workers, two groups, and a few promises. Two growers submit nodes: with .deadline,
 * .timeout, .retry, .delay, .every, .cron, .count and .keep_going, some of them members, some with .after. A node's
 * function returns a value, fails, fails now and then, ends as cancelled, looks at its flag, sleeps (for ever, if it
 * has a time at which it is to be asked), waits for an earlier node, or submits a child. Two meddlers resolve
 * promises, cancel nodes and groups, wait, add callbacks that cancel, and shut the executor down and join it at some
 * moment. Which nodes nobody ends but a cancel is known (`endless`), so that nobody waits for those without a
 * deadline.
 *
 * Checked as it goes: runs of one node do not overlap, attempts are counted from 1 without a gap, nothing runs after a
 * cancel that returned 0, and a run that sees its time passed sees its flag, too. Checked at the end of each round:
 * every accepted node is final, and has either run or been dropped, once; it has not run more often than it may, and
 * as often as it must where nothing interfered; its outcome has a cause; each result was taken or freed once. At the
 * end, threads and descriptors are as many as at the beginning.
 */
#include "stress_plot.h"

/* ---- nodes ---- */

static void drop(void *arg) {
    struct node *node = arg;
    CHECK_EQ(atomic_fetch_add(&node->drops, 1), 0);
    CHECK_EQ(atomic_load(&node->runs), 0);
}

static void free_result(void *arg) {
    struct result *result = arg;
    atomic_fetch_add(&result->node->frees, 1);
    free(result);
}

static void take_result(struct node *node, future_t *f) {
    void *result = NULL;
    if (future_get(f, &result) != 0)
        return;
    atomic_fetch_add(&node->frees, 1);
    free(result);
}

static void *run(void *arg);

static int submit(struct node *node, bool known, future_t **f) {
    future_t *after[2] = {node->after[0], node->after[1]};
    node->opts.after = after;
    node->opts.drop = drop;
    node->opts.free_result = free_result;
    node->opts.name = "node";
    int error = node->group ? exec_group_submit(node->group, run, node, &node->opts, known ? f : NULL)
                            : executor_submit(plot.ex, run, node, &node->opts, known ? f : NULL);
    node->opts.after = NULL;
    node->accepted = error == 0;
    node->refused_as_cancelled = error == ECANCELED;
    atomic_fetch_add(&total_refused, error != 0);
    if (error == EAGAIN)
        CHECK_EQ(plot.opts.when_full, EXECUTOR_REJECT);
    else if (error == ESHUTDOWN)
        CHECK(atomic_load(&plot.shutting));
    else if (error == ECANCELED)
        CHECK(node->group && (group_may_cancel(node) || plot.group_opts[node->in].deadline));
    else
        CHECK_ERROR(error, 0);
    return error;
}

static void bear(struct node *node, struct stress_rng *rng) {
    struct node *child = &plot.children[node->number];
    future_t *f = NULL;
    if (atomic_load(&node->runs) > 1)
        return;
    *child = (struct node){.number = node->number, .random = stress_next(rng), .kind = FLAKY};
    choose_times(child, rng);
    child->opts.cron = NULL;
    if (child->opts.every && child->opts.count == 0)
        child->opts.count = 1;
    if (submit(child, stress_percent(rng, 70), &f) == 0 && f && stress_percent(rng, 70)) {
        CHECK_ERROR(future_wait(f, EXEC_NEVER), 0);
        look_at(child, f);
        take_result(child, f);
    }
    future_unref(f);
}

static int obey(exec_time limit) {
    for (exec_time until = exec_after(limit); exec_now() < until;)
        if (exec_cancelled())
            return ECANCELED;
    return 0;
}

static int act(struct node *node, struct stress_rng *rng) {
    switch (node->kind) {
    case FAILS: return EIO;
    case FLAKY: return stress_percent(rng, 50) ? EIO : 0;
    case ENDS: return stress_percent(rng, 50) ? ECANCELED : 0;
    case OBEYS: return obey(some_us(rng, 500));
    case NAPS: return exec_sleep(some_us(rng, 300));
    case SLEEPS: CHECK_ERROR(exec_sleep(EXEC_SEC(3600)), ECANCELED); return ECANCELED;
    case WAITS: await(pick(rng, node->number), rng, !node->group); return 0;
    case BEARS: bear(node, rng); return 0;
    default: return 0;
    }
}

static void begin(struct node *node) {
    unsigned attempt = exec_attempt(), before = atomic_exchange(&node->attempt, attempt);
    CHECK_EQ(atomic_fetch_add(&node->inside, 1), 0);
    CHECK_EQ(atomic_load(&node->cancelled), false);
    CHECK_EQ(atomic_load(&node->final), false);
    CHECK_EQ(atomic_load(&node->drops), 0);
    atomic_fetch_add(&node->runs, 1);
    if (attempt == 1)
        atomic_fetch_add(&node->turns, 1);
    else
        CHECK_EQ(attempt, before + 1);
    CHECK_OP(attempt, <=, node->opts.retry.attempts > 1 ? node->opts.retry.attempts : 1);
    if (node->opts.deadline && exec_now() >= node->opts.deadline) {
        CHECK(exec_cancelled());
        atomic_fetch_add(&total_late, 1);
    }
    for (size_t i = 0; i < node->opts.nafter; i++)
        CHECK_EQ(future_state(node->after[i]), FUTURE_DONE);
}

static void *run(void *arg) {
    struct node *node = arg;
    begin(node);
    struct stress_rng rng = {node->random + atomic_load(&node->runs)};
    int error = act(node, &rng);
    struct result *result = error ? NULL : stress_alloc(1, sizeof *result);
    atomic_store(&node->outcome, error);
    atomic_fetch_sub(&node->inside, 1);
    if (error)
        return exec_fail(error);
    result->node = node;
    atomic_fetch_add(&node->made, 1);
    return result;
}

/* ---- players ---- */

static void grow(unsigned first, struct stress_rng *rng) {
    for (unsigned i = first; i < NODES; i += GROWERS) {
        struct node *node = &plot.nodes[i];
        future_t *f = NULL;
        stress_doing("growing", plot.round, i);
        node->number = i;
        node->random = stress_next(rng);
        choose_times(node, rng);
        choose_needs(node, rng);
        node->kind = choose_kind(node, rng);
        choose_group(node, rng);
        submit(node, node->endless || stress_percent(rng, 85), &f);
        atomic_store(&node->f, f);
        for (unsigned n = stress_below(rng, 3); n > 0; n--)
            add_callback(node);
        atomic_fetch_add(&plot.grown, 1);
        stress_pause(rng);
    }
}

static void shut_down(struct stress_rng *rng) {
    if (atomic_load(&plot.grown) < plot.shut_at)
        return;
    atomic_store(&plot.shutting, true);
    if (plot.mode == EXECUTOR_DISCARD)
        atomic_store(&plot.discarding, true);
    CHECK_ERROR(executor_shutdown(plot.ex, plot.mode), 0);
    CHECK_ERROR(executor_join(plot.ex, exec_after(some_us(rng, 200))), 0, ETIMEDOUT);
}

static void cancel_group(struct stress_rng *rng) {
    unsigned i = stress_below(rng, GROUPS);
    if (!stress_percent(rng, 1))
        return;
    atomic_store(&plot.group_cancelled[i], true);
    exec_group_cancel(plot.groups[i]);
}

static void meddle(unsigned number, struct stress_rng *rng) {
    for (unsigned turn = 0, settled = 0; settled < PROMISES || atomic_load(&plot.grown) < NODES; turn++) {
        struct node *node = pick(rng, 1 + atomic_load(&plot.grown) % NODES);
        stress_doing("meddling", plot.round, turn);
        if (number != 0)
            settled = PROMISES;
        else if (settled < PROMISES && stress_percent(rng, 10))
            CHECK_ERROR(future_resolve(plot.promises[settled++], NULL, 0), 0);
        if (number != 0)
            shut_down(rng);
        if (stress_percent(rng, 5))
            cancel(node);
        if (stress_percent(rng, 5))
            add_callback(node);
        if (stress_percent(rng, 10))
            await(node, rng, false);
        cancel_group(rng);
        stress_pause(rng);
    }
}

struct player {
    unsigned number;
    struct stress_rng rng;
    pthread_t thread;
};

static void *play(void *arg) {
    struct player *p = arg;
    for (;;) {
        stress_meet(&plot.barrier);
        if (plot.over)
            break;
        if (p->number < GROWERS)
            grow(p->number, &p->rng);
        else
            meddle(p->number - GROWERS, &p->rng);
        stress_doing(NULL, 0, 0);
        stress_meet(&plot.barrier);
    }
    stress_leave();
    return NULL;
}

/* ---- the ledger ---- */

/* How often it must have run, where nothing came in between. */
static void check_runs(struct node *node, int error) {
    const exec_task_opts *opts = &node->opts;
    bool is_schedule = opts->every || opts->cron;
    unsigned attempts = opts->retry.attempts > 1 ? opts->retry.attempts : 1, runs = atomic_load(&node->runs);
    unsigned turns = atomic_load(&node->turns);
    CHECK_OP(turns, <=, is_schedule ? opts->count ? opts->count : UINT32_MAX : 1);
    CHECK_OP(runs, <=, turns * attempts);
    if (opts->deadline || may_be_cancelled(node) || runs == 0 || atomic_load(&plot.shutting))
        return;
    if (is_schedule && error == 0)
        CHECK_EQ(turns, opts->count);
    if ((error == EIO || error == ETIMEDOUT) && !opts->retry.when &&
        !(node->group && plot.group_opts[node->in].deadline))
        CHECK_EQ(atomic_load(&node->attempt), attempts);
}

static void check_node(struct node *node) {
    unsigned runs = atomic_load(&node->runs), drops = atomic_load(&node->drops);
    future_t *f = atomic_load(&node->f);
    CHECK_EQ(drops, node->refused_as_cancelled || (node->accepted && runs == 0));
    CHECK_EQ(atomic_load(&node->inside), 0);
    CHECK(node->accepted || runs == 0);
    CHECK_EQ(atomic_load(&node->calls), atomic_load(&node->added));
    atomic_fetch_add(&total_tasks, node->accepted);
    atomic_fetch_add(&total_runs, runs);
    atomic_fetch_add(&total_drops, drops);
    if (!f)
        return;
    int error = look_at(node, f);
    check_runs(node, error);
    atomic_fetch_add(&total_cancelled, error == ECANCELED);
    take_result(node, f);
}

static void balance(void) {
    for (unsigned i = 0; i < NODES; i++) {
        check_node(&plot.nodes[i]);
        check_node(&plot.children[i]);
    }
    for (unsigned i = 0; i < NODES; i++)
        future_unref(atomic_load(&plot.nodes[i].f));
    for (unsigned i = 0; i < PROMISES; i++)
        future_unref(plot.promises[i]);
    for (unsigned i = 0; i < NODES; i++) {
        CHECK_EQ(atomic_load(&plot.nodes[i].frees), atomic_load(&plot.nodes[i].made));
        CHECK_EQ(atomic_load(&plot.children[i].frees), atomic_load(&plot.children[i].made));
    }
}

/* ---- a round ---- */

static void prepare(struct stress_rng *rng) {
    memset(plot.nodes, 0, sizeof plot.nodes);
    memset(plot.children, 0, sizeof plot.children);
    plot.opts = (executor_opts){.workers = 1 + stress_below(rng, 3),
                                .capacity = 1 + stress_below(rng, stress_percent(rng, 50) ? 4 : 100),
                                .when_full = (enum executor_when_full)stress_below(rng, 4)};
    CHECK_ERROR(executor_create(&plot.opts, &plot.ex), 0);
    plot.shut_at = stress_percent(rng, 40) ? stress_below(rng, NODES) : UINT32_MAX;
    plot.mode = stress_percent(rng, 50) ? EXECUTOR_DISCARD : EXECUTOR_DRAIN;
    atomic_store(&plot.grown, 0);
    atomic_store(&plot.shutting, false);
    atomic_store(&plot.discarding, false);
    for (unsigned i = 0; i < PROMISES; i++)
        CHECK_ERROR(future_create(&plot.promises[i]), 0);
    for (unsigned i = 0; i < GROUPS; i++) {
        plot.group_opts[i] =
            (exec_group_opts){.policy = stress_percent(rng, 75)   ? EXEC_ALL
                                        : stress_percent(rng, 50) ? EXEC_FAIL_FAST
                                                                  : EXEC_FIRST,
                              .max_running = stress_percent(rng, 50) ? 1 + stress_below(rng, 3) : 0,
                              .deadline = stress_percent(rng, 20) ? exec_after(EXEC_MS(stress_below(rng, 10))) : 0};
        atomic_store(&plot.group_cancelled[i], false);
        CHECK_ERROR(exec_group_open(plot.ex, &plot.group_opts[i], &plot.groups[i]), 0);
    }
}

static void end_groups(void) {
    for (unsigned i = 0; i < GROUPS; i++) {
        stress_doing("closing a group", plot.round, i);
        CHECK_ERROR(exec_group_close(plot.groups[i]), 0, EIO, ETIMEDOUT, ECANCELED, ENODATA);
    }
}

static void one_round(struct stress_rng *rng) {
    prepare(rng);
    stress_doing("a plot", plot.round, 0);
    stress_meet(&plot.barrier);
    stress_meet(&plot.barrier);
    for (unsigned i = 0; i < NODES; i++)
        if (plot.nodes[i].endless)
            cancel(&plot.nodes[i]);
    end_groups();
    for (unsigned i = 0; i < NODES; i++) {
        future_t *f = atomic_load(&plot.nodes[i].f);
        stress_doing("the last ones", plot.round, i);
        if (f)
            CHECK_ERROR(future_wait(f, EXEC_NEVER), 0);
    }
    stress_doing("destroying", plot.round, 0);
    atomic_store(&plot.shutting, true); /* what nobody has a future of may still submit */
    executor_destroy(plot.ex);
    balance();
}

int main(int argc, char **argv) {
    struct player players[PLAYERS];
    stress_begin(argc, argv, 0);
    unsigned threads = stress_entries("/proc/self/task"), descriptors = stress_entries("/proc/self/fd");
    struct stress_rng rng = stress_rng_of(0);
    plot.barrier.size = PLAYERS + 1;
    for (unsigned i = 0; i < PLAYERS; i++) {
        players[i] = (struct player){.number = i, .rng = stress_rng_of(1 + i)};
        stress_start(&players[i].thread, play, &players[i]);
    }
    for (size_t rounds = stress_scaled(800); plot.round < rounds; plot.round++)
        one_round(&rng);
    plot.over = true;
    stress_meet(&plot.barrier);
    for (unsigned i = 0; i < PLAYERS; i++)
        pthread_join(players[i].thread, NULL);
    stress_await_entries("/proc/self/task", threads);
    stress_await_entries("/proc/self/fd", descriptors);
    stress_leave();
    double seconds = stress_end();
    printf("stress_times: %" PRIu64 " rounds, %" PRIu64 " tasks, %" PRIu64 " runs, %" PRIu64 " dropped, %" PRIu64
           " refused, %" PRIu64 " cancelled, %" PRIu64 " late, %.1f s\n",
           plot.round, (uint64_t)total_tasks, (uint64_t)total_runs, (uint64_t)total_drops, (uint64_t)total_refused,
           (uint64_t)total_cancelled, (uint64_t)total_late, seconds);
    return 0;
}
