/* limit.c - the arithmetic of limiters: a token bucket, and two limits that find themselves.
 *
 * The bucket is exact: with what is common to .rate and .per divided out, .rate units flow in every nanosecond, and a
 * token is .per of them. Since a token that is due within a nanosecond is taken at its end, there is room for what
 * flows in until then, too; that is not enough for another token in any stretch of time as long as .per.
 *
 * By overload (EXEC_LIMIT_AIMD): additive increase, multiplicative decrease, after Chiu and Jain, "Analysis of the
 * Increase and Decrease Algorithms for Congestion Avoidance in Computer Networks" (1989), with what TCP added to it: it
 * grows fast until the first loss (Jacobson, "Congestion Avoidance and Control", 1988), and again once it is past where
 * the last loss was; losses among what was under way at a decrease count once (RFC 6582); it grows only while it is
 * what holds others back (RFC 7661). The decrease is by a tenth, or by the part that was refused lately, if that was
 * more.
 *
 * By latency (EXEC_LIMIT_GRADIENT): while n are in flight, each taking t, n / t end in a nanosecond (Little's law); if
 * one alone takes `base`, n * base / t are being served, and the others queue. That is what TCP Vegas (Brakmo and
 * Peterson, 1995) makes of round trips, and the gradient limits of concurrency-limits (Netflix) of a service's
 * latencies. Both need to know base, which drifts up when there always is a queue. So a little more than the limit is
 * let through for some rounds, and then a little less for one, as BBR does (Cardwell et al., 2016): from the former
 * the limit is learned, from the latter base. A round is as many completions as the limit.
 *
 * Latencies differ for other reasons than queues. Against that the limit is averaged over a round or so; it falls at
 * once only when the last few say that it is far too high; and it grows faster than by the little more only as a sum of
 * small advantages (Page, "Continuous Inspection Schemes", 1954) says that there is no queue. Where latencies differ
 * very much, all this takes more of them. When the limit can fall no more and latencies are still long, that is not for
 * a queue: then base is what they are. Overload bounds this limit as it does the other one.
 *
 * The constants were found by simulation (test/service.h), for latencies that are fixed, even between half and one and
 * a half of their mean, or of a coefficient of variation of a half; test/test_limit_finds.c says what came of it.
 */
#include "limit.h"

#include <errno.h>

#define LONGEST_PERIOD EXEC_SEC(366 * 86400)
#define MOST_AT_ONCE ((size_t)1 << 20)
#define FULLEST (UINT64_C(1) << 62)

enum { DEFAULT_INITIAL = 10, DEFAULT_MAX = 1000 };

/* By overload. */
static const double decrease = 0.9, most_decrease = 0.3; /* what remains */
static const double increase = 0.7;                      /* in a round */
static const double fast_increase = 0.5;                 /* for each success */
static const double few = 8;                             /* for averages: a round is at least so many */

/* By latency. */
static const double high = 1.15, highest = 1.5, low = 0.9; /* times the limit */
static const double high_rounds = 8, settling_rounds = 3, learning_rounds = 4;
static const double shortest_phase = 32, longest_round = 100; /* completions */
static const double late = 0.3; /* what how many are in flight at the end counts, against the begin */
static const double clip = 4;   /* no latency counts for more than so many times base */
static const double base_samples = 150, quick_samples = 9, spacing_samples = 16; /* for averages: at least so many */
static const double usual_deviation = 0.4; /* of single latencies, of base: with more it takes more of them */
static const double usual_samples = 200;
static const double step = 0.2;          /* towards what the limit should be */
static const double far_too_high = 0.65; /* what is served, of the limit */
static const double busy = 0.75;         /* what is in flight, of the limit, for there to be a queue */
static const double least_margin = 1.06, most_margin = 1.2; /* a latency below so many times base speaks for no queue */
static const double calm_enough = 0.3, calmest = 6, gain_of_calm = 0.6, calm_without_low = 1;

static double lesser(double a, double b) {
    return a < b ? a : b;
}

static double greater(double a, double b) {
    return a > b ? a : b;
}

/* --- options --- */

static uint64_t common_divisor(uint64_t a, uint64_t b) {
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static exec_time period(const exec_limiter_opts *opts) {
    return opts->per != 0 ? opts->per : EXEC_SEC(1);
}

static uint64_t token_of(const exec_limiter_opts *opts) {
    return (uint64_t)period(opts) / common_divisor((uint64_t)period(opts), opts->rate);
}

static bool rate_is_valid(const exec_limiter_opts *opts) {
    if (opts->rate == 0)
        return opts->per == 0 && opts->burst == 0;
    return opts->per >= 0 && opts->per <= LONGEST_PERIOD && opts->rate <= (uint64_t)period(opts) &&
           opts->burst <= FULLEST / token_of(opts);
}

static size_t max_of(const exec_limiter_opts *opts) {
    if (opts->max != 0)
        return opts->max;
    return opts->min > DEFAULT_MAX ? opts->min : DEFAULT_MAX;
}

static size_t min_of(const exec_limiter_opts *opts) {
    return opts->min != 0 ? opts->min : 1;
}

static size_t initial_of(const exec_limiter_opts *opts) {
    if (opts->initial != 0)
        return opts->initial;
    return (size_t)greater((double)min_of(opts), lesser(DEFAULT_INITIAL, (double)max_of(opts)));
}

static bool limit_is_valid(const exec_limiter_opts *opts) {
    if (opts->slow < 0 || (opts->slow > 0 && opts->adapt != EXEC_LIMIT_AIMD))
        return false;
    switch (opts->adapt) {
    case EXEC_LIMIT_FIXED: return opts->min == 0 && opts->max == 0 && opts->initial == 0;
    case EXEC_LIMIT_AIMD:
    case EXEC_LIMIT_GRADIENT:
        return opts->max_running == 0 && max_of(opts) <= MOST_AT_ONCE && min_of(opts) <= initial_of(opts) &&
               initial_of(opts) <= max_of(opts);
    }
    return false;
}

int exec__limit_check(const exec_limiter_opts *opts) {
    return rate_is_valid(opts) && limit_is_valid(opts) ? 0 : EINVAL;
}

static bool is_overload(int error) {
    static const int errors[] = {EAGAIN, EBUSY, ETIMEDOUT, ECONNREFUSED, ECONNRESET, ENOBUFS, EMFILE, ENFILE};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (error == errors[i])
            return true;
    return false;
}

enum exec__outcome exec__limit_outcome(const exec_limiter_opts *opts, int error) {
    if (error == 0)
        return EXEC__SUCCESS;
    if (error == ECANCELED)
        return EXEC__NOTHING;
    bool overload = opts->is_overload != NULL ? opts->is_overload(error, opts->ctx) : is_overload(error);
    return overload ? EXEC__OVERLOAD : EXEC__NOTHING;
}

/* --- how many a second --- */

void exec__bucket_init(struct exec__bucket *b, const exec_limiter_opts *opts, exec_time now) {
    *b = (struct exec__bucket){.at = now};
    if (opts->rate == 0)
        return;
    b->token = token_of(opts);
    b->flow = opts->rate / common_divisor((uint64_t)period(opts), opts->rate);
    b->level = b->token * (opts->burst != 0 ? opts->burst : 1);
    b->room = b->level + b->flow - 1;
}

static void fill(struct exec__bucket *b, exec_time now) {
    if (now <= b->at)
        return;
    uint64_t elapsed = (uint64_t)now - (uint64_t)b->at, missing = b->room - b->level;
    b->level = elapsed > missing / b->flow ? b->room : b->level + elapsed * b->flow;
    b->at = now;
}

bool exec__bucket_take(struct exec__bucket *b, exec_time now, exec_time *due) {
    if (b->flow == 0)
        return true;
    fill(b, now);
    if (b->level >= b->token) {
        b->level -= b->token;
        return true;
    }
    exec_time wait = (exec_time)((b->token - b->level + b->flow - 1) / b->flow);
    *due = b->at > EXEC_NEVER - wait ? EXEC_NEVER : b->at + wait;
    return false;
}

/* --- by overload --- */

static bool is_in_use(const struct exec__limit *l, const struct exec__sample *s) {
    return (double)s->in_flight >= (double)exec__limit_room(l) * 0.9 - 1;
}

static void learn(double *mean, double value, double samples) {
    *mean += (value - *mean) / samples;
}

static void raise_bound(struct exec__limit *l, const struct exec__sample *s) {
    if (s->started <= l->changed || !is_in_use(l, s))
        return;
    bool fast = l->bound >= l->ceiling + 1;
    l->bound = lesser(l->max, l->bound + (fast ? fast_increase : increase / l->bound));
}

static void lower_bound(struct exec__limit *l, const struct exec__sample *s) {
    if (s->started <= l->changed)
        return;
    l->changed = s->now;
    l->ceiling = lesser(l->bound, (double)s->level);
    l->bound = greater(l->min, l->ceiling * greater(most_decrease, lesser(decrease, l->useful)));
    l->limit = lesser(l->limit, l->bound);
    l->calm = 0;
    l->gain = high;
}

/* --- by latency --- */

static void enter(struct exec__limit *l, enum exec__phase phase, double rounds, exec_time now) {
    if (phase == EXEC__LOW) {
        l->low[1] = l->low[0];
        l->low[0].from = l->low[0].until = now;
        l->base_before = l->base;
    } else if (l->phase == EXEC__LOW) {
        l->low_ended = now;
    }
    l->phase = phase;
    l->left = (size_t)greater(l->limit * rounds, shortest_phase);
}

static void forget_low(struct exec__limit *l) {
    for (int i = 0; i < 2; i++)
        l->low[i].from = l->low[i].until = EXEC_NEVER;
}

static double deviation_of(const struct exec__limit *l, double latency) {
    return l->base == 0 ? 0 : greater(latency - l->base, l->base - latency) / l->base;
}

/* How many times as many samples as usual it takes: the error of a mean is that of one over the square root of how many
 * there are. */
static double doubt(const struct exec__limit *l) {
    double times = l->deviation / usual_deviation;
    return greater(1, times * times);
}

/* Base is to be the mean of all that started before a moment, the slow ones, too, which end long after it. So as many
 * completions again are waited for. */
static void learn_base(struct exec__limit *l, const struct exec__sample *s, double latency) {
    if (l->learned < l->to_learn)
        l->low[0].until = s->now;
    if (s->started <= l->low[0].until) {
        learn(&l->deviation, deviation_of(l, latency), (double)++l->learned);
        learn(&l->base, latency, (double)l->learned);
    }
    if (--l->left > 0)
        return;
    l->base_before = l->base;
    l->spacing = l->quick = l->base / (double)s->level;
    forget_low(l);
    enter(l, EXEC__HIGH, high_rounds, s->now);
}

static bool was_low(const struct exec__limit *l, const struct exec__sample *s) {
    for (int i = 0; i < 2; i++)
        if (s->started > l->low[i].from && s->started <= l->low[i].until)
            return true;
    return false;
}

/* In the last part of a LOW, or before what it had changed was seen: neither the one nor the other. */
static bool was_between(const struct exec__limit *l, const struct exec__sample *s) {
    return s->started > l->low[0].from && (l->phase == EXEC__LOW || s->started <= l->low_ended);
}

/* A queue of so many that the average would take too long to tell. */
static void fall_if_far_too_high(struct exec__limit *l, const struct exec__sample *s) {
    double served = l->base / l->quick;
    if (served >= l->limit * far_too_high || l->limit < l->min + 0.5)
        return;
    l->base = l->base_before; /* a LOW that came too late for what has happened has taught it wrong */
    l->limit = greater(l->min, served);
    l->usual = lesser(l->usual, l->limit);
    l->spacing = l->quick;
    l->calm = 0;
    l->gain = high;
    l->changed = s->now;
    forget_low(l);
    enter(l, EXEC__HIGH, settling_rounds, s->now);
}

/* With no queue a latency is base, with as much of one as there should be level / usual times that; half-way between is
 * where a latency speaks for neither. */
static void look_for_calm(struct exec__limit *l, double latency, double level) {
    double margin = lesser(most_margin, 1 + (level / l->usual - 1) / 2);
    l->calm += (greater(least_margin, margin) - latency / l->base) / doubt(l);
    l->calm = greater(0, lesser(calmest, l->calm));
}

static void follow(struct exec__limit *l, const struct exec__sample *s) {
    double served = l->base / l->spacing;
    learn(&l->limit, served, 1 / step);
    l->limit = greater(l->min, lesser(l->bound, l->limit));
    learn(&l->usual, l->limit, usual_samples);
    l->usual = lesser(l->usual, l->limit * most_margin);
    l->gain = lesser(highest, high + greater(0, l->calm - calm_enough) * gain_of_calm);
    if (l->calm > calm_without_low && l->phase == EXEC__HIGH)
        l->left += l->left < 2;
    if (--l->left == 0)
        enter(l, l->phase == EXEC__HIGH ? EXEC__LOW : EXEC__HIGH, l->phase == EXEC__HIGH ? 1 : high_rounds, s->now);
    else if (l->phase == EXEC__LOW && l->left > (size_t)(greater(l->limit, shortest_phase) / 3))
        l->low[0].until = s->now;
}

static void learn_latency(struct exec__limit *l, const struct exec__sample *s) {
    double latency = 1 + (s->now > s->started ? (double)(s->now - s->started) : 0);
    double level = (double)s->level * (1 - late) + (double)s->in_flight * late;
    if (l->phase == EXEC__LEARN) {
        learn_base(l, s, latency);
        return;
    }
    latency = lesser(latency, l->base * clip);
    bool in_use = is_in_use(l, s), idle = (double)s->level < l->limit * busy;
    bool no_queue = was_low(l, s) || (idle && !in_use), least = l->limit < l->min + 0.5;
    if ((no_queue || least) && s->started > l->changed) {
        double samples = least ? spacing_samples * doubt(l) : base_samples;
        learn(&l->deviation, deviation_of(l, latency), samples);
        learn(&l->base, latency, samples);
    }
    if ((idle && !in_use) || least)
        l->base_before = l->base;
    if (!idle) {
        if (!no_queue && !was_between(l, s)) {
            learn(&l->spacing, latency / level, greater(spacing_samples * doubt(l), l->limit / 2));
            look_for_calm(l, latency, level);
        }
        learn(&l->quick, latency / level, quick_samples * doubt(l));
        fall_if_far_too_high(l, s);
    }
    if (in_use)
        follow(l, s);
}

/* --- both --- */

void exec__limit_init(struct exec__limit *l, const exec_limiter_opts *opts) {
    *l = (struct exec__limit){.kind = opts->adapt, .slow = opts->slow, .changed = -1, .useful = 1, .gain = high};
    l->min = (double)min_of(opts);
    l->max = (double)max_of(opts);
    l->bound = l->limit = l->usual = (double)initial_of(opts);
    l->fixed = opts->max_running != 0 ? opts->max_running : SIZE_MAX;
    l->to_learn = (size_t)(learning_rounds * greater(few, lesser(l->limit, longest_round)));
    l->left = 2 * l->to_learn;
}

void exec__limit_sample(struct exec__limit *l, const struct exec__sample *s) {
    if (l->kind == EXEC_LIMIT_FIXED || s->outcome == EXEC__NOTHING)
        return;
    bool success = s->outcome == EXEC__SUCCESS;
    learn(&l->useful, success, greater(few, l->limit));
    bool overload = !success || (l->slow != 0 && s->now - s->started > l->slow);
    if (overload)
        lower_bound(l, s);
    else
        raise_bound(l, s);
    if (l->kind == EXEC_LIMIT_AIMD)
        l->limit = l->bound;
    else if (!overload)
        learn_latency(l, s);
}

size_t exec__limit_room(const struct exec__limit *l) {
    if (l->kind == EXEC_LIMIT_FIXED)
        return l->fixed;
    if (l->kind == EXEC_LIMIT_AIMD)
        return (size_t)l->bound;
    double room = l->limit;
    if (l->phase == EXEC__HIGH)
        room = greater(l->limit * l->gain, l->limit + 0.5); /* so that a small limit is tried with one more, too */
    else if (l->phase == EXEC__LOW)
        room = l->limit * low;
    return (size_t)greater(l->min, lesser(l->bound, room + 0.5));
}

size_t exec__limit_now(const struct exec__limit *l) {
    if (l->kind == EXEC_LIMIT_GRADIENT)
        return (size_t)(l->limit + 0.5);
    return exec__limit_room(l);
}
