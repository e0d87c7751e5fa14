/* stress_abandon.c - tasks that are given up at about the moment at which they return: by workers, by threads of their
 * own, in groups, with retries, beside cancels and shutdowns, and with executors that are destroyed under those that
 * are on the loose.
 *
 * Each task ends once; each result that was returned is freed once, or taken; a function is called as often as it may,
 * and never when its argument was dropped; and at the end nobody is left.
 */
#include "stress.h"

enum { ROUNDS = 1500, JOBS = 24, ATTEMPTS = 3 };

/* Owned by its function from the moment it is called, and by the round before that and at its very end. */
struct job {
    struct round *round;
    bool accepted, abandons, retries, spawns;
    exec_time takes;   /* about so long; */
    exec_time timeout; /* and may take so long */
    atomic_uint runs, returned, drops, freed, taken;
    unsigned spawned; /* r/o once it runs: the number of the job that it is to submit and wait for */
};

struct round {
    uint64_t number;
    executor_t *ex;
    exec_group_t *group;
    atomic_uint inside; /* functions that have been called and have not returned */
    atomic_bool shutting;
    struct job jobs[JOBS];
    future_t *futures[JOBS];
};

static atomic_uint_fast64_t total_runs, total_given_up, total_in_time, total_drops;

static void drop(void *arg) {
    struct job *job = arg;
    CHECK_EQ(atomic_fetch_add(&job->drops, 1), 0);
    CHECK_EQ(atomic_load(&job->runs), 0);
}

static void free_result(void *result) {
    struct job *job = result;
    atomic_fetch_add(&job->freed, 1);
}

static void spend(exec_time duration) {
    exec_time until = exec_now() + duration;
    while (exec_now() < until)
        stress_spin(63);
}

static void submit_and_wait(struct round *r, unsigned i, struct stress_rng *rng);

static void *run(void *arg) {
    struct job *job = arg;
    struct round *r = job->round;
    struct stress_rng rng = stress_rng_of(r->number * 1000 + (uint64_t)(job - r->jobs));
    unsigned attempt = atomic_fetch_add(&job->runs, 1);
    atomic_fetch_add(&r->inside, 1);
    CHECK_OP(attempt, <, job->retries ? ATTEMPTS : 1);
    CHECK_EQ(atomic_load(&job->drops), 0);
    if (job->spawns && attempt == 0)
        submit_and_wait(r, job->spawned, &rng);
    if (stress_percent(&rng, 50))
        spend(job->takes);
    else
        CHECK_ERROR(exec_sleep(job->takes), 0, ECANCELED);
    bool fails = job->retries && attempt + 1 < ATTEMPTS;
    atomic_fetch_add(&job->returned, !fails);
    atomic_fetch_sub(&r->inside, 1);
    return fails ? exec_fail(EIO) : job;
}

static int submit(struct round *r, unsigned i, bool in_group) {
    struct job *job = &r->jobs[i];
    const exec_task_opts opts = {.timeout = job->timeout,
                                 .on_timeout = job->abandons ? EXEC_ABANDON : EXEC_ASK,
                                 .retry = {.attempts = job->retries ? ATTEMPTS : 1, .delay = 1},
                                 .drop = drop,
                                 .free_result = free_result,
                                 .name = "job"};
    job->accepted = true;
    int error = in_group ? exec_group_submit(r->group, run, job, &opts, &r->futures[i])
                         : executor_submit(r->ex, run, job, &opts, &r->futures[i]);
    job->accepted = error == 0;
    return error;
}

static void get(struct round *r, unsigned i) {
    struct job *job = &r->jobs[i];
    void *result = NULL;
    int error = future_get(r->futures[i], &result);
    CHECK_ERROR(error, 0, ETIMEDOUT, ECANCELED, EIO, atomic_load(&r->shutting) ? ECANCELED : 0);
    CHECK_PTR(result, error == 0 ? job : NULL);
    if (error == 0)
        atomic_store(&job->taken, 1);
    if (error == ETIMEDOUT)
        atomic_fetch_add_explicit(&total_given_up, 1, memory_order_relaxed);
    if (error != 0)
        return;
    CHECK_OP(atomic_load(&job->runs), >, 0);
    atomic_fetch_add_explicit(&total_in_time, 1, memory_order_relaxed);
}

static void submit_and_wait(struct round *r, unsigned i, struct stress_rng *rng) {
    int error = submit(r, i, false);
    CHECK_ERROR(error, 0, ESHUTDOWN);
    if (error != 0)
        return;
    if (stress_percent(rng, 30))
        CHECK_ERROR(future_wait(r->futures[i], exec_after(EXEC_US(stress_below(rng, 300)))), 0, ETIMEDOUT);
    else
        get(r, i);
}

static struct job some_job(struct round *r, struct stress_rng *rng) {
    exec_time timeout = 1 + stress_below(rng, 200000);
    return (struct job){.round = r,
                        .abandons = stress_percent(rng, 80),
                        .retries = stress_percent(rng, 20),
                        .timeout = timeout,
                        .takes = stress_percent(rng, 70) ? timeout + (exec_time)stress_below(rng, 60000) - 30000
                                                         : (exec_time)stress_below(rng, 20000)};
}

static void meddle(struct round *r, unsigned i, struct stress_rng *rng) {
    exec_straggler list[4];
    size_t n;
    switch (stress_below(rng, 4)) {
    case 0: CHECK_ERROR(future_cancel(r->futures[i]), 0, EINPROGRESS, EALREADY); break;
    case 1:
        CHECK_ERROR(executor_stragglers(r->ex, list, 4, &n), 0);
        for (size_t j = 0; j < n && j < 4; j++)
            CHECK_EQ(list[j].name == NULL || strcmp(list[j].name, "job") == 0, 1);
        break;
    case 2: CHECK_ERROR(future_wait(r->futures[i], exec_after(EXEC_US(stress_below(rng, 100)))), 0, ETIMEDOUT); break;
    default: stress_pause(rng); break;
    }
}

/* The first half are submitted here; each may submit and await one of the others. */
static void submit_all(struct round *r, struct stress_rng *rng) {
    for (unsigned i = 0; i < JOBS; i++) {
        r->jobs[i] = some_job(r, rng);
        r->jobs[i].spawns = i < JOBS / 2 && stress_percent(rng, 40);
        r->jobs[i].spawned = i + JOBS / 2;
        r->futures[i] = NULL;
    }
    for (unsigned i = 0; i < JOBS / 2; i++) {
        CHECK_ERROR(submit(r, i, stress_percent(rng, 40)), 0);
        meddle(r, stress_below(rng, i + 1), rng);
    }
}

static void end_round(struct round *r, struct stress_rng *rng) {
    if (stress_percent(rng, 30)) {
        atomic_store(&r->shutting, true);
        CHECK_ERROR(executor_shutdown(r->ex, stress_percent(rng, 50) ? EXECUTOR_DRAIN : EXECUTOR_DISCARD), 0);
    }
    stress_doing("close", r->number, 0);
    CHECK_ERROR(exec_group_close(r->group), 0, ETIMEDOUT, ECANCELED, EIO);
    for (unsigned i = 0; i < JOBS / 2; i++) {
        stress_doing("get", r->number, i);
        get(r, i);
    }
    stress_doing("destroy", r->number, 0);
    if (stress_percent(rng, 50))
        CHECK_ERROR(executor_shutdown(r->ex, EXECUTOR_DRAIN), 0);
    if (stress_percent(rng, 20))
        CHECK_ERROR(executor_join(r->ex, EXEC_NOW), 0, ETIMEDOUT);
    executor_destroy(r->ex);
}

/* When all are back: what the books say. */
static void check_books(struct round *r) {
    for (unsigned i = 0; i < JOBS; i++) {
        struct job *job = &r->jobs[i];
        unsigned runs = atomic_load(&job->runs), drops = atomic_load(&job->drops);
        CHECK_EQ(drops + (runs > 0), job->accepted);
        CHECK_EQ(atomic_load(&job->freed) + atomic_load(&job->taken), atomic_load(&job->returned));
        atomic_fetch_add_explicit(&total_runs, runs, memory_order_relaxed);
        atomic_fetch_add_explicit(&total_drops, drops, memory_order_relaxed);
    }
}

static bool is_settled(struct round *r, unsigned threads) {
    for (unsigned i = 0; i < JOBS; i++) {
        struct job *job = &r->jobs[i];
        if (atomic_load(&job->freed) + atomic_load(&job->taken) < atomic_load(&job->returned))
            return false;
    }
    for (int i = 0; i < 3; i++) /* a thread that ends just then may hide others */
        if (stress_entries("/proc/self/task") > threads)
            return false;
    return true;
}

static void play(struct round *r, unsigned threads) {
    struct stress_rng rng = stress_rng_of(r->number);
    atomic_store(&r->shutting, false);
    const executor_opts opts = {.workers = 1 + stress_below(&rng, 3), .max_abandoned = 1 + stress_below(&rng, 20)};
    CHECK_ERROR(executor_create(&opts, &r->ex), 0);
    CHECK_ERROR(exec_group_open(r->ex, NULL, &r->group), 0);
    submit_all(r, &rng);
    end_round(r, &rng);
    stress_doing("until all are back", r->number, 0);
    while (atomic_load(&r->inside) > 0)
        sched_yield();
    for (unsigned i = 0; i < JOBS; i++)
        future_unref(r->futures[i]); /* also those that were submitted by jobs */
    while (!is_settled(r, threads))
        sched_yield();
    check_books(r);
}

int main(int argc, char **argv) {
    static struct round r;
    stress_begin(argc, argv, 0);
    unsigned threads = stress_entries("/proc/self/task");
    size_t rounds = stress_scaled(ROUNDS);
    for (r.number = 1; r.number <= rounds; r.number++)
        play(&r, threads);
    stress_leave();
    double seconds = stress_end();
    CHECK_OP(atomic_load(&total_given_up), >, 0);
    CHECK_OP(atomic_load(&total_in_time), >, 0);
    printf("stress_abandon: %zu rounds, %" PRIuFAST64 " runs, %" PRIuFAST64 " timed out, %" PRIuFAST64
           " in time, %" PRIuFAST64 " dropped, %.1f s\n",
           rounds, atomic_load(&total_runs), atomic_load(&total_given_up), atomic_load(&total_in_time),
           atomic_load(&total_drops), seconds);
    return 0;
}
