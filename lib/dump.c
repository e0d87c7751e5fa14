/* dump.c - what an executor is doing, for people: executor_dump().
 *
 * Who sleeps in a task of the executor, and which tasks are held, is copied in the monitor, where all of that stands
 * still, and what it waits for is alive; what runs is read from the marks of the seats, and of the runs that were given
 * up. A task is called by its name, which its owner keeps as long as the task.
 */
#include <errno.h>
#include <inttypes.h>

#include <exec/stats.h>

#include "abandon.h"
#include "executor.h"
#include "hold.h"
#include "member.h"
#include "plan.h"
#include "sleep.h"
#include "task.h"
#include "text.h"

enum { MOST_LISTED = 200, MOST_AWAITED = 8 };

static void write_name(FILE *out, const char *name) {
    if (name != NULL)
        exec__write_quoted(out, name);
    else
        fputs("a task", out);
}

/* --- workers --- */

static void write_worker(FILE *out, struct exec__pool *p, unsigned i, exec_time now) {
    struct exec__seat *seat = &p->seats[i];
    const struct exec__mark mark = exec__seat_marked(seat);
    exec_time since = mark.name != NULL ? mark.began : exec__measured_since(p, i);
    fprintf(out, "worker %u: ", i);
    if (atomic_load(&seat->base) == NULL) {
        fputs("idle\n", out);
        return;
    }
    fputs("runs ", out);
    write_name(out, mark.name != NULL ? mark.text.bytes : NULL);
    if (since != 0) {
        fputs(" for ", out);
        exec__write_duration(out, now - since);
    }
    fputc('\n', out);
}

static void write_run_locked(const exec_straggler *run, void *stream) {
    FILE *out = stream;
    fputs(run->abandoned ? "given up: " : "runs apart: ", out);
    write_name(out, run->name);
    fputs(" for ", out);
    exec__write_duration(out, run->running);
    fputc('\n', out);
}

/* --- who waits for what --- */

static const char *state_of(const future_t *f) {
    uint64_t word = exec__future_word(f);
    if (exec__finished(word))
        return "has finished";
    if (f->pool == NULL)
        return "nobody has resolved";
    if (exec__state_of(word) == FUTURE_RUNNING)
        return "runs";
    return word & EXEC__HELD ? "is held" : "is queued";
}

static void write_awaited_locked(FILE *out, const future_t *f) {
    if (f->pool == NULL)
        fputs("a promise", out);
    else
        write_name(out, future_name(f));
    fprintf(out, ", which %s", state_of(f));
}

static void write_several_locked(FILE *out, future_t *const fs[], size_t n) {
    for (size_t i = 0; i < n && i < MOST_AWAITED; i++) {
        fputs(i > 0 ? "; " : "", out);
        write_awaited_locked(out, fs[i]);
    }
    if (n > MOST_AWAITED)
        fprintf(out, "; and %zu more", n - MOST_AWAITED);
}

static void write_sleeper_locked(FILE *out, const struct exec__sleeper *s) {
    const future_t *task = s->frame->task;
    fputs("waits: ", out);
    if (task != NULL)
        write_name(out, future_name(task));
    else
        fputs("a map", out);
    if (s->kind == EXEC__SLEEPS_CANCELLABLY) {
        fputs(" sleeps, or polls\n", out);
        return;
    }
    fputs(" for ", out);
    if (s->group != NULL)
        fprintf(out, "a group with %" PRIu64 " unfinished members",
                exec__members_since(s->group, exec__members_gone(s->group)));
    else if (s->nfs > 1)
        fprintf(out, "%zu of %zu: ", s->want, s->nfs);
    if (s->group == NULL)
        write_several_locked(out, s->fs, s->nfs);
    fputc('\n', out);
}

/* Why it is held. */
static void write_hold_locked(FILE *out, const struct exec__hold *h, exec_time now) {
    exec_time due = h->plan != NULL ? exec__plan_due(h->plan) : 0;
    fputs("held: ", out);
    write_name(out, future_name(h->f));
    if (!h->decided) {
        fprintf(out, " for %zu of %zu others\n", h->left, h->n);
    } else if (due != 0) {
        fputs(" until it is due, in ", out);
        exec__write_duration(out, due > now ? due - now : 0);
        fputc('\n', out);
    } else {
        fputs(h->waits_for_room ? " for room in its group\n" : " for its limiter\n", out);
    }
}

static bool sleeps_in(const struct exec__sleeper *s, const struct exec__pool *p) {
    return s->frame != NULL && s->frame->pool == p;
}

static void write_waits_locked(FILE *out, const struct exec__pool *p, exec_time now) {
    size_t listed = 0, more = 0;
    for (const struct exec__sleeper *s = exec__sleepers; s != NULL; s = s->next)
        if (sleeps_in(s, p) && listed < MOST_LISTED) {
            write_sleeper_locked(out, s);
            listed++;
        } else {
            more += sleeps_in(s, p);
        }
    for (const struct exec__hold *h = p->holds; h != NULL; h = h->next)
        if (listed < MOST_LISTED) {
            write_hold_locked(out, h, now);
            listed++;
        } else {
            more++;
        }
    if (more > 0)
        fprintf(out, "and %zu more wait, or are held\n", more);
}

/* --- the call --- */

static void write_dump(FILE *out, executor_t *ex) {
    struct exec__pool *p = &ex->pool;
    exec_time now = exec_now();
    exec_stats stats;
    executor_stats(ex, &stats);
    fputs("executor ", out);
    exec__write_plain(out, p->opts.name);
    fprintf(out, ": %u of %u workers run tasks, %zu in the queue of %" PRIu64 ", %" PRIu64 " unfinished%s\n",
            stats.running, stats.workers, stats.queued, p->queue.capacity, stats.unfinished,
            !atomic_load(&p->closed)      ? ""
            : atomic_load(&p->discarding) ? ", discarding"
                                          : ", shut down");
    for (unsigned i = 0; i < p->n; i++)
        write_worker(out, p, i, now);
    exec__runs_each(p, write_run_locked, out);
    exec__monitor_lock();
    write_waits_locked(out, p, now);
    exec__monitor_unlock();
}

int executor_dump(executor_t *ex, FILE *out) {
    int error = exec__executor_check(ex);
    if (error != 0)
        return error;
    if (out == NULL)
        return EINVAL;
    struct exec__text text;
    error = exec__text_open(&text);
    if (error != 0)
        return error;
    write_dump(text.stream, ex);
    return exec__text_write(&text, out);
}
