/* slab.h - memory for futures: cells of one cache line, from free lists that each thread has to itself. */
#ifndef EXEC__SLAB_H
#define EXEC__SLAB_H

#define EXEC__CELL_BYTES 64

/* A cell, aligned to its size, its contents undefined; NULL when memory is short. Any thread may free it. */
void *exec__cell_alloc(void);
void exec__cell_free(void *cell);

/* Around fork(): what the slabs' lock guards is whole in the child. */
void exec__slab_lock(void);
void exec__slab_unlock(void);

#endif
