/* test_callback_acts.c - what a callback of future_on_done may do: it holds no lock, and may unref, add, submit,
 * cancel, resolve and shut down. What it finishes calls its callbacks when it has returned, so that a long chain of
 * them does not grow the stack. */
#include "helpers.h"

#include <fcntl.h>

static void count_call(future_t *f, void *counter) {
    check(future_done(f));
    atomic_fetch_add((atomic_int *)counter, 1);
}

static int resolve(future_t *f) {
    return future_resolve(f, NULL, 0);
}

static int resolve_with_error(future_t *f) {
    return future_resolve(f, NULL, EIO);
}

/* ---- no lock is held ---- */

struct meeting {
    executor_t *ex;
    future_t *f, *other;
    struct gate inside, over; /* the callback has begun; somebody has used everything meanwhile */
    atomic_int calls;
};

static void wait_inside(future_t *f, void *arg) {
    struct meeting *m = arg;
    eq_ptr(f, m->f);
    gate_open(&m->inside);
    gate_wait(&m->over);
}

static void *use_everything(void *arg) {
    struct meeting *m = arg;
    future_t *never = promise();
    int fd;
    gate_wait(&m->inside);
    ok(future_wait(m->f, EXEC_NEVER));
    eq_err(future_cancel(m->f), EALREADY);
    ok(future_fd(m->f, &fd));
    ok(future_fd(m->other, &fd));
    ok(future_on_done(m->other, count_call, &m->calls));
    ok(outcome(submit(m->ex, identity, NULL)));
    eq_err(exec_wait((future_t *[]){never, m->other}, 2, 1, exec_after(EXEC_MS(1))), ETIMEDOUT);
    ok(resolve(m->other));
    ok(exec_wait((future_t *[]){never, m->other}, 2, 1, EXEC_NEVER));
    eq_int(atomic_load(&m->calls), 1);
    future_unref(never);
    gate_open(&m->over);
    return NULL;
}

TEST(callback_acts, no_lock_is_held_during_a_callback) {
    struct meeting meetings[20]; /* each may be in use until the executor has gone */
    executor_t *ex = pool(2);
    for (int i = 0; i < 20; i++) {
        struct plug plug = PLUG;
        struct meeting *m = &meetings[i];
        *m = (struct meeting){.ex = ex, .other = promise(), .inside = GATE(1), .over = GATE(1)};
        m->f = i % 2 ? promise() : plug_in(ex, &plug);
        ok(future_on_done(m->f, wait_inside, m));
        pthread_t thread = start(use_everything, m);
        if (i % 2)
            ok(resolve(m->f));
        else
            plug_out(&plug);
        finish(thread);
        future_unref(m->f), future_unref(m->other);
    }
    executor_destroy(ex);
}

/* ---- giving up the future ---- */

/* The one reference there is, which its first callback gives up. */
struct last {
    int fd;
    atomic_int frees, calls;
};

static void give_up(future_t *f, void *arg) {
    struct last *last = arg;
    enum future_state state = future_state(f);
    future_unref(f);
    eq_state(f, state);
    check(future_done(f));
    eq_int(atomic_load(&last->frees), 0);
    check(fcntl(last->fd, F_GETFD) >= 0);
    atomic_fetch_add(&last->calls, 1);
}

static void see_it_there(future_t *f, void *arg) {
    struct last *last = arg;
    eq_int(atomic_load(&last->calls), 1);
    eq_int(atomic_load(&last->frees), 0);
    check(future_done(f));
    atomic_fetch_add(&last->calls, 1);
}

static void prepare(future_t *f, struct last *last) {
    ok(future_fd(f, &last->fd));
    ok(future_on_done(f, give_up, last));
    ok(future_on_done(f, see_it_there, last));
}

static void gone(struct last *last) {
    eq_int(atomic_load(&last->calls), 2);
    eq_int(fcntl(last->fd, F_GETFD), -1);
}

TEST(callback_acts, a_callback_may_give_up_the_last_reference_and_the_future_stays_until_all_have_returned) {
    int (*const ways[])(future_t *) = {resolve, resolve_with_error, future_cancel};
    for (int i = 0; i < 3; i++) {
        struct last last = {0};
        future_t *f = promise();
        prepare(f, &last);
        ok(ways[i](f));
        gone(&last);
    }
    for (int i = 0; i < 20; i++) {
        struct plug plug = PLUG;
        struct last ran = {0}, revoked = {0};
        const exec_task_opts opts = {.free_result = count_drop};
        executor_t *ex = pool(1);
        future_t *first = plug_in(ex, &plug), *f = submit_opts(ex, identity, &ran.frees, &opts),
                 *second = submit_opts(ex, must_not_run, NULL, &opts);
        prepare(f, &ran), prepare(second, &revoked);
        ok(future_cancel(second));
        plug_out(&plug);
        future_unref(first);
        executor_destroy(ex);
        gone(&ran), gone(&revoked);
        eq_int(atomic_load(&ran.frees), 1);
    }
}

/* ---- adding, submitting, cancelling, shutting down ---- */

struct actor {
    executor_t *ex;
    future_t *other;
    atomic_int calls, ran, tid;
};

static void note_thread(future_t *f, void *arg) {
    struct actor *actor = arg;
    check(future_done(f));
    eq_int(atomic_load(&actor->tid), gettid());
    atomic_fetch_add(&actor->calls, 1);
}

static void add_more(future_t *f, void *arg) {
    struct actor *actor = arg;
    atomic_store(&actor->tid, gettid());
    for (int i = 0; i < 3; i++)
        ok(future_on_done(f, note_thread, actor));
    ok(future_on_done(actor->other, count_call, &actor->ran));
    atomic_fetch_add(&actor->calls, 1);
}

TEST(callback_acts, a_callback_may_add_others_to_its_own_future_and_to_one_that_is_pending) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    struct actor one = {.other = promise()}, two = {.other = one.other};
    future_t *f = promise(), *running = plug_in(ex, &plug);
    ok(future_on_done(f, add_more, &one));
    ok(future_on_done(running, add_more, &two));
    ok(resolve(f));
    eq_int(atomic_load(&one.calls), 4);
    plug_out(&plug);
    executor_destroy(ex);
    eq_int(atomic_load(&two.calls), 4);
    eq_int(atomic_load(&one.ran) + atomic_load(&two.ran), 0);
    ok(resolve(one.other));
    eq_int(atomic_load(&one.ran), 1);
    eq_int(atomic_load(&two.ran), 1);
    future_unref(f), future_unref(running), future_unref(one.other);
}

static void submit_three(future_t *f, void *arg) {
    struct actor *actor = arg;
    check(future_done(f));
    for (int i = 0; i < 3; i++)
        future_unref(submit(actor->ex, count_up, &actor->ran));
    atomic_fetch_add(&actor->calls, 1);
}

/* Also where its worker is the only one, which could never come to take anything from a full queue. */
TEST(callback_acts, a_callback_may_submit_on_a_worker_and_elsewhere) {
    for (int i = 0; i < 20; i++) {
        struct plug plug = PLUG;
        struct actor actor = {.ex = pool_of((executor_opts){.workers = 1, .capacity = 1})};
        future_t *running = plug_in(actor.ex, &plug), *f = promise();
        ok(future_on_done(running, submit_three, &actor));
        plug_out(&plug);
        wait_until(atomic_load(&actor.ran) == 3);
        ok(future_on_done(f, submit_three, &actor));
        ok(resolve(f));
        executor_destroy(actor.ex);
        eq_int(atomic_load(&actor.ran), 6);
        future_unref(running), future_unref(f);
    }
}

static void cancel_other(future_t *f, void *arg) {
    struct actor *actor = arg;
    check(future_done(f));
    bool runs = future_state(actor->other) == FUTURE_RUNNING;
    eq_err(future_cancel(actor->other), runs ? EINPROGRESS : 0);
    atomic_fetch_add(&actor->calls, 1);
}

static void *until_asked(void *started) {
    gate_open(started);
    wait_until(exec_cancelled());
    return exec_fail(ECANCELED);
}

TEST(callback_acts, a_callback_may_cancel_what_runs_and_what_does_not) {
    struct plug plug = PLUG;
    struct gate started = GATE(1);
    executor_t *ex = pool(2);
    future_t *first = plug_in(ex, &plug), *f = promise();
    struct actor one = {.other = submit(ex, until_asked, &started)}, two = {.other = submit(ex, must_not_run, NULL)};
    gate_wait(&started);
    ok(future_on_done(f, cancel_other, &two));
    ok(future_on_done(first, cancel_other, &one));
    ok(resolve(f));
    eq_state(two.other, FUTURE_CANCELLED);
    plug_out(&plug);
    eq_err(outcome(one.other), ECANCELED);
    executor_destroy(ex);
    eq_int(atomic_load(&one.calls), 1);
    eq_int(atomic_load(&two.calls), 1);
    future_unref(first), future_unref(f), future_unref(two.other);
}

static void shut_down(future_t *f, void *ex) {
    check(future_done(f));
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
}

TEST(callback_acts, a_callback_may_shut_its_executor_down) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug);
    future_t *f = submit_opts(ex, must_not_run, &drops, &(exec_task_opts){.drop = count_drop});
    ok(future_on_done(first, shut_down, ex));
    plug_out(&plug);
    ok(executor_join(ex, exec_after(LIMIT)));
    eq_int(atomic_load(&drops), 1);
    eq_err(outcome(f), ECANCELED);
    future_unref(first);
    executor_destroy(ex);
}

/* ---- chains ---- */

#ifdef TEST_UNDER_TSAN
enum { LONG = 10000 };
#else
enum { LONG = 100000 };
#endif

/* Futures each of which the callback of the one before finishes. */
static struct {
    future_t *fs[LONG];
    int (*end)(future_t *);
    int called;
    bool inside;
    uintptr_t low, high; /* where on the stack the callbacks were */
} chain;

static void end_next(future_t *f, void *number) {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    check(!chain.inside);
    chain.inside = true;
    chain.low = here < chain.low ? here : chain.low;
    chain.high = here > chain.high ? here : chain.high;
    int i = (int)(intptr_t)number;
    eq_int(chain.called++, i);
    eq_ptr(f, chain.fs[i]);
    if (i + 1 < LONG) {
        ok(chain.end(chain.fs[i + 1]));
        check(future_done(chain.fs[i + 1]));
        eq_int(chain.called, i + 1);
    }
    chain.inside = false;
}

/* The first one has been made to finish by `end` when this returns. */
static void run_chain(int (*end)(future_t *)) {
    chain.end = end;
    chain.called = 0;
    chain.low = UINTPTR_MAX, chain.high = 0;
    for (intptr_t i = 0; i < LONG; i++)
        ok(future_on_done(chain.fs[i], end_next, (void *)i));
    ok(end(chain.fs[0]));
    eq_int(chain.called, LONG);
    at_most(chain.high - chain.low, 4096);
    for (int i = 0; i < LONG; i++)
        future_unref(chain.fs[i]);
}

TEST(callback_acts, a_long_chain_of_promises_finishes_one_after_the_other_on_the_same_stack) {
    int (*const ways[])(future_t *) = {resolve, resolve_with_error, future_cancel};
    for (int way = 0; way < 3; way++) {
        for (int i = 0; i < LONG; i++)
            chain.fs[i] = promise();
        run_chain(ways[way]);
    }
}

TEST(callback_acts, a_long_chain_of_tasks_is_cancelled_one_after_the_other_on_the_same_stack) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = LONG});
    future_t *first = plug_in(ex, &plug);
    for (int i = 0; i < LONG; i++)
        chain.fs[i] = submit_opts(ex, must_not_run, &drops, &(exec_task_opts){.drop = count_drop});
    run_chain(future_cancel);
    eq_int(atomic_load(&drops), LONG);
    plug_out(&plug);
    future_unref(first);
    executor_destroy(ex);
}

struct relay {
    executor_t *ex;
    uintptr_t low, high;
    atomic_int left;
};

static void pass_on(future_t *f, void *arg) {
    struct relay *relay = arg;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    relay->low = here < relay->low ? here : relay->low;
    relay->high = here > relay->high ? here : relay->high;
    future_unref(f);
    if (atomic_fetch_sub(&relay->left, 1) > 1)
        ok(future_on_done(submit(relay->ex, identity, NULL), pass_on, relay));
}

TEST(callback_acts, a_long_chain_of_callbacks_that_submit_stays_on_the_same_stack) {
    struct plug plug = PLUG;
    struct relay relay = {.ex = pool(1), .low = UINTPTR_MAX, .left = LONG};
    future_t *first = plug_in(relay.ex, &plug);
    ok(future_on_done(first, pass_on, &relay));
    plug_out(&plug);
    wait_until(atomic_load(&relay.left) == 0);
    executor_destroy(relay.ex);
    at_most(relay.high - relay.low, 4096);
}

/* ---- what a callback finishes comes after it ---- */

enum { FAN = 1000 };

struct fan {
    future_t *fs[FAN];
    bool inside;
    int called;
};

static void see_the_first_returned(future_t *f, void *arg) {
    struct fan *fan = arg;
    check(future_done(f));
    check(!fan->inside);
    fan->called++;
}

static void end_all(future_t *f, void *arg) {
    struct fan *fan = arg;
    check(future_done(f));
    fan->inside = true;
    for (int i = 0; i < FAN; i++) {
        ok(i % 2 ? future_cancel(fan->fs[i]) : resolve(fan->fs[i]));
        check(future_done(fan->fs[i]));
    }
    eq_int(fan->called, 0);
    fan->inside = false;
}

/* `late`: the callback is added when its future has finished. */
static void finish_all_in_callback(bool late) {
    static struct fan fan;
    future_t *f = promise();
    fan.called = 0;
    for (int i = 0; i < FAN; i++) {
        fan.fs[i] = promise();
        ok(future_on_done(fan.fs[i], see_the_first_returned, &fan));
        ok(future_on_done(fan.fs[i], see_the_first_returned, &fan));
    }
    if (late)
        ok(resolve(f));
    ok(future_on_done(f, end_all, &fan));
    if (!late)
        ok(resolve(f));
    eq_int(fan.called, 2 * FAN);
    for (int i = 0; i < FAN; i++)
        future_unref(fan.fs[i]);
    future_unref(f);
}

TEST(callback_acts, the_callbacks_of_what_a_callback_finishes_are_called_when_it_has_returned) {
    finish_all_in_callback(false);
}

TEST(callback_acts, the_callbacks_of_what_a_late_callback_finishes_are_called_when_it_has_returned) {
    finish_all_in_callback(true);
}
