/* stress_ledger.h - the ledger of stress_mix.c: what is known of each job and each round, and the calls on futures
 * that are checked against it.
 *
 * Every task has a line (struct job): how often its function ran, .drop was called, its result was taken by a get and
 * freed. When a round is over the ledger must balance: check_job().
 */
#ifndef STRESS_LEDGER_H
#define STRESS_LEDGER_H

#include "stress.h"

enum { MAX_PRODUCERS = 4, HELPERS = 2, WINDOW = 12, BAG = 32, MAX_DEPTH = 3, MAP_ITEMS = 40 };

enum kind { LEAF, FAILS, OBEYS, SLEEPS, FORKS, FIRES, MAPS, LOOPS, RESOLVES, SHUTS, KINDS };

struct job {
    struct round *round;
    uint64_t random;
    enum kind kind;
    unsigned depth;
    future_t *promise;     /* of a RESOLVES job: a reference of its own */
    bool accepted;         /* by who submitted it */
    atomic_bool asked;     /* somebody calls cancel, or has */
    atomic_bool cancelled; /* a cancel returned 0 */
    atomic_bool made;      /* the function returned the job as its result */
    atomic_int outcome;    /* the function's error */
    atomic_uint runs, drops, takes, frees;
};

struct held {
    future_t *f;
    struct job *job;
};

struct round {
    uint64_t number;
    executor_t *ex;
    executor_opts opts;
    enum executor_shutdown mode;
    bool leave_futures;   /* to be settled after the executor is gone */
    unsigned submissions; /* of each producer */
    unsigned shut_at;     /* how many of all the submissions come before the shutdown */
    atomic_uint submitted;
    atomic_bool shutting, shut, discarding; /* a shutdown has begun, one has returned, a discard has begun */
    atomic_uint producing;
    atomic_size_t njobs;
    size_t max_jobs;
    struct job *jobs;
    pthread_mutex_t lock;
    struct held bag[BAG]; /* lock, as is nbag */
    unsigned nbag;
};

static atomic_uint_fast64_t total_jobs, total_runs, total_drops, total_frees, total_refused, total_map_items;

static inline struct job *new_job(struct round *r, uint64_t random, unsigned depth) {
    size_t i = atomic_fetch_add(&r->njobs, 1);
    if (i >= r->max_jobs)
        return NULL;
    struct job *job = &r->jobs[i];
    job->round = r;
    job->random = random;
    job->depth = depth;
    unsigned dice = (unsigned)(random >> 8) % 10000;
    job->kind = dice < 2 ? SHUTS : depth < MAX_DEPTH ? (enum kind)(dice % SHUTS) : (enum kind)(dice % FORKS);
    return job;
}

static inline void drop(void *arg) {
    struct job *job = arg;
    CHECK_EQ(atomic_fetch_add(&job->drops, 1), 0);
    CHECK_EQ(atomic_load(&job->runs), 0);
    if (job->promise) {
        CHECK_ERROR(future_resolve(job->promise, NULL, ECANCELED), 0, EALREADY);
        future_unref(job->promise);
    }
}

static inline void free_result(void *result) {
    struct job *job = result;
    CHECK(atomic_load(&job->made));
    CHECK_EQ(atomic_load(&job->takes), 0);
    CHECK_EQ(atomic_fetch_add(&job->frees, 1), 0);
}

static inline const char *name_of(const struct job *job) {
    static const char *const names[] = {"leaf",  "fails", "obeys", "sleeps",   "forks",
                                        "fires", "maps",  "loops", "resolves", "shuts"};
    return names[job->kind];
}

/* The job's future has finished. */
static inline void check_final(const struct held *h, int error) {
    struct job *job = h->job;
    CHECK(future_done(h->f));
    CHECK_EQ(future_state(h->f), error == 0 ? FUTURE_DONE : error == ECANCELED ? FUTURE_CANCELLED : FUTURE_FAILED);
    if (atomic_load(&job->runs) == 0)
        CHECK_ERROR(error, ECANCELED);
    else
        CHECK_ERROR(error, atomic_load(&job->outcome));
    CHECK_PTR(future_arg(h->f), job);
    CHECK_PTR(future_name(h->f), name_of(job));
}

static inline void get(const struct held *h) {
    void *result = (void *)h;
    int error = future_get(h->f, &result);
    check_final(h, error);
    CHECK_PTR(result, error == 0 ? h->job : NULL);
    if (error == 0)
        atomic_fetch_add(&h->job->takes, 1);
}

static inline void timed_wait(const struct held *h, struct stress_rng *rng) {
    exec_time deadline = stress_percent(rng, 30) ? EXEC_NOW : exec_after(EXEC_US(stress_below(rng, 300)));
    int error = future_wait(h->f, deadline);
    CHECK_ERROR(error, 0, ETIMEDOUT);
    if (error == 0)
        CHECK(future_done(h->f));
    else
        CHECK_OP(exec_now(), >=, deadline);
}

static inline void cancel(const struct held *h) {
    struct job *job = h->job;
    atomic_store(&job->asked, true);
    int error = future_cancel(h->f);
    CHECK_ERROR(error, 0, EINPROGRESS, EALREADY);
    if (error != EINPROGRESS)
        CHECK(future_done(h->f));
    if (error != 0)
        return;
    atomic_store(&job->cancelled, true);
    CHECK_EQ(future_state(h->f), FUTURE_CANCELLED);
    CHECK_EQ(atomic_load(&job->runs), 0);
}

/* Waits for some of them, and says whether as many had finished as the call said. */
static inline void wait_for_some(const struct held *held, unsigned n, struct stress_rng *rng) {
    future_t *fs[WINDOW + 1];
    unsigned count = 0, done = 0;
    for (unsigned i = 0; i < n; i++)
        if (held[i].f)
            fs[count++] = held[i].f;
    unsigned want = stress_below(rng, count + 1), different = count;
    if (count > 0 && stress_percent(rng, 30))
        fs[count++] = fs[0];
    exec_time deadline = stress_percent(rng, 50) ? EXEC_NEVER : exec_after(EXEC_US(stress_below(rng, 300)));
    int error = exec_wait(fs, count, want, deadline);
    for (unsigned i = 0; i < different; i++)
        done += future_done(fs[i]);
    if (deadline == EXEC_NEVER)
        CHECK_ERROR(error, 0);
    CHECK_ERROR(error, 0, ETIMEDOUT);
    if (error == 0)
        CHECK_OP(done, >=, want);
    else
        CHECK_OP(exec_now(), >=, deadline);
}

static inline void check_job(struct round *r, struct job *job) {
    unsigned runs = atomic_load(&job->runs), drops = atomic_load(&job->drops);
    atomic_fetch_add_explicit(&total_jobs, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&total_runs, runs, memory_order_relaxed);
    atomic_fetch_add_explicit(&total_drops, drops, memory_order_relaxed);
    atomic_fetch_add_explicit(&total_frees, atomic_load(&job->frees), memory_order_relaxed);
    CHECK_EQ(runs + drops, job->accepted ? 1 : 0);
    if (drops > 0)
        CHECK(atomic_load(&job->cancelled) || atomic_load(&r->discarding) || r->opts.when_full == EXECUTOR_DROP_OLDEST);
    CHECK_EQ(atomic_load(&job->frees), atomic_load(&job->made) && atomic_load(&job->takes) == 0 ? 1 : 0);
}

#endif
