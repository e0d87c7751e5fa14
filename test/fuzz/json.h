/* json.h - a strict look at JSON (RFC 8259), at the strings of it also in other formats, and at UTF-8 (RFC 3629). Each
 * function returns the place behind what it has read; NULL: it is not there. */
#ifndef JSON_H
#define JSON_H

#include "fuzz.h"

/* The number of a character and where it ends, or 0: encoded in the only way that is right. */
static inline uint32_t utf8_character(const char **at) {
    const unsigned char *s = (const unsigned char *)*at;
    size_t size = *s < 0x80 ? 1 : *s >= 0xf0 ? 4 : *s >= 0xe0 ? 3 : *s >= 0xc0 ? 2 : 0;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t c = size == 1 ? *s : *s & (0xff >> (size + 1));
    if (size == 0 || *s >= 0xf8)
        return 0;
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    if (c < least[size] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *at += size;
    return c;
}

/* One without control characters, those of C1 included, in which only a quote and a backslash are escaped. */
static inline const char *json_string(const char *at) {
    if (*at++ != '"')
        return NULL;
    while (*at != '"') {
        if (*at == '\\') {
            if (at[1] != '"' && at[1] != '\\')
                return NULL;
            at += 2;
            continue;
        }
        uint32_t c = utf8_character(&at);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
            return NULL;
    }
    return at + 1;
}

static inline const char *json_digits(const char *at) {
    size_t n = strspn(at, "0123456789");
    return n > 0 ? at + n : NULL;
}

static inline const char *json_number(const char *at) {
    at += *at == '-';
    at = *at == '0' ? at + 1 : json_digits(at);
    if (at != NULL && *at == '.')
        at = json_digits(at + 1);
    if (at != NULL && (*at == 'e' || *at == 'E'))
        at = json_digits(at + 1 + (at[1] == '+' || at[1] == '-'));
    return at;
}

static inline const char *json_blanks(const char *at) {
    return at + strspn(at, " \n\r\t");
}

static inline const char *json_value(const char *at);

/* The rest of an object or an array, which ends with `end`. */
static inline const char *json_rest(const char *at, char end) {
    at = json_blanks(at);
    if (*at == end)
        return at + 1;
    for (;; at++) {
        if (end == '}') {
            at = json_string(json_blanks(at));
            at = at != NULL ? json_blanks(at) : NULL;
            if (at == NULL || *at++ != ':')
                return NULL;
        }
        at = json_value(at);
        if (at == NULL || *at == end)
            return at != NULL ? at + 1 : NULL;
        if (*at != ',')
            return NULL;
    }
}

/* With the blanks around it. */
static inline const char *json_value(const char *at) {
    at = json_blanks(at);
    switch (*at) {
    case '"': at = json_string(at); break;
    case '{': at = json_rest(at + 1, '}'); break;
    case '[': at = json_rest(at + 1, ']'); break;
    default: at = json_number(at);
    }
    return at != NULL ? json_blanks(at) : NULL;
}

#endif
