/* unit_main.c - runs the tests that registered themselves, through cmocka. */
#include "test.h"

enum { tests_max = 512 };

static struct CMUnitTest tests[tests_max];
static size_t tests_len;

void test_register(const char *name, CMUnitTestFunction fn)
{
    if (tests_len == tests_max)
        __builtin_trap();
    tests[tests_len++] = (struct CMUnitTest){.name = name, .test_func = fn};
}

int main(void)
{
    return _cmocka_run_group_tests("unit", tests, tests_len, NULL, NULL);
}
