/* child.h - running part of a test in a forked child. */
#ifndef CHILD_H
#define CHILD_H

#include "helpers.h"

#include <sys/wait.h>

/* Runs fn(arg) in a forked child, which has a time limit of its own, and sees it end well. */
static inline void in_child(void (*fn)(void *), void *arg) {
    int status;
    fflush(NULL);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        alarm((unsigned)(LIMIT / EXEC_SEC(1)));
        fn(arg);
        _exit(0);
    }
    eq_int(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        FAIL("the child ended with status %#x", (unsigned)status);
}

#endif
