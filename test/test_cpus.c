/* test_cpus.c - how many CPUs a process may use: its affinity mask, and the quotas of control groups, read from trees
 * of files that are made here. */
#include "helpers.h"

#include <ftw.h>
#include <sys/stat.h>

#include "cpus.h"

static char tree[] = P_tmpdir "/exec-cpus-XXXXXX"; /* holds what is like /proc/self/cgroup, and the groups below it */

static void in_tree(char path[200], const char *name) {
    snprintf(path, 200, "%s/%s", tree, name);
}

/* Writes a file, having made the directories above it. */
static void write_file(const char *name, const char *text) {
    char path[200];
    in_tree(path, name);
    for (char *slash = path + strlen(tree) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    check(file != NULL);
    fputs(text, file);
    fclose(file);
}

static int remove_entry(const char *path, const struct stat *status, int flag, struct FTW *where) {
    (void)status, (void)flag, (void)where;
    return remove(path);
}

static void remove_tree(void) {
    ok(nftw(tree, remove_entry, 8, FTW_DEPTH | FTW_PHYS));
}

/* The quota of a process whose /proc/self/cgroup reads so. */
static unsigned quota(const char *groups) {
    char proc[200];
    write_file("cgroup", groups);
    in_tree(proc, "cgroup");
    return exec__cpu_quota(proc, tree);
}

TEST(cpus, without_a_quota_there_is_none) {
    check(mkdtemp(tree) != NULL);
    eq_int(quota("0::/\n"), 0);
    eq_int(quota("0::/no/such/group\n"), 0);
    eq_int(quota(""), 0);
    write_file("a/cpu.max", "max 100000\n");
    eq_int(quota("0::/a\n"), 0);
    eq_int(exec__cpu_quota("/no/such/file", tree), 0);
    remove_tree();
}

TEST(cpus, a_quota_of_any_size_is_a_number_of_cpus_or_none) {
    check(mkdtemp(tree) != NULL);
    write_file("a/cpu.max", "9223372036854775807 9223372036854775807\n");
    eq_int(quota("0::/a\n"), 1);
    write_file("a/cpu.max", "9223372036854775807 5000000000000000000\n");
    eq_int(quota("0::/a\n"), 2);
    write_file("a/cpu.max", "9223372036854775807 1\n");
    eq_int(quota("0::/a\n"), 0);
    remove_tree();
}

TEST(cpus, a_group_that_is_no_path_has_none) {
    char proc[200], root[200];
    check(mkdtemp(tree) != NULL);
    write_file("root-a/cpu.max", "200000 100000\n");
    write_file("cgroup", "0::-a\n");
    in_tree(proc, "cgroup");
    in_tree(root, "root");
    eq_int(exec__cpu_quota(proc, root), 0);
    remove_tree();
}

TEST(cpus, the_quota_of_version_2_counts_in_whole_cpus_rounded_up) {
    check(mkdtemp(tree) != NULL);
    write_file("a/cpu.max", "200000 100000\n");
    eq_int(quota("0::/a\n"), 2);
    write_file("a/cpu.max", "150000 100000\n");
    eq_int(quota("0::/a\n"), 2);
    write_file("a/cpu.max", "100 100000\n");
    eq_int(quota("0::/a\n"), 1);
    write_file("a/cpu.max", "6400000 50000\n");
    eq_int(quota("0::/a\n"), 128);
    remove_tree();
}

TEST(cpus, the_least_quota_of_all_groups_above_counts) {
    check(mkdtemp(tree) != NULL);
    write_file("a/b/c/cpu.max", "800000 100000\n");
    eq_int(quota("0::/a/b/c\n"), 8);
    write_file("a/b/cpu.max", "max 100000\n");
    eq_int(quota("0::/a/b/c\n"), 8);
    write_file("a/cpu.max", "300000 100000\n");
    eq_int(quota("0::/a/b/c\n"), 3);
    write_file("cpu.max", "500000 100000\n");
    eq_int(quota("0::/a/b/c\n"), 3);
    eq_int(quota("0::/\n"), 5);
    remove_tree();
}

TEST(cpus, where_only_the_group_itself_is_mounted_its_quota_counts) {
    check(mkdtemp(tree) != NULL);
    write_file("cpu.max", "400000 100000\n");
    eq_int(quota("0::/container/of/another/namespace\n"), 4);
    remove_tree();
}

TEST(cpus, the_quota_of_version_1_counts) {
    static const char groups[] = "9:memory:/m\n3:cpuset:/a\n2:cpu,cpuacct:/a/b\n1:name=systemd:/s\n";
    check(mkdtemp(tree) != NULL);
    write_file("cpuset/a/cpu.cfs_quota_us", "100000\n");
    eq_int(quota(groups), 0);
    write_file("cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    write_file("cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
    eq_int(quota(groups), 0);
    write_file("cpu,cpuacct/a/b/cpu.cfs_quota_us", "250000\n");
    eq_int(quota(groups), 3);
    write_file("cpu,cpuacct/a/cpu.cfs_period_us", "50000\n");
    write_file("cpu,cpuacct/a/cpu.cfs_quota_us", "50000\n");
    eq_int(quota(groups), 1);
    write_file("cpu/x/cpu.cfs_period_us", "100000\n");
    write_file("cpu/x/cpu.cfs_quota_us", "700000\n");
    eq_int(quota("5:cpu:/x\n"), 7);
    remove_tree();
}

TEST(cpus, with_both_versions_the_lesser_quota_counts) {
    check(mkdtemp(tree) != NULL);
    write_file("cpu/a/cpu.cfs_period_us", "100000\n");
    write_file("cpu/a/cpu.cfs_quota_us", "600000\n");
    write_file("b/cpu.max", "500000 100000\n");
    eq_int(quota("2:cpu:/a\n0::/b\n"), 5);
    write_file("b/cpu.max", "900000 100000\n");
    eq_int(quota("2:cpu:/a\n0::/b\n"), 6);
    remove_tree();
}

TEST(cpus, what_cannot_be_read_is_no_quota) {
    check(mkdtemp(tree) != NULL);
    write_file("a/cpu.max", "nonsense\n");
    eq_int(quota("0::/a\n"), 0);
    write_file("a/cpu.max", "");
    eq_int(quota("0::/a\n"), 0);
    write_file("a/cpu.max", "100000 0\n");
    eq_int(quota("0::/a\n"), 0);
    eq_int(quota("nonsense\n::\n:\n\n0:\n0::\n"), 0);
    remove_tree();
}

TEST(cpus, the_affinity_mask_bounds_the_number) {
    cpu_set_t mine, one;
    ok(sched_getaffinity(0, sizeof mine, &mine));
    between(exec__cpus(), 1, CPU_COUNT(&mine));
    CPU_ZERO(&one);
    CPU_SET(first_cpu(), &one);
    ok(sched_setaffinity(0, sizeof one, &one));
    eq_int(exec__cpus(), 1);
}

TEST(cpus, only_cpus_in_the_mask_are_allowed) {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(first_cpu(), &one);
    check(exec__cpu_is_allowed(first_cpu()));
    ok(sched_setaffinity(0, sizeof one, &one));
    check(exec__cpu_is_allowed(first_cpu()));
    for (int cpu = -2; cpu < CPU_SETSIZE + 2; cpu++)
        eq_int(exec__cpu_is_allowed(cpu), cpu == first_cpu());
}
