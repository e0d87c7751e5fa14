/* peer_uv.c - libuv: uv_queue_work(), whose result comes by a callback in a loop; PEER_WORKERS threads in its one pool,
 * for io 50. A task can be queued by its loop's thread only, so each producer has a loop of its own. A waiting task is
 * a uv_work_t of the caller's, which counts as memory. create + destroy is missing: its pool is the process's. */
#include <uv.h>

#include "threads.h"
#include "work.h"

static void check(int error) {
    if (error != 0)
        peer_fail("a call of libuv");
}

/* n requests of a loop, which has no others. */
struct batch {
    uv_loop_t loop;
    uv_work_t *requests; /* n */
    size_t n, ended;
};

static void open_batch(struct batch *batch, size_t n) {
    check(uv_loop_init(&batch->loop));
    batch->requests = calloc(n, sizeof *batch->requests);
    batch->n = n;
    batch->ended = 0;
    if (batch->requests == NULL)
        peer_fail("memory");
}

static void run_loop(struct batch *batch) {
    uv_run(&batch->loop, UV_RUN_DEFAULT);
    peer_expect("the number of results", batch->ended, batch->n);
}

static void close_batch(struct batch *batch) {
    check(uv_loop_close(&batch->loop));
    free(batch->requests);
}

static void queue(struct batch *batch, size_t i, uv_work_cb work, uv_after_work_cb after) {
    check(uv_queue_work(&batch->loop, &batch->requests[i], work, after));
}

static void work(uv_work_t *request) {
    request->data = request;
}

static void after(uv_work_t *request, int status) {
    struct batch *batch = (struct batch *)request->loop; /* its first member */
    if (status != 0 || request->data != request)
        peer_fail("a result");
    batch->ended++;
}

static void produce(size_t n) {
    struct batch batch;
    open_batch(&batch, n);
    for (size_t i = 0; i < n; i++)
        queue(&batch, i, work, after);
    run_loop(&batch);
    close_batch(&batch);
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
    struct batch batch;
    open_batch(&batch, 1);
    for (size_t i = 0; i < n; i++) {
        batch.ended = 0;
        queue(&batch, 0, work, after);
        run_loop(&batch);
    }
    close_batch(&batch);
}

/* --- what measures itself --- */

static void set_workers(unsigned n) {
    char workers[16];
    snprintf(workers, sizeof workers, "%u", n);
    setenv("UV_THREADPOOL_SIZE", workers, 1); /* read when the first request is queued */
}

static unsigned nap; /* microseconds */

static void sleep_once(uv_work_t *request) {
    peer_sleep(nap);
    work(request);
}

static void sleep_all(size_t n) {
    struct batch batch;
    open_batch(&batch, n);
    for (size_t i = 0; i < n; i++)
        queue(&batch, i, sleep_once, after);
    run_loop(&batch);
    close_batch(&batch);
}

static double measure_io(size_t n, unsigned milliseconds) {
    set_workers(PEER_SLEEPERS);
    nap = milliseconds * 1000;
    sleep_all(PEER_SLEEPERS);
    double begun = peer_clock();
    sleep_all(n);
    return peer_percent_over(begun, n, milliseconds);
}

static void must_not_fire(uv_timer_t *timer) {
    (void)timer;
    peer_fail("a timer that must not fire");
}

static double measure_timers(size_t n, unsigned unused) {
    enum { TIMES = 200000 };
    (void)unused;
    uv_loop_t *loop = uv_default_loop();
    uv_timer_t *timers = peer_alloc(n + 1, sizeof *timers);
    for (size_t i = 0; i <= n; i++)
        check(uv_timer_init(loop, &timers[i]));
    for (size_t i = 0; i < n; i++)
        check(uv_timer_start(&timers[i], must_not_fire, peer_due(i), 0));
    double begun = peer_clock();
    for (size_t i = 0; i < TIMES; i++) {
        check(uv_timer_start(&timers[n], must_not_fire, peer_due(n + i), 0));
        check(uv_timer_stop(&timers[n]));
    }
    return (peer_clock() - begun) / TIMES;
}

static void hold(uv_work_t *request) {
    peer_hold();
    work(request);
}

static void must_not_run(uv_work_t *request) {
    (void)request;
    peer_fail("a task that must not run");
}

static void after_cancel(uv_work_t *request, int status) {
    if (status != UV_ECANCELED)
        peer_fail("a cancelled task");
    ((struct batch *)request->loop)->ended++;
}

static void hold_workers(struct batch *batch) {
    open_batch(batch, PEER_WORKERS);
    for (size_t i = 0; i < PEER_WORKERS; i++)
        queue(batch, i, hold, after);
    peer_await_held(PEER_WORKERS);
}

static double measure_cancel_storm(size_t n, unsigned unused) {
    (void)unused;
    struct batch held, storm;
    hold_workers(&held);
    open_batch(&storm, n);
    for (size_t i = 0; i < n; i++)
        queue(&storm, i, must_not_run, after_cancel);
    double begun = peer_clock();
    for (size_t i = 0; i < n; i++)
        check(uv_cancel((uv_req_t *)&storm.requests[i]));
    run_loop(&storm);
    peer_release();
    produce(1);
    double figure = (peer_clock() - begun) / (double)n;
    run_loop(&held);
    return figure;
}

static double measure_memory(size_t n, unsigned unused) {
    (void)unused;
    struct batch held, waiting;
    double before = peer_resident();
    hold_workers(&held);
    open_batch(&waiting, n);
    for (size_t i = 0; i < n; i++)
        queue(&waiting, i, work, after);
    double figure = (peer_resident() - before) / (double)n;
    peer_release();
    run_loop(&held);
    run_loop(&waiting);
    return figure;
}

static struct batch wake_ups;
static size_t submitted;

static void woken(uv_work_t *request) {
    peer_woken();
    work(request);
}

static void submit_woken(void) {
    queue(&wake_ups, submitted++, woken, after);
}

static double measure_wake_up(size_t n, unsigned percent) {
    open_batch(&wake_ups, n + PEER_WARM_UPS);
    double figure = peer_wake_ups(submit_woken, n, percent);
    run_loop(&wake_ups);
    return figure;
}

int main(int argc, char **argv) {
    static const struct peer_case cases[] = {
        PEER_STREAM(run_stream),       PEER_PRODUCERS(run_producers), PEER_PING(run_ping, 20000),
        PEER_IO(measure_io),           PEER_TIMERS(measure_timers),   PEER_CANCEL_STORM(measure_cancel_storm),
        PEER_WAKE_UP(measure_wake_up), PEER_MEMORY(measure_memory),   {0},
    };
    set_workers(PEER_WORKERS);
    return peer_main(argc, argv, cases);
}
