/* loop_uv.c - a libuv loop that never blocks while 1,000 tasks finish.
 *
 *     loop_uv [TASKS [WORKERS]]
 *     loop_uv --demo
 *
 * As loop_epoll.c, in the loop of Node.js and many servers: a uv_timer_t ticks, and a uv_poll_t each watches the
 * descriptor of the group, and that of the future that comes after all of the tasks. Built only where pkg-config finds
 * libuv.
 */
#include <uv.h>

#include "loop.h"

/* The handles of the loop; the data of each is the loop that is measured. */
struct watched {
    uv_loop_t uv;
    uv_timer_t tick;
    uv_prepare_t before_poll;
    uv_poll_t group, all_done;
};

/* libuv calls us while it polls: a turn begins with the first call, and ends before the next poll. */
static struct loop *enter_turn(void *data) {
    struct loop *loop = data;
    if (loop->turn_began == 0)
        loop_begin_turn(loop);
    return loop;
}

static void on_before_poll(uv_prepare_t *handle) {
    struct loop *loop = handle->data;
    if (loop->turn_began != 0)
        loop_end_turn(loop);
    loop->turn_began = 0;
    if (loop_is_complete(loop))
        uv_stop(handle->loop);
}

static void on_tick(uv_timer_t *handle) {
    enter_turn(handle->data)->ticks++;
}

static void on_group(uv_poll_t *handle, int status, int events) {
    (void)status;
    (void)events;
    loop_take_finished(enter_turn(handle->data));
}

static void on_all_done(uv_poll_t *handle, int status, int events) {
    struct loop *loop = enter_turn(handle->data);
    (void)status;
    (void)events;
    loop->all_done_seen = future_done(loop->all_done);
    uv_poll_stop(handle);
}

/* libuv's errors are negative error numbers. */
static int start_handles(struct watched *w, struct loop *loop, int group_fd, int all_done_fd) {
    uv_timer_init(&w->uv, &w->tick);
    uv_prepare_init(&w->uv, &w->before_poll);
    int error = uv_poll_init(&w->uv, &w->group, group_fd);
    if (error == 0)
        error = uv_poll_init(&w->uv, &w->all_done, all_done_fd);
    w->tick.data = w->before_poll.data = w->group.data = w->all_done.data = loop;
    if (error == 0)
        error = uv_timer_start(&w->tick, on_tick, LOOP_TICK_MS, LOOP_TICK_MS);
    if (error == 0)
        error = uv_prepare_start(&w->before_poll, on_before_poll);
    if (error == 0)
        error = uv_poll_start(&w->group, UV_READABLE, on_group);
    if (error == 0)
        error = uv_poll_start(&w->all_done, UV_READABLE, on_all_done);
    return -error;
}

static void close_handle(uv_handle_t *handle, void *unused) {
    (void)unused;
    uv_close(handle, NULL);
}

static int run_loop(struct loop *loop) {
    struct watched watched;
    int group_fd, all_done_fd;
    int error = exec_group_fd(loop->group, &group_fd);
    if (error == 0)
        error = future_fd(loop->all_done, &all_done_fd);
    if (error == 0)
        error = -uv_loop_init(&watched.uv);
    if (error != 0)
        return error;

    error = start_handles(&watched, loop, group_fd, all_done_fd);
    if (error == 0)
        uv_run(&watched.uv, UV_RUN_DEFAULT);
    uv_walk(&watched.uv, close_handle, NULL);
    uv_run(&watched.uv, UV_RUN_DEFAULT); /* until they are closed */
    uv_loop_close(&watched.uv);
    return error;
}

int main(int argc, char *argv[]) {
    return loop_main(argc, argv, "loop_uv", run_loop);
}
