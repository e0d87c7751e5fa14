/* fetch.c - fetches many URLs at once with libcurl, shows how far it is, and stops at once on Ctrl-C.
 *
 *     fetch [-j CONNECTIONS] [-o DIR] [-q] [--limit] [--retry TIMES] [--timeout SECONDS] [URL...]
 *     fetch --demo
 *
 * Without a URL they come from standard input, a line each. At most CONNECTIONS (20) are fetched at once; with --limit
 * only as many of those as the servers turn out to stand, by what they refuse (503, 429, no connection) or do not
 * answer in time. A run may take SECONDS (30); one that fails in a way that may pass is tried again later, at most
 * TIMES (5), one that was too slow only once. With -o the URL of number N goes to DIR/N, from 1 on, when it has come as
 * a whole; otherwise bytes are only counted. A progress bar is on stderr, unless -q; failures are reported there, too.
 * The exit status is 1 if there were any, and 130 after a Ctrl-C; a second one ends the program without ado.
 *
 * Each URL is a task of a group. Each worker has a libcurl handle of its own, made by .on_start, and so keeps its
 * connections open. libcurl waits for a tenth of a second at most, then the task looks whether it is to stop.
 *
 * --demo fetches 300 pages of a server of its own (page_server.h), some of which are missing or stuck, and checks what
 * has become of each; and then once more, with a Ctrl-C in between. Built only where pkg-config finds libcurl.
 */
#include <curl/curl.h>

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <exec.h>

#include "demo.h"
#include "page_server.h"

enum { CONNECTIONS = 20, MOST_CONNECTIONS = 1000, RETRIES = 5, TIMEOUT = 30, LOOK_EVERY_MS = 100 };
enum { DEMO_PAGES = 300, DEMO_MOST = 8, DEMO_INTERRUPT = 50, STATUS_INTERRUPTED = 130 };

struct fetch;

struct page {
    const struct fetch *fetch;
    const char *url;
    size_t number;
    FILE *file; /* where it goes, or NULL; its task's, as is the next */
    unsigned long long bytes;
    long http_status; /* of its last run; 0: there was no answer */
};

struct fetch {
    const char *directory; /* or NULL */
    unsigned long connections, retries;
    exec_time timeout;
    bool is_limited, quiet;
    size_t interrupt_at; /* when so many have ended, press Ctrl-C; 0: never */
    struct page *page;
    size_t n, capacity;

    exec_group_t *group;
    exec_limiter_t *limiter;
    exec_progress bar;
    size_t good, failed, stopped;
    unsigned long long bytes;
};

/* --- a worker's connections --- */

static _Thread_local struct {
    CURLM *multi;
    CURL *easy;
} worker;

static void close_handles(void *ctx, unsigned number) {
    (void)ctx;
    (void)number;
    curl_easy_cleanup(worker.easy);
    curl_multi_cleanup(worker.multi);
}

static int open_handles(void *ctx, unsigned number) {
    worker.multi = curl_multi_init();
    worker.easy = curl_easy_init();
    if (worker.multi != NULL && worker.easy != NULL)
        return 0;
    close_handles(ctx, number);
    return ENOMEM;
}

/* --- one page --- */

static int error_of_status(long status) {
    switch (status) {
    case 401:
    case 403: return EACCES;
    case 404:
    case 410: return ENOENT;
    case 429:
    case 503: return EBUSY; /* what a limiter takes for overload */
    default: return status >= 500 ? EIO : EPROTO;
    }
}

static int error_of(CURLcode code, long status) {
    switch (code) {
    case CURLE_OK: return 0;
    case CURLE_HTTP_RETURNED_ERROR: return error_of_status(status);
    case CURLE_COULDNT_CONNECT: return ECONNREFUSED;
    case CURLE_COULDNT_RESOLVE_HOST: return EHOSTUNREACH;
    case CURLE_GOT_NOTHING:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR: return ECONNRESET;
    case CURLE_OPERATION_TIMEDOUT: return ETIMEDOUT;
    case CURLE_OUT_OF_MEMORY: return ENOMEM;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: return EINVAL;
    case CURLE_WRITE_ERROR: return ENOSPC;
    default: return EIO;
    }
}

static size_t receive(char *data, size_t size, size_t n, void *arg) {
    struct page *page = arg;
    if (page->file != NULL && fwrite(data, size, n, page->file) != n)
        return 0;
    page->bytes += size * n;
    return size * n;
}

/* Until it has ended, or the task is to stop. */
static int transfer(CURLcode *outcome) {
    int running = 1, left, error = 0;
    if (curl_multi_add_handle(worker.multi, worker.easy) != CURLM_OK)
        return ENOMEM;
    while (running > 0 && error == 0) {
        if (exec_cancelled())
            error = ECANCELED;
        else if (curl_multi_perform(worker.multi, &running) != CURLM_OK ||
                 (running > 0 && curl_multi_poll(worker.multi, NULL, 0, LOOK_EVERY_MS, NULL) != CURLM_OK))
            error = EIO;
    }
    const CURLMsg *message = curl_multi_info_read(worker.multi, &left);
    *outcome = message != NULL ? message->data.result : CURLE_OK;
    curl_multi_remove_handle(worker.multi, worker.easy);
    return error;
}

static int get(struct page *page) {
    CURLcode outcome = CURLE_OK;
    page->bytes = 0;
    page->http_status = 0;
    curl_easy_reset(worker.easy); /* keeps its connections */
    curl_easy_setopt(worker.easy, CURLOPT_URL, page->url);
    curl_easy_setopt(worker.easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(worker.easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(worker.easy, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(worker.easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(worker.easy, CURLOPT_WRITEDATA, page);
    int error = transfer(&outcome);
    curl_easy_getinfo(worker.easy, CURLINFO_RESPONSE_CODE, &page->http_status);
    return error != 0 ? error : error_of(outcome, page->http_status);
}

/* What has come as a whole takes its name. */
static int get_file(struct page *page) {
    char part[PATH_MAX], name[PATH_MAX];
    int length = snprintf(name, sizeof name, "%s/%zu", page->fetch->directory, page->number);
    if (length < 0 || (size_t)length + sizeof ".part" > sizeof name)
        return ENAMETOOLONG;
    memcpy(part, name, (size_t)length);
    memcpy(part + length, ".part", sizeof ".part");
    page->file = fopen(part, "we");
    if (page->file == NULL)
        return errno;
    int error = get(page);
    if (fclose(page->file) != 0 && error == 0)
        error = errno;
    if (error == 0 && rename(part, name) != 0)
        error = errno;
    if (error != 0)
        unlink(part);
    return error;
}

/* One task. */
static void *fetch_page(void *arg) {
    struct page *page = arg;
    page->file = NULL;
    int error = page->fetch->directory != NULL ? get_file(page) : get(page);
    return error != 0 ? exec_fail(error) : arg;
}

/* --- all pages --- */

static volatile sig_atomic_t is_interrupted;
static executor_t *ex; /* for the handler */

static void on_interrupt(int number) {
    (void)number;
    is_interrupted = 1;
    executor_request_shutdown(ex);
}

/* The handler is called once: a second Ctrl-C does what it would without it. */
static void watch_interrupt(bool watch) {
    struct sigaction action = {.sa_handler = watch ? on_interrupt : SIG_DFL, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
}

static bool is_worth_it(int error, unsigned attempt, void *ctx) {
    (void)ctx;
    return error == EBUSY || error == EIO || error == ECONNREFUSED || error == ECONNRESET ||
           (error == ETIMEDOUT && attempt < 2);
}

static int submit_all(struct fetch *fetch) {
    int error = 0;
    for (size_t i = 0; i < fetch->n && error == 0; i++) {
        struct page *page = &fetch->page[i];
        exec_task_opts opts = {
            .name = page->url,
            .timeout = fetch->timeout,
            .limiter = fetch->limiter,
            .retry = {.attempts = (unsigned)fetch->retries + 1, .delay = EXEC_MS(50), .when = is_worth_it}};
        page->fetch = fetch;
        page->number = i + 1;
        error = exec_group_submit(fetch->group, fetch_page, page, &opts, NULL);
        if (error != 0)
            fetch->stopped = fetch->n - i;
    }
    return error == ESHUTDOWN && is_interrupted ? 0 : error;
}

static void report_failure(struct fetch *fetch, const struct page *page, int error) {
    exec_progress_clear(&fetch->bar);
    if (page->http_status != 0)
        fprintf(stderr, "fetch: %s: %s (HTTP status %ld)\n", page->url, strerror(error), page->http_status);
    else
        demo_error("fetch", page->url, error);
}

static void count(struct fetch *fetch, future_t *ended) {
    const struct page *page = future_arg(ended);
    int error = future_get(ended, NULL);
    fetch->good += error == 0;
    fetch->bytes += error == 0 ? page->bytes : 0;
    fetch->stopped += error == ECANCELED;
    fetch->bar.failed = fetch->failed += error != 0 && error != ECANCELED;
    if (error != 0 && error != ECANCELED)
        report_failure(fetch, page, error);
    future_unref(ended);
}

/* Takes the pages as they come. Interrupted, those that have not begun never will, and the others are asked to stop. */
static int take_all(struct fetch *fetch) {
    bool has_stopped = false;
    future_t *ended;
    int error;
    while ((error = exec_group_next(fetch->group, exec_after(EXEC_MS(LOOK_EVERY_MS)), &ended)) == 0 ||
           error == ETIMEDOUT) {
        if (error == 0)
            count(fetch, ended);
        size_t done = fetch->good + fetch->failed;
        exec_progress_bar(done, fetch->n, &fetch->bar);
        if (fetch->interrupt_at > 0 && done >= fetch->interrupt_at && !has_stopped)
            raise(SIGINT);
        if (is_interrupted && !has_stopped) {
            exec_group_cancel(fetch->group);
            has_stopped = true;
        }
    }
    exec_progress_clear(&fetch->bar); /* if it has not come to its end */
    return error == ENODATA ? 0 : error;
}

static int run_group(struct fetch *fetch) {
    exec_limiter_opts limits = {.adapt = EXEC_LIMIT_AIMD, .max = fetch->connections};
    int error = fetch->is_limited ? exec_limiter_create(&limits, &fetch->limiter) : 0;
    if (error == 0)
        error = exec_group_open(ex, &(exec_group_opts){.max_running = fetch->connections}, &fetch->group);
    if (error == 0) {
        exec_progress_bar(0, fetch->n, &fetch->bar);
        watch_interrupt(true);
        error = submit_all(fetch);
        if (error != 0)
            exec_group_cancel(fetch->group);
        int taken = take_all(fetch);
        error = error != 0 ? error : taken;
        watch_interrupt(false);
        exec_group_close(fetch->group); /* returns the error of the first that failed */
    }
    exec_limiter_destroy(fetch->limiter);
    return error;
}

/* 0, although some pages may have failed. */
static int fetch_all(struct fetch *fetch) {
    executor_opts opts = {
        .workers = (unsigned)fetch->connections, .on_start = open_handles, .on_stop = close_handles, .name = "fetch"};
    fetch->bar = (exec_progress){.title = "fetch", .quiet = fetch->quiet};
    fetch->limiter = NULL;
    fetch->good = fetch->failed = fetch->stopped = 0;
    fetch->bytes = 0;
    is_interrupted = 0;
    exec_time start = exec_now();
    int error = executor_create(&opts, &ex);
    if (error != 0)
        return error;
    error = run_group(fetch);
    executor_destroy(ex);
    printf("%zu fetched, %zu failed, %zu stopped; %llu bytes in %.2f s\n", fetch->good, fetch->failed, fetch->stopped,
           fetch->bytes, demo_seconds(exec_now() - start));
    return error;
}

/* --- the list of pages --- */

static int add_page(struct fetch *fetch, const char *url) {
    if (fetch->n == fetch->capacity) {
        size_t capacity = fetch->capacity * 2 + 64;
        struct page *page = realloc(fetch->page, capacity * sizeof *page);
        if (page == NULL)
            return ENOMEM;
        fetch->page = page;
        fetch->capacity = capacity;
    }
    char *own = strdup(url);
    if (own == NULL)
        return ENOMEM;
    fetch->page[fetch->n++] = (struct page){.url = own};
    return 0;
}

static int read_pages(struct fetch *fetch) {
    char *line = NULL;
    size_t size = 0;
    int error = 0;
    while (error == 0 && getline(&line, &size, stdin) > 0) {
        line[strcspn(line, " \t\r\n")] = '\0';
        if (line[0] != '\0')
            error = add_page(fetch, line);
    }
    free(line);
    return error != 0 ? error : ferror(stdin) ? EIO : 0;
}

static void free_pages(struct fetch *fetch) {
    for (size_t i = 0; i < fetch->n; i++)
        free((void *)(uintptr_t)fetch->page[i].url);
    free(fetch->page);
}

/* --- the demo --- */

static enum page_kind kind_of(unsigned long page) {
    return page % 100 == 50 ? PAGE_STUCK : page % 30 == 7 ? PAGE_MISSING : PAGE_GOOD;
}

/* Each good page has come, and links to another; of the others there is nothing. Removes them. */
static size_t check_files(const struct fetch *fetch) {
    char name[PATH_MAX], text[PAGE_BYTES];
    size_t wrong = 0;
    for (size_t i = 0; i < fetch->n; i++) {
        snprintf(name, sizeof name, "%s/%zu", fetch->directory, i + 1);
        FILE *file = fopen(name, "r");
        size_t length = file != NULL ? fread(text, 1, sizeof text - 1, file) : 0;
        text[length] = '\0';
        wrong += (file != NULL) != (kind_of(i) == PAGE_GOOD) || (file != NULL && strncmp(text, "link /", 6) != 0);
        if (file != NULL)
            fclose(file);
        unlink(name);
    }
    return wrong;
}

/* All to the end. */
static int demo_all(struct fetch *fetch, size_t *wrong) {
    size_t good = 0;
    int error = fetch_all(fetch);
    for (size_t i = 0; i < fetch->n; i++)
        good += kind_of(i) == PAGE_GOOD;
    *wrong += check_files(fetch);
    *wrong += fetch->good != good || fetch->failed != fetch->n - good || fetch->stopped != 0;
    return error;
}

/* And with an interruption: what had not begun is dropped, what ran has stopped. */
static int demo_interrupted(struct fetch *fetch, size_t *wrong) {
    fetch->directory = NULL;
    fetch->interrupt_at = DEMO_INTERRUPT;
    exec_time start = exec_now();
    int error = fetch_all(fetch);
    *wrong += fetch->good + fetch->failed + fetch->stopped != fetch->n || fetch->stopped == 0 || !is_interrupted;
    *wrong += exec_now() - start > EXEC_SEC(20);
    return error;
}

static int run_demo(struct fetch *fetch, const struct page_server *server, size_t *wrong) {
    char url[64];
    int error = 0;
    setenv("no_proxy", "127.0.0.1", 1);
    for (unsigned i = 0; i < DEMO_PAGES && error == 0; i++) {
        snprintf(url, sizeof url, "http://127.0.0.1:%u/%u", ntohs(server->address.sin_port), i);
        error = add_page(fetch, url);
    }
    if (error == 0)
        error = demo_all(fetch, wrong);
    if (error == 0)
        error = demo_interrupted(fetch, wrong);
    free_pages(fetch);
    return error;
}

static int demo_below(const char *directory) {
    static struct page_server server;
    struct fetch fetch = {.directory = directory,
                          .connections = CONNECTIONS,
                          .retries = 20,
                          .timeout = EXEC_MS(1500),
                          .is_limited = true};
    size_t wrong = 0;
    int error = page_server_start(&server, DEMO_PAGES, DEMO_MOST, kind_of);
    if (error != 0)
        return error;
    error = run_demo(&fetch, &server, &wrong);
    page_server_end(&server);
    printf("%lu requests refused, %lu for missing pages, %lu for stuck ones\n", server.refused, server.missing,
           server.stuck);
    return error == 0 && wrong > 0 ? EPROTO : error;
}

static int demo(void) {
    char directory[PATH_MAX / 2];
    int error = demo_temporary("fetch", directory, sizeof directory);
    if (error == 0 && mkdtemp(directory) == NULL)
        error = errno;
    if (error == 0) {
        error = demo_below(directory);
        rmdir(directory);
    }
    return error != 0 ? demo_error("fetch", "demo", error) : 0;
}

/* --- the program --- */

static int fetch_given(struct fetch *fetch, char *urls[]) {
    int error = 0;
    for (size_t i = 0; urls[i] != NULL && error == 0; i++)
        error = add_page(fetch, urls[i]);
    if (urls[0] == NULL)
        error = read_pages(fetch);
    if (error == 0 && fetch->directory != NULL && mkdir(fetch->directory, 0777) != 0 && errno != EEXIST)
        error = errno;
    if (error == 0)
        error = fetch_all(fetch);
    free_pages(fetch);
    if (error != 0)
        return demo_error("fetch", "fetching", error);
    return is_interrupted ? STATUS_INTERRUPTED : fetch->failed > 0;
}

/* Whether they make sense. */
static bool read_options(int argc, char *argv[], struct fetch *fetch, bool *is_demo) {
    static const struct option names[] = {{"limit", no_argument, NULL, 'l'},
                                          {"retry", required_argument, NULL, 'r'},
                                          {"timeout", required_argument, NULL, 't'},
                                          {"demo", no_argument, NULL, 'd'},
                                          {NULL, 0, NULL, 0}};
    unsigned long seconds = TIMEOUT;
    int letter, error = 0;
    while (error == 0 && (letter = getopt_long(argc, argv, "j:o:q", names, NULL)) != -1)
        switch (letter) {
        case 'j': error = demo_number(optarg, 1, MOST_CONNECTIONS, &fetch->connections); break;
        case 'o': fetch->directory = optarg; break;
        case 'q': fetch->quiet = true; break;
        case 'l': fetch->is_limited = true; break;
        case 'r': error = demo_number(optarg, 0, 1000, &fetch->retries); break;
        case 't': error = demo_number(optarg, 1, 86400, &seconds); break;
        case 'd': *is_demo = true; break;
        default: error = EINVAL;
        }
    fetch->timeout = EXEC_SEC(seconds);
    return error == 0;
}

int main(int argc, char *argv[]) {
    struct fetch fetch = {.connections = CONNECTIONS, .retries = RETRIES};
    bool is_demo = false;
    if (!read_options(argc, argv, &fetch, &is_demo) || (is_demo && argc > 2)) {
        fputs("usage: fetch [-j CONNECTIONS] [-o DIR] [-q] [--limit] [--retry TIMES] [--timeout SECONDS] [URL...]\n"
              "       fetch --demo\n",
              stderr);
        return 2;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return demo_error("fetch", "libcurl", ENOMEM);
    int status = is_demo ? demo() : fetch_given(&fetch, argv + optind);
    curl_global_cleanup();
    return demo_finish("fetch", status);
}
