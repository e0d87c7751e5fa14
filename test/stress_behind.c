/* stress_behind.c - tasks that wait for tasks which limiters hold back, where those that were let through need a worker
 * that waits: hardly any workers, low limits, and threads of the program that take permits as well.
 *
 * Every task is of a level. Those of level 0 have no limiter; those of level 1 share one, those of level 2 another; and
 * each waits for children of higher levels only. So no wait can lead back to itself: every one must succeed. A second
 * kind of rounds lets tasks wait for children of their own level: then some get EDEADLK, and everything must end.
 */
#include "stress.h"

enum { ROUNDS = 3000, LEVELS = 3, EXECUTORS = 2, TOPS = 6, MOST_CHILDREN = 3, CLIENTS = 2, MOST_TASKS = 4000 };

static struct {
    executor_t *exs[EXECUTORS];
    exec_limiter_t *limiters[LEVELS];
    bool rings; /* tasks may wait for others of their own level */
    atomic_uint tasks, left;
    atomic_bool over; /* the clients are to end */
    uint64_t round;
} game;

static atomic_uint_fast64_t total_tasks, total_deadlocks, total_permits;

struct job {
    uint64_t number;
    unsigned level;
};

static void *work(void *arg);

static void drop(void *arg) {
    free(arg);
    atomic_fetch_sub(&game.left, 1);
}

static future_t *submit(unsigned level, struct stress_rng *rng) {
    struct job *job = stress_alloc(1, sizeof *job);
    *job = (struct job){stress_next(rng), level};
    executor_t *ex = game.exs[stress_below(rng, EXECUTORS)];
    future_t *f;
    exec_task_opts opts = {.limiter = game.limiters[level], .drop = drop};
    if (stress_percent(rng, 10))
        opts.priority = (int)stress_below(rng, 3) - 1;
    atomic_fetch_add(&game.tasks, 1);
    atomic_fetch_add(&game.left, 1);
    CHECK_ERROR(executor_submit(ex, work, job, &opts, &f), 0);
    return f;
}

static void await(future_t *f, bool by_wait) {
    int error = by_wait ? exec_wait(&f, 1, 1, EXEC_NEVER) : future_get(f, NULL);
    CHECK_ERROR(error, 0, game.rings ? EDEADLK : 0);
    if (error == EDEADLK)
        atomic_fetch_add_explicit(&total_deadlocks, 1, memory_order_relaxed);
    future_unref(f);
}

static void *work(void *arg) {
    const struct job job = *(struct job *)arg;
    struct stress_rng rng = stress_rng_of(job.number);
    free(arg);
    unsigned lowest = job.level + (game.rings ? 0 : 1);
    unsigned n = lowest < LEVELS && atomic_load(&game.tasks) < MOST_TASKS ? stress_below(&rng, MOST_CHILDREN + 1) : 0;
    if (game.rings && n > 1)
        n = stress_below(&rng, 2); /* so that it comes to an end */
    future_t *fs[MOST_CHILDREN];
    for (unsigned i = 0; i < n; i++)
        fs[i] = submit(lowest + stress_below(&rng, LEVELS - lowest), &rng);
    for (unsigned i = n; i-- > 0;)
        await(fs[i], stress_percent(&rng, 30));
    if (stress_percent(&rng, 10))
        sched_yield();
    atomic_fetch_add_explicit(&total_tasks, 1, memory_order_relaxed);
    atomic_fetch_sub(&game.left, 1);
    return NULL;
}

/* A thread of the program's, which takes a permit now and then. */
static void *be_client(void *arg) {
    struct stress_rng rng = stress_rng_of(game.round * CLIENTS + (uint64_t)(uintptr_t)arg + 77);
    while (!atomic_load(&game.over)) {
        exec_limiter_t *l = game.limiters[1 + stress_below(&rng, LEVELS - 1)];
        exec_permit permit;
        stress_doing("acquire", game.round, 0);
        CHECK_ERROR(exec_limiter_acquire(l, EXEC_NEVER, &permit), 0);
        stress_pause(&rng);
        exec_limiter_release(l, &permit, 0);
        atomic_fetch_add_explicit(&total_permits, 1, memory_order_relaxed);
        stress_nap(EXEC_US(stress_below(&rng, 200)));
    }
    stress_leave();
    return NULL;
}

static void open_game(struct stress_rng *rng) {
    for (int i = 0; i < EXECUTORS; i++)
        CHECK_ERROR(executor_create(&(executor_opts){.workers = 1 + stress_below(rng, 2)}, &game.exs[i]), 0);
    for (int i = 1; i < LEVELS; i++)
        CHECK_ERROR(
            exec_limiter_create(&(exec_limiter_opts){.max_running = 1 + stress_below(rng, 2)}, &game.limiters[i]), 0);
    game.rings = stress_percent(rng, 30);
    atomic_store(&game.tasks, 0);
    atomic_store(&game.over, false);
}

static void close_game(void) {
    for (int i = 0; i < EXECUTORS; i++) {
        stress_doing("destroy", game.round, (uint64_t)i);
        executor_destroy(game.exs[i]);
    }
    for (int i = 1; i < LEVELS; i++) {
        CHECK_EQ(exec_limiter_in_flight(game.limiters[i]), 0);
        exec_limiter_destroy(game.limiters[i]);
    }
}

static void play(bool with_clients) {
    struct stress_rng rng = stress_rng_of(game.round);
    future_t *tops[TOPS];
    pthread_t clients[CLIENTS];
    open_game(&rng);
    for (uintptr_t i = 0; with_clients && i < CLIENTS; i++)
        stress_start(&clients[i], be_client, (void *)i); // NOLINT(performance-no-int-to-ptr)
    for (int i = 0; i < TOPS; i++)
        tops[i] = submit(stress_below(&rng, LEVELS), &rng);
    for (int i = 0; i < TOPS; i++) {
        stress_doing("await", game.round, (uint64_t)i);
        if (stress_percent(&rng, 50))
            CHECK_ERROR(future_wait(tops[i], exec_after(EXEC_SEC(300))), 0);
        await(tops[i], false);
    }
    stress_doing("until all have ended", game.round, 0); /* whom nobody waits for after an EDEADLK */
    while (atomic_load(&game.left) > 0)
        sched_yield();
    atomic_store(&game.over, true);
    for (int i = 0; with_clients && i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    close_game();
}

int main(int argc, char **argv) {
    stress_begin(argc, argv, 0);
    size_t rounds = stress_scaled(ROUNDS);
    for (game.round = 1; game.round <= rounds; game.round++)
        play(game.round % 3 == 0);
    stress_leave();
    double seconds = stress_end();
    CHECK_OP(atomic_load(&total_tasks), >, 0);
    CHECK_OP(atomic_load(&total_permits), >, 0);
    printf("stress_behind: %zu rounds, %" PRIuFAST64 " tasks, %" PRIuFAST64 " EDEADLK, %" PRIuFAST64
           " permits, %.1f s\n",
           rounds, atomic_load(&total_tasks), atomic_load(&total_deadlocks), atomic_load(&total_permits), seconds);
    return 0;
}
