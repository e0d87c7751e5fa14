/* notify.h - telling those in a future's list that it has finished, and running what that entails. See notify.c. */
#ifndef EXEC__NOTIFY_H
#define EXEC__NOTIFY_H

#include "future.h"
#include "sleep.h"

/* Something to do because a future has finished: not in the monitor, and not on top of another one. */
struct exec__errand {
    struct exec__errand *next;
    void (*run)(struct exec__errand *e);
};

/* Tells all of a finished future's list; what is to be done then, in order. */
struct exec__errand *exec__tell_locked(struct exec__listener **list, future_t *f);

/* Runs a list of errands, or, when the calling thread is at one, leaves them to be run after that. */
void exec__errands_run(struct exec__errand *first);
/* A thread that is about to sleep in an errand: runs those that are left. */
void exec__errands_flush(void);

/* Whether the calling thread is in the callback of a member of this group. */
bool exec__in_callback_of(const struct exec_group *g);

/* In a forked child: takes out those who slept. */
void exec__forget_sleepers_locked(struct exec__listener **list);

/* Nobody has a reference any more: frees what is still in the list. */
void exec__forget_listeners(struct exec__listener **list);

#endif
