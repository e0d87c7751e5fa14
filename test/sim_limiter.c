/* sim_limiter.c - how a limit finds itself: the trace of a simulation (service.h), in columns that gnuplot can plot.
 *
 *     sim_limiter [LIMIT [SERVICE [SPREAD [SEED]]]] >trace
 *     make simulate-plot
 *
 * LIMIT is aimd or gradient; SERVICE refuses, refuses-late, queues or shares; SPREAD, of its latencies, fixed, uniform,
 * erlang or exponential. Unless given: gradient queues uniform 1. The capacity moves from 20 to 60 to 10. A line a
 * completion: its number, the time in seconds, the capacity, the limit, how many are let through, how many are in
 * flight, the latency in milliseconds, and 1 if it was refused. Last, and as comments, what became of each move: after
 * how many completions the limit was within 20 % of the capacity; and of the completions after the first 200, how many
 * saw it outside of that, and how many were refused. The exit status is 1 if that is not as it should be: within 20 %
 * after 200 completions, outside of that at no more than 1 % of those that follow, and at most 5 % refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service.h"

static const char *const limits[] = {
    [EXEC_LIMIT_FIXED] = "", [EXEC_LIMIT_AIMD] = "aimd", [EXEC_LIMIT_GRADIENT] = "gradient"};
static const char *const manners[] = {[SERVICE_REFUSES] = "refuses",
                                      [SERVICE_REFUSES_LATE] = "refuses-late",
                                      [SERVICE_QUEUES] = "queues",
                                      [SERVICE_SHARES] = "shares"};
static const char *const spreads[] = {[SPREAD_FIXED] = "fixed",
                                      [SPREAD_UNIFORM] = "uniform",
                                      [SPREAD_ERLANG] = "erlang",
                                      [SPREAD_EXPONENTIAL] = "exponential"};
static const size_t capacities[] = {20, 60, 10};
enum { MOVES = sizeof capacities / sizeof capacities[0] };

static int find(const char *word, const char *const words[], int n) {
    for (int i = 0; i < n; i++)
        if (words[i][0] != '\0' && strcmp(word, words[i]) == 0)
            return i;
    fprintf(stderr, "usage: sim_limiter [aimd|gradient [refuses|refuses-late|queues|shares "
                    "[fixed|uniform|erlang|exponential [SEED]]]]\n");
    exit(2);
}

static void print_step(unsigned number, const struct service *s, const struct exec__limit *l,
                       const struct exec__sample *sample) {
    printf("%u %.4f %zu %zu %zu %zu %.2f %d\n", number, s->now / 1e9, s->capacity, exec__limit_now(l),
           exec__limit_room(l), s->in_flight, (double)(sample->now - sample->started) / 1e6,
           sample->outcome == EXEC__OVERLOAD);
}

static bool is_right(const struct service_figures *f) {
    return f->arrived <= SERVICE_MOVING && f->outside <= 0.01 && f->refused <= 0.05;
}

/* Whether all went as it should. */
static bool print_moves(const struct service *service, const struct exec__limit *limit) {
    static struct service s;
    struct exec__limit l = *limit;
    bool right = true;
    s = *service;
    for (int i = 0; i < MOVES; i++) {
        struct service_figures f = service_move(&s, &l, capacities[i]);
        printf("# to %zu: after %u, outside %.1f %%, refused %.1f %%, mean %.2f of the capacity\n", capacities[i],
               f.arrived, 100 * f.outside, 100 * f.refused, f.mean);
        right = right && is_right(&f);
    }
    return right;
}

int main(int argc, char **argv) {
    static struct service s, begin;
    struct exec__limit l, l_begin;
    int kind = argc > 1 ? find(argv[1], limits, 3) : EXEC_LIMIT_GRADIENT;
    s.manner = (enum service_manner)(argc > 2 ? find(argv[2], manners, 4) : SERVICE_QUEUES);
    s.spread = (enum service_spread)(argc > 3 ? find(argv[3], spreads, 4) : SPREAD_UNIFORM);
    s.random = service_seed(argc > 4 ? strtoull(argv[4], NULL, 0) : 1);
    exec__limit_init(&l, &(exec_limiter_opts){.adapt = (enum exec_limiter_kind)kind});
    begin = s, l_begin = l;
    printf("# completion seconds capacity limit room in-flight latency-ms refused\n");
    for (unsigned i = 0; i < MOVES * (SERVICE_MOVING + SERVICE_STEADY); i++) {
        s.capacity = capacities[i / (SERVICE_MOVING + SERVICE_STEADY)];
        struct exec__sample sample = service_step(&s, &l);
        print_step(i, &s, &l, &sample);
    }
    if (print_moves(&begin, &l_begin))
        return 0;
    fprintf(stderr, "sim_limiter: the limit has not found the capacity, or too much was refused\n");
    return 1;
}
