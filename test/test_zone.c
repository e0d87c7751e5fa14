/* test_zone.c - zones read from memory: TZif files, good and bad ones, made here; and what offset is when. */
#include "times.h"
#include "tzif.h"

static const struct tzif_change changes[] = {{-1000000000, 1}, {0, 0}, {1000000, 2}, {2000000, 1}};

/* Has all that a file can have but leap seconds. */
static const struct tzif sample = {.version = '2',
                                   .changes = changes,
                                   .nchanges = 4,
                                   .offsets = {3600, 7200, -5400},
                                   .ntypes = 3,
                                   .indicators = true,
                                   .footer = "\nXYZ-2\n"};

/* ---- good files ---- */

TEST(zone, each_version_is_read) {
    static const char versions[] = {'\0', '2', '3', '4', '9'};
    for (size_t i = 0; i < sizeof versions; i++) {
        struct tzif t = sample;
        t.version = versions[i];
        struct exec__zone *zone = good_tzif(&t);
        eq_span(zone, -1000000001, INT64_MIN, -1000000000, 3600);
        eq_span(zone, -1000000000, -1000000000, 0, 7200);
        eq_span(zone, -1, -1000000000, 0, 7200);
        eq_span(zone, 0, 0, 1000000, 3600);
        eq_span(zone, 999999, 0, 1000000, 3600);
        eq_span(zone, 1000000, 1000000, 2000000, -5400);
        eq_span(zone, 2000000, 2000000, INT64_MAX, 7200);
        eq_span(zone, INT64_C(1) << 40, 2000000, INT64_MAX, 7200);
        exec__zone_free(zone);
    }
}

TEST(zone, version_2_counts_in_64_bits) {
    static const struct tzif_change far[] = {{-(INT64_C(1) << 59), 1}, {INT64_C(1) << 40, 0}};
    struct exec__zone *zone =
        good_tzif(&(struct tzif){.version = '2', .changes = far, .nchanges = 2, .offsets = {60, 120}, .ntypes = 2});
    eq_span(zone, 0, -(INT64_C(1) << 59), INT64_C(1) << 40, 120);
    eq_span(zone, INT64_C(1) << 40, INT64_C(1) << 40, INT64_MAX, 60);
    exec__zone_free(zone);
}

TEST(zone, without_changes_the_first_type_is_for_all_times) {
    struct exec__zone *zone = good_tzif(&(struct tzif){.offsets = {-7, 8}, .ntypes = 2});
    eq_span(zone, 0, INT64_MIN, INT64_MAX, -7);
    exec__zone_free(zone);
}

TEST(zone, without_changes_the_footer_is_for_all_times) {
    struct exec__zone *zone = good_tzif(&(struct tzif){.version = '2', .ntypes = 1, .footer = "\n<+03>-3\n"});
    eq_span(zone, 0, INT64_MIN, INT64_MAX, 3 * 3600);
    exec__zone_free(zone);
}

TEST(zone, the_footer_is_for_what_comes_after_the_last_change) {
    static const struct tzif_change two[] = {{0, 1}, {1717200000, 0}}; /* 2024-06-01 00:00 UTC */
    struct exec__zone *zone = good_tzif(&(struct tzif){.version = '2',
                                                       .changes = two,
                                                       .nchanges = 2,
                                                       .offsets = {7200, 0},
                                                       .ntypes = 2,
                                                       .footer = "\nCET-1CEST,M3.5.0,M10.5.0/3\n"});
    eq_span(zone, at("2024-05-31 23:59:59"), 0, at("2024-06-01 00:00"), 0);
    eq_span(zone, at("2024-06-01 00:00"), at("2024-06-01 00:00"), at("2024-10-27 01:00"), 7200);
    eq_span(zone, at("2024-10-27 01:00"), at("2024-10-27 01:00"), at("2025-03-30 01:00"), 3600);
    eq_span(zone, at("2500-07-01 00:00"), at("2500-03-28 01:00"), at("2500-10-31 01:00"), 7200);
    exec__zone_free(zone);
}

TEST(zone, an_empty_footer_leaves_it_at_the_last_change) {
    struct tzif t = sample;
    t.footer = "\n\n";
    struct exec__zone *zone = good_tzif(&t);
    eq_span(zone, INT64_C(1) << 40, 2000000, INT64_MAX, 7200);
    exec__zone_free(zone);
}

TEST(zone, what_follows_the_footer_is_not_read) {
    struct tzif t = sample;
    t.footer = "\n\nand more";
    exec__zone_free(good_tzif(&t));
}

/* ---- bad files ---- */

static void eq_bad(const struct tzif *t) {
    struct exec__zone *zone = NULL;
    eq_err(read_tzif(t, &zone), EINVAL);
    check(zone == NULL);
}

#define BAD(...)                   \
    do {                           \
        struct tzif bad_ = sample; \
        struct tzif *t = &bad_;    \
        __VA_ARGS__;               \
        eq_bad(t);                 \
    } while (0)

TEST(zone, every_part_of_a_file_that_is_cut_off_is_bad) {
    struct tzif t = sample;
    for (int version = 1; version <= 2; version++) {
        t.version = version == 1 ? '\0' : '2';
        struct bytes b = tzif_bytes(&t);
        struct exec__zone *zone = NULL;
        for (size_t n = 0; n < b.n; n++)
            eq_err(read_bytes(b.data, n, &zone), EINVAL);
        check(zone == NULL);
        ok(read_bytes(b.data, b.n, &zone));
        exec__zone_free(zone);
    }
}

TEST(zone, a_file_without_the_magic_is_bad) {
    struct bytes b = tzif_bytes(&sample);
    struct exec__zone *zone;
    for (size_t i = 0; i < 4; i++) {
        struct bytes copy = b;
        copy.data[i] ^= 0x20;
        eq_err(read_bytes(copy.data, copy.n, &zone), EINVAL);
    }
}

TEST(zone, changes_out_of_order_are_bad) {
    static const struct tzif_change same[] = {{0, 0}, {0, 1}}, back[] = {{5, 0}, {4, 1}};
    BAD(t->changes = same, t->nchanges = 2);
    BAD(t->changes = back, t->nchanges = 2);
}

TEST(zone, a_type_that_is_not_there_is_bad) {
    static const struct tzif_change third[] = {{0, 3}}, last[] = {{0, 255}};
    BAD(t->changes = third, t->nchanges = 1);
    BAD(t->changes = last, t->nchanges = 1);
    BAD(t->nchanges = 0, t->ntypes = 0);
    BAD(t->ntypes = 0);
}

TEST(zone, offsets_of_a_day_and_more_are_bad) {
    static const int32_t offsets[] = {INT32_MIN, -90000, 93600, INT32_MAX};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        BAD(t->offsets[0] = offsets[i]);
        BAD(t->offsets[2] = offsets[i]);
    }
    struct tzif t = sample;
    t.offsets[0] = -89999;
    t.offsets[1] = 93599;
    exec__zone_free(good_tzif(&t));
}

TEST(zone, files_that_count_leap_seconds_are_refused) {
    BAD(t->nleaps = 1);
    BAD(t->nleaps = 27);
    struct tzif t = sample;
    t.version = '\0';
    t.nleaps = 1;
    eq_bad(&t);
}

TEST(zone, footers_that_are_no_lines_or_no_rules_are_bad) {
    char text[300];
    BAD(t->footer = "");
    BAD(t->footer = "\n");
    BAD(t->footer = "XYZ-2\n");
    BAD(t->footer = "\nXYZ-2");
    BAD(t->footer = "\nXYZ\n");
    BAD(t->footer = "\nXYZ-2 \n");
    BAD(t->footer = "\n:Europe/Berlin\n");
    memset(text, 'X', sizeof text);
    text[0] = '\n';
    memcpy(text + 260, "-2\n", 4);
    BAD(t->footer = text);
    text[254] = '-', text[255] = '2', text[256] = '\n', text[257] = '\0'; /* 255 characters */
    struct tzif t = sample;
    t.footer = text;
    exec__zone_free(good_tzif(&t));
}

TEST(zone, a_footer_with_a_nul_is_bad) {
    struct tzif t = sample;
    t.footer = "\nXYZ-2#\n";
    struct bytes b = tzif_bytes(&t);
    struct exec__zone *zone;
    *(unsigned char *)memchr(b.data + b.n - 3, '#', 3) = '\0';
    eq_err(read_bytes(b.data, b.n, &zone), EINVAL);
}

TEST(zone, counts_beyond_the_file_are_bad) {
    struct bytes b = tzif_bytes(&sample);
    struct exec__zone *zone;
    for (size_t count = 0; count < 6; count++)
        for (int kind = 0; kind < 3; kind++) {
            struct bytes copy = b;
            memset(copy.data + 20 + 4 * count, kind == 0 ? 0xff : 0, 4);
            copy.data[20 + 4 * count] |= (unsigned char)(kind == 1 ? 0x20 : kind == 2 ? 0x01 : 0);
            eq_err(read_bytes(copy.data, copy.n, &zone), EINVAL);
        }
}

/* Whatever the bytes, it is an error or a zone that has an offset at any time. */
TEST(zone, damaged_files_are_errors_or_zones) {
    static const int64_t times[] = {-(INT64_C(1) << 54), -1000000000, 0, 1, 1999999, 4000000000, INT64_C(1) << 54};
    struct bytes b = tzif_bytes(&sample);
    unsigned state = 4711, good = 0, bad = 0;
    for (int round = 0; round < 20000; round++) {
        struct bytes copy = b;
        struct exec__zone *zone;
        for (int n = 1 + round % 3; n > 0; n--) {
            state = state * 1103515245 + 12345;
            copy.data[(state >> 8) % copy.n] = (unsigned char)(state >> 24);
        }
        int error = read_bytes(copy.data, copy.n, &zone);
        check(error == 0 || error == EINVAL);
        bad += error != 0;
        if (error != 0)
            continue;
        for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
            between(offset_at(zone, times[i]), -89999, 93599);
        exec__zone_free(zone);
        good++;
    }
    at_least(good, 1);
    at_least(bad, 1);
}
