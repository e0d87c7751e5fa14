/* finished.c - a queue of the finished members of a group, which cannot fail and has no end.
 *
 * Model: test/model/group.pml.
 *
 * It is a list of segments with room for PER_SEGMENT members each. Who puts one takes a number, which says where it
 * goes, and stores it there a few instructions later; who takes one, which only one does at a time, waits for that if
 * it must. Room is made before it is needed, by who submits a member, so nobody who finishes one needs memory.
 *
 * A segment that has been emptied becomes the last one, with new numbers; none is freed before the group is. So who
 * looks for the segment of its number may follow the list from any place, and through segments that are just being
 * moved: it has found its own when `base` says so. That one stays where it is, since it cannot be emptied before the
 * number is used. Publication: base and next of a segment are stored before it is linked behind the last one (release,
 * acquire on the way along the list).
 *
 * An array rather than a list of futures, so that the taker's way through memory can be foreseen.
 */
#include "finished.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "memory.h"

enum { PER_SEGMENT = 256, AHEAD = 8, SPINS = 100 };

struct exec__segment {
    struct exec__segment *_Atomic next;
    _Atomic uint64_t base; /* the number of the first */
    _Atomic(future_t *) at[PER_SEGMENT];
};

int exec__finished_init(struct exec__finished *q, pthread_mutex_t *lock) {
    struct exec__segment *s = exec__calloc(1, sizeof *s);
    atomic_init(&q->counted, 0);
    atomic_init(&q->taken, 0);
    atomic_init(&q->hint, s);
    atomic_init(&q->first, s);
    q->settled = 0;
    q->settled_in = s;
    q->last = s;
    q->lock = lock;
    atomic_init(&q->room, PER_SEGMENT);
    return s != NULL ? 0 : ENOMEM;
}

void exec__finished_fini(struct exec__finished *q) {
    struct exec__segment *s = atomic_load_explicit(&q->first, memory_order_relaxed);
    while (s != NULL) {
        struct exec__segment *next = atomic_load_explicit(&s->next, memory_order_relaxed);
        free(s);
        s = next;
    }
}

/* With the numbers that come next. */
static void append_locked(struct exec__finished *q, struct exec__segment *s) {
    uint64_t room = atomic_load_explicit(&q->room, memory_order_relaxed);
    atomic_store_explicit(&s->base, room, memory_order_release);
    if (q->last != s)
        atomic_store_explicit(&q->last->next, s, memory_order_release);
    q->last = s;
    atomic_store_explicit(&q->room, room + PER_SEGMENT, memory_order_relaxed);
}

int exec__finished_reserve(struct exec__finished *q, uint64_t n) {
    while (!exec__finished_has_room(q, n)) {
        struct exec__segment *s = exec__calloc(1, sizeof *s);
        if (s == NULL)
            return ENOMEM;
        pthread_mutex_lock(q->lock);
        append_locked(q, s);
        pthread_mutex_unlock(q->lock);
    }
    return 0;
}

/* --- putting --- */

/* The hint is where most numbers are found at once. It follows only when a segment is well under way, so that those
 * who are a little late still find theirs behind it. */
static struct exec__segment *segment_of(struct exec__finished *q, uint64_t number) {
    struct exec__segment *s = atomic_load_explicit(&q->hint, memory_order_acquire);
    uint64_t base;
    while (number - (base = atomic_load_explicit(&s->base, memory_order_acquire)) >= PER_SEGMENT) {
        struct exec__segment *next = atomic_load_explicit(&s->next, memory_order_acquire);
        s = next != NULL && base < number ? next : atomic_load_explicit(&q->first, memory_order_acquire);
    }
    if (number % PER_SEGMENT == PER_SEGMENT / 2)
        atomic_store_explicit(&q->hint, s, memory_order_release);
    return s;
}

_Atomic(future_t *) *exec__finished_place(struct exec__finished *q, uint64_t number) {
    return &segment_of(q, number)->at[number % PER_SEGMENT];
}

/* --- taking --- */

/* The first segment is empty: it becomes the last one. */
static void move_on(struct exec__finished *q, struct exec__segment *s) {
    pthread_mutex_lock(q->lock);
    struct exec__segment *next = atomic_load_explicit(&s->next, memory_order_relaxed);
    if (next != NULL) {
        atomic_store_explicit(&q->first, next, memory_order_release);
        atomic_store_explicit(&s->next, NULL, memory_order_relaxed);
    }
    append_locked(q, s);
    pthread_mutex_unlock(q->lock);
}

/* Whoever has its number is about to store it. */
static future_t *await(_Atomic(future_t *) *at) {
    future_t *f;
    for (int i = 0; (f = atomic_load_explicit(at, memory_order_acquire)) == NULL; i++)
        if (i < SPINS)
            exec__pause();
        else
            sched_yield();
    return f;
}

/* Who finds the oldest in its place need not look how many have a number, which is written to by others just now. */
future_t *exec__finished_take(struct exec__finished *q) {
    uint64_t number = atomic_load_explicit(&q->taken, memory_order_relaxed);
    struct exec__segment *s = atomic_load_explicit(&q->first, memory_order_relaxed);
    size_t i = number % PER_SEGMENT;
    future_t *f = atomic_load_explicit(&s->at[i], memory_order_acquire);
    if (f == NULL && exec__finished_empty(q))
        return NULL;
    if (f == NULL)
        f = await(&s->at[i]);
    if (i + AHEAD < PER_SEGMENT)
        __builtin_prefetch(atomic_load_explicit(&s->at[i + AHEAD], memory_order_relaxed), 1);
    atomic_store_explicit(&s->at[i], NULL, memory_order_relaxed);
    if (i == PER_SEGMENT - 1)
        move_on(q, s);
    atomic_store_explicit(&q->taken, number + 1, memory_order_release);
    return f;
}

/* From where it was left off; the segment of what has not been taken is where it was. */
bool exec__finished_settled(struct exec__finished *q, bool wait) {
    uint64_t count = exec__finished_count(q), taken = atomic_load_explicit(&q->taken, memory_order_relaxed);
    if (q->settled <= taken) {
        q->settled = taken;
        q->settled_in = atomic_load_explicit(&q->first, memory_order_relaxed);
    }
    for (; q->settled < count; q->settled++) {
        if (q->settled - atomic_load_explicit(&q->settled_in->base, memory_order_relaxed) >= PER_SEGMENT)
            q->settled_in = atomic_load_explicit(&q->settled_in->next, memory_order_acquire);
        _Atomic(future_t *) *at = &q->settled_in->at[q->settled % PER_SEGMENT];
        if (!wait && atomic_load_explicit(at, memory_order_acquire) == NULL)
            return false;
        await(at);
    }
    return true;
}
