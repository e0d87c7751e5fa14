/* zone.h - time zones: UTC offsets over time, from the files of the tz database and from TZ strings. See zone.c. */
#ifndef EXEC__ZONE_H
#define EXEC__ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "tzrule.h"

struct exec__zone; /* never changed once it is made: any thread may use it */

/* The zone of that name in the tz database; NULL and "": the process's own. 0; EINVAL: no such zone, or its file cannot
 * be understood; ENOMEM; EMFILE, ENFILE. */
int exec__zone_load(const char *name, struct exec__zone **out);

/* The process's own zone, if TZ is `tz`, or not set (NULL) and `file` is like /etc/localtime. The same errors. */
int exec__zone_load_local(const char *tz, const char *file, struct exec__zone **out);

/* Of the n bytes of a TZif file, which may be any bytes. 0, EINVAL or ENOMEM. */
int exec__zone_parse(const unsigned char *data, size_t n, struct exec__zone **out);

/* Of a POSIX TZ string, which may be any text. 0, EINVAL or ENOMEM. */
int exec__zone_parse_rule(const char *text, struct exec__zone **out);

void exec__zone_free(struct exec__zone *zone);

/* The stretch of time with one offset that a time, |t| < 2^EXEC__TIME_BITS, is in. Its neighbours may have the same
 * offset. */
void exec__zone_local(const struct exec__zone *zone, int64_t t, struct exec__span *out);

#endif
