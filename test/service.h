/* service.h - a simulated service, and clients that call it as fast as a limit lets them: discrete events on one
 * thread, with a clock and random numbers of its own, so that a seed decides all that happens.
 *
 * The service has places for `capacity` requests. What it does with more: it refuses them, at once or as late as it
 * would have answered; or they queue for a place, first in, first out; or all share the places.
 */
#ifndef SERVICE_H
#define SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "limit.h"

enum service_manner { SERVICE_REFUSES, SERVICE_REFUSES_LATE, SERVICE_QUEUES, SERVICE_SHARES };

/* How latencies spread about their mean. */
enum service_spread {
    SPREAD_FIXED,      /* by 2 % at most: enough for no two runs to be the same */
    SPREAD_UNIFORM,    /* evenly, by half of it; coefficient of variation 0.29 */
    SPREAD_ERLANG,     /* as the sum of four exponential ones: 0.5 */
    SPREAD_EXPONENTIAL /* 1 */
};

#define SERVICE_MEAN 1e8 /* ns for a request that has a place; a hundredth for one that is refused at once */

enum { SERVICE_MOST = 1000 }; /* in flight: there are so many clients */

struct request {
    double left; /* of the work, in ns of a whole place */
    bool refused;
    exec_time started;
    size_t level;
};

struct service {
    enum service_manner manner;
    enum service_spread spread;
    size_t capacity;
    uint64_t random;                       /* not 0 */
    double now;                            /* ns */
    struct request requests[SERVICE_MOST]; /* in flight, the oldest first */
    size_t in_flight, accepted;
};

static inline uint64_t service_random(struct service *s) { /* xorshift64*, Vigna, 2016 */
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return s->random * UINT64_C(0x2545f4914f6cdd1d);
}

/* The random numbers of a seed. */
static inline uint64_t service_seed(uint64_t seed) {
    return seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static inline double service_uniform(struct service *s) {
    return (double)(service_random(s) >> 11) * 0x1p-53;
}

/* Of mean 1, without a logarithm: von Neumann, "Various Techniques Used in Connection with Random Digits" (1951). */
static inline double service_exponential(struct service *s) {
    for (double whole = 0;; whole++) {
        double first = service_uniform(s), last = first, next;
        unsigned falls = 1;
        while ((next = service_uniform(s)) < last) {
            last = next;
            falls++;
        }
        if (falls % 2 == 1)
            return whole + first;
    }
}

/* Of mean 1. */
static inline double service_work(struct service *s) {
    double sum = 0;
    switch (s->spread) {
    case SPREAD_FIXED: return 0.98 + service_uniform(s) * 0.04;
    case SPREAD_UNIFORM: return 0.5 + service_uniform(s);
    case SPREAD_EXPONENTIAL: return service_exponential(s);
    case SPREAD_ERLANG:
        for (int i = 0; i < 4; i++)
            sum += service_exponential(s) / 4;
    }
    return sum;
}

static inline void service_start(struct service *s, size_t limit) {
    while (s->in_flight < limit && s->in_flight < SERVICE_MOST) {
        struct request *r = &s->requests[s->in_flight++];
        bool refuses = s->manner == SERVICE_REFUSES || s->manner == SERVICE_REFUSES_LATE;
        r->refused = refuses && s->accepted >= s->capacity;
        r->left = service_work(s) * SERVICE_MEAN;
        if (r->refused && s->manner == SERVICE_REFUSES)
            r->left = SERVICE_MEAN / 100;
        s->accepted += !r->refused;
        r->started = (exec_time)s->now;
        r->level = s->in_flight;
    }
}

/* How much of a place the request has. */
static inline double service_pace(const struct service *s, size_t i) {
    if (s->manner == SERVICE_QUEUES)
        return i < s->capacity ? 1 : 0;
    if (s->manner == SERVICE_SHARES && s->in_flight > s->capacity)
        return (double)s->capacity / (double)s->in_flight;
    return 1;
}

/* Lets time pass until a request is done. */
static inline struct exec__sample service_next(struct service *s) {
    double wait = 1e300;
    size_t which = 0;
    for (size_t i = 0; i < s->in_flight; i++) {
        double pace = service_pace(s, i);
        if (pace > 0 && s->requests[i].left / pace < wait) {
            wait = s->requests[i].left / pace;
            which = i;
        }
    }
    for (size_t i = 0; i < s->in_flight; i++)
        s->requests[i].left -= wait * service_pace(s, i);
    s->now += wait;
    struct request r = s->requests[which];
    struct exec__sample sample = {.started = r.started,
                                  .now = (exec_time)s->now,
                                  .level = r.level,
                                  .in_flight = s->in_flight,
                                  .outcome = r.refused ? EXEC__OVERLOAD : EXEC__SUCCESS};
    s->accepted -= !r.refused;
    s->in_flight--;
    for (size_t i = which; i < s->in_flight; i++)
        s->requests[i] = s->requests[i + 1];
    return sample;
}

/* One completion, from which the limit learns. */
static inline struct exec__sample service_step(struct service *s, struct exec__limit *l) {
    service_start(s, exec__limit_room(l));
    struct exec__sample sample = service_next(s);
    exec__limit_sample(l, &sample);
    return sample;
}

static inline bool service_fits(const struct service *s, const struct exec__limit *l) {
    double limit = (double)exec__limit_now(l), capacity = (double)s->capacity;
    return limit >= 0.8 * capacity && limit <= 1.2 * capacity;
}

/* What became of a move of the capacity. */
struct service_figures {
    unsigned arrived; /* completions until the limit was first within 20 % of the capacity */
    double outside;   /* part of the completions, of those after the first SERVICE_MOVING, at which it was not */
    double refused;   /* part of those that were refused */
    double mean;      /* of the limit then, divided by the capacity */
};

enum { SERVICE_MOVING = 200, SERVICE_STEADY = 1000 };

static inline struct service_figures service_move(struct service *s, struct exec__limit *l, size_t capacity) {
    struct service_figures f = {.arrived = SERVICE_MOVING + SERVICE_STEADY};
    s->capacity = capacity;
    for (unsigned i = 0; i < SERVICE_MOVING + SERVICE_STEADY; i++) {
        struct exec__sample sample = service_step(s, l);
        if (service_fits(s, l) && i < f.arrived)
            f.arrived = i;
        if (i < SERVICE_MOVING)
            continue;
        f.outside += !service_fits(s, l) / (double)SERVICE_STEADY;
        f.refused += (sample.outcome == EXEC__OVERLOAD) / (double)SERVICE_STEADY;
        f.mean += (double)exec__limit_now(l) / (double)capacity / SERVICE_STEADY;
    }
    return f;
}

#endif
