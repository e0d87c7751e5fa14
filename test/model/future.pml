/* future.pml - a future's state word: run, cancel, fail, resolve; who waits; who frees it.
 *
 * Threads that each have a reference, and do one thing with it: a worker that has taken the entry; one that runs the
 * task past its entry (RUNS_PAST); one that cancels it; a timer that fails it, with ETIMEDOUT, while it is PENDING;
 * two that wait for it, one of which waits up to a deadline, which may pass at any time. With PROMISE, nobody runs it,
 * and two threads resolve it. Whoever is done with it drops the reference.
 *
 * Every access to shared memory is a step, but that a loop of compare-and-swaps whose next value depends on the word
 * alone is one step: the one that succeeds, or finds that it may not. The monitor is a mutex, and what is done under
 * it alone is one step, with locking and unlocking; so is a sleep in it. (A lock of one, a condition variable each:
 * none has to choose.) Retries (RUNNING to PENDING again), and tasks that are HELD, are left out.
 *
 * Functions lib/future.c: move start exec__future_start exec__future_start_past conclude tell tell_and_release
 * Functions lib/future.c: exec__future_finish exec__future_revoke exec__future_revoked drop_argument exec__future_ask
 * Functions lib/future.c: release bury exec__future_listen_locked future_resolve exec__future_settle
 * Functions lib/wait.c: future_cancel cancel_finished sleep_locked listen_locked end_vigil future_get
 * Functions lib/notify.c: exec__tell_locked
 * Functions lib/sleep.c: exec__sleeper_wait_locked exec__unlisten_locked
 *
 * Bounds: one future, which is all that the protocol is about, and every kind of thread that there is, once; two that
 * wait, so that one can come before the finisher's step and the other after it, and one's leaving can meet the
 * other's.
 *
 * Shown: exactly one of those who run, cancel and fail it wins; its function is called, or its argument dropped, once;
 * a cancel says that it never runs only if it does not; a result is there before anybody can see that it is final;
 * everyone who sleeps is told, and nobody who has left; it is freed once, by the last, and not touched afterwards.
 *
 * Not shown: weaker memory. The word is all that decides, so its own order is enough for who wins; what is published
 * by it goes with the compare-and-swaps of move() (sequentially consistent, so releases) and is read after acquires of
 * the word; a release of references is acq_rel, and who finds itself alone has loaded the word by an acquire, so it
 * sees what those did who left. TSan sees all of that in test/stress_cancel.c, stress_promise.c and stress_late.c.
 *
 * Left out, by mutations: that one compare-and-swap decides who starts it (START), or revokes it (REVOKE); that
 * LISTENED can be set only while it is not final (LISTEN); that the finisher keeps its reference while it tells
 * (KEEP); that it looks into the list in the monitor (MONITOR); that a sleeper leaves the list (UNLISTEN); that the
 * result comes before the state (RESULT_FIRST); that the subtraction decides who was the last (LAST_BY_SUBTRACTION);
 * that a loser waits for the winner (SETTLE).
 *
 * Run: holds
 * Run: holds -DRUNS_PAST
 * Run: holds -DPROMISE
 * Run: assertion -DMUTATION_START
 * Run: assertion -DMUTATION_REVOKE
 * Run: deadlock -DMUTATION_LISTEN
 * Run: assertion -DMUTATION_KEEP
 * Run: deadlock -DMUTATION_MONITOR
 * Run: assertion -DMUTATION_UNLISTEN
 * Run: assertion -DMUTATION_RESULT_FIRST
 * Run: assertion -DMUTATION_LAST_BY_SUBTRACTION
 * Run: assertion -DPROMISE -DMUTATION_SETTLE
 */
#define PENDING 0
#define RUNNING 1
#define FINAL 2 /* and above */
#define DONE 2
#define CANCELLED 3
#define FAILED 4

#ifdef RUNS_PAST
#define PAST 1
#else
#define PAST 0
#endif
#ifdef PROMISE
#define REFERENCES (2 + 2)
#else
#define REFERENCES (1 + PAST + 2 + 2)
#endif

/* The word. */
byte state = PENDING, references = REFERENCES;
bool listened, asked, never_runs;

bool result; /* value and error have been set */
bool freed;
byte called, dropped, won, gone; /* gone: threads */

bool locked;    /* the monitor */
byte listeners; /* bit i: waiter i has its entry in the list; */
byte told;      /* has been told; */
byte sleeping;  /* is there to be told */

#define REACH assert(!freed)

inline bury() {
    REACH;
    assert(state >= FINAL && listeners == 0);
    freed = true
}

/* `n` references. */
inline release(n) {
#ifdef MUTATION_LAST_BY_SUBTRACTION
    atomic { REACH; before = references }
    if
    :: before > n -> atomic { REACH; references = references - n }
    :: else -> atomic { bury() }
    fi;
    before = 0
#else
    atomic {
        REACH;
        if
        :: references == n -> bury(); goto_end = true
        :: else
        fi
    }
    if
    :: goto_end -> goto_end = false
    :: else ->
        atomic {
            REACH;
            references = references - n;
            if
            :: references == 0 -> bury()
            :: else
            fi
        }
    fi
#endif
}

inline tell() {
#ifdef MUTATION_MONITOR
    atomic {
#else
    atomic { !locked ->
#endif
        REACH;
        assert((listeners & ~sleeping) == 0);
        told = told | listeners;
        listeners = 0
    }
}

/* RUNNING becomes final, and n references go; *l is whether anybody listened. */
inline conclude(to, n) {
#ifndef MUTATION_RESULT_FIRST
    atomic { REACH; assert(!result); result = true }
#endif
    atomic {
        REACH;
        assert(state == RUNNING);
        state = to;
        l = listened;
#ifdef MUTATION_KEEP
        references = references - n;
#else
        if
        :: !listened -> references = references - n
        :: else
        fi;
#endif
        if
        :: !l && n > 0 && references == 0 -> bury()
        :: else
        fi
    }
#ifdef MUTATION_RESULT_FIRST
    result = true;
#endif
    if
    :: l ->
        l = false;
        tell();
#ifndef MUTATION_KEEP
        if
        :: n > 0 -> release(n)
        :: else
        fi
#endif
    :: else
    fi
}

/* PENDING to RUNNING; ok: it was this thread. */
inline start() {
#ifdef MUTATION_START
    atomic { REACH; ok = state == PENDING }
    if
    :: ok -> atomic { REACH; state = RUNNING; won++; assert(won == 1) }
    :: else
    fi
#else
    atomic {
        REACH;
        ok = state == PENDING;
        if
        :: ok -> state = RUNNING; won++; assert(won == 1)
        :: else
        fi
    }
#endif
}

inline revoked() {
    atomic { REACH; assert(called == 0); dropped++; assert(dropped == 1) }
    atomic { REACH; l = listened }
    if
    :: l -> l = false; tell()
    :: else
    fi
}

#ifndef PROMISE
/* Has the entry, or runs the task past it. */
active [1 + PAST] proctype Runner() {
    bool ok, l, goto_end;
    byte before;
    start();
    if
    :: ok ->
        atomic { REACH; called++; assert(called == 1 && dropped == 0) }
        if /* a function that was asked to stop, or not */
        :: asked -> conclude(CANCELLED, (_pid == 0 -> 1 : 0))
        :: true -> conclude(DONE, (_pid == 0 -> 1 : 0))
        fi;
        if
        :: _pid != 0 -> release(1)
        :: else
        fi
    :: else -> release(1)
    fi;
    gone++
}

active proctype Canceller() {
    bool ok, l, goto_end;
    byte before, s;
again:
    atomic {
        REACH;
        if
        :: state >= FINAL -> goto over
        :: else
        fi
    }
#ifdef MUTATION_REVOKE
    atomic { REACH; ok = state == PENDING }
    if
    :: ok -> atomic { REACH; state = CANCELLED; won++; assert(won == 1) }
    :: else
    fi;
#else
    atomic { /* exec__future_revoke() */
        REACH;
        ok = state == PENDING;
        if
        :: ok -> state = CANCELLED; won++; assert(won == 1)
        :: else
        fi
    }
#endif
    if
    :: ok -> revoked(); goto over
    :: else
    fi;
    atomic { /* exec__is_ending() */
        REACH;
        if
        :: state == RUNNING && never_runs -> goto settle
        :: else
        fi
    }
    atomic { /* exec__future_ask() */
        REACH;
        if
        :: state == RUNNING && !never_runs -> asked = true; goto over
        :: else -> goto again
        fi
    }
settle:
    atomic { state >= FINAL -> REACH; goto again }
over:
    if
    :: ok -> assert(called == 0)
    :: else
    fi;
    release(1);
    gone++
}

/* exec__future_revoke() with an error */
active proctype Timer() {
    bool ok, l, goto_end;
    byte before;
    atomic {
        REACH;
        ok = state == PENDING;
        if
        :: ok -> state = RUNNING; never_runs = true; won++; assert(won == 1)
        :: else
        fi
    }
    if
    :: ok ->
        atomic { REACH; result = true }
        atomic { REACH; assert(state == RUNNING); state = FAILED }
        revoked()
    :: else
    fi;
    release(1);
    gone++
}
#else
active [2] proctype Resolver() {
    bool ok, l, goto_end;
    byte before;
    start();
    if
    :: ok -> conclude(DONE, 0)
    :: else ->
#ifndef MUTATION_SETTLE
        atomic { state >= FINAL -> REACH }
#endif
        atomic { REACH; assert(state >= FINAL) }
    fi;
    release(1);
    gone++
}
#endif

/* The second one's deadline may pass. */
active [2] proctype Waiter() {
    bool goto_end, final;
    byte before, me;
    me = 1 << (_pid & 1);
    atomic { /* finished() */
        REACH;
        if
        :: state >= FINAL -> goto over
        :: else
        fi
    }
    atomic { !locked -> locked = true; sleeping = sleeping | me }
    atomic { /* exec__future_listen_locked() */
        REACH;
#ifdef MUTATION_LISTEN
        listened = true
#else
        if
        :: state >= FINAL -> goto wake
        :: else -> listened = true
        fi
#endif
    }
    atomic { REACH; listeners = listeners | me }
    locked = false; /* asleep */
    atomic {
        if
        :: told & me
        :: me == 1 -> skip
        fi
    }
    atomic { !locked -> locked = true }
wake: /* end_vigil() */
    atomic {
        REACH;
#ifndef MUTATION_UNLISTEN
        listeners = listeners & ~me;
#endif
        sleeping = sleeping & ~me;
        locked = false
    }
over:
    atomic { REACH; final = state >= FINAL }
    if
    :: final -> atomic { REACH; assert(state == CANCELLED || result) }
    :: else -> assert(me == 1) /* its deadline has passed */
    fi;
    release(1);
    gone++
}

active proctype End() {
#ifdef PROMISE
    gone == 4;
    assert(freed && won == 1 && result)
#else
    gone == 5 + PAST;
    assert(freed && won == 1 && called + dropped == 1)
#endif
}
