/* shown.h - what the tests of what an executor shows share: tasks that end in every way, and what was written. */
#ifndef SHOWN_H
#define SHOWN_H

#include "helpers.h"

/* By its number: DONE, failed, cancelled, timed out. */
static inline void *end_somehow(void *number) {
    switch ((uintptr_t)number % 4) {
    case 0: return number;
    case 1: return exec_fail(EIO);
    case 2: return exec_fail(ECANCELED);
    default: return exec_fail(ETIMEDOUT);
    }
}

/* What write() writes; the caller's. (Inline, gcc 12 takes the text for a part of this frame.) */
__attribute__((noinline, unused)) static char *text_of(executor_t *ex, int (*write)(executor_t *ex, FILE *out)) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    check(out != NULL);
    ok(write(ex, out));
    fclose(out);
    return text;
}

static inline void has(const char *text, const char *part) {
    if (strstr(text, part) == NULL)
        FAIL("\"%s\" is not in: %.2000s", part, text);
}

#endif
