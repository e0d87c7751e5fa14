/* exec/cron.h - when a crontab expression is due, in a time zone.
 *
 * An expression has the five fields of crontab(5), separated by blanks and tabs: minute (0-59), hour (0-23), day of the
 * month (1-31), month (1-12 or jan-dec), day of the week (0-7 or sun-sat; 0 and 7 are Sunday). Or it is one of @hourly,
 * @daily, @midnight, @weekly, @monthly, @yearly and @annually. exec_cron_next(3) has all rules.
 *
 * These are civil times: seconds since the Epoch, as time(2) has them, and not the exec_time of the other headers. Both
 * functions are pure but for reading the zone's file: they start nothing and keep nothing.
 */
#ifndef EXEC_CRON_H
#define EXEC_CRON_H

#include <stddef.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* *when becomes the first time after `after`, and not `after` itself, at which the expression is due. `zone` is a name
 * of the tz database, as "Europe/Berlin"; NULL and "" mean the process's own zone: the environment variable TZ, as
 * tzset(3) reads it, else /etc/localtime, else UTC.
 *
 * Clock changes of up to three hours are handled as by cron(8). When neither the minute nor the hour of an expression
 * begins with `*`, it is due at fixed times: those that a jump forward leaves out are due once, together, right after
 * it, and those that the clock shows twice are due the first time only. Any other expression goes by the clock as it
 * is; and so does every one where the clock changes by more.
 *
 * EINVAL: NULL expr or when, a bad expression, an unknown zone, a file or TZ that cannot be understood, a file that
 * counts leap seconds (those in right/). ERANGE: it is not due in the 400 years after `after`, after which the calendar
 * repeats itself, so that it never will be, as "0 0 30 2 *"; or `after` is not within the years 1 to 9999. ENOMEM.
 * EMFILE, ENFILE: no descriptor is left for the zone's file, which each call reads. May be called from any thread and
 * in tasks; no other thread may change the environment meanwhile. */
int exec_cron_next(const char *expr, const char *zone, time_t after, time_t *when);

/* 0: the expression is good. EINVAL: it is not, and *position, unless position is NULL, becomes the offset in bytes of
 * what is wrong: the number, name, range, character or field; strlen(expr) where something is missing; 0 for NULL. */
int exec_cron_check(const char *expr, size_t *position);

#ifdef __cplusplus
}
#endif
#endif
