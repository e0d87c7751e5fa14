/* stress_timer.c - the races that the timer thread takes part in, each one by itself, again and again.
 *
 * Most are a task and a rival: one thread submits the task and waits for it; the other one does something to it at
 * about the moment at which its timer fires: cancels it, frees the worker that it needs, waits for it, shuts its
 * executor down. Then exactly one of the two must have had its way: the function ran, or .drop was called, and each
 * said so. The queue's count of dead entries, which is moved by whoever takes a task past its entry, must come back to
 * zero.
 *
 * The last one is the wheel itself: several threads arm, move and cancel timers of their own, and each timer that was
 * armed either fires, once and not before its time, or is cancelled.
 */
#include "stress.h"

#include "../lib/executor.h"

enum { TIMERS = 50, OWNERS = 3 };

static struct {
    executor_t *ex;
    future_t *f;
    exec_time at;        /* about when it happens */
    void (*rival)(void); /* what the other thread does; NULL: the program ends */
    atomic_bool release; /* for the task that holds the worker */
    atomic_bool plugged; /* it does */
    atomic_bool revoked; /* a cancel returned 0 */
    atomic_int answer;   /* the cancel's */
    atomic_uint inside, runs, drops, made, frees;
    struct stress_barrier barrier;
} duel = {.barrier = {.size = 2}};

static uint64_t trials, outcomes[2];

/* ---- the task ---- */

static void drop(void *arg) {
    CHECK_PTR(arg, &duel);
    CHECK_EQ(atomic_fetch_add(&duel.drops, 1), 0);
}

static void free_result(void *result) {
    CHECK_PTR(result, &duel);
    atomic_fetch_add(&duel.frees, 1);
}

static void enter(void) {
    CHECK_EQ(atomic_load(&duel.revoked), false);
    CHECK_EQ(atomic_fetch_add(&duel.inside, 1), 0);
    atomic_fetch_add(&duel.runs, 1);
}

static void *leave(void) {
    atomic_fetch_add(&duel.made, 1);
    atomic_fetch_sub(&duel.inside, 1);
    return &duel;
}

static void *succeed(void *arg) {
    (void)arg;
    enter();
    return leave();
}

static void *fail(void *arg) {
    (void)arg;
    enter();
    atomic_fetch_sub(&duel.inside, 1);
    return exec_fail(EIO);
}

static void spin_until(exec_time until) {
    while (exec_now() < until) {
    }
}

/* Takes as long as it may, or a little less or more. */
static void *take_its_time(void *arg) {
    (void)arg;
    exec_time until = exec_after(duel.at);
    enter();
    spin_until(until);
    return leave();
}

static void *hold_worker(void *arg) {
    atomic_store(&duel.plugged, true);
    for (unsigned spin = 0; !atomic_load(&duel.release); spin++)
        stress_spin(spin);
    return arg;
}

/* ---- rivals ---- */

static void cancel(void) {
    spin_until(duel.at);
    int error = future_cancel(duel.f);
    atomic_store(&duel.answer, error);
    if (error == 0)
        atomic_store(&duel.revoked, true);
}

static void free_worker(void) {
    spin_until(duel.at);
    atomic_store(&duel.release, true);
}

static void wait_too(void) {
    CHECK_ERROR(future_wait(duel.f, EXEC_NEVER), 0);
}

static void do_nothing(void) {
}

static void drain(void) {
    spin_until(duel.at);
    CHECK_ERROR(executor_shutdown(duel.ex, EXECUTOR_DRAIN), 0);
    CHECK_ERROR(executor_join(duel.ex, EXEC_NEVER), 0);
}

static void discard(void) {
    spin_until(duel.at);
    CHECK_ERROR(executor_shutdown(duel.ex, EXECUTOR_DISCARD), 0);
    CHECK_ERROR(executor_join(duel.ex, EXEC_NEVER), 0);
}

static void *play_rival(void *unused) {
    for (;;) {
        stress_meet(&duel.barrier);
        if (!duel.rival)
            return unused;
        duel.rival();
        stress_meet(&duel.barrier);
    }
}

/* ---- a trial ---- */

static exec_time some_us(struct stress_rng *rng, unsigned most) {
    return EXEC_NS(stress_below(rng, 1000 * most));
}

static void reset(void (*rival)(void)) {
    duel.rival = rival;
    atomic_store(&duel.release, false);
    atomic_store(&duel.plugged, false);
    atomic_store(&duel.revoked, false);
    atomic_store(&duel.answer, -1);
    atomic_store(&duel.runs, 0);
    atomic_store(&duel.drops, 0);
    atomic_store(&duel.made, 0);
    atomic_store(&duel.frees, 0);
}

/* Submits it, lets the rival at it, and waits for both: its error. */
static int fight(exec_fn *fn, exec_task_opts opts) {
    void *result = NULL;
    opts.drop = drop;
    opts.free_result = free_result;
    stress_doing("a trial", trials++, 0);
    int error = executor_submit(duel.ex, fn, &duel, &opts, &duel.f);
    CHECK_ERROR(error, 0);
    stress_meet(&duel.barrier);
    CHECK_ERROR(future_wait(duel.f, EXEC_NEVER), 0);
    stress_doing("the rival", trials, 0);
    stress_meet(&duel.barrier);
    error = future_get(duel.f, &result);
    CHECK_PTR(result, error == 0 ? &duel : NULL);
    while (atomic_load(&duel.runs) + atomic_load(&duel.drops) == 0)
        sched_yield(); /* who ends it calls .drop a moment after that can be seen */
    CHECK_EQ(atomic_load(&duel.runs) == 0, atomic_load(&duel.drops));
    while (atomic_load(&duel.frees) + (error == 0) < atomic_load(&duel.made))
        sched_yield(); /* an earlier run's result goes when it is about to run again, or a moment later */
    CHECK_EQ(atomic_load(&duel.frees) + (error == 0), atomic_load(&duel.made));
    future_unref(duel.f);
    outcomes[error == 0]++;
    return error;
}

/* Waits until the workers have taken out of the queue what has been left there. */
static void check_queue(void) {
    struct exec__pool *p = &duel.ex->pool;
    stress_doing("the queue", trials, 0);
    while (exec__pool_has_work(p))
        sched_yield();
    for (exec_time until = exec_after(EXEC_SEC(5)); atomic_load(&p->queue.dead) != 0 && exec_now() < until;)
        sched_yield();
    CHECK_EQ(atomic_load(&p->queue.dead), 0);
}

/* ---- the duels ---- */

static void cancel_and_start(struct stress_rng *rng) {
    exec_time delay = some_us(rng, 200);
    reset(cancel);
    duel.at = exec_after(delay + some_us(rng, 100));
    int error = fight(succeed, (exec_task_opts){.delay = delay});
    CHECK_EQ(error, atomic_load(&duel.answer) == 0 ? ECANCELED : 0);
    CHECK_EQ(atomic_load(&duel.runs), error == 0);
}

static void deadline_and_start(struct stress_rng *rng) {
    future_t *plug;
    reset(free_worker);
    CHECK_ERROR(executor_submit(duel.ex, hold_worker, NULL, NULL, &plug), 0);
    while (!atomic_load(&duel.plugged))
        sched_yield();
    exec_time deadline = exec_after(some_us(rng, 200));
    duel.at = deadline - EXEC_US(50) + some_us(rng, 100);
    int error = fight(succeed, (exec_task_opts){.deadline = deadline});
    CHECK_ERROR(error, 0, ETIMEDOUT);
    CHECK_EQ(atomic_load(&duel.runs), error == 0);
    CHECK(error == 0 || exec_now() >= deadline);
    future_wait(plug, EXEC_NEVER);
    future_unref(plug);
}

static void timeout_and_end(struct stress_rng *rng) {
    exec_time timeout = EXEC_US(20) + some_us(rng, 100);
    reset(do_nothing);
    duel.at = timeout - EXEC_US(5) + some_us(rng, 10);
    int error = fight(take_its_time, (exec_task_opts){.timeout = timeout});
    CHECK_ERROR(error, 0, ETIMEDOUT);
    CHECK_EQ(atomic_load(&duel.runs), 1);
    CHECK(error == ETIMEDOUT || duel.at < timeout);
}

static void retry_and_cancel(struct stress_rng *rng) {
    const exec_retry retry = {.attempts = 1000000, .delay = 1 + some_us(rng, 5), .factor = 1};
    reset(cancel);
    duel.at = exec_after(some_us(rng, 150));
    int error = fight(fail, (exec_task_opts){.retry = retry});
    CHECK_ERROR(atomic_load(&duel.answer), 0, EINPROGRESS);
    CHECK_EQ(error, atomic_load(&duel.answer) == 0 ? ECANCELED : EIO);
}

static void deadline_and_retry(struct stress_rng *rng) {
    const exec_retry retry = {.attempts = 1000000, .delay = 1 + some_us(rng, 5), .factor = 1};
    reset(do_nothing);
    exec_time deadline = exec_after(some_us(rng, 300));
    int error = fight(fail, (exec_task_opts){.retry = retry, .deadline = deadline});
    CHECK_ERROR(error, EIO, ETIMEDOUT);
    CHECK(error == EIO || exec_now() >= deadline);
}

static void period_and_waiters(struct stress_rng *rng) {
    const unsigned count = 1 + stress_below(rng, 5);
    reset(stress_percent(rng, 50) ? wait_too : do_nothing);
    CHECK_ERROR(fight(succeed, (exec_task_opts){.every = 1 + some_us(rng, 30), .count = count}), 0);
    CHECK_EQ(atomic_load(&duel.runs), count);
}

/* The executor ends at about the moment at which the task starts, times out, or is to run again. */
static void open_executor(unsigned workers) {
    CHECK_ERROR(executor_create(&(executor_opts){.workers = workers, .capacity = 8}, &duel.ex), 0);
}

static void shutdown_and_start(struct stress_rng *rng) {
    bool discards = stress_percent(rng, 50);
    exec_time delay = some_us(rng, 200);
    open_executor(1);
    reset(discards ? discard : drain);
    duel.at = exec_after(delay + some_us(rng, 100));
    int error = fight(succeed, (exec_task_opts){.delay = delay});
    CHECK_ERROR(error, 0, discards ? ECANCELED : 0);
    executor_destroy(duel.ex);
}

static void shutdown_and_schedule(struct stress_rng *rng) {
    open_executor(1 + stress_below(rng, 2));
    reset(stress_percent(rng, 50) ? discard : drain);
    duel.at = exec_after(some_us(rng, 300));
    CHECK_ERROR(fight(succeed, (exec_task_opts){.every = 1 + some_us(rng, 50)}), 0, ECANCELED);
    executor_destroy(duel.ex);
}

static void shutdown_and_retry(struct stress_rng *rng) {
    const exec_retry retry = {.attempts = 20, .delay = 1 + some_us(rng, 20), .factor = 1};
    bool discards = stress_percent(rng, 50);
    open_executor(1 + stress_below(rng, 2));
    reset(discards ? discard : drain);
    duel.at = exec_after(some_us(rng, 300));
    int error = fight(fail, (exec_task_opts){.retry = retry, .timeout = EXEC_MS(1) + some_us(rng, 100)});
    CHECK_ERROR(error, EIO, ETIMEDOUT, discards ? ECANCELED : EIO);
    CHECK_OP(atomic_load(&duel.runs), <=, 20);
    if (!discards)
        CHECK_EQ(atomic_load(&duel.runs), 20);
    executor_destroy(duel.ex);
}

/* ---- the wheel ---- */

struct entry {
    struct exec__timer timer; /* first */
    _Atomic exec_time when;   /* not before it is it to fire; 0: that is not known */
    unsigned armed;           /* its owner's */
    atomic_uint fired, gone;  /* cancelled */
};

static struct exec__timers timers;

static void fired(struct exec__timer *t) {
    struct entry *e = (struct entry *)t;
    CHECK_OP(exec_now(), >=, atomic_load(&e->when));
    atomic_fetch_add(&e->fired, 1);
}

static bool is_settled(const struct entry *e) {
    return atomic_load(&e->fired) + atomic_load(&e->gone) == e->armed;
}

static void cancel_timer(struct entry *e) {
    atomic_fetch_add(&e->gone, exec__timer_cancel(&timers, &e->timer));
}

/* Armed, it would be moved; but who could say whether it was? It may be about to fire as it is armed again. */
static void arm(struct entry *e, struct stress_rng *rng) {
    static const unsigned most[] = {50, 1000, 5000, 300000};
    exec_time when = exec_after(some_us(rng, most[stress_below(rng, 4)]) - EXEC_US(10));
    cancel_timer(e);
    atomic_store(&e->when, is_settled(e) ? when : 0);
    e->armed++;
    exec__timer_arm(&timers, &e->timer, when);
    if (stress_percent(rng, 20))
        cancel_timer(e);
}

static void *own_timers(void *arg) {
    struct stress_rng rng = stress_rng_of(100 + (uintptr_t)arg);
    struct entry *entries = stress_alloc(TIMERS, sizeof *entries);
    for (unsigned i = 0; i < TIMERS; i++)
        entries[i].timer.fire = fired;
    for (size_t i = 0, n = stress_scaled(30000); i < n; i++) {
        stress_doing("the wheel", i, n);
        arm(&entries[stress_below(&rng, TIMERS)], &rng);
        if (stress_percent(&rng, 2))
            stress_pause(&rng);
    }
    for (unsigned i = 0; i < TIMERS; i++) {
        struct entry *e = &entries[i];
        stress_doing("the last timers", i, 0);
        if (stress_percent(&rng, 50))
            cancel_timer(e);
        while (atomic_load(&e->fired) + atomic_load(&e->gone) < e->armed)
            sched_yield();
        CHECK(is_settled(e));
    }
    stress_leave();
    return entries;
}

static void turn_wheel(void) {
    pthread_t owners[OWNERS];
    void *entries[OWNERS];
    CHECK_ERROR(exec__timers_init(&timers), 0);
    CHECK_ERROR(exec__timers_start(&timers, "wheel"), 0);
    for (uintptr_t i = 0; i < OWNERS; i++)
        stress_start(&owners[i], own_timers, (void *)i); // NOLINT(performance-no-int-to-ptr)
    for (int i = 0; i < OWNERS; i++)
        pthread_join(owners[i], &entries[i]);
    exec__timers_stop(&timers); /* the last one to fire has returned */
    for (int i = 0; i < OWNERS; i++)
        free(entries[i]);
    exec__timers_fini(&timers);
}

/* ---- the runs ---- */

static const struct {
    const char *name;
    void (*run)(struct stress_rng *rng);
    unsigned workers; /* of the one executor of all trials; 0: one for each */
} duels[] = {
    {"cancel and start", cancel_and_start, 1},     {"deadline and start", deadline_and_start, 1},
    {"timeout and end", timeout_and_end, 1},       {"retry and cancel", retry_and_cancel, 2},
    {"deadline and retry", deadline_and_retry, 2}, {"period and waiters", period_and_waiters, 2},
    {"shutdown and start", shutdown_and_start, 0}, {"shutdown and schedule", shutdown_and_schedule, 0},
    {"shutdown and retry", shutdown_and_retry, 0},
};

static void all_trials(unsigned i) {
    struct stress_rng rng = stress_rng_of(i);
    outcomes[0] = outcomes[1] = 0;
    if (duels[i].workers > 0)
        open_executor(duels[i].workers);
    for (size_t n = stress_scaled(1500); n > 0; n--) {
        duels[i].run(&rng);
        if (duels[i].workers > 0)
            check_queue();
    }
    if (duels[i].workers > 0)
        executor_destroy(duel.ex);
    printf("  %-22s %5" PRIu64 " ended well, %5" PRIu64 " did not\n", duels[i].name, outcomes[1], outcomes[0]);
}

int main(int argc, char **argv) {
    pthread_t rival;
    stress_begin(argc, argv, 0);
    unsigned threads = stress_entries("/proc/self/task");
    stress_start(&rival, play_rival, NULL);
    for (unsigned i = 0; i < sizeof duels / sizeof duels[0]; i++)
        all_trials(i);
    duel.rival = NULL;
    stress_meet(&duel.barrier);
    pthread_join(rival, NULL);
    turn_wheel();
    stress_await_entries("/proc/self/task", threads);
    stress_leave();
    printf("stress_timer: %" PRIu64 " trials, %.1f s\n", trials, stress_end());
    return 0;
}
