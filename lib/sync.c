/* sync.c - thin wrappers over pthreads. */
#include "sync.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>

#define NS_PER_SEC INT64_C(1000000000)

#define NAP EXEC_US(50)

enum { YIELD_EVERY = 64, YIELDS = 64 };

int exec__cond_init(pthread_cond_t *cond) {
    pthread_condattr_t attr;
    int saved = errno; /* which POSIX does not promise to be left alone */
    int error = pthread_condattr_init(&attr);
    if (error == 0) {
        error = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        if (error == 0)
            error = pthread_cond_init(cond, &attr);
        pthread_condattr_destroy(&attr);
    }
    errno = saved;
    return error;
}

int exec__cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, exec_time deadline) {
    if (deadline == EXEC_NEVER)
        return pthread_cond_wait(cond, mutex);
    struct timespec at = exec__timespec(deadline);
    return pthread_cond_timedwait(cond, mutex, &at);
}

struct timespec exec__timespec(exec_time t) {
    if (t < 0)
        t = 0;
    return (struct timespec){.tv_sec = t / NS_PER_SEC, .tv_nsec = t % NS_PER_SEC};
}

void exec__sleep_exactly(void) {
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
}

struct exec__quiet exec__quiet_begin(void) {
    struct exec__quiet q = {.saved_errno = errno};
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &q.cancel_state);
    return q;
}

void exec__quiet_end(const struct exec__quiet *q) {
    pthread_setcancelstate(q->cancel_state, NULL);
    errno = q->saved_errno;
}

void exec__doze(exec_time duration) {
    struct timespec t = exec__timespec(duration);
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
    pthread_setcancelstate(state, NULL);
}

/* Whom we wait for may need this processor; and if it has a lower priority, under SCHED_FIFO (sched(7)), yielding does
 * not give it that. */
void exec__wait_a_little(unsigned tries) {
    if (tries % YIELD_EVERY != YIELD_EVERY - 1)
        exec__pause();
    else if (tries < YIELD_EVERY * YIELDS)
        sched_yield();
    else
        exec__doze(NAP);
}

EXEC__SELDOM void exec__spin_lock_held(struct exec__spinlock *l) {
    unsigned tries = 0;
    do
        while (atomic_load_explicit(&l->held, memory_order_relaxed))
            exec__wait_a_little(tries++);
    while (atomic_exchange_explicit(&l->held, true, memory_order_acquire));
}
