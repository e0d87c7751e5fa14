/* test_bucket.c - the token bucket of limiters: exact to the nanosecond over any time, at any rate. */
#include "helpers.h"

#include "limit.h"

#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

static struct exec__bucket bucket(exec_limiter_opts opts, exec_time now) {
    struct exec__bucket b;
    ok(exec__limit_check(&opts));
    exec__bucket_init(&b, &opts, now);
    return b;
}

static void takes(struct exec__bucket *b, exec_time now) {
    exec_time due;
    check(exec__bucket_take(b, now, &due));
}

static exec_time due_at(struct exec__bucket *b, exec_time now) {
    exec_time due;
    check(!exec__bucket_take(b, now, &due));
    return due;
}

TEST(bucket, without_a_rate_there_is_always_a_token) {
    struct exec__bucket b = bucket((exec_limiter_opts){0}, 0);
    for (int i = 0; i < 1000; i++)
        takes(&b, 5);
}

TEST(bucket, without_a_burst_tokens_are_evenly_spaced) {
    struct exec__bucket b = bucket((exec_limiter_opts){.rate = 4}, 1000);
    takes(&b, 1000);
    for (int i = 1; i < 100; i++) {
        exec_time at = 1000 + i * EXEC_MS(250);
        eq_int(due_at(&b, at - EXEC_MS(250)), at);
        eq_int(due_at(&b, at - 1), at);
        takes(&b, at);
    }
}

TEST(bucket, a_full_one_has_a_whole_burst_and_never_more) {
    struct exec__bucket b = bucket((exec_limiter_opts){.rate = 10, .burst = 5}, 0);
    for (int round = 0; round < 3; round++) {
        exec_time now = round * EXEC_SEC(1000);
        for (int i = 0; i < 5; i++)
            takes(&b, now);
        eq_int(due_at(&b, now), now + EXEC_MS(100));
    }
}

TEST(bucket, what_is_not_taken_is_saved_up) {
    struct exec__bucket b = bucket((exec_limiter_opts){.rate = 10, .burst = 5}, 0);
    for (int i = 0; i < 5; i++)
        takes(&b, 0);
    for (int i = 0; i < 3; i++)
        takes(&b, EXEC_MS(399));
    eq_int(due_at(&b, EXEC_MS(399)), EXEC_MS(400));
}

TEST(bucket, the_rate_may_be_meant_for_any_period) {
    struct exec__bucket b = bucket((exec_limiter_opts){.rate = 1, .per = EXEC_SEC(366 * 86400)}, 0);
    takes(&b, 0);
    eq_int(due_at(&b, 1), EXEC_SEC(366 * 86400));
    b = bucket((exec_limiter_opts){.rate = 3, .per = 7}, 0);
    takes(&b, 0);
    eq_int(due_at(&b, 0), 3);
    takes(&b, 3);
    eq_int(due_at(&b, 3), 5);
    takes(&b, 5);
    eq_int(due_at(&b, 5), 7);
    b = bucket((exec_limiter_opts){.rate = 1000000000, .burst = 2}, 0);
    takes(&b, 0);
    takes(&b, 0);
    eq_int(due_at(&b, 0), 1);
}

/* Taken as soon as there is one, token k of a bucket that began with `burst` comes when k - burst have flowed in. */
static void is_exact(size_t rate, exec_time per, size_t burst, exec_time start, int takings) {
    struct exec__bucket b = bucket((exec_limiter_opts){.rate = rate, .per = per, .burst = burst}, start);
    exec_time now = start, due;
    uint64_t begin = burst != 0 ? burst : 1;
    for (uint64_t k = 1; k <= (uint64_t)takings; k++) {
        while (!exec__bucket_take(&b, now, &due))
            now = due;
        __extension__ unsigned __int128 flow_time = k > begin ? k - begin : 0;
        flow_time = (flow_time * (uint64_t)per + rate - 1) / rate;
        if (now != start + (exec_time)flow_time)
            FAIL("token %ju at %jd, expected at %jd", (uintmax_t)k, (intmax_t)(now - start), (intmax_t)flow_time);
    }
}

TEST(bucket, ten_million_takings_do_not_drift_by_a_nanosecond) {
    int takings = RUNNING_ON_VALGRIND ? 100000 : 10000000;
    is_exact(3, EXEC_SEC(1), 0, 12345, takings);
    is_exact(999999937, EXEC_SEC(1), 3, 1, takings / 10);
    is_exact(7, EXEC_SEC(86400), 7, 0, takings / 100);
    is_exact(86399, EXEC_SEC(86400), 1000, INT64_C(1) << 61, takings / 10);
}

static uint64_t next_random(void) {
    static uint64_t state = 88172645463325252;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

TEST(bucket, any_rate_is_exact) {
    for (int i = 0; i < 1000; i++) {
        exec_time per = 1 + (exec_time)(next_random() % (uint64_t)EXEC_SEC(100000)) / (exec_time)(1 + i % 1000);
        is_exact(1 + next_random() % (uint64_t)(per < 1000000 ? per : 1000000), per, next_random() % 10,
                 (exec_time)(next_random() >> 4), 100);
    }
}

/* With whoever takes at random moments, too: in no stretch of time of length .per more than .rate and .burst. */
TEST(bucket, in_no_period_there_are_more_than_rate_and_burst) {
    enum { RATE = 20, BURST = 7, TAKINGS = 20000 };
    static exec_time at[TAKINGS];
    struct exec__bucket b = bucket((exec_limiter_opts){.rate = RATE, .burst = BURST}, 0);
    exec_time now = 0, due;
    for (int n = 0; n < TAKINGS;) {
        if (next_random() % 40 == 0)
            now += (exec_time)(next_random() % (uint64_t)EXEC_SEC(1));
        now += (exec_time)(next_random() % (uint64_t)EXEC_MS(20));
        if (exec__bucket_take(&b, now, &due))
            at[n++] = now;
    }
    for (int i = 0; i + RATE + BURST < TAKINGS; i++)
        at_least(at[i + RATE + BURST] - at[i], EXEC_SEC(1));
}

TEST(bucket, when_it_is_due_is_later_than_now_and_a_token_is_there_then_but_not_before) {
    for (int i = 0; i < 10000; i++) {
        exec_time per = 1 + (exec_time)(next_random() % (uint64_t)EXEC_SEC(1000));
        size_t rate = 1 + next_random() % (uint64_t)per % 1000;
        struct exec__bucket b = bucket((exec_limiter_opts){.rate = rate, .per = per}, 0), before;
        exec_time now = (exec_time)(next_random() >> 10), due;
        while (exec__bucket_take(&b, now, &due))
            now += (exec_time)(next_random() % (uint64_t)per);
        at_least(due, now + 1);
        before = b;
        if (due - 1 > now)
            eq_int(due_at(&before, due - 1), due);
        takes(&b, due);
    }
}

TEST(bucket, time_that_goes_backwards_counts_as_standing_still) {
    struct exec__bucket b = bucket((exec_limiter_opts){.rate = 1}, EXEC_SEC(10));
    takes(&b, EXEC_SEC(5));
    eq_int(due_at(&b, EXEC_SEC(1)), EXEC_SEC(11));
    eq_int(due_at(&b, EXEC_SEC(10) + 1), EXEC_SEC(11));
    eq_int(due_at(&b, 0), EXEC_SEC(11));
    takes(&b, EXEC_SEC(11));
}

TEST(bucket, nothing_overflows_at_the_ends_of_time) {
    struct exec__bucket b = bucket((exec_limiter_opts){.rate = 1, .per = EXEC_SEC(366 * 86400)}, 0);
    takes(&b, EXEC_NEVER - 10);
    eq_int(due_at(&b, EXEC_NEVER - 10), EXEC_NEVER);
    eq_int(due_at(&b, EXEC_NEVER), EXEC_NEVER);
    b = bucket((exec_limiter_opts){.rate = 1000000000, .burst = (size_t)1 << 62}, 0);
    takes(&b, 0);
    takes(&b, EXEC_NEVER);
    eq_int(b.level, b.room - 1);
    b = bucket((exec_limiter_opts){.rate = 1, .burst = (size_t)1 << 32}, 0);
    takes(&b, EXEC_NEVER);
    eq_int(b.level, b.room - b.token);
}

TEST(bucket, bad_rates_are_refused) {
    static const exec_limiter_opts bad[] = {{.per = EXEC_SEC(1)},
                                            {.burst = 1},
                                            {.rate = 1, .per = -1},
                                            {.rate = 1, .per = INT64_MIN},
                                            {.rate = 1, .per = EXEC_SEC(366 * 86400) + 1},
                                            {.rate = 1000000001},
                                            {.rate = 3, .per = 2},
                                            {.rate = SIZE_MAX},
                                            {.rate = 1, .burst = SIZE_MAX},
                                            {.rate = 1000000000, .burst = ((size_t)1 << 62) + 1},
                                            {.rate = 1, .per = EXEC_SEC(86400), .burst = 100000}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        eq_err(exec__limit_check(&bad[i]), EINVAL);
    ok(exec__limit_check(&(exec_limiter_opts){.rate = 100000, .per = EXEC_SEC(86400), .burst = 100000}));
    ok(exec__limit_check(&(exec_limiter_opts){.rate = 1000000000, .burst = (size_t)1 << 62}));
}
