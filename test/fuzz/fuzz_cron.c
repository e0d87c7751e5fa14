/* fuzz_cron.c - cron expressions: what is good, and when it is due, against a slow reading of crontab(5) and cron(8).
 *
 * An input is a text of up to three lines: the expression; a TZ rule, tried besides UTC if it is good; and the
 * seconds since 1970 after which it is due, decimal. The expression is read a second time here, by splitting it up; and
 * what is due is found by walking: in UTC over all days from the one time to the other, with the calendar of the C
 * library; with a rule over all minutes of two days behind the one and before the other.
 */
#include "fuzz.h"

#include <errno.h>
#include <limits.h>
#include <strings.h>
#include <time.h>

#include <exec/cron.h>

#include "cron.h"

enum { MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS, FIELDS };
enum { DAY = 86400, CORRECTION = 3 * 3600, WALK = 2 * DAY };

#define FIRST_TIME INT64_C(-62135596800) /* 0001-01-01 */
#define LAST_TIME INT64_C(253402300799)  /* 9999-12-31 23:59:59 */

static const int lows[FIELDS] = {0, 0, 1, 1, 0}, highs[FIELDS] = {59, 23, 31, 12, 7};

struct expression {
    bool has[FIELDS][60];
    bool star[FIELDS]; /* it begins with one */
};

/* ---- reading ---- */

static const char *const names[FIELDS][13] = {
    [MONTHS] = {"", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"},
    [WEEKDAYS] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"},
};

/* -1: it is none. */
static int number_of(const char *text) {
    if (*text == '\0' || strspn(text, "0123456789") != strlen(text))
        return -1;
    long n = strtol(text, NULL, 10);
    return n > 1000 ? 1000 : (int)n;
}

static int value_of(const char *text, int field) {
    for (int i = 0; i < 13; i++)
        if (names[field][i] != NULL && *names[field][i] != '\0' && strcasecmp(text, names[field][i]) == 0)
            return i;
    int n = number_of(text);
    return n >= lows[field] && n <= highs[field] ? n : -1;
}

static bool understand_element(char *element, int field, bool has[60]) {
    char *step = strchr(element, '/'), *dash = strchr(element, '-');
    int low = lows[field], high = highs[field], every = 1;
    if (step != NULL) {
        *step++ = '\0';
        every = number_of(step);
        if (every < 1 || (dash != NULL && dash > step))
            return false;
    }
    if (strcmp(element, "*") != 0) {
        if (step != NULL && dash == NULL)
            return false;
        if (dash != NULL)
            *dash++ = '\0';
        low = value_of(element, field);
        high = dash != NULL ? value_of(dash, field) : low;
    }
    if (low < 0 || high < low)
        return false;
    for (int n = low; n <= high; n += every)
        has[n] = true;
    return true;
}

static bool understand_field(char *text, int field, struct expression *out) {
    out->star[field] = *text == '*';
    for (char *element; (element = strsep(&text, ",")) != NULL;)
        if (!understand_element(element, field, out->has[field]))
            return false;
    return true;
}

static bool understand_fields(const char *text, struct expression *out) {
    char *copy = strdup(text), *rest = copy, *word;
    int field = 0;
    bool good = true;
    check(copy != NULL);
    memset(out, 0, sizeof *out);
    while (good && (word = strtok_r(rest, " \t", &rest)) != NULL) {
        good = field < FIELDS && understand_field(word, field, out);
        field++;
    }
    free(copy);
    out->has[WEEKDAYS][0] = out->has[WEEKDAYS][0] || out->has[WEEKDAYS][7];
    return good && field == FIELDS;
}

static bool understand(const char *text, struct expression *out) {
    static const char *const words[][2] = {
        {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
        {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}};
    size_t begin = strspn(text, " \t"), length = strcspn(text + begin, " \t");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (length == strlen(words[i][0]) && strncmp(text + begin, words[i][0], length) == 0)
            return text[begin + length + strspn(text + begin + length, " \t")] == '\0' &&
                   understand_fields(words[i][1], out);
    return understand_fields(text, out);
}

/* Where an expression goes wrong: up to there it was the begin of a good one. */
static void check_position(const char *text, size_t position) {
    static const char *const ends[] = {"", "1", "*", "59", "23", "31", "12", "7", "0 "};
    struct expression unused;
    if (position > strlen(text))
        FAIL("\"%s\": fault at %zu, behind its end", text, position);
    char *whole = malloc(position + 40);
    check(whole != NULL);
    memcpy(whole, text, position);
    bool good = position == strspn(text, " \t"); /* at the first word */
    for (size_t i = 0; i < sizeof ends / sizeof *ends && !good; i++)
        for (int stars = 0; stars < FIELDS && !good; stars++) {
            snprintf(whole + position, 40, "%s%s", ends[i], &" * * * *"[2 * (4 - stars)]);
            good = understand(whole, &unused);
        }
    free(whole);
    if (!good)
        FAIL("\"%s\": fault at %zu, and there was one before", text, position);
}

/* ---- when it is due ---- */

static bool day_is_right(const struct expression *e, const struct tm *tm) {
    bool date = e->has[DAYS][tm->tm_mday], weekday = e->has[WEEKDAYS][tm->tm_wday];
    bool either = !e->star[DAYS] && !e->star[WEEKDAYS];
    return e->has[MONTHS][tm->tm_mon + 1] && (either ? date || weekday : date && weekday);
}

/* The calendar has each date, but the 30th and 31st of some months, on each day of the week within 400 years. */
static bool is_ever_due(const struct expression *e) {
    static const int days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (!e->star[DAYS] && !e->star[WEEKDAYS])
        return true;
    for (int month = 1; month <= 12; month++)
        for (int day = 1; e->has[MONTHS][month] && day <= days[month]; day++)
            if (e->has[DAYS][day])
                return true;
    return false;
}

/* In UTC, from the minute after `after` on. */
static time_t walk_days(const struct expression *e, int64_t after) {
    for (int64_t day = (after - ((after % DAY + DAY) % DAY)) / DAY;; day++) {
        struct tm tm;
        time_t begin = day * DAY;
        check(gmtime_r(&begin, &tm) != NULL);
        for (int minute = 0; day_is_right(e, &tm) && minute < 24 * 60; minute++)
            if (e->has[HOURS][minute / 60] && e->has[MINUTES][minute % 60] && begin + minute * 60 > after)
                return begin + minute * 60;
    }
}

/* Whether the clock, were it in UTC, would show a time that is right. */
static bool is_right(const struct expression *e, int64_t local) {
    struct tm tm;
    time_t t = local;
    if (local % 60 != 0)
        return false;
    check(gmtime_r(&t, &tm) != NULL);
    return day_is_right(e, &tm) && e->has[HOURS][tm.tm_hour] && e->has[MINUTES][tm.tm_min];
}

/* Is it due at t, by what the manual says about changes of the clock? */
static bool is_due(const struct expression *e, const struct exec__zone *zone, int64_t t) {
    struct exec__span now, before;
    exec__zone_local(zone, t, &now);
    int64_t local = t + now.offset;
    if (e->star[MINUTES] || e->star[HOURS] || now.begin == INT64_MIN)
        return is_right(e, local);
    exec__zone_local(zone, now.begin - 1, &before);
    int64_t reached = now.begin + before.offset, starts = now.begin + now.offset;
    if (starts < reached && starts + CORRECTION >= reached)
        return local >= reached && is_right(e, local);
    if (starts > reached && starts <= reached + CORRECTION && local % 60 == 0 && local < starts + 60)
        for (int64_t left_out = reached; left_out < local; left_out++)
            if (is_right(e, left_out))
                return true;
    return is_right(e, local);
}

/* The first time within (after, until] at which it is due; `until` + 1: there is none. */
static int64_t walk_minutes(const struct expression *e, const struct exec__zone *zone, int64_t after, int64_t until) {
    int64_t t = after + 1;
    while (t <= until && !is_due(e, zone, t)) {
        struct exec__span span;
        exec__zone_local(zone, t, &span);
        int64_t local = t + span.offset, next = t + 60 - (local % 60 + 60) % 60;
        t = next < span.end ? next : span.end;
    }
    return t <= until ? t : until + 1;
}

static void check_due(const char *text, const struct expression *e, const struct exec__zone *zone, int64_t after,
                      int64_t due) {
    int64_t first_end = due < after + WALK ? due : after + WALK;
    int64_t last_begin = due - WALK > after ? due - WALK : after;
    check(due > after);
    int64_t first = walk_minutes(e, zone, after, first_end);
    if (first <= first_end && first != due)
        FAIL("\"%s\" after %jd: due at %jd, before %jd", text, (intmax_t)after, (intmax_t)first, (intmax_t)due);
    first = walk_minutes(e, zone, last_begin, due);
    if (first != due)
        FAIL("\"%s\" after %jd: due at %jd, not at %jd", text, (intmax_t)after, (intmax_t)first, (intmax_t)due);
}

static void check_utc(const char *text, const struct expression *e, const struct exec__cron *cron, time_t after) {
    struct exec__zone *utc;
    time_t due = 0;
    check(exec__zone_parse_rule("UTC0", &utc) == 0);
    int error = exec__cron_after(cron, utc, after, &due);
    exec__zone_free(utc);
    if (error != (after >= FIRST_TIME && after <= LAST_TIME && is_ever_due(e) ? 0 : ERANGE))
        FAIL("\"%s\" after %jd: error %d", text, (intmax_t)after, error);
    time_t walked = error == 0 ? walk_days(e, after) : due;
    if (due != walked)
        FAIL("\"%s\" after %jd: due at %jd, expected %jd", text, (intmax_t)after, (intmax_t)due, (intmax_t)walked);
}

static void check_rule(const char *text, const struct expression *e, const struct exec__cron *cron, const char *rule,
                       time_t after) {
    struct exec__zone *zone;
    time_t due = 0;
    if (exec__zone_parse_rule(rule, &zone) != 0)
        return;
    int error = exec__cron_after(cron, zone, after, &due);
    if (error == 0)
        check_due(text, e, zone, after, due);
    else if (error != ERANGE ||
             (after >= FIRST_TIME && after <= LAST_TIME && walk_minutes(e, zone, after, after + WALK) <= after + WALK))
        FAIL("\"%s\" after %jd: error %d", text, (intmax_t)after, error);
    exec__zone_free(zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *whole = fuzz_text(data, size), *rest = whole;
    char *expr = strdup(strsep(&rest, "\n"));
    const char *rule = rest != NULL ? strsep(&rest, "\n") : "";
    time_t after = rest != NULL ? strtoll(rest, NULL, 10) : 1711843200, unused;
    size_t position = SIZE_MAX;
    struct expression e;
    check(expr != NULL);
    int error = exec_cron_check(expr, &position);
    bool good = understand(expr, &e);
    if (error != (good ? 0 : EINVAL))
        FAIL("\"%s\": error %d", expr, error);
    if (good) {
        struct exec__cron cron;
        check(exec__cron_parse(expr, &cron, NULL) == 0);
        check_utc(expr, &e, &cron, after);
        check_rule(expr, &e, &cron, rule, after);
    } else {
        check(exec_cron_next(expr, "UTC", after, &unused) == EINVAL);
        check_position(expr, position);
    }
    free(expr);
    free(whole);
    return 0;
}
