/* stress_limiter.c - limiters under load: two executors, their groups and threads of the program share one, at random
 * limits, rates and kinds, while tasks fail and are tried again, are cancelled, time out, wait for others and for one
 * another, threads give up and are cancelled by pthread_cancel(), executors drain or discard, and the limiter is given
 * up by who made it.
 *
 * Never more are inside than a fixed limit, nor than in_flight says; each task that was accepted runs, or is dropped,
 * and ends; and at the end nothing is in flight, and the limiter lets through as many as ever, so that no room is lost.
 */
#include "stress.h"

enum { PLAYERS = 4, EXECUTORS = 2, MOST_TASKS = 40, MOST_ATTEMPTS = 3 };

/* A task, or what a thread does with a permit. */
struct job {
    atomic_uint runs, drops;
    atomic_bool ended;
    uint64_t random;
    unsigned attempts;
    bool schedule;
    future_t *f;
    int answer;
};

struct player {
    unsigned number;
    struct stress_rng rng;
    pthread_t thread;
    struct job jobs[MOST_TASKS];
    unsigned used;
};

static struct {
    struct stress_barrier barrier;
    bool over; /* written before, read after a meeting, as is the next */
    uint64_t round;
    executor_t *exs[EXECUTORS];
    exec_group_t *groups[EXECUTORS];
    exec_limiter_t *l;
    exec_limiter_opts opts;
    atomic_uint inside;
    struct player players[PLAYERS];
} game = {.barrier = {.size = PLAYERS + 1}};

static atomic_uint_fast64_t total_tasks, total_runs, total_drops, total_permits, total_vain, total_victims;

/* ---- inside ---- */

static void go_in(void) {
    unsigned inside = atomic_fetch_add(&game.inside, 1) + 1;
    if (game.opts.adapt == EXEC_LIMIT_FIXED && game.opts.max_running > 0)
        CHECK_OP(inside, <=, game.opts.max_running);
    if (game.opts.adapt != EXEC_LIMIT_FIXED)
        CHECK_OP(inside, <=, game.opts.max + game.opts.max / 2 + 1);
}

static void go_out(void) {
    atomic_fetch_sub(&game.inside, 1);
}

static int some_error(struct stress_rng *rng) {
    static const int errors[] = {0, 0, 0, EBUSY, EIO, ECANCELED, ETIMEDOUT};
    return errors[stress_below(rng, sizeof errors / sizeof errors[0])];
}

/* With a deadline: it may wait for itself. */
static void ask_for_another(struct stress_rng *rng) {
    exec_permit permit;
    int error = exec_limiter_acquire(game.l, exec_after(EXEC_US(stress_below(rng, 200))), &permit);
    CHECK_ERROR(error, 0, ETIMEDOUT, ECANCELED);
    if (error != 0)
        return;
    go_in();
    go_out();
    exec_limiter_release(game.l, &permit, EIO);
}

static void *work(void *arg) {
    struct job *job = arg;
    struct stress_rng rng = {job->random + exec_attempt()};
    go_in();
    CHECK_OP(exec_limiter_in_flight(game.l), >=, 1);
    unsigned runs = atomic_fetch_add(&job->runs, 1) + 1;
    CHECK_OP(exec_attempt(), <=, job->attempts);
    if (!job->schedule)
        CHECK_EQ(exec_attempt(), runs);
    stress_pause(&rng);
    if (stress_percent(&rng, 5))
        exec_sleep(EXEC_US(stress_below(&rng, 200)));
    if (stress_percent(&rng, 5))
        ask_for_another(&rng);
    int error = some_error(&rng);
    go_out();
    return error ? exec_fail(error) : job;
}

static void *fail_or_not(void *arg) {
    struct job *job = arg;
    struct stress_rng rng = {job->random};
    CHECK_EQ(atomic_fetch_add(&job->runs, 1) + 1, exec_attempt());
    stress_pause(&rng);
    return stress_percent(&rng, 50) ? exec_fail(EBUSY) : job;
}

static void drop(void *arg) {
    struct job *job = arg;
    CHECK_EQ(atomic_load(&job->runs), 0);
    CHECK_EQ(atomic_fetch_add(&job->drops, 1), 0);
}

static void end(future_t *f, void *ctx) {
    (void)f;
    CHECK(!atomic_exchange(&((struct job *)ctx)->ended, true));
}

/* ---- tasks ---- */

static exec_task_opts some_options(struct job *job, struct stress_rng *rng) {
    exec_task_opts opts = {.limiter = game.l, .drop = drop};
    if (stress_percent(rng, 40))
        opts.retry = (exec_retry){.attempts = MOST_ATTEMPTS, .delay = EXEC_US(1 + stress_below(rng, 50))};
    if (stress_percent(rng, 15))
        opts.delay = EXEC_US(stress_below(rng, 200));
    if (stress_percent(rng, 15))
        opts.deadline = exec_after(EXEC_US(stress_below(rng, 1000)));
    if (stress_percent(rng, 10))
        opts.timeout = EXEC_US(1 + stress_below(rng, 200));
    job->schedule = stress_percent(rng, 10);
    if (job->schedule) {
        opts.every = EXEC_US(1 + stress_below(rng, 100));
        opts.count = 1 + stress_below(rng, 4);
        opts.keep_going = stress_percent(rng, 50);
    }
    job->attempts = opts.retry.attempts > 1 ? opts.retry.attempts : 1;
    return opts;
}

static void submit_one(struct player *p) {
    struct job *job = &p->jobs[p->used++];
    unsigned which = stress_below(&p->rng, EXECUTORS);
    *job = (struct job){.random = stress_next(&p->rng)};
    exec_task_opts opts = some_options(job, &p->rng);
    future_t *before = p->used > 1 ? p->jobs[p->used - 2].f : NULL;
    if (before != NULL && stress_percent(&p->rng, 15)) {
        opts.after = &before;
        opts.nafter = 1;
    }
    bool member = stress_percent(&p->rng, 40);
    job->answer = member ? exec_group_submit(game.groups[which], work, job, &opts, &job->f)
                         : executor_submit(game.exs[which], work, job, &opts, &job->f);
    CHECK_ERROR(job->answer, 0, ESHUTDOWN, member ? ECANCELED : 0);
    if (job->answer == 0)
        CHECK_ERROR(future_on_done(job->f, end, job), 0);
}

static void wait_for_one(struct player *p) {
    struct job *job = &p->jobs[stress_below(&p->rng, p->used)];
    if (job->f == NULL)
        return;
    if (stress_percent(&p->rng, 50))
        CHECK_ERROR(future_cancel(job->f), 0, EINPROGRESS, EALREADY);
    else
        CHECK_ERROR(future_wait(job->f, exec_after(EXEC_US(stress_below(&p->rng, 300)))), 0, ETIMEDOUT);
}

/* ---- threads ---- */

static exec_time some_deadline(struct stress_rng *rng) {
    unsigned kind = stress_below(rng, 3);
    return kind == 0 ? EXEC_NOW : kind == 1 ? EXEC_NEVER : exec_after(EXEC_US(stress_below(rng, 300)));
}

static void use_permit(struct stress_rng *rng) {
    exec_permit permit;
    exec_time deadline = some_deadline(rng);
    int error = exec_limiter_acquire(game.l, deadline, &permit);
    CHECK_ERROR(error, 0, deadline == EXEC_NEVER ? 0 : ETIMEDOUT);
    atomic_fetch_add(error == 0 ? &total_permits : &total_vain, 1);
    if (error != 0)
        return;
    go_in();
    stress_pause(rng);
    go_out();
    exec_limiter_release(game.l, &permit, some_error(rng));
}

/* Is cancelled somewhere in there, or only when it is through: it never has a permit and cannot give it back. */
static void *acquire_or_die(void *arg) {
    exec_permit *permit = arg;
    int before;
    exec_limiter_acquire(game.l, EXEC_NEVER, permit);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    go_in();
    go_out();
    exec_limiter_release(game.l, permit, 0);
    return NULL;
}

static void cancel_a_thread(struct stress_rng *rng) {
    exec_permit permit;
    pthread_t victim;
    stress_start(&victim, acquire_or_die, &permit);
    stress_pause(rng);
    CHECK_ERROR(pthread_cancel(victim), 0);
    CHECK_ERROR(pthread_join(victim, NULL), 0);
    atomic_fetch_add(&total_victims, 1);
}

/* ---- rounds ---- */

static void move(struct player *p) {
    unsigned kind = stress_below(&p->rng, 100);
    stress_doing(kind < 60 ? "submit" : kind < 80 ? "wait or cancel" : "acquire", game.round, p->number);
    if (kind < 60)
        submit_one(p);
    else if (kind < 80 && p->used > 0)
        wait_for_one(p);
    else if (kind < 98)
        use_permit(&p->rng);
    else
        cancel_a_thread(&p->rng);
    if (stress_percent(&p->rng, 20))
        stress_pause(&p->rng);
}

static void interfere(struct player *p) {
    unsigned which = stress_below(&p->rng, EXECUTORS);
    if (p->number != 0 || !stress_percent(&p->rng, 30))
        return;
    if (stress_percent(&p->rng, 50))
        exec_group_cancel(game.groups[which]);
    else
        CHECK_ERROR(executor_shutdown(game.exs[which], (enum executor_shutdown)stress_below(&p->rng, 2)), 0);
}

static void *play(void *arg) {
    struct player *p = arg;
    for (;;) {
        stress_meet(&game.barrier);
        if (game.over)
            break;
        while (p->used < MOST_TASKS && !stress_percent(&p->rng, 2))
            move(p);
        interfere(p);
        stress_doing(NULL, 0, 0);
        stress_meet(&game.barrier);
    }
    stress_leave();
    return NULL;
}

static exec_limiter_opts some_limiter(struct stress_rng *rng) {
    exec_limiter_opts opts = {.adapt = (enum exec_limiter_kind)stress_below(rng, 3)};
    if (opts.adapt == EXEC_LIMIT_FIXED)
        opts.max_running = stress_below(rng, 5);
    else
        opts.max = 1 + stress_below(rng, 8);
    if (stress_percent(rng, 40)) {
        opts.rate = 20000 + stress_below(rng, 200000);
        opts.burst = stress_below(rng, 4);
    }
    return opts;
}

static void check_job(struct job *job) {
    if (job->answer == 0) {
        CHECK(future_done(job->f));
        for (unsigned spin = 0; !atomic_load(&job->ended); spin++)
            stress_spin(spin);
        unsigned runs = atomic_load(&job->runs), drops = atomic_load(&job->drops);
        CHECK_OP(drops, <=, 1);
        CHECK_EQ(runs > 0, drops == 0);
        CHECK_OP(runs, <=, job->schedule ? 4 * MOST_ATTEMPTS : job->attempts);
        atomic_fetch_add(&total_tasks, 1);
        atomic_fetch_add(&total_runs, runs);
        atomic_fetch_add(&total_drops, drops);
        future_unref(job->f);
    } else {
        CHECK_EQ(atomic_load(&job->runs), 0);
        CHECK_EQ(atomic_load(&job->drops), job->answer == ECANCELED);
    }
}

/* As many are let through at once as the limit says. */
static void check_room(void) {
    exec_permit permits[64];
    size_t limit = exec_limiter_limit(game.l), n = 0;
    if (game.opts.adapt != EXEC_LIMIT_FIXED || limit > 64)
        limit = 1; /* it may be trying out a little less just now */
    for (; n < limit; n++)
        CHECK_ERROR(exec_limiter_acquire(game.l, EXEC_NEVER, &permits[n]), 0);
    CHECK_EQ(exec_limiter_in_flight(game.l), n);
    while (n > 0)
        exec_limiter_release(game.l, &permits[--n], ECANCELED);
    CHECK_EQ(exec_limiter_in_flight(game.l), 0);
}

static void open_round(struct stress_rng *rng) {
    game.opts = some_limiter(rng);
    CHECK_ERROR(exec_limiter_create(&game.opts, &game.l), 0);
    for (int i = 0; i < EXECUTORS; i++) {
        executor_opts opts = {.workers = 1 + stress_below(rng, 3), .capacity = 1 + stress_below(rng, 8)};
        exec_group_opts group = {.max_running = stress_below(rng, 3)};
        if (stress_percent(rng, 15))
            group.deadline = exec_after(EXEC_US(stress_below(rng, 2000)));
        CHECK_ERROR(executor_create(&opts, &game.exs[i]), 0);
        CHECK_ERROR(exec_group_open(game.exs[i], &group, &game.groups[i]), 0);
    }
    for (int i = 0; i < PLAYERS; i++)
        game.players[i].used = 0;
}

static void close_round(void) {
    for (int i = 0; i < EXECUTORS; i++) {
        stress_doing("close", game.round, (uint64_t)i);
        CHECK_ERROR(exec_group_close(game.groups[i]), 0, ECANCELED, EIO, EBUSY, ETIMEDOUT);
    }
    for (int i = 0; i < EXECUTORS; i++) {
        stress_doing("destroy", game.round, (uint64_t)i);
        executor_destroy(game.exs[i]);
    }
    for (int i = 0; i < PLAYERS; i++)
        for (unsigned n = 0; n < game.players[i].used; n++)
            check_job(&game.players[i].jobs[n]);
    CHECK_EQ(atomic_load(&game.inside), 0);
    CHECK_EQ(exec_limiter_in_flight(game.l), 0);
    check_room();
    exec_limiter_destroy(game.l);
}

/* The limiter's maker is done with it as soon as the last task was submitted. */
static void round_without_owner(struct stress_rng *rng) {
    executor_t *ex;
    exec_limiter_t *l;
    exec_permit permit;
    struct job jobs[8];
    CHECK_ERROR(executor_create(&(executor_opts){.workers = 2}, &ex), 0);
    CHECK_ERROR(exec_limiter_create(&(exec_limiter_opts){.rate = 100000, .max_running = 2}, &l), 0);
    CHECK_ERROR(exec_limiter_acquire(l, EXEC_NEVER, &permit), 0);
    for (int i = 0; i < 8; i++) {
        exec_task_opts opts = {.limiter = l, .drop = drop, .retry.attempts = 2, .retry.delay = 1};
        jobs[i] = (struct job){.random = stress_next(rng), .attempts = 2};
        CHECK_ERROR(executor_submit(ex, fail_or_not, &jobs[i], &opts, &jobs[i].f), 0);
        CHECK_ERROR(future_on_done(jobs[i].f, end, &jobs[i]), 0);
    }
    exec_limiter_destroy(l);
    CHECK_ERROR(future_cancel(jobs[stress_below(rng, 8)].f), 0, EINPROGRESS, EALREADY);
    stress_pause(rng);
    exec_limiter_release(l, &permit, 0);
    if (stress_percent(rng, 30))
        CHECK_ERROR(executor_shutdown(ex, EXECUTOR_DISCARD), 0);
    executor_destroy(ex);
    for (int i = 0; i < 8; i++)
        check_job(&jobs[i]);
}

int main(int argc, char **argv) {
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    for (unsigned i = 0; i < PLAYERS; i++) {
        game.players[i].number = i;
        game.players[i].rng = stress_rng_of(1 + i);
        stress_start(&game.players[i].thread, play, &game.players[i]);
    }
    for (size_t rounds = stress_scaled(1000); rounds > 0; rounds--, game.round++) {
        open_round(&rng);
        stress_meet(&game.barrier);
        stress_doing("a round", game.round, 0);
        stress_meet(&game.barrier);
        close_round();
        stress_doing("a round without an owner", game.round, 0);
        round_without_owner(&rng);
    }
    game.over = true;
    stress_meet(&game.barrier);
    for (unsigned i = 0; i < PLAYERS; i++)
        pthread_join(game.players[i].thread, NULL);
    stress_leave();
    double seconds = stress_end();
    printf("stress_limiter: %" PRIu64 " tasks, %" PRIu64 " runs, %" PRIu64 " dropped; %" PRIu64 " permits, %" PRIu64
           " asked for in vain, %" PRIu64 " threads cancelled, %.1f s\n",
           (uint64_t)total_tasks, (uint64_t)total_runs, (uint64_t)total_drops, (uint64_t)total_permits,
           (uint64_t)total_vain, (uint64_t)total_victims, seconds);
    return 0;
}
