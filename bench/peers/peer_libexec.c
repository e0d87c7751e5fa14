/* peer_libexec.c - our own side: executor_submit() and future_get(), executor_map(), executor_for(), exec_stream. What
 * is timed in the cases that measure themselves is the same for all, and said here.
 *
 * io: executor_map() by an executor of 50 workers that have slept before. timers: submit with a .delay, cancel, and
 * give the future back, while a million others wait for their times. cancel storm: from the first of a million cancels
 * until every future has said ECANCELED, the workers have been let go, and one of them has run a task submitted after
 * that; so what the cancelled ones leave in the queue counts. memory: what a million waiting tasks with futures add,
 * and the executor with a queue for all of them; the caller's array of futures was there before.
 */
#include <errno.h>
#include <exec.h>

#include "threads.h"
#include "work.h"

static executor_t *ex;
static unsigned rounds;

static void check(int error) {
    if (error != 0)
        peer_fail("a call of libexec");
}

static executor_t *make(unsigned workers, size_t capacity) {
    executor_t *made;
    check(executor_create(&(executor_opts){.workers = workers, .capacity = capacity}, &made));
    return made;
}

/* --- tasks --- */

static void *empty(void *arg) {
    return arg;
}

static void produce(size_t n) {
    future_t **fs = peer_alloc(n, sizeof *fs);
    for (size_t i = 0; i < n; i++)
        check(executor_submit(ex, empty, &fs[i], NULL, &fs[i]));
    for (size_t i = 0; i < n; i++) {
        void *result;
        check(future_get(fs[i], &result));
        if (result != &fs[i])
            peer_fail("a result");
        future_unref(fs[i]);
    }
    free(fs);
}

static void run_stream(size_t n, unsigned unused) {
    (void)unused;
    produce(n);
}

static void run_producers(size_t n, unsigned producers) {
    peer_produce(n, producers, produce);
}

static void run_ping(size_t n, unsigned unused) {
    (void)unused;
    for (size_t i = 0; i < n; i++) {
        future_t *f;
        check(executor_submit(ex, empty, &f, NULL, &f));
        check(future_get(f, NULL));
        future_unref(f);
    }
}

static void *fib(void *arg) {
    uintptr_t n = (uintptr_t)arg;
    future_t *f;
    void *left;
    if (n < 2)
        return arg;
    check(executor_submit(ex, fib, (void *)(n - 1), NULL, &f));
    uintptr_t right = (uintptr_t)fib((void *)(n - 2));
    check(future_get(f, &left));
    future_unref(f);
    return (void *)((uintptr_t)left + right);
}

static void run_fork_join(size_t n, unsigned unused) {
    (void)unused;
    void *result;
    future_t *f;
    check(executor_submit(ex, fib, (void *)n, NULL, &f));
    check(future_get(f, &result));
    future_unref(f);
    peer_check_fib(n, (uintptr_t)result);
}

/* --- maps --- */

static void *item(void *arg) {
    return (void *)peer_xorshift((uintptr_t)arg, rounds);
}

static void run_map(size_t n, unsigned how) {
    rounds = how;
    check(executor_map(ex, item, (void *const *)peer_in, (void **)peer_out, n, NULL));
}

static void range(size_t begin, size_t end, void *ctx) {
    peer_range(begin, end, *(const unsigned *)ctx);
}

static void run_for(size_t n, unsigned how) {
    check(executor_for(ex, n, range, &how, NULL));
}

static void *inner_map(void *arg) {
    size_t first = (size_t)((uint64_t *)arg - peer_in);
    check(executor_map(ex, item, (void *const *)arg, (void **)&peer_out[first], PEER_INNER, NULL));
    return arg;
}

static void run_nested(size_t n, unsigned how) {
    void *args[PEER_OUTER];
    rounds = how;
    for (size_t i = 0; i < PEER_OUTER; i++)
        args[i] = &peer_in[i * (n / PEER_OUTER)];
    check(executor_map(ex, inner_map, args, NULL, PEER_OUTER, NULL));
}

static void uneven_range(size_t begin, size_t end, void *ctx) {
    peer_uneven_range(begin, end, *(const unsigned *)ctx);
}

static void run_few_heavy(size_t n, unsigned how) {
    check(executor_for(ex, n, uneven_range, &how, NULL));
}

static void *draw_row(void *arg) {
    unsigned *pixels = arg;
    peer_draw_row((size_t)(pixels - peer_picture[0]) / PEER_ROWS, pixels);
    return NULL;
}

static void run_mandelbrot(size_t n, unsigned unused) {
    (void)unused;
    void *args[PEER_ROWS];
    for (size_t i = 0; i < n; i++)
        args[i] = peer_picture[i];
    check(executor_map(ex, draw_row, args, NULL, n, NULL));
}

/* --- a stream of items --- */

static int next_number(void *arg, void **number) {
    size_t *last = arg;
    if (*last == PEER_LONG)
        return ENODATA;
    *number = (void *)(uintptr_t)++ * last;
    return 0;
}

static void run_items(size_t n, unsigned unused) {
    (void)unused;
    size_t last = 0;
    uint64_t all = 0;
    exec_stream_t *stream;
    exec_item out;
    rounds = PEER_LONG_ROUNDS;
    check(exec_stream_open(ex, next_number, &last, item, NULL, &stream));
    while (exec_stream_next(stream, &out))
        all = peer_fold(all, (uintptr_t)out.result);
    check(out.error);
    exec_stream_close(stream);
    peer_check_fold(n, all);
}

/* --- what measures itself --- */

static void *sleep_once(void *arg) {
    check(exec_sleep(*(exec_time *)arg));
    return NULL;
}

static double measure_io(size_t n, unsigned milliseconds) {
    executor_t *sleepers = make(PEER_SLEEPERS, 0);
    exec_time duration = EXEC_MS(milliseconds);
    void **args = peer_alloc(n, sizeof *args);
    for (size_t i = 0; i < n; i++)
        args[i] = &duration;
    check(executor_map(sleepers, sleep_once, args, NULL, PEER_SLEEPERS, NULL));
    double begun = peer_clock();
    check(executor_map(sleepers, sleep_once, args, NULL, n, NULL));
    double figure = peer_percent_over(begun, n, milliseconds);
    executor_destroy(sleepers);
    free(args);
    return figure;
}

static void *must_not_run(void *arg) {
    peer_fail("a task that must not run");
    return arg;
}

static void submit_later(uint64_t i, future_t **out) {
    check(executor_submit(ex, must_not_run, NULL, &(exec_task_opts){.delay = EXEC_MS(peer_due(i))}, out));
}

static double measure_timers(size_t n, unsigned unused) {
    enum { TIMES = 200000 };
    (void)unused;
    for (size_t i = 0; i < n; i++)
        submit_later(i, NULL);
    double begun = peer_clock();
    for (size_t i = 0; i < TIMES; i++) {
        future_t *f;
        submit_later(n + i, &f);
        check(future_cancel(f));
        future_unref(f);
    }
    double figure = (peer_clock() - begun) / TIMES;
    check(executor_shutdown(ex, EXECUTOR_DISCARD));
    return figure;
}

static void *hold(void *arg) {
    peer_hold();
    return arg;
}

static void *arrive(void *arg) {
    peer_arrive(arg);
    return arg;
}

/* An executor with all of its workers held, and room for n tasks and some more. */
static executor_t *make_held(size_t n) {
    executor_t *held = make(PEER_WORKERS, n + 16);
    for (unsigned i = 0; i < PEER_WORKERS; i++)
        check(executor_submit(held, hold, NULL, NULL, NULL));
    peer_await_held(PEER_WORKERS);
    return held;
}

static double cancel_all(executor_t *held, future_t **fs, size_t n) {
    struct peer_latch latch;
    peer_latch_init(&latch, 1);
    double begun = peer_clock();
    for (size_t i = 0; i < n; i++)
        check(future_cancel(fs[i]));
    for (size_t i = 0; i < n; i++) {
        peer_expect("a cancelled future", (uint64_t)future_get(fs[i], NULL), ECANCELED);
        future_unref(fs[i]);
    }
    peer_release();
    check(executor_submit(held, arrive, &latch, NULL, NULL));
    peer_await(&latch);
    return (peer_clock() - begun) / (double)n;
}

static double measure_cancel_storm(size_t n, unsigned unused) {
    (void)unused;
    future_t **fs = peer_alloc(n, sizeof *fs);
    executor_t *held = make_held(n);
    for (size_t i = 0; i < n; i++)
        check(executor_submit(held, must_not_run, NULL, NULL, &fs[i]));
    double figure = cancel_all(held, fs, n);
    executor_destroy(held);
    free(fs);
    return figure;
}

static double measure_memory(size_t n, unsigned unused) {
    (void)unused;
    future_t **fs = peer_alloc(n, sizeof *fs);
    double before = peer_resident();
    executor_t *held = make_held(n);
    for (size_t i = 0; i < n; i++)
        check(executor_submit(held, empty, &fs[i], NULL, &fs[i]));
    double figure = (peer_resident() - before) / (double)n;
    peer_release();
    for (size_t i = 0; i < n; i++) {
        check(future_get(fs[i], NULL));
        future_unref(fs[i]);
    }
    executor_destroy(held);
    free(fs);
    return figure;
}

static void run_create(size_t n, unsigned unused) {
    (void)n, (void)unused;
    struct peer_latch latch;
    peer_latch_init(&latch, 1);
    executor_t *made = make(PEER_WORKERS, 0);
    check(executor_submit(made, arrive, &latch, NULL, NULL));
    executor_destroy(made);
    peer_expect("the task", latch.open, true);
}

static void *woken(void *arg) {
    peer_woken();
    return arg;
}

static void submit_woken(void) {
    check(executor_submit(ex, woken, NULL, NULL, NULL));
}

static double measure_wake_up(size_t n, unsigned percent) {
    return peer_wake_ups(submit_woken, n, percent);
}

int main(int argc, char **argv) {
    static const struct peer_case cases[] = {
        PEER_STREAM(run_stream),       PEER_PRODUCERS(run_producers),
        PEER_PING(run_ping, 100000),   PEER_FORK_JOIN(run_fork_join),
        PEER_MAPS("map", run_map),     PEER_MAPS("for", run_for),
        PEER_SMALL_MAP(run_for),       PEER_NESTED(run_nested),
        PEER_FEW_HEAVY(run_few_heavy), PEER_MANDELBROT(run_mandelbrot),
        PEER_LONG_STREAM(run_items),   PEER_IO(measure_io),
        PEER_TIMERS(measure_timers),   PEER_CANCEL_STORM(measure_cancel_storm),
        PEER_CREATE(run_create),       PEER_WAKE_UP(measure_wake_up),
        PEER_MEMORY(measure_memory),   {0},
    };
    peer_make_items();
    ex = make(PEER_WORKERS, 0);
    int status = peer_main(argc, argv, cases);
    executor_destroy(ex);
    return status;
}
