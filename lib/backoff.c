/* backoff.c - the arithmetic of retry: exponential back-off, capped and with jitter, after Brooker, "Exponential
 * Backoff And Jitter" (AWS Architecture Blog, 2015).
 */
#include "backoff.h"

#include <errno.h>
#include <float.h>
#include <stddef.h>

#define DEFAULT_DELAY EXEC_MS(100)
#define DEFAULT_MAX_DELAY EXEC_SEC(30)
#define DEFAULT_FACTOR 2

int exec__retry_check(const exec_retry *r) {
    if (r->delay < 0 || r->max_delay < 0)
        return EINVAL;
    if (r->factor != 0 && !(r->factor >= 1 && r->factor <= DBL_MAX))
        return EINVAL;
    switch (r->jitter) {
    case EXEC_JITTER_FULL:
    case EXEC_JITTER_EQUAL:
    case EXEC_JITTER_NONE: return 0;
    }
    return EINVAL;
}

bool exec__retry_wants(const exec_retry *r, int error, unsigned attempt) {
    if (attempt >= r->attempts)
        return false;
    return r->when == NULL || r->when(error, attempt, r->ctx);
}

/* base to the power n, by squaring; at most most, which also ends it. */
static double power(double base, unsigned n, double most) {
    double product = 1;
    for (; n > 0 && product < most; n /= 2) {
        if (n % 2 == 1)
            product *= base;
        base = base < most ? base * base : most;
    }
    return product < most ? product : most;
}

static exec_time without_jitter(const exec_retry *r, unsigned attempt) {
    exec_time delay = r->delay != 0 ? r->delay : DEFAULT_DELAY, most = r->max_delay;
    if (most == 0)
        most = delay > DEFAULT_MAX_DELAY ? delay : DEFAULT_MAX_DELAY;
    if (delay >= most)
        return most;
    double times = power(r->factor != 0 ? r->factor : DEFAULT_FACTOR, attempt > 1 ? attempt - 1 : 0, 0x1p63);
    if (times <= 1)
        return delay;
    double d = (double)delay * times;
    return d < (double)most ? (exec_time)d : most;
}

/* random / 2^64 of n + 1, rounded down: 0 to n. The upper half of a product of 128 bits, by halves. */
static exec_time part_of(exec_time n, uint64_t random) {
    uint64_t range = (uint64_t)n + 1, low = range & UINT32_MAX, high = range >> 32;
    uint64_t random_low = random & UINT32_MAX, random_high = random >> 32;
    uint64_t carry = (low * random_low) >> 32, middle = high * random_low + carry;
    uint64_t other = low * random_high + (middle & UINT32_MAX);
    return (exec_time)(high * random_high + (middle >> 32) + (other >> 32));
}

exec_time exec__backoff(const exec_retry *r, unsigned attempt, uint64_t random) {
    exec_time d = without_jitter(r, attempt);
    if (r->jitter == EXEC_JITTER_NONE)
        return d;
    exec_time sure = r->jitter == EXEC_JITTER_EQUAL ? d / 2 : 0;
    return sure + part_of(d - sure, random);
}
