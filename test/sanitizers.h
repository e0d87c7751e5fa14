/* sanitizers.h - part of helpers.h: what the sanitizers need to get along with Criterion, and with unwound threads. */
#ifndef SANITIZERS_H
#define SANITIZERS_H

/* ---- AddressSanitizer ---- */

#ifdef TEST_UNDER_ASAN
#include <sys/syscall.h>

/* After pthread_cancel() or pthread_exit() has unwound a stack, what AddressSanitizer knows of it is stale until it is
 * told, by __asan_handle_no_return(). That calls sigaltstack() on a buffer of its own on that stack, and in gcc 12 runs
 * into its own check of it. */
int sigaltstack(const stack_t *stack, stack_t *old) {
    return (int)syscall(SYS_sigaltstack, stack, old);
}
#endif

/* ---- ThreadSanitizer ---- */

#ifdef TEST_UNDER_TSAN
#include <sys/mman.h>

/* A report ends the test. Tests that fork make threads in the child. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "halt_on_error=1 die_after_fork=0 second_deadlock_stack=1";
}

/* Criterion's runner shares memory with its tests at a random address between 0x200000000000 and 0x7f0000000000, which
 * it takes when mincore() calls it free. Nearly all of that is ThreadSanitizer's own on x86-64. So both functions are
 * pointed at the part of it that is the program's. */
#if defined(__x86_64__)
#include <sys/syscall.h>

static inline void *in_our_part(void *addr) {
    uintptr_t at = (uintptr_t)addr, ours = UINT64_C(0x7e8000000000);
    return at < ours ? (void *)(ours + (at & UINT64_C(0x3fff000000))) : addr;
}

int mincore(void *addr, size_t length, unsigned char *vec) {
    return (int)syscall(SYS_mincore, in_our_part(addr), length, vec);
}

void *__interceptor_mmap64(void *, size_t, int, int, int, off_t);
void *mmap64(void *addr, size_t length, int prot, int flags, int fd, off_t offset) {
    bool runners = (flags & MAP_FIXED) && (flags & MAP_SHARED);
    return __interceptor_mmap64(runners ? in_our_part(addr) : addr, length, prot, flags, fd, offset);
}
#endif
#endif

#endif
