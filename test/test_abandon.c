/* test_abandon.c - EXEC_ABANDON: tasks that do not stop are given up, and what becomes of everything around them;
 * executor_stragglers().
 *
 * What a function that was given up uses is static: nobody waits for it.
 */
#include "after.h"
#include "child.h"
#include "groups.h"
#include "moved_clock.h"

/* A task that listens to nobody until it is let go, and whose result counts when it is freed. */
struct deaf {
    struct gate started, release;
    atomic_int freed;
    atomic_int asked; /* what exec_cancelled() said in the end: 1 or 2 */
};

#define DEAF \
    { .started = GATE(1), .release = GATE(1) }
#define GIVEN_UP .timeout = EXEC_SEC(1), .on_timeout = EXEC_ABANDON

static void *be_deaf(void *arg) {
    struct deaf *deaf = arg;
    gate_open(&deaf->started);
    gate_wait(&deaf->release);
    atomic_store(&deaf->asked, exec_cancelled() ? 2 : 1);
    return deaf;
}

static void free_deaf(void *result) {
    atomic_fetch_add(&((struct deaf *)result)->freed, 1);
}

static const exec_task_opts given_up = {GIVEN_UP, .free_result = free_deaf, .drop = must_not_free, .name = "deaf"};

static void timed_out(future_t *f) {
    wait_until(future_done(f));
    eq_state(f, FUTURE_FAILED);
    eq_err(outcome(f), ETIMEDOUT);
}

static future_t *submit_deaf(executor_t *ex, struct deaf *deaf) {
    future_t *f = submit_opts(ex, be_deaf, deaf, &given_up);
    gate_wait(&deaf->started);
    return f;
}

/* Its function returns, asked to stop, and nobody takes its result. */
static void let_go(struct deaf *deaf) {
    gate_open(&deaf->release);
    wait_until(atomic_load(&deaf->freed) == 1);
    eq_int(atomic_load(&deaf->asked), 2);
}

static size_t stragglers(executor_t *ex) {
    size_t n = 4711;
    ok(executor_stragglers(ex, NULL, 0, &n));
    return n;
}

/* ---- the task ---- */

TEST(abandon, what_is_neither_is_einval) {
    executor_t *ex = pool(1);
    const exec_task_opts bad = {.timeout = 1, .on_timeout = (enum exec_on_timeout)2, .drop = must_not_free};
    eq_err(executor_submit(ex, must_not_run, NULL, &bad, NULL), EINVAL);
    executor_destroy(ex);
}

TEST(abandon, a_task_in_time_is_as_without) {
    const exec_task_opts opts[] = {{.on_timeout = EXEC_ABANDON},
                                   {.timeout = EXEC_NEVER, .on_timeout = EXEC_ABANDON},
                                   {.timeout = LIMIT, .on_timeout = EXEC_ABANDON}};
    executor_t *ex = pool(2);
    for (int i = 0; i < 300; i++) {
        eq_ptr(take(submit_opts(ex, identity, ex, &opts[i % 3])), ex);
        eq_err(outcome(submit_opts(ex, fail_with, as_error(EIO), &opts[i % 3])), EIO);
    }
    executor_destroy(ex);
}

TEST(abandon, a_stuck_task_ends_at_once_and_its_worker_is_replaced) {
    static struct deaf deaf = DEAF;
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_deaf(ex, &deaf);
    pass(ex, EXEC_SEC(1) - 1);
    eq_state(f, FUTURE_RUNNING);
    exec__clock_move(1, 0);
    timed_out(f);
    eq_int(atomic_load(&deaf.asked), 0);
    eq_ptr(take(submit(ex, identity, ex)), ex);
    let_go(&deaf);
    executor_destroy(ex);
}

TEST(abandon, any_number_of_them_leaves_all_workers) {
    enum { N = 20 };
    static struct deaf deaf[N];
    future_t *fs[N];
    executor_t *ex = pool_of((executor_opts){.workers = 2, .name = "crew"});
    for (int i = 0; i < N; i++) {
        deaf[i] = (struct deaf)DEAF;
        exec_task_opts opts = given_up;
        opts.timeout = EXEC_MS(1);
        fs[i] = submit_opts(ex, be_deaf, &deaf[i], &opts);
    }
    for (int i = 0; i < N; i++)
        timed_out(fs[i]);
    eq_int(stragglers(ex), N);
    eq_int(threads_named("crew-0", NULL, 0) + threads_named("crew-1", NULL, 0), N + 2);
    struct plug plugs[2] = {PLUG, PLUG};
    future_t *held[2] = {plug_in(ex, &plugs[0]), plug_in(ex, &plugs[1])}; /* at the same time */
    for (int i = 0; i < 2; i++) {
        plug_out(&plugs[i]);
        ok(outcome(held[i]));
    }
    for (int i = 0; i < N; i++)
        let_go(&deaf[i]);
    wait_until(stragglers(ex) == 0);
    executor_destroy(ex);
}

TEST(abandon, beyond_max_abandoned_they_are_waited_for) {
    static struct deaf deaf[3] = {DEAF, DEAF, DEAF};
    executor_t *ex = pool_of((executor_opts){.workers = 1, .max_abandoned = 1});
    stop_clock();
    future_t *first = submit_deaf(ex, &deaf[0]);
    pass(ex, EXEC_SEC(1));
    timed_out(first);
    future_t *second = submit_deaf(ex, &deaf[1]);
    pass(ex, EXEC_SEC(1));
    let_go(&deaf[0]);
    wait_until(stragglers(ex) == 1); /* the second */
    eq_state(second, FUTURE_RUNNING);
    let_go(&deaf[1]);
    timed_out(second);
    future_t *third = submit_deaf(ex, &deaf[2]);
    pass(ex, EXEC_SEC(1));
    timed_out(third);
    let_go(&deaf[2]);
    executor_destroy(ex);
}

TEST(abandon, max_abandoned_is_64_unless_given) {
    enum { N = 65 };
    static struct deaf deaf[N];
    future_t *fs[N];
    executor_t *ex = pool(1);
    stop_clock();
    for (int i = 0; i < N; i++) {
        deaf[i] = (struct deaf)DEAF;
        fs[i] = submit_deaf(ex, &deaf[i]);
        pass(ex, EXEC_SEC(1));
        if (i < N - 1)
            timed_out(fs[i]);
    }
    eq_state(fs[N - 1], FUTURE_RUNNING);
    eq_int(stragglers(ex), N);
    for (int i = 0; i < N; i++)
        let_go(&deaf[i]);
    timed_out(fs[N - 1]);
    executor_destroy(ex);
}

TEST(abandon, a_task_that_stops_when_asked_has_timed_out_and_leaves_nobody) {
    executor_t *ex = pool(1);
    for (int i = 0; i < 200; i++) {
        static struct obedient task;
        task = (struct obedient)OBEDIENT(i % 2 ? ECANCELED : 0);
        timed_out(submit_opts(ex, until_asked, &task,
                              &(exec_task_opts){.timeout = EXEC_US(50 + i % 100), .on_timeout = EXEC_ABANDON}));
        ok(outcome(submit(ex, identity, ex)));
        wait_until(stragglers(ex) == 0); /* before the next one uses `task` */
    }
    executor_destroy(ex);
}

TEST(abandon, one_that_was_cancelled_and_goes_on_times_out) {
    static struct deaf deaf = DEAF;
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_deaf(ex, &deaf);
    eq_err(future_cancel(f), EINPROGRESS);
    pass(ex, EXEC_SEC(1));
    wait_until(future_done(f));
    eq_err(future_cancel(f), EALREADY);
    timed_out(f);
    let_go(&deaf);
    executor_destroy(ex);
}

/* The deadline asks; the timeout gives up. */
TEST(abandon, its_deadline_passes_before) {
    static struct deaf deaf = DEAF;
    executor_t *ex = pool(1);
    stop_clock();
    exec_task_opts opts = given_up;
    opts.deadline = exec_now() + EXEC_MS(500);
    future_t *f = submit_opts(ex, be_deaf, &deaf, &opts);
    gate_wait(&deaf.started);
    pass(ex, EXEC_MS(999));
    eq_state(f, FUTURE_RUNNING);
    pass(ex, EXEC_MS(1));
    timed_out(f);
    let_go(&deaf);
    executor_destroy(ex);
}

static void count_call(future_t *f, void *counter) {
    (void)f;
    atomic_fetch_add((atomic_int *)counter, 1);
}

TEST(abandon, everybody_is_told) {
    static struct deaf deaf = DEAF;
    int fd;
    atomic_int called = 0;
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_deaf(ex, &deaf);
    ok(future_fd(f, &fd));
    ok(future_on_done(f, count_call, &called));
    future_t *dependent = submit_opts(ex, must_not_run, NULL, &(exec_task_opts){AFTER(f)});
    pass(ex, EXEC_SEC(1));
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    ok(exec_poll(&readable, 1, EXEC_NEVER, NULL));
    timed_out(dependent);
    comes_to(&called, 1);
    timed_out(f);
    let_go(&deaf);
    executor_destroy(ex);
}

/* ---- again ---- */

TEST(abandon, the_run_is_the_last_one) {
    const exec_task_opts more[] = {{.retry = {.attempts = 5}},
                                   {.every = EXEC_SEC(1)},
                                   {.every = EXEC_SEC(1), .keep_going = true},
                                   {.cron = "* * * * *", .keep_going = true}};
    static struct deaf deaf[4] = {DEAF, DEAF, DEAF, DEAF};
    executor_t *ex = pool(1);
    stop_clock();
    for (int i = 0; i < 4; i++) {
        exec_task_opts opts = more[i];
        opts.timeout = EXEC_SEC(1);
        opts.on_timeout = EXEC_ABANDON;
        opts.free_result = free_deaf;
        future_t *f = submit_opts(ex, be_deaf, &deaf[i], &opts);
        while (!gate_is_open(&deaf[i].started))
            pass(ex, EXEC_SEC(60));
        pass(ex, EXEC_SEC(1));
        timed_out(f);
        let_go(&deaf[i]);
    }
    pass(ex, EXEC_SEC(1000));
    executor_destroy(ex);
}

/* Fails twice, and is stuck the third time. */
static void *stuck_at_third(void *arg) {
    return exec_attempt() < 3 ? exec_fail(EIO) : be_deaf(arg);
}

TEST(abandon, a_later_attempt_can_be_given_up) {
    static struct deaf deaf = DEAF;
    executor_t *ex = pool(1);
    exec_task_opts opts = {.retry = {.attempts = 5, .delay = EXEC_US(10)},
                           .timeout = EXEC_MS(20),
                           .on_timeout = EXEC_ABANDON,
                           .free_result = free_deaf};
    timed_out(submit_opts(ex, stuck_at_third, &deaf, &opts));
    let_go(&deaf);
    executor_destroy(ex);
}

static void *take_a_while(void *arg) {
    atomic_fetch_add((atomic_int *)arg, 1);
    nap(EXEC_US(100));
    return exec_fail(EIO);
}

TEST(abandon, each_run_has_its_time) {
    atomic_int runs = 0;
    executor_t *ex = pool(2);
    exec_task_opts opts = {
        .retry = {.attempts = 200, .delay = 1, .factor = 1}, .timeout = LIMIT, .on_timeout = EXEC_ABANDON};
    eq_err(outcome(submit_opts(ex, take_a_while, &runs, &opts)), EIO);
    eq_int(atomic_load(&runs), 200);
    executor_destroy(ex);
}

TEST(abandon, its_limiter_has_its_place_back) {
    static struct deaf deaf = DEAF;
    exec_limiter_t *limiter;
    ok(exec_limiter_create(&(exec_limiter_opts){.max_running = 1}, &limiter));
    executor_t *ex = pool(1);
    stop_clock();
    exec_task_opts opts = given_up;
    opts.limiter = limiter;
    future_t *f = submit_opts(ex, be_deaf, &deaf, &opts);
    gate_wait(&deaf.started);
    future_t *next = submit_opts(ex, identity, ex, &(exec_task_opts){.limiter = limiter});
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    eq_ptr(take(next), ex);
    eq_int(exec_limiter_in_flight(limiter), 0);
    let_go(&deaf);
    executor_destroy(ex);
    exec_limiter_destroy(limiter);
}

/* ---- those that wait for it ---- */

static struct deaf child_of[4] = {DEAF, DEAF, DEAF, DEAF};

static exec_task_opts soon_given_up(void) {
    exec_task_opts opts = given_up;
    opts.timeout = EXEC_MS(20);
    return opts;
}

static void *get_each_way(void *ex) {
    const exec_task_opts opts = soon_given_up();
    future_t *f = submit_opts(ex, be_deaf, &child_of[0], &opts);
    eq_err(future_get(f, NULL), ETIMEDOUT);
    timed_out(f);
    f = submit_opts(ex, be_deaf, &child_of[1], &opts);
    ok(future_wait(f, exec_after(LIMIT)));
    timed_out(f);
    future_t *fs[2] = {submit_opts(ex, be_deaf, &child_of[2], &opts), promise()};
    ok(exec_wait(fs, 2, 1, EXEC_NEVER));
    timed_out(fs[0]);
    future_unref(fs[1]);
    exec_group_t *g = group(ex);
    ok(exec_group_submit(g, be_deaf, &child_of[3], &opts, NULL));
    eq_err(exec_group_close(g), ETIMEDOUT);
    return NULL;
}

TEST(abandon, a_task_that_waits_for_it_is_not_stuck_with_the_only_worker) {
    executor_t *ex = pool(1);
    ok(outcome(submit(ex, get_each_way, ex)));
    eq_int(stragglers(ex), 4);
    for (int i = 0; i < 4; i++)
        let_go(&child_of[i]);
    executor_destroy(ex);
}

TEST(abandon, nor_with_several) {
    executor_t *ex = pool(3);
    future_t *f = submit(ex, get_each_way, ex);
    await_elsewhere(f);
    ok(outcome(f));
    for (int i = 0; i < 4; i++)
        let_go(&child_of[i]);
    executor_destroy(ex);
}

static void *fail_at_first(void *arg) {
    return exec_attempt() < 5 ? exec_fail(EIO) : arg;
}

static void *get_retried(void *ex) {
    for (int i = 0; i < 50; i++) {
        const exec_task_opts opts = {
            .retry = {.attempts = 5, .delay = 1}, .timeout = LIMIT, .on_timeout = i % 5 ? EXEC_ABANDON : EXEC_ASK};
        eq_ptr(take(submit_opts(ex, fail_at_first, ex, &opts)), ex);
    }
    return NULL;
}

TEST(abandon, one_that_is_run_again_is_run_for_the_only_worker_that_waits_for_it) {
    executor_t *ex = pool(1);
    for (int i = 0; i < 20; i++)
        ok(outcome(submit(ex, get_retried, ex)));
    executor_destroy(ex);
}

static void *sum(void *arg) {
    return (void *)((intptr_t)arg + 1);
}

struct deep {
    executor_t *ex;
    int depth;
};

/* Each level waits for the one below, which may be abandoned, and is not. */
static void *descend(void *arg) {
    struct deep *here = arg;
    if (here->depth == 0)
        return sum(NULL);
    struct deep below = {here->ex, here->depth - 1};
    future_t *f =
        submit_opts(here->ex, descend, &below, &(exec_task_opts){.timeout = LIMIT, .on_timeout = EXEC_ABANDON});
    return sum(take(f));
}

TEST(abandon, they_may_wait_for_one_another_at_any_depth) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        struct deep top = {ex, 40};
        eq_int((intptr_t)take(submit(ex, descend, &top)), 41);
        wait_until(stragglers(ex) == 0);
        executor_destroy(ex);
    }
}

/* What it submits and waits for runs, seat or no seat; plain tasks, maps, groups, streams of its own executor. */
static void *work_inside(void *ex) {
    void *args[20], *results[20];
    for (int i = 0; i < 20; i++)
        args[i] = (void *)(intptr_t)i;
    for (int i = 0; i < 20; i++)
        eq_ptr(take(submit(ex, identity, ex)), ex);
    ok(executor_map(ex, sum, args, results, 20, NULL));
    for (int i = 0; i < 20; i++)
        eq_int((intptr_t)results[i], i + 1);
    exec_group_t *g = group(ex);
    for (int i = 0; i < 20; i++)
        join(g, identity, ex);
    ok(exec_group_wait(g, EXEC_NEVER));
    ok(exec_group_close(g));
    check(!exec_cancelled());
    ok(exec_sleep(EXEC_US(10)));
    ok(executor_submit(ex, identity, NULL, NULL, NULL));
    return ex;
}

TEST(abandon, such_a_task_can_do_what_others_can) {
    const exec_task_opts opts = {.timeout = LIMIT, .on_timeout = EXEC_ABANDON};
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        for (int i = 0; i < 20; i++) {
            future_t *f = submit_opts(ex, work_inside, ex, &opts), *g = submit_opts(ex, work_inside, ex, &opts);
            eq_ptr(take(f), ex);
            eq_ptr(take(g), ex);
        }
        executor_destroy(ex);
    }
}

/* Two tasks that wait for each other. */
struct ring {
    struct gate made;
    future_t *fs[2];
    atomic_int deadlocks, entered;
};

static void *wait_for_the_other(void *arg) {
    struct ring *ring = arg;
    gate_wait(&ring->made);
    int error = future_get(ring->fs[1 - atomic_fetch_add(&ring->entered, 1)], NULL);
    check(error == 0 || error == EDEADLK);
    atomic_fetch_add(&ring->deadlocks, error == EDEADLK);
    return NULL;
}

/* With one worker the first is the one that was submitted first; the other one has a thread of its own. */
TEST(abandon, a_ring_of_waits_is_a_deadlock_as_ever) {
    struct ring ring = {.made = GATE(1)};
    executor_t *ex = pool(1);
    for (int i = 0; i < 2; i++)
        ring.fs[i] =
            submit_opts(ex, wait_for_the_other, &ring, &(exec_task_opts){.timeout = LIMIT, .on_timeout = EXEC_ABANDON});
    gate_open(&ring.made);
    for (int i = 0; i < 2; i++)
        await_elsewhere(ring.fs[i]); /* both, since each uses the other's future until it has ended */
    for (int i = 0; i < 2; i++)
        ok(outcome(ring.fs[i]));
    eq_int(atomic_load(&ring.deadlocks), 1);
    executor_destroy(ex);
}

TEST(abandon, where_the_caller_runs_it_the_caller_goes_on) {
    static struct deaf deaf = DEAF;
    struct plug plug = PLUG;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_CALLER_RUNS});
    future_t *first = plug_in(ex, &plug), *queued = submit(ex, identity, NULL);
    const exec_task_opts opts = soon_given_up(), in_time = {.timeout = LIMIT, .on_timeout = EXEC_ABANDON};
    future_t *f = submit_opts(ex, be_deaf, &deaf, &opts);
    check(future_done(f));
    timed_out(f);
    f = submit_opts(ex, identity, ex, &in_time);
    check(future_done(f));
    eq_ptr(take(f), ex);
    plug_out(&plug);
    ok(outcome(first));
    ok(outcome(queued));
    let_go(&deaf);
    executor_destroy(ex);
}

/* ---- groups ---- */

static void *open_and_leave(void *ex) {
    const exec_task_opts opts = soon_given_up();
    exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 1});
    future_t *f = member_opts(g, be_deaf, &child_of[0], &opts);
    join(g, identity, ex);
    ok(future_wait(f, exec_after(LIMIT)));
    timed_out(f);
    eq_err(exec_group_close(g), ETIMEDOUT);
    return NULL;
}

static void *use_the_stack(void *unused) {
    char bytes[4096];
    memset(bytes, 0x5a, sizeof bytes);
    return bytes[1] == 0x5a ? NULL : unused;
}

TEST(abandon, a_group_does_not_wait_for_it_nor_does_it_need_the_group) {
    executor_t *ex = pool(2);
    ok(outcome(submit(ex, open_and_leave, ex)));
    for (int i = 0; i < 20; i++)
        ok(outcome(submit(ex, use_the_stack, ex)));
    let_go(&child_of[0]);
    executor_destroy(ex);
}

TEST(abandon, in_a_group_that_fails_fast_it_cancels_the_rest) {
    static struct deaf deaf = DEAF;
    struct obedient rest = OBEDIENT(ECANCELED);
    executor_t *ex = pool(2);
    const exec_task_opts opts = soon_given_up();
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FAIL_FAST});
    future_t *other = obedient_member(g, &rest);
    future_t *f = member_opts(g, be_deaf, &deaf, &opts);
    next_is(g, f);
    eq_err(exec_group_wait(g, EXEC_NEVER), ETIMEDOUT);
    eq_err(exec_group_close(g), ETIMEDOUT);
    eq_err(outcome(other), ECANCELED);
    timed_out(f);
    let_go(&deaf);
    executor_destroy(ex);
}

/* It has a group open itself, whose members are asked to stop with it. */
static void *open_and_be_deaf(void *arg) {
    static struct obedient member = OBEDIENT(ECANCELED);
    executor_t *ex = ((void **)arg)[0];
    struct deaf *deaf = ((void **)arg)[1];
    exec_group_t *g = group(ex);
    future_t *f = obedient_member(g, &member);
    be_deaf(deaf);
    eq_err(outcome(f), ECANCELED);
    eq_err(exec_group_submit(g, must_not_run, NULL, NULL, NULL), ECANCELED);
    eq_err(exec_group_close(g), ECANCELED);
    eq_err(exec_sleep(EXEC_SEC(1)), ECANCELED);
    return deaf;
}

TEST(abandon, what_it_has_opened_is_cancelled_with_it) {
    static struct deaf deaf = DEAF;
    static void *arg[2];
    executor_t *ex = pool(2);
    arg[0] = ex, arg[1] = &deaf;
    stop_clock();
    future_t *f = submit_opts(ex, open_and_be_deaf, arg, &given_up);
    gate_wait(&deaf.started);
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    let_go(&deaf);
    executor_destroy(ex);
}

/* ---- the threads ---- */

static void *leave_when_let_go(void *arg) {
    be_deaf(arg);
    atomic_store(&((struct deaf *)arg)->freed, 1);
    pthread_exit(arg);
}

TEST(abandon, functions_that_leave_their_thread_before_and_after) {
    static struct deaf deaf = DEAF;
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_opts(ex, leave, NULL, &(exec_task_opts){GIVEN_UP});
    eq_err(outcome(f), EOWNERDEAD);
    f = submit_opts(ex, leave_when_let_go, &deaf, &(exec_task_opts){GIVEN_UP});
    gate_wait(&deaf.started);
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    let_go(&deaf);
    eq_ptr(take(submit(ex, identity, ex)), ex);
    executor_destroy(ex);
}

struct hooks {
    atomic_int starts, stops;
    int refuse_from; /* the number of starts from which on they fail */
};

static int count_start(void *ctx, unsigned worker) {
    struct hooks *hooks = ctx;
    eq_int(worker, 0);
    return atomic_fetch_add(&hooks->starts, 1) >= hooks->refuse_from ? EACCES : 0;
}

static void count_stop(void *ctx, unsigned worker) {
    struct hooks *hooks = ctx;
    eq_int(worker, 0);
    atomic_fetch_add(&hooks->stops, 1);
}

static executor_t *hooked(struct hooks *hooks) {
    return pool_of((executor_opts){.workers = 1, .on_start = count_start, .on_stop = count_stop, .hook_ctx = hooks});
}

TEST(abandon, hooks_are_called_on_the_successor_and_on_the_one_given_up) {
    static struct deaf deaf[2] = {DEAF, DEAF};
    static struct hooks hooks = {.refuse_from = 100};
    executor_t *ex = hooked(&hooks);
    stop_clock();
    for (int i = 0; i < 2; i++) {
        future_t *f = submit_deaf(ex, &deaf[i]);
        pass(ex, EXEC_SEC(1));
        timed_out(f);
        eq_int(atomic_load(&hooks.starts), i + 2);
    }
    let_go(&deaf[0]);
    comes_to(&hooks.stops, 1);
    executor_destroy(ex);
    eq_int(atomic_load(&hooks.stops), 2); /* the worker's */
    let_go(&deaf[1]);
    wait_until(thread_count() <= test_threads);
    eq_int(atomic_load(&hooks.stops), 2);
}

TEST(abandon, without_a_successor_it_is_waited_for) {
    static struct deaf deaf = DEAF;
    static struct hooks hooks = {.refuse_from = 1};
    executor_t *ex = hooked(&hooks);
    stop_clock();
    future_t *f = submit_deaf(ex, &deaf);
    pass(ex, EXEC_SEC(1));
    comes_to(&hooks.starts, 2);
    eq_int(stragglers(ex), 1);
    eq_state(f, FUTURE_RUNNING);
    let_go(&deaf);
    timed_out(f);
    eq_ptr(take(submit(ex, identity, ex)), ex);
    executor_destroy(ex);
    eq_int(atomic_load(&hooks.stops), 1);
}

static void *get_refused(void *ex) {
    atomic_int drops = 0;
    future_t *f = submit_opts(ex, must_not_run, &drops, &(exec_task_opts){GIVEN_UP, .drop = count_drop});
    eq_err(outcome(f), EACCES);
    eq_int(atomic_load(&drops), 1);
    return NULL;
}

TEST(abandon, a_thread_of_its_own_whose_hook_fails_fails_the_task) {
    static struct hooks hooks = {.refuse_from = 1};
    executor_t *ex = hooked(&hooks);
    ok(outcome(submit(ex, get_refused, ex)));
    executor_destroy(ex);
    eq_int(atomic_load(&hooks.starts), 2);
    eq_int(atomic_load(&hooks.stops), 1);
}

static void *get_done_apart(void *ex) {
    eq_ptr(take(submit_opts(ex, identity, ex, &(exec_task_opts){GIVEN_UP})), ex);
    return NULL;
}

TEST(abandon, a_thread_of_its_own_has_the_hooks_called_too) {
    static struct hooks hooks = {.refuse_from = 100};
    executor_t *ex = hooked(&hooks);
    ok(outcome(submit(ex, get_done_apart, ex)));
    executor_destroy(ex);
    eq_int(atomic_load(&hooks.starts), 2);
    eq_int(atomic_load(&hooks.stops), 2);
}

/* ---- who is left, and the end ---- */

TEST(abandon, stragglers_are_named_and_timed) {
    static struct deaf deaf = DEAF;
    struct plug plugs[3] = {PLUG, PLUG, PLUG};
    executor_t *ex = pool(4);
    exec_straggler list[5];
    size_t n = 4711;
    stop_clock();
    eq_int(stragglers(ex), 0);
    future_t *f = submit_deaf(ex, &deaf);
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    future_t *named = submit_opts(ex, plug_task, &plugs[0], &(exec_task_opts){.name = "named"});
    gate_wait(&plugs[0].started);
    pass(ex, EXEC_SEC(2));
    future_t *guarded =
        submit_opts(ex, plug_task, &plugs[1],
                    &(exec_task_opts){.name = "guarded", .timeout = EXEC_SEC(100), .on_timeout = EXEC_ABANDON});
    gate_wait(&plugs[1].started);
    pass(ex, EXEC_SEC(4));
    future_t *plain = plug_in(ex, &plugs[2]);
    ok(executor_stragglers(ex, list, 5, &n));
    eq_int(n, 4);
    int seen = 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = list[i].name != NULL ? list[i].name : "";
        int which = !strcmp(name, "deaf") ? 1 : !strcmp(name, "named") ? 2 : !strcmp(name, "guarded") ? 4 : 8;
        const exec_time running[] = {[1] = EXEC_SEC(7), [2] = EXEC_SEC(6), [4] = EXEC_SEC(4), [8] = 0};
        eq_int(list[i].running, running[which]);
        eq_int(list[i].abandoned, which == 1);
        seen += which;
    }
    eq_int(seen, 15);
    list[2].name = "not touched";
    ok(executor_stragglers(ex, list, 2, &n));
    eq_int(n, 4);
    eq_str(list[2].name, "not touched");
    eq_err(executor_stragglers(ex, NULL, 1, &n), EINVAL);
    eq_err(executor_stragglers(ex, list, 5, NULL), EINVAL);
    eq_err(executor_stragglers(NULL, list, 5, &n), EINVAL);
    for (int i = 0; i < 3; i++)
        plug_out(&plugs[i]);
    ok(outcome(named)), ok(outcome(guarded)), ok(outcome(plain));
    wait_until(stragglers(ex) == 1);
    let_go(&deaf);
    wait_until(stragglers(ex) == 0);
    executor_destroy(ex);
}

static void *wait_for_named(void *ex) {
    struct plug *plug = ((void **)ex)[1];
    future_t *f = submit_opts(((void **)ex)[0], plug_task, plug, &(exec_task_opts){.name = "inner"});
    ok(outcome(f));
    return NULL;
}

TEST(abandon, a_named_task_within_another_is_the_one_that_is_shown) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    void *arg[2] = {ex, &plug};
    exec_straggler list[2] = {{0}};
    size_t n;
    future_t *f = submit_opts(ex, wait_for_named, arg, &(exec_task_opts){.name = "outer"});
    gate_wait(&plug.started);
    ok(executor_stragglers(ex, list, 2, &n));
    eq_int(n, 1);
    eq_str(list[0].name, "inner");
    plug_out(&plug);
    ok(outcome(f));
    wait_until(stragglers(ex) == 0);
    executor_destroy(ex);
}

TEST(abandon, join_waits_for_them_until_its_deadline_only) {
    static struct deaf deaf = DEAF;
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_deaf(ex, &deaf);
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    eq_err(executor_join(ex, EXEC_NOW), ETIMEDOUT);
    pass(ex, EXEC_SEC(1));
    eq_err(executor_join(ex, EXEC_NEVER), ETIMEDOUT);
    check(future_done(f));
    exec__clock_release();
    eq_int(stragglers(ex), 1);
    eq_err(executor_join(ex, EXEC_NEVER), ETIMEDOUT);
    eq_err(executor_join(ex, exec_after(EXEC_MS(5))), ETIMEDOUT);
    timed_out(f);
    gate_open(&deaf.release);
    ok(executor_join(ex, exec_after(LIMIT)));
    eq_int(atomic_load(&deaf.freed), 1);
    eq_int(thread_count(), test_threads);
    ok(executor_join(ex, EXEC_NEVER));
    executor_destroy(ex);
}

TEST(abandon, destroy_does_not_wait_and_takes_nothing_away) {
    enum { N = 3 };
    static struct deaf deaf[N] = {DEAF, DEAF, DEAF};
    future_t *fs[N];
    executor_t *ex = pool(2);
    stop_clock();
    for (int i = 0; i < N; i++) {
        fs[i] = submit_deaf(ex, &deaf[i]);
        pass(ex, EXEC_SEC(1));
        wait_until(future_done(fs[i]));
    }
    exec__clock_release();
    executor_destroy(ex);
    executor_t *others[4]; /* one may have the memory */
    for (int i = 0; i < 4; i++)
        others[i] = pool(1);
    for (int i = 0; i < N; i++) {
        timed_out(fs[i]);
        let_go(&deaf[i]);
    }
    for (int i = 0; i < 4; i++) {
        eq_ptr(take(submit(others[i], identity, ex)), ex);
        executor_destroy(others[i]);
    }
}

static void *submit_late(void *arg) {
    executor_t *ex = ((void **)arg)[0];
    struct deaf *deaf = ((void **)arg)[1];
    be_deaf(deaf);
    eq_err(executor_submit(ex, must_not_run, NULL, NULL, NULL), ESHUTDOWN);
    eq_err(executor_join(ex, EXEC_NEVER), EDEADLK);
    executor_destroy(ex);
    return deaf;
}

TEST(abandon, one_that_comes_back_may_still_use_its_executor) {
    static struct deaf deaf = DEAF;
    static void *arg[2];
    executor_t *ex = pool(1);
    arg[0] = ex, arg[1] = &deaf;
    stop_clock();
    future_t *f = submit_opts(ex, submit_late, arg, &given_up);
    gate_wait(&deaf.started);
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    executor_destroy(ex);
    let_go(&deaf);
}

TEST(abandon, a_discard_asks_and_the_timeout_gives_up) {
    static struct deaf deaf = DEAF;
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_deaf(ex, &deaf);
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    eq_state(f, FUTURE_RUNNING);
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    eq_err(executor_join(ex, EXEC_NEVER), ETIMEDOUT);
    let_go(&deaf);
    executor_destroy(ex);
}

/* A task that it runs in passing, and that is not to be abandoned, keeps its executor, whatever becomes of the thread.
 */
static void *wait_for_deaf(void *arg) {
    executor_t *ex = ((void **)arg)[0];
    future_t *f = submit(ex, be_deaf, ((void **)arg)[1]);
    eq_ptr(take(f), ((void **)arg)[1]);
    atomic_store(&((struct deaf *)((void **)arg)[1])->freed, 1);
    return NULL;
}

static void *shut_down_and_join(void *ex) {
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    return as_error(executor_join(ex, exec_after(LIMIT)));
}

TEST(abandon, what_it_runs_for_itself_is_waited_for) {
    static struct deaf deaf = DEAF;
    static void *arg[2];
    executor_t *ex = pool(1);
    arg[0] = ex, arg[1] = &deaf;
    stop_clock();
    future_t *f = submit_opts(ex, wait_for_deaf, arg, &(exec_task_opts){GIVEN_UP});
    gate_wait(&deaf.started);
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    exec__clock_release();
    eq_ptr(take(submit(ex, identity, ex)), ex);
    pthread_t joiner = start(shut_down_and_join, ex);
    nap(EXEC_MS(5));
    gate_open(&deaf.release);
    eq_int((intptr_t)finish(joiner), 0);
    eq_int(atomic_load(&deaf.freed), 1);
    eq_int(atomic_load(&deaf.asked), 1); /* not itself */
    executor_destroy(ex);
}

static pthread_t mapper;

/* Only the caller of the map is stuck; the others wait until it is. */
static void *be_deaf_if_mapper(void *arg) {
    struct deaf *deaf = arg;
    if (pthread_equal(pthread_self(), mapper)) {
        be_deaf(deaf);
        atomic_fetch_add(&deaf->freed, 1);
    } else {
        gate_wait(&deaf->started);
    }
    return NULL;
}

static void *map_deaf(void *arg) {
    static void *args[2];
    args[0] = args[1] = ((void **)arg)[1];
    mapper = pthread_self();
    executor_map(((void **)arg)[0], be_deaf_if_mapper, args, NULL, 2, &(exec_map_opts){.chunk = 1});
    return NULL;
}

TEST(abandon, a_map_of_its_takes_no_worker_away) {
    static struct deaf deaf = DEAF;
    static void *arg[2];
    executor_t *ex = pool(2);
    arg[0] = ex, arg[1] = &deaf;
    stop_clock();
    future_t *f = submit_opts(ex, map_deaf, arg, &(exec_task_opts){GIVEN_UP});
    gate_wait(&deaf.started);
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    executor_destroy(ex);
    let_go(&deaf);
}

#ifndef TEST_UNDER_TSAN /* to which a thread that is cancelled in a call remains in that call */
/* Whoever gets hold of the thread that is stuck cancels it. */
static void *sleep_for_ever(void *arg) {
    struct deaf *deaf = arg;
    mapper = pthread_self();
    gate_open(&deaf->started);
    nap(EXEC_SEC(1000000));
    return arg;
}

TEST(abandon, one_that_is_cancelled_by_pthread_cancel_comes_back) {
    static struct deaf deaf = DEAF;
    static struct hooks hooks = {.refuse_from = 100};
    executor_t *ex = hooked(&hooks);
    stop_clock();
    future_t *f = submit_opts(ex, sleep_for_ever, &deaf, &(exec_task_opts){GIVEN_UP});
    gate_wait(&deaf.started);
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    ok(pthread_cancel(mapper));
    comes_to(&hooks.stops, 1);
    wait_until(stragglers(ex) == 0);
    executor_destroy(ex);
    eq_int(atomic_load(&hooks.stops), 2);
}
#endif

/* ---- a forked child ---- */

#ifndef TEST_UNDER_TSAN /* which cannot follow a child's threads */
static void give_up_in_child(void *unused) {
    static struct deaf deaf = DEAF;
    (void)unused;
    executor_t *own = pool(1);
    const exec_task_opts opts = soon_given_up();
    timed_out(submit_opts(own, be_deaf, &deaf, &opts));
    let_go(&deaf);
    executor_destroy(own);
}

static void use_inherited(void *ex) {
    size_t n = 4711;
    eq_err(executor_stragglers(ex, NULL, 0, &n), EOWNERDEAD);
    eq_int(n, 4711);
    executor_destroy(ex);
    give_up_in_child(NULL);
}

TEST(abandon, a_child_can_free_what_it_inherits_and_give_up_tasks_of_its_own) {
    static struct deaf deaf = DEAF;
    executor_t *ex = pool(1);
    stop_clock();
    future_t *f = submit_deaf(ex, &deaf);
    pass(ex, EXEC_SEC(1));
    timed_out(f);
    exec__clock_release();
    in_child(use_inherited, ex);
    let_go(&deaf);
    executor_destroy(ex);
}

#ifndef TEST_UNDER_ASAN /* by which the child that ends would be searched for leaks */
static void *fork_and_return(void *arg) {
    pid_t child = fork_child();
    if (child != 0)
        await_child(child); /* in the child this return is the end of its only thread */
    return arg;
}

TEST(abandon, a_task_that_has_forked_returns_in_the_child_to_nothing) {
    executor_t *ex = pool(1);
    const exec_task_opts opts = {.timeout = LIMIT, .on_timeout = EXEC_ABANDON};
    eq_ptr(take(submit_opts(ex, fork_and_return, ex, &opts)), ex);
    executor_destroy(ex);
}
#endif
#endif
