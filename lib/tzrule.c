/* tzrule.c - the rule of a POSIX TZ string: offsets from UTC that change twice a year, or never.
 *
 *     NAME OFFSET [NAME [OFFSET] [,DATE[/TIME],DATE[/TIME]]]       without the blanks
 *
 * POSIX.1-2017, XBD 8.3, with the times from -167 to 167 hours of RFC 8536, 3.3.1. Where a second name comes without
 * dates, they are those of the United States since 2007, as in the C library. The whole text must be understood.
 */
#include "tzrule.h"

#include <errno.h>
#include <stddef.h>

#include "civil.h"

enum { HOUR = 3600, MAX_OFFSET_HOURS = 24, MAX_TIME_HOURS = 167, USUAL_TIME = 2 * HOUR };

static const struct exec__tzdate usual_begin = {EXEC__WEEKDAY, 3, 2, 0, USUAL_TIME};
static const struct exec__tzdate usual_end = {EXEC__WEEKDAY, 11, 1, 0, USUAL_TIME};

/* ---- reading: each leaves *at behind what it has read, and returns whether that was right ---- */

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool read_char(const char **at, char c) {
    if (**at != c)
        return false;
    ++*at;
    return true;
}

static bool read_number(const char **at, int least, int most, int *out) {
    int n = 0;
    if (!is_digit(**at))
        return false;
    for (; is_digit(**at); ++*at)
        n = n > most ? n : n * 10 + (**at - '0');
    *out = n;
    return n >= least && n <= most;
}

static bool read_name(const char **at) {
    const char *start = *at;
    if (!read_char(at, '<')) {
        while (is_letter(**at))
            ++*at;
        return *at - start >= 3;
    }
    while (is_letter(**at) || is_digit(**at) || **at == '+' || **at == '-')
        ++*at;
    return *at - start >= 4 && read_char(at, '>');
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(const char **at, int most_hours, int32_t *seconds) {
    bool negative = read_char(at, '-');
    int hours, minutes = 0, rest = 0;
    if (!negative)
        read_char(at, '+');
    if (!read_number(at, 0, most_hours, &hours))
        return false;
    if (read_char(at, ':')) {
        if (!read_number(at, 0, 59, &minutes))
            return false;
        if (read_char(at, ':') && !read_number(at, 0, 59, &rest))
            return false;
    }
    *seconds = (hours * 60 + minutes) * 60 + rest;
    if (negative)
        *seconds = -*seconds;
    return true;
}

/* POSIX counts it westward. */
static bool read_offset(const char **at, int32_t *offset) {
    if (!read_time(at, MAX_OFFSET_HOURS, offset))
        return false;
    *offset = -*offset;
    return true;
}

/* Mm.w.d */
static bool read_weekday(const char **at, struct exec__tzdate *out) {
    return read_number(at, 1, 12, &out->month) && read_char(at, '.') && read_number(at, 1, 5, &out->week) &&
           read_char(at, '.') && read_number(at, 0, 6, &out->day);
}

static bool read_day(const char **at, struct exec__tzdate *out) {
    if (read_char(at, 'M')) {
        out->kind = EXEC__WEEKDAY;
        return read_weekday(at, out);
    }
    out->kind = read_char(at, 'J') ? EXEC__JULIAN : EXEC__DAY_OF_YEAR;
    return read_number(at, out->kind == EXEC__JULIAN ? 1 : 0, 365, &out->day);
}

static bool read_date(const char **at, struct exec__tzdate *out) {
    out->seconds = USUAL_TIME;
    return read_char(at, ',') && read_day(at, out) &&
           (!read_char(at, '/') || read_time(at, MAX_TIME_HOURS, &out->seconds));
}

static bool read_summer(const char **at, struct exec__tzrule *out) {
    out->has_summer = true;
    out->summer_offset = out->offset + HOUR;
    out->summer_begin = usual_begin;
    out->summer_end = usual_end;
    if (!read_name(at))
        return false;
    if (**at != ',' && **at != '\0' && !read_offset(at, &out->summer_offset))
        return false;
    return **at == '\0' || (read_date(at, &out->summer_begin) && read_date(at, &out->summer_end));
}

int exec__tzrule_parse(const char *text, struct exec__tzrule *out) {
    struct exec__tzrule rule = {.has_summer = false};
    if (!read_name(&text) || !read_offset(&text, &rule.offset))
        return EINVAL;
    if (*text != '\0' && !(read_summer(&text, &rule) && *text == '\0'))
        return EINVAL;
    *out = rule;
    return 0;
}

/* ---- looking up ---- */

static int64_t weekday_in_month(const struct exec__tzdate *d, int64_t year) {
    int64_t first = exec__day_of(year, d->month, 1);
    int day = (d->day - exec__weekday(first) + 7) % 7 + (d->week - 1) * 7;
    return first + (day < exec__month_days(year, d->month) ? day : day - 7); /* the fifth: the last there is */
}

static int64_t day_in_year(const struct exec__tzdate *d, int64_t year) {
    int64_t first = exec__day_of(year, 1, 1);
    if (d->kind == EXEC__WEEKDAY)
        return weekday_in_month(d, year);
    if (d->kind == EXEC__DAY_OF_YEAR)
        return first + d->day;
    return first + d->day - 1 + (d->day > 59 && exec__month_days(year, 2) == 29);
}

/* In UTC; `offset` is the one before it. */
static int64_t change_in(const struct exec__tzdate *d, int64_t year, int32_t offset) {
    return day_in_year(d, year) * EXEC__DAY_SECONDS + d->seconds - offset;
}

struct summer {
    int64_t begin, end;
};

/* The one that begins in a year. It may last into the next. */
static struct summer summer_of(const struct exec__tzrule *rule, int64_t year) {
    struct summer s = {change_in(&rule->summer_begin, year, rule->offset),
                       change_in(&rule->summer_end, year, rule->summer_offset)};
    if (s.end < s.begin)
        s.end = change_in(&rule->summer_end, year + 1, rule->summer_offset);
    return s;
}

/* With a time of 167 hours, and offsets, a change may lie up to nine days outside of the year it is written for: so the
 * summers of two years on either side are looked at, too. Those that touch are one: so summer may be all year. */
void exec__tzrule_local(const struct exec__tzrule *rule, int64_t t, struct exec__span *out) {
    struct summer latest = {INT64_MIN, INT64_MIN}; /* of those that begin up to t */
    *out = (struct exec__span){INT64_MIN, INT64_MAX, rule->offset};
    if (!rule->has_summer)
        return;
    int64_t year = exec__date_of(exec__floor_div(t, EXEC__DAY_SECONDS)).year;
    for (int i = -2; i <= 2 && out->end == INT64_MAX; i++) {
        struct summer s = summer_of(rule, year + i);
        if (s.begin <= latest.end)
            latest.end = s.end > latest.end ? s.end : latest.end;
        else if (s.begin <= t)
            latest = s;
        else
            out->end = s.begin;
    }
    if (t < latest.end)
        *out = (struct exec__span){latest.begin, latest.end, rule->summer_offset};
    else
        out->begin = latest.end;
}
