/* memory.c - malloc and its kin, but that they leave errno alone, as every function of the library does.
 *
 * A compiler may think that malloc() does not touch errno, and leave out setting it back: the fence forbids that.
 */
#include "memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static void *restore_errno(void *p, int saved) {
    atomic_signal_fence(memory_order_seq_cst);
    errno = saved;
    return p;
}

void *exec__malloc(size_t size) {
    int saved = errno;
    return restore_errno(malloc(size), saved);
}

void *exec__calloc(size_t n, size_t size) {
    int saved = errno;
    return restore_errno(calloc(n, size), saved);
}

void *exec__aligned_alloc(size_t alignment, size_t size) {
    int saved = errno;
    return restore_errno(aligned_alloc(alignment, size), saved);
}
