/* perturb.c - loses time at random, so that what hardly ever happens happens often.
 *
 * A race is lost in a window of a few instructions, which another thread must meet. To lose time everywhere alike would
 * move all windows together, and be spent on the few sites where all threads come by all the time. (A site is one step
 * of the library, before or after it.) So how often a thread loses time at a site depends on
 *
 * - how often threads have been there: at the first passes every fourth time, later with the square root of their
 *   number, so that what is seldom done, such as shutting down, is as often disturbed as what is done a million times;
 * - the site: a few, others in each run, are slow for all threads, and others quiet;
 * - the thread, which keeps a pace for a while: brisk, ordinary, or slow.
 *
 * To lose time is to sleep for up to 100 microseconds, to yield, to spin, or, seldom, to sleep for a millisecond.
 *
 * What is lost where follows from EXEC_PERTURB_SEED and the thread's number, in the order in which threads come to
 * their first site; the same seed repeats a run but for what the kernel makes of it. Without a seed in the environment
 * it is taken from the clock, printed, and put there, for programs that are run from here, and for whoever reports a
 * failure. EXEC_PERTURB multiplies how often it happens; 0: never.
 *
 * Only the library's own sites count (files in lib/), also where they are inline in a test.
 */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "perturb.h"

/* The chance at the first passes of an ordinary site, at an ordinary pace; it is halved whenever there are four times
 * as many of them, down to a limit. */
#define AT_MOST 0.25
#define FIRST_PASSES 16
#define MOST_HALVES 9
#define MAX_SLEEP_US 100
#define LONG_SLEEP_US 1000

enum kind { UNKNOWN, IGNORED, QUIET, ORDINARY, SLOW };

enum pace { BRISK, USUAL, DAWDLES, PACES };

/* How many times the chance is halved at such a site, and at such a pace; and of 100 turns how many are at that
 * pace. */
static const int halves_at[] = {[QUIET] = 3, [ORDINARY] = 0, [SLOW] = -3};
static const int halves_in[PACES] = {3, 1, -1};
static const unsigned share[PACES] = {40, 40, 20};

/* Both r/o after the constructor; the chance is one of 2^32, 0: never. */
static uint64_t seed, at_most;

static unsigned threads; /* how many there have been; atomic */

/* A thread's own. A signal handler may come in between, and then some numbers are drawn twice. */
static _Thread_local struct {
    uint64_t state; /* of its random numbers: splitmix64; 0: not begun */
    unsigned left;  /* passes until it looks for another pace */
    enum pace pace;
} self;

static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint32_t draw(void) {
    return (uint32_t)mix(self.state += UINT64_C(0x9e3779b97f4a7c15));
}

static unsigned below(unsigned n) {
    return draw() % n;
}

/* --- losing time --- */

/* By the bare system call, since nanosleep() is a cancellation point. */
static void sleep_us(long us) {
    struct timespec duration = {0, us * 1000};
    syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &duration, NULL);
}

static void spin(unsigned turns) {
    for (volatile unsigned turn = 0; turn < turns; turn++)
        continue;
}

static void lose_time(void) {
    unsigned percent = below(100);
    if (percent < 65)
        sleep_us(1 + below(MAX_SLEEP_US));
    else if (percent < 85)
        sched_yield();
    else if (percent < 99)
        spin(below(2000));
    else
        sleep_us(LONG_SLEEP_US);
}

/* --- sites and paces --- */

static enum kind kind_of(const struct exec__site *site) {
    if (strncmp(site->file, "lib/", 4) != 0)
        return IGNORED;
    uint64_t hash = seed;
    for (const char *c = site->file; *c != '\0'; c++)
        hash = mix(hash + (unsigned char)*c);
    hash = mix(hash + 2 * site->line + site->side);
    return hash % 16 == 0 ? SLOW : hash % 4 == 1 ? QUIET : ORDINARY;
}

static enum kind look_up(struct exec__site *site) {
    enum kind kind = (enum kind)__atomic_load_n(&site->kind, __ATOMIC_RELAXED);
    if (kind == UNKNOWN) {
        kind = kind_of(site);
        __atomic_store_n(&site->kind, (int)kind, __ATOMIC_RELAXED);
    }
    return kind;
}

/* Some passes may be missed. */
static unsigned count_pass(struct exec__site *site) {
    unsigned passes = __atomic_load_n(&site->passes, __ATOMIC_RELAXED);
    __atomic_store_n(&site->passes, passes + 1, __ATOMIC_RELAXED);
    return passes;
}

static int halves_after(unsigned passes) {
    int halves = 0;
    for (; passes >= FIRST_PASSES && halves < MOST_HALVES; passes /= 4)
        halves++;
    return halves;
}

static void change_pace(void) {
    if (self.state == 0)
        self.state = mix(seed ^ mix(__atomic_add_fetch(&threads, 1, __ATOMIC_RELAXED))) | 1;
    unsigned percent = below(100);
    self.pace = BRISK;
    while (self.pace < PACES - 1 && percent >= share[self.pace])
        percent -= share[self.pace++];
    self.left = 50 + below(1000);
}

void exec__perturb(struct exec__site *site) {
    if (at_most == 0)
        return;
    enum kind kind = look_up(site);
    if (kind == IGNORED)
        return;
    if (self.left-- == 0)
        change_pace();
    int halves = halves_after(count_pass(site)) + halves_at[kind] + halves_in[self.pace];
    if (draw() >= (halves > 0 ? at_most >> halves : at_most << -halves))
        return;
    int saved = errno;
    lose_time();
    errno = saved;
}

/* --- the beginning --- */

/* A number that is easily typed. */
static uint64_t take_seed(void) {
    const char *given = getenv("EXEC_PERTURB_SEED");
    if (given != NULL && *given != '\0')
        return strtoull(given, NULL, 0);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t made = ((uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000) % 1000000007;
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)made);
    setenv("EXEC_PERTURB_SEED", text, 1);
    fprintf(stderr, "perturbed: EXEC_PERTURB_SEED=%s\n", text);
    return made;
}

__attribute__((constructor(101))) static void begin(void) {
    const char *given = getenv("EXEC_PERTURB");
    double times = given != NULL && *given != '\0' ? strtod(given, NULL) : 1;
    if (!(times > 0))
        return;
    seed = take_seed();
    at_most = (uint64_t)(AT_MOST * (times < 4 ? times : 4) * 4294967296.0);
}
