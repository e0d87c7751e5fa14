/* test_civil.c - the calendar, against that of the C library. */
#include "helpers.h"

#include <time.h>

#include "civil.h"

static void eq_day(int64_t day) {
    struct exec__date date = exec__date_of(day);
    struct tm tm;
    time_t t = day * EXEC__DAY_SECONDS;
    check(gmtime_r(&t, &tm) != NULL);
    if (date.year != tm.tm_year + 1900 || date.month != tm.tm_mon + 1 || date.day != tm.tm_mday ||
        exec__weekday(day) != tm.tm_wday || exec__day_of(date.year, date.month, date.day) != day)
        FAIL("day %jd is %jd-%d-%d", (intmax_t)day, (intmax_t)date.year, date.month, date.day);
}

TEST(civil, every_day_of_four_hundred_years) {
    int64_t first = exec__day_of(1800, 1, 1);
    for (int64_t day = first; day < first + EXEC__CYCLE_DAYS; day++)
        eq_day(day);
    eq_int(first + EXEC__CYCLE_DAYS, exec__day_of(2200, 1, 1));
}

TEST(civil, the_turn_of_every_year) {
    for (int64_t year = -1000; year <= 20000; year++)
        for (int64_t day = exec__day_of(year, 1, 1) - 2; day <= exec__day_of(year, 1, 1) + 1; day++)
            eq_day(day);
}

TEST(civil, the_epoch) {
    eq_int(exec__day_of(1970, 1, 1), 0);
    eq_int(exec__day_of(1969, 12, 31), -1);
    eq_int(exec__day_of(2000, 2, 29), 11016);
    eq_int(exec__weekday(0), 4);
}

TEST(civil, the_lengths_of_months) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    for (int month = 1; month <= 12; month++) {
        eq_int(exec__month_days(2023, month), lengths[month - 1]);
        eq_int(exec__month_days(2024, month), lengths[month - 1] + (month == 2));
    }
    eq_int(exec__month_days(2000, 2), 29);
    eq_int(exec__month_days(1900, 2), 28);
    eq_int(exec__month_days(-4, 2), 29);
}

TEST(civil, division_is_rounded_down) {
    eq_int(exec__floor_div(7, 3), 2);
    eq_int(exec__floor_div(6, 3), 2);
    eq_int(exec__floor_div(0, 3), 0);
    eq_int(exec__floor_div(-1, 3), -1);
    eq_int(exec__floor_div(-3, 3), -1);
    eq_int(exec__floor_div(-4, 3), -2);
}
