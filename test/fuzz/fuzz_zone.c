/* fuzz_zone.c - TZif files: which are good, and which offset holds when, against a second reading of RFC 8536, and
 * against the C library's of the same bytes.
 *
 * An input is a file. The C library is asked between the first and the last change only, since before the one it does
 * not go by the RFC, and behind the other by the rule, for which there is fuzz_tzrule.c.
 */
#include "spans.h"

#include <endian.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 44, LOOKS = 40 };
enum { LEAST_OFFSET = -89999, MOST_OFFSET = 93599 }; /* RFC 8536, 3.2: utoff */

/* A part of a file with its header, and where what is in it begins. */
struct part {
    const uint8_t *at;
    size_t width; /* of a time */
    uint64_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
    uint64_t times, kinds, types, names, end;
};

struct file {
    const uint8_t *data;
    size_t size;
    struct part part;
    struct exec__zone *rule; /* NULL: none */
};

/* ---- reading ---- */

static uint64_t be32(const uint8_t *at) {
    uint32_t n;
    memcpy(&n, at, sizeof n);
    return be32toh(n);
}

static bool understand_part(const uint8_t *at, size_t left, size_t width, struct part *p) {
    if (left < HEADER || memcmp(at, "TZif", 4) != 0)
        return false;
    *p = (struct part){.at = at,
                       .width = width,
                       .isutcnt = be32(at + 20),
                       .isstdcnt = be32(at + 24),
                       .leapcnt = be32(at + 28),
                       .timecnt = be32(at + 32),
                       .typecnt = be32(at + 36),
                       .charcnt = be32(at + 40)};
    p->times = HEADER;
    p->kinds = p->times + p->timecnt * width;
    p->types = p->kinds + p->timecnt;
    p->names = p->types + p->typecnt * 6;
    p->end = p->names + p->charcnt + p->leapcnt * (width + 4) + p->isstdcnt + p->isutcnt;
    return p->end <= left;
}

static int64_t time_at(const struct part *p, uint64_t i) {
    uint64_t n;
    if (p->width == 4)
        return (int32_t)be32(p->at + p->times + 4 * i);
    memcpy(&n, p->at + p->times + 8 * i, sizeof n);
    return (int64_t)be64toh(n);
}

static int32_t type_offset(const struct part *p, uint64_t type) {
    return (int32_t)be32(p->at + p->types + 6 * type);
}

static int32_t change_offset(const struct part *p, uint64_t i) {
    return type_offset(p, p->at[p->kinds + i]);
}

static bool in_range(int32_t offset) {
    return offset >= LEAST_OFFSET && offset <= MOST_OFFSET;
}

static bool changes_are_good(const struct part *p) {
    if (p->leapcnt != 0 || p->typecnt == 0 || !in_range(type_offset(p, 0)))
        return false;
    for (uint64_t i = 0; i < p->timecnt; i++)
        if (p->at[p->kinds + i] >= p->typecnt || !in_range(change_offset(p, i)) ||
            (i > 0 && time_at(p, i) <= time_at(p, i - 1)))
            return false;
    return true;
}

static bool understand_footer(const uint8_t *at, size_t left, struct exec__zone **rule) {
    const uint8_t *end = left > 1 && at[0] == '\n' ? memchr(at + 1, '\n', left - 1) : NULL;
    if (end == NULL || end - at - 1 > 255)
        return false;
    char *text = fuzz_text(at + 1, (size_t)(end - at - 1));
    bool good = strlen(text) == (size_t)(end - at - 1);
    good = good && (*text == '\0' || exec__zone_parse_rule(text, rule) == 0);
    free(text);
    return good;
}

static bool understand(const uint8_t *data, size_t size, struct file *out) {
    struct part *p = &out->part;
    *out = (struct file){.data = data, .size = size};
    if (!understand_part(data, size, 4, p))
        return false;
    if (data[4] < '2')
        return changes_are_good(p);
    data += p->end;
    size -= p->end;
    return understand_part(data, size, 8, p) && changes_are_good(p) &&
           understand_footer(data + p->end, size - p->end, &out->rule);
}

/* ---- which offset ---- */

static int32_t offset_at(const struct file *f, int64_t t) {
    const struct part *p = &f->part;
    int32_t offset = type_offset(p, 0);
    uint64_t i = 0;
    for (; i < p->timecnt && time_at(p, i) <= t; i++)
        offset = change_offset(p, i);
    if (i == p->timecnt && f->rule != NULL) {
        struct exec__span span;
        exec__zone_local(f->rule, t, &span);
        offset = span.offset;
    }
    return offset;
}

static void check_look(const struct file *f, const struct exec__zone *zone, int64_t t) {
    struct exec__span span, other;
    exec__zone_local(zone, t, &span);
    check(span.begin <= t && t < span.end);
    if (span.offset != offset_at(f, t))
        FAIL("at %jd: %d, expected %d", (intmax_t)t, span.offset, offset_at(f, t));
    if (span.begin > -(INT64_C(1) << EXEC__TIME_BITS)) {
        check(offset_at(f, span.begin) == span.offset);
        exec__zone_local(zone, span.begin - 1, &other);
        check_side_by_side(&other, &span);
    }
    if (span.end < INT64_C(1) << EXEC__TIME_BITS) {
        check(offset_at(f, span.end - 1) == span.offset);
        exec__zone_local(zone, span.end, &other);
        check_side_by_side(&span, &other);
    }
}

/* A time that is looked up often lies at a change. */
static int64_t some_time(const struct file *f, uint64_t *seed) {
    const struct part *p = &f->part;
    const int64_t most = (INT64_C(1) << EXEC__TIME_BITS) - 1;
    int64_t t =
        fuzz_random(seed) % 4 == 0 ? fuzz_between(seed, -most, most) : fuzz_between(seed, -5000000000, 5000000000);
    if (p->timecnt > 0 && fuzz_random(seed) % 2 == 0)
        t = time_at(p, fuzz_random(seed) % p->timecnt);
    t = t > most ? most : t < -most ? -most : t;
    return fuzz_random(seed) % 3 == 0 && t > -most ? t - 1 : t;
}

/* ---- the C library ---- */

/* It looks at more than we do, and takes for version 2 what is neither that nor 1. */
static bool c_library_takes(const struct file *f) {
    const struct part *p = &f->part;
    if (p->at[4] > '\0' && p->at[4] < '2')
        return false;
    if (be32(f->data + 20) > be32(f->data + 36) || be32(f->data + 24) > be32(f->data + 36))
        return false; /* of the first part, too */
    if (p->timecnt < 2 || p->isutcnt > p->typecnt || p->isstdcnt > p->typecnt || p->typecnt > 255)
        return false;
    for (uint64_t i = 0; i < p->typecnt; i++)
        if (p->at[p->types + 6 * i + 4] > 1 || p->at[p->types + 6 * i + 5] >= p->charcnt)
            return false;
    return p->at[p->names + p->charcnt - 1] == '\0';
}

/* Makes a file the process's zone. It takes one for new by its path or its time. */
static void set_zone(const struct file *f) {
    static int fd = -1;
    static time_t stamp;
    char path[64];
    stamp++;
    if (fd < 0)
        fd = memfd_create("zone", 0);
    check(fd >= 0 && ftruncate(fd, 0) == 0);
    check(pwrite(fd, f->data, f->size, 0) == (ssize_t)f->size);
    struct timespec times[2] = {{.tv_sec = stamp}, {.tv_sec = stamp}};
    check(futimens(fd, times) == 0);
    snprintf(path, sizeof path, ":/proc/%sself/fd/%d", stamp % 2 ? "/" : "", fd);
    check(setenv("TZ", path, 1) == 0);
    tzset();
}

static void check_c_library(const struct file *f, uint64_t *seed) {
    const struct part *p = &f->part;
    const int64_t most = INT64_C(1) << 50; /* a year is an int */
    if (!c_library_takes(f) || time_at(p, 0) < -most || time_at(p, p->timecnt - 1) > most)
        return;
    set_zone(f);
    for (int i = 0; i < LOOKS; i++) {
        struct tm tm;
        time_t t = fuzz_between(seed, time_at(p, 0), time_at(p, p->timecnt - 1) - 1);
        check(localtime_r(&t, &tm) != NULL);
        if (tm.tm_gmtoff != offset_at(f, t))
            FAIL("at %jd: the C library has %ld, expected %d", (intmax_t)t, tm.tm_gmtoff, offset_at(f, t));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t seed = fuzz_seed(data, size);
    struct exec__zone *zone;
    struct file file;
    bool good = understand(data, size, &file);
    int error = exec__zone_parse(data, size, &zone);
    if (error != (good ? 0 : EINVAL))
        FAIL("error %d", error);
    if (good) {
        for (int i = 0; i < LOOKS; i++)
            check_look(&file, zone, some_time(&file, &seed));
        if (COMPARES_WITH_C_LIBRARY)
            check_c_library(&file, &seed);
        exec__zone_free(zone);
    }
    if (file.rule != NULL)
        exec__zone_free(file.rule);
    return 0;
}
