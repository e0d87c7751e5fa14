/* cpus.c - how many CPUs this process may use: the affinity mask (sched_getaffinity(2)) and the CPU quota of its cgroup
 * and of those above it, cpu.max in version 2 and cpu.cfs_quota_us in version 1 (the kernel's
 * Documentation/admin-guide/cgroup-v2.rst and scheduler/sched-bwc.rst).
 */
#include "cpus.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned in_mask(void) {
    for (size_t n = CPU_SETSIZE; n <= 1 << 20; n *= 2) { /* EINVAL: the kernel knows more CPUs than that */
        cpu_set_t *set = CPU_ALLOC(n);
        if (set == NULL)
            return 1;
        int got = sched_getaffinity(0, CPU_ALLOC_SIZE(n), set);
        int count = got == 0 ? CPU_COUNT_S(CPU_ALLOC_SIZE(n), set) : 0;
        CPU_FREE(set);
        if (got == 0)
            return count > 0 ? (unsigned)count : 1;
    }
    return 1;
}

bool exec__cpu_is_allowed(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (cpu < 0 || cpu >= CPU_SETSIZE)
        return false;
    return pthread_getaffinity_np(pthread_self(), sizeof set, &set) == 0 && CPU_ISSET((size_t)cpu, &set);
}

/* Reads up to two numbers from a file; how many there were. "max" counts as -1. */
static int read_numbers(const char *path, long long *a, long long *b) {
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return 0;
    char first[32];
    int n = fscanf(f, "%31s %lld", first, b);
    fclose(f);
    if (n >= 1)
        *a = strcmp(first, "max") == 0 ? -1 : atoll(first);
    return n;
}

static unsigned whole_cpus(long long quota, long long period) {
    if (quota <= 0 || period <= 0)
        return 0;
    long long cpus = quota / period + (quota % period != 0); /* any numbers: the sum of both may be none */
    return cpus > INT_MAX ? 0 : (unsigned)cpus;
}

static unsigned quota_in(const char *dir) {
    char path[PATH_MAX];
    long long quota = -1, period = 0, unused;
    if (snprintf(path, sizeof path, "%s/cpu.max", dir) < (int)sizeof path && read_numbers(path, &quota, &period) == 2)
        return whole_cpus(quota, period);
    if (snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir) >= (int)sizeof path ||
        read_numbers(path, &quota, &unused) < 1)
        return 0;
    if (snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir) >= (int)sizeof path ||
        read_numbers(path, &period, &unused) < 1)
        return 0;
    return whole_cpus(quota, period);
}

static unsigned least(unsigned a, unsigned b) {
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

/* The least quota of a cgroup below `mount` and of all those above it. */
static unsigned quota_up_from(const char *mount, const char *group) {
    char dir[PATH_MAX];
    if (snprintf(dir, sizeof dir, "%s%s", mount, group) >= (int)sizeof dir)
        return 0;
    unsigned quota = 0;
    for (size_t top = strlen(mount);;) {
        quota = least(quota, quota_in(dir));
        char *slash = strrchr(dir, '/');
        if (slash == NULL || (size_t)(slash - dir) < top)
            return quota;
        *slash = '\0';
    }
}

/* Whether a comma-separated list of controllers has "cpu". */
static bool has_cpu(const char *controllers) {
    for (const char *c = controllers; c != NULL; c = strchr(c, ',')) {
        c += *c == ',';
        if (strncmp(c, "cpu", 3) == 0 && (c[3] == ',' || c[3] == '\0'))
            return true;
    }
    return false;
}

/* One line of /proc/self/cgroup, "ID:CONTROLLERS:PATH"; version 2 has no controllers. */
static unsigned quota_of_line(char *line, const char *root) {
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':');
    char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
    if (group == NULL || group[1] != '/')
        return 0;
    *group++ = '\0';
    controllers++;
    if (*controllers == '\0')
        return quota_up_from(root, group);
    char mount[PATH_MAX];
    if (!has_cpu(controllers) || snprintf(mount, sizeof mount, "%s/%s", root, controllers) >= (int)sizeof mount)
        return 0;
    return quota_up_from(mount, group);
}

unsigned exec__cpu_quota(const char *proc_cgroup, const char *root) {
    FILE *f = fopen(proc_cgroup, "re");
    if (f == NULL)
        return 0;
    unsigned quota = 0;
    char line[PATH_MAX + 256];
    while (fgets(line, sizeof line, f) != NULL)
        quota = least(quota, quota_of_line(line, root));
    fclose(f);
    return quota;
}

unsigned exec__cpus(void) {
    int saved = errno;
    unsigned cpus = least(in_mask(), exec__cpu_quota("/proc/self/cgroup", "/sys/fs/cgroup"));
    errno = saved;
    return cpus;
}
