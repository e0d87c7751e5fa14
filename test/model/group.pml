/* group.pml - the end of a group: members that finish, who takes them, who waits for all and frees the group.
 *
 * Members finish, each on a thread of its own: with ROOM they have room to give back; with FIRST one of those that
 * succeed is the first success; with CALLBACKS there may be one to call, at once or later. One member more may be
 * submitted, and accepted or withdrawn: by a member or in its callback (SUBMITS), or from OUTSIDE. TAKERS call
 * exec_group_next() until nothing is left; with FD they do it without waiting, while the descriptor is made. The CLOSER
 * waits for the outcome while they take, and closes the group when all others have done with it. With DETECTOR somebody
 * looks whether one who waits for the group can go on, while another member, which is in its slot for ever, cannot: if
 * there are TAKERS, or a CLOSER, whether these, and else whether that member, which is held until it has room. With
 * CANCELLER somebody cancels the group.
 *
 * Every access to shared memory is a step, but that what the holder of `taking` reads of `taken`, which it alone
 * changes, goes with the next step. The monitor is a mutex, and what is done under it alone is one step, with locking
 * and unlocking. The step that makes a member's future final is future.pml's subject; here it sets a bit, and shows
 * whether there is a callback. A slot is a bit. Spinning before a sleep, and running members while one waits, are left
 * out: they only make it look again. So are deadlines, and segments of the queue: a place is there when it is needed.
 *
 * Functions lib/member.c: wanted_next count_first exec__member_announces exec__member_finishes_specially
 * Functions lib/member.c: exec__member_makes_way exec__member_enters exec__member_withdraws exec__group_pin
 * Functions lib/member.c: exec__group_unpin visit exec__group_each exec__group_stop exec__room_return
 * Functions lib/member.h: exec__members_gone exec__members_since exec__group_counted exec__member_counts
 * Functions lib/member.h: exec__member_finishes exec__member_stays exec__slot_empty exec__member_leaves
 * Functions lib/finished.c: exec__finished_settled
 * Functions lib/finished.h: exec__finished_enter exec__finished_is_next exec__finished_empty exec__finished_take
 * Functions lib/finished.h: exec__finished_show
 * Functions lib/group.c: exec_group_cancel enter_and_begin enter has_finished_one is_empty is_reached is_settled
 * Functions lib/group.c: has_ended is_over sleep_for wait_for_outcome take_first_taking drain_fd_taking try_to_take
 * Functions lib/group.c: take exec_group_next exec_group_fd wait_out unref_rest
 * Functions lib/future.c: part conclude_member
 * Functions lib/notify.c: callback_told_locked call_back
 * Functions lib/sleep.c: exec__group_rouse
 * Functions lib/chain.c: visit_edges_locked is_over_locked may_end_locked
 *
 * Bounds: two members, so that one can be counted before and be in its place after the other; with one that is
 * submitted meanwhile, one besides, so that the count can rise by it, or fall, while that one is on its way out. Two
 * takers, so that one finds empty what the other has just taken from. Not all of it at once, for the number of states.
 *
 * Shown: nobody touches the group, but by its address, after it was freed; it is freed, and a wait for its outcome
 * returns, only when all that were accepted are final and in their places, and their callbacks are over (or, the
 * outcome, when it is decided); each is handed out once, final, in the order of the numbers, the first success before
 * others, or left to the close; ENODATA comes only when all that had been accepted were handed out; nobody sleeps for
 * ever: all threads come to their end. When all is quiet, the descriptor is readable exactly if something is to be
 * taken. Who looks for deadlocks does not say that somebody cannot go on who can, nor looks at a member that may be
 * gone. What was submitted before the group is cancelled is ended, and nothing is accepted after that.
 *
 * Not shown: weaker memory. The word, passed, staying, pins, first and fd are sequentially consistent, and so is
 * entered but for its growing, which all see who see what a member does later; a member is published by the release of
 * its place, and what it has done to the group before is seen after the acquire of that; `taking` and `entering` are
 * locks. exec__finished_show() makes the store to `taken` before it one of that order: without it LOOK_AFTER_DRAIN
 * could not see what it looks for. test/stress_group.c and stress_ends.c are run under ThreadSanitizer.
 *
 * Left out, by mutations: that a wait for the end waits for the places (SETTLED), counts again after that
 * (COUNTED_AGAIN), and with the same count (SAME_GONE); that `staying` is read before `pins` (PINS_AFTER_STAYING), and
 * both before `entered` (ENTERED_LAST); that a member is final before it is in its place (FINAL_FIRST), and says before
 * it is that it stays, for its room (ROOM_STAYS) or its callback (CALLBACK_STAYS); that its place is the last it
 * touches (NEXT_BEFORE_STORE), after its slot (EMPTIED_FIRST); that it takes its number before it looks how many have
 * entered (NUMBER_FIRST); that a sleeper sets its flag before it looks (FLAG_FIRST); the rousing by one that has stayed
 * (WAY_ROUSES) and by one that withdraws (WITHDRAWN); that the first success is there before it is counted
 * (FIRST_BEFORE_PASSED), and that it is counted instead of taken from those who have entered (PASSED); the look after
 * the descriptor was drained (LOOK_AFTER_DRAIN), the lock of who makes it (OPENER_LOCKS); that the first success is
 * handed out when it is final (FIRST_IS_FINAL); that who has cancelled passes the lock of those who enter (PASSES); and
 * when one looks for deadlocks, that nobody stays (STAYING), that the goal is not reached (OVER), or the held member
 * still waits (WAITS_STILL), and the lock under which one looks at a member (LOOK_LOCKS).
 *
 * Run long: holds -DCLOSER -DCALLBACKS -DROOM
 * Run: holds -DCLOSER -DCALLBACKS -DROOM -DFIRST
 * Run long: holds -DCLOSER -DCALLBACKS -DSUBMITS -DMEMBERS=1
 * Run: holds -DCLOSER -DCALLBACKS -DOUTSIDE -DMEMBERS=1 -DFIRST
 * Run long: holds -DCLOSER -DCALLBACKS -DSUBMITS
 * Run long: holds -DCLOSER -DTAKERS=1 -DSUBMITS -DMEMBERS=1
 * Run long: holds -DCLOSER -DTAKERS=1 -DFIRST
 * Run: holds -DTAKERS=2 -DOUTSIDE -DMEMBERS=1
 * Run long: holds -DTAKERS=2 -DFIRST
 * Run: holds -DFD -DTAKERS=1 -DFIRST
 * Run long: holds -DFD -DTAKERS=2 -DFIRST
 * Run long: holds -DDETECTOR -DROOM -DCALLBACKS
 * Run: holds -DDETECTOR -DROOM -DCALLBACKS -DFIRST
 * Run long: holds -DDETECTOR -DROOM -DFIRST -DMEMBERS=1
 * Run: holds -DDETECTOR -DTAKERS=1 -DFIRST
 * Run long: holds -DDETECTOR -DCLOSER -DFIRST
 * Run: holds -DCANCELLER -DOUTSIDE -DMEMBERS=1
 * Run: assertion -DCANCELLER -DOUTSIDE -DMEMBERS=1 -DMUTATION_PASSES
 * Run: assertion -DDETECTOR -DTAKERS=2 -DMUTATION_LOOK_LOCKS
 * Run: assertion -DDETECTOR -DTAKERS=1 -DMUTATION_EMPTIED_FIRST
 * Run long: assertion -DCLOSER -DMUTATION_SETTLED
 * Run long: assertion -DCLOSER -DCALLBACKS -DMUTATION_COUNTED_AGAIN
 * Run: assertion -DCLOSER -DCALLBACKS -DSUBMITS -DMEMBERS=1 -DMUTATION_SAME_GONE
 * Run long: assertion -DCLOSER -DCALLBACKS -DMUTATION_PINS_AFTER_STAYING
 * Run long: assertion -DCLOSER -DCALLBACKS -DSUBMITS -DMEMBERS=1 -DMUTATION_ENTERED_LAST
 * Run long: assertion -DCLOSER -DMUTATION_FINAL_FIRST
 * Run long: assertion -DCLOSER -DROOM -DMUTATION_ROOM_STAYS
 * Run: assertion -DCLOSER -DCALLBACKS -DMUTATION_CALLBACK_STAYS
 * Run long: assertion -DCLOSER -DTAKERS=1 -DMUTATION_NEXT_BEFORE_STORE
 * Run: deadlock -DCLOSER -DOUTSIDE -DMEMBERS=1 -DMUTATION_NUMBER_FIRST
 * Run: deadlock -DCLOSER -DMUTATION_FLAG_FIRST
 * Run long: deadlock -DTAKERS=1 -DMUTATION_FLAG_FIRST
 * Run long: deadlock -DCLOSER -DROOM -DMUTATION_WAY_ROUSES
 * Run long: deadlock -DTAKERS=1 -DOUTSIDE -DMEMBERS=1 -DMUTATION_WITHDRAWN
 * Run long: assertion -DTAKERS=1 -DFIRST -DMUTATION_FIRST_BEFORE_PASSED
 * Run: assertion -DFD -DTAKERS=1 -DMUTATION_LOOK_AFTER_DRAIN
 * Run: assertion -DTAKERS=1 -DFIRST -DMUTATION_FIRST_IS_FINAL
 * Run long: assertion -DFD -DTAKERS=1 -DMUTATION_OPENER_LOCKS
 * Run: assertion -DDETECTOR -DROOM -DFIRST -DMEMBERS=1 -DMUTATION_PASSED
 * Run long: assertion -DDETECTOR -DROOM -DMUTATION_STAYING
 * Run: assertion -DDETECTOR -DTAKERS=1 -DMUTATION_OVER
 * Run long: assertion -DDETECTOR -DCLOSER -DFIRST -DMUTATION_OVER
 * Run long: assertion -DDETECTOR -DROOM -DMUTATION_WAITS_STILL
 */
#ifndef MEMBERS
#define MEMBERS 2
#endif
#ifndef TAKERS
#define TAKERS 0
#endif
#ifdef OUTSIDE
#define SUBMITS
#define SUBMITTERS 1
#else
#define SUBMITTERS 0
#endif
#ifdef SUBMITS
#define ALL (MEMBERS + 1)
#else
#define ALL MEMBERS
#endif
#ifdef DETECTOR
#define STUCK 1 /* a member more, that never ends, or that is held until it has room */
#else
#define STUCK 0
#endif

/* The group. */
byte counted; /* the word, with the next two */
bool wants_next, wants_end;
byte entered = MEMBERS + STUCK, taken, staying, pins;
byte first;      /* the first success, + 1 */
bool passed;     /* it is counted, and has no number */
byte place[ALL + 1]; /* by number: a member + 1; the last one stays empty */
bool decided, taking;
byte in_slot = (1 << (MEMBERS + STUCK)) - 1; /* bit i: member i, as in the following */
bool fd, readable, entering, cancelled;
bool freed;

/* Of the members. */
byte accepted = (1 << MEMBERS) - 1, final, handed;
byte to_call; /* callbacks that have not returned */
bool succeeded, refused, room_given;

bool monitor;
byte asleep; /* bit i: process i */
byte takers = TAKERS, submitters = SUBMITTERS; /* others that use it */
byte gone;                                     /* members' threads */

#define ME (1 << _pid)
#define REACH assert(!freed)
#define GO_IF(what, where) atomic { REACH; if :: what -> goto where :: else fi }

/* exec__group_rouse(): by address */
inline rouse() {
    atomic { !monitor -> asleep = 0 }
}

/* --- looks --- */

#ifdef FIRST
#define ADD_PASSED(n) atomic { REACH; n = n + passed }
#define GO_IF_FIRST(where) GO_IF(first != 0, where)
#else
#define ADD_PASSED(n)
#define GO_IF_FIRST(where)
#endif

/* exec__members_gone() */
#define GONE(n) \
    atomic { REACH; n = counted } \
    ADD_PASSED(n)

#ifdef MUTATION_PINS_AFTER_STAYING
#define GO_IF_KEPT(where) \
    GO_IF(pins != 0, where) \
    GO_IF(staying != 0, where)
#else
#define GO_IF_KEPT(where) \
    GO_IF(staying != 0, where) \
    GO_IF(pins != 0, where)
#endif

/* exec__group_counted(): on, or `no` */
#ifdef MUTATION_ENTERED_LAST
#define GO_IF_NOT_COUNTED(no) \
    GO_IF(entered != l_gone, no) \
    GO_IF_KEPT(no)
#else
#define GO_IF_NOT_COUNTED(no) \
    GO_IF_KEPT(no) \
    GO_IF(entered != l_gone, no)
#endif

/* has_finished_one() */
#define GO_IF_FINISHED_ONE(some) \
    atomic { REACH; l_gone = counted } \
    GO_IF(taken != l_gone, some) \
    GO_IF_FIRST(some)

/* is_empty(): on, or `no`. Whoever was accepted by then has been handed out. */
#define GO_IF_NOT_EMPTY(no) \
    atomic { REACH; l_gone = taken } \
    ADD_PASSED(l_gone) \
    atomic { \
        REACH; \
        if \
        :: entered != l_gone -> goto no \
        :: else -> l_accepted = accepted \
        fi \
    } \
    GO_IF_FIRST(no)

inline lock_taking() {
    atomic { !taking -> REACH; taking = true }
}

inline unlock_taking() {
    atomic { REACH; taking = false }
}

/* --- members --- */

#ifdef SUBMITS
#define NEW (1 << MEMBERS)

/* submit() and enter() */
inline submit() {
    atomic { !entering -> REACH; entering = true } /* exec__member_enters() */
    if
    :: atomic { cancelled -> REACH; entering = false }
        refused = true
    :: atomic { !cancelled -> REACH; entered++ }
        atomic { REACH; in_slot = in_slot | NEW }
        atomic { REACH; entering = false }
        if
        :: atomic { true -> REACH; accepted = accepted | NEW }
        :: atomic { !taking -> REACH; in_slot = in_slot & ~NEW } /* exec__member_withdraws() */
            atomic { !entering -> REACH; entered-- }
#ifndef MUTATION_WITHDRAWN
            atomic { REACH; l_end = wants_end }
            if
            :: l_end -> l_end = false; rouse()
            :: else
            fi;
#endif
            refused = true
        fi
    fi
}
#endif

/* wanted_next() */
inline wanted_next() {
    if
    :: l_next ->
        l_next = false;
        atomic {
            REACH;
            if
            :: wants_next -> wants_next = false; rouses = true
            :: else
            fi
        }
    :: else
    fi
}

inline write_fd() {
    atomic { REACH; readable = true }
}

inline count() {
#ifdef MUTATION_NUMBER_FIRST
    atomic { REACH; l_entered = entered }
#endif
    atomic { REACH; number = counted; counted++; l_next = wants_next; l_end = wants_end }
#ifdef FD
    atomic { REACH; l_fd = fd }
#endif
    if
    :: l_end ->
        l_end = false;
#ifdef MUTATION_NUMBER_FIRST
        atomic { rouses = l_entered == number + 1 + passed; l_entered = 0 }
#else
        atomic { REACH; l_entered = entered }
        atomic { REACH; rouses = l_entered == number + 1 + passed; l_entered = 0 }
#endif
    :: else
    fi;
#ifndef MUTATION_NEXT_BEFORE_STORE
    wanted_next();
#endif
#ifdef FD
    if
    :: l_fd ->
        l_fd = false;
        atomic { REACH; l_next = taken == number }
        if
        :: l_next -> l_next = false; write_fd()
        :: else
        fi
    :: else
    fi
#endif
}

inline empty_slot() {
    atomic { REACH; in_slot = in_slot & ~ME }
}

#ifdef MUTATION_PASSED
#define PASS entered--
#else
#define PASS passed = true
#endif

inline count_first() {
#ifdef MUTATION_FIRST_BEFORE_PASSED
    empty_slot();
    atomic { REACH; PASS }
    atomic { REACH; first = _pid + 1 }
#else
    empty_slot();
    atomic { REACH; first = _pid + 1 }
    atomic { REACH; PASS }
#endif
#ifdef FD
    atomic { REACH; l_fd = fd }
#endif
    atomic { REACH; l_next = wants_next }
    wanted_next();
#ifdef FD
    if
    :: l_fd -> l_fd = false; write_fd()
    :: else
    fi
#endif
}

inline stay() {
    if
    :: !stays -> stays = true; atomic { REACH; staying++ }
    :: else
    fi
}

inline store() {
    if
    :: decides
    :: else ->
#ifndef MUTATION_EMPTIED_FIRST
        empty_slot();
#endif
        atomic { REACH; assert(place[number] == 0); place[number] = _pid + 1 }
#ifdef MUTATION_EMPTIED_FIRST
        empty_slot()
#endif
    fi
}

#ifdef CALLBACKS
inline call_back() {
    atomic { REACH; assert(to_call > 0) }
#ifdef SUBMITS
    if
    :: submits -> submits = false; submit()
    :: else
    fi;
#endif
    atomic { to_call--; pinned = false }
    atomic { REACH; pins-- }
    rouse()
}
#endif

active [ALL] proctype Member() {
    byte number, l_entered;
    bool decides, stays, listened, rouses, room, pinned, submits, l_next, l_end, l_fd;
#ifdef SUBMITS
    atomic {
        if
        :: _pid == MEMBERS && refused -> goto end
        :: accepted & ME
        fi
    }
#ifndef OUTSIDE
    if
    :: _pid == 0 -> submit()
#ifdef CALLBACKS
    :: _pid == 0 -> submits = true
#endif
    :: _pid > 0
    fi;
#endif
#endif

    /* exec__member_finishes() */
#ifdef FIRST
    if
    :: atomic { !succeeded -> REACH; succeeded = true; decides = true }
    :: true
    fi;
#endif
#ifdef ROOM
    room = true;
#endif
#ifndef MUTATION_ROOM_STAYS
    if
    :: decides || room -> stay()
    :: else
    fi;
#endif
    if
    :: decides -> count_first()
    :: else -> count()
    fi;

#ifdef MUTATION_FINAL_FIRST
    store();
#endif
    atomic { /* the step that makes it final */
        final = final | ME;
#ifdef CALLBACKS
        if
        :: true -> listened = true; to_call++
        :: !submits
        fi
#endif
    }

    /* part() */
#ifndef MUTATION_CALLBACK_STAYS
    if
    :: listened -> stay()
    :: else
    fi;
#endif
#ifndef MUTATION_FINAL_FIRST
    store();
#endif
#ifdef MUTATION_ROOM_STAYS
    if
    :: decides || room -> stay()
    :: else
    fi;
#endif
#ifdef MUTATION_CALLBACK_STAYS
    if
    :: listened -> stay()
    :: else
    fi;
#endif
#ifdef MUTATION_NEXT_BEFORE_STORE
    wanted_next();
#endif
    if
    :: rouses -> rouses = false; rouse()
    :: else
    fi;
#ifdef CALLBACKS
    if
    :: listened ->
        listened = false;
        atomic { !monitor -> REACH; pins++; pinned = true } /* exec__tell_locked() */
        if /* now, or when it is back at the errands that it is at */
        :: call_back()
        :: true
        fi
    :: else
    fi;
#endif
    if
    :: stays -> /* exec__member_makes_way() */
        if
        :: decides -> atomic { REACH; decided = true }
        :: else
        fi;
        atomic { decides = false; stays = false }
        if
        :: room -> room = false; atomic { REACH; room_given = true }
        :: else
        fi;
        atomic { REACH; staying-- }
#ifndef MUTATION_WAY_ROUSES
        rouse()
#endif
    :: else -> decides = false
    fi;
#ifdef CALLBACKS
    if
    :: pinned -> call_back()
    :: else
    fi;
#endif
    number = 0;
end:
    gone++
}

#ifdef OUTSIDE
active proctype Submitter() {
    bool l_end;
    submit();
    submitters--
}
#endif

/* --- who waits --- */

/* A sleeper's flags, before or after its look. */
#ifdef MUTATION_FLAG_FIRST
#define FLAG_LAST(flags) atomic { REACH; flags }
#define FLAG_FIRST(flags)
#else
#define FLAG_FIRST(flags) atomic { REACH; flags }
#define FLAG_LAST(flags)
#endif

inline enter_monitor() {
    atomic { !monitor -> monitor = true }
}

inline fall_asleep() {
    atomic { asleep = asleep | ME; monitor = false; l_gone = 0 }
}

#if TAKERS
#ifdef FIRST
#define TAKEABLE (first != 0 -> (final & (1 << (first - 1))) != 0 : place[taken] != 0 || taken == counted)
#else
#define TAKEABLE (place[taken] != 0 || taken == counted)
#endif

inline hand_out() {
    assert(f != 0 && (handed & (1 << (f - 1))) == 0 && (final & (1 << (f - 1))) != 0);
    handed = handed | (1 << (f - 1))
}

/* take(): f, a member + 1, or 0. It tries again when there is something to try for. */
inline take() {
    true; /* spin wants no label before that */
again:
    lock_taking();
#ifdef FIRST
    atomic { REACH; f = first }
    if
    :: f != 0 ->
#ifndef MUTATION_FIRST_IS_FINAL
        if
        :: atomic { final & (1 << (f - 1)) -> REACH; first = 0; hand_out() }
        :: atomic { else -> f = 0 }
        fi
#else
        atomic { REACH; first = 0; hand_out() }
#endif
    :: else ->
#endif
        atomic { REACH; f = place[taken] }
        if
        :: f != 0 -> atomic { REACH; taken++; hand_out() }
        :: else
        fi;
#ifdef FIRST
    fi;
#endif
#ifdef FD
    drain_fd();
#endif
    unlock_taking();
    if
    :: f != 0 -> goto taken_one
    :: else
    fi;
    GO_IF_FINISHED_ONE(wait_a_little);
    goto taken_one;
wait_a_little:
    atomic { TAKEABLE -> l_gone = 0; goto again }
taken_one:
    l_gone = 0
}

#ifdef FD
inline drain_fd() {
    atomic { REACH; l_fd = fd }
    if
    :: l_fd ->
        l_fd = false;
        atomic { REACH; readable = false }
#ifndef MUTATION_LOOK_AFTER_DRAIN
        atomic { REACH; l_gone = counted }
        atomic { REACH; l_some = taken != l_gone || first != 0 }
        if
        :: l_some -> l_some = false; write_fd()
        :: else
        fi
#endif
    :: else
    fi
}

/* They ask with EXEC_NOW, so often. */
active [TAKERS] proctype Taker() {
    byte f, l_gone, n;
    bool l_fd, l_some;
    do
    :: n < ALL -> n++; take(); f = 0
    :: else -> break
    od;
    atomic { n = 0; takers-- }
}
#else
active [TAKERS] proctype Taker() {
    byte f, l_gone, l_accepted;
next:
    take();
    if
    :: f != 0 -> f = 0; goto next
    :: else
    fi;
    GO_IF_NOT_EMPTY(sleep);
    goto no_more;
sleep:
    atomic { l_gone = 0; l_accepted = 0 }
    enter_monitor();
    FLAG_FIRST(wants_next = true; wants_end = true)
    GO_IF_FINISHED_ONE(look_again);
    GO_IF_NOT_EMPTY(not_reached);
look_again:
    atomic { l_gone = 0; l_accepted = 0; monitor = false; goto next }
not_reached:
    l_accepted = 0;
    FLAG_LAST(wants_next = true; wants_end = true)
    fall_asleep();
#ifdef DETECTOR
end_asleep:
#endif
    (asleep & ME) == 0;
    goto next;
no_more: /* ENODATA */
    atomic { assert((l_accepted & ~handed) == 0); l_gone = 0; l_accepted = 0; takers-- }
}
#endif
#endif

#ifdef FD
/* exec_group_fd() */
active proctype Opener() {
    byte l_gone;
    fd = true;
#ifndef MUTATION_OPENER_LOCKS
    lock_taking();
#endif
    GO_IF_FINISHED_ONE(some);
    goto none;
some:
    write_fd();
none:
    l_gone = 0;
#ifndef MUTATION_OPENER_LOCKS
    unlock_taking();
#endif
    atomic {
        gone == ALL && takers == 0 -> assert(readable == (counted != taken || first != 0))
    }
}
#endif

#ifdef CLOSER
/* exec_group_wait(), while others take; and exec_group_close(), when nobody else uses the group. */
active proctype Closer() {
    byte l_gone, l_count, n, f;
    bool closes;
wait: /* has_ended() */
    GONE(l_gone);
    GO_IF_NOT_COUNTED(look);
#ifndef MUTATION_SETTLED
settle: /* is_settled() */
    lock_taking();
    atomic { REACH; l_count = counted; n = taken }
    do
    :: n < l_count ->
        if
        :: atomic { place[n] != 0 -> REACH; n++ }
        :: atomic { else -> REACH; taking = false }
            atomic { place[n] != 0 -> n = 0; l_count = 0; goto settle }
        fi
    :: else -> break
    od;
    atomic { n = 0; l_count = 0 }
    unlock_taking();
#endif
#ifdef MUTATION_SAME_GONE
    GONE(l_gone);
#endif
#ifndef MUTATION_COUNTED_AGAIN
    GO_IF_NOT_COUNTED(look);
#endif
    goto ended;
look:
    l_gone = 0;
#ifdef FIRST
    GO_IF(!closes && decided, outcome)
#endif
    enter_monitor();
    FLAG_FIRST(wants_end = true)
    GONE(l_gone);
    GO_IF_NOT_COUNTED(not_reached);
reached:
    atomic { l_gone = 0; monitor = false; goto wait }
not_reached:
#ifdef FIRST
    GO_IF(!closes && decided, reached)
#endif
    FLAG_LAST(wants_end = true)
    fall_asleep();
#ifdef DETECTOR
end_asleep:
#endif
    (asleep & ME) == 0;
    goto wait;
ended:
    atomic { assert((SUBMITTERS > 0 && !closes) || (final == accepted && to_call == 0)); l_gone = 0 }
#ifdef FIRST
outcome:
    assert(!decided || (final & 3) != 0);
#endif
    if
    :: !closes -> closes = true; takers == 0 && submitters == 0; goto wait
    :: else
    fi;
    atomic { /* unref_rest() hands out what has not been */
        do
        :: taken < counted -> assert(place[taken] != 0); f = f | (1 << (place[taken] - 1)); taken++
        :: else -> break
        od;
        if
        :: first != 0 -> f = f | (1 << (first - 1))
        :: else
        fi;
        assert((f & handed) == 0 && (f | handed) == accepted);
        freed = true
    }
}
#endif

#ifdef DETECTOR
/* visit_edges_locked() and may_end_locked(), for somebody who waits for the node: the held member; a taker; or who
 * waits for the outcome. */
#if TAKERS || defined(CLOSER)
#define SLEEPS (asleep != 0)
#else
#define SLEEPS (!room_given)
#endif

/* At a member that is in its slot, or was just now; it runs. */
inline look() {
#ifndef MUTATION_LOOK_LOCKS
    lock_taking();
#endif
    atomic { REACH; l_in_slot = (in_slot & (1 << n)) != 0 }
    if
    :: l_in_slot -> atomic { assert((handed & (1 << n)) == 0); l_in_slot = false; l_looked = true }
    :: else -> n++
    fi;
#ifndef MUTATION_LOOK_LOCKS
    unlock_taking();
#endif
    if
    :: l_looked -> l_looked = false; goto may
    :: else
    fi
}

active proctype Detector() {
    byte l_gone, n;
    bool l_in_slot, l_looked;
    enter_monitor();
    GO_IF(!SLEEPS, may);
    GONE(l_gone);
#ifndef MUTATION_STAYING
    GO_IF(staying != 0, may);
#endif
    do /* exec__group_each() */
    :: n < MEMBERS ->
        if
        :: atomic { (in_slot & (1 << n)) == 0 -> REACH; n++ }
        :: else -> look()
        fi
    :: else -> break
    od;
    GO_IF(entered - l_gone > 1, may);
#ifndef MUTATION_OVER
#if TAKERS
    GO_IF_FINISHED_ONE(may);
#elif defined(CLOSER)
    GO_IF(decided, may);
#endif
#endif
#if TAKERS
    assert(handed == accepted);
#elif defined(CLOSER)
    assert(final == accepted && !succeeded);
#else
#ifndef MUTATION_WAITS_STILL
    GO_IF(!SLEEPS, may);
#endif
    assert(false); /* the others end, and one of them makes room */
#endif
may:
    atomic { l_gone = 0; n = 0; monitor = false }
}
#endif

#ifdef CANCELLER
/* exec_group_cancel(): what has been submitted before ends, and nothing is accepted after it. */
active proctype Canceller() {
    bool l_stopped;
    atomic { REACH; cancelled = true }
#ifndef MUTATION_PASSES
    atomic { !entering -> REACH; entering = true }
    atomic { REACH; entering = false }
#endif
    atomic { REACH; l_stopped = (in_slot & NEW) != 0 } /* exec__group_stop() */
    atomic {
        submitters == 0 -> assert(l_stopped || refused || (final & NEW) != 0)
        l_stopped = false
    }
}
#endif
