/* queue.pml - the bounded queue: the ring that producers and consumers meet at without a lock, and the mutex and the
 * two condition variables for those who find it full or empty.
 *
 * Producers put ITEMS items each, and wait for room; one of them waits up to a deadline, which may pass at any time
 * (PATIENT: that one, too, waits for ever). Consumers take items, and wait for them, until the queue is closed and
 * empty. When all producers are done, or at any time (EARLY), it is closed. With TAKE_THIS, who has put an item tries
 * to take it out again, as a thread does that runs what it has submitted. With ASIDE, a thread has the room of one
 * item reserved, and gives it back.
 *
 * Every access to shared memory is a step, but for these. A look at a turn that is not the one hoped for, and then at
 * head or tail again, is repeated when one of them has changed, not all the time. head_seen is written with the load
 * of head before it: only producers read it, and it may step back anyway. A thread that waits in pthread_cond_wait()
 * is one of those from whom a signal chooses; one whose deadline passes may have been chosen. Spurious wake-ups and
 * the four yields before the sleep only repeat what is done anyway. Items that are dead, and the sweeping, are left
 * out.
 *
 * Functions lib/queue.c: seems_to_have_room has_room find_room put_at try_put_again exec__queue_try_put count_aside
 * Functions lib/queue.c: exec__queue_try_reserve take wake_sleeper wake_one leave sleep_until put_waiting
 * Functions lib/queue.c: exec__queue_take_this exec__queue_unreserve exec__queue_mark_closed exec_queue_put
 * Functions lib/queue.c: exec_queue_get exec_queue_close
 *
 * Bounds: room for 1 item in 2 slots, so that each look for room is contended for, and the slots come round after
 * every two items; 2 producers and 2 consumers, so that both can be asleep at one end, and one can be overtaken at the
 * other; 2 items each, so that there are two laps. With capacity 2, one consumer. With items aside one item each,
 * since a third kind of thread is there.
 *
 * Shown: what is taken from a position is what was put there, so each item that was put is taken once, in the order of
 * positions; there are never more items, with those aside, than the capacity; when a consumer finds the queue closed
 * and empty, all has been taken and nothing comes after; nobody sleeps for ever, in particular no producer for room,
 * or consumer for an item, that is there: all threads come to their end.
 *
 * Not shown: weaker memory. Turns are published by releases and looked at by acquires, so an item is seen with its
 * turn; the count of sleepers and the look at the ring after it, and head, tail or aside and the look at the count
 * after that, are sequentially consistent: a store and a load that passed each other would be MUTATION_COUNT_FIRST.
 * Nor dead items and sweeping, nor a tag that comes round. test/stress_queue.c is run under ThreadSanitizer.
 *
 * Left out, by mutations: that a sleeper counts itself before it looks again (COUNT_FIRST); the mutex around a signal
 * (LOCK); a producer's look at the turn (TURN); the order of item and turn when an item is put (PUBLISH_LAST), and
 * taken (READ_BEFORE_TURN); that the bit CLOSED is in tail, where it makes a reservation fail (CLOSED_IN_TAIL); the
 * broadcast after it (CLOSE_WAKES); one more try after a deadline (TRY_AFTER_DEADLINE), and the signal that a
 * cancelled thread passes on (PASS_ON); waking a producer after room was made (WAKE_AFTER_TAKE_THIS,
 * WAKE_AFTER_UNRESERVE); the bit COUNTING, and the tag, of who puts an item aside (COUNTING, TAG).
 *
 * Run: holds -DPATIENT -DCONSUMERS=1
 * Run long: holds -DPATIENT
 * Run long: holds
 * Run: holds -DEARLY -DITEMS=1
 * Run: holds -DPATIENT -DCAPACITY=2 -DCONSUMERS=1
 * Run: holds -DPATIENT -DTAKE_THIS -DCONSUMERS=1
 * Run: holds -DPATIENT -DASIDE -DITEMS=1 -DCONSUMERS=1
 * Run: deadlock -DPATIENT -DMUTATION_COUNT_FIRST
 * Run: deadlock -DPATIENT -DMUTATION_LOCK
 * Run: deadlock -DPATIENT -DMUTATION_TURN
 * Run: assertion -DPATIENT -DMUTATION_PUBLISH_LAST
 * Run: assertion -DPATIENT -DMUTATION_READ_BEFORE_TURN
 * Run: assertion -DEARLY -DITEMS=1 -DMUTATION_CLOSED_IN_TAIL
 * Run: deadlock -DPATIENT -DMUTATION_CLOSE_WAKES
 * Run: deadlock -DMUTATION_TRY_AFTER_DEADLINE
 * Run: deadlock -DMUTATION_PASS_ON
 * Run: deadlock -DPATIENT -DTAKE_THIS -DMUTATION_WAKE_AFTER_TAKE_THIS
 * Run: deadlock -DPATIENT -DASIDE -DCONSUMERS=1 -DMUTATION_WAKE_AFTER_UNRESERVE
 * Run: assertion -DPATIENT -DASIDE -DITEMS=1 -DCONSUMERS=1 -DMUTATION_COUNTING
 * Run: assertion -DPATIENT -DASIDE -DITEMS=1 -DCONSUMERS=1 -DMUTATION_TAG
 */
#ifndef CAPACITY
#define CAPACITY 1
#endif
#define SLOTS (2 * CAPACITY)
#ifndef PRODUCERS
#define PRODUCERS 2
#endif
#ifndef CONSUMERS
#define CONSUMERS 2
#endif
#ifndef ITEMS
#define ITEMS 2
#endif

/* The word tail: the position, COUNTING and CLOSED, and the tag, which does not come round here. */
#define COUNTING 16
#define CLOSED 32
#define ONE_TAG 64
#define BETWEEN(head, tail) (((tail) - (head)) & 15)
#define SLOT(position) ((position) % SLOTS)
#define TURN(position) (2 * ((position) / SLOTS))
#define ME (1 << _pid)

byte tail, head, head_seen, aside;
byte turn[SLOTS], item[SLOTS];
byte at[PRODUCERS * ITEMS + 1]; /* what was put at a position; for what is asserted only */
byte ended;                     /* producers */

bool locked; /* the mutex */
byte unwoken_producers, producers_asleep, waiting_producers;
byte unwoken_consumers, consumers_asleep, waiting_consumers; /* the last: bit i is process i, in pthread_cond_wait() */

/* --- sleeping --- */

inline lock() {
    atomic { !locked -> locked = true }
}

/* One of those who wait, if there is any. */
inline signal(waiting) {
    if
    :: waiting & 1 -> waiting = waiting & ~1
    :: waiting & 2 -> waiting = waiting & ~2
    :: waiting & 4 -> waiting = waiting & ~4
    :: waiting & 8 -> waiting = waiting & ~8
    :: waiting & 16 -> waiting = waiting & ~16
    :: waiting == 0
    fi
}

inline wake_one(unwoken, waiting) {
    if
    :: unwoken == 0
    :: unwoken > 0 ->
#ifdef MUTATION_LOCK
        atomic {
#else
        atomic { !locked ->
#endif
            if
            :: unwoken > 0 -> unwoken--; signal(waiting)
            :: else
            fi
        }
    fi
}

inline count(unwoken, asleep) {
    if
    :: unwoken < asleep -> unwoken++
    :: else
    fi
}

inline leave(unwoken, asleep) {
    atomic {
        asleep--;
        if
        :: unwoken > asleep -> unwoken = asleep
        :: else
        fi;
        locked = false
    }
}

/* --- the ring --- */

/* seems_to_have_room(), to `room` or on */
#ifdef ASIDE
#define SEEMS_TO_HAVE_ROOM(room) \
    used = BETWEEN(head_seen, t); \
    atomic { \
        if \
        :: used + aside < CAPACITY -> goto room \
        :: else \
        fi \
    }
#else
#define SEEMS_TO_HAVE_ROOM(room) \
    atomic { \
        if \
        :: BETWEEN(head_seen, t) < CAPACITY -> goto room \
        :: else \
        fi \
    }
#endif

/* find_room() and has_room(), where t is tail as it was read. */
#define FIND_ROOM(room, is_full, closed) \
    do \
    :: t & CLOSED -> goto closed \
    :: (t & (CLOSED | COUNTING)) == COUNTING -> atomic { tail != t -> t = tail } \
    :: (t & (CLOSED | COUNTING)) == 0 -> \
        SEEMS_TO_HAVE_ROOM(room) \
        do \
        :: h = head; \
            atomic { \
                if \
                :: BETWEEN(h, t) + aside < CAPACITY -> break \
                :: else -> used = 0 \
                fi \
            } \
            atomic { \
                if \
                :: head == h -> h = 0; goto no_room \
                :: else \
                fi \
            } \
        od; \
        atomic { head_seen = h; h = 0; goto room } \
no_room: \
        atomic { \
            if \
            :: tail == t -> goto is_full \
            :: else -> t = tail \
            fi \
        } \
    od

active [PRODUCERS] proctype Producer() {
    byte n, t, h, used;
    bool asleep, passed, cancelled;
next:
    atomic {
        if
        :: n == ITEMS -> goto end
        :: else -> n++
        fi
    }
try: /* exec__queue_try_put() */
    atomic {
        t = tail;
        if
        :: t & (CLOSED | COUNTING) -> goto again
        :: else
        fi
    }
    SEEMS_TO_HAVE_ROOM(room);
again: /* try_put_again() */
    t = tail;
    FIND_ROOM(room, is_full, closed);
room: /* put_at() */
#ifndef MUTATION_TURN
    atomic {
        if
        :: turn[SLOT(t & 15)] == TURN(t & 15)
        :: else -> goto in_the_way
        fi
    }
#endif
#ifdef MUTATION_CLOSED_IN_TAIL
#define SAME ((tail & ~CLOSED) == t)
#else
#define SAME (tail == t)
#endif
    atomic {
        if
        :: SAME ->
            assert(BETWEEN(head, tail) + aside < CAPACITY);
            at[t & 15] = _pid * ITEMS + n;
            tail++
        :: else -> goto again
        fi
    }
#ifdef MUTATION_PUBLISH_LAST
    turn[SLOT(t & 15)] = TURN(t & 15) + 1;
    item[SLOT(t & 15)] = _pid * ITEMS + n;
#else
    item[SLOT(t & 15)] = _pid * ITEMS + n;
    turn[SLOT(t & 15)] = TURN(t & 15) + 1;
#endif
    t = 0;
    if
    :: asleep -> leave(unwoken_producers, producers_asleep); asleep = false; passed = false
    :: else
    fi;
    wake_one(unwoken_consumers, waiting_consumers);
#ifdef TAKE_THIS
    goto take_this;
#else
    goto next;
#endif
in_the_way: /* until something has changed */
    atomic { turn[SLOT(t & 15)] == TURN(t & 15) || tail != t -> t = tail }
    goto again;
is_full:
#ifdef MUTATION_COUNT_FIRST
    if
    :: asleep -> atomic { count(unwoken_producers, producers_asleep); goto wait }
    :: else
    fi;
#endif
    if
    :: passed ->
        leave(unwoken_producers, producers_asleep);
        atomic { asleep = false; passed = false; t = 0; goto next }
    :: !passed && asleep -> goto wait
    :: else
    fi;
    atomic { !locked -> locked = true; producers_asleep++; asleep = true; t = 0 }
look_again:
#ifndef MUTATION_COUNT_FIRST
    atomic { count(unwoken_producers, producers_asleep) }
#endif
    goto try;
wait:
    atomic { waiting_producers = waiting_producers | ME; locked = false; t = 0 }
    atomic { /* woken, or its deadline has passed, or it is cancelled, whether or not it was woken */
        if
        :: (waiting_producers & ME) == 0
#ifndef PATIENT
        :: _pid == 0 -> waiting_producers = waiting_producers & ~ME; passed = true
        :: _pid == 0 -> waiting_producers = waiting_producers & ~ME; cancelled = true
#endif
        fi
    }
    lock();
    atomic {
        if
        :: cancelled ->
#ifndef MUTATION_PASS_ON
            signal(waiting_producers);
#endif
            goto closed
        :: else
        fi
    }
#ifdef MUTATION_TRY_AFTER_DEADLINE
    if
    :: passed -> goto is_full
    :: else
    fi;
#endif
    goto look_again;
closed:
    if
    :: asleep -> leave(unwoken_producers, producers_asleep)
    :: else
    fi;
    goto end;
#ifdef TAKE_THIS
take_this: /* exec__queue_take_this() */
    h = head;
    atomic {
        if
        :: turn[SLOT(h)] == TURN(h) + 1
        :: else -> goto not_this
        fi
    }
    atomic {
        if
        :: item[SLOT(h)] == _pid * ITEMS + n
        :: else -> goto not_this
        fi
    }
    atomic {
        if
        :: head == h -> assert(at[h] == _pid * ITEMS + n); head++
        :: else -> goto not_this
        fi
    }
    turn[SLOT(h)] = TURN(h) + 2;
#ifndef MUTATION_WAKE_AFTER_TAKE_THIS
    wake_one(unwoken_producers, waiting_producers);
#endif
not_this:
    atomic { h = 0; goto next }
#endif
end:
    ended++
}

active [CONSUMERS] proctype Consumer() {
    byte h, it;
    bool asleep;
try: /* take() */
    h = head;
look:
    atomic {
        if
        :: turn[SLOT(h)] == TURN(h) + 1
        :: else -> goto not_there
        fi
    }
    atomic {
        if
        :: head == h -> head++
        :: else -> h = head; goto look
        fi
    }
#ifdef MUTATION_READ_BEFORE_TURN
    turn[SLOT(h)] = TURN(h) + 2;
    it = item[SLOT(h)];
#else
    it = item[SLOT(h)];
    turn[SLOT(h)] = TURN(h) + 2;
#endif
    atomic { assert(it == at[h]); it = 0; h = 0 }
    if
    :: asleep -> leave(unwoken_consumers, consumers_asleep); asleep = false
    :: else
    fi;
    wake_one(unwoken_producers, waiting_producers);
    goto try;
not_there:
    atomic {
        if
        :: head == h
        :: else -> h = head; goto look
        fi
    }
    atomic {
        if
        :: BETWEEN(h, tail) == 0 && tail & CLOSED -> goto closed
        :: BETWEEN(h, tail) == 0 && (tail & CLOSED) == 0 -> goto is_empty
        :: else
        fi
    }
    /* Reserved, but not published: until something has changed. */
    atomic { turn[SLOT(h)] == TURN(h) + 1 || head != h -> h = head; goto look }
is_empty:
    atomic {
        if
        :: asleep -> goto wait
        :: else -> h = 0
        fi
    }
    atomic { !locked -> locked = true; consumers_asleep++; asleep = true }
look_again:
    atomic { count(unwoken_consumers, consumers_asleep) }
    goto try;
wait:
    atomic { waiting_consumers = waiting_consumers | ME; locked = false; h = 0 }
    (waiting_consumers & ME) == 0;
    lock();
    goto look_again;
closed:
    if
    :: asleep -> leave(unwoken_consumers, consumers_asleep)
    :: else
    fi;
    assert(head == (tail & 15))
}

#ifdef ASIDE
active proctype Reserver() {
    byte t, h, used;
    t = tail;
again:
    FIND_ROOM(room, is_full, closed);
room:
#ifndef MUTATION_COUNTING
    atomic {
        if
        :: tail == t -> tail = tail | COUNTING
        :: else -> t = tail; goto again
        fi
    }
#endif
    atomic { aside++; assert(BETWEEN(head, tail) + aside <= CAPACITY) }
#ifndef MUTATION_COUNTING
#ifdef MUTATION_TAG
    tail = tail & ~COUNTING;
#else
    tail = (tail & ~COUNTING) + ONE_TAG;
#endif
#endif
    aside--;
#ifndef MUTATION_WAKE_AFTER_UNRESERVE
    wake_one(unwoken_producers, waiting_producers);
#endif
is_full:
closed:
    skip
}
#endif

active proctype Closer() {
#ifndef EARLY
    ended == PRODUCERS;
#endif
    tail = tail | CLOSED;
#ifndef MUTATION_CLOSE_WAKES
    atomic { !locked -> waiting_producers = 0; waiting_consumers = 0 }
#endif
}
