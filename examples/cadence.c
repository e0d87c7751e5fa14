/* cadence.c - a submitter with a cadence: a job at each tick, and one that finds no room for too long is dropped.
 *
 *     cadence [MILLISECONDS]
 *     cadence --demo
 *
 * Every 2 s, or so many milliseconds, 20 times, a job is put on a queue of 10; when there is no room for five periods
 * it is dropped, which is said. Each job takes seven periods, and there is one worker, so the queue fills up. The
 * submitter is a task with a period itself, on an executor of its own; while it waits for room its runs are late, those
 * it misses are left out, and the next ones are on time again. --demo has a period of 10 ms.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <exec.h>

#include "demo.h"

enum { TICKS = 20, ROOM = 10, PATIENCE = 5, EFFORT = 7 }; /* the last two in periods */

struct cadence {
    executor_t *jobs;
    exec_time period, start;
    int ticks, accepted, dropped; /* by the submitter */
    atomic_int done;
};

/* One job. */
static void *work(void *arg) {
    struct cadence *c = arg;
    int error = exec_sleep(EFFORT * c->period);
    if (error != 0)
        return exec_fail(error);
    atomic_fetch_add(&c->done, 1);
    return NULL;
}

/* One run of the submitter. */
static void *tick(void *arg) {
    struct cadence *c = arg;
    double periods = (double)(exec_now() - c->start) / (double)c->period;
    int error = executor_submit(c->jobs, work, c, &(exec_task_opts){.room_wait = PATIENCE * c->period}, NULL);
    if (error != 0 && error != ETIMEDOUT)
        return exec_fail(error);
    c->accepted += error == 0;
    c->dropped += error == ETIMEDOUT;
    printf("job %2d, at %5.2f periods: %s\n", ++c->ticks, periods, error == 0 ? "accepted" : "dropped");
    return NULL;
}

static int submit_in_time(executor_t *clock, struct cadence *c) {
    future_t *submitter;
    c->start = exec_now();
    int error = executor_submit(clock, tick, c, &(exec_task_opts){.every = c->period, .count = TICKS}, &submitter);
    if (error != 0)
        return error;
    error = future_get(submitter, NULL);
    future_unref(submitter);
    return error;
}

static int run(struct cadence *c) {
    executor_t *clock;
    int error = executor_create(&(executor_opts){.workers = 1, .capacity = ROOM}, &c->jobs);
    if (error != 0)
        return error;
    error = executor_create(&(executor_opts){.workers = 1}, &clock);
    if (error == 0) {
        error = submit_in_time(clock, c);
        executor_destroy(clock);
    }
    executor_destroy(c->jobs); /* waits for what was accepted */
    return error;
}

int main(int argc, char *argv[]) {
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    unsigned long milliseconds = is_demo ? 10 : 2000;
    if (argc > 2 || (argc == 2 && !is_demo && demo_number(argv[1], 1, 1000000, &milliseconds) != 0)) {
        fputs("usage: cadence [MILLISECONDS]\n       cadence --demo\n", stderr);
        return 2;
    }
    struct cadence c = {.period = EXEC_MS(milliseconds)};
    int error = run(&c);
    if (error != 0)
        return demo_error("cadence", "submitting", error);
    int done = atomic_load(&c.done);
    printf("%d ticks: %d accepted, %d dropped; %d done\n", c.ticks, c.accepted, c.dropped, done);
    if (c.ticks != TICKS || c.accepted + c.dropped != TICKS || done != c.accepted)
        return demo_error("cadence", "counting", EPROTO);
    return demo_finish("cadence", 0);
}
