/* civil.h - the Gregorian calendar, extended to all years: days since 1970-01-01, and dates. */
#ifndef EXEC__CIVIL_H
#define EXEC__CIVIL_H

#include <stdint.h>

/* The calendar repeats itself after 400 years, which are whole weeks. */
enum { EXEC__DAY_SECONDS = 86400, EXEC__CYCLE_DAYS = 146097 };

struct exec__date {
    int64_t year;
    int month; /* 1 to 12 */
    int day;   /* 1 to 31 */
};

/* Rounded down; b is positive. */
int64_t exec__floor_div(int64_t a, int64_t b);

int64_t exec__day_of(int64_t year, int month, int day);
struct exec__date exec__date_of(int64_t day);
int exec__weekday(int64_t day); /* 0 is Sunday */
int exec__month_days(int64_t year, int month);

#endif
