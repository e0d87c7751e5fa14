/* gather.c - many tasks, and every error kept and reported with its task.
 *
 *     gather PATH...
 *     gather --demo
 *
 * Counts the lines of files, in two ways: by a map with .errors, where each item's error stands beside its result; and
 * by a group under EXEC_ALL, whose members are taken as they finish, each with its error, and future_arg() to tell
 * which one it was. Both must agree. Files that cannot be read are reported on stderr with the reason, and the exit
 * status is 1. --demo makes a directory of 1,000 files below $TMPDIR, or /tmp, four of which cannot be read, and
 * expects just these errors.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <exec.h>

#include "demo.h"

enum { DEMO_FILES = 1000 };

struct file {
    char *path;
    size_t lines; /* as found by the group */
    int error;
    bool has_ended; /* it has come out of the group */
};

struct gather {
    struct file *file;
    size_t n;
    void **args, **results; /* of the map */
    int *errors;
};

/* One task: one file. */
static void *count_lines(void *arg) {
    const struct file *file = arg;
    char text[4096];
    size_t lines = 0;
    FILE *in = fopen(file->path, "re");
    if (in == NULL)
        return exec_fail(errno);
    errno = 0;
    for (size_t size; (size = fread(text, 1, sizeof text, in)) > 0;) {
        for (size_t i = 0; i < size; i++)
            lines += text[i] == '\n';
    }
    int error = !ferror(in) ? 0 : errno != 0 ? errno : EIO;
    fclose(in);
    return error != 0 ? exec_fail(error) : (void *)(uintptr_t)lines;
}

/* What it returns is the error of the first file that failed; that is in .errors, too. */
static int gather_by_map(executor_t *ex, struct gather *gather) {
    for (size_t i = 0; i < gather->n; i++) {
        gather->args[i] = &gather->file[i];
        gather->errors[i] = -1;
    }
    exec_map_opts opts = {.errors = gather->errors};
    int error = executor_map(ex, count_lines, gather->args, gather->results, gather->n, &opts);
    return gather->errors[0] < 0 ? error : 0; /* left alone: nothing has run */
}

static int gather_by_group(executor_t *ex, struct gather *gather) {
    exec_group_t *group;
    future_t *ended;
    void *lines;
    int error = exec_group_open(ex, &(exec_group_opts){.policy = EXEC_ALL}, &group);
    if (error != 0)
        return error;
    for (size_t i = 0; i < gather->n && error == 0; i++)
        error = exec_group_submit(group, count_lines, &gather->file[i], NULL, NULL);
    while (error == 0 && (error = exec_group_next(group, EXEC_NEVER, &ended)) == 0) {
        struct file *file = future_arg(ended);
        file->has_ended = true;
        file->error = future_get(ended, &lines);
        file->lines = (uintptr_t)lines;
        future_unref(ended);
    }
    exec_group_close(group); /* returns the error of the first that failed */
    return error == ENODATA ? 0 : error;
}

/* Prints every error with its file, and the sum. Returns how many failed, or -1: the two ways do not agree. */
static int report(const struct gather *gather) {
    size_t lines = 0;
    int failed = 0;
    for (size_t i = 0; i < gather->n; i++) {
        const struct file *file = &gather->file[i];
        if (!file->has_ended || file->error != gather->errors[i] || file->lines != (uintptr_t)gather->results[i]) {
            fprintf(stderr, "gather: %s: map and group do not agree\n", file->path);
            return -1;
        }
        lines += file->lines;
        failed += file->error != 0;
        if (file->error != 0)
            fprintf(stderr, "gather: %s: %s\n", file->path, strerror(file->error));
    }
    printf("%zu files, %zu lines, %d errors\n", gather->n, lines, failed);
    return failed;
}

/* Returns as report(). */
static int run(struct gather *gather) {
    executor_t *ex;
    int failed = -1, error = executor_create(NULL, &ex);
    if (error != 0)
        return -demo_error("gather", "executor_create", error);
    gather->args = calloc(gather->n, sizeof *gather->args);
    gather->results = calloc(gather->n, sizeof *gather->results);
    gather->errors = calloc(gather->n, sizeof *gather->errors);
    error = gather->args == NULL || gather->results == NULL || gather->errors == NULL ? ENOMEM : 0;
    if (error == 0)
        error = gather_by_map(ex, gather);
    if (error == 0)
        error = gather_by_group(ex, gather);
    executor_destroy(ex);
    if (error == 0)
        failed = report(gather);
    else
        demo_error("gather", "counting", error);
    free(gather->args);
    free(gather->results);
    free(gather->errors);
    return failed;
}

/* What the demo's files fail with; 0: they do not. */
static int demo_expected(size_t i) {
    return i == 100 || i == 400 ? ENOENT : i == 500 ? EISDIR : i == 700 ? ELOOP : 0;
}

/* File i has i lines. */
static int make_demo_file(struct file *file, const char *directory, size_t i) {
    if (asprintf(&file->path, "%s/%03zu", directory, i) < 0) {
        file->path = NULL;
        return ENOMEM;
    }
    switch (demo_expected(i)) {
    case ENOENT: return 0;
    case EISDIR: return mkdir(file->path, 0700) != 0 ? errno : 0;
    case ELOOP: return symlink(file->path, file->path) != 0 ? errno : 0;
    }
    FILE *out = fopen(file->path, "wxe");
    if (out == NULL)
        return errno;
    for (size_t line = 0; line < i; line++)
        fputs("a line\n", out);
    return fclose(out) != 0 ? errno : 0;
}

static int check_demo(const struct file *file) {
    for (size_t i = 0; i < DEMO_FILES; i++) {
        size_t lines = demo_expected(i) == 0 ? i : 0;
        if (file[i].error != demo_expected(i) || file[i].lines != lines)
            return demo_error("gather", file[i].path, EPROTO);
    }
    return 0;
}

static int run_demo(struct file *file) {
    char directory[4000];
    int error = demo_temporary("gather", directory, sizeof directory), status = 1;
    if (error == 0 && mkdtemp(directory) == NULL)
        error = errno;
    if (error != 0)
        return demo_error("gather", "a directory for its files", error);
    for (size_t i = 0; i < DEMO_FILES && error == 0; i++)
        error = make_demo_file(&file[i], directory, i);
    if (error != 0)
        demo_error("gather", "making files", error);
    else if (run(&(struct gather){.file = file, .n = DEMO_FILES}) >= 0)
        status = check_demo(file);
    for (size_t i = 0; i < DEMO_FILES; i++) {
        if (file[i].path != NULL)
            remove(file[i].path);
        free(file[i].path);
    }
    return rmdir(directory) != 0 ? demo_error("gather", directory, errno) : status;
}

int main(int argc, char *argv[]) {
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    if (argc < 2) {
        fputs("usage: gather PATH...\n       gather --demo\n", stderr);
        return 2;
    }
    size_t n = is_demo ? DEMO_FILES : (size_t)argc - 1;
    struct file *file = calloc(n, sizeof *file);
    if (file == NULL)
        return demo_error("gather", "start", ENOMEM);
    for (size_t i = 0; i < n && !is_demo; i++)
        file[i].path = argv[i + 1];
    int status = is_demo ? run_demo(file) : run(&(struct gather){.file = file, .n = n}) != 0;
    free(file);
    return demo_finish("gather", status);
}
