/* test_descriptor.c - future_fd and exec_group_fd: descriptors for event loops, when they are readable, and how long
 * they are there. */
#include "groups.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>

static int fd_of(future_t *f) {
    int fd = -1;
    ok(future_fd(f, &fd));
    check(fd >= 0);
    return fd;
}

static int group_fd_of(exec_group_t *g) {
    int fd = -1;
    ok(exec_group_fd(g, &fd));
    check(fd >= 0);
    return fd;
}

/* What poll(2) says of it right now: nothing but POLLIN, ever. */
static bool readable(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, 0);
    between(n, 0, 1);
    eq_int(p.revents, n > 0 ? POLLIN : 0);
    return n > 0;
}

static void becomes_readable(int fd) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    eq_int(poll(&p, 1, (int)(LIMIT / EXEC_MS(1))), 1);
    eq_int(p.revents, POLLIN);
}

static bool is_closed(int fd) {
    return fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

static int open_files(void) {
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    check(dir != NULL);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

/* ---- a future's ---- */

TEST(descriptor, a_future_s_descriptor_is_readable_from_the_moment_it_has_finished) {
    const int errors[] = {0, EIO, ECANCELED, ECANCELED}; /* the last one by future_cancel() */
    for (int i = 0; i < 4; i++) {
        future_t *f = promise();
        int fd = fd_of(f);
        check(!readable(fd));
        check(!readable(fd));
        ok(i == 3 ? future_cancel(f) : future_resolve(f, NULL, errors[i]));
        for (int j = 0; j < 3; j++)
            check(readable(fd));
        eq_err(outcome(future_ref(f)), errors[i]);
        check(readable(fd));
        future_unref(f);
        check(is_closed(fd));
    }
}

TEST(descriptor, whoever_polls_wakes_however_a_task_ends) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    future_t *fs[] = {plug_in(ex, &plug), submit(ex, identity, NULL), submit(ex, fail_with, as_error(EIO)),
                      submit(ex, must_not_run, NULL)};
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = fd_of(fs[i]);
        check(!readable(fds[i]));
    }
    ok(future_cancel(fs[3]));
    check(readable(fds[3]));
    plug_out(&plug);
    for (int i = 0; i < 4; i++) {
        becomes_readable(fds[i]);
        check(future_done(fs[i]));
    }
    executor_destroy(ex);
    for (int i = 0; i < 4; i++) {
        check(readable(fds[i]));
        future_unref(fs[i]);
        check(is_closed(fds[i]));
    }
}

TEST(descriptor, one_asked_for_when_the_future_has_finished_is_readable_at_once) {
    executor_t *ex = pool(2);
    for (int i = 0; i < 100; i++) {
        future_t *f = submit(ex, i % 2 ? identity : fail_with, as_error(EIO));
        await_elsewhere(f);
        int fd = fd_of(f);
        check(readable(fd));
        eq_int(fd_of(f), fd);
        future_unref(f);
        wait_until(is_closed(fd)); /* its worker may have a reference for a moment yet */
    }
    executor_destroy(ex);
}

struct asking {
    future_t *f;
    exec_group_t *g;
    struct gate all_in;
    int fds[4];
    atomic_int n;
};

static void *ask_for_it(void *arg) {
    struct asking *asking = arg;
    int i = atomic_fetch_add(&asking->n, 1);
    gate_open(&asking->all_in);
    gate_wait(&asking->all_in);
    asking->fds[i] = asking->f ? fd_of(asking->f) : group_fd_of(asking->g);
    return NULL;
}

static int all_get_the_same(future_t *f, exec_group_t *g) {
    struct asking asking = {.f = f, .g = g, .all_in = GATE(4)};
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        threads[i] = start(ask_for_it, &asking);
    for (int i = 0; i < 4; i++)
        finish(threads[i]);
    for (int i = 1; i < 4; i++)
        eq_int(asking.fds[i], asking.fds[0]);
    return asking.fds[0];
}

TEST(descriptor, everyone_who_asks_gets_the_same_one) {
    int files = open_files();
    executor_t *ex = pool(1);
    for (int i = 0; i < 50; i++) {
        future_t *f = promise();
        int fd = all_get_the_same(f, NULL);
        eq_int(fd_of(f), fd);
        ok(future_resolve(f, NULL, 0));
        eq_int(all_get_the_same(f, NULL), fd);
        future_unref(f);
        exec_group_t *g = group(ex);
        fd = all_get_the_same(NULL, g);
        eq_int(group_fd_of(g), fd);
        ok(exec_group_close(g));
    }
    executor_destroy(ex);
    eq_int(open_files(), files);
}

static void *resolve_it(void *f) {
    ok(future_resolve(f, NULL, 0));
    return NULL;
}

TEST(descriptor, one_made_while_the_future_finishes_becomes_readable) {
    executor_t *ex = pool(1);
    for (int i = 0; i < 500; i++) {
        future_t *f = promise(), *task = submit(ex, resolve_it, f);
        int fd = fd_of(f);
        becomes_readable(fd);
        check(future_done(f));
        await_elsewhere(task);
        future_unref(task), future_unref(f);
        check(is_closed(fd));
    }
    executor_destroy(ex);
}

/* ---- many in a loop ---- */

enum { MANY = 300, ROUNDS = 10 };

static void add_to(int loop, int fd, int number) {
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)number};
    ok(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event));
}

/* Takes the futures that epoll says have finished, until none is left. */
static void loop_over(int loop, future_t *fs[], int left) {
    struct epoll_event events[32];
    while (left > 0) {
        int n = epoll_wait(loop, events, 32, (int)(LIMIT / EXEC_MS(1)));
        at_least(n, 1);
        for (int i = 0; i < n; i++, left--) {
            future_t *f = fs[events[i].data.u32];
            check(future_done(f));
            ok(epoll_ctl(loop, EPOLL_CTL_DEL, fd_of(f), NULL));
            eq_ptr(take(f), fs);
        }
    }
}

TEST(descriptor, a_loop_learns_of_thousands_of_tasks_and_none_keeps_its_descriptor) {
    static future_t *fs[MANY];
    int files = open_files(), loop = epoll_create1(0);
    executor_t *ex = pool(2);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < MANY; i++) {
            fs[i] = submit(ex, identity, fs);
            add_to(loop, fd_of(fs[i]), i);
        }
        loop_over(loop, fs, MANY);
    }
    executor_destroy(ex);
    close(loop);
    eq_int(open_files(), files);
}

static void *poll_a_future(void *arg) {
    struct begun *task = arg;
    struct pollfd p = {.fd = fd_of(task->arg), .events = POLLIN};
    int ready;
    gate_open(&task->begun);
    int error = exec_poll(&p, 1, EXEC_NEVER, &ready);
    eq_int(ready, error ? 0 : 1);
    return error ? exec_fail(error) : NULL;
}

TEST(descriptor, a_task_may_poll_one_and_be_cancelled_meanwhile) {
    executor_t *ex = pool(1);
    struct begun cancelled = {GATE(1), promise()}, finished = {GATE(1), cancelled.arg};
    eq_err(cancel_once_begun(ex, poll_a_future, &cancelled), ECANCELED);
    future_t *f = submit(ex, poll_a_future, &finished);
    gate_wait(&finished.begun);
    ok(future_resolve(finished.arg, NULL, 0));
    ok(outcome(f));
    future_unref(finished.arg);
    executor_destroy(ex);
}

/* ---- a group's ---- */

/* Takes one: afterwards the group has another one, or not, and its descriptor says so. */
static void take_one(exec_group_t *g, int fd, bool another) {
    check(readable(fd));
    take_next(g);
    eq_int(readable(fd), another);
}

TEST(descriptor, a_group_s_descriptor_is_readable_exactly_while_next_has_something) {
    struct plug plug = PLUG;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    int fd = group_fd_of(g);
    check(!readable(fd));
    eq_err(try_next(g), ENODATA);
    check(!readable(fd));
    future_unref(plug_member(g, &plug));
    check(!readable(fd));
    eq_err(try_next(g), ETIMEDOUT);
    check(!readable(fd));
    for (int i = 0; i < 2; i++)
        join(g, identity, NULL);
    plug_out(&plug);
    ok(exec_group_wait(g, EXEC_NEVER));
    take_one(g, fd, true), take_one(g, fd, true), take_one(g, fd, false);
    eq_err(try_next(g), ENODATA);
    check(!readable(fd));
    join(g, identity, NULL);
    becomes_readable(fd);
    eq_int(group_fd_of(g), fd);
    take_one(g, fd, false);
    ok(exec_group_close(g));
    check(is_closed(fd));
    executor_destroy(ex);
}

TEST(descriptor, a_group_s_descriptor_that_is_made_late_is_readable_at_once) {
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    for (int i = 0; i < 3; i++)
        join(g, identity, NULL);
    ok(exec_group_wait(g, EXEC_NEVER));
    take_next(g);
    int fd = group_fd_of(g);
    take_one(g, fd, true), take_one(g, fd, false);
    ok(exec_group_close(g));
    check(is_closed(fd));
    executor_destroy(ex);
}

TEST(descriptor, members_that_were_cancelled_or_failed_make_it_readable_too) {
    struct plug plug = PLUG;
    atomic_int drops = 0;
    executor_t *ex = pool(1);
    exec_group_t *g = group(ex);
    int fd = group_fd_of(g);
    future_t *first = plug_in(ex, &plug), *cancelled = doomed_member(g, &drops);
    future_unref(doomed_member(g, &drops));
    ok(future_cancel(cancelled));
    becomes_readable(fd);
    eq_err(outcome_of_next(g), ECANCELED);
    check(!readable(fd));
    exec_group_cancel(g);
    becomes_readable(fd);
    eq_err(outcome_of_next(g), ECANCELED);
    eq_err(try_next(g), ENODATA);
    check(!readable(fd));
    plug_out(&plug);
    future_unref(first), future_unref(cancelled);
    eq_err(exec_group_close(g), ECANCELED);
    eq_int(atomic_load(&drops), 2);
    executor_destroy(ex);
}

TEST(descriptor, a_group_that_is_closed_with_members_left_closes_its_descriptor) {
    int files = open_files();
    executor_t *ex = pool(2);
    for (int i = 0; i < 100; i++) {
        exec_group_t *g = group_of(ex, (exec_group_opts){.max_running = (size_t)i % 3});
        int fd = group_fd_of(g);
        for (int j = 0; j < i % 5; j++)
            join(g, identity, NULL);
        ok(exec_group_close(g));
        check(is_closed(fd));
    }
    executor_destroy(ex);
    eq_int(open_files(), files);
}

/* As an event loop does: everything there is, until it says that there is no more for now. */
static int take_all(exec_group_t *g) {
    int taken = 0, error;
    while ((error = try_next(g)) == 0)
        taken++;
    if (error != ENODATA)
        eq_err(error, ETIMEDOUT);
    return taken;
}

static void loop_over_group(executor_t *ex, const exec_group_opts *opts) {
    enum { MEMBERS = 3000 };
    exec_group_t *g = group_of(ex, *opts);
    int submitted = 0, taken = 0, loop = epoll_create1(0);
    struct epoll_event event;
    add_to(loop, group_fd_of(g), 0);
    while (taken < MEMBERS) {
        for (int i = 0; i < 7 && submitted < MEMBERS; i++, submitted++)
            join(g, identity, NULL);
        eq_int(epoll_wait(loop, &event, 1, (int)(LIMIT / EXEC_MS(1))), 1);
        int more = take_all(g);
        taken += more;
        at_least(more, 1);
    }
    eq_int(taken, submitted);
    check(!readable(group_fd_of(g)));
    close(loop);
    close_empty(g, 0);
}

TEST(descriptor, a_loop_takes_thousands_of_members_and_never_misses_one) {
    executor_t *ex = pool(2);
    loop_over_group(ex, &(exec_group_opts){0});
    loop_over_group(ex, &(exec_group_opts){.max_running = 1});
    loop_over_group(ex, &(exec_group_opts){.policy = EXEC_FAIL_FAST, .max_running = 5});
    executor_destroy(ex);
}

/* ---- trouble ---- */

TEST(descriptor, null_is_einval) {
    executor_t *ex = pool(1);
    future_t *f = promise();
    exec_group_t *g = group(ex);
    int fd = -7;
    eq_err(future_fd(NULL, &fd), EINVAL);
    eq_err(future_fd(f, NULL), EINVAL);
    eq_err(exec_group_fd(NULL, &fd), EINVAL);
    eq_err(exec_group_fd(g, NULL), EINVAL);
    eq_int(fd, -7);
    future_unref(f);
    ok(exec_group_close(g));
    executor_destroy(ex);
}

/* Opens all descriptors that the process may still have, and says how many. */
static int use_up(int fds[]) {
    int n = 0;
    while (n < 64 && (fds[n] = dup(STDERR_FILENO)) >= 0)
        n++;
    check(n < 64);
    return n;
}

TEST(descriptor, when_none_is_left_it_is_emfile_and_works_again_later) {
    struct rlimit files;
    int fds[64], fd = -7;
    executor_t *ex = pool(1);
    future_t *f = promise(), *with_one = promise();
    exec_group_t *g = group(ex);
    ok(getrlimit(RLIMIT_NOFILE, &files));
    files.rlim_cur = 64;
    ok(setrlimit(RLIMIT_NOFILE, &files));
    int before = fd_of(with_one), n = use_up(fds);
    eq_err(future_fd(f, &fd), EMFILE);
    eq_err(exec_group_fd(g, &fd), EMFILE);
    eq_int(fd, -7);
    eq_int(fd_of(with_one), before);
    ok(future_resolve(f, NULL, 0));
    eq_err(future_fd(f, &fd), EMFILE);
    join(g, identity, NULL);
    ok(exec_group_wait(g, EXEC_NEVER));
    eq_err(exec_group_fd(g, &fd), EMFILE);
    while (n > 0)
        close(fds[--n]);
    check(readable(fd_of(f)));
    check(readable(group_fd_of(g)));
    future_unref(f), future_unref(with_one);
    check(is_closed(before));
    ok(exec_group_close(g));
    executor_destroy(ex);
}
