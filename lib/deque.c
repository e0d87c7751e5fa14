/* deque.c - a worker's own list of tasks: a growing work-stealing deque.
 *
 * Model: test/model/deque.pml.
 *
 * After Chase and Lev, "Dynamic Circular Work-Stealing Deque" (SPAA 2005), in the C11 form of Le, Pop, Cohen and Zappa
 * Nardelli, "Correct and Efficient Work-Stealing for Weak Memory Models" (PPoPP 2013); where those use fences this uses
 * sequentially consistent accesses, which cost the same on x86-64 and which ThreadSanitizer understands.
 *
 * Items lie at the indices from top to bottom - 1, index i in slot i % size. Both indices only grow, except that the
 * owner steps bottom back to take the newest item, and forward again when it finds that it came too late.
 *
 * - push publishes the slot by the store to bottom, which pairs with the thief's load of bottom.
 * - A thief reads top, then bottom, then the slot, and takes the item by a compare-and-swap on top. Since top only
 *   grows, success means that nobody took that item, and so that nobody has written the slot again.
 * - The owner stores the smaller bottom (reach), then loads top (grasp); a thief loads top, then bottom. The thief's
 *   loads are sequentially consistent, and between the owner's two lies a read-modify-write that is, too: of an owner
 *   and a thief after the same item at least one sees the other. With two or more items left the owner needs no more;
 *   for the last one both go through the compare-and-swap on top, and one wins. That step is the one that starts the
 *   task, as a rule (claim.c), which has to be made anyway: on x86 any locked instruction, successful or not, keeps
 *   stores before it from being passed by loads after it (Intel SDM 3A 8.2.3.9; AMD APM 2, 7.4.2). Elsewhere it may not
 *   do so for other addresses, and grasp makes one of its own.
 * - grow copies the items into a ring of twice the size. A thief may still read the old one, so it is kept until the
 *   deque goes; all old rings together are smaller than the newest.
 *
 * The owner is whoever holds the seat (worker.c); a seat changes hands by the compare-and-swaps on the idle word and
 * the semaphore, which hand the deque over with it.
 */
#include "deque.h"

#include <errno.h>
#include <stdlib.h>

#include "memory.h"

enum { FIRST_SIZE = 64 };

static struct exec__ring *new_ring(int64_t size, struct exec__ring *older) {
    struct exec__ring *r = exec__calloc(1, sizeof *r + (size_t)size * sizeof r->items[0]);
    if (r != NULL) {
        r->older = older;
        r->size = size;
    }
    return r;
}

static void *item_at(struct exec__ring *r, int64_t i) {
    return atomic_load_explicit(&r->items[i & (r->size - 1)], memory_order_relaxed);
}

static void put_at(struct exec__ring *r, int64_t i, void *item) {
    atomic_store_explicit(&r->items[i & (r->size - 1)], item, memory_order_relaxed);
}

int exec__deque_grow(struct exec__deque *d) {
    int64_t top = atomic_load_explicit(&d->top, memory_order_acquire);
    int64_t bottom = atomic_load_explicit(&d->bottom, memory_order_relaxed);
    struct exec__ring *old = atomic_load_explicit(&d->ring, memory_order_relaxed);
    struct exec__ring *r = new_ring(old->size * 2, old);
    if (r == NULL)
        return ENOMEM;
    for (int64_t i = top; i < bottom; i++)
        put_at(r, i, item_at(old, i));
    atomic_store_explicit(&d->ring, r, memory_order_release); /* pairs with the acquire in steal */
    return 0;
}

int exec__deque_init(struct exec__deque *d) {
    struct exec__ring *r = new_ring(FIRST_SIZE, NULL);
    if (r == NULL)
        return ENOMEM;
    atomic_init(&d->top, 0);
    atomic_init(&d->bottom, 0);
    atomic_init(&d->ring, r);
    return 0;
}

void exec__deque_destroy(struct exec__deque *d) {
    struct exec__ring *r = atomic_load_explicit(&d->ring, memory_order_relaxed);
    for (struct exec__ring *older; r != NULL; r = older) {
        older = r->older;
        free(r);
    }
}

bool exec__deque_empty(const struct exec__deque *d) {
    return atomic_load(&d->top) >= atomic_load(&d->bottom);
}
