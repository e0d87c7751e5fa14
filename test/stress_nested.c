/* stress_nested.c - tasks that wait for their children: fork-join, random trees, deep recursion.
 *
 * Trees of tasks are computed on one to eight workers, each inner node joining its children in one of several ways,
 * while threads outside get the same futures; the sums must be right, and no wait in a tree may be taken for a
 * deadlock.
 */
#include "stress.h"

enum { MAX_WORKERS = 8, GETTERS = 2, BAG = 64 };

static atomic_uint_fast64_t total_tasks, total_shared;

/* ---- a bag, through which tasks hand futures to the getters outside ---- */

struct shared_future {
    future_t *f; /* a reference of its own */
    uint64_t expected;
};

static struct {
    pthread_mutex_t lock;
    unsigned n;
    bool over;
    struct shared_future items[BAG]; /* all under lock */
} bag = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void share(future_t *f, uint64_t expected) {
    pthread_mutex_lock(&bag.lock);
    if (bag.n < BAG)
        bag.items[bag.n++] = (struct shared_future){future_ref(f), expected};
    pthread_mutex_unlock(&bag.lock);
}

static bool take_shared(struct shared_future *out, bool *over) {
    pthread_mutex_lock(&bag.lock);
    bool some = bag.n > 0;
    if (some)
        *out = bag.items[--bag.n];
    *over = bag.over;
    pthread_mutex_unlock(&bag.lock);
    return some;
}

static void bag_is_over(bool over) {
    pthread_mutex_lock(&bag.lock);
    bag.over = over;
    pthread_mutex_unlock(&bag.lock);
}

static void check_result(future_t *f, uint64_t expected) {
    void *result = NULL;
    CHECK_ERROR(future_get(f, &result), 0);
    CHECK_EQ((uintptr_t)result, expected);
}

static void *getter(void *arg) {
    struct stress_rng rng = stress_rng_of(500 + (uintptr_t)arg);
    struct shared_future s;
    for (bool over = false; !over;) {
        stress_doing("outside getter", (uintptr_t)arg, 0);
        while (take_shared(&s, &over)) {
            if (stress_percent(&rng, 30))
                CHECK_ERROR(future_wait(s.f, exec_after(EXEC_US(stress_below(&rng, 50)))), 0, ETIMEDOUT);
            if (stress_percent(&rng, 30))
                CHECK_ERROR(exec_wait(&s.f, 1, 1, EXEC_NEVER), 0);
            check_result(s.f, s.expected);
            future_unref(s.f);
            atomic_fetch_add_explicit(&total_shared, 1, memory_order_relaxed);
        }
        stress_pause(&rng);
    }
    stress_leave();
    return NULL;
}

/* ---- fork-join ---- */

static executor_t *pool;

static uint64_t fib(unsigned n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static void *fib_task(void *arg) {
    uintptr_t n = (uintptr_t)arg, other = 0;
    void *result;
    future_t *f;
    if (n < 2)
        return arg;
    CHECK_ERROR(executor_submit(pool, fib_task, (void *)(n - 1), NULL, &f), 0);
    if (n == 9)
        share(f, fib(8));
    other = (uintptr_t)fib_task((void *)(n - 2));
    CHECK_ERROR(future_get(f, &result), 0);
    future_unref(f);
    atomic_fetch_add_explicit(&total_tasks, 1, memory_order_relaxed);
    return (void *)((uintptr_t)result + other);
}

/* ---- random trees: a node's number decides everything, so that its sum is known without the pool ---- */

enum { MAX_CHILDREN = 4 };

static uint64_t node_of(uint64_t parent, unsigned child, unsigned depth) {
    return (stress_mix64(parent * 31 + child) & ~UINT64_C(0xff)) | depth;
}

static unsigned children_of(uint64_t node) {
    unsigned depth = node & 0xff;
    return depth == 0 ? 0 : (unsigned)(node >> 8) % (MAX_CHILDREN + 1);
}

static uint64_t weight_of(uint64_t node) {
    return 1 + (node >> 16) % 7;
}

static uint64_t sum_of(uint64_t node) {
    uint64_t sum = weight_of(node);
    for (unsigned i = children_of(node); i > 0; i--)
        sum += sum_of(node_of(node, i, (node & 0xff) - 1));
    return sum;
}

static void *tree_task(void *arg);

/* Joins the children one by one, first or last first, with a deadline first, all at once, or by k of n. */
static void join_children(uint64_t node, future_t *fs[], unsigned n) {
    switch ((node >> 24) % 5) {
    case 0: break;
    case 1: CHECK_ERROR(exec_wait(fs, n, n, EXEC_NEVER), 0); break;
    case 2: CHECK_ERROR(exec_wait(fs, n, (n + 1) / 2, EXEC_NEVER), 0); break;
    case 3: CHECK_ERROR(exec_wait(fs, n, n > 0, exec_after(EXEC_US(node >> 32 & 63))), 0, ETIMEDOUT); break;
    default:
        for (unsigned i = 0; i < n; i++)
            CHECK_ERROR(future_wait(fs[i], exec_after(EXEC_US(node >> 40 & 31))), 0, ETIMEDOUT);
    }
}

static uint64_t get_children(uint64_t node, future_t *fs[], unsigned n) {
    uint64_t sum = 0;
    for (unsigned k = 0; k < n; k++) {
        unsigned i = (node >> 30) % 2 ? k : n - 1 - k;
        void *result = NULL;
        CHECK_ERROR(future_get(fs[i], &result), 0);
        sum += (uintptr_t)result;
        future_unref(fs[i]);
    }
    return sum;
}

static void *map_item(void *arg) {
    return tree_task(arg);
}

static uint64_t map_children(void *children[], unsigned n) {
    uint64_t sum = 0;
    CHECK_ERROR(executor_map(pool, map_item, children, children, n, NULL), 0);
    for (unsigned i = 0; i < n; i++)
        sum += (uintptr_t)children[i];
    return sum;
}

static void *tree_task(void *arg) {
    uint64_t node = (uintptr_t)arg;
    unsigned n = children_of(node);
    future_t *fs[MAX_CHILDREN];
    void *children[MAX_CHILDREN];
    atomic_fetch_add_explicit(&total_tasks, 1, memory_order_relaxed);
    for (unsigned i = 0; i < n; i++)
        children[i] = (void *)(uintptr_t)node_of(node, i + 1, (node & 0xff) - 1);
    if ((node >> 44) % 4 == 0)
        return (void *)(uintptr_t)(weight_of(node) + map_children(children, n));
    for (unsigned i = 0; i < n; i++)
        CHECK_ERROR(executor_submit(pool, tree_task, children[i], NULL, &fs[i]), 0);
    if (n > 0 && (node >> 50) % 16 == 0)
        share(fs[0], sum_of((uintptr_t)children[0]));
    join_children(node, fs, n);
    return (void *)(uintptr_t)(weight_of(node) + get_children(node, fs, n));
}

static void root(exec_fn *fn, uint64_t arg, uint64_t expected) {
    future_t *f;
    CHECK_ERROR(executor_submit(pool, fn, (void *)(uintptr_t)arg, NULL, &f), 0);
    share(f, expected);
    check_result(f, expected);
    future_unref(f);
}

/* ---- deep recursion: to a thousand it must work, to ten thousand it may end in ENOMEM ---- */

#ifdef STRESS_UNDER_TSAN
enum { VERY_DEEP = 5000 }; /* which counts 65,536 frames at most */
#else
enum { VERY_DEEP = 10000 };
#endif

#ifdef __GLIBC__
enum { STACK = 0 }; /* the system's, of 8 MiB */
#else
enum { STACK = 8 << 20 }; /* musl's are of 128 KiB, which is less than 1000 deep */
#endif

static void *deep_task(void *arg) {
    future_t *f;
    void *result = NULL;
    if (!arg)
        return NULL;
    int error = executor_submit(pool, deep_task, (void *)((uintptr_t)arg - 1), NULL, &f);
    CHECK_ERROR(error, 0, ESHUTDOWN); /* one that nobody waits for any more may be that late */
    if (error == 0) {
        error = future_get(f, &result);
        future_unref(f);
    }
    return error ? exec_fail(error) : (void *)((uintptr_t)result + 1);
}

static void deep_round(uintptr_t depth) {
    future_t *f;
    void *result = NULL;
    stress_doing("deep recursion", depth, executor_workers(pool));
    CHECK_ERROR(executor_submit(pool, deep_task, (void *)depth, NULL, &f), 0);
    int error = future_get(f, &result);
    if (depth <= 1000)
        CHECK_ERROR(error, 0);
    else
        CHECK_ERROR(error, 0, ENOMEM);
    if (error == 0)
        CHECK_EQ((uintptr_t)result, depth);
    future_unref(f);
}

static void trees_round(struct stress_rng *rng, unsigned workers) {
    pthread_t getters[GETTERS];
    CHECK_ERROR(executor_create(&(executor_opts){.workers = workers, .capacity = 16, .stack_size = STACK}, &pool), 0);
    bag_is_over(false);
    for (uintptr_t i = 0; i < GETTERS; i++)
        stress_start(&getters[i], getter, (void *)i);
    for (int i = 0; i < 4; i++) {
        unsigned n = 14 + stress_below(rng, 5);
        stress_doing("fib", workers, n);
        root(fib_task, n, fib(n));
    }
    for (int i = 0; i < 20; i++) {
        uint64_t node = node_of(stress_next(rng), 0, 5 + stress_below(rng, 3));
        stress_doing("tree", workers, node);
        root(tree_task, node, sum_of(node));
    }
    deep_round(1000);
    deep_round(VERY_DEEP);
    bag_is_over(true);
    stress_doing("joining the getters", workers, 0);
    for (int i = 0; i < GETTERS; i++)
        pthread_join(getters[i], NULL);
    executor_destroy(pool);
}

int main(int argc, char **argv) {
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    for (size_t round = stress_scaled(24); round > 0; round--)
        trees_round(&rng, 1 + (unsigned)round % MAX_WORKERS);
    stress_leave();
    CHECK_OP(atomic_load(&total_shared), >, 0);
    double seconds = stress_end();
    printf("stress_nested: %" PRIu64 " tasks in trees, %" PRIu64 " futures got outside, %.1f s\n",
           (uint64_t)total_tasks, (uint64_t)total_shared, seconds);
    return 0;
}
