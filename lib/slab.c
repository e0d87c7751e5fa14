/* slab.c - memory for futures.
 *
 * A future is one cache line. Threads allocate from and free to a list of their own (exec__self.cells), without a lock.
 * A list that runs empty, or grows past two batches, exchanges a batch with the depot, which sorts the cells into the
 * slabs they were cut from; a slab all of whose cells have come back is given back to malloc, but for a few. So a
 * thread that only allocates and one that only frees cost a lock once in a batch, and a burst of futures leaves nothing
 * behind.
 *
 * Slabs are aligned to their size, which leads from a cell to its slab. Locking: depot.lock guards the depot and the
 * header of every slab; it is held for one batch, and never together with another lock.
 *
 * Built with EXEC_PLAIN_FUTURES, or for AddressSanitizer, each future is an allocation of its own instead, and no
 * thread keeps any, so that tools see each one's life.
 */
#include "slab.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define EXEC_PLAIN_FUTURES 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EXEC_PLAIN_FUTURES 1
#endif
#endif

enum { SLAB_BYTES = 256 * 1024, CELLS = SLAB_BYTES / EXEC__CELL_BYTES - 1, BATCH = 64, SPARE_SLABS = 4 };

struct slab {                  /* the first cell of each slab; depot.lock */
    struct slab *next, **link; /* in depot.slabs, while it has free cells */
    struct exec__cell *free;   /* cells that came back */
    unsigned nfree;            /* free cells, those never used included */
    unsigned nfresh;           /* cells never used: the last ones of the slab */
};

static struct {
    pthread_mutex_t lock;
    struct slab *slabs; /* those with free cells */
    unsigned spare;     /* how many of them are free altogether */
} depot = {.lock = PTHREAD_MUTEX_INITIALIZER};

void exec__slab_lock(void) {
    pthread_mutex_lock(&depot.lock);
}

void exec__slab_unlock(void) {
    pthread_mutex_unlock(&depot.lock);
}

#ifdef EXEC_PLAIN_FUTURES

void *exec__cell_fetch(void) {
    return exec__aligned_alloc(EXEC__CELL_BYTES, EXEC__CELL_BYTES);
}

void exec__cell_return(struct exec__cell *c) {
    free(c);
}

#else

static void list_locked(struct slab *s) {
    s->next = depot.slabs;
    if (s->next != NULL)
        s->next->link = &s->next;
    s->link = &depot.slabs;
    depot.slabs = s;
}

static void unlist_locked(struct slab *s) {
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
}

static struct exec__cell *take_locked(struct slab *s) {
    if (s->nfree == CELLS)
        depot.spare--;
    if (--s->nfree == 0)
        unlist_locked(s);
    struct exec__cell *c = s->free;
    if (c != NULL)
        s->free = c->next;
    else
        c = (struct exec__cell *)((char *)s + SLAB_BYTES - (size_t)s->nfresh-- * EXEC__CELL_BYTES);
    return c;
}

/* Puts a cell back into its slab; returns the slab when it is one to give back, by then no longer in the depot. */
static struct slab *put_locked(struct exec__cell *c) {
    struct slab *s = (struct slab *)((uintptr_t)c & ~(uintptr_t)(SLAB_BYTES - 1));
    c->next = s->free;
    s->free = c;
    if (s->nfree++ == 0)
        list_locked(s);
    if (s->nfree < CELLS)
        return NULL;
    if (depot.spare < SPARE_SLABS) {
        depot.spare++;
        return NULL;
    }
    unlist_locked(s);
    return s;
}

static struct slab *new_slab(void) {
    struct slab *s = exec__aligned_alloc(SLAB_BYTES, SLAB_BYTES);
    if (s != NULL)
        *s = (struct slab){.nfree = CELLS, .nfresh = CELLS};
    return s;
}

/* Moves the oldest cells of the thread's list, past the first `keep`, to the depot. */
static void give_back(struct exec__thread *self, unsigned keep) {
    struct exec__cell **end = &self->cells;
    for (unsigned i = 0; i < keep && *end != NULL; i++)
        end = &(*end)->next;
    struct exec__cell *c = *end;
    *end = NULL;
    self->ncells = keep < self->ncells ? keep : self->ncells;
    struct slab *unused = NULL;
    exec__slab_lock();
    for (struct exec__cell *next; c != NULL; c = next) {
        next = c->next;
        struct slab *s = put_locked(c);
        if (s != NULL) {
            s->next = unused;
            unused = s;
        }
    }
    exec__slab_unlock();
    for (struct slab *next; unused != NULL; unused = next) {
        next = unused->next;
        free(unused);
    }
}

static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static int key_error;

static void thread_ends(void *self) {
    ((struct exec__thread *)self)->cells_limit = 0;
    give_back(self, 0);
}

static void make_key(void) {
    key_error = pthread_key_create(&key, thread_ends);
}

/* Arranges that the thread's list goes back to the depot when it ends. */
static bool register_thread(struct exec__thread *self) {
    pthread_once(&key_once, make_key);
    if (key_error != 0 || pthread_setspecific(key, self) != 0)
        return false;
    self->cells_limit = 2 * BATCH;
    return true;
}

/* From the depot; the list stays empty when memory is short. */
static void refill(struct exec__thread *self) {
    if (self->cells_limit == 0 && !register_thread(self))
        return;
    exec__slab_lock();
    if (depot.slabs == NULL) {
        exec__slab_unlock();
        struct slab *fresh = new_slab();
        if (fresh == NULL)
            return;
        exec__slab_lock();
        depot.spare++;
        list_locked(fresh);
    }
    struct exec__cell **end = &self->cells;
    while (self->ncells < BATCH && depot.slabs != NULL) {
        *end = take_locked(depot.slabs);
        end = &(*end)->next;
        self->ncells++;
    }
    *end = NULL;
    exec__slab_unlock();
}

void *exec__cell_fetch(void) {
    struct exec__thread *self = &exec__self;
    refill(self);
    return self->cells != NULL ? exec__cell_alloc() : NULL;
}

/* The list is long enough to share, or the thread is new here; or it cannot have one. */
void exec__cell_return(struct exec__cell *c) {
    struct exec__thread *self = &exec__self;
    bool keeps = self->cells_limit > 0 || register_thread(self);
    c->next = self->cells;
    self->cells = c;
    self->ncells++;
    if (!keeps || self->ncells >= self->cells_limit)
        give_back(self, keeps ? BATCH : 0);
}

#endif
