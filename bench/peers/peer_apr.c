/* peer_apr.c - APR-util's thread pool, all of whose threads are there from the start. Its tasks have no results and
 * cannot be waited for, so each stores its own, and arrives. A push goes past all that wait, so that a million of them
 * take time in the square of that: only 20,000 wait for the figure of memory. */
#include <apr_general.h>
#include <apr_thread_pool.h>

#include "threads.h"
#include "work.h"

static apr_thread_pool_t *pool;
static apr_pool_t *memory;

static apr_thread_pool_t *make(unsigned workers) {
    apr_thread_pool_t *made;
    if (apr_thread_pool_create(&made, workers, workers, memory) != APR_SUCCESS)
        peer_fail("apr_thread_pool_create");
    return made;
}

static void submit(apr_thread_pool_t *to, apr_thread_start_t fn, void *arg) {
    if (apr_thread_pool_push(to, fn, arg, APR_THREAD_TASK_PRIORITY_NORMAL, NULL) != APR_SUCCESS)
        peer_fail("apr_thread_pool_push");
}

static void *APR_THREAD_FUNC work(apr_thread_t *thread, void *task) {
    (void)thread;
    peer_work(task);
    return NULL;
}

static void push(void *task) {
    submit(pool, work, task);
}

static void produce(size_t n) {
    peer_push_all(n, push);
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
    for (size_t i = 0; i < n; i++)
        produce(1);
}

/* --- what measures itself --- */

static unsigned nap; /* microseconds */

static void *APR_THREAD_FUNC sleep_once(apr_thread_t *thread, void *task) {
    (void)thread;
    peer_sleep(nap);
    peer_work(task);
    return NULL;
}

static void push_sleep(void *task) {
    submit(pool, sleep_once, task);
}

static double measure_io(size_t n, unsigned milliseconds) {
    nap = milliseconds * 1000;
    pool = make(PEER_SLEEPERS);
    peer_push_all(PEER_SLEEPERS, push_sleep);
    double begun = peer_clock();
    peer_push_all(n, push_sleep);
    return peer_percent_over(begun, n, milliseconds);
}

static void *APR_THREAD_FUNC hold(apr_thread_t *thread, void *unused) {
    (void)thread, (void)unused;
    peer_hold();
    return NULL;
}

static double measure_memory(size_t n, unsigned unused) {
    (void)unused;
    double before = peer_resident();
    pool = make(PEER_WORKERS);
    for (size_t i = 0; i < PEER_WORKERS; i++)
        submit(pool, hold, NULL);
    peer_await_held(PEER_WORKERS);
    for (size_t i = 0; i < n; i++)
        submit(pool, hold, NULL);
    double figure = (peer_resident() - before) / (double)n;
    peer_release();
    return figure;
}

/* Its destroy drops what has not started, so the task is waited for. */
static void run_create(size_t n, unsigned unused) {
    (void)n, (void)unused;
    struct peer_latch latch;
    struct peer_task task = {&latch, NULL};
    peer_latch_init(&latch, 1);
    apr_thread_pool_t *made = make(PEER_WORKERS);
    submit(made, work, &task);
    peer_await(&latch);
    if (apr_thread_pool_destroy(made) != APR_SUCCESS)
        peer_fail("apr_thread_pool_destroy");
    peer_expect("the task", task.result == &task, true);
}

static void *APR_THREAD_FUNC woken(apr_thread_t *thread, void *unused) {
    peer_woken();
    (void)thread, (void)unused;
    return NULL;
}

static void submit_woken(void) {
    submit(pool, woken, NULL);
}

static double measure_wake_up(size_t n, unsigned percent) {
    return peer_wake_ups(submit_woken, n, percent);
}

int main(int argc, char **argv) {
    static const struct peer_case cases[] = {
        PEER_STREAM(run_stream),
        PEER_PRODUCERS(run_producers),
        PEER_PING(run_ping, 20000),
        PEER_IO(measure_io),
        PEER_CREATE(run_create),
        PEER_WAKE_UP(measure_wake_up),
        {"memory", "bytes", NULL, measure_memory, 20000, 0, 0, 0, NULL},
        {0},
    };
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&memory, NULL) != APR_SUCCESS)
        peer_fail("apr_initialize");
    pool = make(PEER_WORKERS);
    int status = peer_main(argc, argv, cases);
    apr_thread_pool_destroy(pool);
    apr_terminate();
    return status;
}
