/* random_acts.h - part of stress_random.c: what threads, and tasks of kind WORKS, do. */
#ifndef RANDOM_ACTS_H
#define RANDOM_ACTS_H

#include "random_tasks.h"

enum { BURST = 2048, SMALL = 12 };

static FILE *nowhere; /* what dumps are written to */

static inline unsigned how_many(struct actor *a) {
    return some_size(&a->rng, with(a, WITH_BURSTS) && !a->self ? BURST : SMALL);
}

static inline struct home *some_home(struct actor *a) {
    return &a->p->homes[stress_below(&a->rng, a->p->nhomes)];
}

/* A task must not wait for room in another executor: see submit_line(). What has many items does that. */
static inline struct home *home_for_items(struct actor *a) {
    struct home *home = some_home(a);
    bool may_wait = a->self && is_outside(a, home) && home->opts.when_full == EXECUTOR_BLOCK;
    return may_wait ? a->self->home : home;
}

/* ---- futures ---- */

static inline void called(future_t *f, void *ctx) {
    struct line *line = ctx;
    CHECK(future_done(f));
    CHECK_PTR(future_arg(f), line);
    atomic_fetch_add(line ? &line->calls : &program.promise_calls, 1);
}

static inline void listen(struct actor *a, future_t *f) {
    struct line *line = future_arg(f);
    atomic_fetch_add(line ? &line->watchers : &a->p->promise_watchers, 1);
    CHECK_ERROR(did(OP_ON_DONE, line ? line->number : UINT64_MAX, future_on_done(f, called, line)), 0);
}

static inline void cancel(future_t *f) {
    struct line *line = future_arg(f);
    if (line)
        atomic_store(&line->asked, true);
    int error = did(OP_CANCEL, line ? line->number : UINT64_MAX, future_cancel(f));
    CHECK_ERROR(error, 0, line ? EINPROGRESS : 0, EALREADY);
    if (error != EINPROGRESS)
        CHECK(future_done(f));
    if (error != 0)
        return;
    CHECK_EQ(future_state(f), FUTURE_CANCELLED);
    if (line)
        atomic_store(&line->cancelled, 1 + atomic_load(&line->runs));
}

static inline exec_time some_deadline(struct actor *a) {
    return stress_percent(&a->rng, 30) ? EXEC_NOW : exec_after(some_us(&a->rng, 200));
}

static inline void check_wait(struct actor *a, exec_time deadline, int error) {
    CHECK_ERROR(error, 0, deadline == EXEC_NEVER ? 0 : ETIMEDOUT, may_deadlock(a) ? EDEADLK : 0);
    if (error == ETIMEDOUT)
        CHECK_OP(exec_now(), >=, deadline);
}

static inline void wait_for(struct actor *a, future_t *f) {
    exec_time deadline = some_deadline(a);
    const struct line *line = future_arg(f);
    int error = did(OP_WAIT, line ? line->number : UINT64_MAX, future_wait(f, deadline));
    check_wait(a, deadline, error);
    if (error == 0)
        check_any(f);
}

static inline void poll_descriptor(future_t *f) {
    struct pollfd p = {.events = POLLIN};
    CHECK_ERROR(did(OP_DESCRIPTOR, 0, future_fd(f, &p.fd)), 0);
    bool done = future_done(f); /* which may be seen a moment before it is told */
    int ready = poll(&p, 1, done ? 30000 : 0);
    if (done)
        CHECK_EQ(ready, 1);
    if (ready == 1)
        CHECK(future_done(f));
}

static inline void use(struct actor *a, future_t *f) {
    switch (stress_below(&a->rng, 9)) {
    case 0:
    case 1: get(a, f); break;
    case 2: wait_for(a, f); break;
    case 3:
        if (with(a, WITH_CANCELS))
            cancel(f);
        break;
    case 4:
        if (with(a, WITH_CANCELS))
            cancel(f);
        get(a, f);
        break;
    case 5:
        if (with(a, WITH_CALLBACKS))
            listen(a, f);
        break;
    case 6:
        if (with(a, WITH_DESCRIPTORS))
            poll_descriptor(f);
        break;
    case 7:
        if (with(a, WITH_BOARD))
            put_on_board(a, future_ref(f));
        break;
    default: break;
    }
}

/* Takes a reference into one of the actor's slots, in the place of another. */
static inline void keep(struct actor *a, future_t *f) {
    future_t **slot = &a->slots[stress_below(&a->rng, SLOTS)];
    future_unref(*slot);
    *slot = f;
}

static inline void act_use(struct actor *a) {
    future_t **slot = &a->slots[stress_below(&a->rng, SLOTS)];
    if (!*slot)
        return;
    use(a, *slot);
    if (stress_percent(&a->rng, 50)) {
        future_unref(*slot);
        *slot = NULL;
    }
}

static inline void act_board(struct actor *a) {
    future_t *f = take_from_board(a);
    if (!f)
        return;
    use(a, f);
    future_unref(f);
}

/* Waits for some of what the actor has. */
static inline void act_wait_some(struct actor *a) {
    future_t *fs[SLOTS + 1];
    unsigned n = 0, done = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        if (a->slots[i])
            fs[n++] = a->slots[i];
    unsigned want = stress_below(&a->rng, n + 1);
    exec_time deadline = stress_percent(&a->rng, 50) ? EXEC_NEVER : some_deadline(a);
    int error = did(OP_WAIT_SOME, want, exec_wait(fs, n, want, deadline));
    check_wait(a, deadline, error);
    for (unsigned i = 0; i < n; i++)
        done += future_done(fs[i]);
    if (error == 0)
        CHECK_OP(done, >=, want);
}

static inline void act_submit(struct actor *a) {
    struct line *line = new_lines(a->p, 1);
    exec_task_opts opts = {0};
    future_t *f = NULL;
    if (!line)
        return;
    write_line(a, line, some_home(a), NULL);
    choose(a, line, &opts);
    bool wanted = stress_percent(&a->rng, 80);
    if (submit_line(a, line, &opts, wanted ? &f : NULL) != 0 || !f)
        return;
    if (stress_percent(&a->rng, 20))
        line->kept = future_ref(f);
    keep(a, f);
}

/* ---- many of a kind ---- */

/* Submits n plain tasks, and says how many were accepted; their futures are the first in fs, unless that is NULL. */
static inline unsigned submit_many(struct actor *a, unsigned n, future_t **fs) {
    struct line *line = new_lines(a->p, n);
    struct home *home = some_home(a);
    unsigned accepted = 0;
    for (unsigned i = 0; line && i < n; i++) {
        exec_task_opts opts = {0};
        if (fs)
            fs[accepted] = NULL;
        write_line(a, &line[i], home, NULL);
        if (submit_line(a, &line[i], &opts, fs ? &fs[accepted] : NULL) == 0)
            accepted++;
    }
    return accepted;
}

static inline void act_fire(struct actor *a) {
    submit_many(a, how_many(a), NULL);
}

/* In the order in which they were submitted, or against it. */
static inline void act_get_many(struct actor *a) {
    unsigned n = how_many(a);
    future_t **fs = stress_alloc(n, sizeof *fs);
    n = submit_many(a, n, fs);
    bool against = stress_percent(&a->rng, 50);
    for (unsigned i = 0; i < n; i++) {
        future_t *f = fs[against ? n - 1 - i : i];
        get(a, f);
        future_unref(f);
    }
    free(fs);
}

static inline void act_get_each(struct actor *a) {
    for (unsigned n = how_many(a); n > 0; n--) {
        future_t *f = NULL;
        if (submit_many(a, 1, &f) == 0)
            continue;
        get(a, f);
        future_unref(f);
    }
}

static inline void act_wait_many(struct actor *a) {
    unsigned n = how_many(a);
    future_t **fs = stress_alloc(n, sizeof *fs);
    n = submit_many(a, n, fs);
    CHECK_ERROR(did(OP_WAIT_SOME, n, exec_wait(fs, n, n, EXEC_NEVER)), 0);
    for (unsigned i = 0; i < n; i++) {
        check_any(fs[i]);
        future_unref(fs[i]);
    }
    free(fs);
}

static inline void act_cancel_many(struct actor *a) {
    unsigned n = how_many(a);
    future_t **fs = stress_alloc(n, sizeof *fs);
    n = submit_many(a, n, fs);
    for (unsigned i = 0; i < n; i++)
        cancel(fs[i]);
    for (unsigned i = 0; i < n; i++) {
        get(a, fs[i]);
        future_unref(fs[i]);
    }
    free(fs);
}

/* ---- promises ---- */

/* One that somebody else resolves (random_program.h). */
static inline void act_promise(struct actor *a) {
    future_t *f;
    if (atomic_fetch_add(&a->p->npromises, 1) >= PROMISES)
        return;
    CHECK_ERROR(did(OP_PROMISE, 0, future_create(&f)), 0);
    CHECK_ERROR(did(OP_QUEUE_PUT, 0, exec_queue_put(a->p->promises, future_ref(f), EXEC_NOW)), 0);
    if (with(a, WITH_BOARD) && stress_percent(&a->rng, 30))
        put_on_board(a, future_ref(f));
    keep(a, f);
}

static inline void never_called(future_t *f, void *unused) {
    (void)f;
    (void)unused;
    stress_fail(__FILE__, __LINE__, "a callback of a promise that nobody has resolved was called");
}

/* Those that this thread resolves, or forgets. */
static inline void act_own_promises(struct actor *a) {
    for (unsigned n = how_many(a); n > 0; n--) {
        future_t *f;
        CHECK_ERROR(did(OP_PROMISE, 0, future_create(&f)), 0);
        if (stress_percent(&a->rng, 10)) {
            CHECK_ERROR(did(OP_ON_DONE, 0, future_on_done(f, never_called, NULL)), 0);
        } else {
            CHECK_ERROR(did(OP_RESOLVE, 0, future_resolve(f, a->p, 0)), 0);
            CHECK_ERROR(did(OP_RESOLVE, 1, future_resolve(f, NULL, EIO)), EALREADY);
            get(a, f);
        }
        future_unref(f);
    }
}

/* ---- groups ---- */

static inline struct team *new_team(struct actor *a) {
    unsigned i = atomic_fetch_add(&a->p->nteams, 1);
    if (i >= TEAMS)
        return NULL;
    teams[i] = (struct team){.owner = a->self, .number = i};
    exec_group_opts *opts = &teams[i].opts;
    opts->policy = stress_percent(&a->rng, 50) ? EXEC_ALL : (enum exec_group_policy)stress_below(&a->rng, 3);
    if (stress_percent(&a->rng, 30))
        opts->max_running = 1 + stress_below(&a->rng, 3);
    if (with(a, WITH_TIMES) && stress_percent(&a->rng, 30))
        opts->deadline = stress_percent(&a->rng, 20) ? 1 : exec_after(some_us(&a->rng, 500));
    return &teams[i];
}

/* Has no member left to hand out: false. */
static inline bool take_member(struct actor *a, struct team *team, exec_time deadline) {
    future_t *f = NULL;
    int error = did(OP_GROUP_NEXT, team->number, exec_group_next(team->g, deadline, &f));
    CHECK_ERROR(error, 0, ENODATA, deadline == EXEC_NEVER ? 0 : ETIMEDOUT, may_deadlock(a) ? EDEADLK : 0);
    if (error != 0)
        return error == ETIMEDOUT;
    struct line *line = future_arg(f);
    CHECK_PTR(line->team, team);
    CHECK_EQ(atomic_fetch_add(&line->handed, 1), 0);
    CHECK(future_done(f));
    if (stress_percent(&a->rng, 50))
        get(a, f);
    else
        check_any(f);
    future_unref(f);
    return true;
}

static inline void join_team(struct actor *a, struct team *team, struct home *home, struct line *line, bool plain) {
    exec_task_opts opts = {0};
    future_t *f = NULL;
    write_line(a, line, home, team);
    if (!plain)
        choose(a, line, &opts);
    bool wanted = stress_percent(&a->rng, 20);
    if (submit_line(a, line, &opts, wanted ? &f : NULL) != 0 || !f)
        return;
    if (with(a, WITH_CANCELS) && stress_percent(&a->rng, 20))
        cancel(f);
    if (with(a, WITH_CALLBACKS) && stress_percent(&a->rng, 50))
        listen(a, f);
    if (with(a, WITH_BOARD) && team->opts.max_running == 0)
        put_on_board(a, future_ref(f));
    if (stress_percent(&a->rng, 20))
        line->kept = future_ref(f);
    future_unref(f);
}

/* What became of its members, and so what its close must have said. */
static inline void check_team(const struct team *team, bool all_taken, int outcome) {
    unsigned accepted = 0, done = 0, failed = 0;
    for (const struct line *line = atomic_load(&team->members); line; line = line->next) {
        int answer = atomic_load(&line->answer), ended = atomic_load(&line->outcome);
        unsigned runs = atomic_load(&line->runs), handed = atomic_load(&line->handed);
        CHECK_OP(answer, >=, 0);
        CHECK_OP(handed, <=, answer == 0);
        if (!line->abandoned) {
            CHECK_EQ(atomic_load(&line->inside), 0);
            CHECK_EQ((runs > 0) + atomic_load(&line->drops), answer == 0 || answer == ECANCELED);
        }
        if (all_taken)
            CHECK_EQ(handed, answer == 0);
        accepted += answer == 0;
        done += runs > 0 && ended == 0;
        failed += runs > 0 && ended > 0 && ended != ECANCELED;
    }
    if (atomic_load(&team->unsure) || team->opts.deadline)
        CHECK_ERROR(outcome, 0, ENODATA, EIO, ECANCELED, ETIMEDOUT, EDEADLK);
    else if (team->opts.policy == EXEC_FIRST && accepted == 0)
        CHECK_ERROR(outcome, ENODATA);
    else if (team->opts.policy == EXEC_FIRST ? done > 0 : done == accepted)
        CHECK_ERROR(outcome, 0);
    else
        CHECK_ERROR(outcome, failed ? EIO : ECANCELED);
}

/* While a member is left to be handed out, the descriptor becomes readable, for a thread that keeps no worker. */
static inline void poll_team(struct actor *a, struct team *team) {
    struct pollfd p = {.events = POLLIN};
    unsigned accepted = 0, handed = 0;
    CHECK_ERROR(did(OP_DESCRIPTOR, team->number, exec_group_fd(team->g, &p.fd)), 0);
    for (const struct line *line = atomic_load(&team->members); line; line = line->next) {
        accepted += atomic_load(&line->answer) == 0;
        handed += atomic_load(&line->handed);
    }
    if (a->self || accepted == handed)
        return;
    CHECK_EQ(poll(&p, 1, 30000), 1);
    take_member(a, team, EXEC_NOW);
}

static inline bool take_members(struct actor *a, struct team *team) {
    if (with(a, WITH_DESCRIPTORS) && stress_percent(&a->rng, 30))
        poll_team(a, team);
    switch (stress_below(&a->rng, 4)) {
    case 0: return false;
    case 1: {
        exec_time deadline = some_deadline(a);
        int error = did(OP_GROUP_WAIT, team->number, exec_group_wait(team->g, deadline));
        CHECK_ERROR(error, 0, EIO, ECANCELED, ENODATA, ETIMEDOUT, may_deadlock(a) ? EDEADLK : 0);
        return false;
    }
    default:
        while (take_member(a, team, EXEC_NEVER)) {
        }
        return !may_deadlock(a);
    }
}

static inline void act_group(struct actor *a) {
    struct team *team = new_team(a);
    unsigned n = how_many(a);
    bool plain = n > SMALL || stress_percent(&a->rng, 50);
    struct line *line = team ? new_lines(a->p, n) : NULL;
    struct home *home = some_home(a);
    if (!line)
        return;
    CHECK_ERROR(did(OP_GROUP_OPEN, team->number, exec_group_open(home->ex, &team->opts, &team->g)), 0);
    for (unsigned i = 0; i < n; i++) {
        join_team(a, team, home, &line[i], plain);
        if (stress_percent(&a->rng, 5))
            take_member(a, team, some_deadline(a));
    }
    if (with(a, WITH_CANCELS) && stress_percent(&a->rng, 15)) {
        atomic_store(&team->cancelling, true);
        exec_group_cancel(team->g);
        did(OP_GROUP_CANCEL, team->number, 0);
    }
    bool all_taken = take_members(a, team);
    int outcome = did(OP_GROUP_CLOSE, team->number, exec_group_close(team->g));
    check_team(team, all_taken, outcome);
    atomic_fetch_add_explicit(&totals.groups, 1, memory_order_relaxed);
}

/* ---- maps and streams: their items are no tasks ---- */

struct item {
    bool fails;
    atomic_uchar runs, drops, frees;
    bool handed; /* the consumer's */
};

static inline void *run_item(void *arg) {
    struct item *item = arg;
    CHECK_EQ(atomic_fetch_add_explicit(&item->runs, 1, memory_order_relaxed), 0);
    return item->fails ? exec_fail(EIO) : item;
}

static inline void run_range(size_t begin, size_t end, void *items) {
    for (size_t i = begin; i < end; i++)
        CHECK_EQ(atomic_fetch_add_explicit(&((struct item *)items)[i].runs, 1, memory_order_relaxed), 0);
}

static inline struct item *new_items(struct actor *a, unsigned n, void **args) {
    struct item *items = stress_alloc(n, sizeof *items);
    bool failing = with(a, WITH_FAILURES);
    for (unsigned i = 0; i < n; i++) {
        items[i].fails = failing && stress_percent(&a->rng, 5);
        if (args)
            args[i] = &items[i];
    }
    atomic_fetch_add_explicit(&totals.items, n, memory_order_relaxed);
    return items;
}

/* The task that calls, or its executor, is asked to stop. */
static inline bool owner_may_stop(const struct actor *a, const struct home *home) {
    return (a->self && may_stop(a->self)) || atomic_load(&home->discarding);
}

/* So may what it has not begun for a deadline: its own, or one of what it is called in. */
static inline bool may_be_late(const struct actor *a, exec_time deadline) {
    return deadline != 0 || (a->self && (a->self->timed || a->self->team));
}

/* What a map, or a stream, has done with an item, where it has begun at all; why it may not have run. */
static inline void check_item(const struct item *item, int error, bool stopped, bool late, bool shut) {
    unsigned runs = atomic_load(&item->runs);
    if (runs > 0)
        CHECK_EQ(error, item->fails ? EIO : 0);
    else
        CHECK((stopped && error == ECANCELED) || (late && error == ETIMEDOUT) || (shut && error == ESHUTDOWN));
}

static inline void act_map(struct actor *a) {
    unsigned n = how_many(a);
    int *errors = stress_alloc(n, sizeof *errors);
    void **args = stress_alloc(n, 2 * sizeof *args), **results = args + n;
    struct item *items = new_items(a, n, args);
    struct home *home = home_for_items(a);
    bool outside = is_outside(a, home);
    exec_map_opts opts = {.errors = errors,
                          .stop_on_error = stress_percent(&a->rng, 30),
                          .max_running = stress_below(&a->rng, 3),
                          .chunk = stress_percent(&a->rng, 30) ? some_size(&a->rng, 64) : 0};
    if (with(a, WITH_TIMES) && stress_percent(&a->rng, 30))
        opts.deadline = stress_percent(&a->rng, 20) ? 1 : exec_after(some_us(&a->rng, 200));
    atomic_store(&home->helped, true);
    int error = did(OP_MAP, n, executor_map(home->ex, run_item, args, results, n, &opts));
    unsigned failed = 0;
    if (error == ESHUTDOWN)
        CHECK(outside && atomic_load(&home->shutting));
    for (unsigned i = 0; i < n; i++) {
        if (error == ESHUTDOWN) {
            CHECK_EQ(atomic_load(&items[i].runs), 0);
            continue;
        }
        failed += errors[i] != 0;
        check_item(&items[i], errors[i], opts.stop_on_error || owner_may_stop(a, home), may_be_late(a, opts.deadline),
                   false);
        CHECK_PTR(results[i], errors[i] == 0 ? &items[i] : NULL);
    }
    if (error != ESHUTDOWN)
        CHECK_EQ(error != 0, failed > 0);
    free(items);
    free(args);
    free(errors);
}

static inline void act_for(struct actor *a) {
    unsigned n = how_many(a);
    int *errors = stress_alloc(n, sizeof *errors);
    struct item *items = stress_alloc(n, sizeof *items);
    struct home *home = home_for_items(a);
    exec_map_opts opts = {.errors = errors, .chunk = stress_percent(&a->rng, 50) ? some_size(&a->rng, 64) : 0};
    atomic_store(&home->helped, true);
    int error = did(OP_FOR, n, executor_for(home->ex, n, run_range, items, &opts));
    if (error == ESHUTDOWN)
        CHECK(is_outside(a, home) && atomic_load(&home->shutting));
    else
        CHECK_ERROR(error, 0, owner_may_stop(a, home) ? ECANCELED : 0, may_be_late(a, 0) ? ETIMEDOUT : 0);
    for (unsigned i = 0; i < n; i++)
        CHECK_EQ(atomic_load(&items[i].runs), error == ESHUTDOWN ? 0 : errors[i] == 0);
    atomic_fetch_add_explicit(&totals.items, n, memory_order_relaxed);
    free(items);
    free(errors);
}

struct source {
    struct item *items;
    unsigned n, given;
};

static inline int next_item(void *arg, void **out) {
    struct source *source = arg;
    if (source->given == source->n)
        return ENODATA;
    *out = &source->items[source->given++];
    return 0;
}

static inline void drop_item(void *arg) {
    struct item *item = arg;
    CHECK_EQ(atomic_fetch_add(&item->drops, 1), 0);
    CHECK_EQ(atomic_load(&item->runs), 0);
}

static inline void free_item(void *result) {
    struct item *item = result;
    CHECK_EQ(item->handed, false);
    CHECK_EQ(atomic_fetch_add(&item->frees, 1), 0);
}

/* Takes up to `most` items; true: the stream has come to its end. */
static inline bool consume(struct actor *a, exec_stream_t *s, const exec_stream_opts *opts, struct source *source,
                           struct home *home, unsigned most) {
    exec_item got;
    unsigned taken = 0;
    for (; taken < most && exec_stream_next(s, &got); taken++) {
        did(OP_STREAM_NEXT, got.index, got.error);
        struct item *item = got.arg;
        CHECK_OP(got.index, <, source->given);
        CHECK_PTR(item, &source->items[got.index]);
        if (!opts->unordered)
            CHECK_EQ(got.index, taken);
        CHECK_EQ(item->handed, false);
        item->handed = true;
        CHECK_PTR(got.result, got.error == 0 ? item : NULL);
        check_item(item, got.error, owner_may_stop(a, home), may_be_late(a, opts->deadline),
                   atomic_load(&home->shutting));
    }
    if (taken == most)
        return false;
    did(OP_STREAM_NEXT, taken, got.error);
    if (got.error == 0)
        CHECK_EQ(taken, source->n);
    CHECK_EQ(taken, source->given);
    CHECK_ERROR(got.error, 0, opts->deadline ? ETIMEDOUT : 0, owner_may_stop(a, home) ? ECANCELED : 0,
                a->self && may_stop(a->self) ? ETIMEDOUT : 0, atomic_load(&home->shutting) ? ESHUTDOWN : 0);
    return true;
}

static inline void act_stream(struct actor *a) {
    unsigned n = how_many(a);
    struct source source = {.items = new_items(a, n, NULL), .n = n};
    struct home *home = home_for_items(a);
    exec_stream_opts opts = {.window = stress_percent(&a->rng, 50) ? some_size(&a->rng, 64) : 0,
                             .unordered = stress_percent(&a->rng, 50),
                             .drop = drop_item,
                             .free_result = free_item};
    exec_stream_t *s;
    if (with(a, WITH_TIMES) && stress_percent(&a->rng, 30))
        opts.deadline = stress_percent(&a->rng, 20) ? 1 : exec_after(some_us(&a->rng, 200));
    atomic_store(&home->helped, true);
    int error = did(OP_STREAM_OPEN, n, exec_stream_open(home->ex, next_item, &source, run_item, &opts, &s));
    if (error == 0) {
        consume(a, s, &opts, &source, home, stress_percent(&a->rng, 70) ? n + 1 : stress_below(&a->rng, n + 1));
        exec_stream_close(s);
        did(OP_STREAM_CLOSE, n, 0);
    } else {
        CHECK_EQ(error, ESHUTDOWN);
        CHECK(is_outside(a, home) && atomic_load(&home->shutting));
    }
    for (unsigned i = 0; i < n; i++) {
        const struct item *item = &source.items[i];
        unsigned runs = atomic_load(&item->runs);
        CHECK_EQ(runs + atomic_load(&item->drops), i < source.given);
        CHECK_EQ(atomic_load(&item->frees), runs && !item->fails && !item->handed);
    }
    free(source.items);
}

/* ---- the rest ---- */

static inline void act_queue(struct actor *a) {
    for (unsigned n = how_many(a); n > 0; n--) {
        void *item = NULL;
        bool put = stress_percent(&a->rng, 50);
        exec_time deadline = stress_percent(&a->rng, 90) ? EXEC_NOW : exec_after(some_us(&a->rng, 20));
        int error = put ? did(OP_QUEUE_PUT, n, exec_queue_put(a->p->queue, a->p, deadline))
                        : did(OP_QUEUE_GET, n, exec_queue_get(a->p->queue, deadline, &item));
        CHECK_ERROR(error, 0, ETIMEDOUT);
        if (error != 0)
            continue;
        if (!put)
            CHECK_PTR(item, a->p);
        atomic_fetch_add_explicit(put ? &a->p->queued : &a->p->unqueued, 1, memory_order_relaxed);
    }
}

/* A thread that has a permit waits for nothing. */
static inline void act_acquire(struct actor *a) {
    exec_permit permit;
    if (!a->p->limiter || a->self)
        return;
    int error = did(OP_ACQUIRE, 0, exec_limiter_acquire(a->p->limiter, some_deadline(a), &permit));
    CHECK_ERROR(error, 0, ETIMEDOUT);
    if (error != 0)
        return;
    stress_pause(&a->rng);
    exec_limiter_release(a->p->limiter, &permit, stress_percent(&a->rng, 20) ? EAGAIN : 0);
    did(OP_RELEASE, 0, 0);
}

static inline void shut_down(struct actor *a, struct home *home, enum executor_shutdown mode) {
    atomic_store(&home->shutting, true);
    if (mode == EXECUTOR_DISCARD)
        atomic_store(&home->discarding, true);
    if (mode == EXECUTOR_DRAIN && stress_percent(&a->rng, 50)) {
        executor_request_shutdown(home->ex);
        did(OP_SHUTDOWN, 2, 0);
    } else {
        CHECK_ERROR(did(OP_SHUTDOWN, mode, executor_shutdown(home->ex, mode)), 0);
    }
    atomic_store(&home->shut, true);
}

/* Looks at the executor from wherever it is called. */
static inline void act_look(struct actor *a) {
    struct home *home = some_home(a);
    exec_stats s;
    exec_straggler list[4];
    size_t found;
    CHECK_ERROR(did(OP_STATS, 0, executor_stats(home->ex, &s)), 0);
    CHECK_EQ(s.workers, home->opts.workers);
    CHECK_ERROR(did(OP_STATS, 1, executor_stragglers(home->ex, list, 4, &found)), 0);
    if (stress_percent(&a->rng, 20))
        CHECK_ERROR(did(OP_DUMP, 0, executor_dump(home->ex, nowhere)), 0);
    if (!a->self && stress_percent(&a->rng, 20)) {
        exec_time deadline = some_deadline(a);
        int error = did(OP_JOIN, 0, executor_join(home->ex, deadline));
        CHECK_ERROR(error, 0, ETIMEDOUT);
        if (error == 0)
            CHECK(atomic_load(&home->shutting));
    }
}

/* ---- which ---- */

static const struct act {
    const char *name;
    void (*act)(struct actor *a);
    unsigned weight, needs; /* a feature, or 0 */
} acts[] = {
    {"submitting", act_submit, 30, 0},
    {"using a future", act_use, 20, 0},
    {"using what is on the board", act_board, 10, WITH_BOARD},
    {"waiting for some", act_wait_some, 5, 0},
    {"firing", act_fire, 6, 0},
    {"getting many", act_get_many, 6, 0},
    {"getting each", act_get_each, 4, 0},
    {"waiting for many", act_wait_many, 4, 0},
    {"cancelling many", act_cancel_many, 3, WITH_CANCELS},
    {"making a promise", act_promise, 10, WITH_PROMISES},
    {"making promises", act_own_promises, 3, WITH_PROMISES},
    {"a group", act_group, 10, WITH_GROUPS},
    {"a map", act_map, 4, WITH_MAPS},
    {"a loop", act_for, 3, WITH_MAPS},
    {"a stream", act_stream, 6, WITH_STREAMS},
    {"a queue", act_queue, 5, WITH_QUEUE},
    {"asking the limiter", act_acquire, 3, WITH_LIMITER},
    {"looking", act_look, 2, 0},
};
enum { ACTS = sizeof acts / sizeof *acts };

/* One act, which depends on the seed alone, whatever those before have met with. */
static inline void act(struct actor *a, uint64_t seed) {
    unsigned sum = 0, i = 0;
    a->rng = (struct stress_rng){seed};
    for (unsigned k = 0; k < ACTS; k++)
        sum += !acts[k].needs || with(a, acts[k].needs) ? acts[k].weight : 0;
    for (unsigned dice = stress_below(&a->rng, sum);; i++) {
        unsigned weight = !acts[i].needs || with(a, acts[i].needs) ? acts[i].weight : 0;
        if (dice < weight)
            break;
        dice -= weight;
    }
    if (!a->self)
        stress_doing(acts[i].name, a->p->seed, a->number);
    acts[i].act(a);
}

static inline void empty_slots(struct actor *a) {
    for (unsigned i = 0; i < SLOTS; i++) {
        future_unref(a->slots[i]);
        a->slots[i] = NULL;
    }
}

static inline void work(struct line *line) {
    struct actor a = {.p = line->p, .self = line};
    struct stress_rng rng = {line->random};
    for (unsigned n = 1 + stress_below(&rng, 4); n > 0; n--)
        act(&a, stress_next(&rng));
    empty_slots(&a);
}

#endif
