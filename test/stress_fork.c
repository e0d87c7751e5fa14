/* stress_fork.c - fork(), while other threads submit, wait, map, create and destroy; and fork() inside of a task.
 *
 * In the child every call on an executor of before answers EOWNERDEAD, and none hangs; what had finished can be got;
 * and the child makes an executor of its own, uses it, destroys it and the inherited one, and leaves. A child that
 * hangs is ended by an alarm, one that fails a check aborts; the parent sees both.
 *
 * Not for AddressSanitizer and ThreadSanitizer: the child of a process with several threads inherits their runtimes'
 * own locks as they were.
 */
#include "stress.h"

#include <signal.h>
#include <sys/wait.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) || \
    __has_feature(thread_sanitizer)
enum { UNDER_SANITIZER = 1 };
#else
enum { UNDER_SANITIZER = 0 };
#endif

enum { BUSY = 3, ITEMS = 64 };

static executor_t *shared; /* the one that everybody uses */
static future_t *finished, *unfinished, *promise;
static atomic_bool over;
static atomic_uint_fast64_t background;

static void *one_more(void *arg) {
    return (void *)((uintptr_t)arg + 1);
}

static void *wait_for_promise(void *arg) {
    CHECK_ERROR(future_get(promise, NULL), 0);
    return arg;
}

/* ---- the child ---- */

static void *nested(void *arg) {
    future_t *f;
    void *result = NULL;
    CHECK_ERROR(executor_submit(arg, one_more, NULL, NULL, &f), 0);
    CHECK_ERROR(future_get(f, &result), 0);
    future_unref(f);
    return result;
}

static void use_own_executor(void) {
    executor_t *ex;
    future_t *f;
    void *items[ITEMS], *result = NULL;
    CHECK_ERROR(executor_create(&(executor_opts){.workers = 2, .capacity = 4}, &ex), 0);
    for (uintptr_t i = 0; i < ITEMS; i++)
        items[i] = (void *)i;
    CHECK_ERROR(executor_map(ex, one_more, items, items, ITEMS, NULL), 0);
    for (uintptr_t i = 0; i < ITEMS; i++)
        CHECK_EQ((uintptr_t)items[i], i + 1);
    CHECK_ERROR(executor_submit(ex, nested, ex, NULL, &f), 0);
    CHECK_ERROR(future_wait(f, exec_after(EXEC_SEC(3600))), 0);
    CHECK_ERROR(future_get(f, &result), 0);
    CHECK_EQ((uintptr_t)result, 1);
    future_unref(f);
    for (uintptr_t i = 0; i < ITEMS; i++)
        CHECK_ERROR(executor_submit(ex, one_more, (void *)i, NULL, NULL), 0);
    executor_destroy(ex);
}

static void refuse_everything(void) {
    future_t *f = NULL;
    void *item = NULL, *result = NULL;
    CHECK_ERROR(executor_submit(shared, one_more, NULL, NULL, &f), EOWNERDEAD);
    CHECK_PTR(f, NULL);
    CHECK_ERROR(executor_map(shared, one_more, &item, &item, 1, NULL), EOWNERDEAD);
    CHECK_ERROR(executor_join(shared, EXEC_NEVER), EOWNERDEAD);
    CHECK_ERROR(executor_shutdown(shared, EXECUTOR_DISCARD), EOWNERDEAD);
    executor_request_shutdown(shared);
    CHECK_ERROR(future_wait(unfinished, EXEC_NEVER), EOWNERDEAD);
    CHECK_ERROR(future_get(unfinished, &result), EOWNERDEAD);
    CHECK_ERROR(future_cancel(unfinished), EOWNERDEAD);
    CHECK_ERROR(exec_wait((future_t *[]){finished, unfinished}, 2, 2, EXEC_NEVER), EOWNERDEAD);
    CHECK_ERROR(exec_wait((future_t *[]){finished, unfinished}, 2, 1, EXEC_NEVER), 0);
    CHECK_ERROR(future_get(finished, &result), 0);
    CHECK_EQ((uintptr_t)result, 1);
    future_unref(unfinished);
}

_Noreturn static void be_child(bool destroys) {
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(60);
    refuse_everything();
    use_own_executor();
    if (destroys)
        executor_destroy(shared);
    use_own_executor();
    _exit(0);
}

static void fork_once(bool destroys) {
    int status = 0;
    pid_t child = fork();
    CHECK_OP(child, >=, 0);
    if (child == 0)
        be_child(destroys);
    CHECK_EQ(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        CHECK_EQ(WTERMSIG(status), 0);
    CHECK_EQ(status, 0);
}

static void *fork_inside(void *arg) {
    fork_once(false);
    return arg;
}

/* ---- what goes on meanwhile in the parent ---- */

static void submit_and_wait(struct stress_rng *rng) {
    future_t *f;
    void *result = NULL;
    uintptr_t value = stress_below(rng, 1000);
    CHECK_ERROR(executor_submit(shared, one_more, (void *)value, NULL, &f), 0);
    CHECK_ERROR(future_wait(f, exec_after(EXEC_US(stress_below(rng, 50)))), 0, ETIMEDOUT);
    CHECK_ERROR(future_get(f, &result), 0);
    CHECK_EQ((uintptr_t)result, value + 1);
    future_unref(f);
}

static void map_some(struct stress_rng *rng) {
    void *items[ITEMS];
    size_t n = stress_below(rng, ITEMS);
    for (uintptr_t i = 0; i < n; i++)
        items[i] = (void *)i;
    CHECK_ERROR(executor_map(shared, one_more, items, items, n, NULL), 0);
}

static void *be_busy(void *arg) {
    struct stress_rng rng = stress_rng_of(10 + (uintptr_t)arg);
    while (!atomic_load(&over)) {
        stress_doing("background", (uintptr_t)arg, atomic_load(&background));
        switch (stress_below(&rng, 4)) {
        case 0: map_some(&rng); break;
        case 1: use_own_executor(); break;
        default: submit_and_wait(&rng); break;
        }
        atomic_fetch_add(&background, 1);
        stress_pause(&rng);
    }
    stress_leave();
    return NULL;
}

static void setup(void) {
    CHECK_ERROR(executor_create(&(executor_opts){.workers = 3, .capacity = 4}, &shared), 0);
    CHECK_ERROR(future_create(&promise), 0);
    CHECK_ERROR(executor_submit(shared, one_more, NULL, NULL, &finished), 0);
    CHECK_ERROR(future_wait(finished, EXEC_NEVER), 0);
    CHECK_ERROR(executor_submit(shared, wait_for_promise, NULL, NULL, &unfinished), 0);
}

static void teardown(void) {
    CHECK_ERROR(future_resolve(promise, NULL, 0), 0);
    executor_destroy(shared);
    CHECK(future_done(unfinished));
    future_unref(unfinished);
    future_unref(finished);
    future_unref(promise);
}

int main(int argc, char **argv) {
    pthread_t threads[BUSY];
    if (UNDER_SANITIZER) {
        puts("stress_fork: not for AddressSanitizer and ThreadSanitizer, whose locks a child inherits as they were");
        return 77;
    }
    stress_begin(argc, argv, 0);
    struct stress_rng rng = stress_rng_of(0);
    size_t forks = stress_scaled(400);
    setup();
    for (uintptr_t i = 0; i < BUSY; i++)
        stress_start(&threads[i], be_busy, (void *)i);
    for (size_t i = 0; i < forks; i++) {
        stress_doing("forking", i, forks);
        if (stress_percent(&rng, 25)) {
            future_t *f;
            CHECK_ERROR(executor_submit(shared, fork_inside, NULL, NULL, &f), 0);
            CHECK_ERROR(future_wait(f, exec_after(EXEC_SEC(3600))), 0);
            CHECK_EQ(future_state(f), FUTURE_DONE);
            future_unref(f);
        } else {
            fork_once(stress_percent(&rng, 50));
        }
        stress_pause(&rng);
    }
    atomic_store(&over, true);
    for (int i = 0; i < BUSY; i++)
        pthread_join(threads[i], NULL);
    teardown();
    stress_leave();
    double seconds = stress_end();
    printf("stress_fork: %zu forks, %" PRIu64 " background jobs meanwhile, %.1f s\n", forks, (uint64_t)background,
           seconds);
    return 0;
}
