/* interrupt.c - Ctrl-C: stop taking work, finish what can be finished, drop the rest, leave in time, and say what was
 * still running.
 *
 *     interrupt [--demo]
 *
 * Jobs are submitted without end, until SIGINT or SIGTERM comes. Then nothing more is accepted; what was accepted has
 * half a second to be done; what has not begun by then is dropped, and what runs is asked to stop, and has half a
 * second for that. One job does neither: it hears nothing. It owns what it uses, so it may be given up
 * (EXEC_ABANDON), and the program leaves without it, on time. A second Ctrl-C ends the program at once.
 *
 * With --demo the program interrupts itself, after a fifth of a second. It checks that every job is accounted for.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <exec.h>

#include "demo.h"

#define GRACE EXEC_MS(500)

static executor_t *ex; /* for the handler */

static struct { atomic_ulong done, stopped, dropped; } jobs;

static void on_signal(int number) {
    (void)number;
    executor_request_shutdown(ex);
}

/* The handler is called once: the next signal does what it would without it. */
static int watch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    return sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0 ? errno : 0;
}

static void ignore_signals(void) {
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* --- the jobs --- */

static void *work(void *arg) {
    int error = exec_sleep(EXEC_MS(20));
    atomic_fetch_add(error == 0 ? &jobs.done : &jobs.stopped, 1);
    return error == 0 ? arg : exec_fail(error);
}

/* As if in a call that has hung: nothing here looks at exec_cancelled(). */
static void *get_stuck(void *arg) {
    struct timespec left = {.tv_sec = 1000};
    while (nanosleep(&left, &left) != 0)
        continue;
    return arg;
}

static void *interrupt(void *arg) {
    kill(getpid(), SIGINT);
    atomic_fetch_add(&jobs.done, 1);
    return arg;
}

static void count_dropped(void *arg) {
    (void)arg;
    atomic_fetch_add(&jobs.dropped, 1);
}

/* Until the executor is shut down: how many were accepted. */
static unsigned long submit_all(bool is_demo) {
    const exec_task_opts plain = {.drop = count_dropped, .name = "a plain job"};
    const exec_task_opts stuck = {
        .timeout = EXEC_MS(100), .on_timeout = EXEC_ABANDON, .name = "the job that hears nothing"};
    const exec_task_opts later = {.delay = EXEC_MS(200), .priority = 8, .drop = count_dropped};
    unsigned long accepted = executor_submit(ex, get_stuck, NULL, &stuck, NULL) == 0;
    if (is_demo)
        accepted += executor_submit(ex, interrupt, NULL, &later, NULL) == 0;
    while (executor_submit(ex, work, NULL, &plain, NULL) == 0)
        accepted++;
    return accepted;
}

/* --- the end --- */

static size_t report_running(void) {
    exec_straggler list[8];
    size_t n = 0;
    if (executor_stragglers(ex, list, 8, &n) != 0)
        return 0;
    for (size_t i = 0; i < n && i < 8; i++)
        printf("still running: %s, for %.2f s%s\n", list[i].name != NULL ? list[i].name : "a job without a name",
               demo_seconds(list[i].running), list[i].abandoned ? ", given up" : "");
    return n;
}

/* How many are still running. */
static size_t leave(void) {
    if (executor_join(ex, exec_after(GRACE)) == ETIMEDOUT) {
        executor_shutdown(ex, EXECUTOR_DISCARD);
        if (executor_join(ex, exec_after(GRACE)) == ETIMEDOUT)
            return report_running();
    }
    return 0;
}

int main(int argc, char *argv[]) {
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    if (argc > 2 || (argc == 2 && !is_demo)) {
        fputs("usage: interrupt [--demo]\n", stderr);
        return 2;
    }
    int error = executor_create(&(executor_opts){.workers = 4, .capacity = 200}, &ex);
    if (error == 0)
        error = watch_signals();
    if (error != 0)
        return demo_error("interrupt", "executor_create", error);
    if (!is_demo)
        puts("working until Ctrl-C");
    unsigned long accepted = submit_all(is_demo);
    exec_time begun = exec_now();
    size_t running = leave();
    ignore_signals(); /* the handler must not be called on what is gone */
    executor_destroy(ex);
    unsigned long done = atomic_load(&jobs.done), stopped = atomic_load(&jobs.stopped);
    unsigned long dropped = atomic_load(&jobs.dropped);
    printf("%lu accepted: %lu done, %lu stopped, %lu dropped, %zu still running; left in %.2f s\n", accepted, done,
           stopped, dropped, running, demo_seconds(exec_now() - begun));
    bool right = accepted == done + stopped + dropped + running && running == 1;
    return demo_finish("interrupt", right ? 0 : demo_error("interrupt", "the books", EPROTO));
}
