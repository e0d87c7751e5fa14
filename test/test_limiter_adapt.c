/* test_limiter_adapt.c - what limiters that find their limit make of the ends of tasks and permits. How well they find
 * it is the business of test_limit_finds.c. */
#include "limiters.h"

/* ---- what counts as overload ---- */

/* Fills the limiter, and gives all back with this error; the time then moves on, so that the next call is another round
 * trip. */
static void round_trip(exec_limiter_t *l, int error, exec_time takes) {
    exec_permit permits[100];
    int n = 0;
    while (n < 100 && exec_limiter_acquire(l, EXEC_NOW, &permits[n]) == 0)
        n++;
    between(n, 1, 99);
    exec__clock_move(takes, 0);
    for (int i = 0; i < n; i++)
        exec_limiter_release(l, &permits[i], error);
    exec__clock_move(1, 0);
    eq_int(exec_limiter_in_flight(l), 0);
}

static exec_limiter_t *aimd(exec_limiter_opts opts) {
    opts.adapt = EXEC_LIMIT_AIMD;
    opts.initial = 20;
    opts.max = 60;
    exec__clock_move(0, 0);
    return limiter_of(opts);
}

static void end_aimd(exec_limiter_t *l) {
    exec__clock_release();
    end_limiter(l);
}

TEST(limiter_adapt, errors_that_mean_want_of_room_lower_the_limit) {
    static const int errors[] = {EAGAIN, EBUSY, ETIMEDOUT, ECONNREFUSED, ECONNRESET, ENOBUFS, EMFILE, ENFILE};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        exec_limiter_t *l = aimd((exec_limiter_opts){0});
        round_trip(l, errors[i], EXEC_MS(1));
        at_most(exec_limiter_limit(l), 18);
        end_aimd(l);
    }
}

TEST(limiter_adapt, success_raises_it_and_other_errors_change_nothing) {
    static const int errors[] = {ECANCELED, EIO, ENOENT, EINVAL, EOWNERDEAD};
    exec_limiter_t *l = aimd((exec_limiter_opts){0});
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        round_trip(l, errors[i], EXEC_MS(1));
        eq_int(exec_limiter_limit(l), 20);
    }
    round_trip(l, 0, EXEC_MS(1));
    at_least(exec_limiter_limit(l), 21);
    end_aimd(l);
}

TEST(limiter_adapt, many_failures_of_one_moment_count_once) {
    exec_limiter_t *l = aimd((exec_limiter_opts){.min = 3});
    exec_permit permits[20];
    for (int i = 0; i < 20; i++)
        permits[i] = permit_of(l);
    exec__clock_move(EXEC_MS(1), 0);
    exec_limiter_release(l, &permits[0], EBUSY);
    size_t limit = exec_limiter_limit(l);
    between(limit, 3, 18);
    for (int i = 1; i < 20; i++)
        exec_limiter_release(l, &permits[i], EBUSY);
    eq_int(exec_limiter_limit(l), limit);
    for (int i = 0; i < 50; i++)
        round_trip(l, EBUSY, EXEC_MS(1));
    eq_int(exec_limiter_limit(l), 3);
    end_aimd(l);
}

TEST(limiter_adapt, after_a_decrease_those_go_on_that_are_too_many) {
    exec_limiter_t *l = aimd((exec_limiter_opts){0});
    exec_permit permits[20];
    for (int i = 0; i < 20; i++)
        permits[i] = permit_of(l);
    exec__clock_move(EXEC_MS(1), 0);
    exec_limiter_release(l, &permits[0], EBUSY);
    eq_int(exec_limiter_in_flight(l), 19);
    at_most(exec_limiter_limit(l), 18);
    for (int i = 1; exec_limiter_in_flight(l) >= exec_limiter_limit(l); i++) {
        is_full(l);
        exec_limiter_release(l, &permits[i], 0);
        permits[i].in_flight = 0;
    }
    exec_permit permit = permit_of(l);
    give_back(l, &permit);
    for (int i = 1; i < 20; i++)
        if (permits[i].in_flight > 0)
            exec_limiter_release(l, &permits[i], 0);
    end_aimd(l);
}

TEST(limiter_adapt, it_stays_between_its_bounds) {
    exec_limiter_t *l = aimd((exec_limiter_opts){.min = 15});
    for (int i = 0; i < 100; i++) {
        round_trip(l, i < 50 ? 0 : EBUSY, EXEC_MS(1));
        between(exec_limiter_limit(l), 15, 60);
        if (i == 49)
            eq_int(exec_limiter_limit(l), 60);
    }
    eq_int(exec_limiter_limit(l), 15);
    end_aimd(l);
}

TEST(limiter_adapt, it_does_not_grow_while_it_holds_nobody_back) {
    exec_limiter_t *l = aimd((exec_limiter_opts){0});
    for (int i = 0; i < 100; i++) {
        exec_permit permit = permit_of(l);
        exec__clock_move(EXEC_MS(1), 0);
        give_back(l, &permit);
    }
    eq_int(exec_limiter_limit(l), 20);
    end_aimd(l);
}

/* ---- .is_overload ---- */

struct judge {
    exec_limiter_t *l;
    int overload, calls, last;
};

static bool judge(int error, void *ctx) {
    struct judge *j = ctx;
    j->calls++;
    j->last = error;
    at_least(exec_limiter_in_flight(j->l), 1); /* which would hang, if a lock were held */
    at_least(exec_limiter_limit(j->l), 1);
    errno = EPERM;
    return error == j->overload;
}

TEST(limiter_adapt, the_user_says_what_overload_is) {
    struct judge j = {.overload = ENOENT};
    exec_limiter_t *l = j.l = aimd((exec_limiter_opts){.is_overload = judge, .ctx = &j});
    errno = 4242;
    round_trip(l, EBUSY, EXEC_MS(1));
    eq_int(j.calls, 20);
    eq_int(exec_limiter_limit(l), 20);
    round_trip(l, ECANCELED, EXEC_MS(1));
    eq_int(j.calls, 20);
    eq_int(exec_limiter_limit(l), 20);
    round_trip(l, ENOENT, EXEC_MS(1));
    eq_int(j.last, ENOENT);
    at_most(exec_limiter_limit(l), 18);
    int calls = j.calls;
    size_t limit = exec_limiter_limit(l);
    round_trip(l, 0, EXEC_MS(1));
    eq_int(j.calls, calls);
    at_least(exec_limiter_limit(l), (intmax_t)limit);
    eq_int(errno, 4242);
    end_aimd(l);
}

TEST(limiter_adapt, it_is_asked_about_tasks_as_well_and_with_any_kind) {
    struct judge j = {0};
    executor_t *ex = pool(1);
    exec_limiter_t *l = j.l = limiter_of((exec_limiter_opts){.max_running = 1, .is_overload = judge, .ctx = &j});
    eq_err(outcome(limited(ex, fail_with, as_error(EIO), l)), EIO);
    wait_until(exec_limiter_in_flight(l) == 0);
    eq_int(j.last, EIO);
    eq_err(outcome(limited(ex, fail_with, as_error(ECANCELED), l)), ECANCELED);
    take(limited(ex, identity, NULL, l));
    executor_destroy(ex);
    eq_int(j.calls, 1);
    eq_int(exec_limiter_limit(l), 1);
    end_limiter(l);
}

/* ---- latency ---- */

TEST(limiter_adapt, a_success_that_took_too_long_is_overload) {
    exec_limiter_t *l = aimd((exec_limiter_opts){.slow = EXEC_MS(10)});
    round_trip(l, 0, EXEC_MS(10));
    size_t limit = exec_limiter_limit(l);
    at_least(limit, 21);
    round_trip(l, 0, EXEC_MS(10) + 1);
    at_most(exec_limiter_limit(l), (intmax_t)limit - 1);
    end_aimd(l);
}

/* A service that does `capacity` at once in some 10 ms each, and lets the others wait in line. */
struct line {
    exec_limiter_t *l;
    int capacity;
    exec_time free_at[60];
    exec_permit permits[200];
    exec_time ends_at[200];
    int n;
    unsigned random;
};

static exec_time duration(struct line *s) {
    s->random = s->random * 1103515245 + 12345;
    return EXEC_MS(7.5) + EXEC_US(s->random / 65536 % 5000);
}

static void begin_one(struct line *s) {
    int server = 0;
    for (int i = 1; i < s->capacity; i++)
        server = s->free_at[i] < s->free_at[server] ? i : server;
    exec_time begin = s->free_at[server] > exec_now() ? s->free_at[server] : exec_now();
    s->free_at[server] = s->ends_at[s->n++] = begin + duration(s);
}

static void end_one(struct line *s) {
    int first = 0;
    for (int i = 1; i < s->n; i++)
        first = s->ends_at[i] < s->ends_at[first] ? i : first;
    if (s->ends_at[first] > exec_now())
        exec__clock_move(s->ends_at[first] - exec_now(), 0);
    give_back(s->l, &s->permits[first]);
    s->n--;
    s->permits[first] = s->permits[s->n];
    s->ends_at[first] = s->ends_at[s->n];
}

static void busy_for(struct line *s, int capacity, int completions) {
    s->capacity = capacity;
    for (int i = 0; i < completions; i++) {
        while (s->n < 200 && exec_limiter_acquire(s->l, EXEC_NOW, &s->permits[s->n]) == 0)
            begin_one(s);
        at_most(s->n, 199);
        end_one(s);
    }
}

TEST(limiter_adapt, by_latency_it_finds_how_many_are_served_at_once) {
    exec__clock_move(0, 0);
    struct line s = {.l = limiter_of((exec_limiter_opts){.adapt = EXEC_LIMIT_GRADIENT, .max = 100}), .random = 1};
    busy_for(&s, 30, 1000);
    between(exec_limiter_limit(s.l), 20, 40);
    busy_for(&s, 12, 1000);
    between(exec_limiter_limit(s.l), 8, 17);
    while (s.n > 0)
        end_one(&s);
    end_aimd(s.l);
}

/* ---- tasks ---- */

static void *take_time(void *duration) {
    exec__clock_move(*(exec_time *)duration, 0);
    return duration;
}

TEST(limiter_adapt, the_latency_of_a_task_is_that_of_its_run) {
    struct plug plug = PLUG;
    exec_time quick = EXEC_MS(1), slow = EXEC_MS(100);
    exec_limiter_t *l =
        limiter_of((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD, .initial = 1, .max = 5, .slow = EXEC_MS(10)});
    exec__clock_move(0, 0);
    executor_t *ex = pool(1);
    future_t *plugging = plug_in(ex, &plug), *f = limited(ex, take_time, &quick, l);
    eq_int(exec_limiter_in_flight(l), 1);
    exec__clock_move(HOUR, 0); /* it was let through, and has no worker */
    plug_out(&plug);
    take(plugging);
    take(f);
    for (int i = 0; i < 20; i++)
        take(limited(ex, take_time, &quick, l));
    wait_until(exec_limiter_in_flight(l) == 0);
    size_t limit = exec_limiter_limit(l);
    at_least(limit, 2);
    for (int i = 0; i < 20; i++)
        take(limited(ex, take_time, &slow, l));
    wait_until(exec_limiter_in_flight(l) == 0);
    eq_int(exec_limiter_limit(l), 1);
    executor_destroy(ex);
    end_aimd(l);
}

/* Refuses what is more than its capacity. */
struct service {
    exec_limiter_t *limiter;
    atomic_int in_flight, refused;
    atomic_bool lowered; /* the limit was seen below what it began with */
    int capacity;
};

static void *serve(void *arg) {
    struct service *s = arg;
    bool room = atomic_fetch_add(&s->in_flight, 1) < s->capacity;
    if (exec_limiter_limit(s->limiter) < 16)
        atomic_store(&s->lowered, true);
    exec_sleep(EXEC_MS(1));
    atomic_fetch_sub(&s->in_flight, 1);
    if (!room)
        atomic_fetch_add(&s->refused, 1);
    return room ? arg : exec_fail(EBUSY);
}

TEST(limiter_adapt, tasks_that_are_refused_and_tried_again_lower_the_limit_and_all_succeed) {
    enum { TASKS = 300 };
    struct service s = {.capacity = 4};
    future_t *fs[TASKS];
    executor_t *ex = pool(16);
    exec_limiter_t *l = limiter_of((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD, .initial = 16, .max = 16});
    s.limiter = l;
    exec_task_opts opts = {.limiter = l, .retry = {.attempts = 1000, .delay = EXEC_MS(1), .max_delay = EXEC_MS(1)}};
    for (int i = 0; i < TASKS; i++)
        fs[i] = submit_opts(ex, serve, &s, &opts);
    for (int i = 0; i < TASKS; i++)
        eq_ptr(take(fs[i]), &s);
    at_least(atomic_load(&s.refused), 1);
    check(atomic_load(&s.lowered)); /* how far it has come back by the end is a matter of how busy the machine is */
    executor_destroy(ex);
    end_limiter(l);
}

TEST(limiter_adapt, a_run_that_takes_too_long_is_overload) {
    executor_t *ex = pool(1);
    exec_limiter_t *l = limiter_of((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD});
    struct obedient task = OBEDIENT(ECANCELED);
    future_t *f = submit_opts(ex, until_asked, &task, &(exec_task_opts){.limiter = l, .timeout = EXEC_MS(1)});
    eq_err(outcome(f), ETIMEDOUT);
    wait_until(exec_limiter_in_flight(l) == 0);
    at_most(exec_limiter_limit(l), 1); /* what was in flight, and a tenth less, but one at least */
    executor_destroy(ex);
    end_limiter(l);
}

TEST(limiter_adapt, one_that_is_cancelled_counts_as_nothing) {
    executor_t *ex = pool(1);
    exec_limiter_t *l = limiter_of((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD});
    for (int i = 0; i < 10; i++) {
        struct obedient task = OBEDIENT(ECANCELED);
        future_t *f = limited(ex, until_asked, &task, l);
        gate_wait(&task.started);
        eq_err(future_cancel(f), EINPROGRESS);
        eq_err(outcome(f), ECANCELED);
    }
    executor_destroy(ex);
    eq_int(exec_limiter_limit(l), 10);
    end_limiter(l);
}
