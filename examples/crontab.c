/* crontab.c - a crontab inside the program: jobs at the local times of several zones, tried again when they fail.
 *
 *     crontab FILE
 *     crontab --demo
 *
 * FILE has a line for each job: the five fields of crontab(5), a time zone, or "-" for the process's own, and a name;
 * those that are empty or begin with '#' are left out. The program says when each job is due next, and then runs them
 * until SIGINT. A job here says its name and the time; one whose name begins with "shaky" fails at its first attempt.
 * What fails is tried again three times before the next run. --demo has three lines of its own, and, since nobody wants
 * to wait for midnight, runs the jobs at a period of 50 ms, twice.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <exec.h>

#include "demo.h"

enum { MOST_JOBS = 100, NEXT_TIMES = 3, DEMO_RUNS = 2 };

struct job {
    char expr[80], zone[64], name[64];
    atomic_int done;
    future_t *future;
};

struct table {
    struct job jobs[MOST_JOBS];
    size_t n;
};

static const char *zone_of(const struct job *job) {
    return strcmp(job->zone, "-") == 0 ? NULL : job->zone;
}

/* --- reading --- */

/* 0, or EINVAL, having said what is wrong. */
static int check_job(const struct job *job) {
    size_t position;
    time_t unused;
    if (exec_cron_check(job->expr, &position) != 0)
        fprintf(stderr, "crontab: %s: %s\n%*s\n", job->name, job->expr,
                (int)(strlen(job->name) + position + sizeof "crontab: : " - 1), "^");
    else if (exec_cron_next(job->expr, zone_of(job), time(NULL), &unused) == EINVAL)
        fprintf(stderr, "crontab: %s: no such zone: %s\n", job->name, job->zone);
    else
        return 0;
    return EINVAL;
}

static int add_job(struct table *table, const char *line) {
    char field[5][15];
    line += strspn(line, " \t\n");
    if (line[0] == '\0' || line[0] == '#')
        return 0;
    if (table->n == MOST_JOBS)
        return E2BIG;
    struct job *job = &table->jobs[table->n];
    if (sscanf(line, "%14s %14s %14s %14s %14s %63s %63s", field[0], field[1], field[2], field[3], field[4], job->zone,
               job->name) != 7)
        return EINVAL;
    snprintf(job->expr, sizeof job->expr, "%s %s %s %s %s", field[0], field[1], field[2], field[3], field[4]);
    table->n++;
    return check_job(job);
}

static int read_table(struct table *table, const char *path) {
    char line[400];
    int error = 0;
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return errno;
    while (error == 0 && fgets(line, sizeof line, in) != NULL)
        error = add_job(table, line);
    if (error == 0 && ferror(in))
        error = EIO;
    fclose(in);
    return error;
}

/* --- running --- */

static void print_time(time_t when, const char *what) {
    char text[40];
    struct tm tm;
    strftime(text, sizeof text, "%a %Y-%m-%d %H:%M UTC", gmtime_r(&when, &tm));
    printf("%s %s\n", text, what);
}

static int print_next(const struct job *job) {
    time_t when = time(NULL);
    int error = 0;
    for (int i = 0; i < NEXT_TIMES && error == 0; i++) {
        error = exec_cron_next(job->expr, zone_of(job), when, &when);
        if (error == 0)
            print_time(when, job->name);
    }
    return error == ERANGE ? 0 : error; /* it is never due */
}

/* One attempt at a run. */
static void *run_job(void *arg) {
    struct job *job = arg;
    if (strncmp(job->name, "shaky", 5) == 0 && exec_attempt() == 1)
        return exec_fail(EIO);
    print_time(time(NULL), job->name);
    atomic_fetch_add(&job->done, 1);
    return NULL;
}

static int start_job(executor_t *ex, struct job *job, bool is_demo) {
    exec_task_opts opts = {.name = job->name, .keep_going = true, .retry = {.attempts = 4, .delay = EXEC_MS(10)}};
    if (is_demo) {
        opts.every = EXEC_MS(50);
        opts.count = DEMO_RUNS;
    } else {
        opts.cron = job->expr;
        opts.zone = zone_of(job);
    }
    return executor_submit(ex, run_job, job, &opts, &job->future);
}

static executor_t *executor; /* for the handler; r/o once it is set */

static void stop(int signal) {
    (void)signal;
    executor_request_shutdown(executor); /* ends the schedules */
}

/* Waits for all jobs; the error of the first that could not be started, or did not end well. */
static int run(struct table *table, bool is_demo) {
    int error = executor_create(&(executor_opts){.workers = 2}, &executor);
    if (error != 0)
        return error;
    sigaction(SIGINT, &(struct sigaction){.sa_handler = stop}, NULL);
    for (size_t i = 0; i < table->n && error == 0; i++)
        error = start_job(executor, &table->jobs[i], is_demo);
    if (error != 0)
        executor_shutdown(executor, EXECUTOR_DISCARD);
    for (size_t i = 0; i < table->n && table->jobs[i].future != NULL; i++) {
        int ended = future_get(table->jobs[i].future, NULL);
        if (error == 0 && ended != ECANCELED)
            error = ended;
        future_unref(table->jobs[i].future);
    }
    sigaction(SIGINT, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    executor_destroy(executor);
    return error;
}

int main(int argc, char *argv[]) {
    static const char *const demo_lines[] = {"# min hour dom mon dow  zone  name", "*/20 * * * * - often",
                                             "30 8 * * mon-fri Europe/Berlin morning", "0 0 1 jan * UTC shaky-year"};
    static struct table table;
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    int error = 0;
    if (argc != 2) {
        fputs("usage: crontab FILE\n       crontab --demo\n", stderr);
        return 2;
    }
    for (size_t i = 0; is_demo && i < sizeof demo_lines / sizeof demo_lines[0] && error == 0; i++)
        error = add_job(&table, demo_lines[i]);
    if (!is_demo)
        error = read_table(&table, argv[1]);
    if (error != 0)
        return demo_error("crontab", argv[1], error);
    for (size_t i = 0; i < table.n && error == 0; i++)
        error = print_next(&table.jobs[i]);
    if (error == 0)
        error = run(&table, is_demo);
    for (size_t i = 0; i < table.n && is_demo && error == 0; i++)
        error = atomic_load(&table.jobs[i].done) == DEMO_RUNS ? 0 : EPROTO;
    return demo_finish("crontab", error != 0 ? demo_error("crontab", "running", error) : 0);
}
