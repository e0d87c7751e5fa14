/* test_after.c - tasks that depend on others (.after): when they start, in which order, and what they take up until
 * then. How they end when a prerequisite does not succeed is in test_after_end.c, waiting for them in
 * test_after_wait.c. */
#include "after.h"

/* ---- when it starts ---- */

TEST(after, a_task_starts_when_all_of_its_prerequisites_are_done) {
    executor_t *ex = pool(2);
    future_t *p[3] = {promise(), promise(), promise()};
    future_t *f = submit_opts(ex, identity, ex, &(exec_task_opts){.after = p, .nafter = 3, .name = "held"});
    eq_ptr(future_arg(f), ex);
    eq_str(future_name(f), "held");
    for (int i = 0; i < 3; i++) {
        is_held(f);
        fulfil(p[(i + 1) % 3]);
    }
    await_elsewhere(f);
    eq_state(f, FUTURE_DONE);
    eq_ptr(take(f), ex);
    unref_all(p, 3);
    executor_destroy(ex);
}

TEST(after, a_task_without_prerequisites_starts_at_once) {
    executor_t *ex = pool(1);
    future_t *never = promise();
    eq_ptr(take(submit_opts(ex, identity, ex, &(exec_task_opts){.after = &never})), ex);
    eq_ptr(take(submit_opts(ex, identity, ex, &(exec_task_opts){.after = &(future_t *){NULL}})), ex);
    future_unref(never);
    executor_destroy(ex);
}

TEST(after, prerequisites_that_are_done_already_do_not_hold_it) {
    executor_t *ex = pool(1);
    future_t *done = submit(ex, identity, ex), *resolved = promise();
    ok(future_wait(done, EXEC_NEVER));
    fulfil(resolved);
    for (int i = 0; i < 20; i++)
        eq_ptr(take(submit_opts(ex, identity, ex, &(exec_task_opts){AFTER(done, resolved, done)})), ex);
    future_unref(done), future_unref(resolved);
    executor_destroy(ex);
}

TEST(after, one_that_is_named_more_than_once_counts_once) {
    executor_t *ex = pool(1);
    future_t *p = promise(), *q = promise(), *done = promise();
    fulfil(done);
    future_t *f = submit_opts(ex, identity, ex, &(exec_task_opts){AFTER(p, done, p, q, p, done, q)});
    fulfil(p);
    is_held(f);
    fulfil(q);
    eq_ptr(take(f), ex);
    future_unref(p), future_unref(q), future_unref(done);
    executor_destroy(ex);
}

TEST(after, the_array_is_copied_and_the_futures_are_referred_to) {
    executor_t *ex = pool(1);
    struct plug plug = PLUG;
    future_t *fs[3] = {plug_in(ex, &plug), submit(ex, identity, NULL), promise()};
    future_t *f = submit_opts(ex, identity, ex, &(exec_task_opts){.after = fs, .nafter = 3}), *p = future_ref(fs[2]);
    for (int i = 0; i < 3; i++) {
        future_unref(fs[i]);
        fs[i] = NULL;
    }
    plug_out(&plug);
    is_held(f);
    fulfil(p);
    future_unref(p);
    eq_ptr(take(f), ex);
    executor_destroy(ex);
}

TEST(after, a_prerequisite_may_belong_to_another_executor) {
    struct plug plug = PLUG;
    executor_t *one = pool(1), *two = pool(2);
    future_t *there = plug_in(two, &plug), *p = promise(), *here = submit(one, identity, NULL);
    future_t *f = submit_opts(one, identity, one, &(exec_task_opts){AFTER(here, there, p)});
    future_t *back = submit_after(two, identity, two, f);
    fulfil(p);
    is_held(f);
    is_held(back);
    plug_out(&plug);
    eq_ptr(take(back), two);
    eq_ptr(take(f), one);
    future_unref(here), future_unref(there), future_unref(p);
    executor_destroy(one), executor_destroy(two);
}

TEST(after, a_task_that_nobody_has_a_future_of_runs_after_its_prerequisites) {
    atomic_int ran = 0;
    executor_t *ex = pool(2);
    future_t *p = promise();
    for (int i = 0; i < 50; i++)
        ok(executor_submit(ex, count_up, &ran, &(exec_task_opts){AFTER(p, p)}, NULL));
    is_held(p);
    eq_int(atomic_load(&ran), 0);
    fulfil(p);
    future_unref(p);
    executor_destroy(ex);
    eq_int(atomic_load(&ran), 50);
}

TEST(after, a_result_that_nobody_took_of_a_held_task_is_freed) {
    atomic_int frees = 0;
    executor_t *ex = pool(1);
    future_t *p = promise();
    future_unref(submit_opts(ex, identity, &frees, &(exec_task_opts){AFTER(p), .free_result = count_drop}));
    fulfil(p);
    future_unref(p);
    executor_destroy(ex);
    eq_int(atomic_load(&frees), 1);
}

TEST(after, null_among_the_prerequisites_is_einval) {
    executor_t *ex = pool(1);
    future_t *p = promise(), *f = p;
    const exec_task_opts with_null = {AFTER(p, NULL, p), .drop = must_not_free};
    const exec_task_opts no_array = {.nafter = 1, .drop = must_not_free};
    for (int i = 0; i < 2; i++) {
        eq_err(executor_submit(ex, must_not_run, NULL, i ? &with_null : &no_array, &f), EINVAL);
        eq_err(executor_submit(ex, must_not_run, NULL, i ? &with_null : &no_array, NULL), EINVAL);
    }
    eq_ptr(f, p);
    fulfil(p);
    future_unref(p);
    executor_destroy(ex);
}

/* ---- graphs ---- */

/* A number that is the sum of those it comes after, and of its own. */
struct sum {
    future_t *of[2];
    int own;
};

static void *add_up(void *arg) {
    struct sum *sum = arg;
    intptr_t total = sum->own;
    for (int i = 0; i < 2 && sum->of[i]; i++) {
        void *part;
        eq_state(sum->of[i], FUTURE_DONE);
        ok(future_get(sum->of[i], &part));
        total += (intptr_t)part;
    }
    return (void *)total;
}

static void diamond(executor_t *left, executor_t *right) {
    struct sum a = {.own = 1}, b = {.own = 10}, c = {.own = 100}, d = {.own = 1000};
    future_t *fs[4];
    fs[0] = b.of[0] = c.of[0] = submit(left, add_up, &a);
    fs[1] = d.of[0] = submit_after(left, add_up, &b, fs[0]);
    fs[2] = d.of[1] = submit_after(right, add_up, &c, fs[0]);
    fs[3] = submit_opts(right, add_up, &d, &(exec_task_opts){AFTER(fs[1], fs[2])});
    eq_int((intptr_t)take(fs[3]), 1112);
    unref_all(fs, 3);
}

TEST(after, a_diamond_runs_from_its_top_to_its_bottom) {
    executor_t *exs[] = {pool(1), pool(1), pool(2), pool(3)};
    for (int i = 0; i < 400; i++)
        diamond(exs[i % 4], exs[i / 4 % 4]);
    for (int i = 0; i < 4; i++)
        executor_destroy(exs[i]);
}

enum { NODES = 3000, EDGES = 6 };

struct node {
    future_t *f, *after[EDGES];
    size_t n;
    bool ran; /* read by those that come after, without any synchronisation of their own */
};

static struct node nodes[NODES];

static void *run_node(void *arg) {
    struct node *node = arg;
    check(!node->ran);
    for (size_t i = 0; i < node->n; i++) {
        const struct node *before = future_arg(node->after[i]);
        check(before == NULL || before->ran);
        eq_state(node->after[i], FUTURE_DONE);
    }
    node->ran = true;
    return NULL;
}

/* A graph in which each node comes after up to EDGES of those before, some of them promises. */
static void random_graph(executor_t *const exs[2], unsigned random) {
    future_t *p = promise();
    for (int i = 0; i < NODES; i++) {
        struct node *node = &nodes[i];
        *node = (struct node){.n = (random >> 16) % (EDGES + 1)};
        for (size_t j = 0; j < node->n; j++, random = random * 1103515245 + 12345)
            node->after[j] = i == 0 || (random >> 16) % 50 == 0 ? p : nodes[(random >> 8) % (unsigned)i].f;
        random = random * 1103515245 + 12345;
        node->f = submit_opts(exs[(random >> 20) % 2], run_node, node,
                              &(exec_task_opts){.after = node->after, .nafter = node->n});
    }
    fulfil(p);
    for (int i = 0; i < NODES; i++)
        ok(future_get(nodes[i].f, NULL));
    for (int i = 0; i < NODES; i++) {
        check(nodes[i].ran);
        future_unref(nodes[i].f);
    }
    future_unref(p);
}

TEST(after, in_a_graph_of_thousands_of_edges_everything_runs_after_what_it_needs) {
    executor_t *exs[2] = {pool(1), pool(2)};
    for (unsigned i = 0; i < 6; i++)
        random_graph(exs, i);
    executor_destroy(exs[0]), executor_destroy(exs[1]);
}

/* ---- long and wide ---- */

/* Counts the tasks of a chain, which need no lock. */
static void *count_on(void *counter) {
    ++*(int *)counter;
    return NULL;
}

static void *fulfil_it(void *f) {
    fulfil(f);
    return NULL;
}

/* The chain's last future; nobody has one of the others. With a promise at its head, or without. */
static future_t *make_chain(executor_t *ex, future_t *head, exec_fn *fn, void *arg) {
    future_t *last = head ? future_ref(head) : submit(ex, fn, arg);
    for (int i = head ? 0 : 1; i < LONG; i++) {
        future_t *next = submit_after(ex, fn, arg, last);
        future_unref(last);
        last = next;
    }
    return last;
}

TEST(after, a_chain_of_a_hundred_thousand_runs_in_order_and_on_little_stack) {
    for (unsigned workers = 1; workers <= 2; workers++)
        for (int i = 0; i < 2; i++) {
            int ran = 0;
            executor_t *ex = shallow_pool(workers);
            future_t *head = i ? promise() : NULL, *last = make_chain(ex, head, count_on, &ran);
            if (head)
                on_little_stack(fulfil_it, head);
            await_elsewhere(last);
            ok(outcome(last));
            eq_int(ran, LONG);
            future_unref(head);
            executor_destroy(ex);
        }
}

TEST(after, a_hundred_thousand_may_wait_for_the_same_one) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        atomic_int ran = 0;
        executor_t *ex = shallow_pool(workers);
        future_t *head = promise();
        for (int i = 0; i < LONG; i++)
            future_unref(submit_after(ex, count_up, &ran, head));
        eq_int(atomic_load(&ran), 0);
        on_little_stack(fulfil_it, head);
        future_unref(head);
        executor_destroy(ex);
        eq_int(atomic_load(&ran), LONG);
    }
}

enum { WIDE = 10000 };

static void *has_all(void *ran) {
    eq_int(atomic_load((atomic_int *)ran), WIDE / 2);
    return ran;
}

TEST(after, one_may_wait_for_ten_thousand) {
    static future_t *fs[WIDE];
    for (unsigned workers = 1; workers <= 2; workers++) {
        atomic_int ran = 0;
        executor_t *ex = pool(workers);
        for (int i = 0; i < WIDE; i++)
            fs[i] = i % 2 ? submit(ex, count_up, &ran) : promise();
        future_t *f = submit_opts(ex, has_all, &ran, &(exec_task_opts){.after = fs, .nafter = WIDE});
        for (int i = 0; i < WIDE; i += 2) {
            eq_state(f, FUTURE_PENDING);
            fulfil(fs[i]);
        }
        eq_ptr(take(f), &ran);
        unref_all(fs, WIDE);
        executor_destroy(ex);
    }
}

/* ---- what it takes up until then ---- */

/* The worker is busy, the queue has room for one, which is taken; 101 tasks are held, and then free to start. */
static void hold_many(enum executor_when_full when_full) {
    struct plug plug = PLUG;
    atomic_int ran = 0;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = when_full});
    future_t *p = promise(), *first = plug_in(ex, &plug);
    for (int i = 0; i < 100; i++)
        future_unref(submit_after(ex, count_up, &ran, p));
    future_t *queued = submit(ex, identity, NULL);
    if (when_full == EXECUTOR_REJECT)
        eq_err(executor_submit(ex, must_not_run, NULL, NULL, NULL), EAGAIN);
    future_unref(submit_after(ex, count_up, &ran, p));
    fulfil(p);
    eq_int(atomic_load(&ran), 0);
    eq_state(queued, FUTURE_PENDING);
    plug_out(&plug);
    ok(outcome(queued));
    future_unref(first), future_unref(p);
    executor_destroy(ex);
    eq_int(atomic_load(&ran), 101);
}

TEST(after, held_tasks_take_no_room_in_the_queue_neither_before_nor_when_they_may_start) {
    hold_many(EXECUTOR_BLOCK);
    hold_many(EXECUTOR_REJECT);
    hold_many(EXECUTOR_CALLER_RUNS);
    hold_many(EXECUTOR_DROP_OLDEST);
}

TEST(after, held_tasks_hold_no_worker) {
    atomic_int ran = 0;
    executor_t *ex = pool(1);
    future_t *p = promise();
    for (int i = 0; i < 100; i++)
        future_unref(submit_after(ex, count_up, &ran, p));
    for (int i = 0; i < 100; i++) {
        future_t *f = submit(ex, identity, ex);
        await_elsewhere(f);
        eq_ptr(take(f), ex);
    }
    eq_int(atomic_load(&ran), 0);
    fulfil(p);
    future_unref(p);
    executor_destroy(ex);
    eq_int(atomic_load(&ran), 100);
}

TEST(after, a_full_queue_refuses_a_task_that_does_not_have_to_wait) {
    struct plug plug = PLUG;
    executor_t *ex = pool_of((executor_opts){.workers = 1, .capacity = 1, .when_full = EXECUTOR_REJECT});
    future_t *first = plug_in(ex, &plug), *queued = submit(ex, identity, NULL), *done = promise();
    const exec_task_opts opts = {AFTER(done), .drop = must_not_free};
    fulfil(done);
    eq_err(executor_submit(ex, must_not_run, NULL, &opts, NULL), EAGAIN);
    plug_out(&plug);
    future_unref(first), future_unref(queued), future_unref(done);
    executor_destroy(ex);
}

static void *submit_more(void *arg) {
    executor_t *ex = arg;
    atomic_int ran = 0;
    future_t *p = promise(), *fs[100];
    for (int i = 0; i < 100; i++)
        fs[i] = submit_after(ex, count_up, &ran, i % 3 ? fs[i - 1] : p);
    eq_int(atomic_load(&ran), 0);
    fulfil(p);
    ok(exec_wait(fs, 100, 100, EXEC_NEVER));
    eq_int(atomic_load(&ran), 100);
    unref_all(fs, 100);
    future_unref(p);
    return NULL;
}

TEST(after, a_task_may_submit_tasks_that_depend_on_each_other) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool_of((executor_opts){.workers = workers, .capacity = 1});
        for (int i = 0; i < 20; i++)
            ok(outcome(submit(ex, submit_more, ex)));
        executor_destroy(ex);
    }
}
