/* cron.h - crontab expressions: read once, and then asked for the next time. See cron.c. */
#ifndef EXEC__CRON_H
#define EXEC__CRON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "zone.h"

/* Bit i of a set stands for the value i. */
struct exec__cron {
    uint64_t minutes; /* 0 to 59 */
    uint32_t hours;   /* 0 to 23 */
    uint32_t days;    /* 1 to 31 */
    uint16_t months;  /* 1 to 12 */
    uint8_t weekdays; /* 0 to 6; 0 is Sunday */
    bool either_day;  /* neither days nor weekdays began with '*': one of them is enough */
    bool fixed;       /* neither minutes nor hours did: due at fixed times */
};

/* 0, or EINVAL with the offset of the fault in *position, which may be NULL; *out is then as it was. */
int exec__cron_parse(const char *expr, struct exec__cron *out, size_t *position);

/* As exec_cron_next(): 0 or ERANGE. */
int exec__cron_after(const struct exec__cron *cron, const struct exec__zone *zone, time_t after, time_t *when);

#endif
