/* test_timer.c - the timer thread and its wheel, by themselves: in order, never early, each one fired or cancelled. */
#include "moved_clock.h"

#include "timer.h"

#define TICK (EXEC_NS(1) << 16) /* of the wheel */

struct shot {
    struct exec__timer timer; /* first */
    struct exec__timers *wheel;
    int number;
    exec_time at; /* when it was fired */
    atomic_int fired;
    int again; /* how often it arms itself */
    struct exec__timer *victim;
};

static struct record order = RECORD;

static void note(struct exec__timer *t) {
    struct shot *shot = (struct shot *)t;
    shot->at = exec_now();
    record_add(&order, shot->number);
    atomic_fetch_add(&shot->fired, 1);
}

static void begin(struct exec__timers *ts) {
    ok(exec__timers_init(ts));
    ok(exec__timers_start(ts, "wheel"));
}

static void end(struct exec__timers *ts) {
    exec__timers_stop(ts);
    exec__timers_fini(ts);
}

static void arm(struct exec__timers *ts, struct shot *shot, exec_time when) {
    if (!shot->timer.fire)
        shot->timer.fire = note;
    exec__timer_arm(ts, &shot->timer, when);
}

/* The thread has fired all that is due: what it fires last is this. */
static void flush(struct exec__timers *ts) {
    struct shot last = {.number = -1};
    arm(ts, &last, exec_now());
    wait_until(atomic_load(&last.fired));
}

static void move(struct exec__timers *ts, exec_time duration) {
    exec__clock_move(duration, 0);
    flush(ts);
}

static void is_fired(struct shot *shot, int times) {
    eq_int(atomic_load(&shot->fired), times);
}

static void fires_at(struct exec__timers *ts, struct shot *shot, exec_time when) {
    move(ts, when - 1 - exec_now());
    is_fired(shot, 0);
    move(ts, 1);
    is_fired(shot, 1);
    eq_int(shot->at, when);
}

/* ---- when ---- */

TEST(timer, timers_fire_in_the_order_of_their_times) {
    enum { N = 1000 };
    static struct shot shots[N];
    struct exec__timers ts;
    stop_clock();
    begin(&ts);
    for (int i = 0; i < N; i++) {
        shots[i].number = i * 377 % N;
        arm(&ts, &shots[i], exec_now() + EXEC_MS(1 + shots[i].number));
    }
    move(&ts, EXEC_MS(N));
    for (int i = 0; i < N; i++)
        eq_int(order.items[i], i);
    eq_int(order.n, N + 1);
    end(&ts);
}

TEST(timer, a_timer_fires_at_its_time_and_not_a_nanosecond_before) {
    const exec_time after[] = {1, 100, TICK - 1, TICK, TICK + 1, EXEC_MS(1), EXEC_SEC(1), EXEC_SEC(86400)};
    struct exec__timers ts;
    stop_clock();
    begin(&ts);
    for (size_t i = 0; i < sizeof after / sizeof *after; i++) {
        struct shot shot = {0};
        exec_time when = exec_now() + after[i];
        arm(&ts, &shot, when);
        fires_at(&ts, &shot, when);
    }
    end(&ts);
}

TEST(timer, by_the_real_clock_no_timer_is_early) {
    enum { N = 300 };
    static struct shot shots[N];
    struct exec__timers ts;
    begin(&ts);
    for (int i = 0; i < N; i++)
        arm(&ts, &shots[i], exec_now() + EXEC_US(137) * i);
    for (int i = 0; i < N; i++) {
        wait_until(atomic_load(&shots[i].fired));
        at_least(shots[i].at, shots[i].timer.when);
    }
    end(&ts);
}

TEST(timer, what_is_due_already_fires_at_once_in_the_order_it_was_armed) {
    const exec_time past[] = {EXEC_NOW, -1, INT64_MIN, 1, EXEC_SEC(1)};
    struct exec__timers ts;
    struct shot shots[6] = {{.number = 0}};
    stop_clock();
    begin(&ts);
    for (int i = 0; i < 6; i++) {
        shots[i].number = i;
        arm(&ts, &shots[i], i < 5 ? past[i] : exec_now());
    }
    flush(&ts);
    for (int i = 0; i < 6; i++)
        eq_int(order.items[i], i);
    end(&ts);
}

TEST(timer, of_the_same_time_the_first_armed_fires_first) {
    enum { N = 500 };
    static struct shot shots[N];
    struct exec__timers ts;
    stop_clock();
    begin(&ts);
    exec_time when = exec_now() + EXEC_SEC(100);
    for (int i = 0; i < N; i++) {
        if (i == N / 2)
            move(&ts, EXEC_SEC(50)); /* the others then lie on another level */
        shots[i].number = i;
        arm(&ts, &shots[i], when);
    }
    move(&ts, EXEC_SEC(50));
    for (int i = 0; i < N; i++)
        eq_int(order.items[i + 1], i);
    end(&ts);
}

TEST(timer, the_end_of_time_is_a_time_like_others) {
    struct exec__timers ts;
    struct shot never = {0}, last = {0};
    stop_clock();
    begin(&ts);
    arm(&ts, &never, EXEC_NEVER);
    arm(&ts, &last, EXEC_NEVER - 1);
    move(&ts, EXEC_SEC(1000));
    is_fired(&last, 0);
    fires_at(&ts, &last, EXEC_NEVER - 1);
    is_fired(&never, 0);
    check(exec__timer_cancel(&ts, &never.timer));
    end(&ts);
}

/* ---- the levels ---- */

/* The wheel stands this many ticks behind a round number. */
static void cross_levels(exec_time behind) {
    enum { LEVELS = 7, AROUND = 5 };
    struct exec__timers ts;
    struct shot shots[LEVELS][AROUND] = {{{.number = 0}}};
    stop_clock();
    exec_time round = (exec_now() / (TICK << 12) + 1) * (TICK << 12);
    exec__clock_move(round - behind * TICK - exec_now(), 0);
    begin(&ts);
    exec_time from = exec_now();
    for (int level = 0; level < LEVELS; level++)
        for (int i = 0; i < AROUND; i++)
            arm(&ts, &shots[level][i], from + ((EXEC_NS(1) << 6 * level) * 8 + i - 2) * TICK);
    for (int level = 0; level < LEVELS; level++)
        for (int i = 0; i < AROUND; i++)
            fires_at(&ts, &shots[level][i], from + ((EXEC_NS(1) << 6 * level) * 8 + i - 2) * TICK);
    end(&ts);
}

TEST(timer, timers_are_exact_across_the_levels_of_the_wheel) {
    cross_levels(0);
    cross_levels(1);
    cross_levels(63);
    cross_levels(64);
    cross_levels(2049);
}

TEST(timer, timers_are_exact_around_the_widths_of_the_slots) {
    struct exec__timers ts;
    stop_clock();
    begin(&ts);
    for (int level = 0; level < 7; level++)
        for (int i = -2; i <= 2; i++) {
            struct shot shot = {0};
            exec_time when = exec_now() + ((EXEC_NS(1) << 6 * level) + i) * TICK + i;
            if (when <= exec_now())
                continue;
            arm(&ts, &shot, when);
            fires_at(&ts, &shot, when);
        }
    end(&ts);
}

/* ---- many ---- */

/* Every third one is cancelled. Steps: how many fired in each, all within its bounds. */
static void fire_many(int n, int steps) {
    struct shot *shots = calloc((size_t)n, sizeof *shots);
    struct exec__timers ts;
    unsigned seed = 1;
    const exec_time span = EXEC_SEC(100000);
    check(shots != NULL);
    stop_clock();
    begin(&ts);
    exec_time from = exec_now();
    for (int i = 0; i < n; i++) {
        exec_time when = from + 1 + (exec_time)((double)rand_r(&seed) / RAND_MAX * (double)(span - 1));
        arm(&ts, &shots[i], when);
    }
    for (int i = 0; i < n; i += 3)
        check(exec__timer_cancel(&ts, &shots[i].timer));
    for (int step = 1; step <= steps; step++)
        move(&ts, span / steps);
    for (int i = 0; i < n; i++) {
        is_fired(&shots[i], i % 3 != 0);
        if (i % 3 != 0)
            between(shots[i].at, shots[i].timer.when, shots[i].timer.when + span / steps - 1);
    }
    end(&ts);
    free(shots);
}

TEST(timer, a_million_timers_are_each_fired_in_time_or_cancelled) {
    fire_many(TEST_IS_SLOWED ? 20000 : 1000000, TEST_IS_SLOWED ? 20 : 200);
}

/* ---- cancelling and moving ---- */

TEST(timer, a_cancelled_timer_does_not_fire) {
    struct exec__timers ts;
    struct shot shot = {0};
    stop_clock();
    begin(&ts);
    shot.timer.fire = note;
    check(!exec__timer_cancel(&ts, &shot.timer));
    arm(&ts, &shot, exec_now() + EXEC_SEC(1));
    check(exec__timer_cancel(&ts, &shot.timer));
    check(!exec__timer_cancel(&ts, &shot.timer));
    move(&ts, EXEC_SEC(2));
    is_fired(&shot, 0);
    arm(&ts, &shot, exec_now() + EXEC_SEC(1));
    move(&ts, EXEC_SEC(1));
    is_fired(&shot, 1);
    check(!exec__timer_cancel(&ts, &shot.timer));
    end(&ts);
}

TEST(timer, an_armed_timer_can_be_moved_both_ways) {
    struct exec__timers ts;
    struct shot later = {0}, earlier = {0}, there_and_back = {0};
    stop_clock();
    begin(&ts);
    exec_time now = exec_now();
    arm(&ts, &later, now + EXEC_SEC(1));
    arm(&ts, &earlier, now + EXEC_SEC(1000));
    arm(&ts, &there_and_back, now + EXEC_SEC(3));
    arm(&ts, &later, now + EXEC_SEC(4));
    arm(&ts, &earlier, now + EXEC_SEC(2));
    arm(&ts, &there_and_back, EXEC_NEVER);
    arm(&ts, &there_and_back, now + EXEC_SEC(3));
    fires_at(&ts, &earlier, now + EXEC_SEC(2));
    fires_at(&ts, &there_and_back, now + EXEC_SEC(3));
    fires_at(&ts, &later, now + EXEC_SEC(4));
    move(&ts, EXEC_SEC(2000));
    is_fired(&earlier, 1);
    is_fired(&later, 1);
    end(&ts);
}

TEST(timer, one_of_many_in_a_slot_can_be_cancelled_and_the_others_fire) {
    enum { N = 9 };
    struct exec__timers ts;
    stop_clock();
    begin(&ts);
    for (int out = 0; out < N; out++) {
        struct shot shots[N] = {{.number = 0}};
        exec_time when = exec_now() + EXEC_SEC(1);
        for (int i = 0; i < N; i++)
            arm(&ts, &shots[i], when);
        check(exec__timer_cancel(&ts, &shots[out].timer));
        move(&ts, EXEC_SEC(1));
        for (int i = 0; i < N; i++)
            is_fired(&shots[i], i != out);
    }
    end(&ts);
}

/* ---- from where it is fired ---- */

static void rearm(struct exec__timer *t) {
    struct shot *shot = (struct shot *)t;
    note(t);
    if (shot->again-- > 0)
        exec__timer_arm(shot->wheel, t, t->when + EXEC_SEC(1));
}

TEST(timer, a_timer_can_be_armed_again_where_it_is_fired) {
    struct exec__timers ts;
    struct shot shot = {.timer = {.fire = rearm}, .wheel = &ts, .again = 19};
    stop_clock();
    begin(&ts);
    exec_time first = exec_now() + EXEC_SEC(1);
    arm(&ts, &shot, first);
    for (int i = 0; i < 10; i++) {
        move(&ts, EXEC_SEC(1));
        is_fired(&shot, i + 1);
        eq_int(shot.at, first + EXEC_SEC(i));
    }
    exec__clock_move(EXEC_SEC(100), 0); /* those that it arms in the past fire at once */
    wait_until(atomic_load(&shot.fired) == 20);
    flush(&ts);
    is_fired(&shot, 20);
    end(&ts);
}

static void cancel_victim(struct exec__timer *t) {
    struct shot *shot = (struct shot *)t;
    note(t);
    check(exec__timer_cancel(shot->wheel, shot->victim));
}

TEST(timer, one_that_is_due_can_be_cancelled_by_one_that_fires_before) {
    struct exec__timers ts;
    struct shot victim = {0}, killer = {.timer = {.fire = cancel_victim}, .wheel = &ts, .victim = &victim.timer};
    stop_clock();
    begin(&ts);
    arm(&ts, &killer, exec_now() + EXEC_SEC(1));
    arm(&ts, &victim, exec_now() + EXEC_SEC(1));
    move(&ts, EXEC_SEC(2));
    is_fired(&killer, 1);
    is_fired(&victim, 0);
    end(&ts);
}

/* ---- racing ---- */

TEST(timer, a_timer_that_is_cancelled_as_it_fires_is_either_cancelled_or_fired) {
    enum { MOST = 5000 };
    static struct shot shots[MOST];
    struct exec__timers ts;
    int cancelled = 0, n = TEST_IS_SLOWED ? MOST / 10 : MOST;
    begin(&ts);
    for (int i = 0; i < n; i++) {
        exec_time when = exec_now() + i % 100 * EXEC_NS(500);
        arm(&ts, &shots[i], when);
        while (exec_now() < when) {
        }
        bool was_armed = exec__timer_cancel(&ts, &shots[i].timer);
        cancelled += was_armed;
        if (was_armed)
            is_fired(&shots[i], 0);
        else
            wait_until(atomic_load(&shots[i].fired) == 1);
    }
    flush(&ts);
    for (int i = 0; i < n; i++)
        cancelled += atomic_load(&shots[i].fired);
    eq_int(cancelled, n);
    end(&ts);
}

struct arming {
    struct exec__timers *ts;
    struct shot shots[2000];
    int cancelled;
};

static void *arm_and_cancel(void *arg) {
    struct arming *a = arg;
    for (int i = 0; i < 2000; i++) {
        arm(a->ts, &a->shots[i], exec_now() + i % 50 * EXEC_US(1));
        a->cancelled += i >= 20 && exec__timer_cancel(a->ts, &a->shots[i - 20].timer);
    }
    return NULL;
}

TEST(timer, threads_may_arm_and_cancel_at_once) {
    static struct arming armings[4];
    struct exec__timers ts;
    pthread_t threads[4];
    int done = 0;
    begin(&ts);
    for (int i = 0; i < 4; i++) {
        armings[i].ts = &ts;
        threads[i] = start(arm_and_cancel, &armings[i]);
    }
    for (int i = 0; i < 4; i++)
        finish(threads[i]);
    nap(EXEC_US(50)); /* all are due then */
    flush(&ts);
    for (int i = 0; i < 4; i++) {
        done += armings[i].cancelled;
        for (int n = 0; n < 2000; n++) {
            at_most(atomic_load(&armings[i].shots[n].fired), 1);
            done += atomic_load(&armings[i].shots[n].fired);
        }
    }
    eq_int(done, 8000);
    end(&ts);
}

/* ---- the thread ---- */

static atomic_bool signals_are_blocked;

static void look_at_signals(struct exec__timer *t) {
    sigset_t blocked;
    bool all = pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0;
    for (int signal = 1; signal < SIGRTMAX; signal++)
        all = all && (sigismember(&blocked, signal) || signal == SIGKILL || signal == SIGSTOP ||
                      (signal > SIGSYS && signal < SIGRTMIN));
    atomic_store(&signals_are_blocked, all);
    note(t);
}

TEST(timer, there_is_one_thread_with_its_name_and_all_signals_blocked) {
    struct exec__timers ts;
    struct shot shot = {.timer = {.fire = look_at_signals}};
    ok(exec__timers_init(&ts));
    eq_int(thread_count(), test_threads);
    ok(exec__timers_start(&ts, "one-wheel"));
    ok(exec__timers_start(&ts, "another"));
    eq_int(thread_count(), test_threads + 1);
    eq_int(threads_named("one-wheel", NULL, 0), 1);
    arm(&ts, &shot, EXEC_NOW);
    wait_until(atomic_load(&shot.fired));
    check(atomic_load(&signals_are_blocked));
    end(&ts);
}

TEST(timer, a_wheel_that_was_never_started_can_be_stopped) {
    struct exec__timers ts;
    ok(exec__timers_init(&ts));
    end(&ts);
}

TEST(timer, a_stopped_wheel_fires_nothing_more) {
    enum { N = 100 };
    struct exec__timers ts;
    struct shot shots[N] = {{.number = 0}};
    stop_clock();
    begin(&ts);
    for (int i = 0; i < N; i++)
        arm(&ts, &shots[i], exec_now() + EXEC_SEC(i + 1));
    move(&ts, EXEC_SEC(10));
    exec__timers_stop(&ts);
    exec__clock_move(EXEC_SEC(1000), 0);
    for (int i = 0; i < N; i++)
        is_fired(&shots[i], i < 10);
    exec__timers_fini(&ts);
}

static struct gate firing = GATE(1), go_on = GATE(1);

static void dwell(struct exec__timer *t) {
    gate_open(&firing);
    gate_wait(&go_on);
    note(t);
}

static void *stop(void *ts) {
    exec__timers_stop(ts);
    return NULL;
}

static bool is_stopping(struct exec__timers *ts) {
    pthread_mutex_lock(&ts->lock);
    bool stopping = ts->stop;
    pthread_mutex_unlock(&ts->lock);
    return stopping;
}

TEST(timer, who_stops_a_wheel_waits_for_the_one_that_is_being_fired_alone) {
    struct exec__timers ts;
    struct shot first = {.timer = {.fire = dwell}}, second = {0};
    begin(&ts);
    stop_clock();
    arm(&ts, &first, exec_now() + 1);
    arm(&ts, &second, exec_now() + 1);
    exec__clock_move(1, 0);
    gate_wait(&firing);
    pthread_t thread = start(stop, &ts);
    wait_until(is_stopping(&ts));
    gate_open(&go_on);
    finish(thread);
    is_fired(&first, 1);
    is_fired(&second, 0);
    exec__timers_fini(&ts);
}

TEST(timer, several_wheels_see_the_clock_move_and_come_and_go) {
    struct exec__timers ts[3];
    struct shot shots[3] = {{.number = 0}};
    stop_clock();
    for (int gone = 0; gone < 3; gone++) {
        for (int i = 0; i < 3; i++) {
            begin(&ts[i]);
            atomic_store(&shots[i].fired, 0);
            arm(&ts[i], &shots[i], exec_now() + EXEC_SEC(1));
        }
        end(&ts[gone]);
        exec__clock_move(EXEC_SEC(1), 0);
        for (int i = 0; i < 3; i++) {
            wait_until(i == gone || atomic_load(&shots[i].fired) == 1);
            if (i != gone)
                end(&ts[i]);
        }
        is_fired(&shots[gone], 0);
    }
}

TEST(timer, when_the_clock_is_released_timers_go_by_the_system_again) {
    struct exec__timers ts;
    struct shot shot = {0};
    stop_clock();
    begin(&ts);
    exec_time when = exec_now() + EXEC_MS(20);
    arm(&ts, &shot, when);
    flush(&ts);
    exec__clock_release();
    wait_until(atomic_load(&shot.fired));
    at_least(shot.at, when);
    end(&ts);
}
