#include "common/decimal.h"

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rng.h"

static void numbers_are_as_short_as_people_write_them(void **unused)
{
    static const struct {
        double      x;
        const char *text;
    } cases[] = {
        {0, "0"},
        {0.1, "0.1"},
        {-2.5, "-2.5"},
        {1e-8, "1e-08"},
        {604800, "604800"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1. / 3, "0.3333333333333333"},
    };
    char text[DECIMAL_MAX];

    (void)unused;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(decimal(text, cases[i].x), cases[i].text);
}

static void every_number_comes_back(void **unused)
{
    rng    r = rng_named(3, RNG_TEST, 0, 0);
    double x, edges[] = {DBL_MAX, -DBL_MAX, DBL_MIN, DBL_TRUE_MIN, -DBL_EPSILON};
    char   text[DECIMAL_MAX];

    (void)unused;
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
        assert_true(strtod(decimal(text, edges[i]), NULL) == edges[i]);
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = rng_next(&r) & ~(UINT64_C(1) << 62); /* finite */
        memcpy(&x, &bits, sizeof x);
        assert_true(strtod(decimal(text, x), NULL) == x);
        assert_true(strlen(text) < DECIMAL_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_as_short_as_people_write_them),
        cmocka_unit_test(every_number_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
