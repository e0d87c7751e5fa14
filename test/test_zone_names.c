/* test_zone_names.c - zones by name, by TZ and from the system: which file is read, what is refused, and the offsets of
 * all zones of the system against those of the C library. */
#include "child.h"
#include "times.h"
#include "tzif.h"

#include <fcntl.h>
#include <ftw.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static const char system_zones[] = "/usr/share/zoneinfo";

/* ---- helpers ---- */

static char tree[] = P_tmpdir "/exec-zones-XXXXXX"; /* what TZDIR is set to */

static void in_tree(char path[200], const char *name) {
    snprintf(path, 200, "%s/%s", tree, name);
}

static void make_tree(void) {
    check(mkdtemp(tree) != NULL);
    ok(setenv("TZDIR", tree, 1));
}

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *where) {
    (void)status, (void)flag, (void)where;
    return remove(path);
}

static void remove_tree(void) {
    ok(nftw(tree, remove_entry, 8, FTW_DEPTH | FTW_PHYS));
}

static void write_bytes(const char *name, const void *data, size_t n, off_t size) {
    char path[200];
    in_tree(path, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    check(fd >= 0);
    eq_int(write(fd, data, n), n);
    ok(ftruncate(fd, size));
    close(fd);
}

/* A file for one offset, in seconds. */
static void write_zone(const char *name, int32_t offset) {
    struct bytes b = tzif_bytes(&(struct tzif){.offsets = {offset}, .ntypes = 1});
    write_bytes(name, b.data, b.n, (off_t)b.n);
}

static void eq_zone(const char *name, int32_t offset) {
    struct exec__zone *zone;
    if (exec__zone_load(name, &zone) != 0)
        FAIL("%s is not there", name ? name : "(none)");
    eq_int(offset_at(zone, 0), offset);
    exec__zone_free(zone);
}

static void eq_no_zone(const char *name, int error) {
    struct exec__zone *zone = NULL;
    int actual = exec__zone_load(name, &zone);
    if (actual != error || zone != NULL)
        FAIL("%s: error %d, expected %d", name ? name : "(none)", actual, error);
}

static void eq_local(const char *tz, const char *file, int32_t offset) {
    struct exec__zone *zone;
    int error = exec__zone_load_local(tz, file, &zone);
    if (error != 0)
        FAIL("TZ=%s, %s: error %d", tz ? tz : "(none)", file, error);
    eq_int(offset_at(zone, 0), offset);
    exec__zone_free(zone);
}

static void eq_no_local(const char *tz, const char *file, int error) {
    struct exec__zone *zone = NULL;
    int actual = exec__zone_load_local(tz, file, &zone);
    if (actual != error || zone != NULL)
        FAIL("TZ=%s, %s: error %d, expected %d", tz ? tz : "(none)", file, actual, error);
}

/* The library's calls of read(), and everyone else's in this program: the next few fail, or bring one byte. */
static int interrupted_reads, short_reads, failed_reads, empty_reads;

static bool one_of(int *number) {
    return *number > 0 && (*number)-- > 0;
}

ssize_t read(int fd, void *buffer, size_t n) {
    if (one_of(&interrupted_reads))
        return errno = EINTR, -1;
    if (one_of(&failed_reads))
        return errno = EIO, -1;
    if (one_of(&empty_reads))
        return 0;
    return syscall(SYS_read, fd, buffer, n > 0 && one_of(&short_reads) ? 1 : n);
}

/* ---- names ---- */

TEST(zone_names, zones_are_found_below_tzdir) {
    make_tree();
    write_zone("A", 100);
    write_zone("x+Y-1_z.0", 200);
    eq_zone("A", 100);
    eq_zone("x+Y-1_z.0", 200);
    eq_no_zone("B", EINVAL);
    remove_tree();
}

TEST(zone_names, without_tzdir_zones_are_found_in_the_system) {
    need_tzdata();
    eq_zone("Asia/Tokyo", 9 * 3600);
    setenv("TZDIR", "", 1);
    eq_zone("Asia/Tokyo", 9 * 3600);
}

TEST(zone_names, a_name_that_leads_elsewhere_is_refused) {
    static const char *const bad[] = {".",   "..",  "../A", "d/../A",   "d/./A",     "./A", "d//A",
                                      "/A",  "d/",  "/",    ".hidden",  "d/.hidden", "A:",  ":A",
                                      "A B", "A\n", "A\\B", "\xc3\xa4", "A,M3.2.0"};
    char path[200], absolute[200];
    make_tree();
    in_tree(path, "d");
    ok(mkdir(path, 0700));
    write_zone("A", 100);
    write_zone("d/A", 100);
    write_zone("A B", 100);
    write_zone(".hidden", 100);
    write_zone("d/.hidden", 100);
    eq_zone("d/A", 100);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        eq_no_zone(bad[i], EINVAL);
    in_tree(absolute, "A");
    eq_no_zone(absolute, EINVAL);
    remove_tree();
}

TEST(zone_names, a_name_without_end_is_refused) {
    char *name = malloc(10001);
    memset(name, 'a', 10000);
    name[10000] = '\0';
    eq_no_zone(name, EINVAL);
    name[1000] = '\0';
    eq_no_zone(name, EINVAL);
    free(name);
}

/* ---- files ---- */

TEST(zone_names, what_is_no_file_of_a_zone_is_refused) {
    char path[200];
    make_tree();
    write_bytes("empty", "", 0, 0);
    write_bytes("text", "nonsense\n", 9, 9);
    in_tree(path, "directory");
    ok(mkdir(path, 0700));
    in_tree(path, "fifo");
    ok(mkfifo(path, 0600)); /* nobody writes to it */
    in_tree(path, "loop");
    ok(symlink("loop", path));
    eq_no_zone("empty", EINVAL);
    eq_no_zone("text", EINVAL);
    eq_no_zone("directory", EINVAL);
    eq_no_zone("fifo", EINVAL);
    eq_no_zone("loop", EINVAL);
    eq_no_zone("text/x", EINVAL);
    remove_tree();
}

TEST(zone_names, a_file_of_more_than_a_mebibyte_is_refused) {
    struct bytes b = tzif_bytes(&(struct tzif){.offsets = {5}, .ntypes = 1});
    make_tree();
    write_bytes("most", b.data, b.n, 1 << 20);
    write_bytes("more", b.data, b.n, (1 << 20) + 1);
    eq_zone("most", 5);
    eq_no_zone("more", EINVAL);
    remove_tree();
}

TEST(zone_names, a_file_is_read_to_its_end) {
    make_tree();
    write_zone("A", 100);
    interrupted_reads = 2;
    short_reads = 10;
    eq_zone("A", 100);
    eq_int(interrupted_reads, 0);
    eq_int(short_reads, 0);
    remove_tree();
}

TEST(zone_names, a_file_that_cannot_be_read_is_refused) {
    make_tree();
    write_zone("A", 100);
    failed_reads = 1;
    eq_no_zone("A", EINVAL);
    eq_int(failed_reads, 0);
    empty_reads = 1; /* it has become shorter */
    eq_no_zone("A", EINVAL);
    eq_int(empty_reads, 0);
    eq_zone("A", 100);
    remove_tree();
}

TEST(zone_names, without_a_descriptor_the_zone_is_not_read) {
    struct rlimit limit;
    struct exec__zone *zone = NULL;
    need_tzdata();
    ok(getrlimit(RLIMIT_NOFILE, &limit));
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 0;
    ok(setrlimit(RLIMIT_NOFILE, &limit));
    int named = exec__zone_load("Europe/Berlin", &zone);
    int variable = exec__zone_load_local("Europe/Berlin", "/etc/localtime", &zone);
    int local = exec__zone_load_local(NULL, "/etc/localtime", &zone);
    limit.rlim_cur = before;
    ok(setrlimit(RLIMIT_NOFILE, &limit));
    eq_err(named, EMFILE);
    eq_err(variable, EMFILE);
    eq_err(local, EMFILE);
    check(zone == NULL);
}

/* ---- the process's own zone ---- */

TEST(zone_names, tz_is_a_name_a_path_or_a_rule) {
    char path[200], colon[201];
    make_tree();
    write_zone("A", 100);
    write_zone("EST5", 200);
    in_tree(path, "A");
    snprintf(colon, sizeof colon, ":%s", path);
    eq_local("A", "/none", 100);
    eq_local(":A", "/none", 100);
    eq_local(path, "/none", 100);
    eq_local(colon, "/none", 100);
    eq_local("EST5", "/none", 200); /* a file comes before a rule */
    eq_local("EST6", "/none", -6 * 3600);
    eq_local(":EST6", "/none", -6 * 3600);
    eq_local("<+05>-5", "/none", 5 * 3600);
    eq_local("AAA0BBB,J200,J300", "/none", 0);
    remove_tree();
}

TEST(zone_names, an_empty_tz_is_utc) {
    char path[200];
    make_tree();
    write_zone("A", 100);
    in_tree(path, "A");
    eq_local("", path, 0);
    eq_local(":", path, 0);
    remove_tree();
}

TEST(zone_names, a_tz_that_is_none_of_these_is_refused) {
    char path[200];
    make_tree();
    write_zone("A", 100);
    write_bytes("bad", "nonsense\n", 9, 9);
    in_tree(path, "A");
    eq_no_local("B", path, EINVAL);
    eq_no_local("../A", path, EINVAL);
    eq_no_local("bad", path, EINVAL);
    eq_no_local("/none", path, EINVAL);
    eq_no_local("::A", path, EINVAL);
    remove_tree();
}

TEST(zone_names, without_tz_there_is_the_local_file_or_utc) {
    char path[200], link[200], nowhere[200];
    make_tree();
    write_zone("A", 100);
    write_bytes("bad", "nonsense\n", 9, 9);
    in_tree(path, "A");
    in_tree(link, "link");
    ok(symlink(path, link));
    in_tree(nowhere, "nowhere");
    ok(symlink("missing", nowhere));
    eq_local(NULL, path, 100);
    eq_local(NULL, link, 100);
    eq_local(NULL, "/none", 0);
    eq_local(NULL, nowhere, 0);
    in_tree(path, "bad");
    eq_no_local(NULL, path, EINVAL);
    eq_no_local(NULL, tree, EINVAL);
    remove_tree();
}

TEST(zone_names, no_name_means_the_environments) {
    make_tree();
    write_zone("A", 100);
    ok(setenv("TZ", "A", 1));
    eq_zone(NULL, 100);
    eq_zone("", 100);
    ok(setenv("TZ", "B", 1));
    eq_no_zone(NULL, EINVAL);
    remove_tree();
}

TEST(zone_names, the_system_has_a_zone_of_its_own) {
    struct exec__zone *zone;
    struct tm tm;
    time_t now = time(NULL);
    unsetenv("TZ");
    ok(exec__zone_load(NULL, &zone));
    tzset();
    localtime_r(&now, &tm);
    eq_int(offset_at(zone, now), tm.tm_gmtoff);
    exec__zone_free(zone);
}

TEST(zone_names, errno_is_left_alone) {
    struct exec__zone *zone;
    need_tzdata();
    errno = 1234;
    ok(exec__zone_load("Europe/Berlin", &zone));
    exec__zone_free(zone);
    eq_int(errno, 1234);
    eq_err(exec__zone_load("No/where", &zone), EINVAL);
    eq_err(exec__zone_load("Europe", &zone), EINVAL);
    eq_err(exec__zone_load_local("No/where", "/none", &zone), EINVAL);
    ok(exec__zone_load_local(NULL, "/none", &zone));
    exec__zone_free(zone);
    eq_int(errno, 1234);
}

static void *load_cancelled(void *error) {
    struct exec__zone *zone = NULL;
    pthread_cancel(pthread_self());
    *(int *)error = exec__zone_load("Europe/Berlin", &zone);
    exec__zone_free(zone);
    pthread_testcancel();
    return NULL;
}

TEST(zone_names, a_thread_that_is_cancelled_reads_to_the_end) {
    int error = -1;
    need_tzdata();
    eq_ptr(finish(start(load_cancelled, &error)), PTHREAD_CANCELED);
    ok(error);
}

/* ---- all zones of the system ---- */

static int zones_seen;

static void eq_at(const char *name, const struct exec__zone *zone, time_t t) {
    struct tm tm;
    check(localtime_r(&t, &tm) != NULL);
    if (offset_at(zone, t) != tm.tm_gmtoff)
        FAIL("%s at %s: %d, expected %ld", name, shown(t), (int)offset_at(zone, t), tm.tm_gmtoff);
}

/* Before and at each change, and in the middle between them, for as long as there are any and it is not 2500. */
static void walk_changes(const char *name, const struct exec__zone *zone) {
    struct exec__span span;
    for (time_t t = at("1850-01-01 00:00"); t < at("2500-01-01 00:00"); t = span.end) {
        exec__zone_local(zone, t, &span);
        eq_at(name, zone, t - 1);
        eq_at(name, zone, t);
        if (span.end == INT64_MAX)
            break;
        eq_at(name, zone, t + (span.end - t) / 2);
    }
}

static void compare(const char *name, const struct exec__zone *zone) {
    uint64_t state = 1;
    ok(setenv("TZ", name, 1));
    tzset();
    walk_changes(name, zone);
    for (int i = 0; i < 300; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        eq_at(name, zone, at("1850-01-01 00:00") + (time_t)((state >> 20) % (UINT64_C(86400) * 365 * 650)));
    }
}

static bool is_tzif(const char *path) {
    char magic[4] = "";
    FILE *file = fopen(path, "re");
    check(file);
    size_t n = fread(magic, 1, 4, file);
    fclose(file);
    return n == 4 && memcmp(magic, "TZif", 4) == 0;
}

static int visit(const char *path, const struct stat *status, int flag, struct FTW *where) {
    const char *name = path + sizeof system_zones;
    struct exec__zone *zone;
    (void)status, (void)where;
    if (flag != FTW_F || !is_tzif(path) || strncmp(name, "posix/", 6) == 0)
        return 0;
    int error = exec__zone_load(name, &zone);
    if (strncmp(name, "right/", 6) == 0) {
        eq_err(error, EINVAL);
        return 0;
    }
    if (error != 0)
        FAIL("%s: error %d", name, error);
    compare(name, zone);
    exec__zone_free(zone);
    zones_seen++;
    return 0;
}

/* The C library knows one zone at a time, by TZ: so this is done in a child. */
static void visit_all(void *unused) {
    (void)unused;
    test_thread = 0;
    ok(nftw(system_zones, visit, 16, 0));
    at_least(zones_seen, 300);
}

TEST(zone_names, all_zones_of_the_system_have_the_offsets_of_the_c_library) {
    need_tzdata();
    in_child(visit_all, NULL);
}
