// consumer.cc - a C++17 program that knows libexec only by its installed header and library.
#include <array>
#include <cstdio>
#include <exec.h>

static void *square(void *number) {
    int *n = static_cast<int *>(number);
    *n *= *n;
    return n;
}

int main() {
    std::array<int, 3> numbers{2, 3, 4};
    std::array<void *, 3> args{&numbers[0], &numbers[1], &numbers[2]};
    executor_opts opts{};
    opts.workers = 2;
    executor_t *ex;

    if (executor_create(&opts, &ex) != 0)
        return 1;
    if (executor_map(ex, square, args.data(), nullptr, args.size(), nullptr) != 0)
        return 2;
    executor_destroy(ex);
    std::printf("%d %d %d\n", numbers[0], numbers[1], numbers[2]);
    return numbers == std::array<int, 3>{4, 9, 16} ? 0 : 3;
}
