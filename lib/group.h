/* group.h - a group, for what is built on it. See group.c. */
#ifndef EXEC__GROUP_H
#define EXEC__GROUP_H

#include <stdbool.h>

#include <exec/group.h>

/* Submits a member past the executor's policy: waits for room until the deadline. ECANCELED, when the group is
 * cancelled; ETIMEDOUT. The rest as exec_group_submit(). */
int exec__group_put(exec_group_t *g, exec_fn *fn, void *arg, exec_time deadline);

/* Whether the calling thread is in a member, or in the callback of one. */
bool exec__called_by_member(const exec_group_t *g);

#endif
