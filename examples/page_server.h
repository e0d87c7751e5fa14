/* page_server.h - a small HTTP server for crawler.c and fetch.c: pages that link to others, served by one thread on the
 * loopback address.
 *
 * It serves at most so many requests at once, each in 8 to 16 ms, the longer, the more there are; what is more than
 * that it refuses, with 503. Pages may be missing (404), or stuck: asked for one of those, it says nothing.
 */
#ifndef PAGE_SERVER_H
#define PAGE_SERVER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exec.h>

enum { PAGE_CLIENTS = 500, PAGE_BYTES = 512 };

enum page_kind { PAGE_GOOD, PAGE_MISSING, PAGE_STUCK };
typedef enum page_kind page_kind_fn(unsigned long page);

struct page_client {
    int fd;
    unsigned long page;
    exec_time due; /* when it gets its page, EXEC_NEVER for one that is stuck; 0: it has not asked yet */
};

struct page_server {
    unsigned long pages;
    unsigned most;      /* requests at once */
    page_kind_fn *kind; /* NULL: all are good */
    struct sockaddr_in address;
    int socket;
    pthread_t thread;
    struct page_client clients[PAGE_CLIENTS]; /* its thread's, as is the rest */
    struct pollfd fds[PAGE_CLIENTS + 1];      /* theirs, and that of the socket */
    unsigned n, busy;                         /* clients; of whom so many wait for a page */
    unsigned long refused, missing, stuck;    /* requests; read when it has ended */
};

static inline void page_send(const struct page_client *client, const char *text) {
    (void)!send(client->fd, text, strlen(text), MSG_NOSIGNAL);
}

static inline void page_close(struct page_server *server, unsigned i) {
    close(server->clients[i].fd);
    server->clients[i] = server->clients[--server->n];
}

/* Every page has links to two that nobody else links to, and one back. */
static inline void page_answer(struct page_server *server, struct page_client *client) {
    char text[PAGE_BYTES];
    unsigned long links[] = {2 * client->page + 1, 2 * client->page + 2, client->page / 2};
    int length = snprintf(text, sizeof text, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n");
    for (int i = 0; i < 3; i++)
        if (links[i] < server->pages)
            length += snprintf(text + length, sizeof text - (size_t)length, "link /%lu\n", links[i]);
    page_send(client, text);
    server->busy--;
}

/* False: that was all for this client. */
static inline bool page_admit(struct page_server *server, struct page_client *client) {
    enum page_kind kind = server->kind != NULL ? server->kind(client->page) : PAGE_GOOD;
    if (kind == PAGE_STUCK) {
        server->stuck++;
        client->due = EXEC_NEVER;
    } else if (kind == PAGE_MISSING) {
        server->missing++;
        page_send(client, "HTTP/1.0 404 Not Found\r\n\r\n");
    } else if (server->busy == server->most) {
        server->refused++;
        page_send(client, "HTTP/1.0 503 Service Unavailable\r\n\r\n");
    } else {
        server->busy++;
        client->due = exec_after(EXEC_MS(8) + EXEC_MS(8) * server->busy / server->most);
    }
    return client->due != 0;
}

/* The request is short enough to come in one piece. False: that was all for this client. */
static inline bool page_asked(struct page_server *server, struct page_client *client) {
    char text[PAGE_BYTES];
    ssize_t length = recv(client->fd, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    if (length <= 0 || sscanf(text, "GET /%lu ", &client->page) != 1 || client->page >= server->pages)
        return false;
    return page_admit(server, client);
}

static inline void page_serve_clients(struct page_server *server) {
    for (unsigned i = server->n; i-- > 0;) {
        struct page_client *client = &server->clients[i];
        if (client->due != 0 ? client->due > exec_now() : server->fds[i].revents == 0 || page_asked(server, client))
            continue;
        if (client->due != 0)
            page_answer(server, client);
        page_close(server, i);
    }
}

/* Until the first of them is due, somebody speaks, or somebody new comes. */
static inline void page_wait(struct page_server *server) {
    exec_time until = EXEC_NEVER;
    for (unsigned i = 0; i < server->n; i++) {
        const struct page_client *client = &server->clients[i];
        server->fds[i] = (struct pollfd){.fd = client->due == 0 ? client->fd : -1, .events = POLLIN};
        if (client->due != 0 && client->due < until)
            until = client->due;
    }
    server->fds[server->n] = (struct pollfd){.fd = server->socket, .events = POLLIN};
    exec_poll(server->fds, server->n + 1, until, NULL);
}

/* False: the socket has been shut down. */
static inline bool page_accept(struct page_server *server) {
    int fd = accept(server->socket, NULL, NULL);
    if (fd < 0)
        return errno == ECONNABORTED || errno == EINTR;
    if (server->n == PAGE_CLIENTS)
        close(fd);
    else
        server->clients[server->n++] = (struct page_client){.fd = fd};
    return true;
}

static inline void *page_serve(void *arg) {
    struct page_server *server = arg;
    for (bool open = true; open;) {
        page_wait(server);
        bool knocks = server->fds[server->n].revents != 0;
        page_serve_clients(server);
        open = !knocks || page_accept(server);
    }
    while (server->n > 0)
        page_close(server, server->n - 1);
    return NULL;
}

/* NULL kind: all pages are good. 0 or an error. */
static inline int page_server_start(struct page_server *server, unsigned long pages, unsigned most,
                                    page_kind_fn *kind) {
    socklen_t size = sizeof server->address;
    struct sockaddr *address = (struct sockaddr *)&server->address;
    *server = (struct page_server){.pages = pages, .most = most, .kind = kind};
    server->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    server->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server->socket < 0)
        return errno;
    int error = bind(server->socket, address, size) != 0 || getsockname(server->socket, address, &size) != 0 ||
                        listen(server->socket, PAGE_CLIENTS) != 0
                    ? errno
                    : 0;
    if (error == 0)
        error = pthread_create(&server->thread, NULL, page_serve, server);
    if (error != 0)
        close(server->socket);
    return error;
}

static inline void page_server_end(struct page_server *server) {
    shutdown(server->socket, SHUT_RDWR); /* ends its accept() */
    pthread_join(server->thread, NULL);
    close(server->socket);
}

#endif
