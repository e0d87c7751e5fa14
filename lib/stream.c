/* stream.c - a lazy map: blocks of items on their way from a source, through an executor, to a consumer.
 *
 * The consumer's thread takes arguments from the source and puts them into blocks, which others run (blocks.c). In an
 * ordered stream blocks are given to the consumer in the order in which they were made, otherwise as they finish.
 *
 * The size of a block starts at one item and doubles while a block takes less than BLOCK_TIME, as a map's chunk does.
 * A block of one item is a task, a member of the stream's group (group.c), and becomes the consumer's again when
 * exec_group_next() hands it out. Larger ones, whose items are quick, are shared: the consumer sees to it that there
 * are helpers to claim them. Where it may, it claims some itself rather than wait, as the caller of a map does, and
 * then there is one helper less: so no more threads are busy than the executor has, and they do not take turns.
 *
 * In a step the consumer hands out an item; when it has come to the end of a block, it first makes others as long as
 * there is room, but, when a block is ready to be handed out, only one. The source may be slow, too: a block for which
 * the source takes longer than SOURCE_TIME goes on its way as it is.
 *
 * When the executor's queue is full, whatever its policy, the consumer waits for a task to come back and tries again,
 * or for room if there is none on its way; a task of an executor that was shut down runs its blocks itself.
 */
#include <exec/stream.h>

#include <errno.h>
#include <stdlib.h>

#include "blocks.h"
#include "executor.h"
#include "fork.h"
#include "group.h"
#include "member.h"
#include "memory.h"

#define BLOCK_TIME EXEC_US(20)
#define SOURCE_TIME EXEC_US(50)
#define SPIN_TIME EXEC_US(20)

enum {
    MOST_ITEMS = 1024,
    VERY_QUICK = 256,
    PER_WORKER = 4,
    QUICK_WINDOW = 8192,
    MOST_WINDOW = 1 << 20,
    MOST_UNSEEN = 128,
    ASK_CLOCK_EVERY = 32
};

struct exec_stream {
    struct exec__work work; /* what all who run its blocks know */
    exec_next_fn *next;     /* r/o after init, as are the next */
    void *source;
    void (*free_result)(void *);
    size_t window; /* 0: so many blocks */
    bool unordered;
    exec_group_t *group;
    unsigned generation;       /* of its process (fork.h) */
    struct exec__block *out;   /* the one that is being handed out, or NULL */
    struct exec__block on_way; /* the ring of the others, in the order of the source */
    size_t blocks;             /* how many those are, and how many of them are shared and have not come back */
    size_t shared;
    struct exec__block *ready;  /* unordered: those of them that came back, linked by next_ready */
    struct exec__block *unsent; /* those there was no room for, linked by next_ready, too */
    struct exec__block **last_ready, **last_unsent;
    struct exec__block *unused; /* linked by next */
    size_t under_way;           /* tasks that have been sent and have not come back; of these */
    size_t helpers;             /* are helpers */
    size_t taken, handed;       /* items, from the source and to the consumer */
    size_t size;                /* of the next block */
    bool slow_source;
    bool runs;  /* the consumer is running a block */
    bool ended; /* the source is not asked any more */
    int error;  /* why */
    bool over;  /* the consumer has been told */
};

/* --- blocks --- */

static struct exec__block *new_block(exec_stream_t *s, size_t room) {
    struct exec__block *b = s->unused;
    if (b != NULL)
        s->unused = b->next;
    if (b != NULL && b->room < room) {
        exec__block_free(b);
        b = NULL;
    }
    if (b == NULL)
        b = exec__block_make(&s->work, room);
    if (b == NULL)
        return NULL;
    b->index = s->taken;
    b->n = b->at = 0;
    b->done = b->shared = b->ran = b->failed = false;
    b->took = 0;
    return b;
}

static void recycle(exec_stream_t *s, struct exec__block *b) {
    b->next = s->unused;
    s->unused = b;
}

static void put_on_way(exec_stream_t *s, struct exec__block *b) {
    b->next = &s->on_way;
    b->before = s->on_way.before;
    b->before->next = b;
    s->on_way.before = b;
    s->blocks++;
}

static void take_off_way(exec_stream_t *s, struct exec__block *b) {
    b->before->next = b->next;
    b->next->before = b->before;
    s->blocks--;
}

static void append(struct exec__block ***last, struct exec__block *b) {
    b->next_ready = NULL;
    **last = b;
    *last = &b->next_ready;
}

/* --- why not --- */

static void end(exec_stream_t *s, int error) {
    s->ended = true;
    s->error = error;
}

static bool is_late(const exec_stream_t *s) {
    return s->work.deadline != EXEC_NEVER && exec_now() >= s->work.deadline;
}

static bool is_cancelled(const exec_stream_t *s) {
    return atomic_load(&s->work.pool->discarding) || atomic_load(&s->group->cancelled) || exec_cancelled();
}

/* Why no more is taken from the source, or 0. */
static int reason_to_end(const exec_stream_t *s) {
    const struct exec__pool *p = s->work.pool;
    bool closed = atomic_load(&p->closed); /* before it looks whether the executor discards, which is set before */
    if (is_late(s))
        return ETIMEDOUT;
    if (is_cancelled(s))
        return ECANCELED;
    return closed && !exec__runs_here(p) ? ESHUTDOWN : 0;
}

/* --- back from the workers --- */

/* At most as large as what leaves each worker some. */
static size_t most_items(const exec_stream_t *s) {
    size_t most = (s->window != 0 ? s->window : QUICK_WINDOW) / (PER_WORKER * (size_t)s->work.pool->n);
    return most < 1 ? 1 : most > MOST_ITEMS ? MOST_ITEMS : most;
}

static void adapt(exec_stream_t *s, const struct exec__block *b) {
    size_t most = most_items(s);
    if (b->took < BLOCK_TIME && b->n >= s->size)
        s->size = 2 * s->size < most ? 2 * s->size : most;
    else if (b->took > 4 * BLOCK_TIME)
        s->size = s->size > 8 ? s->size / 8 : 1;
}

/* A block is the consumer's again. */
static void receive(exec_stream_t *s, struct exec__block *b) {
    b->done = true;
    s->shared -= b->shared;
    if (b->ran)
        adapt(s, b);
    if (s->unordered)
        append(&s->last_ready, b);
}

/* Of a block whose task did not run, neither did the items. */
static void take_back(exec_stream_t *s, future_t *f) {
    void *arg = future_arg(f);
    int error = future_get(f, NULL);
    future_unref(f);
    s->under_way--;
    if (arg == &s->work) {
        s->helpers--;
        if (error != 0)
            atomic_fetch_sub(&s->work.helping, 1); /* it has not run */
        return;
    }
    struct exec__block *b = arg;
    if (error == ECANCELED && !is_cancelled(s)) {
        append(&s->last_unsent, b); /* an EXECUTOR_DROP_OLDEST has dropped it */
        return;
    }
    if (error != 0)
        exec__block_drop(b, 0, error);
    receive(s, b);
}

static void receive_shared(exec_stream_t *s) {
    for (struct exec__block *b = s->on_way.next; b != &s->on_way; b = b->next)
        if (b->shared && !b->done && atomic_load(&b->has_run))
            receive(s, b);
        else if (!s->unordered && !b->done)
            break; /* nobody wants to know of those behind it yet */
}

/* Takes back all that have finished. */
static void collect(exec_stream_t *s) {
    future_t *f;
    while (s->under_way > 0 && exec_group_next(s->group, EXEC_NOW, &f) == 0)
        take_back(s, f);
    receive_shared(s);
}

static bool is_ready(const exec_stream_t *s) {
    return s->unordered ? s->ready != NULL : s->on_way.next->done;
}

/* --- to the workers --- */

/* Where there is a reason to end, items are skipped, which any thread may do. */
static bool must_skip(const exec_stream_t *s) {
    return is_late(s) || is_cancelled(s);
}

static void run_here(exec_stream_t *s, struct exec__block *b) {
    int saved = errno;
    s->runs = true;
    exec__work_run(b);
    s->runs = false;
    errno = saved;
    receive(s, b);
}

/* May the consumer run blocks, rather than wait? One from outside only those of very quick items, since it must not be
 * held up by a slow one; and not as they finish, where others may be ready meanwhile. */
static bool can_help(const exec_stream_t *s) {
    const struct exec__pool *p = s->work.pool;
    return exec__seated_in(p) || (s->size >= VERY_QUICK && !s->unordered && p->n > 1 && !p->own_threads);
}

/* Claims a block and runs it. False: it must not, has nothing to claim, or no seat to run it in. */
static bool run_one_here(exec_stream_t *s) {
    struct exec__pool *p = s->work.pool;
    struct exec__seat *own = exec__self.seat, *borrowed = NULL;
    bool skip = must_skip(s);
    if (exec__work_left(&s->work) == 0 || !(skip || can_help(s)))
        return false;
    if (!skip && !exec__seated_in(p) && (borrowed = exec__seat_borrow(p)) == NULL)
        return false;
    struct exec__block *b = exec__work_claim(&s->work);
    if (borrowed != NULL)
        exec__self.seat = borrowed;
    if (b != NULL)
        run_here(s, b);
    exec__self.seat = own;
    if (borrowed != NULL)
        exec__seat_return(p, borrowed);
    return b != NULL;
}

/* Nobody else will run it: why. */
static void refuse(exec_stream_t *s, struct exec__block *b, int error) {
    const struct exec__pool *p = s->work.pool;
    if (error == ENOMEM || (error == ESHUTDOWN && (!p->own_threads || exec__runs_here(p)))) {
        run_here(s, b);
        return;
    }
    exec__block_drop(b, 0, error);
    receive(s, b);
    end(s, error);
}

/* 0: a member is under way. ETIMEDOUT: there was no room for it until then. */
static int send(exec_stream_t *s, exec_fn *fn, void *arg, exec_time until) {
    int error = exec__group_put(s->group, fn, arg, until);
    if (error == ESHUTDOWN && atomic_load(&s->work.pool->discarding))
        error = ECANCELED;
    s->under_way += error == 0;
    return error;
}

/* Has it run, or sees to it that it is. False: there is no room for it now, and others are under way. */
static bool send_block(exec_stream_t *s, struct exec__block *b) {
    if (b->n > 1) {
        exec__work_put(&s->work, b);
        s->shared++;
        return true;
    }
    bool others = s->under_way > 0;
    int error = send(s, exec__block_run, b, others ? EXEC_NOW : s->work.deadline);
    if (error == ETIMEDOUT && others)
        return false;
    if (error != 0)
        refuse(s, b, error);
    return true;
}

static void send_unsent(exec_stream_t *s) {
    while (s->unsent != NULL) {
        struct exec__block *b = s->unsent, *next = b->next_ready;
        if (!send_block(s, b))
            return;
        s->unsent = next;
        if (next == NULL)
            s->last_unsent = &s->unsent;
    }
}

/* As many as there is something to do for; a consumer that can help is one, too. */
static size_t helpers_wanted(const exec_stream_t *s) {
    size_t most = s->work.pool->n - (size_t)can_help(s);
    return exec__work_left(&s->work) == 0 ? 0 : s->shared < most ? s->shared : most;
}

/* 0: one more is under way. */
static int call_helper(exec_stream_t *s, exec_time until) {
    atomic_fetch_add(&s->work.helping, 1);
    int error = send(s, exec__work_help, &s->work, until);
    if (error == 0)
        s->helpers++;
    else
        atomic_fetch_sub(&s->work.helping, 1);
    return error;
}

static void call_helpers(exec_stream_t *s) {
    size_t wanted = helpers_wanted(s);
    while (atomic_load(&s->work.helping) < wanted && call_helper(s, EXEC_NOW) == 0)
        continue;
}

/* Nothing is under way, but there are blocks that this thread must not run, for want of a seat. */
static void call_helper_waiting(exec_stream_t *s) {
    struct exec__block *b;
    int error = call_helper(s, s->work.deadline);
    while (error != 0 && (b = exec__work_claim(&s->work)) != NULL)
        refuse(s, b, error);
}

/* --- from the source --- */

/* Until there are so many; 0, or what the source has returned. */
static int load_until(exec_stream_t *s, struct exec__block *b, size_t upto) {
    size_t n = b->n;
    int error = 0;
    while (n < upto && (error = s->next(s->source, &b->args[n])) == 0)
        n++;
    s->taken += n - b->n;
    b->n = n;
    return error;
}

/* How many to take before the next look at the clock: as many again as there are, so that it takes no longer. */
static size_t step_of(const exec_stream_t *s, const struct exec__block *b) {
    if (b->n == 0 || s->work.deadline != EXEC_NEVER)
        return 1;
    return b->n < MOST_UNSEEN ? b->n : MOST_UNSEEN;
}

/* Takes up to `most` arguments, fewer when the source is slow or ends. */
static void load(exec_stream_t *s, struct exec__block *b, size_t most) {
    exec_time began = exec_now(), deadline = s->work.deadline, now;
    int error, state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* what was taken is not lost */
    do {
        size_t step = step_of(s, b);
        error = load_until(s, b, step < most - b->n ? b->n + step : most);
        now = exec_now();
        s->slow_source = now - began > SOURCE_TIME;
    } while (b->n < most && error == 0 && !s->slow_source && now < deadline);
    pthread_setcancelstate(state, NULL);
    if (error != 0)
        end(s, error == ENODATA ? 0 : error > 0 ? error : EINVAL);
}

/* Blocks that have not come back; of the shared ones, those that nobody has claimed, or a helper may be running. */
static size_t unfinished(const exec_stream_t *s) {
    size_t shared = exec__work_left(&s->work) + s->helpers;
    return s->under_way - s->helpers + (shared < s->shared ? shared : s->shared);
}

/* How many items the next block may have, 0: there must be none now. By default the window is so many blocks, so that
 * one that is held up takes no room from the others, however small those are. Where it is so many items, the rest of
 * it is left until it holds a whole block, lest blocks stay small, but not while a worker has nothing to do. */
static size_t room(const exec_stream_t *s) {
    size_t size = s->slow_source ? 1 : s->size, ahead = s->taken - s->handed;
    if (!exec__work_has_room(&s->work))
        return 0;
    if (s->window == 0)
        return s->blocks < PER_WORKER * (size_t)s->work.pool->n ? size : 0;
    if (ahead >= s->window)
        return 0;
    size_t left = s->window - ahead;
    return left >= size ? size : unfinished(s) < s->work.pool->n ? left : 0;
}

/* Makes one block: false, when there is no room, or nothing to put into it. */
static bool fill_one(exec_stream_t *s) {
    size_t size = room(s);
    if (size == 0)
        return false;
    int error = reason_to_end(s);
    struct exec__block *b = error == 0 ? new_block(s, size) : NULL;
    if (b == NULL) {
        end(s, error != 0 ? error : ENOMEM);
        return false;
    }
    load(s, b, size);
    if (b->n == 0) {
        recycle(s, b);
        return false;
    }
    put_on_way(s, b);
    if (!send_block(s, b))
        append(&s->last_unsent, b);
    return true;
}

static void fill(exec_stream_t *s) {
    send_unsent(s);
    while (!s->ended && s->unsent == NULL && fill_one(s)) {
        if (s->slow_source)
            collect(s);
        if (is_ready(s))
            break;
    }
    call_helpers(s);
}

/* --- to the consumer --- */

/* For a block that is being run, and will soon have been. */
static bool spin(exec_stream_t *s) {
    exec_time until = exec_after(SPIN_TIME);
    for (int i = 1; i % ASK_CLOCK_EVERY != 0 || exec_now() < until; i++) {
        receive_shared(s);
        if (is_ready(s))
            return true;
        exec__pause();
    }
    return false;
}

/* Sleeps until a task has come back: 0, or an error that ends the stream. */
static int sleep_until_one_is_back(exec_stream_t *s) {
    future_t *f = NULL;
    int error = 0;
    atomic_store(&s->work.consumer_sleeps, true); /* see blocks.c */
    receive_shared(s);
    if (!is_ready(s))
        error = exec_group_next(s->group, EXEC_NEVER, &f);
    atomic_store(&s->work.consumer_sleeps, false);
    if (f != NULL)
        take_back(s, f);
    return error;
}

/* None is ready: does something, or waits, until there is reason to look again: 0, or an error that ends the stream. */
static int bring_on(exec_stream_t *s) {
    fill(s);
    if (is_ready(s) || run_one_here(s))
        return 0;
    if (s->helpers > 0 && spin(s))
        return 0;
    if (s->under_way > 0)
        return sleep_until_one_is_back(s);
    call_helper_waiting(s);
    return 0;
}

static struct exec__block *pick(exec_stream_t *s) {
    struct exec__block *b = s->on_way.next;
    if (s->unordered) {
        b = s->ready;
        s->ready = b->next_ready;
        if (s->ready == NULL)
            s->last_ready = &s->ready;
    }
    take_off_way(s, b);
    return b;
}

/* The next block to hand out, or NULL. */
static struct exec__block *advance(exec_stream_t *s) {
    if (s->out != NULL) {
        s->handed += s->out->n;
        recycle(s, s->out);
        s->out = NULL;
    }
    collect(s);
    fill(s);
    while (!is_ready(s)) {
        int error = s->blocks > 0 ? bring_on(s) : ENODATA;
        if (error != 0) {
            if (error != ENODATA)
                end(s, error);
            return NULL;
        }
        collect(s);
    }
    return pick(s);
}

static int check(const exec_stream_t *s) {
    if (s == NULL)
        return EINVAL;
    return s->generation == exec__generation_now() ? 0 : EOWNERDEAD;
}

/* By one that the consumer runs, or a helper: that is a member of the group. */
static bool called_by_item(const exec_stream_t *s) {
    return (exec__self.frame != NULL && exec__called_by_member(s->group)) || s->runs;
}

static inline bool is_left(const exec_stream_t *s) {
    return s->out != NULL && s->out->at < s->out->n;
}

/* Something is left of the present block, and who calls cannot be in an item, being in what it was opened in. */
static inline bool is_at_hand(const exec_stream_t *s) {
    return exec__self.frame == s->group->scope.owner && s->generation == exec__generation_now() && is_left(s);
}

static inline void hand_out(struct exec__block *b, exec_item *out) {
    size_t i = b->at++;
    *out = (exec_item){
        .index = b->index + i, .arg = b->args[i], .result = b->results[i], .error = b->failed ? b->errors[i] : 0};
}

/* There is nothing left to hand out: goes on to the next block. False: the end. */
static bool begin_block(exec_stream_t *s) {
    if (!s->over) {
        s->out = advance(s);
        s->over = s->out == NULL;
    }
    return !s->over;
}

EXEC__OUTSIDE static bool next_item(exec_stream_t *s, exec_item *out) {
    int error = check(s);
    if (error == 0 && called_by_item(s))
        error = EDEADLK;
    bool more = error == 0 && (is_left(s) || begin_block(s));
    if (more)
        hand_out(s->out, out);
    else
        *out = (exec_item){.error = error != 0 ? error : s->error};
    return more;
}

bool exec_stream_next(exec_stream_t *s, exec_item *out) {
    if (out == NULL)
        return false;
    if (s == NULL || !is_at_hand(s))
        return next_item(s, out);
    hand_out(s->out, out);
    return true;
}

/* --- open and close --- */

static void close_scope(struct exec__scope *scope) {
    exec_stream_close(scope->whole);
}

static int init(exec_stream_t *s, executor_t *ex, const exec_stream_opts *opts) {
    s->work.pool = &ex->pool;
    s->work.drop = opts->drop;
    s->work.deadline = opts->deadline != 0 ? opts->deadline : EXEC_NEVER;
    s->window = opts->window;
    s->unordered = opts->unordered;
    s->free_result = opts->free_result;
    s->generation = exec__generation_now();
    s->on_way.next = s->on_way.before = &s->on_way;
    s->last_ready = &s->ready;
    s->last_unsent = &s->unsent;
    s->size = 1;
    int error = exec__work_init(&s->work, PER_WORKER * (size_t)ex->pool.n);
    if (error != 0)
        return error;
    error = exec_group_open(ex, &(exec_group_opts){.deadline = opts->deadline}, &s->group);
    if (error != 0) {
        exec__work_fini(&s->work);
        return error;
    }
    s->group->scope.whole = s;
    s->group->scope.close = close_scope;
    return 0;
}

int exec_stream_open(executor_t *ex, exec_next_fn *next, void *source, exec_fn *fn, const exec_stream_opts *opts,
                     exec_stream_t **out) {
    static const exec_stream_opts defaults;
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    if (opts == NULL)
        opts = &defaults;
    if (next == NULL || fn == NULL || out == NULL || opts->window > MOST_WINDOW || opts->deadline < 0)
        return EINVAL;
    if (atomic_load(&ex->pool.closed) && !exec__runs_here(&ex->pool))
        return ESHUTDOWN;
    exec_stream_t *s = exec__aligned_alloc(EXEC__CACHE_LINE, sizeof *s);
    if (s == NULL)
        return ENOMEM;
    *s = (exec_stream_t){.next = next, .source = source, .work.fn = fn};
    error = init(s, ex, opts);
    if (error != 0)
        free(s);
    else
        *out = s;
    return error;
}

/* What was not handed out: results are freed, arguments that will never be used dropped. */
static void give_up(exec_stream_t *s, struct exec__block *b) {
    void (*free_result)(void *) = s->free_result;
    if (!b->done && !b->ran)
        exec__block_drop(b, 0, ECANCELED);
    for (size_t i = b->at; i < b->n && free_result != NULL; i++)
        if (b->results[i] != NULL)
            free_result(b->results[i]);
}

static void free_list(struct exec__block *b) {
    while (b != NULL) {
        struct exec__block *next = b->next;
        exec__block_free(b);
        b = next;
    }
}

static void free_blocks(exec_stream_t *s) {
    s->on_way.before->next = NULL; /* no ring any more */
    free_list(s->on_way.next);
    free_list(s->unused);
    if (s->out != NULL)
        exec__block_free(s->out);
}

void exec_stream_close(exec_stream_t *s) {
    int error = check(s);
    if (error == EINVAL || called_by_item(s))
        return;
    int saved = errno;
    exec_group_cancel(s->group);
    exec_group_close(s->group);
    for (struct exec__block *b = s->on_way.next; b != &s->on_way && error == 0; b = b->next)
        give_up(s, b);
    if (s->out != NULL && error == 0)
        give_up(s, s->out);
    free_blocks(s);
    exec__work_fini(&s->work);
    free(s);
    errno = saved;
}
