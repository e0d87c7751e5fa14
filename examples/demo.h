/* demo.h - what the examples share: the table that `make demo` prints, error messages, numbers from the command line.
 *
 * Each job is run first as a sequential loop, then through libexec; a row shows how long both took.
 */
#ifndef DEMO_H
#define DEMO_H

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exec.h>

static inline double demo_seconds(exec_time duration) {
    return (double)duration / 1e9;
}

static inline void demo_header(void) {
    printf("%-12s %8s %14s %14s %10s\n", "job", "items", "sequential", "libexec", "speed-up");
}

static inline void demo_row(const char *job, size_t items, exec_time sequential, exec_time libexec) {
    printf("%-12s %8zu %12.3f s %12.3f s %9.2fx\n", job, items, demo_seconds(sequential), demo_seconds(libexec),
           (double)sequential / (double)libexec);
}

/* Says on stderr what failed and why. Returns 1, the exit status of a job that failed. */
static inline int demo_error(const char *program, const char *what, int error) {
    fprintf(stderr, "%s: %s: %s\n", program, what, strerror(error));
    return 1;
}

/* Exit status for a job that ended with `status`: what was printed must have arrived, too. */
static inline int demo_finish(const char *program, int status) {
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout))
        return demo_error(program, "standard output", errno != 0 ? errno : EIO);
    return status;
}

/* For mkdtemp() and mkstemp(): NAME.XXXXXX in the directory that the environment names for such things. 0; or
 * ENAMETOOLONG, and the path is empty. */
static inline int demo_temporary(const char *name, char *path, size_t size) {
    const char *parent = getenv("TMPDIR");
    int length = snprintf(path, size, "%s/%s.XXXXXX", parent != NULL && parent[0] != '\0' ? parent : "/tmp", name);
    if (length >= 0 && (size_t)length < size)
        return 0;
    path[0] = '\0';
    return ENAMETOOLONG;
}

/* Reads a whole decimal number from `low` to `high`. 0, or EINVAL for anything else. */
static inline int demo_number(const char *text, unsigned long low, unsigned long high, unsigned long *out) {
    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text))
        return EINVAL;
    errno = 0;
    unsigned long number = strtoul(text, NULL, 10);
    if (errno != 0 || number < low || number > high)
        return EINVAL;
    *out = number;
    return 0;
}

#endif
