/* random.h - random numbers for what must only be spread: not for secrets. */
#ifndef EXEC__RANDOM_H
#define EXEC__RANDOM_H

#include <stdint.h>

/* Any 64 bits, all equally likely. Any thread. */
uint64_t exec__random(void);

/* For tests: from now on the same numbers come again for the same seed. */
void exec__random_seed(uint64_t seed);

#endif
