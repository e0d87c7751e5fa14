/* memory.h - malloc and its kin, but that they leave errno alone. Freed by free(). */
#ifndef EXEC__MEMORY_H
#define EXEC__MEMORY_H

#include <stddef.h>

void *exec__malloc(size_t size);
void *exec__calloc(size_t n, size_t size);
void *exec__aligned_alloc(size_t alignment, size_t size);

#endif
