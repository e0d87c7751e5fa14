/* test_limit.c - the rules by which limits find themselves: what makes them grow and shrink, what does not, and their
 * bounds. What comes of the rules is in test_limit_finds.c.
 */
#include "helpers.h"

#include "limit.h"

#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

enum { LATENCY = 1000000 };

static struct exec__limit limit(exec_limiter_opts opts) {
    struct exec__limit l;
    ok(exec__limit_check(&opts));
    exec__limit_init(&l, &opts);
    return l;
}

/* The end of one that was started now, and ended in this way after LATENCY, with so many in flight all the time. */
static void ends(struct exec__limit *l, exec_time *now, size_t in_flight, enum exec__outcome outcome) {
    *now += LATENCY;
    exec__limit_sample(l, &(struct exec__sample){*now - LATENCY, *now, in_flight, in_flight, outcome});
}

/* The same, with as many in flight as may be. */
static void ends_in_use(struct exec__limit *l, exec_time *now, enum exec__outcome outcome) {
    ends(l, now, exec__limit_room(l), outcome);
}

/* ---- options ---- */

TEST(limit, bad_limits_are_refused) {
    static const exec_limiter_opts bad[] = {{.min = 1},
                                            {.max = 1},
                                            {.initial = 1},
                                            {.slow = 1},
                                            {.slow = -1, .adapt = EXEC_LIMIT_AIMD},
                                            {.slow = 1, .adapt = EXEC_LIMIT_GRADIENT},
                                            {.adapt = (enum exec_limiter_kind)3},
                                            {.adapt = EXEC_LIMIT_AIMD, .max_running = 1},
                                            {.adapt = EXEC_LIMIT_GRADIENT, .max_running = 1},
                                            {.adapt = EXEC_LIMIT_AIMD, .min = 5, .max = 4},
                                            {.adapt = EXEC_LIMIT_AIMD, .min = 5, .initial = 4},
                                            {.adapt = EXEC_LIMIT_AIMD, .max = 5, .initial = 6},
                                            {.adapt = EXEC_LIMIT_AIMD, .max = ((size_t)1 << 20) + 1},
                                            {.adapt = EXEC_LIMIT_GRADIENT, .min = SIZE_MAX}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        eq_err(exec__limit_check(&bad[i]), EINVAL);
}

TEST(limit, a_limit_begins_at_10_or_at_the_bound_nearest_to_it) {
    for (int kind = EXEC_LIMIT_AIMD; kind <= EXEC_LIMIT_GRADIENT; kind++) {
        enum exec_limiter_kind adapt = (enum exec_limiter_kind)kind;
        struct exec__limit l = limit((exec_limiter_opts){.adapt = adapt});
        eq_int(exec__limit_now(&l), 10);
        l = limit((exec_limiter_opts){.adapt = adapt, .max = 7});
        eq_int(exec__limit_now(&l), 7);
        l = limit((exec_limiter_opts){.adapt = adapt, .min = 5000});
        eq_int(exec__limit_now(&l), 5000);
        l = limit((exec_limiter_opts){.adapt = adapt, .min = 3, .initial = 4, .max = 5});
        eq_int(exec__limit_now(&l), 4);
        eq_int(exec__limit_room(&l), 4);
    }
}

TEST(limit, a_fixed_limit_learns_nothing) {
    exec_time now = 0;
    struct exec__limit l = limit((exec_limiter_opts){.max_running = 3}), none = limit((exec_limiter_opts){0});
    for (int i = 0; i < 100; i++) {
        ends_in_use(&l, &now, i % 3 == 0 ? EXEC__OVERLOAD : EXEC__SUCCESS);
        eq_int(exec__limit_now(&l), 3);
        eq_int(exec__limit_room(&l), 3);
        check(exec__limit_now(&none) == SIZE_MAX && exec__limit_room(&none) == SIZE_MAX);
    }
}

/* ---- outcomes ---- */

static bool is_odd(int error, void *ctx) {
    ++*(int *)ctx;
    return error % 2 != 0;
}

TEST(limit, errors_that_tell_of_too_many_count_as_overload_and_others_as_nothing) {
    static const int overload[] = {EAGAIN, EBUSY, ETIMEDOUT, ECONNREFUSED, ECONNRESET, ENOBUFS, EMFILE, ENFILE};
    static const int nothing[] = {ECANCELED, ENOENT, EINVAL, EIO, ENOMEM, EACCES, -1, 100000};
    exec_limiter_opts opts = {0};
    eq_int(exec__limit_outcome(&opts, 0), EXEC__SUCCESS);
    for (int i = 0; i < 8; i++) {
        eq_int(exec__limit_outcome(&opts, overload[i]), EXEC__OVERLOAD);
        eq_int(exec__limit_outcome(&opts, nothing[i]), EXEC__NOTHING);
    }
}

TEST(limit, the_user_may_say_which_errors_are_overload) {
    int calls = 0;
    exec_limiter_opts opts = {.is_overload = is_odd, .ctx = &calls};
    eq_int(exec__limit_outcome(&opts, 5), EXEC__OVERLOAD);
    eq_int(exec__limit_outcome(&opts, 6), EXEC__NOTHING);
    eq_int(calls, 2);
    eq_int(exec__limit_outcome(&opts, 0), EXEC__SUCCESS);
    eq_int(exec__limit_outcome(&opts, ECANCELED), EXEC__NOTHING);
    eq_int(calls, 2);
}

TEST(limit, what_counts_as_nothing_changes_nothing) {
    for (int kind = EXEC_LIMIT_AIMD; kind <= EXEC_LIMIT_GRADIENT; kind++) {
        exec_time now = 0;
        struct exec__limit l = limit((exec_limiter_opts){.adapt = (enum exec_limiter_kind)kind});
        for (int i = 0; i < 1000; i++)
            ends_in_use(&l, &now, EXEC__NOTHING);
        eq_int(exec__limit_now(&l), 10);
        eq_int(exec__limit_room(&l), 10);
        ends_in_use(&l, &now, EXEC__OVERLOAD); /* nor has it a say in how far it falls */
        eq_int(exec__limit_now(&l), 9);
    }
}

/* ---- by overload ---- */

TEST(limit, it_grows_fast_until_the_first_overload) {
    exec_time now = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD});
    for (int i = 0; i < 100; i++)
        ends_in_use(&l, &now, EXEC__SUCCESS);
    eq_int(exec__limit_now(&l), 60);
}

TEST(limit, overload_takes_a_tenth_away_and_it_grows_slowly_until_it_is_past_it) {
    exec_time now = 0;
    int successes = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD, .initial = 100});
    ends_in_use(&l, &now, EXEC__OVERLOAD);
    eq_int(exec__limit_now(&l), 90);
    for (; exec__limit_now(&l) < 101; successes++)
        ends_in_use(&l, &now, EXEC__SUCCESS);
    between(successes, 11 * 90, 11 * 101 * 2);
    for (int i = 0; i < 20; i++)
        ends_in_use(&l, &now, EXEC__SUCCESS);
    between(exec__limit_now(&l), 110, 112);
}

TEST(limit, it_does_not_grow_while_it_is_not_what_holds_back) {
    exec_time now = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD});
    for (int i = 0; i < 1000; i++)
        ends(&l, &now, 7, EXEC__SUCCESS);
    eq_int(exec__limit_now(&l), 10);
    for (int i = 0; i < 2; i++)
        ends(&l, &now, 9, EXEC__SUCCESS);
    eq_int(exec__limit_now(&l), 11);
}

TEST(limit, overload_with_few_in_flight_is_taken_from_these_few) {
    exec_time now = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD, .initial = 100});
    ends(&l, &now, 20, EXEC__OVERLOAD);
    eq_int(exec__limit_now(&l), 18);
}

TEST(limit, all_that_was_under_way_counts_once) {
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD, .initial = 100});
    for (int i = 0; i < 100; i++)
        exec__limit_sample(&l, &(struct exec__sample){1000 + i, 5000 + i, 100, 100, EXEC__OVERLOAD});
    eq_int(exec__limit_now(&l), 90);
    exec__limit_sample(&l, &(struct exec__sample){5000, 6000, 90, 90, EXEC__OVERLOAD});
    eq_int(exec__limit_now(&l), 90);
    exec__limit_sample(&l, &(struct exec__sample){5001, 6000, 90, 90, EXEC__OVERLOAD});
    at_most(exec__limit_now(&l), 80);
}

TEST(limit, when_most_are_refused_it_falls_faster_but_never_by_more_than_seven_tenths) {
    exec_time now = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD, .initial = 1000});
    for (int i = 0; i < 1000; i++)
        exec__limit_sample(&l, &(struct exec__sample){1, 1000, 1000, 1000, EXEC__OVERLOAD});
    now = 2000;
    eq_int(exec__limit_now(&l), 900);
    ends_in_use(&l, &now, EXEC__OVERLOAD);
    between(exec__limit_now(&l), 270, 400);
    for (int i = 0; i < 1000; i++)
        exec__limit_sample(&l, &(struct exec__sample){1, 1000, 1000, 1000, EXEC__OVERLOAD});
    size_t before = exec__limit_now(&l);
    now++;
    ends_in_use(&l, &now, EXEC__OVERLOAD);
    between(exec__limit_now(&l), before * 3 / 10 - 1, before * 3 / 10 + 1);
}

TEST(limit, a_success_that_is_too_slow_counts_as_overload) {
    exec_time now = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD, .initial = 100, .slow = LATENCY});
    ends_in_use(&l, &now, EXEC__SUCCESS);
    ends_in_use(&l, &now, EXEC__SUCCESS);
    eq_int(exec__limit_now(&l), 101);
    l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_AIMD, .initial = 100, .slow = LATENCY - 1});
    ends_in_use(&l, &now, EXEC__SUCCESS);
    eq_int(exec__limit_now(&l), 90);
}

/* ---- by latency ---- */

/* A gradient limit that has seen a service with so much room, which queues, and as many in flight as may be. */
static void learn_capacity(struct exec__limit *l, exec_time *now, size_t capacity, int completions) {
    for (int i = 0; i < completions; i++) {
        size_t n = exec__limit_room(l);
        exec_time latency = n > capacity ? (exec_time)(LATENCY * n / capacity) : LATENCY;
        *now += latency;
        exec__limit_sample(l, &(struct exec__sample){*now - latency, *now, n, n, EXEC__SUCCESS});
    }
}

TEST(limit, at_first_it_stays_as_it_is_and_learns_how_long_one_takes) {
    exec_time now = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_GRADIENT});
    for (int i = 0; i < 80; i++) {
        eq_int(exec__limit_room(&l), 10);
        ends_in_use(&l, &now, EXEC__SUCCESS);
    }
    eq_int(exec__limit_now(&l), 10);
    eq_int(exec__limit_room(&l), 12);
    between((intmax_t)l.base, LATENCY, LATENCY + 2);
}

TEST(limit, it_lets_a_little_more_through_and_now_and_then_a_little_less) {
    exec_time now = 0;
    int more = 0, less = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_GRADIENT});
    learn_capacity(&l, &now, 100, 3000);
    for (int i = 0; i < 1000; i++) {
        learn_capacity(&l, &now, 100, 1);
        between(exec__limit_now(&l), 90, 110);
        between(exec__limit_room(&l), 85, 130);
        more += exec__limit_room(&l) > exec__limit_now(&l);
        less += exec__limit_room(&l) < exec__limit_now(&l);
    }
    at_least(more, 500);
    at_least(less, 50);
}

TEST(limit, latency_alone_does_not_move_it_while_it_is_not_what_holds_back) {
    exec_time now = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_GRADIENT});
    learn_capacity(&l, &now, 50, 2000);
    size_t before = exec__limit_now(&l);
    for (int i = 0; i < 1000; i++)
        ends(&l, &now, 5, EXEC__SUCCESS);
    eq_int(exec__limit_now(&l), before);
}

TEST(limit, a_service_that_becomes_slower_while_it_is_idle_is_not_held_for_a_busy_one) {
    exec_time now = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_GRADIENT});
    learn_capacity(&l, &now, 50, 2000);
    for (int i = 0; i < 2000; i++) {
        now += 2 * LATENCY;
        exec__limit_sample(&l, &(struct exec__sample){now - 2 * LATENCY, now, 5, 5, EXEC__SUCCESS});
    }
    between((intmax_t)l.base, 2 * LATENCY * 0.99, 2 * LATENCY * 1.01);
}

TEST(limit, a_burst_after_a_pause_is_not_held_for_a_small_capacity) {
    exec_time now = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_GRADIENT});
    learn_capacity(&l, &now, 50, 2000);
    size_t before = exec__limit_now(&l), room = exec__limit_room(&l);
    for (size_t n = 1; n <= room; n++) /* started as the number rises, and all end when it is at its highest */
        exec__limit_sample(&l, &(struct exec__sample){now, now + LATENCY, n, room, EXEC__SUCCESS});
    between(exec__limit_now(&l), before * 9 / 10, before * 11 / 10);
}

TEST(limit, overload_lowers_a_limit_by_latency_too_and_bounds_it) {
    exec_time now = 0;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_GRADIENT});
    learn_capacity(&l, &now, 50, 2000);
    size_t room = exec__limit_room(&l);
    ends_in_use(&l, &now, EXEC__OVERLOAD);
    at_most(exec__limit_room(&l), room * 9 / 10);
    for (int i = 0; i < 20; i++) {
        ends_in_use(&l, &now, EXEC__SUCCESS);
        at_most(exec__limit_room(&l), room * 9 / 10 + 1);
    }
}

/* ---- bounds ---- */

static uint64_t next_random(void) {
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * UINT64_C(0x2545f4914f6cdd1d);
}

static size_t random_up_to(size_t most) {
    return 1 + next_random() % most;
}

static struct exec__sample random_sample(exec_time *now, size_t most) {
    static const enum exec__outcome outcomes[] = {EXEC__SUCCESS, EXEC__SUCCESS, EXEC__SUCCESS,  EXEC__SUCCESS,
                                                  EXEC__SUCCESS, EXEC__SUCCESS, EXEC__OVERLOAD, EXEC__NOTHING};
    exec_time latency = (exec_time)(next_random() >> (1 + next_random() % 63));
    *now += (exec_time)(next_random() >> (20 + next_random() % 43));
    struct exec__sample s = {.now = *now, .started = latency > *now ? 0 : *now - latency};
    if (next_random() % 50 == 0)
        s.started = s.now + (exec_time)(next_random() >> 40); /* a clock that is read in two places */
    s.level = random_up_to(most);
    s.in_flight = random_up_to(most);
    s.outcome = outcomes[next_random() % 8];
    return s;
}

TEST(limit, whatever_happens_it_stays_within_its_bounds) {
    for (int i = 0; i < (RUNNING_ON_VALGRIND ? 42 : 300); i++) {
        size_t max = random_up_to((size_t)1 << (i % 21)), min = random_up_to(max);
        enum exec_limiter_kind kind = i % 2 == 0 ? EXEC_LIMIT_AIMD : EXEC_LIMIT_GRADIENT;
        struct exec__limit l = limit((exec_limiter_opts){
            .adapt = kind, .min = min, .max = max, .initial = min + next_random() % (max - min + 1)});
        exec_time now = 0;
        for (int n = 0; n < 1000; n++) {
            struct exec__sample s = random_sample(&now, n % 2 == 0 ? max : exec__limit_room(&l));
            exec__limit_sample(&l, &s);
            between(exec__limit_now(&l), (intmax_t)min, (intmax_t)max);
            between(exec__limit_room(&l), (intmax_t)min, (intmax_t)max);
        }
    }
}

TEST(limit, it_comes_back_from_its_least) {
    for (int kind = EXEC_LIMIT_AIMD; kind <= EXEC_LIMIT_GRADIENT; kind++) {
        exec_time now = 0;
        struct exec__limit l = limit((exec_limiter_opts){.adapt = (enum exec_limiter_kind)kind, .initial = 50});
        for (int i = 0; i < 1000; i++)
            ends_in_use(&l, &now, EXEC__OVERLOAD);
        eq_int(exec__limit_room(&l), 1);
        learn_capacity(&l, &now, 50, 5000);
        at_least(exec__limit_now(&l), 40);
    }
}

TEST(limit, latencies_of_nothing_do_no_harm) {
    exec_time now = 5;
    struct exec__limit l = limit((exec_limiter_opts){.adapt = EXEC_LIMIT_GRADIENT});
    for (int i = 0; i < 5000; i++) {
        size_t n = exec__limit_room(&l);
        exec__limit_sample(&l, &(struct exec__sample){now, now, n, n, EXEC__SUCCESS});
        between(exec__limit_room(&l), 1, 1000);
    }
}
