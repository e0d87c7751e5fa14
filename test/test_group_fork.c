/* test_group_fork.c - groups in forked children: every call says EOWNERDEAD, and close frees. */
#include "groups.h"

#include "child.h"

static void all_ownerdead(exec_group_t *g) {
    future_t *f = (future_t *)g;
    int fd = -7;
    eq_err(exec_group_submit(g, must_not_run, NULL, &(exec_task_opts){.drop = must_not_free}, &f), EOWNERDEAD);
    eq_err(exec_group_submit(g, must_not_run, NULL, NULL, NULL), EOWNERDEAD);
    eq_err(exec_group_next(g, EXEC_NEVER, &f), EOWNERDEAD);
    eq_err(exec_group_next(g, EXEC_NOW, &f), EOWNERDEAD);
    eq_err(exec_group_wait(g, EXEC_NEVER), EOWNERDEAD);
    eq_err(exec_group_wait(g, EXEC_NOW), EOWNERDEAD);
    eq_err(exec_group_fd(g, &fd), EOWNERDEAD);
    exec_group_cancel(g);
    eq_ptr(f, g);
    eq_int(fd, -7);
}

static void inherit(void *group) {
    all_ownerdead(group);
    all_ownerdead(group);
    eq_err(exec_group_close(group), EOWNERDEAD);
}

static void close_at_once(void *group) {
    eq_err(exec_group_close(group), EOWNERDEAD);
}

static void open_in_child(void *ex) {
    exec_group_t *g = (exec_group_t *)ex;
    eq_err(exec_group_open(ex, NULL, &g), EOWNERDEAD);
    eq_ptr(g, ex);
}

TEST(group_fork, in_a_forked_child_a_group_is_ownerdead_and_it_lives_on_in_the_parent) {
    for (size_t limit = 0; limit <= 2; limit++) {
        struct plug plug = PLUG;
        atomic_int ran = 0;
        executor_t *ex = pool(1);
        exec_time deadline = limit == 1 ? exec_after(LIMIT) : 0;
        exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = limit, .deadline = deadline});
        in_child(open_in_child, ex);
        in_child(inherit, g);
        join(g, identity, NULL);
        ok(exec_group_wait(g, EXEC_NEVER));
        in_child(inherit, g);
        future_unref(plug_member(g, &plug));
        for (int i = 0; i < 5; i++)
            join(g, count_up, &ran);
        in_child(inherit, g);
        in_child(close_at_once, g);
        plug_out(&plug);
        for (int i = 0; i < 7; i++)
            ok(outcome_of_next(g));
        close_empty(g, 0);
        eq_int(atomic_load(&ran), 5);
        executor_destroy(ex);
    }
}

static void *fork_with_a_group(void *arg) {
    struct visit *here = arg;
    exec_group_t *g = group(here->ex);
    for (int i = 0; i < 5; i++)
        join(g, count_up, &here->ran);
    in_child(inherit, g);
    ok(exec_group_close(g));
    return NULL;
}

TEST(group_fork, a_task_may_fork_with_its_group_open) {
    struct visit here = {.ex = pool(2)};
    as_task(&here, fork_with_a_group, 0);
    eq_int(atomic_load(&here.ran), 5);
    executor_destroy(here.ex);
}
