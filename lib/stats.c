/* stats.c - what an executor has done: counters, times, histograms.
 *
 * Counting. A thread that holds a seat counts there, by a load and a store, since nobody else does; others count in the
 * pool, by an atomic addition. Who asks adds them up. How a task ends that runs is counted before that can be seen, and
 * that it was submitted before it can start. One that ends while its submitter still waits for room counts as ended
 * first; so who asks takes as many as submitted as have ended, if that is more.
 *
 * Measuring. With .measure a task's future has the time since when it could start where its result will be later
 * (future.c). Times go into histograms of the seat's, in the same way as counters.
 */
#include "stats.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "executor.h"
#include "memory.h"

enum { SUB_BITS = 5, SUB = 1 << SUB_BITS, MOST_BITS = 44 };

_Static_assert((MOST_BITS - SUB_BITS + 1) * SUB == EXEC_HISTOGRAM_BUCKETS, "the last bucket ends at 2^44");

/* --- histograms --- */

/* Times below 2 * SUB have a bucket each; each further power of two has SUB of them. */
static unsigned bucket_of(uint64_t v) {
    if (v >= UINT64_C(1) << MOST_BITS)
        return EXEC_HISTOGRAM_BUCKETS - 1;
    unsigned bits = 63 - (unsigned)__builtin_clzll(v | SUB);
    return (bits - SUB_BITS) * SUB + (unsigned)(v >> (bits - SUB_BITS));
}

/* The shortest time in a bucket, and how many there are. */
static uint64_t begin_of(unsigned bucket, uint64_t *width) {
    unsigned shift = bucket < 2 * SUB ? 0 : bucket / SUB - 1;
    *width = UINT64_C(1) << shift;
    return bucket < 2 * SUB ? bucket : (uint64_t)(SUB + bucket % SUB) << shift;
}

exec_time exec__bucket_end(unsigned bucket) {
    uint64_t width, begin = begin_of(bucket, &width);
    return bucket < EXEC_HISTOGRAM_BUCKETS - 1 ? (exec_time)(begin + width - 1) : INT64_MAX;
}

static exec_time middle_of(unsigned bucket) {
    uint64_t width, begin = begin_of(bucket, &width);
    return (exec_time)(begin + width / 2);
}

static void add(_Atomic uint64_t *n, uint64_t by, bool shared) {
    if (shared)
        atomic_fetch_add_explicit(n, by, memory_order_relaxed);
    else
        atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + by, memory_order_relaxed);
}

static void raise_to(_Atomic exec_time *most, exec_time t) {
    exec_time before = atomic_load_explicit(most, memory_order_relaxed);
    while (t > before &&
           !atomic_compare_exchange_weak_explicit(most, &before, t, memory_order_relaxed, memory_order_relaxed))
        continue;
}

static void note(struct exec__times *times, exec_time t, bool shared) {
    uint64_t v = t < 0 ? 0 : (uint64_t)t;
    add(&times->counts[bucket_of(v)], 1, shared);
    add(&times->sum, v, shared);
    raise_to(&times->most, t);
}

static void add_up(exec_histogram *to, const struct exec__times *from) {
    for (unsigned i = 0; i < EXEC_HISTOGRAM_BUCKETS; i++) {
        uint64_t n = atomic_load_explicit(&from->counts[i], memory_order_relaxed);
        to->counts[i] += n;
        to->total += n;
    }
    to->sum += (exec_time)atomic_load_explicit(&from->sum, memory_order_relaxed);
    exec_time most = atomic_load_explicit(&from->most, memory_order_relaxed);
    if (most > to->most)
        to->most = most;
}

int executor_histogram(executor_t *ex, enum exec_histogram_of of, exec_histogram *out) {
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    if (out == NULL || of < EXEC_TIME_QUEUED || of > EXEC_TIME_RUNNING)
        return EINVAL;
    const struct exec__pool *p = &ex->pool;
    if (p->measures == NULL)
        return ENOTSUP;
    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i <= p->n; i++)
        add_up(out, &p->measures[i].times[of]);
    return 0;
}

/* How many of them a percentage is: at least one, and no more than there are. */
static uint64_t rank_of(const exec_histogram *h, double percent) {
    double rank = percent / 100 * (double)h->total;
    uint64_t whole = (uint64_t)rank;
    whole += (double)whole < rank;
    return whole < 1 ? 1 : whole;
}

exec_time exec_histogram_percentile(const exec_histogram *h, double percent) {
    if (h == NULL || h->total == 0)
        return 0;
    if (!(percent < 100))
        return h->most;
    uint64_t rank = percent > 0 ? rank_of(h, percent) : 1, seen = 0;
    for (unsigned i = 0; i < EXEC_HISTOGRAM_BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank)
            return middle_of(i) < h->most && i < EXEC_HISTOGRAM_BUCKETS - 1 ? middle_of(i) : h->most;
    }
    return h->most;
}

/* --- measuring --- */

int exec__measures_init(struct exec__pool *p) {
    p->measures = NULL;
    atomic_store(&p->observed, 0);
    if (p->opts.slow_after == 0 || p->opts.on_slow == NULL)
        p->opts.on_slow = NULL;
    else
        p->opts.measure = true;
    if (!p->opts.measure)
        return 0;
    p->measures = exec__aligned_alloc(EXEC__CACHE_LINE, (p->n + 1) * sizeof *p->measures);
    if (p->measures == NULL)
        return ENOMEM;
    memset(p->measures, 0, (p->n + 1) * sizeof *p->measures);
    atomic_store(&p->observed, EXEC__MEASURES);
    return 0;
}

/* The holder of the seat changes both, between two steps of `turn`, which is odd meanwhile: a reader that finds the
 * same even turn before and after has read what belongs together. The time is taken in between, so that no reader has
 * added a later one. */
static void set_busy(struct exec__measures *m, exec_time busy, exec_time since) {
    unsigned turn = atomic_load_explicit(&m->turn, memory_order_relaxed);
    atomic_store(&m->turn, turn | 1);
    atomic_store_explicit(&m->busy, busy, memory_order_release);
    atomic_store(&m->since, since); /* before a look at `watching`: keep_watch() */
    atomic_store_explicit(&m->turn, (turn | 1) + 1, memory_order_release);
}

static exec_time end_busy(struct exec__measures *m) {
    atomic_store(&m->turn, atomic_load_explicit(&m->turn, memory_order_relaxed) + 1);
    exec_time now = exec_now(), ran = now - atomic_load_explicit(&m->since, memory_order_relaxed);
    set_busy(m, atomic_load_explicit(&m->busy, memory_order_relaxed) + ran, 0);
    return now;
}

/* Arms the watch, if it is not. */
static void keep_watch(struct exec__pool *p, exec_time when) {
    if (!atomic_load(&p->watching) && !atomic_exchange(&p->watching, true))
        exec__timer_arm(&p->timers, &p->watch, when);
}

/* Tells of one that is slow; when to look at it next, EXEC_NEVER: it has been told of, or nothing runs. */
static exec_time look_at(struct exec__pool *p, unsigned i, exec_time now) {
    struct exec__measures *m = &p->measures[i];
    exec_time since = atomic_load(&m->since), slow = p->opts.slow_after;
    if (since == 0 || since == m->told_of)
        return since == 0 ? EXEC_NEVER : now + slow; /* another one may come */
    if (now - since < slow)
        return since + slow;
    const struct exec__mark mark = exec__seat_marked(&p->seats[i]);
    m->told_of = since;
    p->opts.on_slow(p->opts.hook_ctx, i, mark.name != NULL ? mark.text.bytes : "", now - since);
    return now + slow;
}

/* On the timer thread. A run that begins is seen here, or finds that nobody watches. */
static void watch_fires(struct exec__timer *t) {
    struct exec__pool *p = EXEC__WHOLE(t, struct exec__pool, watch);
    exec_time now = exec_now(), next = EXEC_NEVER;
    atomic_store(&p->watching, false);
    for (unsigned i = 0; i < p->n; i++) {
        exec_time when = look_at(p, i, now);
        next = when < next ? when : next;
    }
    if (next == EXEC_NEVER)
        return;
    atomic_store(&p->watching, true);
    exec__timer_arm(&p->timers, &p->watch, next); /* earlier than a run would that has begun meanwhile */
}

int exec__watch_init(struct exec__pool *p) {
    p->watch = (struct exec__timer){.fire = watch_fires};
    atomic_store(&p->watching, false);
    return p->opts.on_slow != NULL ? exec__timers_start(&p->timers, p->opts.name) : 0;
}

struct exec__measuring exec__measuring_begin(struct exec__pool *p, exec_time ready, exec_time now) {
    bool shared = !exec__seated_in(p);
    struct exec__measuring m = {&p->measures[shared ? p->n : exec__self.seat->index], shared, false, now};
    if (ready != 0)
        note(&m.measures->times[EXEC_TIME_QUEUED], m.began - ready, shared);
    m.lowest = !shared && atomic_load_explicit(&m.measures->since, memory_order_relaxed) == 0;
    if (m.lowest)
        set_busy(m.measures, atomic_load_explicit(&m.measures->busy, memory_order_relaxed), m.began);
    if (m.lowest && p->opts.on_slow != NULL)
        keep_watch(p, m.began + p->opts.slow_after);
    return m;
}

exec_time exec__measuring_end(const struct exec__measuring *m) {
    exec_time now = m->lowest ? end_busy(m->measures) : exec_now();
    note(&m->measures->times[EXEC_TIME_RUNNING], now - m->began, m->shared);
    return now;
}

void exec__measure_queue(struct exec__pool *p) {
    size_t used = exec__queue_used(&p->queue), most = atomic_load_explicit(&p->most_queued, memory_order_relaxed);
    while (used > most && !atomic_compare_exchange_weak_explicit(&p->most_queued, &most, used, memory_order_relaxed,
                                                                 memory_order_relaxed))
        continue;
}

exec_time exec__measured_since(const struct exec__pool *p, unsigned seat) {
    return p->measures != NULL ? atomic_load_explicit(&p->measures[seat].since, memory_order_acquire) : 0;
}

static exec_time busy_time(const struct exec__measures *m) {
    exec_time since, busy, now;
    unsigned turn;
    do {
        turn = atomic_load_explicit(&m->turn, memory_order_acquire);
        since = atomic_load_explicit(&m->since, memory_order_acquire);
        busy = atomic_load_explicit(&m->busy, memory_order_acquire);
        now = exec_now();
    } while (turn % 2 != 0 || atomic_load(&m->turn) != turn);
    return since != 0 ? busy + now - since : busy;
}

/* --- counts --- */

EXEC__SELDOM void exec__count_elsewhere(struct exec__pool *p, enum exec__count what) {
    atomic_fetch_add_explicit(&p->counts.n[what], 1, memory_order_release);
}

EXEC__SELDOM void exec__count_failure(struct exec__pool *p, enum future_state to, int error) {
    if (to == FUTURE_CANCELLED)
        exec__count(p, EXEC__CANCELLED);
    else
        exec__count(p, error == ETIMEDOUT ? EXEC__TIMED_OUT : EXEC__FAILED);
}

/* Pairs with the releases in exec__count(). */
static uint64_t count_of(const struct exec__counts *c, enum exec__count what) {
    return atomic_load_explicit(&c->n[what], memory_order_acquire);
}

static uint64_t sum_of(const struct exec__pool *p, enum exec__count what) {
    uint64_t sum = count_of(&p->counts, what);
    for (unsigned i = 0; i < p->n; i++)
        sum += count_of(&p->seats[i].counts, what);
    return sum;
}

static unsigned running_in(const struct exec__pool *p) {
    unsigned running = 0;
    for (unsigned i = 0; i < p->n; i++)
        running += atomic_load(&p->seats[i].base) != NULL;
    return running;
}

/* The ends first: see above. */
static void read_counts(const struct exec__pool *p, exec_stats *out) {
    out->done = sum_of(p, EXEC__DONE);
    out->failed = sum_of(p, EXEC__FAILED);
    out->cancelled = sum_of(p, EXEC__CANCELLED);
    out->timed_out = sum_of(p, EXEC__TIMED_OUT);
    out->dropped = sum_of(p, EXEC__DROPPED);
    out->submitted = sum_of(p, EXEC__SUBMITTED) + exec__queue_end(&p->queue);
    out->retried = sum_of(p, EXEC__RETRIED);
    out->rejected = sum_of(p, EXEC__REJECTED);
    out->stolen = sum_of(p, EXEC__STOLEN);
    out->wakeups = sum_of(p, EXEC__WAKEUPS);
}

int executor_stats(executor_t *ex, exec_stats *out) {
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    if (out == NULL)
        return EINVAL;
    const struct exec__pool *p = &ex->pool;
    read_counts(p, out);
    uint64_t ended = out->done + out->failed + out->cancelled + out->timed_out;
    if (out->submitted < ended)
        out->submitted = ended;
    out->unfinished = out->submitted - ended;
    out->queued = exec__queue_used(&p->queue);
    out->most_queued = atomic_load_explicit(&p->most_queued, memory_order_relaxed);
    out->running = running_in(p);
    out->workers = p->n;
    return 0;
}

int executor_worker_stats(executor_t *ex, unsigned worker, exec_worker_stats *out) {
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    const struct exec__pool *p = &ex->pool;
    if (out == NULL || worker >= p->n)
        return EINVAL;
    const struct exec__counts *c = &p->seats[worker].counts;
    *out = (exec_worker_stats){.stolen = count_of(c, EXEC__STOLEN)};
    for (int what = EXEC__DONE; what <= EXEC__TIMED_OUT; what++)
        out->ended += count_of(c, (enum exec__count)what);
    if (p->measures != NULL) {
        out->busy = busy_time(&p->measures[worker]);
        exec_time idle = exec_now() - p->created - out->busy;
        out->idle = idle > 0 ? idle : 0;
    }
    return 0;
}
