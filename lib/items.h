/* items.h - calling one function for several items, one after the other, on this thread. See items.c. */
#ifndef EXEC__ITEMS_H
#define EXEC__ITEMS_H

#include <stdbool.h>
#include <stddef.h>

#include <exec/map.h>

#include "task.h"

/* A run of items: those from `begin` to `end` of an array, or of a loop. */
struct exec__items {
    exec_fn *fn; /* results[i] = fn(args[i]); */
    void *const *args;
    void **results;      /* NULL: not wanted */
    int *errors;         /* NULL: not wanted */
    exec_range_fn *body; /* or, if not NULL, body(begin, end, ctx) */
    void *ctx;
    bool timed;     /* some deadline may pass; set by exec__items_run(), as is the next */
    unsigned stops; /* exec__stops when the frame was last looked at */

    /* Items have failed; or were skipped, since the frame is asked to stop. */
    void (*fail)(struct exec__items *items, size_t begin, size_t end, int error);
    void (*skip)(struct exec__items *items, size_t begin, size_t end);

    struct exec__frame frame; /* what they run in; the innermost one */
    size_t begin, end, at;    /* at: the one that runs */
};

/* Runs them, whatever they do: one that leaves its thread fails, and the rest goes on. */
void exec__items_run(struct exec__items *items);

#endif
