/* cpus.h - how many CPUs this process may use. */
#ifndef EXEC__CPUS_H
#define EXEC__CPUS_H

#include <stdbool.h>

/* By its affinity mask and its cgroup's CPU quota, whichever is less; at least 1. */
unsigned exec__cpus(void);

/* Whether it is in the calling thread's affinity mask, and one that a cpu_set_t can name. */
bool exec__cpu_is_allowed(int cpu);

/* The CPU quota in whole CPUs, rounded up; 0: none. `proc_cgroup` is like /proc/self/cgroup, `root` like
 * /sys/fs/cgroup. */
unsigned exec__cpu_quota(const char *proc_cgroup, const char *root);

#endif
