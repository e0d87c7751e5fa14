/* stress_book.h - the book of stress_group.c: what is known of each group and each member, and what members do. */
#ifndef STRESS_BOOK_H
#define STRESS_BOOK_H

#include "stress.h"

enum { MAX_LINES = 600, MAX_DEPTH = 3, INNER = 5 };

enum kind { VALUE, FAILS, OBEYS, NAPS, SLEEPS, FORKS, CANCELS, NESTS };

struct line {
    struct book *book;
    uint64_t random;
    unsigned depth;
    bool depends;       /* on another member */
    atomic_int answer;  /* what submit said, -1 before */
    atomic_int outcome; /* of its function, -1 before */
    atomic_bool made;   /* it returned a value */
    atomic_uint runs, drops, handed, takes, frees;
    atomic_uint watchers, calls; /* callbacks that were added, and called */
};

struct book {
    executor_t *ex;
    exec_group_t *g;
    exec_group_opts opts;
    enum executor_when_full when_full;
    uint64_t random;
    bool will_be_cancelled; /* surely, so that members may wait for it */
    bool will_be_discarded; /* that is how */
    bool left_open;         /* by the task to which it belongs */
    bool by_item;           /* it belongs to an item of a map, which that task calls */
    bool callbacks_submit;
    int outcome;                /* of its close */
    atomic_bool opened;         /* by a task */
    atomic_bool cancelling;     /* a cancellation has begun */
    atomic_uint inside;         /* members that run */
    _Atomic(future_t *) recent; /* a member for others to depend on, with a reference */
    atomic_size_t used;
    struct line lines[MAX_LINES];
};

static atomic_uint_fast64_t total_members, total_runs, total_drops, total_taken;

static inline void reset_book(struct book *b, executor_t *ex, enum executor_when_full when_full, exec_group_opts opts,
                              uint64_t random) {
    memset(b, 0, sizeof *b);
    b->ex = ex;
    b->when_full = when_full;
    b->opts = opts;
    b->random = random;
    for (unsigned i = 0; i < MAX_LINES; i++) {
        atomic_store(&b->lines[i].answer, -1);
        atomic_store(&b->lines[i].outcome, -1);
    }
}

/* ---- submitting ---- */

static inline void *member(void *arg);

static inline void drop(void *arg) {
    struct line *line = arg;
    CHECK_EQ(atomic_fetch_add(&line->drops, 1), 0);
    CHECK_EQ(atomic_load(&line->runs), 0);
}

static inline void free_result(void *result) {
    struct line *line = result;
    CHECK(atomic_load(&line->made));
    CHECK_EQ(atomic_load(&line->takes), 0);
    CHECK_EQ(atomic_fetch_add(&line->frees, 1), 0);
}

static inline void submit_line(struct book *b, uint64_t random, unsigned depth, bool outside);

/* A callback, for which a close waits, so that it may submit. */
static inline void note_call(future_t *f, void *arg) {
    struct line *line = arg;
    CHECK(future_done(f));
    CHECK_PTR(future_arg(f), line);
    if (line->book->callbacks_submit && line->depth > 0)
        submit_line(line->book, stress_mix64(line->random + 10), line->depth - 1, false);
    atomic_fetch_add(&line->calls, 1);
}

static inline void watch(struct line *line, future_t *f) {
    atomic_fetch_add(&line->watchers, 1);
    CHECK_ERROR(future_on_done(f, note_call, line), 0);
}

/* Cancels it, waits for it, gets it, or just forgets it. */
static inline void use_future(struct line *line, future_t *f, uint64_t random) {
    switch (random % 4) {
    case 0: CHECK_ERROR(future_cancel(f), 0, EINPROGRESS, EALREADY); break;
    case 1: CHECK_ERROR(future_wait(f, exec_after(EXEC_US(random / 4 % 50))), 0, ETIMEDOUT); break;
    default: break;
    }
    CHECK_PTR(future_arg(f), line);
    future_unref(f);
}

/* What submit may say, and what it has done with the argument when it says it. */
static inline void check_answer(struct line *line, int error, bool room_wait) {
    struct book *b = line->book;
    CHECK_ERROR(error, 0, ECANCELED, room_wait ? ETIMEDOUT : 0, b->when_full == EXECUTOR_REJECT ? EAGAIN : 0,
                b->will_be_discarded ? ESHUTDOWN : 0);
    if (error == ECANCELED && b->opts.policy == EXEC_ALL && b->opts.deadline == 0)
        CHECK(atomic_load(&b->cancelling) || b->left_open);
    if (error != 0) {
        CHECK_EQ(atomic_load(&line->runs), 0);
        CHECK_EQ(atomic_load(&line->drops), error == ECANCELED ? 1 : 0);
    }
    atomic_store(&line->answer, error);
}

/* Only a thread outside of the executor uses the future: a member must not wait for one behind .max_running. */
static inline void submit_line(struct book *b, uint64_t random, unsigned depth, bool outside) {
    size_t i = atomic_fetch_add(&b->used, 1);
    if (i >= MAX_LINES)
        return;
    struct line *line = &b->lines[i];
    future_t *f = NULL, *before = random % 5 == 0 ? atomic_exchange(&b->recent, NULL) : NULL;
    *line = (struct line){
        .book = b, .random = random, .depth = depth, .depends = before != NULL, .answer = -1, .outcome = -1};
    bool room_wait = outside && random % 3 == 0, with_future = random % 2;
    exec_task_opts opts = {.drop = drop,
                           .free_result = free_result,
                           .room_wait = room_wait ? EXEC_US(50) : 0,
                           .after = &before,
                           .nafter = before != NULL};
    int error = exec_group_submit(b->g, member, line, &opts, with_future ? &f : NULL);
    CHECK_EQ(f != NULL, error == 0 && with_future);
    check_answer(line, error, room_wait);
    future_unref(before);
    if (f && random % 3 == 0)
        future_unref(atomic_exchange(&b->recent, future_ref(f)));
    if (f && random % 7 < 3)
        watch(line, f);
    if (f && outside)
        use_future(line, f, random >> 8);
    else
        future_unref(f);
}

/* ---- what members do ---- */

static inline void *count_inner(void *counter) {
    atomic_fetch_add((atomic_uint *)counter, 1);
    return NULL;
}

static inline void drop_inner(void *counter) {
    atomic_fetch_add((atomic_uint *)counter, 1);
}

/* A group within the group, whose members point into this stack. */
static inline int nest(struct line *line) {
    atomic_uint ends = 0;
    exec_group_opts opts = {.max_running = line->random >> 16 & 1};
    exec_task_opts task = {.drop = drop_inner};
    exec_group_t *g;
    CHECK_ERROR(exec_group_open(line->book->ex, &opts, &g), 0);
    unsigned kept = 0;
    for (unsigned i = 0; i < INNER; i++) {
        int error = exec_group_submit(g, count_inner, &ends, &task, NULL);
        CHECK_ERROR(error, 0, ECANCELED, EAGAIN, ESHUTDOWN);
        kept += error == EAGAIN || error == ESHUTDOWN;
    }
    int error = exec_group_close(g);
    CHECK_ERROR(error, 0, ECANCELED);
    CHECK_EQ(atomic_load(&ends) + kept, INNER);
    return error;
}

static inline enum kind kind_of(const struct line *line) {
    unsigned dice = (unsigned)(line->random >> 24) % 100;
    return dice < 30   ? VALUE
           : dice < 36 ? FAILS
           : dice < 46 ? OBEYS
           : dice < 56 ? NAPS
           : dice < 66 ? SLEEPS
           : dice < 90 ? FORKS
           : dice < 91 ? CANCELS
                       : NESTS;
}

static inline int behave(struct line *line) {
    struct book *b = line->book;
    switch (kind_of(line)) {
    case FAILS: return EIO;
    case OBEYS: return exec_cancelled() ? ECANCELED : 0;
    case NAPS: return exec_sleep(EXEC_US(line->random >> 32 & 31));
    case SLEEPS: return b->will_be_cancelled ? exec_sleep(EXEC_SEC(3600)) : 0;
    case NESTS: return nest(line);
    case FORKS:
        for (unsigned i = 0; i < 2 && line->depth > 0; i++)
            submit_line(b, stress_mix64(line->random + i), line->depth - 1, false);
        return 0;
    case CANCELS:
        atomic_store(&b->cancelling, true);
        exec_group_cancel(b->g);
        CHECK(exec_cancelled());
        return 0;
    default: return 0;
    }
}

static inline void *member(void *arg) {
    struct line *line = arg;
    struct book *b = line->book;
    CHECK_EQ(atomic_fetch_add(&line->runs, 1), 0);
    CHECK_EQ(atomic_load(&line->drops), 0);
    unsigned inside = atomic_fetch_add(&b->inside, 1) + 1;
    if (b->opts.max_running > 0)
        CHECK_OP(inside, <=, b->opts.max_running);
    int error = behave(line);
    CHECK_ERROR(error, 0, ECANCELED, kind_of(line) == FAILS ? EIO : 0);
    atomic_fetch_sub(&b->inside, 1);
    atomic_store(&line->outcome, error);
    atomic_store(&line->made, error == 0);
    return error ? exec_fail(error) : line;
}

/* ---- taking ---- */

/* What exec_group_next() has handed out. */
static inline void take_line(struct book *b, future_t *f, struct stress_rng *rng) {
    struct line *line = future_arg(f);
    void *result = b;
    CHECK(future_done(f));
    CHECK_PTR(line->book, b);
    CHECK_EQ(atomic_fetch_add(&line->handed, 1), 0);
    if (stress_percent(rng, 70)) {
        int error = future_get(f, &result), outcome = atomic_load(&line->outcome);
        CHECK_PTR(result, error == 0 ? line : NULL);
        if (atomic_load(&line->runs) == 0 || outcome == ECANCELED)
            CHECK_ERROR(error, ECANCELED, b->opts.deadline ? ETIMEDOUT : ECANCELED, line->depends ? EIO : ECANCELED);
        else
            CHECK_ERROR(error, outcome);
        if (error == 0)
            atomic_fetch_add(&line->takes, 1);
    }
    future_unref(f);
}

/* ---- balancing ---- */

struct sums {
    unsigned accepted, done, failed, handed;
};

/* A result nobody took is freed as the last reference goes, which may be its worker's. */
static inline void check_line(struct line *line, struct sums *sums) {
    unsigned runs = atomic_load(&line->runs), drops = atomic_load(&line->drops);
    int answer = atomic_load(&line->answer), outcome = atomic_load(&line->outcome);
    bool accepted = answer == 0;
    CHECK_OP(answer, >=, 0);
    if (accepted)
        CHECK_EQ(runs + drops, 1);
    CHECK_OP(atomic_load(&line->handed), <=, accepted ? 1 : 0);
    if (atomic_load(&line->made) && atomic_load(&line->takes) == 0)
        for (unsigned spin = 0; atomic_load(&line->frees) == 0; spin++)
            stress_spin(spin);
    else
        CHECK_EQ(atomic_load(&line->frees), 0);
    CHECK_EQ(atomic_load(&line->calls), atomic_load(&line->watchers));
    sums->accepted += accepted;
    sums->done += outcome == 0;
    sums->failed += outcome > 0 && outcome != ECANCELED;
    sums->handed += atomic_load(&line->handed);
    atomic_fetch_add(&total_runs, runs);
    atomic_fetch_add(&total_drops, drops);
}

static inline void check_outcome(const struct book *b, const struct sums *sums) {
    int late = b->opts.deadline ? ETIMEDOUT : -1;
    if (b->opts.policy == EXEC_FIRST && sums->accepted == 0)
        CHECK_ERROR(b->outcome, ENODATA);
    else if (b->opts.policy == EXEC_FIRST ? sums->done > 0 : sums->done == sums->accepted)
        CHECK_ERROR(b->outcome, 0);
    else
        CHECK_ERROR(b->outcome, sums->failed ? EIO : ECANCELED, late);
}

static inline void check_book(struct book *b, bool has_outcome, bool all_taken) {
    struct sums sums = {0};
    size_t used = atomic_load(&b->used);
    future_unref(atomic_exchange(&b->recent, NULL));
    for (size_t i = 0; i < used && i < MAX_LINES; i++)
        check_line(&b->lines[i], &sums);
    CHECK_EQ(atomic_load(&b->inside), 0);
    if (has_outcome)
        check_outcome(b, &sums);
    if (all_taken)
        CHECK_EQ(sums.handed, sums.accepted);
    atomic_fetch_add(&total_members, sums.accepted);
    atomic_fetch_add(&total_taken, sums.handed);
}

#endif
