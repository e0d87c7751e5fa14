/* stress_late.c - deadlines of groups against everything else that ends them: each round several threads open groups
 * whose deadlines are near, submit members that wait for what never comes, sleep or run, and close the group, cancel
 * it, or leave it alone until the deadline has ended all; some from within tasks, which have deadlines of their own.
 *
 * Each member that was accepted runs or is dropped, once, and its callbacks are called. A deadline that gets lost is
 * found by the watchdog, since nobody waits for the group then; a timer that is fired after its group is gone, by the
 * sanitizers.
 */
#include "stress.h"

enum { PLAYERS = 4, MOST_MEMBERS = 12 };

struct line {
    atomic_uint runs, drops, ends;
    int answer;
};

struct player {
    executor_t *ex;
    future_t *never;
    struct stress_rng rng;
    pthread_t thread;
    size_t rounds;
    struct line lines[MOST_MEMBERS];
    unsigned used;
};

static atomic_uint_fast64_t total_groups, total_members, total_runs, total_within;

/* ---- members ---- */

static void *run(void *arg) {
    atomic_fetch_add(&((struct line *)arg)->runs, 1);
    return arg;
}

static void *sleep_until_asked(void *arg) {
    run(arg);
    CHECK_ERROR(exec_sleep(EXEC_SEC(100000)), ECANCELED);
    return exec_fail(ECANCELED);
}

static void *poll_until_asked(void *arg) {
    run(arg);
    CHECK_ERROR(exec_poll(NULL, 0, EXEC_NEVER, NULL), ECANCELED);
    return exec_fail(ECANCELED);
}

static void drop(void *arg) {
    atomic_fetch_add(&((struct line *)arg)->drops, 1);
}

static void note_end(future_t *f, void *arg) {
    CHECK(future_done(f));
    atomic_fetch_add(&((struct line *)arg)->ends, 1);
}

static void submit_one(struct player *p, exec_group_t *g) {
    static exec_fn *const fns[] = {run, run, sleep_until_asked, poll_until_asked};
    struct line *line = &p->lines[p->used++];
    *line = (struct line){0};
    exec_task_opts opts = {.drop = drop};
    if (stress_percent(&p->rng, 40)) {
        opts.after = &p->never;
        opts.nafter = 1;
    } else if (stress_percent(&p->rng, 20)) {
        opts.delay = EXEC_US(stress_below(&p->rng, 300));
    }
    future_t *f = NULL;
    line->answer = exec_group_submit(g, fns[stress_below(&p->rng, 4)], line, &opts, &f);
    CHECK_ERROR(line->answer, 0, ECANCELED);
    if (f != NULL)
        CHECK_ERROR(future_on_done(f, note_end, line), 0);
    future_unref(f);
}

/* ---- groups ---- */

static bool all_ended(const struct player *p) {
    for (unsigned i = 0; i < p->used; i++)
        if (p->lines[i].answer == 0 && atomic_load(&p->lines[i].ends) == 0)
            return false;
    return true;
}

static void check_lines(struct player *p) {
    for (unsigned i = 0; i < p->used; i++) {
        struct line *line = &p->lines[i];
        CHECK_EQ(atomic_load(&line->runs) + atomic_load(&line->drops), 1);
        CHECK_EQ(atomic_load(&line->ends), line->answer == 0);
        atomic_fetch_add(&total_runs, atomic_load(&line->runs));
    }
    atomic_fetch_add(&total_members, p->used);
    atomic_fetch_add(&total_groups, 1);
}

/* What was opened in a task ends with that, too: false: there is no deadline but that. */
static void use_group(struct player *p, bool own_deadline) {
    exec_group_t *g;
    exec_group_opts opts = {.max_running = stress_below(&p->rng, 3)};
    if (own_deadline)
        opts.deadline = exec_after(EXEC_US(stress_below(&p->rng, 200)));
    CHECK_ERROR(exec_group_open(p->ex, &opts, &g), 0);
    p->used = 0;
    for (unsigned n = stress_below(&p->rng, MOST_MEMBERS + 1); n > 0; n--)
        submit_one(p, g);
    unsigned kind = stress_below(&p->rng, 4);
    if (kind == 0)
        for (unsigned spin = 0; !all_ended(p); spin++)
            stress_spin(spin);
    else if (kind == 1)
        stress_pause(&p->rng);
    else if (kind == 2)
        exec_group_cancel(g);
    exec_group_close(g);
    check_lines(p);
}

static void *use_group_within(void *arg) {
    struct player *p = arg;
    use_group(p, stress_percent(&p->rng, 50));
    atomic_fetch_add(&total_within, 1);
    return NULL;
}

/* Of a map, so that nobody but the group itself sees to the time. */
static void use_group_in_item(struct player *p) {
    void *args[] = {p};
    exec_map_opts opts = {.deadline = exec_after(EXEC_US(20 + stress_below(&p->rng, 200)))};
    CHECK_ERROR(executor_map(p->ex, use_group_within, args, NULL, 1, &opts), 0, ETIMEDOUT);
}

static void *play(void *arg) {
    struct player *p = arg;
    for (; p->rounds > 0; p->rounds--) {
        bool in_item = stress_percent(&p->rng, 30);
        stress_doing(in_item ? "a group in an item" : "a group", p->rounds, 0);
        if (in_item)
            use_group_in_item(p);
        else
            use_group(p, true);
        stress_doing(NULL, 0, 0);
    }
    stress_leave();
    return NULL;
}

int main(int argc, char **argv) {
    static struct player players[PLAYERS];
    executor_t *ex;
    future_t *never;
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    CHECK_ERROR(future_create(&never), 0);
    for (int executors = 0; executors < 10; executors++) {
        CHECK_ERROR(executor_create(&(executor_opts){.workers = PLAYERS + 1 + stress_below(&rng, 3)}, &ex), 0);
        for (unsigned i = 0; i < PLAYERS; i++) {
            struct player *p = &players[i];
            p->ex = ex;
            p->never = never;
            p->rng = stress_rng_of(stress_next(&rng));
            p->rounds = stress_scaled(600);
            stress_start(&p->thread, play, p);
        }
        for (unsigned i = 0; i < PLAYERS; i++)
            CHECK_ERROR(pthread_join(players[i].thread, NULL), 0);
        executor_destroy(ex);
    }
    future_unref(never);
    stress_leave();
    double seconds = stress_end();
    printf("stress_late: %" PRIu64 " groups, %" PRIu64 " of them in items, %" PRIu64 " members, %" PRIu64
           " ran, %.1f s\n",
           (uint64_t)total_groups, (uint64_t)total_within, (uint64_t)total_members, (uint64_t)total_runs, seconds);
    return 0;
}
