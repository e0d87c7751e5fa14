/* fault_progress.c - every look at a terminal, and every write to it, made to fail in turn: the progress bar. How it
 * goes is in fault_trial.h. */
#include "fault_trial.h"

enum { ITEMS = 20 };

/* What is written to it can be read from the master. */
static FILE *open_terminal(int *master) {
    *master = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(*master >= 0 && grantpt(*master) == 0 && unlockpt(*master) == 0);
    FILE *out = fopen(ptsname(*master), "w"); // NOLINT(concurrency-mt-unsafe)
    CHECK(out != NULL);
    return out;
}

/* Reads until a bar with that title has come to its end; the watchdog limits the wait. */
static void read_to_the_end(int fd, const char *title) {
    char text[8192] = "", *begin;
    size_t n = 0;
    do {
        ssize_t more = read(fd, text + n, sizeof text - 1 - n);
        CHECK_OP(more, >, 0);
        n += (size_t)more;
        text[n] = '\0';
        begin = strstr(text, title);
    } while (begin == NULL || strstr(begin, "100 %") == NULL);
}

/* It returns nothing, changes nothing but itself, and goes on after each failure. */
static void show_on(FILE *out) {
    exec_progress bar = {.title = "faults", .out = out};
    errno = 4242;
    fault_arm();
    exec_progress_bar(0, ITEMS, &bar);
    exec_progress_clear(&bar);
    exec_progress_bar(ITEMS / 2, ITEMS, &bar);
    exec_progress_bar(ITEMS, ITEMS, &bar);
    fault_disarm();
    CHECK_EQ(errno, 4242);
    bar.title = "begun anew";
    exec_progress_bar(0, ITEMS, &bar);
    exec_progress_bar(ITEMS, ITEMS, &bar);
}

static void show_on_terminal(void) {
    int master;
    FILE *out = open_terminal(&master);
    show_on(out);
    read_to_the_end(master, "begun anew");
    fclose(out);
    close(master);
}

static void show_in_file(void) {
    FILE *out = tmpfile();
    CHECK(out != NULL);
    show_on(out);
    rewind(out);
    read_to_the_end(fileno(out), "begun anew");
    fclose(out);
}

/* Whatever becomes of the bar, the map runs. */
static void show_of_map(void) {
    int master;
    void *args[ITEMS] = {0}, *results[ITEMS];
    FILE *out = open_terminal(&master);
    exec_progress bar = {.out = out};
    for (int i = 0; i < ITEMS; i++)
        args[i] = &args[i];
    open_executor(1);
    fault_arm();
    int error = executor_map(ex, run, args, results, ITEMS,
                             &(exec_map_opts){.progress = exec_progress_bar, .progress_ctx = &bar});
    fault_disarm();
    CHECK_FAULT_OR_DONE(error);
    for (int i = 0; i < ITEMS && error == 0; i++)
        CHECK_PTR(results[i], args[i]);
    check_works(ex);
    executor_destroy(ex);
    fclose(out);
    close(master);
}

static const struct scenario scenarios[] = {
    {"on a terminal", show_on_terminal, true},
    {"in a file", show_in_file, true},
    {"of a map", show_of_map, true},
};

int main(int argc, char **argv) {
    setenv("TERM", "xterm", 1);
    unsetenv("NO_PROGRESS");
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
