/* pipeline.c - producers, workers and a collector over two bounded queues, ended by closing them.
 *
 *     pipeline [NUMBERS]
 *     pipeline --demo
 *
 * Counts the primes below NUMBERS (2,000,000 unless given). Two producers put blocks of numbers into a queue, three
 * workers count the primes in each and put it into a second queue, one collector adds them up. A closed queue takes the
 * place of the pills by which consumers are otherwise told to stop, one for each: when the producers have ended, the
 * first queue is closed, and each worker ends by itself, with EPIPE, once it is empty; then the second. An error closes
 * both, so that nobody waits for what will not come. A sieve says how many primes there are.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exec.h>

#include "demo.h"

enum { PRODUCERS = 2, WORKERS = 3, COLLECTORS = 1, ROOM = 16, BLOCK = 1000 };

struct block {
    size_t begin, end;
    size_t primes;
};

struct pipeline {
    size_t numbers;
    exec_queue_t *blocks, *counted;
    size_t primes, collected; /* the collector's */
};

struct producer {
    struct pipeline *pipeline;
    size_t first; /* its first block, counted from 0; the next ones are those of each PRODUCERSth */
};

static void close_both(struct pipeline *pipeline) {
    exec_queue_close(pipeline->blocks);
    exec_queue_close(pipeline->counted);
}

static void *give_up(struct pipeline *pipeline, int error) {
    close_both(pipeline);
    return exec_fail(error);
}

/* A block belongs to whoever has taken it from a queue, and to its maker when it cannot be put into one. */
static int put_or_free(exec_queue_t *queue, struct block *block) {
    int error = exec_queue_put(queue, block, EXEC_NEVER);
    if (error != 0)
        free(block);
    return error;
}

static void *produce(void *arg) {
    const struct producer *producer = arg;
    struct pipeline *pipeline = producer->pipeline;
    for (size_t begin = producer->first * BLOCK; begin < pipeline->numbers; begin += PRODUCERS * BLOCK) {
        struct block *block = malloc(sizeof *block);
        if (block == NULL)
            return give_up(pipeline, ENOMEM);
        block->begin = begin;
        block->end = begin + BLOCK < pipeline->numbers ? begin + BLOCK : pipeline->numbers;
        int error = put_or_free(pipeline->blocks, block);
        if (error != 0)
            return error == EPIPE ? NULL : give_up(pipeline, error);
    }
    return NULL;
}

static bool is_prime(size_t number) {
    for (size_t divisor = 2; divisor * divisor <= number; divisor++) {
        if (number % divisor == 0)
            return false;
    }
    return number >= 2;
}

static void *work(void *arg) {
    struct pipeline *pipeline = arg;
    void *item;
    int error;
    while ((error = exec_queue_get(pipeline->blocks, EXEC_NEVER, &item)) == 0) {
        struct block *block = item;
        block->primes = 0;
        for (size_t number = block->begin; number < block->end; number++)
            block->primes += is_prime(number);
        error = put_or_free(pipeline->counted, block);
        if (error != 0)
            break;
    }
    return error == EPIPE ? NULL : give_up(pipeline, error);
}

static void *collect(void *arg) {
    struct pipeline *pipeline = arg;
    void *item;
    int error;
    while ((error = exec_queue_get(pipeline->counted, EXEC_NEVER, &item)) == 0) {
        struct block *block = item;
        pipeline->primes += block->primes;
        pipeline->collected++;
        free(block);
    }
    return error == EPIPE ? NULL : give_up(pipeline, error);
}

/* Runs the stages, each a group, and closes each queue when the stage before it has ended. */
static int run_stages(executor_t *ex, struct pipeline *pipeline) {
    struct producer producers[PRODUCERS];
    exec_group_t *stage[3] = {NULL, NULL, NULL};
    int error = 0;
    for (size_t i = 0; i < 3 && error == 0; i++)
        error = exec_group_open(ex, NULL, &stage[i]);
    for (size_t i = 0; i < PRODUCERS && error == 0; i++) {
        producers[i] = (struct producer){pipeline, i};
        error = exec_group_submit(stage[0], produce, &producers[i], NULL, NULL);
    }
    for (size_t i = 0; i < WORKERS && error == 0; i++)
        error = exec_group_submit(stage[1], work, pipeline, NULL, NULL);
    if (error == 0)
        error = exec_group_submit(stage[2], collect, pipeline, NULL, NULL);
    if (error != 0)
        close_both(pipeline);

    exec_queue_t *behind[3] = {pipeline->blocks, pipeline->counted, NULL};
    for (size_t i = 0; i < 3 && stage[i] != NULL; i++) {
        int outcome = exec_group_close(stage[i]);
        error = error != 0 ? error : outcome;
        if (behind[i] != NULL)
            exec_queue_close(behind[i]);
    }
    return error;
}

/* After an error there may be blocks left. */
static void destroy_queue(exec_queue_t *queue) {
    void *block;
    while (exec_queue_get(queue, EXEC_NOW, &block) == 0)
        free(block);
    exec_queue_destroy(queue);
}

static int run_pipeline(struct pipeline *pipeline) {
    executor_t *ex;
    /* Its tasks wait for one another, so each must have a worker. */
    int error = executor_create(&(executor_opts){.workers = PRODUCERS + WORKERS + COLLECTORS}, &ex);
    if (error != 0)
        return error;
    error = exec_queue_create(ROOM, &pipeline->blocks);
    if (error == 0)
        error = exec_queue_create(ROOM, &pipeline->counted);
    if (error == 0)
        error = run_stages(ex, pipeline);
    executor_destroy(ex);
    destroy_queue(pipeline->blocks);
    destroy_queue(pipeline->counted);
    return error;
}

/* How many primes are below n; SIZE_MAX without memory. */
static size_t sieve(size_t n) {
    size_t primes = 0;
    bool *composite = calloc(n, sizeof *composite);
    if (composite == NULL)
        return SIZE_MAX;
    for (size_t i = 2; i < n; i++) {
        primes += !composite[i];
        for (size_t j = i * i; !composite[i] && j < n; j += i)
            composite[j] = true;
    }
    free(composite);
    return primes;
}

int main(int argc, char *argv[]) {
    unsigned long n = 2000000;
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    if (argc > 2 || (argc == 2 && !is_demo && demo_number(argv[1], 1, 1000000000, &n) != 0)) {
        fputs("usage: pipeline [NUMBERS]\n       pipeline --demo\n2000000 numbers, unless given.\n", stderr);
        return 2;
    }
    struct pipeline pipeline = {.numbers = n};
    size_t expected = sieve(n), blocks = (n + BLOCK - 1) / BLOCK;
    if (expected == SIZE_MAX)
        return demo_error("pipeline", "sieve", ENOMEM);

    exec_time start = exec_now();
    int error = run_pipeline(&pipeline);
    if (error != 0)
        return demo_error("pipeline", "counting", error);
    printf("%zu primes below %lu, in %zu blocks, %.3f s\n", pipeline.primes, n, pipeline.collected,
           demo_seconds(exec_now() - start));
    if (pipeline.primes != expected || pipeline.collected != blocks)
        return demo_error("pipeline", "the sieve does not agree", EPROTO);
    return demo_finish("pipeline", 0);
}
