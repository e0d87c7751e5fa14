/* thread.h - what the library knows of the calling thread: the only thread-local variable there is.
 *
 * Nobody but the thread itself reads or writes it; its address names the thread.
 */
#ifndef EXEC__THREAD_H
#define EXEC__THREAD_H

#include <stdbool.h>
#include <stdint.h>

struct exec__frame;
struct future;
struct exec__seat;
struct exec__cell;
struct exec__errand;
struct exec__callback;
struct exec__timers;
struct exec__lanes;

struct exec__thread {
    struct exec__frame *frame;    /* the innermost task or map that runs here (task.h), or NULL */
    struct exec__seat *seat;      /* the place in an executor it works in (worker.h), or NULL */
    struct exec__cell *cells;     /* its free list of futures (slab.c) */
    unsigned ncells, cells_limit; /* how many there are, and may be; 0 until it is known when the thread ends */
    struct exec__errand *errands, *last_errand; /* to be done when the present one is (notify.c) */
    const struct exec__callback *callback;      /* the innermost one that is being called, or NULL */
    bool at_errands;
    const struct exec__timers *timers;     /* whose thread it is (timer.c), or NULL */
    unsigned exploration;                  /* the last in which it found something to run (chain.c) */
    struct future *released;               /* what it has let go of last, into its own deque (hold.c), or NULL; */
    const struct exec__lanes *released_in; /* or these lanes, or NULL; */
    uint64_t released_put;                 /* in which put; */
    unsigned released_on;                  /* and the exploration that had passed it last */
    uintptr_t ready_stamp;                 /* of the future that it has started last: pool.h, exec__stamp() */
    bool stirred;      /* has run or submitted something since it last looked whether others have to know (wait.c) */
    bool in_the_way;   /* a worker that searches, of threads that run their own tasks (worker.c) */
    bool was_left;     /* by a task that called pthread_exit() or was cancelled (task.c) */
    char *stack_floor; /* below it there is too little stack for another task (wait.c); NULL: not known yet */
};

extern _Thread_local struct exec__thread exec__self;

#endif
