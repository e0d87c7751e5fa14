/* perturb.h - included before everything else where VARIANT names "perturbed": each atomic step of the library, each
 * lock, unlock, wait and wake-up first loses time at random, and then again. See perturb.c.
 *
 * The sources know nothing of it: the names that they call are macros here, around the same operations. atomic_init()
 * is not among them, since nobody else knows of what it sets; nor are fences, which the library does without. In a
 * test's own file they are there for the inline functions of lib/; its own steps are left alone (perturb.c).
 */
#ifndef EXEC__PERTURB_H
#define EXEC__PERTURB_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define EXEC__PERTURBED 1

/* A place in the source, before or after what is done there. */
struct exec__site {
    const char *file;
    unsigned line;
    unsigned side;
    int kind;        /* enum kind, perturb.c; atomic, as is the next */
    unsigned passes; /* of threads */
};

/* May lose time. Leaves errno alone; async-signal-safe; no cancellation point. */
void exec__perturb(struct exec__site *site);

/* Here, on this line. */
#define EXEC__PERTURB(side)                                                \
    do {                                                                   \
        static struct exec__site site_ = {__FILE__, __LINE__, side, 0, 0}; \
        exec__perturb(&site_);                                             \
    } while (0)

/* What has a value, and what has none. */
#define EXEC__AROUND(expression)         \
    __extension__({                      \
        EXEC__PERTURB(0);                \
        __auto_type value_ = expression; \
        EXEC__PERTURB(1);                \
        value_;                          \
    })
#define EXEC__AROUND_VOID(expression) \
    __extension__({                   \
        EXEC__PERTURB(0);             \
        expression;                   \
        EXEC__PERTURB(1);             \
    })

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_exchange
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and
#undef atomic_fetch_and_explicit

/* What <stdatomic.h> makes of them: each compiler has builtins of its own for objects that are _Atomic. */
#ifdef __clang__
#define EXEC__LOAD(p, order) __c11_atomic_load(p, order)
#define EXEC__STORE(p, x, order) __c11_atomic_store(p, x, order)
#define EXEC__SWAP(p, x, order) __c11_atomic_exchange(p, x, order)
#define EXEC__CAS_STRONG(p, old, x, order, or_else) __c11_atomic_compare_exchange_strong(p, old, x, order, or_else)
#define EXEC__CAS_WEAK(p, old, x, order, or_else) __c11_atomic_compare_exchange_weak(p, old, x, order, or_else)
#define EXEC__FETCH(what, p, x, order) __c11_atomic_fetch_##what(p, x, order)
#else
#define EXEC__LOAD(p, order) __atomic_load_n(p, order)
#define EXEC__STORE(p, x, order) __atomic_store_n(p, x, order)
#define EXEC__SWAP(p, x, order) __atomic_exchange_n(p, x, order)
#define EXEC__CAS_STRONG(p, old, x, order, or_else) __atomic_compare_exchange_n(p, old, x, 0, order, or_else)
#define EXEC__CAS_WEAK(p, old, x, order, or_else) __atomic_compare_exchange_n(p, old, x, 1, order, or_else)
#define EXEC__FETCH(what, p, x, order) __atomic_fetch_##what(p, x, order)
#endif

#define atomic_load_explicit(p, order) EXEC__AROUND(EXEC__LOAD(p, order))
#define atomic_load(p) atomic_load_explicit(p, memory_order_seq_cst)
#define atomic_store_explicit(p, x, order) EXEC__AROUND_VOID(EXEC__STORE(p, x, order))
#define atomic_store(p, x) atomic_store_explicit(p, x, memory_order_seq_cst)
#define atomic_exchange_explicit(p, x, order) EXEC__AROUND(EXEC__SWAP(p, x, order))
#define atomic_exchange(p, x) atomic_exchange_explicit(p, x, memory_order_seq_cst)
#define atomic_compare_exchange_strong_explicit(p, old, x, order, or_else) \
    EXEC__AROUND(EXEC__CAS_STRONG(p, old, x, order, or_else))
#define atomic_compare_exchange_strong(p, old, x) \
    atomic_compare_exchange_strong_explicit(p, old, x, memory_order_seq_cst, memory_order_seq_cst)
#define atomic_compare_exchange_weak_explicit(p, old, x, order, or_else) \
    EXEC__AROUND(EXEC__CAS_WEAK(p, old, x, order, or_else))
#define atomic_compare_exchange_weak(p, old, x) \
    atomic_compare_exchange_weak_explicit(p, old, x, memory_order_seq_cst, memory_order_seq_cst)
#define atomic_fetch_add_explicit(p, x, order) EXEC__AROUND(EXEC__FETCH(add, p, x, order))
#define atomic_fetch_add(p, x) atomic_fetch_add_explicit(p, x, memory_order_seq_cst)
#define atomic_fetch_sub_explicit(p, x, order) EXEC__AROUND(EXEC__FETCH(sub, p, x, order))
#define atomic_fetch_sub(p, x) atomic_fetch_sub_explicit(p, x, memory_order_seq_cst)
#define atomic_fetch_or_explicit(p, x, order) EXEC__AROUND(EXEC__FETCH(or, p, x, order))
#define atomic_fetch_or(p, x) atomic_fetch_or_explicit(p, x, memory_order_seq_cst)
#define atomic_fetch_and_explicit(p, x, order) EXEC__AROUND(EXEC__FETCH(and, p, x, order))
#define atomic_fetch_and(p, x) atomic_fetch_and_explicit(p, x, memory_order_seq_cst)

#define pthread_mutex_lock(mutex) EXEC__AROUND(pthread_mutex_lock(mutex))
#define pthread_mutex_trylock(mutex) EXEC__AROUND(pthread_mutex_trylock(mutex))
#define pthread_mutex_unlock(mutex) EXEC__AROUND(pthread_mutex_unlock(mutex))
#define pthread_cond_wait(cond, mutex) EXEC__AROUND(pthread_cond_wait(cond, mutex))
#define pthread_cond_timedwait(cond, mutex, until) EXEC__AROUND(pthread_cond_timedwait(cond, mutex, until))
#define pthread_cond_signal(cond) EXEC__AROUND(pthread_cond_signal(cond))
#define pthread_cond_broadcast(cond) EXEC__AROUND(pthread_cond_broadcast(cond))
#define sem_wait(semaphore) EXEC__AROUND(sem_wait(semaphore))
#define sem_post(semaphore) EXEC__AROUND(sem_post(semaphore))

#endif
