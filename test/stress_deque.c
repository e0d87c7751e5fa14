/* stress_deque.c - white box: a deque's owner against its thieves.
 *
 * The owner pushes items in bursts, takes back the newest, and asks in vain for ones that are not the newest; thieves
 * steal all the time. Items come back and are pushed again, so that the same pointer lies in the deque more than once
 * in its life. Each push must be followed by exactly one take or steal, thieves must see the oldest first, and bursts
 * of random length make the ring grow under the thieves' hands; each round begins with a small one.
 */
#include "stress.h"

#include "../lib/deque.h"

enum { MAX_THIEVES = 3, ITEMS = 5000 };

struct item {
    atomic_bool inside; /* set by the owner's push, cleared by whoever obtains it */
    uint64_t push;      /* the number of its last push; handed over by the deque and by `inside` */
    struct item *next;  /* in the list of whoever obtained it */
};

struct arena {
    struct exec__deque deque;
    struct item items[ITEMS];
    atomic_bool over;
    atomic_uint_fast64_t obtained;
    _Atomic(struct item *) returned; /* a stack of stolen items; the owner takes all of them at once */
    uint64_t pushed, taken, refused; /* the owner's */
};

struct thief {
    struct arena *arena;
    pthread_t thread;
    unsigned number;
    uint64_t stolen, lost;
};

static void obtain(struct arena *a, struct item *item) {
    CHECK(atomic_exchange(&item->inside, false));
    atomic_fetch_add_explicit(&a->obtained, 1, memory_order_relaxed);
}

static void give_back(struct arena *a, struct item *item) {
    item->next = atomic_load(&a->returned);
    while (!atomic_compare_exchange_weak(&a->returned, &item->next, item)) {
    }
}

static bool steal_one(struct thief *t, uint64_t *last_push) {
    bool lost = false;
    struct item *item = exec__deque_steal(&t->arena->deque, &lost);
    t->lost += lost;
    if (!item)
        return false;
    CHECK(!lost);
    CHECK_OP(item->push, >, *last_push);
    *last_push = item->push;
    obtain(t->arena, item);
    give_back(t->arena, item);
    t->stolen++;
    return true;
}

static void *thief(void *arg) {
    struct thief *t = arg;
    struct stress_rng rng = stress_rng_of(100 + t->number);
    uint64_t last_push = 0;
    stress_doing("thief", t->number, 0);
    while (!atomic_load(&t->arena->over)) {
        for (unsigned n = stress_below(&rng, 200); n > 0; n--)
            steal_one(t, &last_push);
        stress_pause(&rng);
    }
    stress_leave();
    return NULL;
}

/* The owner's own free items, and those the thieves have brought back. */
static struct item *free_item(struct arena *a, struct item **mine) {
    if (!*mine)
        *mine = atomic_exchange(&a->returned, NULL);
    struct item *item = *mine;
    if (item)
        *mine = item->next;
    return item;
}

static bool push_one(struct arena *a, struct item **mine, struct item **newest) {
    struct item *item = free_item(a, mine);
    if (!item)
        return false;
    CHECK(!atomic_load(&item->inside));
    item->push = ++a->pushed;
    atomic_store(&item->inside, true);
    CHECK_EQ(exec__deque_push(&a->deque, item), 0);
    *newest = item;
    return true;
}

static bool take_one(struct arena *a, struct item **mine, struct item *item) {
    if (!exec__deque_take(&a->deque, item)) {
        a->refused++;
        return false;
    }
    obtain(a, item);
    item->next = *mine;
    *mine = item;
    a->taken++;
    return true;
}

/* Pushes a burst, remembering it, and takes back some of it, the newest first. */
static void burst(struct arena *a, struct stress_rng *rng, struct item **mine) {
    static struct item *pushed[ITEMS];
    unsigned n = 0, want = stress_percent(rng, 2) ? stress_below(rng, ITEMS) : 1 + stress_below(rng, 3);
    while (n < want && push_one(a, mine, &pushed[n]))
        n++;
    if (n > 1 && stress_percent(rng, 30))
        CHECK(!exec__deque_take(&a->deque, pushed[n - 2])); /* not the newest */
    if (n > 0)
        CHECK(!exec__deque_take(&a->deque, a)); /* never pushed */
    unsigned keep = stress_below(rng, n + 1);
    while (n > keep && take_one(a, mine, pushed[n - 1]))
        n--;
    if (stress_percent(rng, 2))
        stress_pause(rng);
}

/* What the thieves have left: the owner is alone now, so it must find exactly that. */
static uint64_t drain(struct arena *a) {
    uint64_t n = 0, last = 0;
    bool lost = false;
    for (struct item *item; (item = exec__deque_steal(&a->deque, &lost)) != NULL; n++) {
        CHECK_OP(item->push, >, last);
        last = item->push;
        obtain(a, item);
    }
    CHECK(!lost);
    CHECK(exec__deque_empty(&a->deque));
    return n;
}

static uint64_t play(unsigned nthieves, uint64_t pushes, uint64_t *stolen, uint64_t *lost) {
    struct arena *a = aligned_alloc(64, (sizeof *a + 63) / 64 * 64);
    CHECK(a);
    memset(a, 0, sizeof *a);
    struct thief thieves[MAX_THIEVES] = {{0}};
    struct stress_rng rng = stress_rng_of(nthieves);
    struct item *mine = NULL;
    for (size_t i = 0; i < ITEMS; i++) {
        a->items[i].next = mine;
        mine = &a->items[i];
    }
    CHECK_EQ(exec__deque_init(&a->deque), 0);
    CHECK(exec__deque_empty(&a->deque));
    for (unsigned i = 0; i < nthieves; i++) {
        thieves[i] = (struct thief){.arena = a, .number = i};
        stress_start(&thieves[i].thread, thief, &thieves[i]);
    }
    stress_doing("owner", nthieves, pushes);
    while (a->pushed < pushes)
        burst(a, &rng, &mine);
    atomic_store(&a->over, true);
    uint64_t by_thieves = 0;
    for (unsigned i = 0; i < nthieves; i++) {
        pthread_join(thieves[i].thread, NULL);
        by_thieves += thieves[i].stolen;
        *lost += thieves[i].lost;
    }
    uint64_t left = drain(a);
    CHECK_EQ(a->taken + by_thieves + left, a->pushed);
    CHECK_EQ(atomic_load(&a->obtained), a->pushed);
    exec__deque_destroy(&a->deque);
    *stolen += by_thieves;
    uint64_t all = a->pushed;
    free(a);
    return all;
}

int main(int argc, char **argv) {
    stress_begin(argc, argv, 0);
    uint64_t pushed = 0, stolen = 0, lost = 0;
    for (unsigned round = 0; round < 80; round++)
        for (unsigned thieves = 1; thieves <= MAX_THIEVES; thieves++)
            pushed += play(thieves, stress_scaled(60000), &stolen, &lost);
    CHECK(stolen > 0);
    double seconds = stress_end();
    printf("stress_deque: %" PRIu64 " pushes, %" PRIu64 " stolen, %" PRIu64 " races lost, none twice, %.1f s\n", pushed,
           stolen, lost, seconds);
    return 0;
}
