/* test_limit_finds.c - limits that find themselves, against a simulated service (service.h) whose capacity moves from
 * 20 to 60 to 10 requests in flight, and again. Within 200 completions of each move the limit is to be within 20 % of
 * the capacity, and then to stay there, with few requests refused.
 *
 * Latencies that spread far say little about how many are in flight: what one averages over n of them is off by its
 * coefficient of variation over the square root of n. So what is asked of the gradient is less where that is more.
 */
#include "helpers.h"

#include "service.h"

#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#endif

static const size_t capacities[] = {20, 60, 10, 20, 60, 10}; /* the first is where it begins */
enum { MOVES = 6, SEEDS = 50 };

/* Of all moves, of all seeds. */
struct sum {
    int moves, in_time;
    unsigned latest;
    double outside, refused, most_outside, most_refused, least_mean, most_mean;
};

static void add(struct sum *sum, const struct service_figures *f) {
    sum->in_time += f->arrived <= SERVICE_MOVING;
    sum->latest = f->arrived > sum->latest ? f->arrived : sum->latest;
    sum->outside += (f->outside - sum->outside) / ++sum->moves;
    sum->refused += (f->refused - sum->refused) / sum->moves;
    sum->most_outside = f->outside > sum->most_outside ? f->outside : sum->most_outside;
    sum->most_refused = f->refused > sum->most_refused ? f->refused : sum->most_refused;
    sum->least_mean = f->mean < sum->least_mean ? f->mean : sum->least_mean;
    sum->most_mean = f->mean > sum->most_mean ? f->mean : sum->most_mean;
}

static struct sum run(exec_limiter_opts opts, enum service_manner manner, enum service_spread spread) {
    static struct service s;
    struct sum sum = {.least_mean = 1, .most_mean = 1};
    for (uint64_t seed = 1; seed <= (RUNNING_ON_VALGRIND ? 10 : SEEDS); seed++) {
        struct exec__limit l;
        ok(exec__limit_check(&opts));
        exec__limit_init(&l, &opts);
        s = (struct service){.manner = manner, .spread = spread, .random = service_seed(seed)};
        for (int i = 0; i < MOVES; i++) {
            struct service_figures f = service_move(&s, &l, capacities[i]);
            if (i > 0)
                add(&sum, &f);
        }
    }
    return sum;
}

static const exec_limiter_opts aimd = {.adapt = EXEC_LIMIT_AIMD}, gradient = {.adapt = EXEC_LIMIT_GRADIENT};

static bool all_in_time(const struct sum *sum) {
    return sum->in_time == sum->moves;
}

TEST(limit_finds, aimd_finds_the_capacity_of_a_service_that_refuses_whatever_its_latencies) {
    for (int spread = SPREAD_FIXED; spread <= SPREAD_EXPONENTIAL; spread++) {
        struct sum sum = run(aimd, SERVICE_REFUSES, (enum service_spread)spread);
        check(all_in_time(&sum));
        check(sum.most_outside == 0);
        check(sum.most_refused <= 0.05);
    }
}

TEST(limit_finds, aimd_finds_it_nearly_as_fast_when_the_service_is_slow_to_refuse) {
    for (int spread = SPREAD_FIXED; spread <= SPREAD_EXPONENTIAL; spread++) {
        struct sum sum = run(aimd, SERVICE_REFUSES_LATE, (enum service_spread)spread);
        at_least(sum.in_time * 100, sum.moves * 95);
        at_most(sum.latest, 300);
        check(sum.outside <= 0.02 && sum.most_outside <= 0.1);
        check(sum.refused <= 0.03 && sum.most_refused <= 0.06);
    }
}

TEST(limit_finds, the_gradient_finds_the_capacity_of_a_service_that_becomes_slow) {
    static const enum service_manner manners[] = {SERVICE_QUEUES, SERVICE_SHARES};
    for (int manner = 0; manner < 2; manner++) {
        for (int spread = SPREAD_FIXED; spread <= SPREAD_UNIFORM; spread++) {
            struct sum sum = run(gradient, manners[manner], (enum service_spread)spread);
            check(all_in_time(&sum));
            check(sum.outside <= 0.02 && sum.most_outside <= 0.25);
            check(sum.least_mean >= 0.9 && sum.most_mean <= 1.1);
            check(sum.most_refused == 0);
        }
    }
}

TEST(limit_finds, with_latencies_that_spread_far_the_gradient_is_right_on_average) {
    static const enum service_manner manners[] = {SERVICE_QUEUES, SERVICE_SHARES};
    for (int manner = 0; manner < 2; manner++) {
        struct sum sum = run(gradient, manners[manner], SPREAD_ERLANG);
        at_least(sum.in_time * 100, sum.moves * 98);
        at_most(sum.latest, 300);
        check(sum.outside <= 0.1);
        check(sum.least_mean >= 0.8 && sum.most_mean <= 1.2);
    }
    struct sum sum = run(gradient, SERVICE_QUEUES, SPREAD_EXPONENTIAL);
    at_least(sum.in_time * 100, sum.moves * 50);
    check(sum.outside <= 0.25);
}

TEST(limit_finds, the_gradient_heeds_refusals_too) {
    static const enum service_manner manners[] = {SERVICE_REFUSES, SERVICE_REFUSES_LATE};
    for (int manner = 0; manner < 2; manner++) {
        for (int spread = SPREAD_FIXED; spread <= SPREAD_ERLANG; spread++) {
            struct sum sum = run(gradient, manners[manner], (enum service_spread)spread);
            at_most(sum.latest, 400);
            check(sum.least_mean >= 0.8 && sum.most_mean <= 1.05);
            check(sum.refused <= 0.03 && sum.most_refused <= 0.06);
        }
    }
}

/* As far as anyone can tell, that is a queue at first. So the limit goes to its least, and finds its way from there. */
TEST(limit_finds, when_all_takes_longer_for_good_the_gradient_finds_its_way_back) {
    static struct service s;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct exec__limit l;
        exec__limit_init(&l, &gradient);
        s = (struct service){.manner = SERVICE_QUEUES, .spread = SPREAD_UNIFORM, .random = service_seed(seed)};
        service_move(&s, &l, 50);
        for (int i = 0; i < 2000; i++) {
            service_start(&s, exec__limit_room(&l));
            struct exec__sample sample = service_next(&s);
            sample.started -= (exec_time)SERVICE_MEAN; /* the way to it and back takes as long as what it does */
            exec__limit_sample(&l, &sample);
        }
        at_least(exec__limit_now(&l), 40);
    }
}

TEST(limit_finds, the_same_seed_gives_the_same_trace) {
    static struct service a, b;
    struct exec__limit la, lb;
    exec__limit_init(&la, &gradient);
    lb = la;
    a = (struct service){.manner = SERVICE_SHARES, .spread = SPREAD_ERLANG, .random = service_seed(7), .capacity = 20};
    b = a;
    for (int i = 0; i < 2000; i++) {
        struct exec__sample sa = service_step(&a, &la), sb = service_step(&b, &lb);
        eq_int(sa.now, sb.now);
        eq_int(exec__limit_room(&la), exec__limit_room(&lb));
    }
}
