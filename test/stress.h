/* stress.h - what the stress programs share: a run with a printed seed and a scale, random numbers, a watchdog, and
 * checks that print what they saw.
 *
 * A program calls stress_begin() first and stress_end() last. The seed is its first argument, or EXEC_SEED, or the
 * clock; EXEC_STRESS_SCALE multiplies the amount of work (1, or 0.1 under ThreadSanitizer). Each of the program's own
 * threads says with stress_doing() what it is about to do; when one stays at a step for too long (EXEC_STRESS_STEP
 * seconds, 60 unless the program says otherwise), or the whole run does (EXEC_STRESS_LIMIT, 600), the watchdog prints
 * what every thread was doing, and aborts.
 */
#ifndef STRESS_H
#define STRESS_H

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <exec.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define STRESS_UNDER_TSAN 1
#define STRESS_SCALE 0.1
#elif defined(EXEC__PERTURBED)
#define STRESS_SCALE 0.1
#else
#define STRESS_SCALE 1
#endif

#define STRESS_THREADS 256

/* What one thread is doing. A slot belongs to the thread that set `taken`; the rest is written by it alone. */
struct stress_note {
    atomic_bool taken;
    _Atomic(const char *) what; /* NULL: nothing that could take long */
    atomic_uint_fast64_t first, second;
    _Atomic exec_time since;
};

static struct {
    const char *program;
    uint64_t seed;
    const char *perturbed; /* the seed of what perturbs the library (test/perturb/perturb.c), or NULL */
    double scale;
    exec_time began, limit, step;
    void (*explain)(void); /* called when something has failed, or NULL */
    pthread_t watchdog;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* `over` is true */
    bool over;              /* under lock */
    struct stress_note notes[STRESS_THREADS];
} stress = {.lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct stress_note *stress_mine;

/* ---- random numbers: splitmix64 ---- */

struct stress_rng {
    uint64_t state;
};

static inline uint64_t stress_mix64(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint64_t stress_next(struct stress_rng *rng) {
    return stress_mix64(rng->state += UINT64_C(0x9e3779b97f4a7c15));
}

/* 0 to n - 1. */
static inline unsigned stress_below(struct stress_rng *rng, unsigned n) {
    return (unsigned)(stress_next(rng) % n);
}

static inline bool stress_percent(struct stress_rng *rng, unsigned percent) {
    return stress_below(rng, 100) < percent;
}

/* A generator that depends on the run's seed and on the stream's number alone. */
static inline struct stress_rng stress_rng_of(uint64_t stream) {
    return (struct stress_rng){stress_mix64(stress.seed ^ stress_mix64(stream + 1))};
}

/* ---- what goes on, and what went wrong ---- */

static inline void stress_dump(void) {
    exec_time now = exec_now();
    for (int i = 0; i < STRESS_THREADS; i++) {
        struct stress_note *note = &stress.notes[i];
        const char *what = atomic_load(&note->what);
        if (atomic_load(&note->taken) && what)
            fprintf(stderr, "  thread %d: %s %" PRIu64 " %" PRIu64 ", for %.3f s\n", i, what,
                    (uint64_t)atomic_load(&note->first), (uint64_t)atomic_load(&note->second),
                    (double)(now - atomic_load(&note->since)) / 1e9);
    }
}

_Noreturn __attribute__((format(printf, 3, 4))) static inline void stress_fail(const char *file, int line,
                                                                               const char *format, ...) {
    va_list args;
    va_start(args, format);
    flockfile(stderr);
    fprintf(stderr, "%s: FAILED at %s:%d: ", stress.program, file, line);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n  seed %" PRIu64 "%s%s, after %.3f s\n", stress.seed,
            stress.perturbed ? ", EXEC_PERTURB_SEED=" : "", stress.perturbed ? stress.perturbed : "",
            (double)(exec_now() - stress.began) / 1e9);
    stress_dump();
    if (stress.explain)
        stress.explain();
    va_end(args);
    fflush(stderr);
    abort();
}

#define CHECK(condition) ((condition) ? (void)0 : stress_fail(__FILE__, __LINE__, "not so: %s", #condition))

#define CHECK_OP(actual, op, expected) STRESS_COMPARE(actual, #actual, op, #op, expected)
#define CHECK_EQ(actual, expected) STRESS_COMPARE(actual, #actual, ==, "==", expected)
#define CHECK_PTR(actual, expected) STRESS_COMPARE((intptr_t)(actual), #actual, ==, "==", (intptr_t)(expected))

#define STRESS_COMPARE(actual, text, op, op_text, expected)                                                   \
    do {                                                                                                      \
        intmax_t actual_ = (intmax_t)(actual), expected_ = (intmax_t)(expected);                              \
        if (!(actual_ op expected_))                                                                          \
            stress_fail(__FILE__, __LINE__, "%s is %jd, expected " op_text " %jd", text, actual_, expected_); \
    } while (0)

/* The error number is one of those listed, which are evaluated after it. */
#define CHECK_ERROR(actual, ...)                                                                         \
    do {                                                                                                 \
        int error_ = (actual);                                                                           \
        const int allowed_[] = {__VA_ARGS__};                                                            \
        stress_check_error(__FILE__, __LINE__, #actual, error_, allowed_, sizeof allowed_ / sizeof(int), \
                           #__VA_ARGS__);                                                                \
    } while (0)

static inline void stress_check_error(const char *file, int line, const char *text, int error, const int *allowed,
                                      size_t n, const char *list) {
    for (size_t i = 0; i < n; i++)
        if (error == allowed[i])
            return;
    stress_fail(file, line, "%s is %d (%s), expected one of: %s", text, error, strerror(error), list);
}

static inline struct stress_note *stress_note_of_mine(void) {
    for (int i = 0; !stress_mine && i < STRESS_THREADS; i++)
        if (!atomic_exchange(&stress.notes[i].taken, true))
            stress_mine = &stress.notes[i];
    if (!stress_mine)
        stress_fail(__FILE__, __LINE__, "more than %d threads", STRESS_THREADS);
    return stress_mine;
}

/* Says what the calling thread is about to do, with two numbers for whoever has to find out why it hangs. */
static inline void stress_doing(const char *what, uint64_t first, uint64_t second) {
    struct stress_note *note = stress_note_of_mine();
    atomic_store_explicit(&note->first, first, memory_order_relaxed);
    atomic_store_explicit(&note->second, second, memory_order_relaxed);
    atomic_store_explicit(&note->since, exec_now(), memory_order_relaxed);
    atomic_store_explicit(&note->what, what, memory_order_release);
}

/* The last thing a thread that used stress_doing() does. */
static inline void stress_leave(void) {
    atomic_store(&stress.notes[stress_note_of_mine() - stress.notes].what, NULL);
    atomic_store(&stress_mine->taken, false);
    stress_mine = NULL;
}

/* ---- the run ---- */

static inline void stress_watch(void) {
    exec_time now = exec_now();
    if (now - stress.began > stress.limit)
        stress_fail(__FILE__, __LINE__, "the whole run took longer than %.0f s", (double)stress.limit / 1e9);
    for (int i = 0; i < STRESS_THREADS; i++) {
        struct stress_note *note = &stress.notes[i];
        exec_time since = atomic_load(&note->since);
        if (atomic_load(&note->taken) && atomic_load(&note->what) && since == atomic_load(&note->since) &&
            now - since > stress.step)
            stress_fail(__FILE__, __LINE__, "a step took longer than %.0f s", (double)stress.step / 1e9);
    }
}

static inline void *stress_watchdog(void *unused) {
    (void)unused;
    pthread_mutex_lock(&stress.lock);
    while (!stress.over) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        if (pthread_cond_timedwait(&stress.changed, &stress.lock, &until) == ETIMEDOUT)
            stress_watch();
    }
    pthread_mutex_unlock(&stress.lock);
    return NULL;
}

static inline double stress_setting(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtod(text, NULL) : otherwise;
}

static inline void stress_start(pthread_t *thread, void *(*fn)(void *), void *arg) {
    CHECK_ERROR(pthread_create(thread, NULL, fn, arg), 0);
}

/* `step_seconds`: for how long a thread may stay at one step, 0 for 60. */
static inline void stress_begin(int argc, char **argv, double step_seconds) {
    const char *slash = strrchr(argv[0], '/'), *seed = argc > 1 ? argv[1] : getenv("EXEC_SEED");
    stress.program = slash ? slash + 1 : argv[0];
    stress.began = exec_now();
    stress.seed = seed && *seed ? strtoull(seed, NULL, 0) : (uint64_t)stress.began % 1000000007;
#ifdef EXEC__PERTURBED
    stress.perturbed = getenv("EXEC_PERTURB_SEED");
#endif
    stress.scale = stress_setting("EXEC_STRESS_SCALE", STRESS_SCALE);
    double limit = stress_setting("EXEC_STRESS_LIMIT", 600);
    stress.limit = limit < 1e9 ? EXEC_SEC(limit) : EXEC_NEVER;
    stress.step = EXEC_SEC(stress_setting("EXEC_STRESS_STEP", step_seconds > 0 ? step_seconds : 60));
    setvbuf(stdout, NULL, _IOLBF, 0);
    fprintf(stderr, "%s: seed %" PRIu64 ", scale %g\n", stress.program, stress.seed, stress.scale);
    pthread_cond_init(&stress.changed, NULL);
    stress_start(&stress.watchdog, stress_watchdog, NULL);
}

/* Ends the watchdog; the program then prints its one line, and exits with 0. */
static inline double stress_end(void) {
    pthread_mutex_lock(&stress.lock);
    stress.over = true;
    pthread_cond_signal(&stress.changed);
    pthread_mutex_unlock(&stress.lock);
    pthread_join(stress.watchdog, NULL);
    pthread_cond_destroy(&stress.changed);
    return (double)(exec_now() - stress.began) / 1e9;
}

/* n times the scale, and at least 1. */
static inline size_t stress_scaled(size_t n) {
    double scaled = (double)n * stress.scale;
    return scaled < 1 ? 1 : (size_t)scaled;
}

static inline void *stress_alloc(size_t n, size_t size) {
    void *memory = calloc(n ? n : 1, size);
    CHECK(memory);
    return memory;
}

/* How many entries a directory has. */
static inline unsigned stress_entries(const char *path) {
    unsigned n = 0;
    DIR *dir = opendir(path);
    CHECK(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* Waits until a directory of /proc has no more entries than that: a thread is there for a moment after its join. The
 * watchdog limits the wait. */
static inline void stress_await_entries(const char *path, unsigned n) {
    stress_doing(path, stress_entries(path), n);
    while (stress_entries(path) > n)
        sched_yield();
    CHECK_EQ(stress_entries(path), n);
}

/* ---- timing ---- */

/* For a turn in a loop that waits for another thread: gives the CPU away now and then. */
static inline void stress_spin(unsigned turn) {
    if (turn % 64 == 63)
        sched_yield();
}

static inline void stress_nap(exec_time duration) {
    struct timespec ts = {duration / EXEC_SEC(1), duration % EXEC_SEC(1)};
    nanosleep(&ts, NULL);
}

/* Nothing, a few instructions, a yield, or a sleep that lets everyone else park. */
static inline void stress_pause(struct stress_rng *rng) {
    unsigned kind = stress_below(rng, 100);
    if (kind < 40)
        return;
    if (kind < 75)
        for (volatile unsigned turn = stress_below(rng, 3000); turn > 0; turn--) {
        }
    else if (kind < 95)
        sched_yield();
    else
        stress_nap(EXEC_US(stress_below(rng, 60)));
}

/* Where `size` threads meet, again and again, and leave nearly at the same moment. */
struct stress_barrier {
    unsigned size;
    atomic_uint arrived, turn;
};

static inline void stress_meet(struct stress_barrier *barrier) {
    unsigned turn = atomic_load(&barrier->turn);
    if (atomic_fetch_add(&barrier->arrived, 1) + 1 == barrier->size) {
        atomic_store(&barrier->arrived, 0);
        atomic_store(&barrier->turn, turn + 1);
        return;
    }
    for (unsigned spin = 0; atomic_load(&barrier->turn) == turn; spin++)
        stress_spin(spin);
}

#endif
