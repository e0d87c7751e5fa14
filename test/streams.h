/* streams.h - what the tests of streams share: a source that checks each of its calls, a ledger that knows what became
 * of each argument, and taking items while both are looked after. */
#ifndef STREAMS_H
#define STREAMS_H

#include "helpers.h"

/* ---- sources ---- */

/* Gives the numbers 1, 2, 3 and so on as arguments, n of them, and then ends. It is the consumer's alone, so nothing
 * here is atomic: ThreadSanitizer sees whoever else calls it. */
struct source {
    size_t n;      /* SIZE_MAX: without end */
    int end;       /* what it returns then; 0: ENODATA */
    size_t window; /* how far ahead it may be; 0: as far as the default can be */
    size_t taken, handed, most_ahead;
    int ends;       /* how often it has said that there are no more */
    pid_t consumer; /* the thread that is in exec_stream_next(), or 0 */
};

static inline int source_next(void *source, void **arg) {
    struct source *src = source;
    eq_int(gettid(), src->consumer);
    eq_int(src->ends, 0);
    size_t ahead = src->taken + 1 - src->handed;
    at_most(ahead, src->window > 0 ? (intmax_t)src->window : 8192);
    if (src->taken == src->n) {
        src->ends++;
        *arg = src;
        return src->end != 0 ? src->end : ENODATA;
    }
    if (ahead > src->most_ahead)
        src->most_ahead = ahead;
    *arg = (void *)(uintptr_t)++src->taken;
    return 0;
}

static inline int must_not_be_asked(void *source, void **arg) {
    (void)source, (void)arg;
    FAIL("a source was asked that must not be");
}

static inline exec_stream_t *stream_of(executor_t *ex, struct source *src, exec_fn *fn, const exec_stream_opts *opts) {
    exec_stream_t *s = NULL;
    src->window = opts ? opts->window : 0;
    ok(exec_stream_open(ex, source_next, src, fn, opts, &s));
    check(s != NULL);
    eq_int(src->taken, 0);
    return s;
}

/* ---- what became of each argument ---- */

enum { LEDGER = 10000 };

static struct {
    atomic_uchar runs[LEDGER], drops[LEDGER], frees[LEDGER];
    atomic_int nruns, ndrops, nfrees;
    bool handed[LEDGER]; /* the consumer's */
} ledger;

static inline void ledger_reset(void) {
    memset(&ledger, 0, sizeof ledger);
}

static inline void ledger_add(atomic_uchar counts[], atomic_int *total, const void *number) {
    check((uintptr_t)number < LEDGER);
    eq_int(atomic_fetch_add(&counts[(uintptr_t)number], 1), 0);
    atomic_fetch_add(total, 1);
}

static inline void *ledger_run(void *arg) {
    ledger_add(ledger.runs, &ledger.nruns, arg);
    return arg;
}

static inline void ledger_drop(void *arg) {
    ledger_add(ledger.drops, &ledger.ndrops, arg);
}

static inline void ledger_free(void *result) {
    ledger_add(ledger.frees, &ledger.nfrees, result);
}

/* The stream is closed: each argument taken was run or dropped, and each result handed out or freed. `all_return` says
 * that each item that ran returned its argument. */
static inline void ledger_balances(const struct source *src, bool all_return) {
    check(src->taken + 1 < LEDGER);
    for (size_t i = 1; i <= src->taken; i++) {
        eq_int(atomic_load(&ledger.runs[i]) + atomic_load(&ledger.drops[i]), 1);
        if (all_return)
            eq_int(atomic_load(&ledger.frees[i]), atomic_load(&ledger.runs[i]) && !ledger.handed[i] ? 1 : 0);
    }
    eq_int(atomic_load(&ledger.nruns) + atomic_load(&ledger.ndrops), src->taken);
    at_most(atomic_load(&ledger.nfrees), atomic_load(&ledger.nruns));
}

/* The same options, with this ledger. */
static inline const exec_stream_opts *ledger_opts(exec_stream_opts opts) {
    static exec_stream_opts all;
    all = opts;
    all.drop = ledger_drop;
    all.free_result = ledger_free;
    return &all;
}

/* ---- consumers ---- */

static inline void is_an_end(const exec_item *item, int error) {
    eq_err(item->error, error);
    eq_int(item->index, 0);
    eq_ptr(item->arg, NULL);
    eq_ptr(item->result, NULL);
}

/* Takes the next item, which must be one of those taken from the source. At the end the item holds how it ended. */
static inline bool next_item(exec_stream_t *s, struct source *src, exec_item *item) {
    memset(item, 0xff, sizeof *item);
    src->consumer = gettid();
    bool more = exec_stream_next(s, item);
    src->consumer = 0;
    if (!more) {
        is_an_end(item, item->error);
        return false;
    }
    src->handed++;
    at_most(src->handed, (intmax_t)src->taken);
    eq_int((uintptr_t)item->arg, item->index + 1);
    between((uintptr_t)item->arg, 1, (intmax_t)src->taken);
    if (item->error != 0)
        eq_ptr(item->result, NULL);
    if ((uintptr_t)item->arg < LEDGER)
        ledger.handed[(uintptr_t)item->arg] = true;
    return true;
}

/* The stream is at its end, and stays there. */
static inline void has_ended(exec_stream_t *s, struct source *src, int error) {
    exec_item item;
    size_t taken = src->taken;
    for (int i = 0; i < 3; i++) {
        check(!next_item(s, src, &item));
        is_an_end(&item, error);
    }
    eq_int(src->taken, taken);
}

/* Takes everything, and closes the stream; how it ended. Everything taken from the source must have been handed out. */
static inline int take_all(exec_stream_t *s, struct source *src) {
    exec_item item;
    while (next_item(s, src, &item)) {
    }
    int error = item.error;
    eq_int(src->handed, src->taken);
    has_ended(s, src, error);
    exec_stream_close(s);
    return error;
}

/* ---- executors and functions ---- */

static inline int no_hook(void *ctx, unsigned worker) {
    (void)ctx, (void)worker;
    return 0;
}

/* Its tasks need its own threads, so a consumer from outside never runs an item itself. */
static inline executor_t *pool_of_its_own(unsigned workers) {
    return pool_of((executor_opts){.workers = workers, .on_start = no_hook});
}

static inline void *plus_one(void *arg) {
    return (void *)((uintptr_t)arg + 1);
}

#endif
