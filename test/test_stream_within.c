/* test_stream_within.c - streams everywhere: in tasks, in each other, in maps, in several threads, and on executors of
 * every kind. */
#include "streams.h"

/* ---- in tasks ---- */

struct nest {
    executor_t *ex;
    int levels;
    atomic_int leaves;
};

static struct nest nest;

static void *stream_below(void *level);

/* A source gives numbers, so there is one function for the items of each level. */
static void *item_of_1(void *number) {
    (void)number;
    return stream_below((void *)1);
}

static void *item_of_2(void *number) {
    (void)number;
    return stream_below((void *)2);
}

static void *item_of_3(void *number) {
    (void)number;
    return stream_below((void *)3);
}

/* Five items in each stream, in turn in every way. */
static void *stream_below(void *level) {
    static exec_fn *const items[] = {item_of_1, item_of_2, item_of_3};
    static atomic_uint ways;
    unsigned way = atomic_fetch_add(&ways, 1);
    struct source src = {.n = 5};
    if ((intptr_t)level == nest.levels)
        return count_up(&nest.leaves);
    check((uintptr_t)level < 3);
    exec_stream_opts opts = {.window = way % 3, .unordered = way & 4};
    exec_stream_t *s = stream_of(nest.ex, &src, items[(intptr_t)level], &opts);
    exec_item item;
    while (next_item(s, &src, &item))
        eq_err(item.error, 0);
    eq_int(src.handed, 5);
    eq_err(take_all(s, &src), 0);
    return NULL;
}

static void has_leaves(int leaves) {
    eq_int(atomic_exchange(&nest.leaves, 0), leaves);
}

TEST(stream_within, a_task_may_consume_a_stream_also_with_one_worker) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int own = 0; own < 2; own++) {
            nest.ex = own ? pool_of_its_own(workers) : pool(workers);
            nest.levels = 1;
            for (int i = 0; i < 20; i++) {
                future_t *f = submit(nest.ex, stream_below, (void *)0);
                await_elsewhere(f);
                ok(outcome(f));
                has_leaves(5);
            }
            executor_destroy(nest.ex);
        }
}

TEST(stream_within, tasks_may_consume_streams_all_at_once) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        future_t *fs[20];
        nest.ex = pool(workers);
        nest.levels = 1;
        for (int i = 0; i < 20; i++)
            fs[i] = submit(nest.ex, stream_below, (void *)0);
        for (int i = 0; i < 20; i++)
            ok(outcome(fs[i]));
        has_leaves(100);
        executor_destroy(nest.ex);
    }
}

TEST(stream_within, a_stream_in_a_stream_in_a_stream_ends) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int own = 0; own < 2; own++) {
            nest.ex = own ? pool_of_its_own(workers) : pool(workers);
            nest.levels = 3;
            stream_below((void *)0);
            has_leaves(125);
            ok(outcome(submit(nest.ex, stream_below, (void *)0)));
            has_leaves(125);
            executor_destroy(nest.ex);
        }
}

TEST(stream_within, a_stream_in_the_items_of_a_map_ends) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        void *args[20] = {0};
        nest.ex = pool(workers);
        nest.levels = 2;
        ok(executor_map(nest.ex, stream_below, args, NULL, 20, NULL));
        has_leaves(500);
        executor_destroy(nest.ex);
    }
}

static void *map_below(void *arg) {
    void *args[10];
    for (int i = 0; i < 10; i++)
        args[i] = &nest.leaves;
    ok(executor_map(nest.ex, count_up, args, NULL, 10, NULL));
    return arg;
}

static void *submit_and_get(void *arg) {
    eq_ptr(take(submit(nest.ex, identity, arg)), arg);
    atomic_fetch_add(&nest.leaves, 1);
    return arg;
}

TEST(stream_within, items_may_map_submit_and_wait) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int unordered = 0; unordered < 2; unordered++) {
            struct source maps = {.n = 100}, submits = {.n = 100};
            exec_stream_opts opts = {.unordered = unordered};
            nest.ex = pool(workers);
            eq_err(take_all(stream_of(nest.ex, &maps, map_below, &opts), &maps), 0);
            has_leaves(1000);
            eq_err(take_all(stream_of(nest.ex, &submits, submit_and_get, &opts), &submits), 0);
            has_leaves(100);
            executor_destroy(nest.ex);
        }
}

static future_t *waiting; /* the task that consumes */
static struct gate waiting_is_set;

static void *wait_for_the_consumer(void *unused) {
    (void)unused;
    gate_wait(&waiting_is_set);
    return exec_fail(future_get(waiting, NULL));
}

static void *consume_what_waits(void *ex) {
    struct source src = {.n = 5};
    exec_item item;
    exec_stream_t *s = stream_of(ex, &src, wait_for_the_consumer, NULL);
    while (next_item(s, &src, &item))
        eq_err(item.error, EDEADLK);
    check(item.error == 0 || item.error == EDEADLK);
    exec_stream_close(s);
    return NULL;
}

TEST(stream_within, items_that_wait_for_their_consumer_are_a_deadlock_and_not_a_hang) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int round = 0; round < 10; round++) {
            executor_t *ex = pool(workers);
            waiting_is_set = (struct gate)GATE(1);
            waiting = submit(ex, consume_what_waits, ex);
            gate_open(&waiting_is_set);
            await_elsewhere(waiting);
            ok(outcome(waiting));
            executor_destroy(ex);
        }
}

static exec_stream_t *of_items; /* whose items look at it */

static void *ask_for_the_next(void *number) {
    exec_item item;
    check(!exec_stream_next(of_items, &item));
    eq_err(item.error, EDEADLK);
    exec_stream_close(of_items);
    return number;
}

TEST(stream_within, an_item_that_asks_its_stream_for_the_next_gets_edeadlk) {
    for (unsigned workers = 1; workers <= 3; workers++)
        for (int own_threads = 0; own_threads < 2; own_threads++) {
            struct source src = {.n = 300};
            executor_t *ex = own_threads ? pool_of_its_own(workers) : pool(workers);
            of_items = stream_of(ex, &src, ask_for_the_next, &(exec_stream_opts){.window = 8});
            eq_err(take_all(of_items, &src), 0);
            eq_int(src.handed, 300);
            executor_destroy(ex);
        }
}

/* ---- left open ---- */

static atomic_int left_results;

static void free_left(void *result) {
    check(result != NULL);
    atomic_fetch_sub(&left_results, 1);
}

static void *give_result(void *number) {
    atomic_fetch_add(&left_results, 1);
    return number;
}

static void *leave_stream_open(void *ex) {
    static struct source src;
    exec_item item;
    src = (struct source){.n = SIZE_MAX};
    exec_stream_t *s = stream_of(ex, &src, give_result, &(exec_stream_opts){.free_result = free_left});
    for (int i = 0; i < 100; i++) {
        check(next_item(s, &src, &item));
        free_left(item.result);
    }
    return ex;
}

TEST(stream_within, one_that_a_task_leaves_open_is_closed_and_the_task_fails) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        executor_t *ex = pool(workers);
        eq_err(outcome(submit(ex, leave_stream_open, ex)), EBUSY);
        eq_int(atomic_load(&left_results), 0);
        executor_destroy(ex);
    }
}

/* ---- in threads ---- */

/* Consumes n numbers in order. */
static void consumes(executor_t *ex, size_t n) {
    struct source src = {.n = n};
    exec_item item;
    exec_stream_t *s = stream_of(ex, &src, plus_one, NULL);
    while (next_item(s, &src, &item)) {
        eq_int(item.index, src.handed - 1);
        eq_err(item.error, 0);
        eq_ptr(item.result, plus_one(item.arg));
    }
    eq_int(src.handed, n);
    eq_err(take_all(s, &src), 0);
}

static void *consume_again_and_again(void *ex) {
    for (size_t n = 1; n < 100; n++)
        consumes(ex, n);
    return NULL;
}

TEST(stream_within, several_threads_may_each_consume_their_own) {
    for (unsigned workers = 1; workers <= 3; workers++) {
        pthread_t threads[4];
        executor_t *ex = pool(workers);
        for (int i = 0; i < 4; i++)
            threads[i] = start(consume_again_and_again, ex);
        for (int i = 0; i < 4; i++)
            finish(threads[i]);
        executor_destroy(ex);
    }
}

TEST(stream_within, one_thread_may_consume_several_in_turn) {
    enum { STREAMS = 5 };
    struct source srcs[STREAMS] = {0};
    exec_stream_t *streams[STREAMS];
    executor_t *ex = pool(2);
    for (int i = 0; i < STREAMS; i++) {
        srcs[i].n = 500;
        streams[i] = stream_of(ex, &srcs[i], plus_one, &(exec_stream_opts){.window = (size_t)i * 3});
    }
    for (size_t k = 0; k < 500; k++)
        for (int i = 0; i < STREAMS; i++) {
            exec_item item;
            check(next_item(streams[i], &srcs[i], &item));
            eq_int(item.index, k);
            eq_ptr(item.result, plus_one(item.arg));
        }
    for (int i = 0; i < STREAMS; i++)
        eq_err(take_all(streams[i], &srcs[i]), 0);
    executor_destroy(ex);
}

struct relay {
    exec_stream_t *s;
    struct source *src;
};

static void *take_ten(void *arg) {
    struct relay *relay = arg;
    exec_item item;
    for (int i = 0; i < 10; i++) {
        check(next_item(relay->s, relay->src, &item));
        eq_int(item.index, relay->src->handed - 1);
    }
    return NULL;
}

TEST(stream_within, it_may_go_from_thread_to_thread) {
    struct source src = {.n = SIZE_MAX};
    executor_t *ex = pool(2);
    struct relay relay = {stream_of(ex, &src, plus_one, NULL), &src};
    for (int i = 0; i < 20; i++) {
        finish(start(take_ten, &relay));
        take_ten(&relay);
    }
    exec_stream_close(relay.s);
    executor_destroy(ex);
}

/* ---- on a full executor ---- */

static const enum executor_when_full policies[] = {EXECUTOR_BLOCK, EXECUTOR_REJECT, EXECUTOR_CALLER_RUNS,
                                                   EXECUTOR_DROP_OLDEST};

static executor_t *narrow(int policy, bool own) {
    return pool_of(
        (executor_opts){.workers = 2, .capacity = 1, .when_full = policies[policy], .on_start = own ? no_hook : NULL});
}

struct outsider {
    executor_t *ex;
    atomic_int tid;
    atomic_bool over;
};

static void *consume_outside(void *arg) {
    struct outsider *outsider = arg;
    atomic_store(&outsider->tid, gettid());
    consumes(outsider->ex, 1000);
    atomic_store(&outsider->over, true);
    return NULL;
}

TEST(stream_within, a_full_queue_loses_no_item_and_no_task_for_one) {
    for (int policy = 0; policy < 4; policy++)
        for (int own = 0; own < 2; own++) {
            struct plug a = PLUG, b = PLUG;
            struct outsider outsider = {.ex = narrow(policy, own)};
            future_t *fa = plug_in(outsider.ex, &a), *fb = plug_in(outsider.ex, &b);
            future_t *queued = submit(outsider.ex, identity, &a);
            pthread_t thread = start(consume_outside, &outsider);
            wait_until(atomic_load(&outsider.over) ||
                       (atomic_load(&outsider.tid) && sleeps(atomic_load(&outsider.tid))));
            eq_state(queued, FUTURE_PENDING);
            plug_out(&a), plug_out(&b);
            finish(thread);
            eq_ptr(take(queued), &a);
            take(fa), take(fb);
            executor_destroy(outsider.ex);
        }
}

static void *crowd_in(void *arg) {
    struct outsider *outsider = arg;
    while (!atomic_load(&outsider->over)) {
        int error = executor_submit(outsider->ex, identity, NULL, NULL, NULL);
        check(error == 0 || error == EAGAIN);
    }
    return NULL;
}

TEST(stream_within, producers_that_crowd_the_queue_take_nothing_from_a_stream) {
    for (int policy = 0; policy < 4; policy++)
        for (int own = 0; own < 2; own++) {
            struct outsider outsider = {.ex = narrow(policy, own)};
            pthread_t thread = start(crowd_in, &outsider);
            for (int i = 0; i < 10; i++)
                consumes(outsider.ex, 300);
            atomic_store(&outsider.over, true);
            finish(thread);
            executor_destroy(outsider.ex);
        }
}

static void *is_not_on(void *arg) {
    check(gettid() != test_thread);
    return plus_one(arg);
}

TEST(stream_within, a_consumer_from_outside_only_waits_where_items_need_the_executors_own_threads) {
    const executor_opts opts[] = {{.workers = 2, .on_start = no_hook}, {.workers = 1, .stack_size = 1 << 20}};
    for (int i = 0; i < 4; i++) {
        struct source src = {.n = 500};
        executor_t *ex = pool_of(opts[i % 2]);
        exec_stream_opts how = {.unordered = i / 2};
        eq_err(take_all(stream_of(ex, &src, is_not_on, &how), &src), 0);
        eq_int(src.handed, 500);
        executor_destroy(ex);
    }
}

/* ---- errno ---- */

static void *spoil_errno(void *arg) {
    errno = 77;
    return plus_one(arg);
}

TEST(stream_within, errno_is_left_alone) {
    struct source src = {.n = 300};
    exec_item item;
    executor_t *ex = pool(2);
    errno = 1234;
    eq_err(exec_stream_open(ex, NULL, NULL, spoil_errno, NULL, NULL), EINVAL);
    exec_stream_t *s = stream_of(ex, &src, spoil_errno, NULL), *unread = stream_of(ex, &src, spoil_errno, NULL);
    eq_int(errno, 1234);
    while (next_item(s, &src, &item))
        eq_int(errno, 1234);
    eq_int(errno, 1234);
    exec_stream_close(s);
    exec_stream_close(unread);
    eq_int(errno, 1234);
    executor_destroy(ex);
}
