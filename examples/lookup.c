/* lookup.c - many reads of an SQLite database in parallel, with a connection for each worker.
 *
 *     lookup [CUSTOMERS [WORKERS]]
 *     lookup --demo
 *
 * The database is one of its own, in a temporary file: some orders for each of CUSTOMERS (5,000) customers. A lookup is
 * a query for the orders of one customer. SQLite's connections are not for two threads at once, and cost more to open
 * than a lookup: so the executor's .on_start opens one for each worker as it starts, with the statement that all its
 * lookups use, and .on_stop closes it. All lookups are one call of executor_map(); an executor with hooks runs its
 * tasks nowhere but on its workers. The program does the same in a loop before, and checks every answer. Built only
 * where pkg-config finds sqlite3.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <exec.h>
#include <sqlite3.h>

#include "demo.h"

enum { CUSTOMERS = 5000, MOST_CUSTOMERS = 1000000, MOST_ORDERS = 50 };

struct lookup {
    int64_t customer;
    int64_t orders, sum; /* the answer */
};

/* A worker's; the loop's, too. */
struct connection {
    sqlite3 *db;
    sqlite3_stmt *query;
};

static _Thread_local struct connection connection;

/* --- connections --- */

static int error_of(int code) {
    switch (code & 0xff) { /* without what is more than the kind */
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return 0;
    case SQLITE_NOMEM: return ENOMEM;
    case SQLITE_BUSY: return EBUSY;
    case SQLITE_FULL: return ENOSPC;
    default: return EIO;
    }
}

static void close_connection(void *path, unsigned worker) {
    (void)path;
    (void)worker;
    sqlite3_finalize(connection.query);
    sqlite3_close(connection.db);
    connection = (struct connection){0};
}

/* NOMUTEX: what one thread alone uses needs no lock. */
static int open_connection(void *path, unsigned worker) {
    const char *text = "SELECT count(*), sum(amount) FROM orders WHERE customer = ?";
    int code = sqlite3_open_v2(path, &connection.db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(connection.db, text, -1, &connection.query, NULL);
    if (code != SQLITE_OK)
        close_connection(path, worker);
    return error_of(code);
}

/* --- lookups --- */

/* One task. */
static void *look_up(void *arg) {
    struct lookup *lookup = arg;
    sqlite3_stmt *query = connection.query;
    sqlite3_bind_int64(query, 1, lookup->customer);
    int code = sqlite3_step(query);
    if (code == SQLITE_ROW) {
        lookup->orders = sqlite3_column_int64(query, 0);
        lookup->sum = sqlite3_column_int64(query, 1);
    }
    sqlite3_reset(query);
    return code == SQLITE_ROW ? arg : exec_fail(code == SQLITE_DONE ? ENOENT : error_of(code));
}

static int run_sequential(char *path, struct lookup *lookups, size_t n) {
    int error = open_connection(path, 0);
    if (error != 0)
        return error;
    for (size_t i = 0; i < n; i++)
        look_up(&lookups[i]);
    close_connection(path, 0);
    return 0;
}

static int run_libexec(char *path, struct lookup *lookups, size_t n, unsigned workers) {
    executor_opts opts = {
        .workers = workers, .on_start = open_connection, .on_stop = close_connection, .hook_ctx = path};
    executor_t *ex;
    void **args = calloc(n, sizeof *args);
    if (args == NULL)
        return ENOMEM;
    for (size_t i = 0; i < n; i++)
        args[i] = &lookups[i];
    int error = executor_create(&opts, &ex);
    if (error == 0) {
        error = executor_map(ex, look_up, args, NULL, n, NULL);
        executor_destroy(ex);
    }
    free(args);
    return error;
}

/* --- the database --- */

/* How many orders a customer has, and what each is worth. */
static int64_t orders_of(int64_t customer) {
    return 1 + customer * 7 % MOST_ORDERS;
}

static int64_t amount_of(int64_t customer, int64_t order) {
    return (customer + 3 * order) % 1000;
}

static int insert_orders(sqlite3_stmt *insert, int64_t customer) {
    int code = SQLITE_DONE;
    for (int64_t i = 0; i < orders_of(customer) && code == SQLITE_DONE; i++) {
        sqlite3_bind_int64(insert, 1, customer);
        sqlite3_bind_int64(insert, 2, amount_of(customer, i));
        code = sqlite3_step(insert);
        sqlite3_reset(insert);
    }
    return error_of(code);
}

static int fill(sqlite3 *db, size_t customers) {
    sqlite3_stmt *insert = NULL;
    int error =
        error_of(sqlite3_exec(db, "CREATE TABLE orders (customer INTEGER, amount INTEGER); BEGIN", NULL, NULL, NULL));
    if (error == 0)
        error = error_of(sqlite3_prepare_v2(db, "INSERT INTO orders VALUES (?, ?)", -1, &insert, NULL));
    for (size_t i = 0; i < customers && error == 0; i++)
        error = insert_orders(insert, (int64_t)i);
    sqlite3_finalize(insert);
    if (error == 0)
        error = error_of(sqlite3_exec(db, "CREATE INDEX by_customer ON orders (customer); COMMIT", NULL, NULL, NULL));
    return error;
}

static int make_database(char *path, size_t size, size_t customers) {
    sqlite3 *db;
    int error = demo_temporary("lookup", path, size);
    if (error != 0)
        return error;
    int fd = mkstemp(path);
    if (fd < 0)
        return errno;
    close(fd);
    error = error_of(sqlite3_open(path, &db)); /* an empty file is an empty database */
    if (error == 0)
        error = fill(db, customers);
    sqlite3_close(db);
    if (error != 0)
        unlink(path);
    return error;
}

/* --- the program --- */

/* The customers in an order of no use to a cache, each once; forgets the answers. */
static void prepare(struct lookup *lookups, size_t n) {
    for (size_t i = 0; i < n; i++)
        lookups[i] = (struct lookup){.customer = (int64_t)i};
    for (size_t i = n, random = 1; i > 1; i--) {
        random = random * 1103515245 + 12345;
        size_t other = (random >> 16) % i;
        struct lookup one = lookups[i - 1];
        lookups[i - 1] = lookups[other];
        lookups[other] = one;
    }
}

static size_t count_wrong(const struct lookup *lookups, size_t n) {
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t customer = lookups[i].customer, sum = 0;
        for (int64_t order = 0; order < orders_of(customer); order++)
            sum += amount_of(customer, order);
        wrong += lookups[i].orders != orders_of(customer) || lookups[i].sum != sum;
    }
    return wrong;
}

/* In a loop, and then through the library. */
static int run_both(char *path, struct lookup *lookups, size_t n, unsigned workers) {
    prepare(lookups, n);
    exec_time start = exec_now();
    int error = run_sequential(path, lookups, n);
    exec_time sequential = exec_now() - start;
    size_t wrong = count_wrong(lookups, n);

    prepare(lookups, n);
    start = exec_now();
    if (error == 0)
        error = run_libexec(path, lookups, n, workers);
    exec_time libexec = exec_now() - start;
    wrong += count_wrong(lookups, n);
    if (error != 0)
        return demo_error("lookup", "lookups", error);
    demo_header();
    demo_row("lookup", n, sequential, libexec);
    if (wrong > 0)
        fprintf(stderr, "lookup: %zu answers are wrong\n", wrong);
    return wrong > 0;
}

int main(int argc, char *argv[]) {
    unsigned long n = CUSTOMERS, workers = 0;
    char path[256];
    bool is_demo = argc == 2 && strcmp(argv[1], "--demo") == 0;
    if (!is_demo && (argc > 3 || (argc > 1 && demo_number(argv[1], 1, MOST_CUSTOMERS, &n) != 0) ||
                     (argc > 2 && demo_number(argv[2], 1, 8000, &workers) != 0))) {
        fputs("usage: lookup [CUSTOMERS [WORKERS]]\n       lookup --demo\n", stderr);
        return 2;
    }
    struct lookup *lookups = calloc(n, sizeof *lookups);
    int error = lookups != NULL ? make_database(path, sizeof path, n) : ENOMEM;
    int status = error != 0 ? demo_error("lookup", "database", error) : run_both(path, lookups, n, (unsigned)workers);
    if (error == 0)
        unlink(path);
    free(lookups);
    return demo_finish("lookup", status);
}
