/* fuzz_tzrule.c - rules of TZ strings: what is one, and which offset holds when, against a regular expression of the
 * grammar and a search through all summers; and against the C library, where that can be trusted.
 *
 * An input is a rule. The C library looks at the changes of one year only, that of UTC, and takes those before 1970 for
 * those of 1970; so it is asked for what comes later, where both changes lie well within a year.
 */
#include "spans.h"

#include <errno.h>
#include <regex.h>
#include <time.h>

enum { HOUR = 3600, DAY = 86400, LOOKS = 40 };

#define NAME "([A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
#define TIME "([+-]?[0-9]+(:[0-9]+(:[0-9]+)?)?)"
#define DATE ",(M([0-9]+)[.]([0-9]+)[.]([0-9]+)|J([0-9]+)|([0-9]+))(/" TIME ")?"

/* The groups: where each part of DATE is behind its begin, and where both dates are. */
enum { OFFSET = 2, SUMMER = 5, SUMMER_OFFSET = 7, DATES = 10, FIRST = 11, SECOND = 21, GROUPS = 31 };
enum { MONTH = 1, WEEK, WEEKDAY, JULIAN, DAY_OF_YEAR, TIME_OF_DAY = 7 };

struct date {
    int month, week, weekday; /* or month is 0 */
    int julian;               /* or 0 */
    int day;
    int seconds;
};

struct rule {
    int offset, summer_offset;
    bool has_summer;
    struct date begin, end;
};

static bool is_there(const regmatch_t *g) {
    return g->rm_so >= 0;
}

/* ---- reading ---- */

static bool number(const char *text, const regmatch_t *g, int least, int most, int *out) {
    if (!is_there(g))
        return true;
    long n = strtol(text + g->rm_so, NULL, 10);
    *out = n > most ? most : (int)n;
    return n >= least && n <= most;
}

static bool time_of(const char *text, const regmatch_t *g, int most_hours, int *seconds) {
    if (!is_there(g))
        return true;
    const char *at = text + g->rm_so;
    int sign = *at == '-' ? -1 : 1;
    long parts[3] = {0};
    at += *at == '-' || *at == '+';
    for (int i = 0; i < 3 && at < text + g->rm_eo; i++) {
        char *end;
        parts[i] = strtol(at, &end, 10);
        at = end + 1;
    }
    if (parts[0] > most_hours || parts[1] > 59 || parts[2] > 59)
        return false;
    *seconds = sign * (int)(parts[0] * HOUR + parts[1] * 60 + parts[2]);
    return true;
}

static bool date_of(const char *text, const regmatch_t *g, struct date *out) {
    *out = (struct date){.seconds = 2 * HOUR};
    return number(text, &g[MONTH], 1, 12, &out->month) && number(text, &g[WEEK], 1, 5, &out->week) &&
           number(text, &g[WEEKDAY], 0, 6, &out->weekday) && number(text, &g[JULIAN], 1, 365, &out->julian) &&
           number(text, &g[DAY_OF_YEAR], 0, 365, &out->day) && time_of(text, &g[TIME_OF_DAY], 167, &out->seconds);
}

static bool understand(const char *text, struct rule *out) {
    static regex_t grammar;
    static bool compiled;
    regmatch_t g[GROUPS];
    if (!compiled)
        check(regcomp(&grammar, "^" NAME TIME "(" NAME TIME "?(" DATE DATE ")?)?$", REG_EXTENDED) == 0);
    compiled = true;
    memset(out, 0, sizeof *out);
    if (regexec(&grammar, text, GROUPS, g, 0) != 0 || !time_of(text, &g[OFFSET], 24, &out->offset))
        return false;
    out->offset = -out->offset;
    out->has_summer = is_there(&g[SUMMER]);
    int summer = -out->offset - HOUR;
    if (!time_of(text, &g[SUMMER_OFFSET], 24, &summer))
        return false;
    out->summer_offset = -summer;
    out->begin = (struct date){.month = 3, .week = 2, .seconds = 2 * HOUR};
    out->end = (struct date){.month = 11, .week = 1, .seconds = 2 * HOUR};
    return !is_there(&g[DATES]) || (date_of(text, &g[FIRST], &out->begin) && date_of(text, &g[SECOND], &out->end));
}

/* ---- which offset ---- */

/* Midnight, as if local time were UTC. */
static time_t midnight(int year, int month, int day) {
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
    return timegm(&tm);
}

static int year_of(time_t t) {
    struct tm tm;
    check(gmtime_r(&t, &tm) != NULL);
    return tm.tm_year + 1900;
}

static int64_t day_of(const struct date *d, int year) {
    if (d->month == 0 && d->julian == 0)
        return midnight(year, 1, 1 + d->day);
    if (d->month == 0) {
        bool leap = midnight(year, 2, 29) != midnight(year, 3, 1);
        return midnight(year, 1, d->julian + (leap && d->julian >= 60));
    }
    int64_t last = 0;
    int seen = 0;
    for (int day = 1; day <= 31 && seen < d->week; day++) {
        struct tm tm;
        time_t t = midnight(year, d->month, day);
        check(gmtime_r(&t, &tm) != NULL);
        if (tm.tm_mon + 1 != d->month || tm.tm_wday != d->weekday)
            continue;
        last = t;
        seen++;
    }
    return last;
}

static int64_t begin_in(const struct rule *r, int year) {
    return day_of(&r->begin, year) + r->begin.seconds - r->offset;
}

static int64_t end_in(const struct rule *r, int year) {
    return day_of(&r->end, year) + r->end.seconds - r->summer_offset;
}

/* Is it in the summer of one of the years around? */
static bool is_summer(const struct rule *r, int64_t t) {
    int year = year_of(t);
    for (int i = -3; r->has_summer && i <= 3; i++) {
        int64_t begin = begin_in(r, year + i), end = end_in(r, year + i);
        if (end < begin)
            end = end_in(r, year + i + 1);
        if (t >= begin && t < end)
            return true;
    }
    return false;
}

static int offset_at(const struct rule *r, int64_t t) {
    return is_summer(r, t) ? r->summer_offset : r->offset;
}

/* ---- the C library ---- */

/* Both changes are weeks away from the year's begin and end, and days from each other. */
static bool c_library_knows(const struct rule *r) {
    if (!r->has_summer)
        return true;
    int64_t begin = begin_in(r, 2023) - midnight(2023, 1, 1), end = end_in(r, 2023) - midnight(2023, 1, 1);
    return begin > 20 * DAY && begin < 340 * DAY && end > 20 * DAY && end < 340 * DAY &&
           llabs(begin - end) > 10 * DAY && abs(r->begin.seconds) < DAY && abs(r->end.seconds) < DAY;
}

static void check_c_library(const char *text, const struct rule *r, int64_t t) {
    struct tm tm;
    time_t time = t;
    check(localtime_r(&time, &tm) != NULL);
    if (tm.tm_gmtoff != offset_at(r, t))
        FAIL("\"%s\" at %jd: the C library has %ld, expected %d", text, (intmax_t)t, tm.tm_gmtoff, offset_at(r, t));
}

/* ---- looking up ---- */

static void check_look(const char *text, const struct rule *r, const struct exec__zone *zone, int64_t t) {
    struct exec__span span, other;
    exec__zone_local(zone, t, &span);
    check(span.begin <= t && t < span.end);
    if (span.offset != offset_at(r, t))
        FAIL("\"%s\" at %jd: %d, expected %d", text, (intmax_t)t, span.offset, offset_at(r, t));
    if (span.end != INT64_MAX) {
        check(offset_at(r, span.end - 1) == span.offset);
        exec__zone_local(zone, span.end, &other);
        check(other.offset == offset_at(r, span.end));
        check_side_by_side(&span, &other);
    }
    if (span.begin != INT64_MIN) {
        check(offset_at(r, span.begin) == span.offset);
        exec__zone_local(zone, span.begin - 1, &other);
        check_side_by_side(&other, &span);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t seed = fuzz_seed(data, size);
    struct exec__zone *zone;
    struct rule rule;
    if (size > 100) /* the regular expression would take too long */
        return -1;
    char *text = fuzz_text(data, size);
    bool good = understand(text, &rule);
    int error = exec__zone_parse_rule(text, &zone);
    if (error != (good ? 0 : EINVAL))
        FAIL("\"%s\": error %d", text, error);
    if (good) {
        bool compared = COMPARES_WITH_C_LIBRARY && c_library_knows(&rule);
        if (compared)
            check(setenv("TZDIR", "/dev/null", 1) == 0 && setenv("TZ", text, 1) == 0);
        tzset();
        for (int i = 0; i < LOOKS; i++) {
            int64_t t = fuzz_between(&seed, midnight(1800, 1, 1), midnight(2500, 1, 1));
            check_look(text, &rule, zone, t);
            if (compared && t > midnight(1971, 1, 1))
                check_c_library(text, &rule, t);
        }
        exec__zone_free(zone);
    }
    free(text);
    return 0;
}
