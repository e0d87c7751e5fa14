/* test_group_executor.c - what a group has of its executor: full queues under each policy, shutdown, several
 * executors. */
#include "groups.h"

/* ---- a full queue ---- */

/* One worker, which is held, and a queue with room for one, which a member has taken. */
struct full {
    executor_t *ex;
    exec_group_t *g;
    struct plug plug;
    future_t *plugging, *queued;
    atomic_int ran, drops;
};

static void fill(struct full *q, enum executor_when_full when_full) {
    *q = (struct full){.plug = PLUG};
    q->ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = when_full});
    q->g = group(q->ex);
    q->plugging = plug_in(q->ex, &q->plug);
    q->queued = member_opts(q->g, count_up, &q->ran, &(exec_task_opts){.drop = count_drop});
}

static void empty(struct full *q, int expected) {
    plug_out(&q->plug);
    eq_err(exec_group_close(q->g), expected);
    future_unref(q->plugging), future_unref(q->queued);
    executor_destroy(q->ex);
}

struct submitter {
    struct full *q;
    atomic_int tid, ends; /* of the member: it ran, or was dropped */
    int error;
};

static void *submit_one_more(void *arg) {
    struct submitter *s = arg;
    atomic_store(&s->tid, gettid());
    s->error = exec_group_submit(s->q->g, count_up, &s->ends, &(exec_task_opts){.drop = count_drop}, NULL);
    return NULL;
}

TEST(group_executor, submit_blocks_while_the_queue_is_full) {
    struct full q;
    fill(&q, EXECUTOR_BLOCK);
    struct submitter s = {.q = &q, .error = -1};
    pthread_t thread = start(submit_one_more, &s);
    wait_until_asleep(&s.tid);
    eq_int(s.error, -1);
    ok(future_cancel(q.queued));
    finish(thread);
    ok(s.error);
    next_is(q.g, q.queued);
    eq_err(try_next(q.g), ETIMEDOUT);
    empty(&q, ECANCELED);
    eq_int(atomic_load(&s.ends), 1);
}

TEST(group_executor, a_submit_that_blocks_ends_when_the_group_is_cancelled_and_gives_room) {
    struct full q;
    fill(&q, EXECUTOR_BLOCK);
    struct submitter s = {.q = &q, .error = -1};
    pthread_t thread = start(submit_one_more, &s);
    wait_until_asleep(&s.tid);
    exec_group_cancel(q.g); /* which cancels the member that fills the queue */
    finish(thread);
    check(s.error == 0 || s.error == ECANCELED);
    eq_int(atomic_load(&s.ends), 1);
    eq_state(q.queued, FUTURE_CANCELLED);
    empty(&q, ECANCELED);
    eq_int(atomic_load(&s.ends), 1);
}

TEST(group_executor, a_submit_for_which_there_was_no_room_changes_nothing) {
    exec_task_opts opts = {.drop = must_not_free, .room_wait = EXEC_MS(5)};
    const int errors[] = {ETIMEDOUT, EAGAIN};
    for (int when_full = EXECUTOR_BLOCK; when_full <= EXECUTOR_REJECT; when_full++) {
        struct full q;
        fill(&q, (enum executor_when_full)when_full);
        future_t *f = (future_t *)&q;
        eq_err(exec_group_submit(q.g, must_not_run, NULL, &opts, &f), errors[when_full]);
        eq_ptr(f, &q);
        plug_out(&q.plug);
        next_is(q.g, q.queued);
        eq_err(try_next(q.g), ENODATA);
        ok(exec_group_wait(q.g, EXEC_NEVER));
        empty(&q, 0);
        eq_int(atomic_load(&q.ran), 1);
    }
}

static void *note_thread(void *slot) {
    *(pid_t *)slot = gettid();
    return exec_fail(EIO);
}

TEST(group_executor, a_submitter_that_runs_the_member_itself_has_finished_it_when_submit_returns) {
    struct full q;
    pid_t ran_on = 0;
    fill(&q, EXECUTOR_CALLER_RUNS);
    future_t *f = member(q.g, note_thread, &ran_on);
    eq_int(ran_on, gettid());
    eq_state(f, FUTURE_FAILED);
    next_is(q.g, f);
    future_unref(f);
    empty(&q, EIO);
}

TEST(group_executor, a_failure_in_the_submitters_thread_ends_a_fail_fast_group) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    pid_t ran_on = 0;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_CALLER_RUNS});
    exec_group_t *g = group_of(ex, (exec_group_opts){.policy = EXEC_FAIL_FAST});
    future_t *plugging = plug_in(ex, &plug);
    future_unref(doomed_member(g, &drops));
    join(g, note_thread, &ran_on);
    eq_int(ran_on, gettid());
    eq_int(atomic_load(&drops), 1);
    refused(g, ECANCELED);
    plug_out(&plug);
    future_unref(plugging);
    eq_err(exec_group_close(g), EIO);
    executor_destroy(ex);
}

TEST(group_executor, the_oldest_member_is_dropped_and_handed_out_as_cancelled) {
    struct full q;
    fill(&q, EXECUTOR_DROP_OLDEST);
    future_t *f = member(q.g, count_up, &q.drops);
    eq_state(q.queued, FUTURE_CANCELLED);
    eq_int(atomic_load(&q.ran), 1); /* dropped */
    next_is(q.g, q.queued);
    plug_out(&q.plug);
    next_is(q.g, f);
    future_unref(f);
    empty(&q, ECANCELED);
    eq_int(atomic_load(&q.ran), 1);
}

/* Members behind .max_running take no room; and when one of them may start because another was cancelled, nobody waits
 * for room, and nobody else's task makes way. */
TEST(group_executor, members_behind_max_running_need_no_room) {
    for (int when_full = EXECUTOR_BLOCK; when_full <= EXECUTOR_DROP_OLDEST; when_full++) {
        struct plug plug = PLUG;
        atomic_int ran = 0, drops = 0, others = 0;
        executor_t *ex =
            pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = (enum executor_when_full)when_full});
        exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 1});
        future_t *first = plug_member(g, &plug), *cancelled = doomed_member(g, &drops);
        for (int i = 0; i < 10; i++)
            join(g, count_up, &ran);
        ok(executor_submit(ex, count_up, &others, &(exec_task_opts){.drop = must_not_free}, NULL));
        ok(future_cancel(cancelled));
        eq_int(atomic_load(&drops), 1);
        eq_int(atomic_load(&ran), 0);
        plug_out(&plug);
        eq_err(exec_group_close(g), ECANCELED);
        eq_int(atomic_load(&ran), 10);
        future_unref(first), future_unref(cancelled);
        executor_destroy(ex);
        eq_int(atomic_load(&others), 1);
    }
}

TEST(group_executor, cancelling_a_queued_member_starts_one_behind_max_running_without_waiting_for_room) {
    for (int when_full = EXECUTOR_BLOCK; when_full <= EXECUTOR_DROP_OLDEST; when_full++) {
        struct plug plug = PLUG;
        atomic_int ran = 0, drops = 0;
        executor_t *ex =
            pool_of((executor_opts){.workers = 1, .capacity = 2, .when_full = (enum executor_when_full)when_full});
        exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 1});
        future_t *plugging = plug_in(ex, &plug), *queued = doomed_member(g, &drops);
        for (int i = 0; i < 10; i++)
            join(g, count_up, &ran);
        future_unref(submit_opts(ex, count_up, &ran, &(exec_task_opts){.drop = must_not_free}));
        ok(future_cancel(queued)); /* while the worker is held */
        eq_int(atomic_load(&ran), 0);
        plug_out(&plug);
        eq_err(exec_group_close(g), ECANCELED);
        future_unref(plugging), future_unref(queued);
        executor_destroy(ex);
        eq_int(atomic_load(&ran), 11);
        eq_int(atomic_load(&drops), 1);
    }
}

static void *submit_beyond_room(void *arg) {
    struct visit *here = arg;
    for (int i = 0; i < 50; i++)
        join(here->g, count_up, &here->ran);
    return NULL;
}

TEST(group_executor, members_submit_to_their_group_without_waiting_for_room) {
    for (int when_full = EXECUTOR_BLOCK; when_full <= EXECUTOR_DROP_OLDEST; when_full++) {
        struct visit here = {.ex = pool_of((executor_opts){
                                 .workers = 1, .capacity = 1, .when_full = (enum executor_when_full)when_full})};
        here.g = group(here.ex);
        join(here.g, submit_beyond_room, &here);
        ok(exec_group_close(here.g));
        eq_int(atomic_load(&here.ran), 50);
        executor_destroy(here.ex);
    }
}

/* ---- shutdown ---- */

TEST(group_executor, after_a_shutdown_members_are_refused_and_the_group_remains_usable) {
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    exec_task_opts opts = {.drop = must_not_free};
    join(g, identity, g);
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    eq_err(exec_group_submit(g, must_not_run, NULL, &opts, NULL), ESHUTDOWN);
    eq_ptr(take_next(g), g);
    eq_err(exec_group_submit(g, must_not_run, NULL, &opts, NULL), ESHUTDOWN);
    close_empty(g, 0);
    g = group(ex);
    eq_err(exec_group_submit(g, must_not_run, NULL, &opts, NULL), ESHUTDOWN);
    close_empty(g, 0);
    executor_destroy(ex);
}

TEST(group_executor, a_drain_runs_members_behind_max_running) {
    struct plug plug = PLUG;
    atomic_int ran = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = 1});
    future_t *first = plug_member(g, &plug);
    for (int i = 0; i < 20; i++)
        join(g, count_up, &ran);
    ok(executor_shutdown(ex, EXECUTOR_DRAIN));
    plug_out(&plug);
    ok(executor_join(ex, EXEC_NEVER));
    eq_int(atomic_load(&ran), 20);
    future_unref(first);
    ok(exec_group_close(g));
    executor_destroy(ex);
}

TEST(group_executor, a_discard_cancels_members_and_those_behind_max_running) {
    for (size_t limit = 0; limit <= 1; limit++) {
        struct obedient task = OBEDIENT(ECANCELED);
        atomic_int drops = 0;
        executor_t *ex = pool(1);
        exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = limit});
        future_t *first = obedient_member(g, &task);
        for (int i = 0; i < 20; i++)
            future_unref(doomed_member(g, &drops));
        ok(executor_shutdown(ex, EXECUTOR_DISCARD));
        eq_err(exec_group_wait(g, EXEC_NEVER), ECANCELED);
        eq_int(atomic_load(&drops), 20);
        await_end(first, ECANCELED);
        for (int i = 0; i < 21; i++)
            eq_err(outcome_of_next(g), ECANCELED);
        close_empty(g, ECANCELED);
        executor_destroy(ex);
    }
}

/* ---- several executors ---- */

static void *spread(void *arg) {
    struct visit *here = arg;
    for (int i = 0; i < 20; i++)
        join(here->g, count_up, &here->ran);
    return NULL;
}

TEST(group_executor, a_group_may_have_submitters_and_consumers_in_tasks_of_another_executor) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        executor_t *theirs = pool(workers);
        struct visit here = {.ex = pool(1)};
        here.g = group(theirs);
        future_t *fs[5];
        for (int i = 0; i < 5; i++)
            fs[i] = submit(here.ex, spread, &here);
        for (int i = 0; i < 5; i++)
            ok(outcome(fs[i]));
        ok(exec_group_close(here.g));
        eq_int(atomic_load(&here.ran), 100);
        executor_destroy(here.ex), executor_destroy(theirs);
    }
}

static void *is_named(void *prefix) {
    char name[32];
    ok(pthread_getname_np(pthread_self(), name, sizeof name));
    name[strlen(prefix)] = 0;
    eq_str(name, prefix);
    return NULL;
}

static void *open_on_the_other(void *arg) {
    struct visit *here = arg;
    exec_group_t *g = group(here->ex);
    for (int i = 0; i < 20; i++)
        join(g, is_named, "other");
    ok(exec_group_wait(g, EXEC_NEVER));
    join(g, is_named, "other");
    ok(exec_group_close(g));
    return NULL;
}

TEST(group_executor, members_run_on_the_executor_that_the_group_was_opened_with) {
    executor_t *mine = pool_of((executor_opts){.workers = 1, .name = "mine"});
    struct visit here = {.ex = pool_of((executor_opts){.workers = 1, .name = "other"})};
    ok(outcome(submit(mine, open_on_the_other, &here)));
    executor_destroy(mine), executor_destroy(here.ex);
}

static int start_well(void *ctx, unsigned worker) {
    (void)ctx, (void)worker;
    return 0;
}

static void *nest_a_little(void *arg) {
    struct visit *here = arg;
    exec_group_t *g = group_of(here->ex, (exec_group_opts){.max_running = 2});
    int left = atomic_fetch_sub(&here->drops, 1);
    for (int i = 0; i < 4; i++)
        join(g, left > 0 && i == 1 ? nest_a_little : is_named, left > 0 && i == 1 ? arg : "own");
    ok(exec_group_close(g));
    return NULL;
}

TEST(group_executor, members_and_their_members_run_on_the_threads_of_an_executor_that_has_hooks) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct visit here = {.drops = 20};
        here.ex = pool_of((executor_opts){.workers = workers, .name = "own", .on_start = start_well});
        ok(outcome(submit(here.ex, nest_a_little, &here)));
        exec_group_t *g = group(here.ex);
        atomic_store(&here.drops, 5);
        join(g, nest_a_little, &here);
        join(g, is_named, "own");
        ok(exec_group_close(g));
        executor_destroy(here.ex);
    }
}
