/* sync.h - thin wrappers over pthreads: the monotonic condition variable; and what spinning needs. */
#ifndef EXEC__SYNC_H
#define EXEC__SYNC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <exec/time.h>

#define EXEC__CACHE_LINE 64

/* What is seldom called, kept out of the functions that are called all the time. */
#define EXEC__SELDOM __attribute__((noinline, cold))

/* What would have others save registers that they do not need; and what is called all the time. */
#define EXEC__OUTSIDE __attribute__((noinline))
#define EXEC__WITHIN static inline __attribute__((always_inline))

/* What the thing that is pointed to is part of: the `type` whose `member` it is. */
#define EXEC__WHOLE(part, type, member) ((type *)(void *)((char *)(part)-offsetof(type, member)))

/* A condition variable that measures its deadlines on CLOCK_MONOTONIC. 0, or what pthread_cond_init() says. */
int exec__cond_init(pthread_cond_t *cond);

/* Waits until woken, spuriously too, or until the deadline: 0 or ETIMEDOUT. The caller holds the mutex and checks its
 * predicate in a loop. A cancellation point. */
int exec__cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, exec_time deadline);

struct timespec exec__timespec(exec_time t);

/* From now on the thread's sleeps end when they are over, not up to 50 us later, the default (prctl(2),
 * PR_SET_TIMERSLACK). */
void exec__sleep_exactly(void);

/* Sleeps for that long, or less. Not a cancellation point. */
void exec__doze(exec_time duration);

/* A stretch in which nothing is a cancellation point, as file operations are, and behind which errno is as before. */
struct exec__quiet {
    int saved_errno, cancel_state;
};
struct exec__quiet exec__quiet_begin(void);
void exec__quiet_end(const struct exec__quiet *q);

/* Tells the processor that this is a loop that waits for another one. */
static inline void exec__pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

/* The same, in a loop that waits for what a thread is about to do: now and then it makes way for that one. */
void exec__wait_a_little(unsigned tries);

/* A lock that is held for an instant, by who waits for nothing meanwhile but a lock that is like that; so it may be
 * taken under any other lock. Zero: free. */
struct exec__spinlock {
    _Atomic bool held;
};

void exec__spin_lock_held(struct exec__spinlock *l);
static inline void exec__spin_lock(struct exec__spinlock *l) {
    if (atomic_exchange_explicit(&l->held, true, memory_order_acquire))
        exec__spin_lock_held(l);
}

static inline void exec__spin_unlock(struct exec__spinlock *l) {
    atomic_store_explicit(&l->held, false, memory_order_release);
}

/* What was done by those who have held it is seen here; and those who come after this see what was done before. */
static inline void exec__spin_pass(struct exec__spinlock *l) {
    exec__spin_lock(l);
    exec__spin_unlock(l);
}

#endif
