/* test_cron.c - crontab expressions: what is one, what is none and where it goes wrong, and what each stands for. */
#include "helpers.h"
#include "texts.h"

#include <time.h>

#include "cron.h"

static struct exec__cron parsed(const char *expr) {
    struct exec__cron cron;
    if (exec__cron_parse(expr, &cron, NULL) != 0)
        FAIL("\"%s\" is not accepted", expr);
    return cron;
}

/* The set of those values, the last one -1. */
static uint64_t set_of(const int values[]) {
    uint64_t set = 0;
    for (; *values >= 0; values++)
        set |= UINT64_C(1) << *values;
    return set;
}

#define SET(...) set_of((const int[]){__VA_ARGS__, -1})
#define FROM_TO(low, high) ((UINT64_C(2) << (high)) - (UINT64_C(1) << (low)))

#define EVERY_MINUTE FROM_TO(0, 59)
#define EVERY_HOUR FROM_TO(0, 23)
#define EVERY_DAY FROM_TO(1, 31)
#define EVERY_MONTH FROM_TO(1, 12)
#define EVERY_WEEKDAY FROM_TO(0, 6)

static void eq_sets(const char *expr, uint64_t minutes, uint64_t hours, uint64_t days, uint64_t months,
                    uint64_t weekdays) {
    struct exec__cron cron = parsed(expr);
    eq_int(cron.minutes, minutes);
    eq_int(cron.hours, hours);
    eq_int(cron.days, days);
    eq_int(cron.months, months);
    eq_int(cron.weekdays, weekdays);
}

static void eq_minutes(const char *field, uint64_t minutes) {
    char expr[100];
    snprintf(expr, sizeof expr, "%s * * * *", field);
    eq_sets(expr, minutes, EVERY_HOUR, EVERY_DAY, EVERY_MONTH, EVERY_WEEKDAY);
}

static void eq_months(const char *field, uint64_t months) {
    char expr[100];
    snprintf(expr, sizeof expr, "0 0 1 %s *", field);
    eq_sets(expr, SET(0), SET(0), SET(1), months, EVERY_WEEKDAY);
}

static void eq_weekdays(const char *field, uint64_t weekdays) {
    char expr[100];
    snprintf(expr, sizeof expr, "* * * * %s", field);
    eq_sets(expr, EVERY_MINUTE, EVERY_HOUR, EVERY_DAY, EVERY_MONTH, weekdays);
}

TEST(cron, a_star_stands_for_every_value) {
    eq_sets("* * * * *", EVERY_MINUTE, EVERY_HOUR, EVERY_DAY, EVERY_MONTH, EVERY_WEEKDAY);
}

TEST(cron, each_field_has_its_range) {
    eq_sets("0 0 1 1 0", SET(0), SET(0), SET(1), SET(1), SET(0));
    eq_sets("59 23 31 12 7", SET(59), SET(23), SET(31), SET(12), SET(0));
    eq_sets("0-59 0-23 1-31 1-12 0-7", EVERY_MINUTE, EVERY_HOUR, EVERY_DAY, EVERY_MONTH, EVERY_WEEKDAY);
}

TEST(cron, lists_hold_values_ranges_and_stars) {
    eq_minutes("5", SET(5));
    eq_minutes("5,10,15", SET(5, 10, 15));
    eq_minutes("59,0,30,30", SET(0, 30, 59));
    eq_minutes("1-3,7,9-9", SET(1, 2, 3, 7, 9));
    eq_minutes("10-14,12-16", FROM_TO(10, 16));
    eq_minutes("7,*", EVERY_MINUTE);
}

TEST(cron, a_step_takes_every_nth_from_the_first_on) {
    eq_minutes("*/20", SET(0, 20, 40));
    eq_minutes("*/7", SET(0, 7, 14, 21, 28, 35, 42, 49, 56));
    eq_minutes("10-30/10", SET(10, 20, 30));
    eq_minutes("10-29/10", SET(10, 20));
    eq_minutes("*/1", EVERY_MINUTE);
    eq_minutes("5-9/100", SET(5));
    eq_minutes("*/4000000000000000000000000", SET(0));
    eq_minutes("1-5/2,*/30", SET(0, 1, 3, 5, 30));
    eq_sets("* * */10 */5 *", EVERY_MINUTE, EVERY_HOUR, SET(1, 11, 21, 31), SET(1, 6, 11), EVERY_WEEKDAY);
}

TEST(cron, numbers_may_begin_with_zeros) {
    eq_minutes("00", SET(0));
    eq_minutes("007-0000000000000000000000000000009", SET(7, 8, 9));
}

TEST(cron, months_have_names) {
    static const char *const names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                        "jul", "aug", "sep", "oct", "nov", "dec"};
    for (int i = 0; i < 12; i++)
        eq_months(names[i], SET(i + 1));
    eq_months("JAN,Feb,mAr", SET(1, 2, 3));
    eq_months("oct-dec,jan-mar/2", SET(1, 3, 10, 11, 12));
    eq_months("3-may", SET(3, 4, 5));
    eq_months("mar-5", SET(3, 4, 5));
}

TEST(cron, weekdays_have_names) {
    static const char *const names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    for (int i = 0; i < 7; i++)
        eq_weekdays(names[i], SET(i));
    eq_weekdays("MON-Fri", FROM_TO(1, 5));
    eq_weekdays("sun-sat", EVERY_WEEKDAY);
    eq_weekdays("tue,4-sat", SET(2, 4, 5, 6));
}

TEST(cron, sunday_is_0_and_7) {
    eq_weekdays("0", SET(0));
    eq_weekdays("7", SET(0));
    eq_weekdays("0,7", SET(0));
    eq_weekdays("5-7", SET(0, 5, 6));
    eq_weekdays("fri-7", SET(0, 5, 6));
    eq_weekdays("1-7/3", SET(0, 1, 4));
    eq_weekdays("0-7/2", SET(0, 2, 4, 6));
    eq_weekdays("*/7", SET(0));
}

TEST(cron, blanks_and_tabs_separate_and_surround) {
    eq_sets("  \t1\t 2   3\t\t4 5 \t ", SET(1), SET(2), SET(3), SET(4), SET(5));
    eq_sets("\t@hourly ", SET(0), EVERY_HOUR, EVERY_DAY, EVERY_MONTH, EVERY_WEEKDAY);
}

TEST(cron, the_words_stand_for_expressions) {
    eq_sets("@hourly", SET(0), EVERY_HOUR, EVERY_DAY, EVERY_MONTH, EVERY_WEEKDAY);
    eq_sets("@daily", SET(0), SET(0), EVERY_DAY, EVERY_MONTH, EVERY_WEEKDAY);
    eq_sets("@midnight", SET(0), SET(0), EVERY_DAY, EVERY_MONTH, EVERY_WEEKDAY);
    eq_sets("@weekly", SET(0), SET(0), EVERY_DAY, EVERY_MONTH, SET(0));
    eq_sets("@monthly", SET(0), SET(0), SET(1), EVERY_MONTH, EVERY_WEEKDAY);
    eq_sets("@yearly", SET(0), SET(0), SET(1), SET(1), EVERY_WEEKDAY);
    eq_sets("@annually", SET(0), SET(0), SET(1), SET(1), EVERY_WEEKDAY);
}

TEST(cron, either_day_is_enough_when_neither_field_begins_with_a_star) {
    check(parsed("0 0 13 * 5").either_day);
    check(parsed("0 0 13,* * 5").either_day);
    check(!parsed("0 0 * * *").either_day);
    check(!parsed("0 0 13 * *").either_day);
    check(!parsed("0 0 * * 5").either_day);
    check(!parsed("0 0 */2 * 5").either_day);
    check(!parsed("0 0 13 * */2").either_day);
    check(!parsed("@weekly").either_day);
}

TEST(cron, times_are_fixed_when_neither_minute_nor_hour_begins_with_a_star) {
    check(parsed("0 2 * * *").fixed);
    check(parsed("0-59 0-23 * * *").fixed);
    check(parsed("1,* 2 * * *").fixed);
    check(parsed("@daily").fixed);
    check(!parsed("* 2 * * *").fixed);
    check(!parsed("*/30 2 * * *").fixed);
    check(!parsed("0 * * * *").fixed);
    check(!parsed("0 */2 * * *").fixed);
    check(!parsed("@hourly").fixed);
}

/* `fault` has a ^ below the offset that is to be reported. */
static const struct {
    const char *expr, *fault;
} bad[] = {
    /* something is missing */
    {"", "^"},
    {"  ", "  ^"},
    {"*", " ^"},
    {"* * * *", "       ^"},
    {"* * * * ", "        ^"},
    {"1, * * * *", "  ^"},
    {"* * * * 1,", "          ^"},
    {"* * * * 1-", "          ^"},
    {"1- * * * *", "  ^"},
    {"*/ * * * *", "  ^"},
    {"* * * * */", "          ^"},
    {"@", "^"},
    /* out of the range */
    {"60 * * * *", "^"},
    {"0 24 * * *", "  ^"},
    {"0 0 0 * *", "    ^"},
    {"0 0 32 * *", "    ^"},
    {"0 0 1 0 *", "      ^"},
    {"0 0 1 13 *", "      ^"},
    {"0 0 1 1 8", "        ^"},
    {"1,2,99,3 * * * *", "    ^"},
    {"1-60 * * * *", "  ^"},
    {"* 25-26 * * *", "  ^"},
    {"18446744073709551616 * * * *", "^"},
    {"4294967296 * * * *", "^"},
    {"000000060 * * * *", "^"},
    /* downwards */
    {"9-3 * * * *", "^"},
    {"1,9-3 * * * *", "  ^"},
    {"* * * dec-jan *", "      ^"},
    {"* * * * fri-sun", "        ^"},
    {"* * * * 7-0", "        ^"},
    /* steps */
    {"*/0 * * * *", "  ^"},
    {"1-9/00 * * * *", "    ^"},
    {"5/10 * * * *", " ^"},
    {"* * * jan/2 *", "         ^"},
    {"*/2/3 * * * *", "   ^"},
    {"*/-2 * * * *", "  ^"},
    {"*/x * * * *", "  ^"},
    {"*-5 * * * *", " ^"},
    {"** * * * *", " ^"},
    {"1-2-3 * * * *", "   ^"},
    /* no numbers, no names */
    {"x * * * *", "^"},
    {"-1 * * * *", "^"},
    {"+1 * * * *", "^"},
    {",1 * * * *", "^"},
    {"1,,2 * * * *", "  ^"},
    {"1.5 * * * *", " ^"},
    {"5x * * * *", " ^"},
    {"? * * * *", "^"},
    {"{ * * * *", "^"},
    {"* * L * *", "    ^"},
    {"* * 15W * *", "      ^"},
    {"* * * * 5#2", "         ^"},
    {"jan * * * *", "^"},
    {"* * mon * *", "    ^"},
    {"* * * mon *", "      ^"},
    {"* * * * jan", "        ^"},
    {"* * * january *", "      ^"},
    {"* * * ja *", "      ^"},
    {"* * * jax *", "      ^"},
    {"* * * * sund", "        ^"},
    {"* * * * mon,xyz", "            ^"},
    {"* * * * mon-fry", "            ^"},
    {"* * * * 1mon", "         ^"},
    {"* * * * mon1", "           ^"},
    {"\xc3\xa4 * * * *", "^"},
    /* too much, or not a blank */
    {"* * * * * *", "          ^"},
    {"* * * * * echo", "          ^"},
    {"* * * * *\n", "         ^"},
    {"*\n* * * *", " ^"},
    {"* * * * *\r", "         ^"},
    {"* * * * *%", "         ^"},
    /* words */
    {"@reboot", "^"},
    {"  @reboot", "  ^"},
    {"@Daily", "^"},
    {"@dail", "^"},
    {"@dailyy", "^"},
    {"@daily,@hourly", "^"},
    {"@daily *", "       ^"},
    {"@every 5m", "^"},
    {"* @daily", "  ^"},
};

TEST(cron, a_fault_is_reported_where_it_is) {
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t position = 9999;
        int error = exec_cron_check(bad[i].expr, &position);
        if (error != EINVAL || position != strlen(bad[i].fault) - 1)
            FAIL("\"%s\": error %d at %zu, expected EINVAL at %zu", bad[i].expr, error, position,
                 strlen(bad[i].fault) - 1);
        eq_err(exec_cron_check(bad[i].expr, NULL), EINVAL);
    }
}

TEST(cron, a_bad_expression_leaves_everything_as_it_was) {
    struct exec__cron cron = {.minutes = 42, .weekdays = 7};
    time_t when = 4242;
    errno = 1234;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        eq_err(exec__cron_parse(bad[i].expr, &cron, NULL), EINVAL);
        check(cron.minutes == 42 && cron.hours == 0 && cron.days == 0 && cron.months == 0 && cron.weekdays == 7);
        eq_err(exec_cron_next(bad[i].expr, "UTC", 0, &when), EINVAL);
        eq_int(when, 4242);
    }
    eq_int(errno, 1234);
}

TEST(cron, a_good_expression_leaves_the_position_as_it_was) {
    size_t position = 9999;
    ok(exec_cron_check("*/5 0-6 * * mon-fri", &position));
    ok(exec_cron_check("@yearly", &position));
    eq_int(position, 9999);
    ok(exec_cron_check("* * * * *", NULL));
}

TEST(cron, null_is_no_expression) {
    size_t position = 9999;
    time_t when = 4242;
    eq_err(exec_cron_check(NULL, &position), EINVAL);
    eq_int(position, 0);
    eq_err(exec_cron_check(NULL, NULL), EINVAL);
    eq_err(exec_cron_next(NULL, "UTC", 0, &when), EINVAL);
    eq_int(when, 4242);
    eq_err(exec_cron_next("* * * * *", "UTC", 0, NULL), EINVAL);
}

/* Texts of the language's own characters, most of which are no expressions: each is read within its bounds, and a fault
 * lies within it. */
TEST(cron, any_text_is_read_within_its_bounds) {
    static const char *const pieces[] = {"*", "/",   "-",   ",",      " ", "\t", "0",    "5",          "59",
                                         "7", "jan", "SUN", "@daily", "x", "@",  "\xff", "99999999999"};
    struct texts texts = TEXTS(pieces, 15);
    unsigned good = 0;
    for (int round = 0; round < 20000; round++) {
        char *text = next_text(&texts, "");
        size_t position = 9999;
        int error = exec_cron_check(text, &position);
        check(error == 0 || (error == EINVAL && position <= strlen(text)));
        good += error == 0;
        free(text);
    }
    at_least(good, 1);
}
