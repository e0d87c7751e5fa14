/* memory.h - malloc and its kin, but that they leave errno alone, and are freed by free(); and copies of names. */
#ifndef EXEC__MEMORY_H
#define EXEC__MEMORY_H

#include <stddef.h>
#include <string.h>

void *exec__malloc(size_t size);
void *exec__calloc(size_t n, size_t size);
void *exec__aligned_alloc(size_t alignment, size_t size);

/* Copies as much of a name as there is room for, ended by a zero; NULL: an empty one. */
static inline void exec__copy_name(char *to, size_t size, const char *name) {
    size_t length = name != NULL ? strnlen(name, size - 1) : 0;
    if (length > 0)
        memcpy(to, name, length);
    to[length] = '\0';
}

#endif
