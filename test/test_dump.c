/* test_dump.c - executor_dump(): what runs, and who waits for what. */
#include "shown.h"

/* Waits until a part is there; or says what there is. */
static void comes_to_have(executor_t *ex, const char *part) {
    bool found = false;
    for (exec_time until = exec_after(LIMIT); !found; nap(EXEC_US(200))) {
        char *text = text_of(ex, executor_dump);
        found = strstr(text, part) != NULL;
        if (!found && exec_now() > until)
            FAIL("\"%s\" is not in: %s", part, text);
        free(text);
    }
}

static void *wait_for_inner(void *arg) {
    future_t *f = arg;
    ok(future_wait(f, EXEC_NEVER));
    return NULL;
}

struct member {
    executor_t *ex;
    future_t *before; /* which it waits for */
};

static void *wait_for_group(void *arg) {
    struct member *m = arg;
    exec_group_t *g = NULL;
    ok(exec_group_open(m->ex, NULL, &g));
    ok(exec_group_submit(g, identity, m, &(exec_task_opts){.after = &m->before, .nafter = 1}, NULL));
    ok(exec_group_close(g));
    return NULL;
}

TEST(dump, it_says_who_runs_and_what_waits_for_what) {
    struct plug plug = PLUG;
    executor_t *ex = pool_of((executor_opts){.workers = 3, .name = "kitchen"});
    future_t *first = promise();
    future_t *inner = submit_opts(ex, plug_task, &plug, &(exec_task_opts){.name = "the inner one"});
    gate_wait(&plug.started);
    ok(executor_submit(ex, wait_for_inner, inner, &(exec_task_opts){.name = "the outer one"}, NULL));
    ok(executor_submit(ex, identity, ex, &(exec_task_opts){.name = "after", .after = &first, .nafter = 1}, NULL));
    ok(executor_submit(ex, identity, ex, &(exec_task_opts){.name = "later", .delay = EXEC_SEC(50)}, NULL));
    struct member member = {ex, promise()};
    ok(executor_submit(ex, wait_for_group, &member, NULL, NULL));
    comes_to_have(ex, "waits: \"the outer one\" for \"the inner one\", which runs\n");
    comes_to_have(ex, "waits: a task for a group with 1 unfinished members\n");
    comes_to_have(ex, "runs \"the inner one\" for ");
    comes_to_have(ex, "executor kitchen: ");
    comes_to_have(ex, "held: \"after\" for 1 of 1 others\n");
    comes_to_have(ex, "held: \"later\" until it is due, in ");
    plug_out(&plug);
    ok(future_resolve(first, NULL, 0));
    ok(future_resolve(member.before, NULL, 0));
    future_unref(first);
    future_unref(member.before);
    comes_to_have(ex, "0 of 3 workers run tasks");
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    future_unref(inner);
    comes_to_have(ex, ", discarding\n");
    executor_destroy(ex);
}

static void *wait_for_most(void *fs) {
    ok(exec_wait(fs, 12, 11, EXEC_NEVER));
    return NULL;
}

static void *wait_for_any(void *fs) {
    ok(exec_wait(fs, 2, 1, EXEC_NEVER));
    return NULL;
}

static void *sleep_long(void *arg) {
    (void)arg;
    exec_sleep(EXEC_NEVER);
    return NULL;
}

TEST(dump, it_says_what_each_is_that_is_waited_for) {
    enum { N = 12 };
    future_t *fs[N];
    executor_t *ex = pool(4);
    for (int i = 0; i < N; i++)
        fs[i] = promise();
    future_t *held = submit_opts(ex, identity, ex, &(exec_task_opts){.name = "later", .delay = EXEC_SEC(5000)});
    future_t *both[] = {held, fs[0]};
    future_t *most = submit_opts(ex, wait_for_most, fs, &(exec_task_opts){.name = "patient"});
    future_t *any = submit_opts(ex, wait_for_any, both, &(exec_task_opts){.name = "choosy"});
    future_t *sleeper = submit_opts(ex, sleep_long, NULL, &(exec_task_opts){.name = "sleeper"});
    comes_to_have(ex, "waits: \"patient\" for 11 of 12: a promise, which nobody has resolved; a promise, ");
    comes_to_have(ex, "nobody has resolved; and 4 more\n");
    comes_to_have(ex, "waits: \"choosy\" for 1 of 2: "); /* in any order */
    comes_to_have(ex, "\"later\", which is held");
    comes_to_have(ex, "waits: \"sleeper\" sleeps, or polls\n");
    future_cancel(sleeper);
    for (int i = 0; i < N; i++)
        ok(future_resolve(fs[i], NULL, 0));
    future_cancel(held);
    future_t *ends[] = {most, any, sleeper, held};
    for (int i = 0; i < 4; i++)
        outcome(ends[i]);
    for (int i = 0; i < N; i++)
        future_unref(fs[i]);
    executor_destroy(ex);
}

/* ---- what is held ---- */

TEST(dump, it_says_what_a_task_is_held_for) {
    struct plug plugs[2] = {PLUG, PLUG};
    executor_t *ex = pool(3);
    exec_limiter_t *one = NULL;
    exec_group_t *g = NULL;
    ok(exec_limiter_create(&(exec_limiter_opts){.max_running = 1}, &one));
    ok(exec_group_open(ex, &(exec_group_opts){.max_running = 1}, &g));
    future_t *first = submit_opts(ex, plug_task, &plugs[0], &(exec_task_opts){.limiter = one});
    gate_wait(&plugs[0].started);
    future_t *second = submit_opts(ex, identity, ex, &(exec_task_opts){.limiter = one, .name = "limited"});
    ok(exec_group_submit(g, plug_task, &plugs[1], NULL, NULL));
    gate_wait(&plugs[1].started);
    ok(exec_group_submit(g, identity, ex, &(exec_task_opts){.name = "crowded"}, NULL));
    comes_to_have(ex, "held: \"limited\" for its limiter\n");
    comes_to_have(ex, "held: \"crowded\" for room in its group\n");
    plug_out(&plugs[0]);
    plug_out(&plugs[1]);
    outcome(first);
    outcome(second);
    ok(exec_group_close(g));
    executor_destroy(ex);
    exec_limiter_destroy(one);
}

TEST(dump, it_lists_two_hundred_and_counts_the_rest) {
    enum { N = 207 };
    executor_t *ex = pool(1);
    future_t *f = promise();
    for (int i = 0; i < N; i++)
        ok(executor_submit(ex, identity, ex, &(exec_task_opts){.after = &f, .nafter = 1}, NULL));
    comes_to_have(ex, "held: a task for 1 of 1 others\nand 7 more wait, or are held\n");
    ok(future_resolve(f, NULL, 0));
    future_unref(f);
    executor_destroy(ex);
}

static void *get_it(void *f) {
    ok(future_get(f, NULL));
    return NULL;
}

TEST(dump, sleepers_count_among_the_two_hundred) {
    enum { N = 203 };
    executor_t *ex = pool(N);
    future_t *f = promise(), *fs[N];
    for (int i = 0; i < N; i++)
        fs[i] = submit(ex, get_it, f);
    comes_to_have(ex, "waits: a task for a promise, which nobody has resolved\nand 3 more wait, or are held\n");
    ok(future_resolve(f, NULL, 0));
    for (int i = 0; i < N; i++)
        ok(outcome(fs[i]));
    future_unref(f);
    executor_destroy(ex);
}

/* ---- what may be given up ---- */

TEST(dump, it_says_what_runs_apart_and_what_was_given_up) {
    static struct plug plugs[2] = {PLUG, PLUG}; /* nobody waits for who uses it */
    executor_t *ex = pool(1);
    exec_task_opts opts = {.timeout = EXEC_MS(1), .on_timeout = EXEC_ABANDON, .name = "deaf"};
    future_t *deaf = submit_opts(ex, plug_task, &plugs[0], &opts);
    eq_err(outcome(deaf), ETIMEDOUT);
    opts = (exec_task_opts){.timeout = LIMIT, .on_timeout = EXEC_ABANDON, .name = "apart"};
    future_t *apart = submit_opts(ex, plug_task, &plugs[1], &opts);
    gate_wait(&plugs[1].started);
    comes_to_have(ex, "given up: \"deaf\" for ");
    comes_to_have(ex, "runs apart: \"apart\" for ");
    plug_out(&plugs[0]);
    plug_out(&plugs[1]);
    eq_ptr(take(apart), &plugs[1]);
    executor_destroy(ex);
}
