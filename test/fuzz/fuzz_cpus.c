/* fuzz_cpus.c - the CPU quota of control groups, from files that say anything.
 *
 * An input is what /proc/self/cgroup has, up to a zero, and what each file with a quota has, behind it. fopen() is
 * wrapped: nothing is opened but these files, below their root.
 */
#include "fuzz.h"

#include <errno.h>
#include <limits.h>

#include "cpus.h"

#define PROC "/proc/groups"
#define ROOT "/groups"

// NOLINTBEGIN(bugprone-reserved-identifier): named by the linker's --wrap
FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
// NOLINTEND(bugprone-reserved-identifier)

static bool replaced; /* between the two calls of the input */
static char *groups, *numbers;

static FILE *text_file(char *text) {
    if (*text == '\0')
        return NULL; /* fmemopen() has no empty files */
    return fmemopen(text, strlen(text), "r");
}

FILE *__wrap_fopen(const char *path, const char *mode) {
    if (!replaced || strcmp(mode, "re") != 0) /* a sanitizer that reports something opens files, too */
        return __real_fopen(path, mode);
    if (strcmp(path, PROC) == 0)
        return text_file(groups);
    if (strncmp(path, ROOT "/", sizeof ROOT) != 0)
        FAIL("\"%s\" is opened", path);
    return text_file(numbers);
}

/* What one group has, by version 2: "QUOTA PERIOD"; 0: none. */
static long long expected(const char *text) {
    long long quota, period;
    char *end, *begin;
    errno = 0;
    quota = strtoll(text, &end, 10);
    if (end == text)
        return -1; /* may be anything */
    begin = end;
    period = strtoll(begin, &end, 10);
    if (end == begin || *begin != ' ' || errno != 0)
        return -1;
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = quota / period + (quota % period != 0);
    return cpus <= INT_MAX ? cpus : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    groups = text;
    numbers = text + strlen(text) + (strlen(text) < size);
    char *of_one = strdup("0::/a\n");
    check(of_one != NULL);
    replaced = true;
    unsigned cpus = exec__cpu_quota(PROC, ROOT);
    check(cpus <= INT_MAX);
    groups = of_one;
    cpus = exec__cpu_quota(PROC, ROOT);
    replaced = false;
    long long right = strcspn(numbers, " ") < 31 ? expected(numbers) : -1;
    if (right >= 0 && cpus != right)
        FAIL("\"%s\": %u, expected %lld", numbers, cpus, right);
    free(of_one);
    free(text);
    return 0;
}
