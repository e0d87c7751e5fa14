/* json_check.h - whether a text is JSON (RFC 8259), and how many spans a trace has: objects in which "ph" is "X". */
#ifndef JSON_CHECK_H
#define JSON_CHECK_H

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct json {
    const char *at;
    size_t spans;
    unsigned depth; /* of arrays and objects that are open */
};

enum { JSON_MOST_DEEP = 64 };

static inline bool json_value(struct json *j);

static inline void json_blanks(struct json *j) {
    j->at += strspn(j->at, " \t\r\n");
}

/* Steps over the character, if it comes next. */
static inline bool json_take(struct json *j, char c) {
    json_blanks(j);
    bool is_there = *j->at == c;
    j->at += is_there;
    return is_there;
}

static inline bool json_escape(struct json *j) {
    j->at++;
    if (*j->at == '\0' || strchr("\"\\/bfnrtu", *j->at) == NULL)
        return false;
    if (*j->at++ != 'u')
        return true;
    for (int i = 0; i < 4; i++, j->at++)
        if (!isxdigit((unsigned char)*j->at))
            return false;
    return true;
}

static inline bool json_string(struct json *j) {
    if (!json_take(j, '"'))
        return false;
    while (*j->at != '"') {
        if ((unsigned char)*j->at < ' ') /* the end of the text, too */
            return false;
        if (*j->at != '\\')
            j->at++;
        else if (!json_escape(j))
            return false;
    }
    j->at++;
    return true;
}

static inline bool json_digits(struct json *j) {
    size_t n = strspn(j->at, "0123456789");
    j->at += n;
    return n > 0;
}

static inline bool json_number(struct json *j) {
    j->at += *j->at == '-';
    bool has_zero = *j->at == '0';
    j->at += has_zero;
    if (!has_zero && !json_digits(j))
        return false;
    if (*j->at == '.' && (j->at++, !json_digits(j)))
        return false;
    if (*j->at != 'e' && *j->at != 'E')
        return true;
    j->at++;
    j->at += *j->at == '+' || *j->at == '-';
    return json_digits(j);
}

static inline bool json_word(struct json *j, const char *word) {
    size_t length = strlen(word);
    bool is_there = strncmp(j->at, word, length) == 0;
    j->at += is_there ? length : 0;
    return is_there;
}

static inline bool json_member(struct json *j) {
    json_blanks(j);
    bool is_phase = strncmp(j->at, "\"ph\"", 4) == 0;
    if (!json_string(j) || !json_take(j, ':'))
        return false;
    json_blanks(j);
    j->spans += is_phase && strncmp(j->at, "\"X\"", 3) == 0;
    return json_value(j);
}

/* An array or object, behind what opens it. */
static inline bool json_items(struct json *j, bool (*item)(struct json *), char end) {
    if (++j->depth > JSON_MOST_DEEP)
        return false;
    bool right = json_take(j, end);
    while (!right && item(j) && !(right = json_take(j, end)))
        if (!json_take(j, ','))
            return false;
    j->depth--;
    return right;
}

static inline bool json_value(struct json *j) {
    json_blanks(j);
    if (*j->at == '"')
        return json_string(j);
    if (json_take(j, '{'))
        return json_items(j, json_member, '}');
    if (json_take(j, '['))
        return json_items(j, json_value, ']');
    return json_word(j, "true") || json_word(j, "false") || json_word(j, "null") || json_number(j);
}

/* One value, and nothing behind it. */
static inline bool json_is_valid(const char *text, size_t *spans) {
    struct json j = {.at = text};
    bool right = json_value(&j);
    json_blanks(&j);
    *spans = j.spans;
    return right && *j.at == '\0';
}

#endif
