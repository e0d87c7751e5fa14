/* stress_wakeup.c - lost wake-ups: one thing at a time, everybody parked or about to park in between, a million times.
 *
 * Several lanes run side by side, each with an executor of its own, so that the processors stay busy while each lane
 * waits for its single wake-up; short random pauses let its workers go to sleep, or nearly. A round that does not
 * finish within 10 seconds (EXEC_STRESS_STEP) is a lost wake-up, and the watchdog says in which pattern.
 *
 * Waits from outside have a deadline far away, or are for a promise, so that the waiting thread never runs the task
 * itself; tasks that wait for a child's effect without waiting for its future need another worker to come.
 */
#include "stress.h"

enum { LANES = 8, MAX_WORKERS = 4 };

struct lane {
    unsigned number, workers;
    executor_t *ex;
    struct stress_rng rng;
    pthread_t thread;
    uint64_t rounds;
    exec_queue_t *there, *back;
    future_t *promise; /* of this round */
    atomic_uint here;  /* how many tasks have come, in all rounds */
    unsigned expected; /* how many will have, in this one; read before coming, since the round may end then */
};

static exec_time far_away(void) {
    return exec_after(EXEC_SEC(3600));
}

static void *give_back(void *arg) {
    return arg;
}

static void submit(struct lane *lane, exec_fn *fn, future_t **out) {
    CHECK_ERROR(executor_submit(lane->ex, fn, lane, NULL, out), 0);
}

static void finish(struct lane *lane, future_t *f, void *expected) {
    void *result = NULL;
    CHECK_ERROR(future_wait(f, far_away()), 0);
    CHECK(future_done(f));
    CHECK_ERROR(future_get(f, &result), 0);
    CHECK_PTR(result, expected);
    future_unref(f);
    stress_pause(&lane->rng);
}

/* A spin that keeps the CPU, as a worker's task would, but lets others have it now and then. */
static void spin_until(struct lane *lane, unsigned count) {
    for (unsigned spin = 0; (int)(atomic_load(&lane->here) - count) < 0; spin++)
        stress_spin(spin);
}

static void expect(struct lane *lane, unsigned tasks) {
    lane->expected = atomic_load(&lane->here) + tasks;
}

static void *arrive(void *arg) {
    struct lane *lane = arg;
    atomic_fetch_add(&lane->here, 1);
    return lane;
}

/* ---- the patterns; each is one round ---- */

static void submit_and_wait(struct lane *lane) {
    future_t *f;
    submit(lane, give_back, &f);
    if (stress_percent(&lane->rng, 20))
        stress_pause(&lane->rng);
    finish(lane, f, lane);
}

static void *resolve(void *arg) {
    struct lane *lane = arg;
    future_t *promise = lane->promise;
    CHECK_ERROR(future_resolve(promise, lane, 0), 0);
    future_unref(promise);
    return NULL;
}

static void new_promise(struct lane *lane) {
    CHECK_ERROR(future_create(&lane->promise), 0);
    future_ref(lane->promise);
}

static void fire_and_promise(struct lane *lane) {
    new_promise(lane);
    submit(lane, resolve, NULL);
    finish(lane, lane->promise, lane);
}

static void any_of_two(struct lane *lane) {
    future_t *fs[2];
    CHECK_ERROR(future_create(&fs[0]), 0);
    new_promise(lane);
    fs[1] = lane->promise;
    submit(lane, resolve, NULL);
    CHECK_ERROR(exec_wait(fs, 2, 1, far_away()), 0);
    CHECK(!future_done(fs[0]));
    CHECK_ERROR(future_cancel(fs[0]), 0);
    future_unref(fs[0]);
    finish(lane, fs[1], lane);
}

/* A task that needs another worker for its child, which only that worker can start. */
static void *spin_on_child(void *arg) {
    struct lane *lane = arg;
    unsigned expected = lane->expected;
    submit(lane, arrive, NULL);
    spin_until(lane, expected);
    return lane;
}

static void child_needs_a_thief(struct lane *lane) {
    future_t *f;
    expect(lane, 1);
    submit(lane, spin_on_child, &f);
    finish(lane, f, lane);
}

static void *meet_all(void *arg) {
    struct lane *lane = arg;
    unsigned expected = lane->expected;
    atomic_fetch_add(&lane->here, 1);
    spin_until(lane, expected);
    return lane;
}

/* As many tasks as workers, each of which waits for all the others: every worker must wake. */
static void all_at_once(struct lane *lane) {
    future_t *fs[MAX_WORKERS];
    expect(lane, lane->workers);
    for (unsigned i = 0; i < lane->workers; i++)
        submit(lane, meet_all, &fs[i]);
    CHECK_ERROR(exec_wait(fs, lane->workers, lane->workers, far_away()), 0);
    for (unsigned i = 0; i < lane->workers; i++)
        finish(lane, fs[i], lane);
}

static void *fan_out(void *arg) {
    struct lane *lane = arg;
    for (unsigned i = 1; i < lane->workers; i++)
        submit(lane, meet_all, NULL);
    return meet_all(lane);
}

static void all_at_once_from_inside(struct lane *lane) {
    future_t *f;
    expect(lane, lane->workers);
    submit(lane, fan_out, &f);
    finish(lane, f, lane);
}

/* A worker that sleeps in a wait is woken by whoever resolves the promise, here or in another task. */
static void *wait_for_promise(void *arg) {
    struct lane *lane = arg;
    void *result = NULL;
    atomic_fetch_add(&lane->here, 1);
    CHECK_ERROR(future_get(lane->promise, &result), 0);
    CHECK_PTR(result, lane);
    return lane;
}

static void worker_waits_for_promise(struct lane *lane) {
    future_t *f;
    expect(lane, 1);
    new_promise(lane);
    submit(lane, wait_for_promise, &f);
    if (stress_percent(&lane->rng, 50))
        spin_until(lane, lane->expected);
    stress_pause(&lane->rng);
    resolve(lane);
    finish(lane, f, lane);
    future_unref(lane->promise);
}

/* The awaited task runs on another worker, and what it submits may be run by the one that waits for it. */
static void *wait_for_running(void *arg) {
    struct lane *lane = arg;
    future_t *f;
    submit(lane, spin_on_child, &f);
    void *result = NULL;
    CHECK_ERROR(future_wait(f, lane->number % 2 ? EXEC_NEVER : far_away()), 0);
    CHECK_ERROR(future_get(f, &result), 0);
    CHECK_PTR(result, lane);
    future_unref(f);
    return lane;
}

static void wait_inside(struct lane *lane) {
    future_t *f;
    expect(lane, 1);
    submit(lane, wait_for_running, &f);
    finish(lane, f, lane);
}

/* With two workers: the thread outside runs the first task in the place of a worker that sleeps, while the other one
 * spins in the second task. What the first one submits is for the sleeper, once its place is free again. */
static void *leave_child(void *arg) {
    struct lane *lane = arg;
    spin_until(lane, lane->expected - 1);
    submit(lane, arrive, NULL);
    return lane;
}

static void borrowed_seat(struct lane *lane) {
    future_t *first, *second;
    void *result = NULL;
    expect(lane, 2);
    submit(lane, leave_child, &first);
    submit(lane, meet_all, &second);
    CHECK_ERROR(future_get(first, &result), 0);
    CHECK_PTR(result, lane);
    future_unref(first);
    finish(lane, second, lane);
}

/* The public queue: an item there and back, to a task that stays. */
static void *echo(void *arg) {
    struct lane *lane = arg;
    void *item;
    while (exec_queue_get(lane->there, EXEC_NEVER, &item) == 0)
        CHECK_ERROR(exec_queue_put(lane->back, item, EXEC_NEVER), 0);
    return lane;
}

static void queue_there_and_back(struct lane *lane) {
    void *item = NULL;
    CHECK_ERROR(exec_queue_put(lane->there, lane, EXEC_NEVER), 0);
    CHECK_ERROR(exec_queue_get(lane->back, far_away(), &item), 0);
    CHECK_PTR(item, lane);
    stress_pause(&lane->rng);
}

/* ---- the lanes ---- */

struct pattern {
    const char *name;
    void (*round)(struct lane *);
    unsigned least_workers;
    unsigned weight; /* of 100 rounds */
};

static const struct pattern patterns[] = {
    {"submit and wait", submit_and_wait, 1, 20},
    {"fire and forget, and a promise", fire_and_promise, 1, 20},
    {"any of two", any_of_two, 1, 5},
    {"a child needs a thief", child_needs_a_thief, 2, 20},
    {"as many tasks as workers", all_at_once, 1, 8},
    {"as many tasks as workers, from inside", all_at_once_from_inside, 1, 7},
    {"a worker waits for a promise", worker_waits_for_promise, 1, 5},
    {"a worker waits for a running task", wait_inside, 3, 5},
    {"a borrowed seat comes back", borrowed_seat, 2, 5},
    {"queue there and back", queue_there_and_back, 1, 5},
};

enum { PATTERNS = sizeof patterns / sizeof patterns[0] };

static void run_pattern(struct lane *lane, const struct pattern *p, uint64_t rounds) {
    future_t *f = NULL;
    if (p->round == queue_there_and_back)
        submit(lane, echo, &f);
    for (uint64_t i = 0; i < rounds; i++, lane->rounds++) {
        stress_doing(p->name, lane->workers, i);
        p->round(lane);
    }
    if (f) {
        exec_queue_close(lane->there);
        finish(lane, f, lane);
    }
}

static void open_lane(struct lane *lane, unsigned workers) {
    lane->workers = workers;
    CHECK_ERROR(executor_create(&(executor_opts){.workers = workers, .capacity = 8}, &lane->ex), 0);
    CHECK_ERROR(exec_queue_create(1, &lane->there), 0);
    CHECK_ERROR(exec_queue_create(1, &lane->back), 0);
}

static void close_lane(struct lane *lane) {
    stress_doing("destroying the executor", lane->workers, lane->rounds);
    executor_destroy(lane->ex);
    exec_queue_destroy(lane->there);
    exec_queue_destroy(lane->back);
}

static void *run_lane(void *arg) {
    struct lane *lane = arg;
    uint64_t rounds = stress_scaled(1000000) / LANES / MAX_WORKERS;
    for (unsigned workers = 1; workers <= MAX_WORKERS; workers++) {
        open_lane(lane, workers);
        for (unsigned i = 0; i < PATTERNS; i++) {
            const struct pattern *p = &patterns[(i + lane->number) % PATTERNS];
            if (workers >= p->least_workers)
                run_pattern(lane, p, rounds * p->weight / 100 + 1);
        }
        close_lane(lane);
    }
    stress_doing(patterns[0].name, 0, 0);
    open_lane(lane, 2); /* makes up for the patterns left out with few workers */
    for (unsigned i = 0; lane->rounds < rounds * MAX_WORKERS; i++)
        run_pattern(lane, &patterns[i % 4], 100);
    close_lane(lane);
    stress_leave();
    return NULL;
}

int main(int argc, char **argv) {
    static struct lane lanes[LANES];
    uint64_t rounds = 0;
    stress_begin(argc, argv, 10);
    for (unsigned i = 0; i < LANES; i++) {
        lanes[i] = (struct lane){.number = i, .rng = stress_rng_of(i)};
        stress_start(&lanes[i].thread, run_lane, &lanes[i]);
    }
    for (unsigned i = 0; i < LANES; i++) {
        pthread_join(lanes[i].thread, NULL);
        rounds += lanes[i].rounds;
    }
    double seconds = stress_end();
    printf("stress_wakeup: %" PRIu64 " rounds, no wake-up lost, %.1f s, %.2f us a round\n", rounds, seconds,
           seconds * 1e6 / (double)rounds);
    return 0;
}
