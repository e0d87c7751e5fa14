// Figures.java - Java: what measures itself. Before that, a smaller piece of the same lets the code be compiled.
//
// Timers: a ScheduledThreadPoolExecutor with setRemoveOnCancelPolicy(true). memory: the heap in use after a collection,
// before and after; the caller keeps no futures.
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

class Figures {
    static final int SLEEPERS = 50, TIMES = 200000;

    static void sleepAll(ThreadPoolExecutor pool, int n, int milliseconds) throws Exception {
        Future<?>[] futures = new Future<?>[n];
        for (int i = 0; i < n; i++)
            futures[i] = pool.submit(() -> {
                Thread.sleep(milliseconds);
                return pool;
            });
        for (Future<?> future : futures)
            Peer.expect("a result", future.get() == pool);
    }

    // In per cent above the ideal.
    static double io(int n, int milliseconds) throws Exception {
        ThreadPoolExecutor pool = Tasks.pool(SLEEPERS, 1024);
        sleepAll(pool, SLEEPERS, milliseconds);
        double begun = System.nanoTime();
        sleepAll(pool, n, milliseconds);
        return ((System.nanoTime() - begun) / ((double) n * milliseconds * 1e6 / SLEEPERS) - 1) * 100;
    }

    // Timer i, within an hour, but not in the first minute.
    static Future<?> arm(ScheduledThreadPoolExecutor timers, int i) {
        long due = 60000 + (Loops.xorshift(i + 1, 3) >>> 1) % 3540000;
        return timers.schedule(() -> Peer.expect("timers that fire", false), due, TimeUnit.MILLISECONDS);
    }

    static double armAndCancel(ScheduledThreadPoolExecutor timers, int n, int times) {
        double begun = System.nanoTime();
        for (int i = 0; i < times; i++)
            Peer.expect("a cancel", arm(timers, n + i).cancel(false));
        return (System.nanoTime() - begun) / times;
    }

    static double timers(int n) {
        ScheduledThreadPoolExecutor timers = new ScheduledThreadPoolExecutor(1);
        timers.setRemoveOnCancelPolicy(true);
        for (int i = 0; i < n; i++)
            arm(timers, i);
        armAndCancel(timers, n, TIMES / 4);
        return armAndCancel(timers, n, TIMES);
    }

    // A pool all of whose threads are held until the latch opens, with room for n tasks and some more.
    static ThreadPoolExecutor held(int n, CountDownLatch open) throws Exception {
        ThreadPoolExecutor pool = Tasks.pool(Peer.WORKERS, n + 16);
        CountDownLatch holding = new CountDownLatch(Peer.WORKERS);
        for (int i = 0; i < Peer.WORKERS; i++)
            pool.submit(() -> {
                holding.countDown();
                open.await();
                return pool;
            });
        holding.await();
        return pool;
    }

    static double storm(int n) throws Exception {
        CountDownLatch open = new CountDownLatch(1);
        ThreadPoolExecutor pool = held(n, open);
        Future<?>[] futures = new Future<?>[n];
        boolean[] ran = new boolean[1];
        for (int i = 0; i < n; i++)
            futures[i] = pool.submit(() -> ran[0] = true);
        double begun = System.nanoTime();
        for (Future<?> future : futures)
            future.cancel(false);
        for (Future<?> future : futures)
            Peer.expect("a cancelled future", future.isCancelled());
        open.countDown();
        pool.submit(() -> pool).get();
        double figure = (System.nanoTime() - begun) / n;
        pool.shutdown();
        Peer.expect("the end", pool.awaitTermination(60, TimeUnit.SECONDS) && !ran[0]);
        return figure;
    }

    static double cancelStorm(int n) throws Exception {
        storm(n / 10);
        return storm(n);
    }

    static volatile long wokenAt; // 0: not yet

    static double wakeUp(ThreadPoolExecutor pool) throws Exception {
        Thread.sleep(2);
        wokenAt = 0;
        long begun = System.nanoTime();
        pool.execute(() -> wokenAt = System.nanoTime());
        while (wokenAt == 0)
            Thread.sleep(0, 200000);
        return (wokenAt - begun) / 1e3;
    }

    static double wakeUp(ThreadPoolExecutor pool, int n, int percent) throws Exception {
        double[] figures = new double[n];
        Tasks.ping(pool, 5000);
        for (int i = 0; i < n / 10; i++)
            wakeUp(pool);
        for (int i = 0; i < n; i++)
            figures[i] = wakeUp(pool);
        Arrays.sort(figures);
        return figures[(n - 1) * percent / 100];
    }

    static double heap() throws Exception {
        for (int i = 0; i < 3; i++) {
            System.gc();
            Thread.sleep(20);
        }
        return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
    }

    static double memory(int n) throws Exception {
        CountDownLatch open = new CountDownLatch(1);
        double before = heap();
        ThreadPoolExecutor pool = held(n, open);
        for (int i = 0; i < n; i++)
            pool.submit(() -> Boolean.TRUE);
        double figure = (heap() - before) / n;
        open.countDown();
        pool.shutdown();
        Peer.expect("the end", pool.awaitTermination(60, TimeUnit.SECONDS));
        return figure;
    }
}
