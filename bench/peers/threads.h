/* threads.h - threads that submit, workers that are held, and waiting for tasks where a library cannot. C and C++. */
#ifndef PEER_THREADS_H
#define PEER_THREADS_H

#include <pthread.h>

#include "peer.h"

/* --- a latch: each of so many tasks arrives when it is done, and one thread waits for all --- */

struct peer_latch {
    pthread_mutex_t lock;
    pthread_cond_t all_arrived;
    size_t left; /* atomic; the last one to arrive takes the lock, so that the latch may go when the wait has ended */
    bool open;   /* under the lock */
};

static inline void peer_latch_init(struct peer_latch *latch, size_t n) {
    pthread_mutex_init(&latch->lock, NULL);
    pthread_cond_init(&latch->all_arrived, NULL);
    latch->left = n;
    latch->open = n == 0;
}

static inline void peer_arrive(struct peer_latch *latch) {
    if (__atomic_sub_fetch(&latch->left, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    pthread_mutex_lock(&latch->lock);
    latch->open = true;
    pthread_cond_signal(&latch->all_arrived);
    pthread_mutex_unlock(&latch->lock);
}

static inline void peer_await(struct peer_latch *latch) {
    pthread_mutex_lock(&latch->lock);
    while (!latch->open)
        pthread_cond_wait(&latch->all_arrived, &latch->lock);
    pthread_mutex_unlock(&latch->lock);
}

/* --- tasks for libraries whose tasks have no result: each stores its own address, and arrives --- */

struct peer_task {
    struct peer_latch *latch;
    void *result;
};

static inline void peer_work(void *arg) {
    struct peer_task *task = (struct peer_task *)arg;
    task->result = task;
    peer_arrive(task->latch);
}

/* Pushes n tasks, and waits for them. */
static inline void peer_push_all(size_t n, void (*push)(void *task)) {
    struct peer_task *tasks = (struct peer_task *)peer_alloc(n, sizeof *tasks);
    struct peer_latch latch;
    peer_latch_init(&latch, n);
    for (size_t i = 0; i < n; i++) {
        tasks[i].latch = &latch;
        push(&tasks[i]);
    }
    peer_await(&latch);
    for (size_t i = 0; i < n; i++)
        if (tasks[i].result != &tasks[i])
            peer_fail("a result");
    free(tasks);
}

/* --- producers --- */

struct peer_producer {
    void (*produce)(size_t n);
    size_t n;
};

static inline void *peer_producer_main(void *arg) {
    struct peer_producer *producer = (struct peer_producer *)arg;
    producer->produce(producer->n);
    return NULL;
}

/* Calls produce(n / k) on k threads, and waits for them. */
static inline void peer_produce(size_t n, unsigned k, void (*produce)(size_t n)) {
    pthread_t threads[8];
    struct peer_producer producer = {produce, n / k};
    for (unsigned i = 0; i < k; i++)
        if (pthread_create(&threads[i], NULL, peer_producer_main, &producer) != 0)
            peer_fail("pthread_create");
    for (unsigned i = 0; i < k; i++)
        pthread_join(threads[i], NULL);
}

/* --- workers that are held, each by a task that calls peer_hold(), until they are released --- */

static pthread_mutex_t peer_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t peer_changed = PTHREAD_COND_INITIALIZER; /* one of these two, which are under the lock */
static unsigned peer_held;
static bool peer_released;

static inline void peer_hold(void) {
    pthread_mutex_lock(&peer_lock);
    peer_held++;
    pthread_cond_broadcast(&peer_changed);
    while (!peer_released)
        pthread_cond_wait(&peer_changed, &peer_lock);
    pthread_mutex_unlock(&peer_lock);
}

static inline void peer_await_held(unsigned n) {
    pthread_mutex_lock(&peer_lock);
    while (peer_held < n)
        pthread_cond_wait(&peer_changed, &peer_lock);
    pthread_mutex_unlock(&peer_lock);
}

static inline void peer_release(void) {
    pthread_mutex_lock(&peer_lock);
    peer_released = true;
    pthread_cond_broadcast(&peer_changed);
    pthread_mutex_unlock(&peer_lock);
}

/* --- wake-ups --- */

#define PEER_WARM_UPS 10 /* do not count: the threads have to be there */

static uint64_t peer_woken_at; /* atomic; 0: not yet */

/* The first thing that the task does. */
static inline void peer_woken(void) {
    __atomic_store_n(&peer_woken_at, (uint64_t)peer_clock(), __ATOMIC_RELEASE);
}

/* How many microseconds one wake-up takes, after an idle time of two milliseconds. The caller does not wait for the
 * task, so that it cannot run it itself, but looks again after a while. */
static inline double peer_wake_up(void (*submit)(void)) {
    uint64_t woken_at;
    peer_sleep(2000);
    __atomic_store_n(&peer_woken_at, 0, __ATOMIC_RELEASE);
    double begun = peer_clock();
    submit();
    while ((woken_at = __atomic_load_n(&peer_woken_at, __ATOMIC_ACQUIRE)) == 0)
        peer_sleep(200);
    return ((double)woken_at - begun) / 1e3;
}

/* Of n wake-ups by submit(), which makes a worker call peer_woken(): the percentile, in microseconds. */
static inline double peer_wake_ups(void (*submit)(void), size_t n, unsigned percent) {
    double *figures = (double *)peer_alloc(n, sizeof *figures);
    for (size_t i = 0; i < PEER_WARM_UPS; i++)
        peer_wake_up(submit);
    for (size_t i = 0; i < n; i++)
        figures[i] = peer_wake_up(submit);
    double figure = peer_percentile(figures, n, percent);
    free(figures);
    return figure;
}

#endif
