/* fault_site.h - what the library, as it is compiled for the fault programs (fault_sites.h), and those (fault.h) share:
 * a place from which the library asks the system for something, and the functions that it calls there instead. */
#ifndef FAULT_SITE_H
#define FAULT_SITE_H

#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct fault_site {
    const char *file, *function, *call;
    int line;
    atomic_uint reached, failed; /* while the faults were armed; by calls that the plan had a say in */
};

/* A call that is under way, and the one that it is made for: a thread's calls, the innermost first. */
struct fault_frame {
    struct fault_site *site;
    struct fault_frame *outer;
};

extern _Thread_local struct fault_frame *fault_here;

/* Each is the function of that name, or fails as the system documents. */
void *fault_malloc(size_t size);
void *fault_calloc(size_t n, size_t size);
void *fault_aligned_alloc(size_t alignment, size_t size);
void fault_free(void *block);

int fault_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int fault_pthread_attr_init(pthread_attr_t *attr);
int fault_pthread_attr_setstacksize(pthread_attr_t *attr, size_t size);
int fault_pthread_attr_getstack(const pthread_attr_t *attr, void **lowest, size_t *size);
int fault_pthread_getattr_np(pthread_t thread, pthread_attr_t *attr);
int fault_pthread_getaffinity_np(pthread_t thread, size_t size, cpu_set_t *cpus);
#ifdef __GLIBC__
int fault_pthread_attr_setaffinity_np(pthread_attr_t *attr, size_t size, const cpu_set_t *cpus);
cpu_set_t *fault_cpu_alloc(size_t n);
#else
int fault_pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *cpus);
#endif
int fault_pthread_setname_np(pthread_t thread, const char *name);
int fault_pthread_mutex_init(pthread_mutex_t *mutex, const pthread_mutexattr_t *attr);
int fault_pthread_condattr_init(pthread_condattr_t *attr);
int fault_pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock);
int fault_pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr);
int fault_pthread_key_create(pthread_key_t *key, void (*destroy)(void *));
int fault_pthread_setspecific(pthread_key_t key, const void *value);
int fault_pthread_atfork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));
int fault_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
int fault_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *cpus);
int fault_sem_init(sem_t *sem, int shared, unsigned value);
int fault_sem_wait(sem_t *sem);

int fault_clock_gettime(clockid_t clock, struct timespec *now);
int fault_clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left);

int fault_eventfd(unsigned value, int flags);
int fault_open(const char *path, int flags);
int fault_close(int fd);
ssize_t fault_read(int fd, void *bytes, size_t n);
ssize_t fault_write(int fd, const void *bytes, size_t n);
int fault_fstat(int fd, struct stat *status);
int fault_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *signals);
int fault_ioctl(int fd, unsigned long request, void *arg);
int fault_isatty(int fd);

FILE *fault_fopen(const char *path, const char *mode);
FILE *fault_open_memstream(char **bytes, size_t *size);
int fault_fclose(FILE *stream);
char *fault_fgets(char *text, int size, FILE *stream);
int fault_fscanf(FILE *stream, const char *format, ...);
int fault_fprintf(FILE *stream, const char *format, ...);
int fault_fputs(const char *text, FILE *stream);
int fault_fputc(int c, FILE *stream);
size_t fault_fwrite(const void *bytes, size_t size, size_t n, FILE *stream);
int fault_fflush(FILE *stream);
int fault_ferror(FILE *stream);
locale_t fault_newlocale(int mask, const char *name, locale_t base);

#endif
