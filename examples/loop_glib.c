/* loop_glib.c - a GLib main loop that never blocks while 1,000 tasks finish.
 *
 *     loop_glib [TASKS [WORKERS]]
 *     loop_glib --demo
 *
 * As loop_epoll.c, in the loop of GTK programs and many others: g_timeout_add() ticks, g_unix_fd_add() watches the
 * descriptor of the group, and that of the future that comes after all of the tasks. Built only where pkg-config finds
 * glib-2.0.
 */
#include <glib-unix.h>

#include "loop.h"

struct watched {
    GMainLoop *main_loop;
    struct loop *loop;
};

/* GLib's poll function is given no pointer of ours. */
static struct loop *timed_loop;

static gint timed_poll(GPollFD *fds, guint n, gint timeout) {
    if (timed_loop->turn_began != 0)
        loop_end_turn(timed_loop);
    gint ready = g_poll(fds, n, timeout);
    loop_begin_turn(timed_loop);
    return ready;
}

static gboolean on_tick(gpointer data) {
    struct watched *watched = data;
    watched->loop->ticks++;
    return G_SOURCE_CONTINUE;
}

static void quit_if_complete(struct watched *watched) {
    if (loop_is_complete(watched->loop))
        g_main_loop_quit(watched->main_loop);
}

static gboolean on_group(gint fd, GIOCondition condition, gpointer data) {
    struct watched *watched = data;
    (void)fd;
    (void)condition;
    loop_take_finished(watched->loop);
    quit_if_complete(watched);
    return G_SOURCE_CONTINUE;
}

static gboolean on_all_done(gint fd, GIOCondition condition, gpointer data) {
    struct watched *watched = data;
    (void)fd;
    (void)condition;
    watched->loop->all_done_seen = future_done(watched->loop->all_done);
    quit_if_complete(watched);
    return G_SOURCE_REMOVE;
}

static int run_loop(struct loop *loop) {
    int group_fd, all_done_fd;
    int error = exec_group_fd(loop->group, &group_fd);
    if (error == 0)
        error = future_fd(loop->all_done, &all_done_fd);
    if (error != 0)
        return error;

    struct watched watched = {g_main_loop_new(NULL, FALSE), loop};
    timed_loop = loop;
    g_main_context_set_poll_func(NULL, timed_poll);
    guint tick = g_timeout_add(LOOP_TICK_MS, on_tick, &watched);
    guint group = g_unix_fd_add(group_fd, G_IO_IN, on_group, &watched);
    g_unix_fd_add(all_done_fd, G_IO_IN, on_all_done, &watched); /* removes itself */
    g_main_loop_run(watched.main_loop);
    g_source_remove(group);
    g_source_remove(tick);
    g_main_loop_unref(watched.main_loop);
    return 0;
}

int main(int argc, char *argv[]) {
    return loop_main(argc, argv, "loop_glib", run_loop);
}
