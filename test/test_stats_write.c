/* test_stats_write.c - an executor's numbers as a table, as JSON and for Prometheus. */
#include "shown.h"

/* ---- writing ---- */

static int write_table(executor_t *ex, FILE *out) {
    return executor_stats_write(ex, out, EXEC_STATS_TABLE);
}

static int write_json(executor_t *ex, FILE *out) {
    return executor_stats_write(ex, out, EXEC_STATS_JSON);
}

static int write_prometheus(executor_t *ex, FILE *out) {
    return executor_stats_write(ex, out, EXEC_STATS_PROMETHEUS);
}

static executor_t *used_executor(bool measure) {
    executor_t *ex = pool_of((executor_opts){.workers = 2, .measure = measure, .name = "a\"b\\c\n\xff"});
    for (uintptr_t i = 0; i < 8; i++)
        ok(executor_submit(ex, end_somehow, (void *)i, NULL, NULL));
    exec_stats s;
    do
        ok(executor_stats(ex, &s));
    while (s.unfinished > 0);
    return ex;
}

TEST(stats_write, the_table_has_a_line_for_each_number_and_worker) {
    for (int measure = 0; measure < 2; measure++) {
        executor_t *ex = used_executor(measure);
        char *text = text_of(ex, write_table);
        has(text, "executor a\"b\\c??, 2 workers\n");
        has(text, "submitted               8\n");
        has(text, "\n     1 ");
        eq_int(strstr(text, "99.9 %") != NULL, measure);
        free(text);
        executor_destroy(ex);
    }
}

/* One line, whose quotes, brackets and braces match. */
static void is_balanced(const char *json) {
    char open[64];
    int depth = 0;
    bool quoted = false;
    for (const char *c = json; *c != '\0'; c++) {
        if (quoted) {
            if (*c == '\\')
                c++;
            else
                quoted = *c != '"';
        } else if (*c == '"') {
            quoted = true;
        } else if (*c == '{' || *c == '[') {
            open[depth++] = *c;
        } else if (*c == '}' || *c == ']') {
            check(depth > 0 && open[--depth] == (*c == '}' ? '{' : '['));
        }
    }
    eq_int(depth, 0);
    check(!quoted);
    eq_int(strchr(json, '\n') - json, strlen(json) - 1);
}

TEST(stats_write, json_is_one_object) {
    for (int measure = 0; measure < 2; measure++) {
        executor_t *ex = used_executor(measure);
        char *text = text_of(ex, write_json);
        is_balanced(text);
        has(text, "{\"name\":\"a\\\"b\\\\c??\",\"workers\":2,\"done\":2,\"failed\":2,");
        has(text, "\"per_worker\":[{\"ended\":");
        eq_int(strstr(text, "\"time_running_ns\":{\"count\":8,") != NULL, measure);
        free(text);
        executor_destroy(ex);
    }
}

/* The counts of a histogram's buckets, which do not fall. */
static void buckets_grow(const char *text, const char *metric) {
    char name[80];
    double before = 0, value = -1;
    int n = 0;
    snprintf(name, sizeof name, "%s_bucket{", metric);
    for (const char *at = strstr(text, name); at != NULL; at = strstr(at + 1, name)) {
        value = strtod(strchr(at, '}') + 1, NULL);
        check(value >= before);
        before = value;
        n++;
    }
    at_least(n, 10);
    eq_int((int)value, 8);
}

TEST(stats_write, prometheus_has_help_type_and_samples) {
    for (int measure = 0; measure < 2; measure++) {
        executor_t *ex = used_executor(measure);
        char *text = text_of(ex, write_prometheus);
        has(text, "# TYPE libexec_tasks_submitted_total counter\n"
                  "libexec_tasks_submitted_total{executor=\"a\\\"b\\\\c??\"} 8\n");
        has(text, "outcome=\"timed_out\"} 2\n");
        if (measure) {
            buckets_grow(text, "libexec_task_queued_seconds");
            buckets_grow(text, "libexec_task_running_seconds");
            has(text, "worker=\"1\"");
        }
        free(text);
        executor_destroy(ex);
    }
}

TEST(stats_write, a_write_that_fails_is_reported) {
    executor_t *ex = used_executor(true);
    FILE *full = fopen("/dev/full", "w");
    check(full != NULL);
    for (int format = EXEC_STATS_TABLE; format <= EXEC_STATS_PROMETHEUS; format++)
        eq_err(executor_stats_write(ex, full, (enum exec_stats_format)format), ENOSPC);
    eq_err(executor_dump(ex, full), ENOSPC);
    fclose(full);
    executor_destroy(ex);
}
