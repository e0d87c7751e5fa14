/* plan.c - the times of a task: when it starts, how long it may take, whether it runs again.
 *
 * A task that has any such option has a plan, which is freed with its future. Two timers (timer.c) are in it:
 *
 * - `start`, armed while the task is held until its next run is due (hold.c): for .delay, the next run of a schedule,
 *   or the next attempt. When it fires, the hold goes on.
 * - `limit`, armed from the moment that the task is accepted until it has ended, at its .deadline, and while it runs at
 *   the end of its .timeout, if that is earlier. When it fires, a task that is PENDING after its deadline ends; one
 *   that runs is asked to stop, by its frame's deadline, which everybody can see: sleepers need only be roused. What
 *   becomes of one that does not stop is in abandon.c.
 *
 * A schedule has a fixed rate: a run is due one period after the one before was due, and what has been missed is left
 * out. Cron expressions go by CLOCK_REALTIME, which may be set: while one waits, its timer fires every LOOK_EVERY, and
 * when the two clocks have moved against one another, the next time is found again.
 */
#include "plan.h"

#include <errno.h>
#include <stdlib.h>

#include "backoff.h"
#include "clock.h"
#include "memory.h"
#include "random.h"

#define LOOK_EVERY EXEC_SEC(10)
#define CLOCK_WAS_SET EXEC_MS(500)

/* --- options --- */

bool exec__has_times(const exec_task_opts *o) {
    return o->deadline != 0 || o->timeout != 0 || o->delay != 0 || o->every != 0 || o->cron != NULL ||
           o->retry.attempts > 1 || o->limiter != NULL;
}

bool exec__starts_later(const exec_task_opts *o) {
    return o->delay > 0 || o->cron != NULL || o->limiter != NULL;
}

int exec__plan_check(const exec_task_opts *o) {
    if (o->deadline < 0 || o->timeout < 0 || o->delay < 0 || o->every < 0 || (o->every != 0 && o->cron != NULL))
        return EINVAL;
    if (o->on_timeout < EXEC_ASK || o->on_timeout > EXEC_ABANDON)
        return EINVAL;
    int error = exec__retry_check(&o->retry);
    if (error == 0 && o->limiter != NULL)
        error = exec__limiter_check(o->limiter);
    struct exec__cron unused;
    if (error == 0 && o->cron != NULL)
        error = exec__cron_parse(o->cron, &unused, NULL);
    return error;
}

/* --- cron --- */

/* Once more, when so much time has passed between a look at the one and at the other that it would look as if somebody
 * had set the clock. */
static int64_t clocks_apart(void) {
    for (;;) {
        exec_time before = exec_now();
        int64_t apart = exec__realtime_now() - before;
        if (exec_now() - before < CLOCK_WAS_SET)
            return apart;
    }
}

static exec_time saturated(int64_t a, int64_t b) {
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? (b > 0 ? EXEC_NEVER : EXEC_NOW) : sum;
}

/* Finds the next time after this second; EXEC_NEVER: there is none. */
static void find_next(struct exec__plan *plan, int64_t after) {
    time_t when;
    plan->offset = clocks_apart();
    plan->due = EXEC_NEVER;
    plan->target = INT64_MAX;
    if (exec__cron_after(&plan->cron, plan->zone, (time_t)(after / EXEC_SEC(1)), &when) == 0 &&
        !__builtin_mul_overflow((int64_t)when, EXEC_SEC(1), &plan->target))
        plan->due = saturated(plan->target, -plan->offset);
}

/* Has somebody set the clock since? */
static bool clock_was_set(const struct exec__plan *plan) {
    int64_t moved = clocks_apart() - plan->offset;
    return moved > CLOCK_WAS_SET || moved < -CLOCK_WAS_SET;
}

/* What its clock says, but for a run that has come a little early by it. */
static int64_t time_of_run(const struct exec__plan *plan) {
    int64_t now = exec__realtime_now();
    return now < plan->target && !clock_was_set(plan) ? plan->target : now;
}

/* --- making --- */

static int read_cron(struct exec__plan *plan, const exec_task_opts *opts) {
    int error = exec__cron_parse(opts->cron, &plan->cron, NULL);
    if (error == 0)
        error = exec__zone_load(opts->zone, &plan->zone);
    if (error == 0)
        find_next(plan, saturated(exec__realtime_now(), opts->delay));
    return error;
}

static void start_fires(struct exec__timer *t);
static void limit_fires(struct exec__timer *t);
static void let_through(struct exec__turn *t);

int exec__plan_new(future_t *f, struct exec__pool *p, const exec_task_opts *opts) {
    int error = exec__timers_start(&p->timers, p->opts.name);
    struct exec__plan *plan = error == 0 ? exec__calloc(1, sizeof *plan) : NULL;
    if (plan == NULL)
        return error != 0 ? error : ENOMEM;
    plan->start.fire = start_fires;
    plan->limit.fire = limit_fires;
    plan->f = f;
    plan->pool = p;
    plan->deadline = opts->deadline != 0 ? opts->deadline : EXEC_NEVER;
    plan->timeout = opts->timeout != 0 ? opts->timeout : EXEC_NEVER;
    plan->abandons = opts->on_timeout == EXEC_ABANDON && plan->timeout != EXEC_NEVER;
    plan->run.timer.fire = exec__run_too_long;
    plan->every = opts->every;
    plan->keep_going = opts->keep_going;
    plan->retry = opts->retry;
    plan->left = opts->count;
    plan->due = plan->of_run = exec_after(opts->delay);
    plan->turn.let_through = let_through;
    plan->turn.timers = &p->timers;
    if (opts->limiter != NULL)
        plan->limiter = exec__limiter_ref(opts->limiter);
    if (opts->cron != NULL)
        error = read_cron(plan, opts);
    if (error != 0)
        exec__plan_free(plan);
    else
        exec__extra_of(f)->hold->plan = plan;
    return error;
}

void exec__plan_free(struct exec__plan *plan) {
    if (plan->zone != NULL)
        exec__zone_free(plan->zone);
    if (plan->limiter != NULL)
        exec__limiter_unref(plan->limiter);
    free(plan);
}

/* --- the start --- */

/* Does it wait for the time of a cron expression, and not for another attempt? */
static bool goes_by_cron(const struct exec__plan *plan) {
    return plan->zone != NULL && plan->attempt == 0;
}

bool exec__plan_is_early(struct exec__plan *plan) {
    if (goes_by_cron(plan) && clock_was_set(plan))
        find_next(plan, exec__realtime_now());
    return plan->due > exec_now();
}

bool exec__plan_is_schedule(const struct exec__plan *plan) {
    return plan->every != 0 || plan->zone != NULL;
}

bool exec__plan_repeats(const struct exec__plan *plan) {
    return exec__plan_is_schedule(plan) || plan->retry.attempts > 1;
}

void exec__plan_wait(struct exec__plan *plan) {
    exec_time when = plan->due, look = exec_after(LOOK_EVERY);
    if (goes_by_cron(plan) && look < when)
        when = look;
    exec__timer_arm(&plan->pool->timers, &plan->start, when);
}

bool exec__plan_forgo(struct exec__plan *plan) {
    return exec__timer_cancel(&plan->pool->timers, &plan->start);
}

exec_time exec__plan_due(struct exec__plan *plan) {
    return exec__timer_due(&plan->pool->timers, &plan->start);
}

static void start_fires(struct exec__timer *t) {
    const struct exec__plan *plan = EXEC__WHOLE(t, struct exec__plan, start);
    exec__hold_wait(exec__extra_of(plan->f)->hold);
}

/* --- the limit --- */

/* Sets it, later or earlier than before, or to none. */
static void set_limit(struct exec__plan *plan, exec_time when) {
    bool armed = exec__timer_cancel(&plan->pool->timers, &plan->limit);
    if (when == EXEC_NEVER && armed)
        future_unref(plan->f);
    if (when == EXEC_NEVER)
        return;
    if (!armed)
        future_ref(plan->f);
    exec__timer_arm(&plan->pool->timers, &plan->limit, when);
}

/* The timer's reference goes last. */
static void limit_fires(struct exec__timer *t) {
    struct exec__plan *plan = EXEC__WHOLE(t, struct exec__plan, limit);
    future_t *f = plan->f;
    if (plan->deadline > exec_now() || !exec__revoke(f, ETIMEDOUT))
        exec__rouse_cancelled();
    future_unref(f);
}

void exec__plan_begin(struct exec__plan *plan) {
    set_limit(plan, plan->deadline);
    if (future_done(plan->f)) { /* a member, which somebody has cancelled before that */
        unsigned references = exec__plan_end(plan);
        if (references > 0)
            exec__future_release(plan->f, references);
    }
}

unsigned exec__plan_end(struct exec__plan *plan) {
    exec__plan_report(plan, ECANCELED); /* if it was let through, and has not run */
    return exec__timer_cancel(&plan->pool->timers, &plan->limit);
}

/* --- the limiter --- */

bool exec__plan_ask(struct exec__plan *plan) {
    return plan->limiter == NULL || exec__limiter_ask(plan->limiter, &plan->turn);
}

bool exec__plan_unask(struct exec__plan *plan) {
    return plan->limiter != NULL && exec__limiter_forgo(plan->limiter, &plan->turn);
}

static void let_through(struct exec__turn *t) {
    const struct exec__plan *plan = EXEC__WHOLE(t, struct exec__plan, turn);
    exec__hold_release(exec__extra_of(plan->f)->hold);
}

struct visit {
    void (*visit)(future_t *f, void *ctx);
    void *ctx;
};

static void visit_turn(struct exec__turn *t, void *ctx) {
    const struct visit *v = ctx;
    v->visit(EXEC__WHOLE(t, struct exec__plan, turn)->f, v->ctx);
}

bool exec__plan_each_before(struct exec__plan *plan, void (*visit)(future_t *f, void *ctx), void *ctx) {
    struct visit v = {visit, ctx};
    return plan->limiter == NULL || exec__limiter_each(plan->limiter, &plan->turn, visit_turn, &v) == 0;
}

void exec__plan_report(struct exec__plan *plan, int error) {
    if (plan->limiter != NULL)
        exec__limiter_leave(plan->limiter, &plan->turn, error);
}

/* --- a run --- */

int exec__plan_run_begins(struct exec__plan *plan, struct exec__frame *frame) {
    exec_time now = exec_now(), until = plan->deadline;
    if (now >= plan->deadline)
        return ETIMEDOUT;
    plan->attempt++;
    frame->began = now;
    plan->turn.permit.started = now;
    if (plan->timeout != EXEC_NEVER)
        until = saturated(now, plan->timeout);
    if (until < plan->deadline)
        set_limit(plan, until);
    else
        until = plan->deadline;
    if (until < frame->deadline)
        frame->deadline = until;
    if (plan->run.apart && plan->abandons) /* last: when it has been abandoned, nothing is armed any more */
        exec__run_begins(&plan->run, frame, saturated(now, plan->timeout));
    return 0;
}

/* One that took longer than it may has failed, whatever it says. */
int exec__plan_run_ends(struct exec__plan *plan, const struct exec__frame *frame, int error, void **value) {
    if (plan->timeout == EXEC_NEVER)
        return error;
    exec_time now = exec_now();
    set_limit(plan, now < plan->deadline ? plan->deadline : EXEC_NEVER);
    if (now - frame->began < plan->timeout || error == EOWNERDEAD)
        return error;
    if (error == 0)
        exec__free_result(plan->f, *value);
    *value = NULL;
    return ETIMEDOUT;
}

/* --- again --- */

static bool is_retried(struct exec__plan *plan, int error) {
    if (error == 0 || error == ECANCELED || plan->retry.attempts <= 1)
        return false;
    if (!exec__retry_wants(&plan->retry, error, plan->attempt))
        return false;
    plan->due = exec_after(exec__backoff(&plan->retry, plan->attempt, exec__random()));
    return true;
}

static exec_time next_period(const struct exec__plan *plan) {
    exec_time now = exec_now(), late = now - plan->of_run, due = plan->of_run;
    if (late > 0 && plan->every != EXEC_NEVER)
        due += late - late % plan->every;
    return saturated(due, plan->every);
}

static bool is_due_again(struct exec__plan *plan, int error) {
    if (!exec__plan_is_schedule(plan) || (error != 0 && !plan->keep_going) || atomic_load(&plan->pool->closed))
        return false;
    if (plan->left > 0 && --plan->left == 0)
        return false;
    plan->attempt = 0;
    if (plan->zone != NULL)
        find_next(plan, time_of_run(plan));
    else
        plan->due = plan->of_run = next_period(plan);
    return true;
}

bool exec__plan_goes_on(struct exec__plan *plan, int error) {
    if (plan->run.state == EXEC__ABANDONED)
        return false;
    bool again = is_retried(plan, error) || is_due_again(plan, error);
    return again && plan->due < plan->deadline && plan->due != EXEC_NEVER;
}
