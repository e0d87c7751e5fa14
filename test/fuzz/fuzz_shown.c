/* fuzz_shown.c - what an executor shows of itself, with names of any bytes: JSON, the text format of Prometheus, a
 * trace, the dump.
 *
 * An input is the executor's name, up to a zero, and the name of its task.
 */
#include "json.h"

#include <exec.h>

/* executor_stats_write() and its kin, without what else they are told. */
typedef int write_fn(executor_t *ex, FILE *out);

static char *text_of(executor_t *ex, write_fn *write) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    check(out != NULL);
    check(write(ex, out) == 0);
    check(fclose(out) == 0 && strlen(text) == size);
    return text;
}

static int write_json(executor_t *ex, FILE *out) {
    return executor_stats_write(ex, out, EXEC_STATS_JSON);
}

static int write_prometheus(executor_t *ex, FILE *out) {
    return executor_stats_write(ex, out, EXEC_STATS_PROMETHEUS);
}

static int write_table(executor_t *ex, FILE *out) {
    return executor_stats_write(ex, out, EXEC_STATS_TABLE);
}

/* ---- what is written ---- */

static void is_json(executor_t *ex, write_fn *write) {
    char *text = text_of(ex, write);
    const char *end = json_value(text);
    if (end == NULL || *end != '\0')
        FAIL("no JSON: %s", text);
    free(text);
}

static size_t metric_name(const char *at) {
    return strspn(at, "abcdefghijklmnopqrstuvwxyz_");
}

/* {LABEL="VALUE",...} */
static const char *labels(const char *at) {
    if (*at != '{')
        return NULL;
    do {
        at++;
        size_t n = metric_name(at);
        at = n > 0 && at[n] == '=' ? json_string(at + n + 1) : NULL;
    } while (at != NULL && *at == ',');
    return at != NULL && *at == '}' ? at + 1 : NULL;
}

/* A comment, or NAME LABELS VALUE. */
static const char *prometheus_line(const char *at) {
    if (strncmp(at, "# HELP libexec_", 15) == 0 || strncmp(at, "# TYPE libexec_", 15) == 0)
        return strchr(at, '\n') + 1;
    size_t n = metric_name(at);
    at = n > 0 ? labels(at + n) : NULL;
    at = at != NULL && *at == ' ' ? json_number(at + 1) : NULL;
    return at != NULL && *at == '\n' ? at + 1 : NULL;
}

static void is_prometheus(executor_t *ex) {
    char *text = text_of(ex, write_prometheus);
    for (const char *at = text; *at != '\0';) {
        const char *next = prometheus_line(at);
        if (next == NULL)
            FAIL("no line of Prometheus: %s", at);
        at = next;
    }
    free(text);
}

/* For people: lines of characters that a terminal shows. */
static void is_text(executor_t *ex, write_fn *write) {
    char *text = text_of(ex, write);
    for (const char *at = text; *at != '\0';) {
        uint32_t c = utf8_character(&at);
        if (c != '\n' && (c < 0x20 || (c >= 0x7f && c < 0xa0)))
            FAIL("no character for people: %s", at);
    }
    free(text);
}

/* ---- the executor ---- */

static void *show(void *arg) {
    executor_t *ex = arg;
    is_json(ex, write_json);
    is_prometheus(ex);
    is_text(ex, write_table);
    is_text(ex, executor_dump); /* which has the task's name, as it runs */
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = fuzz_text(data, size);
    const char *task = text + strlen(text) + (strlen(text) < size);
    executor_t *ex = NULL;
    future_t *f = NULL;
    check(executor_create(&(executor_opts){.workers = 1, .measure = true, .name = text}, &ex) == 0);
    check(executor_trace_start(ex, &(exec_trace_opts){.events = 8}) == 0);
    check(executor_submit(ex, show, ex, &(exec_task_opts){.name = task}, &f) == 0);
    check(future_wait(f, exec_after(EXEC_SEC(50))) == 0);
    future_unref(f);
    is_json(ex, executor_trace_stop);
    executor_destroy(ex);
    free(text);
    return 0;
}
