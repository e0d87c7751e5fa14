/* peer_glib.c - GLib's GThreadPool, with threads of its own (exclusive). Its tasks have no results and cannot be waited
 * for, so each stores its own, and arrives. Timers are timeout sources of one GMainContext, attached and destroyed; its
 * list of sources is unordered, so that a million of them cost memory only as long as it does not iterate. */
#include <glib.h>

#include "threads.h"
#include "work.h"

static GThreadPool *pool;

static GThreadPool *make(GFunc work, gint workers) {
    GThreadPool *made = g_thread_pool_new(work, NULL, workers, TRUE, NULL);
    if (made == NULL)
        peer_fail("g_thread_pool_new");
    return made;
}

static void push(void *task) {
    if (!g_thread_pool_push(pool, task, NULL))
        peer_fail("g_thread_pool_push");
}

static void work(gpointer task, gpointer unused) {
    (void)unused;
    peer_work(task);
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

static void sleep_once(gpointer task, gpointer unused) {
    (void)unused;
    peer_sleep(nap);
    peer_work(task);
}

static double measure_io(size_t n, unsigned milliseconds) {
    nap = milliseconds * 1000;
    pool = make(sleep_once, PEER_SLEEPERS);
    produce(PEER_SLEEPERS);
    double begun = peer_clock();
    produce(n);
    return peer_percent_over(begun, n, milliseconds);
}

static gboolean must_not_fire(gpointer unused) {
    (void)unused;
    peer_fail("a timer that must not fire");
    return FALSE;
}

static GSource *arm(GMainContext *context, uint64_t i) {
    GSource *source = g_timeout_source_new(peer_due(i));
    g_source_set_callback(source, must_not_fire, NULL, NULL);
    if (g_source_attach(source, context) == 0)
        peer_fail("g_source_attach");
    return source;
}

static double measure_timers(size_t n, unsigned unused) {
    enum { TIMES = 200000 };
    (void)unused;
    GMainContext *context = g_main_context_new();
    for (size_t i = 0; i < n; i++)
        g_source_unref(arm(context, i));
    double begun = peer_clock();
    for (size_t i = 0; i < TIMES; i++) {
        GSource *source = arm(context, n + i);
        g_source_destroy(source);
        g_source_unref(source);
    }
    return (peer_clock() - begun) / TIMES;
}

static void hold(gpointer task, gpointer unused) {
    (void)task, (void)unused;
    peer_hold();
}

static double measure_memory(size_t n, unsigned unused) {
    (void)unused;
    double before = peer_resident();
    pool = make(hold, PEER_WORKERS);
    for (size_t i = 0; i < PEER_WORKERS; i++)
        push(&pool);
    peer_await_held(PEER_WORKERS);
    for (size_t i = 0; i < n; i++)
        push(&pool);
    double figure = (peer_resident() - before) / (double)n;
    peer_release();
    return figure;
}

static void run_create(size_t n, unsigned unused) {
    (void)n, (void)unused;
    struct peer_latch latch;
    struct peer_task task = {&latch, NULL};
    peer_latch_init(&latch, 1);
    GThreadPool *made = make(work, PEER_WORKERS);
    if (!g_thread_pool_push(made, &task, NULL))
        peer_fail("g_thread_pool_push");
    g_thread_pool_free(made, FALSE, TRUE);
    peer_expect("the task", task.result == &task, true);
}

static void woken(gpointer task, gpointer unused) {
    peer_woken();
    (void)task, (void)unused;
}

static void submit_woken(void) {
    push(&pool);
}

static double measure_wake_up(size_t n, unsigned percent) {
    pool = make(woken, PEER_WORKERS);
    return peer_wake_ups(submit_woken, n, percent);
}

int main(int argc, char **argv) {
    static const struct peer_case cases[] = {
        PEER_STREAM(run_stream),       PEER_PRODUCERS(run_producers), PEER_PING(run_ping, 20000),
        PEER_IO(measure_io),           PEER_TIMERS(measure_timers),   PEER_CREATE(run_create),
        PEER_WAKE_UP(measure_wake_up), PEER_MEMORY(measure_memory),   {0},
    };
    pool = make(work, PEER_WORKERS);
    int status = peer_main(argc, argv, cases);
    g_thread_pool_free(pool, FALSE, TRUE);
    return status;
}
