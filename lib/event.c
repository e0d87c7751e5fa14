/* event.c - an eventfd as a flag. */
#include "event.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "sync.h"

int exec__event_open(int *fd) {
    struct exec__quiet q = exec__quiet_begin();
    *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = *fd >= 0 ? 0 : errno;
    exec__quiet_end(&q);
    return error;
}

void exec__event_set(int fd) {
    struct exec__quiet q = exec__quiet_begin();
    ssize_t written = write(fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)written; /* fails only when it has been set 2^64 - 2 times */
    exec__quiet_end(&q);
}

void exec__event_clear(int fd) {
    struct exec__quiet q = exec__quiet_begin();
    uint64_t times;
    ssize_t done = read(fd, &times, sizeof times);
    (void)done; /* fails when it is not set */
    exec__quiet_end(&q);
}

void exec__event_close(int fd) {
    struct exec__quiet q = exec__quiet_begin();
    if (fd >= 0)
        close(fd);
    exec__quiet_end(&q);
}
