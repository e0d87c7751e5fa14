/* test_limiter_end.c - how tasks end that a limiter holds back: deadlines, cancellation, groups, shutdown; what becomes
 * of the limiter; and waiting for them in tasks. */
#include "limiters.h"

#include "child.h"

/* A limiter whose only permit is out, and an executor with one worker. */
struct scene {
    executor_t *ex;
    exec_limiter_t *l;
    exec_permit permit;
    atomic_int drops;
};

static void open_scene(struct scene *s) {
    *s = (struct scene){.ex = pool(1), .l = at_once(1)};
    s->permit = permit_of(s->l);
}

/* Gives the permit back, and sees that the next one gets it. */
static void close_scene(struct scene *s, int drops) {
    if (s->permit.in_flight > 0) {
        eq_int(exec_limiter_in_flight(s->l), 1);
        give_back(s->l, &s->permit);
    }
    executor_t *other = pool(1);
    eq_ptr(take(limited(other, identity, other, s->l)), other);
    executor_destroy(other);
    executor_destroy(s->ex);
    eq_int(atomic_load(&s->drops), drops);
    end_limiter(s->l);
}

/* ---- alone ---- */

TEST(limiter_end, at_its_deadline_one_that_is_held_back_ends) {
    struct scene s;
    exec__clock_move(0, 0);
    open_scene(&s);
    exec_task_opts opts = {.limiter = s.l, .deadline = exec_after(HOUR), .drop = count_drop};
    future_t *f = submit_opts(s.ex, must_not_run, &s.drops, &opts), *behind = limited(s.ex, identity, s.ex, s.l);
    exec__clock_move(HOUR - 1, 0);
    run_through(s.ex);
    eq_state(f, FUTURE_PENDING);
    exec__clock_move(1, 0);
    await_end(f, ETIMEDOUT);
    comes_to(&s.drops, 1);
    give_back(s.l, &s.permit);
    s.permit.in_flight = 0;
    eq_ptr(take(behind), s.ex);
    exec__clock_release();
    close_scene(&s, 1);
}

TEST(limiter_end, one_that_is_cancelled_while_held_back_has_never_asked) {
    struct scene s;
    open_scene(&s);
    future_t *first = doomed(s.ex, &s.drops, s.l), *f = limited(s.ex, identity, s.ex, s.l),
             *last = doomed(s.ex, &s.drops, s.l);
    ok(future_cancel(last));
    ok(future_cancel(first));
    eq_int(atomic_load(&s.drops), 2);
    ok(future_cancel(first));
    eq_err(outcome(first), ECANCELED);
    eq_err(outcome(last), ECANCELED);
    eq_state(f, FUTURE_PENDING);
    give_back(s.l, &s.permit);
    s.permit.in_flight = 0;
    eq_ptr(take(f), s.ex);
    close_scene(&s, 2);
}

TEST(limiter_end, one_that_was_let_through_and_is_cancelled_before_it_runs_gives_room_back) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1), *other = pool(1);
    exec_limiter_t *l = at_once(1);
    future_t *plugging = plug_in(ex, &plug), *f = doomed(ex, &drops, l), *g = limited(other, identity, other, l);
    eq_int(exec_limiter_in_flight(l), 1);
    eq_state(g, FUTURE_PENDING);
    ok(future_cancel(f));
    eq_ptr(take(g), other);
    plug_out(&plug);
    take(plugging);
    future_unref(f);
    executor_destroy(ex);
    executor_destroy(other);
    eq_int(atomic_load(&drops), 1);
    end_limiter(l);
}

TEST(limiter_end, one_that_times_out_after_it_was_let_through_gives_room_back) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    exec__clock_move(0, 0);
    executor_t *ex = pool(1);
    exec_limiter_t *l = limiter_of((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD, .initial = 1});
    future_t *plugging = plug_in(ex, &plug);
    exec_task_opts opts = {.limiter = l, .deadline = exec_after(HOUR), .drop = count_drop};
    future_t *f = submit_opts(ex, must_not_run, &drops, &opts);
    eq_int(exec_limiter_in_flight(l), 1);
    exec__clock_move(HOUR, 0);
    await_end(f, ETIMEDOUT);
    eq_int(exec_limiter_in_flight(l), 0);
    eq_int(exec_limiter_limit(l), 1); /* it was not the service that was overrun */
    plug_out(&plug);
    take(plugging);
    executor_destroy(ex);
    exec__clock_release();
    eq_int(atomic_load(&drops), 1);
    end_limiter(l);
}

TEST(limiter_end, one_that_waits_for_its_next_attempt_is_cancelled_and_not_dropped) {
    struct scene s;
    open_scene(&s);
    exec_limiter_release(s.l, &s.permit, 0);
    exec_task_opts opts = {.limiter = s.l, .drop = must_not_free, .retry = {.attempts = 2, .delay = 1}};
    struct plug plug = PLUG;
    future_t *f = submit_opts(s.ex, fail_with, as_error(EIO), &opts);
    await_end(f, EIO);
    opts.retry = (exec_retry){.attempts = 2, .delay = HOUR, .max_delay = HOUR};
    f = submit_opts(s.ex, fail_with, as_error(EIO), &opts);
    future_t *plugging = limited(s.ex, plug_task, &plug, s.l); /* runs between the two */
    gate_wait(&plug.started);
    ok(future_cancel(f));
    eq_err(outcome(f), ECANCELED);
    plug_out(&plug);
    take(plugging);
    s.permit.in_flight = 0;
    close_scene(&s, 0);
}

/* ---- as members of groups ---- */

TEST(limiter_end, a_group_is_cancelled_while_its_members_are_held_back) {
    struct scene s;
    open_scene(&s);
    for (size_t max_running = 0; max_running < 3; max_running++) {
        exec_group_t *g = group_of(s.ex, (exec_group_opts){.max_running = max_running});
        exec_task_opts opts = {.limiter = s.l, .drop = count_drop};
        for (int i = 0; i < 5; i++)
            ok(exec_group_submit(g, must_not_run, &s.drops, &opts, NULL));
        exec_group_cancel(g);
        eq_err(exec_group_wait(g, EXEC_NEVER), ECANCELED);
        eq_int(atomic_load(&s.drops), 5 * ((int)max_running + 1));
        eq_err(exec_group_close(g), ECANCELED);
    }
    close_scene(&s, 15);
}

TEST(limiter_end, a_member_that_is_cancelled_while_held_back_leaves_its_room_in_the_group_to_others) {
    struct scene s;
    open_scene(&s);
    exec_group_t *g = group_of(s.ex, (exec_group_opts){.max_running = 1});
    future_t *f = member_opts(g, must_not_run, &s.drops, &(exec_task_opts){.limiter = s.l, .drop = count_drop});
    future_t *behind = member(g, identity, g);
    run_through(s.ex);
    eq_state(behind, FUTURE_PENDING);
    ok(future_cancel(f));
    await_elsewhere(behind);
    eq_ptr(take(behind), g);
    future_unref(f);
    eq_err(exec_group_close(g), ECANCELED);
    close_scene(&s, 1);
}

TEST(limiter_end, the_deadline_of_a_group_ends_members_that_are_held_back) {
    struct scene s;
    open_scene(&s);
    exec_group_t *g = group_of(s.ex, (exec_group_opts){.deadline = exec_after(EXEC_MS(20))});
    exec_task_opts opts = {.limiter = s.l, .drop = count_drop};
    int n = 0;
    while (n < 3 && exec_group_submit(g, must_not_run, &s.drops, &opts, NULL) == 0)
        n++;
    int error = exec_group_wait(g, EXEC_NEVER);
    eq_err(error, n > 0 ? ETIMEDOUT : 0);
    eq_err(exec_group_close(g), error);
    close_scene(&s, n < 3 ? n + 1 : 3);
}

static void *give_back_soon(void *arg) {
    struct scene *s = arg;
    give_back(s->l, &s->permit);
    return NULL;
}

TEST(limiter_end, closing_a_group_waits_for_members_that_are_held_back) {
    atomic_int ran = 0;
    for (size_t max_running = 0; max_running < 3; max_running++) {
        struct scene s;
        open_scene(&s);
        exec_group_t *g = group_of(s.ex, (exec_group_opts){.max_running = max_running});
        for (int i = 0; i < 5; i++)
            ok(exec_group_submit(g, count_up, &ran, &(exec_task_opts){.limiter = s.l}, NULL));
        eq_err(exec_group_wait(g, EXEC_NOW), ETIMEDOUT);
        pthread_t thread = start(give_back_soon, &s);
        ok(exec_group_close(g));
        eq_int(atomic_load(&ran), 5 * ((int)max_running + 1));
        finish(thread);
        s.permit.in_flight = 0;
        close_scene(&s, 0);
    }
}

/* ---- shutting down ---- */

TEST(limiter_end, a_discard_cancels_those_that_are_held_back) {
    struct scene s;
    open_scene(&s);
    future_t *fs[3];
    for (int i = 0; i < 3; i++)
        fs[i] = doomed(s.ex, &s.drops, s.l);
    ok(executor_shutdown(s.ex, EXECUTOR_DISCARD));
    ok(executor_join(s.ex, EXEC_NEVER));
    for (int i = 0; i < 3; i++)
        eq_err(outcome(fs[i]), ECANCELED);
    close_scene(&s, 3);
}

TEST(limiter_end, a_drain_waits_for_those_that_are_held_back) {
    struct scene s;
    open_scene(&s);
    future_t *fs[3];
    for (int i = 0; i < 3; i++)
        fs[i] = limited(s.ex, identity, &s, s.l);
    ok(executor_shutdown(s.ex, EXECUTOR_DRAIN));
    eq_err(executor_submit(s.ex, must_not_run, NULL, &(exec_task_opts){.limiter = s.l}, NULL), ESHUTDOWN);
    eq_err(executor_join(s.ex, exec_after(EXEC_MS(5))), ETIMEDOUT);
    eq_state(fs[0], FUTURE_PENDING);
    give_back(s.l, &s.permit);
    ok(executor_join(s.ex, EXEC_NEVER));
    for (int i = 0; i < 3; i++)
        eq_ptr(take(fs[i]), &s);
    s.permit.in_flight = 0;
    close_scene(&s, 0);
}

TEST(limiter_end, a_drain_ends_a_schedule_whose_next_run_is_held_back) {
    struct scene s;
    open_scene(&s);
    exec_task_opts opts = {.limiter = s.l, .every = EXEC_MS(1), .drop = count_drop};
    future_t *f = submit_opts(s.ex, must_not_run, &s.drops, &opts);
    ok(executor_shutdown(s.ex, EXECUTOR_DRAIN));
    ok(executor_join(s.ex, EXEC_NEVER));
    eq_err(outcome(f), ECANCELED);
    close_scene(&s, 1);
}

TEST(limiter_end, an_executor_is_destroyed_while_others_wait_for_the_same_tokens) {
    exec__clock_move(0, 0);
    executor_t *ex = pool(1), *other = pool(1);
    exec_limiter_t *l = one_an_hour(1);
    atomic_int drops = 0;
    exec_permit permit = permit_of(l);
    give_back(l, &permit);
    future_t *first = doomed(ex, &drops, l), *second = limited(other, identity, other, l);
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    executor_destroy(ex);
    exec__clock_move(HOUR, 0);
    eq_ptr(take(second), other);
    eq_err(outcome(first), ECANCELED);
    executor_destroy(other);
    exec__clock_release();
    eq_int(atomic_load(&drops), 1);
    end_limiter(l);
}

/* ---- the limiter's end ---- */

TEST(limiter_end, tasks_keep_a_limiter_that_was_destroyed) {
    atomic_int ran = 0, drops = 0;
    executor_t *ex = pool(1);
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    for (int i = 0; i < 10; i++)
        ok(executor_submit(ex, count_up, &ran, &(exec_task_opts){.limiter = l}, NULL));
    future_t *f = doomed(ex, &drops, l), *kept = limited(ex, identity, ex, l);
    exec_limiter_destroy(l);
    ok(future_cancel(f));
    future_unref(f);
    give_back(l, &permit);
    eq_ptr(take(kept), ex);
    executor_destroy(ex);
    eq_int(atomic_load(&ran), 10);
    eq_int(atomic_load(&drops), 1);
}

TEST(limiter_end, tasks_that_wait_for_tokens_keep_it_too) {
    atomic_int ran = 0;
    exec__clock_move(0, 0);
    executor_t *ex = pool(1);
    exec_limiter_t *l = one_an_hour(1);
    for (int i = 0; i < 3; i++)
        ok(executor_submit(ex, count_up, &ran, &(exec_task_opts){.limiter = l}, NULL));
    exec_limiter_destroy(l);
    for (int i = 1; i <= 3; i++) {
        wait_until(atomic_load(&ran) == i);
        exec__clock_move(HOUR, 0);
    }
    executor_destroy(ex);
    exec__clock_release();
}

TEST(limiter_end, what_is_not_accepted_leaves_the_limiter_alone) {
    executor_t *ex = pool(1);
    exec_limiter_t *l = at_once(1);
    future_t *none = NULL;
    exec_task_opts opts = {.limiter = l, .drop = must_not_free};
    eq_err(executor_submit(ex, NULL, NULL, &opts, NULL), EINVAL);
    opts.room_wait = -1;
    eq_err(executor_submit(ex, must_not_run, NULL, &opts, NULL), EINVAL);
    opts = (exec_task_opts){.limiter = l, .drop = must_not_free, .after = &none, .nafter = 1};
    eq_err(executor_submit(ex, must_not_run, NULL, &opts, NULL), EINVAL);
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    opts = (exec_task_opts){.limiter = l, .drop = must_not_free};
    eq_err(executor_submit(ex, must_not_run, NULL, &opts, NULL), ESHUTDOWN);
    executor_destroy(ex);
    end_limiter(l);
}

/* ---- waiting in tasks, with one worker ---- */

struct waiter {
    struct scene *s;
    struct gate begun;
    size_t max_running;
    atomic_int ran;
    pthread_t thread;
    int (*wait)(struct waiter *, future_t *);
};

static int get_it(struct waiter *w, future_t *f) {
    (void)w;
    return future_get(f, NULL);
}

static int wait_with_deadline(struct waiter *w, future_t *f) {
    (void)w;
    eq_err(future_wait(f, exec_after(EXEC_MS(1))), ETIMEDOUT);
    gate_open(&w->begun);
    return future_wait(f, exec_after(LIMIT));
}

static int wait_for_any(struct waiter *w, future_t *f) {
    future_t *never = promise(), *fs[] = {never, f};
    gate_open(&w->begun);
    int error = exec_wait(fs, 2, 1, EXEC_NEVER);
    future_unref(never);
    return error;
}

static void *wait_for_one_held_back(void *arg) {
    struct waiter *w = arg;
    future_t *f = limited(w->s->ex, count_up, &w->ran, w->s->l);
    if (w->wait == get_it)
        gate_open(&w->begun);
    int error = w->wait(w, f);
    future_unref(f);
    return error ? exec_fail(error) : w;
}

TEST(limiter_end, a_task_waits_for_one_that_is_held_back) {
    int (*const waits[])(struct waiter *, future_t *) = {get_it, wait_with_deadline, wait_for_any};
    for (int i = 0; i < 3; i++) {
        struct scene s;
        open_scene(&s);
        struct waiter w = {.s = &s, .begun = GATE(1), .wait = waits[i]};
        future_t *f = submit(s.ex, wait_for_one_held_back, &w);
        gate_wait(&w.begun);
        nap(EXEC_MS(2));
        give_back(s.l, &s.permit);
        s.permit.in_flight = 0;
        await_elsewhere(f);
        eq_ptr(take(f), &w);
        eq_int(atomic_load(&w.ran), 1);
        close_scene(&s, 0);
    }
}

static void *wait_for_a_group_held_back(void *arg) {
    struct waiter *w = arg;
    exec_group_t *g = group_of(w->s->ex, (exec_group_opts){.max_running = w->max_running});
    for (int i = 0; i < 4; i++)
        ok(exec_group_submit(g, count_up, &w->ran, &(exec_task_opts){.limiter = w->s->l}, NULL));
    gate_open(&w->begun);
    int error = exec_group_wait(g, EXEC_NEVER);
    int closed = exec_group_close(g);
    return error || closed ? exec_fail(error ? error : closed) : w;
}

TEST(limiter_end, a_task_waits_for_members_that_are_held_back) {
    for (size_t max_running = 0; max_running < 3; max_running++) {
        struct scene s;
        open_scene(&s);
        struct waiter w = {.s = &s, .begun = GATE(1), .max_running = max_running};
        future_t *f = submit(s.ex, wait_for_a_group_held_back, &w);
        gate_wait(&w.begun);
        nap(EXEC_MS(2));
        give_back(s.l, &s.permit);
        s.permit.in_flight = 0;
        await_elsewhere(f);
        eq_ptr(take(f), &w);
        eq_int(atomic_load(&w.ran), 4);
        close_scene(&s, 0);
    }
}

/* ---- pthread_cancel() ---- */

static void *ask_for_ever(void *arg) {
    struct waiter *w = arg;
    w->thread = pthread_self();
    gate_open(&w->begun);
    exec_limiter_acquire(w->s->l, EXEC_NEVER, &(exec_permit){0});
    FAIL("a wait that must not end has ended");
}

TEST(limiter_end, a_task_whose_thread_is_cancelled_while_it_asks_leaves_nothing_behind) {
    struct scene s;
    open_scene(&s);
    struct waiter w = {.s = &s, .begun = GATE(1)};
    future_t *f = submit(s.ex, ask_for_ever, &w);
    gate_wait(&w.begun);
    ok(pthread_cancel(w.thread));
    await_end(f, EOWNERDEAD);
    close_scene(&s, 0);
}

/* ---- fork() ---- */

static void inherit(void *scene) {
    struct scene *s = scene;
    executor_destroy(s->ex);
    exec_limiter_release(s->l, &s->permit, 0);
    exec_limiter_destroy(s->l);
}

TEST(limiter_end, in_a_forked_child_those_held_back_are_gone_and_run_in_the_parent) {
    struct scene s;
    open_scene(&s);
    future_t *f = limited(s.ex, identity, &s, s.l);
    in_child(inherit, &s);
    eq_state(f, FUTURE_PENDING);
    give_back(s.l, &s.permit);
    s.permit.in_flight = 0;
    eq_ptr(take(f), &s);
    close_scene(&s, 0);
}
