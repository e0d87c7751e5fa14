/* map.c - one function over many arguments, and loops over ranges.
 *
 * A map lies on its caller's stack. The caller offers the executor one helper task for each further thread that could
 * take part, and then works itself; caller and helpers claim items from a shared counter until there are none left. The
 * caller then cancels the helpers that have not started, and waits for those that have, which are at their last chunk.
 *
 * Chunks. Each thread starts with single items and doubles its chunk while one takes less than CHUNK_TIME, so that slow
 * items are claimed one by one and quick ones cost a claim now and then; never more than half of a fair share of what
 * is left, so that all end together.
 *
 * The first failure that counts is kept under the map's lock; everything else shared is three counters and flags.
 */
#include <exec/map.h>

#include <errno.h>
#include <stdlib.h>

#include "executor.h"
#include "items.h"
#include "memory.h"
#include "wait.h"

#define CHUNK_TIME EXEC_US(10)
#define REPORT_EVERY EXEC_MS(50)

enum { HELPERS_ON_STACK = 32 };

struct map {
    /* r/o after init */
    executor_t *ex;
    exec_fn *fn; /* a map's, with args and results; */
    void *const *args;
    void **results;
    exec_range_fn *body; /* or a loop's, with ctx */
    void *ctx;
    size_t n;
    size_t threads;                   /* that may take part, the caller included */
    exec_map_opts opts;               /* each of .errors by who has claimed the item */
    exec_time deadline;               /* theirs, or EXEC_NEVER */
    const struct exec__frame *within; /* what it was called in */

    _Alignas(EXEC__CACHE_LINE) _Atomic size_t next; /* the first item, or chunk, nobody has claimed */
    _Alignas(EXEC__CACHE_LINE) _Atomic bool stop;   /* by a failure under stop_on_error */
    _Atomic bool reporting;                         /* somebody is calling .progress */
    _Atomic exec_time next_report;                  /* by who reports, read by all */
    _Atomic size_t done;
    _Atomic size_t failures; /* items with an error; each is counted before it is done */
    pthread_mutex_t lock;
    size_t failed; /* the lowest index that failed, n: none; lock, as is the next */
    int error;
};

/* One thread's share of a map. */
struct share {
    struct exec__items items; /* first: those claimed */
    struct map *map;
    size_t chunk; /* how many to claim next */
};

/* --- outcomes --- */

static void mark_items(struct map *m, size_t begin, size_t end, int error) {
    bool in_place = (const void *)m->results == (const void *)m->args;
    if (m->opts.errors != NULL)
        for (size_t i = begin; i < end; i++)
            m->opts.errors[i] = error;
    atomic_fetch_add_explicit(&m->failures, end - begin, memory_order_relaxed);
    if (error != 0 && m->results != NULL && !in_place)
        for (size_t i = begin; i < end; i++)
            m->results[i] = NULL;
}

/* The error at the lowest index is the map's; what merely stopped because another item failed does not count. */
static void note_error(struct map *m, size_t index, int error) {
    pthread_mutex_lock(&m->lock);
    bool consequence = error == ECANCELED && atomic_load(&m->stop);
    if (index < m->failed && !consequence) {
        m->failed = index;
        m->error = error;
    }
    pthread_mutex_unlock(&m->lock);
}

/* Why items are asked to stop, or not run. */
static int reason_to_stop(const struct map *m) {
    bool late = m->deadline != EXEC_NEVER && !atomic_load(&m->stop) && exec_now() >= m->deadline;
    return late ? ETIMEDOUT : ECANCELED;
}

static void skip_items(struct map *m, size_t begin, size_t end) {
    int error = reason_to_stop(m);
    mark_items(m, begin, end, error);
    note_error(m, begin, error);
}

static struct map *map_of(const struct exec__items *items) {
    return ((const struct share *)items)->map;
}

static void fail_items(struct exec__items *items, size_t begin, size_t end, int error) {
    struct map *m = map_of(items);
    bool late = error == ECANCELED && reason_to_stop(m) == ETIMEDOUT; /* it did as the deadline asked */
    if (late)
        error = ETIMEDOUT;
    mark_items(m, begin, end, error);
    note_error(m, begin, error);
    if (m->opts.stop_on_error && !late && !atomic_exchange(&m->stop, true))
        exec__rouse_cancelled();
}

static void skip_claimed(struct exec__items *items, size_t begin, size_t end) {
    skip_items(map_of(items), begin, end);
}

/* --- progress --- */

/* The failures among those done were counted before them. */
static void report(const struct map *m, size_t done) {
    if (m->opts.failed != NULL)
        *m->opts.failed = atomic_load(&m->failures);
    if (m->opts.progress != NULL)
        m->opts.progress(done, m->n, m->opts.progress_ctx);
}

/* Before there is anybody else. */
static void report_begin(struct map *m) {
    if (m->opts.progress == NULL)
        return;
    report(m, 0);
    atomic_store_explicit(&m->next_report, exec_after(REPORT_EVERY), memory_order_relaxed);
}

/* Items have ended. Who finds that it is time for a report, and nobody else at one, makes it. */
static void count_done(struct map *m, size_t n, exec_time now) {
    size_t done = atomic_fetch_add(&m->done, n) + n;
    if (done == m->n || now < atomic_load_explicit(&m->next_report, memory_order_relaxed) ||
        atomic_exchange_explicit(&m->reporting, true, memory_order_acquire))
        return;
    done = atomic_load(&m->done);
    if (now >= atomic_load_explicit(&m->next_report, memory_order_relaxed) && done < m->n) {
        report(m, done);
        atomic_store_explicit(&m->next_report, exec_after(REPORT_EVERY), memory_order_relaxed);
    }
    atomic_store_explicit(&m->reporting, false, memory_order_release); /* pairs with the acquire above */
}

/* --- claiming --- */

/* The next chunk of the size that was asked for: `next` counts chunks, lest it go round. */
static bool claim_chunk(struct share *s) {
    struct map *m = s->map;
    size_t size = m->opts.chunk, chunks = (m->n - 1) / size + 1;
    if (atomic_load_explicit(&m->next, memory_order_relaxed) >= chunks)
        return false;
    size_t chunk = atomic_fetch_add_explicit(&m->next, 1, memory_order_relaxed);
    if (chunk >= chunks)
        return false;
    s->items.begin = chunk * size;
    s->items.end = size < m->n - s->items.begin ? s->items.begin + size : m->n;
    return true;
}

static bool claim(struct share *s) {
    struct map *m = s->map;
    if (m->opts.chunk > 0)
        return claim_chunk(s);
    size_t next = atomic_load_explicit(&m->next, memory_order_relaxed);
    if (next >= m->n)
        return false;
    size_t fair = (m->n - next) / (2 * m->threads);
    size_t size = s->chunk < fair ? s->chunk : fair > 0 ? fair : 1;
    size_t begin = atomic_fetch_add_explicit(&m->next, size, memory_order_relaxed); /* orders nothing else */
    if (begin >= m->n)
        return false;
    s->items.begin = begin;
    s->items.end = size < m->n - begin ? begin + size : m->n;
    return true;
}

static void adapt(struct share *s, exec_time took) {
    if (took < CHUNK_TIME)
        s->chunk = s->chunk <= s->map->n / 2 ? s->chunk * 2 : s->map->n;
    else if (took > 4 * CHUNK_TIME)
        s->chunk = s->chunk > 8 ? s->chunk / 8 : 1;
}

static void work(struct map *m) {
    struct share s = {.map = m, .chunk = 1};
    s.items = (struct exec__items){.fn = m->fn,
                                   .args = m->args,
                                   .results = m->results,
                                   .errors = m->opts.errors,
                                   .body = m->body,
                                   .ctx = m->ctx,
                                   .fail = fail_items,
                                   .skip = skip_claimed};
    s.items.frame = (struct exec__frame){.within = m->within,
                                         .pool = &m->ex->pool,
                                         .discarding = &m->ex->pool.discarding,
                                         .seat = exec__self.seat,
                                         .stop = &m->stop,
                                         .deadline = m->deadline};
    exec__frame_push(&s.items.frame);
    exec_time then = exec_now();
    while (claim(&s)) {
        exec__items_run(&s.items);
        exec_time now = exec_now();
        if (m->opts.progress != NULL)
            count_done(m, s.items.end - s.items.begin, now);
        adapt(&s, now - then);
        then = now;
    }
    exec__frame_pop(&s.items.frame);
}

/* --- helpers --- */

static void *help(void *map) {
    work(map);
    return NULL;
}

static size_t call_helpers(struct map *m, future_t *helpers[]) {
    size_t n = 0;
    while (n + 1 < m->threads && exec__offer(m->ex, help, m, &helpers[n]) == 0)
        n++;
    return n;
}

static void dismiss_helpers(future_t *helpers[], size_t n) {
    for (size_t i = 0; i < n; i++)
        if (future_cancel(helpers[i]) == 0) {
            future_unref(helpers[i]);
            helpers[i] = NULL;
        }
    for (size_t i = 0; i < n; i++)
        if (helpers[i] != NULL) {
            exec__wait_out(helpers[i], EXEC_NEVER);
            future_unref(helpers[i]);
        }
}

/* The caller has a seat, or there is none for it. */
static void work_with_helpers(struct map *m) {
    future_t *few[HELPERS_ON_STACK];
    future_t **helpers = m->threads <= HELPERS_ON_STACK ? few : exec__malloc(m->threads * sizeof(future_t *));
    report_begin(m);
    size_t n = helpers != NULL ? call_helpers(m, helpers) : 0;
    work(m);
    dismiss_helpers(helpers, n);
    if (helpers != few)
        free(helpers);
}

/* --- the call --- */

static void run_seated(struct map *m) {
    struct exec__pool *p = &m->ex->pool;
    struct exec__seat *own = exec__self.seat;
    struct exec__seat *borrowed = m->threads > 1 && !exec__runs_here(p) ? exec__seat_borrow(p) : NULL;
    if (borrowed != NULL)
        exec__self.seat = borrowed;
    work_with_helpers(m);
    exec__self.seat = own;
    if (borrowed != NULL)
        exec__seat_return(p, borrowed);
}

static void *run_as_task(void *map) {
    work_with_helpers(map);
    return NULL;
}

/* Until then, or until it has run, if it has begun by then. */
static void await_worker(future_t *f, exec_time deadline) {
    exec__wait_out(f, deadline);
    if (!future_done(f))
        future_cancel(f);
    exec__wait_out(f, EXEC_NEVER);
}

/* The executor's tasks need its own threads: one of them calls in the caller's stead. */
static int run_on_worker(struct map *m) {
    bool dropped;
    do {
        future_t *f;
        int error = exec__submit_waiting(m->ex, run_as_task, m, m->deadline, &f);
        if (error == ETIMEDOUT) {
            skip_items(m, 0, m->n);
            return 0;
        }
        if (error != 0)
            return error;
        await_worker(f, m->deadline);
        dropped = future_get(f, NULL) ==
                  ECANCELED; /* by EXECUTOR_DROP_OLDEST, by its deadline, or since the executor discards */
        future_unref(f);
    } while (dropped && !atomic_load(&m->ex->pool.discarding) && exec_now() < m->deadline);
    if (dropped)
        skip_items(m, 0, m->n);
    return 0;
}

static int run(struct map *m, const exec_map_opts *opts) {
    static const exec_map_opts defaults;
    int error = exec__executor_check(m->ex);
    if (error != 0)
        return error;
    struct exec__pool *p = &m->ex->pool;
    if (atomic_load(&p->closed) && !exec__runs_here(p))
        return ESHUTDOWN;
    if (opts == NULL)
        opts = &defaults;
    m->opts = *opts;
    m->threads = p->n < m->n ? p->n : m->n;
    if (opts->max_running > 0 && opts->max_running < m->threads)
        m->threads = opts->max_running;
    m->deadline = opts->deadline != 0 ? opts->deadline : EXEC_NEVER;
    m->within = exec__self.frame;
    m->failed = m->n;
    m->lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    int saved = errno;
    if (m->n > 0 && p->own_threads && !exec__runs_here(p))
        error = run_on_worker(m);
    else if (m->n > 0)
        run_seated(m);
    if (error == 0)
        report(m, m->n);
    errno = saved;
    return error != 0 ? error : m->error;
}

int executor_map(executor_t *ex, exec_fn *fn, void *const args[], void *results[], size_t n,
                 const exec_map_opts *opts) {
    if (ex == NULL || fn == NULL || (args == NULL && n > 0))
        return EINVAL;
    struct map m = {.ex = ex, .fn = fn, .args = args, .results = results, .n = n};
    return run(&m, opts);
}

int executor_for(executor_t *ex, size_t n, exec_range_fn *body, void *ctx, const exec_map_opts *opts) {
    if (ex == NULL || body == NULL)
        return EINVAL;
    struct map m = {.ex = ex, .body = body, .ctx = ctx, .n = n};
    return run(&m, opts);
}
