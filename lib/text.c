/* text.c - text that is made in memory, and then written at once. */
#include "text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int exec__text_open(struct exec__text *t) {
    t->quiet = exec__quiet_begin();
    t->bytes = NULL;
    t->size = 0;
    t->c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    t->stream = t->c != (locale_t)0 ? open_memstream(&t->bytes, &t->size) : NULL;
    if (t->stream != NULL)
        t->before = uselocale(t->c);
    else if (t->c != (locale_t)0)
        freelocale(t->c);
    if (t->stream != NULL)
        return 0;
    exec__quiet_end(&t->quiet);
    return ENOMEM;
}

static int write_all(const struct exec__text *t, FILE *out) {
    errno = 0;
    if (fwrite(t->bytes, 1, t->size, out) == t->size && fflush(out) == 0)
        return 0;
    return errno != 0 ? errno : EIO;
}

int exec__text_write(struct exec__text *t, FILE *out) {
    uselocale(t->before);
    freelocale(t->c);
    bool whole = !ferror(t->stream);
    whole = fclose(t->stream) == 0 && whole;
    int error = whole ? write_all(t, out) : ENOMEM;
    free(t->bytes);
    exec__quiet_end(&t->quiet);
    return error;
}

size_t exec__character(const char *string) {
    const unsigned char *s = (const unsigned char *)string;
    static const struct {
        unsigned char low, high, second_low, second_high;
        size_t size;
    } kinds[] = {{0x20, 0x7e, 0, 0, 1},       {0xc2, 0xc2, 0xa0, 0xbf, 2}, {0xc3, 0xdf, 0x80, 0xbf, 2},
                 {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
                 {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
                 {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (*s < kinds[i].low || *s > kinds[i].high)
            continue;
        if (kinds[i].size > 1 && (s[1] < kinds[i].second_low || s[1] > kinds[i].second_high))
            return 0;
        for (size_t k = 2; k < kinds[i].size; k++)
            if (s[k] < 0x80 || s[k] > 0xbf)
                return 0;
        return kinds[i].size;
    }
    return 0;
}

static void write_characters(FILE *out, const char *string, const char *escaped) {
    for (const char *s = string; *s != '\0';) {
        size_t size = exec__character(s);
        if (strchr(escaped, *s) != NULL)
            fputc('\\', out);
        if (size > 0)
            fwrite(s, 1, size, out);
        else
            fputc('?', out);
        s += size > 0 ? size : 1;
    }
}

void exec__write_plain(FILE *out, const char *string) {
    write_characters(out, string, "");
}

void exec__write_quoted(FILE *out, const char *string) {
    fputc('"', out);
    write_characters(out, string, "\"\\");
    fputc('"', out);
}

void exec__write_duration(FILE *out, long long ns) {
    static const char *const units[] = {"ns", "us", "ms", "s"};
    double value = (double)ns;
    int unit = 0;
    for (; unit < 3 && value >= 1000; unit++)
        value /= 1000;
    fprintf(out,
            value < 10 && unit > 0    ? "%.2f %s"
            : value < 100 && unit > 0 ? "%.1f %s"
                                      : "%.0f %s",
            value, units[unit]);
}
