/* parking.pml - the parking protocol: producers, workers that sleep, and threads that borrow their seats.
 *
 * Producers outside put tasks into the queue; a task may submit another one, to the deque of the seat that it runs in;
 * a thread from outside borrows a free seat, takes a task out of the queue if there is one, and runs it. Workers do
 * what next_task() does: pick, search, park.
 *
 * Every access to shared memory is a step, but for these:
 * - A container (queue, deques; inbox and lanes are like the queue) is the number of tasks in it, put and taken in
 *   one step: how that is done is queue.pml's and deque.pml's subject. Both publish by one sequentially consistent
 *   access, and are seen to be empty by one.
 * - A loop of compare-and-swaps on `idle` whose next value depends on the word alone is one step, the one that
 *   succeeds or finds nothing to do: what comes before has no effect. (free_seat() writes below[] first, of a seat
 *   that nobody else has.) So take_seat() alone has its load and its compare-and-swap apart. Its look at below[]
 *   is one with the load: the holder of a seat writes that, so it has changed only if the tag has.
 * - A look at `idle` before such a loop that may skip it (exec__pool_wake()) is one with it, as is the post that
 *   follows the count of a searcher: whom it wakes may be as late as the post.
 * - A search is one pick(), not up to 200 looks: who looks more often does no less.
 * Instead of the tag in `idle` a bit says of each thread whether the tag is still the one that it has read, which is
 * the same for a tag that never comes round.
 *
 * On duty is a thread that is neither asleep nor in a task's function, or that submits something in there. Whoever
 * goes off duty looks, for the sake of the model, whether the library still owes something: while there is work, and a
 * seat free, somebody must be on duty, or a post be on the way.
 *
 * Functions lib/pool.c: pop take_seat free_seat wake exec__pool_wake_one exec__pool_has_work exec__search_begin
 * Functions lib/pool.c: exec__search_end exec__pool_park exec__seat_borrow exec__seat_return sleep_until_posted
 * Functions lib/pool.h: exec__pool_wake
 * Functions lib/worker.c: next_task search_for pick_in_turn from_others
 * Functions lib/submit.c: append_own try_put_in_ring
 * Functions lib/claim.c: run_from_outside start_from_outside
 *
 * Bounds: 2 workers, so that each can be asleep, search, be woken, or be busy while the other is anything of that, and
 * one borrower: so all seats can be taken while a worker is on its way, and one can go and come back while a third
 * thread is about to take it. 3 tasks from outside are more than there are seats. Children only without a borrower, or
 * with fewer tasks. 3 workers, with two searchers allowed, so that one that searches and one that has been woken meet.
 * For the tag, that is the stack alone, four borrowers at three seats: with fewer seats its top and its height
 * determine it. The end of it all is in shutdown.pml.
 *
 * Shown: there is never work and a free seat with nobody on duty and no post on the way, so no wake-up is lost,
 * however long the tasks take that run. A seat has one holder. Posts of the semaphore are never more than the
 * searchers that are counted; and who adds work posts only when none is outstanding: at most one wake-up is in flight
 * because of producers. With -DLIVENESS: under weak fairness all tasks are taken in the end. (That all threads come to
 * rest is more than weak fairness gives: one in wake(2) posts again whenever the one that it has woken finds nothing
 * and sleeps again before its next compare-and-swap, which only a scheduler that is in league with that goes on with.)
 *
 * Not shown: weaker memory. All accesses that matter are sequentially consistent, and the argument in pool.c needs no
 * more than their single order; below[] is relaxed, and stale only if the tag is (the compare-and-swap on idle, which
 * publishes it, is a release and an acquire). MUTATION_PUBLISH_FIRST is what a publication by a weaker store could
 * come to. test/stress_wakeup.c is run under ThreadSanitizer.
 *
 * Left out, by mutations: the last look of who has freed a seat (LAST_LOOK); a searcher's look for more when it has
 * found a task (LOOK_FOR_MORE); a look by who was woken and found no seat (LOOK_WITHOUT_SEAT), or its uncounting
 * (UNCOUNT); a borrower's look (LOOK_ON_RETURN); that a task is published before idle is read (PUBLISH_FIRST); that a
 * searcher is counted before the post (COUNT_FIRST); the tag (TAG).
 *
 * Run: holds
 * Run: holds -DTASKS=2 -DBORROWS=2
 * Run: holds -DTASKS=3 -DCHILDREN=2 -DBORROWS=0
 * Run long: holds -DTASKS=2 -DCHILDREN=1
 * Run long: holds -DWORKERS=3 -DLIMIT=2 -DTASKS=2 -DBORROWS=0
 * Run long: holds -DWORKERS=3 -DBORROWERS=4 -DASLEEP -DTASKS=0
 * Run long: holds -DLIVENESS -DTASKS=2
 * Run: holds -DLIVENESS -DTASKS=1 -DCHILDREN=1 -DBORROWS=0
 * Run: assertion -DMUTATION_LAST_LOOK
 * Run: assertion -DMUTATION_LOOK_FOR_MORE
 * Run: assertion -DMUTATION_LOOK_WITHOUT_SEAT
 * Run: assertion -DMUTATION_LOOK_ON_RETURN
 * Run: assertion -DMUTATION_PUBLISH_FIRST
 * Run: assertion -DMUTATION_COUNT_FIRST
 * Run: assertion -DMUTATION_UNCOUNT
 * Run: assertion -DMUTATION_TAG -DWORKERS=3 -DBORROWERS=4 -DBORROWS=2 -DASLEEP -DTASKS=0
 */
#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef LIMIT
#define LIMIT 1 /* search_limit: half the workers */
#endif
#ifndef TASKS
#define TASKS 3
#endif
#ifndef CHILDREN
#define CHILDREN 0
#endif
#ifndef BORROWS
#define BORROWS 1
#endif
#ifndef BORROWERS
#define BORROWERS 1
#endif

/* The word idle; seats are numbered from 1, top 0 is none. */
byte top, free, searching;
byte fresh; /* bit i: process i has read idle, and its tag has not changed since */
byte below[WORKERS + 1];
bool held[WORKERS + 1];
byte posts; /* the semaphore */

byte queue, deque[WORKERS + 1];
byte queued; /* in all of those; for what is asserted only, as are the next two */
byte in_tasks;
#ifdef ASLEEP
byte on_duty;
#else
byte on_duty = WORKERS;
#endif
byte children = CHILDREN;
bool produced;

#define OVER (produced && queued == 0 && in_tasks == 0)

inline off_duty() {
    on_duty--;
    assert(on_duty > 0 || posts > 0 || queued == 0 || free == 0)
}

/* --- the word idle --- */

#define ME (1 << _pid)

#define LOAD(none) \
    if \
    :: top == 0 -> forget(); goto none \
    :: else -> \
        l_top = top; \
        l_below = below[top]; \
        l_searching = searching; \
        l_free = free; \
        fresh = fresh | ME \
    fi

inline forget() {
    l_top = 0;
    l_below = 0;
    l_searching = 0;
    l_free = 0;
    fresh = fresh & ~ME
}

#ifdef MUTATION_TAG
#define SAME (l_top == top && l_searching == searching && l_free == free)
#else
#define SAME ((fresh & ME) != 0 && l_searching == searching)
#endif

#define TAKE_SEAT(more, none) \
    atomic { LOAD(none) } \
    do \
    :: atomic { \
            if \
            :: SAME -> \
                assert(!held[l_top]); \
                held[l_top] = true; \
                seat = l_top; \
                top = l_below; \
                free--; \
                assert((top == 0) == (free == 0)); \
                searching = searching + more; \
                fresh = 0; \
                forget(); \
                break \
            :: else -> LOAD(none) \
            fi \
        } \
    od

inline free_seat(less) {
    atomic {
        assert(held[seat]);
        held[seat] = false;
        below[seat] = top;
        top = seat;
        free++;
        fresh = 0;
        seat = 0;
        searching = searching - less;
    }
}

inline post() {
    posts++;
    assert(posts <= searching)
}

/* Also as exec__pool_wake_one(), exec__pool_wake(). */
inline wake(wanted) {
#ifdef MUTATION_COUNT_FIRST
    atomic {
        if
        :: top != 0 && searching < wanted -> post()
        :: else
        fi
    }
#endif
    do
    :: atomic {
            if
            :: top != 0 && searching < wanted ->
                assert(wanted > 1 || posts == 0);
                searching++;
#ifndef MUTATION_COUNT_FIRST
                post();
#endif
                if
                :: searching >= wanted -> break
                :: else
                fi
            :: else -> break
            fi
        }
    od
}

/* --- work --- */

inline publish(container) {
    container++;
    queued++
}

inline put(container) {
#ifdef MUTATION_PUBLISH_FIRST
    atomic { on_duty++; idle_needs_wake = top != 0 && searching == 0 }
    atomic { publish(container) }
    if
    :: idle_needs_wake -> idle_needs_wake = false; wake(1)
    :: else
    fi;
#else
    atomic { on_duty++; publish(container) }
    wake(1);
#endif
    atomic { off_duty() }
}

#if CHILDREN
#define LAST WORKERS
#else
#define LAST 0 /* no deque is ever used */
#endif

#define HAS_WORK(some) \
    do \
    :: atomic { \
            if \
            :: i == 0 && queue > 0 -> goto some \
            :: i > 0 && deque[i] > 0 -> i = 0; goto some \
            :: else -> \
                if \
                :: i == LAST -> i = 0; break \
                :: else -> i++ \
                fi \
            fi \
        } \
    od

/* pick_in_turn(), from_others(): own deque, queue, other deques. */
#if CHILDREN
#define VICTIM(n) ((seat + (n) - 1) % WORKERS + 1)

#define PICK(done) \
    do \
    :: atomic { \
            if \
            :: i != 1 && deque[VICTIM(i - (i > 0))] > 0 -> \
                deque[VICTIM(i - (i > 0))]--; \
                queued--; \
                i = 0; \
                goto done \
            :: i == 1 && queue > 0 -> \
                queue--; \
                queued--; \
                i = 0; \
                goto done \
            :: else -> \
                if \
                :: i == LAST -> i = 0; break \
                :: else -> i++ \
                fi \
            fi \
        } \
    od
#else
#define PICK(done) \
    atomic { \
        if \
        :: queue > 0 -> queue--; queued--; goto done \
        :: else \
        fi \
    }
#endif

inline call() {
    atomic { in_tasks++; off_duty() }
#if CHILDREN
    if
    :: true
    :: atomic { children > 0 -> children-- } put(deque[seat])
    fi;
#endif
    atomic { in_tasks--; on_duty++ }
}

/* --- the threads --- */

#ifdef ASLEEP
init {
    atomic {
        free = WORKERS;
        do
        :: top < WORKERS -> below[top + 1] = top; top++
        :: else -> break
        od
    }
}

#define READY (free > 0)
#else
#define READY true

active [WORKERS] proctype Worker() {
    byte seat = _pid + 1, l_top, l_searching, l_free, l_below;
    byte i;
    bool counts; /* as a searcher */
#ifdef MUTATION_PUBLISH_FIRST
    bool idle_needs_wake;
#endif
    held[seat] = true;
    goto next_task;
task:
    call();
next_task:
    PICK(task);
    atomic { /* exec__search_begin() */
        if
        :: searching < LIMIT -> searching++
        :: else -> goto park
        fi
    }
search:
    PICK(search_end);
    counts = true;
park:
    free_seat(counts);
    counts = false;
look:
#ifndef MUTATION_LAST_LOOK
    HAS_WORK(take);
#endif
    goto sleep;
take:
    TAKE_SEAT(1, sleep);
    goto search;
sleep:
    atomic { off_duty() }
    atomic {
        if
        :: posts > 0 -> posts--; on_duty++
        :: OVER -> goto end
        fi
    }
    TAKE_SEAT(0, without);
    goto search;
without:
#ifndef MUTATION_UNCOUNT
    searching--;
#endif
#ifdef MUTATION_LOOK_WITHOUT_SEAT
    goto sleep;
#else
    goto look;
#endif
search_end:
    atomic {
        searching--;
        if
        :: searching == 0 && top != 0
        :: else -> goto task
        fi
    }
#ifndef MUTATION_LOOK_FOR_MORE
    HAS_WORK(more);
#endif
    goto task;
more:
    wake(2);
    goto task;
end:
    skip
}
#endif

active proctype Producer() {
    byte n;
#ifdef MUTATION_PUBLISH_FIRST
    bool idle_needs_wake;
#endif
    do
    :: n < TASKS -> n++; put(queue)
    :: else -> break
    od;
    produced = true
}

#if BORROWS
active [BORROWERS] proctype Borrower() {
    byte seat, i, l_top, l_searching, l_free, l_below, n;
#ifdef MUTATION_PUBLISH_FIRST
    bool idle_needs_wake;
#endif
    READY;
    do
    :: n < BORROWS ->
        atomic { n++; on_duty++ }
        TAKE_SEAT(0, none);
        atomic { /* start_from_outside() */
            if
            :: queue > 0 -> queue--; queued--
            :: else -> goto give_back
            fi
        }
        call();
give_back:
        free_seat(0);
#ifndef MUTATION_LOOK_ON_RETURN
        HAS_WORK(more);
#endif
        goto none;
more:
        wake(1);
none:
        atomic { off_duty() }
    :: else -> break
    od
}
#endif

#ifdef LIVENESS
ltl all_taken { <> OVER }
#endif
