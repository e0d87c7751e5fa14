/* test_after_end.c - tasks that depend on others (.after) and never start: because a prerequisite failed or was
 * cancelled, because they are cancelled themselves, or because their executor is shut down. */
#include "after.h"

/* ---- ways for a prerequisite not to succeed ---- */

struct trouble {
    executor_t *ex; /* of the dependents; of the prerequisite as well, unless it must be another one */
    atomic_int drops;
};

static void *until_asked(void *started) {
    gate_open(started);
    wait_until(exec_cancelled());
    return exec_fail(ECANCELED);
}

/* Two that depend on f, and one on one of them, end as it did; f is given back. */
static void passes_down(struct trouble *t, future_t *f, int error) {
    future_t *fs[3] = {doomed_after(t->ex, &t->drops, f), doomed_after(t->ex, &t->drops, f)};
    fs[2] = submit_opts(t->ex, must_not_run, &t->drops, &(exec_task_opts){AFTER(fs[0], f), .drop = count_drop});
    for (int i = 0; i < 3; i++) {
        await_elsewhere(fs[i]);
        eq_state(fs[i], error == ECANCELED ? FUTURE_CANCELLED : FUTURE_FAILED);
        eq_err(outcome(fs[i]), error);
    }
    wait_until(atomic_load(&t->drops) == 3);
    atomic_store(&t->drops, 0);
    future_unref(f);
}

TEST(after_end, what_comes_after_a_task_that_failed_or_was_cancelled_ends_in_the_same_way) {
    struct trouble t = {.ex = pool(1)};
    for (int i = 0; i < 10; i++) {
        struct plug plug = PLUG;
        struct gate started = GATE(1);
        passes_down(&t, submit(t.ex, fail_with, as_error(EIO)), EIO);
        passes_down(&t, submit(t.ex, fail_with, as_error(ECANCELED)), ECANCELED);
        passes_down(&t, submit(t.ex, leave, NULL), EOWNERDEAD);
        future_t *asked = submit(t.ex, until_asked, &started);
        gate_wait(&started);
        eq_err(future_cancel(asked), EINPROGRESS);
        passes_down(&t, asked, ECANCELED);
        future_t *first = plug_in(t.ex, &plug), *cancelled = submit(t.ex, must_not_run, NULL);
        ok(future_cancel(cancelled));
        passes_down(&t, cancelled, ECANCELED);
        plug_out(&plug);
        take(first);
    }
    executor_destroy(t.ex);
}

TEST(after_end, what_comes_after_a_promise_that_failed_or_was_cancelled_ends_in_the_same_way) {
    struct trouble t = {.ex = pool(1)};
    const int errors[] = {EIO, ECANCELED, ECANCELED}; /* the last one by future_cancel() */
    for (int i = 0; i < 3; i++) {
        future_t *p = promise();
        ok(i == 2 ? future_cancel(p) : future_resolve(p, NULL, errors[i]));
        passes_down(&t, p, errors[i]);
    }
    executor_destroy(t.ex);
}

TEST(after_end, what_comes_after_a_task_that_a_full_queue_dropped_is_cancelled) {
    struct plug plug = PLUG;
    struct trouble t = {.ex = pool(1)};
    executor_t *full = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_DROP_OLDEST});
    future_t *first = plug_in(full, &plug), *oldest = submit(full, must_not_run, NULL);
    future_t *f = doomed_after(t.ex, &t.drops, oldest);
    is_held(f);
    future_t *newest = submit(full, identity, NULL);
    await_elsewhere(f);
    eq_err(outcome(f), ECANCELED);
    plug_out(&plug);
    executor_destroy(full);
    executor_destroy(t.ex);
    eq_int(atomic_load(&t.drops), 1);
    future_unref(first), future_unref(oldest), future_unref(newest);
}

TEST(after_end, what_comes_after_a_task_of_an_executor_that_discards_is_cancelled) {
    struct plug plug = PLUG;
    struct trouble t = {.ex = pool(1)};
    executor_t *other = pool(1);
    future_t *first = plug_in(other, &plug), *discarded = submit(other, must_not_run, NULL);
    future_t *f = doomed_after(t.ex, &t.drops, discarded), *good = submit_after(t.ex, identity, NULL, first);
    ok(executor_shutdown(other, EXECUTOR_DISCARD));
    await_elsewhere(f);
    eq_err(outcome(f), ECANCELED);
    is_held(good);
    plug_out(&plug);
    ok(outcome(good));
    executor_destroy(other);
    executor_destroy(t.ex);
    eq_int(atomic_load(&t.drops), 1);
    future_unref(first), future_unref(discarded);
}

/* ---- at once, and with which error ---- */

TEST(after_end, it_ends_at_once_and_need_not_wait_for_the_other_prerequisites) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *first = plug_in(ex, &plug), *p = promise(), *never = promise(), *done = promise();
    const exec_task_opts opts = {AFTER(done, never, p, first), .drop = count_drop};
    fulfil(done);
    future_t *f = submit_opts(ex, must_not_run, &drops, &opts);
    is_held(f);
    ok(future_resolve(p, NULL, EIO));
    check(future_done(f));
    eq_int(atomic_load(&drops), 1);
    future_t *late = submit_opts(ex, must_not_run, &drops, &opts);
    check(future_done(late));
    eq_int(atomic_load(&drops), 2);
    eq_err(outcome(late), EIO);
    ok(future_resolve(never, NULL, EPERM));
    eq_err(outcome(f), EIO);
    plug_out(&plug);
    future_unref(first), future_unref(p), future_unref(never), future_unref(done);
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 2);
}

static void note_error(future_t *f, void *error) {
    atomic_store((atomic_int *)error, future_get(f, NULL));
}

TEST(after_end, everyone_who_waits_for_it_learns_that_it_ended) {
    atomic_int drops = 0, error = 0;
    executor_t *ex = pool(1);
    future_t *p = promise(), *f = doomed_after(ex, &drops, p), *g = doomed_after(ex, &drops, f);
    struct pollfd poll_it = {.events = POLLIN};
    ok(future_fd(g, &poll_it.fd));
    ok(future_on_done(g, note_error, &error));
    eq_int(poll(&poll_it, 1, 0), 0);
    ok(future_resolve(p, NULL, ENOENT));
    eq_int(poll(&poll_it, 1, 0), 1);
    eq_err(atomic_load(&error), ENOENT);
    ok(exec_wait((future_t *[]){f, g}, 2, 2, EXEC_NOW));
    eq_int(atomic_load(&drops), 2);
    future_unref(p), future_unref(f), future_unref(g);
    executor_destroy(ex);
}

/* What .drop sees of the future of its task, which never runs. */
struct view {
    future_t *f;
    atomic_int drops;
};

static void look_from_drop(void *arg) {
    struct view *view = arg;
    check(future_state(view->f) != FUTURE_RUNNING);
    int error = future_cancel(view->f);
    if (error)
        eq_err(error, EALREADY);
    check(future_done(view->f));
    atomic_fetch_add(&view->drops, 1);
}

TEST(after_end, while_it_is_dropped_it_has_finished_and_does_not_run) {
    const int errors[] = {EIO, ECANCELED};
    executor_t *ex = pool(1);
    for (int i = 0; i < 2; i++) {
        future_t *p = promise();
        struct view view = {0};
        view.f = submit_opts(ex, must_not_run, &view, &(exec_task_opts){AFTER(p), .drop = look_from_drop});
        ok(future_resolve(p, NULL, errors[i]));
        eq_int(atomic_load(&view.drops), 1);
        eq_err(outcome(view.f), errors[i]);
        future_unref(p);
    }
    executor_destroy(ex);
}

/* ---- down a graph ---- */

enum { NODES = 2000 };

struct fate {
    future_t *f;
    atomic_int runs, drops;
};

static void *fate_run(void *arg) {
    atomic_fetch_add(&((struct fate *)arg)->runs, 1);
    return NULL;
}

static void fate_drop(void *arg) {
    atomic_fetch_add(&((struct fate *)arg)->drops, 1);
}

/* The even ones come after `bad`, directly or through others, and after some of the odd ones; those come after `good`
 * alone. */
static void grow(struct fate *all, executor_t *const exs[2], future_t *bad, future_t *good, unsigned random) {
    for (unsigned i = 0; i < NODES; i++, random = random * 1103515245 + 12345) {
        future_t *root = i % 2 ? good : bad;
        future_t *own = i < 2 ? root : all[i % 2 + (random >> 8) % (i / 2) * 2].f;
        future_t *any = i < 2 || i % 2 ? own : all[(random >> 4) % i].f;
        const exec_task_opts opts = {AFTER(any, own), .drop = fate_drop};
        all[i].f = submit_opts(exs[i / 3 % 2], fate_run, &all[i], &opts);
    }
}

static void ends_as_its_root(struct fate *fate, int error) {
    eq_err(outcome(fate->f), error);
    eq_int(atomic_load(&fate->runs), error == 0);
    wait_until(atomic_load(&fate->drops) == (error != 0));
}

TEST(after_end, a_failure_passes_down_the_whole_graph_and_no_farther) {
    executor_t *exs[2] = {pool(1), pool(2)};
    for (unsigned round = 0; round < 8; round++) {
        struct fate *all = calloc(NODES, sizeof *all);
        future_t *bad = promise(), *good = promise();
        int error = round % 2 ? EIO : ECANCELED;
        if (round < 4)
            ok(future_resolve(bad, NULL, error));
        grow(all, exs, bad, good, round);
        fulfil(good);
        if (round >= 4)
            ok(future_resolve(bad, NULL, error));
        for (int i = 0; i < NODES; i++)
            ends_as_its_root(&all[i], i % 2 ? 0 : error);
        future_unref(bad), future_unref(good);
        free(all);
    }
    executor_destroy(exs[0]), executor_destroy(exs[1]);
}

static void *break_it(void *f) {
    ok(future_resolve(f, NULL, EIO));
    return NULL;
}

static void *cancel_it(void *f) {
    ok(future_cancel(f));
    return NULL;
}

TEST(after_end, a_chain_of_a_hundred_thousand_ends_on_little_stack) {
    void *(*const ways[])(void *) = {break_it, cancel_it};
    for (int i = 0; i < 4; i++) {
        atomic_int drops = 0;
        executor_t *ex = shallow_pool(1);
        future_t *head = promise(), *last = future_ref(head), *by_worker = NULL;
        for (int j = 0; j < LONG; j++) {
            future_t *next = doomed_after(ex, &drops, last);
            future_unref(last);
            last = next;
        }
        if (i < 2)
            on_little_stack(ways[i], head);
        else
            await_elsewhere(by_worker = submit(ex, ways[i - 2], head));
        await_elsewhere(last);
        eq_err(outcome(last), i % 2 ? ECANCELED : EIO);
        wait_until(atomic_load(&drops) == LONG);
        future_unref(head), future_unref(by_worker);
        executor_destroy(ex);
        eq_int(atomic_load(&drops), LONG);
    }
}

TEST(after_end, a_hundred_thousand_that_wait_for_the_same_one_end_with_it) {
    void *(*const ways[])(void *) = {break_it, cancel_it};
    for (int i = 0; i < 2; i++) {
        atomic_int drops = 0;
        executor_t *ex = shallow_pool(1);
        future_t *head = promise();
        for (int j = 0; j < LONG; j++)
            future_unref(doomed_after(ex, &drops, head));
        on_little_stack(ways[i], head);
        eq_int(atomic_load(&drops), LONG);
        future_unref(head);
        executor_destroy(ex);
    }
}

/* ---- cancelling one that is held ---- */

TEST(after_end, a_held_task_can_be_cancelled_and_with_it_what_comes_after_it) {
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *p = promise(), *f = doomed_after(ex, &drops, p), *g = doomed_after(ex, &drops, f);
    future_t *beside = submit_after(ex, identity, ex, p);
    ok(future_cancel(f));
    eq_state(f, FUTURE_CANCELLED);
    eq_state(g, FUTURE_CANCELLED);
    eq_int(atomic_load(&drops), 2);
    ok(future_cancel(f));
    ok(future_cancel(g));
    eq_state(p, FUTURE_PENDING);
    is_held(beside);
    fulfil(p);
    eq_ptr(take(beside), ex);
    eq_err(outcome(f), ECANCELED);
    eq_err(outcome(g), ECANCELED);
    future_unref(p);
    executor_destroy(ex);
    eq_int(atomic_load(&drops), 2);
}

TEST(after_end, a_chain_of_a_hundred_thousand_is_cancelled_from_its_first_task) {
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *never = promise(), *first = doomed_after(ex, &drops, never), *last = future_ref(first);
    for (int i = 1; i < LONG; i++) {
        future_t *next = doomed_after(ex, &drops, last);
        future_unref(last);
        last = next;
    }
    on_little_stack(cancel_it, first);
    eq_int(atomic_load(&drops), LONG);
    eq_err(outcome(last), ECANCELED);
    future_unref(first), future_unref(never);
    executor_destroy(ex);
}

static void *fulfil_it(void *f) {
    fulfil(f);
    return NULL;
}

TEST(after_end, one_that_is_cancelled_while_its_prerequisite_ends_runs_or_is_dropped) {
    executor_t *ex = pool(2);
    for (int i = 0; i < 1000; i++) {
        struct fate fate = {0};
        future_t *p = promise();
        fate.f = submit_opts(ex, fate_run, &fate, &(exec_task_opts){AFTER(p), .drop = fate_drop});
        future_t *end = submit(ex, i % 2 ? break_it : fulfil_it, p);
        int cancelled = future_cancel(fate.f), error = outcome(fate.f);
        if (cancelled == 0)
            eq_err(error, ECANCELED);
        await_elsewhere(end);
        ok(outcome(end));
        wait_until(atomic_load(&fate.runs) + atomic_load(&fate.drops) > 0);
        eq_int(atomic_load(&fate.runs), error == 0);
        eq_int(atomic_load(&fate.drops), error != 0);
        future_unref(p);
    }
    executor_destroy(ex);
}

/* ---- shutdown ---- */

TEST(after_end, a_drain_waits_for_held_tasks_and_runs_them) {
    atomic_int ran = 0;
    executor_t *ex = pool(2);
    future_t *p = promise(), *f = submit_after(ex, count_up, &ran, p), *g = submit_after(ex, count_up, &ran, f);
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    eq_err(executor_submit(ex, must_not_run, NULL, &(exec_task_opts){AFTER(f), .drop = must_not_free}, NULL),
           ESHUTDOWN);
    eq_err(executor_join(ex, exec_after(EXEC_MS(5))), ETIMEDOUT);
    eq_int(atomic_load(&ran), 0);
    is_held(f), is_held(g);
    fulfil(p);
    ok(executor_join(ex, exec_after(LIMIT)));
    eq_int(atomic_load(&ran), 2);
    ok(outcome(f));
    ok(outcome(g));
    future_unref(p);
    executor_destroy(ex);
}

struct destroying {
    executor_t *ex;
    atomic_int tid;
};

static void *destroy_it(void *arg) {
    struct destroying *d = arg;
    atomic_store(&d->tid, gettid());
    executor_destroy(d->ex);
    return NULL;
}

TEST(after_end, destroying_an_executor_waits_for_held_tasks) {
    const int errors[] = {0, EIO, ECANCELED};
    for (int i = 0; i < 3; i++) {
        struct fate fate = {0};
        struct destroying d = {.ex = pool(1 + (unsigned)i % 2)};
        future_t *p = promise();
        fate.f = submit_opts(d.ex, fate_run, &fate, &(exec_task_opts){AFTER(p), .drop = fate_drop});
        pthread_t thread = start(destroy_it, &d);
        wait_until_asleep(&d.tid);
        eq_state(fate.f, FUTURE_PENDING);
        ok(future_resolve(p, NULL, errors[i]));
        finish(thread);
        eq_int(atomic_load(&fate.runs), errors[i] == 0);
        eq_int(atomic_load(&fate.drops), errors[i] != 0);
        eq_err(outcome(fate.f), errors[i]);
        future_unref(p);
    }
}

TEST(after_end, discarding_cancels_held_tasks) {
    for (int after_drain = 0; after_drain < 2; after_drain++) {
        atomic_int drops = 0;
        executor_t *ex = pool(1), *other = pool(1);
        future_t *p = promise(), *fs[100], *elsewhere;
        for (int i = 0; i < 100; i++)
            fs[i] = doomed_after(ex, &drops, i % 3 ? fs[i - 1] : p);
        elsewhere = doomed_after(other, &drops, fs[99]);
        if (after_drain)
            ok(executor_shutdown(ex, EXECUTOR_DRAIN));
        ok(executor_shutdown(ex, EXECUTOR_DISCARD));
        ok(executor_join(ex, exec_after(LIMIT)));
        eq_int(atomic_load(&drops), 101);
        for (int i = 0; i < 100; i++)
            eq_err(outcome(fs[i]), ECANCELED);
        eq_err(outcome(elsewhere), ECANCELED);
        executor_destroy(ex);
        fulfil(p);
        future_unref(p);
        executor_destroy(other);
        eq_int(atomic_load(&drops), 101);
    }
}

TEST(after_end, an_executor_that_was_shut_down_is_reported_first) {
    executor_t *ex = pool(1);
    future_t *p = promise(), *failed = promise();
    ok(future_resolve(failed, NULL, EIO));
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    future_t *const each[] = {p, failed};
    for (int i = 0; i < 2; i++) {
        future_t *f = p;
        const exec_task_opts opts = {AFTER(each[i]), .drop = must_not_free};
        eq_err(executor_submit(ex, must_not_run, NULL, &opts, &f), ESHUTDOWN);
        eq_ptr(f, p);
    }
    fulfil(p);
    future_unref(p), future_unref(failed);
    executor_destroy(ex);
}
