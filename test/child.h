/* child.h - running part of a test in a forked child. */
#ifndef CHILD_H
#define CHILD_H

#include "helpers.h"

#include <sys/wait.h>

/* AddressSanitizer does not keep its allocator whole in a forked child: a lock of it that another thread holds at the
 * fork remains locked there. So the fork waits until no other thread is about to allocate anything; for a moment only,
 * since some tests fork while others are busy. */
static inline void let_others_sleep(void) {
#ifdef TEST_UNDER_ASAN
    enum { MOST = 256 };
    pid_t tids[MOST];
    bool asleep = false;
    for (exec_time until = exec_after(EXEC_MS(500)); !asleep && exec_now() < until; nap(EXEC_US(100))) {
        int n = threads_named("", tids, MOST);
        asleep = n <= MOST;
        for (int i = 0; i < n && asleep; i++)
            asleep = tids[i] == gettid() || sleeps(tids[i]);
    }
#endif
}

/* As fork(): in the child, which has a time limit of its own, 0. */
static inline pid_t fork_child(void) {
    fflush(NULL);
    let_others_sleep();
    pid_t child = fork();
    check(child >= 0);
    if (child == 0)
        alarm((unsigned)(LIMIT / EXEC_SEC(1)));
    return child;
}

/* Sees it end well. */
static inline void await_child(pid_t child) {
    int status;
    eq_int(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        FAIL("the child ended with status %#x", (unsigned)status);
}

/* Runs fn(arg) in a forked child. */
static inline void in_child(void (*fn)(void *), void *arg) {
    pid_t child = fork_child();
    if (child == 0) {
        fn(arg);
        _exit(0);
    }
    await_child(child);
}

#endif
