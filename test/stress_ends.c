/* stress_ends.c - groups at their ends: in each round a group with one or two members, and somebody who is just looking
 * at it when one of them finishes.
 *
 * - A task waits for a member of its own group, or for the outcome of EXEC_FIRST, while another member waits for the
 *   task itself: it has what it waits for, and is not told of a deadlock.
 * - The first success of EXEC_FIRST is taken while its member is on its way out: the group's descriptor is not readable
 *   afterwards, as nothing is left; nor is one that is made meanwhile.
 * - A callback of a group's member submits to it while it is closed: the close waits for that member's callback, too.
 */
#include "stress.h"

#include <poll.h>

enum { WORKERS = 4 };

struct round {
    executor_t *ex;
    exec_group_t *g;
    future_t *owner;
    uint64_t random;
    bool first;        /* the group is to have EXEC_FIRST */
    atomic_uint begun; /* members */
    atomic_bool go;
    atomic_uint ended; /* callbacks of members that a callback has submitted */
};

static uint64_t rings, descriptors, closes;

static void spend(unsigned turns) {
    for (volatile unsigned i = 0; i < turns; i++)
        ;
}

static void await(atomic_bool *flag) {
    while (!atomic_load(flag))
        sched_yield();
}

/* ---- a member that ends, and one that cannot ---- */

static void *wait_for_owner(void *arg) {
    struct round *r = arg;
    atomic_fetch_add(&r->begun, 1);
    int error = future_wait(r->owner, EXEC_NEVER);
    CHECK_ERROR(error, EDEADLK);
    return exec_fail(error);
}

static void *end_soon(void *arg) {
    struct round *r = arg;
    struct stress_rng rng = {r->random};
    atomic_fetch_add(&r->begun, 1);
    await(&r->go);
    spend(stress_below(&rng, 20000));
    return r;
}

static void *own_a_ring(void *arg) {
    struct round *r = arg;
    const exec_group_opts opts = {.policy = r->first ? EXEC_FIRST : EXEC_ALL};
    exec_group_t *g;
    future_t *f = NULL;
    await(&r->go); /* r->owner is there */
    atomic_store(&r->go, false);
    CHECK_ERROR(exec_group_open(r->ex, &opts, &g), 0);
    CHECK_ERROR(exec_group_submit(g, wait_for_owner, r, NULL, NULL), 0);
    CHECK_ERROR(exec_group_submit(g, end_soon, r, NULL, NULL), 0);
    while (atomic_load(&r->begun) < 2)
        sched_yield();
    atomic_store(&r->go, true);
    CHECK_ERROR(r->first ? exec_group_wait(g, EXEC_NEVER) : exec_group_next(g, EXEC_NEVER, &f), 0);
    future_unref(f);
    CHECK_ERROR(exec_group_close(g), r->first ? 0 : EDEADLK);
    return r;
}

static void round_with_a_ring(executor_t *ex, struct stress_rng *rng) {
    struct round r = {.ex = ex, .random = stress_next(rng), .first = stress_percent(rng, 50)};
    CHECK_ERROR(executor_submit(ex, own_a_ring, &r, NULL, &r.owner), 0);
    atomic_store(&r.go, true);
    CHECK_ERROR(future_wait(r.owner, EXEC_NEVER), 0);
    future_unref(r.owner);
    rings++;
}

/* ---- a descriptor ---- */

static bool readable(exec_group_t *g) {
    struct pollfd fd = {.events = POLLIN};
    CHECK_ERROR(exec_group_fd(g, &fd.fd), 0);
    return poll(&fd, 1, 0) > 0;
}

static void *open_descriptor(void *arg) {
    struct round *r = arg;
    int fd;
    await(&r->go);
    CHECK_ERROR(exec_group_fd(r->g, &fd), 0);
    return NULL;
}

static void round_with_a_descriptor(executor_t *ex, struct stress_rng *rng) {
    struct round r = {.ex = ex, .random = stress_next(rng)};
    exec_group_opts opts = {.policy = stress_percent(rng, 80) ? EXEC_FIRST : EXEC_ALL};
    future_t *f, *opener = NULL;
    int error;
    CHECK_ERROR(exec_group_open(ex, &opts, &r.g), 0);
    if (stress_percent(rng, 50))
        CHECK(!readable(r.g));
    else
        CHECK_ERROR(executor_submit(ex, open_descriptor, &r, NULL, &opener), 0);
    CHECK_ERROR(exec_group_submit(r.g, end_soon, &r, NULL, NULL), 0);
    while (atomic_load(&r.begun) < 1)
        sched_yield();
    atomic_store(&r.go, true);
    while ((error = exec_group_next(r.g, EXEC_NOW, &f)) == ETIMEDOUT)
        ;
    CHECK_ERROR(error, 0);
    future_unref(f);
    if (opener != NULL)
        CHECK_ERROR(future_wait(opener, EXEC_NEVER), 0);
    future_unref(opener);
    CHECK(!readable(r.g));
    CHECK_ERROR(exec_group_next(r.g, EXEC_NOW, &f), ENODATA);
    CHECK_ERROR(exec_group_close(r.g), 0);
    descriptors++;
}

/* ---- a callback ---- */

static void *do_nothing(void *arg) {
    return arg;
}

static void note_end(future_t *f, void *ctx) {
    struct round *r = ctx;
    (void)f;
    atomic_fetch_add(&r->ended, 1);
}

static void submit_another(future_t *f, void *ctx) {
    struct round *r = ctx;
    future_t *another;
    (void)f;
    CHECK_ERROR(exec_group_submit(r->g, do_nothing, r, NULL, &another), 0);
    CHECK_ERROR(future_on_done(another, note_end, r), 0);
    future_unref(another);
}

static void round_with_a_callback(executor_t *ex, struct stress_rng *rng) {
    struct round r = {.ex = ex, .random = stress_next(rng)};
    future_t *f;
    CHECK_ERROR(exec_group_open(ex, NULL, &r.g), 0);
    CHECK_ERROR(exec_group_submit(r.g, end_soon, &r, NULL, &f), 0);
    CHECK_ERROR(future_on_done(f, submit_another, &r), 0);
    future_unref(f);
    while (atomic_load(&r.begun) < 1)
        sched_yield();
    atomic_store(&r.go, true);
    CHECK_ERROR(exec_group_close(r.g), 0);
    CHECK_EQ(r.ended, 1);
    closes++;
}

int main(int argc, char **argv) {
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    executor_t *ex;
    CHECK_ERROR(executor_create(&(executor_opts){.workers = WORKERS}, &ex), 0);
    for (size_t turns = stress_scaled(1000); turns > 0; turns--) {
        stress_doing("a turn", turns, 0);
        for (int i = 0; i < 60; i++)
            round_with_a_ring(ex, &rng);
        for (int i = 0; i < 10; i++)
            round_with_a_callback(ex, &rng);
        round_with_a_descriptor(ex, &rng);
    }
    executor_destroy(ex);
    stress_leave();
    double seconds = stress_end();
    printf("stress_ends: %" PRIu64 " with a ring, %" PRIu64 " with a descriptor, %" PRIu64 " with a callback, %.1f s\n",
           rings, descriptors, closes, seconds);
    return 0;
}
