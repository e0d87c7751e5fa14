/* clock.c - the present moment, and deadlines that saturate. */
#include "clock.h"

#include <stdatomic.h>
#include <time.h>

/* A test's clocks, while it has stopped them: both move in one step. */
static struct {
    _Atomic bool stand;
    _Atomic int64_t monotonic, apart; /* by how much the other clock is ahead of it */
} own;

/* A clock that is there can be read, and these are on every Linux; executor_create() fails where CLOCK_MONOTONIC is not
 * (sync.c). Nobody could be told of an error here, so it is tried again. */
static int64_t read_clock(clockid_t clock) {
    struct timespec now;
    while (clock_gettime(clock, &now) != 0)
        continue;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool exec__clock_stands(void) {
    return atomic_load_explicit(&own.stand, memory_order_acquire);
}

exec_time exec_now(void) {
    return exec__clock_stands() ? atomic_load(&own.monotonic) : read_clock(CLOCK_MONOTONIC);
}

int64_t exec__realtime_now(void) {
    return exec__clock_stands() ? atomic_load(&own.monotonic) + atomic_load(&own.apart) : read_clock(CLOCK_REALTIME);
}

exec_time exec_after(exec_time duration) {
    exec_time now = exec_now();
    if (duration > EXEC_NEVER - now)
        return EXEC_NEVER;
    return duration < -now ? EXEC_NOW : now + duration;
}

void exec__clock_shift(exec_time duration, int64_t set) {
    if (!exec__clock_stands()) {
        exec_time now = read_clock(CLOCK_MONOTONIC);
        atomic_store(&own.monotonic, now);
        atomic_store(&own.apart, read_clock(CLOCK_REALTIME) - now);
        atomic_store(&own.stand, true);
    }
    atomic_fetch_add(&own.monotonic, duration);
    atomic_fetch_add(&own.apart, set);
}

void exec__clock_restore(void) {
    atomic_store(&own.stand, false);
}
