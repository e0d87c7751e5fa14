/* stress_group.c - groups under load: several threads and the members themselves submit, several consumers take what
 * has finished, while the group is cancelled, times out, or loses its executor; and groups that belong to tasks, which
 * are cancelled, or return with their group open. Groups are closed while members still submit to them.
 *
 * Every member has a line in the book of its group (stress_book.h). After the close the book must balance: each member
 * that was accepted ran or was dropped, once, and was handed out, once, or given up; never more than .max_running ran
 * at once; and the outcome is what the members' ends make it. Some members sleep until the cancellation that is sure to
 * come, so that one that gets lost is found by the watchdog.
 */
#include "stress_book.h"

enum { SUBMITTERS = 2, CONSUMERS = 2, PLAYERS = SUBMITTERS + CONSUMERS + 1, SEASON = 20 };

static struct {
    struct stress_barrier barrier;
    bool over; /* written before, read after a meeting, as are the next six */
    uint64_t round;
    executor_t *ex;
    executor_opts opts;
    bool with_owners;
    struct book *books; /* one for each player; without owners all use the first */
    bool by_descriptor; /* one consumer waits for the descriptor, the others do nothing */
    atomic_uint submitting;
    atomic_bool all_taken;
} game = {.barrier = {.size = PLAYERS + 1}};

struct player {
    unsigned number;
    struct stress_rng rng;
    pthread_t thread;
};

static atomic_uint_fast64_t total_groups, total_owners, total_left_open, total_cancels;

/* ---- threads that use one group ---- */

static void submit_some(struct book *b, struct stress_rng *rng) {
    for (unsigned n = stress_below(rng, 40); n > 0; n--) {
        submit_line(b, stress_next(rng), MAX_DEPTH, true);
        if (stress_percent(rng, 20))
            stress_pause(rng);
    }
    atomic_fetch_sub(&game.submitting, 1);
}

static exec_time some_deadline(struct stress_rng *rng) {
    unsigned kind = stress_below(rng, 3);
    return kind == 0 ? EXEC_NOW : kind == 1 ? EXEC_NEVER : exec_after(EXEC_US(stress_below(rng, 200)));
}

/* Takes members until none can come any more, or for a while. */
static void consume(struct book *b, struct stress_rng *rng) {
    unsigned patience = stress_percent(rng, 70) ? UINT32_MAX : stress_below(rng, 50);
    while (patience-- > 0) {
        bool last = atomic_load(&game.submitting) == 0;
        exec_time deadline = some_deadline(rng);
        future_t *f = NULL;
        int error = exec_group_next(b->g, deadline, &f);
        CHECK_ERROR(error, 0, ENODATA, deadline == EXEC_NEVER ? 0 : ETIMEDOUT);
        if (error == 0)
            take_line(b, f, rng);
        if (error == ENODATA && last) {
            atomic_store(&game.all_taken, true);
            return;
        }
        if (error != 0)
            stress_pause(rng);
    }
}

/* As the only consumer: a descriptor that is not readable although there is something leaves it asleep. While others
 * may be about to submit, and be refused, it looks now and then. */
static void consume_by_descriptor(struct book *b, struct stress_rng *rng) {
    struct pollfd fd = {.events = POLLIN};
    CHECK_ERROR(exec_group_fd(b->g, &fd.fd), 0);
    for (;;) {
        bool last = atomic_load(&game.submitting) == 0;
        future_t *f = NULL;
        int error;
        while ((error = exec_group_next(b->g, EXEC_NOW, &f)) == 0)
            take_line(b, f, rng);
        CHECK_ERROR(error, ENODATA, ETIMEDOUT);
        if (error == ETIMEDOUT)
            CHECK_ERROR(exec_poll(&fd, 1, last ? EXEC_NEVER : exec_after(EXEC_US(100)), NULL), 0, last ? 0 : ETIMEDOUT);
        else if (last)
            break;
        else
            stress_pause(rng);
    }
    atomic_store(&game.all_taken, true);
}

static void wait_a_little(struct book *b, struct stress_rng *rng) {
    int error = exec_group_wait(b->g, exec_after(EXEC_US(stress_below(rng, 300))));
    CHECK_ERROR(error, 0, ECANCELED, EIO, ETIMEDOUT, b->opts.policy == EXEC_FIRST ? ENODATA : 0);
}

/* Cancels the group, or discards the executor. */
static void end_it(struct book *b) {
    atomic_store(&b->cancelling, true);
    atomic_fetch_add(&total_cancels, 1);
    if (b->will_be_discarded)
        CHECK_ERROR(executor_shutdown(game.ex, EXECUTOR_DISCARD), 0);
    else
        exec_group_cancel(b->g);
    CHECK_ERROR(exec_group_submit(b->g, member, NULL, NULL, NULL), ECANCELED,
                b->will_be_discarded ? ESHUTDOWN : ECANCELED, b->opts.deadline ? ETIMEDOUT : ECANCELED);
}

static void interfere(struct book *b, struct stress_rng *rng) {
    for (unsigned n = stress_below(rng, 3); n > 0; n--)
        stress_percent(rng, 50) ? stress_pause(rng) : wait_a_little(b, rng);
    if (b->will_be_cancelled)
        end_it(b);
    atomic_fetch_sub(&game.submitting, 1);
}

static void play_with_one_group(struct player *p) {
    struct book *b = &game.books[0];
    if (p->number < SUBMITTERS)
        submit_some(b, &p->rng);
    else if (p->number == SUBMITTERS)
        interfere(b, &p->rng);
    else if (!game.by_descriptor)
        consume(b, &p->rng);
    else if (p->number == PLAYERS - 1)
        consume_by_descriptor(b, &p->rng);
}

/* ---- tasks with a group of their own ---- */

static void *own_a_group(void *arg) {
    struct book *b = arg;
    struct stress_rng rng = {b->random};
    CHECK_ERROR(exec_group_open(b->ex, &b->opts, &b->g), 0);
    atomic_store(&b->opened, true);
    for (unsigned n = stress_below(&rng, 20); n > 0; n--)
        submit_line(b, stress_next(&rng), MAX_DEPTH, false);
    for (unsigned n = stress_below(&rng, 20); n > 0; n--) {
        future_t *f = NULL;
        int error = exec_group_next(b->g, some_deadline(&rng), &f);
        CHECK_ERROR(error, 0, ENODATA, ETIMEDOUT);
        if (error == 0)
            take_line(b, f, &rng);
    }
    if (stress_percent(&rng, 50))
        wait_a_little(b, &rng);
    if (b->left_open)
        return b;
    int outcome = exec_group_close(b->g);
    b->outcome = outcome;
    return b;
}

static void *map_an_owner(void *arg) {
    struct book *b = arg;
    int error = executor_map(b->ex, own_a_group, &arg, NULL, 1, NULL);
    return error ? exec_fail(error) : b;
}

static void play_with_an_owner(struct player *p) {
    struct book *b = &game.books[p->number];
    future_t *f = NULL;
    int error = executor_submit(b->ex, b->by_item ? map_an_owner : own_a_group, b, NULL, &f);
    CHECK_ERROR(error, 0, game.opts.when_full == EXECUTOR_REJECT ? EAGAIN : 0);
    if (error != 0)
        return;
    stress_pause(&p->rng);
    if (b->will_be_cancelled) {
        atomic_store(&b->cancelling, true);
        atomic_fetch_add(&total_cancels, 1);
        CHECK_ERROR(future_cancel(f), 0, EINPROGRESS, EALREADY);
    }
    error = future_get(f, NULL);
    bool may_be_cancelled = b->will_be_cancelled || game.opts.when_full == EXECUTOR_DROP_OLDEST;
    if (atomic_load(&b->opened))
        CHECK_ERROR(error, b->left_open ? EBUSY : 0);
    else
        CHECK_ERROR(error, may_be_cancelled ? ECANCELED : -1);
    future_unref(f);
}

/* ---- rounds ---- */

static void *play(void *arg) {
    struct player *p = arg;
    for (;;) {
        stress_meet(&game.barrier);
        if (game.over)
            break;
        stress_doing(game.with_owners ? "owner" : "player", game.round, p->number);
        if (game.with_owners)
            play_with_an_owner(p);
        else
            play_with_one_group(p);
        stress_doing(NULL, 0, 0);
        stress_meet(&game.barrier);
    }
    stress_leave();
    return NULL;
}

static exec_group_opts random_group(struct stress_rng *rng) {
    exec_group_opts opts = {.policy = (enum exec_group_policy)stress_below(rng, 3)};
    if (stress_percent(rng, 15))
        opts.deadline = exec_after(EXEC_US(stress_below(rng, 500)));
    if (stress_percent(rng, 50))
        opts.max_running = 1 + stress_below(rng, 3);
    return opts;
}

/* A cancellation that is sure to come must not depend on a task that only the canceller itself could run. */
static void prepare_book(struct book *b, struct stress_rng *rng) {
    reset_book(b, game.ex, game.opts.when_full, random_group(rng), stress_next(rng));
    b->will_be_cancelled =
        stress_percent(rng, 40) && !(game.with_owners && game.opts.when_full == EXECUTOR_CALLER_RUNS);
    b->left_open = game.with_owners && stress_percent(rng, 20);
    b->callbacks_submit = game.with_owners;
    b->by_item = game.with_owners && stress_percent(rng, 30);
}

static void round_with_one_group(struct stress_rng *rng, bool last_of_season) {
    struct book *b = &game.books[0];
    game.by_descriptor = stress_percent(rng, 30);
    atomic_store(&game.submitting, SUBMITTERS + 1);
    atomic_store(&game.all_taken, false);
    b->will_be_discarded = b->will_be_cancelled && last_of_season;
    CHECK_ERROR(exec_group_open(game.ex, &b->opts, &b->g), 0);
    stress_meet(&game.barrier);
    stress_doing("the end of a round", game.round, 0);
    stress_meet(&game.barrier);
    stress_doing("close", game.round, 0);
    b->outcome = exec_group_close(b->g);
    check_book(b, true, atomic_load(&game.all_taken));
}

static void round_with_owners(void) {
    stress_meet(&game.barrier);
    stress_doing("the end of the owners", game.round, 0);
    stress_meet(&game.barrier);
    for (unsigned i = 0; i < PLAYERS; i++) {
        bool opened = atomic_load(&game.books[i].opened);
        check_book(&game.books[i], opened && !game.books[i].left_open, false);
        atomic_fetch_add(&total_owners, opened);
        atomic_fetch_add(&total_left_open, opened && game.books[i].left_open);
    }
}

static void season(struct stress_rng *rng) {
    game.opts = (executor_opts){.workers = 1 + stress_below(rng, 4),
                                .capacity = stress_percent(rng, 50) ? 1 + stress_below(rng, 4) : 0,
                                .when_full = (enum executor_when_full)stress_below(rng, 4)};
    CHECK_ERROR(executor_create(&game.opts, &game.ex), 0);
    for (int i = 0; i < SEASON; i++, game.round++) {
        game.with_owners = stress_percent(rng, 40);
        stress_doing("a round", game.round, game.with_owners);
        for (unsigned n = 0; n < PLAYERS; n++)
            prepare_book(&game.books[n], rng);
        if (game.with_owners)
            round_with_owners();
        else
            round_with_one_group(rng, i == SEASON - 1);
        atomic_fetch_add(&total_groups, game.with_owners ? 0 : 1);
    }
    executor_destroy(game.ex);
}

int main(int argc, char **argv) {
    static struct book books[PLAYERS];
    static struct player players[PLAYERS];
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    game.books = books;
    for (unsigned i = 0; i < PLAYERS; i++) {
        players[i] = (struct player){.number = i, .rng = stress_rng_of(1 + i)};
        stress_start(&players[i].thread, play, &players[i]);
    }
    for (size_t seasons = stress_scaled(1000); seasons > 0; seasons--)
        season(&rng);
    game.over = true;
    stress_meet(&game.barrier);
    for (unsigned i = 0; i < PLAYERS; i++)
        pthread_join(players[i].thread, NULL);
    stress_leave();
    double seconds = stress_end();
    printf("stress_group: %" PRIu64 " groups, %" PRIu64 " in tasks (%" PRIu64 " left open), %" PRIu64
           " cancelled; %" PRIu64 " members, %" PRIu64 " ran, %" PRIu64 " dropped or refused, %" PRIu64
           " taken, %.1f s\n",
           (uint64_t)(total_groups + total_owners), (uint64_t)total_owners, (uint64_t)total_left_open,
           (uint64_t)total_cancels, (uint64_t)total_members, (uint64_t)total_runs, (uint64_t)total_drops,
           (uint64_t)total_taken, seconds);
    return 0;
}
