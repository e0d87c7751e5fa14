/* fuzz_text.c - strings between quotes: for any bytes a JSON string, in which all is what it was but for what cannot be
 * there, each byte of which is a question mark; and durations.
 *
 * An input is the string. Its first 8 bytes are also a duration.
 */
#include "json.h"

#include "text.h"

/* What is to be written for a string, without the quotes. */
static char *expected(const char *string) {
    char *out = malloc(2 * strlen(string) + 1), *end = out;
    check(out != NULL);
    while (*string != '\0') {
        const char *next = string;
        uint32_t c = utf8_character(&next);
        if (c == '"' || c == '\\')
            *end++ = '\\';
        if (c >= 0x20 && (c < 0x7f || c >= 0xa0)) {
            memcpy(end, string, (size_t)(next - string));
            end += next - string;
            string = next;
            continue;
        }
        size_t bytes = c >= 0x80 ? 2 : 1; /* of C1, both bytes are wrong */
        memset(end, '?', bytes);
        end += bytes;
        string += bytes;
    }
    *end = '\0';
    return out;
}

static void check_quoted(const char *string) {
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    check(out != NULL);
    exec__write_quoted(out, string);
    check(fclose(out) == 0);
    const char *end = json_string(text);
    check(end != NULL && *end == '\0' && (size_t)(end - text) == size);
    text[size - 1] = '\0';
    char *right = expected(string);
    if (strcmp(text + 1, right) != 0)
        FAIL("%s, expected %s", text + 1, right);
    free(right);
    free(text);
}

static void check_duration(long long ns) {
    char *text = NULL, unit[4];
    size_t size;
    double value;
    int end = 0;
    FILE *out = open_memstream(&text, &size);
    check(out != NULL);
    exec__write_duration(out, ns);
    check(fclose(out) == 0);
    check(sscanf(text, "%lf %3s%n", &value, unit, &end) == 2 && text[end] == '\0');
    double scale = strcmp(unit, "s") == 0 ? 1e9 : strcmp(unit, "ms") == 0 ? 1e6 : strcmp(unit, "us") == 0 ? 1e3 : 1;
    check(scale > 1 || strcmp(unit, "ns") == 0);
    double shown = value * scale, off = shown > (double)ns ? shown - (double)ns : (double)ns - shown;
    if (off > 0.0051 * (ns < 0 ? -(double)ns : (double)ns))
        FAIL("%lld ns are %s", ns, text);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *string = fuzz_text(data, size);
    long long ns = 0;
    memcpy(&ns, data, size < sizeof ns ? size : sizeof ns);
    check_quoted(string);
    check_duration(ns);
    free(string);
    return 0;
}
