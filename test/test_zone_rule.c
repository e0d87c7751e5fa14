/* test_zone_rule.c - zones from POSIX TZ strings: what is one, and what offset is when. */
#include "texts.h"
#include "times.h"
#include "tzif.h"

enum { HOUR = 3600 };

static void eq_offset(const char *rule, int32_t offset) {
    struct exec__zone *zone = good_rule(rule);
    eq_span(zone, 0, INT64_MIN, INT64_MAX, offset);
    exec__zone_free(zone);
}

/* The two changes of a year, both in UTC: from `begin` on it is summer, from `end` on it is not. */
static void eq_changes(const char *rule, const char *begin, const char *end, int32_t winter, int32_t summer) {
    struct exec__zone *zone = good_rule(rule);
    if (offset_at(zone, at(begin) - 1) != winter || offset_at(zone, at(begin)) != summer)
        FAIL("\"%s\": no summer begins at %s", rule, begin);
    if (offset_at(zone, at(end) - 1) != summer || offset_at(zone, at(end)) != winter)
        FAIL("\"%s\": no summer ends at %s", rule, end);
    exec__zone_free(zone);
}

TEST(zone_rule, one_offset) {
    eq_offset("UTC0", 0);
    eq_offset("JST-9", 9 * HOUR);
    eq_offset("EST5", -5 * HOUR);
    eq_offset("EST+5", -5 * HOUR);
    eq_offset("IST-5:30", 5 * HOUR + 1800);
    eq_offset("LMT0:44:30", -2670);
    eq_offset("<+0330>-3:30", 3 * HOUR + 1800);
    eq_offset("<-03>3", -3 * HOUR);
    eq_offset("<X1-+>00024:59:59", -24 * HOUR - 3599);
    eq_offset("abcdefghijklmnopqrstuvwxyz-24", 24 * HOUR);
}

TEST(zone_rule, weekdays_of_a_month) {
    eq_changes("CET-1CEST,M3.5.0,M10.5.0/3", "2024-03-31 01:00", "2024-10-27 01:00", HOUR, 2 * HOUR);
    eq_changes("CET-1CEST,M3.5.0,M10.5.0/3", "2023-03-26 01:00", "2023-10-29 01:00", HOUR, 2 * HOUR);
    eq_changes("EST5EDT,M3.2.0,M11.1.0", "2024-03-10 07:00", "2024-11-03 06:00", -5 * HOUR, -4 * HOUR);
    eq_changes("EST5EDT4,M3.2.0/2,M11.1.0/2:00:00", "2026-03-08 07:00", "2026-11-01 06:00", -5 * HOUR, -4 * HOUR);
    eq_changes("AAA0BBB,M2.5.6/0,M12.4.1/0", "2024-02-24 00:00", "2024-12-22 23:00", 0, HOUR);
    eq_changes("AAA0BBB,M2.4.4/0,M12.1.0/0", "2024-02-22 00:00", "2024-11-30 23:00", 0, HOUR);
}

TEST(zone_rule, days_of_a_year) {
    eq_changes("AAA0BBB,J59/0,J60/0", "2024-02-28 00:00", "2024-02-29 23:00", 0, HOUR);
    eq_changes("AAA0BBB,J59/0,J60/0", "2023-02-28 00:00", "2023-02-28 23:00", 0, HOUR);
    eq_changes("AAA0BBB,59/0,J365/0", "2024-02-29 00:00", "2024-12-30 23:00", 0, HOUR);
    eq_changes("AAA0BBB,59/0,364/0", "2023-03-01 00:00", "2023-12-30 23:00", 0, HOUR);
    eq_changes("AAA0BBB,0/1,365/0", "2024-01-01 01:00", "2024-12-30 23:00", 0, HOUR);
}

TEST(zone_rule, times_before_and_after_the_day) {
    eq_changes("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2024-03-31 01:00", "2024-10-27 01:00", -2 * HOUR, -HOUR);
    eq_changes("IST-2IDT,M3.4.4/26,M10.5.0", "2024-03-29 00:00", "2024-10-26 23:00", 2 * HOUR, 3 * HOUR);
    eq_changes("AAA0BBB0:30,M3.1.0/-167:30,M11.1.0/167", "2024-02-25 00:30", "2024-11-09 23:30", 0, -1800);
    eq_changes("AAA0BBB,J10/0:0:1,J20/-0:0:1", "2024-01-10 00:00:01", "2024-01-19 22:59:59", 0, HOUR);
}

TEST(zone_rule, a_summer_over_new_year) {
    eq_changes("NZST-12NZDT,M9.5.0,M4.1.0/3", "2024-09-28 14:00", "2024-04-06 14:00", 12 * HOUR, 13 * HOUR);
    eq_changes("IST-1GMT0,M10.5.0,M3.5.0/1", "2024-10-27 01:00", "2024-03-31 01:00", HOUR, 0);
    struct exec__zone *zone = good_rule("NZST-12NZDT,M9.5.0,M4.1.0/3");
    eq_span(zone, at("2024-12-31 23:59:59"), at("2024-09-28 14:00"), at("2025-04-05 14:00"), 13 * HOUR);
    eq_span(zone, at("2025-01-01 00:00:00"), at("2024-09-28 14:00"), at("2025-04-05 14:00"), 13 * HOUR);
    eq_span(zone, at("1960-01-01 00:00:00"), at("1959-09-26 14:00"), at("1960-04-02 14:00"), 13 * HOUR);
    exec__zone_free(zone);
}

TEST(zone_rule, a_summer_all_year) {
    static const char *const rules[] = {"XXX3EDT4,0/0,J365/23", /* RFC 8536, 3.3.1 */
                                        "XXX5EDT4,0/0,J365/25", "XXX5EDT4,0/0,J365/100"};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        struct exec__zone *zone = good_rule(rules[i]);
        for (int64_t t = at("2023-12-01 00:00"); t < at("2025-02-01 00:00"); t += HOUR)
            eq_int(offset_at(zone, t), -4 * HOUR);
        exec__zone_free(zone);
    }
}

TEST(zone_rule, a_summer_of_no_time) {
    struct exec__zone *zone = good_rule("AAA0BBB,J10/0,J10/1");
    for (int64_t t = at("2023-12-01 00:00"); t < at("2025-02-01 00:00"); t += HOUR)
        eq_int(offset_at(zone, t), 0);
    exec__zone_free(zone);
}

TEST(zone_rule, changes_that_belong_to_another_year) {
    eq_changes("AAA0BBB,0/-167,0/-160", "2023-12-25 01:00", "2023-12-25 07:00", 0, HOUR);
    eq_changes("AAA0BBB,365/160,365/167", "2025-01-06 16:00", "2025-01-06 22:00", 0, HOUR);
    struct exec__zone *zone = good_rule("AAA0BBB,0/-167,0/-160");
    eq_span(zone, at("2023-12-30 00:00"), at("2023-12-25 07:00"), at("2024-12-25 01:00"), 0);
    exec__zone_free(zone);
    zone = good_rule("AAA0BBB,365/160,365/167");
    eq_span(zone, at("2025-01-01 12:00"), at("2024-01-07 22:00"), at("2025-01-06 16:00"), 0);
    exec__zone_free(zone);
}

TEST(zone_rule, without_dates_they_are_the_usual_ones) {
    eq_changes("EST5EDT", "2024-03-10 07:00", "2024-11-03 06:00", -5 * HOUR, -4 * HOUR);
    eq_changes("<AA1>-1<AA2>-3", "2024-03-10 01:00", "2024-11-02 23:00", HOUR, 3 * HOUR);
}

TEST(zone_rule, what_is_no_rule_is_invalid) {
    static const char *const bad[] = {
        "",
        "X",
        "XY1",
        "XYZ",
        "XYZ+",
        "XYZ-",
        "XYZ25",
        "XYZ1:60",
        "XYZ1:2:60",
        "XYZ1:",
        "XYZ1:2:",
        "XYZ1:2:3:4",
        "XYZ999999999999999999",
        "<XY>1",
        "<>1",
        "<XYZ1",
        "<XY_Z>1",
        "<XYZ>",
        "XYZ1 ",
        " XYZ1",
        ":XYZ1",
        "12",
        "XYZ1A",
        "XYZ1AB",
        "XYZ1ABC25",
        "XYZ1ABCD,",
        "XYZ1ABC,M3.2.0",
        "XYZ1ABC,M3.2.0,",
        "XYZ1ABC,M3.2.0,M11.1.0,",
        "XYZ1ABC,M3.2.0,M11.1.0x",
        "XYZ1ABC2x",
        "XYZ1ABC,M0.2.0,M11.1.0",
        "XYZ1ABC,M13.2.0,M11.1.0",
        "XYZ1ABC,M3.0.0,M11.1.0",
        "XYZ1ABC,M3.6.0,M11.1.0",
        "XYZ1ABC,M3.2.7,M11.1.0",
        "XYZ1ABC,M3.2,M11.1.0",
        "XYZ1ABC,M3-2.0,M11.1.0",
        "XYZ1ABC,M3,M11.1.0",
        "XYZ1ABC,J0,J5",
        "XYZ1ABC,J366,J5",
        "XYZ1ABC,366,5",
        "XYZ1ABC,-1,5",
        "XYZ1ABC,J,5",
        "XYZ1ABC,1/,5",
        "XYZ1ABC,1/168,5",
        "XYZ1ABC,1/-168,5",
        "XYZ1ABC,1/1:60,5",
        "XYZ1ABC,1/--1,5",
        "XYZ1ABC;1,5",
        "XYZ1ABC,1;5",
        "XYZ1ABC,1,5,6",
        "XYZ1,1,5",
        "<XYZ>1<AB>,1,5",
    };
    struct exec__zone *zone = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (exec__zone_parse_rule(bad[i], &zone) != EINVAL)
            FAIL("\"%s\" is accepted", bad[i]);
    check(zone == NULL);
}

/* Texts of the language's own characters: each is read within its bounds, and what is accepted has an offset always. */
TEST(zone_rule, any_text_is_an_error_or_a_zone) {
    static const char *const pieces[] = {"XYZ",    "<+0>", "-", "1",   "24", ":30", ",",
                                         "M3.2.0", "J60",  "/", "365", "<",  "x"};
    struct texts texts = TEXTS(pieces, 7);
    unsigned good = 0;
    for (int round = 0; round < 50000; round++) {
        char *text = next_text(&texts, "XYZ");
        struct exec__zone *zone;
        int error = exec__zone_parse_rule(text, &zone);
        free(text);
        check(error == 0 || error == EINVAL);
        if (error != 0)
            continue;
        good++;
        for (int64_t t = at("2023-12-20 00:00"); t < at("2025-01-10 00:00"); t += 86400)
            between(offset_at(zone, t), -26 * HOUR, 26 * HOUR);
        exec__zone_free(zone);
    }
    at_least(good, 1);
}
