/* stress_mix.c - everything at once: producers, workers, cancels, timed gets, waits for several, nested submits, maps,
 * shutdowns of both kinds at a random moment, with each policy for a full queue.
 *
 * Every task has a line in a ledger, which must balance when a round is over (stress_ledger.h): each accepted task ran
 * once or was dropped once; was dropped only where something gave reason to; its result was taken, or else freed once,
 * when the last reference went; no refused task left a trace.
 */
#include "stress_ledger.h"

struct actor {
    struct round *round;
    struct stress_rng rng;
    unsigned number;
    pthread_t thread;
    struct held window[WINDOW];
};

/* ---- what the tasks do ---- */

static void *run_job(void *arg);

/* `inside` a task; `shut`: before the call, a shutdown had returned. */
static int submit(struct job *job, struct stress_rng *rng, bool inside, future_t **out) {
    struct round *r = job->round;
    exec_task_opts opts = {.drop = drop, .free_result = free_result, .name = name_of(job)};
    enum executor_when_full when_full = r->opts.when_full;
    if (!inside && stress_percent(rng, 30))
        opts.room_wait = 1 + EXEC_US(stress_below(rng, 100));
    bool shut = atomic_load(&r->shut);
    future_t *untouched = out ? *out : NULL;
    job->accepted = true; /* it may have run when submit returns, and be looked at */
    int error = executor_submit(r->ex, run_job, job, &opts, out);
    if (shut)
        CHECK_ERROR(error, ESHUTDOWN);
    if (error == 0)
        return 0;
    job->accepted = false;
    if (error == ESHUTDOWN)
        CHECK(atomic_load(&r->shutting));
    else if (when_full == EXECUTOR_REJECT && !inside)
        CHECK_ERROR(error, EAGAIN);
    else if (when_full == EXECUTOR_BLOCK && opts.room_wait && !inside)
        CHECK_ERROR(error, ETIMEDOUT);
    else
        CHECK_ERROR(error, 0, ESHUTDOWN);
    if (out)
        CHECK_PTR(*out, untouched);
    atomic_fetch_add_explicit(&total_refused, 1, memory_order_relaxed);
    return error;
}

static void shut_down(struct round *r, enum executor_shutdown mode, bool by_signal_handler) {
    atomic_store(&r->shutting, true);
    if (mode == EXECUTOR_DISCARD)
        atomic_store(&r->discarding, true);
    if (by_signal_handler && mode == EXECUTOR_DRAIN)
        executor_request_shutdown(r->ex);
    else
        CHECK_ERROR(executor_shutdown(r->ex, mode), 0);
    atomic_store(&r->shut, true);
}

static void do_fork(struct job *parent, struct stress_rng *rng) {
    struct held children[4] = {{0}};
    unsigned n = 1 + stress_below(rng, 4);
    for (unsigned i = 0; i < n; i++) {
        struct job *child = new_job(parent->round, stress_next(rng), parent->depth + 1);
        if (child && submit(child, rng, true, &children[i].f) == 0)
            children[i].job = child;
    }
    if (stress_percent(rng, 30))
        wait_for_some(children, n, rng);
    for (unsigned i = 0; i < n; i++) {
        if (!children[i].f)
            continue;
        if (stress_percent(rng, 10))
            cancel(&children[i]);
        if (stress_percent(rng, 20))
            timed_wait(&children[i], rng);
        if (stress_percent(rng, 80))
            get(&children[i]);
        future_unref(children[i].f);
    }
}

static void do_fire(struct job *parent, struct stress_rng *rng) {
    for (unsigned n = 1 + stress_below(rng, 4); n > 0; n--) {
        struct job *child = new_job(parent->round, stress_next(rng), parent->depth + 1);
        if (child)
            submit(child, rng, true, NULL);
    }
}

/* An item's argument is its counter. */
static void *map_item(void *arg) {
    CHECK_EQ(atomic_fetch_add((atomic_uint *)arg, 1), 0);
    return arg;
}

static void map_range(size_t begin, size_t end, void *ctx) {
    for (size_t i = begin; i < end; i++)
        map_item((atomic_uint *)ctx + i);
}

/* By map or for; each item ran, once, where its error is 0, and never otherwise. Returns what the call did. */
static int do_map(struct round *r, bool loop, struct stress_rng *rng) {
    atomic_uint counters[MAP_ITEMS] = {0};
    void *args[MAP_ITEMS], *results[MAP_ITEMS];
    int errors[MAP_ITEMS];
    size_t n = stress_below(rng, MAP_ITEMS + 1);
    exec_map_opts opts = {.errors = errors, .stop_on_error = stress_percent(rng, 50)};
    for (size_t i = 0; i < MAP_ITEMS; i++) {
        args[i] = &counters[i];
        errors[i] = -1;
    }
    int error = loop ? executor_for(r->ex, n, map_range, counters, &opts)
                     : executor_map(r->ex, map_item, args, results, n, &opts);
    for (size_t i = 0; i < n && error != ESHUTDOWN; i++) {
        CHECK_ERROR(errors[i], 0, error);
        if (!loop)
            CHECK_PTR(results[i], errors[i] == 0 ? &counters[i] : NULL);
    }
    for (size_t i = 0; i < MAP_ITEMS; i++)
        CHECK_EQ(atomic_load(&counters[i]), i < n && error != ESHUTDOWN && errors[i] == 0 ? 1 : 0);
    atomic_fetch_add_explicit(&total_map_items, n, memory_order_relaxed);
    return error;
}

static int perform(struct job *job, struct stress_rng *rng) {
    int error = 0;
    switch (job->kind) {
    case FAILS: return EIO;
    case OBEYS: return exec_cancelled() ? ECANCELED : 0;
    case SLEEPS: return exec_sleep(EXEC_US(stress_below(rng, 50)));
    case FORKS: do_fork(job, rng); break;
    case FIRES: do_fire(job, rng); break;
    case MAPS:
    case LOOPS:
        error = do_map(job->round, job->kind == LOOPS, rng);
        CHECK_ERROR(error, 0, exec_cancelled() ? ECANCELED : 0);
        break;
    case RESOLVES:
        if (job->promise) {
            CHECK_ERROR(future_resolve(job->promise, job, 0), 0, EALREADY);
            future_unref(job->promise);
        }
        break;
    case SHUTS: shut_down(job->round, EXECUTOR_DRAIN, job->random % 2); break;
    default: break;
    }
    return error;
}

static void *run_job(void *arg) {
    struct job *job = arg;
    struct stress_rng rng = {job->random};
    CHECK_EQ(atomic_fetch_add(&job->runs, 1), 0);
    CHECK_EQ(atomic_load(&job->drops), 0);
    if (exec_cancelled())
        CHECK(atomic_load(&job->asked) || atomic_load(&job->round->discarding));
    int error = perform(job, &rng);
    if (error == 0 && stress_percent(&rng, 5))
        error = ENOENT;
    atomic_store(&job->outcome, error);
    atomic_store(&job->made, error == 0);
    return error ? exec_fail(error) : job;
}

/* ---- what the threads outside do ---- */

static void put_into_bag(struct round *r, const struct held *h) {
    pthread_mutex_lock(&r->lock);
    if (r->nbag < BAG)
        r->bag[r->nbag++] = (struct held){future_ref(h->f), h->job};
    pthread_mutex_unlock(&r->lock);
}

static struct held take_from_bag(struct round *r) {
    struct held h = {0};
    pthread_mutex_lock(&r->lock);
    if (r->nbag > 0)
        h = r->bag[--r->nbag];
    pthread_mutex_unlock(&r->lock);
    return h;
}

static void do_something(struct held *h, struct stress_rng *rng) {
    switch (stress_below(rng, 5)) {
    case 0: get(h); break;
    case 1: cancel(h); break;
    case 2: timed_wait(h, rng); break;
    case 3:
        cancel(h);
        get(h);
        break;
    default: break;
    }
}

static void let_go(struct held *h) {
    if (h->f)
        future_unref(h->f);
    *h = (struct held){0};
}

static void join_for_a_moment(struct actor *a) {
    exec_time deadline = exec_after(EXEC_US(stress_below(&a->rng, 100)));
    int error = executor_join(a->round->ex, deadline);
    CHECK_ERROR(error, 0, ETIMEDOUT);
    if (error == 0)
        CHECK(atomic_load(&a->round->shutting));
    else
        CHECK_OP(exec_now(), >=, deadline);
}

static void *helper(void *arg) {
    struct actor *a = arg;
    struct round *r = a->round;
    for (bool over = false; !over;) {
        over = atomic_load(&r->producing) == 0;
        struct held h = take_from_bag(r);
        stress_doing("helping", r->number, (uintptr_t)h.job);
        if (h.f) {
            do_something(&h, &a->rng);
            let_go(&h);
            over = false;
        }
        if (stress_percent(&a->rng, 5))
            join_for_a_moment(a);
        stress_pause(&a->rng);
    }
    stress_leave();
    return NULL;
}

/* A promise that the job resolves, whether it runs or is dropped; refused, nobody does. */
static void produce_promise(struct actor *a, struct job *job) {
    future_t *promise;
    job->kind = RESOLVES;
    CHECK_ERROR(future_create(&promise), 0);
    job->promise = future_ref(promise);
    int error = submit(job, &a->rng, false, NULL);
    if (error == 0 && stress_percent(&a->rng, 70))
        CHECK_ERROR(future_wait(promise, EXEC_NEVER), 0);
    else if (error != 0)
        future_unref(promise); /* the job's */
    if (stress_percent(&a->rng, 20))
        CHECK_ERROR(future_cancel(promise), 0, EALREADY);
    future_unref(promise);
}

static void produce_one(struct actor *a) {
    struct round *r = a->round;
    struct held *h = &a->window[stress_below(&a->rng, WINDOW)];
    struct job *job = new_job(r, stress_next(&a->rng), 0);
    unsigned dice = stress_below(&a->rng, 100);
    if (h->f)
        do_something(h, &a->rng);
    let_go(h);
    if (dice < 5)
        CHECK_ERROR(do_map(r, dice < 2, &a->rng), 0, ESHUTDOWN, atomic_load(&r->discarding) ? ECANCELED : 0);
    if (!job)
        return;
    if (dice < 15)
        produce_promise(a, job);
    else if (dice < 35)
        submit(job, &a->rng, false, NULL);
    else if (submit(job, &a->rng, false, &h->f) == 0)
        h->job = job;
    if (h->f && dice > 80)
        put_into_bag(r, h);
    if (dice == 99)
        wait_for_some(a->window, WINDOW, &a->rng);
}

static void *producer(void *arg) {
    struct actor *a = arg;
    struct round *r = a->round;
    for (unsigned i = 0; i < r->submissions; i++) {
        stress_doing("producing", r->number, i);
        produce_one(a);
        if (atomic_fetch_add(&r->submitted, 1) + 1 == r->shut_at) {
            stress_doing("shutting down", r->number, r->mode);
            shut_down(r, r->mode, stress_percent(&a->rng, 50));
        }
        if (stress_percent(&a->rng, 20))
            stress_pause(&a->rng);
    }
    atomic_fetch_sub(&r->producing, 1);
    stress_leave();
    return NULL;
}

static void settle_window(struct actor *a, bool gone) {
    for (unsigned i = 0; i < WINDOW; i++) {
        if (a->window[i].f) {
            if (gone)
                CHECK(future_done(a->window[i].f));
            do_something(&a->window[i], &a->rng);
        }
        let_go(&a->window[i]);
    }
}

/* ---- the rounds ---- */

static int on_start(void *ctx, unsigned worker) {
    (void)ctx;
    (void)worker;
    return 0;
}

static void setup(struct round *r, struct stress_rng *rng, unsigned nproducers) {
    static const size_t capacities[] = {1, 2, 3, 16, 0};
    r->opts = (executor_opts){.workers = 1 + stress_below(rng, 6),
                              .capacity = capacities[stress_below(rng, 5)],
                              .when_full = (enum executor_when_full)stress_below(rng, 4)};
    if (stress_percent(rng, 20)) /* then only the workers run its tasks */
        r->opts.on_start = on_start;
    r->mode = stress_percent(rng, 50) ? EXECUTOR_DRAIN : EXECUTOR_DISCARD;
    r->leave_futures = stress_percent(rng, 50);
    r->submissions = 1 + stress_below(rng, 400);
    r->shut_at = 1 + stress_below(rng, r->submissions * nproducers * 2);
    r->max_jobs = (size_t)r->submissions * nproducers * 4;
    r->jobs = stress_alloc(r->max_jobs, sizeof *r->jobs);
    pthread_mutex_init(&r->lock, NULL);
    atomic_store(&r->producing, nproducers);
    CHECK_ERROR(executor_create(&r->opts, &r->ex), 0);
}

static void close_executor(struct round *r, struct stress_rng *rng) {
    if (atomic_load(&r->shut) && stress_percent(rng, 50))
        CHECK_ERROR(executor_join(r->ex, EXEC_NEVER), 0);
    if (stress_percent(rng, 20))
        shut_down(r, stress_percent(rng, 50) ? EXECUTOR_DRAIN : EXECUTOR_DISCARD, false);
    atomic_store(&r->shutting, true); /* destroy shuts down, too */
    stress_doing("destroying", r->number, r->opts.workers);
    executor_destroy(r->ex);
}

static void one_round(struct stress_rng *rng, uint64_t number) {
    struct round *r = stress_alloc(1, sizeof *r);
    struct actor actors[MAX_PRODUCERS + HELPERS] = {{0}};
    unsigned n = 1 + stress_below(rng, MAX_PRODUCERS);
    r->number = number;
    setup(r, rng, n);
    for (unsigned i = 0; i < n + HELPERS; i++) {
        actors[i] = (struct actor){.round = r, .rng = {stress_next(rng)}, .number = i};
        stress_start(&actors[i].thread, i < n ? producer : helper, &actors[i]);
    }
    stress_doing("joining the threads", number, n);
    for (unsigned i = 0; i < n + HELPERS; i++)
        pthread_join(actors[i].thread, NULL);
    for (unsigned i = 0; i < n && !r->leave_futures; i++)
        settle_window(&actors[i], false);
    close_executor(r, rng);
    for (unsigned i = 0; i < n; i++)
        settle_window(&actors[i], true);
    size_t jobs = atomic_load(&r->njobs);
    for (size_t i = 0; i < jobs && i < r->max_jobs; i++)
        check_job(r, &r->jobs[i]);
    CHECK_EQ(r->nbag, 0);
    pthread_mutex_destroy(&r->lock);
    free(r->jobs);
    free(r);
}

int main(int argc, char **argv) {
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    size_t rounds = stress_scaled(400);
    for (size_t i = 0; i < rounds; i++)
        one_round(&rng, i);
    stress_leave();
    double seconds = stress_end();
    printf("stress_mix: %zu rounds, %" PRIu64 " jobs: %" PRIu64 " run, %" PRIu64 " dropped, %" PRIu64
           " refused, %" PRIu64 " results freed; %" PRIu64 " items of maps, %.1f s\n",
           rounds, (uint64_t)total_jobs, (uint64_t)total_runs, (uint64_t)total_drops, (uint64_t)total_refused,
           (uint64_t)total_frees, (uint64_t)total_map_items, seconds);
    return 0;
}
