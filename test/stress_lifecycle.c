/* stress_lifecycle.c - executors come and go, a hundred thousand times: empty ones, ones with work that is run or
 * discarded, ones that several threads shut down at once, ones whose futures are got while they are being destroyed,
 * ones whose hooks fail, ones destroyed by their own task.
 *
 * Each lane makes and destroys its executors; two accomplices join in at the same moment. At the end every task has
 * run or been dropped, once, and the process has as many threads and descriptors as at the beginning.
 */
#include "stress.h"

enum { LANES = 3, ACCOMPLICES = 2, TASKS = 6 };

enum part { LEAVE, SHUT, GET };

struct lane {
    unsigned number;
    struct stress_rng rng;
    pthread_t thread;
    struct accomplice {
        struct lane *lane;
        struct stress_rng rng;
        unsigned number;
        pthread_t thread;
    } accomplices[ACCOMPLICES];
    struct stress_barrier barrier;
    enum part part; /* what the accomplices do next; written before, read after a meeting */
    uint64_t cycle;
    executor_t *ex;
    future_t *fs[TASKS]; /* one reference for each accomplice */
    atomic_uint accepted, runs, drops, started, stopped;
};

static atomic_uint_fast64_t total_cycles, total_runs, total_drops;

static void *run(void *arg) {
    atomic_fetch_add(&((struct lane *)arg)->runs, 1);
    return arg;
}

static void *nap(void *arg) {
    int error = exec_sleep(EXEC_US(30));
    run(arg);
    return error ? exec_fail(error) : arg;
}

static void drop(void *arg) {
    atomic_fetch_add(&((struct lane *)arg)->drops, 1);
}

static const exec_task_opts droppable = {.drop = drop};

static void submit_some(struct lane *lane, struct stress_rng *rng) {
    for (unsigned n = stress_below(rng, TASKS); n > 0; n--) {
        int error = executor_submit(lane->ex, n == 3 ? nap : run, lane, &droppable, NULL);
        CHECK_ERROR(error, 0, lane->part == SHUT ? ESHUTDOWN : 0);
        atomic_fetch_add(&lane->accepted, error == 0);
    }
}

static void create(struct lane *lane) {
    executor_opts opts = {.workers = 1 + stress_below(&lane->rng, 3), .capacity = 1 + stress_below(&lane->rng, 8)};
    atomic_store(&lane->accepted, 0);
    atomic_store(&lane->runs, 0);
    atomic_store(&lane->drops, 0);
    lane->ex = NULL;
    CHECK_ERROR(executor_create(&opts, &lane->ex), 0);
    CHECK_EQ(executor_workers(lane->ex), opts.workers);
}

static void count(struct lane *lane) {
    unsigned runs = atomic_load(&lane->runs), drops = atomic_load(&lane->drops);
    CHECK_EQ(runs + drops, atomic_load(&lane->accepted));
    atomic_fetch_add_explicit(&total_runs, runs, memory_order_relaxed);
    atomic_fetch_add_explicit(&total_drops, drops, memory_order_relaxed);
}

static void destroy(struct lane *lane) {
    executor_destroy(lane->ex);
    count(lane);
}

/* ---- the kinds of cycle ---- */

static void empty(struct lane *lane) {
    create(lane);
    if (stress_percent(&lane->rng, 10))
        stress_pause(&lane->rng);
    destroy(lane);
}

static void drained(struct lane *lane) {
    create(lane);
    submit_some(lane, &lane->rng);
    destroy(lane);
    CHECK_EQ(atomic_load(&lane->drops), 0);
}

static void discarded(struct lane *lane) {
    create(lane);
    submit_some(lane, &lane->rng);
    CHECK_ERROR(executor_shutdown(lane->ex, EXECUTOR_DISCARD), 0);
    if (stress_percent(&lane->rng, 50))
        CHECK_ERROR(executor_join(lane->ex, EXEC_NEVER), 0);
    destroy(lane);
}

static void shut_once(struct lane *lane, struct stress_rng *rng) {
    stress_pause(rng);
    switch (stress_below(rng, 5)) {
    case 0: CHECK_ERROR(executor_shutdown(lane->ex, EXECUTOR_DRAIN), 0); break;
    case 1: CHECK_ERROR(executor_shutdown(lane->ex, EXECUTOR_DISCARD), 0); break;
    case 2: executor_request_shutdown(lane->ex); break;
    case 3: submit_some(lane, rng); break;
    default: CHECK_ERROR(executor_join(lane->ex, exec_after(EXEC_US(stress_below(rng, 50)))), 0, ETIMEDOUT); break;
    }
}

static void shut_by_several(struct lane *lane) {
    lane->part = SHUT;
    create(lane);
    stress_meet(&lane->barrier);
    submit_some(lane, &lane->rng);
    shut_once(lane, &lane->rng);
    stress_meet(&lane->barrier);
    destroy(lane);
}

/* An accomplice's part: its references to futures whose executor may be going, or gone. */
static void get_all(struct lane *lane, struct stress_rng *rng) {
    for (int i = 0; i < TASKS; i++) {
        void *result;
        int error;
        switch (stress_below(rng, 4)) {
        case 0: CHECK_ERROR(future_cancel(lane->fs[i]), 0, EINPROGRESS, EALREADY); break;
        case 1: CHECK_ERROR(future_wait(lane->fs[i], exec_after(EXEC_US(20))), 0, ETIMEDOUT); break;
        case 2: CHECK_ERROR(exec_wait(lane->fs, TASKS, TASKS, EXEC_NEVER), 0); break;
        default:
            error = future_get(lane->fs[i], &result);
            CHECK_ERROR(error, 0, ECANCELED);
            CHECK_PTR(result, error == 0 ? lane : NULL);
        }
    }
    for (int i = 0; i < TASKS; i++)
        future_unref(lane->fs[i]);
}

static void got_meanwhile(struct lane *lane) {
    lane->part = GET;
    create(lane);
    for (int i = 0; i < TASKS; i++) {
        CHECK_ERROR(executor_submit(lane->ex, i == 2 ? nap : run, lane, &droppable, &lane->fs[i]), 0);
        future_ref(lane->fs[i]);
    }
    atomic_store(&lane->accepted, TASKS);
    bool first = stress_percent(&lane->rng, 20);
    if (stress_percent(&lane->rng, 30))
        CHECK_ERROR(executor_shutdown(lane->ex, EXECUTOR_DISCARD), 0);
    if (first)
        executor_destroy(lane->ex);
    stress_meet(&lane->barrier);
    if (!first)
        executor_destroy(lane->ex);
    stress_meet(&lane->barrier);
    count(lane); /* only now: what an accomplice cancels is finished a moment before its argument is dropped */
}

static int on_start(void *ctx, unsigned worker) {
    struct lane *lane = ctx;
    if (worker == lane->cycle % 4) /* which not every executor has */
        return EPROTO;
    atomic_fetch_add(&lane->started, 1);
    return 0;
}

static void on_stop(void *ctx, unsigned worker) {
    struct lane *lane = ctx;
    CHECK_OP(worker, !=, lane->cycle % 4);
    atomic_fetch_add(&lane->stopped, 1);
}

static void with_hooks(struct lane *lane) {
    executor_opts opts = {
        .workers = 1 + stress_below(&lane->rng, 4), .on_start = on_start, .on_stop = on_stop, .hook_ctx = lane};
    executor_t *ex = NULL;
    bool fails = lane->cycle % 4 < opts.workers;
    atomic_store(&lane->started, 0);
    atomic_store(&lane->stopped, 0);
    CHECK_ERROR(executor_create(&opts, &ex), fails ? EPROTO : 0);
    if (fails)
        CHECK_PTR(ex, NULL);
    else
        CHECK_EQ(atomic_load(&lane->started), opts.workers);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&lane->stopped), atomic_load(&lane->started));
}

static void *destroy_own(void *arg) {
    struct lane *lane = arg;
    CHECK_ERROR(executor_join(lane->ex, EXEC_NEVER), EDEADLK);
    executor_destroy(lane->ex);
    CHECK_ERROR(executor_submit(lane->ex, run, lane, NULL, NULL), ESHUTDOWN);
    return run(lane);
}

static void destroyed_inside(struct lane *lane) {
    create(lane);
    CHECK_ERROR(executor_submit(lane->ex, destroy_own, lane, &droppable, NULL), 0);
    atomic_store(&lane->accepted, 1);
    if (stress_percent(&lane->rng, 50))
        CHECK_ERROR(executor_join(lane->ex, EXEC_NEVER), 0);
    destroy(lane);
    CHECK_EQ(atomic_load(&lane->drops), 0);
}

struct kind {
    const char *name;
    void (*cycle)(struct lane *);
    unsigned below; /* of 100 */
};

static const struct kind kinds[] = {
    {"empty", empty, 50},
    {"drained", drained, 65},
    {"discarded", discarded, 77},
    {"shut down by several", shut_by_several, 85},
    {"its futures are got meanwhile", got_meanwhile, 93},
    {"with hooks", with_hooks, 97},
    {"destroyed inside", destroyed_inside, 100},
};

/* ---- the threads ---- */

static void *accomplice(void *arg) {
    struct accomplice *a = arg;
    struct lane *lane = a->lane;
    for (;;) {
        stress_meet(&lane->barrier);
        if (lane->part == LEAVE)
            break;
        stress_doing(lane->part == SHUT ? "accomplice: shut down" : "accomplice: get", lane->cycle, a->number);
        if (lane->part == SHUT)
            shut_once(lane, &a->rng);
        else
            get_all(lane, &a->rng);
        stress_doing(NULL, 0, 0);
        stress_meet(&lane->barrier);
    }
    stress_leave();
    return NULL;
}

static void one_cycle(struct lane *lane) {
    const struct kind *kind = kinds;
    unsigned dice = stress_below(&lane->rng, 100);
    while (dice >= kind->below)
        kind++;
    stress_doing(kind->name, lane->cycle, dice);
    lane->part = LEAVE;
    kind->cycle(lane);
    atomic_fetch_add_explicit(&total_cycles, 1, memory_order_relaxed);
}

static void *run_lane(void *arg) {
    struct lane *lane = arg;
    uint64_t cycles = stress_scaled(100000) / LANES + 1;
    for (unsigned i = 0; i < ACCOMPLICES; i++) {
        lane->accomplices[i] = (struct accomplice){.lane = lane, .rng = {stress_next(&lane->rng)}, .number = i};
        stress_start(&lane->accomplices[i].thread, accomplice, &lane->accomplices[i]);
    }
    for (; lane->cycle < cycles; lane->cycle++)
        one_cycle(lane);
    lane->part = LEAVE;
    stress_meet(&lane->barrier);
    for (unsigned i = 0; i < ACCOMPLICES; i++)
        pthread_join(lane->accomplices[i].thread, NULL);
    stress_leave();
    return NULL;
}

int main(int argc, char **argv) {
    static struct lane lanes[LANES];
    stress_begin(argc, argv, 0);
    unsigned threads = stress_entries("/proc/self/task"), descriptors = stress_entries("/proc/self/fd");
    for (unsigned i = 0; i < LANES; i++) {
        lanes[i] = (struct lane){.number = i, .rng = stress_rng_of(i), .barrier = {.size = 1 + ACCOMPLICES}};
        stress_start(&lanes[i].thread, run_lane, &lanes[i]);
    }
    for (unsigned i = 0; i < LANES; i++)
        pthread_join(lanes[i].thread, NULL);
    stress_await_entries("/proc/self/task", threads);
    stress_await_entries("/proc/self/fd", descriptors);
    stress_leave();
    double seconds = stress_end();
    printf("stress_lifecycle: %" PRIu64 " executors, %" PRIu64 " tasks run, %" PRIu64
           " dropped, no thread or descriptor left,"
           " %.1f s, %.1f us each\n",
           (uint64_t)total_cycles, (uint64_t)total_runs, (uint64_t)total_drops, seconds,
           seconds * 1e6 / (double)total_cycles);
    return 0;
}
