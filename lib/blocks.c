/* blocks.c - the items of a stream in blocks, and who runs them.
 *
 * A block is filled by the stream's consumer, and run by one thread: as a task of its own, or, if it is shared, by
 * whoever claims it: a helper, which is a task that claims blocks one after the other, or the consumer, when it has
 * nothing else to do. Until it has run nobody else looks into it.
 *
 * The ring of the shared blocks. Only the consumer puts blocks there: it stores the block, then counts it in `put`
 * (release). Who claims one reads `claimed`, then `put` (acquire), then the block, and counts it in `claimed` by a
 * compare-and-swap. The consumer uses a place again when `claimed` has passed it, and then the compare-and-swap of
 * anybody who has read the old block fails; so what was claimed is what was read.
 *
 * Nothing is lost. A helper that finds nothing to claim for SPIN_TIME ends, or at once while the consumer sleeps. That
 * wakes the consumer, since the helper is a member of the stream's group, and then it sees what has run and what is
 * left. So it sleeps until there is nothing left to claim, and is not woken for each block. The consumer may also be
 * elsewhere for long. Therefore a helper that ends ceases to count in `helping`, and then looks once more for something
 * to claim; the consumer counts a block in `put`, and then looks how many help. All four are sequentially consistent,
 * so one of the two sees the other. (One that gives way to other tasks does not look: what it leaves waits for another
 * helper, or for the consumer's next call.)
 */
#include "blocks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "executor.h"
#include "items.h"
#include "memory.h"
#include "sync.h"

#define SPIN_TIME EXEC_US(10)
#define HELP_TIME EXEC_MS(1) /* how long others that wait for a worker are kept waiting */

enum { ASK_CLOCK_EVERY = 32 };

/* --- blocks --- */

struct exec__block *exec__block_make(struct exec__work *w, size_t room) {
    struct exec__block *b = exec__calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->args = exec__malloc(room * (2 * sizeof(void *) + sizeof(int)));
    if (b->args == NULL) {
        free(b);
        return NULL;
    }
    b->results = b->args + room;
    b->errors = (int *)(b->results + room);
    b->room = room;
    b->work = w;
    return b;
}

void exec__block_free(struct exec__block *b) {
    free(b->args);
    free(b);
}

/* --- running one --- */

static struct exec__block *block_of(const struct exec__items *items) {
    return items->ctx;
}

static int reason_to_stop(const struct exec__work *w) {
    return w->deadline != EXEC_NEVER && exec_now() >= w->deadline ? ETIMEDOUT : ECANCELED;
}

static void set_errors(struct exec__block *b, size_t begin, size_t end, int error) {
    if (!b->failed)
        memset(b->errors, 0, b->n * sizeof *b->errors);
    b->failed = true;
    for (size_t i = begin; i < end; i++) {
        b->results[i] = NULL;
        b->errors[i] = error;
    }
}

static void fail_items(struct exec__items *items, size_t begin, size_t end, int error) {
    struct exec__block *b = block_of(items);
    set_errors(b, begin, end, error == ECANCELED ? reason_to_stop(b->work) : error);
}

static void drop_items(struct exec__block *b, size_t begin, size_t end, int error) {
    void (*drop)(void *) = b->work->drop;
    set_errors(b, begin, end, error);
    for (size_t i = begin; i < end && drop != NULL; i++)
        drop(b->args[i]);
}

void exec__block_drop(struct exec__block *b, size_t begin, int error) {
    drop_items(b, begin, b->n, error);
}

static void skip_items(struct exec__items *items, size_t begin, size_t end) {
    struct exec__block *b = block_of(items);
    drop_items(b, begin, end, reason_to_stop(b->work));
}

void *exec__block_run(void *block) {
    struct exec__block *b = block;
    const struct exec__work *w = b->work;
    struct exec__items items = {.fn = w->fn,
                                .args = b->args,
                                .results = b->results,
                                .ctx = b,
                                .fail = fail_items,
                                .skip = skip_items,
                                .end = b->n};
    exec_time began = exec_now();
    b->ran = true;
    b->failed = false;
    items.frame = (struct exec__frame){.within = exec__self.frame,
                                       .pool = w->pool,
                                       .discarding = &w->pool->discarding,
                                       .seat = exec__self.seat,
                                       .deadline = w->deadline};
    exec__frame_push(&items.frame);
    exec__items_run(&items);
    exec__frame_pop(&items.frame);
    b->took = exec_now() - began;
    return NULL;
}

/* --- the ring --- */

int exec__work_init(struct exec__work *w, size_t room) {
    size_t size = 1;
    while (size < room)
        size *= 2;
    w->mask = size - 1;
    w->ring = exec__calloc(size, sizeof *w->ring);
    return w->ring != NULL ? 0 : ENOMEM;
}

void exec__work_fini(struct exec__work *w) {
    free((void *)w->ring);
}

size_t exec__work_left(const struct exec__work *w) {
    return (size_t)(atomic_load_explicit(&w->put, memory_order_relaxed) - atomic_load(&w->claimed));
}

bool exec__work_has_room(const struct exec__work *w) {
    return exec__work_left(w) <= w->mask;
}

void exec__work_put(struct exec__work *w, struct exec__block *b) {
    uint64_t put = atomic_load_explicit(&w->put, memory_order_relaxed);
    b->shared = true;
    atomic_store_explicit(&b->has_run, false, memory_order_relaxed);
    atomic_store_explicit(&w->ring[put & w->mask], b, memory_order_relaxed);
    atomic_store(&w->put, put + 1);
}

struct exec__block *exec__work_claim(struct exec__work *w) {
    uint64_t claimed = atomic_load(&w->claimed);
    while (claimed < atomic_load_explicit(&w->put, memory_order_acquire)) {
        struct exec__block *b = atomic_load_explicit(&w->ring[claimed & w->mask], memory_order_relaxed);
        if (atomic_compare_exchange_weak(&w->claimed, &claimed, claimed + 1))
            return b;
    }
    return NULL;
}

void exec__work_run(struct exec__block *b) {
    exec__block_run(b);
    atomic_store(&b->has_run, true);
}

/* --- helping --- */

static struct exec__block *wait_to_claim(struct exec__work *w) {
    exec_time until = exec_after(SPIN_TIME);
    struct exec__block *b;
    for (int i = 1; (b = exec__work_claim(w)) == NULL; i++) {
        if (atomic_load(&w->consumer_sleeps) || (i % ASK_CLOCK_EVERY == 0 && exec_now() >= until))
            return NULL;
        exec__pause();
    }
    return b;
}

/* The worker may be needed for something else. */
static bool is_wanted_elsewhere(const struct exec__work *w, exec_time since) {
    return exec_now() - since > HELP_TIME && !atomic_load(&w->pool->closed) && exec__pool_has_work(w->pool);
}

/* Runs what there is: true, to give way to others. */
static bool help(struct exec__work *w, exec_time began) {
    struct exec__block *b;
    while ((b = wait_to_claim(w)) != NULL) {
        exec__work_run(b); /* from here on the consumer may do with it as it likes */
        if (exec__self.was_left || is_wanted_elsewhere(w, began))
            return true;
    }
    return false;
}

void *exec__work_help(void *work) {
    struct exec__work *w = work;
    exec_time began = exec_now();
    for (;;) {
        bool gives_way = help(w, began);
        atomic_fetch_sub(&w->helping, 1);
        if (gives_way || atomic_load(&w->claimed) == atomic_load(&w->put))
            return NULL;
        atomic_fetch_add(&w->helping, 1);
    }
}
