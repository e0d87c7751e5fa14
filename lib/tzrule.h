/* tzrule.h - the rule of a POSIX TZ string: offsets from UTC that change twice a year, or never. See tzrule.c. */
#ifndef EXEC__TZRULE_H
#define EXEC__TZRULE_H

#include <stdbool.h>
#include <stdint.h>

/* A time, |t| < 2^55, may be looked up. */
#define EXEC__TIME_BITS 55

/* A stretch of time with one offset. */
struct exec__span {
    int64_t begin;  /* INT64_MIN: it has none */
    int64_t end;    /* one past its last second; INT64_MAX: it has none */
    int32_t offset; /* local time minus UTC, in seconds */
};

/* One of the two changes in a year. */
struct exec__tzdate {
    enum { EXEC__JULIAN, EXEC__DAY_OF_YEAR, EXEC__WEEKDAY } kind;
    int month, week; /* EXEC__WEEKDAY: 1 to 12, 1 to 5 */
    int day;         /* 1 to 365, never the 29th of February; 0 to 365; 0 to 6 */
    int32_t seconds; /* of that day, by the clock before the change; may be negative, or more than a day */
};

struct exec__tzrule {
    int32_t offset, summer_offset; /* as in a span */
    bool has_summer;
    struct exec__tzdate summer_begin, summer_end;
};

/* 0, or EINVAL. */
int exec__tzrule_parse(const char *text, struct exec__tzrule *out);

/* The stretch that a time is in. */
void exec__tzrule_local(const struct exec__tzrule *rule, int64_t t, struct exec__span *out);

#endif
