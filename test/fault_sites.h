/* fault_sites.h - included before each file of the library as it is compiled for the fault programs: every call that
 * could fail becomes a site, and goes to the function of fault_calls.h instead.
 *
 * All sites lie in one section, whether they are ever reached or not, so that a program can go through them. What is
 * called through one of the library's own functions below has a site in there, and one where that is called;
 * FAULT_IN_file keeps its definition free of this.
 */
#ifndef FAULT_SITES_H
#define FAULT_SITES_H

#include "fault_site.h"

#include "../lib/future.h"
#include "../lib/memory.h"
#include "../lib/sleep.h"
#include "../lib/sync.h"

static inline void fault_leave(struct fault_frame *frame) {
    fault_here = frame->outer;
}

/* The frame is left also when the thread exits or is cancelled in the call. */
#define FAULT_AT_SITE(name, function, ...)                                                             \
    __extension__({                                                                                    \
        static struct fault_site site_ = {__FILE__, __func__, name, __LINE__, 0, 0};                   \
        static struct fault_site *const entry_ __attribute__((section("fault_sites"), used)) = &site_; \
        __attribute__((cleanup(fault_leave))) struct fault_frame frame_ = {&site_, fault_here};        \
        fault_here = &frame_;                                                                          \
        function(__VA_ARGS__);                                                                         \
    })
#define FAULT(name, ...) FAULT_AT_SITE(#name, fault_##name, __VA_ARGS__)
#define FAULT_THROUGH(name, ...) FAULT_AT_SITE(#name, name, __VA_ARGS__)

#define malloc(...) FAULT(malloc, __VA_ARGS__)
#define calloc(...) FAULT(calloc, __VA_ARGS__)
#define aligned_alloc(...) FAULT(aligned_alloc, __VA_ARGS__)
#define free fault_free

#define pthread_create(...) FAULT(pthread_create, __VA_ARGS__)
#define pthread_attr_init(...) FAULT(pthread_attr_init, __VA_ARGS__)
#define pthread_attr_setstacksize(...) FAULT(pthread_attr_setstacksize, __VA_ARGS__)
#define pthread_attr_getstack(...) FAULT(pthread_attr_getstack, __VA_ARGS__)
#define pthread_getattr_np(...) FAULT(pthread_getattr_np, __VA_ARGS__)
#define pthread_getaffinity_np(...) FAULT(pthread_getaffinity_np, __VA_ARGS__)
#ifdef __GLIBC__
#define pthread_attr_setaffinity_np(...) FAULT(pthread_attr_setaffinity_np, __VA_ARGS__)
#undef CPU_ALLOC
#define CPU_ALLOC(...) FAULT(cpu_alloc, __VA_ARGS__)
#else
#define pthread_setaffinity_np(...) FAULT(pthread_setaffinity_np, __VA_ARGS__)
#endif
#define pthread_setname_np(...) FAULT(pthread_setname_np, __VA_ARGS__)
#define pthread_mutex_init(...) FAULT(pthread_mutex_init, __VA_ARGS__)
#define pthread_condattr_init(...) FAULT(pthread_condattr_init, __VA_ARGS__)
#define pthread_condattr_setclock(...) FAULT(pthread_condattr_setclock, __VA_ARGS__)
#define pthread_cond_init(...) FAULT(pthread_cond_init, __VA_ARGS__)
#define pthread_key_create(...) FAULT(pthread_key_create, __VA_ARGS__)
#define pthread_setspecific(...) FAULT(pthread_setspecific, __VA_ARGS__)
#define pthread_atfork(...) FAULT(pthread_atfork, __VA_ARGS__)
#define prctl(...) FAULT(prctl, __VA_ARGS__)
#define sched_getaffinity(...) FAULT(sched_getaffinity, __VA_ARGS__)
#define sem_init(...) FAULT(sem_init, __VA_ARGS__)
#define sem_wait(...) FAULT(sem_wait, __VA_ARGS__)

#define clock_gettime(...) FAULT(clock_gettime, __VA_ARGS__)
#define clock_nanosleep(...) FAULT(clock_nanosleep, __VA_ARGS__)

#define eventfd(...) FAULT(eventfd, __VA_ARGS__)
#define open(...) FAULT(open, __VA_ARGS__)
#define close(...) FAULT(close, __VA_ARGS__)
#define read(...) FAULT(read, __VA_ARGS__)
#define write(...) FAULT(write, __VA_ARGS__)
#define fstat(...) FAULT(fstat, __VA_ARGS__)
#define ppoll(...) FAULT(ppoll, __VA_ARGS__)
#define ioctl(...) FAULT(ioctl, __VA_ARGS__)
#define isatty(...) FAULT(isatty, __VA_ARGS__)

#define fopen(...) FAULT(fopen, __VA_ARGS__)
#define open_memstream(...) FAULT(open_memstream, __VA_ARGS__)
#define fclose(...) FAULT(fclose, __VA_ARGS__)
#define fgets(...) FAULT(fgets, __VA_ARGS__)
#define fscanf(...) FAULT(fscanf, __VA_ARGS__)
#define fprintf(...) FAULT(fprintf, __VA_ARGS__)
#define fputs(...) FAULT(fputs, __VA_ARGS__)
#define fputc(...) FAULT(fputc, __VA_ARGS__)
#define fwrite(...) FAULT(fwrite, __VA_ARGS__)
#define fflush(...) FAULT(fflush, __VA_ARGS__)
#undef ferror
#define ferror(...) FAULT(ferror, __VA_ARGS__)
#define newlocale(...) FAULT(newlocale, __VA_ARGS__)

#ifndef FAULT_IN_memory
#define exec__malloc(...) FAULT_THROUGH(exec__malloc, __VA_ARGS__)
#define exec__calloc(...) FAULT_THROUGH(exec__calloc, __VA_ARGS__)
#define exec__aligned_alloc(...) FAULT_THROUGH(exec__aligned_alloc, __VA_ARGS__)
#endif
#ifndef FAULT_IN_sync
#define exec__cond_init(...) FAULT_THROUGH(exec__cond_init, __VA_ARGS__)
#endif
#ifndef FAULT_IN_sleep
#define exec__sleeper_init(...) FAULT_THROUGH(exec__sleeper_init, __VA_ARGS__)
#endif
#ifndef FAULT_IN_future
#define exec__future_new(...) FAULT_THROUGH(exec__future_new, __VA_ARGS__)
#endif

#endif
