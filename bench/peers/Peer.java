// Peer.java - Java: as peer.h says, but for several runs to warm up, since the code is compiled while it runs.
//
// Tasks: a ThreadPoolExecutor of two threads with an ArrayBlockingQueue of 1,024 (where tasks must wait for held
// threads, of as many as there are), whose producer waits when it is full, and futures. fork-join: a ForkJoinPool of
// two; maps: parallel streams in that pool. See Tasks.java, Loops.java and Figures.java.
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ThreadPoolExecutor;

public class Peer {
    static final int WORKERS = 2;
    static final Work NONE = () -> {}; // the work checks itself

    interface Work {
        void run() throws Exception;
    }

    interface Figure {
        double measure() throws Exception;
    }

    // Has either work, which makes so many units and is checked at the end, or measures itself.
    record Case(String name, String unit, double units, Work work, Work check, Figure figure) {
        static Case of(String name, String unit, double units, Work work, Work check) {
            return new Case(name, unit, units, work, check, null);
        }

        static Case of(String name, String unit, Figure figure) {
            return new Case(name, unit, 0, null, null, figure);
        }
    }

    static void expect(String what, boolean right) {
        if (!right)
            throw new IllegalStateException(what);
    }

    static List<Case> cases(ThreadPoolExecutor pool, ForkJoinPool forkJoin) {
        List<Case> cases = new ArrayList<>();
        cases.add(Case.of("stream", "ns", 1e6, () -> Tasks.produce(pool, 1000000), NONE));
        for (int k = 1; k <= 8; k *= 2) {
            int producers = k;
            cases.add(Case.of("producers " + k, "ns", 1e6, () -> Tasks.producers(pool, 1000000, producers), NONE));
        }
        cases.add(Case.of("ping", "ns", 20000, () -> Tasks.ping(pool, 20000), NONE));
        cases.add(Case.of("create + destroy", "us", 20e3, () -> Tasks.createAndDestroy(20), NONE));
        cases.add(Case.of("fork-join", "ns", Loops.FIB_CALLS, () -> Loops.fib(forkJoin), NONE));
        cases.add(Case.of("nested maps", "ns", 1e5, () -> Loops.nested(forkJoin), () -> Loops.checkItems(1)));
        cases.add(Case.of("few heavy", "ns", 1e5, () -> Loops.fewHeavy(forkJoin), () -> Loops.checkItems(Loops.HEAVY)));
        cases.add(Case.of("mandelbrot", "us", Loops.ROWS * 1e3, () -> Loops.mandelbrot(forkJoin), Loops::checkPicture));
        cases.add(Case.of("io 10000 x 10 ms", "%", () -> Figures.io(10000, 10)));
        cases.add(Case.of("io 1000 x 100 ms", "%", () -> Figures.io(1000, 100)));
        cases.add(Case.of("timers", "ns", () -> Figures.timers(1000000)));
        cases.add(Case.of("cancel storm", "ns", () -> Figures.cancelStorm(1000000)));
        cases.add(Case.of("wake-up, median", "us", () -> Figures.wakeUp(pool, 500, 50)));
        cases.add(Case.of("wake-up, 99 %", "us", () -> Figures.wakeUp(pool, 500, 99)));
        cases.add(Case.of("memory", "bytes", () -> Figures.memory(1000000)));
        return cases;
    }

    static double cpu() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
            .getProcessCpuTime();
    }

    static void measure(Case c) throws Exception {
        if (c.work() == null) {
            System.out.printf("%.4f%n", c.figure().measure());
            return;
        }
        for (int i = 0; i < 5; i++)
            c.work().run();
        double cpu = cpu(), begun = System.nanoTime(), wall, runs = 0;
        do {
            c.work().run();
            runs++;
            wall = System.nanoTime() - begun;
        } while (wall < 2e8);
        cpu = cpu() - cpu;
        c.check().run();
        System.out.printf("%.4f %.4f%n", wall / runs / c.units(), cpu / runs / c.units());
    }

    public static void main(String[] args) throws Exception {
        ThreadPoolExecutor pool = Tasks.pool(WORKERS, 1024);
        ForkJoinPool forkJoin = new ForkJoinPool(WORKERS);
        boolean list = args.length == 1 && args[0].equals("list"), found = list;
        for (Case c : cases(pool, forkJoin)) {
            if (list)
                System.out.println(c.name() + "\t" + c.unit());
            if (args.length == 1 && c.name().equals(args[0])) {
                found = true;
                measure(c);
            }
        }
        if (!found)
            System.err.println("usage: Peer list|CASE");
        System.out.flush();
        System.exit(found ? 0 : 2); // whatever still waits for its time
    }
}
