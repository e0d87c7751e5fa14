/* peer_openmp.c - OpenMP, gcc's libgomp: tasks in a parallel region of PEER_WORKERS threads, one of which makes them;
 * loops with schedule(guided), which measured best of static, dynamic and guided for even work and for the few heavy
 * items (dynamic, of any chunk, is slower there); with schedule(dynamic) for the rows of the picture, where they hardly
 * differ. A taskloop in a taskloop for nested maps. */
#include <omp.h>

#include "work.h"

static void run_stream(size_t n, unsigned unused) {
    (void)unused;
    void **results = peer_alloc(n, sizeof *results);
#pragma omp parallel num_threads(PEER_WORKERS)
#pragma omp single
    for (size_t i = 0; i < n; i++) {
#pragma omp task firstprivate(i) shared(results)
        results[i] = &results[i];
    }
    for (size_t i = 0; i < n; i++)
        if (results[i] != &results[i])
            peer_fail("a result");
    free(results);
}

static uint64_t fib(uint64_t n) {
    uint64_t left, right;
    if (n < 2)
        return n;
#pragma omp task shared(left) firstprivate(n)
    left = fib(n - 1);
    right = fib(n - 2);
#pragma omp taskwait
    return left + right;
}

static void run_fork_join(size_t n, unsigned unused) {
    (void)unused;
    uint64_t result = 0;
#pragma omp parallel num_threads(PEER_WORKERS)
#pragma omp single
    result = fib(n);
    peer_check_fib(n, result);
}

static void run_for(size_t n, unsigned how) {
#pragma omp parallel for num_threads(PEER_WORKERS) schedule(guided)
    for (size_t i = 0; i < n; i++)
        peer_out[i] = peer_xorshift(peer_in[i], how);
}

static void run_nested(size_t n, unsigned how) {
#pragma omp parallel num_threads(PEER_WORKERS)
#pragma omp single
#pragma omp taskloop
    for (size_t i = 0; i < n; i += PEER_INNER) {
#pragma omp taskloop
        for (size_t j = i; j < i + PEER_INNER; j++)
            peer_out[j] = peer_xorshift(peer_in[j], how);
    }
}

static void run_few_heavy(size_t n, unsigned how) {
#pragma omp parallel for num_threads(PEER_WORKERS) schedule(guided)
    for (size_t i = 0; i < n; i++)
        peer_out[i] = peer_xorshift(peer_in[i], peer_uneven_rounds(i, how));
}

static void run_mandelbrot(size_t n, unsigned unused) {
    (void)unused;
#pragma omp parallel for num_threads(PEER_WORKERS) schedule(dynamic)
    for (size_t i = 0; i < n; i++)
        peer_draw_row(i, peer_picture[i]);
}

int main(int argc, char **argv) {
    static const struct peer_case cases[] = {
        PEER_STREAM(run_stream),         PEER_FORK_JOIN(run_fork_join),
        PEER_MAPS("for", run_for),       PEER_SMALL_MAP(run_for),
        PEER_NESTED(run_nested),         PEER_FEW_HEAVY(run_few_heavy),
        PEER_MANDELBROT(run_mandelbrot), {0},
    };
    peer_make_items();
    return peer_main(argc, argv, cases);
}
