/* test_group_deadline.c - the .deadline of a group: what ends then, and that it does at that time, whether or not
 * anybody waits for the group. The clock is a test's own where nobody waits, and the system's where somebody does. */
#include "groups.h"

#include <poll.h>

#include "limiters.h"
#include "moved_clock.h"

#define SOON EXEC_SEC(10)

/* ---- when somebody waits ---- */

static exec_group_t *until(executor_t *ex, exec_time deadline) {
    return group_of(ex, (exec_group_opts){.deadline = deadline});
}

/* Each of these takes the time until the deadline, and is false when that was too short to submit to the group; it is
 * then tried again with more. */
static void with_time_enough(bool (*try)(exec_time)) {
    exec_time duration = EXEC_MS(20);
    while (!try(duration))
        duration *= 4;
}

static bool time_out_behind_others(exec_time duration) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    future_t *plugging = plug_in(ex, &plug), *fs[5];
    exec_time deadline = exec_after(duration);
    exec_group_t *g = until(ex, deadline);
    int n = 0;
    while (n < 5 && exec_group_submit(g, must_not_run, &drops, &(exec_task_opts){.drop = count_drop}, &fs[n]) == 0)
        n++;
    eq_err(exec_group_wait(g, EXEC_NEVER), n ? ETIMEDOUT : 0);
    at_least(exec_now(), n ? deadline : 0);
    eq_int(atomic_load(&drops), n < 5 ? n + 1 : 5);
    for (int i = 0; i < n; i++) {
        eq_state(fs[i], FUTURE_FAILED);
        eq_err(outcome(fs[i]), ETIMEDOUT);
        eq_err(outcome_of_next(g), ETIMEDOUT);
    }
    plug_out(&plug);
    future_unref(plugging);
    close_empty(g, n ? ETIMEDOUT : 0);
    executor_destroy(ex);
    return n == 5;
}

TEST(group_deadline, at_the_deadline_members_that_have_not_started_time_out) {
    with_time_enough(time_out_behind_others);
}

TEST(group_deadline, after_the_deadline_nothing_is_taken_any_more) {
    executor_t *ex = pool(1);
    exec_group_t *g = until(ex, exec_now());
    refused(g, ECANCELED);
    close_empty(g, 0);
    g = until(ex, 1);
    refused(g, ECANCELED);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group_deadline, a_deadline_that_does_not_come_changes_nothing) {
    const exec_time deadlines[] = {EXEC_NEVER, exec_after(LIMIT), 0};
    executor_t *ex = pool(2);
    for (int i = 0; i < 3; i++) {
        atomic_int counter = 0;
        exec_group_t *g = until(ex, deadlines[i]);
        for (int n = 0; n < 50; n++)
            join(g, count_up, &counter);
        ok(exec_group_wait(g, EXEC_NEVER));
        ok(exec_group_close(g));
        eq_int(atomic_load(&counter), 50);
    }
    executor_destroy(ex);
}

static void *sleep_long(void *begun) {
    gate_open(begun);
    eq_err(exec_sleep(EXEC_SEC(1000000)), ECANCELED);
    check(exec_cancelled());
    return exec_fail(ECANCELED);
}

static void *poll_long(void *begun) {
    gate_open(begun);
    eq_err(exec_poll(NULL, 0, EXEC_NEVER, NULL), ECANCELED);
    return begun;
}

static void *fail_when_asked(void *begun) {
    gate_open(begun);
    wait_until(exec_cancelled());
    return exec_fail(EIO);
}

static bool ask_those_that_run(exec_time duration) {
    exec_fn *const fns[] = {sleep_long, poll_long, fail_when_asked};
    const int errors[] = {ETIMEDOUT, 0, EIO};
    bool enough = true;
    for (int i = 0; i < 3; i++) {
        struct gate begun = GATE(1);
        executor_t *ex = pool(1);
        exec_group_t *g = until(ex, exec_after(duration));
        bool taken = exec_group_submit(g, fns[i], &begun, NULL, NULL) == 0;
        int error = exec_group_wait(g, EXEC_NEVER);
        if (gate_is_open(&begun)) {
            eq_err(error, errors[i]);
            eq_err(outcome_of_next(g), errors[i]);
            close_empty(g, errors[i]);
        } else {
            eq_err(exec_group_close(g), taken ? ETIMEDOUT : 0);
            enough = false;
        }
        executor_destroy(ex);
    }
    return enough;
}

TEST(group_deadline, at_the_deadline_members_that_run_are_asked_and_end_as_they_say) {
    with_time_enough(ask_those_that_run);
}

static bool time_out_behind_max_running(exec_time duration) {
    struct obedient task = OBEDIENT(0);
    atomic_int drops = 0;
    executor_t *ex = pool(2);
    exec_group_t *g = group_of(ex, (exec_group_opts){.deadline = exec_after(duration), .max_running = 1});
    int error = exec_group_submit(g, until_asked, &task, NULL, NULL), taken = error == 0;
    for (int i = 0; i < 10; i++)
        taken += exec_group_submit(g, must_not_run, &drops, &(exec_task_opts){.drop = count_drop}, NULL) == 0;
    wait_until(atomic_load(&drops) == 10);
    int outcome = exec_group_close(g);
    if (taken == 11)
        eq_err(outcome, ETIMEDOUT);
    executor_destroy(ex);
    return taken == 11 && gate_is_open(&task.started);
}

TEST(group_deadline, the_deadline_ends_members_behind_max_running) {
    with_time_enough(time_out_behind_max_running);
}

/* ---- when nobody waits for the group ---- */

static void note_end(future_t *f, void *ended) {
    eq_err(outcome(future_ref(f)), ETIMEDOUT);
    atomic_fetch_add((atomic_int *)ended, 1);
}

static bool is_readable(int fd) {
    return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1;
}

static void *wait_for_end(void *f) {
    future_t *fs[] = {f, promise()};
    ok(exec_wait(fs, 2, 1, EXEC_NEVER));
    future_unref(fs[1]);
    return f;
}

/* Of one that has not started. */
struct watch {
    future_t *f;
    int fd;
    pthread_t thread;
    atomic_int drops, ended;
};

static void watch(struct watch *w, exec_group_t *g, exec_task_opts opts) {
    opts.drop = count_drop;
    w->f = member_opts(g, must_not_run, &w->drops, &opts);
    ok(future_on_done(w->f, note_end, &w->ended));
    ok(future_fd(w->f, &w->fd));
    w->thread = start(wait_for_end, w->f);
}

static void has_not_ended(struct watch *w) {
    eq_state(w->f, FUTURE_PENDING);
    eq_int(atomic_load(&w->ended) + atomic_load(&w->drops), 0);
    check(!is_readable(w->fd));
}

static void has_ended(struct watch *w) {
    eq_state(w->f, FUTURE_FAILED);
    comes_to(&w->drops, 1);
    comes_to(&w->ended, 1);
    check(is_readable(w->fd));
    eq_ptr(finish(w->thread), w->f);
    future_unref(w->f);
}

TEST(group_deadline, members_that_have_not_started_end_then_wherever_they_wait_and_whoever_waits_for_them_is_told) {
    enum { N = 5 };
    struct plug plug = PLUG;
    struct watch watches[N] = {{.fd = -1}};
    stop_clock();
    executor_t *ex = pool(1);
    exec_group_t *g = group_of(ex, (exec_group_opts){.deadline = exec_after(SOON), .max_running = 3});
    exec_limiter_t *l = at_once(1);
    exec_permit permit = permit_of(l);
    future_t *never = promise(), *running = plug_in(ex, &plug);
    int fd;
    ok(exec_group_fd(g, &fd));
    watch(&watches[0], g, (exec_task_opts){.name = "in the queue"});
    watch(&watches[1], g, (exec_task_opts){.after = &never, .nafter = 1});
    watch(&watches[2], g, (exec_task_opts){.delay = 2 * SOON});
    watch(&watches[3], g, (exec_task_opts){.limiter = l});
    future_unref(member(g, must_not_run, NULL)); /* the third that has room */
    watch(&watches[4], g, (exec_task_opts){.name = "behind max_running"});
    pass(ex, SOON - 1);
    for (int i = 0; i < N; i++)
        has_not_ended(&watches[i]);
    check(!is_readable(fd));
    pass(ex, 1);
    for (int i = 0; i < N; i++)
        has_ended(&watches[i]);
    check(is_readable(fd));
    refused(g, ECANCELED);
    plug_out(&plug);
    future_unref(running);
    eq_err(exec_group_close(g), ETIMEDOUT);
    executor_destroy(ex);
    exec__clock_release();
    future_unref(never);
    give_back(l, &permit);
    end_limiter(l);
}

/* Which ends only when it is roused: on the system's clock the time does not come. */
TEST(group_deadline, members_that_sleep_are_roused) {
    exec_fn *const fns[] = {sleep_long, poll_long, fail_when_asked};
    const int errors[] = {ETIMEDOUT, 0, EIO};
    stop_clock();
    for (int i = 0; i < 3; i++) {
        struct gate begun = GATE(1);
        executor_t *ex = pool(1);
        exec_group_t *g = until(ex, exec_after(SOON));
        future_t *f = member(g, fns[i], &begun);
        gate_wait(&begun);
        pass(ex, SOON - 1);
        eq_state(f, FUTURE_RUNNING);
        pass(ex, 1);
        await_end(f, errors[i]);
        eq_err(exec_group_close(g), errors[i]);
        executor_destroy(ex);
    }
    exec__clock_release();
}

TEST(group_deadline, many_members_end_then) {
    enum { N = 1000 };
    struct plug plug = PLUG;
    atomic_int drops = 0;
    stop_clock();
    executor_t *ex = pool(1);
    exec_group_t *g = until(ex, exec_after(SOON));
    future_t *running = plug_in(ex, &plug);
    for (int i = 0; i < N; i++)
        future_unref(doomed_member(g, &drops));
    pass(ex, SOON);
    comes_to(&drops, N);
    plug_out(&plug);
    future_unref(running);
    eq_err(exec_group_close(g), ETIMEDOUT);
    executor_destroy(ex);
    exec__clock_release();
}

/* ---- groups within ---- */

/* A task that has a group with a member that can never start, and waits for it without a deadline. */
struct inner {
    executor_t *ex;
    exec_time deadline;
    future_t *never;
    struct gate begun;
    atomic_int drops;
    int error;
};

static void *wait_within(void *arg) {
    struct inner *here = arg;
    exec_group_t *g = until(here->ex, here->deadline);
    const exec_task_opts opts = {.after = &here->never, .nafter = 1, .drop = count_drop};
    future_unref(member_opts(g, must_not_run, &here->drops, &opts));
    gate_open(&here->begun);
    here->error = exec_group_wait(g, EXEC_NEVER);
    exec_group_close(g);
    return NULL;
}

static void end_inner(struct inner *here, int error) {
    comes_to(&here->drops, 1);
    eq_err(here->error, error);
    future_unref(here->never);
}

#define INNER(executor) \
    { .ex = (executor), .never = promise(), .begun = GATE(1) }

TEST(group_deadline, a_group_within_a_member_is_cancelled_then) {
    stop_clock();
    executor_t *ex = pool(1);
    struct inner here = INNER(ex);
    exec_group_t *g = until(ex, exec_after(SOON));
    future_t *f = member(g, wait_within, &here);
    gate_wait(&here.begun);
    pass(ex, SOON);
    await_end(f, 0);
    end_inner(&here, ECANCELED);
    ok(exec_group_close(g));
    executor_destroy(ex);
    exec__clock_release();
}

struct map_call {
    struct inner inner;
    exec_time deadline;
    int error;
};

static void *call_map(void *arg) {
    struct map_call *call = arg;
    void *args[] = {&call->inner};
    call->error =
        executor_map(call->inner.ex, wait_within, args, NULL, 1, &(exec_map_opts){.deadline = call->deadline});
    return NULL;
}

TEST(group_deadline, a_group_within_an_item_of_a_map_is_cancelled_at_the_deadline_of_the_map) {
    stop_clock();
    executor_t *ex = pool(1);
    struct map_call call = {.inner = INNER(ex), .deadline = exec_after(SOON)};
    pthread_t thread = start(call_map, &call);
    gate_wait(&call.inner.begun);
    pass(ex, SOON);
    finish(thread);
    ok(call.error);
    end_inner(&call.inner, ECANCELED);
    executor_destroy(ex);
    exec__clock_release();
}

TEST(group_deadline, the_earlier_of_two_that_are_nested_counts) {
    stop_clock();
    executor_t *ex = pool(1);
    struct map_call call = {.inner = INNER(ex), .deadline = exec_after(2 * SOON)};
    call.inner.deadline = exec_after(SOON);
    pthread_t thread = start(call_map, &call);
    gate_wait(&call.inner.begun);
    pass(ex, SOON);
    finish(thread);
    ok(call.error);
    end_inner(&call.inner, ETIMEDOUT);
    executor_destroy(ex);
    exec__clock_release();
}

static int give_inner(void *source, void **arg) {
    void **next = source;
    *arg = *next;
    *next = NULL;
    return *arg ? 0 : ENODATA;
}

struct stream_use {
    struct inner inner;
    exec_time deadline;
};

static void *use_stream(void *arg) {
    struct stream_use *use = arg;
    void *next = &use->inner;
    exec_stream_t *s = NULL;
    exec_item item;
    ok(exec_stream_open(use->inner.ex, give_inner, &next, wait_within, &(exec_stream_opts){.deadline = use->deadline},
                        &s));
    check(exec_stream_next(s, &item));
    ok(item.error);
    exec_stream_close(s);
    return NULL;
}

TEST(group_deadline, a_group_within_an_item_of_a_stream_is_cancelled_at_the_deadline_of_the_stream) {
    stop_clock();
    for (int in_task = 0; in_task < 2; in_task++) { /* then the consumer runs the item itself */
        executor_t *ex = pool(1);
        struct stream_use use = {.inner = INNER(ex), .deadline = exec_after(SOON)};
        future_t *f = in_task ? submit(ex, use_stream, &use) : NULL;
        pthread_t thread = in_task ? pthread_self() : start(use_stream, &use);
        gate_wait(&use.inner.begun);
        pass(ex, SOON);
        if (in_task)
            take(f);
        else
            finish(thread);
        end_inner(&use.inner, ECANCELED);
        executor_destroy(ex);
    }
    exec__clock_release();
}

/* ---- the timer ---- */

TEST(group_deadline, a_group_that_was_closed_before_has_none) {
    stop_clock();
    executor_t *ex = pool(1);
    for (int i = 0; i < 100; i++) {
        exec_group_t *g = until(ex, exec_after(SOON));
        atomic_int ran = 0;
        join(g, count_up, &ran);
        ok(exec_group_close(g));
        eq_int(atomic_load(&ran), 1);
        if (i % 10 == 0)
            pass(ex, SOON / 10);
    }
    pass(ex, SOON);
    executor_destroy(ex);
    exec__clock_release();
}

TEST(group_deadline, a_group_may_outlast_its_deadline) {
    atomic_int ran = 0;
    stop_clock();
    executor_t *ex = pool(1);
    exec_group_t *g = until(ex, exec_after(SOON));
    future_t *f = member(g, count_up, &ran);
    take(f);
    pass(ex, SOON);
    pass(ex, SOON);
    refused(g, ECANCELED);
    ok(exec_group_close(g));
    eq_int(atomic_load(&ran), 1);
    executor_destroy(ex);
    exec__clock_release();
}

static void close_other(future_t *f, void *other) {
    check(future_done(f));
    exec_group_close(other);
}

/* Both are due at once, and the callback is called on the timer thread. */
TEST(group_deadline, a_callback_of_a_member_that_timed_out_may_close_another_group_that_is_due) {
    struct plug plug = PLUG;
    stop_clock();
    executor_t *ex = pool(1);
    future_t *running = plug_in(ex, &plug);
    exec_group_t *g = until(ex, exec_after(SOON)), *other = until(ex, exec_after(SOON));
    atomic_int drops = 0;
    future_t *f = doomed_member(g, &drops);
    ok(future_on_done(f, close_other, other));
    pass(ex, SOON);
    comes_to(&drops, 1);
    await_end(f, ETIMEDOUT);
    plug_out(&plug);
    future_unref(running);
    eq_err(exec_group_close(g), ETIMEDOUT);
    executor_destroy(ex);
    exec__clock_release();
}

TEST(group_deadline, it_may_be_closed_when_its_executor_has_ended) {
    stop_clock();
    executor_t *ex = pool(1);
    exec_group_t *before = until(ex, exec_after(SOON));
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    ok(executor_join(ex, exec_after(LIMIT)));
    exec_group_t *after = until(ex, exec_after(2 * SOON));
    eq_err(exec_group_submit(after, must_not_run, NULL, NULL, NULL), ESHUTDOWN);
    exec__clock_move(SOON, 0);
    close_empty(before, 0);
    close_empty(after, 0);
    executor_destroy(ex);
    exec__clock_release();
}
