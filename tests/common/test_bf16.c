/* Rounding to bf16 by chance. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/bf16.h"

enum { LONGEST = 4096, TIMES = 40000 };

static rng stream(uint64_t i)
{
    return rng_named(7, RNG_TEST, 1, i);
}

static void vector_code_has_the_bits_of_the_plain_twin(void **unused)
{
    (void)unused;
    static real     x[LONGEST + 3];
    static uint16_t half[LONGEST + 4], plain[LONGEST];
    rng             r = stream(0);

    for (int i = 0; i < LONGEST + 3; i++)
        x[i] = (real)(rng_normal(&r) * pow(10, (double)rng_below(&r, 60) - 30));
    for (size_t n = 1; n <= LONGEST; n += n < 70 ? 1 : LONGEST - 70)
        for (size_t shift = 0; shift < 3; shift++) {
            half[shift + n] = 0xabcd;
            bf16_round(half + shift, x + shift, stream(n), n);
            bf16_round_plain(plain, x + shift, stream(n), n);
            assert_memory_equal(half + shift, plain, n * sizeof *plain);
            assert_int_equal(half[shift + n], 0xabcd);
        }
}

/* The ways to round x that `TIMES` streams took: how many went up from the lower value. */
static int ups(real x, size_t column, uint16_t lower)
{
    real     row[8];
    uint16_t half[8];
    int      up = 0;

    for (size_t i = 0; i < 8; i++)
        row[i] = x;
    for (uint64_t i = 0; i < TIMES; i++) {
        bf16_round(half, row, stream(i), 8);
        assert_true(half[column] == lower || half[column] == lower + 1);
        up += half[column] != lower;
    }
    return up;
}

/* A number goes up k times in n with the probability p of its cut-off bits: k is within five
 * deviations sqrt(n p (1 - p)) of n p. */
static void the_mean_of_many_roundings_is_the_number(void **unused)
{
    (void)unused;
    static const uint32_t low[] = {0x0001, 0x0100, 0x4000, 0x8000, 0xc123, 0xffff};

    for (size_t i = 0; i < sizeof low / sizeof *low; i++)
        for (int sign = 0; sign < 2; sign++) {
            uint32_t bits = (sign ? 0xbdcd0000 : 0x3dcd0000) + low[i];
            float    x;
            memcpy(&x, &bits, sizeof x);
            double p = low[i] / 65536.0, n = TIMES;
            for (size_t column = 0; column < 8; column += 3)
                assert_true(fabs(ups((real)x, column, (uint16_t)(bits >> 16)) - n * p) <=
                            5 * sqrt(n * p * (1 - p)) + 1);
        }
}

static void columns_and_streams_are_rounded_independently(void **unused)
{
    (void)unused;
    real     row[18];
    uint16_t half[2][18];
    int      both = 0, agree = 0;

    for (int i = 0; i < 18; i++)
        row[i] = 1 + (real)1 / 256; /* half way between two bf16 */
    for (uint64_t i = 0; i < TIMES; i++) {
        bf16_round(half[0], row, stream(i), 18);
        bf16_round(half[1], row, stream(i + TIMES), 18);
        for (int d = 1; d < 18; d++)
            both += half[0][d] == half[0][d - 1];
        for (int d = 0; d < 18; d++)
            agree += half[0][d] == half[1][d];
    }
    assert_true(fabs(both - 17 * TIMES / 2.) < 5 * sqrt(17 * TIMES / 4.));
    assert_true(fabs(agree - 18 * TIMES / 2.) < 5 * sqrt(18 * TIMES / 4.));
}

static void what_is_bf16_already_stays(void **unused)
{
    (void)unused;
    real     x[256], back[256];
    uint16_t half[256];

    for (uint32_t exponent = 0; exponent < 256; exponent++) {
        uint32_t bits = exponent << 23 | (exponent * 5 & 127) << 16 | exponent << 31;
        float    value;
        memcpy(&value, &bits, sizeof value);
        x[exponent] = exponent == 255 ? 0 : (real)value;
    }
    bf16_round(half, x, stream(0), 256);
    bf16_widen(back, half, 256);
    assert_memory_equal(back, x, sizeof x);
}

static void infinities_and_nans_stay_what_they_are(void **unused)
{
    (void)unused;
    for (uint64_t i = 0; i < 1000; i++) {
        real     x[3] = {(real)INFINITY, -(real)INFINITY, (real)NAN}, back[3];
        uint16_t half[3];
        bf16_round(half, x, stream(i), 3);
        bf16_widen(back, half, 3);
        assert_true(isinf(back[0]) && back[0] > 0);
        assert_true(isinf(back[1]) && back[1] < 0);
        assert_true(isnan(back[2]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_code_has_the_bits_of_the_plain_twin),
        cmocka_unit_test(the_mean_of_many_roundings_is_the_number),
        cmocka_unit_test(columns_and_streams_are_rounded_independently),
        cmocka_unit_test(what_is_bf16_already_stays),
        cmocka_unit_test(infinities_and_nans_stay_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
