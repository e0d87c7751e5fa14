/* random_tasks.h - part of stress_random.c: how tasks are chosen and submitted, and what they do. */
#ifndef RANDOM_TASKS_H
#define RANDOM_TASKS_H

#include "random_book.h"

enum { SLOTS = 8, MAX_DEPTH = 2, MAX_FORKS = 7 };

/* What a program may make use of; each has its own selection. */
enum feature {
    WITH_TIMES = 1 << 0, /* deadlines, timeouts, delays */
    WITH_RETRY = 1 << 1,
    WITH_NEEDS = 1 << 2, /* .after */
    WITH_GROUPS = 1 << 3,
    WITH_STREAMS = 1 << 4,
    WITH_MAPS = 1 << 5,
    WITH_PROMISES = 1 << 6,
    WITH_BOARD = 1 << 7, /* futures go from thread to thread */
    WITH_CANCELS = 1 << 8,
    WITH_LIMITER = 1 << 9,
    WITH_SCHEDULES = 1 << 10,
    WITH_ABANDON = 1 << 11,
    WITH_SHUTDOWN = 1 << 12,
    WITH_PRIORITIES = 1 << 13,
    WITH_CALLBACKS = 1 << 14,
    WITH_WORKS = 1 << 15, /* tasks that act as threads do */
    WITH_BURSTS = 1 << 16,
    WITH_QUEUE = 1 << 17,
    WITH_FAILURES = 1 << 18,
    WITH_DESCRIPTORS = 1 << 19,
    FEATURES = 20
};

/* Who acts: a thread, or a task of kind WORKS. */
struct actor {
    struct program *p;
    struct line *self; /* the task, or NULL */
    unsigned number;
    struct stress_rng rng; /* of the present act */
    future_t *slots[SLOTS];
};

static inline bool with(const struct actor *a, unsigned feature) {
    return a->p->features & feature;
}

static inline bool is_outside(const struct actor *a, const struct home *home) {
    return !a->self || a->self->home != home;
}

/* Mostly small, up to most. */
static inline unsigned some_size(struct stress_rng *rng, unsigned most) {
    unsigned bits = 0;
    while (most >> bits)
        bits++;
    unsigned n = stress_below(rng, 1U << stress_below(rng, bits + 1)) + 1;
    return n < most ? n : most;
}

static inline exec_time some_us(struct stress_rng *rng, unsigned most) {
    return 1 + EXEC_US(stress_below(rng, most));
}

/* ---- the board ---- */

static inline void put_on_board(struct actor *a, future_t *f) {
    future_unref(atomic_exchange(&a->p->board[stress_below(&a->rng, BOARD)], f));
}

/* A reference, or NULL. */
static inline future_t *take_from_board(struct actor *a) {
    return atomic_exchange(&a->p->board[stress_below(&a->rng, BOARD)], NULL);
}

/* A reference to what another may want as well, or NULL. */
static inline future_t *look_at_board(struct actor *a) {
    future_t *f = take_from_board(a);
    if (f)
        put_on_board(a, future_ref(f));
    return f;
}

/* ---- what becomes of them ---- */

static inline void drop_line(void *arg) {
    struct line *line = arg;
    CHECK_EQ(atomic_fetch_add(&line->drops, 1), 0);
    CHECK_EQ(atomic_load(&line->runs), 0);
}

static inline void free_line(void *result) {
    struct line *line = result;
    unsigned frees = atomic_fetch_add(&line->frees, 1) + 1;
    CHECK_OP(frees, <=, atomic_load(&line->makes));
}

static inline bool worth_another(int error, unsigned attempt, void *ctx) {
    const struct line *line = ctx;
    CHECK_OP(error, >, 0);
    CHECK_OP(attempt, >=, 1);
    CHECK_OP(attempt, <, line->attempts);
    return true;
}

/* ---- choosing ---- */

static inline enum kind choose_kind(struct actor *a, const struct team *team) {
    bool works =
        with(a, WITH_WORKS) && !(team && team->opts.max_running) && (a->self ? a->self->depth + 1 : 1) <= MAX_DEPTH;
    switch (stress_below(&a->rng, 20)) {
    case 0:
    case 1: return with(a, WITH_FAILURES) ? FAILS : LEAF;
    case 2:
    case 3: return with(a, WITH_FAILURES) ? FLAKY : LEAF;
    case 4: return OBEYS;
    case 5: return NAPS;
    case 6:
    case 7: return FORKS;
    case 8:
    case 9: return team ? GROWS : LEAF;
    case 10:
    case 11:
    case 12:
    case 13: return works ? WORKS : LEAF;
    default: return LEAF;
    }
}

static inline void choose_times(struct actor *a, struct line *line, exec_task_opts *opts) {
    switch (stress_below(&a->rng, 12)) {
    case 0:
        opts->deadline = 1;
        line->never = true;
        break;
    case 1: opts->deadline = exec_after(EXEC_SEC(3600)); break;
    case 2:
        opts->deadline = exec_after(some_us(&a->rng, 500));
        line->timed = true;
        break;
    case 3: opts->timeout = EXEC_SEC(3600); break;
    case 4:
    case 5:
        opts->timeout = some_us(&a->rng, 300);
        line->timed = true;
        if (with(a, WITH_ABANDON) && line->kind != WORKS && line->kind != FORKS && line->kind != GROWS)
            line->abandoned = true;
        opts->on_timeout = line->abandoned ? EXEC_ABANDON : EXEC_ASK;
        if (line->abandoned || stress_percent(&a->rng, 50))
            line->kind = STUCK;
        break;
    case 6:
    case 7:
        opts->delay = some_us(&a->rng, 300);
        line->due = exec_after(opts->delay);
        break;
    default: break;
    }
}

static inline void choose_retry(struct actor *a, struct line *line, exec_task_opts *opts) {
    line->attempts = 1 + stress_below(&a->rng, 4);
    opts->retry = (exec_retry){.attempts = line->attempts,
                               .delay = some_us(&a->rng, 50),
                               .factor = 1,
                               .jitter = (enum exec_jitter)stress_below(&a->rng, 3)};
    if (opts->retry.jitter == EXEC_JITTER_NONE)
        line->pause = opts->retry.delay;
    if (stress_percent(&a->rng, 50)) {
        opts->retry.when = worth_another;
        opts->retry.ctx = line;
    }
}

static inline void choose_schedule(struct actor *a, struct line *line, exec_task_opts *opts) {
    line->count = 1 + stress_below(&a->rng, 4);
    line->period = some_us(&a->rng, 100);
    if (line->due == 0)
        line->due = exec_now();
    opts->every = line->period;
    opts->count = line->count;
    opts->keep_going = stress_percent(&a->rng, 50);
}

/* Of the actor's own, or of anybody's; a member's only the former, which do not wait for its group. */
static inline void choose_needs(struct actor *a, struct line *line, exec_task_opts *opts) {
    for (unsigned i = stress_below(&a->rng, NEEDS + 1); i > 0; i--) {
        future_t *f = stress_percent(&a->rng, 50) && !line->team ? look_at_board(a) : NULL;
        if (!f)
            f = future_ref(a->slots[stress_below(&a->rng, SLOTS)]);
        if (f)
            line->after[opts->nafter++] = f;
    }
    opts->after = line->after;
}

/* Only what waits for no other task may be held back by the limiter: it is not seen who would wait for itself. */
static inline void choose(struct actor *a, struct line *line, exec_task_opts *opts) {
    struct stress_rng *rng = &a->rng;
    line->kind = choose_kind(a, line->team);
    line->depth = line->kind == FORKS ? stress_below(rng, 4) : a->self ? a->self->depth + 1 : 1;
    if (with(a, WITH_TIMES))
        choose_times(a, line, opts);
    if (with(a, WITH_RETRY) && stress_percent(rng, 30))
        choose_retry(a, line, opts);
    if (with(a, WITH_SCHEDULES) && !line->team && line->kind != WORKS && stress_percent(rng, 20))
        choose_schedule(a, line, opts);
    if (with(a, WITH_NEEDS) && stress_percent(rng, 30))
        choose_needs(a, line, opts);
    if (with(a, WITH_PRIORITIES))
        opts->priority = (int)stress_below(rng, 17) - 8;
    if (a->p->limiter && line->kind < FORKS && stress_percent(rng, 30))
        opts->limiter = a->p->limiter;
    line->failures = line->kind == FLAKY ? stress_below(rng, 3) : 0;
}

/* ---- submitting ---- */

static inline void write_line(struct actor *a, struct line *line, struct home *home, struct team *team) {
    *line = (struct line){.p = a->p,
                          .home = home,
                          .team = team,
                          .random = stress_next(&a->rng),
                          .number = (unsigned)(line - lines),
                          .attempts = 1,
                          .count = 1,
                          .answer = -1,
                          .outcome = -1};
}

static inline void check_answer(struct actor *a, const struct line *line, const exec_task_opts *opts, bool shut,
                                int error) {
    const struct home *home = line->home;
    bool outside = is_outside(a, home);
    enum executor_when_full when_full = home->opts.when_full;
    if (shut && line->team) /* a member that somebody has cancelled, or run, meanwhile counts as accepted */
        CHECK_ERROR(error, ESHUTDOWN, ECANCELED, a->self || team_may_cancel(line->team) ? 0 : ESHUTDOWN);
    else if (shut)
        CHECK_EQ(error, ESHUTDOWN);
    switch (error) {
    case 0: break;
    case ESHUTDOWN: CHECK(atomic_load(&home->shutting)); break;
    case EAGAIN: CHECK(outside && when_full == EXECUTOR_REJECT); break;
    case ETIMEDOUT: CHECK(outside && when_full == EXECUTOR_BLOCK && opts->room_wait); break;
    case ECANCELED: CHECK(line->team && team_may_cancel(line->team)); break;
    default: CHECK_ERROR(error, 0, ESHUTDOWN, EAGAIN, ETIMEDOUT, ECANCELED);
    }
}

static inline void *run_line(void *arg);

/* A task must not wait for room in another executor, whose workers may wait for the task's. */
static inline int submit_line(struct actor *a, struct line *line, exec_task_opts *opts, future_t **out) {
    struct home *home = line->home;
    struct team *team = line->team;
    future_t *untouched = out ? *out : NULL;
    bool shut = atomic_load(&home->shut);
    opts->drop = drop_line;
    opts->free_result = free_line;
    opts->name = "random";
    if (a->self || stress_percent(&a->rng, 10))
        opts->room_wait = some_us(&a->rng, 50);
    if (team) {
        if (line->timed || line->never || line->attempts > 1 || opts->nafter)
            atomic_store(&team->unsure, true);
        line->next = atomic_load(&team->members);
        while (!atomic_compare_exchange_weak(&team->members, &line->next, line)) {
        }
    }
    int error = team ? exec_group_submit(team->g, run_line, line, opts, out)
                     : executor_submit(home->ex, run_line, line, opts, out);
    did(team ? OP_GROUP_SUBMIT : OP_SUBMIT, line->number, error);
    check_answer(a, line, opts, shut, error);
    if (out)
        CHECK((*out != untouched) == (error == 0));
    atomic_store(&line->answer, error);
    return error;
}

/* ---- taking ---- */

/* May a wait of this actor be one that could never end? Only for what it has not submitted itself. */
static inline bool may_deadlock(const struct actor *a) {
    return a->self && with(a, WITH_BOARD);
}

static inline void get(struct actor *a, future_t *f) {
    struct line *line = future_arg(f);
    void *result = a;
    int error = did(OP_GET, line ? line->number : UINT64_MAX, future_get(f, &result));
    if (error == EDEADLK && may_deadlock(a))
        return;
    check_any(f);
    CHECK_EQ(error, error_of(f));
    if (!line) {
        CHECK_PTR(result, error == 0 ? a->p : NULL);
        return;
    }
    CHECK_PTR(result, error == 0 ? line : NULL);
    if (error == 0)
        atomic_fetch_add_explicit(&line->takes, 1, memory_order_relaxed);
}

/* ---- what tasks do ---- */

static inline void work(struct line *line);

static inline void fork_two(struct line *line) {
    struct actor a = {.p = line->p, .self = line, .rng = {line->random}};
    future_t *children[2] = {NULL, NULL};
    struct line *two = line->depth > 0 ? new_lines(line->p, 2) : NULL;
    for (unsigned i = 0; two && i < 2; i++) {
        exec_task_opts opts = {0};
        write_line(&a, &two[i], line->home, NULL);
        two[i].kind = FORKS;
        two[i].depth = line->depth - 1;
        submit_line(&a, &two[i], &opts, &children[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        if (children[i])
            get(&a, children[i]);
        future_unref(children[i]);
    }
}

static inline void grow(struct line *line) {
    struct actor a = {.p = line->p, .self = line, .rng = {line->random}};
    struct line *one = new_lines(line->p, 1);
    exec_task_opts opts = {0};
    if (!one)
        return;
    write_line(&a, one, line->home, line->team);
    one->kind = stress_percent(&a.rng, 70) ? GROWS : LEAF;
    submit_line(&a, one, &opts, NULL);
}

static inline int obey(exec_time limit) {
    for (exec_time until = exec_after(limit); exec_now() < until;)
        if (exec_cancelled())
            return ECANCELED;
    return 0;
}

static inline int perform(struct line *line) {
    switch (line->kind) {
    case FAILS: return EIO;
    case FLAKY: return exec_attempt() <= line->failures ? EIO : 0;
    case OBEYS: return obey(EXEC_US(line->random % 20));
    case NAPS: return did(OP_SLEEP, line->number, exec_sleep(EXEC_US(line->random % 50)));
    case STUCK: return did(OP_SLEEP, line->number, exec_sleep(EXEC_SEC(3600)));
    case FORKS: fork_two(line); return 0;
    case GROWS: grow(line); return 0;
    case WORKS: work(line); return line->random % 16 == 0 ? EIO : 0;
    default: return 0;
    }
}

static inline void check_start(struct line *line, unsigned run) {
    CHECK_OP(run, <, line->attempts * line->count);
    CHECK_EQ(atomic_load_explicit(&line->drops, memory_order_relaxed), 0);
    CHECK_EQ(atomic_load(&line->cancelled), 0);
    CHECK_EQ(line->never, false);
    CHECK_EQ(atomic_fetch_add(&line->inside, 1), 0);
    for (unsigned i = 0; i < NEEDS; i++)
        if (line->after[i])
            CHECK_EQ(future_state(line->after[i]), FUTURE_DONE);
    if (line->due && line->attempts == 1)
        CHECK_OP(exec_now(), >=, line->due + (exec_time)run * line->period);
    if (line->pause && exec_attempt() > 1)
        CHECK_OP(exec_now(), >=, atomic_load(&line->ended) + line->pause);
    CHECK_OP(exec_attempt(), >=, 1);
    CHECK_OP(exec_attempt(), <=, line->attempts);
}

static inline void *run_line(void *arg) {
    struct line *line = arg;
    struct team *team = line->team;
    check_start(line, atomic_fetch_add(&line->runs, 1));
    unsigned beside = team ? atomic_fetch_add(&team->inside, 1) : 0;
    if (team && team->opts.max_running && !(line->p->features & WITH_ABANDON))
        CHECK_OP(beside, <, team->opts.max_running);
    if (exec_cancelled())
        CHECK(may_stop(line));
    int error = perform(line);
    if (error == ECANCELED)
        CHECK(may_stop(line));
    if (team)
        atomic_fetch_sub(&team->inside, 1);
    if (error == 0)
        atomic_fetch_add(&line->makes, 1);
    if (line->pause)
        atomic_store(&line->ended, exec_now());
    atomic_store(&line->outcome, error);
    atomic_fetch_sub(&line->inside, 1);
    return error ? exec_fail(error) : line;
}

#endif
