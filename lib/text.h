/* text.h - text that is made in memory, and then written at once. Between the two calls nothing is a cancellation
 * point, as writing would be. */
#ifndef EXEC__TEXT_H
#define EXEC__TEXT_H

#include <locale.h>
#include <stdio.h>

#include "sync.h"

struct exec__text {
    FILE *stream;
    locale_t c, before; /* the thread's locale, which numbers must not depend on */
    char *bytes;
    size_t size;
    struct exec__quiet quiet;
};

int exec__text_open(struct exec__text *t); /* 0 or ENOMEM */

/* Writes it, and frees it. 0; ENOMEM; or what writing has failed with. */
int exec__text_write(struct exec__text *t, FILE *out);

/* How many bytes the character here takes (UTF-8, RFC 3629); 0: it is none, or one of those that control a terminal
 * (C0, DEL, C1). */
size_t exec__character(const char *string);

/* Writes a string, in which what is no UTF-8 (RFC 3629), and control characters, become question marks. */
void exec__write_plain(FILE *out, const char *string);

/* The same between quotes, as JSON (RFC 8259) and labels of Prometheus want it. */
void exec__write_quoted(FILE *out, const char *string);

/* A duration, for people: 12.3 s, 4.56 ms. */
void exec__write_duration(FILE *out, long long ns);

#endif
