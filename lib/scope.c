/* scope.c - what was opened in a task belongs to it: it is told when the task is asked to stop, and closed when the
 * task returns without having done so.
 *
 * All scopes that have an owner are in one list, in the monitor (sleep.c). Who raises a flag looks through the list for
 * owners that it concerns; who opens a scope enters the list and then looks at its flags: one of the two sees the other
 * (all accesses sequentially consistent). A scope is told outside of the monitor, once; who closes it waits until
 * nobody is at that. An owner's frame is there as long as a scope of it is in the list.
 */
#include "scope.h"

#include <stddef.h>

#include "sleep.h"
#include "sync.h"

static struct exec__scope *scopes;
static _Atomic unsigned nscopes; /* written in the monitor, read by all */

static void enter_locked(struct exec__scope *s) {
    s->next = scopes;
    s->link = &scopes;
    if (s->next != NULL)
        s->next->link = &s->next;
    scopes = s;
    atomic_fetch_add(&nscopes, 1);
}

static void leave_locked(struct exec__scope *s) {
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
    atomic_fetch_sub(&nscopes, 1);
}

void exec__scope_open(struct exec__scope *s, void (*cancel)(struct exec__scope *),
                      void (*close)(struct exec__scope *)) {
    *s = (struct exec__scope){.owner = exec__self.frame, .cancel = cancel, .close = close};
    if (s->owner == NULL)
        return;
    exec__monitor_lock();
    enter_locked(s);
    exec__monitor_unlock();
    atomic_fetch_add(&s->owner->scopes, 1);
    if (exec__frame_cancelled(s->owner))
        exec__scopes_tell();
}

void exec__scope_close(struct exec__scope *s) {
    exec__monitor_lock(); /* also without an owner: nobody who has found it by a member is still looking (chain.c) */
    for (unsigned tries = 0; s->visitors > 0; tries++) {
        exec__monitor_unlock();
        exec__wait_a_little(tries);
        exec__monitor_lock();
    }
    if (s->owner != NULL)
        leave_locked(s);
    exec__monitor_unlock();
    if (s->owner != NULL)
        atomic_fetch_sub(&s->owner->scopes, 1);
}

static struct exec__scope *scope_of(const struct exec__frame *frame) {
    exec__monitor_lock();
    struct exec__scope *s = scopes;
    while (s != NULL && s->owner != frame)
        s = s->next;
    exec__monitor_unlock();
    return s;
}

void exec__scopes_close(struct exec__frame *frame) {
    struct exec__scope *s;
    while ((s = scope_of(frame)) != NULL)
        (*s->close)(s);
}

/* --- telling --- */

static struct exec__scope *find_untold_locked(void) {
    struct exec__scope *s = scopes;
    while (s != NULL && (s->told || s->cancel == NULL || !exec__frame_cancelled(s->owner)))
        s = s->next;
    return s;
}

void exec__scopes_tell(void) {
    struct exec__scope *s;
    if (atomic_load(&nscopes) == 0)
        return;
    exec__monitor_lock();
    while ((s = find_untold_locked()) != NULL) {
        s->told = true;
        s->visitors++;
        exec__monitor_unlock();
        s->cancel(s);
        exec__monitor_lock();
        s->visitors--;
    }
    exec__monitor_unlock();
}

void exec__scopes_reset(void) {
    scopes = NULL;
    atomic_store_explicit(&nscopes, 0, memory_order_relaxed);
}
