/* replay.c - gives a fuzz target the contents of files, once each: a check that needs no libFuzzer.
 *
 *     fuzz_NAME FILE|DIRECTORY...       of a directory, all files in it
 */
#include <dirent.h>
#include <errno.h>

#include "fuzz.h"

static void replay_file(FILE *file, const char *path) {
    enum { MOST = 1 << 20 };
    uint8_t *buffer = malloc(MOST);
    check(buffer != NULL);
    size_t size = fread(buffer, 1, MOST, file);
    if (ferror(file))
        FAIL("%s: %s", path, strerror(errno));
    uint8_t *exact = malloc(size > 0 ? size : 1);
    check(exact != NULL);
    memcpy(exact, buffer, size);
    free(buffer);
    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static int replay(const char *path);

static int replay_all(DIR *dir, const char *path) {
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        check(snprintf(name, sizeof name, "%s/%s", path, entry->d_name) < (int)sizeof name);
        n += replay(name);
    }
    return n;
}

/* How many files it was. */
static int replay(const char *path) {
    DIR *dir = opendir(path);
    if (dir != NULL) {
        int n = replay_all(dir, path);
        closedir(dir);
        return n;
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        FAIL("%s: %s", path, strerror(errno));
    replay_file(file, path);
    fclose(file);
    return 1;
}

int main(int argc, char **argv) {
    int n = 0;
    for (int i = 1; i < argc; i++)
        n += replay(argv[i]);
    printf("%d inputs\n", n);
    return n > 0 ? 0 : 1;
}
