/* tzif.h - TZif files that are made in memory, good and bad ones (RFC 8536). */
#ifndef TZIF_H
#define TZIF_H

#include "helpers.h"

#include "zone.h"

struct tzif_change {
    int64_t at;
    int type;
};

/* A zone as it is to be written; what is 0 is left out, and may be set to something that is wrong. */
struct tzif {
    char version; /* '\0': 1 */
    const struct tzif_change *changes;
    uint32_t nchanges;
    int32_t offsets[4]; /* of the types */
    uint32_t ntypes;
    uint32_t nleaps;
    bool indicators;    /* the standard/wall and UT/local indicators, too */
    const char *footer; /* with its ends of lines; NULL: "\n\n" */
};

struct bytes {
    unsigned char data[8192];
    size_t n;
};

static inline void put(struct bytes *b, int64_t value, int size) {
    check(b->n + (size_t)size <= sizeof b->data);
    for (int i = size - 1; i >= 0; i--)
        b->data[b->n++] = (unsigned char)((uint64_t)value >> (8 * i));
}

static inline void put_header(struct bytes *b, const struct tzif *t) {
    uint32_t indicators = t->indicators ? t->ntypes : 0;
    memcpy(b->data + b->n, "TZif", 4);
    b->n += 4;
    put(b, t->version, 1);
    for (int i = 0; i < 15; i++)
        put(b, 0, 1);
    put(b, indicators, 4);
    put(b, indicators, 4);
    put(b, t->nleaps, 4);
    put(b, t->nchanges, 4);
    put(b, t->ntypes, 4);
    put(b, 4, 4); /* names of types: nobody reads them */
}

static inline void put_block(struct bytes *b, const struct tzif *t, int time_size) {
    put_header(b, t);
    for (uint32_t i = 0; i < t->nchanges; i++)
        put(b, t->changes[i].at, time_size);
    for (uint32_t i = 0; i < t->nchanges; i++)
        put(b, t->changes[i].type, 1);
    for (uint32_t i = 0; i < t->ntypes; i++) {
        put(b, t->offsets[i], 4);
        put(b, 0, 2);
    }
    put(b, 0, 4); /* zeros, so that a type too many would have an offset */
    for (uint32_t i = 0; i < t->nleaps; i++) {
        put(b, 78796800 + i, time_size);
        put(b, i + 1, 4);
    }
    for (uint32_t i = 0; t->indicators && i < 2 * t->ntypes; i++)
        put(b, 0, 1);
}

static inline struct bytes tzif_bytes(const struct tzif *t) {
    struct bytes b = {.n = 0};
    put_block(&b, t, 4);
    if (t->version == '\0')
        return b;
    put_block(&b, t, 8);
    for (const char *c = t->footer ? t->footer : "\n\n"; *c != '\0'; c++)
        put(&b, *c, 1);
    return b;
}

/* Reads a copy that ends where the bytes end, so that a look behind them is seen. */
static inline int read_bytes(const unsigned char *data, size_t n, struct exec__zone **out) {
    unsigned char *copy = malloc(n > 0 ? n : 1);
    check(copy);
    memcpy(copy, data, n);
    int error = exec__zone_parse(copy, n, out);
    free(copy);
    return error;
}

static inline int read_tzif(const struct tzif *t, struct exec__zone **out) {
    struct bytes b = tzif_bytes(t);
    return read_bytes(b.data, b.n, out);
}

static inline struct exec__zone *good_tzif(const struct tzif *t) {
    struct exec__zone *zone;
    ok(read_tzif(t, &zone));
    return zone;
}

static inline struct exec__zone *good_rule(const char *text) {
    struct exec__zone *zone;
    if (exec__zone_parse_rule(text, &zone) != 0)
        FAIL("\"%s\" is not accepted", text);
    return zone;
}

static inline int32_t offset_at(const struct exec__zone *zone, int64_t t) {
    struct exec__span span;
    exec__zone_local(zone, t, &span);
    if (t < span.begin || t >= span.end)
        FAIL("%jd is not between %jd and %jd", (intmax_t)t, (intmax_t)span.begin, (intmax_t)span.end);
    return span.offset;
}

static inline void eq_span_at(const char *file, int line, const struct exec__zone *zone, int64_t t, int64_t begin,
                              int64_t end, int32_t offset) {
    struct exec__span span;
    exec__zone_local(zone, t, &span);
    eq_int_at(file, line, "the begin", span.begin, begin);
    eq_int_at(file, line, "the end", span.end, end);
    eq_int_at(file, line, "the offset", span.offset, offset);
}

#define eq_span(zone, t, begin, end, offset) eq_span_at(__FILE__, __LINE__, (zone), (t), (begin), (end), (offset))

#endif
