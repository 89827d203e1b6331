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
    const uint32_t ones = 0x7fffffff; /* a NaN that one bit more would make a zero */
    float          full;

    memcpy(&full, &ones, sizeof full);
    for (uint64_t i = 0; i < 1000; i++) {
        real x[3] = {(real)INFINITY, -(real)INFINITY, i % 2 ? (real)full : (real)NAN}, back[3];
        uint16_t half[3];
        bf16_round(half, x, stream(i), 3);
        bf16_widen(back, half, 3);
        assert_true(isinf(back[0]) && back[0] > 0);
        assert_true(isinf(back[1]) && back[1] < 0);
        assert_true(isnan(back[2]));
    }
}

/* ---- to the nearest ---- */

static uint16_t rounded(float x)
{
    real     wide = (real)x;
    uint16_t half;

    bf16_nearest(&half, &wide, 1);
    return half;
}

static float widened(uint16_t half)
{
    real wide;

    bf16_widen(&wide, &half, 1);
    return (float)wide;
}

static float float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static void ties_go_to_the_even_neighbour(void **state)
{
    (void)state;
    assert_int_equal(rounded(1.0f), 0x3f80);
    assert_int_equal(rounded(1.00390625f), 0x3f80);  /* 1 + 2^-8: half way to 1 + 2^-7 */
    assert_int_equal(rounded(1.01171875f), 0x3f82);  /* 1 + 3 2^-8: half way to 1 + 2^-6 */
    assert_int_equal(rounded(1.003906369f), 0x3f81); /* the next float above the first tie */
    assert_int_equal(rounded(-1.00390625f), 0xbf80);
    assert_int_equal(rounded(-1.003906369f), 0xbf81);
}

static void the_ends_of_the_range_keep_their_meaning(void **state)
{
    (void)state;
    assert_int_equal(rounded(0.0f), 0);
    assert_int_equal(rounded(-0.0f), 0x8000);
    assert_int_equal(rounded(INFINITY), 0x7f80);
    assert_int_equal(rounded(-INFINITY), 0xff80);
    assert_true(isnan(widened(rounded(NAN))));
    assert_true(isnan(widened(rounded(float_of(0x7f800001))))); /* its upper half is infinity */
    assert_true(isnan(widened(rounded(float_of(0xffffffff)))));
    assert_int_equal(rounded(float_of(0x7f7f7fff)), 0x7f7f);
    assert_int_equal(rounded(float_of(0x7f7fffff)), 0x7f80); /* nearer to 2^128 */
    assert_int_equal(rounded(float_of(0x00000001)), 0);
}

static void every_bf16_stays_what_it_is(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 65536; half++)
        if (!isnan(widened((uint16_t)half)))
            assert_int_equal(rounded(widened((uint16_t)half)), half);
}

/* All of a vector's lanes and its rest, against the nearest of both neighbours. */
static void rounding_is_to_the_nearest_for_any_length(void **state)
{
    enum { MOST = 67 };
    rng  r = rng_named(1, RNG_TEST, 0, 0);
    real x[MOST], back[MOST];

    (void)state;
    for (int trial = 0; trial < 3000; trial++) {
        size_t   n = rng_below(&r, MOST + 1);
        uint16_t halves[MOST];
        for (size_t i = 0; i < n; i++) {
            x[i] = (real)float_of((uint32_t)rng_next(&r));
            x[i] = isfinite(x[i]) && fabs((double)x[i]) < 3e38 ? x[i] : (real)0.5;
        }
        bf16_nearest(halves, x, n);
        bf16_widen(back, halves, n);
        for (size_t i = 0; i < n; i++) {
            double error = fabs((double)back[i] - (double)x[i]);
            double below = fabs((double)widened((uint16_t)(halves[i] - 1)) - (double)x[i]);
            double above = fabs((double)widened((uint16_t)(halves[i] + 1)) - (double)x[i]);
            if (halves[i] & 0x7fff) {
                assert_true(error <= below && error <= above);
                assert_true(error <= fabs((double)x[i]) / 256 + 1e-40);
            }
        }
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
        cmocka_unit_test(ties_go_to_the_even_neighbour),
        cmocka_unit_test(the_ends_of_the_range_keep_their_meaning),
        cmocka_unit_test(every_bf16_stays_what_it_is),
        cmocka_unit_test(rounding_is_to_the_nearest_for_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
