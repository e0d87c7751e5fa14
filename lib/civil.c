/* civil.c - the Gregorian calendar, extended to all years: days since 1970-01-01, and dates. */
#include "civil.h"

#include <stdbool.h>

enum { LEAP_DAYS_BEFORE_1970 = 477 };

int64_t exec__floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

static bool is_leap(int64_t year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Its first of January. */
static int64_t begin_of(int64_t year) {
    int64_t before = year - 1;
    int64_t leap = exec__floor_div(before, 4) - exec__floor_div(before, 100) + exec__floor_div(before, 400);
    return (year - 1970) * 365 + leap - LEAP_DAYS_BEFORE_1970;
}

static int days_before(int64_t year, int month) {
    static const int days[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    return days[month - 1] + (month > 2 && is_leap(year));
}

int exec__month_days(int64_t year, int month) {
    return days_before(year, month + 1) - days_before(year, month);
}

int64_t exec__day_of(int64_t year, int month, int day) {
    return begin_of(year) + days_before(year, month) + day - 1;
}

struct exec__date exec__date_of(int64_t day) {
    struct exec__date date = {.year = 1970 + exec__floor_div(day * 400, EXEC__CYCLE_DAYS), .month = 1};
    if (begin_of(date.year) > day)
        date.year--;
    else if (begin_of(date.year + 1) <= day)
        date.year++;
    int in_year = (int)(day - begin_of(date.year));
    while (date.month < 12 && days_before(date.year, date.month + 1) <= in_year)
        date.month++;
    date.day = in_year - days_before(date.year, date.month) + 1;
    return date;
}

int exec__weekday(int64_t day) {
    return (int)(day + 4 - 7 * exec__floor_div(day + 4, 7)); /* 1970-01-01 was a Thursday */
}
