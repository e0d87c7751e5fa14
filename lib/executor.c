/* executor.c - an executor's life: create, shut down, join, destroy.
 *
 * Model: test/model/shutdown.pml.
 *
 * Shutting down sets the queue's closed bit, which decides between a submit and a shutdown (submit.c), and then
 * pool.closed. EXECUTOR_DISCARD first sets pool.discarding, then cancels what lies in the queue, the lanes and the
 * deques. Whoever puts a task into a lane or pushes it onto a deque looks at the flag afterwards and cancels what is
 * there, whoever takes a task looks before it starts it; push, flag and look are sequentially consistent, so nothing
 * is left lying.
 */
#include "executor.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "abandon.h"
#include "cpus.h"
#include "fork.h"
#include "memory.h"
#include "registry.h"
#include "sync.h"
#include "task.h"
#include "trace.h"
#include "worker.h"

#define DEFAULT_CAPACITY 1024
#define DEFAULT_ABANDONED 64
#define NAME_BYTES 16 /* of a thread's name on Linux */

/* --- create --- */

static bool valid(const executor_opts *o) {
    if (o->workers > EXEC__MAX_WORKERS || o->when_full < EXECUTOR_BLOCK || o->when_full > EXECUTOR_DROP_OLDEST)
        return false;
    if (o->slow_after < 0)
        return false;
    if (o->stack_size != 0 && o->stack_size < (size_t)PTHREAD_STACK_MIN)
        return false;
    if ((o->cpus == NULL) != (o->ncpus == 0) || o->ncpus > EXEC__MAX_WORKERS)
        return false;
    for (size_t i = 0; i < o->ncpus; i++)
        if (!exec__cpu_is_allowed(o->cpus[i]))
            return false;
    return true;
}

static int copy_opts(executor_opts *to, const executor_opts *from) {
    *to = *from;
    const char *name = from->name != NULL ? from->name : "exec";
    char *copy = exec__calloc(1, NAME_BYTES);
    if (copy == NULL)
        return ENOMEM;
    exec__copy_name(copy, NAME_BYTES, name);
    to->name = copy;
    if (from->ncpus > 0) {
        int *cpus = exec__malloc(from->ncpus * sizeof *cpus);
        if (cpus == NULL) {
            free((char *)to->name);
            return ENOMEM;
        }
        memcpy(cpus, from->cpus, from->ncpus * sizeof *cpus);
        to->cpus = cpus;
    }
    return 0;
}

static void free_opts(executor_opts *o) {
    free((char *)o->name);
    free((int *)o->cpus);
}

/* The memory may have been another executor's, which somebody may still look at (registry.c). */
static void init_fields(struct exec__pool *p, const executor_opts *opts) {
    p->n = opts->workers != 0 ? opts->workers : opts->ncpus != 0 ? (unsigned)opts->ncpus : exec__cpus();
    p->generation = exec__generation_now();
    if (p->opts.max_abandoned == 0)
        p->opts.max_abandoned = DEFAULT_ABANDONED;
    bool hooks = opts->on_start != NULL || opts->on_stop != NULL;
    p->own_threads = hooks || opts->stack_size != 0 || opts->ncpus != 0;
    atomic_store(&p->closed, false);
    atomic_store(&p->discarding, false);
    atomic_store(&p->held, 0);
    p->holds = NULL;
    atomic_store(&p->inbox_state, 0);
    p->inbox = p->inbox_last = NULL;
    p->created = exec_now();
    atomic_store(&p->most_queued, 0);
    for (int i = 0; i < EXEC__COUNTS; i++)
        atomic_store(&p->counts.n[i], 0);
}

static int open_pool(struct exec__pool *p, const executor_opts *opts) {
    int error = copy_opts(&p->opts, opts);
    if (error != 0)
        return error;
    init_fields(p, opts);
    error = exec__queue_init(&p->queue, opts->capacity != 0 ? opts->capacity : DEFAULT_CAPACITY);
    if (error != 0)
        goto free_opts;
    p->queue.is_dead = exec__ring_entry_is_dead;
    p->queue.bury = exec__ring_entry_swept;
    p->queue.owner = p;
    error = exec__lanes_init(&p->lanes, &p->queue);
    if (error != 0)
        goto fini_queue;
    error = exec__measures_init(p);
    if (error != 0)
        goto fini_lanes;
    error = exec__timers_init(&p->timers);
    if (error != 0)
        goto free_measures;
    error = pthread_mutex_init(&p->lock, NULL);
    if (error != 0)
        goto fini_timers;
    error = exec__cond_init(&p->changed);
    if (error != 0)
        goto destroy_lock;
    error = exec__seats_init(p);
    if (error != 0)
        goto destroy_changed;
    error = exec__watch_init(p);
    if (error != 0)
        goto fini_seats;
    error = exec__workers_start(p);
    if (error != 0)
        goto fini_seats;
    return 0;
fini_seats:
    exec__timers_stop(&p->timers);
    exec__seats_fini(p);
destroy_changed:
    pthread_cond_destroy(&p->changed);
destroy_lock:
    pthread_mutex_destroy(&p->lock);
fini_timers:
    exec__timers_fini(&p->timers);
free_measures:
    free(p->measures);
fini_lanes:
    exec__lanes_fini(&p->lanes);
fini_queue:
    exec__queue_fini(&p->queue);
free_opts:
    free_opts(&p->opts);
    return error;
}

int executor_create(const executor_opts *opts, executor_t **out) {
    static const executor_opts defaults;
    if (opts == NULL)
        opts = &defaults;
    if (out == NULL || !valid(opts))
        return EINVAL;
    int error = exec__fork_error();
    if (error != 0)
        return error;
    executor_t *ex = exec__registry_take();
    if (ex == NULL)
        return ENOMEM;
    struct exec__quiet q = exec__quiet_begin();
    error = open_pool(&ex->pool, opts);
    exec__quiet_end(&q);
    if (error != 0)
        exec__registry_give(ex);
    else
        *out = ex;
    return error;
}

unsigned executor_workers(const executor_t *ex) {
    return ex != NULL ? ex->pool.n : 0;
}

/* --- shut down, join, destroy --- */

/* From now on nothing is accepted. The queue first: who sees `closed` takes it that the queue's tail is final (pool.c).
 * Async-signal-safe. */
static void mark_closed(struct exec__pool *p) {
    exec__queue_mark_closed(&p->queue);
    atomic_store(&p->closed, true);
}

int executor_shutdown(executor_t *ex, enum executor_shutdown mode) {
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    if (mode != EXECUTOR_DRAIN && mode != EXECUTOR_DISCARD)
        return EINVAL;
    struct exec__pool *p = &ex->pool;
    if (mode == EXECUTOR_DISCARD)
        atomic_store(&p->discarding, true); /* first: who is refused by this call sees why */
    mark_closed(p);
    exec_queue_close(&p->queue); /* wakes those who wait for room */
    if (mode == EXECUTOR_DISCARD) {
        exec__pool_discard(p);
        exec__rouse_cancelled();
    }
    exec__pool_wake(p);
    return 0;
}

void executor_request_shutdown(executor_t *ex) {
    if (exec__executor_check(ex) != 0)
        return;
    mark_closed(&ex->pool);
    exec__pool_wake(&ex->pool);
}

int executor_stragglers(executor_t *ex, exec_straggler list[], size_t n, size_t *found) {
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    if (found == NULL || (list == NULL && n > 0))
        return EINVAL;
    *found = exec__runs_list(&ex->pool, list, n);
    return 0;
}

bool exec__runs_here(const struct exec__pool *p) {
    if (exec__seated_in(p) || exec__self.timers == &p->timers)
        return true;
    for (const struct exec__frame *frame = exec__self.frame; frame != NULL; frame = frame->below)
        if (frame->pool == p)
            return true;
    return false;
}

int executor_join(executor_t *ex, exec_time deadline) {
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    if (exec__runs_here(&ex->pool))
        return EDEADLK;
    return exec__workers_join(&ex->pool, deadline);
}

void exec__pool_free(struct exec__pool *p) {
    exec__trace_fini(p);
    free(p->workers);
    exec__seats_fini(p);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    exec__timers_fini(&p->timers);
    exec__lanes_fini(&p->lanes);
    exec__queue_fini(&p->queue);
    free(p->measures);
    free_opts(&p->opts);
    exec__registry_give(EXEC__WHOLE(p, struct executor, pool));
}

/* In a forked child: what the pool's threads may have held when they ceased to be is left alone. */
static void free_orphan(struct exec__pool *p) {
    free(p->workers);
    for (unsigned i = 0; i < p->n; i++)
        exec__deque_destroy(&p->seats[i].deque);
    free(p->seats);
    free(p->queue.slots);
    free(p->measures);
    exec__trace_orphan(p);
    exec__timers_orphan(&p->timers);
    free_opts(&p->opts);
    atomic_store(&p->visitors, 0); /* theirs */
    exec__registry_give(EXEC__WHOLE(p, struct executor, pool));
}

void executor_destroy(executor_t *ex) {
    if (ex == NULL)
        return;
    struct exec__pool *p = &ex->pool;
    if (p->generation != exec__generation_now()) {
        if (exec__runs_here(p))
            return; /* a task of it has forked, and is still in there */
        free_orphan(p);
        return;
    }
    executor_shutdown(ex, EXECUTOR_DRAIN);
    if (executor_join(ex, EXEC_NEVER) == EDEADLK)
        return;                      /* called in one of its own tasks */
    atomic_fetch_add(&p->serial, 1); /* before the visitors: report_failure(), future.c */
    for (unsigned tries = 0; atomic_load(&p->visitors) > 0; tries++)
        exec__wait_a_little(tries); /* all is over: they are about to leave */
    if (!exec__strays_are_left(p))
        exec__pool_free(p);
}
