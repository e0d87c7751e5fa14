"""peer_asyncio.py - Python's asyncio, one thread. io: a queue of 100 and 50 consumers, which have been started before.
timers: call_later() and cancel(), while a million others are pending; it keeps what was cancelled until that is more
than half of all, and so never throws any away here. As peer.h says.
"""
import asyncio
import time

from peer import SLEEPERS, expect, main, percent_over

PENDING, TIMES = 1000000, 200000


async def consume(queue, slept):
    while (duration := await queue.get()) is not None:
        await asyncio.sleep(duration)
        slept.append(duration)


async def sleep_all(n, milliseconds):
    queue, slept = asyncio.Queue(100), []
    consumers = [asyncio.create_task(consume(queue, slept)) for _ in range(SLEEPERS)]
    await asyncio.sleep(0)
    begun = time.monotonic()
    for _ in range(n):
        await queue.put(milliseconds / 1000)
    for _ in consumers:
        await queue.put(None)
    await asyncio.gather(*consumers)
    expect("the number of sleeps", len(slept) == n)
    return percent_over(begun, n, milliseconds)


async def measure_timers():
    def due(i):
        return 60 + i * 2654435761 % 3540000 / 1000

    loop = asyncio.get_running_loop()
    for i in range(PENDING):
        loop.call_later(due(i), expect, "a timer", False)
    begun = time.monotonic_ns()
    for i in range(TIMES):
        loop.call_later(due(PENDING + i), expect, "a timer", False).cancel()
    return (time.monotonic_ns() - begun) / TIMES


main({}, {
    "io 10000 x 10 ms": (lambda: asyncio.run(sleep_all(10000, 10)), "%"),
    "io 1000 x 100 ms": (lambda: asyncio.run(sleep_all(1000, 100)), "%"),
    "timers": (lambda: asyncio.run(measure_timers()), "ns"),
})
