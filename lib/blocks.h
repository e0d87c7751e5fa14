/* blocks.h - the items of a stream in blocks, and who runs them. See blocks.c. */
#ifndef EXEC__BLOCKS_H
#define EXEC__BLOCKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <exec/stream.h>

#include "pool.h"

struct exec__block {
    struct exec__block *next, *before; /* the stream's, as all down to `room` but `n` */
    struct exec__block *next_ready;
    size_t index; /* of its first item */
    size_t at;    /* the next item to hand out */
    bool done;    /* it has come back */
    size_t room;
    size_t n; /* items; r/o while it is on its way, as is the next */
    struct exec__work *work;
    bool shared;          /* in the ring, to be claimed; else a task of its own */
    bool ran;             /* set by who runs it, as is the rest */
    bool failed;          /* some of the items did: else errors is not set */
    _Atomic bool has_run; /* published by who runs it, if shared */
    exec_time took;
    void **args; /* room for each of the three; args r/o while it is on its way */
    void **results;
    int *errors;
};

/* What all who run the blocks of a stream know of it. */
struct exec__work {
    struct exec__pool *pool; /* r/o after init, as are the next */
    exec_fn *fn;
    void (*drop)(void *arg);
    exec_time deadline;
    size_t mask;                                         /* of the ring */
    struct exec__block *_Atomic *ring;                   /* of the shared blocks: */
    _Atomic uint64_t put;                                /* how many there ever were, by the consumer */
    _Atomic bool consumer_sleeps;                        /* helpers are not to wait for more */
    _Atomic size_t helping;                              /* helpers under way that are not about to end */
    _Alignas(EXEC__CACHE_LINE) _Atomic uint64_t claimed; /* how many of them, by who runs them */
};

/* A ring with room for so many blocks at least: 0 or ENOMEM. */
int exec__work_init(struct exec__work *w, size_t room);
void exec__work_fini(struct exec__work *w);

struct exec__block *exec__block_make(struct exec__work *w, size_t room);
void exec__block_free(struct exec__block *b);

/* The items from `begin` on will never run. */
void exec__block_drop(struct exec__block *b, size_t begin, int error);

/* A task: runs a block. */
void *exec__block_run(void *block);

/* The ring, for the consumer: puts a block behind the others; whether there is room, and something to claim. */
void exec__work_put(struct exec__work *w, struct exec__block *b);
bool exec__work_has_room(const struct exec__work *w);
size_t exec__work_left(const struct exec__work *w);

/* The next block that nobody has claimed, or NULL. */
struct exec__block *exec__work_claim(struct exec__work *w);

/* Runs a block that was claimed. */
void exec__work_run(struct exec__block *b);

/* A task, counted in `helping` by who submits it: claims blocks and runs them. */
void *exec__work_help(void *work);

#endif
