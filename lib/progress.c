/* progress.c - a progress bar.
 *
 * A bar begins with the first call, which finds out whether it goes to a terminal, and ends with the one that says all
 * is done. In between it is shown whenever it is `next`: what is shown is put together in one buffer and written at
 * once. On a terminal the cursor then goes back to the line's begin: when the window becomes narrower, and the terminal
 * folds the line, it still stands where the line begins, and the next one, which erases all that is behind it, leaves
 * nothing of the old. A line that is written while the window changes, before its new size can be known, is cut off by
 * the terminal rather than folded.
 *
 * The rate is a moving average: each measurement counts as much as the time it stands for is of the last WINDOW, or of
 * all the time so far where that is less. So it begins as the plain average, and forgets what was long ago.
 *
 * No locks: one thread at a time uses a bar.
 */
#include <exec/progress.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "sync.h"
#include "text.h"

#define DRAW_EVERY EXEC_MS(100)
#define LINE_EVERY EXEC_SEC(5)
#define WINDOW EXEC_SEC(20)

#define NO_WRAP "\033[?7l" /* DECAWM (VT100): what does not fit is not put on the next line */
#define WRAP "\033[?7h"
#define CLEAR_BELOW "\033[J"
#define GREEN "\033[32m"
#define RED "\033[31m"
#define PLAIN "\033[0m"

enum { NEW, RUNNING, ENDED };                /* own.phase */
enum { NOTHING = 1, LINES, PLAIN_BAR, BAR }; /* own.shows: the last one with colours */
enum { MOST_COLUMNS = 500, LEAST_BAR = 8, USUAL_COLUMNS = 80 };

/* What is to be written. A character has at most 4 bytes; what does not fit is cut off. */
struct text {
    size_t length;
    char bytes[4 * MOST_COLUMNS + 100];
};

/* What is behind the bar, each with the blanks before it. */
struct parts {
    char counts[64], speed[64], failed[40];
};

/* --- what to show it on --- */

static bool is_set(const char *name) {
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0';
}

static FILE *stream_of(const exec_progress *bar) {
    return bar->out != NULL ? bar->out : stderr;
}

static int find_out_how(const exec_progress *bar) {
    const char *terminal = getenv("TERM");
    if (is_set("NO_PROGRESS"))
        return NOTHING;
    if (terminal == NULL || strcmp(terminal, "dumb") == 0 || !isatty(fileno(stream_of(bar))))
        return LINES;
    return is_set("NO_COLOR") ? PLAIN_BAR : BAR;
}

static size_t usual_columns(void) {
    const char *columns = getenv("COLUMNS");
    long n = columns != NULL ? strtol(columns, NULL, 10) : 0;
    return n > 0 ? (size_t)n : USUAL_COLUMNS;
}

/* How many columns a line may have: all but the last, at which some terminals go to the next line. */
static size_t width(const exec_progress *bar) {
    struct winsize size;
    bool known = ioctl(fileno(stream_of(bar)), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    size_t columns = known ? size.ws_col : bar->own.columns;
    return columns < MOST_COLUMNS ? columns - 1 : MOST_COLUMNS - 1;
}

/* --- measuring --- */

static void begin(exec_progress *bar, size_t done, exec_time now) {
    int shows = find_out_how(bar);
    bar->own.phase = RUNNING;
    bar->own.shows = shows;
    bar->own.columns = usual_columns();
    bar->own.began = bar->own.measured = now;
    bar->own.next = shows == LINES ? now + LINE_EVERY : now;
    bar->own.first = bar->own.done = done;
    bar->own.rate = 0;
}

static void measure(exec_progress *bar, size_t done, exec_time now) {
    exec_time passed = now - bar->own.measured, since = now - bar->own.began;
    if (passed <= 0)
        return;
    double lately = done > bar->own.done ? (double)(done - bar->own.done) / (double)passed : 0;
    double share = (double)passed / (double)(since < WINDOW ? since : WINDOW);
    bar->own.rate += (lately - bar->own.rate) * (share < 1 ? share : 1);
    bar->own.measured = now;
    bar->own.done = done;
}

/* --- text --- */

static void append(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(struct text *t, const char *format, ...) {
    size_t room = sizeof t->bytes - t->length;
    va_list args;
    va_start(args, format);
    int length = vsnprintf(t->bytes + t->length, room, format, args); // NOLINT(clang-analyzer-valist.Uninitialized)
    va_end(args);
    if (length > 0)
        t->length += (size_t)length < room ? (size_t)length : room - 1;
}

/* A character a column; what is none, or controls a terminal, is shown as '?'. */
static size_t columns_of(const char *text) {
    size_t columns = 0;
    for (; text != NULL && *text != '\0'; columns++) {
        size_t size = exec__character(text);
        text += size > 0 ? size : 1;
    }
    return columns;
}

static void append_title(struct text *t, const char *title) {
    if (title == NULL)
        return;
    while (*title != '\0') {
        size_t size = exec__character(title);
        append(t, "%.*s", size > 0 ? (int)size : 1, size > 0 ? title : "?");
        title += size > 0 ? size : 1;
    }
    append(t, " ");
}

/* Three digits at most: 3.4/s, 120/s, 12k/s; less than one a second as 30/min, or 2.0/h. */
static void format_rate(char *text, size_t size, double per_second) {
    static const char *const multiples[] = {"", "k", "M", "G", "T"};
    const char *per = per_second >= 1 ? "s" : per_second * 60 >= 1 ? "min" : "h";
    double rate = per_second * (per[0] == 's' ? 1 : per[0] == 'm' ? 60 : 3600);
    size_t i = 0;
    for (; rate >= 999.5 && i < 4; i++)
        rate /= 1000;
    snprintf(text, size, "%.*f%s/%s", rate < 9.95, rate, multiples[i], per);
}

/* 0:05, 59:59, 1:00:00, 4d 03h. */
static void format_time(char *text, size_t size, double seconds) {
    long s = seconds < 86400e3 ? (long)(seconds + 0.5) : 86400000L;
    if (s < 3600)
        snprintf(text, size, "%ld:%02ld", s / 60, s % 60);
    else if (s < 86400)
        snprintf(text, size, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else if (s < 86400000)
        snprintf(text, size, "%ldd %02ldh", s / 86400, s / 3600 % 24);
    else
        snprintf(text, size, "years");
}

/* The rate of all of it, and how long it took. */
static void describe_end(const exec_progress *bar, struct parts *p, size_t done) {
    char rate[24] = "", time[24];
    double took = (double)(bar->own.measured - bar->own.began) / 1e9;
    if (took > 0 && done > bar->own.first)
        format_rate(rate, sizeof rate, (double)(done - bar->own.first) / took);
    if (took < 59.95)
        snprintf(time, sizeof time, "%.1f s", took);
    else
        format_time(time, sizeof time, took);
    snprintf(p->speed, sizeof p->speed, rate[0] != '\0' ? "  %7s  in %s" : "%s  in %s", rate, time);
}

/* How fast it is, and how long it will take. */
static void describe_rest(const exec_progress *bar, struct parts *p, size_t rest) {
    char rate[24], time[24];
    if (bar->own.rate <= 0)
        return;
    format_rate(rate, sizeof rate, bar->own.rate * 1e9);
    format_time(time, sizeof time, (double)rest / bar->own.rate / 1e9);
    snprintf(p->speed, sizeof p->speed, "  %7s  %7s left", rate, time);
}

static int percent(size_t done, size_t total) {
    if (done >= total)
        return 100;
    double share = 100 * ((double)done / (double)total);
    return share < 99 ? (int)share : 99;
}

static void describe(const exec_progress *bar, struct parts *p, size_t done, size_t total) {
    *p = (struct parts){0};
    int digits = snprintf(NULL, 0, "%zu", total);
    snprintf(p->counts, sizeof p->counts, "%3d %%  %*zu/%zu", percent(done, total), digits, done, total);
    if (done >= total)
        describe_end(bar, p, done);
    else
        describe_rest(bar, p, total - done);
    if (bar->failed > 0)
        snprintf(p->failed, sizeof p->failed, "  %zu failed", bar->failed);
}

/* --- showing --- */

static void append_bar(struct text *t, size_t columns, size_t done, size_t total, bool coloured) {
    double share = done < total ? (double)done / (double)total : 1;
    size_t full = (size_t)(share * (double)columns);
    append(t, "[%s", coloured ? GREEN : "");
    for (size_t i = 0; i < columns; i++)
        append(t, "%c", i < full ? '=' : i == full ? '>' : ' ');
    append(t, "%s]", coloured ? PLAIN : "");
}

/* What there is no room for is left out: first the bar, then the title, the speed, the failures. */
static void append_line(struct text *t, const exec_progress *bar, size_t done, size_t total) {
    struct parts p;
    describe(bar, &p, done, total);
    bool coloured = bar->own.shows == BAR;
    size_t room = width(bar), title = columns_of(bar->title) + (bar->title != NULL);
    size_t counts = strlen(p.counts), speed = strlen(p.speed), failed = strlen(p.failed);
    if (title + counts + speed + failed <= room)
        append_title(t, bar->title);
    if (title + counts + speed + failed + LEAST_BAR + 3 <= room) {
        append_bar(t, room - title - counts - speed - failed - 3, done, total, coloured);
        append(t, " ");
    }
    append(t, "%.*s", (int)room, p.counts);
    if (counts + speed + failed <= room)
        append(t, "%s", p.speed);
    if (failed > 0 && counts + failed <= room)
        append(t, "%s%s%s", coloured ? RED : "", p.failed, coloured ? PLAIN : "");
}

static void write_text(const exec_progress *bar, const struct text *t) {
    FILE *out = stream_of(bar);
    struct exec__quiet q = exec__quiet_begin();
    fwrite(t->bytes, 1, t->length, out);
    fflush(out);
    exec__quiet_end(&q);
}

static void draw(const exec_progress *bar, size_t done, size_t total) {
    struct text t = {0};
    append(&t, "\r" NO_WRAP);
    append_line(&t, bar, done, total);
    append(&t, WRAP CLEAR_BELOW "%s", done < total ? "\r" : "\n");
    write_text(bar, &t);
}

static void print(const exec_progress *bar, size_t done, size_t total) {
    struct text t = {0};
    struct parts p;
    describe(bar, &p, done, total);
    append_title(&t, bar->title);
    append(&t, "%s%s%s\n", p.counts, p.speed, p.failed);
    write_text(bar, &t);
}

static void show(exec_progress *bar, size_t done, size_t total, exec_time now) {
    measure(bar, done, now);
    if (bar->own.shows == LINES)
        print(bar, done, total);
    else
        draw(bar, done, total);
    bar->own.next = now + (bar->own.shows == LINES ? LINE_EVERY : DRAW_EVERY);
    if (done >= total)
        bar->own.phase = ENDED;
}

/* --- the calls --- */

void exec_progress_bar(size_t done, size_t total, void *ctx) {
    exec_progress *bar = ctx;
    if (bar == NULL || (bar->own.phase == ENDED && done >= total))
        return;
    int saved = errno;
    exec_time now = exec_now();
    if (bar->own.phase != RUNNING)
        begin(bar, done, now);
    bool is_time = done >= total || now >= bar->own.next;
    if (is_time && !bar->quiet && bar->own.shows != NOTHING)
        show(bar, done, total, now);
    errno = saved;
}

void exec_progress_clear(exec_progress *bar) {
    if (bar == NULL || bar->own.phase != RUNNING || bar->own.shows < PLAIN_BAR || bar->quiet)
        return;
    struct text t = {0};
    append(&t, "\r" CLEAR_BELOW);
    write_text(bar, &t);
}
