/* scope.h - what a task opens and must close: groups and streams. See scope.c. */
#ifndef EXEC__SCOPE_H
#define EXEC__SCOPE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "task.h"

/* Part of what was opened. */
struct exec__scope {
    struct exec__frame *owner;            /* what it was opened in, or NULL; r/o after init, as are the next three */
    void (*cancel)(struct exec__scope *); /* the owner is asked to stop; NULL: it will see that itself */
    void (*close)(struct exec__scope *);  /* the owner has returned without having closed it: cancels, waits, frees */
    void *whole;                          /* close()'s */
    bool told;                            /* monitor, as are the next three: that the owner is asked to stop */
    unsigned visitors;                    /* threads that are telling it */
    struct exec__scope *next, **link;     /* among all that have an owner */
};

void exec__scope_open(struct exec__scope *s, void (*cancel)(struct exec__scope *), void (*close)(struct exec__scope *));
void exec__scope_close(struct exec__scope *s);

/* What runs in the frame has returned: closes what it has left open. Whether there was anything. */
void exec__scopes_close(struct exec__frame *frame);
static inline bool exec__scopes_left(struct exec__frame *frame) {
    if (atomic_load_explicit(&frame->scopes, memory_order_relaxed) == 0)
        return false;
    exec__scopes_close(frame);
    return true;
}

/* After a flag was raised: tells those whose owners it concerns. */
void exec__scopes_tell(void);

/* In a forked child: other threads' scopes are gone. */
void exec__scopes_reset(void);

#endif
