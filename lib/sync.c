/* sync.c - thin wrappers over pthreads. */
#include "sync.h"

#include <errno.h>
#include <sys/prctl.h>

#define NS_PER_SEC INT64_C(1000000000)

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
