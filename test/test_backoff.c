/* test_backoff.c - the delays between the runs of a task that fails: growth, bounds, jitter; and which runs there are.
 */
#include "helpers.h"

#include <limits.h>
#include <math.h>

#include "backoff.h"

static exec_time delay(exec_retry r, unsigned attempt) {
    r.jitter = EXEC_JITTER_NONE;
    ok(exec__retry_check(&r));
    return exec__backoff(&r, attempt, 12345);
}

/* Different each time, the same in each run. */
static uint64_t next_random(void) {
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * UINT64_C(0x2545f4914f6cdd1d);
}

TEST(backoff, each_delay_is_the_one_before_times_the_factor) {
    exec_retry r = {.delay = 1000, .factor = 3};
    eq_int(delay(r, 1), 1000);
    eq_int(delay(r, 2), 3000);
    eq_int(delay(r, 3), 9000);
    eq_int(delay(r, 8), 2187000);
    r.factor = 1.5;
    eq_int(delay(r, 2), 1500);
    eq_int(delay(r, 4), 3375);
}

TEST(backoff, the_defaults_are_100_ms_30_s_and_2) {
    exec_retry r = {0};
    eq_int(delay(r, 1), EXEC_MS(100));
    eq_int(delay(r, 2), EXEC_MS(200));
    eq_int(delay(r, 9), EXEC_MS(25600));
    eq_int(delay(r, 10), EXEC_SEC(30));
    eq_int(delay(r, UINT_MAX), EXEC_SEC(30));
    r.delay = EXEC_SEC(100);
    eq_int(delay(r, 1), EXEC_SEC(100));
    eq_int(delay(r, 5), EXEC_SEC(100));
}

TEST(backoff, no_delay_is_more_than_the_greatest) {
    exec_retry r = {.delay = EXEC_MS(1), .max_delay = EXEC_MS(5)};
    eq_int(delay(r, 3), EXEC_MS(4));
    eq_int(delay(r, 4), EXEC_MS(5));
    eq_int(delay(r, 1000000), EXEC_MS(5));
    r.delay = EXEC_MS(6);
    eq_int(delay(r, 1), EXEC_MS(5));
    r.delay = 0;
    eq_int(delay(r, 1), EXEC_MS(5));
}

TEST(backoff, delays_saturate_at_never) {
    exec_retry r = {.delay = 1, .max_delay = EXEC_NEVER};
    eq_int(delay(r, 63), INT64_C(1) << 62);
    eq_int(delay(r, 64), EXEC_NEVER);
    eq_int(delay(r, UINT_MAX), EXEC_NEVER);
    r.factor = 1e300;
    eq_int(delay(r, 2), EXEC_NEVER);
    eq_int(delay(r, UINT_MAX), EXEC_NEVER);
    r = (exec_retry){.delay = EXEC_NEVER - 1, .max_delay = EXEC_NEVER};
    eq_int(delay(r, 1), EXEC_NEVER - 1);
    eq_int(delay(r, 2), EXEC_NEVER);
    r.delay = EXEC_NEVER;
    eq_int(delay(r, 1), EXEC_NEVER);
    r.max_delay = 0;
    eq_int(delay(r, 1), EXEC_NEVER);
}

TEST(backoff, with_a_factor_of_1_all_delays_are_the_same_to_the_nanosecond) {
    exec_retry r = {.delay = (INT64_C(1) << 60) + 1, .max_delay = EXEC_NEVER, .factor = 1};
    eq_int(delay(r, 1), r.delay);
    eq_int(delay(r, 2), r.delay);
    eq_int(delay(r, UINT_MAX), r.delay);
}

TEST(backoff, a_factor_a_little_above_1_grows_over_millions_of_attempts) {
    exec_retry r = {.delay = EXEC_SEC(1), .max_delay = EXEC_NEVER, .factor = 1.000001};
    between(delay(r, 1000001), EXEC_MS(2718), EXEC_MS(2719));
    between(delay(r, 2000001), EXEC_MS(7389), EXEC_MS(7390));
    eq_int(delay(r, 4000000000), EXEC_NEVER);
}

TEST(backoff, delays_never_shrink_as_attempts_go_on) {
    for (int i = 0; i < 1000; i++) {
        exec_retry r = {.delay = (exec_time)(next_random() >> (1 + next_random() % 60)) + 1,
                        .max_delay = (exec_time)(next_random() >> (1 + next_random() % 60)),
                        .factor = 1 + (double)(next_random() % 1000) / 100};
        exec_time before = 0;
        for (unsigned attempt = 1; attempt < 100; attempt++) {
            at_least(delay(r, attempt), before);
            before = delay(r, attempt);
        }
        at_most(before, r.max_delay != 0 ? r.max_delay : r.delay > EXEC_SEC(30) ? r.delay : EXEC_SEC(30));
    }
}

/* ---- jitter ---- */

TEST(backoff, full_jitter_is_anything_from_nothing_to_the_whole_delay) {
    static const exec_time delays[] = {1,         2, 3, 1000, EXEC_SEC(1), INT64_C(1) << 32, (INT64_C(1) << 62) + 1,
                                       EXEC_NEVER};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        exec_retry r = {.delay = delays[i], .max_delay = EXEC_NEVER};
        eq_int(exec__backoff(&r, 1, 0), 0);
        eq_int(exec__backoff(&r, 1, UINT64_MAX), delays[i]);
        for (int n = 0; n < 1000; n++)
            between(exec__backoff(&r, 1, next_random()), 0, delays[i]);
    }
}

TEST(backoff, equal_jitter_is_anything_from_half_of_the_delay_to_all_of_it) {
    static const exec_time delays[] = {1, 2, 3, 1001, EXEC_SEC(1), EXEC_NEVER};
    for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
        exec_retry r = {.delay = delays[i], .max_delay = EXEC_NEVER, .jitter = EXEC_JITTER_EQUAL};
        eq_int(exec__backoff(&r, 1, 0), delays[i] / 2);
        eq_int(exec__backoff(&r, 1, UINT64_MAX), delays[i]);
        for (int n = 0; n < 1000; n++)
            between(exec__backoff(&r, 1, next_random()), delays[i] / 2, delays[i]);
    }
}

TEST(backoff, jitter_is_the_exact_part_of_the_delay_that_the_random_number_is_of_its_range) {
    for (int i = 0; i < 100000; i++) {
        exec_retry r = {.delay = (exec_time)(next_random() >> (2 + next_random() % 61)) + 1, .max_delay = EXEC_NEVER};
        uint64_t random = next_random();
        __extension__ unsigned __int128 product = random;
        product *= (uint64_t)r.delay + 1;
        eq_int(exec__backoff(&r, 1, random), (uint64_t)(product >> 64));
    }
}

TEST(backoff, jitter_spreads_delays_evenly) {
    enum { DRAWS = 100000, PARTS = 20 };
    static const enum exec_jitter jitters[] = {EXEC_JITTER_FULL, EXEC_JITTER_EQUAL};
    for (int j = 0; j < 2; j++) {
        exec_retry r = {.delay = 40 * PARTS - 1, .factor = 1, .jitter = jitters[j]};
        int width = j == 0 ? 40 : 20, least = j == 0 ? 0 : 40 * PARTS / 2 - 1, counts[PARTS + 1] = {0};
        for (int i = 0; i < DRAWS; i++)
            counts[((int)exec__backoff(&r, 3, next_random()) - least) / width]++;
        /* Chi-squared with 19 degrees of freedom: more than 43.8 in one of 1000 times. With EQUAL one value is over. */
        double sum = 0, expected = (double)DRAWS / PARTS;
        for (int i = 0; i < PARTS; i++)
            sum += (counts[i] - expected) * (counts[i] - expected) / expected;
        at_most(counts[PARTS], j == 0 ? 0 : DRAWS / PARTS / width * 2);
        at_most((intmax_t)sum, 43);
    }
}

TEST(backoff, of_many_who_fail_together_few_come_back_together) {
    enum { MANY = 1000, SLOTS = 100 };
    exec_retry r = {.delay = EXEC_MS(100)};
    int slots[SLOTS + 1] = {0};
    for (int i = 0; i < MANY; i++)
        slots[exec__backoff(&r, 1, next_random()) / EXEC_MS(1)]++;
    for (int i = 0; i < SLOTS; i++)
        between(slots[i], 0, 3 * MANY / SLOTS);
}

/* ---- which runs there are ---- */

struct asked {
    int calls, error;
    unsigned attempt;
    bool answer;
};

static bool ask(int error, unsigned attempt, void *ctx) {
    struct asked *a = ctx;
    a->calls++;
    a->error = error;
    a->attempt = attempt;
    return a->answer;
}

TEST(backoff, without_attempts_there_is_no_retry) {
    check(!exec__retry_wants(&(exec_retry){0}, EIO, 1));
    check(!exec__retry_wants(&(exec_retry){.attempts = 1}, EIO, 1));
}

TEST(backoff, there_are_as_many_runs_as_attempts) {
    exec_retry r = {.attempts = 3};
    check(exec__retry_wants(&r, EIO, 1));
    check(exec__retry_wants(&r, EIO, 2));
    check(!exec__retry_wants(&r, EIO, 3));
    check(!exec__retry_wants(&r, EIO, UINT_MAX));
    r.attempts = UINT_MAX;
    check(exec__retry_wants(&r, EIO, UINT_MAX - 1));
    check(!exec__retry_wants(&r, EIO, UINT_MAX));
}

TEST(backoff, when_is_asked_after_every_run_but_the_last) {
    struct asked a = {.answer = true};
    exec_retry r = {.attempts = 3, .when = ask, .ctx = &a};
    check(exec__retry_wants(&r, ENOENT, 1));
    eq_err(a.error, ENOENT);
    eq_int(a.attempt, 1);
    a.answer = false;
    check(!exec__retry_wants(&r, EIO, 2));
    eq_err(a.error, EIO);
    eq_int(a.attempt, 2);
    check(!exec__retry_wants(&r, EIO, 3));
    eq_int(a.calls, 2);
}

TEST(backoff, bad_options_are_refused) {
    static const exec_retry bad[] = {{.delay = -1},
                                     {.max_delay = -1},
                                     {.delay = INT64_MIN},
                                     {.factor = 0.99},
                                     {.factor = -2},
                                     {.factor = INFINITY},
                                     {.factor = -INFINITY},
                                     {.factor = NAN},
                                     {.jitter = (enum exec_jitter)3},
                                     {.jitter = (enum exec_jitter)77}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        eq_err(exec__retry_check(&bad[i]), EINVAL);
    ok(exec__retry_check(&(exec_retry){0}));
    ok(exec__retry_check(&(exec_retry){.attempts = UINT_MAX, .delay = EXEC_NEVER, .max_delay = 1, .factor = 1}));
    ok(exec__retry_check(&(exec_retry){.factor = 1e308, .jitter = EXEC_JITTER_EQUAL}));
}
