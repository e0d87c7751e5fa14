/* registry.c - the memory of executors that exist no more.
 *
 * A future may outlive its executor, and a thread that finds a future PENDING may look at the executor an instant after
 * it has gone (exec__pool_enter(), pool.c). So executors are taken from, and given back to, this list, and their memory
 * is used for nothing else. It never holds more than the executors that once existed at the same time.
 */
#include "registry.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "executor.h"
#include "memory.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct executor *unused; /* lock */

void exec__registry_lock(void) {
    pthread_mutex_lock(&lock);
}

void exec__registry_unlock(void) {
    pthread_mutex_unlock(&lock);
}

struct executor *exec__registry_take(void) {
    exec__registry_lock();
    struct executor *ex = unused;
    if (ex != NULL)
        unused = ex->next_unused;
    exec__registry_unlock();
    if (ex == NULL) {
        ex = exec__aligned_alloc(EXEC__CACHE_LINE, sizeof *ex);
        if (ex != NULL)
            memset(ex, 0, sizeof *ex);
    }
    return ex;
}

void exec__registry_give(struct executor *ex) {
    exec__registry_lock();
    ex->next_unused = unused;
    unused = ex;
    exec__registry_unlock();
}
