/* cron.c - crontab expressions: reading them, and finding when they are due.
 *
 * The language is that of crontab(5), as Vixie's cron and Debian's have it; where those leave something open, or let a
 * mistake pass in silence, it is EINVAL:
 *
 * - A field is a list of elements between commas: `*`, a value, or a range a-b with a <= b; after `*` or a range, /n
 *   takes every n-th, from the first on, n >= 1. Not after a single value: what a/n means differs from cron to cron.
 * - A value is a number, with any zeros before it, or, of months and weekdays, the first three letters of the English
 *   name in either case; both may be mixed in a range. Sunday is 0 and 7, but sun is 0, so that sat-sun goes downwards.
 * - A day is right when day of the month and weekday both are; or, when neither of the two fields begins with `*`, when
 *   at least one of them is.
 * - The words after `@` stand for five fields, as listed below. @reboot is no time.
 *
 * Clock changes are handled as cron(8) of Debian says. Fixed times are those of an expression that has a `*` neither in
 * its minute nor in its hour, which is to say, at the begin of that field (@hourly has one). For these, a change of at
 * most three hours means:
 *
 *     forward    what was to come in the time left out is due, as one, at the first whole minute after the change
 *     back       what the clock had reached before the change is not due again
 *
 * For all others the clock counts as it is; and for fixed times, too, after a greater change, which cron(8) takes for a
 * correction of the clock. What exactly three hours are it leaves open; here they are no correction.
 *
 * How: time is a row of spans with one offset each (zone.h). In a span, local times are counted like the days of the
 * calendar, in seconds since 1970-01-01 00:00 local time, and the calendar alone says which is the next that is right
 * (next_match), by days, hours and minutes. If that lies behind the end of the span, the next span is looked at. At the
 * begin of a span, the search starts from the local time that the span before would have come to: earlier, after a
 * change forward, and what is found too early is due at the begin; later, after one back.
 */
#include "cron.h"

#include <errno.h>
#include <string.h>

#include <exec/cron.h>

#include "civil.h"

enum { MINUTE = 60, DAY = EXEC__DAY_SECONDS, CORRECTION = 3 * 3600 };

#define FIRST_TIME INT64_C(-62135596800) /* 0001-01-01 00:00:00 UTC */
#define LAST_TIME INT64_C(253402300799)  /* 9999-12-31 23:59:59 UTC */
#define HORIZON (INT64_C(86400) * EXEC__CYCLE_DAYS)
#define LAST_TIME_T (sizeof(time_t) < sizeof(int64_t) ? INT32_MAX : INT64_MAX)

/* ---- reading: each leaves *at behind what it has read, or returns false and leaves it at the fault ---- */

struct field {
    unsigned low, high;
    const char *names; /* three letters each, from `low` on; or NULL */
};

enum { MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS, FIELDS };

static const struct field fields[FIELDS] = {
    [MINUTES] = {0, 59, NULL},
    [HOURS] = {0, 23, NULL},
    [DAYS] = {1, 31, NULL},
    [MONTHS] = {1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    [WEEKDAYS] = {0, 7, "sunmontuewedthufrisat"},
};

static const struct {
    const char *word, *expr;
} words[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"},
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

static int lower(char c) {
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static bool is_letter(char c) {
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static void skip_blanks(const char **at) {
    while (is_blank(**at))
        ++*at;
}

/* One too large for any field is not more than 10,000. */
static bool read_number(const char **at, unsigned *out) {
    unsigned n = 0;
    if (!is_digit(**at))
        return false;
    for (; is_digit(**at); ++*at)
        n = n < 1000 ? n * 10 + (unsigned)(**at - '0') : n;
    *out = n;
    return true;
}

static bool read_name(const char **at, const struct field *f, unsigned *out) {
    size_t letters = 0;
    while (is_letter((*at)[letters]))
        letters++;
    if (letters != 3 || f->names == NULL)
        return false;
    for (const char *name = f->names; *name != '\0'; name += 3)
        if (lower((*at)[0]) == name[0] && lower((*at)[1]) == name[1] && lower((*at)[2]) == name[2]) {
            *out = f->low + (unsigned)(name - f->names) / 3;
            *at += 3;
            return true;
        }
    return false;
}

static bool read_value(const char **at, const struct field *f, unsigned *out) {
    const char *start = *at;
    if (read_name(at, f, out))
        return true;
    if (!read_number(at, out))
        return false;
    if (*out >= f->low && *out <= f->high)
        return true;
    *at = start;
    return false;
}

struct range {
    unsigned low, high;
    bool single; /* just a value */
};

static bool read_range(const char **at, const struct field *f, struct range *out) {
    const char *start = *at;
    *out = (struct range){f->low, f->high, false};
    if (**at == '*') {
        ++*at;
        return true;
    }
    if (!read_value(at, f, &out->low))
        return false;
    out->single = **at != '-';
    out->high = out->low;
    if (out->single)
        return true;
    ++*at;
    if (!read_value(at, f, &out->high))
        return false;
    if (out->low <= out->high)
        return true;
    *at = start;
    return false;
}

static bool read_step(const char **at, unsigned *step) {
    const char *start = *at;
    if (read_number(at, step) && *step > 0)
        return true;
    *at = start;
    return false;
}

static bool read_element(const char **at, const struct field *f, uint64_t *bits) {
    struct range range;
    unsigned step = 1;
    if (!read_range(at, f, &range))
        return false;
    if (**at == '/' && !range.single) {
        ++*at;
        if (!read_step(at, &step))
            return false;
    }
    for (unsigned n = range.low; n <= range.high; n += step)
        *bits |= UINT64_C(1) << n;
    return true;
}

static bool read_field(const char **at, const struct field *f, uint64_t *bits) {
    *bits = 0;
    while (read_element(at, f, bits)) {
        if (**at != ',')
            return is_blank(**at) || **at == '\0';
        ++*at;
    }
    return false;
}

static bool read_fields(const char **at, struct exec__cron *out) {
    uint64_t bits[FIELDS];
    bool any[FIELDS];
    for (int i = 0; i < FIELDS; i++) {
        skip_blanks(at);
        any[i] = **at == '*';
        if (!read_field(at, &fields[i], &bits[i]))
            return false;
    }
    out->minutes = bits[MINUTES];
    out->hours = (uint32_t)bits[HOURS];
    out->days = (uint32_t)bits[DAYS];
    out->months = (uint16_t)bits[MONTHS];
    out->weekdays = (uint8_t)((bits[WEEKDAYS] | bits[WEEKDAYS] >> 7) & 0x7f);
    out->either_day = !any[DAYS] && !any[WEEKDAYS];
    out->fixed = !any[MINUTES] && !any[HOURS];
    return true;
}

static bool read_word(const char **at, struct exec__cron *out) {
    size_t length = strcspn(*at, " \t");
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strlen(words[i].word) == length && memcmp(words[i].word, *at, length) == 0) {
            const char *expr = words[i].expr;
            *at += length;
            return read_fields(&expr, out);
        }
    return false;
}

static bool read_expr(const char **at, struct exec__cron *out) {
    skip_blanks(at);
    if (!(**at == '@' ? read_word(at, out) : read_fields(at, out)))
        return false;
    skip_blanks(at);
    return **at == '\0';
}

int exec__cron_parse(const char *expr, struct exec__cron *out, size_t *position) {
    struct exec__cron cron;
    const char *at = expr;
    if (expr != NULL && read_expr(&at, &cron)) {
        *out = cron;
        return 0;
    }
    if (position != NULL)
        *position = expr != NULL ? (size_t)(at - expr) : 0;
    return EINVAL;
}

int exec_cron_check(const char *expr, size_t *position) {
    struct exec__cron cron;
    return exec__cron_parse(expr, &cron, position);
}

/* ---- the calendar: local time, in seconds ---- */

static bool day_matches(const struct exec__cron *c, const struct exec__date *date, int64_t day) {
    bool by_date = c->days >> date->day & 1, by_weekday = c->weekdays >> exec__weekday(day) & 1;
    return c->either_day ? by_date || by_weekday : by_date && by_weekday;
}

/* The first such day from `day` on; false: it never comes. */
static bool next_day(const struct exec__cron *c, int64_t *day) {
    struct exec__date date = exec__date_of(*day);
    for (int64_t last = *day + EXEC__CYCLE_DAYS; *day <= last; date.day = 1) {
        int days = exec__month_days(date.year, date.month);
        bool in_month = c->months >> date.month & 1;
        for (; in_month && date.day <= days; date.day++, ++*day)
            if (day_matches(c, &date, *day))
                return true;
        *day += days + 1 - date.day;
        date.year += date.month == 12;
        date.month = date.month % 12 + 1;
    }
    return false;
}

/* The first minute of a day from that one on; -1: none is left. */
static int next_minute(const struct exec__cron *c, int minute) {
    int hour = minute / 60;
    uint64_t rest = c->hours >> hour & 1 ? c->minutes >> minute % 60 : 0;
    uint32_t later = c->hours >> (hour + 1) << (hour + 1);
    if (rest != 0)
        return minute + __builtin_ctzll(rest);
    return later != 0 ? __builtin_ctz(later) * 60 + __builtin_ctzll(c->minutes) : -1;
}

static int64_t whole_minute(int64_t local) {
    return exec__floor_div(local + MINUTE - 1, MINUTE) * MINUTE;
}

/* The first local time from `from` on; false: it never comes. */
static bool next_match(const struct exec__cron *c, int64_t from, int64_t *found) {
    int64_t start = whole_minute(from), today = exec__floor_div(start, DAY), day = today;
    if (!next_day(c, &day))
        return false;
    int minute = next_minute(c, day == today ? (int)(start - today * DAY) / MINUTE : 0);
    if (minute < 0) {
        day++;
        next_day(c, &day); /* comes, as the calendar repeats itself */
        minute = next_minute(c, 0);
    }
    *found = day * DAY + (int64_t)minute * MINUTE;
    return true;
}

/* ---- the clock ---- */

/* Where, in local time, the search from t on starts, `first` being the first whole minute at or after t. */
static int64_t search_start(const struct exec__cron *c, const struct exec__zone *zone, const struct exec__span *span,
                            int64_t t, int64_t first) {
    struct exec__span before;
    if (!c->fixed || span->begin <= t - CORRECTION)
        return first;
    exec__zone_local(zone, span->begin - 1, &before);
    int32_t change = span->offset - before.offset;
    int64_t reached = span->begin + before.offset;
    if (change < 0 && change >= -CORRECTION)
        return reached > first ? reached : first;
    if (change > 0 && change <= CORRECTION && first == whole_minute(span->begin + span->offset))
        return reached;
    return first;
}

int exec__cron_after(const struct exec__cron *cron, const struct exec__zone *zone, time_t after, time_t *when) {
    if (after < FIRST_TIME || after > LAST_TIME)
        return ERANGE;
    int64_t last = after + HORIZON < LAST_TIME_T ? after + HORIZON : LAST_TIME_T;
    int64_t searched = 0, found = -1; /* from the one to the other, there is no match */
    struct exec__span span;
    for (int64_t t = (int64_t)after + 1; t <= last; t = span.end) {
        exec__zone_local(zone, t, &span);
        int64_t first = whole_minute(t + span.offset), start = search_start(cron, zone, &span, t, first);
        if (start < searched || start > found) {
            searched = start;
            if (!next_match(cron, start, &found))
                return ERANGE;
        }
        int64_t due = (found > first ? found : first) - span.offset;
        if (due < span.end && due <= last) {
            *when = (time_t)due;
            return 0;
        }
    }
    return ERANGE;
}

int exec_cron_next(const char *expr, const char *zone, time_t after, time_t *when) {
    struct exec__cron cron;
    struct exec__zone *z;
    int error = when != NULL ? exec__cron_parse(expr, &cron, NULL) : EINVAL;
    if (error == 0)
        error = exec__zone_load(zone, &z);
    if (error != 0)
        return error;
    error = exec__cron_after(&cron, z, after, when);
    exec__zone_free(z);
    return error;
}
