/* checksums.c - SHA-256 of every regular file below a directory, on every core.
 *
 *     checksums [DIR [WORKERS]] | sha256sum -c
 *     checksums --demo [DIR]
 *
 * Symbolic links below DIR are not followed (file_list.h). The lines come sorted by path. A file that cannot be read is
 * reported on stderr, the others go on, and the exit status is 1. The work is one call of executor_map(); the rest
 * prints lines. --demo hashes all files in a loop, then through the library, and compares all digests.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <exec.h>

#include "demo.h"
#include "file_list.h"
#include "sha256.h"

struct file {
    const char *path;
    int error;       /* why there is no digest; 0: there is one */
    char digest[65]; /* hexadecimal */
};

struct files {
    struct file *file;
    size_t n;
    bool incomplete; /* something could not be listed */
};

/* One task: hashes one file. A file that cannot be read is no failure of the job, so it is noted, not returned. */
static void *checksum(void *arg) {
    struct file *file = arg;
    unsigned char chunk[1 << 16];
    struct sha256 sha256;
    ssize_t size;

    int fd = open(file->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        file->error = errno;
        return NULL;
    }
    sha256_init(&sha256);
    while ((size = read(fd, chunk, sizeof chunk)) > 0 || (size < 0 && errno == EINTR)) {
        if (size > 0)
            sha256_update(&sha256, chunk, (size_t)size);
    }
    if (size < 0)
        file->error = errno;
    else
        sha256_finish(&sha256, file->digest);
    close(fd);
    return NULL;
}

static void run_sequential(struct files *files) {
    for (size_t i = 0; i < files->n; i++)
        checksum(&files->file[i]);
}

static int run_libexec(struct files *files, unsigned workers) {
    executor_t *ex;
    void **args = calloc(files->n + 1, sizeof *args);
    if (args == NULL)
        return ENOMEM;
    for (size_t i = 0; i < files->n; i++)
        args[i] = &files->file[i];

    int error = executor_create(&(executor_opts){.workers = workers}, &ex);
    if (error == 0) {
        error = executor_map(ex, checksum, args, NULL, files->n, NULL);
        executor_destroy(ex);
    }
    free(args);
    return error;
}

/* Prints a line as sha256sum does: a name with a backslash or a line end in it is escaped, and the line says so. */
static void print_line(const struct file *file) {
    if (strpbrk(file->path, "\\\n\r") != NULL)
        putchar('\\');
    printf("%s  ", file->digest);
    for (const char *c = file->path; *c != '\0'; c++) {
        switch (*c) {
        case '\\': fputs("\\\\", stdout); break;
        case '\n': fputs("\\n", stdout); break;
        case '\r': fputs("\\r", stdout); break;
        default: putchar(*c);
        }
    }
    putchar('\n');
}

/* Returns how many files have no digest, each said on stderr. */
static size_t report_errors(const struct files *files) {
    size_t failed = 0;
    for (size_t i = 0; i < files->n; i++) {
        if (files->file[i].error != 0) {
            demo_error("checksums", files->file[i].path, files->file[i].error);
            failed++;
        }
    }
    return failed;
}

static int print_checksums(struct files *files, unsigned workers) {
    int error = run_libexec(files, workers);
    if (error != 0)
        return demo_error("checksums", "executor_map", error);
    for (size_t i = 0; i < files->n; i++) {
        if (files->file[i].error == 0)
            print_line(&files->file[i]);
    }
    return report_errors(files) > 0 || files->incomplete;
}

static size_t count_differences(const struct files *a, const struct file *b) {
    size_t different = 0;
    for (size_t i = 0; i < a->n; i++)
        different += a->file[i].error != b[i].error || strcmp(a->file[i].digest, b[i].digest) != 0;
    return different;
}

static int demo(struct files *files) {
    run_sequential(files); /* brings the files into the page cache, so that both runs find them there */
    exec_time start = exec_now();
    run_sequential(files);
    exec_time sequential = exec_now() - start;

    struct file *expected = calloc(files->n + 1, sizeof *expected);
    if (expected == NULL)
        return demo_error("checksums", "demo", ENOMEM);
    for (size_t i = 0; i < files->n; i++) {
        expected[i] = files->file[i];
        files->file[i] = (struct file){.path = expected[i].path};
    }

    start = exec_now();
    int error = run_libexec(files, 0);
    exec_time libexec = exec_now() - start;
    size_t different = count_differences(files, expected);
    free(expected);
    if (error != 0)
        return demo_error("checksums", "executor_map", error);
    demo_header();
    demo_row("checksums", files->n, sequential, libexec);
    if (different > 0)
        fprintf(stderr, "checksums: %zu digests differ from those of the sequential loop\n", different);
    return different > 0 || report_errors(files) > 0 || files->incomplete;
}

static int run_below(const char *directory, bool is_demo, unsigned workers) {
    struct file_list list = file_list_below(directory, "checksums");
    struct files files = {.file = calloc(list.n + 1, sizeof *files.file), .n = list.n, .incomplete = list.incomplete};
    int status;
    for (size_t i = 0; i < list.n && files.file != NULL; i++)
        files.file[i].path = list.path[i];
    if (files.file == NULL)
        status = demo_error("checksums", "files", ENOMEM);
    else
        status = is_demo ? demo(&files) : print_checksums(&files, workers);
    free(files.file);
    file_list_free(&list);
    return status;
}

static int usage(void) {
    fputs("usage: checksums [DIR [WORKERS]]\n"
          "       checksums --demo [DIR]\n"
          "DIR is /usr/include, and WORKERS, 1 to 32767, the number of CPUs, unless given.\n",
          stderr);
    return 2;
}

int main(int argc, char *argv[]) {
    unsigned long workers = 0;
    bool is_demo = argc > 1 && strcmp(argv[1], "--demo") == 0;
    int directory = is_demo ? 2 : 1;

    if (argc > 3 || (argc > directory && argv[directory][0] == '-'))
        return usage();
    if (!is_demo && argc == 3 && demo_number(argv[2], 1, 32767, &workers) != 0)
        return usage();

    const char *below = argc > directory ? argv[directory] : "/usr/include";
    return demo_finish("checksums", run_below(below, is_demo, (unsigned)workers));
}
