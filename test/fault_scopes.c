/* fault_scopes.c - every allocation, thread start and descriptor made to fail in turn: dependencies, callbacks,
 * descriptors of futures, streams, and the options of map. How it goes is in fault_trial.h. */
#include "fault_trial.h"

enum { LINKS = 100, EDGES = 20, ITEMS = 300 };

/* ---- descriptors ---- */

static void future_descriptor(void) {
    future_t *f;
    int fd = -7, same = -7;
    CHECK_ERROR(future_create(&f), 0);
    errno = 4242;
    fault_arm();
    int error = future_fd(f, &fd);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    if (error != 0) {
        CHECK_EQ(fd, -7);
        CHECK_ERROR(future_fd(f, &fd), 0);
    }
    fault_arm();
    CHECK_ERROR(future_fd(f, &same), 0);
    CHECK_EQ(same, fd);
    CHECK(!is_readable(fd));
    CHECK_ERROR(future_resolve(f, NULL, 0), 0);
    fault_disarm();
    CHECK(is_readable(fd));
    future_unref(f);
}

/* Two threads ask for it at once, and get the same one; it is closed with the future. */
static future_t *shared;
static int first_fd;

static void ask_first(void) {
    CHECK_FAULT_OR_DONE(future_fd(shared, &first_fd));
}

static void descriptor_asked_for_twice(void) {
    int fd = -7;
    first_fd = -7;
    CHECK_ERROR(future_create(&shared), 0);
    atomic_store(&fault.meanwhile, ask_first);
    errno = 4242;
    fault_arm();
    int error = future_fd(shared, &fd);
    CHECK_EQ(errno, 4242);
    fault_disarm();
    atomic_store(&fault.meanwhile, NULL);
    CHECK_FAULT_OR_DONE(error);
    if (error != 0)
        CHECK_ERROR(future_fd(shared, &fd), 0);
    CHECK(first_fd == fd || first_fd == -7);
    fault_arm();
    future_unref(shared);
    fault_disarm();
    CHECK_EQ(errno, 4242);
}

/* ---- callbacks ---- */

static void called(future_t *f, void *counter) {
    CHECK(future_done(f));
    atomic_fetch_add((atomic_uint *)counter, 1);
}

static void callbacks(void) {
    atomic_uint calls = 0;
    unsigned added = 0;
    future_t *f;
    CHECK_ERROR(future_create(&f), 0);
    errno = 4242;
    fault_arm();
    for (int i = 0; i < 5; i++) {
        int error = future_on_done(f, called, &calls);
        CHECK_FAULT_OR_DONE(error);
        added += error == 0;
    }
    CHECK_EQ(errno, 4242);
    CHECK_OP(added + fault_failures(false), >=, 5);
    CHECK_EQ(atomic_load(&calls), 0);
    CHECK_ERROR(future_resolve(f, NULL, 0), 0);
    CHECK_EQ(atomic_load(&calls), added);
    int late = future_on_done(f, called, &calls);
    fault_disarm();
    CHECK_FAULT_OR_DONE(late);
    CHECK_EQ(atomic_load(&calls), added + (late == 0));
    future_unref(f);
}

/* ---- dependencies ---- */

/* A task after several promises, one of which has finished: refused, or it runs, whatever fails as the rest finish. */
static void depend_on(int error_of_the_last) {
    future_t *before[EDGES], *f = NULL;
    open_executor(2);
    for (int i = 0; i < EDGES; i++)
        CHECK_ERROR(future_create(&before[i]), 0);
    CHECK_ERROR(future_resolve(before[0], NULL, 0), 0);
    exec_task_opts opts = {.after = before, .nafter = EDGES, .drop = drop};
    errno = 4242;
    fault_arm();
    int error = executor_submit(ex, run, NULL, &opts, &f);
    for (int i = 1; i < EDGES; i++)
        CHECK_ERROR(future_resolve(before[i], NULL, i == EDGES - 1 ? error_of_the_last : 0), 0);
    while (error == 0 && !future_done(f))
        sched_yield();
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    if (error == 0)
        CHECK_ERROR(future_get(f, NULL), error_of_the_last);
    else
        CHECK_PTR(f, NULL);
    future_unref(f);
    for (int i = 0; i < EDGES; i++)
        future_unref(before[i]);
    check_works(ex);
    executor_destroy(ex);
    CHECK_EQ(atomic_load(&runs), error == 0 && error_of_the_last == 0 ? 2 : 1);
    CHECK_EQ(atomic_load(&drops), error == 0 && error_of_the_last != 0 ? 1 : 0);
}

static void depend_on_success(void) {
    depend_on(0);
}

static void depend_on_failure(void) {
    depend_on(EIO);
}

/* A chain in a group, each after the one before; whoever is refused is left out. */
static void *submit_chain(void *arg) {
    exec_group_t *g;
    future_t *last;
    unsigned n = 0;
    CHECK_ERROR(future_create(&last), 0);
    future_t *first = future_ref(last);
    CHECK_ERROR(exec_group_open(ex, NULL, &g), 0);
    fault_arm();
    for (int i = 0; i < LINKS; i++) {
        future_t *f = NULL;
        exec_task_opts opts = {.after = &last, .nafter = 1};
        int error = exec_group_submit(g, run, arg, &opts, &f);
        CHECK_FAULT_OR_DONE(error);
        n += error == 0;
        if (error == 0) {
            future_unref(last);
            last = f;
        }
    }
    CHECK_ERROR(future_resolve(first, NULL, 0), 0);
    CHECK_ERROR(exec_group_close(g), 0);
    fault_disarm();
    CHECK_OP(n + fault_failures(false), >=, LINKS);
    CHECK_EQ(atomic_load(&runs), n);
    future_unref(first);
    future_unref(last);
    return arg;
}

static void chain(void) {
    open_executor(1);
    as_task(submit_chain, NULL);
    check_works(ex);
    executor_destroy(ex);
}

/* ---- streams ---- */

static void open_stream(void) {
    struct source source = {.last = ITEMS};
    exec_stream_opts opts = {.window = 100, .unordered = true, .deadline = exec_after(EXEC_SEC(3600))};
    exec_stream_t *s = NULL;
    open_executor(2);
    errno = 4242;
    fault_arm();
    int error = exec_stream_open(ex, count_to, &source, run, &opts, &s);
    fault_disarm();
    CHECK_FAULT(error);
    CHECK_EQ(errno, 4242);
    CHECK_EQ(s != NULL, error == 0);
    exec_stream_close(s);
    CHECK_EQ(source.given, 0);
    check_works(ex);
    executor_destroy(ex);
}

/* Each item comes, in its turn, or the stream ends early for want of memory; whatever was taken from the source has run
 * or was dropped by then. */
static void read_stream(bool unordered, uintptr_t most) {
    struct source source = {.last = ITEMS};
    exec_stream_opts opts = {.unordered = unordered, .drop = drop};
    exec_item item = {0};
    exec_stream_t *s;
    uintptr_t n = 0, sum = 0;
    CHECK_ERROR(exec_stream_open(ex, count_to, &source, run, &opts, &s), 0);
    fault_arm();
    for (; n < most && exec_stream_next(s, &item); n++) {
        CHECK_ERROR(item.error, 0);
        CHECK_PTR(item.arg, item.result);
        CHECK_EQ((uintptr_t)item.arg, item.index + 1);
        CHECK(unordered || item.index == n);
        sum += item.index;
    }
    exec_stream_close(s);
    fault_disarm();
    CHECK_FAULT_OR_DONE(item.error);
    if (most > ITEMS && item.error == 0) {
        CHECK_EQ(n, ITEMS);
        CHECK_EQ(sum, (uintptr_t)ITEMS * (ITEMS - 1) / 2);
    }
    CHECK_EQ(atomic_load(&runs) + atomic_load(&drops), source.given);
}

static void stream_outside(void) {
    open_executor(2);
    read_stream(false, ITEMS + 1);
    check_works(ex);
    executor_destroy(ex);
}

static void stream_left_early(void) {
    open_executor(2);
    read_stream(true, ITEMS / 3);
    check_works(ex);
    executor_destroy(ex);
}

static void *stream_task(void *arg) {
    read_stream(true, ITEMS + 1);
    return arg;
}

static void stream_inside(void) {
    open_executor(1);
    as_task(stream_task, NULL);
    check_works(ex);
    executor_destroy(ex);
}

/* ---- map with options ---- */

static void note_progress(size_t done, size_t total, void *last) {
    CHECK_EQ(total, ITEMS);
    CHECK_OP(done, >=, *(size_t *)last);
    *(size_t *)last = done;
}

static void map_with_options(void) {
    static void *args[ITEMS], *results[ITEMS];
    int errors[ITEMS];
    size_t last = 0;
    exec_map_opts opts = {.deadline = exec_after(EXEC_SEC(3600)),
                          .stop_on_error = true,
                          .errors = errors,
                          .max_running = 2,
                          .chunk = 7,
                          .progress = note_progress,
                          .progress_ctx = &last};
    open_executor(3);
    for (size_t i = 0; i < ITEMS; i++)
        args[i] = &args[i];
    fault_arm();
    int error = executor_map(ex, run, args, results, ITEMS, &opts);
    fault_disarm();
    CHECK_FAULT_OR_DONE(error);
    CHECK_EQ(atomic_load(&runs), error == 0 ? ITEMS : 0);
    CHECK_EQ(last, error == 0 ? ITEMS : 0);
    for (size_t i = 0; i < ITEMS && error == 0; i++)
        CHECK_PTR(results[i], args[i]);
    check_works(ex);
    executor_destroy(ex);
}

/* ---- the runs ---- */

static const struct scenario scenarios[] = {
    {"descriptor of a future", future_descriptor, true},
    {"asked for twice", descriptor_asked_for_twice, true},
    {"callbacks", callbacks, true},
    {"dependencies", depend_on_success, true},
    {"dependencies that fail", depend_on_failure, true},
    {"chain", chain, true},
    {"open a stream", open_stream, true},
    {"stream", stream_outside, true},
    {"stream left early", stream_left_early, true},
    {"stream inside", stream_inside, true},
    {"map with options", map_with_options, true},
};

int main(int argc, char **argv) {
    return fault_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
