// peer_tbb.cpp - oneTBB: a task_group for tasks, parallel_for with its automatic partitioner for maps and loops. The
// thread that waits works, too, so PEER_WORKERS threads in all are its default on as many cores. Producers share a
// task_arena of PEER_WORKERS; each runs its task_group there. A stream of items is a parallel_pipeline of three
// filters, the first and the last serial_in_order, whose tokens are batches of 1,000 items.
//
// wake-up: task_arena::enqueue. cancel storm and memory: its one worker is held, and the thread that submits does not
// wait yet; task_group::cancel is one call for all, and the wait throws them away. create + destroy: all of its
// threads, by a task_scheduler_handle, since an arena alone neither starts nor ends one.
#include <atomic>
#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/parallel_pipeline.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "threads.h"
#include "work.h"

namespace tbb = oneapi::tbb;
using range = tbb::blocked_range<size_t>;

static void produce(size_t n) {
    void **results = static_cast<void **>(peer_alloc(n, sizeof *results));
    tbb::task_group group;
    for (size_t i = 0; i < n; i++)
        group.run([results, i] { results[i] = &results[i]; });
    group.wait();
    for (size_t i = 0; i < n; i++)
        if (results[i] != &results[i])
            peer_fail("a result");
    free(results);
}

static void run_stream(size_t n, unsigned) {
    produce(n);
}

static tbb::task_arena &arena_of_workers() {
    static tbb::task_arena arena(PEER_WORKERS);
    return arena;
}

static void produce_in_arena(size_t n) {
    arena_of_workers().execute([n] { produce(n); });
}

static void run_producers(size_t n, unsigned producers) {
    peer_produce(n, producers, produce_in_arena);
}

static void run_ping(size_t n, unsigned) {
    tbb::task_group group;
    for (size_t i = 0; i < n; i++) {
        volatile size_t result = n;
        group.run([&result, i] { result = i; });
        group.wait();
        if (result != i)
            peer_fail("a result");
    }
}

static uint64_t fib(uint64_t n) {
    if (n < 2)
        return n;
    uint64_t left, right;
    tbb::task_group group;
    group.run([&left, n] { left = fib(n - 1); });
    right = fib(n - 2);
    group.wait();
    return left + right;
}

static void run_fork_join(size_t n, unsigned) {
    peer_check_fib(n, fib(n));
}

// --- maps ---

static void run_for(size_t n, unsigned how) {
    tbb::parallel_for(range(0, n), [how](const range &r) { peer_range(r.begin(), r.end(), how); });
}

static void run_nested(size_t n, unsigned how) {
    tbb::parallel_for(size_t(0), n / PEER_INNER, [how](size_t i) {
        tbb::parallel_for(range(i * PEER_INNER, (i + 1) * PEER_INNER),
                          [how](const range &r) { peer_range(r.begin(), r.end(), how); });
    });
}

static void run_few_heavy(size_t n, unsigned how) {
    tbb::parallel_for(range(0, n), [how](const range &r) { peer_uneven_range(r.begin(), r.end(), how); });
}

static void run_mandelbrot(size_t n, unsigned) {
    tbb::parallel_for(size_t(0), n, [](size_t row) { peer_draw_row(row, peer_picture[row]); });
}

// --- a stream of items ---

enum { BATCH = 1000, TOKENS = 4 * PEER_WORKERS };

struct batch {
    size_t first, n;
    uint64_t results[BATCH];
};

static batch batches[TOKENS]; // no more are under way, and they end in their order, so the next one is always free

static batch *next_batch(tbb::flow_control &control, size_t &last, size_t n) {
    batch *next = &batches[last / BATCH % TOKENS];
    if (last == n) {
        control.stop();
        return nullptr;
    }
    next->first = last + 1;
    next->n = n - last < BATCH ? n - last : BATCH;
    last += next->n;
    return next;
}

static void run_items(size_t n, unsigned) {
    size_t last = 0;
    uint64_t all = 0;
    auto source = [&last, n](tbb::flow_control &control) { return next_batch(control, last, n); };
    auto work_on = [](batch *b) {
        for (size_t i = 0; i < b->n; i++)
            b->results[i] = peer_xorshift(b->first + i, PEER_LONG_ROUNDS);
        return b;
    };
    auto consume = [&all](batch *b) {
        for (size_t i = 0; i < b->n; i++)
            all = peer_fold(all, b->results[i]);
    };
    tbb::parallel_pipeline(TOKENS, tbb::make_filter<void, batch *>(tbb::filter_mode::serial_in_order, source) &
                                       tbb::make_filter<batch *, batch *>(tbb::filter_mode::parallel, work_on) &
                                       tbb::make_filter<batch *, void>(tbb::filter_mode::serial_in_order, consume));
    peer_check_fold(n, all);
}

// --- what measures itself ---

// All but the thread that calls this, which waits itself.
static void hold_workers(tbb::task_group &held) {
    for (unsigned i = 1; i < PEER_WORKERS; i++)
        held.run([] { peer_hold(); });
    peer_await_held(PEER_WORKERS - 1);
}

static double measure_cancel_storm(size_t n, unsigned) {
    tbb::task_group held, storm;
    hold_workers(held);
    for (size_t i = 0; i < n; i++)
        storm.run([] { peer_fail("a task that must not run"); });
    double begun = peer_clock();
    storm.cancel();
    peer_expect("the cancelled", storm.wait(), tbb::canceled);
    peer_release();
    produce(1);
    double figure = (peer_clock() - begun) / double(n);
    held.wait();
    return figure;
}

static double measure_memory(size_t n, unsigned) {
    static std::atomic<size_t> ran;
    double before = peer_resident();
    tbb::task_group held, waiting;
    hold_workers(held);
    for (size_t i = 0; i < n; i++)
        waiting.run([] { ran++; });
    double figure = (peer_resident() - before) / double(n);
    peer_release();
    waiting.wait();
    held.wait();
    peer_expect("the number of tasks", ran, n);
    return figure;
}

static void run_create(size_t, unsigned) {
    tbb::task_scheduler_handle handle{tbb::attach{}};
    peer_latch latch;
    peer_latch_init(&latch, 1);
    {
        tbb::task_arena arena(PEER_WORKERS);
        arena.enqueue([&latch] { peer_arrive(&latch); });
        peer_await(&latch);
    }
    if (!tbb::finalize(handle, std::nothrow))
        peer_fail("finalize");
}

static void submit_woken() {
    arena_of_workers().enqueue([] { peer_woken(); });
}

static double measure_wake_up(size_t n, unsigned percent) {
    return peer_wake_ups(submit_woken, n, percent);
}

int main(int argc, char **argv) {
    static const struct peer_case cases[] = {
        PEER_STREAM(run_stream),
        PEER_PRODUCERS(run_producers),
        PEER_PING(run_ping, 100000),
        PEER_FORK_JOIN(run_fork_join),
        PEER_MAPS("map", run_for),
        PEER_MAPS("for", run_for),
        PEER_SMALL_MAP(run_for),
        PEER_NESTED(run_nested),
        PEER_FEW_HEAVY(run_few_heavy),
        PEER_MANDELBROT(run_mandelbrot),
        PEER_LONG_STREAM(run_items),
        PEER_CANCEL_STORM(measure_cancel_storm),
        PEER_CREATE(run_create),
        PEER_WAKE_UP(measure_wake_up),
        PEER_MEMORY(measure_memory),
        {},
    };
    tbb::global_control limit(tbb::global_control::max_allowed_parallelism, PEER_WORKERS);
    peer_make_items();
    return peer_main(argc, argv, cases);
}
