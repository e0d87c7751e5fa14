/* peer_limit.c - no library, and no peer: what the machine itself allows, measured in the same run.
 *
 * Maps, loops and items: the loop's work, inlined, split evenly between PEER_WORKERS threads, which have been started
 * before and spin until they are told to begin, each on a CPU of its own. fork-join: the time of the sequential fib,
 * divided by PEER_WORKERS. stream and producers: lines of 64 bytes, each written by one thread, changed by another, and
 * read again by the first, through a plain ring, 64 lines at a time, by two threads that spin; the same for any number
 * of producers. ping: the round trip of one such line; who runs the task himself needs no such trip, and can be below.
 * wake-up: from before the futex(2) call that wakes a thread to that thread's first instruction. io: PEER_SLEEPERS
 * threads that sleep their share of the time, with the least timer slack that there is, and do nothing else.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "threads.h"
#include "work.h"

static void relax(void) {
#if defined __x86_64__
    __builtin_ia32_pause();
#endif
}

/* Puts the caller on the k-th of the CPUs that this process may use: two threads that spin must not share one. */
static void stay_on(unsigned k) {
    static cpu_set_t allowed;
    cpu_set_t one;
    int cpu = 0;
    if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof allowed, &allowed) != 0)
        peer_fail("sched_getaffinity");
    for (k %= (unsigned)CPU_COUNT(&allowed); k > 0 || !CPU_ISSET(cpu, &allowed); cpu++)
        k -= CPU_ISSET(cpu, &allowed) != 0;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (pthread_setaffinity_np(pthread_self(), sizeof one, &one) != 0)
        peer_fail("pthread_setaffinity_np");
}

static void start(void *(*main_of)(void *), uintptr_t arg) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, main_of, (void *)arg) != 0 || pthread_detach(thread) != 0)
        peer_fail("pthread_create");
}

/* --- work that is split --- */

typedef void part_fn(unsigned part, size_t n, unsigned how);

static struct {
    part_fn *work; /* these three are r/o from the start of a round to its end */
    size_t n;
    unsigned how;
    unsigned round; /* atomic: published by who starts it */
    unsigned ended; /* atomic: how many members have done their part */
} team;

static void *member(void *part) {
    stay_on((unsigned)(uintptr_t)part);
    for (unsigned round = 1;; round++) {
        while (__atomic_load_n(&team.round, __ATOMIC_ACQUIRE) != round)
            relax();
        team.work((unsigned)(uintptr_t)part, team.n, team.how);
        __atomic_add_fetch(&team.ended, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void start_team(void) {
    stay_on(0);
    for (uintptr_t part = 1; part < PEER_WORKERS; part++)
        start(member, part);
}

/* All members do their parts, the caller the first one. */
static void split(part_fn *work, size_t n, unsigned how) {
    if (team.round == 0)
        start_team();
    team.work = work;
    team.n = n;
    team.how = how;
    team.ended = 0;
    __atomic_add_fetch(&team.round, 1, __ATOMIC_RELEASE);
    work(0, n, how);
    while (__atomic_load_n(&team.ended, __ATOMIC_ACQUIRE) < PEER_WORKERS - 1)
        relax();
}

static void part_of_items(unsigned part, size_t n, unsigned rounds) {
    peer_range(n * part / PEER_WORKERS, n * (part + 1) / PEER_WORKERS, rounds);
}

static void run_for(size_t n, unsigned rounds) {
    split(part_of_items, n, rounds);
}

static void part_of_uneven(unsigned part, size_t n, unsigned rounds) {
    peer_uneven_range(n * part / PEER_WORKERS, n * (part + 1) / PEER_WORKERS, rounds);
}

static void run_few_heavy(size_t n, unsigned rounds) {
    split(part_of_uneven, n, rounds);
}

/* Every second row: the picture's lower half is the upper one's mirror image, so this is even. */
static void part_of_rows(unsigned part, size_t n, unsigned unused) {
    (void)unused;
    for (size_t i = part; i < n; i += PEER_WORKERS)
        peer_draw_row(i, peer_picture[i]);
}

static void run_mandelbrot(size_t n, unsigned unused) {
    split(part_of_rows, n, unused);
}

static uint64_t folded[PEER_WORKERS];

static void part_of_numbers(unsigned part, size_t n, unsigned unused) {
    (void)unused;
    uint64_t all = 0;
    for (size_t i = n * part / PEER_WORKERS; i < n * (part + 1) / PEER_WORKERS; i++)
        all = peer_fold(all, peer_xorshift(i + 1, PEER_LONG_ROUNDS));
    folded[part] = all;
}

/* What has been folded moves on by one bit with each item that follows. */
static void run_items(size_t n, unsigned unused) {
    uint64_t all = 0;
    split(part_of_numbers, n, unused);
    for (unsigned part = 0; part < PEER_WORKERS; part++) {
        for (size_t items = n * (part + 1) / PEER_WORKERS - n * part / PEER_WORKERS; items % 64 > 0; items--)
            all = peer_fold(all, 0);
        all ^= folded[part];
    }
    peer_check_fold(n, all);
}

static uint64_t fib(uint64_t n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void run_fork_join(size_t n, unsigned unused) {
    (void)unused;
    volatile uint64_t result = fib(n);
    peer_check_fib(n, result);
}

/* --- lines that go from one core to another and back --- */

enum { RING = 1024, BATCH = 64 };

struct line {
    _Alignas(64) uint64_t payload[8];
};

struct count {
    _Alignas(64) uint64_t n; /* atomic: publishes the lines below it */
};

static struct line ring[RING];
static struct count over, back; /* how many lines have gone over, and have come back */

/* Waits until it is above i. */
static uint64_t await_count(const struct count *count, uint64_t i) {
    uint64_t n;
    while ((n = __atomic_load_n(&count->n, __ATOMIC_ACQUIRE)) <= i)
        relax();
    return n;
}

static void publish(struct count *count, uint64_t n) {
    __atomic_store_n(&count->n, n, __ATOMIC_RELEASE);
}

static void *echo(void *cpu) {
    stay_on((unsigned)(uintptr_t)cpu);
    for (uint64_t i = 0;;) {
        for (uint64_t end = await_count(&over, i); i < end; i++)
            ring[i % RING].payload[0]++;
        publish(&back, i);
    }
    return NULL;
}

/* So many lines are published at once. */
static void send(uint64_t n, uint64_t at_once) {
    static uint64_t sent, returned;
    if (sent == 0) {
        stay_on(0);
        start(echo, 1);
    }
    for (uint64_t end = sent + n; sent < end;) {
        uint64_t *payload = ring[sent % RING].payload;
        if (sent >= RING && returned <= sent - RING)
            returned = await_count(&back, sent - RING);
        if (sent >= RING)
            peer_expect("a line", *payload, sent - RING + 1);
        *payload = sent;
        if (++sent % at_once == 0)
            publish(&over, sent);
    }
}

static void run_lines(size_t n, unsigned unused) {
    (void)unused;
    send(n, BATCH);
}

static void run_ping(size_t n, unsigned unused) {
    static uint64_t sent;
    (void)unused;
    for (size_t i = 0; i < n; i++) {
        send(1, 1);
        await_count(&back, sent++);
    }
}

/* --- a thread that is woken --- */

static unsigned bell; /* atomic: how often it was rung */

static long futex(int operation, unsigned value) {
    return syscall(SYS_futex, &bell, operation, value, NULL, NULL, 0);
}

static void *sleeper(void *unused) {
    (void)unused;
    for (unsigned seen = 0;; seen++) {
        while (__atomic_load_n(&bell, __ATOMIC_ACQUIRE) == seen)
            futex(FUTEX_WAIT_PRIVATE, seen);
        peer_woken();
    }
    return NULL;
}

static void ring_bell(void) {
    __atomic_add_fetch(&bell, 1, __ATOMIC_RELEASE);
    futex(FUTEX_WAKE_PRIVATE, INT_MAX);
}

static double measure_wake_up(size_t n, unsigned percent) {
    start(sleeper, 0);
    return peer_wake_ups(ring_bell, n, percent);
}

/* --- threads that sleep --- */

static struct {
    pthread_barrier_t begin, end;
    size_t times; /* r/o between the two, as is the next */
    unsigned milliseconds;
} night;

static void *sleep_often(void *unused) {
    (void)unused;
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    pthread_barrier_wait(&night.begin);
    for (size_t i = 0; i < night.times; i++)
        peer_sleep(night.milliseconds * 1000);
    pthread_barrier_wait(&night.end);
    return NULL;
}

static double measure_io(size_t n, unsigned milliseconds) {
    night.times = n / PEER_SLEEPERS;
    night.milliseconds = milliseconds;
    pthread_barrier_init(&night.begin, NULL, PEER_SLEEPERS + 1);
    pthread_barrier_init(&night.end, NULL, PEER_SLEEPERS + 1);
    for (unsigned i = 0; i < PEER_SLEEPERS; i++)
        start(sleep_often, 0);
    pthread_barrier_wait(&night.begin);
    double begun = peer_clock();
    pthread_barrier_wait(&night.end);
    return peer_percent_over(begun, n, milliseconds);
}

int main(int argc, char **argv) {
    static const struct peer_case cases[] = {
        PEER_STREAM(run_lines),
        PEER_PRODUCERS(run_lines),
        PEER_PING(run_ping, 100000),
        {"fork-join", "ns", run_fork_join, NULL, PEER_FIB, 0, 1, PEER_FIB_CALLS * PEER_WORKERS, NULL},
        PEER_MAPS("map", run_for),
        PEER_MAPS("for", run_for),
        PEER_SMALL_MAP(run_for),
        PEER_NESTED(run_for),
        PEER_FEW_HEAVY(run_few_heavy),
        PEER_MANDELBROT(run_mandelbrot),
        PEER_LONG_STREAM(run_items),
        PEER_IO(measure_io),
        PEER_WAKE_UP(measure_wake_up),
        {0},
    };
    peer_make_items();
    return peer_main(argc, argv, cases);
}
