/* times.h - points in civil time, as a person writes them: "2024-03-31 03:00 +02:00". */
#ifndef TIMES_H
#define TIMES_H

#include "helpers.h"

#include <time.h>

/* The seconds may be left out; the offset from UTC may have seconds, and may be left out for UTC. */
static inline time_t at(const char *text) {
    struct tm tm = {0};
    int n = 0, hours = 0, minutes = 0, seconds = 0, rest = 0;
    char sign = '+';
    check(sscanf(text, "%d-%d-%d %d:%d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &n) == 5);
    if (sscanf(text + n, ":%d%n", &tm.tm_sec, &rest) == 1)
        n += rest;
    if (text[n] != '\0')
        check(sscanf(text + n, " %c%d:%d:%d", &sign, &hours, &minutes, &seconds) >= 3);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    seconds += (hours * 60 + minutes) * 60;
    return timegm(&tm) - (sign == '-' ? -seconds : seconds);
}

/* In UTC; for messages. */
static inline const char *shown(time_t t) {
    static char text[4][40];
    static int next;
    struct tm tm;
    char *out = text[next++ % 4];
    if (!gmtime_r(&t, &tm) || strftime(out, sizeof text[0], "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        snprintf(out, sizeof text[0], "%jd", (intmax_t)t);
    return out;
}

static inline void eq_time_at(const char *file, int line, const char *what, time_t actual, time_t expected) {
    if (actual != expected)
        fail(file, line, "%s is %s, expected %s", what, shown(actual), shown(expected));
}

#define eq_time(actual, expected) eq_time_at(__FILE__, __LINE__, #actual, (actual), (expected))

/* The tz database of the system, and no other; without it nothing here could be tested. */
static inline void need_tzdata(void) {
    unsetenv("TZDIR");
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0)
        FAIL("there is no tz database in /usr/share/zoneinfo: install the package tzdata");
}

#endif
