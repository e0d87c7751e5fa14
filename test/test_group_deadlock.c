/* test_group_deadlock.c - waits for groups that can never end are EDEADLK; those that can end are not; and a close,
 * which cannot fail for that, makes the wait fail that stands in its way. */
#include "groups.h"

/* ---- by members ---- */

static void *use_own_group(void *arg) {
    struct visit *here = arg;
    future_t *f = (future_t *)here;
    eq_err(exec_group_close(here->g), EDEADLK);
    eq_err(exec_group_wait(here->g, EXEC_NEVER), EDEADLK);
    eq_err(exec_group_wait(here->g, exec_after(LIMIT)), EDEADLK);
    eq_err(exec_group_next(here->g, EXEC_NEVER, &f), EDEADLK);
    eq_ptr(f, here);
    join(here->g, count_up, &here->ran);
    eq_err(exec_group_close(here->g), EDEADLK);
    return here;
}

TEST(group_deadlock, a_member_that_waits_for_its_group_or_closes_it_gets_edeadlk) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct visit here = {.ex = pool(workers)};
        here.g = group(here.ex);
        future_t *f = member(here.g, use_own_group, &here);
        await_end(f, 0);
        ok(exec_group_close(here.g));
        eq_int(atomic_load(&here.ran), 1);
        executor_destroy(here.ex);
    }
}

static void *wait_beneath(void *arg) {
    struct visit *here = arg;
    future_t *f = NULL;
    eq_err(exec_group_wait(here->g, EXEC_NEVER), EDEADLK);
    eq_err(exec_group_next(here->g, EXEC_NEVER, &f), EDEADLK);
    return NULL;
}

static void *await_what_waits(void *arg) {
    struct visit *here = arg;
    return take(submit(here->ex, wait_beneath, here));
}

TEST(group_deadlock, what_a_member_waits_for_gets_edeadlk_when_it_waits_for_the_group) {
    struct visit here = {.ex = pool(1)};
    here.g = group(here.ex);
    join(here.g, await_what_waits, &here);
    ok(exec_group_close(here.g));
    executor_destroy(here.ex);
}

static void use_from_callback(future_t *f, void *arg) {
    struct visit *here = arg;
    check(future_done(f));
    eq_err(exec_group_close(here->g), EDEADLK);
    eq_err(exec_group_wait(here->g, EXEC_NEVER), EDEADLK);
    join(here->g, count_up, &here->ran);
    gate_wait(&here->begun);
    atomic_fetch_add(&here->ran, 1);
}

TEST(group_deadlock, a_callback_of_a_member_that_waits_for_the_group_or_closes_it_gets_edeadlk) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct plug plug = PLUG;
        struct visit here = {.ex = pool(workers), .begun = GATE(1)};
        here.g = group(here.ex);
        future_t *f = plug_member(here.g, &plug);
        ok(future_on_done(f, use_from_callback, &here));
        plug_out(&plug);
        wait_until(future_done(f));
        gate_open(&here.begun);
        ok(exec_group_close(here.g)); /* waits for the callback, too */
        eq_int(atomic_load(&here.ran), 2);
        future_unref(f);
        executor_destroy(here.ex);
    }
}

/* ---- members that wait for the owner ---- */

/* A task with a group, a member of which waits for the task. */
struct family {
    executor_t *ex;
    future_t *owner;
    struct gate known; /* the owner's future */
    int (*wait)(exec_group_t *);
    int of_wait, of_member;
    atomic_int others;
};

static void *await_the_owner(void *arg) {
    struct family *here = arg;
    here->of_member = future_get(here->owner, NULL);
    return NULL;
}

static int by_wait(exec_group_t *g) {
    return exec_group_wait(g, EXEC_NEVER);
}

static int by_next(exec_group_t *g) {
    future_t *f = NULL;
    int error;
    while ((error = exec_group_next(g, EXEC_NEVER, &f)) == 0)
        future_unref(f);
    return error == ENODATA ? 0 : error;
}

static int not_at_all(exec_group_t *g) {
    (void)g;
    return 0;
}

static void *own_what_waits(void *arg) {
    struct family *here = arg;
    exec_group_t *g = group(here->ex);
    gate_wait(&here->known);
    join(g, await_the_owner, here);
    for (int i = 0; i < 3; i++)
        join(g, count_up, &here->others);
    here->of_wait = here->wait(g);
    ok(exec_group_close(g));
    return NULL;
}

TEST(group_deadlock, a_member_that_waits_for_the_task_that_waits_for_its_group_ends_one_of_the_two) {
    int (*const waits[])(exec_group_t *) = {by_wait, by_next, not_at_all};
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int i = 0; i < 60; i++) {
            struct family here = {.ex = pool(workers), .known = GATE(1), .wait = waits[i % 3]};
            here.owner = submit(here.ex, own_what_waits, &here);
            gate_open(&here.known);
            await_elsewhere(here.owner);
            ok(outcome(here.owner));
            check(here.of_wait == 0 || here.of_wait == EDEADLK);
            eq_err(here.of_member, EDEADLK); /* at the close at the latest */
            eq_int(atomic_load(&here.others), 3);
            executor_destroy(here.ex);
        }
}

/* ---- two groups ---- */

/* Each of two tasks closes a group with a member that waits for the other task. */
struct couple {
    executor_t *ex;
    future_t *owners[2];
    struct gate known;
    int errors[2];
};

struct spouse {
    struct couple *couple;
    int i;
};

static void *await_the_other_owner(void *arg) {
    const struct spouse *here = arg;
    here->couple->errors[here->i] = future_get(here->couple->owners[1 - here->i], NULL);
    return NULL;
}

static void *close_over_the_other(void *arg) {
    struct spouse *here = arg;
    gate_wait(&here->couple->known);
    exec_group_t *g = group(here->couple->ex);
    join(g, await_the_other_owner, here);
    ok(exec_group_close(g));
    return NULL;
}

TEST(group_deadlock, a_ring_through_two_closes_is_broken_at_a_member) {
    for (unsigned workers = 1; workers <= 4; workers++)
        for (int n = 0; n < 20; n++) {
            struct couple couple = {.ex = pool(workers), .known = GATE(1)};
            struct spouse spouses[2] = {{&couple, 0}, {&couple, 1}};
            for (int i = 0; i < 2; i++)
                couple.owners[i] = submit(couple.ex, close_over_the_other, &spouses[i]);
            gate_open(&couple.known);
            for (int i = 0; i < 2; i++)
                await_elsewhere(couple.owners[i]);
            check(couple.errors[0] == EDEADLK || couple.errors[1] == EDEADLK);
            for (int i = 0; i < 2; i++) {
                check(couple.errors[i] == 0 || couple.errors[i] == EDEADLK);
                ok(outcome(couple.owners[i]));
            }
            executor_destroy(couple.ex);
        }
}

/* ---- dependencies ---- */

struct dependent {
    struct gate known;
    future_t *last;
    int error;
};

static void *await_what_depends_on_this(void *arg) {
    struct dependent *here = arg;
    gate_wait(&here->known);
    here->error = future_get(here->last, NULL);
    return NULL;
}

TEST(group_deadlock, a_member_that_waits_for_one_that_depends_on_it_gets_edeadlk) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (size_t limit = 0; limit <= 1; limit++) {
            struct dependent here = {.known = GATE(1)};
            executor_t *ex = pool(workers);
            exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = limit});
            future_t *first = member(g, await_what_depends_on_this, &here);
            future_t *second = member_opts(g, identity, NULL, &(exec_task_opts){.after = &first, .nafter = 1});
            here.last = member_opts(g, identity, NULL, &(exec_task_opts){.after = &second, .nafter = 1});
            gate_open(&here.known);
            ok(exec_group_close(g));
            eq_err(here.error, EDEADLK);
            future_unref(first), future_unref(second), future_unref(here.last);
            executor_destroy(ex);
        }
}

/* A task that closes a group with a member that depends on the task. */
struct heir {
    executor_t *ex;
    future_t *owner;
    struct gate known;
    size_t limit; /* of a group around the owner; 0: there is none */
    exec_group_t *around;
    atomic_int dropped;
    int of_close, of_heir;
};

static void *close_over_an_heir(void *arg) {
    struct heir *here = arg;
    gate_wait(&here->known);
    exec_group_t *g = group(here->ex);
    exec_task_opts opts = {.after = &here->owner, .nafter = 1, .drop = count_drop};
    future_t *f = member_opts(g, must_not_run, &here->dropped, &opts);
    eq_err(exec_group_wait(g, EXEC_NEVER), EDEADLK);
    here->of_close = exec_group_close(g);
    here->of_heir = outcome(f);
    return NULL;
}

static void check_heir(const struct heir *here) {
    eq_err(here->of_close, EDEADLK);
    eq_err(here->of_heir, EDEADLK);
    eq_int(atomic_load(&here->dropped), 1);
}

TEST(group_deadlock, a_member_that_depends_on_the_task_that_closes_its_group_fails) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct heir here = {.ex = pool(workers), .known = GATE(1)};
        here.owner = submit(here.ex, close_over_an_heir, &here);
        gate_open(&here.known);
        await_elsewhere(here.owner);
        ok(outcome(here.owner));
        check_heir(&here);
        executor_destroy(here.ex);
    }
}

/* The owner has the only room of a group, the one its member depends on waits for that room. */
static void *close_over_who_depends_on_one_without_room(void *arg) {
    struct heir *here = arg;
    here->owner = member(here->around, identity, here);
    future_t *next = here->owner;
    close_over_an_heir(here);
    check(!future_done(next));
    return NULL;
}

TEST(group_deadlock, a_member_that_depends_on_one_that_waits_for_the_room_of_the_closer_fails) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct heir here = {.ex = pool(workers), .known = GATE(1)};
        here.around = group_of(here.ex, (exec_group_opts){.max_running = 1});
        gate_open(&here.known);
        join(here.around, close_over_who_depends_on_one_without_room, &here);
        ok(exec_group_close(here.around));
        ok(outcome(here.owner));
        check_heir(&here);
        executor_destroy(here.ex);
    }
}

/* A member that is asleep in a wait for any of two, both of which depend on the owner, by when the owner closes. */
struct any_heir {
    executor_t *ex;
    future_t *owner, *heirs[2];
    struct gate known;
    struct gate asleep;
    int error;
};

static void *await_any_heir(void *arg) {
    struct any_heir *here = arg;
    gate_open(&here->asleep);
    here->error = exec_wait(here->heirs, 2, 1, EXEC_NEVER);
    return NULL;
}

static void *close_over_one_that_awaits_any_heir(void *arg) {
    struct any_heir *here = arg;
    gate_wait(&here->known);
    exec_group_t *g = group(here->ex);
    for (int i = 0; i < 2; i++)
        here->heirs[i] = submit_opts(here->ex, identity, NULL, &(exec_task_opts){.after = &here->owner, .nafter = 1});
    join(g, await_any_heir, here);
    gate_wait(&here->asleep);
    eq_err(exec_sleep(EXEC_MS(10)), 0); /* likely to be asleep now; either order must end */
    ok(exec_group_close(g));
    return NULL;
}

TEST(group_deadlock, a_member_that_waits_for_any_of_what_depends_on_the_closer_gets_edeadlk) {
    struct any_heir here = {.ex = pool(2), .known = GATE(1), .asleep = GATE(1)};
    here.owner = submit(here.ex, close_over_one_that_awaits_any_heir, &here);
    gate_open(&here.known);
    await_elsewhere(here.owner);
    ok(outcome(here.owner));
    eq_err(here.error, EDEADLK);
    for (int i = 0; i < 2; i++)
        ok(outcome(here.heirs[i]));
    executor_destroy(here.ex);
}

/* ---- what is no deadlock ---- */

static void *await_it(void *f) {
    ok(future_get(f, NULL));
    return NULL;
}

static void *own_waiters(void *arg) {
    enum { N = 6 };
    struct visit *here = arg;
    future_t *fs[N];
    exec_group_t *g = group(here->ex);
    for (int i = 0; i < N; i++)
        fs[i] = i == 0 ? member(g, count_up, &here->ran) : member(g, await_it, fs[i - 1]);
    for (int i = 0; i < N; i++)
        ok(outcome_of_next(g));
    for (int i = 0; i < N; i++)
        future_unref(fs[i]);
    close_empty(g, 0);
    return NULL;
}

TEST(group_deadlock, members_that_wait_for_one_another_in_a_row_are_none) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int i = 0; i < 30; i++) {
            struct visit here = {.ex = pool(workers)};
            as_task(&here, own_waiters, 0);
            executor_destroy(here.ex);
        }
}

static void *own_what_waits_for_a_promise(void *arg) {
    struct visit *here = arg;
    future_t *later = promise(), *f = NULL;
    exec_group_t *g = group_of(here->ex, (exec_group_opts){.max_running = 1});
    join(g, await_it, later);
    for (int i = 0; i < 3; i++)
        join(g, count_up, &here->ran);
    gate_open(&here->begun);
    eq_err(exec_group_wait(g, exec_after(EXEC_MS(5))), ETIMEDOUT);
    eq_err(exec_group_next(g, exec_after(EXEC_MS(5)), &f), ETIMEDOUT);
    ok(future_resolve(later, NULL, 0));
    ok(exec_group_wait(g, EXEC_NEVER));
    ok(exec_group_close(g));
    future_unref(later);
    return NULL;
}

TEST(group_deadlock, a_member_that_waits_for_a_promise_is_none) {
    struct visit here = {.ex = pool(2), .begun = GATE(1)};
    as_task(&here, own_what_waits_for_a_promise, 0);
    eq_int(atomic_load(&here.ran), 3);
    executor_destroy(here.ex);
}

static void *take_quick_ones(void *arg) {
    struct visit *here = arg;
    for (int round = 0; round < 2000; round++) {
        exec_group_t *g = group_of(here->ex, (exec_group_opts){.max_running = 1 + (size_t)round % 3});
        for (int i = 0; i < 4; i++)
            join(g, count_up, &here->ran);
        for (int i = 0; i < 4; i++) {
            future_t *f = NULL;
            ok(exec_group_next(g, EXEC_NEVER, &f));
            future_unref(f);
        }
        close_empty(g, 0);
    }
    return NULL;
}

TEST(group_deadlock, quick_members_that_leave_while_the_owner_falls_asleep_are_none) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        struct visit here = {.ex = pool(workers)};
        as_task(&here, take_quick_ones, 0);
        eq_int(atomic_load(&here.ran), 8000);
        executor_destroy(here.ex);
    }
}
