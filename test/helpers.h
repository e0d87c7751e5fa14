/* helpers.h - what the tests share: comparisons that print what they saw, gates, waiting for a condition, pools, and
 * tasks that hold a worker until they are let go.
 *
 * Tests wait for conditions, never for time: whatever must happen is given LIMIT, which is reached only by a test that
 * fails. The comparisons may be used on any thread: on the test's own they end the test, on others the process.
 *
 * TEST() is Criterion's Test() with a time limit, and with a look round at the end: every thread that the test started
 * must be gone, and under AddressSanitizer and valgrind all memory be freed.
 */
#ifndef HELPERS_H
#define HELPERS_H

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <exec.h>

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#define TEST_UNDER_ASAN 1
#define TEST_LEAKS() __lsan_do_recoverable_leak_check()
#else
#define TEST_LEAKS() 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define TEST_UNDER_TSAN 1
#endif
#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif

#define LIMIT EXEC_SEC(100) /* for what must happen */
#define TEST_SECONDS 240    /* for a whole test, also under valgrind on a busy machine */

/* ---- failing ---- */

static pid_t test_thread; /* the thread that may use Criterion's functions; r/o after test_begin() */

static inline void fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), noreturn));

static inline void fail(const char *file, int line, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (gettid() == test_thread)
        cr_assert_fail("%s:%d: %s", file, line, text);
    fprintf(stderr, "%s:%d: %s\n", file, line, text);
    abort();
}

#define FAIL(...) fail(__FILE__, __LINE__, __VA_ARGS__)
#define check(condition) ((condition) ? (void)0 : FAIL("not so: %s", #condition))

static inline void eq_int_at(const char *file, int line, const char *what, intmax_t actual, intmax_t expected) {
    if (actual != expected)
        fail(file, line, "%s is %jd, expected %jd", what, actual, expected);
}

static inline void eq_err_at(const char *file, int line, const char *what, int actual, int expected) {
    char text[2][80];
    if (actual != expected)
        fail(file, line, "%s is %d (%s), expected %d (%s)", what, actual, strerror_r(actual, text[0], sizeof text[0]),
             expected, strerror_r(expected, text[1], sizeof text[1]));
}

static inline void eq_str_at(const char *file, int line, const char *what, const char *actual, const char *expected) {
    if (!actual || !expected ? actual != expected : strcmp(actual, expected) != 0)
        fail(file, line, "%s is \"%s\", expected \"%s\"", what, actual ? actual : "(null)",
             expected ? expected : "(null)");
}

static inline void eq_state_at(const char *file, int line, const char *what, int actual, int expected) {
    static const char *const names[] = {"PENDING", "RUNNING", "DONE", "FAILED", "CANCELLED"};
    if (actual != expected)
        fail(file, line, "%s is %s, expected %s", what, actual >= 0 && actual < 5 ? names[actual] : "unknown",
             names[expected]);
}

#define eq_int(actual, expected) eq_int_at(__FILE__, __LINE__, #actual, (intmax_t)(actual), (intmax_t)(expected))
#define eq_err(actual, expected) eq_err_at(__FILE__, __LINE__, #actual, (actual), (expected))
#define eq_str(actual, expected) eq_str_at(__FILE__, __LINE__, #actual, (actual), (expected))
#define eq_ptr(actual, expected) eq_int_at(__FILE__, __LINE__, #actual, (intptr_t)(actual), (intptr_t)(expected))
#define eq_state(future, expected) eq_state_at(__FILE__, __LINE__, #future, (int)future_state(future), (int)(expected))
#define ok(call) eq_err(call, 0)

static inline void bounds_at(const char *file, int line, const char *what, intmax_t actual, intmax_t low,
                             intmax_t high) {
    if (actual < low || actual > high)
        fail(file, line, "%s is %jd, expected %jd to %jd", what, actual, low, high);
}

#define between(actual, low, high) bounds_at(__FILE__, __LINE__, #actual, (intmax_t)(actual), (low), (high))
#define at_least(actual, low) bounds_at(__FILE__, __LINE__, #actual, (intmax_t)(actual), (low), INTMAX_MAX)
#define at_most(actual, high) bounds_at(__FILE__, __LINE__, #actual, (intmax_t)(actual), INTMAX_MIN, (high))

/* ---- waiting ---- */

static inline void nap(exec_time duration) {
    struct timespec left = {duration / EXEC_SEC(1), duration % EXEC_SEC(1)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

#define wait_until(condition)                                                   \
    for (exec_time until_ = exec_after(LIMIT); !(condition); nap(EXEC_US(100))) \
    exec_now() > until_ ? FAIL("it did not come to this: %s", #condition) : (void)0

/* Waits until a counter has come to this, and not further. */
static inline void comes_to(atomic_int *counter, int n) {
    wait_until(atomic_load(counter) >= n);
    eq_int(atomic_load(counter), n);
}

/* Opens once gate_open() has been called `closed` times; whoever is at gate_wait() then goes on. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t opened; /* closed is 0 */
    int closed;            /* under lock */
};

#define GATE(n) \
    { .lock = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER, .closed = (n) }

static inline void gate_open(struct gate *g) {
    pthread_mutex_lock(&g->lock);
    if (g->closed > 0 && --g->closed == 0)
        pthread_cond_broadcast(&g->opened);
    pthread_mutex_unlock(&g->lock);
}

static inline void gate_unlock(void *lock) {
    pthread_mutex_unlock(lock);
}

static inline void gate_wait_at(const char *file, int line, struct gate *g) {
    struct timespec until;
    volatile int error = 0; /* pthread_cleanup_push() may be a setjmp() */
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LIMIT / EXEC_SEC(1);
    pthread_mutex_lock(&g->lock);
    pthread_cleanup_push(gate_unlock, &g->lock);
    while (g->closed > 0 && !error)
        error = pthread_cond_timedwait(&g->opened, &g->lock, &until);
    pthread_cleanup_pop(1);
    if (error)
        fail(file, line, "a gate did not open");
}

#define gate_wait(g) gate_wait_at(__FILE__, __LINE__, (g))

static inline bool gate_is_open(struct gate *g) {
    pthread_mutex_lock(&g->lock);
    bool open = g->closed == 0;
    pthread_mutex_unlock(&g->lock);
    return open;
}

/* ---- threads ---- */

static inline pthread_t start(void *(*fn)(void *), void *arg) {
    pthread_t thread;
    ok(pthread_create(&thread, NULL, fn, arg));
    return thread;
}

static inline void *finish(pthread_t thread) {
    void *result;
    ok(pthread_join(thread, &result));
    return result;
}

/* The threads of this process whose name begins with `prefix`, at most `most`. */
static inline int threads_named(const char *prefix, pid_t tids[], int most) {
    DIR *dir = opendir("/proc/self/task");
    int n = 0;
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *comm = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (comm && fgets(name, sizeof name, comm) && !strncmp(name, prefix, strlen(prefix)) && n++ < most)
            tids[n - 1] = (pid_t)atoi(entry->d_name);
        if (comm)
            fclose(comm);
    }
    if (dir)
        closedir(dir);
    return n;
}

static inline int thread_count(void) {
    return threads_named("", NULL, 0);
}

/* Does the thread sleep? Also false when it is gone. */
static inline bool sleeps(pid_t tid) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    FILE *stat = fopen(path, "r");
    if (!stat)
        return false;
    const char *state = fgets(text, sizeof text, stat) ? strrchr(text, ')') : NULL;
    fclose(stat);
    return state && state[1] && state[2] == 'S';
}

/* Waits until a thread that has published its number has stayed asleep for a while. What a thread must not get past is
 * checked after this; a thread that merely looks asleep makes such a check weaker, and never wrong. */
static inline void wait_until_asleep(atomic_int *tid) {
    for (int in_a_row = 0; in_a_row < 5; nap(EXEC_MS(1))) {
        wait_until(atomic_load(tid) != 0 && sleeps(atomic_load(tid)));
        in_a_row++;
        if (!sleeps(atomic_load(tid)))
            in_a_row = 0;
    }
}

/* ---- a test ---- */

static int test_threads;          /* how many there were at its begin */
static unsigned long test_leaked; /* what Criterion had lost by then, as valgrind sees it */

static inline unsigned long leaked_bytes(void) {
    unsigned long leaked = 0;
#ifdef VALGRIND_COUNT_LEAKS
    unsigned long dubious = 0, reachable = 0, suppressed = 0;
    VALGRIND_DO_QUICK_LEAK_CHECK;
    VALGRIND_COUNT_LEAKS(leaked, dubious, reachable, suppressed);
    (void)dubious, (void)reachable, (void)suppressed;
#endif
    return leaked;
}

static inline void test_begin(void) {
    test_thread = gettid();
    test_threads = thread_count();
    test_leaked = leaked_bytes();
}

static inline void test_end(void) {
    wait_until(thread_count() <= test_threads);
    check(TEST_LEAKS() == 0);
#ifdef VALGRIND_COUNT_ERRORS
    eq_int(VALGRIND_COUNT_ERRORS, 0);
#endif
    at_most(leaked_bytes(), (intmax_t)test_leaked);
}

#define TEST(suite, name)                        \
    static void suite##_##name##_body(void);     \
    Test(suite, name, .timeout = TEST_SECONDS) { \
        test_begin();                            \
        suite##_##name##_body();                 \
        test_end();                              \
    }                                            \
    static void suite##_##name##_body(void)

#include "sanitizers.h"
#include "tasks.h"

#endif
