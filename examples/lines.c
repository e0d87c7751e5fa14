/* lines.c - a stream over the lines of a huge file, in constant memory.
 *
 *     lines [LINES]
 *     lines --demo
 *
 * The file is made on the fly below $TMPDIR, or /tmp: a number a line, 10,000,000 lines unless given, about 110 MB.
 * Each line is one item of a stream, whose source reads the file piece by piece (line_reader.h); the item's work is to
 * read the number and scramble it; the consumer adds up the results, which come in the order of the lines, and gives
 * the lines back. A loop without libexec does the same first, and both must find what the writer of the file knows.
 * Resident memory must not have grown by more than 1 MiB, and 64 KiB for each worker, whose stack is new; with fewer
 * than 1,000,000 lines that says nothing, and is not checked.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <exec.h>

#include "demo.h"
#include "line_reader.h"

enum { SAMPLE_EVERY = 50000, MANY_LINES = 1000000, MOST_BYTES = 1 << 20, WORKER_BYTES = 1 << 16 };

struct job {
    size_t n;
    uint64_t expected;
    struct line_reader reader;
    uint64_t sum;
    size_t grown_bytes; /* resident memory, since before the stream was opened, at most */
};

static uint64_t scramble(uint64_t x) {
    for (int i = 0; i < 20; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    return x;
}

/* One item. */
static void *work_on_line(void *line) {
    uint64_t number = 0;
    for (const char *c = line; *c != '\n'; c++)
        number = number * 10 + (uint64_t)(*c - '0');
    return (void *)(uintptr_t)scramble(number);
}

/* The stream's source. */
static int next_line(void *reader, void **line) {
    char *text;
    int error = line_reader_next(reader, &text);
    if (error == 0)
        *line = text;
    return error;
}

static uint64_t add_up(uint64_t sum, uint64_t result) {
    return sum * 31 + result; /* the order counts */
}

static int run_loop(executor_t *ex, struct job *job) {
    void *line;
    int error;
    (void)ex;
    while ((error = next_line(&job->reader, &line)) == 0) {
        job->sum = add_up(job->sum, (uintptr_t)work_on_line(line));
        line_reader_give_back(&job->reader);
    }
    return error == ENODATA ? 0 : error;
}

/* 0: not known. */
static size_t resident_bytes(void) {
    size_t total, resident = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL)
        return 0;
    if (fscanf(statm, "%zu %zu", &total, &resident) != 2)
        resident = 0;
    fclose(statm);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void note_growth(struct job *job, size_t before) {
    size_t now = resident_bytes();
    if (now > before + job->grown_bytes)
        job->grown_bytes = now - before;
}

static int run_stream(executor_t *ex, struct job *job) {
    exec_stream_t *stream;
    exec_item item;
    size_t before = resident_bytes();
    if (before == 0)
        return ENOTSUP;
    int error = exec_stream_open(ex, next_line, &job->reader, work_on_line, NULL, &stream);
    if (error != 0)
        return error;
    while (exec_stream_next(stream, &item)) {
        job->sum = add_up(job->sum, (uintptr_t)item.result);
        line_reader_give_back(&job->reader);
        if (item.index % SAMPLE_EVERY == 0)
            note_growth(job, before);
    }
    exec_stream_close(stream);
    return item.error;
}

/* Reads the whole file in one of the two ways, and checks the sum. Returns an exit status. */
static int time_lines(struct job *job, int file, executor_t *ex, const char *who,
                      int (*run)(executor_t *, struct job *)) {
    if (lseek(file, 0, SEEK_SET) != 0)
        return demo_error("lines", "the file", errno);
    job->sum = 0;
    int error = line_reader_init(&job->reader, file);
    exec_time start = exec_now();
    if (error == 0)
        error = run(ex, job);
    exec_time elapsed = exec_now() - start;
    line_reader_free(&job->reader);
    if (error != 0)
        return demo_error("lines", who, error);
    printf("%-8s %zu lines in %.3f s, %.1f ns a line\n", who, job->n, demo_seconds(elapsed),
           (double)elapsed / (double)job->n);
    return job->sum == job->expected ? 0 : demo_error("lines", who, EPROTO);
}

static void write_lines(struct job *job, FILE *out) {
    for (size_t i = 0; i < job->n; i++) {
        char text[16], *c = text + sizeof text;
        uint32_t number = (uint32_t)i * 2654435761u; /* each number once, in disorder */
        job->expected = add_up(job->expected, (uintptr_t)scramble(number));
        *--c = '\n';
        do
            *--c = (char)('0' + number % 10);
        while ((number /= 10) > 0);
        fwrite(c, 1, (size_t)(text + sizeof text - c), out);
    }
}

/* A file that has no name any more. NULL: see errno. */
static FILE *make_file(struct job *job) {
    char path[4000];
    errno = demo_temporary("lines", path, sizeof path);
    int fd = errno == 0 ? mkstemp(path) : -1;
    if (fd < 0)
        return NULL;
    unlink(path);
    FILE *file = fdopen(fd, "w");
    if (file == NULL) {
        close(fd);
        return NULL;
    }
    write_lines(job, file);
    if (fflush(file) == 0 && !ferror(file))
        return file;
    fclose(file);
    errno = EIO;
    return NULL;
}

static int run(struct job *job, executor_t *ex) {
    FILE *file = make_file(job);
    if (file == NULL)
        return demo_error("lines", "making the file", errno);
    int status = time_lines(job, fileno(file), ex, "loop", run_loop);
    if (status == 0)
        status = time_lines(job, fileno(file), ex, "stream", run_stream);
    fclose(file);
    if (status != 0)
        return status;
    printf("resident memory grew by at most %zu KiB\n", job->grown_bytes / 1024);
    size_t most = MOST_BYTES + executor_workers(ex) * (size_t)WORKER_BYTES;
    if (job->n >= MANY_LINES && job->grown_bytes > most)
        return demo_error("lines", "memory", EFBIG);
    return 0;
}

int main(int argc, char *argv[]) {
    unsigned long n = 10000000;
    executor_t *ex;
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    if (argc > 2 || (argc == 2 && !is_demo && demo_number(argv[1], 1, 4000000000, &n) != 0)) {
        fputs("usage: lines [LINES]\n       lines --demo\n10000000 lines, unless given.\n", stderr);
        return 2;
    }
    int error = executor_create(NULL, &ex);
    if (error != 0)
        return demo_error("lines", "executor_create", error);
    int status = run(&(struct job){.n = n}, ex);
    executor_destroy(ex);
    return demo_finish("lines", status);
}
