/* stress_circles.c - tasks that wait for each other across each other's threads.
 *
 * Circles: tasks of one executor or of several wait for each other in a ring; at least one wait of each ring must say
 * EDEADLK, and then everything must end. Webs: tasks wait for others without any ring, over executors with hardly any
 * workers, so that tasks that have not started lie behind workers that sleep; every wait must succeed. Triangles:
 * waits that lead back to the waiter only because of the thread on which the library may run the awaited task.
 */
#include "stress.h"

enum { EXECUTORS = 3, MAX_CIRCLE = 6, MAX_CIRCLES = 4, WEB = 24, MAX_EDGES = 3 };

static atomic_uint_fast64_t total_circles, total_deadlocks, total_webs, total_waits, total_triangles, false_deadlocks;

/* ---- circles: several at once, their tasks spread over the executors ---- */

struct circle {
    unsigned n;
    atomic_bool published; /* `fs` is complete */
    atomic_uint deadlocks, ended;
    future_t *fs[MAX_CIRCLE];
    struct link {
        struct circle *circle;
        unsigned number, pause;
        bool by_wait; /* by exec_wait() instead of future_get() */
    } links[MAX_CIRCLE];
};

static void *link_task(void *arg) {
    struct link *l = arg;
    struct circle *c = l->circle;
    future_t *next = c->fs[(l->number + 1) % c->n];
    for (volatile unsigned turn = l->pause; turn > 0; turn--) {
    }
    int error = l->by_wait ? exec_wait(&next, 1, 1, EXEC_NEVER) : future_get(next, NULL);
    CHECK_ERROR(error, 0, EDEADLK);
    if (error == EDEADLK)
        atomic_fetch_add(&c->deadlocks, 1);
    atomic_fetch_add(&c->ended, 1);
    return NULL;
}

static void *gated_link_task(void *arg) {
    struct link *l = arg;
    for (unsigned spin = 0; !atomic_load(&l->circle->published); spin++)
        stress_spin(spin);
    return link_task(arg);
}

static void circles_round(struct stress_rng *rng, executor_t *executors[], unsigned nexecutors) {
    static struct circle circles[MAX_CIRCLES];
    unsigned ncircles = 1 + stress_below(rng, MAX_CIRCLES);
    for (unsigned k = 0; k < ncircles; k++) {
        struct circle *c = &circles[k];
        c->n = 1 + stress_below(rng, MAX_CIRCLE);
        atomic_store(&c->published, false);
        atomic_store(&c->deadlocks, 0);
        atomic_store(&c->ended, 0);
        for (unsigned i = 0; i < c->n; i++) {
            c->links[i] = (struct link){c, i, stress_below(rng, 300), stress_percent(rng, 30)};
            CHECK_ERROR(executor_submit(executors[stress_below(rng, nexecutors)], gated_link_task, &c->links[i], NULL,
                                        &c->fs[i]),
                        0);
        }
        atomic_store(&c->published, true);
    }
    for (unsigned k = 0; k < ncircles; k++) {
        struct circle *c = &circles[k];
        stress_doing("a circle of so many tasks", c->n, nexecutors);
        CHECK_ERROR(exec_wait(c->fs, c->n, c->n, stress_percent(rng, 50) ? EXEC_NEVER : exec_after(EXEC_SEC(3600))), 0);
        CHECK_EQ(atomic_load(&c->ended), c->n);
        CHECK_OP(atomic_load(&c->deadlocks), >=, 1);
        atomic_fetch_add(&total_deadlocks, atomic_load(&c->deadlocks));
        for (unsigned i = 0; i < c->n; i++)
            future_unref(c->fs[i]);
    }
    atomic_fetch_add(&total_circles, ncircles);
}

/* ---- waits that lead back to the waiter only because of where it may run what it waits for ----
 *
 * One task waits for a middle one, or for any of that and a promise; the middle one, or its child, gets the first. On
 * separate threads all would end well; a thread that ran one on top of the other must not hang: EDEADLK then. */

struct triangle {
    executor_t *ex;
    future_t *first, *promise;
    atomic_bool published, halfway, started;
    atomic_uint ended;
    unsigned turns; /* for how long the others are given time to start elsewhere */
    bool any;
};

static void *get_first(void *arg) {
    struct triangle *t = arg;
    atomic_store(&t->started, true);
    int error = future_get(t->first, NULL);
    CHECK_ERROR(error, 0, EDEADLK);
    atomic_fetch_add(&false_deadlocks, error == EDEADLK);
    atomic_fetch_add(&t->ended, 1);
    return NULL;
}

static void *middle(void *arg) {
    struct triangle *t = arg;
    if (t->any)
        return get_first(t);
    future_t *child = NULL;
    CHECK_ERROR(executor_submit(t->ex, get_first, t, NULL, t->turns % 2 ? &child : NULL), 0);
    atomic_store(&t->halfway, true);
    for (unsigned turn = 0; turn < t->turns && !atomic_load(&t->started); turn++)
        stress_spin(turn);
    future_unref(child);
    return NULL;
}

static void *first(void *arg) {
    struct triangle *t = arg;
    future_t *fs[2] = {NULL, t->promise};
    CHECK_ERROR(executor_submit(t->ex, middle, t, NULL, &fs[0]), 0);
    for (unsigned spin = 0; !atomic_load(&t->published); spin++)
        stress_spin(spin);
    for (unsigned turn = 0; turn < t->turns && !atomic_load(&t->halfway); turn++)
        stress_spin(turn);
    CHECK_ERROR(t->any ? exec_wait(fs, 2, 1, EXEC_NEVER) : future_wait(fs[0], EXEC_NEVER), 0);
    future_unref(fs[0]);
    atomic_fetch_add(&t->ended, 1);
    return NULL;
}

static void triangle_round(struct stress_rng *rng, executor_t *ex) {
    struct triangle t = {.ex = ex, .turns = stress_below(rng, 2000), .any = stress_percent(rng, 50)};
    CHECK_ERROR(future_create(&t.promise), 0);
    CHECK_ERROR(executor_submit(ex, first, &t, NULL, &t.first), 0);
    atomic_store(&t.published, true);
    stress_pause(rng);
    CHECK_ERROR(future_resolve(t.promise, NULL, 0), 0);
    stress_doing(t.any ? "a triangle, any of two" : "a triangle, leapfrogging", executor_workers(ex), 0);
    CHECK_ERROR(future_wait(t.first, exec_after(EXEC_SEC(3600))), 0);
    for (unsigned spin = 0; atomic_load(&t.ended) < 2; spin++)
        stress_spin(spin);
    future_unref(t.first);
    future_unref(t.promise);
    atomic_fetch_add(&total_triangles, 1);
}

/* ---- webs: each task gets some of those with higher numbers ---- */

struct web {
    unsigned n;
    atomic_bool published;
    future_t *fs[WEB];
    struct node {
        unsigned number, nedges, edges[MAX_EDGES];
        bool all; /* by exec_wait() for all */
    } nodes[WEB];
};

static struct web web;

static void wait_for_edges(const struct node *node) {
    future_t *fs[MAX_EDGES];
    void *result = NULL;
    for (unsigned i = 0; i < node->nedges; i++)
        fs[i] = web.fs[node->edges[i]];
    if (node->all)
        CHECK_ERROR(exec_wait(fs, node->nedges, node->nedges, EXEC_NEVER), 0);
    for (unsigned i = 0; i < node->nedges; i++) {
        CHECK_ERROR(future_get(fs[i], &result), 0);
        CHECK_EQ((uintptr_t)result, node->edges[i]);
    }
    atomic_fetch_add_explicit(&total_waits, node->nedges, memory_order_relaxed);
}

static void *node_task(void *arg) {
    const struct node *node = arg;
    for (unsigned spin = 0; !atomic_load(&web.published); spin++)
        stress_spin(spin);
    wait_for_edges(node);
    return (void *)(uintptr_t)node->number;
}

static void web_round(struct stress_rng *rng, executor_t *executors[]) {
    web.n = 2 + stress_below(rng, WEB - 1);
    atomic_store(&web.published, false);
    unsigned first = stress_below(rng, web.n); /* where the submitting begins, so that the order varies */
    for (unsigned k = 0; k < web.n; k++) {
        unsigned i = (first + k) % web.n;
        web.nodes[i] = (struct node){.number = i, .all = stress_percent(rng, 30)};
        for (unsigned e = stress_below(rng, MAX_EDGES + 1); e > 0 && i + 1 < web.n; e--)
            web.nodes[i].edges[web.nodes[i].nedges++] = i + 1 + stress_below(rng, web.n - i - 1);
        CHECK_ERROR(
            executor_submit(executors[stress_below(rng, EXECUTORS)], node_task, &web.nodes[i], NULL, &web.fs[i]), 0);
    }
    atomic_store(&web.published, true);
    for (unsigned i = 0; i < web.n; i++) {
        stress_doing("a web of so many tasks", web.n, i);
        CHECK_ERROR(future_wait(web.fs[i], exec_after(EXEC_SEC(3600))), 0);
        CHECK_EQ(future_state(web.fs[i]), FUTURE_DONE);
    }
    for (unsigned i = 0; i < web.n; i++)
        future_unref(web.fs[i]);
    atomic_fetch_add(&total_webs, 1);
}

int main(int argc, char **argv) {
    executor_t *executors[EXECUTORS];
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    for (size_t round = stress_scaled(200); round > 0; round--) {
        for (unsigned i = 0; i < EXECUTORS; i++)
            CHECK_ERROR(executor_create(&(executor_opts){.workers = 1 + stress_below(&rng, 3)}, &executors[i]), 0);
        for (size_t i = 30; i > 0; i--) {
            circles_round(&rng, executors, 1);
            circles_round(&rng, executors, EXECUTORS);
            web_round(&rng, executors);
            triangle_round(&rng, executors[i % EXECUTORS]);
        }
        for (unsigned i = 0; i < EXECUTORS; i++)
            executor_destroy(executors[i]);
    }
    stress_leave();
    double seconds = stress_end();
    printf("stress_circles: %" PRIu64 " circles gave %" PRIu64 " EDEADLK; %" PRIu64 " webs with %" PRIu64
           " waits; %" PRIu64 " triangles, %" PRIu64 " of them EDEADLK; %.1f s\n",
           (uint64_t)total_circles, (uint64_t)total_deadlocks, (uint64_t)total_webs, (uint64_t)total_waits,
           (uint64_t)total_triangles, (uint64_t)false_deadlocks, seconds);
    return 0;
}
