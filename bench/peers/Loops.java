// Loops.java - Java's ForkJoinPool: fork-join, and parallel streams in it. The work is that of work.h.
import java.util.Arrays;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.RecursiveTask;
import java.util.stream.IntStream;

class Loops {
    static final int FIB = 27, FIB_CALLS = 832039, ROWS = 512, MOST_ROUNDS = 1000;
    static final int OUTER = 100, INNER = 1000, ITEMS = 100000, ROUNDS = 20, HEAVY_EVERY = 10000, HEAVY = 1000;

    static final long[] out = new long[ITEMS]; // of the items 1, 2, 3 and so on
    static final int[][] picture = new int[ROWS][ROWS];

    static final class Fib extends RecursiveTask<Integer> {
        final int n;

        Fib(int n) {
            this.n = n;
        }

        @Override
        protected Integer compute() {
            if (n < 2)
                return n;
            Fib left = new Fib(n - 1);
            left.fork();
            int right = new Fib(n - 2).compute();
            return left.join() + right;
        }
    }

    static void fib(ForkJoinPool pool) {
        Peer.expect("fib", pool.invoke(new Fib(FIB)) == 196418);
    }

    static long xorshift(long x, int rounds) {
        for (int i = 0; i < rounds; i++) {
            x ^= x << 13;
            x ^= x >>> 7;
            x ^= x << 17;
        }
        return x;
    }

    // How many rounds item i has, where some are so much heavier.
    static int rounds(int i, int heavier) {
        return i % HEAVY_EVERY == HEAVY_EVERY - 1 ? ROUNDS * heavier : ROUNDS;
    }

    // A hundredth of the items, heavy ones among them.
    static void checkItems(int heavier) {
        for (int i = 99; i < ITEMS; i += 100)
            Peer.expect("an item", out[i] == xorshift(i + 1, rounds(i, heavier)));
    }

    static void nested(ForkJoinPool pool) throws Exception {
        pool.submit(() -> IntStream.range(0, OUTER).parallel().forEach(
            i -> IntStream.range(i * INNER, (i + 1) * INNER).parallel().forEach(
                j -> out[j] = xorshift(j + 1, ROUNDS)))).get();
    }

    static void fewHeavy(ForkJoinPool pool) throws Exception {
        pool.submit(() -> IntStream.range(0, ITEMS).parallel().forEach(
            i -> out[i] = xorshift(i + 1, rounds(i, HEAVY)))).get();
    }

    static int escape(double real, double imaginary) {
        double x = 0, y = 0;
        int rounds = 0;
        for (; rounds < MOST_ROUNDS && x * x + y * y <= 4; rounds++) {
            double next = x * x - y * y + real;
            y = 2 * x * y + imaginary;
            x = next;
        }
        return rounds;
    }

    static void drawRow(int row, int[] pixels) {
        double step = 3.0 / ROWS;
        for (int column = 0; column < ROWS; column++)
            pixels[column] = escape(-2 + step * (column + 0.5), -1.5 + step * (row + 0.5));
    }

    static void mandelbrot(ForkJoinPool pool) throws Exception {
        pool.submit(() -> IntStream.range(0, ROWS).parallel().forEach(row -> drawRow(row, picture[row]))).get();
    }

    static void checkPicture() {
        int[] pixels = new int[ROWS];
        for (int row = 0; row < ROWS; row += 5) {
            drawRow(row, pixels);
            Peer.expect("the picture", Arrays.equals(pixels, picture[row]));
        }
    }
}
