/* gzip.c - compresses the files of a directory, on every core, and shows how far it is.
 *
 *     gzip DIR [WORKERS]
 *     gzip --demo
 *
 * Each regular file FILE below DIR becomes FILE.gz beside it, and stays, as `gzip -kr DIR` does it; what is called .gz
 * already is left out. One that cannot be read or written, or that has a FILE.gz, is reported on stderr, the others go
 * on, and the exit status is 1. The work is one call of executor_map(), each item of which compresses a file with zlib.
 * --demo compresses files of its own, first in a loop and then through the library, and checks each by decompressing
 * it. Built only where pkg-config finds zlib.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <exec.h>
#include <zlib.h>

#include "demo.h"
#include "file_list.h"

enum { BUFFER = 1 << 16, DEMO_FILES = 120, DEMO_LINES = 4000 };

struct file {
    const char *path;
    unsigned long long bytes, compressed;
};

struct files {
    struct file *file;
    void **args; /* each of them */
    int *errors;
    size_t n;
};

/* --- one file --- */

static int zlib_error(gzFile gz) {
    int code;
    gzerror(gz, &code);
    return code == Z_ERRNO && errno != 0 ? errno : code == Z_MEM_ERROR ? ENOMEM : EIO;
}

static int deflate_all(int from, gzFile to, struct file *file) {
    unsigned char buffer[BUFFER];
    ssize_t size;
    while ((size = read(from, buffer, sizeof buffer)) != 0) {
        if (size < 0 && errno != EINTR)
            return errno;
        if (size > 0 && gzwrite(to, buffer, (unsigned)size) != size)
            return zlib_error(to);
        file->bytes += size > 0 ? (unsigned long long)size : 0;
    }
    return 0;
}

/* Takes over both descriptors. */
static int deflate_file(int from, int to, struct file *file) {
    gzFile gz = gzdopen(to, "wb");
    int error = gz != NULL ? deflate_all(from, gz, file) : ENOMEM;
    if (gz == NULL)
        close(to);
    else if (gzclose(gz) != Z_OK && error == 0)
        error = EIO;
    close(from);
    return error;
}

/* The new file may be read by whom the old one may. */
static int open_both(const char *path, const char *name, int *from, int *to) {
    struct stat status;
    *from = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (*from < 0)
        return errno;
    *to = fstat(*from, &status) == 0 ? open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, status.st_mode & 0777) : -1;
    int error = *to < 0 ? errno : 0;
    if (error != 0)
        close(*from);
    return error;
}

/* One task. */
static void *compress_file(void *arg) {
    struct file *file = arg;
    struct stat status;
    char *name;
    int from = -1, to = -1;
    if (asprintf(&name, "%s.gz", file->path) < 0)
        return exec_fail(ENOMEM);
    int error = open_both(file->path, name, &from, &to);
    if (error == 0) {
        file->bytes = 0;
        error = deflate_file(from, to, file);
        if (error != 0)
            unlink(name);
        else if (stat(name, &status) == 0)
            file->compressed = (unsigned long long)status.st_size;
    }
    free(name);
    return error != 0 ? exec_fail(error) : arg;
}

/* --- all of them --- */

static bool has_suffix(const char *path) {
    size_t length = strlen(path);
    return length >= 3 && strcmp(path + length - 3, ".gz") == 0;
}

static void free_files(struct files *files) {
    free(files->file);
    free(files->args);
    free(files->errors);
}

/* The paths remain the list's. */
static int choose_files(struct files *files, const struct file_list *list) {
    *files = (struct files){.file = calloc(list->n + 1, sizeof *files->file),
                            .args = calloc(list->n + 1, sizeof *files->args),
                            .errors = calloc(list->n + 1, sizeof *files->errors)};
    if (files->file == NULL || files->args == NULL || files->errors == NULL) {
        free_files(files);
        return ENOMEM;
    }
    for (size_t i = 0; i < list->n; i++) {
        if (has_suffix(list->path[i]))
            continue;
        files->file[files->n] = (struct file){.path = list->path[i]};
        files->args[files->n] = &files->file[files->n];
        files->n++;
    }
    return 0;
}

/* 0, although some may have failed: files->errors has the error of each. */
static int compress_all(struct files *files, unsigned workers) {
    executor_t *ex;
    exec_progress bar = {.title = "gzip"};
    exec_map_opts opts = {.errors = files->errors,
                          .chunk = 1,
                          .failed = &bar.failed,
                          .progress = exec_progress_bar,
                          .progress_ctx = &bar};
    int error = executor_create(&(executor_opts){.workers = workers}, &ex);
    if (error != 0)
        return error;
    error = executor_map(ex, compress_file, files->args, NULL, files->n, &opts);
    executor_destroy(ex);
    return bar.failed > 0 ? 0 : error;
}

/* Returns how many have failed, each said on stderr. */
static size_t report(const struct files *files) {
    unsigned long long bytes = 0, compressed = 0;
    size_t failed = 0;
    for (size_t i = 0; i < files->n; i++) {
        if (files->errors[i] != 0) {
            demo_error("gzip", files->file[i].path, files->errors[i]);
            failed++;
        }
        bytes += files->file[i].bytes;
        compressed += files->file[i].compressed;
    }
    printf("%zu files, %llu bytes, compressed %llu\n", files->n - failed, bytes, compressed);
    return failed;
}

static int compress_below(const char *directory, unsigned workers) {
    struct files files;
    struct file_list list = file_list_below(directory, "gzip");
    int error = choose_files(&files, &list), status = 1;
    if (error == 0) {
        error = compress_all(&files, workers);
        if (error == 0)
            status = report(&files) > 0 || list.incomplete;
        free_files(&files);
    }
    if (error != 0)
        demo_error("gzip", directory, error);
    file_list_free(&list);
    return status;
}

/* --- the demo --- */

/* Words without much sense, of a length that differs from file to file; each tenth is empty. */
static int write_file(const char *directory, unsigned number) {
    static const char *const words[] = {"executor", "future", "worker", "deadline", "group", "limit", "stream", "map"};
    char path[128];
    unsigned random = number + 1;
    snprintf(path, sizeof path, "%s/%s/%03u.txt", directory, number % 2 == 0 ? "even" : "odd", number);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        return errno;
    for (unsigned i = 0; i < number % 10 * DEMO_LINES; i++) {
        random = random * 1103515245 + 12345;
        fprintf(file, "%s%c", words[random >> 16 & 7], (random >> 20 & 7) == 0 ? '\n' : ' ');
    }
    return fclose(file) != 0 ? errno : 0;
}

static int write_files(char *directory, size_t size) {
    char path[128];
    int error = demo_temporary("gzip", directory, size);
    if (error == 0 && mkdtemp(directory) == NULL)
        error = errno;
    for (int i = 0; i < 2 && error == 0; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, i == 0 ? "even" : "odd");
        error = mkdir(path, 0777) != 0 ? errno : 0;
    }
    for (unsigned i = 0; i < DEMO_FILES && error == 0; i++)
        error = write_file(directory, i);
    return error;
}

/* Removes the compressed files, or all. */
static void remove_files(const char *directory, bool all) {
    char path[128];
    struct file_list list = file_list_below(directory, "gzip");
    for (size_t i = 0; i < list.n; i++)
        if (all || has_suffix(list.path[i]))
            unlink(list.path[i]);
    file_list_free(&list);
    for (int i = 0; i < 2 && all; i++) {
        snprintf(path, sizeof path, "%s/%s", directory, i == 0 ? "even" : "odd");
        rmdir(path);
    }
    if (all)
        rmdir(directory);
}

static bool same_content(FILE *file, gzFile gz) {
    char expected[BUFFER], actual[BUFFER];
    size_t length;
    do {
        length = fread(expected, 1, sizeof expected, file);
        if (gzread(gz, actual, sizeof actual) != (int)length || memcmp(expected, actual, length) != 0)
            return false;
    } while (length > 0);
    return true;
}

/* Does the compressed file hold what the file does? */
static bool is_right(const char *path) {
    char *name;
    if (asprintf(&name, "%s.gz", path) < 0)
        return false;
    FILE *file = fopen(path, "r");
    gzFile gz = gzopen(name, "rb");
    bool right = file != NULL && gz != NULL && same_content(file, gz);
    if (file != NULL)
        fclose(file);
    if (gz != NULL)
        gzclose(gz);
    free(name);
    return right;
}

static size_t count_wrong(const struct files *files) {
    size_t wrong = files->n != DEMO_FILES;
    for (size_t i = 0; i < files->n; i++)
        wrong += files->errors[i] != 0 || !is_right(files->file[i].path);
    return wrong;
}

/* In a loop, and then through the library; and once more, when all are there, and each must fail. */
static int compress_three_times(struct files *files, const char *directory, size_t *wrong) {
    exec_time start = exec_now();
    for (size_t i = 0; i < files->n; i++)
        compress_file(&files->file[i]);
    exec_time sequential = exec_now() - start;
    remove_files(directory, false);

    start = exec_now();
    int error = compress_all(files, 0);
    exec_time libexec = exec_now() - start;
    *wrong = count_wrong(files);
    if (error == 0)
        error = compress_all(files, 0);
    for (size_t i = 0; i < files->n; i++)
        *wrong += files->errors[i] != EEXIST;
    demo_header();
    demo_row("gzip", files->n, sequential, libexec);
    return error;
}

static int demo(void) {
    char directory[100];
    size_t wrong = 0;
    struct files files;
    int error = write_files(directory, sizeof directory);
    if (error != 0)
        return demo_error("gzip", "files for the demo", error);
    struct file_list list = file_list_below(directory, "gzip");
    error = choose_files(&files, &list);
    if (error == 0) {
        error = compress_three_times(&files, directory, &wrong);
        free_files(&files);
    }
    file_list_free(&list);
    remove_files(directory, true);
    if (wrong > 0)
        fprintf(stderr, "gzip: %zu files are not as they should be\n", wrong);
    return error != 0 ? demo_error("gzip", "demo", error) : wrong > 0;
}

int main(int argc, char *argv[]) {
    unsigned long workers = 0;
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    if (!is_demo &&
        (argc < 2 || argc > 3 || argv[1][0] == '-' || (argc == 3 && demo_number(argv[2], 1, 8000, &workers) != 0))) {
        fputs("usage: gzip DIR [WORKERS]\n       gzip --demo\nWORKERS is the number of CPUs unless given.\n", stderr);
        return 2;
    }
    return demo_finish("gzip", is_demo ? demo() : compress_below(argv[1], (unsigned)workers));
}
