/* diamond.c - tasks that start when others have finished, by .after.
 *
 *     diamond [TASKS [SEED]]
 *     diamond --demo
 *
 * First a diamond: A reads a text, B counts its words and C its letters, D divides the one by the other; then the same
 * where A fails, so that B, C and D end with A's error without running. Then a random graph of TASKS tasks (10,000
 * unless given), each after up to four earlier ones: first all succeed, then one of the first hundredth fails,
 * and exactly those that need it, directly or through others, must not run.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exec.h>

#include "demo.h"

enum { MOST_AFTER = 4, OUT_OF_ORDER = EPROTO }; /* the latter: how a task fails that ran before what it comes after */

/* --- the diamond --- */

static void *read_text(void *text) {
    return text != NULL ? text : exec_fail(ENOENT);
}

/* The result of a task that this one comes after: it is there. */
static void *result_of(future_t *earlier) {
    void *result;
    future_get(earlier, &result);
    return result;
}

static void *count_words(void *text) {
    size_t words = 0;
    for (const char *c = result_of(text); *c != '\0'; c++)
        words += isalpha((unsigned char)c[0]) && !isalpha((unsigned char)c[1]);
    return (void *)(uintptr_t)words;
}

static void *count_letters(void *text) {
    size_t letters = 0;
    for (const char *c = result_of(text); *c != '\0'; c++)
        letters += isalpha((unsigned char)*c) != 0;
    return (void *)(uintptr_t)letters;
}

static void *letters_a_word(void *arg) {
    future_t **counts = arg;
    return (void *)((uintptr_t)result_of(counts[1]) / (uintptr_t)result_of(counts[0]));
}

/* The error of D in *d_error, its result in *average. Returns the error of a submit. */
static int run_diamond(executor_t *ex, char *text, int *d_error, size_t *average) {
    future_t *a = NULL, *b_and_c[2] = {NULL, NULL}, *d = NULL;
    void *result;
    exec_task_opts after_a = {.after = &a, .nafter = 1}, after_b_and_c = {.after = b_and_c, .nafter = 2};
    int error = executor_submit(ex, read_text, text, NULL, &a);
    if (error == 0)
        error = executor_submit(ex, count_words, a, &after_a, &b_and_c[0]);
    if (error == 0)
        error = executor_submit(ex, count_letters, a, &after_a, &b_and_c[1]);
    if (error == 0)
        error = executor_submit(ex, letters_a_word, b_and_c, &after_b_and_c, &d);
    if (error == 0) {
        *d_error = future_get(d, &result);
        *average = (uintptr_t)result;
    }
    future_t *all[] = {d, b_and_c[0], b_and_c[1], a};
    for (size_t i = 0; i < 4; i++) {
        future_wait(all[i], EXEC_NEVER); /* their arguments are on this stack */
        future_unref(all[i]);
    }
    return error;
}

static int show_diamond(executor_t *ex) {
    char text[] = "To be, or not to be: that is the question."; /* 30 letters, 10 words */
    int good = ENOENT, bad = 0;
    size_t average = 0, nothing = 0;
    int error = run_diamond(ex, text, &good, &average);
    if (error == 0)
        error = run_diamond(ex, NULL, &bad, &nothing);
    if (error != 0)
        return demo_error("diamond", "executor_submit", error);
    printf("diamond: %zu letters a word; and without a text: %s\n", average, strerror(bad));
    return good != 0 || average != 3 || bad != ENOENT || nothing != 0;
}

/* --- the graph --- */

struct node {
    struct node *after[MOST_AFTER];
    size_t nafter;
    future_t *future;
    bool fails;            /* by itself */
    unsigned ran, dropped; /* how often */
    uint64_t value;        /* 1, and the values of those it comes after */
};

static void *run_node(void *arg) {
    struct node *node = arg;
    uint64_t value = 1;
    node->ran++;
    for (size_t i = 0; i < node->nafter; i++) {
        if (future_state(node->after[i]->future) != FUTURE_DONE)
            return exec_fail(OUT_OF_ORDER);
        value += node->after[i]->value;
    }
    node->value = value;
    return node->fails ? exec_fail(EIO) : node;
}

static void drop_node(void *arg) {
    ((struct node *)arg)->dropped++;
}

static int submit_node(executor_t *ex, struct node *node) {
    future_t *after[MOST_AFTER];
    for (size_t i = 0; i < node->nafter; i++)
        after[i] = node->after[i]->future;
    exec_task_opts opts = {.after = after, .nafter = node->nafter, .drop = drop_node};
    return executor_submit(ex, run_node, node, &opts, &node->future);
}

static void make_graph(struct node nodes[], size_t n, unsigned long seed) {
    unsigned short random[3] = {0x330e, (unsigned short)seed, (unsigned short)(seed >> 16)};
    for (size_t i = 0; i < n; i++) {
        nodes[i].nafter = i == 0 ? 0 : (size_t)nrand48(random) % (MOST_AFTER + 1);
        for (size_t j = 0; j < nodes[i].nafter; j++)
            nodes[i].after[j] = &nodes[(size_t)nrand48(random) % i];
    }
    nodes[(size_t)nrand48(random) % (n / 100 + 1)].fails = true;
}

/* Whether a node ended as it must; nodes before it have been checked, so what became of them is known. */
static bool node_is_right(const struct node *node) {
    bool reached = true;
    uint64_t value = 1;
    for (size_t i = 0; i < node->nafter; i++) {
        reached = reached && future_state(node->after[i]->future) == FUTURE_DONE;
        value += node->after[i]->value;
    }
    if (future_get(node->future, NULL) != (reached && !node->fails ? 0 : EIO))
        return false;
    return node->ran == reached && node->dropped == !reached && (!reached || node->value == value);
}

static int check_graph(struct node nodes[], size_t n, exec_time elapsed) {
    size_t ran = 0, edges = 0, wrong = 0;
    for (size_t i = 0; i < n; i++) {
        wrong += !node_is_right(&nodes[i]);
        ran += nodes[i].ran;
        edges += nodes[i].nafter;
    }
    printf("graph: %zu tasks, %zu edges, %zu ran, %zu dropped, %.0f ns a task\n", n, edges, ran, n - ran,
           (double)elapsed / (double)n);
    if (wrong > 0)
        fprintf(stderr, "diamond: %zu tasks did not end as they must\n", wrong);
    return wrong > 0;
}

/* Runs the graph on an executor of its own: when that is gone, all has been run and dropped. */
static int run_graph(struct node nodes[], size_t n) {
    executor_t *ex;
    size_t submitted = 0;
    int error = executor_create(NULL, &ex);
    if (error != 0)
        return demo_error("diamond", "executor_create", error);
    exec_time start = exec_now();
    while (submitted < n && error == 0) {
        error = submit_node(ex, &nodes[submitted]);
        submitted += error == 0;
    }
    executor_destroy(ex);
    int status = error != 0 ? demo_error("diamond", "submit", error) : check_graph(nodes, n, exec_now() - start);
    while (submitted > 0)
        future_unref(nodes[--submitted].future);
    return status;
}

static int show_graph(size_t n, unsigned long seed, bool with_failure) {
    struct node *nodes = calloc(n, sizeof *nodes);
    if (nodes == NULL)
        return demo_error("diamond", "graph", ENOMEM);
    make_graph(nodes, n, seed);
    for (size_t i = 0; i < n && !with_failure; i++)
        nodes[i].fails = false;
    int status = run_graph(nodes, n);
    free(nodes);
    return status;
}

int main(int argc, char *argv[]) {
    unsigned long n = 10000, seed = 1;
    executor_t *ex;
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    if (!is_demo && (argc > 3 || (argc > 1 && demo_number(argv[1], 1, 10000000, &n) != 0) ||
                     (argc > 2 && demo_number(argv[2], 0, UINT32_MAX, &seed) != 0))) {
        fputs("usage: diamond [TASKS [SEED]]\n       diamond --demo\n10000 tasks and seed 1, unless given.\n", stderr);
        return 2;
    }
    int error = executor_create(NULL, &ex);
    if (error != 0)
        return demo_error("diamond", "executor_create", error);
    int status = show_diamond(ex);
    executor_destroy(ex);
    if (status == 0)
        status = show_graph(n, seed, false);
    if (status == 0)
        status = show_graph(n, seed, true);
    return demo_finish("diamond", status);
}
