/* test_time.c - points in time and durations. */
#include "helpers.h"

static exec_time monotonic(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (exec_time)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

TEST(time, the_units_are_nanoseconds) {
    eq_int(EXEC_NS(7), 7);
    eq_int(EXEC_US(7), 7000);
    eq_int(EXEC_MS(20), 20000000);
    eq_int(EXEC_SEC(3), INT64_C(3000000000));
    eq_int(sizeof(EXEC_MS(1)), sizeof(int64_t));
}

TEST(time, the_units_take_fractions_and_negative_numbers) {
    eq_int(EXEC_SEC(0.5), 500000000);
    eq_int(EXEC_MS(1.5), 1500000);
    eq_int(EXEC_US(0.25), 250);
    eq_int(EXEC_MS(-20), -20000000);
}

TEST(time, a_duration_of_days_in_an_int_does_not_overflow) {
    int day = 86400;
    eq_int(EXEC_SEC(day), INT64_C(86400000000000));
    eq_int(EXEC_MS(day * 1000), INT64_C(86400000000000));
}

TEST(time, now_is_the_monotonic_clock) {
    exec_time before = monotonic(), now = exec_now(), after = monotonic();
    between(now, before, after);
}

TEST(time, now_never_goes_back_and_is_always_after_exec_now) {
    exec_time last = EXEC_NOW + 1;
    for (int i = 0; i < 10000; i++) {
        exec_time now = exec_now();
        at_least(now, last);
        last = now;
    }
}

TEST(time, a_deadline_lies_its_duration_from_now) {
    const exec_time durations[] = {0, 1, EXEC_MS(20), EXEC_SEC(86400), -1, EXEC_MS(-1)};
    for (size_t i = 0; i < sizeof durations / sizeof *durations; i++) {
        exec_time before = exec_now(), deadline = exec_after(durations[i]), after = exec_now();
        between(deadline, before + durations[i], after + durations[i]);
    }
}

TEST(time, a_deadline_saturates_at_never) {
    eq_int(exec_after(EXEC_NEVER), EXEC_NEVER);
    eq_int(exec_after(EXEC_NEVER - 1), EXEC_NEVER);
    eq_int(exec_after(EXEC_NEVER - exec_now() / 2), EXEC_NEVER); /* however little has passed since the clock began */
    exec_time nearly = exec_after(EXEC_NEVER - exec_now() - EXEC_SEC(1000));
    check(nearly < EXEC_NEVER);
}

TEST(time, a_deadline_saturates_at_now) {
    eq_int(exec_after(INT64_MIN), EXEC_NOW);
    eq_int(exec_after(-EXEC_NEVER), EXEC_NOW);
    eq_int(exec_after(-exec_now() - EXEC_SEC(1000)), EXEC_NOW);
}

TEST(time, errno_is_left_alone) {
    errno = 1234;
    exec_now();
    exec_after(EXEC_NEVER);
    exec_after(INT64_MIN);
    exec_after(EXEC_MS(1));
    eq_int(errno, 1234);
}

static volatile exec_time in_handler, deadline_in_handler;

static void look_at_the_clock(int signal) {
    (void)signal;
    in_handler = exec_now();
    deadline_in_handler = exec_after(EXEC_SEC(1));
}

TEST(time, the_clock_can_be_read_in_a_signal_handler) {
    struct sigaction action = {.sa_handler = look_at_the_clock};
    sigaction(SIGUSR1, &action, NULL);
    exec_time before = exec_now();
    ok(pthread_kill(pthread_self(), SIGUSR1));
    exec_time after = exec_now();
    between(in_handler, before, after);
    between(deadline_in_handler, before + EXEC_SEC(1), after + EXEC_SEC(1));
}
