/* exit.c - lets a process that ends by _exit(), as a forked child does, write down what it has reached. */
#include <stdnoreturn.h>

// NOLINTBEGIN(bugprone-reserved-identifier): named by gcc, and by the linker's --wrap
void __gcov_dump(void);
noreturn void __real__exit(int status);
noreturn void __wrap__exit(int status);
// NOLINTEND(bugprone-reserved-identifier)

noreturn void __wrap__exit(int status) {
    __gcov_dump();
    __real__exit(status);
}
