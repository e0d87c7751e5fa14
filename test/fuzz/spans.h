/* spans.h - how the stretches of time that a zone consists of lie beside each other. */
#ifndef SPANS_H
#define SPANS_H

#include "fuzz.h"

#include "zone.h"

/* Only one C library's way of reading zones is known well enough to be compared with. */
#ifdef __GLIBC__
enum { COMPARES_WITH_C_LIBRARY = true };
#else
enum { COMPARES_WITH_C_LIBRARY = false };
#endif

/* Where summer is all year, neighbours have the same offset, and may overlap. */
static inline void check_side_by_side(const struct exec__span *a, const struct exec__span *b) {
    check(a->begin < b->begin || a->offset == b->offset);
    check(a->end == b->begin || (a->end > b->begin && a->offset == b->offset));
}

#endif
