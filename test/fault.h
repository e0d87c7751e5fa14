/* fault.h - makes what the library asks of the system fail, at one call or from one call on, and counts what it keeps.
 *
 * The program is linked statically with the library and with -Wl,--wrap=FUNCTION for every function below. Between
 * fault_arm() and fault_disarm() all their calls, on all threads, are numbered from 1 on, and those from `first` to
 * `last` fail. Memory obtained through them is known by address until it is freed; the memory of executors, which the
 * library keeps for the next one, does not count.
 */
#ifndef FAULT_H
#define FAULT_H

#include <semaphore.h>
#include <sys/eventfd.h>

#include "stress.h"

#include "../lib/executor.h"

enum { FAULT_BLOCKS = 1 << 17 };

/* What was made to fail, by the error the caller should see; SOFT: what the library can do without. */
enum fault_kind { FAULT_SOFT, FAULT_MEMORY, FAULT_THREAD, FAULT_DESCRIPTOR, FAULT_SEMAPHORE, FAULT_KINDS };

static const int fault_errors[] = {ENOMEM, ENOMEM, EAGAIN, EMFILE, ENOSPC};

static struct {
    atomic_bool armed;
    unsigned first, last; /* written while it is not armed */
    atomic_uint calls, failed[FAULT_KINDS];
    pthread_mutex_t lock;
    void *blocks[FAULT_BLOCKS]; /* an open hash table; lock, as is live */
    size_t live;
} fault = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- when to fail ---- */

static inline bool fault_now(enum fault_kind kind) {
    if (!atomic_load(&fault.armed))
        return false;
    unsigned call = atomic_fetch_add(&fault.calls, 1) + 1;
    if (call < fault.first || call > fault.last)
        return false;
    atomic_fetch_add(&fault.failed[kind], 1);
    return true;
}

static inline void fault_arm(void) {
    atomic_store(&fault.armed, true);
}

static inline void fault_disarm(void) {
    atomic_store(&fault.armed, false);
}

static inline void fault_plan(unsigned first, unsigned last) {
    fault.first = first;
    fault.last = last;
    atomic_store(&fault.calls, 0);
    for (int i = 0; i < FAULT_KINDS; i++)
        atomic_store(&fault.failed[i], 0);
}

static inline unsigned fault_failures(bool soft_too) {
    unsigned n = 0;
    for (int i = soft_too ? FAULT_SOFT : FAULT_MEMORY; i < FAULT_KINDS; i++)
        n += atomic_load(&fault.failed[i]);
    return n;
}

/* The call that was to fail said `error`: it must be one of those injected; or 0, where nothing that matters was, or
 * where the call can do without. */
static inline void fault_check(const char *file, int line, int error, bool can_do_without) {
    bool injected = error == 0 && (can_do_without || fault_failures(false) == 0);
    for (int i = FAULT_MEMORY; i < FAULT_KINDS; i++)
        injected = injected || (error == fault_errors[i] && atomic_load(&fault.failed[i]) > 0);
    if (!injected)
        stress_fail(file, line, "error %d (%s), with %u failures injected from call %u to %u", error, strerror(error),
                    fault_failures(true), fault.first, fault.last);
}

#define CHECK_FAULT(error) fault_check(__FILE__, __LINE__, error, false)
#define CHECK_FAULT_OR_DONE(error) fault_check(__FILE__, __LINE__, error, true)

/* ---- what is kept ---- */

static inline size_t fault_home(const void *block) {
    return (size_t)stress_mix64((uintptr_t)block) % FAULT_BLOCKS;
}

static inline size_t fault_slot_locked(const void *block) {
    size_t i = fault_home(block);
    while (fault.blocks[i] != block && fault.blocks[i] != NULL)
        i = (i + 1) % FAULT_BLOCKS;
    return i;
}

/* Closes the gap, so that each block can be found from its home on. */
static inline void fault_remove_locked(size_t gap) {
    for (size_t i = (gap + 1) % FAULT_BLOCKS; fault.blocks[i] != NULL; i = (i + 1) % FAULT_BLOCKS)
        if ((i - fault_home(fault.blocks[i])) % FAULT_BLOCKS >= (i - gap) % FAULT_BLOCKS) {
            fault.blocks[gap] = fault.blocks[i];
            gap = i;
        }
    fault.blocks[gap] = NULL;
}

static inline void *fault_keep(void *block, size_t size) {
    if (!block || size == sizeof(struct executor))
        return block;
    pthread_mutex_lock(&fault.lock);
    CHECK_OP(fault.live, <, FAULT_BLOCKS / 2);
    fault.blocks[fault_slot_locked(block)] = block;
    fault.live++;
    pthread_mutex_unlock(&fault.lock);
    return block;
}

static inline void fault_forget(const void *block) {
    if (!block)
        return;
    pthread_mutex_lock(&fault.lock);
    size_t i = fault_slot_locked(block);
    if (fault.blocks[i] != NULL) {
        fault_remove_locked(i);
        fault.live--;
    }
    pthread_mutex_unlock(&fault.lock);
}

static inline size_t fault_live(void) {
    pthread_mutex_lock(&fault.lock);
    size_t live = fault.live;
    pthread_mutex_unlock(&fault.lock);
    return live;
}

/* ---- the wrapped functions ---- */

#define FAULT_WRAP(type, name, ...)  \
    type __real_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__); \
    type __wrap_##name(__VA_ARGS__)

#define FAULT_MAY_FAIL(kind, otherwise) \
    if (fault_now(kind)) {              \
        errno = fault_errors[kind];     \
        return otherwise;               \
    }

FAULT_WRAP(void *, malloc, size_t size) {
    FAULT_MAY_FAIL(FAULT_MEMORY, NULL)
    return fault_keep(__real_malloc(size), size);
}

FAULT_WRAP(void *, calloc, size_t n, size_t size) {
    FAULT_MAY_FAIL(FAULT_MEMORY, NULL)
    return fault_keep(__real_calloc(n, size), n * size);
}

FAULT_WRAP(void *, realloc, void *block, size_t size) {
    FAULT_MAY_FAIL(FAULT_MEMORY, NULL)
    fault_forget(block);
    return fault_keep(__real_realloc(block, size), size);
}

FAULT_WRAP(void *, aligned_alloc, size_t alignment, size_t size) {
    FAULT_MAY_FAIL(FAULT_MEMORY, NULL)
    return fault_keep(__real_aligned_alloc(alignment, size), size);
}

FAULT_WRAP(int, posix_memalign, void **out, size_t alignment, size_t size) {
    FAULT_MAY_FAIL(FAULT_MEMORY, ENOMEM)
    int error = __real_posix_memalign(out, alignment, size);
    if (error == 0)
        fault_keep(*out, size);
    return error;
}

FAULT_WRAP(char *, strdup, const char *text) {
    FAULT_MAY_FAIL(FAULT_MEMORY, NULL)
    return fault_keep(__real_strdup(text), 0);
}

FAULT_WRAP(char *, strndup, const char *text, size_t n) {
    FAULT_MAY_FAIL(FAULT_MEMORY, NULL)
    return fault_keep(__real_strndup(text, n), 0);
}

FAULT_WRAP(void, free, void *block) {
    fault_forget(block);
    __real_free(block);
}

FAULT_WRAP(FILE *, fopen, const char *path, const char *mode) {
    FAULT_MAY_FAIL(FAULT_SOFT, NULL)
    return __real_fopen(path, mode);
}

FAULT_WRAP(int, eventfd, unsigned value, int flags) {
    FAULT_MAY_FAIL(FAULT_DESCRIPTOR, -1)
    return __real_eventfd(value, flags);
}

FAULT_WRAP(int, pthread_create, pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg) {
    FAULT_MAY_FAIL(FAULT_THREAD, EAGAIN)
    return __real_pthread_create(thread, attr, fn, arg);
}

FAULT_WRAP(int, pthread_mutex_init, pthread_mutex_t *mutex, const pthread_mutexattr_t *attr) {
    FAULT_MAY_FAIL(FAULT_MEMORY, ENOMEM)
    return __real_pthread_mutex_init(mutex, attr);
}

FAULT_WRAP(int, pthread_cond_init, pthread_cond_t *cond, const pthread_condattr_t *attr) {
    FAULT_MAY_FAIL(FAULT_MEMORY, ENOMEM)
    return __real_pthread_cond_init(cond, attr);
}

FAULT_WRAP(int, pthread_condattr_init, pthread_condattr_t *attr) {
    FAULT_MAY_FAIL(FAULT_MEMORY, ENOMEM)
    return __real_pthread_condattr_init(attr);
}

FAULT_WRAP(int, pthread_attr_init, pthread_attr_t *attr) {
    FAULT_MAY_FAIL(FAULT_MEMORY, ENOMEM)
    return __real_pthread_attr_init(attr);
}

FAULT_WRAP(int, pthread_getattr_np, pthread_t thread, pthread_attr_t *attr) {
    FAULT_MAY_FAIL(FAULT_SOFT, ENOMEM)
    return __real_pthread_getattr_np(thread, attr);
}

FAULT_WRAP(int, sem_init, sem_t *sem, int shared, unsigned value) {
    FAULT_MAY_FAIL(FAULT_SEMAPHORE, -1)
    return __real_sem_init(sem, shared, value);
}

#endif
