/* stress_cron.c - exec_cron_next() against a walk through every minute.
 *
 * EXPRESSIONS expressions, some listed and some made at random, in ZONES zones, for YEARS years each: what the walk
 * finds due must be what the library says, time by time. The walk shares nothing with the library. A child process has
 * the C library say the local time of every minute of the years; each minute is then looked at as cron does, which
 * keeps the latest minute that it has come to by the local clock:
 *
 *     the clock went on by one minute      everything is looked at
 *     forward by up to three hours         the wildcards once; the rest for each minute left out, as one
 *     back by up to three hours            the wildcards, until the clock has caught up
 *     anything else                        everything; cron goes on from here
 */
#include "stress.h"

#include <sys/mman.h>
#include <sys/wait.h>

#include "../lib/cron.h"

enum { EXPRESSIONS = 200, ZONES = 12, YEARS = 5, MINUTES = (YEARS * 366 + 2) * 1440, THREE_HOURS = 180 };

static const struct {
    const char *zone;
    int first_year;
} windows[ZONES] = {
    {"Europe/Berlin", 2035},       /* past 2037, where many files end and their footers begin */
    {"America/New_York", 2005},    /* a new rule in 2007 */
    {"Australia/Lord_Howe", 2006}, /* half an hour; a new rule in 2008 */
    {"Pacific/Apia", 2009},        /* a day left out in 2011 */
    {"America/Sao_Paulo", 2015},   /* at midnight, until 2019 */
    {"Africa/Casablanca", 2016},   /* four changes a year, then two */
    {"Asia/Beirut", 2019},         /* at midnight */
    {"Antarctica/Casey", 2018},    /* exactly three hours */
    {"Antarctica/Troll", 2021},    /* two hours */
    {"America/Caracas", 2014},     /* half an hour for good in 2016 */
    {"Asia/Gaza", 2021},           /* on Saturdays, and by the moon */
    {"Pacific/Kwajalein", 1991},   /* a day left out in 1993 */
};

static const char *const listed[] = {
    "* * * * *",
    "*/20 * * * *",
    "*/7 * * * *",
    "0 * * * *",
    "30 * * * *",
    "@hourly",
    "@daily",
    "@midnight",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
    "0 0 29 2 *",
    "0 0 30 2 *",
    "0 0 31 * *",
    "30 2 * * *",
    "0 2 * * *",
    "0,30 2 * * *",
    "0 2,3 * * *",
    "59 1 * * *",
    "0 3 * * *",
    "*/30 2 * * *",
    "* 2 * * *",
    "30 1 * * *",
    "0 1 * * *",
    "15 0 * * *",
    "0 0 * * *",
    "30 23 * * *",
    "59 23 * * *",
    "0 0 * * sun",
    "30 2 * * 7",
    "0 12 13 * fri",
    "0 12 */2 * mon",
    "0 12 13 * */2",
    "0 9-17 * * mon-fri",
    "*/15 9-17 * * 1-5",
    "5 4 1,15 * *",
    "0 22 * * 1-5",
    "23 0-23/2 * * *",
    "5 4 * * sun",
    "0 0 1 jan,apr,jul,oct *",
    "45 23 28-31 dec *",
    "1-59/2 1 * mar,oct *",
    "0 */2 * * *",
    "0 1-23/2 * 3-11 0",
    "0-59 2 * * *",
    "10 */6 1-7 * 0",
    "0 0 1-7 * */7",
    "17 3 29 feb *",
    "0,1,2,3 0,1,2,3 * * *",
};

/* ---- the local clock, minute by minute ---- */

struct minute {    /* small: the walks are as fast as memory is */
    int32_t clock; /* minutes of the local clock since 1970-01-01 00:00 */
    unsigned of_day : 11, month : 4, day : 5, weekday : 3;
};

static struct minute *minutes; /* shared with the children */

static struct minute minute_of(const struct tm *tm) {
    struct tm copy = *tm;
    return (struct minute){.clock = (int32_t)(timegm(&copy) / 60),
                           .of_day = (unsigned)(tm->tm_hour * 60 + tm->tm_min),
                           .month = (unsigned)tm->tm_mon + 1,
                           .day = (unsigned)tm->tm_mday,
                           .weekday = (unsigned)tm->tm_wday};
}

static time_t begin_of(int year) {
    return timegm(&(struct tm){.tm_year = year - 1900, .tm_mday = 1});
}

static void fill(const char *zone, time_t begin, size_t n) {
    struct tm tm;
    setenv("TZ", zone, 1);
    tzset();
    for (size_t i = 0; i < n; i++) {
        time_t t = begin + (time_t)i * 60;
        CHECK(localtime_r(&t, &tm) && tm.tm_sec == 0);
        minutes[i] = minute_of(&tm);
    }
}

static void fill_in_child(const char *zone, time_t begin, size_t n) {
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        fill(zone, begin, n);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

/* ---- expressions, as this program reads them ---- */

struct plan {
    bool of_day[1440], month[13], day[32], weekday[8];
    bool either_day, wildcard;
};

static int number_in(const char *text, char **rest, const char *names, int first) {
    for (int i = 0; names && names[3 * i]; i++)
        if (strncmp(text, names + (size_t)3 * i, 3) == 0) {
            *rest = (char *)text + 3;
            return first + i;
        }
    return (int)strtol(text, rest, 10);
}

static void read_field(char *field, bool set[], int low, int high, const char *names) {
    char *state;
    for (char *part = strtok_r(field, ",", &state); part; part = strtok_r(NULL, ",", &state)) {
        char *rest = part + 1;
        int from = low, to = high;
        if (*part != '*') {
            from = to = number_in(part, &rest, names, low);
            if (*rest == '-')
                to = number_in(rest + 1, &rest, names, low);
        }
        int step = *rest == '/' ? atoi(rest + 1) : 1;
        for (int i = from; i <= to; i += step)
            set[i] = true;
    }
}

static const char *meaning(const char *expr) {
    static const char *const meanings[][2] = {
        {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
        {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"},
    };
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (strcmp(expr, meanings[i][0]) == 0)
            return meanings[i][1];
    return expr;
}

static struct plan plan_of(const char *expr) {
    struct plan p = {.wildcard = false};
    bool minute[60] = {false}, hour[24] = {false};
    char f[5][80];
    CHECK_EQ(sscanf(meaning(expr), "%79s %79s %79s %79s %79s", f[0], f[1], f[2], f[3], f[4]), 5);
    p.wildcard = f[0][0] == '*' || f[1][0] == '*';
    p.either_day = f[2][0] != '*' && f[4][0] != '*';
    read_field(f[0], minute, 0, 59, NULL);
    read_field(f[1], hour, 0, 23, NULL);
    read_field(f[2], p.day, 1, 31, NULL);
    read_field(f[3], p.month, 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec");
    read_field(f[4], p.weekday, 0, 7, "sunmontuewedthufrisat");
    p.weekday[0] = p.weekday[0] || p.weekday[7];
    for (int i = 0; i < 1440; i++)
        p.of_day[i] = hour[i / 60] && minute[i % 60];
    return p;
}

static bool is_due(const struct plan *p, const struct minute *m) {
    if (!p->of_day[m->of_day] || !p->month[m->month])
        return false;
    bool day = p->day[m->day], weekday = p->weekday[m->weekday];
    return p->either_day ? day || weekday : day && weekday;
}

static bool was_due(const struct plan *p, int64_t clock) {
    struct tm tm;
    time_t as_if = clock * 60;
    gmtime_r(&as_if, &tm);
    struct minute m = minute_of(&tm);
    return is_due(p, &m);
}

/* ---- the walk ---- */

static bool changed_due(const struct plan *p, const struct minute *m, int64_t latest) {
    for (int64_t clock = latest + 1; clock <= m->clock; clock++)
        if (was_due(p, clock))
            return true;
    return false;
}

static inline bool due_at(const struct plan *p, const struct minute *m, int64_t *latest) {
    int64_t before = *latest, forward = m->clock - before - 1;
    if (forward < 0 && forward >= -THREE_HOURS && !p->wildcard)
        return false;
    *latest = m->clock;
    if (forward > 0 && forward <= THREE_HOURS && !p->wildcard)
        return changed_due(p, m, before);
    return is_due(p, m);
}

/* What the library says: the next run; -1: none. */
static time_t next_run(const struct exec__cron *cron, const struct exec__zone *zone, time_t after) {
    time_t next = -1;
    CHECK_ERROR(exec__cron_after(cron, zone, after, &next), 0, ERANGE);
    return next;
}

static uint64_t walk(const char *expr, const char *name, const struct exec__zone *zone, time_t begin, size_t n) {
    const struct plan p = plan_of(expr);
    struct exec__cron cron;
    uint64_t found = 0;
    int64_t latest = minutes[0].clock - 1;
    CHECK_ERROR(exec__cron_parse(expr, &cron, NULL), 0);
    time_t t = begin, expected = next_run(&cron, zone, begin - 1), by_name = 0;
    for (size_t i = 0; i < n; i++, t += 60) {
        bool due = due_at(&p, &minutes[i], &latest);
        if (due != (expected == t))
            stress_fail(__FILE__, __LINE__, "\"%s\" in %s is %s at %jd; the library says %jd", expr, name,
                        due ? "due" : "not due", (intmax_t)t, (intmax_t)expected);
        if (!due)
            continue;
        if (found++ % 1000 == 0) {
            CHECK_ERROR(exec_cron_next(expr, name, t - 1, &by_name), 0);
            CHECK_EQ(by_name, t);
        }
        expected = next_run(&cron, zone, t);
    }
    return found;
}

/* ---- expressions at random ---- */

static int between(struct stress_rng *rng, int low, int high) {
    return low + (int)stress_below(rng, (unsigned)(high - low + 1));
}

static int put_element(struct stress_rng *rng, char *out, int low, int high) {
    int a = between(rng, low, high), b = between(rng, a, high);
    switch (stress_below(rng, 12)) {
    case 0: return sprintf(out, "%d-%d", a, b);
    case 1: return sprintf(out, "%d-%d/%d", a, b, between(rng, 1, high));
    case 2: return sprintf(out, "*/%d", between(rng, 2, high));
    default: return sprintf(out, "%d", a);
    }
}

static int put_field(struct stress_rng *rng, char *out, int low, int high, unsigned star_percent) {
    if (stress_percent(rng, star_percent))
        return sprintf(out, "* ");
    int n = 0;
    do {
        n += put_element(rng, out + n, low, high);
        out[n++] = ',';
    } while (n < 20 && stress_percent(rng, 30));
    out[n - 1] = ' ';
    out[n] = '\0';
    return n;
}

/* Half of them in the hours in which clocks change. */
static void make_expr(struct stress_rng *rng, char out[200]) {
    int n = put_field(rng, out, 0, 59, 1);
    n += put_field(rng, out + n, 0, stress_percent(rng, 50) ? 3 : 23, 8);
    n += put_field(rng, out + n, 1, 31, 60);
    n += put_field(rng, out + n, 1, 12, 70);
    put_field(rng, out + n, 0, 7, 60);
}

/* ---- the run ---- */

static char exprs[EXPRESSIONS][200];
static uint64_t walks, runs;

static void make_exprs(void) {
    struct stress_rng rng = stress_rng_of(0);
    size_t nlisted = sizeof listed / sizeof listed[0];
    for (size_t i = 0; i < nlisted; i++)
        snprintf(exprs[i], sizeof exprs[i], "%s", listed[i]);
    for (size_t i = nlisted; i < EXPRESSIONS; i++)
        make_expr(&rng, exprs[i]);
}

static void walk_zone(const char *name, int first_year, size_t nexprs) {
    struct exec__zone *zone;
    time_t begin = begin_of(first_year);
    size_t n = (size_t)(begin_of(first_year + YEARS) - begin) / 60;
    CHECK_ERROR(exec__zone_load(name, &zone), 0);
    stress_doing(name, 0, 0);
    fill_in_child(name, begin, n);
    for (size_t i = 0; i < nexprs; i++, walks++) {
        stress_doing(name, 1, i);
        runs += walk(exprs[i], name, zone, begin, n);
    }
    exec__zone_free(zone);
}

int main(int argc, char **argv) {
    unsetenv("TZDIR");
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0) {
        fprintf(stderr, "there is no tz database in /usr/share/zoneinfo: install the package tzdata\n");
        return 1;
    }
    stress_begin(argc, argv, 0);
    make_exprs();
    size_t nexprs = stress_scaled(EXPRESSIONS);
    minutes = mmap(NULL, MINUTES * sizeof minutes[0], PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(minutes != MAP_FAILED);
    for (size_t i = 0; i < ZONES; i++)
        walk_zone(windows[i].zone, windows[i].first_year, nexprs < EXPRESSIONS ? nexprs : EXPRESSIONS);
    munmap(minutes, MINUTES * sizeof minutes[0]);
    stress_leave();
    CHECK(runs > 0);
    double seconds = stress_end();
    printf("stress_cron: %" PRIu64 " walks through %d years, %" PRIu64 " runs, all as the library says, %.1f s\n",
           walks, YEARS, runs, seconds);
    return 0;
}
