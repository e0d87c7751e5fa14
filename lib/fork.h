/* fork.h - which process this is. */
#ifndef EXEC__FORK_H
#define EXEC__FORK_H

#include <stdatomic.h>

/* How many forks lie between the process that loaded the library and this one. An executor or a future that was made
 * at another generation has lost its threads. */
extern _Atomic unsigned exec__generation;

static inline unsigned exec__generation_now(void) {
    return atomic_load_explicit(&exec__generation, memory_order_relaxed); /* changes only while the process has one
                                                                             thread, in the child of a fork */
}

/* 0, or why the library could not arrange to be told of forks, when it was loaded. */
int exec__fork_error(void);

#endif
