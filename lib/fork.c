/* fork.c - keeps the library's few globals usable in a forked child.
 *
 * In the child only the thread that called fork() exists. Locks that it could inherit in a locked state are taken
 * before the fork and released after it on both sides (slab.c, registry.c), so that what they guard is whole in the
 * child; the monitor (sleep.c) is made new there, since whoever slept is gone.
 */
#include "fork.h"

#include <pthread.h>

#include "registry.h"
#include "scope.h"
#include "sleep.h"
#include "slab.h"

_Atomic unsigned exec__generation;
static int error; /* r/o after the constructor */

static void before(void) {
    exec__registry_lock();
    exec__slab_lock();
}

static void in_parent(void) {
    exec__slab_unlock();
    exec__registry_unlock();
}

static void in_child(void) {
    atomic_fetch_add_explicit(&exec__generation, 1, memory_order_relaxed);
    exec__sleep_reset();
    exec__scopes_reset();
    exec__slab_unlock();
    exec__registry_unlock();
}

__attribute__((constructor)) static void watch(void) {
    error = pthread_atfork(before, in_parent, in_child);
}

int exec__fork_error(void) {
    return error;
}
