/* fuzz.h - what the fuzz targets share: failing with a message, numbers and texts taken from an input.
 *
 * A target is one function, which is given bytes and must find everything that it checks about them to be so. libFuzzer
 * makes up the bytes (`make fuzz`); replay.c reads them from files (`make check-fuzz`). What is random in a check comes
 * from the input, so that the same input fails again.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void fuzz_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

static inline void fuzz_fail(const char *file, int line, const char *format, ...) {
    va_list args;
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    abort();
}

#define FAIL(...) fuzz_fail(__FILE__, __LINE__, __VA_ARGS__)
#define check(condition) ((condition) ? (void)0 : FAIL("not so: %s", #condition))

/* A copy that ends where the text ends, so that a look behind it is seen; to be freed. */
static inline char *fuzz_text(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    check(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* FNV-1a, the begin of the random numbers of an input. */
static inline uint64_t fuzz_seed(const uint8_t *data, size_t size) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ data[i]) * UINT64_C(1099511628211);
    return hash;
}

static inline uint64_t fuzz_random(uint64_t *state) {
    uint64_t n = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
    n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
    return n ^ n >> 31;
}

/* From least to most. */
static inline int64_t fuzz_between(uint64_t *state, int64_t least, int64_t most) {
    return least + (int64_t)(fuzz_random(state) % ((uint64_t)most - (uint64_t)least + 1));
}

#endif
