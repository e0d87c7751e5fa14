/* notify.c - who else is told that a future has finished, besides those who sleep: callbacks and descriptors.
 *
 * Models: test/model/future.pml and test/model/group.pml.
 *
 * Everybody who is to be told has an entry in the future's list, guarded by the monitor (sleep.c); the entries of
 * sleepers lie on their stacks, a held task's in its hold (hold.c), those made here are allocated. The finisher takes
 * the list apart in the monitor. Sleepers are woken and descriptors written to right there; what may take time, or is
 * the user's, is an errand: it is run by the same thread when it has left the monitor.
 *
 * Errands make other futures finish, whose errands would make others finish: so that a chain of 100,000 needs no more
 * stack than one, a thread that is at an errand puts further ones at the end of its own list, and gets to them when it
 * has come back. (If it goes to sleep in an errand, which it should not, it first does what is left.)
 *
 * A callback of a group's member keeps the group from ending until it has returned.
 *
 * A descriptor's entry stays in the list until the future goes, and is closed then.
 */
#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "event.h"
#include "member.h"
#include "memory.h"
#include "thread.h"

struct exec__callback {
    struct exec__listener listener;
    struct exec__errand errand;
    void (*fn)(future_t *f, void *ctx);
    void *ctx;
    future_t *f;                          /* while it is an errand: a reference; */
    struct exec_group *group;             /* and what it is a member of, pinned; NULL: nothing */
    const struct exec__callback *beneath; /* while it is called: the one that it is called in */
};

struct descriptor {
    struct exec__listener listener;
    int fd;
};

/* --- telling --- */

static struct exec__errand *write_locked(struct exec__listener *l, future_t *f) {
    (void)f;
    exec__event_set(((struct descriptor *)l)->fd);
    return NULL;
}

static bool is_descriptor(const struct exec__listener *l) {
    return l->told_locked == write_locked;
}

struct exec__errand *exec__tell_locked(struct exec__listener **list, future_t *f) {
    struct exec__errand *first = NULL, **end = &first;
    struct exec__listener *kept = NULL;
    while (*list != NULL) {
        struct exec__listener *l = *list;
        exec__unlisten_locked(list, l);
        struct exec__errand *e = l->told_locked(l, f);
        if (is_descriptor(l))
            exec__listen_locked(&kept, l);
        if (e == NULL)
            continue;
        e->next = NULL;
        *end = e;
        end = &e->next;
    }
    *list = kept;
    return first;
}

static void run_all(struct exec__thread *self) {
    struct exec__errand *e;
    while ((e = self->errands) != NULL) {
        self->errands = e->next;
        if (self->errands == NULL)
            self->last_errand = NULL;
        e->run(e);
    }
}

void exec__errands_run(struct exec__errand *first) {
    struct exec__thread *self = &exec__self;
    if (first == NULL)
        return;
    if (self->last_errand != NULL)
        self->last_errand->next = first;
    else
        self->errands = first;
    while (first->next != NULL)
        first = first->next;
    self->last_errand = first;
    if (self->at_errands)
        return;
    self->at_errands = true;
    run_all(self);
    self->at_errands = false;
}

void exec__errands_flush(void) {
    if (exec__self.errands != NULL)
        run_all(&exec__self);
}

/* --- what is left in a list --- */

void exec__forget_sleepers_locked(struct exec__listener **list) {
    struct exec__listener *others = NULL;
    while (*list != NULL) {
        struct exec__listener *l = *list;
        exec__unlisten_locked(list, l);
        if (!exec__is_bell(l))
            exec__listen_locked(&others, l);
    }
    *list = others;
}

static void free_descriptor(struct descriptor *d) {
    exec__event_close(d->fd);
    free(d);
}

/* What is left are callbacks of a promise that was never resolved, and a descriptor. */
void exec__forget_listeners(struct exec__listener **list) {
    while (*list != NULL) {
        struct exec__listener *l = *list;
        exec__unlisten_locked(list, l);
        if (exec__is_bell(l))
            continue; /* of a promise from before a fork */
        if (is_descriptor(l))
            free_descriptor((struct descriptor *)l);
        else
            free(l);
    }
}

/* --- callbacks --- */

static void call_back(struct exec__errand *e) {
    struct exec__callback *c = EXEC__WHOLE(e, struct exec__callback, errand);
    int saved = errno;
    c->beneath = exec__self.callback;
    exec__self.callback = c;
    c->fn(c->f, c->ctx);
    exec__self.callback = c->beneath;
    future_unref(c->f);
    if (c->group != NULL)
        exec__group_unpin(c->group);
    errno = saved;
    free(c);
}

static struct exec__errand *callback_told_locked(struct exec__listener *l, future_t *f) {
    struct exec__callback *c = (struct exec__callback *)l;
    c->f = future_ref(f);
    c->group = exec__group_of(f);
    if (c->group != NULL)
        exec__group_pin(c->group);
    return &c->errand;
}

bool exec__in_callback_of(const struct exec_group *g) {
    const struct exec__callback *c = exec__self.callback;
    while (c != NULL && c->group != g)
        c = c->beneath;
    return c != NULL;
}

int future_on_done(future_t *f, void (*fn)(future_t *f, void *ctx), void *ctx) {
    if (f == NULL || fn == NULL)
        return EINVAL;
    if (exec__orphaned(f))
        return EOWNERDEAD;
    struct exec__callback *c = exec__malloc(sizeof *c);
    if (c == NULL)
        return ENOMEM;
    *c = (struct exec__callback){
        .listener = {.told_locked = callback_told_locked}, .errand = {.run = call_back}, .fn = fn, .ctx = ctx};
    exec__monitor_lock();
    bool listens = exec__future_listen_locked(f, &c->listener);
    exec__monitor_unlock();
    if (listens)
        return 0;
    c->f = future_ref(f);
    if (exec__self.at_errands)
        call_back(&c->errand);
    else
        exec__errands_run(&c->errand);
    return 0;
}

/* --- descriptors --- */

static struct descriptor *find_descriptor_locked(const future_t *f) {
    struct exec__listener *l = f->listeners;
    if (l != NULL)
        do {
            if (is_descriptor(l))
                return (struct descriptor *)l;
            l = l->next;
        } while (l != f->listeners);
    return NULL;
}

static struct descriptor *descriptor_of(future_t *f) {
    exec__monitor_lock();
    struct descriptor *d = find_descriptor_locked(f);
    exec__monitor_unlock();
    return d;
}

static int make_descriptor(struct descriptor **out) {
    struct descriptor *d = exec__malloc(sizeof *d);
    if (d == NULL)
        return ENOMEM;
    d->listener = (struct exec__listener){.told_locked = write_locked};
    int error = exec__event_open(&d->fd);
    if (error != 0)
        free(d);
    else
        *out = d;
    return error;
}

/* Puts it into the future's list, unless another one is there by now, which it returns instead. */
static struct descriptor *enter_descriptor(future_t *f, struct descriptor *d) {
    exec__monitor_lock();
    struct descriptor *earlier = find_descriptor_locked(f);
    if (earlier == NULL && !exec__future_listen_locked(f, &d->listener)) {
        exec__future_keep_locked(f, &d->listener);
        write_locked(&d->listener, f);
    }
    exec__monitor_unlock();
    return earlier != NULL ? earlier : d;
}

int future_fd(future_t *f, int *fd) {
    if (f == NULL || fd == NULL)
        return EINVAL;
    if (exec__orphaned(f))
        return EOWNERDEAD;
    struct descriptor *d = descriptor_of(f);
    if (d == NULL) {
        struct descriptor *made;
        int error = make_descriptor(&made);
        if (error != 0)
            return error;
        d = enter_descriptor(f, made);
        if (d != made)
            free_descriptor(made);
    }
    *fd = d->fd;
    return 0;
}
