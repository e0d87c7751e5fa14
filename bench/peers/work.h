/* work.h - the pieces of work that the programs in this folder do, and whether they were done right.
 *
 * The macros PEER_STREAM() and so on are the lines of a program's table of cases, which ends with one without a name.
 * They take what does the work there.
 */
#ifndef PEER_WORK_H
#define PEER_WORK_H

#include "peer.h"

/* --- maps: items of xorshift, so many rounds each, from peer_in to peer_out --- */

#define PEER_ITEMS 1000000 /* of a map */
#define PEER_SMALL 16      /* of a small one, each of which takes some 5 us */
#define PEER_SMALL_ROUNDS 3500
#define PEER_OUTER 100     /* maps in a map, */
#define PEER_INNER 1000    /* of so many items */
#define PEER_UNEVEN 100000 /* items, of which */
#define PEER_HEAVY_EVERY 10000
#define PEER_HEAVY 1000 /* is so much heavier */

static uint64_t *peer_in, *peer_out;

static inline void peer_make_items(void) {
    peer_in = (uint64_t *)peer_alloc(PEER_ITEMS, sizeof *peer_in);
    peer_out = (uint64_t *)peer_alloc(PEER_ITEMS, sizeof *peer_out);
    for (uint64_t i = 0; i < PEER_ITEMS; i++)
        peer_in[i] = i + 1;
}

static inline uint64_t peer_xorshift(uint64_t x, unsigned rounds) {
    for (unsigned i = 0; i < rounds; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x;
}

/* How many rounds item i of the uneven ones has: the last one of all is a heavy one. */
static inline unsigned peer_uneven_rounds(size_t i, unsigned rounds) {
    return i % PEER_HEAVY_EVERY == PEER_HEAVY_EVERY - 1 ? rounds * PEER_HEAVY : rounds;
}

/* Items begin to end - 1, as a loop. */
static inline void peer_range(size_t begin, size_t end, unsigned rounds) {
    for (size_t i = begin; i < end; i++)
        peer_out[i] = peer_xorshift(peer_in[i], rounds);
}

static inline void peer_uneven_range(size_t begin, size_t end, unsigned rounds) {
    for (size_t i = begin; i < end; i++)
        peer_out[i] = peer_xorshift(peer_in[i], peer_uneven_rounds(i, rounds));
}

static inline void peer_check_items(size_t n, unsigned rounds) {
    for (size_t i = 0; i < n; i += 1 + n / 1000)
        peer_expect("an item", peer_out[i], peer_xorshift(peer_in[i], rounds));
}

static inline void peer_check_uneven(size_t n, unsigned rounds) {
    for (size_t i = 0; i < n; i++)
        if (i % 100 == 99) /* heavy ones are among them */
            peer_expect("an item", peer_out[i], peer_xorshift(peer_in[i], peer_uneven_rounds(i, rounds)));
}

#define PEER_MAP(name, run, rounds) \
    { name, "ns", run, NULL, PEER_ITEMS, rounds, 1, PEER_ITEMS, peer_check_items }
#define PEER_MAPS(kind, run) \
    PEER_MAP(kind " x1", run, 1), PEER_MAP(kind " x20", run, 20), PEER_MAP(kind " x400", run, 400)
#define PEER_SMALL_MAP(run) \
    { "small map", "ns", run, NULL, PEER_SMALL, PEER_SMALL_ROUNDS, 5000, 5000, peer_check_items }
#define PEER_NESTED(run) \
    { "nested maps", "ns", run, NULL, PEER_OUTER *PEER_INNER, 20, 10, 10 * PEER_OUTER *PEER_INNER, peer_check_items }
#define PEER_FEW_HEAVY(run) \
    { "few heavy", "ns", run, NULL, PEER_UNEVEN, 20, 10, 10 * PEER_UNEVEN, peer_check_uneven }

/* --- the Mandelbrot set: from -2 to 1 and from -1.5i to 1.5i, for each point after how many rounds it escapes --- */

#define PEER_ROWS 512
#define PEER_MOST_ROUNDS 1000

static unsigned peer_picture[PEER_ROWS][PEER_ROWS];

static inline unsigned peer_escape(double real, double imaginary) {
    double x = 0, y = 0;
    unsigned rounds = 0;
    for (; rounds < PEER_MOST_ROUNDS && x * x + y * y <= 4; rounds++) {
        double next = x * x - y * y + real;
        y = 2 * x * y + imaginary;
        x = next;
    }
    return rounds;
}

static inline void peer_draw_row(size_t row, unsigned *pixels) {
    const double step = 3.0 / PEER_ROWS;
    for (size_t column = 0; column < PEER_ROWS; column++)
        pixels[column] = peer_escape(-2 + step * ((double)column + 0.5), -1.5 + step * ((double)row + 0.5));
}

static inline void peer_check_picture(size_t rows, unsigned unused) {
    unsigned pixels[PEER_ROWS];
    (void)unused;
    for (size_t row = 0; row < rows; row += 5) {
        peer_draw_row(row, pixels);
        if (memcmp(pixels, peer_picture[row], sizeof pixels) != 0)
            peer_fail("the picture");
    }
}

#define PEER_MANDELBROT(run) \
    { "mandelbrot", "us", run, NULL, PEER_ROWS, 0, 1, PEER_ROWS, peer_check_picture }

/* --- a stream of items: 1, 2, 3 and so on, of 20 rounds each, folded in their order --- */

#define PEER_LONG 10000000
#define PEER_LONG_ROUNDS 20

static inline uint64_t peer_fold(uint64_t all, uint64_t result) {
    return (all << 1 | all >> 63) ^ result;
}

/* What all items from 1 to n come to. */
static inline uint64_t peer_fold_all(size_t n) {
    uint64_t all = 0;
    for (size_t i = 1; i <= n; i++)
        all = peer_fold(all, peer_xorshift(i, PEER_LONG_ROUNDS));
    return all;
}

static inline void peer_check_fold(size_t n, uint64_t all) {
    static uint64_t expected; /* found while it warms up */
    if (expected == 0)
        expected = peer_fold_all(n);
    peer_expect("the items", all, expected);
}

#define PEER_LONG_STREAM(run) \
    { "items 10M", "ns", run, NULL, PEER_LONG, 0, 1, PEER_LONG, NULL }

/* --- tasks --- */

#define PEER_FIB 27
#define PEER_FIB_CALLS 832039 /* of fib() in fib(27) */

#define PEER_STREAM(run) \
    { "stream", "ns", run, NULL, 1000000, 1, 1, 1e6, NULL }
#define PEER_PRODUCERS(run)                                           \
    {"producers 1", "ns", run, NULL, 1000000, 1, 1, 1e6, NULL},       \
        {"producers 2", "ns", run, NULL, 1000000, 2, 1, 1e6, NULL},   \
        {"producers 4", "ns", run, NULL, 1000000, 4, 1, 1e6, NULL}, { \
        "producers 8", "ns", run, NULL, 1000000, 8, 1, 1e6, NULL      \
    }
#define PEER_PING(run, n) \
    { "ping", "ns", run, NULL, n, 0, 1, n, NULL }
#define PEER_FORK_JOIN(run) \
    { "fork-join", "ns", run, NULL, PEER_FIB, 0, 1, PEER_FIB_CALLS, NULL }

static inline void peer_check_fib(size_t n, uint64_t result) {
    uint64_t a = 0, b = 1;
    for (; n > 0; n--) {
        uint64_t c = a + b;
        a = b;
        b = c;
    }
    peer_expect("fib", result, a);
}

/* --- what measures itself --- */

#define PEER_SLEEPERS 50 /* workers for tasks that sleep */
#define PEER_WAITING 1000000

/* n tasks of so many milliseconds each, through PEER_SLEEPERS workers: how far above the ideal the time since `begun`
 * is, in per cent. */
static inline double peer_percent_over(double begun, size_t n, unsigned milliseconds) {
    double ideal = (double)n * milliseconds * 1e6 / PEER_SLEEPERS;
    return ((peer_clock() - begun) / ideal - 1) * 100;
}

/* How many milliseconds from now timer i is due: within an hour, and in no order; none within the first minute. */
static inline unsigned peer_due(uint64_t i) {
    return (unsigned)(60000 + peer_xorshift(i + 1, 3) % 3540000);
}

#define PEER_IO(figure)                                               \
    {"io 10000 x 10 ms", "%", NULL, figure, 10000, 10, 0, 0, NULL}, { \
        "io 1000 x 100 ms", "%", NULL, figure, 1000, 100, 0, 0, NULL  \
    }
#define PEER_TIMERS(figure) \
    { "timers", "ns", NULL, figure, PEER_WAITING, 0, 0, 0, NULL }
#define PEER_CANCEL_STORM(figure) \
    { "cancel storm", "ns", NULL, figure, PEER_WAITING, 0, 0, 0, NULL }
#define PEER_MEMORY(figure) \
    { "memory", "bytes", NULL, figure, PEER_WAITING, 0, 0, 0, NULL }
#define PEER_CREATE(run) \
    { "create + destroy", "us", run, NULL, 0, 0, 20, 20, NULL }
#define PEER_WAKE_UP(figure)                                        \
    {"wake-up, median", "us", NULL, figure, 500, 50, 0, 0, NULL}, { \
        "wake-up, 99 %", "us", NULL, figure, 500, 99, 0, 0, NULL    \
    }

#endif
