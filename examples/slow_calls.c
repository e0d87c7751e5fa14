/* slow_calls.c - three slow calls at once: 0.3 s in all instead of 0.9 s, the results in the order of the arguments.
 *
 * The smallest whole program with libexec: an executor, one map, and a deadline for all of it.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <exec.h>

/* One task. Stands for a call that waits most of its time: for a server, a disk, another program. */
static void *count_letters(void *word) {
    int error = exec_sleep(EXEC_MS(300));
    if (error != 0)
        return exec_fail(error);
    return (void *)(uintptr_t)strlen(word);
}

int main(void) {
    void *words[] = {"one", "thirteen", "three"};
    void *letters[3];
    executor_t *ex;

    int error = executor_create(&(executor_opts){.workers = 3}, &ex);
    if (error != 0) {
        fprintf(stderr, "slow_calls: executor_create: %s\n", strerror(error));
        return 1;
    }

    exec_time start = exec_now();
    error = executor_map(ex, count_letters, words, letters, 3, &(exec_map_opts){.deadline = exec_after(EXEC_SEC(5))});
    exec_time elapsed = exec_now() - start;
    executor_destroy(ex);

    if (error != 0) {
        fprintf(stderr, "slow_calls: executor_map: %s\n", strerror(error));
        return 1;
    }
    for (size_t i = 0; i < 3; i++)
        printf("%s: %zu letters\n", (char *)words[i], (size_t)(uintptr_t)letters[i]);
    printf("three calls of 0.3 s took %.2f s\n", (double)elapsed / 1e9);
    return 0;
}
