/* stress_cancel.c - cancelling races with everything else: with the start and the completion of a task, with those who
 * get its result or drop their reference, with a sleep or a poll that is about to begin or about to end.
 *
 * Each lane submits one task at a time and lets two accomplices cancel, get and unref it at nearly the same moment.
 * What each of them saw must agree: a cancel that returned 0 means that the function never ran and that .drop was
 * called, EINPROGRESS that it ran, EALREADY that the future had finished; what is said later never contradicts what
 * was said before. Sleeps and polls are for an hour, so one that misses its cancellation is found by the watchdog. A
 * flag raised for one task must not be seen by the next one on its thread, nor by the one around it.
 */
#include "stress.h"

#include <poll.h>

enum { LANES = 3, ACCOMPLICES = 2 };

enum behaviour { RETURNS, FAILS, OBEYS, SPINS, SLEEPS, POLLS, MAPS, NESTS, BEHAVIOURS };

static const char *const behaviour_names[] = {"returns", "fails", "obeys", "spins", "sleeps", "polls", "maps", "nests"};

struct lane {
    unsigned number;
    executor_t *ex;
    struct stress_rng rng;
    pthread_t thread;
    struct accomplice {
        struct lane *lane;
        unsigned number;
        pthread_t thread;
    } accomplices[ACCOMPLICES];
    struct stress_barrier barrier;
    bool over; /* written before, read after a meeting */

    /* This round's; the plain ones are written between two meetings. */
    uint64_t round;
    enum behaviour behaviour;
    future_t *f;
    int pipe[2];
    bool readable;                                  /* something was written into the pipe */
    atomic_uint runs, drops, frees, takes, cancels; /* the last: begun */
    atomic_bool made;                               /* it returned a value */
    atomic_int outcome;
};

static atomic_uint_fast64_t outcomes[3], cancels[3];

static const char *const cancel_names[] = {"0", "EINPROGRESS", "EALREADY"};

static void count_cancel(int error) {
    atomic_fetch_add_explicit(&cancels[error == 0 ? 0 : error == EINPROGRESS ? 1 : 2], 1, memory_order_relaxed);
}

/* ---- what the task does ---- */

static void *sleep_item(void *arg) {
    (void)arg;
    int error = exec_sleep(EXEC_SEC(3600));
    CHECK_ERROR(error, ECANCELED);
    CHECK(exec_cancelled());
    return exec_fail(error);
}

static int do_poll(struct lane *lane) {
    struct pollfd fd = {.fd = lane->pipe[0], .events = POLLIN};
    int ready = -1, error = exec_poll(&fd, 1, exec_after(EXEC_SEC(3600)), &ready);
    CHECK_ERROR(error, 0, ECANCELED);
    CHECK_EQ(ready, error == 0 ? 1 : 0);
    if (error == 0)
        CHECK(fd.revents & POLLIN);
    else
        CHECK(exec_cancelled());
    return error;
}

static int do_map(struct lane *lane) {
    void *items[3] = {lane, lane, lane}, *results[3];
    int errors[3];
    int error = executor_map(lane->ex, sleep_item, items, results, 3, &(exec_map_opts){.errors = errors});
    CHECK_ERROR(error, ECANCELED);
    for (int i = 0; i < 3; i++) {
        CHECK_ERROR(errors[i], ECANCELED);
        CHECK_PTR(results[i], NULL);
    }
    CHECK(exec_cancelled());
    return error;
}

static void *check_calm(void *arg) {
    CHECK(!exec_cancelled());
    CHECK_ERROR(exec_sleep(1), 0);
    return arg;
}

static void *cancel_me(void *arg) {
    CHECK_ERROR(future_cancel(*(future_t **)arg), EINPROGRESS);
    CHECK(exec_cancelled());
    CHECK_ERROR(exec_sleep(EXEC_SEC(3600)), ECANCELED);
    return exec_fail(ECANCELED);
}

/* A task within the task, cancelled by itself: the flag must be its own. `lane->f` may have been cancelled as well. */
static int do_nest(struct lane *lane) {
    future_t *inner = NULL, *calm;
    CHECK_ERROR(executor_submit(lane->ex, cancel_me, &inner, NULL, &inner), 0);
    CHECK_ERROR(future_get(inner, NULL), ECANCELED);
    CHECK_EQ(future_state(inner), FUTURE_CANCELLED);
    future_unref(inner);
    CHECK_ERROR(executor_submit(lane->ex, check_calm, lane, NULL, &calm), 0);
    CHECK_ERROR(future_get(calm, NULL), 0);
    future_unref(calm);
    return exec_sleep(EXEC_US(20));
}

static int behave(struct lane *lane) {
    switch (lane->behaviour) {
    case FAILS: return EIO;
    case OBEYS: return exec_cancelled() ? ECANCELED : 0;
    case SLEEPS: return exec_sleep(EXEC_SEC(3600));
    case POLLS: return do_poll(lane);
    case MAPS: return do_map(lane);
    case NESTS: return do_nest(lane);
    case SPINS:
        for (unsigned spin = 0; !exec_cancelled(); spin++)
            stress_spin(spin);
        return ECANCELED;
    default: return 0;
    }
}

static void *task(void *arg) {
    struct lane *lane = arg;
    CHECK_EQ(atomic_fetch_add(&lane->runs, 1), 0);
    CHECK_EQ(atomic_load(&lane->drops), 0);
    int error = behave(lane);
    if (lane->behaviour == SLEEPS || lane->behaviour == SPINS || (lane->behaviour == NESTS && error))
        CHECK_ERROR(error, ECANCELED);
    atomic_store(&lane->outcome, error);
    atomic_store(&lane->made, error == 0);
    return error ? exec_fail(error) : lane;
}

static void drop(void *arg) {
    struct lane *lane = arg;
    CHECK_EQ(atomic_fetch_add(&lane->drops, 1), 0);
    CHECK_EQ(atomic_load(&lane->runs), 0);
}

static void free_result(void *result) {
    CHECK_EQ(atomic_fetch_add(&((struct lane *)result)->frees, 1), 0);
}

/* ---- what is done to it; each caller has a reference of its own, which is gone at the end ---- */

/* What a cancel said, after `before` was said to the same caller (-1: nothing yet). */
static int cancel_once(struct lane *lane, int before) {
    bool alone = atomic_fetch_add(&lane->cancels, 1) == 0;
    int error = future_cancel(lane->f);
    alone = alone && atomic_load(&lane->cancels) == 1;
    CHECK_ERROR(error, 0, EINPROGRESS, EALREADY);
    count_cancel(error);
    if (before == 0 || before == EALREADY)
        CHECK_ERROR(error, before);
    if (error == 0) {
        CHECK_EQ(future_state(lane->f), FUTURE_CANCELLED);
        CHECK_EQ(atomic_load(&lane->runs), 0);
        if (alone) /* else .drop may still be under way in the other one */
            CHECK_EQ(atomic_load(&lane->drops), 1);
    }
    if (error != EINPROGRESS)
        CHECK(future_done(lane->f));
    return error;
}

static void get_once(struct lane *lane) {
    void *result = lane->pipe;
    int error = future_get(lane->f, &result);
    CHECK_ERROR(error, atomic_load(&lane->runs) ? atomic_load(&lane->outcome) : ECANCELED);
    CHECK_PTR(result, error == 0 ? lane : NULL);
    if (error == 0)
        atomic_fetch_add(&lane->takes, 1);
    CHECK(future_done(lane->f));
    CHECK_ERROR(future_cancel(lane->f), atomic_load(&lane->runs) ? EALREADY : 0);
}

static void wait_once(struct lane *lane, struct stress_rng *rng) {
    exec_time deadline = exec_after(EXEC_US(stress_below(rng, 100)));
    int error = future_wait(lane->f, deadline);
    CHECK_ERROR(error, 0, ETIMEDOUT);
    if (error == 0)
        CHECK(future_done(lane->f));
    else
        CHECK_OP(exec_now(), >=, deadline);
}

static void harass(struct lane *lane, struct stress_rng *rng) {
    int said = -1;
    for (unsigned turns = 1 + stress_below(rng, 3); turns > 0; turns--) {
        stress_pause(rng);
        switch (stress_below(rng, 3)) {
        case 0: said = cancel_once(lane, said); break;
        case 1: wait_once(lane, rng); break;
        default: stress_pause(rng); break;
        }
    }
}

static void *accomplice(void *arg) {
    struct accomplice *a = arg;
    struct lane *lane = a->lane;
    struct stress_rng rng = stress_rng_of(1000 + lane->number * 10 + a->number);
    for (;;) {
        stress_meet(&lane->barrier);
        if (lane->over)
            break;
        stress_doing(behaviour_names[lane->behaviour], lane->round, 1 + a->number);
        harass(lane, &rng);
        if (stress_percent(&rng, 30) || lane->behaviour >= SPINS) /* those end only when they are asked to */
            cancel_once(lane, -1);
        if (stress_percent(&rng, 50))
            get_once(lane);
        future_unref(lane->f);
        stress_doing(NULL, 0, 0);
        stress_meet(&lane->barrier);
    }
    stress_leave();
    return NULL;
}

/* ---- the rounds ---- */

static void begin_round(struct lane *lane) {
    static const exec_task_opts opts = {.drop = drop, .free_result = free_result, .name = "cancelled"};
    lane->behaviour = (enum behaviour)stress_below(&lane->rng, BEHAVIOURS);
    atomic_store(&lane->runs, 0);
    atomic_store(&lane->drops, 0);
    atomic_store(&lane->frees, 0);
    atomic_store(&lane->takes, 0);
    atomic_store(&lane->cancels, 0);
    atomic_store(&lane->made, false);
    atomic_store(&lane->outcome, -1);
    CHECK_ERROR(executor_submit(lane->ex, task, lane, &opts, &lane->f), 0);
    for (int i = 0; i < ACCOMPLICES; i++)
        future_ref(lane->f);
}

/* The task's function, or .drop, may still be under way when nobody waits for the future any more. */
static void end_round(struct lane *lane) {
    for (unsigned spin = 0; atomic_load(&lane->runs) + atomic_load(&lane->drops) == 0; spin++)
        stress_spin(spin);
    if (stress_percent(&lane->rng, 50))
        get_once(lane);
    else
        CHECK_ERROR(future_wait(lane->f, exec_after(EXEC_SEC(3600))), 0);
    CHECK(future_done(lane->f));
    CHECK_EQ(atomic_load(&lane->runs) + atomic_load(&lane->drops), 1);
    enum future_state state = future_state(lane->f);
    CHECK_OP(state, >=, FUTURE_DONE);
    CHECK_EQ(state == FUTURE_DONE, atomic_load(&lane->made));
    atomic_fetch_add_explicit(&outcomes[state - FUTURE_DONE], 1, memory_order_relaxed);
}

/* The result goes with the last reference, which a worker may still hold for a moment. */
static void check_result_freed(struct lane *lane) {
    bool taken = atomic_load(&lane->takes) > 0, expected = atomic_load(&lane->made) && !taken;
    for (unsigned spin = 0; expected && atomic_load(&lane->frees) == 0; spin++)
        stress_spin(spin);
    if (!expected)
        CHECK_EQ(atomic_load(&lane->frees), 0);
}

static void one_round(struct lane *lane) {
    stress_doing("beginning a round", lane->round, 0);
    if (stress_percent(&lane->rng, 5)) { /* whatever was raised before, the next task knows nothing of it */
        future_t *calm;
        CHECK_ERROR(executor_submit(lane->ex, check_calm, lane, NULL, &calm), 0);
        CHECK_ERROR(future_get(calm, NULL), 0);
        future_unref(calm);
    }
    begin_round(lane);
    stress_doing(behaviour_names[lane->behaviour], lane->round, 0);
    stress_meet(&lane->barrier);
    if (lane->behaviour == POLLS && stress_percent(&lane->rng, 50)) {
        stress_pause(&lane->rng);
        CHECK_EQ(write(lane->pipe[1], "x", 1), 1);
        lane->readable = true;
    }
    stress_meet(&lane->barrier);
    end_round(lane);
    future_unref(lane->f);
    check_result_freed(lane);
    if (lane->readable)
        CHECK_EQ(read(lane->pipe[0], &(char){0}, 1), 1);
    lane->readable = false;
}

static void *run_lane(void *arg) {
    struct lane *lane = arg;
    CHECK_EQ(pipe(lane->pipe), 0);
    for (unsigned i = 0; i < ACCOMPLICES; i++) {
        lane->accomplices[i] = (struct accomplice){.lane = lane, .number = i};
        stress_start(&lane->accomplices[i].thread, accomplice, &lane->accomplices[i]);
    }
    for (size_t rounds = stress_scaled(30000); lane->round < rounds; lane->round++)
        one_round(lane);
    lane->over = true;
    stress_meet(&lane->barrier);
    for (int i = 0; i < ACCOMPLICES; i++)
        pthread_join(lane->accomplices[i].thread, NULL);
    close(lane->pipe[0]);
    close(lane->pipe[1]);
    stress_leave();
    return NULL;
}

/* ---- EXECUTOR_DISCARD against tasks that begin to sleep, and those that have not started ---- */

static void *sleep_or_not(void *arg) {
    int error = exec_sleep(EXEC_SEC(3600));
    CHECK_ERROR(error, ECANCELED);
    atomic_fetch_add((atomic_uint *)arg, 1);
    return exec_fail(error);
}

static void count_drop(void *arg) {
    atomic_fetch_add((atomic_uint *)arg, 1);
}

static void discard_round(struct stress_rng *rng) {
    enum { TASKS = 10 };
    executor_t *ex;
    future_t *fs[TASKS];
    atomic_uint ended = 0;
    CHECK_ERROR(executor_create(&(executor_opts){.workers = 1 + stress_below(rng, 3)}, &ex), 0);
    for (int i = 0; i < TASKS; i++)
        CHECK_ERROR(executor_submit(ex, sleep_or_not, &ended, &(exec_task_opts){.drop = count_drop}, &fs[i]), 0);
    stress_pause(rng);
    CHECK_ERROR(executor_shutdown(ex, EXECUTOR_DISCARD), 0);
    CHECK_ERROR(exec_wait(fs, TASKS, TASKS, exec_after(EXEC_SEC(3600))), 0);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&ended), TASKS);
    for (int i = 0; i < TASKS; i++) {
        CHECK_EQ(future_state(fs[i]), FUTURE_CANCELLED);
        future_unref(fs[i]);
    }
}

int main(int argc, char **argv) {
    static struct lane lanes[LANES];
    stress_begin(argc, argv, 0);
    for (unsigned i = 0; i < LANES; i++) {
        lanes[i] = (struct lane){.number = i, .rng = stress_rng_of(i), .barrier = {.size = 1 + ACCOMPLICES}};
        CHECK_ERROR(executor_create(&(executor_opts){.workers = i + 1}, &lanes[i].ex), 0);
        stress_start(&lanes[i].thread, run_lane, &lanes[i]);
    }
    struct stress_rng rng = stress_rng_of(LANES);
    for (size_t i = stress_scaled(300); i > 0; i--) {
        stress_doing("discarding sleepers", i, 0);
        discard_round(&rng);
    }
    stress_leave();
    for (unsigned i = 0; i < LANES; i++) {
        pthread_join(lanes[i].thread, NULL);
        executor_destroy(lanes[i].ex);
    }
    double seconds = stress_end();
    printf("stress_cancel: %" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " cancelled;", (uint64_t)outcomes[0],
           (uint64_t)outcomes[1], (uint64_t)outcomes[2]);
    for (int i = 0; i < 3; i++)
        printf(" cancel said %s %" PRIu64 " times,", cancel_names[i], (uint64_t)cancels[i]);
    printf(" %.1f s\n", seconds);
    return 0;
}
