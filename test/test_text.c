/* test_text.c - strings as they are written: for people, and between quotes. */
#include "helpers.h"

#include "text.h"

/* What write() makes of a string; the caller's. */
static char *written(void (*write)(FILE *out, const char *string), const char *string) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    check(out != NULL);
    write(out, string);
    fclose(out);
    return text;
}

static void eq_written(void (*write)(FILE *out, const char *string), const char *string, const char *expected) {
    char *text = written(write, string);
    eq_str(text, expected);
    free(text);
}

TEST(text, characters_of_any_length_stay) {
    static const char all[] =
        "a \xc2\xa0 \xc3\xa9 \xdf\xbf \xe0\xa0\x80 \xe2\x82\xac \xed\x9f\xbf \xef\xbf\xbd \xf0\x90\x80\x80 "
        "\xf0\x9f\x98\x80 \xf1\x80\x80\x80 \xf4\x8f\xbf\xbf";
    eq_written(exec__write_plain, all, all);
    eq_written(exec__write_plain, "", "");
}

TEST(text, what_controls_a_terminal_becomes_question_marks) {
    eq_written(exec__write_plain, "\x01 \t \n \x1b[2J \x7f", "? ? ? ?[2J ?");
    eq_written(exec__write_plain,
               "\xc2\x80 \xc2\x9b"
               "2J \xc2\x9f",
               "?? ??2J ??");
}

TEST(text, what_is_no_utf_8_becomes_question_marks) {
    eq_written(exec__write_plain, "\x80 \xbf \xff \xfe", "? ? ? ?");
    eq_written(exec__write_plain, "\xc1\xbf \xe0\x9f\xbf \xf0\x8f\xbf\xbf", "?? ??? ????"); /* longer than need be */
    eq_written(exec__write_plain, "\xed\xa0\x80 \xf4\x90\x80\x80", "??? ????");             /* surrogates; too large */
    eq_written(exec__write_plain, "\xe2\x82 \xf0\x9f\x98 \xe2", "?? ??? ?");                /* cut off */
    eq_written(exec__write_plain, "\xf1\x80\x80x \xe2\xc3\xa9", "???x ?\xc3\xa9");
}

TEST(text, between_quotes_a_quote_and_a_backslash_are_escaped) {
    eq_written(exec__write_plain, "a\"b\\c", "a\"b\\c");
    eq_written(exec__write_quoted, "a\"b\\c\n\xff", "\"a\\\"b\\\\c??\"");
    eq_written(exec__write_quoted, "", "\"\"");
}

static void eq_duration(long long ns, const char *expected) {
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    check(out != NULL);
    exec__write_duration(out, ns);
    fclose(out);
    eq_str(text, expected);
    free(text);
}

TEST(text, a_duration_has_three_digits_and_its_unit) {
    eq_duration(0, "0 ns");
    eq_duration(999, "999 ns");
    eq_duration(1000, "1.00 us");
    eq_duration(12345, "12.3 us");
    eq_duration(123456789, "123 ms");
    eq_duration(4560000000, "4.56 s");
    eq_duration(86400000000000, "86400 s");
}
