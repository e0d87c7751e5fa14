/* test_progress.c - a progress bar: on a pipe, on a terminal, and where it must be silent; what it says of rates and
 * times, by a clock that the tests move; and that a map tells it what it needs. */
#include "helpers.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "clock.h"

/* ---- where it is shown ---- */

/* What the bar is shown on, and the end at which a test reads what was shown. */
struct screen {
    FILE *out;
    int from;
    char text[4096]; /* what was shown last */
};

static void clear_environment(void) {
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    unsetenv("NO_PROGRESS");
    unsetenv("COLUMNS");
    exec__clock_shift(0, 0); /* from now on time stands still */
}

static void open_pipe(struct screen *s) {
    int fd[2];
    clear_environment();
    eq_int(pipe(fd), 0);
    s->from = fd[0];
    s->out = fdopen(fd[1], "w");
    check(s->out);
}

static void resize(const struct screen *s, unsigned short columns) {
    struct winsize size = {.ws_row = 24, .ws_col = columns};
    eq_int(ioctl(fileno(s->out), TIOCSWINSZ, &size), 0);
}

/* A terminal that hands on what is written to it as it is. */
static void open_terminal(struct screen *s, unsigned short columns) {
    struct termios raw;
    clear_environment();
    s->from = posix_openpt(O_RDWR | O_NOCTTY);
    check(s->from >= 0 && grantpt(s->from) == 0 && unlockpt(s->from) == 0);
    s->out = fopen(ptsname(s->from), "w"); // NOLINT(concurrency-mt-unsafe)
    check(s->out);
    eq_int(tcgetattr(fileno(s->out), &raw), 0);
    cfmakeraw(&raw);
    eq_int(tcsetattr(fileno(s->out), TCSANOW, &raw), 0);
    resize(s, columns);
}

static void close_screen(struct screen *s) {
    fclose(s->out);
    close(s->from);
    exec__clock_restore();
}

/* What has been written since the last call: all that comes before a mark that is written behind it. */
static const char *shown(struct screen *s) {
    size_t length = 0;
    fputc('#', s->out);
    fflush(s->out);
    do {
        struct pollfd ready = {.fd = s->from, .events = POLLIN};
        eq_int(poll(&ready, 1, (int)(LIMIT / EXEC_MS(1))), 1);
        ssize_t got = read(s->from, s->text + length, sizeof s->text - 1 - length);
        check(got > 0);
        length += (size_t)got;
    } while (s->text[length - 1] != '#');
    s->text[length - 1] = '\0';
    return s->text;
}

/* The same without what steers the terminal. */
static const char *visible(struct screen *s) {
    char *to = s->text;
    for (const char *from = shown(s); *from != '\0'; from++) {
        if (*from == '\033')
            from += strcspn(from, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
        else if (*from != '\r')
            *to++ = *from;
    }
    *to = '\0';
    return s->text;
}

static void pass(exec_time duration) {
    exec__clock_shift(duration, 0);
}

/* ---- on a pipe ---- */

TEST(progress, a_pipe_gets_a_line_every_five_seconds_and_one_at_the_end) {
    struct screen s;
    open_pipe(&s);
    exec_progress bar = {.title = "pages", .out = s.out};
    exec_progress_bar(0, 1000, &bar);
    for (size_t i = 1; i < 50; i++) {
        pass(EXEC_MS(100));
        exec_progress_bar(10 * i, 1000, &bar);
    }
    eq_str(shown(&s), "");
    pass(EXEC_MS(100));
    exec_progress_bar(500, 1000, &bar);
    eq_str(shown(&s), "pages  50 %   500/1000    100/s     0:05 left\n");
    pass(EXEC_MS(4999));
    exec_progress_bar(999, 1000, &bar);
    eq_str(shown(&s), "");
    bar.failed = 3;
    exec_progress_bar(1000, 1000, &bar);
    eq_str(shown(&s), "pages 100 %  1000/1000    100/s  in 10.0 s  3 failed\n");
    close_screen(&s);
}

TEST(progress, nothing_to_do_is_done_at_once) {
    struct screen s;
    open_pipe(&s);
    exec_progress bar = {.out = s.out};
    for (int i = 0; i < 3; i++)
        exec_progress_bar(0, 0, &bar);
    eq_str(shown(&s), "100 %  0/0  in 0.0 s\n");
    close_screen(&s);
}

TEST(progress, more_done_than_there_is_ends_the_bar_too) {
    struct screen s;
    open_pipe(&s);
    exec_progress bar = {.out = s.out};
    exec_progress_bar(0, 100, &bar);
    pass(EXEC_SEC(2));
    exec_progress_bar(120, 100, &bar);
    eq_str(shown(&s), "100 %  120/100     60/s  in 2.0 s\n");
    exec_progress_bar(140, 100, &bar);
    exec_progress_bar(SIZE_MAX, SIZE_MAX, &bar);
    eq_str(shown(&s), "");
    close_screen(&s);
}

TEST(progress, one_that_has_ended_begins_anew_with_less) {
    struct screen s;
    open_pipe(&s);
    exec_progress bar = {.out = s.out};
    for (int i = 0; i < 2; i++) {
        exec_progress_bar(0, 10, &bar);
        pass(EXEC_SEC(2));
        exec_progress_bar(10, 10, &bar);
        eq_str(shown(&s), "100 %  10/10    5.0/s  in 2.0 s\n");
        pass(EXEC_SEC(3600));
    }
    close_screen(&s);
}

TEST(progress, what_was_done_before_it_began_counts_for_no_rate) {
    struct screen s;
    open_pipe(&s);
    exec_progress bar = {.out = s.out};
    exec_progress_bar(900, 1000, &bar);
    pass(EXEC_SEC(5));
    exec_progress_bar(910, 1000, &bar);
    eq_str(shown(&s), " 91 %   910/1000    2.0/s     0:45 left\n");
    close_screen(&s);
}

TEST(progress, huge_numbers_do_not_overflow) {
    struct screen s;
    open_pipe(&s);
    exec_progress bar = {.out = s.out, .failed = SIZE_MAX};
    exec_progress_bar(0, SIZE_MAX, &bar);
    pass(EXEC_SEC(5));
    exec_progress_bar(SIZE_MAX - 1, SIZE_MAX, &bar);
    check(strncmp(shown(&s), " 99 %  18446744073709551614/18446744073709551615", 47) == 0);
    pass(EXEC_NEVER / 4);
    exec_progress_bar(SIZE_MAX, SIZE_MAX, &bar);
    check(strncmp(shown(&s), "100 %", 5) == 0);
    close_screen(&s);
}

/* ---- rates and times ---- */

/* So many in five seconds, of a total: how the line ends. */
static void eq_speed(size_t done, size_t total, const char *expected) {
    struct screen s;
    open_pipe(&s);
    exec_progress bar = {.out = s.out};
    exec_progress_bar(0, total, &bar);
    pass(EXEC_SEC(5));
    exec_progress_bar(done, total, &bar);
    at_least(strlen(shown(&s)), strlen(expected));
    eq_str(s.text + strlen(s.text) - strlen(expected), expected);
    close_screen(&s);
}

TEST(progress, rates_have_up_to_three_digits) {
    eq_speed(1, 2, "   12/min     0:05 left\n");
    eq_speed(5, 65, "  1.0/s     1:00 left\n");
    eq_speed(49, 98, "  9.8/s     0:05 left\n");
    eq_speed(50, 100, "   10/s     0:05 left\n");
    eq_speed(4995, 9990, "  999/s     0:05 left\n");
    eq_speed(5000, 10000, " 1.0k/s     0:05 left\n");
    eq_speed(61700, 123400, "  12k/s     0:05 left\n");
    eq_speed(10000000, 20000000, " 2.0M/s     0:05 left\n");
    eq_speed(10000000000, 20000000000, " 2.0G/s     0:05 left\n");
}

TEST(progress, times_have_hours_days_and_an_end) {
    eq_speed(5, 64, "     0:59 left\n");
    eq_speed(5, 3604, "    59:59 left\n");
    eq_speed(5, 3605, "  1:00:00 left\n");
    eq_speed(5, 86404, "  23:59:59 left\n");
    eq_speed(5, 86405, "   1d 00h left\n");
    eq_speed(5, 86400000, "  999d 23h left\n");
    eq_speed(5, 86400005, "    years left\n");
    eq_speed(1, SIZE_MAX, "    years left\n");
}

TEST(progress, the_end_says_how_long_all_took) {
    const struct {
        exec_time took;
        const char *expected;
    } ends[] = {
        {EXEC_MS(40), "    100/s  in 0.0 s\n"},       {EXEC_MS(59900), "  4.0/min  in 59.9 s\n"},
        {EXEC_SEC(60), "  4.0/min  in 1:00\n"},       {EXEC_SEC(3600), "    4.0/h  in 1:00:00\n"},
        {EXEC_SEC(360000), "    0.0/h  in 4d 04h\n"},
    };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        struct screen s;
        open_pipe(&s);
        exec_progress bar = {.out = s.out};
        exec_progress_bar(0, 4, &bar);
        pass(ends[i].took);
        exec_progress_bar(4, 4, &bar);
        eq_str(strchr(shown(&s), '/') + 2, ends[i].expected);
        close_screen(&s);
    }
}

/* Calls it each second, and leaves what is shown in the end. */
static void go_on(struct screen *s, exec_progress *bar, size_t *done, size_t a_second, int seconds) {
    for (int i = 0; i < seconds; i++) {
        pass(EXEC_SEC(1));
        *done += a_second;
        exec_progress_bar(*done, 1000000, bar);
        visible(s);
    }
}

TEST(progress, a_rate_forgets_what_was_long_ago) {
    struct screen s;
    size_t done = 0;
    open_terminal(&s, 100);
    exec_progress bar = {.out = s.out};
    exec_progress_bar(0, 1000000, &bar);
    go_on(&s, &bar, &done, 1000, 10);
    check(strstr(s.text, " 1.0k/s  "));
    go_on(&s, &bar, &done, 100, 5);
    check(!strstr(s.text, " 100/s  ") && !strstr(s.text, " 1.0k/s  ")); /* not all at once */
    go_on(&s, &bar, &done, 100, 200);
    check(strstr(s.text, " 100/s  "));
    go_on(&s, &bar, &done, 0, 600);
    check(strstr(s.text, "/h  ") && strstr(s.text, "years left"));
    close_screen(&s);
}

/* ---- on a terminal ---- */

TEST(progress, a_terminal_has_one_line_as_wide_as_the_window) {
    struct screen s;
    open_terminal(&s, 61);
    exec_progress bar = {.title = "pages", .out = s.out};
    exec_progress_bar(0, 1000, &bar);
    eq_str(visible(&s), "pages [>                                  ]   0 %     0/1000");
    pass(EXEC_SEC(1));
    bar.failed = 1;
    exec_progress_bar(500, 1000, &bar);
    eq_str(visible(&s), "pages  50 %   500/1000    500/s     0:01 left  1 failed");
    bar.failed = 0;
    pass(EXEC_SEC(1));
    exec_progress_bar(999, 1000, &bar);
    eq_str(visible(&s), "pages [===========>]  99 %   999/1000    500/s     0:00 left");
    exec_progress_bar(1000, 1000, &bar);
    eq_str(visible(&s), "pages [================] 100 %  1000/1000    500/s  in 2.0 s\n");
    close_screen(&s);
}

TEST(progress, a_terminal_gets_the_line_and_then_the_cursor_at_its_begin) {
    struct screen s;
    open_terminal(&s, 45);
    exec_progress bar = {.out = s.out};
    exec_progress_bar(1, 2, &bar);
    eq_str(shown(&s), "\r\033[?7l[\033[32m===============>               \033[0m]  50 %  1/2\033[?7h\033[J\r");
    bar.failed = 1;
    exec_progress_bar(2, 2, &bar);
    eq_str(shown(&s),
           "\r\033[?7l[\033[32m===========\033[0m] 100 %  2/2  in 0.0 s\033[31m  1 failed\033[0m\033[?7h\033[J\n");
    close_screen(&s);
}

TEST(progress, a_terminal_is_drawn_at_most_ten_times_a_second) {
    struct screen s;
    open_terminal(&s, 80);
    exec_progress bar = {.out = s.out};
    for (size_t i = 0; i < 1000; i++) {
        exec_progress_bar(i, 1000, &bar);
        bool is_drawn = visible(&s)[0] != '\0';
        eq_int(is_drawn, i % 100 == 0);
        pass(EXEC_MS(1));
    }
    close_screen(&s);
}

TEST(progress, a_line_follows_the_size_of_its_window) {
    struct screen s;
    open_terminal(&s, 80);
    exec_progress bar = {.title = "p\xC3\xA4ges", .out = s.out, .failed = 12}; /* a character of two bytes */
    for (unsigned short columns = 200; columns > 0; columns--) {
        resize(&s, columns);
        pass(EXEC_SEC(1));
        exec_progress_bar(201u - columns, 1000, &bar);
        size_t length = strlen(visible(&s));
        bool has_title = strstr(s.text, "ges") != NULL, has_bar = strchr(s.text, '[') != NULL;
        at_most(length - has_title, columns - 1);
        check(!has_bar || (has_title && length == columns)); /* all but the last, and one more byte */
        eq_int(has_bar, columns >= 68);
        eq_int(has_title, columns >= 57);
        check(columns < 17 || strstr(s.text, "/1000"));
    }
    close_screen(&s);
}

static size_t drawn_width(struct screen *s) {
    exec_progress bar = {.out = s->out};
    exec_progress_bar(1, 2, &bar);
    return strlen(visible(s)) + 1;
}

TEST(progress, a_terminal_that_does_not_say_has_COLUMNS_or_eighty) {
    struct screen s;
    open_terminal(&s, 0);
    eq_int(drawn_width(&s), 80);
    setenv("COLUMNS", "50", 1);
    eq_int(drawn_width(&s), 50);
    setenv("COLUMNS", "100000", 1);
    eq_int(drawn_width(&s), 500);
    setenv("COLUMNS", "none", 1);
    eq_int(drawn_width(&s), 80);
    setenv("COLUMNS", "50", 1);
    resize(&s, 70);
    eq_int(drawn_width(&s), 70);
    close_screen(&s);
}

TEST(progress, control_characters_of_a_title_do_not_reach_the_terminal) {
    struct screen s;
    open_terminal(&s, 80);
    exec_progress bar = {.title = "a\033[2Jb\nc\177d\302\2332Je\377", .out = s.out};
    exec_progress_bar(0, 2, &bar);
    check(strncmp(visible(&s), "a?[2Jb?c?d??2Je? [", 18) == 0);
    close_screen(&s);
}

TEST(progress, a_long_title_is_left_out) {
    char title[5000];
    struct screen s;
    memset(title, 'x', sizeof title - 1);
    title[sizeof title - 1] = '\0';
    open_terminal(&s, 80);
    exec_progress bar = {.title = title, .out = s.out};
    exec_progress_bar(1, 2, &bar);
    eq_str(visible(&s), " 50 %  1/2");
    close_screen(&s);
}

TEST(progress, clear_takes_the_line_off_until_it_is_drawn_again) {
    struct screen s;
    open_terminal(&s, 40);
    exec_progress bar = {.out = s.out};
    exec_progress_clear(&bar);
    eq_str(shown(&s), "");
    exec_progress_bar(1, 2, &bar);
    shown(&s);
    exec_progress_clear(&bar);
    eq_str(shown(&s), "\r\033[J");
    exec_progress_bar(1, 2, &bar);
    eq_str(shown(&s), "");
    pass(EXEC_MS(100));
    exec_progress_bar(1, 2, &bar);
    check(strstr(visible(&s), "1/2"));
    exec_progress_bar(2, 2, &bar);
    shown(&s);
    exec_progress_clear(&bar);
    eq_str(shown(&s), "");
    close_screen(&s);
}

TEST(progress, clear_does_nothing_on_a_pipe) {
    struct screen s;
    open_pipe(&s);
    exec_progress bar = {.out = s.out};
    exec_progress_bar(1, 2, &bar);
    exec_progress_clear(&bar);
    eq_str(shown(&s), "");
    exec_progress_clear(NULL);
    close_screen(&s);
}

/* ---- what the environment says ---- */

TEST(progress, NO_COLOR_means_no_colours) {
    struct screen s;
    open_terminal(&s, 60);
    for (int i = 0; i < 3; i++) {
        exec_progress bar = {.out = s.out, .failed = 1};
        i == 0 ? unsetenv("NO_COLOR") : setenv("NO_COLOR", i == 1 ? "" : "1", 1);
        exec_progress_bar(1, 2, &bar);
        bool has_colours = strstr(shown(&s), "\033[3") != NULL || strstr(s.text, "\033[0") != NULL;
        eq_int(has_colours, i < 2);
        check(strstr(s.text, "1 failed"));
    }
    close_screen(&s);
}

TEST(progress, a_dumb_terminal_gets_lines) {
    struct screen s;
    open_terminal(&s, 80);
    for (int i = 0; i < 2; i++) {
        exec_progress bar = {.out = s.out};
        i == 0 ? unsetenv("TERM") : setenv("TERM", "dumb", 1);
        exec_progress_bar(1, 2, &bar);
        exec_progress_clear(&bar);
        exec_progress_bar(2, 2, &bar);
        eq_str(shown(&s), "100 %  2/2  in 0.0 s\n");
    }
    close_screen(&s);
}

static void show_both(struct screen *s, exec_progress bar) {
    bar.out = s->out;
    exec_progress_bar(0, 2, &bar);
    pass(EXEC_SEC(10));
    exec_progress_bar(1, 2, &bar);
    exec_progress_clear(&bar);
    exec_progress_bar(2, 2, &bar);
}

TEST(progress, quiet_and_NO_PROGRESS_mean_nothing_at_all) {
    for (int terminal = 0; terminal < 2; terminal++) {
        struct screen s;
        terminal ? open_terminal(&s, 80) : open_pipe(&s);
        show_both(&s, (exec_progress){.quiet = true});
        eq_str(shown(&s), "");
        setenv("NO_PROGRESS", "1", 1);
        show_both(&s, (exec_progress){0});
        eq_str(shown(&s), "");
        setenv("NO_PROGRESS", "", 1);
        show_both(&s, (exec_progress){0});
        check(shown(&s)[0] != '\0');
        close_screen(&s);
    }
}

/* ---- the rest of the contract ---- */

TEST(progress, it_goes_to_stderr_unless_told_otherwise) {
    struct screen s;
    exec_progress bar = {0};
    open_pipe(&s);
    int saved = dup(STDERR_FILENO);
    dup2(fileno(s.out), STDERR_FILENO);
    exec_progress_bar(3, 3, &bar);
    dup2(saved, STDERR_FILENO);
    close(saved);
    eq_str(shown(&s), "100 %  3/3  in 0.0 s\n");
    close_screen(&s);
}

TEST(progress, errno_is_left_alone_and_a_stream_that_fails_is_its_owners) {
    FILE *full = fopen("/dev/full", "w");
    check(full);
    clear_environment();
    exec_progress bar = {.out = full};
    errno = 1234;
    exec_progress_bar(1, 2, &bar);
    exec_progress_bar(2, 2, &bar);
    exec_progress_clear(&bar);
    exec_progress_bar(1, 2, NULL);
    eq_int(errno, 1234);
    check(ferror(full));
    fclose(full);
    exec__clock_restore();
}

static void *fail_each_third(void *arg) {
    return (intptr_t)arg % 3 == 0 ? exec_fail(EIO) : arg;
}

TEST(progress, a_map_tells_it_of_the_begin_of_failures_and_of_the_end) {
    static void *args[30];
    struct screen s;
    executor_t *ex = pool(2);
    for (intptr_t i = 0; i < 30; i++)
        args[i] = (void *)i;
    for (int terminal = 0; terminal < 2; terminal++) {
        terminal ? open_terminal(&s, 80) : open_pipe(&s);
        exec_progress bar = {.title = "items", .out = s.out};
        const exec_map_opts opts = {.progress = exec_progress_bar, .progress_ctx = &bar, .failed = &bar.failed};
        eq_err(executor_map(ex, fail_each_third, args, NULL, 30, &opts), EIO);
        eq_int(bar.failed, 10);
        eq_int(strstr(visible(&s), " 0/30") != NULL, terminal);
        check(strstr(s.text, "100 %  30/30  in 0.0 s  10 failed\n"));
        close_screen(&s);
    }
    executor_destroy(ex);
}
