"""peer.py - Python: concurrent.futures.ThreadPoolExecutor with two threads, for io 50. As peer.h says, with a tenth of
the tasks, and producers that share it. It starts a thread when a task comes and none is idle, so create + destroy has
but one thread. What waits is memory that is resident, with futures, whose list was there before.
"""
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

WORKERS, SLEEPERS = 2, 50


def expect(what, right):
    if not right:
        sys.exit(f"peer.py: {what} went wrong")


def empty(arg):
    return arg


def produce(pool, n):
    futures = [pool.submit(empty, i) for i in range(n)]
    for i, future in enumerate(futures):
        expect("a result", future.result() == i)


def producers(pool, n, k):
    ended = []

    def run():
        produce(pool, n // k)
        ended.append(k)

    threads = [threading.Thread(target=run) for _ in range(k)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect("a producer", len(ended) == k)


def ping(pool, n):
    for i in range(n):
        expect("a result", pool.submit(empty, i).result() == i)


def create_and_destroy(_, n):
    for _ in range(n):
        with ThreadPoolExecutor(WORKERS) as pool:
            future = pool.submit(empty, n)
        expect("a result", future.result() == n)


def mean(run, n, unit):
    """Of work: once to warm up, once timed."""
    with ThreadPoolExecutor(WORKERS) as pool:
        run(pool, n)
        cpu, wall = time.process_time_ns(), time.monotonic_ns()
        run(pool, n)
        wall, cpu = time.monotonic_ns() - wall, time.process_time_ns() - cpu
    units = n * 1000 if unit == "us" else n
    return f"{wall / units:.4f} {cpu / units:.4f}"


def percent_over(begun, n, milliseconds):
    return ((time.monotonic() - begun) / (n * milliseconds / 1000 / SLEEPERS) - 1) * 100


def measure_io(n, milliseconds):
    def sleep_all(pool, tasks):
        for _ in pool.map(time.sleep, [milliseconds / 1000] * tasks):
            pass

    with ThreadPoolExecutor(SLEEPERS) as pool:
        sleep_all(pool, SLEEPERS)
        begun = time.monotonic()
        sleep_all(pool, n)
        return percent_over(begun, n, milliseconds)


def hold(pool):
    """Holds all threads of the pool until the event is set."""
    ready, opened = threading.Barrier(WORKERS + 1), threading.Event()

    def wait():
        ready.wait()
        opened.wait()

    for _ in range(WORKERS):
        pool.submit(wait)
    ready.wait()
    return opened


def measure_cancel_storm(n):
    with ThreadPoolExecutor(WORKERS) as pool:
        opened = hold(pool)
        futures = [pool.submit(empty, i) for i in range(n)]
        begun = time.monotonic_ns()
        for future in futures:
            future.cancel()
        for future in futures:
            expect("a cancelled future", future.cancelled())
        opened.set()
        pool.submit(empty, n).result()
        return (time.monotonic_ns() - begun) / n


def wake_up(pool):
    woken = []
    time.sleep(0.002)
    begun = time.monotonic_ns()
    pool.submit(lambda: woken.append(time.monotonic_ns()))
    while not woken:
        time.sleep(0.0002)
    return (woken[0] - begun) / 1000


def measure_wake_up(n, percent):
    with ThreadPoolExecutor(WORKERS) as pool:
        figures = [wake_up(pool) for _ in range(10 + n)][10:]
    return sorted(figures)[(n - 1) * percent // 100]


def resident():
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def measure_memory(n):
    futures = [None] * n
    before = resident()
    with ThreadPoolExecutor(WORKERS) as pool:
        opened = hold(pool)
        for i in range(n):
            futures[i] = pool.submit(empty, i)
        figure = (resident() - before) / n
        opened.set()
        for i, future in enumerate(futures):
            expect("a result", future.result() == i)
    return figure


WORK = {
    "stream": (produce, 100000, "ns"),
    "producers 1": (lambda pool, n: producers(pool, n, 1), 100000, "ns"),
    "producers 2": (lambda pool, n: producers(pool, n, 2), 100000, "ns"),
    "producers 4": (lambda pool, n: producers(pool, n, 4), 100000, "ns"),
    "producers 8": (lambda pool, n: producers(pool, n, 8), 100000, "ns"),
    "ping": (ping, 5000, "ns"),
    "create + destroy": (create_and_destroy, 200, "us"),
}
FIGURES = {
    "io 10000 x 10 ms": (lambda: measure_io(10000, 10), "%"),
    "io 1000 x 100 ms": (lambda: measure_io(1000, 100), "%"),
    "cancel storm": (lambda: measure_cancel_storm(100000), "ns"),
    "wake-up, median": (lambda: measure_wake_up(500, 50), "us"),
    "wake-up, 99 %": (lambda: measure_wake_up(500, 99), "us"),
    "memory": (lambda: measure_memory(100000), "bytes"),
}


def main(work, figures):
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name in work:
        print(mean(*work[name]))
    elif name in figures:
        print(f"{figures[name][0]():.4f}")
    elif name == "list":
        for case, how in {**work, **figures}.items():
            print(f"{case}\t{how[-1]}")
    else:
        sys.exit("usage: peer.py list|CASE")


if __name__ == "__main__":
    main(WORK, FIGURES)
