/* test.h - the words of tests/test.h for a room's test world that a fuzz target drives. */
#ifndef PARLEY_FUZZ_TEST_H
#define PARLEY_FUZZ_TEST_H

#include "fuzz.h"

#define CHECK(cond)          CLAIM(cond)
#define CHECK_EQ(a, b)       CLAIM((a) == (b))
#define CHECK_MEM(a, b, len) CLAIM(memcmp((a), (b), (len)) == 0)
#define print_error(...)     fprintf(stderr, __VA_ARGS__)
#define fail_msg(...)                                                                              \
    do {                                                                                           \
        fprintf(stderr, __VA_ARGS__);                                                              \
        abort();                                                                                   \
    } while (0)

#endif
