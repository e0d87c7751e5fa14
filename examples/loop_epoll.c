/* loop_epoll.c - an epoll loop that never blocks while 1,000 tasks finish.
 *
 *     loop_epoll [TASKS [WORKERS]]
 *     loop_epoll --demo
 *
 * The loop watches three descriptors: a timer's, that of a group, which is readable while exec_group_next() has a
 * finished task to hand out, and that of a future that comes after all of the tasks. loop.h has the tasks, and what is
 * measured and checked.
 */
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "loop.h"

enum { EVENTS = 8 };

struct watched {
    int epoll, timer, group, all_done;
};

static void on_timer(struct loop *loop, int timer) {
    uint64_t expirations; /* several, when the loop was late: one tick */
    loop->ticks += read(timer, &expirations, sizeof expirations) == sizeof expirations;
}

static void on_all_done(struct loop *loop, const struct watched *fds) {
    epoll_ctl(fds->epoll, EPOLL_CTL_DEL, fds->all_done, NULL);
    loop->all_done_seen = future_done(loop->all_done);
}

static int run_watched(struct loop *loop, const struct watched *fds) {
    struct epoll_event events[EVENTS];
    while (!loop_is_complete(loop)) {
        int n = epoll_wait(fds->epoll, events, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            return errno;
        loop_begin_turn(loop);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == fds->timer)
                on_timer(loop, fds->timer);
            else if (events[i].data.fd == fds->group)
                loop_take_finished(loop);
            else
                on_all_done(loop, fds);
        }
        loop_end_turn(loop);
    }
    return 0;
}

static int watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0 ? errno : 0;
}

static int start_timer(int timer) {
    struct timespec every = {.tv_nsec = EXEC_MS(LOOP_TICK_MS)};
    return timerfd_settime(timer, 0, &(struct itimerspec){every, every}, NULL) != 0 ? errno : 0;
}

static int run_loop(struct loop *loop) {
    struct watched fds = {
        .epoll = epoll_create1(EPOLL_CLOEXEC),
        .timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC),
    };
    int error = fds.epoll < 0 || fds.timer < 0 ? errno : start_timer(fds.timer);
    if (error == 0)
        error = exec_group_fd(loop->group, &fds.group);
    if (error == 0)
        error = future_fd(loop->all_done, &fds.all_done);
    int watched[] = {fds.timer, fds.group, fds.all_done};
    for (size_t i = 0; i < 3 && error == 0; i++)
        error = watch(fds.epoll, watched[i]);
    if (error == 0)
        error = run_watched(loop, &fds);
    close(fds.timer);
    close(fds.epoll);
    return error;
}

int main(int argc, char *argv[]) {
    return loop_main(argc, argv, "loop_epoll", run_loop);
}
