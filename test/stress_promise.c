/* stress_promise.c - several threads resolve or cancel the same promise at nearly the same moment, while others wait
 * for it in every way there is: one wins, everybody sees what it did, and everybody wakes.
 *
 * Who comes too late is told so only once the promise has finished. The last reference may go in any of the threads.
 */
#include "stress.h"

enum { SETTLERS = 2, WAITERS = 2, TASKS = 2 };

enum winner { NOBODY, A_VALUE, AN_ERROR, A_CANCELLATION };

struct ring {
    executor_t *ex;
    struct stress_barrier barrier;
    bool over; /* written before, read after a meeting, as are the next two */
    uint64_t round;
    future_t *promise; /* a reference for everyone */
    future_t *other;   /* a promise that stays as it is, for the round */
    atomic_uint wins, task_results;
    _Atomic enum winner winner;
    _Atomic uintptr_t value; /* of who won with one */
};

struct player {
    struct ring *ring;
    struct stress_rng rng;
    unsigned number;
    pthread_t thread;
};

static atomic_uint_fast64_t total[4];

static void win(struct ring *r, enum winner how, uintptr_t value) {
    CHECK_EQ(atomic_fetch_add(&r->wins, 1), 0);
    atomic_store(&r->value, value);
    atomic_store(&r->winner, how);
    atomic_fetch_add_explicit(&total[how], 1, memory_order_relaxed);
}

static void settle(struct ring *r, struct stress_rng *rng) {
    uintptr_t value = 1 + stress_below(rng, 1000);
    enum winner how = (enum winner)(A_VALUE + stress_below(rng, 3));
    int error;
    stress_pause(rng);
    switch (how) {
    case A_VALUE: error = future_resolve(r->promise, (void *)value, 0); break;
    case AN_ERROR: error = future_resolve(r->promise, (void *)value, EIO); break;
    default: error = stress_percent(rng, 50) ? future_cancel(r->promise) : future_resolve(r->promise, NULL, ECANCELED);
    }
    CHECK_ERROR(error, 0, EALREADY);
    CHECK(future_done(r->promise));
    if (error == 0 && how != A_CANCELLATION)
        win(r, how, value);
}

/* What a get said must be what the winner did, which may have yet to say so. Several cancellations may say 0, so they
 * are not counted. */
static void check_result(struct ring *r, int error, void *result) {
    CHECK_ERROR(error, 0, EIO, ECANCELED);
    CHECK_EQ(future_state(r->promise), error == 0 ? FUTURE_DONE : error == EIO ? FUTURE_FAILED : FUTURE_CANCELLED);
    if (error == ECANCELED) {
        CHECK_EQ(atomic_load(&r->wins), 0);
        return;
    }
    for (unsigned spin = 0; atomic_load(&r->winner) == NOBODY; spin++)
        stress_spin(spin);
    CHECK_EQ(atomic_load(&r->winner), error == 0 ? A_VALUE : AN_ERROR);
    CHECK_EQ((uintptr_t)result, error == 0 ? atomic_load(&r->value) : 0);
}

static void get(struct ring *r) {
    void *result = r;
    int error = future_get(r->promise, &result);
    check_result(r, error, result);
}

static void *get_in_task(void *arg) {
    get(arg);
    atomic_fetch_add(&((struct ring *)arg)->task_results, 1);
    return NULL;
}

static void wait_somehow(struct ring *r, struct stress_rng *rng) {
    future_t *both[2] = {r->other, r->promise};
    stress_pause(rng);
    switch (stress_below(rng, 4)) {
    case 0: CHECK_ERROR(future_wait(r->promise, exec_after(EXEC_SEC(3600))), 0); break;
    case 1: CHECK_ERROR(exec_wait(both, 2, 1, EXEC_NEVER), 0); break;
    case 2: CHECK_ERROR(exec_wait(both, 2, 2, exec_after(EXEC_US(stress_below(rng, 50)))), ETIMEDOUT); break;
    default: CHECK_ERROR(future_wait(r->promise, exec_after(EXEC_US(stress_below(rng, 50)))), 0, ETIMEDOUT); break;
    }
    get(r);
}

static void *play(void *arg) {
    struct player *p = arg;
    struct ring *r = p->ring;
    for (;;) {
        stress_meet(&r->barrier);
        if (r->over)
            break;
        stress_doing(p->number < SETTLERS ? "settler" : "waiter", r->round, p->number);
        if (p->number < SETTLERS)
            settle(r, &p->rng);
        else
            wait_somehow(r, &p->rng);
        future_unref(r->promise);
        stress_doing(NULL, 0, 0);
        stress_meet(&r->barrier);
    }
    stress_leave();
    return NULL;
}

static void one_round(struct ring *r, struct stress_rng *rng) {
    bool tasks = stress_percent(rng, 50);
    stress_doing("a promise", r->round, tasks);
    atomic_store(&r->wins, 0);
    atomic_store(&r->winner, NOBODY);
    atomic_store(&r->task_results, 0);
    CHECK_ERROR(future_create(&r->promise), 0);
    CHECK_EQ(future_state(r->promise), FUTURE_PENDING);
    for (int i = 0; i < SETTLERS + WAITERS; i++)
        future_ref(r->promise);
    for (int i = 0; i < TASKS && tasks; i++)
        CHECK_ERROR(executor_submit(r->ex, get_in_task, r, NULL, NULL), 0);
    stress_meet(&r->barrier);
    stress_pause(rng);
    get(r);
    while (tasks && atomic_load(&r->task_results) < TASKS)
        sched_yield();
    if (atomic_load(&r->wins) == 0)
        CHECK_EQ(future_state(r->promise), FUTURE_CANCELLED);
    stress_meet(&r->barrier);
    future_unref(r->promise);
}

int main(int argc, char **argv) {
    static struct ring ring = {.barrier = {.size = SETTLERS + WAITERS + 1}};
    struct player players[SETTLERS + WAITERS];
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    CHECK_ERROR(executor_create(&(executor_opts){.workers = TASKS}, &ring.ex), 0);
    CHECK_ERROR(future_create(&ring.other), 0);
    for (unsigned i = 0; i < SETTLERS + WAITERS; i++) {
        players[i] = (struct player){.ring = &ring, .rng = stress_rng_of(1 + i), .number = i};
        stress_start(&players[i].thread, play, &players[i]);
    }
    for (size_t rounds = stress_scaled(20000); ring.round < rounds; ring.round++)
        one_round(&ring, &rng);
    ring.over = true;
    stress_meet(&ring.barrier);
    for (unsigned i = 0; i < SETTLERS + WAITERS; i++)
        pthread_join(players[i].thread, NULL);
    executor_destroy(ring.ex);
    future_unref(ring.other);
    stress_leave();
    double seconds = stress_end();
    printf("stress_promise: %" PRIu64 " promises, %" PRIu64 " won by a value, %" PRIu64 " by an error, %.1f s\n",
           ring.round, (uint64_t)total[A_VALUE], (uint64_t)total[AN_ERROR], seconds);
    return 0;
}
