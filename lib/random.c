/* random.c - random numbers: splitmix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators",
 * OOPSLA 2014), whose state is a counter, so that threads may share it.
 */
#include "random.h"

#include <stdatomic.h>
#include <unistd.h>

#include "clock.h"

#define STEP UINT64_C(0x9e3779b97f4a7c15)

static _Atomic uint64_t state; /* 0: not seeded */

uint64_t exec__random(void) {
    uint64_t none = 0;
    if (atomic_load_explicit(&state, memory_order_relaxed) == 0) {
        uint64_t seed = ((uint64_t)exec_now() * STEP) ^ (uint64_t)getpid();
        atomic_compare_exchange_strong(&state, &none, seed | 1);
    }
    uint64_t x = atomic_fetch_add_explicit(&state, STEP, memory_order_relaxed) + STEP;
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

void exec__random_seed(uint64_t seed) {
    atomic_store(&state, seed);
}
