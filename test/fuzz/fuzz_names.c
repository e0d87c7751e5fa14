/* fuzz_names.c - names of zones and what TZ says: which file is opened, if any.
 *
 * An input is a text, which is tried as a zone's name, and as a value of TZ. The only file is DIR/Area/City; open() is
 * wrapped, and sees to it that nothing is opened for a name but below DIR, and for a TZ that begins with a slash that
 * file only.
 */
#include "fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "zone.h"

#define DIR "/zones"
#define CITY "Area/City"

// NOLINTBEGIN(bugprone-reserved-identifier): named by the linker's --wrap
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
// NOLINTEND(bugprone-reserved-identifier)

static bool trying;         /* the library, and not what counts coverage, opens files */
static const char *outside; /* the one path that may be opened outside of DIR, or NULL */
static unsigned opened;     /* how often CITY was */

static bool stays_below(const char *path) {
    return strncmp(path, DIR "/", sizeof DIR) == 0 && strstr(path, "/.") == NULL && strstr(path, "//") == NULL &&
           path[strlen(path) - 1] != '/';
}

/* A file with one offset. */
static int city(void) {
    static const char part[] = "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                               "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4"
                               "\0\0\16\20\0\0CET";
    static const char footer[] = "\nCET-1\n";
    int fd = memfd_create("city", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, part, sizeof part) == sizeof part && write(fd, part, sizeof part) == sizeof part);
    check(write(fd, footer, sizeof footer - 1) == sizeof footer - 1 && lseek(fd, 0, SEEK_SET) == 0);
    return fd;
}

int __wrap_open(const char *path, int flags, ...) {
    if (!trying)
        return __real_open(path, flags, 0666);
    check((flags & (O_ACCMODE | O_CREAT | O_TRUNC)) == O_RDONLY && (flags & O_CLOEXEC) != 0);
    if (outside == NULL || strcmp(path, outside) != 0)
        if (!stays_below(path))
            FAIL("\"%s\" is opened", path);
    if (strcmp(path, DIR "/" CITY) == 0) {
        opened++;
        return city();
    }
    errno = ENOENT;
    return -1;
}

static void is_city(struct exec__zone *zone) {
    struct exec__span span;
    exec__zone_local(zone, 0, &span);
    check(span.offset == 3600 && span.begin == INT64_MIN && span.end == INT64_MAX);
    exec__zone_free(zone);
}

static void check_name(const char *text) {
    struct exec__zone *zone;
    outside = NULL;
    opened = 0;
    int error = *text != '\0' ? exec__zone_load(text, &zone) : EINVAL;
    check(error == (strcmp(text, CITY) == 0 ? 0 : EINVAL));
    check(opened == (error == 0));
    if (error == 0)
        is_city(zone);
}

/* A path; or a name; or else a rule. */
static void check_variable(const char *text) {
    struct exec__zone *zone, *rule = NULL;
    const char *tz = text + (*text == ':');
    outside = *tz == '/' ? tz : NULL;
    opened = 0;
    bool is_file = strcmp(tz, CITY) == 0 || strcmp(tz, DIR "/" CITY) == 0;
    bool good = *tz == '\0' || is_file || (*tz != '/' && exec__zone_parse_rule(tz, &rule) == 0);
    int error = exec__zone_load_local(text, "/no/such/file", &zone);
    check(error == (good ? 0 : EINVAL));
    check(opened == is_file);
    if (is_file)
        is_city(zone);
    else if (good)
        exec__zone_free(zone);
    if (rule != NULL)
        exec__zone_free(rule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    check(setenv("TZDIR", DIR, 1) == 0);
    trying = true;
    check_name(text);
    check_variable(text);
    trying = false;
    free(text);
    return 0;
}
