// Tasks.java - Java's ThreadPoolExecutor: what Peer.java runs again and again.
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

class Tasks {
    // All of its threads are there from the start.
    static ThreadPoolExecutor pool(int workers, int capacity) {
        ThreadPoolExecutor pool = new ThreadPoolExecutor(workers, workers, 0, TimeUnit.SECONDS,
            new ArrayBlockingQueue<>(capacity), (task, executor) -> {
                try {
                    executor.getQueue().put(task);
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
            });
        pool.prestartAllCoreThreads();
        return pool;
    }

    static void produce(ThreadPoolExecutor pool, int n) throws Exception {
        Future<?>[] futures = new Future<?>[n];
        for (int i = 0; i < n; i++)
            futures[i] = pool.submit(() -> pool);
        for (int i = 0; i < n; i++)
            Peer.expect("a result", futures[i].get() == pool);
    }

    static void producers(ThreadPoolExecutor pool, int n, int k) throws Exception {
        CountDownLatch right = new CountDownLatch(k);
        Thread[] threads = new Thread[k];
        for (int i = 0; i < k; i++) {
            threads[i] = new Thread(() -> {
                try {
                    produce(pool, n / k);
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
                right.countDown();
            });
            threads[i].start();
        }
        for (Thread thread : threads)
            thread.join();
        Peer.expect("a producer", right.getCount() == 0);
    }

    static void ping(ThreadPoolExecutor pool, int n) throws Exception {
        for (int i = 0; i < n; i++)
            Peer.expect("a result", pool.submit(() -> pool).get() == pool);
    }

    // Waits for all threads to end; what was submitted runs before.
    static void createAndDestroy(int n) throws Exception {
        for (int i = 0; i < n; i++) {
            ThreadPoolExecutor pool = pool(Peer.WORKERS, 1024);
            Future<?> future = pool.submit(() -> pool);
            pool.shutdown();
            Peer.expect("the end", pool.awaitTermination(60, TimeUnit.SECONDS) && future.get() == pool);
        }
    }
}
