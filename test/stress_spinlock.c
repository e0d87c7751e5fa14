/* stress_spinlock.c - the lock that is held for an instant (sync.h): one holder at a time, and whoever waits for it
 * makes way for the holder, also as a thread of a real-time policy on the same processor, before which that one does
 * not get a turn by itself (sched(7)).
 *
 * The second part needs the right to use SCHED_FIFO; without it the program ends with status 77 when the first is done.
 */
#include "stress.h"

#include "sync.h"

enum { THREADS = 4, NOT_ALLOWED = 77 };
#define MOST_TIME EXEC_MS(500) /* of its processor's: without making way, until the kernel throttles it, 950 ms */

static struct exec__spinlock spinlock;
static uint64_t counter; /* spinlock */

/* ---- one at a time ---- */

static void *count(void *times) {
    stress_doing("count", *(uint64_t *)times, 0);
    for (uint64_t i = 0; i < *(uint64_t *)times; i++) {
        exec__spin_lock(&spinlock);
        counter++;
        exec__spin_unlock(&spinlock);
    }
    stress_leave();
    return NULL;
}

static void count_together(uint64_t times) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        stress_start(&threads[i], count, &times);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(counter, THREADS * times);
}

/* ---- on one processor ---- */

static atomic_bool held, wanted;

static void stay_on_one_processor(void) {
    cpu_set_t all, one;
    CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    CHECK_EQ(pthread_setaffinity_np(pthread_self(), sizeof one, &one), 0);
}

static void *hold(void *unused) {
    (void)unused;
    stay_on_one_processor();
    stress_doing("hold", 0, 0);
    exec__spin_lock(&spinlock);
    atomic_store(&held, true);
    while (!atomic_load(&wanted))
        sched_yield();
    exec__spin_unlock(&spinlock);
    stress_leave();
    return NULL;
}

static exec_time time_of_thread(void) {
    struct timespec t;
    CHECK_EQ(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    return (exec_time)t.tv_sec * EXEC_SEC(1) + t.tv_nsec;
}

/* *error: why it may not. */
static void *want_urgently(void *error) {
    stay_on_one_processor();
    stress_doing("want", 0, 0);
    while (!atomic_load(&held))
        sched_yield();
    int why = pthread_setschedparam(pthread_self(), SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
    *(int *)error = why;
    atomic_store(&wanted, true);
    exec_time began = time_of_thread();
    exec__spin_lock(&spinlock);
    CHECK(why != 0 || time_of_thread() - began < MOST_TIME);
    exec__spin_unlock(&spinlock);
    stress_leave();
    return NULL;
}

/* 0, or why it could not be done. */
static int want_while_held(void) {
    pthread_t holder, urgent;
    int error;
    atomic_store(&held, false);
    atomic_store(&wanted, false);
    stress_start(&holder, hold, NULL);
    stress_start(&urgent, want_urgently, &error);
    pthread_join(holder, NULL);
    pthread_join(urgent, NULL);
    return error;
}

int main(int argc, char **argv) {
    stress_begin(argc, argv, 0);
    count_together(stress_scaled(500000));
    int error = 0;
    unsigned rounds = 0;
    for (; rounds < 20 && error == 0; rounds++)
        error = want_while_held();
    double seconds = stress_end();
    if (error == EPERM) {
        printf("stress_spinlock: SCHED_FIFO is not allowed here\n");
        return NOT_ALLOWED;
    }
    CHECK_ERROR(error, 0);
    printf("stress_spinlock: %" PRIu64
           " times held, %u times by a thread before which the holder had no turn, %.1f s\n",
           counter, rounds, seconds);
    return 0;
}
