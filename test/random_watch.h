/* random_watch.h - part of stress_random.c: that nothing is left over between programs, and what a long run reports.
 *
 * After each program the process has as many threads and descriptors as before. Memory may differ, by what malloc() and
 * the library keep for later; but its floor must not rise. When the first tenth of the run is over, its least in the
 * first half is compared with its least in the second: of what is in use, as malloc() says (glibc), and of what is
 * resident. Both may have grown by a twentieth and the slack below.
 */
#ifndef RANDOM_WATCH_H
#define RANDOM_WATCH_H

#include <malloc.h>
#include <math.h>

#include "random_program.h"

enum { MIB = 1024 * 1024, DOTS = 2 /* . and .. */ };

/* What the floors may differ by: the library keeps up to four slabs of 256 KiB, malloc() a cache for each thread. */
#define RESIDENT_SLACK (8.0 * MIB)
#define IN_USE_SLACK (2.0 * MIB)

struct floors {
    double first, second; /* the least of each half; 0: none yet */
    double most, last;
};

static struct {
    exec_time began, end; /* of a run of some minutes, or 0 */
    size_t number, all;   /* of programs, otherwise */
    unsigned threads, descriptors;
    struct floors resident, in_use; /* bytes */
    exec_time next_line;
    uint64_t operations; /* when the last line was printed */
} watch;

/* Without what malloc() only keeps for later (glibc). */
static inline double resident_bytes(void) {
    unsigned long pages = 0;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%*s %lu", &pages) == 1);
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static inline double bytes_in_use(void) {
#ifdef __GLIBC__
    struct mallinfo2 info = mallinfo2();
    return (double)(info.uordblks + info.hblkhd);
#else
    return 0;
#endif
}

/* How much of the run is over, from 0 to 1. */
static inline double passed(void) {
    return watch.end ? (double)(exec_now() - watch.began) / (double)(watch.end - watch.began)
                     : (double)watch.number / (double)watch.all;
}

static inline void sample(struct floors *floors, double bytes) {
    double part = passed(), *least = part > 0.5 ? &floors->second : &floors->first;
    if (part > 0.1 && (*least == 0 || bytes < *least))
        *least = bytes;
    if (bytes > floors->most)
        floors->most = bytes;
    floors->last = bytes;
}

static inline void begin_watch(double minutes, size_t programs) {
    watch.began = exec_now();
    watch.end = minutes > 0 ? exec_after(EXEC_SEC(60 * minutes)) : 0;
    watch.all = programs;
    memset(lines, 0, sizeof lines); /* all of it is resident from now on */
    memset(teams, 0, sizeof teams);
    memset(diaries, 0, sizeof diaries);
    CHECK(nowhere = fopen("/dev/null", "w"));
    watch.threads = stress_entries("/proc/self/task");
    watch.descriptors = stress_entries("/proc/self/fd");
    watch.next_line = exec_after(EXEC_SEC(60));
}

static inline void print_progress(void) {
    uint64_t operations = all_operations();
    printf("%4.0f min: %" PRIu64 " programs, %" PRIu64 " operations, %.0f /s; %.1f MiB resident, %.1f in use\n",
           (double)(exec_now() - watch.began) / 6e10, totals.programs, operations,
           (double)(operations - watch.operations) / 60, watch.resident.last / MIB, watch.in_use.last / MIB);
    watch.operations = operations;
    watch.next_line += EXEC_SEC(60);
}

/* After each program. Looking at memory costs more than a small one. */
static inline void watch_program(void) {
    watch.number++;
    stress_await_entries("/proc/self/task", watch.threads);
    CHECK_EQ(stress_entries("/proc/self/fd"), watch.descriptors);
    if (watch.number % 32 == 0) {
        sample(&watch.resident, resident_bytes());
        sample(&watch.in_use, bytes_in_use());
    }
    if (watch.end && exec_now() >= watch.next_line)
        print_progress();
}

static inline bool watch_goes_on(void) {
    return watch.end ? exec_now() < watch.end : watch.number < watch.all;
}

/* Not of a sanitizer's memory. */
static inline void check_floors(const char *of, const struct floors *floors, double slack) {
#if defined(__SANITIZE_ADDRESS__) || defined(STRESS_UNDER_TSAN)
    slack = HUGE_VAL;
#endif
    if (floors->first == 0 || floors->second == 0)
        return;
    if (floors->second > floors->first * 1.05 + slack)
        stress_fail(__FILE__, __LINE__, "memory %s has grown: at least %.1f MiB, and later at least %.1f MiB", of,
                    floors->first / MIB, floors->second / MIB);
}

static inline void print_floors(const char *of, const struct floors *floors) {
    printf("  memory %s, MiB: least %.2f in the first half, %.2f in the second; most %.2f, last %.2f\n", of,
           floors->first / MIB, floors->second / MIB, floors->most / MIB, floors->last / MIB);
}

static inline void print_summary(double seconds) {
    uint64_t operations = all_operations();
    printf("stress_random: %" PRIu64 " programs, %" PRIu64 " operations, %.0f a second, nothing lost, %.1f s",
           totals.programs, operations, (double)operations / seconds, seconds);
    print_operations();
    printf("  tasks: %" PRIu64 " accepted, %" PRIu64 " refused; %" PRIu64 " run, %" PRIu64 " times; %" PRIu64
           " dropped; results: %" PRIu64 " taken, %" PRIu64 " freed; %" PRIu64 " callbacks; %" PRIu64
           " groups; %" PRIu64 " items of maps and streams\n",
           totals.tasks, totals.refused, totals.run, totals.attempts, totals.dropped, totals.taken, totals.freed,
           totals.callbacks, (uint64_t)totals.groups, (uint64_t)totals.items);
    printf("  as the executors have counted: %" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " cancelled, %" PRIu64
           " timed out; %" PRIu64 " stolen, %" PRIu64 " wake-ups\n",
           totals.done, totals.failed, totals.cancelled, totals.timed_out, totals.stolen, totals.wakeups);
    print_floors("resident", &watch.resident);
    print_floors("in use", &watch.in_use);
    fclose(nowhere);
    printf("  threads %u, descriptors %u, as at the beginning\n", watch.threads - DOTS,
           watch.descriptors - DOTS - 1 /* by which that is read */);
}

#endif
