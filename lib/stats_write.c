/* stats_write.c - an executor's numbers as text: a table for people, JSON, and the text format of Prometheus.
 *
 * The text is made in memory first, and then written at once, so that a slow reader holds up nobody else.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exec/stats.h>

#include "executor.h"
#include "memory.h"
#include "text.h"

#define SECONDS 1e9

/* All there is to write. */
struct report {
    FILE *out;
    const char *name;
    exec_stats stats;
    exec_worker_stats *workers;
    exec_histogram *times; /* two, or NULL */
};

struct number {
    const char *name; /* as in exec_stats */
    uint64_t value;
};

enum { NUMBERS = 14, OUTCOMES = 4 };

/* The first ones are how tasks have ended. */
static void list_numbers(const exec_stats *s, struct number numbers[NUMBERS]) {
    const struct number all[NUMBERS] = {{"done", s->done},
                                        {"failed", s->failed},
                                        {"cancelled", s->cancelled},
                                        {"timed_out", s->timed_out},
                                        {"submitted", s->submitted},
                                        {"retried", s->retried},
                                        {"rejected", s->rejected},
                                        {"dropped", s->dropped},
                                        {"stolen", s->stolen},
                                        {"wakeups", s->wakeups},
                                        {"unfinished", s->unfinished},
                                        {"queued", s->queued},
                                        {"most_queued", s->most_queued},
                                        {"running", s->running}};
    memcpy(numbers, all, sizeof all);
}

static const char *const time_names[] = {"queued", "running"};
static const double percentiles[] = {50, 90, 99, 99.9, 100};
enum { PERCENTILES = sizeof percentiles / sizeof *percentiles };

/* --- the table --- */

static void write_table(const struct report *r) {
    struct number numbers[NUMBERS];
    list_numbers(&r->stats, numbers);
    fputs("executor ", r->out);
    exec__write_plain(r->out, r->name);
    fprintf(r->out, ", %u workers\n", r->stats.workers);
    for (int i = 0; i < NUMBERS; i++)
        if (strcmp(numbers[i].name, "most_queued") != 0 || r->times != NULL)
            fprintf(r->out, "  %-12s %12" PRIu64 "\n", numbers[i].name, numbers[i].value);
    fprintf(r->out, "worker         ended       stolen%s\n", r->times != NULL ? "     busy s     idle s" : "");
    for (unsigned i = 0; i < r->stats.workers; i++) {
        const exec_worker_stats *w = &r->workers[i];
        fprintf(r->out, "%6u  %12" PRIu64 " %12" PRIu64, i, w->ended, w->stolen);
        if (r->times != NULL)
            fprintf(r->out, " %10.3f %10.3f", (double)w->busy / SECONDS, (double)w->idle / SECONDS);
        fputc('\n', r->out);
    }
    if (r->times == NULL)
        return;
    fprintf(r->out, "time us        median         90 %%         99 %%       99.9 %%         most\n");
    for (int i = EXEC_TIME_QUEUED; i <= EXEC_TIME_RUNNING; i++) {
        fprintf(r->out, "%-8s", time_names[i]);
        for (int k = 0; k < PERCENTILES; k++)
            fprintf(r->out, " %12.3f", (double)exec_histogram_percentile(&r->times[i], percentiles[k]) / 1e3);
        fputc('\n', r->out);
    }
}

/* --- JSON --- */

static void write_json_times(const struct report *r) {
    for (int i = EXEC_TIME_QUEUED; i <= EXEC_TIME_RUNNING; i++) {
        const exec_histogram *h = &r->times[i];
        fprintf(r->out, ",\"time_%s_ns\":{\"count\":%" PRIu64 ",\"sum\":%" PRId64, time_names[i], h->total, h->sum);
        for (int k = 0; k < PERCENTILES; k++)
            fprintf(r->out, ",\"p%g\":%" PRId64, percentiles[k], exec_histogram_percentile(h, percentiles[k]));
        fputc('}', r->out);
    }
}

static void write_json(const struct report *r) {
    struct number numbers[NUMBERS];
    list_numbers(&r->stats, numbers);
    fputs("{\"name\":", r->out);
    exec__write_quoted(r->out, r->name);
    fprintf(r->out, ",\"workers\":%u", r->stats.workers);
    for (int i = 0; i < NUMBERS; i++)
        fprintf(r->out, ",\"%s\":%" PRIu64, numbers[i].name, numbers[i].value);
    fputs(",\"per_worker\":[", r->out);
    for (unsigned i = 0; i < r->stats.workers; i++) {
        const exec_worker_stats *w = &r->workers[i];
        fprintf(r->out, "%s{\"ended\":%" PRIu64 ",\"stolen\":%" PRIu64, i > 0 ? "," : "", w->ended, w->stolen);
        if (r->times != NULL)
            fprintf(r->out, ",\"busy_ns\":%" PRId64 ",\"idle_ns\":%" PRId64, w->busy, w->idle);
        fputc('}', r->out);
    }
    fputc(']', r->out);
    if (r->times != NULL)
        write_json_times(r);
    fputs("}\n", r->out);
}

/* --- Prometheus --- */

static void head(const struct report *r, const char *name, const char *type, const char *help) {
    fprintf(r->out, "# HELP libexec_%s %s\n# TYPE libexec_%s %s\n", name, help, name, type);
}

/* A sample, with one more label if there is one. */
static void sample(const struct report *r, const char *name, const char *label, const char *is, double value) {
    fprintf(r->out, "libexec_%s{executor=", name);
    exec__write_quoted(r->out, r->name);
    if (label != NULL)
        fprintf(r->out, ",%s=\"%s\"", label, is);
    fprintf(r->out, "} %.17g\n", value);
}

static void metric(const struct report *r, const char *name, const char *type, const char *help, uint64_t value) {
    head(r, name, type, help);
    sample(r, name, NULL, NULL, (double)value);
}

static void write_workers(const struct report *r) {
    char index[16];
    head(r, "worker_busy_seconds_total", "counter", "Time that the worker has been at tasks.");
    for (unsigned i = 0; i < r->stats.workers; i++) {
        snprintf(index, sizeof index, "%u", i);
        sample(r, "worker_busy_seconds_total", "worker", index, (double)r->workers[i].busy / SECONDS);
    }
}

/* Cumulative, at 1, 2.5 and 5 times each power of ten from a microsecond to 50 s. A bucket counts where its upper end
 * lies. */
static void write_histogram(const struct report *r, const char *name, const char *help, const exec_histogram *h) {
    static const exec_time steps[] = {10, 25, 50};
    char full[64], le[32];
    snprintf(full, sizeof full, "%s_bucket", name);
    head(r, name, "histogram", help);
    uint64_t below = 0;
    unsigned at = 0;
    for (exec_time decade = EXEC_NS(100); decade <= EXEC_SEC(1); decade *= 10)
        for (int i = 0; i < 3; i++) {
            for (; at < EXEC_HISTOGRAM_BUCKETS && exec__bucket_end(at) <= decade * steps[i]; at++)
                below += h->counts[at];
            snprintf(le, sizeof le, "%g", (double)(decade * steps[i]) / SECONDS);
            sample(r, full, "le", le, (double)below);
        }
    sample(r, full, "le", "+Inf", (double)h->total);
    snprintf(full, sizeof full, "%s_sum", name);
    sample(r, full, NULL, NULL, (double)h->sum / SECONDS);
    snprintf(full, sizeof full, "%s_count", name);
    sample(r, full, NULL, NULL, (double)h->total);
}

static void write_prometheus(const struct report *r) {
    const exec_stats *s = &r->stats;
    struct number numbers[NUMBERS];
    list_numbers(s, numbers);
    metric(r, "tasks_submitted_total", "counter", "Tasks that were accepted.", s->submitted);
    head(r, "tasks_ended_total", "counter", "Tasks that have ended, by how.");
    for (int i = 0; i < OUTCOMES; i++)
        sample(r, "tasks_ended_total", "outcome", numbers[i].name, (double)numbers[i].value);
    metric(r, "tasks_retried_total", "counter", "Further runs of tasks that had failed.", s->retried);
    metric(r, "tasks_rejected_total", "counter", "Tasks that were refused, since the queue was full.", s->rejected);
    metric(r, "tasks_dropped_total", "counter", "Tasks that were cancelled to make room for others.", s->dropped);
    metric(r, "tasks_stolen_total", "counter", "Tasks that a worker took from another's list.", s->stolen);
    metric(r, "wakeups_total", "counter", "How often a sleeping worker was woken.", s->wakeups);
    metric(r, "tasks_unfinished", "gauge", "Tasks that were accepted and have not ended.", s->unfinished);
    metric(r, "tasks_queued", "gauge", "Tasks that wait in the bounded queue.", s->queued);
    metric(r, "workers", "gauge", "Threads that run tasks.", s->workers);
    metric(r, "workers_running", "gauge", "Those of them that are at a task.", s->running);
    if (r->times == NULL)
        return;
    metric(r, "tasks_queued_most", "gauge", "How many tasks have waited in the queue at most.", s->most_queued);
    write_workers(r);
    write_histogram(r, "task_queued_seconds", "From when a task could have started to when it did.", &r->times[0]);
    write_histogram(r, "task_running_seconds", "How long a task's function took.", &r->times[1]);
}

/* --- collecting --- */

static void free_report(struct report *r) {
    free(r->workers);
    free(r->times);
}

static int make_report(executor_t *ex, struct report *r) {
    int error = executor_stats(ex, &r->stats);
    if (error != 0)
        return error;
    r->name = ex->pool.opts.name;
    r->workers = exec__calloc(r->stats.workers, sizeof *r->workers);
    r->times = ex->pool.measures != NULL ? exec__calloc(2, sizeof *r->times) : NULL;
    if (r->workers == NULL || (ex->pool.measures != NULL && r->times == NULL))
        return ENOMEM;
    for (unsigned i = 0; i < r->stats.workers; i++)
        executor_worker_stats(ex, i, &r->workers[i]);
    for (int i = EXEC_TIME_QUEUED; r->times != NULL && i <= EXEC_TIME_RUNNING; i++)
        executor_histogram(ex, (enum exec_histogram_of)i, &r->times[i]);
    return 0;
}

int executor_stats_write(executor_t *ex, FILE *out, enum exec_stats_format format) {
    static void (*const writers[])(const struct report *) = {write_table, write_json, write_prometheus};
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    if (out == NULL || format < EXEC_STATS_TABLE || format > EXEC_STATS_PROMETHEUS)
        return EINVAL;
    struct report r = {0};
    struct exec__text text;
    error = make_report(ex, &r);
    if (error == 0)
        error = exec__text_open(&text);
    if (error == 0) {
        r.out = text.stream;
        writers[format](&r);
        error = exec__text_write(&text, out);
    }
    free_report(&r);
    return error;
}
