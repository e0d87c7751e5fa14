/* test_cancellation_points.c - what is documented as no cancellation point is none, of all that opens, reads, writes,
 * waits or closes something: a thread that is to be cancelled at its next one gets through it; and so does one that
 * ends a task. */
#include "helpers.h"

struct sheltered {
    executor_t *ex;      /* idle */
    executor_t *plugged; /* its worker is busy */
    FILE *out;
};

/* ---- what is called ---- */

static void live(struct sheltered *s) {
    (void)s;
    executor_t *ex = pool(0); /* looks into files for how many processors there are */
    ok(executor_submit(ex, identity, ex, NULL, NULL));
    ok(executor_submit(ex, identity, ex, &(exec_task_opts){.delay = EXEC_SEC(100)}, NULL));
    ok(executor_shutdown(ex, EXECUTOR_DISCARD));
    ok(executor_join(ex, EXEC_NEVER));
    executor_destroy(ex);
}

static void write_texts(struct sheltered *s) {
    ok(executor_trace_start(s->ex, NULL));
    ok(executor_stats_write(s->ex, s->out, EXEC_STATS_TABLE));
    ok(executor_dump(s->ex, s->out));
    ok(executor_trace_stop(s->ex, s->out));
}

static void body(size_t first, size_t end, void *ctx) {
    (void)first, (void)end, (void)ctx;
}

static void map(struct sheltered *s) {
    void *args[100] = {NULL}, *results[100];
    ok(executor_map(s->ex, identity, args, results, 100, NULL));
    ok(executor_for(s->ex, 100, body, NULL, NULL));
}

static void cancel_members(struct sheltered *s) {
    int fd;
    future_t *f;
    exec_group_t *g;
    ok(exec_group_open(s->plugged, NULL, &g));
    ok(exec_group_fd(g, &fd));
    ok(exec_group_submit(g, identity, s, NULL, &f));
    ok(future_cancel(f));
    future_unref(f);
    ok(exec_group_submit(g, identity, s, NULL, NULL));
    exec_group_cancel(g);
    eq_err(exec_group_close(g), ECANCELED);
}

static void close_group(struct sheltered *s) {
    int fd;
    exec_group_t *g;
    ok(exec_group_open(s->ex, NULL, &g));
    for (int i = 0; i < 10; i++)
        ok(exec_group_submit(g, identity, s, NULL, NULL));
    ok(exec_group_fd(g, &fd));
    ok(exec_group_close(g));
}

static void wait_by_descriptor(struct sheltered *s) {
    (void)s;
    int fd;
    future_t *f = promise();
    ok(future_fd(f, &fd));
    ok(future_resolve(f, NULL, 0));
    future_unref(f);
    f = promise();
    ok(future_resolve(f, NULL, 0));
    ok(future_fd(f, &fd));
    future_unref(f);
}

static void read_zone(struct sheltered *s) {
    (void)s;
    time_t when;
    ok(exec_cron_next("0 9 * * *", "Europe/Berlin", 0, &when));
}

static void show_progress(struct sheltered *s) {
    exec_progress bar = {.out = s->out};
    exec_progress_bar(1, 2, &bar);
    exec_progress_clear(&bar);
}

static int none(void *source, void **arg) {
    (void)source, (void)arg;
    return ENODATA;
}

static int next_number(void *source, void **arg) {
    *arg = source;
    return 0;
}

/* Waits for items that run. */
static void leave_stream(struct sheltered *s) {
    exec_stream_t *stream;
    exec_item item;
    int state;
    ok(exec_stream_open(s->ex, next_number, s, identity, &(exec_stream_opts){.window = 10}, &stream));
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    check(exec_stream_next(stream, &item));
    pthread_setcancelstate(state, NULL);
    exec_stream_close(stream);
}

static void wait_for_room(struct sheltered *s) {
    executor_t *full = s->plugged; /* its queue has one place */
    future_t *f;
    ok(executor_submit(full, identity, s, NULL, &f));
    eq_err(executor_submit(full, identity, s, &(exec_task_opts){.room_wait = EXEC_MS(5)}, NULL), ETIMEDOUT);
    ok(future_cancel(f));
    future_unref(f);
}

static void make_things(struct sheltered *s) {
    exec_queue_t *q;
    exec_limiter_t *l;
    exec_stream_t *stream;
    ok(exec_queue_create(1, &q));
    exec_queue_destroy(q);
    ok(exec_limiter_create(NULL, &l));
    exec_limiter_destroy(l);
    ok(exec_stream_open(s->ex, none, NULL, identity, NULL, &stream));
    exec_stream_close(stream);
}

static void (*const calls[])(struct sheltered *) = {live,        write_texts,        map,          cancel_members,
                                                    close_group, wait_by_descriptor, read_zone,    show_progress,
                                                    make_things, leave_stream,       wait_for_room};

/* ---- from outside ---- */

struct caller {
    struct sheltered *s;
    void (*call)(struct sheltered *);
    bool passed;
};

static void *call_while_cancelled(void *arg) {
    struct caller *c = arg;
    ok(pthread_cancel(pthread_self()));
    c->call(c->s);
    c->passed = true;
    pthread_testcancel();
    return NULL;
}

TEST(cancellation_points, what_is_none_lets_a_thread_through_that_is_to_be_cancelled) {
    struct plug plug = PLUG;
    struct sheltered s = {.ex = pool(2), .out = tmpfile()};
    s.plugged = pool_of((executor_opts){.workers = 1, .capacity = 1});
    future_t *plugged = plug_in(s.plugged, &plug);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct caller c = {.s = &s, .call = calls[i]};
        eq_ptr(finish(start(call_while_cancelled, &c)), PTHREAD_CANCELED);
        eq_int(c.passed ? -1 : (int)i, -1);
    }
    plug_out(&plug);
    ok(outcome(plugged));
    executor_destroy(s.plugged);
    executor_destroy(s.ex);
    ok(fclose(s.out));
}

/* ---- in a task's end ---- */

static void *be_cancelled(void *arg) {
    ok(pthread_cancel(pthread_self()));
    return arg;
}

static void count_call(future_t *f, void *calls_so_far) {
    (void)f;
    atomic_fetch_add((atomic_int *)calls_so_far, 1);
}

TEST(cancellation_points, a_thread_that_is_cancelled_as_its_task_returns_ends_it_like_any_other) {
    for (unsigned workers = 1; workers <= 2; workers++) {
        executor_t *ex = pool(workers);
        atomic_int called = 0;
        for (int round = 0; round < 50; round++) {
            int group_fd, fd;
            future_t *f, *before = promise();
            exec_group_t *g;
            ok(exec_group_open(ex, NULL, &g));
            ok(exec_group_fd(g, &group_fd));
            ok(exec_group_submit(g, be_cancelled, ex, &(exec_task_opts){.after = &before, .nafter = 1}, &f));
            ok(future_fd(f, &fd));
            ok(future_on_done(f, count_call, &called));
            ok(future_resolve(before, NULL, 0));
            ok(exec_group_close(g));
            eq_int(atomic_load(&called), round + 1);
            eq_ptr(take(f), ex);
            future_unref(before);
            f = submit(ex, identity, ex); /* the cancellation is for this one, or for none */
            int error = outcome(f);
            eq_err(error, error == 0 ? 0 : EOWNERDEAD);
        }
        executor_destroy(ex);
    }
}
