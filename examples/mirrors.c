/* mirrors.c - the same question to several mirrors at once: the first good answer counts, the others are hung up on.
 *
 *     mirrors [MIRROR...]
 *     mirrors --demo
 *
 * The mirrors are TCP servers on the loopback address, a thread each, which the program starts itself. MIRROR says how
 * one behaves: a number, it answers after so many milliseconds; "busy", it answers at once that it cannot; "silent", it
 * never answers; "down", nobody listens. The clients are members of a group under EXEC_FIRST and wait in exec_poll(),
 * which ends in the moment in which somebody else's answer has cancelled them. --demo asks mirrors of all kinds, and
 * then the busy one alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exec.h>

#include "demo.h"

#define QUESTION "where is the treasure?\n"
#define GOOD "200 here\n"
#define BUSY "503 busy\n"

enum { ANSWER_BYTES = sizeof GOOD - 1, MOST_MIRRORS = 100 };
static const exec_time patience = EXEC_SEC(10), linger = EXEC_SEC(3); /* linger: of those that were hung up on */

struct mirror {
    const char *behaviour;
    const char *answer;
    exec_time delay;            /* before the answer; EXEC_NEVER: there is none */
    struct sockaddr_in address; /* of its socket, which listens unless the mirror is down */
    int socket;
    bool serves;
    pthread_t server;
};

/* Waits until the client says something or hangs up: true. False: `timeout` passed. */
static bool client_speaks(int client, exec_time timeout) {
    return exec_poll(&(struct pollfd){.fd = client, .events = POLLIN}, 1, exec_after(timeout), NULL) == 0;
}

static void serve_client(const struct mirror *mirror, int client) {
    char question[sizeof QUESTION];
    if (recv(client, question, sizeof question, 0) > 0 && !client_speaks(client, mirror->delay))
        (void)!send(client, mirror->answer, strlen(mirror->answer), MSG_NOSIGNAL);
    close(client);
}

/* A server's thread, until its socket is shut down. */
static void *serve(void *arg) {
    const struct mirror *mirror = arg;
    int client;
    while ((client = accept(mirror->socket, NULL, NULL)) >= 0)
        serve_client(mirror, client);
    return NULL;
}

/* False: no such behaviour. */
static bool parse_mirror(const char *text, struct mirror *mirror) {
    unsigned long milliseconds = 0;
    bool answers = demo_number(text, 0, 3600000, &milliseconds) == 0, silent = strcmp(text, "silent") == 0;
    *mirror = (struct mirror){.behaviour = text, .answer = answers ? GOOD : BUSY};
    mirror->delay = silent ? EXEC_NEVER : EXEC_MS(milliseconds);
    return answers || silent || strcmp(text, "busy") == 0 || strcmp(text, "down") == 0;
}

static int start_mirror(struct mirror *mirror) {
    socklen_t size = sizeof mirror->address;
    struct sockaddr *address = (struct sockaddr *)&mirror->address;
    mirror->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    mirror->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (mirror->socket < 0 || bind(mirror->socket, address, size) != 0 ||
        getsockname(mirror->socket, address, &size) != 0)
        return errno;
    if (strcmp(mirror->behaviour, "down") == 0)
        return 0;
    if (listen(mirror->socket, 16) != 0)
        return errno;
    int error = pthread_create(&mirror->server, NULL, serve, mirror);
    mirror->serves = error == 0;
    return error;
}

static void end_mirror(struct mirror *mirror) {
    if (mirror->serves) {
        shutdown(mirror->socket, SHUT_RDWR); /* ends its accept() */
        pthread_join(mirror->server, NULL);
        mirror->serves = false;
    }
    if (mirror->socket >= 0)
        close(mirror->socket);
}

static int wait_ready(int fd, short events) {
    return exec_poll(&(struct pollfd){.fd = fd, .events = events}, 1, EXEC_NEVER, NULL);
}

static int connect_to(int fd, const struct mirror *mirror) {
    int error = 0;
    socklen_t size = sizeof error;
    if (connect(fd, (const struct sockaddr *)&mirror->address, sizeof mirror->address) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    int status = wait_ready(fd, POLLOUT);
    if (status == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return errno;
    return status != 0 ? status : error;
}

/* 0 for a good answer. The question is short enough for the empty buffer of a new connection. */
static int ask(int fd) {
    char text[ANSWER_BYTES];
    if (send(fd, QUESTION, sizeof QUESTION - 1, MSG_NOSIGNAL) < 0)
        return errno;
    for (size_t length = 0; length < sizeof text;) {
        int status = wait_ready(fd, POLLIN);
        ssize_t got = status == 0 ? recv(fd, text + length, sizeof text - length, 0) : 0;
        if (got <= 0)
            return status != 0 ? status : got < 0 ? errno : EPIPE;
        length += (size_t)got;
    }
    return memcmp(text, GOOD, sizeof text) == 0 ? 0 : EBUSY;
}

/* One task: one mirror. It succeeds only with a good answer. */
static void *fetch(void *arg) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return exec_fail(errno);
    int error = connect_to(fd, arg);
    if (error == 0)
        error = ask(fd);
    close(fd);
    return error != 0 ? exec_fail(error) : arg;
}

/* Prints how each member ended. EPROTO: the answer did not come first, or another one ended long after it. */
static int report(exec_group_t *group, exec_time start, bool answered) {
    future_t *ended;
    exec_time first = 0;
    int status = 0;
    for (size_t i = 0; exec_group_next(group, EXEC_NEVER, &ended) == 0; i++) {
        const struct mirror *mirror = future_arg(ended);
        int error = future_get(ended, NULL);
        exec_time elapsed = exec_now() - start;
        const char *how = error != 0 ? strerror(error) : "answered";
        printf("%-8s %-28s %8.3f s\n", mirror->behaviour, how, demo_seconds(elapsed));
        first = i == 0 ? elapsed : first;
        if (answered && ((i == 0 && error != 0) || elapsed - first > linger))
            status = EPROTO;
        future_unref(ended);
    }
    return status;
}

static int ask_all(executor_t *ex, struct mirror mirrors[], size_t n, int *outcome) {
    exec_group_t *group;
    exec_time start = exec_now();
    exec_group_opts opts = {.policy = EXEC_FIRST, .deadline = exec_after(patience)};
    int error = exec_group_open(ex, &opts, &group);
    if (error != 0)
        return error;
    for (size_t i = 0; i < n && error == 0; i++)
        error = exec_group_submit(group, fetch, &mirrors[i], NULL, NULL);
    if (error == 0 || error == ECANCELED) { /* ECANCELED: answered, before all were asked */
        *outcome = exec_group_wait(group, EXEC_NEVER);
        error = report(group, start, *outcome == 0);
    }
    exec_group_cancel(group);
    exec_group_close(group);
    return error;
}

/* Starts the mirrors, asks them, ends them. *outcome: 0 when one has answered. */
static int run(struct mirror mirrors[], size_t n, int *outcome) {
    executor_t *ex;
    size_t started = 0;
    int error = executor_create(&(executor_opts){.workers = (unsigned)n}, &ex);
    if (error != 0)
        return error;
    while (started < n && error == 0)
        error = start_mirror(&mirrors[started++]);
    if (error == 0)
        error = ask_all(ex, mirrors, n, outcome);
    while (started > 0)
        end_mirror(&mirrors[--started]);
    executor_destroy(ex);
    return error;
}

int main(int argc, char *argv[]) {
    char *usual[] = {"5000", "busy", "silent", "50", "down", NULL};
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    char **behaviours = argc > 1 && !is_demo ? argv + 1 : usual;
    struct mirror mirrors[MOST_MIRRORS];
    int outcome = 0, busy_outcome = EBUSY;
    size_t n = 0;

    for (; behaviours[n] != NULL; n++) {
        if (n < MOST_MIRRORS && parse_mirror(behaviours[n], &mirrors[n]))
            continue;
        fputs("usage: mirrors [MIRROR...]\n       mirrors --demo\n"
              "MIRROR: busy, silent, down, or after how many ms it answers; 5000 busy silent 50 down, unless given.\n",
              stderr);
        return 2;
    }
    int error = run(mirrors, n, &outcome);
    if (error == 0 && is_demo)
        error = run(&mirrors[1], 1, &busy_outcome);
    if (error == 0 && busy_outcome != EBUSY)
        error = EPROTO;
    if (error != 0)
        return demo_error("mirrors", "asking", error);
    return demo_finish("mirrors", outcome != 0 ? demo_error("mirrors", "no answer", outcome) : 0);
}
