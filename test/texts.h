/* texts.h - random texts, put together from pieces of a language, the same ones at each run. */
#ifndef TEXTS_H
#define TEXTS_H

#include "helpers.h"

struct texts {
    const char *const *pieces;
    size_t npieces;
    unsigned most;  /* pieces in one text, a power of two less one */
    unsigned state; /* of the random numbers */
};

static inline unsigned texts_random(struct texts *t) {
    t->state = t->state * 1103515245 + 12345;
    return t->state >> 16;
}

/* `begin` and random pieces, in memory that ends where the text ends; to be freed. */
static inline char *next_text(struct texts *t, const char *begin) {
    char text[256];
    size_t length = (size_t)snprintf(text, sizeof text, "%s", begin);
    for (unsigned n = texts_random(t) & t->most; n > 0 && length < sizeof text; n--)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s", t->pieces[texts_random(t) % t->npieces]);
    char *exact = strdup(text);
    check(exact);
    return exact;
}

#define TEXTS(array, most_pieces) \
    { .pieces = (array), .npieces = sizeof(array) / sizeof(array)[0], .most = (most_pieces), .state = 1 }

#endif
