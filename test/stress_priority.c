/* stress_priority.c - tasks of all priorities, from outside and from tasks, plain ones and ones that wait for others,
 * for their time, for a limiter or room in a group, and that are run again; against cancels, waits that run them, and
 * shutdowns.
 *
 * Two kinds of rounds. In one the workers are held, so that nothing leaves the queue and the lanes but by a cancel, and
 * the number of those that wait is known: it never exceeds the capacity, and reaches it. In the other all goes on at
 * once, and at the end each task has run or been dropped: one of the two, and as often as it may.
 */
#include "stress.h"

#include <limits.h>

enum { PRODUCERS = 3, JOBS = 60, WINDOW = 6, ATTEMPTS = 3, MAX_JOBS = PRODUCERS * JOBS * 2 };

enum kind { PLAIN, CHECKS, FAILS, PARENT, KINDS };

struct job {
    struct round *round;
    enum kind kind;
    int priority;
    bool accepted;
    atomic_uint runs, drops;
};

struct round {
    uint64_t number;
    executor_t *ex;
    executor_opts opts;
    exec_group_t *group;
    exec_limiter_t *limiter;
    enum executor_shutdown mode;
    bool by_signal;
    unsigned shut_at;
    bool plain; /* no task has a priority */
    atomic_uint submitted, in;
    atomic_bool shutting, go;
    atomic_size_t njobs;
    struct job jobs[MAX_JOBS];
};

struct producer {
    struct round *round;
    unsigned number;
    pthread_t thread;
    future_t *window[WINDOW];
};

static atomic_uint_fast64_t total_jobs, total_runs, total_drops, total_refused, total_full;

static int some_priority(const struct round *r, struct stress_rng *rng) {
    return r->plain || stress_percent(rng, 40) ? 0 : (int)stress_below(rng, 17) - 8;
}

static struct job *new_job(struct round *r, enum kind kind, int priority) {
    size_t i = atomic_fetch_add(&r->njobs, 1);
    CHECK_OP(i, <, MAX_JOBS);
    r->jobs[i] = (struct job){.round = r, .kind = kind, .priority = priority};
    return &r->jobs[i];
}

static void drop(void *arg) {
    struct job *job = arg;
    CHECK_EQ(atomic_fetch_add(&job->drops, 1), 0);
    CHECK_EQ(atomic_load(&job->runs), 0);
}

/* ---- what the tasks do ---- */

static void *run(void *arg);

static void child_of(struct job *job) {
    struct round *r = job->round;
    struct job *child = new_job(r, PLAIN, -job->priority);
    future_t *f;
    child->accepted = true; /* before it can be run */
    int error = executor_submit(r->ex, run, child, &(exec_task_opts){.priority = child->priority, .drop = drop}, &f);
    child->accepted = error == 0;
    CHECK_ERROR(error, 0, atomic_load(&r->shutting) ? ESHUTDOWN : 0);
    if (error != 0)
        return;
    error = future_get(f, NULL);
    CHECK_ERROR(error, 0, atomic_load(&r->shutting) ? ECANCELED : 0);
    future_unref(f);
}

static void *run(void *arg) {
    struct job *job = arg;
    unsigned before = atomic_fetch_add(&job->runs, 1);
    CHECK_OP(before, <, job->kind == FAILS ? ATTEMPTS : 1);
    CHECK_EQ(atomic_load(&job->drops), 0);
    if (job->kind == CHECKS && exec_cancelled())
        return exec_fail(ECANCELED);
    if (job->kind == PARENT)
        child_of(job);
    return job->kind == FAILS && before + 1 < ATTEMPTS ? exec_fail(EIO) : job;
}

/* ---- rounds in which all goes on at once ---- */

static exec_task_opts some_opts(struct round *r, const struct job *job, future_t **after, struct stress_rng *rng) {
    exec_task_opts opts = {.priority = job->priority, .drop = drop, .room_wait = EXEC_US(200)};
    if (job->kind == FAILS)
        opts.retry = (exec_retry){.attempts = ATTEMPTS, .delay = 1 + stress_below(rng, 20000)};
    switch (stress_below(rng, 8)) {
    case 0: opts.delay = 1 + stress_below(rng, 50000); break;
    case 1: opts.limiter = r->limiter; break;
    case 2: opts.deadline = exec_after(EXEC_US(stress_below(rng, 2000))); break;
    case 3:
        opts.after = after;
        opts.nafter = *after != NULL;
        break;
    default: break;
    }
    return opts;
}

static void shut_down(struct round *r) {
    atomic_store(&r->shutting, true);
    if (r->by_signal)
        executor_request_shutdown(r->ex);
    else
        CHECK_ERROR(executor_shutdown(r->ex, r->mode), 0);
}

static future_t *submit_one(struct round *r, future_t **after, struct stress_rng *rng) {
    struct job *job = new_job(r, (enum kind)stress_below(rng, KINDS), some_priority(r, rng));
    const exec_task_opts opts = some_opts(r, job, after, rng);
    future_t *f = NULL;
    job->accepted = true;
    int error = stress_percent(rng, 25) ? exec_group_submit(r->group, run, job, &opts, &f)
                                        : executor_submit(r->ex, run, job, &opts, &f);
    job->accepted = error == 0;
    if (error != 0)
        CHECK_ERROR(error, EAGAIN, ETIMEDOUT, atomic_load(&r->shutting) ? ESHUTDOWN : EAGAIN);
    if (error != 0)
        atomic_fetch_add_explicit(&total_refused, 1, memory_order_relaxed);
    if (atomic_fetch_add(&r->submitted, 1) == r->shut_at)
        shut_down(r);
    return f;
}

static void meddle(struct producer *p, struct stress_rng *rng) {
    future_t *f = p->window[stress_below(rng, WINDOW)];
    if (f == NULL)
        return;
    switch (stress_below(rng, 4)) {
    case 0: CHECK_ERROR(future_cancel(f), 0, EINPROGRESS, EALREADY); break;
    case 1: CHECK_ERROR(future_wait(f, exec_after(EXEC_US(stress_below(rng, 100)))), 0, ETIMEDOUT); break;
    case 2: CHECK_ERROR(future_get(f, NULL), 0, EIO, ECANCELED, ETIMEDOUT); break;
    default: stress_pause(rng); break;
    }
}

static void *produce(void *arg) {
    struct producer *p = arg;
    struct round *r = p->round;
    struct stress_rng rng = stress_rng_of(r->number * PRODUCERS + p->number);
    for (unsigned i = 0; i < JOBS; i++) {
        unsigned at = stress_below(&rng, WINDOW);
        stress_doing("producing", r->number, i);
        future_t *f = submit_one(r, &p->window[stress_below(&rng, WINDOW)], &rng);
        future_unref(p->window[at]);
        p->window[at] = f;
        meddle(p, &rng);
    }
    for (int i = 0; i < WINDOW; i++)
        future_unref(p->window[i]);
    stress_leave();
    return NULL;
}

static void check_jobs(struct round *r) {
    for (size_t i = 0; i < atomic_load(&r->njobs); i++) {
        struct job *job = &r->jobs[i];
        unsigned runs = atomic_load(&job->runs), drops = atomic_load(&job->drops);
        CHECK_EQ((runs > 0) + drops, job->accepted ? 1 : 0);
        atomic_fetch_add_explicit(&total_jobs, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&total_runs, runs, memory_order_relaxed);
        atomic_fetch_add_explicit(&total_drops, drops, memory_order_relaxed);
    }
}

static void begin(struct round *r, uint64_t number, executor_opts opts) {
    memset(r, 0, sizeof *r);
    r->number = number;
    r->opts = opts;
    CHECK_ERROR(executor_create(&r->opts, &r->ex), 0);
}

static void busy_round(struct round *r, uint64_t number, struct stress_rng *rng) {
    struct producer producers[PRODUCERS];
    begin(r, number,
          (executor_opts){.workers = 1 + stress_below(rng, 3),
                          .capacity = 1 + stress_below(rng, 8),
                          .when_full = (enum executor_when_full)stress_below(rng, EXECUTOR_DROP_OLDEST + 1)});
    r->mode = stress_percent(rng, 50) ? EXECUTOR_DRAIN : EXECUTOR_DISCARD;
    r->by_signal = stress_percent(rng, 20);
    r->shut_at = stress_percent(rng, 50) ? UINT_MAX : stress_below(rng, PRODUCERS * JOBS);
    CHECK_ERROR(exec_limiter_create(&(exec_limiter_opts){.max_running = 2}, &r->limiter), 0);
    CHECK_ERROR(exec_group_open(r->ex, &(exec_group_opts){.max_running = stress_below(rng, 4)}, &r->group), 0);
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.round = r, .number = i};
        stress_start(&producers[i].thread, produce, &producers[i]);
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    stress_doing("closing", number, 0);
    exec_group_close(r->group);
    atomic_store(&r->shutting, true);
    executor_destroy(r->ex);
    exec_limiter_destroy(r->limiter);
    check_jobs(r);
}

/* ---- rounds in which the workers are held ---- */

static void *hold_worker(void *arg) {
    for (unsigned spin = 0; !atomic_load((atomic_bool *)arg); spin++)
        stress_spin(spin);
    return NULL;
}

/* Counted after it is in, and not any longer before it goes out. */
static future_t *put_counted(struct round *r, int priority) {
    struct job *job = new_job(r, PLAIN, priority);
    const exec_task_opts opts = {.priority = priority, .drop = drop, .room_wait = EXEC_US(50)};
    future_t *f = NULL;
    int error = executor_submit(r->ex, run, job, &opts, &f);
    job->accepted = error == 0;
    CHECK_ERROR(error, 0, r->opts.when_full == EXECUTOR_REJECT ? EAGAIN : ETIMEDOUT);
    if (error == 0)
        CHECK_OP(atomic_fetch_add(&r->in, 1) + 1, <=, r->opts.capacity);
    else
        atomic_fetch_add_explicit(&total_full, 1, memory_order_relaxed);
    return f;
}

static void take_out(struct round *r, future_t *f) {
    atomic_fetch_sub(&r->in, 1);
    CHECK_ERROR(future_cancel(f), 0);
    future_unref(f);
}

static void *fill(void *arg) {
    struct producer *p = arg;
    struct round *r = p->round;
    struct stress_rng rng = stress_rng_of(r->number * PRODUCERS + p->number);
    for (unsigned i = 0; i < JOBS; i++) {
        unsigned at = stress_below(&rng, WINDOW);
        stress_doing("filling", r->number, i);
        if (p->window[at] != NULL)
            take_out(r, p->window[at]);
        p->window[at] = put_counted(r, some_priority(r, &rng));
    }
    stress_leave();
    return NULL;
}

static void full_round(struct round *r, uint64_t number, struct stress_rng *rng) {
    struct producer producers[PRODUCERS];
    begin(r, number,
          (executor_opts){.workers = 1 + stress_below(rng, 2),
                          .capacity = 1 + stress_below(rng, PRODUCERS * WINDOW),
                          .when_full = stress_percent(rng, 50) ? EXECUTOR_REJECT : EXECUTOR_BLOCK});
    r->plain = stress_percent(rng, 25);
    for (unsigned i = 0; i < r->opts.workers; i++) {
        future_t *f;
        CHECK_ERROR(executor_submit(r->ex, hold_worker, &r->go, NULL, &f), 0);
        while (future_state(f) == FUTURE_PENDING)
            sched_yield();
        future_unref(f);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.round = r, .number = i};
        stress_start(&producers[i].thread, fill, &producers[i]);
    }
    for (int i = 0; i < PRODUCERS; i++)
        pthread_join(producers[i].thread, NULL);
    stress_doing("topping up", number, 0);
    for (future_t *f; (f = put_counted(r, some_priority(r, rng))) != NULL;)
        future_unref(f);
    CHECK_EQ(atomic_load(&r->in), r->opts.capacity);
    atomic_store(&r->go, true);
    executor_destroy(r->ex);
    for (int i = 0; i < PRODUCERS; i++)
        for (int k = 0; k < WINDOW; k++)
            future_unref(producers[i].window[k]);
    check_jobs(r);
}

int main(int argc, char **argv) {
    static struct round round;
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(UINT64_MAX);
    size_t rounds = stress_scaled(1500);
    for (uint64_t i = 0; i < rounds; i++)
        if (i % 3 == 2)
            full_round(&round, i, &rng);
        else
            busy_round(&round, i, &rng);
    stress_leave();
    double seconds = stress_end();
    printf("stress_priority: %zu rounds, %" PRIu64 " jobs: %" PRIu64 " runs, %" PRIu64 " dropped, %" PRIu64
           " refused; %" PRIu64 " times exactly full; %.1f s\n",
           rounds, (uint64_t)total_jobs, (uint64_t)total_runs, (uint64_t)total_drops, (uint64_t)total_refused,
           (uint64_t)total_full, seconds);
    return 0;
}
