/* peer_loop.c - the sequential loop: what every library has to beat. Its map calls a function through a pointer, as a
 * library's does, and so do its nested maps and its stream of items; its for has the work inlined. */
#include "work.h"

static unsigned rounds;

static void *item(void *arg) {
    return (void *)peer_xorshift((uintptr_t)arg, rounds);
}

static void *(*volatile call)(void *) = item; /* volatile: the compiler must not look through it */

static void map(size_t begin, size_t end) {
    void *(*fn)(void *) = call;
    for (size_t i = begin; i < end; i++)
        peer_out[i] = (uintptr_t)fn((void *)(uintptr_t)peer_in[i]);
}

static void run_map(size_t n, unsigned how) {
    rounds = how;
    map(0, n);
}

static void run_nested(size_t n, unsigned how) {
    rounds = how;
    for (size_t i = 0; i < n; i += PEER_INNER)
        map(i, i + PEER_INNER);
}

static void run_for(size_t n, unsigned how) {
    peer_range(0, n, how);
}

static void run_few_heavy(size_t n, unsigned how) {
    peer_uneven_range(0, n, how);
}

static void run_mandelbrot(size_t n, unsigned unused) {
    (void)unused;
    for (size_t i = 0; i < n; i++)
        peer_draw_row(i, peer_picture[i]);
}

static void run_items(size_t n, unsigned unused) {
    (void)unused;
    void *(*fn)(void *) = call;
    uint64_t all = 0;
    rounds = PEER_LONG_ROUNDS;
    for (size_t i = 1; i <= n; i++)
        all = peer_fold(all, (uintptr_t)fn((void *)(uintptr_t)i));
    peer_check_fold(n, all);
}

static uint64_t fib(uint64_t n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void run_fork_join(size_t n, unsigned unused) {
    (void)unused;
    volatile uint64_t result = fib(n);
    peer_check_fib(n, result);
}

int main(int argc, char **argv) {
    static const struct peer_case cases[] = {
        PEER_FORK_JOIN(run_fork_join),   PEER_MAPS("map", run_map),   PEER_MAPS("for", run_for),
        PEER_SMALL_MAP(run_for),         PEER_NESTED(run_nested),     PEER_FEW_HEAVY(run_few_heavy),
        PEER_MANDELBROT(run_mandelbrot), PEER_LONG_STREAM(run_items), {0},
    };
    peer_make_items();
    return peer_main(argc, argv, cases);
}
