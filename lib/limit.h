/* limit.h - the arithmetic of limiters: a token bucket, and limits that find themselves. No locks, no clock of its own:
 * every time is passed in, and none is negative. See limit.c.
 */
#ifndef EXEC__LIMIT_H
#define EXEC__LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <exec/limiter.h>

/* 0, or EINVAL as exec_limiter_create() says. */
int exec__limit_check(const exec_limiter_opts *opts);

/* --- how many a second --- */

/* In units so small that a token, and what flows in within a nanosecond, are whole numbers of them: nothing is ever
 * rounded. */
struct exec__bucket {
    uint64_t flow;  /* units a nanosecond; 0: there is no rate */
    uint64_t token; /* units a token */
    uint64_t room;  /* units in a full bucket: .burst tokens and what flows in in less than a nanosecond */
    uint64_t level; /* units in it ... */
    exec_time at;   /* ... at this time */
};

/* A full one, of checked options. */
void exec__bucket_init(struct exec__bucket *b, const exec_limiter_opts *opts, exec_time now);

/* Takes a token, if there is one; otherwise *due is when there will be: later than now, or EXEC_NEVER. A time before
 * one that it was told earlier counts as that one. */
bool exec__bucket_take(struct exec__bucket *b, exec_time now, exec_time *due);

/* --- how many at once --- */

enum exec__outcome { EXEC__SUCCESS, EXEC__OVERLOAD, EXEC__NOTHING };

/* What an error means to a limiter; calls .is_overload. */
enum exec__outcome exec__limit_outcome(const exec_limiter_opts *opts, int error);

/* One that has come to its end. */
struct exec__sample {
    exec_time started, now;
    size_t level;     /* how many were in flight when it started, itself included */
    size_t in_flight; /* how many were until now, itself included */
    enum exec__outcome outcome;
};

enum exec__phase {
    EXEC__LEARN, /* the limit stays as it is; how long one takes is learned */
    EXEC__HIGH,  /* a little more than the limit is let through: so there is a queue, unless there is room for more */
    EXEC__LOW    /* a little less: so there is none */
};

struct exec__limit {
    enum exec_limiter_kind kind; /* r/o after init, as are the next four */
    size_t fixed;
    double min, max;
    exec_time slow; /* 0: never */

    /* By overload. */
    double bound;      /* as many as are not refused */
    double ceiling;    /* so many were; 0: it has never happened */
    exec_time changed; /* the last decrease: what started before says no more about it */
    double useful;     /* which part ended in success lately */

    /* By latency; in all of these, time is in nanoseconds. */
    double limit;       /* as many as do not queue; never more than bound */
    double base;        /* how long one takes that does not queue */
    double deviation;   /* by how much of it, on average, single ones are off */
    double base_before; /* what it was before the last LOW */
    double spacing;     /* how long one takes, divided by how many are in flight: base / spacing are served at once */
    double quick;       /* the same, over the last few */
    double usual;       /* what the limit has been for a while */
    double calm;        /* what speaks for there being no queue when there should be one */
    double gain;        /* so many times the limit are let through while HIGH */
    enum exec__phase phase;
    size_t left;     /* so many completions until the next phase */
    size_t to_learn; /* LEARN: from those that started until so many had ended ... */
    size_t learned;  /* ... of whom so many have */
    struct {
        exec_time from, until;
    } low[2];            /* those that started then did not queue: the last LOW, and the one before it */
    exec_time low_ended; /* the last LOW as a whole */
};

/* Of checked options. */
void exec__limit_init(struct exec__limit *l, const exec_limiter_opts *opts);

/* Learns from one that has come to its end. */
void exec__limit_sample(struct exec__limit *l, const struct exec__sample *s);

/* How many may be in flight just now; SIZE_MAX: any number. */
size_t exec__limit_room(const struct exec__limit *l);

/* The limit as it is known to the user: what room() goes up and down about. */
size_t exec__limit_now(const struct exec__limit *l);

#endif
