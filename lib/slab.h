/* slab.h - memory for futures: cells of one cache line, from free lists that each thread has to itself. */
#ifndef EXEC__SLAB_H
#define EXEC__SLAB_H

#include <stddef.h>

#include "thread.h"

#define EXEC__CELL_BYTES 64

struct exec__cell {
    struct exec__cell *next;
};

/* The thread's own list is empty, or has no room. */
void *exec__cell_fetch(void);
void exec__cell_return(struct exec__cell *cell);

/* A cell, aligned to its size, its contents undefined; NULL when memory is short. Any thread may free it. */
static inline void *exec__cell_alloc(void) {
    struct exec__thread *self = &exec__self;
    struct exec__cell *c = self->cells;
    if (c == NULL)
        return exec__cell_fetch();
    self->cells = c->next;
    self->ncells--;
    return c;
}

static inline void exec__cell_free(void *cell) {
    struct exec__thread *self = &exec__self;
    struct exec__cell *c = cell;
    if (self->ncells >= self->cells_limit) {
        exec__cell_return(c);
        return;
    }
    c->next = self->cells;
    self->cells = c;
    self->ncells++;
}

/* Around fork(): what the slabs' lock guards is whole in the child. */
void exec__slab_lock(void);
void exec__slab_unlock(void);

#endif
