/* items.c - calling one function for several items, one after the other: a thread's share of a map, or of a stream.
 *
 * All of them run in one frame, as one task's function that can be left: where an item leaves its thread by
 * pthread_exit(), it fails, and the call is made again for those behind it.
 */
#include "items.h"

#include <errno.h>

#include "scope.h"

static void run_range(struct exec__items *items) {
    size_t begin = items->at, end = items->end;
    items->at = end; /* it is one thing: nothing is left of it if it leaves */
    items->frame.error = 0;
    items->body(begin, end, items->ctx);
    if (exec__scopes_left(&items->frame))
        items->frame.error = EBUSY;
    if (items->frame.error != 0)
        items->fail(items, begin, end, items->frame.error);
    else if (items->errors != NULL)
        for (size_t i = begin; i < end; i++)
            items->errors[i] = 0;
}

/* Looks only if something may have changed. */
static bool must_skip(struct exec__items *items) {
    unsigned stops = atomic_load(&exec__stops);
    if (items->at > items->begin && stops == items->stops && !items->timed)
        return false;
    items->stops = stops;
    return exec__frame_cancelled(&items->frame);
}

/* A function that fails, or leaves something open, is rare. */
EXEC__SELDOM static void fail_item(struct exec__items *items, size_t i, bool left_open) {
    items->fail(items, i, i + 1, left_open ? EBUSY : items->frame.error);
}

/* From items->at, which is kept for the case that one leaves. */
static void run_each(struct exec__items *items) {
    exec_fn *const fn = items->fn; /* these stay in registers, which the compiler cannot know */
    void *const *const args = items->args;
    void **const results = items->results;
    const size_t end = items->end;
    for (size_t i = items->at; i < end; i++) {
        items->at = i;
        if (must_skip(items)) {
            items->skip(items, i, end);
            break;
        }
        void *value = fn(args[i]);
        bool left_open = exec__scopes_left(&items->frame);
        if (exec__is_failure(value) || left_open) {
            fail_item(items, i, left_open);
            continue;
        }
        if (results != NULL)
            results[i] = value;
        if (items->errors != NULL)
            items->errors[i] = 0;
    }
}

static void *run_rest(void *arg) {
    struct exec__items *items = arg;
    if (items->body == NULL)
        run_each(items);
    else if (items->at < items->end && must_skip(items))
        items->skip(items, items->at, items->end);
    else if (items->at < items->end)
        run_range(items);
    return NULL;
}

void exec__items_run(struct exec__items *items) {
    void *unused;
    items->at = items->begin;
    items->timed = exec__frame_deadline(&items->frame, EXEC_NEVER) != EXEC_NEVER;
    while (exec__call(run_rest, items, &items->frame, &unused) == EOWNERDEAD) {
        exec__scopes_left(&items->frame);
        size_t failed = items->body != NULL ? items->begin : items->at;
        items->at = items->body != NULL ? items->end : items->at + 1;
        items->fail(items, failed, items->at, EOWNERDEAD);
    }
}
