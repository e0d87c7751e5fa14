/* treasure.c - a hunt through 1,000 files of 10,000 lines, of which one line is the treasure; the find stops all else.
 *
 *     treasure [FILES [SEED]]
 *     treasure --demo
 *
 * The files (150 kB each) are made in a new directory below $TMPDIR, or /tmp, and removed at the end, also after an
 * error or a Ctrl-C. SEED chooses the place of the treasure, somewhere in the second half. The search is a group with a
 * member for each file, under EXEC_FIRST, and the find is the success that ends it: files that have not been opened are
 * never opened, and searches under way see exec_cancelled(). --demo searches in a loop first.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <exec.h>

#include "demo.h"

#define TREASURE "the treasure!!\n" /* as long as every other line */
#define FOUND EEXIST                /* how a search that found it ends */

enum { LINES = 10000, LINE_BYTES = sizeof TREASURE - 1 };

struct file {
    char *path;
    size_t line; /* where the treasure was found, counted from 1; 0: not in here, as far as is known */
};

struct hunt {
    char directory[4000];
    struct file *file;
    size_t n;
    unsigned long seed;
    size_t hidden_file, hidden_line; /* counted from 0 and 1 */
};

static atomic_bool interrupted; /* set by the signal handler, read by all */

static void on_signal(int signal_number) {
    (void)signal_number;
    atomic_store(&interrupted, true);
}

/* Reads one file line by line: FOUND, 0 when the treasure is not in it, or an error. */
static int search(struct file *file) {
    char text[256];
    int status = 0;
    FILE *in = fopen(file->path, "re");
    if (in == NULL)
        return errno;
    for (size_t line = 1; status == 0 && fgets(text, sizeof text, in) != NULL; line++) {
        if (strcmp(text, TREASURE) == 0) {
            file->line = line;
            status = FOUND;
        } else if (exec_cancelled() || atomic_load(&interrupted)) {
            status = ECANCELED;
        }
    }
    if (status == 0 && ferror(in))
        status = EIO;
    fclose(in);
    return status;
}

/* One task: one file. It succeeds only where the treasure is. */
static void *search_task(void *arg) {
    int status = search(arg);
    return status == FOUND ? arg : exec_fail(status != 0 ? status : ENODATA);
}

/* When no search of a group has succeeded: why, or 0 when it was merely in none of the files. */
static int why_not_found(exec_group_t *group) {
    future_t *finished;
    int status = 0;
    while (status == 0 && exec_group_next(group, EXEC_NEVER, &finished) == 0) {
        int error = future_get(finished, NULL);
        status = error != ENODATA ? error : 0;
        future_unref(finished);
    }
    return status;
}

static int search_all(struct hunt *hunt, exec_group_t *group) {
    int status = 0;
    for (size_t i = 0; i < hunt->n && status == 0; i++)
        status = exec_group_submit(group, search_task, &hunt->file[i], NULL, NULL);
    if (status != 0 && status != ECANCELED) /* ECANCELED: found, before all were submitted */
        return status;
    return exec_group_wait(group, EXEC_NEVER) == 0 ? FOUND : why_not_found(group);
}

static int run_libexec(struct hunt *hunt) {
    executor_t *ex;
    exec_group_t *group;
    int status = executor_create(NULL, &ex);
    if (status != 0)
        return status;
    status = exec_group_open(ex, &(exec_group_opts){.policy = EXEC_FIRST}, &group);
    if (status == 0) {
        status = search_all(hunt, group);
        exec_group_cancel(group); /* what is left, after an error */
        exec_group_close(group);
    }
    executor_destroy(ex);
    return status;
}

static int run_sequential(struct hunt *hunt) {
    int status = 0;
    for (size_t i = 0; i < hunt->n && status == 0; i++)
        status = search(&hunt->file[i]);
    return status;
}

/* Forgets earlier finds, searches, and checks that the treasure was found where it is. Returns an exit status. */
static int time_search(struct hunt *hunt, const char *who, int (*run)(struct hunt *), exec_time *elapsed) {
    for (size_t i = 0; i < hunt->n; i++)
        hunt->file[i].line = 0;
    exec_time start = exec_now();
    int status = run(hunt);
    *elapsed = exec_now() - start;

    if (status != FOUND && status != 0)
        return demo_error("treasure", who, status);
    for (size_t i = 0; i < hunt->n; i++) {
        size_t expected = i == hunt->hidden_file ? hunt->hidden_line : 0;
        if (hunt->file[i].line != expected) {
            fprintf(stderr, "treasure: %s: wrong about %s\n", who, hunt->file[i].path);
            return 1;
        }
    }
    return 0;
}

static int write_file(const char *path, const char *text, size_t size) {
    int error = 0;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    while (size > 0 && error == 0) {
        ssize_t written = write(fd, text, size);
        if (written < 0) {
            error = errno == EINTR ? 0 : errno;
        } else {
            text += written;
            size -= (size_t)written;
        }
    }
    if (close(fd) != 0 && error == 0)
        error = errno;
    return error;
}

static int make_file(struct hunt *hunt, size_t i, const char *hay, const char *with_treasure) {
    if (atomic_load(&interrupted))
        return ECANCELED;
    struct file *file = &hunt->file[i];
    if (asprintf(&file->path, "%s/%07zu", hunt->directory, i) < 0) {
        file->path = NULL;
        return ENOMEM;
    }
    return write_file(file->path, i == hunt->hidden_file ? with_treasure : hay, LINES * LINE_BYTES);
}

static int make_files(struct hunt *hunt) {
    static char hay[LINES * LINE_BYTES + 1], with_treasure[sizeof hay];
    for (size_t line = 0; line < LINES; line++)
        snprintf(hay + line * LINE_BYTES, LINE_BYTES + 1, "hay %010zu\n", line);
    memcpy(with_treasure, hay, sizeof hay);
    memcpy(with_treasure + (hunt->hidden_line - 1) * LINE_BYTES, TREASURE, LINE_BYTES);

    int error = 0;
    for (size_t i = 0; i < hunt->n && error == 0; i++)
        error = make_file(hunt, i, hay, with_treasure);
    return error;
}

/* Makes the directory and all files, and hides the treasure. Whatever it returns, hunt_end() tidies up. */
static int hunt_begin(struct hunt *hunt) {
    int error = demo_temporary("treasure", hunt->directory, sizeof hunt->directory);
    if (error != 0)
        return error;
    if (mkdtemp(hunt->directory) == NULL) {
        hunt->directory[0] = '\0';
        return errno;
    }

    hunt->file = calloc(hunt->n, sizeof *hunt->file);
    if (hunt->file == NULL)
        return ENOMEM;
    unsigned short random[3] = {0x330e, (unsigned short)hunt->seed, (unsigned short)(hunt->seed >> 16)};
    hunt->hidden_file = hunt->n / 2 + (size_t)nrand48(random) % (hunt->n - hunt->n / 2);
    hunt->hidden_line = 1 + (size_t)nrand48(random) % LINES;
    return make_files(hunt);
}

static void hunt_end(struct hunt *hunt) {
    for (size_t i = 0; hunt->file != NULL && i < hunt->n && hunt->file[i].path != NULL; i++) {
        unlink(hunt->file[i].path);
        free(hunt->file[i].path);
    }
    free(hunt->file);
    if (hunt->directory[0] != '\0' && rmdir(hunt->directory) != 0)
        demo_error("treasure", hunt->directory, errno);
}

static int run(struct hunt *hunt, bool is_demo) {
    exec_time warm_up, sequential, libexec;
    int status = 0;
    if (is_demo) {
        status = time_search(hunt, "warm-up", run_sequential, &warm_up);
        if (status == 0)
            status = time_search(hunt, "sequential loop", run_sequential, &sequential);
    }
    if (status == 0)
        status = time_search(hunt, "libexec", run_libexec, &libexec);
    if (status != 0)
        return status;

    if (is_demo)
        demo_row("treasure", hunt->n, sequential, libexec);
    printf("  found after %.3f s in file %zu of %zu, line %zu of %d (seed %lu, %zu MB)\n", demo_seconds(libexec),
           hunt->hidden_file + 1, hunt->n, hunt->hidden_line, LINES, hunt->seed,
           hunt->n * LINES * LINE_BYTES / 1000000);
    return 0;
}

static void catch_signals(void) {
    const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}

static int usage(void) {
    fputs("usage: treasure [FILES [SEED]]\n"
          "       treasure --demo\n"
          "1000 files, and a new seed each time, unless given.\n",
          stderr);
    return 2;
}

int main(int argc, char *argv[]) {
    unsigned long n = 1000, seed = (unsigned long)exec_now() % 1000000;
    bool is_demo = argc > 1 && strcmp(argv[1], "--demo") == 0;

    if (argc > (is_demo ? 2 : 3))
        return usage();
    if (!is_demo && argc > 1 && demo_number(argv[1], 1, 1000000, &n) != 0)
        return usage();
    if (!is_demo && argc > 2 && demo_number(argv[2], 0, UINT32_MAX, &seed) != 0)
        return usage();

    catch_signals();
    struct hunt hunt = {.n = n, .seed = seed};
    int error = hunt_begin(&hunt);
    int status = error != 0 ? demo_error("treasure", "making the files", error) : run(&hunt, is_demo);
    hunt_end(&hunt);
    return demo_finish("treasure", status);
}
