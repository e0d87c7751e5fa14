/* test_stranger.c - a task that waits runs the task it waits for, and no stranger: not one that wants the lock it
 * holds, and not one that was queued before. */
#include "helpers.h"

struct house {
    executor_t *ex;
    pthread_mutex_t lock; /* tells when its own holder wants it again */
    struct gate locked;
    atomic_int tid;
    future_t *guest; /* a promise to wait for, or NULL: a task of the host's own */
    int (*wait)(future_t *);
};

static void *stranger(void *arg) {
    struct house *house = arg;
    ok(pthread_mutex_lock(&house->lock));
    ok(pthread_mutex_unlock(&house->lock));
    return NULL;
}

static void invite_strangers(struct house *house) {
    for (int i = 0; i < 5; i++)
        ok(executor_submit(house->ex, stranger, house, NULL, NULL));
}

static void *host(void *arg) {
    struct house *house = arg;
    ok(pthread_mutex_lock(&house->lock));
    invite_strangers(house);
    future_t *guest = house->guest ? future_ref(house->guest) : submit(house->ex, identity, NULL);
    invite_strangers(house);
    atomic_store(&house->tid, gettid());
    gate_open(&house->locked);
    ok(house->wait(guest));
    future_unref(guest);
    ok(pthread_mutex_unlock(&house->lock));
    return NULL;
}

static int by_get(future_t *f) {
    return future_get(f, NULL);
}

static int by_deadline(future_t *f) {
    return future_wait(f, exec_after(LIMIT));
}

static int by_short_deadlines(future_t *f) {
    int error = ETIMEDOUT;
    for (exec_time limit = exec_after(LIMIT); error == ETIMEDOUT && exec_now() < limit;)
        error = future_wait(f, exec_after(EXEC_US(500)));
    return error;
}

static int by_all(future_t *f) {
    return exec_wait((future_t *[]){f, f}, 2, 2, EXEC_NEVER);
}

static int by_any(future_t *f) {
    future_t *never = promise();
    int error = exec_wait((future_t *[]){never, f}, 2, 1, EXEC_NEVER);
    future_unref(never);
    return error;
}

static int by_any_until(future_t *f) {
    future_t *never = promise();
    int error = exec_wait((future_t *[]){f, never}, 2, 1, exec_after(LIMIT));
    future_unref(never);
    return error;
}

static int (*const ways[])(future_t *) = {by_get, by_deadline, by_short_deadlines, by_all, by_any, by_any_until};
enum { WAYS = sizeof ways / sizeof *ways };

static void init_house(struct house *house, unsigned workers, int way) {
    pthread_mutexattr_t attr;
    *house = (struct house){.ex = pool(workers), .locked = GATE(1), .wait = ways[way]};
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&house->lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

TEST(stranger, who_holds_a_lock_and_waits_for_a_promise_runs_no_stranger_that_wants_it) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int way = 0; way < WAYS; way++) {
            struct house house;
            init_house(&house, workers, way);
            house.guest = promise();
            future_t *f = submit(house.ex, host, &house);
            gate_wait(&house.locked);
            invite_strangers(&house);
            if (ways[way] != by_short_deadlines)
                wait_until_asleep(&house.tid);
            ok(future_resolve(house.guest, NULL, 0));
            ok(outcome(f));
            executor_destroy(house.ex);
            future_unref(house.guest);
            pthread_mutex_destroy(&house.lock);
        }
}

TEST(stranger, who_holds_a_lock_and_waits_for_its_own_task_runs_no_stranger_that_wants_it) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int way = 0; way < WAYS; way++) {
            struct house house;
            init_house(&house, workers, way);
            future_t *f = submit(house.ex, host, &house);
            gate_wait(&house.locked);
            invite_strangers(&house);
            ok(outcome(f));
            executor_destroy(house.ex);
            pthread_mutex_destroy(&house.lock);
        }
}

/* A task that gets one from the middle of the queue. */
struct picker {
    struct record record;
    struct gate go;
    future_t *picked;
};

struct numbered {
    struct picker *picker;
    int number;
};

static void *write_down(void *arg) {
    struct numbered *task = arg;
    record_add(&task->picker->record, task->number);
    return NULL;
}

static void *pick_one(void *arg) {
    struct picker *picker = arg;
    gate_wait(&picker->go);
    ok(future_get(picker->picked, NULL));
    record_add(&picker->record, -1);
    return NULL;
}

TEST(stranger, the_awaited_task_alone_is_run_before_its_turn) {
    struct picker picker = {RECORD, GATE(1), NULL};
    struct numbered tasks[6];
    executor_t *ex = pool(1);
    future_t *f = submit(ex, pick_one, &picker);
    for (int i = 0; i < 6; i++) {
        tasks[i] = (struct numbered){&picker, i};
        if (i == 3)
            picker.picked = submit(ex, write_down, &tasks[i]);
        else
            ok(executor_submit(ex, write_down, &tasks[i], NULL, NULL));
    }
    gate_open(&picker.go);
    ok(outcome(f));
    future_unref(picker.picked);
    executor_destroy(ex);
    const int expected[] = {3, -1, 0, 1, 2, 4, 5};
    eq_int(picker.record.n, 7);
    for (int i = 0; i < 7; i++)
        eq_int(picker.record.items[i], expected[i]);
}
