/* compare.c - runs the programs of this folder against each other, in turn, and prints what came out.
 *
 *     compare [--out PREFIX] NAME=COMMAND ...        ours first
 *
 * Every COMMAND is as peer.h says. For each case that the first one knows, all that know it take turns: ours, a peer,
 * the next peer, ours again, so that a slow minute of the machine falls on all of them. A line each: the median of its
 * runs, the quartiles, processor time, and the median as a multiple of ours; for ours, as a multiple of the best
 * peer's, of the sequential loop's and of what the machine allows, where there are such. The last two are those whose
 * names are "loop" and "limit": they are no peers. At the end a line a case, and what we are behind in.
 *
 * BENCH_RUNS is the number of runs, 7 unless given. BENCH_CASES has the cases to run, unless all are: their names, or
 * the words that they begin with, with semicolons between them, as in BENCH_CASES='ping;wake-up;io 1000 x 100 ms'.
 * PREFIX.json gets every figure, PREFIX.table what `make bench-plot` draws. Exit status 1: a program failed, and its
 * figures are missing; 2: no such case, or another misuse.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../bench.h"

enum { MOST_SIDES = 16, MOST_CASES = 64, MOST_RUNS = 1000, DEFAULT_RUNS = 7, WIDTH = 9 };

struct side {
    char *name, *command;
    bool knows[MOST_CASES];
    double figures[MOST_RUNS], cpu[MOST_RUNS]; /* of the present case, in the order of the runs, then sorted */
};

/* A case, and how our median compares: 0 where there is nothing to compare with. */
struct compared {
    char *name, *unit;
    const char *best; /* peer */
    double to_best, to_loop, to_limit;
};

static struct side sides[MOST_SIDES];
static struct compared cases[MOST_CASES];
static size_t nsides, ncases, runs;
static FILE *json, *table;
static bool failed;

static void die(const char *what, const char *why) {
    fprintf(stderr, "compare: %s: %s\n", what, why);
    exit(2);
}

/* --- running --- */

static FILE *run_side(const struct side *side, const char *argument) {
    char command[1000];
    int n = snprintf(command, sizeof command, "%s '%s'", side->command, argument);
    FILE *output = n > 0 && (size_t)n < sizeof command ? popen(command, "r") : NULL;
    if (output == NULL)
        die(side->command, strerror(errno));
    return output;
}

static bool finish_side(const struct side *side, FILE *output) {
    if (pclose(output) == 0)
        return true;
    fprintf(stderr, "compare: %s failed: %s\n", side->name, side->command);
    failed = true;
    return false;
}

/* Is it among those to run? */
static bool is_wanted(const char *name) {
    const char *wanted = getenv("BENCH_CASES");
    if (wanted == NULL || *wanted == '\0')
        return true;
    while (*wanted != '\0') {
        size_t length = strcspn(wanted, ";");
        if (length > 0 && strncmp(name, wanted, length) == 0 && !isalnum((unsigned char)name[length]))
            return true;
        wanted += length + (wanted[length] == ';');
    }
    return false;
}

static size_t find_case(const char *name, const char *unit, bool is_ours) {
    for (size_t i = 0; i < ncases; i++)
        if (strcmp(cases[i].name, name) == 0)
            return i;
    if (!is_ours || ncases == MOST_CASES || !is_wanted(name))
        return MOST_CASES;
    cases[ncases].name = strdup(name);
    cases[ncases].unit = strdup(unit);
    return ncases++;
}

static void ask_for_cases(struct side *side) {
    char line[100];
    FILE *output = run_side(side, "list");
    while (fgets(line, sizeof line, output) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *tab = strchr(line, '\t');
        if (tab == NULL)
            die(side->command, "a case without a unit");
        *tab = '\0';
        size_t found = find_case(line, tab + 1, side == sides);
        if (found < MOST_CASES)
            side->knows[found] = true;
    }
    finish_side(side, output);
}

/* One run of one case. A side that fails is left out from then on. */
static void measure(struct side *side, size_t which, size_t run) {
    FILE *output = run_side(side, cases[which].name);
    int found = fscanf(output, "%lf %lf", &side->figures[run], &side->cpu[run]);
    if (found < 2)
        side->cpu[run] = NAN;
    if (!finish_side(side, output) || found < 1) {
        failed = true;
        side->knows[which] = false;
    }
}

/* --- figures --- */

static double median(const struct side *side) {
    return bench_quantile(side->figures, runs, 0.5);
}

static bool is_peer(const struct side *side) {
    return side != sides && strcmp(side->name, "loop") != 0 && strcmp(side->name, "limit") != 0;
}

static const struct side *best_peer(size_t which) {
    const struct side *best = NULL;
    for (size_t i = 1; i < nsides; i++)
        if (sides[i].knows[which] && is_peer(&sides[i]) && (best == NULL || median(&sides[i]) < median(best)))
            best = &sides[i];
    return best;
}

/* Our median as a multiple of that side's. 0: there is no such side, or nothing to divide by. */
static double ratio_to(const char *name, size_t which) {
    for (size_t i = 1; i < nsides; i++)
        if (sides[i].knows[which] && strcmp(sides[i].name, name) == 0 && median(&sides[i]) > 0)
            return median(sides) / median(&sides[i]);
    return 0;
}

static void find_ratios(size_t which) {
    const struct side *best = best_peer(which);
    if (!sides[0].knows[which])
        return;
    cases[which].best = best != NULL ? best->name : NULL;
    cases[which].to_best = best != NULL ? ratio_to(best->name, which) : 0;
    cases[which].to_loop = ratio_to("loop", which);
    cases[which].to_limit = ratio_to("limit", which);
}

/* --- printing --- */

static void print_ratio(double ratio, const char *name) {
    if (ratio > 0)
        printf(" %6.2f x %s", ratio, name);
}

static void print_side(const struct side *side, const struct compared *c) {
    printf("  %-28s", side->name);
    bench_print(WIDTH, median(side));
    printf("  [");
    bench_print(WIDTH, bench_quantile(side->figures, runs, 0.25));
    bench_print(WIDTH, bench_quantile(side->figures, runs, 0.75));
    printf(" ]");
    if (isnan(side->cpu[0]))
        printf("%*s", WIDTH, "-");
    else
        bench_print(WIDTH, bench_quantile(side->cpu, runs, 0.5));
    printf("  ");
    if (side == sides) {
        print_ratio(c->to_best, c->best);
        print_ratio(c->to_loop, "loop");
        print_ratio(c->to_limit, "limit");
    } else if (c->to_best + c->to_loop + c->to_limit > 0 && median(sides) > 0) {
        print_ratio(median(side) / median(sides), sides[0].name);
    }
    printf("\n");
}

static void print_case(size_t which) {
    const struct compared *c = &cases[which];
    printf("\n%-30s%9s  [%9s%9s ]%9s\n", c->name, c->unit, "quartile", "quartile", "cpu");
    for (size_t i = 0; i < nsides; i++)
        if (sides[i].knows[which])
            print_side(&sides[i], c);
    if (c->to_best > 1)
        printf("  %s is behind %s here\n", sides[0].name, c->best);
    fflush(stdout);
}

static void print_json_side(const struct side *side) {
    fprintf(json, "{\"name\": \"%s\", \"median\": %.4f, \"low\": %.4f, \"high\": %.4f, ", side->name, median(side),
            bench_quantile(side->figures, runs, 0.25), bench_quantile(side->figures, runs, 0.75));
    if (!isnan(side->cpu[0]))
        fprintf(json, "\"cpu\": %.4f, ", bench_quantile(side->cpu, runs, 0.5));
    fprintf(json, "\"runs\": [");
    for (size_t i = 0; i < runs; i++)
        fprintf(json, "%s%.4f", i > 0 ? ", " : "", side->figures[i]);
    fprintf(json, "]}");
}

static void print_json_case(size_t which) {
    const struct compared *c = &cases[which];
    bool first = true;
    fprintf(json, "%s\n    {\"case\": \"%s\", \"unit\": \"%s\", ", which > 0 ? "," : "", c->name, c->unit);
    if (c->to_best > 0)
        fprintf(json, "\"best peer\": \"%s\", \"to best peer\": %.4f, ", c->best, c->to_best);
    if (c->to_loop > 0)
        fprintf(json, "\"to loop\": %.4f, ", c->to_loop);
    if (c->to_limit > 0)
        fprintf(json, "\"to limit\": %.4f, ", c->to_limit);
    fprintf(json, "\"sides\": [");
    for (size_t i = 0; i < nsides; i++) {
        if (!sides[i].knows[which])
            continue;
        fprintf(json, "%s\n      ", first ? "" : ",");
        print_json_side(&sides[i]);
        first = false;
    }
    fprintf(json, "]}");
}

/* A block for gnuplot: a side each, with two blank lines before the next block. */
static void print_table(size_t which) {
    fprintf(table, which > 0 ? "\n\n" : "");
    for (size_t i = 0; i < nsides; i++)
        if (sides[i].knows[which])
            fprintf(table, "\"%s\" %.4f %.4f %.4f \"%s\" \"%s\"\n", sides[i].name, median(&sides[i]),
                    bench_quantile(sides[i].figures, runs, 0.25), bench_quantile(sides[i].figures, runs, 0.75),
                    cases[which].name, cases[which].unit);
}

static void compare(size_t which) {
    for (size_t run = 0; run < runs; run++)
        for (size_t i = 0; i < nsides; i++)
            if (sides[i].knows[which])
                measure(&sides[i], which, run);
    for (size_t i = 0; i < nsides; i++) {
        bench_sort(sides[i].figures, runs);
        bench_sort(sides[i].cpu, runs);
    }
    find_ratios(which);
    print_case(which);
    if (json != NULL) {
        print_json_case(which);
        print_table(which);
    }
}

/* --- the summary --- */

static void print_cell(double ratio) {
    if (ratio > 0)
        printf("%9.2f", ratio);
    else
        printf("%9s", "-");
}

static void summarize(void) {
    size_t behind = 0, compared = 0;
    printf("\n%s as a multiple of%*s%9s%9s\n", sides[0].name, 18, "best peer", "loop", "limit");
    for (size_t i = 0; i < ncases; i++) {
        const struct compared *c = &cases[i];
        printf("  %-32s", c->name);
        print_cell(c->to_best);
        print_cell(c->to_loop);
        print_cell(c->to_limit);
        if (c->best != NULL)
            printf("  %s%s", c->best, c->to_best > 1 ? ", behind" : "");
        printf("\n");
        compared += c->to_best > 0;
        behind += c->to_best > 1;
    }
    printf("behind the best peer in %zu of %zu cases%s", behind, compared, behind > 0 ? ":" : "");
    for (size_t i = 0; i < ncases; i++)
        if (cases[i].to_best > 1)
            printf(" %s (%.2f x %s)%s", cases[i].name, cases[i].to_best, cases[i].best, --behind > 0 ? "," : "");
    printf("\n");
}

/* --- the command line --- */

static void add_side(const char *argument) {
    const char *sign = strchr(argument, '=');
    if (sign == NULL || nsides == MOST_SIDES)
        die(argument, sign == NULL ? "not NAME=COMMAND" : "too many");
    sides[nsides].name = strndup(argument, (size_t)(sign - argument));
    sides[nsides].command = strdup(sign + 1);
    ask_for_cases(&sides[nsides]);
    nsides++;
}

static FILE *open_file(const char *prefix, const char *suffix) {
    char path[1000];
    snprintf(path, sizeof path, "%s%s", prefix, suffix);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        die(path, strerror(errno));
    return file;
}

static void close_file(FILE *file) {
    if (fclose(file) != 0)
        die("a file of figures", strerror(errno));
}

static void open_files(const char *prefix) {
    struct utsname system;
    if (uname(&system) != 0)
        die("uname", strerror(errno));
    table = open_file(prefix, ".table");
    json = open_file(prefix, ".json");
    fprintf(json, "{\"machine\": \"%s %s %s\", \"cpus\": %ld, \"runs\": %zu,\n  \"cases\": [", system.sysname,
            system.release, system.machine, sysconf(_SC_NPROCESSORS_ONLN), runs);
}

int main(int argc, char *argv[]) {
    int first = 1;
    runs = bench_runs(DEFAULT_RUNS);
    if (runs > MOST_RUNS)
        die("BENCH_RUNS", "more than 1000");
    if (argc > 2 && strcmp(argv[1], "--out") == 0) {
        open_files(argv[2]);
        first = 3;
    }
    for (int i = first; i < argc; i++)
        add_side(argv[i]);
    if (nsides == 0) {
        fprintf(stderr, "usage: compare [--out PREFIX] NAME=COMMAND ...\n");
        return 2;
    }
    if (ncases == 0)
        die("BENCH_CASES", "no such case");
    for (size_t i = 0; i < ncases; i++)
        compare(i);
    summarize();
    if (json != NULL) {
        fprintf(json, "]\n}\n");
        close_file(json);
        close_file(table);
    }
    return failed;
}
