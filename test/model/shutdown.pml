/* shutdown.pml - shutting down against submitting, and the end of a pool.
 *
 * Two workers; one thread from outside that submits a task to the queue; with HOLDER, one that puts a task past the
 * queue, into the inbox or a LANE, while it holds the pool: its submitter, or, LATE, a timer or limiter, for a task
 * that was accepted before; with VISITOR, one that has a future of the first task, and runs it in a seat that it
 * borrows, if it finds it PENDING, whether or not the pool still is; and one that shuts down, joins and destroys the
 * pool. The first task, when it runs in a seat, submits a third one, to the deque of that seat. With DISCARD, what has
 * not started is cancelled.
 *
 * Every access to shared memory is a step, but for these. A seat is taken, and freed, in one step, in no order
 * (parking.pml has the stack), and so is a searcher counted, and a post made with its count; a bit says whether the
 * tag in `idle` is still the one that end_if_over() has read. What is in the queue, in a deque, past the queue, is put
 * there and taken out in one step, with its future's state: future.pml has that. A worker does not search, but frees
 * its seat when pick() has found nothing; it looks again then, as parking.pml does.
 *
 * Functions lib/executor.c: executor_shutdown mark_closed executor_request_shutdown executor_join executor_destroy
 * Functions lib/pool.c: end_if_over exec__pool_park exec__seat_return exec__pool_hold exec__pool_let_go
 * Functions lib/pool.c: exec__pool_enter exec__pool_leave exec__pool_has_work
 * Functions lib/submit.c: submit_from_outside submit_own prepare_own append_own put_past_queue put_in_lane
 * Functions lib/worker.c: exec__entry_accept exec__pool_discard exec__seat_discard exec__workers_join
 * Functions lib/claim.c: run_from_outside start_from_outside start_past_entry
 *
 * Bounds: two workers, so that one can be about to end it all while another is woken, and seats can be lent. One task
 * of each kind. Of the others than workers, submitter and destroyer, one at a time: with all of them there are too
 * many states; they meet in nothing but the counts `held` and `visitors` and the work, of which each adds its own.
 *
 * Shown: when the pool is freed, every task that was accepted has been run, or cancelled with DISCARD, once, and
 * nothing lies anywhere; the workers leave, once nothing is left to be done, and then all threads come to their end;
 * nobody touches the pool, but for its count of visitors, after it was freed. When executor_shutdown() has discarded,
 * and the submitter of the third task has looked, it does not lie in a deque.
 *
 * Not shown: weaker memory. All accesses here are sequentially consistent but prepare_own()'s look at `closed`, whose
 * holder has a seat, without which the pool cannot end. Blocked producers, whom executor_request_shutdown() cannot
 * wake, look again by themselves. test/stress_lifecycle.c and stress_late.c are run under ThreadSanitizer.
 *
 * Left out, by mutations: that the queue is closed before `closed` is set, which lets the pool end
 * (TAIL_CLOSED_FIRST); that the bit in tail decides between a put and the close (CLOSED_IN_TAIL); the tag in the last
 * step (TAG); that a pool is held while something is put past its queue (HOLD), that `held` is looked at before the
 * work is (HELD_FIRST), and that a worker is woken when it is let go (LET_GO_WAKES); that whoever lets a pool go as a
 * task that was held comes to be due counts as a visitor (LATE_VISITOR); that a visitor counts before it looks at its
 * task (VISITOR_COUNTS), and is waited for (DESTROY_WAITS); that who gives a seat back sees whether all is over
 * (RETURN_ENDS); that executor_shutdown() wakes a worker (SHUTDOWN_WAKES); the look at `discarding` after a push
 * (LOOK_AFTER_PUSH).
 *
 * Run: holds
 * Run: holds -DDISCARD
 * Run: holds -DVISITOR
 * Run long: holds -DHOLDER
 * Run long: holds -DHOLDER -DLANE
 * Run long: holds -DHOLDER -DLATE
 * Run long: holds -DVISITOR -DDISCARD
 * Run long: holds -DHOLDER -DLANE -DDISCARD
 * Run: assertion -DMUTATION_TAIL_CLOSED_FIRST
 * Run: assertion -DMUTATION_CLOSED_IN_TAIL
 * Run long: assertion -DVISITOR -DMUTATION_TAG
 * Run: assertion -DHOLDER -DMUTATION_HOLD
 * Run: assertion -DHOLDER -DMUTATION_HELD_FIRST
 * Run: deadlock -DHOLDER -DLANE -DMUTATION_LET_GO_WAKES
 * Run: assertion -DHOLDER -DLATE -DMUTATION_LATE_VISITOR
 * Run: assertion -DVISITOR -DMUTATION_VISITOR_COUNTS
 * Run: assertion -DVISITOR -DMUTATION_DESTROY_WAITS
 * Run: deadlock -DVISITOR -DMUTATION_RETURN_ENDS
 * Run: deadlock -DMUTATION_SHUTDOWN_WAKES
 * Run: assertion -DDISCARD -DMUTATION_LOOK_AFTER_PUSH
 */
#define WORKERS 2
#define ME (1 << _pid)

/* The tasks, and their bits in what they lie in: from outside, to the queue; past the queue; by the first one, to the
 * deque of the seat that it runs in. */
#define FIRST 0
#define HELD 1
#define THIRD 2
#define BIT(task) (1 << (task))

mtype = { NONE, PENDING, RUNNING, RAN, CANCELLED } /* NONE: not accepted */
mtype state[3] = NONE;

/* Entries. That of a task which was started past it is dead, and stays. */
byte queue, past, deque[WORKERS];
bool tail_closed, closed, discarding;
#ifdef LATE
byte held = 1;
#else
byte held;
#endif
byte visitors;

byte free, searching; /* the word idle, with the next: the tag is still what process i has read */
byte same_tag;
bool over;
bool taken[WORKERS] = true; /* seats */
byte posts;
byte threads = WORKERS;

#if defined(LATE) || !defined(HOLDER)
byte submitters = 1;
#else
byte submitters = 2;
#endif /* who are about to submit */
bool swept, looked;   /* executor_shutdown(), the one who has submitted the third task, with what lies in its deque */
bool freed;           /* the pool */

#define REACH assert(!freed)

/* --- seats --- */

#define TAKE_SEAT(more, none) \
    atomic { \
        REACH; \
        if \
        :: over || free == 0 -> goto none \
        :: !over && free > 0 && !taken[0] -> seat = 0 \
        :: !over && free > 0 && !taken[1] -> seat = 1 \
        fi; \
        taken[seat] = true; \
        free--; \
        searching = searching + more; \
        same_tag = 0 \
    }

inline free_seat(less) {
    atomic {
        REACH;
        assert(taken[seat] && !over);
        taken[seat] = false;
        free++;
        searching = searching - less;
        same_tag = 0
    }
}

inline wake() {
    atomic {
        REACH;
        if
        :: !over && free > 0 && searching == 0 -> searching++; posts++
        :: else
        fi
    }
}

#define GO_IF(what, where) atomic { REACH; if :: what -> goto where :: else fi }

#ifdef HOLDER
#define GO_IF_PAST(some) GO_IF(past != 0, some)
#define TAKE_PAST(done) TAKE(past, done);
#else
#define GO_IF_PAST(some)
#define TAKE_PAST(done)
#endif

#define HAS_WORK(some) \
    GO_IF(queue != 0, some) \
    GO_IF_PAST(some) \
    GO_IF(deque[0] != 0, some) \
    GO_IF(deque[1] != 0, some)

#ifdef MUTATION_TAG
#define SAME (!over && free == WORKERS && searching == 0)
#else
#define SAME (!over && free == WORKERS && searching == 0 && (same_tag & ME) != 0)
#endif

#define END_IF_OVER(not_over) \
    atomic { \
        REACH; \
        if \
        :: over || free != WORKERS || searching != 0 -> goto not_over \
        :: else -> same_tag = same_tag | ME \
        fi \
    } \
    GO_IF(!closed, not_over) \
    HELD_BEFORE(not_over) \
    HAS_WORK(not_over) \
    HELD_AFTER(not_over) \
    atomic { \
        REACH; \
        if \
        :: SAME -> over = true; posts = posts + WORKERS \
        :: else \
        fi \
    }
#ifdef MUTATION_HELD_FIRST
#define HELD_BEFORE(not_over)
#define HELD_AFTER(not_over) GO_IF(held > 0, not_over)
#else
#define HELD_BEFORE(not_over) GO_IF(held > 0, not_over)
#define HELD_AFTER(not_over)
#endif

/* --- tasks --- */

/* Any entry out of there. */
#define TAKE(container, done) \
    atomic { \
        REACH; \
        if \
        :: container & BIT(FIRST) -> t = FIRST; container = container & ~BIT(FIRST); goto done \
        :: container & BIT(HELD) -> t = HELD; container = container & ~BIT(HELD); goto done \
        :: container & BIT(THIRD) -> t = THIRD; container = container & ~BIT(THIRD); goto done \
        :: else \
        fi \
    }

inline revoke(task) {
    atomic {
        if
        :: state[task] == PENDING -> state[task] = CANCELLED
        :: else
        fi
    }
}

/* Takes all there is out of the container, and cancels it. */
inline discard(container) {
    do
    :: atomic { (container & BIT(FIRST)) != 0 -> REACH; container = container & ~BIT(FIRST) } revoke(FIRST)
    :: atomic { (container & BIT(HELD)) != 0 -> REACH; container = container & ~BIT(HELD) } revoke(HELD)
    :: atomic { (container & BIT(THIRD)) != 0 -> REACH; container = container & ~BIT(THIRD) } revoke(THIRD)
    :: atomic { container == 0 -> break }
    od
}

#ifdef DISCARD
#define NOTHING_LEFT assert(!swept || !looked || ((deque[0] | deque[1]) & BIT(THIRD)) == 0)
#else
#define NOTHING_LEFT true
#endif

/* Task t, which this thread has made RUNNING, in its seat. */
#define CALL(finish) \
    assert(state[t] == RUNNING && taken[seat]); \
    if \
    :: t == FIRST \
    :: t != FIRST -> goto finish \
    fi; \
    GO_IF(closed, finish) /* prepare_own(), append_own() */ \
    atomic { REACH; state[THIRD] = PENDING; deque[seat] = deque[seat] | BIT(THIRD) } \
    LOOK_AFTER_PUSH \
    atomic { looked = true; NOTHING_LEFT } \
    wake(); \
finish: \
    state[t] = RAN

#if !defined(DISCARD) || defined(MUTATION_LOOK_AFTER_PUSH)
#define LOOK_AFTER_PUSH
#else
#define LOOK_AFTER_PUSH \
    atomic { REACH; doomed = discarding } \
    if \
    :: doomed -> discard(deque[seat]); doomed = false \
    :: else \
    fi;
#endif

/* exec__entry_accept(): on, or `dead` */
#define ACCEPT(dead) \
    atomic { REACH; doomed = discarding } \
    atomic { \
        if \
        :: state[t] != PENDING -> doomed = false; goto dead \
        :: state[t] == PENDING && doomed -> doomed = false; state[t] = CANCELLED; goto dead \
        :: state[t] == PENDING && !doomed -> state[t] = RUNNING \
        fi \
    }

/* --- the threads --- */

active [WORKERS] proctype Worker() {
    byte seat = _pid, t;
    bool counts, doomed;
next_task:
    TAKE(deque[seat], found);
    TAKE(queue, found);
    TAKE_PAST(found)
    TAKE(deque[1 - seat], found);
    free_seat(counts);
    counts = false;
look:
    HAS_WORK(some);
    END_IF_OVER(sleep);
sleep:
    atomic { posts > 0 -> REACH; posts-- }
    GO_IF(over, end);
    TAKE_SEAT(0, without);
    counts = true;
    goto next_task;
without:
    atomic { REACH; searching-- }
    goto look;
some:
    TAKE_SEAT(1, sleep);
    counts = true;
    goto next_task;
found:
    ACCEPT(dead);
    if
    :: counts ->
        counts = false;
        atomic {
            REACH;
            searching--;
            if
            :: searching == 0 && free > 0
            :: else -> goto call
            fi
        }
        HAS_WORK(more);
        goto call;
more:
        wake()
    :: else
    fi;
call:
    CALL(finish);
dead:
    atomic { t = 0; goto next_task }
end:
    threads--
}

active proctype Submitter() {
#ifdef MUTATION_CLOSED_IN_TAIL
    GO_IF(tail_closed, refused);
    atomic { REACH; state[FIRST] = PENDING; queue = queue | BIT(FIRST) }
#else
    atomic {
        REACH;
        if
        :: tail_closed -> goto refused
        :: else -> state[FIRST] = PENDING; queue = queue | BIT(FIRST)
        fi
    }
#endif
    wake();
refused:
    submitters--
}

#ifdef HOLDER
/* A task past the queue. LATE: it was accepted, and held, before; else this is its submitter. */
active proctype Holder() {
    bool doomed;
#ifdef LATE
    state[HELD] != NONE;
#ifndef MUTATION_LATE_VISITOR
    visitors++;
#endif
    goto put;
#else
#ifndef MUTATION_HOLD
    atomic { REACH; held++ }
#endif
    GO_IF(closed, let_go);
    state[HELD] = PENDING;
#endif
put:
    atomic { /* unless it has been revoked */
        REACH;
        if
        :: state[HELD] == PENDING -> past = past | BIT(HELD)
        :: else -> goto let_go
        fi
    }
#ifdef LANE /* exec__lane_put() */
    atomic { REACH; doomed = discarding }
    if
    :: doomed -> discard(past)
    :: else
    fi;
    wake();
#endif
let_go:
#ifndef MUTATION_HOLD
    atomic { REACH; held-- }
#endif
#ifndef MUTATION_LET_GO_WAKES
    GO_IF(!closed, let_gone);
    wake();
let_gone:
#endif
#ifndef LANE
    wake(); /* put_past_queue() */
#endif
#ifdef LATE
#ifndef MUTATION_LATE_VISITOR
    visitors--
#endif
#else
    submitters--
#endif
}

#endif

#ifdef VISITOR
active proctype Visitor() {
    byte seat, t;
    bool doomed;
    atomic { /* its future is there; or there is none */
        if
        :: state[FIRST] != NONE
        :: state[FIRST] == NONE && tail_closed && submitters == 0 -> goto end
        fi
    }
#ifdef MUTATION_VISITOR_COUNTS
    if
    :: state[FIRST] == PENDING
    :: else -> goto end
    fi;
    visitors++;
#else
    visitors++; /* exec__pool_enter(): its memory may be used for this, if for nothing else */
    if
    :: state[FIRST] == PENDING
    :: else -> goto leave
    fi;
#endif
    TAKE_SEAT(0, leave);
    atomic { /* start_from_outside() */
        REACH;
        if
        :: queue & BIT(FIRST) -> queue = queue & ~BIT(FIRST)
        :: true -> goto start_past
        fi
    }
    ACCEPT(dead);
    goto call;
start_past:
    atomic {
        if
        :: state[FIRST] == PENDING -> state[FIRST] = RUNNING
        :: else -> goto dead
        fi
    }
call:
    CALL(finish);
dead:
    free_seat(0);
    HAS_WORK(some);
#ifndef MUTATION_RETURN_ENDS
    END_IF_OVER(leave);
#endif
    goto leave;
some:
    wake();
leave:
    visitors--;
end:
    skip
}

#endif

active proctype Destroyer() {
#ifdef LATE
    state[HELD] = PENDING; /* for long */
#endif
#ifdef DISCARD
    discarding = true;
#endif
#ifdef MUTATION_TAIL_CLOSED_FIRST
    closed = true;
    tail_closed = true;
#else
    tail_closed = true; /* mark_closed() */
    closed = true;
#endif
#ifdef DISCARD
    discard(queue);
    discard(past);
#ifdef LATE
    revoke(HELD); /* exec__holds_discard() */
#endif
    discard(deque[0]);
    discard(deque[1]);
    atomic { swept = true; NOTHING_LEFT }
#endif
#ifndef MUTATION_SHUTDOWN_WAKES
    wake();
#endif
    threads == 0; /* joins */
    submitters == 0;
#ifndef MUTATION_DESTROY_WAITS
    visitors == 0;
#endif
    atomic {
        freed = true;
        assert(over && queue == 0 && past == 0 && deque[0] == 0 && deque[1] == 0);
        assert(state[FIRST] != PENDING && state[HELD] != PENDING && state[THIRD] != PENDING)
    }
}
