/* test.h - the unit-test vocabulary: TEST() registers itself, CHECK_*() report with values.
 * unit_main.c runs every registered test of the program through cmocka. */
#ifndef PARLEY_TEST_H
#define PARLEY_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

void test_register(const char *name, CMUnitTestFunction fn);

#define TEST(name)                                                                                 \
    static void test_##name(void **state);                                                         \
    __attribute__((constructor)) static void test_register_##name(void)                            \
    {                                                                                              \
        test_register(#name, test_##name);                                                         \
    }                                                                                              \
    static void test_##name(void **state __attribute__((unused)))

#define CHECK(cond)          assert_true(cond)
#define CHECK_EQ(a, b)       assert_int_equal((a), (b))
#define CHECK_STR(a, b)      assert_string_equal((a), (b))
#define CHECK_MEM(a, b, len) assert_memory_equal((a), (b), (len))
/* sv is a struct str_view, lit a string literal. */
#define CHECK_SV(sv, lit)                                                                          \
    do {                                                                                           \
        assert_int_equal((sv).len, sizeof(lit) - 1);                                               \
        assert_memory_equal((sv).p, lit, sizeof(lit) - 1);                                         \
    } while (0)

#endif
