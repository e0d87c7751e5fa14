/* loop.h - what the examples with an event loop share: the tasks, what became of them, and the program around the loop.
 *
 *     PROGRAM [TASKS [WORKERS]]
 *     PROGRAM --demo
 *
 * TASKS tasks (1,000 unless given) are members of a group; each waits for 1 to 20 ms and then computes. The future
 * all_done comes after them. The loop takes finished members from the group, a few in a turn, and ticks every 5 ms, in
 * place of whatever else a loop is for. Measured is its longest turn, from one poll to the next; checked, that each
 * task came out of the group once, with its result, and that the loop never waited: in a turn that did, its thread has
 * given up the processor of its own accord (getrusage(2), ru_nvcsw), however busy the machine is.
 */
#ifndef LOOP_H
#define LOOP_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <exec.h>

#include "demo.h"

enum { LOOP_TICK_MS = 5, LOOP_TASK_MS = 20, LOOP_TAKE_AT_ONCE = 32 };
enum { LOOP_WAITS_SHARE = 8 }; /* in one of 8 turns it may find a lock taken */

struct loop_task {
    uint64_t number;
    uintptr_t result;
    unsigned ends; /* how often it came out of the group */
};

struct loop {
    exec_group_t *group;
    future_t *all_done;
    size_t ticks, turns, waits; /* waits: turns in which it waited */
    exec_time turn_began, longest_turn;
    long switches; /* by then: how often the thread had waited */
    bool all_done_seen;

    struct loop_task *task;
    future_t **futures; /* what all_done comes after */
    size_t n, submitted, ended;
};

static inline uintptr_t loop_compute(uint64_t x) {
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return (uintptr_t)x;
}

static inline void *loop_run_task(void *arg) {
    const struct loop_task *task = arg;
    int error = exec_sleep(EXEC_MS(1 + task->number % LOOP_TASK_MS));
    return error != 0 ? exec_fail(error) : (void *)loop_compute(task->number);
}

static inline void *loop_nothing(void *arg) {
    return arg;
}

/* Submits all tasks and the future that comes after them. The queue has room for all: nothing here waits. */
static inline int loop_submit(struct loop *loop, executor_t *ex) {
    int error = exec_group_open(ex, NULL, &loop->group);
    while (loop->submitted < loop->n && error == 0) {
        struct loop_task *task = &loop->task[loop->submitted];
        task->number = loop->submitted + 1;
        error = exec_group_submit(loop->group, loop_run_task, task, NULL, &loop->futures[loop->submitted]);
        loop->submitted += error == 0;
    }
    exec_task_opts opts = {.after = loop->futures, .nafter = loop->n};
    return error != 0 ? error : executor_submit(ex, loop_nothing, NULL, &opts, &loop->all_done);
}

/* What the loop does when the group's descriptor is readable: takes the tasks that have finished, and waits for none.
 */
static inline void loop_take_finished(struct loop *loop) {
    future_t *finished;
    for (int i = 0; i < LOOP_TAKE_AT_ONCE && exec_group_next(loop->group, EXEC_NOW, &finished) == 0; i++) {
        struct loop_task *task = future_arg(finished);
        void *result;
        if (future_get(finished, &result) == 0)
            task->result = (uintptr_t)result;
        task->ends++;
        loop->ended++;
        future_unref(finished);
    }
}

static inline bool loop_is_complete(const struct loop *loop) {
    return loop->all_done_seen && loop->ended >= loop->n;
}

static inline long loop_switches(void) {
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

/* It has polled; and is about to poll again. */
static inline void loop_begin_turn(struct loop *loop) {
    loop->turn_began = exec_now();
    loop->switches = loop_switches();
}

static inline void loop_end_turn(struct loop *loop) {
    exec_time turn = exec_now() - loop->turn_began;
    loop->longest_turn = turn > loop->longest_turn ? turn : loop->longest_turn;
    loop->waits += loop_switches() > loop->switches;
    loop->turns++;
}

/* Returns an exit status. */
static inline int loop_report(const struct loop *loop, const char *program, exec_time elapsed) {
    size_t wrong = 0;
    bool waited = loop->waits > loop->turns / LOOP_WAITS_SHARE + 1;
    for (size_t i = 0; i < loop->n; i++)
        wrong += loop->task[i].ends != 1 || loop->task[i].result != loop_compute(loop->task[i].number);
    printf("%zu tasks in %.3f s, %zu ticks; %zu turns of the loop, the longest %.3f ms, %zu of them waited\n",
           loop->ended, demo_seconds(elapsed), loop->ticks, loop->turns, (double)loop->longest_turn / 1e6, loop->waits);
    if (wrong > 0)
        fprintf(stderr, "%s: %zu tasks did not end once with their result\n", program, wrong);
    if (waited)
        fprintf(stderr, "%s: the loop waited in %zu of %zu turns\n", program, loop->waits, loop->turns);
    return wrong > 0 || waited;
}

static inline int loop_run(struct loop *loop, executor_t *ex, const char *program, int (*run)(struct loop *)) {
    exec_time start = exec_now();
    int error = loop_submit(loop, ex);
    if (error == 0)
        error = run(loop);
    int status = error != 0 ? demo_error(program, "loop", error) : loop_report(loop, program, exec_now() - start);
    if (loop->group != NULL)
        exec_group_close(loop->group);
    while (loop->submitted > 0)
        future_unref(loop->futures[--loop->submitted]);
    future_unref(loop->all_done);
    return status;
}

/* The whole program, but for the loop: run() returns 0 once loop_is_complete(), or an error. */
static inline int loop_main(int argc, char *argv[], const char *program, int (*run)(struct loop *)) {
    unsigned long n = 1000, workers = 50;
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    executor_t *ex;
    if (!is_demo && (argc > 3 || (argc > 1 && demo_number(argv[1], 1, 1000000, &n) != 0) ||
                     (argc > 2 && demo_number(argv[2], 1, 8000, &workers) != 0))) {
        fprintf(stderr, "usage: %s [TASKS [WORKERS]]\n       %s --demo\n1000 tasks, 50 workers, unless given.\n",
                program, program);
        return 2;
    }
    struct loop loop = {.n = n, .task = calloc(n, sizeof *loop.task), .futures = calloc(n, sizeof(future_t *))};
    int error = loop.task == NULL || loop.futures == NULL ? ENOMEM : 0;
    if (error == 0)
        error = executor_create(&(executor_opts){.workers = (unsigned)workers, .capacity = n}, &ex);
    int status = error != 0 ? demo_error(program, "start", error) : loop_run(&loop, ex, program, run);
    if (error == 0)
        executor_destroy(ex);
    free(loop.futures);
    free(loop.task);
    return demo_finish(program, status);
}

#endif
