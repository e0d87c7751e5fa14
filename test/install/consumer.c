/* consumer.c - a C program that knows libexec only by its installed header and library. */
#include <exec.h>
#include <stdio.h>

static void *square(void *number) {
    int *n = number;
    *n *= *n;
    return n;
}

int main(void) {
    executor_t *ex;
    future_t *f;
    int number = 12;
    void *result;

    if (executor_create(NULL, &ex) != 0 || executor_submit(ex, square, &number, NULL, &f) != 0)
        return 1;
    if (future_get(f, &result) != 0 || *(int *)result != 144)
        return 2;
    future_unref(f);
    executor_destroy(ex);
    puts("144");
    return 0;
}
