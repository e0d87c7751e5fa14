/* test_deadlock.c - waits that can never end, because the chain of awaited tasks leads back to the waiter, are EDEADLK;
 * and waits that can end are not. */
#include "helpers.h"

/* ---- itself ---- */

struct nested {
    executor_t *ex;
    future_t *self;
    exec_fn *fn;
};

static void *await_itself(void *slot) {
    future_t *self = *(future_t **)slot, *done = promise();
    ok(future_resolve(done, NULL, 0));
    future_t *both[] = {done, self};
    eq_err(future_get(self, NULL), EDEADLK);
    eq_err(future_wait(self, EXEC_NEVER), EDEADLK);
    eq_err(exec_wait(&self, 1, 1, EXEC_NEVER), EDEADLK);
    eq_err(exec_wait(both, 2, 2, EXEC_NEVER), EDEADLK);
    ok(exec_wait(both, 2, 1, EXEC_NEVER));
    eq_state(self, FUTURE_RUNNING);
    future_unref(done);
    return slot;
}

TEST(deadlock, a_task_that_waits_for_itself_gets_edeadlk) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        executor_t *ex = pool(workers);
        future_t *f = NULL;
        ok(executor_submit(ex, await_itself, &f, NULL, &f));
        future_t *same = f;
        eq_ptr(take(same), &f);
        executor_destroy(ex);
    }
}

static void *leave_a_child_and_await_itself(void *arg) {
    const struct nested *here = arg;
    ok(executor_submit(here->ex, identity, NULL, NULL, NULL));
    eq_err(future_get(here->self, NULL), EDEADLK);
    return NULL;
}

TEST(deadlock, a_task_that_waits_for_itself_gets_edeadlk_with_children_nobody_awaits) {
    struct nested here = {.ex = pool(1)};
    ok(executor_submit(here.ex, leave_a_child_and_await_itself, &here, NULL, &here.self));
    ok(outcome(here.self));
    executor_destroy(here.ex);
}

static void *await_what_awaits(void *outer) {
    future_t *done = promise(), *open = promise();
    future_t *three[] = {done, outer, open}, *four[] = {outer, outer, done, open};
    eq_err(future_get(outer, NULL), EDEADLK);
    eq_err(future_wait(outer, EXEC_NEVER), EDEADLK);
    ok(future_resolve(done, NULL, 0));
    ok(exec_wait(three, 3, 1, EXEC_NEVER));
    eq_err(exec_wait(four, 4, 3, EXEC_NEVER), EDEADLK);
    eq_err(exec_wait(three, 3, 2, exec_after(EXEC_MS(1))), ETIMEDOUT); /* somebody may resolve it */
    future_unref(done), future_unref(open);
    return NULL;
}

static void *await_one_that_awaits_this(void *arg) {
    const struct nested *here = arg;
    ok(outcome(submit(here->ex, here->fn, here->self)));
    return NULL;
}

TEST(deadlock, a_task_that_waits_for_the_one_that_runs_it_gets_edeadlk) {
    struct nested here = {.ex = pool(1), .fn = await_what_awaits};
    ok(executor_submit(here.ex, await_one_that_awaits_this, &here, NULL, &here.self));
    ok(outcome(here.self));
    executor_destroy(here.ex);
}

/* ---- rings ---- */

/* n tasks, each of which waits for the next, the last for the first. */
struct ring {
    future_t *fs[5];
    struct gate known, all_in; /* the futures; and everyone is running, where there are workers enough */
    int n, errors[5];
    int (*wait)(future_t *);
};

struct link {
    struct ring *ring;
    int i;
};

static void *await_the_next(void *arg) {
    const struct link *link = arg;
    struct ring *ring = link->ring;
    gate_wait(&ring->known);
    gate_open(&ring->all_in);
    gate_wait(&ring->all_in);
    ring->errors[link->i] = ring->wait(ring->fs[(link->i + 1) % ring->n]);
    return NULL;
}

static int by_get(future_t *f) {
    return future_get(f, NULL);
}

static int by_all(future_t *f) {
    return exec_wait(&f, 1, 1, EXEC_NEVER);
}

/* Task i belongs to exs[i % nexs]; `together` of them can run at the same time. */
static void close_ring(int n, executor_t *const exs[], int nexs, int together, int (*wait)(future_t *)) {
    struct ring ring = {.known = GATE(1), .all_in = GATE(together < n ? 1 : n), .n = n, .wait = wait};
    struct link links[5];
    int deadlocks = 0;
    for (int i = 0; i < n; i++) {
        links[i] = (struct link){&ring, i};
        ring.fs[i] = submit(exs[i % nexs], await_the_next, &links[i]);
    }
    gate_open(&ring.known);
    for (int i = 0; i < n; i++)
        await_elsewhere(ring.fs[i]);
    for (int i = 0; i < n; i++) {
        if (ring.errors[i])
            eq_err(ring.errors[i], EDEADLK);
        deadlocks += ring.errors[i] == EDEADLK;
        ok(outcome(ring.fs[i]));
    }
    between(deadlocks, 1, n - 1);
}

TEST(deadlock, a_ring_of_tasks_on_workers_of_their_own_is_broken) {
    for (int n = 2; n <= 5; n++) {
        executor_t *ex = pool((unsigned)n);
        for (int i = 0; i < 50; i++)
            close_ring(n, &ex, 1, n, i % 2 ? by_all : by_get);
        executor_destroy(ex);
    }
}

TEST(deadlock, a_ring_of_tasks_on_fewer_workers_is_broken) {
    for (int n = 2; n <= 5; n++)
        for (int workers = 1; workers < n; workers++) {
            executor_t *ex = pool((unsigned)workers);
            for (int i = 0; i < 20; i++)
                close_ring(n, &ex, 1, workers, i % 2 ? by_all : by_get);
            executor_destroy(ex);
        }
}

TEST(deadlock, a_ring_through_several_executors_is_broken) {
    for (int n = 2; n <= 4; n++) {
        executor_t *exs[4];
        for (int i = 0; i < n; i++)
            exs[i] = pool(1 + (unsigned)i % 2);
        for (int i = 0; i < 30; i++)
            close_ring(n, exs, n, n, i % 2 ? by_all : by_get);
        for (int i = 0; i < n; i++)
            executor_destroy(exs[i]);
    }
}

/* ---- through a map ---- */

struct mapper {
    executor_t *ex;
    future_t *self;
};

static void *await_the_mapper(void *self) {
    return exec_fail(future_get(self, NULL));
}

static void *map_over_waiters(void *arg) {
    struct mapper *here = arg;
    void *args[6];
    int errors[6];
    for (int i = 0; i < 6; i++)
        args[i] = here->self;
    eq_err(executor_map(here->ex, await_the_mapper, args, NULL, 6, &(exec_map_opts){.errors = errors}), EDEADLK);
    for (int i = 0; i < 6; i++)
        eq_err(errors[i], EDEADLK);
    return NULL;
}

static void wait_in_range(size_t begin, size_t end, void *self) {
    (void)begin, (void)end;
    exec_fail(future_get(self, NULL));
}

static void *loop_over_waiters(void *arg) {
    struct mapper *here = arg;
    eq_err(executor_for(here->ex, 6, wait_in_range, here->self, NULL), EDEADLK);
    return NULL;
}

TEST(deadlock, an_item_that_waits_for_the_task_that_maps_gets_edeadlk) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int i = 0; i < 30; i++) {
            struct mapper here = {.ex = pool(workers)};
            ok(executor_submit(here.ex, i % 2 ? map_over_waiters : loop_over_waiters, &here, NULL, &here.self));
            await_elsewhere(here.self);
            ok(outcome(here.self));
            executor_destroy(here.ex);
        }
}

/* ---- what is no deadlock ---- */

struct chain {
    executor_t *ex;
    future_t *last;
    int left;
};

static void *await_along(void *arg) {
    const struct chain *here = arg;
    struct chain next = {here->ex, here->last, here->left - 1};
    if (here->left == 0)
        return as_error(future_get(here->last, NULL));
    return take(submit(here->ex, await_along, &next));
}

TEST(deadlock, a_long_chain_that_ends_in_a_promise_is_none) {
    for (unsigned workers = 1; workers <= 4; workers++) {
        struct chain top = {pool(workers), promise(), 20};
        future_t *f = submit(top.ex, await_along, &top);
        eq_err(future_wait(f, exec_after(EXEC_MS(5))), ETIMEDOUT);
        ok(future_resolve(top.last, NULL, 0));
        eq_ptr(take(f), NULL);
        future_unref(top.last);
        executor_destroy(top.ex);
    }
}

static void *await_it(void *f) {
    ok(future_get(f, NULL));
    return NULL;
}

TEST(deadlock, many_that_wait_for_the_same_one_are_none) {
    executor_t *ex = pool(4);
    for (int round = 0; round < 30; round++) {
        struct plug plug = PLUG;
        future_t *common = plug_in(ex, &plug), *fs[3];
        for (int i = 0; i < 3; i++)
            fs[i] = submit(ex, await_it, common);
        plug_out(&plug);
        for (int i = 0; i < 3; i++)
            ok(outcome(fs[i]));
        ok(outcome(common));
    }
    executor_destroy(ex);
}

static void *await_until(void *f) {
    int error = future_wait(f, exec_after(EXEC_MS(20)));
    if (error != ETIMEDOUT)
        eq_err(error, EDEADLK);
    return NULL;
}

TEST(deadlock, a_ring_with_a_deadline_in_it_ends) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct nested here = {.ex = pool(workers), .fn = await_until};
        ok(executor_submit(here.ex, await_one_that_awaits_this, &here, NULL, &here.self));
        await_elsewhere(here.self);
        ok(outcome(here.self));
        executor_destroy(here.ex);
    }
}

/* ---- a task that only its executor's own workers may run, who sleep ---- */

struct household {
    executor_t *own, *other; /* one worker each; own: with a hook, so that nobody else runs its tasks */
    atomic_int tid, ran_on;  /* the own worker's number, and where the grandchild has run */
    int (*wait)(future_t *, exec_group_t *);
};

static int start_nothing(void *unused, unsigned worker) {
    (void)unused, (void)worker;
    return 0;
}

static void *note_thread(void *arg) {
    struct household *house = arg;
    atomic_store(&house->ran_on, gettid());
    return NULL;
}

static void *await_a_task_of_the_sleeper(void *arg) {
    struct household *house = arg;
    wait_until_asleep(&house->tid);
    future_t *f = submit(house->own, note_thread, house);
    eq_ptr(take(f), NULL);
    return NULL;
}

static void *await_a_guest(void *arg) {
    struct household *house = arg;
    exec_group_t *g;
    future_t *f;
    ok(exec_group_open(house->other, NULL, &g));
    ok(exec_group_submit(g, await_a_task_of_the_sleeper, house, NULL, &f));
    wait_until(future_state(f) == FUTURE_RUNNING);
    atomic_store(&house->tid, gettid());
    ok(house->wait(f, g));
    ok(outcome(f));
    ok(exec_group_close(g));
    return NULL;
}

static int by_future(future_t *f, exec_group_t *g) {
    (void)g;
    return future_wait(f, EXEC_NEVER);
}

static int by_group(future_t *f, exec_group_t *g) {
    (void)f;
    return exec_group_wait(g, EXEC_NEVER);
}

TEST(deadlock, a_task_for_a_worker_that_waits_for_who_waits_for_it_is_none) {
    struct household house = {.other = pool(1)};
    ok(executor_create(&(executor_opts){.workers = 1, .on_start = start_nothing}, &house.own));
    for (int i = 0; i < 6; i++) {
        house.wait = i % 2 ? by_future : by_group;
        atomic_store(&house.tid, 0);
        future_t *f = submit(house.own, await_a_guest, &house);
        await_elsewhere(f);
        ok(outcome(f));
        eq_int(atomic_load(&house.ran_on), atomic_load(&house.tid));
    }
    executor_destroy(house.own);
    executor_destroy(house.other);
}
