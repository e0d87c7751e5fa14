/* zone.c - time zones: UTC offsets over time, from the files of the tz database and from TZ strings.
 *
 * localtime_r() and tzset() know one zone at a time, that of the whole process, and C has no others. The libraries that
 * know all of them at once (ICU, libical, cctz) are C++, or larger than this library by orders of magnitude; so these
 * files are read here.
 *
 * They are TZif files, RFC 8536 (versions 1 to 3) and RFC 9636 (4): a header, a list of changes, for version 1 in 32
 * bits, then for later versions all of this again in 64 bits, and a footer, a TZ string for what comes after the last
 * change. A later version than 4 is read as 4, since each holds what the one before did. Files that count leap seconds
 * (those in right/) are refused: the time of POSIX, and so time_t, does not count them.
 *
 * Nothing in a file is trusted. It is read as a whole, up to MAX_FILE bytes; every size is checked against what is
 * left before it is used, in 64 bits, which the sums of a header's 32-bit counts cannot overflow; changes must be in
 * order of time, offsets and numbers of types in their range. What is not is EINVAL.
 */
#include "zone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"
#include "sync.h"

enum {
    MAX_FILE = 1 << 20, /* the largest of the tz database has 4 KiB */
    MAX_FOOTER = 255,
    HEADER_SIZE = 44,
    TYPE_SIZE = 6,
    LEAST_OFFSET = -25 * 3600 + 1, /* RFC 8536, 3.2: utoff */
    MOST_OFFSET = 26 * 3600 - 1
};

struct change {
    int64_t at;
    int32_t offset; /* from then on */
};

struct exec__zone {
    int32_t first_offset;     /* before all changes */
    bool has_rule;            /* for what comes after them */
    struct exec__tzrule rule; /* where has_rule */
    size_t n;
    struct change changes[]; /* in order of time */
};

static struct exec__zone *new_zone(size_t changes) {
    struct exec__zone *z = exec__calloc(1, sizeof *z + changes * sizeof z->changes[0]);
    if (z != NULL)
        z->n = changes;
    return z;
}

void exec__zone_free(struct exec__zone *zone) {
    free(zone);
}

int exec__zone_parse_rule(const char *text, struct exec__zone **out) {
    struct exec__tzrule rule;
    if (exec__tzrule_parse(text, &rule) != 0)
        return EINVAL;
    struct exec__zone *z = new_zone(0);
    if (z == NULL)
        return ENOMEM;
    z->first_offset = rule.offset;
    z->has_rule = true;
    z->rule = rule;
    *out = z;
    return 0;
}

/* ---- a file's bytes ---- */

struct reader {
    const unsigned char *at;
    size_t left;
};

/* The next n bytes; NULL: there are not so many. */
static const unsigned char *take(struct reader *r, uint64_t n) {
    const unsigned char *bytes = r->at;
    if (n > r->left)
        return NULL;
    r->at += n;
    r->left -= (size_t)n;
    return bytes;
}

/* Big-endian, two's complement. */
static int64_t number(const unsigned char *bytes, size_t size) {
    uint64_t n = bytes[0] < 0x80 ? 0 : UINT64_MAX;
    for (size_t i = 0; i < size; i++)
        n = n << 8 | bytes[i];
    return (int64_t)n;
}

struct header { /* RFC 8536, 3.1 */
    unsigned version;
    uint32_t isutcnt, isstdcnt, leapcnt, timecnt, typecnt, charcnt;
};

static bool read_header(struct reader *r, struct header *h) {
    const unsigned char *b = take(r, HEADER_SIZE);
    uint32_t counts[6];
    if (b == NULL || memcmp(b, "TZif", 4) != 0)
        return false;
    for (size_t i = 0; i < 6; i++)
        counts[i] = (uint32_t)number(b + 20 + 4 * i, 4);
    *h = (struct header){b[4], counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]};
    return true;
}

struct block { /* RFC 8536, 3.2; what follows the types is of no use here */
    const unsigned char *times, *indices, *types;
};

static bool read_block(struct reader *r, const struct header *h, size_t time_size, struct block *b) {
    uint64_t rest = (uint64_t)h->charcnt + (uint64_t)h->leapcnt * (time_size + 4) + h->isstdcnt + h->isutcnt;
    b->times = take(r, (uint64_t)h->timecnt * time_size);
    b->indices = b->times != NULL ? take(r, h->timecnt) : NULL;
    b->types = b->indices != NULL ? take(r, (uint64_t)h->typecnt * TYPE_SIZE) : NULL;
    return b->types != NULL && take(r, rest) != NULL;
}

static bool read_offset(const struct block *b, const struct header *h, uint32_t type, int32_t *offset) {
    if (type >= h->typecnt)
        return false;
    int64_t n = number(b->types + (size_t)type * TYPE_SIZE, 4);
    *offset = (int32_t)n;
    return n >= LEAST_OFFSET && n <= MOST_OFFSET;
}

static bool read_changes(const struct block *b, const struct header *h, size_t time_size, struct exec__zone *z) {
    if (!read_offset(b, h, 0, &z->first_offset))
        return false;
    for (size_t i = 0; i < z->n; i++) {
        z->changes[i].at = number(b->times + i * time_size, time_size);
        if (i > 0 && z->changes[i].at <= z->changes[i - 1].at)
            return false;
        if (!read_offset(b, h, b->indices[i], &z->changes[i].offset))
            return false;
    }
    return true;
}

/* A line, which may be empty, between two ends of lines. */
static bool read_footer(struct reader *r, struct exec__zone *z) {
    char text[MAX_FOOTER + 1];
    const unsigned char *newline = take(r, 1);
    if (newline == NULL || *newline != '\n')
        return false;
    const unsigned char *begin = r->at, *end = memchr(begin, '\n', r->left);
    if (end == NULL || end - begin > MAX_FOOTER)
        return false;
    memcpy(text, begin, (size_t)(end - begin));
    text[end - begin] = '\0';
    z->has_rule = text[0] != '\0';
    return strlen(text) == (size_t)(end - begin) && (!z->has_rule || exec__tzrule_parse(text, &z->rule) == 0);
}

int exec__zone_parse(const unsigned char *data, size_t n, struct exec__zone **out) {
    struct reader r = {data, n};
    struct header h;
    struct block b;
    size_t time_size = 4;
    if (!read_header(&r, &h) || !read_block(&r, &h, time_size, &b))
        return EINVAL;
    bool has_footer = h.version >= '2';
    if (has_footer) {
        time_size = 8;
        if (!read_header(&r, &h) || !read_block(&r, &h, time_size, &b))
            return EINVAL;
    }
    if (h.leapcnt > 0)
        return EINVAL;
    struct exec__zone *z = new_zone(h.timecnt);
    if (z == NULL)
        return ENOMEM;
    if (!read_changes(&b, &h, time_size, z) || (has_footer && !read_footer(&r, z))) {
        free(z);
        return EINVAL;
    }
    *out = z;
    return 0;
}

/* ---- files ---- */

/* Whether there were n bytes. */
static bool read_all(int fd, unsigned char *data, size_t n) {
    for (size_t got = 0; got < n;) {
        ssize_t more = read(fd, data + got, n - got);
        if (more <= 0 && !(more < 0 && errno == EINTR))
            return false;
        got += more > 0 ? (size_t)more : 0;
    }
    return true;
}

static int load_descriptor(int fd, struct exec__zone **out) {
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size > MAX_FILE)
        return EINVAL;
    size_t n = (size_t)status.st_size;
    unsigned char *data = exec__malloc(n + 1);
    if (data == NULL)
        return ENOMEM;
    int error = read_all(fd, data, n) ? exec__zone_parse(data, n, out) : EINVAL;
    free(data);
    return error;
}

/* ENOENT, too: there is no such file. A FIFO is not waited for. */
static int load_file(const char *path, struct exec__zone **out) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || errno == EMFILE || errno == ENFILE || errno == ENOMEM ? errno : EINVAL;
    int error = load_descriptor(fd, out);
    close(fd);
    return error;
}

/* ---- names ---- */

/* Components between slashes, none of which is empty or begins with a dot: so that it stays below its directory. */
static bool is_name(const char *name) {
    for (;; name++) {
        size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-");
        if (n == 0 || *name == '.')
            return false;
        name += n;
        if (*name != '/')
            return *name == '\0';
    }
}

static int load_name(const char *name, struct exec__zone **out) {
    char path[PATH_MAX];
    const char *dir = secure_getenv("TZDIR");
    if (dir == NULL || *dir == '\0')
        dir = "/usr/share/zoneinfo";
    if (!is_name(name) || snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return EINVAL;
    int error = load_file(path, out);
    return error == ENOENT ? EINVAL : error;
}

/* ":" before it means nothing; it is a file's path, or a zone's name, or else a rule (tzset(3)). */
static int load_variable(const char *tz, struct exec__zone **out) {
    tz += *tz == ':';
    if (*tz == '\0')
        return exec__zone_parse_rule("UTC0", out);
    if (*tz == '/')
        return load_file(tz, out);
    int error = load_name(tz, out);
    return error == EINVAL ? exec__zone_parse_rule(tz, out) : error;
}

static int load_local(const char *tz, const char *file, struct exec__zone **out) {
    int error = tz != NULL ? load_variable(tz, out) : load_file(file, out);
    if (error != ENOENT)
        return error;
    return tz != NULL ? EINVAL : exec__zone_parse_rule("UTC0", out);
}

int exec__zone_load_local(const char *tz, const char *file, struct exec__zone **out) {
    struct exec__quiet q = exec__quiet_begin(); /* a cancellation point would lose the file */
    int error = load_local(tz, file, out);
    exec__quiet_end(&q);
    return error;
}

int exec__zone_load(const char *name, struct exec__zone **out) {
    if (name == NULL || *name == '\0')
        return exec__zone_load_local(secure_getenv("TZ"), "/etc/localtime", out);
    struct exec__quiet q = exec__quiet_begin();
    int error = load_name(name, out);
    exec__quiet_end(&q);
    return error;
}

/* ---- looking up ---- */

/* How many changes there are up to that time. */
static size_t changes_until(const struct exec__zone *z, int64_t t) {
    size_t least = 0, most = z->n;
    while (least < most) {
        size_t middle = least + (most - least) / 2;
        if (z->changes[middle].at <= t)
            least = middle + 1;
        else
            most = middle;
    }
    return least;
}

void exec__zone_local(const struct exec__zone *zone, int64_t t, struct exec__span *out) {
    size_t n = changes_until(zone, t);
    int64_t last = n > 0 ? zone->changes[n - 1].at : INT64_MIN;
    if (n == zone->n && zone->has_rule) {
        exec__tzrule_local(&zone->rule, t, out);
        if (out->begin < last)
            out->begin = last;
        return;
    }
    out->begin = last;
    out->end = n < zone->n ? zone->changes[n].at : INT64_MAX;
    out->offset = n > 0 ? zone->changes[n - 1].offset : zone->first_offset;
}
