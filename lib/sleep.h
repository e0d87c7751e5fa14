/* sleep.h - the monitor: who sleeps for which future, and inside of which task. See sleep.c. */
#ifndef EXEC__SLEEP_H
#define EXEC__SLEEP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "sync.h"

struct future;
struct exec__awaited;
struct exec__frame;
struct exec__seat;
struct exec__thread;

enum exec__sleep_kind {
    EXEC__SLEEPS_FREELY,     /* outside of any task: nobody need find it */
    EXEC__SLEEPS_IN_TASK,    /* waits for futures in a task: links in the chain of waits */
    EXEC__SLEEPS_CLOSING,    /* the same, but it must wait for its future, whatever the chain */
    EXEC__SLEEPS_CANCELLABLY /* exec_sleep() or exec_poll(): ends when the task is asked to stop */
};

enum exec__roused {
    EXEC__ASLEEP,
    EXEC__LOOK_AGAIN, /* something has changed that it may be able to use */
    EXEC__GIVE_UP     /* deadlock, or asked to stop */
};

/* Something that waits, as chain.c sees it: a sleeper, or a held task. Monitor. */
struct exec__node {
    struct exec__node *next;         /* to be looked at, or looked at */
    const struct exec__node *parent; /* which waits for it */
    unsigned exploration;
    bool is_hold;
    bool stuck;
};

/* A thread that sleeps, on its stack. All fields: monitor, or r/o after init. */
struct exec__sleeper {
    struct exec__node node; /* first */
    pthread_cond_t cond;    /* predicate: told >= want, or roused */
    size_t told, want;      /* futures that have finished, and how many it takes */
    enum exec__roused roused;
    enum exec__sleep_kind kind;
    const struct exec__thread *thread;
    const struct exec__frame *frame; /* the task it sleeps in */
    const struct exec__seat *seat;   /* the seat it holds, besides those of its frames */
    struct future *const *fs;        /* what it waits for, `want` of them; */
    size_t nfs;
    struct exec_group *group;            /* or for members of a group: */
    const struct exec__awaited *awaited; /* any of them or all, and whether that is over */
    bool endless;                        /* without a deadline */
    bool impatient; /* it looks again soon: an idle worker may have left what it could run; or it is not sure */
    bool restless;  /* tasks that are held now may be for it to run once they are not (chain.c) */
    int wake_fd;    /* an eventfd to write to as well; -1: none */

    struct exec__sleeper *next, **link;                 /* in exec__sleepers, unless it sleeps freely */
    struct exec__sleeper *next_for_group, **group_link; /* among those who wait for groups */
};

struct exec__errand;

/* One entry in a future's list of those to tell, part of whatever that is. Monitor. */
struct exec__listener {
    /* Told, and in no list any more. What it returns is run when the monitor has been left. */
    struct exec__errand *(*told_locked)(struct exec__listener *l, struct future *f);
    struct exec__listener *next, *before; /* a ring; NULL: in no list */
};

extern struct exec__sleeper *exec__sleepers; /* those inside tasks; monitor */

void exec__monitor_lock(void);
void exec__monitor_unlock(void);
void exec__monitor_release(void *unused); /* exec__monitor_unlock() for pthread_cleanup_push() */

int exec__sleeper_init(struct exec__sleeper *s, enum exec__sleep_kind kind, size_t want);
void exec__sleeper_fini(struct exec__sleeper *s);

void exec__sleeper_enter_locked(struct exec__sleeper *s);
void exec__sleeper_leave_locked(struct exec__sleeper *s);
void exec__sleeper_unsettle_locked(struct exec__sleeper *s); /* makes it restless */

/* Sleeps until it is told enough, roused, or the deadline: 0 or ETIMEDOUT. A cancellation point. */
int exec__sleeper_wait_locked(struct exec__sleeper *s, exec_time deadline);
void exec__sleeper_rouse_locked(struct exec__sleeper *s, enum exec__roused why);

/* Wakes those who wait for a group, which need not exist any more. */
void exec__group_rouse(const struct exec_group *g);

/* Something has become ready to run: wakes the restless sleepers to look whether it is theirs to run. */
void exec__rouse_restless(void);

/* Whether anyone sleeps cancellably. Sequentially consistent: who raises a flag and then sees no sleeper is seen by the
 * one who enters and then looks at its flag. */
bool exec__anyone_sleeps_cancellably(void);

/* A listener that counts for a sleeper. */
struct exec__bell {
    struct exec__listener listener;
    struct exec__sleeper *sleeper;
};

void exec__bell_init(struct exec__bell *b, struct exec__sleeper *s);
bool exec__is_bell(const struct exec__listener *l);

/* A list of listeners, in the order in which they came; it names the first. */
void exec__listen_locked(struct exec__listener **list, struct exec__listener *l);
void exec__unlisten_locked(struct exec__listener **list, struct exec__listener *l); /* also when it is in no list */

/* In a forked child: nobody sleeps. */
void exec__sleep_reset(void);

#endif
