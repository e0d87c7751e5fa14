/* random_book.h - part of stress_random.c: the ledger of a random program, and the rules it is checked by.
 *
 * Each task has a line, each group a team. They are taken from fixed arrays, which are reused by the next program, when
 * nobody can have a pointer into them any more. What is not atomic is written by whoever takes the line, before it is
 * submitted.
 */
#ifndef RANDOM_BOOK_H
#define RANDOM_BOOK_H

#include "random_diary.h"

enum { LINES = 1 << 15, TEAMS = 2048, HOMES = 2, BOARD = 16, PROMISES = 4096, NEEDS = 2 };

/* What tasks do. */
enum kind {
    LEAF,  /* nothing */
    FAILS, /* every time */
    FLAKY, /* some times, and then succeeds */
    OBEYS, /* looks at its flag for a while */
    NAPS,  /* sleeps for a moment */
    STUCK, /* until it is asked to stop, which its timeout does */
    FORKS, /* two of its kind, and waits for both */
    GROWS, /* another member of its group */
    WORKS  /* acts, as threads do (random_acts.h) */
};

struct line {
    struct program *p;
    struct home *home;
    struct team *team; /* whose member it is, or NULL */
    struct line *next; /* of the same team */
    uint64_t random;
    unsigned number;
    enum kind kind;
    unsigned depth;           /* of WORKS in each other; of FORKS still to come */
    unsigned attempts, count; /* of .retry and .every, at least 1 */
    unsigned failures;        /* of a FLAKY one */
    bool timed;               /* it has a deadline or a timeout that may pass */
    bool abandoned;           /* a run that times out is given up */
    bool never;               /* its deadline has passed before it was submitted */
    exec_time due, period;    /* not before that, and that much later for each further run; 0: any time */
    exec_time pause;          /* at least that between two attempts */
    future_t *after[NEEDS];   /* references, as is kept: the ledger's, until the program is over */
    future_t *kept;           /* or NULL */
    atomic_int answer;        /* what submit said, -1 before */
    atomic_int outcome;       /* of its function's last run, -1 before */
    _Atomic exec_time ended;  /* its last run */
    atomic_uint cancelled;    /* 1 + how often it had run when a cancel returned 0 */
    atomic_uint inside;       /* runs that have not returned */
    atomic_bool asked;        /* somebody calls cancel, or has */
    atomic_uint runs, drops, makes, takes, frees, handed;
    atomic_uint watchers, calls; /* callbacks that were added, and called */
};

/* A group. */
struct team {
    const struct line *owner; /* the task it belongs to, or NULL */
    exec_group_t *g;
    exec_group_opts opts;
    unsigned number;
    atomic_bool unsure;             /* some member may end otherwise than its function says */
    atomic_bool cancelling;         /* a cancellation has begun */
    atomic_uint inside;             /* members that run */
    _Atomic(struct line *) members; /* all that were submitted */
};

/* An executor, with what is known of it. */
struct home {
    executor_t *ex;
    executor_opts opts;
    atomic_bool shutting, shut, discarding; /* a shutdown has begun, one has returned, a discard has begun */
    atomic_bool helped;                     /* a map or stream has made tasks that are in no line */
};

struct program {
    uint64_t seed;
    unsigned features;
    struct home homes[HOMES];
    unsigned nhomes;
    exec_limiter_t *limiter; /* or NULL */
    exec_queue_t *promises;  /* to be resolved, each a reference */
    exec_queue_t *queue;     /* for the threads' items */
    atomic_uint npromises, promise_watchers, promise_calls;
    atomic_uint queued, unqueued; /* items put and got */
    atomic_uint nlines, nteams;
    _Atomic(future_t *) board[BOARD]; /* references, for whoever takes them */
    unsigned shut_at;                 /* the first thread does it before this act of it */
    enum executor_shutdown mode;
};

static struct line lines[LINES];
static struct team teams[TEAMS];
static struct program program;

/* What became of all tasks of all programs. */
static struct {
    uint64_t programs, tasks, refused, run, attempts, dropped, freed, taken, callbacks;
    uint64_t done, failed, cancelled, timed_out, stolen, wakeups;
    atomic_uint_fast64_t groups, items;
} totals;

/* n lines one after the other, or NULL. */
static inline struct line *new_lines(struct program *p, unsigned n) {
    if (atomic_load_explicit(&p->nlines, memory_order_relaxed) + n > LINES)
        return NULL;
    unsigned first = atomic_fetch_add_explicit(&p->nlines, n, memory_order_relaxed);
    return first + n > LINES ? NULL : &lines[first];
}

static inline unsigned used_lines(const struct program *p) {
    unsigned n = atomic_load(&p->nlines);
    return n < LINES ? n : LINES;
}

/* ---- who may have asked what to stop ---- */

static inline bool may_stop(const struct line *line);

static inline bool team_may_cancel(const struct team *team) {
    return atomic_load(&team->cancelling) || team->opts.policy != EXEC_ALL || team->opts.deadline ||
           (team->owner && may_stop(team->owner));
}

/* Something may have cancelled it. */
static inline bool may_cancel(const struct line *line) {
    const struct home *home = line->home;
    return atomic_load(&line->asked) || atomic_load(&home->discarding) ||
           home->opts.when_full == EXECUTOR_DROP_OLDEST || (line->period && atomic_load(&home->shutting)) ||
           (line->team && team_may_cancel(line->team));
}

/* Something may have raised its flag. */
static inline bool may_stop(const struct line *line) {
    return line->timed || may_cancel(line);
}

/* ---- a future that has finished ---- */

static inline int error_of(future_t *f) {
    return future_state(f) == FUTURE_DONE ? 0 : future_get(f, NULL);
}

static inline bool some_need_ended(const struct line *line, int error) {
    for (unsigned i = 0; i < NEEDS; i++)
        if (line->after[i] && future_done(line->after[i]) && error_of(line->after[i]) == error)
            return true;
    return false;
}

static inline void check_unrun(const struct line *line, int error) {
    bool late = line->never || line->timed || (line->team && line->team->opts.deadline);
    bool cause = (error == ECANCELED && may_cancel(line)) || (error == ETIMEDOUT && late) ||
                 (error == EDEADLK && line->team && line->after[0]); /* on who has closed the group */
    if (!cause && !some_need_ended(line, error))
        stress_fail(__FILE__, __LINE__, "task %u has never run, and ended for no reason with %d (%s)", line->number,
                    error, strerror(error));
}

/* Something has come between the task and its own outcome. */
static inline void check_overruled(const struct line *line, int error, int outcome) {
    bool late = line->timed || (line->team && line->team->opts.deadline);
    bool cause = (error == ETIMEDOUT && late) ||
                 (error == ECANCELED && may_cancel(line) && (line->attempts > 1 || line->count > 1 || line->period));
    if (!cause)
        stress_fail(__FILE__, __LINE__, "task %u ended with %d (%s), but its function with %d", line->number, error,
                    strerror(error), outcome);
}

/* The task's future has finished with this error. */
static inline void check_final(const struct line *line, future_t *f, int error) {
    enum future_state state = future_state(f);
    CHECK_EQ(state, error == 0 ? FUTURE_DONE : error == ECANCELED ? FUTURE_CANCELLED : FUTURE_FAILED);
    unsigned runs = atomic_load(&line->runs);
    int outcome = atomic_load(&line->outcome);
    if (runs == 0)
        check_unrun(line, error);
    else if (error != outcome)
        check_overruled(line, error, outcome);
    if (line->never)
        CHECK_EQ(runs, 0);
}

/* The future of any task, or a promise. */
static inline void check_any(future_t *f) {
    const struct line *line = future_arg(f);
    CHECK(future_done(f));
    if (line)
        check_final(line, f, error_of(f));
    else
        CHECK_ERROR(error_of(f), 0, EIO, ECANCELED);
}

/* ---- when the program is over ---- */

/* How often it must have run when nothing came between. */
static inline unsigned expected_runs(const struct line *line) {
    unsigned wants = line->kind == FAILS ? line->attempts : line->kind == FLAKY ? line->failures + 1 : 1;
    return wants < line->attempts ? wants : line->attempts;
}

static inline void check_refused(const struct line *line, int answer) {
    CHECK_EQ(atomic_load(&line->runs), 0);
    CHECK_EQ(atomic_load(&line->drops), answer == ECANCELED ? 1 : 0);
    CHECK_EQ(atomic_load(&line->frees), 0);
}

static inline void check_accepted(const struct line *line) {
    unsigned runs = atomic_load(&line->runs), drops = atomic_load(&line->drops);
    unsigned cancelled = atomic_load(&line->cancelled);
    bool needs = line->after[0] || line->after[1];
    if ((runs > 0) + drops != 1)
        stress_fail(__FILE__, __LINE__, "task %u was run %u times and dropped %u times", line->number, runs, drops);
    if (drops > 0)
        CHECK(line->never || needs || may_stop(line));
    if (runs > 0 && line->count == 1 && line->period == 0 && !may_stop(line) && line->kind != WORKS)
        CHECK_EQ(runs, expected_runs(line));
    if (cancelled > 0)
        CHECK_EQ(runs, cancelled - 1);
    unsigned makes = atomic_load(&line->makes);
    bool last_taken = makes > 0 && atomic_load(&line->takes) > 0;
    CHECK_EQ(atomic_load(&line->frees), makes - last_taken);
}

static inline void close_line(struct line *line) {
    int answer = atomic_load(&line->answer);
    unsigned runs = atomic_load(&line->runs);
    if (answer != 0)
        check_refused(line, answer);
    else
        check_accepted(line);
    CHECK_EQ(atomic_load(&line->inside), 0);
    CHECK_EQ(atomic_load(&line->calls), atomic_load(&line->watchers));
    totals.tasks += answer == 0;
    totals.refused += answer != 0;
    totals.run += runs > 0;
    totals.attempts += runs;
    totals.dropped += atomic_load(&line->drops);
    totals.freed += atomic_load(&line->frees);
    totals.taken += atomic_load(&line->takes) > 0;
    totals.callbacks += atomic_load(&line->calls);
}

static inline bool was_submitted(const struct line *line) {
    return line->p && atomic_load(&line->answer) >= 0;
}

/* In turns: what a line is checked by are the futures that it needed, and results go with the last reference. */
static inline void close_lines(struct program *p) {
    unsigned used = used_lines(p);
    for (unsigned i = 0; i < used; i++)
        if (lines[i].p && lines[i].kept)
            check_any(lines[i].kept);
    for (unsigned i = 0; i < used; i++) {
        for (unsigned need = 0; lines[i].p && need < NEEDS; need++)
            future_unref(lines[i].after[need]);
        future_unref(lines[i].p ? lines[i].kept : NULL);
    }
    for (unsigned i = 0; i < used; i++) {
        if (was_submitted(&lines[i]))
            close_line(&lines[i]);
        lines[i].p = NULL;
    }
}

/* What the executor has counted is what is in the ledger. It has been shut down and joined. */
static inline void check_stats(const struct program *p, const struct home *home) {
    uint64_t accepted = 0, rejected = 0, again = 0, good = 0;
    bool exact = !atomic_load(&home->helped), plain = exact, calm = true;
    exec_stats s;
    CHECK_ERROR(did(OP_STATS, 0, executor_stats(home->ex, &s)), 0);
    for (unsigned i = 0, used = used_lines(p); i < used; i++) {
        const struct line *line = &lines[i];
        if (!was_submitted(line) || line->home != home)
            continue;
        int answer = atomic_load(&line->answer);
        accepted += answer == 0;
        rejected += answer == EAGAIN || answer == ETIMEDOUT;
        plain &= !line->timed && line->count == 1 && line->period == 0;
        calm &= !may_cancel(line);
        unsigned runs = atomic_load(&line->runs);
        again += runs > 1 ? runs - 1 : 0;
        good += runs > 0 && atomic_load(&line->outcome) == 0;
    }
    CHECK_EQ(s.done + s.failed + s.cancelled + s.timed_out, s.submitted);
    CHECK_EQ(s.unfinished, 0);
    CHECK_EQ(s.queued, 0);
    CHECK_EQ(s.rejected, rejected);
    CHECK_OP(s.submitted, >=, accepted);
    if (exact)
        CHECK_EQ(s.submitted, accepted);
    if (plain) {
        CHECK_EQ(s.done, good);
        CHECK_OP(s.retried, >=, again); /* one that is cancelled before it runs again has been counted */
        if (calm)
            CHECK_EQ(s.retried, again);
    }
    totals.done += s.done;
    totals.failed += s.failed;
    totals.cancelled += s.cancelled;
    totals.timed_out += s.timed_out;
    totals.stolen += s.stolen;
    totals.wakeups += s.wakeups;
}

/* What has not come to its end. */
static inline void print_lines(const struct program *p) {
    unsigned shown = 0;
    for (unsigned i = 0, used = used_lines(p); i < used && shown < 20; i++) {
        const struct line *line = &lines[i];
        if (!line->p || atomic_load(&line->answer) > 0)
            continue;
        if (atomic_load(&line->inside) || atomic_load(&line->runs) + atomic_load(&line->drops) == 0) {
            fprintf(stderr, "  task %u: kind %d, depth %u, group %d, needs %d, answer %d, runs %u, inside %u\n", i,
                    (int)line->kind, line->depth, line->team ? (int)line->team->number : -1, line->after[0] != NULL,
                    atomic_load(&line->answer), atomic_load(&line->runs), atomic_load(&line->inside));
            shown++;
        }
    }
}

#endif
