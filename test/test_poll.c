/* test_poll.c - exec_poll, in tasks and outside of them. */
#include "helpers.h"

#include <limits.h>
#include <sys/resource.h>

struct pipes {
    int n, fds[100][2];
    struct pollfd polls[100]; /* for reading */
};

static void open_pipes(struct pipes *p, int n) {
    p->n = n;
    for (int i = 0; i < n; i++) {
        ok(pipe(p->fds[i]));
        p->polls[i] = (struct pollfd){.fd = p->fds[i][0], .events = POLLIN, .revents = -1};
    }
}

static void close_pipes(struct pipes *p) {
    for (int i = 0; i < p->n; i++)
        close(p->fds[i][0]), close(p->fds[i][1]);
}

static void write_to(struct pipes *p, int i) {
    eq_int(write(p->fds[i][1], "x", 1), 1);
}

/* Everything that exec_poll() promises to a task that is not asked to stop, and to those who are none. */
static void *poll_in_all_ways(void *unused) {
    (void)unused;
    struct pipes p;
    int ready = -1;
    open_pipes(&p, 100);
    eq_err(exec_poll(p.polls, 100, EXEC_NOW, &ready), ETIMEDOUT);
    eq_int(ready, 0);
    exec_time deadline = exec_after(EXEC_MS(20));
    ready = -1;
    eq_err(exec_poll(p.polls, 100, deadline, &ready), ETIMEDOUT);
    at_least(exec_now(), deadline);
    eq_int(ready, 0);
    eq_err(exec_poll(p.polls, 1, exec_after(1), NULL), ETIMEDOUT);
    write_to(&p, 7), write_to(&p, 0), write_to(&p, 99);
    ok(exec_poll(p.polls, 100, EXEC_NEVER, &ready));
    eq_int(ready, 3);
    for (int i = 0; i < 100; i++)
        eq_int(p.polls[i].revents, i == 7 || i == 0 || i == 99 ? POLLIN : 0);
    ok(exec_poll(p.polls, 8, EXEC_NOW, &ready));
    eq_int(ready, 2);
    ok(exec_poll(p.polls, 8, exec_after(LIMIT), NULL));
    close_pipes(&p);
    return NULL;
}

TEST(poll, poll_says_which_descriptors_are_ready) {
    executor_t *ex = pool(1);
    ok(outcome(submit(ex, poll_in_all_ways, NULL)));
    poll_in_all_ways(NULL);
    executor_destroy(ex);
}

static void *poll_nothing(void *unused) {
    (void)unused;
    int ready = -1;
    exec_time deadline = exec_after(EXEC_MS(5));
    eq_err(exec_poll(NULL, 0, deadline, &ready), ETIMEDOUT);
    at_least(exec_now(), deadline);
    eq_int(ready, 0);
    eq_err(exec_poll(NULL, 0, EXEC_NOW, NULL), ETIMEDOUT);
    return NULL;
}

TEST(poll, polling_nothing_waits_for_the_deadline) {
    executor_t *ex = pool(1);
    ok(outcome(submit(ex, poll_nothing, NULL)));
    poll_nothing(NULL);
    executor_destroy(ex);
}

TEST(poll, a_time_before_all_times_is_in_the_past) {
    struct pollfd fd = {.fd = -1};
    int ready = -1;
    eq_err(exec_poll(&fd, 1, INT64_MIN, &ready), ETIMEDOUT);
    eq_err(exec_poll(NULL, 0, -1, &ready), ETIMEDOUT);
    eq_int(ready, 0);
}

static void *poll_trouble(void *unused) {
    (void)unused;
    struct pipes p;
    int ready = -1;
    open_pipes(&p, 1);
    close(p.fds[0][1]);
    p.polls[1] = (struct pollfd){.fd = 1 << 20, .events = POLLIN}; /* not open */
    p.polls[2] = (struct pollfd){.fd = -1, .events = POLLIN};
    ok(exec_poll(p.polls, 3, EXEC_NEVER, &ready));
    eq_int(ready, 2);
    eq_int(p.polls[0].revents, POLLHUP);
    eq_int(p.polls[1].revents, POLLNVAL);
    eq_int(p.polls[2].revents, 0);
    close(p.fds[0][0]);
    return NULL;
}

TEST(poll, a_descriptor_in_trouble_is_ready_and_a_negative_one_is_left_out) {
    executor_t *ex = pool(1);
    ok(outcome(submit(ex, poll_trouble, NULL)));
    poll_trouble(NULL);
    executor_destroy(ex);
}

static void *poll_for_ever(void *arg) {
    struct begun *task = arg;
    struct pipes *p = task->arg;
    int ready = -1;
    gate_open(&task->begun);
    eq_err(exec_poll(p->polls, (nfds_t)p->n, EXEC_NEVER, &ready), ECANCELED);
    eq_int(ready, 0);
    check(exec_cancelled());
    return exec_fail(ECANCELED);
}

TEST(poll, cancelling_ends_a_poll_at_once) {
    struct pipes p;
    executor_t *ex = pool(1);
    open_pipes(&p, 3);
    for (int i = 0; i < 100; i++) {
        struct begun task = {GATE(1), &p};
        p.n = i % 4;
        eq_err(cancel_once_begun(ex, poll_for_ever, &task), ECANCELED);
    }
    p.n = 3;
    for (int i = 0; i < 20; i++) {
        struct begun task = {GATE(1), &p};
        eq_err(discard_once_begun(poll_for_ever, &task), ECANCELED);
    }
    close_pipes(&p);
    executor_destroy(ex);
}

static void *poll_after_the_flag(void *arg) {
    struct begun *task = arg;
    wait_for_the_flag(task);
    eq_err(exec_poll(((struct pipes *)task->arg)->polls, 1, EXEC_NEVER, NULL), ECANCELED);
    return exec_fail(ECANCELED);
}

TEST(poll, one_that_was_asked_before_does_not_poll) {
    struct pipes p;
    executor_t *ex = pool(1);
    struct begun task = {GATE(1), &p};
    open_pipes(&p, 1);
    eq_err(cancel_once_begun(ex, poll_after_the_flag, &task), ECANCELED);
    close_pipes(&p);
    executor_destroy(ex);
}

static void *poll_until_written(void *arg) {
    struct begun *task = arg;
    struct pipes *p = task->arg;
    int ready = -1;
    gate_open(&task->begun);
    ok(exec_poll(p->polls, (nfds_t)p->n, EXEC_NEVER, &ready));
    eq_int(ready, 1);
    eq_int(p->polls[p->n - 1].revents, POLLIN);
    return NULL;
}

TEST(poll, poll_wakes_when_a_descriptor_becomes_ready) {
    struct pipes p;
    executor_t *ex = pool(1);
    struct begun task = {GATE(1), &p};
    open_pipes(&p, 40);
    future_t *f = submit(ex, poll_until_written, &task);
    gate_wait(&task.begun);
    write_to(&p, 39);
    ok(outcome(f));
    close_pipes(&p);
    executor_destroy(ex);
}

static void *poll_too_many(void *unused) {
    (void)unused;
    struct rlimit files;
    int ready = -1;
    ok(getrlimit(RLIMIT_NOFILE, &files));
    nfds_t most = (nfds_t)files.rlim_cur;
    struct pollfd *polls = calloc(most + 1, sizeof *polls);
    check(polls != NULL);
    for (nfds_t i = 0; i <= most; i++)
        polls[i].fd = -1;
    eq_err(exec_poll(polls, most + 1, EXEC_NEVER, &ready), EINVAL);
    eq_int(ready, 0);
    eq_err(exec_poll(polls, ULONG_MAX, EXEC_NEVER, NULL), EINVAL);
    eq_err(exec_poll(polls, most - 1, EXEC_NOW, NULL), ETIMEDOUT);
    ready = -1;
    eq_err(exec_poll(NULL, 1, EXEC_NEVER, &ready), EINVAL);
    eq_int(ready, 0);
    free(polls);
    return NULL;
}

TEST(poll, no_array_and_too_many_descriptors_are_einval) {
    struct rlimit files = {256, 256};
    executor_t *ex = pool(1);
    ok(setrlimit(RLIMIT_NOFILE, &files));
    poll_too_many(NULL);
    ok(outcome(submit(ex, poll_too_many, NULL)));
    executor_destroy(ex);
}

static void *poll_without_a_descriptor(void *unused) {
    (void)unused;
    struct pollfd none = {.fd = -1};
    int fds[64], n = 0, ready = -1;
    while (n < 64 && (fds[n] = dup(STDERR_FILENO)) >= 0)
        n++;
    check(n < 64);
    eq_err(exec_poll(&none, 1, EXEC_NEVER, &ready), EMFILE);
    eq_int(ready, 0);
    while (n > 0)
        close(fds[--n]);
    eq_err(exec_poll(&none, 1, exec_after(1), &ready), ETIMEDOUT);
    return NULL;
}

TEST(poll, a_task_that_has_no_descriptor_left_to_be_woken_by_cannot_poll) {
    struct rlimit files = {64, 64};
    executor_t *ex = pool(1);
    ok(setrlimit(RLIMIT_NOFILE, &files));
    ok(outcome(submit(ex, poll_without_a_descriptor, NULL)));
    executor_destroy(ex);
}

static void do_nothing(int signal) {
    (void)signal;
}

struct interrupted {
    pthread_t thread;
    atomic_int tid;
    struct pipes p;
};

static void *interrupt_and_write(void *arg) {
    struct interrupted *target = arg;
    for (int i = 0; i < 3; i++) {
        wait_until_asleep(&target->tid);
        pthread_kill(target->thread, SIGUSR1);
    }
    wait_until_asleep(&target->tid);
    write_to(&target->p, 0);
    return NULL;
}

TEST(poll, signals_do_not_end_a_poll_or_a_sleep) {
    struct interrupted self = {.thread = pthread_self(), .tid = gettid()};
    struct sigaction action = {.sa_handler = do_nothing};
    ok(sigaction(SIGUSR1, &action, NULL));
    open_pipes(&self.p, 1);
    pthread_t other = start(interrupt_and_write, &self);
    ok(exec_poll(self.p.polls, 1, EXEC_NEVER, NULL));
    finish(other);
    exec_time until = exec_after(EXEC_MS(100));
    other = start(interrupt_and_write, &self);
    ok(exec_sleep(EXEC_MS(100)));
    at_least(exec_now(), until);
    finish(other);
    close_pipes(&self.p);
}
