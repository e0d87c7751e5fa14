/* crawler.c - visits all pages of a site, as many at once as the site turns out to stand.
 *
 *     crawler [PAGES [MOST]]
 *     crawler --demo
 *
 * The site is a server of its own (page_server.h) with PAGES pages (1,500), which becomes slower the more requests it
 * has, and refuses what is more than MOST (20) at once. The crawler does not know that: a limiter holds its tasks back,
 * finds the limit from what is refused, and moves with it. A page that is refused is tried again later, one that does
 * not come in time is given up; every page is a task, and submits a task for each link that nobody has followed before.
 * The program prints how the limit moves; --demo fails unless all pages have come and the limit was near MOST.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <exec.h>

#include "demo.h"
#include "page_server.h"

enum { WORKERS = 64, PAGES = 1500, MOST = 20, MOST_PAGES = 100000 };
static const exec_time sample_every = EXEC_MS(100);

struct crawl;

struct page {
    struct crawl *crawl;
    atomic_bool seen;
    char path[24];
};

struct crawl {
    struct page_server server;
    struct page *pages;
    exec_group_t *group;
    exec_limiter_t *limiter;
    unsigned long done, failed;
    exec_time start, last_sample;
    double sum; /* of the limits seen in the second half, so many */
    unsigned samples;
};

static void *fetch(void *arg);

static int wait_ready(int fd, short events) {
    return exec_poll(&(struct pollfd){.fd = fd, .events = events}, 1, EXEC_NEVER, NULL);
}

static int connect_to(int fd, const struct sockaddr_in *address) {
    int error = 0;
    socklen_t size = sizeof error;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    int status = wait_ready(fd, POLLOUT);
    if (status == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return errno;
    return status != 0 ? status : error;
}

/* Asks for a page, and reads until the server hangs up. */
static int ask(int fd, const char *path, char *text, size_t size) {
    size_t length = 0;
    ssize_t got = snprintf(text, size, "GET %s HTTP/1.0\r\n\r\n", path);
    if (send(fd, text, (size_t)got, MSG_NOSIGNAL) < 0)
        return errno;
    while (length < size - 1) {
        int error = wait_ready(fd, POLLIN);
        got = error == 0 ? recv(fd, text + length, size - 1 - length, 0) : 0;
        if (error != 0 || got < 0)
            return error != 0 ? error : errno;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    text[length] = '\0';
    return 0;
}

/* Every page becomes a task, once. */
static int follow(struct crawl *crawl, unsigned long number) {
    struct page *page = &crawl->pages[number];
    if (number >= crawl->server.pages || atomic_exchange(&page->seen, true))
        return 0;
    page->crawl = crawl;
    snprintf(page->path, sizeof page->path, "/%lu", number);
    exec_task_opts opts = {.limiter = crawl->limiter,
                           .retry = {.attempts = 20, .delay = EXEC_MS(20), .max_delay = EXEC_MS(200)},
                           .timeout = EXEC_SEC(2),
                           .name = page->path};
    return exec_group_submit(crawl->group, fetch, page, &opts, NULL);
}

static int follow_links(struct crawl *crawl, const char *text) {
    int error = 0;
    for (const char *link = text; error == 0 && (link = strstr(link, "link /")) != NULL; link++)
        error = follow(crawl, strtoul(link + strlen("link /"), NULL, 10));
    return error;
}

/* One task: one page. Refused, it fails with EBUSY, which the limiter takes for overload. */
static void *fetch(void *arg) {
    const struct page *page = arg;
    char text[PAGE_BYTES];
    int status = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return exec_fail(errno);
    int error = connect_to(fd, &page->crawl->server.address);
    if (error == 0)
        error = ask(fd, page->path, text, sizeof text);
    close(fd);
    if (error == 0 && (sscanf(text, "HTTP/1.0 %d", &status) != 1 || status != 200))
        error = status == 503 ? EBUSY : EPROTO;
    if (error == 0)
        error = follow_links(page->crawl, text);
    return error != 0 ? exec_fail(error) : arg;
}

static void sample(struct crawl *crawl) {
    exec_time now = exec_now();
    size_t limit = exec_limiter_limit(crawl->limiter);
    if (crawl->done > crawl->server.pages / 2) {
        crawl->sum += (double)limit;
        crawl->samples++;
    }
    if (now - crawl->last_sample < sample_every)
        return;
    crawl->last_sample = now;
    printf("%6.2f s  limit %3zu, in flight %3zu, %6lu pages\n", demo_seconds(now - crawl->start), limit,
           exec_limiter_in_flight(crawl->limiter), crawl->done);
}

/* Takes the pages as they come, until none is left. */
static int take_all(struct crawl *crawl) {
    future_t *ended = NULL;
    int error;
    while ((error = exec_group_next(crawl->group, exec_after(sample_every), &ended)) == 0 || error == ETIMEDOUT) {
        if (error == 0) {
            int outcome = future_get(ended, NULL);
            if (outcome != 0)
                printf("%s: %s\n", future_name(ended), strerror(outcome));
            crawl->done += outcome == 0;
            crawl->failed += outcome != 0;
            future_unref(ended);
        }
        sample(crawl);
    }
    return error == ENODATA ? 0 : error;
}

static int crawl_site(struct crawl *crawl, executor_t *ex) {
    exec_limiter_opts opts = {.adapt = EXEC_LIMIT_AIMD, .max = 200};
    int error = exec_limiter_create(&opts, &crawl->limiter);
    if (error != 0)
        return error;
    error = exec_group_open(ex, NULL, &crawl->group);
    if (error == 0) {
        crawl->start = crawl->last_sample = exec_now();
        error = follow(crawl, 0);
        if (error == 0)
            error = take_all(crawl);
        exec_group_close(crawl->group);
    }
    exec_limiter_destroy(crawl->limiter);
    return error;
}

static int run(struct crawl *crawl, unsigned long pages, unsigned most) {
    executor_t *ex;
    crawl->pages = calloc(pages, sizeof crawl->pages[0]);
    if (crawl->pages == NULL)
        return ENOMEM;
    int error = page_server_start(&crawl->server, pages, most, NULL);
    if (error != 0)
        goto free_pages;
    error = executor_create(&(executor_opts){.workers = WORKERS}, &ex);
    if (error == 0) {
        error = crawl_site(crawl, ex);
        executor_destroy(ex);
    }
    page_server_end(&crawl->server);
free_pages:
    free(crawl->pages);
    return error;
}

int main(int argc, char *argv[]) {
    static struct crawl crawl;
    unsigned long pages = PAGES, most = MOST;
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;

    if (!is_demo && (argc > 3 || (argc > 1 && demo_number(argv[1], 1, MOST_PAGES, &pages) != 0) ||
                     (argc > 2 && demo_number(argv[2], 1, PAGE_CLIENTS, &most) != 0))) {
        fputs("usage: crawler [PAGES [MOST]]\n       crawler --demo\n", stderr);
        return 2;
    }
    int error = run(&crawl, pages, (unsigned)most);
    if (error != 0)
        return demo_error("crawler", "crawling", error);
    double limit = crawl.samples > 0 ? crawl.sum / crawl.samples : 0, requests = (double)(pages + crawl.server.refused);
    printf("%lu pages, %lu failed, %lu requests refused (%.1f %%); the limit was %.1f, the site stands %lu\n",
           crawl.done, crawl.failed, crawl.server.refused, 100 * (double)crawl.server.refused / requests, limit, most);
    if (is_demo && (crawl.done != pages || limit < (double)most / 2 || limit > (double)most * 2))
        return demo_error("crawler", "crawling", EPROTO);
    return demo_finish("crawler", crawl.failed > 0);
}
