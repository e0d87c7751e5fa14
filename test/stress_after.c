/* stress_after.c - graphs of tasks over two executors, grown by two threads, while others resolve, fail and cancel what
 * the tasks come after (.after), cancel the tasks themselves, add callbacks, wait, and in some rounds shut an executor
 * down, with DISCARD too. Tasks wait for earlier ones, and submit others that come after those.
 *
 * Each task comes after earlier ones alone, so every future becomes final. Of each task that was accepted either the
 * function runs, once, when all that it comes after are DONE; or .drop is called, once, and it has the error of one of
 * those, or was cancelled by somebody. Every callback is called once.
 */
#include "stress.h"

#include <poll.h>

enum { GROWERS = 2, MEDDLERS = 2, PLAYERS = GROWERS + MEDDLERS, NODES = 400, PROMISES = 16, EDGES = 5, NEAR = 30 };

enum kind { VALUE, FAILS, ENDS, OBEYS, WAITS, BEARS };

struct node {
    unsigned number, home; /* in nodes[] (of a child: its parent's), and among the executors */
    enum kind kind;
    uint64_t random;
    size_t n;
    future_t *after[EDGES];
    _Atomic(future_t *) f; /* kept until the end of the round; NULL: not known, or not any more */
    bool accepted;         /* by who submitted it */
    atomic_bool asked;     /* somebody cancels it, or has */
    atomic_bool cancelled; /* a cancel returned 0 */
    atomic_int outcome;    /* the function's error */
    atomic_uint runs, drops, added, calls;
};

static struct {
    uint64_t round;
    bool over; /* written before, read after a meeting, as is all that is not atomic */
    struct stress_barrier barrier;
    executor_t *exs[2];
    executor_opts opts[2];
    unsigned trouble; /* per cent of tasks that do not succeed */
    bool cancelling;
    unsigned shut_at[2]; /* how many tasks there are when it is shut down */
    enum executor_shutdown mode[2];
    atomic_bool shutting[2], discarding[2];
    atomic_uint grown;
    future_t *promises[PROMISES];
    struct node nodes[NODES], children[NODES];
} graph;

static atomic_uint_fast64_t total_tasks, total_runs, total_drops, total_refused, total_edges, total_calls;

/* ---- choosing ---- */

/* An earlier node, not long before, whose future is known. */
static struct node *pick(struct stress_rng *rng, unsigned before) {
    if (before == 0)
        return NULL;
    unsigned back = 1 + stress_below(rng, before < NEAR ? before : NEAR);
    struct node *node = &graph.nodes[before - back];
    return atomic_load(&node->f) ? node : NULL;
}

static void choose_edges(struct node *node, struct stress_rng *rng) {
    unsigned most = stress_percent(rng, 5) ? EDGES : stress_below(rng, 3);
    for (unsigned i = 0; i < most; i++) {
        struct node *before = pick(rng, node->number);
        if (before && !stress_percent(rng, 5))
            node->after[node->n++] = atomic_load(&before->f);
        else if (stress_percent(rng, 30))
            node->after[node->n++] = graph.promises[stress_below(rng, PROMISES)];
    }
    if (node->n > 0 && node->n < EDGES && stress_percent(rng, 10)) {
        node->after[node->n] = node->after[0];
        node->n++;
    }
}

static enum kind choose_kind(struct stress_rng *rng) {
    if (stress_percent(rng, graph.trouble))
        return stress_percent(rng, 50) ? FAILS : ENDS;
    unsigned dice = stress_below(rng, 100);
    return dice < 60 ? VALUE : dice < 70 ? OBEYS : dice < 85 ? WAITS : BEARS;
}

/* ---- what is done to tasks ---- */

static void cancel(struct node *node) {
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
    CHECK_EQ(atomic_load(&node->runs), 0);
}

static void called(future_t *f, void *arg) {
    struct node *node = arg;
    struct stress_rng rng = {node->random + atomic_fetch_add(&node->calls, 1)};
    CHECK(future_done(f));
    CHECK_PTR(future_arg(f), node);
    if (graph.cancelling && stress_percent(&rng, 5))
        cancel(pick(&rng, NODES));
    if (stress_percent(&rng, 5))
        CHECK_ERROR(future_resolve(graph.promises[stress_below(&rng, PROMISES)], NULL, 0), 0, EALREADY);
}

static void add_callback(struct node *node, future_t *f) {
    atomic_fetch_add(&node->added, 1);
    CHECK_ERROR(future_on_done(f, called, node), 0);
}

/* The future of something earlier: it always ends, so no wait for it is a deadlock. */
static void await(future_t *f, struct stress_rng *rng) {
    future_t *both[2] = {f, graph.promises[stress_below(rng, PROMISES)]};
    exec_time deadline = exec_after(EXEC_US(stress_below(rng, 200)));
    switch (stress_below(rng, 4)) {
    case 0: CHECK_ERROR(future_wait(f, deadline), 0, ETIMEDOUT); return;
    case 1: CHECK_ERROR(exec_wait(both, 2, 1, EXEC_NEVER), 0); return;
    case 2: CHECK_ERROR(exec_wait(both, 2, 2, EXEC_NEVER), 0); break;
    default: CHECK_ERROR(future_get(f, NULL), 0, EIO, EPERM, ECANCELED); break;
    }
    CHECK(future_done(f));
}

/* ---- tasks ---- */

static void drop(void *arg) {
    struct node *node = arg;
    CHECK_EQ(atomic_fetch_add(&node->drops, 1), 0);
    CHECK_EQ(atomic_load(&node->runs), 0);
}

static void *run(void *arg);

static future_t *submit(struct node *node, bool known) {
    future_t *f = NULL, *after[EDGES];
    memcpy(after, node->after, sizeof after);
    const exec_task_opts opts = {.drop = drop, .after = after, .nafter = node->n, .name = "node"};
    int error = executor_submit(graph.exs[node->home], run, node, &opts, known ? &f : NULL);
    memset(after, 0, sizeof after);
    if (error == EAGAIN)
        CHECK_EQ(graph.opts[node->home].when_full, EXECUTOR_REJECT);
    else if (error == ESHUTDOWN)
        CHECK(atomic_load(&graph.shutting[node->home]));
    else
        CHECK_ERROR(error, 0);
    node->accepted = error == 0;
    atomic_fetch_add_explicit(&total_edges, node->n, memory_order_relaxed);
    atomic_fetch_add_explicit(&total_refused, error != 0, memory_order_relaxed);
    return f;
}

/* Submits another task, which comes after one that is earlier than this, and may wait for it. */
static void bear(struct node *node, struct stress_rng *rng) {
    struct node *child = &graph.children[node->number], *before = pick(rng, node->number);
    *child = (struct node){.number = node->number, .home = node->home, .random = stress_next(rng), .n = 1};
    child->after[0] = before ? atomic_load(&before->f) : graph.promises[stress_below(rng, PROMISES)];
    future_t *f = submit(child, stress_percent(rng, 70));
    if (f && stress_percent(rng, 70))
        await(f, rng);
    future_unref(f);
}

static int act(struct node *node, struct stress_rng *rng) {
    struct node *before;
    switch (node->kind) {
    case FAILS: return EIO;
    case ENDS: return ECANCELED;
    case BEARS: bear(node, rng); return 0;
    case OBEYS:
        for (unsigned turn = 0; turn < 3000; turn++)
            if (exec_cancelled())
                return ECANCELED;
        return 0;
    case WAITS:
        if ((before = pick(rng, node->number)))
            await(atomic_load(&before->f), rng);
        return 0;
    default: return 0;
    }
}

static void *run(void *arg) {
    struct node *node = arg;
    struct stress_rng rng = {node->random};
    CHECK_EQ(atomic_fetch_add(&node->runs, 1), 0);
    CHECK_EQ(atomic_load(&node->drops), 0);
    for (size_t i = 0; i < node->n; i++)
        CHECK_EQ(future_state(node->after[i]), FUTURE_DONE);
    int error = act(node, &rng);
    atomic_store(&node->outcome, error);
    return error ? exec_fail(error) : node;
}

/* ---- players ---- */

static void grow(unsigned first, struct stress_rng *rng) {
    for (unsigned i = first; i < NODES; i += GROWERS) {
        struct node *node = &graph.nodes[i];
        stress_doing("growing", graph.round, i);
        node->number = i;
        node->home = stress_below(rng, 2);
        node->random = stress_next(rng);
        node->kind = choose_kind(rng);
        choose_edges(node, rng);
        future_t *f = submit(node, stress_percent(rng, 90));
        if (f) {
            for (unsigned n = stress_below(rng, 3); n > 0; n--)
                add_callback(node, f);
            atomic_store(&node->f, f);
        }
        atomic_fetch_add(&graph.grown, 1);
        stress_pause(rng);
    }
}

static void settle(future_t *promise, struct stress_rng *rng) {
    if (!stress_percent(rng, 2 * graph.trouble))
        CHECK_ERROR(future_resolve(promise, NULL, 0), 0, EALREADY);
    else if (stress_percent(rng, 50))
        CHECK_ERROR(future_resolve(promise, NULL, EPERM), 0, EALREADY);
    else
        CHECK_ERROR(future_cancel(promise), 0, EALREADY);
}

static void shut_down(unsigned i) {
    if (atomic_load(&graph.grown) < graph.shut_at[i] || atomic_load(&graph.shutting[i]))
        return;
    atomic_store(&graph.shutting[i], true);
    if (graph.mode[i] == EXECUTOR_DISCARD)
        atomic_store(&graph.discarding[i], true);
    CHECK_ERROR(executor_shutdown(graph.exs[i], graph.mode[i]), 0);
}

static void meddle(unsigned number, struct stress_rng *rng) {
    for (unsigned turn = 0, settled = 0; settled < PROMISES || atomic_load(&graph.grown) < NODES; turn++) {
        struct node *node = pick(rng, 1 + stress_below(rng, 1 + atomic_load(&graph.grown)) % NODES);
        stress_doing("meddling", graph.round, turn);
        if (number == 0 && settled < PROMISES && stress_percent(rng, 10))
            settle(graph.promises[settled++], rng);
        if (number != 0)
            settled = PROMISES;
        if (number != 0)
            shut_down(turn % 2);
        if (node && graph.cancelling && stress_percent(rng, 10))
            cancel(node);
        if (node && stress_percent(rng, 10))
            add_callback(node, atomic_load(&node->f));
        if (node && number != 0 && stress_percent(rng, 10))
            await(atomic_load(&node->f), rng);
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
        stress_meet(&graph.barrier);
        if (graph.over)
            break;
        if (p->number < GROWERS)
            grow(p->number, &p->rng);
        else
            meddle(p->number - GROWERS, &p->rng);
        stress_doing(NULL, 0, 0);
        stress_meet(&graph.barrier);
    }
    stress_leave();
    return NULL;
}

/* ---- the ledger ---- */

static bool comes_after_error(const struct node *node, int error) {
    for (size_t i = 0; i < node->n; i++)
        if (future_get(node->after[i], NULL) == error)
            return true;
    return false;
}

static void check_dropped(const struct node *node, int error) {
    if (error != 0 && comes_after_error(node, error))
        return;
    CHECK_ERROR(error, ECANCELED);
    CHECK(atomic_load(&node->asked) || atomic_load(&graph.discarding[node->home]) ||
          graph.opts[node->home].when_full == EXECUTOR_DROP_OLDEST);
}

static void check_node(struct node *node) {
    unsigned runs = atomic_load(&node->runs), drops = atomic_load(&node->drops);
    future_t *f = atomic_load(&node->f);
    CHECK_EQ(runs + drops, node->accepted);
    atomic_fetch_add_explicit(&total_tasks, node->accepted, memory_order_relaxed);
    atomic_fetch_add_explicit(&total_runs, runs, memory_order_relaxed);
    atomic_fetch_add_explicit(&total_drops, drops, memory_order_relaxed);
    atomic_fetch_add_explicit(&total_calls, atomic_load(&node->calls), memory_order_relaxed);
    CHECK_EQ(atomic_load(&node->calls), atomic_load(&node->added));
    if (!f)
        return;
    int error = future_get(f, NULL);
    CHECK_EQ(future_state(f), error == 0 ? FUTURE_DONE : error == ECANCELED ? FUTURE_CANCELLED : FUTURE_FAILED);
    if (runs > 0)
        CHECK_EQ(error, atomic_load(&node->outcome));
    else
        check_dropped(node, error);
    CHECK_EQ(runs > 0 && atomic_load(&node->cancelled), 0);
}

/* Some have a descriptor, made before or after they have finished. */
static void poll_some(struct stress_rng *rng) {
    for (int i = 0; i < 5; i++) {
        struct node *node = pick(rng, NODES);
        struct pollfd p = {.events = POLLIN};
        if (!node)
            continue;
        stress_doing("polling", graph.round, node->number);
        CHECK_ERROR(future_fd(atomic_load(&node->f), &p.fd), 0);
        CHECK_EQ(poll(&p, 1, -1), 1);
        CHECK(future_done(atomic_load(&node->f)));
    }
}

/* ---- a round ---- */

static void prepare(struct stress_rng *rng) {
    memset(graph.nodes, 0, sizeof graph.nodes);
    memset(graph.children, 0, sizeof graph.children);
    graph.trouble = stress_percent(rng, 30) ? 0 : 1 + stress_below(rng, 4);
    graph.cancelling = stress_percent(rng, 50);
    atomic_store(&graph.grown, 0);
    for (unsigned i = 0; i < 2; i++) {
        graph.opts[i] = (executor_opts){.workers = 1 + stress_below(rng, 3),
                                        .capacity = 1 + stress_below(rng, stress_percent(rng, 50) ? 4 : 500),
                                        .when_full = (enum executor_when_full)stress_below(rng, 4)};
        CHECK_ERROR(executor_create(&graph.opts[i], &graph.exs[i]), 0);
        graph.shut_at[i] = stress_percent(rng, 30) ? stress_below(rng, NODES) : UINT32_MAX;
        graph.mode[i] = stress_percent(rng, 70) ? EXECUTOR_DISCARD : EXECUTOR_DRAIN;
        atomic_store(&graph.shutting[i], false);
        atomic_store(&graph.discarding[i], false);
    }
    for (unsigned i = 0; i < PROMISES; i++)
        CHECK_ERROR(future_create(&graph.promises[i]), 0);
}

static void balance(void) {
    for (unsigned i = 0; i < NODES; i++) {
        check_node(&graph.nodes[i]);
        if (graph.children[i].accepted)
            check_node(&graph.children[i]);
    }
    for (unsigned i = 0; i < NODES; i++)
        future_unref(atomic_load(&graph.nodes[i].f));
    for (unsigned i = 0; i < PROMISES; i++)
        future_unref(graph.promises[i]);
}

static void one_round(struct stress_rng *rng) {
    prepare(rng);
    stress_doing("a graph", graph.round, 0);
    stress_meet(&graph.barrier);
    stress_meet(&graph.barrier);
    poll_some(rng);
    for (unsigned i = 0; i < NODES; i++) {
        future_t *f = atomic_load(&graph.nodes[i].f);
        stress_doing("the last ones", graph.round, i);
        if (f)
            CHECK_ERROR(future_get(f, NULL), 0, EIO, EPERM, ECANCELED);
    }
    for (unsigned i = 0; i < 2; i++) {
        stress_doing("destroying", graph.round, i);
        atomic_store(&graph.shutting[i], true); /* what nobody has a future of may still submit */
        executor_destroy(graph.exs[i]);
    }
    balance();
}

int main(int argc, char **argv) {
    struct player players[PLAYERS];
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    graph.barrier.size = PLAYERS + 1;
    for (unsigned i = 0; i < PLAYERS; i++) {
        players[i] = (struct player){.number = i, .rng = stress_rng_of(1 + i)};
        stress_start(&players[i].thread, play, &players[i]);
    }
    for (size_t rounds = stress_scaled(1200); graph.round < rounds; graph.round++)
        one_round(&rng);
    graph.over = true;
    stress_meet(&graph.barrier);
    for (unsigned i = 0; i < PLAYERS; i++)
        pthread_join(players[i].thread, NULL);
    stress_leave();
    double seconds = stress_end();
    printf("stress_after: %" PRIu64 " graphs, %" PRIu64 " tasks, %" PRIu64 " edges, %" PRIu64 " ran, %" PRIu64
           " dropped, %" PRIu64 " refused, %" PRIu64 " callbacks, %.1f s\n",
           graph.round, (uint64_t)total_tasks, (uint64_t)total_edges, (uint64_t)total_runs, (uint64_t)total_drops,
           (uint64_t)total_refused, (uint64_t)total_calls, seconds);
    return 0;
}
