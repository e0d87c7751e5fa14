/* stress_random.c - random programs of the whole engine, whose outcomes are checked against its rules.
 *
 *     stress_random [SEED]                 as many programs as the scale says
 *     stress_random --minutes N [SEED]     as many as there is time for: `make soak MINUTES=N`
 *     stress_random --program SEED [N]     the one program whose seed a failure has printed, N times (1)
 *
 * A program is made from its seed: one or two executors with options of all kinds, and up to four threads, each with a
 * list of acts (random_acts.h): tasks with every option are submitted, waited for, cancelled, listened to, in groups,
 * maps, streams, by promises; by threads and by tasks; and at some moment an executor is shut down. What each thread is
 * going to do depends on the seed alone; how the threads run beside each other is up to the system. Each program uses a
 * selection of the features, so that each meets each other one often, also without the rest.
 *
 * Every task has a line in a ledger (random_book.h), by which it is checked as it goes and when the program is over.
 * Where it can be known what an outcome must be, it must be that, and otherwise it must have a cause.
 */
#include <signal.h>

#include "random_watch.h"

struct settings {
    double minutes;
    bool one; /* program, again and again */
    uint64_t seed;
    size_t times;
};

static void usage(void) {
    fprintf(stderr, "usage: stress_random [--minutes N] [SEED] | --program SEED [N]\n");
    exit(2);
}

/* Leaves what stress_begin() is to see. */
static struct settings read_settings(int *argc, char **argv) {
    struct settings s = {.times = 1};
    if (*argc > 2 && strcmp(argv[1], "--minutes") == 0) {
        s.minutes = strtod(argv[2], NULL);
        if (!(s.minutes > 0))
            usage();
        argv[1] = argv[3];
        *argc -= 2;
    } else if (*argc > 2 && strcmp(argv[1], "--program") == 0) {
        s.one = true;
        s.seed = strtoull(argv[2], NULL, 0);
        s.times = *argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
        argv[1] = argv[2];
        *argc = 2;
    } else if (*argc > 1 && argv[1][0] == '-') {
        usage();
    }
    return s;
}

/* Whatever ends the process, a sanitizer's report or a signal: which program it was is to be known. */
#if defined(__SANITIZE_ADDRESS__) || defined(STRESS_UNDER_TSAN)
void __sanitizer_set_death_callback(void (*callback)(void));

static void name_program(void) {
    dprintf(STDERR_FILENO, "stress_random: a report in --program %" PRIu64 "\n", program.seed);
}

static void on_death(void) {
    __sanitizer_set_death_callback(name_program);
}
#else
static void name_program(int number) {
    dprintf(STDERR_FILENO, "stress_random: signal %d in --program %" PRIu64 "\n", number, program.seed);
    raise(number);
}

static void on_death(void) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    struct sigaction action = {.sa_handler = name_program, .sa_flags = (int)SA_RESETHAND};
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
}
#endif

int main(int argc, char **argv) {
    struct settings s = read_settings(&argc, argv);
    if (s.minutes > 0)
        setenv("EXEC_STRESS_LIMIT", "inf", true);
    stress.explain = explain_program;
    stress_begin(argc, argv, 0);
    on_death();
    begin_watch(s.minutes, s.one ? s.times : stress_scaled(400));
    struct stress_rng seeds = stress_rng_of(0);
    while (watch_goes_on()) {
        run_program(s.one ? s.seed : stress_next(&seeds));
        watch_program();
    }
    stress_leave();
    check_floors("resident", &watch.resident, RESIDENT_SLACK);
    check_floors("in use", &watch.in_use, IN_USE_SLACK);
    print_summary(stress_end());
    return 0;
}
