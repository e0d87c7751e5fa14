/* test_pthread_cancel.c - pthread_cancel() on threads that run tasks, on workers that have nothing to do, and on
 * threads that wait. */
#include "helpers.h"

static void *meet(void *gate) {
    gate_open(gate);
    gate_wait(gate);
    return NULL;
}

/* As many tasks as there are workers run at the same time, on threads of the executor. */
static void has_all_its_workers(executor_t *ex, unsigned workers) {
    struct gate all_in = GATE((int)workers);
    future_t *fs[4];
    eq_int(executor_workers(ex), workers);
    for (unsigned i = 0; i < workers; i++)
        fs[i] = submit(ex, meet, &all_in);
    for (unsigned i = 0; i < workers; i++) {
        await_elsewhere(fs[i]);
        ok(outcome(fs[i]));
    }
}

static void left(future_t *f) {
    void *result = f;
    await_elsewhere(f);
    eq_state(f, FUTURE_FAILED);
    eq_err(future_get(f, &result), EOWNERDEAD);
    eq_ptr(result, NULL);
    future_unref(f);
}

/* A task that says on which thread it runs, and then waits in some way for ever. */
struct victim {
    struct gate begun;
    pthread_t thread;
    void (*wait)(struct victim *);
    future_t *never;
    exec_queue_t *queue;
    int fds[2];
};

static void in_sleep(struct victim *v) {
    (void)v;
    exec_sleep(EXEC_NEVER);
}

static void in_get(struct victim *v) {
    future_get(v->never, NULL);
}

static void in_timed_wait(struct victim *v) {
    future_wait(v->never, exec_after(10 * LIMIT));
}

static void in_wait_for_any(struct victim *v) {
    exec_wait((future_t *[]){v->never, v->never, v->never}, 3, 1, EXEC_NEVER);
}

static void in_queue(struct victim *v) {
    void *item;
    exec_queue_get(v->queue, EXEC_NEVER, &item);
}

#ifndef TEST_UNDER_TSAN
static void in_pause(struct victim *v) {
    (void)v;
    for (;;)
        pause();
}

static void in_poll(struct victim *v) {
    struct pollfd fd = {.fd = v->fds[0], .events = POLLIN};
    exec_poll(&fd, 1, EXEC_NEVER, NULL);
}
#endif

static void (*const waits[])(struct victim *) = {
    in_sleep, in_get,  in_timed_wait, in_wait_for_any, in_queue,
#ifndef TEST_UNDER_TSAN /* it loses track of a thread that is cancelled in pause() or ppoll() */
    in_pause, in_poll,
#endif
};
enum { WAITS = sizeof waits / sizeof *waits };

static void *wait_to_be_cancelled(void *arg) {
    struct victim *v = arg;
    v->thread = pthread_self();
    gate_open(&v->begun);
    v->wait(v);
    FAIL("a wait that must not end has ended");
}

static void init_victim(struct victim *v, int i) {
    *v = (struct victim){.begun = GATE(1), .wait = waits[i], .never = promise()};
    ok(exec_queue_create(1, &v->queue));
    ok(pipe(v->fds));
}

static void fini_victim(struct victim *v) {
    ok(future_resolve(v->never, NULL, 0)); /* finds nobody any more */
    ok(exec_queue_put(v->queue, NULL, EXEC_NOW));
    exec_queue_destroy(v->queue);
    future_unref(v->never);
    close(v->fds[0]), close(v->fds[1]);
}

TEST(pthread_cancel, a_task_whose_thread_is_cancelled_fails_wherever_it_waits) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        executor_t *ex = pool(workers);
        for (int i = 0; i < WAITS; i++) {
            struct victim v;
            init_victim(&v, i);
            future_t *f = submit(ex, wait_to_be_cancelled, &v);
            gate_wait(&v.begun);
            ok(pthread_cancel(v.thread));
            left(f);
            fini_victim(&v);
            has_all_its_workers(ex, workers);
        }
        executor_destroy(ex);
    }
}

struct carrier {
    executor_t *ex;
    struct victim *v;
};

static void *carry(void *arg) {
    const struct carrier *carrier = arg;
    eq_err(outcome(submit(carrier->ex, wait_to_be_cancelled, carrier->v)), EOWNERDEAD);
    eq_ptr(take(submit(carrier->ex, identity, arg)), arg);
    return arg;
}

TEST(pthread_cancel, of_tasks_on_a_thread_that_is_cancelled_only_the_innermost_fails) {
    executor_t *ex = pool(1);
    for (int i = 0; i < WAITS; i++) {
        struct victim v;
        struct carrier carrier = {ex, &v};
        init_victim(&v, i);
        future_t *f = submit(ex, carry, &carrier);
        gate_wait(&v.begun);
        ok(pthread_cancel(v.thread));
        eq_ptr(take(f), &carrier);
        fini_victim(&v);
        has_all_its_workers(ex, 1);
    }
    executor_destroy(ex);
}

static void *which_thread(void *thread) {
    *(pthread_t *)thread = pthread_self();
    return NULL;
}

TEST(pthread_cancel, cancelling_a_worker_that_has_nothing_to_do_costs_at_most_one_task) {
    executor_t *ex = pool(1);
    for (int round = 0; round < 20; round++) {
        pthread_t worker;
        int failed = 0;
        ok(outcome(submit(ex, which_thread, &worker)));
        ok(pthread_cancel(worker));
        for (int i = 0; i < 3; i++) {
            int error = outcome(submit(ex, identity, ex));
            if (error)
                eq_err(error, EOWNERDEAD);
            failed += error != 0;
        }
        at_most(failed, 1);
        has_all_its_workers(ex, 1);
    }
    executor_destroy(ex);
}

struct outsider {
    future_t *f;
    atomic_int tid;
};

static void *wait_outside(void *arg) {
    struct outsider *o = arg;
    atomic_store(&o->tid, gettid());
    future_get(o->f, NULL);
    return NULL;
}

TEST(pthread_cancel, a_thread_from_outside_that_is_cancelled_in_a_wait_leaves_the_future_usable) {
    for (int round = 0; round < 30; round++) {
        struct plug plug = PLUG;
        executor_t *ex = pool(2);
        struct outsider o = {.f = plug_in(ex, &plug)};
        pthread_t thread = start(wait_outside, &o);
        if (round % 2)
            wait_until_asleep(&o.tid);
        pthread_cancel(thread);
        eq_ptr(finish(thread), PTHREAD_CANCELED);
        plug_out(&plug);
        eq_ptr(take(o.f), &plug);
        executor_destroy(ex);
    }
}
