/* random_program.h - part of stress_random.c: a program as its seed has it, from its executors to the balance. */
#ifndef RANDOM_PROGRAM_H
#define RANDOM_PROGRAM_H

#include "random_acts.h"

enum { MAX_ACTORS = 4, MAX_ACTS = 256 };

/* ---- what a seed makes ---- */

static inline int no_hook(void *ctx, unsigned worker) {
    (void)ctx;
    (void)worker;
    return 0;
}

static inline void open_home(struct home *home, struct stress_rng *rng) {
    static const size_t capacities[] = {1, 2, 3, 16, 300, 1024, 5000};
    executor_opts opts = {.workers = 1 + some_size(rng, 8) % 8,
                          .capacity = capacities[stress_below(rng, 7)],
                          .when_full =
                              stress_percent(rng, 50) ? EXECUTOR_BLOCK : (enum executor_when_full)stress_below(rng, 4),
                          .measure = stress_percent(rng, 20)};
    if (stress_percent(rng, 20)) /* then only the workers run its tasks */
        opts.on_start = no_hook;
    *home = (struct home){.opts = opts};
    CHECK_ERROR(did(OP_CREATE, opts.workers, executor_create(&opts, &home->ex)), 0);
}

/* Half of the programs are cheap bursts of plain tasks, so that there are many of them. */
static inline unsigned choose_features(struct stress_rng *rng) {
    unsigned some = (unsigned)stress_next(rng) & ((1U << FEATURES) - 1);
    switch (stress_below(rng, 4)) {
    case 0: return some & (unsigned)stress_next(rng);
    case 1: return some | (unsigned)stress_next(rng);
    default: return (some & (WITH_GROUPS | WITH_STREAMS | WITH_MAPS | WITH_QUEUE | WITH_PROMISES)) | WITH_BURSTS;
    }
}

static inline void open_limiter(struct program *p, struct stress_rng *rng) {
    exec_limiter_opts opts = {.max_running = 1 + stress_below(rng, 4)};
    if (stress_percent(rng, 30))
        opts = (exec_limiter_opts){.rate = 1000000, .burst = 1 + stress_below(rng, 20)};
    else if (stress_percent(rng, 30))
        opts = (exec_limiter_opts){.adapt = stress_percent(rng, 50) ? EXEC_LIMIT_AIMD : EXEC_LIMIT_GRADIENT};
    CHECK_ERROR(exec_limiter_create(&opts, &p->limiter), 0);
}

static inline void open_program(struct program *p, struct stress_rng *rng, uint64_t seed) {
    *p = (struct program){.seed = seed, .features = choose_features(rng)};
    p->nhomes = stress_percent(rng, 25) ? 2 : 1;
    for (unsigned i = 0; i < p->nhomes; i++)
        open_home(&p->homes[i], rng);
    if (p->features & WITH_LIMITER)
        open_limiter(p, rng);
    CHECK_ERROR(exec_queue_create(PROMISES, &p->promises), 0);
    CHECK_ERROR(exec_queue_create(1 + some_size(rng, 64), &p->queue), 0);
    p->mode = stress_percent(rng, 50) ? EXECUTOR_DRAIN : EXECUTOR_DISCARD;
    p->shut_at = p->features & WITH_SHUTDOWN ? some_size(rng, MAX_ACTS) : UINT32_MAX;
}

/* ---- who takes part ---- */

/* Resolves promises, and waits for nothing else. */
static inline void *resolve_promises(void *arg) {
    struct program *p = arg;
    struct stress_rng rng = {p->seed};
    void *promise;
    while (exec_queue_get(p->promises, EXEC_NEVER, &promise) == 0) {
        if (stress_percent(&rng, 20))
            stress_pause(&rng);
        switch (stress_below(&rng, 4)) {
        case 0: CHECK_ERROR(did(OP_RESOLVE, 0, future_resolve(promise, NULL, EIO)), 0, EALREADY); break;
        case 1: CHECK_ERROR(did(OP_CANCEL, 0, future_cancel(promise)), 0, EALREADY); break;
        default: CHECK_ERROR(did(OP_RESOLVE, 0, future_resolve(promise, p, 0)), 0, EALREADY); break;
        }
        future_unref(promise);
    }
    return NULL;
}

struct player {
    struct actor actor;
    struct stress_rng rng;
    unsigned nacts;
    pthread_t thread;
};

/* Plays on for a moment after a shutdown, and until there are no lines any more. */
static inline void *play(void *arg) {
    struct player *player = arg;
    struct actor *a = &player->actor;
    struct program *p = a->p;
    unsigned after = 0;
    for (unsigned i = 0; i < player->nacts && used_lines(p) < LINES && after < 20; i++) {
        after += atomic_load(&p->homes[0].shut);
        act(a, stress_next(&player->rng));
        if (a->number == 0 && i + 1 == p->shut_at)
            shut_down(a, &p->homes[stress_below(&a->rng, p->nhomes)], p->mode);
    }
    if (a->number > 0)
        stress_leave();
    return NULL;
}

static inline void play_all(struct program *p, struct player *players, unsigned n, struct stress_rng *rng) {
    unsigned most = some_size(rng, MAX_ACTS);
    for (unsigned i = 0; i < n; i++)
        players[i] = (struct player){.actor = {.p = p, .number = i}, .rng = {stress_next(rng)}, .nacts = most};
    for (unsigned i = 1; i < n; i++)
        stress_start(&players[i].thread, play, &players[i]);
    play(&players[0]);
    stress_doing("joining the threads", p->seed, n);
    for (unsigned i = 1; i < n; i++)
        pthread_join(players[i].thread, NULL);
}

/* ---- the end ---- */

/* Gives back what the threads have had: futures may go before their executor, or after it. */
static inline void settle(struct program *p, struct player *players, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        empty_slots(&players[i].actor);
    for (unsigned i = 0; i < BOARD; i++)
        future_unref(atomic_exchange(&p->board[i], NULL));
}

/* An abandoned function is the only thing that a join need not wait for. */
static inline void close_home(struct program *p, struct home *home) {
    struct actor a = {.p = p, .rng = {p->seed}};
    if (!atomic_load(&home->shut))
        shut_down(&a, home, EXECUTOR_DRAIN);
    stress_doing("joining the executor", p->seed, 0);
    int error = did(OP_JOIN, 0, executor_join(home->ex, EXEC_NEVER));
    CHECK_ERROR(error, 0, p->features & WITH_ABANDON ? ETIMEDOUT : 0);
}

/* Functions that were given up may even begin after their tasks have ended. */
static inline void await_abandoned(struct program *p) {
    for (unsigned i = 0, used = used_lines(p); i < used; i++) {
        const struct line *line = &lines[i];
        if (!line->p || !line->abandoned || atomic_load(&line->answer) != 0)
            continue;
        for (unsigned spin = 0; atomic_load(&line->runs) + atomic_load(&line->drops) == 0; spin++)
            stress_spin(spin);
        for (unsigned spin = 0; atomic_load(&line->inside); spin++)
            stress_spin(spin);
    }
}

static inline void close_queues(struct program *p) {
    CHECK_EQ(exec_queue_len(p->queue), atomic_load(&p->queued) - atomic_load(&p->unqueued));
    CHECK_EQ(exec_queue_len(p->promises), 0);
    exec_queue_destroy(p->queue);
    exec_queue_destroy(p->promises);
}

static inline void explain_program(void) {
    fprintf(stderr, "  program %" PRIu64 ": %s --program %" PRIu64 "\n  features %#x, executors", program.seed,
            stress.program, program.seed, program.features);
    for (unsigned i = 0; i < program.nhomes; i++) {
        const struct home *home = &program.homes[i];
        fprintf(stderr, " [workers %u, capacity %zu, when full %d, shut %d, discarding %d]", home->opts.workers,
                home->opts.capacity, (int)home->opts.when_full, atomic_load(&home->shut),
                atomic_load(&home->discarding));
    }
    fprintf(stderr, "\n");
    print_lines(&program);
    print_diaries();
}

static inline void run_program(uint64_t seed) {
    struct program *p = &program;
    struct stress_rng rng = {seed};
    struct player players[MAX_ACTORS] = {0};
    unsigned n = 1 + stress_below(&rng, MAX_ACTORS);
    pthread_t resolver;
    open_program(p, &rng, seed);
    stress_start(&resolver, resolve_promises, p);
    play_all(p, players, n, &rng);
    bool late = stress_percent(&rng, 50);
    if (!late)
        settle(p, players, n);
    for (unsigned i = 0; i < p->nhomes; i++)
        close_home(p, &p->homes[i]);
    await_abandoned(p);
    exec_queue_close(p->promises);
    pthread_join(resolver, NULL);
    exec_limiter_destroy(p->limiter);
    for (unsigned i = 0; i < p->nhomes; i++) {
        check_stats(p, &p->homes[i]);
        executor_destroy(p->homes[i].ex);
        did(OP_DESTROY, i, 0);
    }
    for (unsigned i = 0; late && i < n; i++)
        for (unsigned slot = 0; slot < SLOTS; slot++)
            if (players[i].actor.slots[slot])
                get(&players[i].actor, players[i].actor.slots[slot]);
    settle(p, players, n);
    CHECK_EQ(atomic_load(&p->promise_calls), atomic_load(&p->promise_watchers));
    close_lines(p);
    close_queues(p);
    close_diaries();
    totals.programs++;
}

#endif
