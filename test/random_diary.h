/* random_diary.h - part of stress_random.c: what each thread has called lately, and how often in all.
 *
 * A thread writes into a diary of its own, without a lock, one for each program that it takes part in; they are added
 * up when the program's threads are gone, and printed when something is wrong.
 */
#ifndef RANDOM_DIARY_H
#define RANDOM_DIARY_H

#include "stress.h"

/* Each call of the library that does something; those that only ask are not counted, nor is giving back a reference. */
#define OPERATIONS(X)                                                                                                  \
    X(CREATE), X(SUBMIT), X(GET), X(WAIT), X(WAIT_SOME), X(CANCEL), X(ON_DONE), X(DESCRIPTOR), X(PROMISE), X(RESOLVE), \
        X(GROUP_OPEN), X(GROUP_SUBMIT), X(GROUP_NEXT), X(GROUP_WAIT), X(GROUP_CANCEL), X(GROUP_CLOSE), X(STREAM_OPEN), \
        X(STREAM_NEXT), X(STREAM_CLOSE), X(MAP), X(FOR), X(QUEUE_PUT), X(QUEUE_GET), X(ACQUIRE), X(RELEASE), X(SLEEP), \
        X(SHUTDOWN), X(JOIN), X(STATS), X(DUMP), X(DESTROY)
#define AS_ENUM(name) OP_##name
#define AS_TEXT(name) #name

enum op { OPERATIONS(AS_ENUM), OPS };
static const char *const op_names[OPS] = {OPERATIONS(AS_TEXT)};

enum { DIARIES = 512, ENTRIES = 16 };

struct entry {
    enum op op;
    int result;
    uint64_t number; /* of the task, group or stream, or how many */
};

struct diary {
    uint64_t next; /* how many entries there were */
    struct entry entries[ENTRIES];
    uint64_t counts[OPS];
};

static struct diary diaries[DIARIES];
static atomic_uint diaries_used;
static atomic_uint_fast64_t diaries_turn; /* moves on with each program: diaries of before are nobody's */
static uint64_t op_totals[OPS];           /* of programs that are over */

static _Thread_local struct diary *my_diary;
static _Thread_local uint64_t my_turn;

static inline struct diary *diary_of_mine(void) {
    uint64_t turn = atomic_load_explicit(&diaries_turn, memory_order_relaxed);
    if (my_diary && my_turn == turn)
        return my_diary;
    unsigned i = atomic_fetch_add(&diaries_used, 1);
    CHECK_OP(i, <, DIARIES);
    my_turn = turn;
    my_diary = &diaries[i];
    return my_diary;
}

/* Notes a call that has returned, and returns what it has returned. */
static inline int did(enum op op, uint64_t number, int result) {
    struct diary *diary = diary_of_mine();
    diary->entries[diary->next++ % ENTRIES] = (struct entry){op, result, number};
    diary->counts[op]++;
    return result;
}

/* Between two programs. */
static inline void close_diaries(void) {
    unsigned used = atomic_load(&diaries_used);
    for (unsigned i = 0; i < used; i++)
        for (unsigned op = 0; op < OPS; op++)
            op_totals[op] += diaries[i].counts[op];
    memset(diaries, 0, used * sizeof *diaries);
    atomic_fetch_add(&diaries_turn, 1);
    atomic_store(&diaries_used, 0);
}

static inline uint64_t all_operations(void) {
    uint64_t sum = 0;
    for (unsigned op = 0; op < OPS; op++)
        sum += op_totals[op];
    return sum;
}

static inline void print_operations(void) {
    for (unsigned op = 0; op < OPS; op++)
        printf("%s  %-13s %14" PRIu64, op % 3 == 0 ? "\n" : "", op_names[op], op_totals[op]);
    printf("\n");
}

/* What each thread has called last, the latest first. */
static inline void print_diaries(void) {
    unsigned used = atomic_load(&diaries_used);
    for (unsigned i = 0; i < used && i < DIARIES; i++) {
        const struct diary *diary = &diaries[i];
        fprintf(stderr, "  diary %u:", i);
        for (uint64_t back = 1; back <= diary->next && back <= ENTRIES; back++) {
            const struct entry *entry = &diary->entries[(diary->next - back) % ENTRIES];
            fprintf(stderr, " %s %" PRIu64 "=%d", op_names[entry->op], entry->number, entry->result);
        }
        fprintf(stderr, "\n");
    }
}

#endif
