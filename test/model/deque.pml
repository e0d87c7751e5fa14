/* deque.pml - a worker's own list of tasks: its owner against two thieves.
 *
 * The owner pushes ITEMS items one by one, in between takes the newest, or steals from itself (which is how a worker
 * takes what is oldest), as often as it likes; the thieves steal until it has ended and they find the deque empty. The
 * ring has 2 slots at first, so that slots are used again, then 4, then 8.
 *
 * Every access to shared memory is a step. The owner's stores go through a buffer in order, as on x86 (TSO): they
 * reach the memory some time later, but before its next locked instruction, or its next sequentially consistent store,
 * ends. The owner reads its own bottom, ring and slots as it wrote them last, so it has copies of the first two; its
 * slots have always reached the memory when it reads them, since the store to bottom that ends a push is such a store.
 * Merged: the copying into a larger ring, which nobody else sees before it is published. The thieves' loads of top and
 * bottom are sequentially consistent, and their only store is a compare-and-swap, so they need no buffer.
 *
 * Functions lib/deque.h: exec__deque_has_room exec__deque_append exec__deque_reach exec__deque_grasp exec__deque_take
 * Functions lib/deque.h: exec__deque_peek exec__deque_steal_at exec__deque_steal
 * Functions lib/deque.c: exec__deque_grow exec__deque_init
 *
 * Bounds: 4 items are two more than the first ring has room for, so that slots come to be used again, and it grows;
 * with 5 it grows twice, and a thief may be two rings behind. Two thieves, so that one can be overtaken by another as
 * well as by the owner. More items lie between top and bottom, where nobody looks.
 *
 * Shown: no item is taken twice, each is taken by the time that all find the deque empty, and whoever takes one has
 * read it, and not what lay or comes to lie in its slot before or after.
 *
 * Not shown: weaker memory than x86's. There the slot must be published before bottom (a sequentially consistent
 * store, so a release, against the thief's sequentially consistent load), the larger ring before what lies in it
 * (release and acquire), and the step between reach and grasp must order the two for all addresses, for which grasp
 * has one more there; deque.c reasons about it, and test/stress_deque.c is run under ThreadSanitizer.
 *
 * Left out, by mutations: the locked instruction between reach and grasp (FENCE); the owner's compare-and-swap for the
 * last item (LAST_SWAP); that a thief reads top before bottom (TOP_FIRST), and the slot before it swaps
 * (READ_BEFORE_SWAP); the step forward of an owner that came too late (STEP_FORWARD); that a larger ring is filled
 * before it is published (COPY_BEFORE_RING), and a slot before bottom (SLOT_BEFORE_BOTTOM); the look for room (ROOM).
 *
 * Run: holds
 * Run long: holds -DITEMS=5
 * Run: assertion -DMUTATION_FENCE
 * Run: assertion -DMUTATION_LAST_SWAP
 * Run: assertion -DMUTATION_TOP_FIRST
 * Run: assertion -DMUTATION_READ_BEFORE_SWAP
 * Run: assertion -DMUTATION_STEP_FORWARD
 * Run: assertion -DMUTATION_COPY_BEFORE_RING
 * Run: assertion -DMUTATION_SLOT_BEFORE_BOTTOM
 * Run: assertion -DMUTATION_ROOM
 */
#ifndef ITEMS
#define ITEMS 4
#endif

#define SIZE(r) (2 << (r)) /* of a ring; they lie one behind the other: */
#define SLOT(r, i) (SIZE(r) - 2 + ((i) & (SIZE(r) - 1)))
#if ITEMS > 4
#define SLOTS 14
#else
#define SLOTS 6
#endif
#define BOTTOM SLOTS /* where a buffered store goes, if not to the slot of this number */
#define RING (SLOTS + 1)

byte slot[SLOTS]; /* 0: nothing was ever there */
byte top, bottom, ring;
chan buffer = [4] of { byte, byte };

byte taken[ITEMS + 1];
byte ended; /* of the three */
bool owner_ended;

active proctype Memory() {
    byte where, what;
end:
    do
    :: atomic {
            buffer?where, what;
            if
            :: where == BOTTOM -> bottom = what
            :: where == RING -> ring = what
            :: else -> slot[where] = what
            fi;
            where = 0;
            what = 0
        }
    od
}

inline drain() {
    empty(buffer)
}

inline take(x) {
    assert(x != 0 && taken[x] == 0);
    taken[x]++
}

/* Also as exec__deque_peek(), exec__deque_steal_at(). See what bottom is. */
inline steal(see_bottom, see_ring) {
#ifdef MUTATION_TOP_FIRST
    b = see_bottom;
    t = top;
#else
    t = top;
    b = see_bottom;
#endif
    found = t < b;
    if
    :: found ->
        r = see_ring;
        item = slot[SLOT(r, t)];
#ifdef MUTATION_READ_BEFORE_SWAP
        atomic {
            if
            :: top == t -> top++
            :: else -> item = 0
            fi
        }
        if
        :: item != 0 -> d_step { item = slot[SLOT(r, t)]; take(item) }
        :: else
        fi;
#else
        d_step {
            if
            :: top == t -> take(item); top++
            :: else /* lost: another try */
            fi
        }
#endif
    :: else
    fi;
    d_step { t = 0; b = 0; r = 0; item = 0 }
}

active [2] proctype Thief() {
    byte t, b, r, item;
    bool found, last_try;
    do
    :: last_try = owner_ended;
        steal(bottom, ring);
        if
        :: last_try && !found -> break
        :: else
        fi
    od;
    ended++
}

inline grow() {
    t = top;
    r = own_ring;
#ifdef MUTATION_COPY_BEFORE_RING
    own_ring++;
    buffer!RING, own_ring;
    b = t;
    do
    :: b < own_bottom -> buffer!SLOT(own_ring, b), slot[SLOT(r, b)]; b++
    :: else -> break
    od;
    t = 0;
#else
    d_step {
        own_ring++;
        assert(SIZE(own_ring) * 2 - 2 <= SLOTS);
        b = t;
        do
        :: b < own_bottom -> slot[SLOT(own_ring, b)] = slot[SLOT(r, b)]; b++
        :: else -> break
        od
    }
    buffer!RING, own_ring;
#endif
    d_step { b = 0; r = 0 }
}

inline push() {
    made++;
    t = top; /* exec__deque_has_room() */
#ifndef MUTATION_ROOM
    if
    :: own_bottom - t < SIZE(own_ring)
    :: else -> grow()
    fi;
#endif
#ifdef MUTATION_SLOT_BEFORE_BOTTOM
    buffer!BOTTOM, own_bottom + 1;
    buffer!SLOT(own_ring, own_bottom), made;
#else
    buffer!SLOT(own_ring, own_bottom), made;
    buffer!BOTTOM, own_bottom + 1;
#endif
    own_bottom++;
    drain();
    t = 0
}

/* exec__deque_reach(), the step that starts the task, exec__deque_grasp(); exec__deque_take() is the same. */
inline take_newest() {
    last = own_bottom - 1;
    item = slot[SLOT(own_ring, last)];
    buffer!BOTTOM, last;
#ifndef MUTATION_FENCE
    drain();
#endif
    t = top;
    if
    :: t < last -> d_step { take(item); own_bottom = last }
    :: else ->
        if
        :: t == last ->
#ifdef MUTATION_LAST_SWAP
            take(item); top = last + 1
#else
            drain();
            d_step {
                if
                :: top == t -> take(item); top++
                :: else
                fi
            }
#endif
        :: else
        fi;
#ifdef MUTATION_STEP_FORWARD
        own_bottom = last
#else
        buffer!BOTTOM, last + 1
#endif
    fi;
    d_step { t = 0; item = 0; last = 0 }
}

active proctype Owner() {
    byte own_bottom, own_ring, made, last, t, b, r, item;
    bool found;
    do
    :: made < ITEMS -> push()
    :: own_bottom > 0 && slot[SLOT(own_ring, own_bottom - 1)] != 0 -> take_newest()
    :: steal(own_bottom, own_ring)
    :: made == ITEMS -> break
    od;
    drain();
    owner_ended = true;
    ended++
}

active proctype End() {
    byte i;
    ended == 3;
    for (i : 1 .. ITEMS) {
        assert(taken[i] == 1)
    }
}
