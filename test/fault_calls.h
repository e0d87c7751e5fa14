/* fault_calls.h - what the library, as it is compiled for the fault programs, calls instead of the system's functions
 * (fault_site.h): each does the same, or fails as that may, when fault.h says so. */
#ifndef FAULT_CALLS_H
#define FAULT_CALLS_H

#include "fault.h"

#define FAULT_MAY_FAIL(kind, otherwise) \
    if (fault_now(kind)) {              \
        errno = fault_errors[kind];     \
        return otherwise;               \
    }

/* Soft: with its own error. */
#define FAULT_MAY_LACK(error, otherwise) \
    if (fault_now(FAULT_SOFT)) {         \
        errno = error;                   \
        return otherwise;                \
    }

/* A function that returns its error. */
#define FAULT_RETURNS(kind, error, name, parameters, ...)     \
    int fault_##name parameters {                             \
        return fault_now(kind) ? (error) : name(__VA_ARGS__); \
    }

/* ---- memory ---- */

void *fault_malloc(size_t size) {
    FAULT_MAY_FAIL(FAULT_MEMORY, NULL)
    return fault_keep(malloc(size), size);
}

void *fault_calloc(size_t n, size_t size) {
    FAULT_MAY_FAIL(FAULT_MEMORY, NULL)
    return fault_keep(calloc(n, size), n * size);
}

void *fault_aligned_alloc(size_t alignment, size_t size) {
    FAULT_MAY_FAIL(FAULT_MEMORY, NULL)
    return fault_keep(aligned_alloc(alignment, size), size);
}

void fault_free(void *block) {
    fault_forget(block);
    free(block);
}

/* ---- threads ---- */

FAULT_RETURNS(FAULT_THREAD, EAGAIN, pthread_create,
              (pthread_t * thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg), thread, attr, fn, arg)
FAULT_RETURNS(FAULT_MEMORY, ENOMEM, pthread_attr_init, (pthread_attr_t * attr), attr)
FAULT_RETURNS(FAULT_INVALID, EINVAL, pthread_attr_setstacksize, (pthread_attr_t * attr, size_t size), attr, size)
FAULT_RETURNS(FAULT_SOFT, EINVAL, pthread_attr_getstack, (const pthread_attr_t *attr, void **lowest, size_t *size),
              attr, lowest, size)
FAULT_RETURNS(FAULT_SOFT, ENOMEM, pthread_getattr_np, (pthread_t thread, pthread_attr_t *attr), thread, attr)
FAULT_RETURNS(FAULT_INVALID, EINVAL, pthread_getaffinity_np, (pthread_t thread, size_t size, cpu_set_t *cpus), thread,
              size, cpus)
#ifdef __GLIBC__
FAULT_RETURNS(FAULT_MEMORY, ENOMEM, pthread_attr_setaffinity_np,
              (pthread_attr_t * attr, size_t size, const cpu_set_t *cpus), attr, size, cpus)
#else
/* To one CPU; not back to those that the thread had before. */
int fault_pthread_setaffinity_np(pthread_t thread, size_t size, const cpu_set_t *cpus) {
    return CPU_COUNT(cpus) == 1 && fault_now(FAULT_INVALID) ? EINVAL : pthread_setaffinity_np(thread, size, cpus);
}
#endif
FAULT_RETURNS(FAULT_SOFT, ERANGE, pthread_setname_np, (pthread_t thread, const char *name), thread, name)
FAULT_RETURNS(FAULT_MEMORY, ENOMEM, pthread_mutex_init, (pthread_mutex_t * mutex, const pthread_mutexattr_t *attr),
              mutex, attr)
FAULT_RETURNS(FAULT_MEMORY, ENOMEM, pthread_condattr_init, (pthread_condattr_t * attr), attr)
FAULT_RETURNS(FAULT_INVALID, EINVAL, pthread_condattr_setclock, (pthread_condattr_t * attr, clockid_t clock), attr,
              clock)
FAULT_RETURNS(FAULT_MEMORY, ENOMEM, pthread_cond_init, (pthread_cond_t * cond, const pthread_condattr_t *attr), cond,
              attr)
FAULT_RETURNS(FAULT_THREAD, EAGAIN, pthread_key_create, (pthread_key_t * key, void (*destroy)(void *)), key, destroy)
FAULT_RETURNS(FAULT_MEMORY, ENOMEM, pthread_setspecific, (pthread_key_t key, const void *value), key, value)
FAULT_RETURNS(FAULT_MEMORY, ENOMEM, pthread_atfork,
              (void (*before)(void), void (*in_parent)(void), void (*in_child)(void)), before, in_parent, in_child)
FAULT_RETURNS(FAULT_INTERRUPT, EINTR, clock_nanosleep,
              (clockid_t clock, int flags, const struct timespec *time, struct timespec *left), clock, flags, time,
              left)

int fault_prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
    FAULT_MAY_LACK(EPERM, -1)
    return prctl(option, a, b, c, d);
}

#ifdef __GLIBC__
cpu_set_t *fault_cpu_alloc(size_t n) {
    FAULT_MAY_LACK(ENOMEM, NULL)
    return CPU_ALLOC(n);
}
#endif

int fault_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *cpus) {
    FAULT_MAY_LACK(EINVAL, -1)
    return sched_getaffinity(pid, size, cpus);
}

int fault_sem_init(sem_t *sem, int shared, unsigned value) {
    FAULT_MAY_FAIL(FAULT_ROOM, -1)
    return sem_init(sem, shared, value);
}

int fault_sem_wait(sem_t *sem) {
    FAULT_MAY_FAIL(FAULT_INTERRUPT, -1)
    return sem_wait(sem);
}

int fault_clock_gettime(clockid_t clock, struct timespec *now) {
    FAULT_MAY_FAIL(FAULT_CLOCK, -1)
    return clock_gettime(clock, now);
}

/* ---- descriptors ---- */

int fault_eventfd(unsigned value, int flags) {
    void (*meanwhile)(void) = atomic_exchange(&fault.meanwhile, NULL);
    if (meanwhile != NULL)
        meanwhile();
    FAULT_MAY_FAIL(FAULT_DESCRIPTOR, -1)
    return eventfd(value, flags);
}

int fault_open(const char *path, int flags) {
    FAULT_MAY_FAIL(FAULT_DESCRIPTOR, -1)
    return open(path, flags);
}

/* The descriptor is gone all the same. */
int fault_close(int fd) {
    int result = close(fd);
    FAULT_MAY_LACK(EINTR, -1)
    return result;
}

/* Of a file, which a signal may interrupt or a device fail; or of an eventfd, in which there may be nothing. */
ssize_t fault_read(int fd, void *bytes, size_t n) {
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        FAULT_MAY_FAIL(FAULT_INTERRUPT, -1)
        FAULT_MAY_FAIL(FAULT_INVALID, -1)
        return read(fd, bytes, n);
    }
    ssize_t result = read(fd, bytes, n);
    FAULT_MAY_LACK(EAGAIN, -1)
    return result;
}

/* To an eventfd, which fails only when that is readable already. */
ssize_t fault_write(int fd, const void *bytes, size_t n) {
    ssize_t result = write(fd, bytes, n);
    FAULT_MAY_LACK(EAGAIN, -1)
    return result;
}

int fault_fstat(int fd, struct stat *status) {
    FAULT_MAY_FAIL(FAULT_INVALID, -1)
    return fstat(fd, status);
}

int fault_ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *signals) {
    FAULT_MAY_FAIL(FAULT_INTERRUPT, -1)
    FAULT_MAY_FAIL(FAULT_MEMORY, -1)
    return ppoll(fds, n, timeout, signals);
}

int fault_ioctl(int fd, unsigned long request, void *arg) {
    FAULT_MAY_LACK(ENOTTY, -1)
    return ioctl(fd, request, arg);
}

int fault_isatty(int fd) {
    FAULT_MAY_LACK(ENOTTY, 0)
    return isatty(fd);
}

/* ---- streams ---- */

FILE *fault_fopen(const char *path, const char *mode) {
    FAULT_MAY_LACK(ENOMEM, NULL)
    return fopen(path, mode);
}

FILE *fault_open_memstream(char **bytes, size_t *size) {
    FAULT_MAY_FAIL(FAULT_MEMORY, NULL)
    return open_memstream(bytes, size);
}

static inline bool fault_is_memory(FILE *stream) {
    return fileno(stream) < 0;
}

/* What is written to memory fails for want of it, and the stream remembers that; what is written to a file, for want of
 * room there. */
static inline bool fault_write_fails(FILE *stream) {
    int saved = errno;
    bool memory = fault_is_memory(stream), fails = fault_now(memory ? FAULT_MEMORY : FAULT_ROOM);
    errno = fails ? fault_errors[memory ? FAULT_MEMORY : FAULT_ROOM] : saved;
    if (fails && memory)
        atomic_store(&fault.broken, stream);
    return fails;
}

int fault_ferror(FILE *stream) {
    FILE *broken = stream;
    bool fails = atomic_compare_exchange_strong(&fault.broken, &broken, NULL);
    return fault_now(FAULT_MEMORY) || fails || ferror(stream);
}

/* What has been written to memory may fail only now; of a file that was read, nothing. */
int fault_fclose(FILE *stream) {
    bool memory = fault_is_memory(stream);
    int result = fclose(stream);
    if (!fault_now(memory ? FAULT_MEMORY : FAULT_SOFT))
        return result;
    errno = memory ? ENOMEM : EIO;
    return EOF;
}

char *fault_fgets(char *text, int size, FILE *stream) {
    FAULT_MAY_LACK(EIO, NULL)
    return fgets(text, size, stream);
}

int fault_fscanf(FILE *stream, const char *format, ...) {
    va_list args;
    FAULT_MAY_LACK(EIO, EOF)
    va_start(args, format);
    int result = vfscanf(stream, format, args);
    va_end(args);
    return result;
}

int fault_fprintf(FILE *stream, const char *format, ...) {
    va_list args;
    if (fault_write_fails(stream))
        return -1;
    va_start(args, format);
    int result = vfprintf(stream, format, args);
    va_end(args);
    return result;
}

int fault_fputs(const char *text, FILE *stream) {
    return fault_write_fails(stream) ? EOF : fputs(text, stream);
}

int fault_fputc(int c, FILE *stream) {
    return fault_write_fails(stream) ? EOF : fputc(c, stream);
}

size_t fault_fwrite(const void *bytes, size_t size, size_t n, FILE *stream) {
    return fault_write_fails(stream) ? 0 : fwrite(bytes, size, n, stream);
}

int fault_fflush(FILE *stream) {
    return fault_write_fails(stream) ? EOF : fflush(stream);
}

locale_t fault_newlocale(int mask, const char *name, locale_t base) {
    FAULT_MAY_FAIL(FAULT_MEMORY, (locale_t)0)
    return newlocale(mask, name, base);
}

#endif
