/* stress_stream.c - streams of every kind at once over one executor: in threads, in tasks, in the items of streams;
 * ordered and not, with all kinds of windows, sources and items; left early, timed out, cancelled, shut down.
 *
 * Each argument that a source has given has a line in its stream's ledger (struct job), and a source knows its consumer
 * (struct flow). When a stream has been closed its ledger must balance: each argument was run or dropped, once; each
 * result was handed out or freed, once; and what the consumer was told is what happened.
 */
#include "stress.h"

enum { MAX_THREADS = 3, MAX_TASKS = 4, MAX_DEPTH = 2, MAX_OPEN = 2, WIDEST = 8192 };

enum kind { QUICK, PAUSES, SLEEPS, FAILS, OBEYS, GIVES_NULL, MAPS, STREAMS, KINDS };

struct round {
    uint64_t number;
    executor_t *ex;
    atomic_bool discarding, shut; /* before it begins, both */
};

struct actor {
    struct round *round;
    struct stress_rng rng;
    bool outside;      /* a thread, not a task */
    future_t *f;       /* a task's */
    atomic_bool asked; /* before it is cancelled */
    pthread_t thread;
};

struct flow {
    struct actor *actor;
    const struct flow *within; /* whose item has opened it, or NULL */
    unsigned depth;
    exec_stream_opts opts;
    exec_stream_t *stream;
    struct stress_rng rng; /* the source's */
    size_t n, leave_at;    /* how long the source is, and how many the consumer takes */
    int end;               /* what the source returns then */
    struct job *jobs;
    size_t room; /* in jobs */
    size_t taken, handed;
    bool at_end, in_next;
    bool outside; /* it is consumed by no task of the executor */
    pthread_t consumer;
    atomic_bool closing;
};

struct job {
    struct flow *flow;
    size_t index;
    uint64_t random;
    bool handed, unrun; /* the consumer's: it came, and as one that did not run */
    atomic_bool made;   /* it returned itself */
    atomic_int outcome; /* the function's error */
    atomic_uint runs, drops, frees;
};

static atomic_uint_fast64_t total_streams, total_taken, total_handed, total_drops, total_frees;
static atomic_uint_fast64_t total_ends, total_source_errors, total_timeouts, total_cancels, total_left;

static void add(atomic_uint_fast64_t *total, uint64_t n) {
    atomic_fetch_add_explicit(total, n, memory_order_relaxed);
}

static void consume(struct actor *a, const struct flow *within, struct stress_rng *rng);

/* ---- who may have asked what to stop ---- */

static bool is_late(const struct flow *flow) {
    return flow->opts.deadline != 0 && exec_now() >= flow->opts.deadline;
}

static bool may_be_asked(const struct flow *flow);

/* Its consumer's task or item, or the executor is at its end. */
static bool owner_may_be_asked(const struct flow *flow) {
    return atomic_load(&flow->actor->asked) || atomic_load(&flow->actor->round->discarding) ||
           (flow->within && may_be_asked(flow->within));
}

static bool may_be_asked(const struct flow *flow) {
    return atomic_load(&flow->closing) || is_late(flow) || owner_may_be_asked(flow);
}

/* By the executor, which takes no more from outside. */
static bool may_be_refused(const struct flow *flow) {
    return flow->outside && atomic_load(&flow->actor->round->shut);
}

/* ---- what streams call ---- */

static int next_job(void *source, void **arg) {
    struct flow *flow = source;
    CHECK(flow->in_next && !flow->at_end);
    CHECK(pthread_equal(flow->consumer, pthread_self()));
    CHECK_OP(flow->taken - flow->handed, <, flow->opts.window ? flow->opts.window : WIDEST);
    if (stress_percent(&flow->rng, 5))
        stress_pause(&flow->rng);
    if (flow->taken == flow->n) {
        flow->at_end = true;
        return flow->end;
    }
    CHECK_OP(flow->taken, <, flow->room);
    struct job *job = &flow->jobs[flow->taken];
    *job = (struct job){.flow = flow, .index = flow->taken++, .random = stress_next(&flow->rng)};
    *arg = job;
    return 0;
}

static void drop(void *arg) {
    struct job *job = arg;
    CHECK_EQ(atomic_fetch_add(&job->drops, 1), 0);
    CHECK_EQ(atomic_load(&job->runs), 0);
    CHECK(may_be_asked(job->flow) || may_be_refused(job->flow));
}

static void free_result(void *result) {
    struct job *job = result;
    CHECK(atomic_load(&job->made) && atomic_load(&job->flow->closing));
    CHECK(!job->handed);
    CHECK_EQ(atomic_fetch_add(&job->frees, 1), 0);
}

static void *count(void *counter) {
    atomic_fetch_add((atomic_uint *)counter, 1);
    return NULL;
}

static void do_map(struct flow *flow, struct stress_rng *rng) {
    atomic_uint counter = 0;
    void *args[10];
    size_t n = stress_below(rng, 11);
    for (size_t i = 0; i < n; i++)
        args[i] = &counter;
    int error = executor_map(flow->actor->round->ex, count, args, NULL, n, NULL);
    if (error != 0) {
        CHECK_ERROR(error, ECANCELED);
        CHECK(exec_cancelled() && may_be_asked(flow));
    }
    CHECK_OP(atomic_load(&counter), <=, n);
    CHECK(error != 0 || atomic_load(&counter) == n);
}

static int perform(struct job *job, struct stress_rng *rng) {
    unsigned dice = stress_below(rng, 100);
    enum kind kind = dice < 40 ? QUICK : (enum kind)(dice % KINDS);
    if (kind == STREAMS && (job->flow->depth == MAX_DEPTH || dice < 95))
        kind = PAUSES;
    switch (kind) {
    case PAUSES: stress_pause(rng); return 0;
    case SLEEPS: return exec_sleep(EXEC_US(stress_below(rng, 50)));
    case FAILS: return (int)(1000 + job->random % 100);
    case OBEYS: return exec_cancelled() ? ECANCELED : 0;
    case GIVES_NULL: return -1;
    case MAPS: do_map(job->flow, rng); return 0;
    case STREAMS: consume(job->flow->actor, job->flow, rng); return 0;
    default: return 0;
    }
}

static void *run_job(void *arg) {
    struct job *job = arg;
    struct stress_rng rng = {job->random};
    CHECK_EQ(atomic_fetch_add(&job->runs, 1), 0);
    CHECK_EQ(atomic_load(&job->drops), 0);
    if (exec_cancelled())
        CHECK(may_be_asked(job->flow));
    int error = perform(job, &rng);
    if (error == ECANCELED)
        CHECK(exec_cancelled());
    atomic_store(&job->outcome, error > 0 ? error : 0);
    atomic_store(&job->made, error == 0);
    return error > 0 ? exec_fail(error) : error < 0 ? NULL : job;
}

/* ---- what consumers see ---- */

static void check_item(struct flow *flow, const exec_item *item) {
    struct job *job = item->arg;
    CHECK_OP(item->index, <, flow->taken);
    CHECK_PTR(job, &flow->jobs[item->index]);
    CHECK(!job->handed);
    job->handed = true;
    if (!flow->opts.unordered)
        CHECK_EQ(item->index, flow->handed);
    flow->handed++;
    job->unrun = atomic_load(&job->runs) == 0;
    int outcome = job->unrun ? ECANCELED : atomic_load(&job->outcome);
    if (job->unrun) {
        CHECK_EQ(atomic_load(&job->drops), 1);
        CHECK(is_late(flow) || owner_may_be_asked(flow) || may_be_refused(flow));
    }
    if (item->error == ESHUTDOWN)
        CHECK(job->unrun && may_be_refused(flow));
    else
        CHECK_ERROR(item->error, outcome, outcome == ECANCELED && is_late(flow) ? ETIMEDOUT : outcome);
    CHECK_PTR(item->result, atomic_load(&job->made) ? job : NULL);
}

static void check_end(const struct flow *flow, const exec_item *item) {
    CHECK_EQ(flow->handed, flow->taken);
    CHECK(item->index == 0 && !item->arg && !item->result);
    switch (item->error) {
    case 0:
        CHECK(flow->at_end && flow->end == ENODATA);
        add(&total_ends, 1);
        break;
    case ETIMEDOUT:
        CHECK(is_late(flow));
        add(&total_timeouts, 1);
        break;
    case ECANCELED:
        CHECK(owner_may_be_asked(flow));
        add(&total_cancels, 1);
        break;
    case ESHUTDOWN:
        CHECK(may_be_refused(flow));
        add(&total_cancels, 1);
        break;
    default:
        CHECK(flow->at_end);
        CHECK_ERROR(item->error, flow->end < 0 ? EINVAL : flow->end);
        add(&total_source_errors, 1);
    }
}

static bool take_next(struct flow *flow, exec_item *item) {
    memset(item, 0xff, sizeof *item);
    flow->in_next = true;
    bool more = exec_stream_next(flow->stream, item);
    flow->in_next = false;
    return more;
}

/* Takes one more: false when it was the last. */
static bool step(struct flow *flow) {
    exec_item item;
    if (flow->handed == flow->leave_at) {
        add(&total_left, 1);
        return false;
    }
    if (take_next(flow, &item)) {
        check_item(flow, &item);
        return true;
    }
    check_end(flow, &item);
    int error = item.error;
    CHECK(!take_next(flow, &item));
    CHECK_ERROR(item.error, error);
    return false;
}

/* ---- streams from open to close ---- */

static void init_flow(struct flow *flow, struct actor *a, const struct flow *within, struct stress_rng *rng) {
    static const size_t windows[] = {0, 0, 1, 2, 3, 7, 16, 100, 1 << 20};
    static const int ends[] = {ENODATA, ENODATA, ENODATA, EIO, ENOENT, -1};
    unsigned longest = within ? 8 : stress_percent(rng, 10) ? 2000 : 60;
    *flow = (struct flow){.actor = a, .within = within, .depth = within ? within->depth + 1 : 0};
    flow->rng = (struct stress_rng){stress_next(rng)};
    flow->consumer = pthread_self();
    flow->outside = a->outside && !within;
    flow->opts = (exec_stream_opts){.window = windows[stress_below(rng, 9)],
                                    .unordered = stress_percent(rng, 50),
                                    .drop = drop,
                                    .free_result = free_result};
    if (stress_percent(rng, 15))
        flow->opts.deadline = exec_after(EXEC_US(stress_below(rng, 1000)));
    flow->n = stress_below(rng, longest);
    flow->end = ends[stress_below(rng, 6)];
    flow->leave_at = stress_percent(rng, 60) ? SIZE_MAX : stress_below(rng, longest);
    flow->room = flow->n;
    if (flow->leave_at != SIZE_MAX && flow->opts.window <= WIDEST && stress_percent(rng, 30)) {
        flow->n = SIZE_MAX; /* without end */
        flow->room = flow->leave_at + (flow->opts.window ? flow->opts.window : WIDEST);
    }
}

/* NULL when the executor has been shut down. */
static struct flow *open_flow(struct actor *a, const struct flow *within, struct stress_rng *rng) {
    struct flow *flow = stress_alloc(1, sizeof *flow);
    struct round *r = a->round;
    init_flow(flow, a, within, rng);
    flow->jobs = stress_alloc(flow->room, sizeof *flow->jobs);
    int error = exec_stream_open(r->ex, next_job, flow, run_job, &flow->opts, &flow->stream);
    if (error == 0)
        return flow;
    CHECK(atomic_load(&r->shut));
    CHECK_ERROR(error, ESHUTDOWN);
    free(flow->jobs);
    free(flow);
    return NULL;
}

static void close_flow(struct flow *flow) {
    uint64_t drops = 0, frees = 0;
    atomic_store(&flow->closing, true);
    exec_stream_close(flow->stream);
    for (size_t i = 0; i < flow->taken; i++) {
        struct job *job = &flow->jobs[i];
        CHECK_EQ(atomic_load(&job->runs) + atomic_load(&job->drops), 1);
        CHECK(!job->unrun || atomic_load(&job->drops) == 1);
        CHECK_EQ(atomic_load(&job->frees), atomic_load(&job->made) && !job->handed ? 1 : 0);
        drops += atomic_load(&job->drops);
        frees += atomic_load(&job->frees);
    }
    add(&total_streams, 1);
    add(&total_taken, flow->taken);
    add(&total_handed, flow->handed);
    add(&total_drops, drops);
    add(&total_frees, frees);
    free(flow->jobs);
    free(flow);
}

/* One stream, or two in turn. */
static void consume(struct actor *a, const struct flow *within, struct stress_rng *rng) {
    struct flow *flows[MAX_OPEN] = {open_flow(a, within, rng)};
    for (unsigned i = 1; i < MAX_OPEN && flows[0] && stress_percent(rng, 20); i++)
        flows[i] = open_flow(a, within, rng);
    for (unsigned nopen = 1; nopen > 0;) {
        struct flow **flow = &flows[stress_below(rng, MAX_OPEN)];
        if (stress_percent(rng, 5))
            stress_pause(rng);
        if (*flow && !step(*flow)) {
            close_flow(*flow);
            *flow = NULL;
        }
        nopen = 0;
        for (unsigned i = 0; i < MAX_OPEN; i++)
            nopen += flows[i] != NULL;
    }
}

/* ---- the rounds ---- */

static void *consume_outside(void *arg) {
    struct actor *a = arg;
    for (unsigned turns = 1 + stress_below(&a->rng, 4); turns > 0; turns--) {
        stress_doing("consuming outside", a->round->number, turns);
        consume(a, NULL, &a->rng);
    }
    stress_leave();
    return NULL;
}

static void *consume_in_task(void *arg) {
    struct actor *a = arg;
    consume(a, NULL, &a->rng);
    return NULL;
}

static int on_start(void *ctx, unsigned worker) {
    (void)ctx, (void)worker;
    return 0;
}

static void create(struct round *r, struct stress_rng *rng) {
    static const size_t capacities[] = {1, 2, 16, 0};
    executor_opts opts = {.workers = 1 + stress_below(rng, 4),
                          .capacity = capacities[stress_below(rng, 4)],
                          .when_full = (enum executor_when_full)stress_below(rng, 4)};
    if (stress_percent(rng, 25)) /* then only its workers run its tasks */
        opts.on_start = on_start;
    CHECK_ERROR(executor_create(&opts, &r->ex), 0);
}

static void begin(struct actor actors[], unsigned threads, unsigned n, struct round *r, struct stress_rng *rng) {
    for (unsigned i = 0; i < n; i++) {
        actors[i] = (struct actor){.round = r, .rng = {stress_next(rng)}, .outside = i < threads};
        if (i < threads)
            stress_start(&actors[i].thread, consume_outside, &actors[i]);
        else
            CHECK_ERROR(executor_submit(r->ex, consume_in_task, &actors[i], NULL, &actors[i].f), 0, EAGAIN);
    }
}

static void disturb(struct actor actors[], unsigned threads, unsigned n, struct round *r, struct stress_rng *rng) {
    for (unsigned turns = stress_below(rng, 10); turns > 0; turns--)
        stress_pause(rng);
    for (unsigned i = threads; i < n; i++)
        if (actors[i].f && stress_percent(rng, 20)) {
            atomic_store(&actors[i].asked, true);
            CHECK_ERROR(future_cancel(actors[i].f), 0, EINPROGRESS, EALREADY);
        }
    unsigned dice = stress_below(rng, 100);
    if (dice >= 50)
        return;
    stress_pause(rng);
    atomic_store(&r->shut, true);
    atomic_store(&r->discarding, dice < 35);
    CHECK_ERROR(executor_shutdown(r->ex, dice < 35 ? EXECUTOR_DISCARD : EXECUTOR_DRAIN), 0);
}

static void end(struct actor actors[], unsigned threads, unsigned n) {
    for (unsigned i = 0; i < threads; i++)
        pthread_join(actors[i].thread, NULL);
    for (unsigned i = threads; i < n; i++)
        if (actors[i].f) {
            CHECK_ERROR(future_get(actors[i].f, NULL), 0, ECANCELED);
            future_unref(actors[i].f);
        }
}

static void one_round(uint64_t number, struct stress_rng *rng) {
    struct round r = {.number = number};
    struct actor actors[MAX_THREADS + MAX_TASKS];
    unsigned threads = stress_below(rng, MAX_THREADS + 1), n = threads + stress_below(rng, MAX_TASKS + 1);
    create(&r, rng);
    stress_doing("beginning", number, n);
    begin(actors, threads, n, &r, rng);
    stress_doing("disturbing", number, n);
    disturb(actors, threads, n, &r, rng);
    stress_doing("waiting for the consumers", number, n);
    end(actors, threads, n);
    stress_doing("destroying", number, n);
    executor_destroy(r.ex);
}

int main(int argc, char **argv) {
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    uint64_t rounds = stress_scaled(3000);
    for (uint64_t number = 0; number < rounds; number++)
        one_round(number, &rng);
    stress_leave();
    double seconds = stress_end();
    printf("stress_stream: %" PRIu64 " streams, %" PRIu64 " arguments, %" PRIu64 " handed out, %" PRIu64
           " dropped, %" PRIu64 " results freed; %" PRIu64 " ends, %" PRIu64 " of sources that failed, %" PRIu64
           " timeouts, %" PRIu64 " cancelled, %" PRIu64 " left; %.1f s\n",
           (uint64_t)total_streams, (uint64_t)total_taken, (uint64_t)total_handed, (uint64_t)total_drops,
           (uint64_t)total_frees, (uint64_t)total_ends, (uint64_t)total_source_errors, (uint64_t)total_timeouts,
           (uint64_t)total_cancels, (uint64_t)total_left, seconds);
    return 0;
}
