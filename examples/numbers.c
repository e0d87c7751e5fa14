/* numbers.c - numbers on every core: a loop over an array of structs, and divide and conquer, tasks that submit tasks.
 *
 *     numbers [WORKERS]
 *     numbers --demo
 *
 * `orbits` moves 20,000 bodies around a sun in 200 steps each, by executor_for(), which hands out ranges of the array.
 * `sort` is a merge sort of 4,000,000 numbers: each half that is worth a task is submitted, the other one sorted
 * meanwhile, and then the first one got. Both run in a plain loop, or plain recursion, first; the outcome must be the
 * same to the bit. As many workers as CPUs, unless given.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exec.h>

#include "demo.h"

enum { BODIES = 20000, STEPS = 200, NUMBERS = 4000000, WORTH_A_TASK = 8192 };

/* --- a loop over an array of structs --- */

struct body {
    double x, y, vx, vy;
};

static void move_body(struct body *b) {
    for (int i = 0; i < STEPS; i++) {
        double r2 = b->x * b->x + b->y * b->y + 1e-3, pull = -1e-4 / r2;
        b->vx += b->x * pull;
        b->vy += b->y * pull;
        b->x += b->vx * 1e-2;
        b->y += b->vy * 1e-2;
    }
}

/* The body of the loop: any part of the array. */
static void move_bodies(size_t begin, size_t end, void *ctx) {
    struct body *bodies = ctx;
    for (size_t i = begin; i < end; i++)
        move_body(&bodies[i]);
}

static void place_bodies(struct body *bodies) {
    for (size_t i = 0; i < BODIES; i++)
        bodies[i] = (struct body){.x = 1 + (double)i / BODIES, .vy = 1e-2};
}

/* The same steps in the same order give the same numbers, to the last bit. */
static bool same_bodies(const struct body *a, const struct body *b) {
    for (size_t i = 0; i < BODIES; i++) {
        if (a[i].x != b[i].x || a[i].y != b[i].y || a[i].vx != b[i].vx || a[i].vy != b[i].vy)
            return false;
    }
    return true;
}

static int orbits(executor_t *ex) {
    struct body *bodies = calloc(2 * (size_t)BODIES, sizeof *bodies);
    if (bodies == NULL)
        return ENOMEM;
    struct body *same = bodies + BODIES;
    place_bodies(bodies);
    place_bodies(same);
    exec_time start = exec_now();
    move_bodies(0, BODIES, bodies);
    exec_time between = exec_now();
    int error = executor_for(ex, BODIES, move_bodies, same, NULL);
    exec_time end = exec_now();
    if (error == 0 && !same_bodies(bodies, same))
        error = EILSEQ;
    if (error == 0)
        demo_row("orbits", BODIES, between - start, end - between);
    free(bodies);
    return error;
}

/* --- divide and conquer --- */

struct part {
    uint32_t *numbers, *spare; /* n of each: what is to be sorted, and room to do it in */
    size_t n;
    executor_t *ex; /* NULL: in plain recursion */
};

static void merge(const uint32_t *a, size_t na, const uint32_t *b, size_t nb, uint32_t *out) {
    while (na > 0 && nb > 0) {
        bool from_a = *a <= *b;
        *out++ = from_a ? *a : *b;
        a += from_a;
        na -= from_a;
        b += !from_a;
        nb -= !from_a;
    }
    memcpy(out, a, na * sizeof *out);
    memcpy(out + na, b, nb * sizeof *out);
}

static void insertion_sort(uint32_t *numbers, size_t n) {
    for (size_t i = 1; i < n; i++) {
        uint32_t x = numbers[i];
        size_t at = i;
        for (; at > 0 && numbers[at - 1] > x; at--)
            numbers[at] = numbers[at - 1];
        numbers[at] = x;
    }
}

/* A task: sorts a part. The halves lie on its stack, since it waits for both. */
static void *sort_part(void *arg) {
    const struct part *p = arg;
    if (p->n <= 16) {
        insertion_sort(p->numbers, p->n);
        return NULL;
    }
    size_t half = p->n / 2;
    struct part left = {p->numbers, p->spare, half, p->ex};
    struct part right = {p->numbers + half, p->spare + half, p->n - half, p->ex};
    future_t *f = NULL;
    bool submitted = p->ex != NULL && p->n >= WORTH_A_TASK && executor_submit(p->ex, sort_part, &left, NULL, &f) == 0;
    if (!submitted)
        sort_part(&left);
    sort_part(&right);
    int error = submitted ? future_get(f, NULL) : 0;
    future_unref(f);
    if (error != 0)
        return exec_fail(error);
    merge(left.numbers, left.n, right.numbers, right.n, p->spare);
    memcpy(p->numbers, p->spare, p->n * sizeof *p->numbers);
    return NULL;
}

static int sort_by_libexec(executor_t *ex, struct part *all) {
    future_t *f;
    int error = executor_submit(ex, sort_part, all, NULL, &f);
    if (error != 0)
        return error;
    error = future_get(f, NULL);
    future_unref(f);
    return error;
}

static int sort(executor_t *ex) {
    uint32_t *numbers = calloc(3 * (size_t)NUMBERS, sizeof *numbers), x = 1;
    if (numbers == NULL)
        return ENOMEM;
    struct part plain = {numbers, numbers + 2 * (size_t)NUMBERS, NUMBERS, NULL}, same = plain;
    same.numbers += NUMBERS;
    same.ex = ex;
    for (size_t i = 0; i < NUMBERS; i++)
        plain.numbers[i] = same.numbers[i] = x = x * 1664525 + 1013904223;
    exec_time start = exec_now();
    sort_part(&plain);
    exec_time between = exec_now();
    int error = sort_by_libexec(ex, &same);
    exec_time end = exec_now();
    if (error == 0 && memcmp(plain.numbers, same.numbers, NUMBERS * sizeof *numbers) != 0)
        error = EILSEQ;
    if (error == 0)
        demo_row("sort", NUMBERS, between - start, end - between);
    free(numbers);
    return error;
}

int main(int argc, char *argv[]) {
    unsigned long workers = 0;
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    if (argc > 2 || (argc == 2 && !is_demo && demo_number(argv[1], 1, 8000, &workers) != 0)) {
        fputs("usage: numbers [WORKERS]\n       numbers --demo\nAs many workers as CPUs, unless given.\n", stderr);
        return 2;
    }
    executor_t *ex;
    int error = executor_create(&(executor_opts){.workers = (unsigned)workers}, &ex);
    if (error != 0)
        return demo_error("numbers", "executor_create", error);
    demo_header();
    error = orbits(ex);
    int status = error != 0 ? demo_error("numbers", "orbits", error) : 0;
    error = sort(ex);
    if (error != 0)
        status = demo_error("numbers", "sort", error);
    executor_destroy(ex);
    return demo_finish("numbers", status);
}
