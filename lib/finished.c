/* finished.c - a queue of the finished members of a group, which cannot fail and has no end.
 *
 * Model: test/model/group.pml.
 *
 * It is a list of segments, each with room for some members. Who puts one takes a number, which says where it goes, and
 * stores it there a few instructions later; from then on it can be taken, which only one does at a time. Room is made
 * before it is needed, by who submits a member, so nobody who finishes one needs memory.
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
#include <stdlib.h>

#include "memory.h"

enum { WELL_UNDER_WAY = 16 };

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
    atomic_init(&q->room, EXEC__PER_SEGMENT);
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
    atomic_store_explicit(&q->room, room + EXEC__PER_SEGMENT, memory_order_relaxed);
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

/* The hint follows only when a segment is well under way, so that those who are a little late still find theirs behind
 * it. */
struct exec__segment *exec__finished_find(struct exec__finished *q, uint64_t number) {
    struct exec__segment *s = atomic_load_explicit(&q->hint, memory_order_acquire);
    uint64_t base;
    while (number - (base = atomic_load_explicit(&s->base, memory_order_acquire)) >= EXEC__PER_SEGMENT) {
        struct exec__segment *next = atomic_load_explicit(&s->next, memory_order_acquire);
        s = next != NULL && base < number ? next : atomic_load_explicit(&q->first, memory_order_acquire);
    }
    if (number % EXEC__PER_SEGMENT >= WELL_UNDER_WAY)
        atomic_store_explicit(&q->hint, s, memory_order_release);
    return s;
}

/* --- taking --- */

/* The first segment is empty: it becomes the last one. */
void exec__finished_move_on(struct exec__finished *q, struct exec__segment *s) {
    pthread_mutex_lock(q->lock);
    struct exec__segment *next = atomic_load_explicit(&s->next, memory_order_relaxed);
    if (next != NULL) {
        atomic_store_explicit(&q->first, next, memory_order_release);
        atomic_store_explicit(&s->next, NULL, memory_order_relaxed);
    }
    append_locked(q, s);
    pthread_mutex_unlock(q->lock);
}

/* From where it was left off; the segment of what has not been taken is where it was. */
bool exec__finished_settled(struct exec__finished *q) {
    uint64_t count = exec__finished_count(q), taken = atomic_load_explicit(&q->taken, memory_order_relaxed);
    if (q->settled <= taken) {
        q->settled = taken;
        q->settled_in = atomic_load_explicit(&q->first, memory_order_relaxed);
    }
    for (; q->settled < count; q->settled++) {
        if (q->settled - atomic_load_explicit(&q->settled_in->base, memory_order_relaxed) >= EXEC__PER_SEGMENT)
            q->settled_in = atomic_load_explicit(&q->settled_in->next, memory_order_acquire);
        if (atomic_load_explicit(&q->settled_in->at[q->settled % EXEC__PER_SEGMENT], memory_order_acquire) == NULL)
            return false;
    }
    return true;
}
