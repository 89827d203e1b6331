/* What happens to gradients and weights around a rule, against its formulas one number at a
 * time: the same bits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/rng.h"
#include "ps/gradient.h"

enum { LONGEST = 4096, SPACE = LONGEST + 8 };

static real g[SPACE], w[SPACE], out[SPACE], want[SPACE];

static void draw(size_t n, size_t shift)
{
    static const double sizes[] = {1, 1, 1, 0, -0.0, 1e10, 1e-10};
    rng                 r       = rng_named(n, RNG_TEST, shift, 0);

    for (size_t i = 0; i < SPACE; i++) {
        g[i]   = (real)(sizes[rng_below(&r, 7)] * rng_normal(&r));
        w[i]   = (real)(sizes[rng_below(&r, 7)] * rng_normal(&r));
        out[i] = want[i] = g[i];
    }
}

/* Run `claim` for many lengths at odd addresses: it changes out and want, which must agree
 * to the bit, also outside of the n numbers from shift on. */
static void for_many(void (*claim)(size_t shift, size_t n))
{
    for (size_t n = 1; n <= LONGEST; n += n < 70 ? 1 : LONGEST - 70)
        for (size_t shift = 0; shift < 4; shift++) {
            draw(n, shift);
            claim(shift, n);
            for (size_t i = 0; i < SPACE; i++)
                if (memcmp(&out[i], &want[i], sizeof *out))
                    fail_msg("length %zu, shift %zu: number %zu is %.9g, wanted %.9g", n, shift,
                             i - shift, (double)out[i], (double)want[i]);
        }
}

static void add(size_t at, size_t n)
{
    gradient_add(out + at, w + at, n);
    for (size_t i = at; i < at + n; i++)
        want[i] = g[i] + w[i];
}

static void share(size_t at, size_t n)
{
    gradient_share(out + at, g + at, (real)0.3, 0, n);
    for (size_t i = at; i < at + n; i++)
        want[i] = g[i] * (real)0.3;
}

static void add_l2(size_t at, size_t n)
{
    gradient_add_l2(out + at, w + at, (real)0.7, n);
    for (size_t i = at; i < at + n; i++) {
        real penalty = (real)0.7 * w[i];
        want[i]      = g[i] + penalty;
    }
}

static void add_l1(size_t at, size_t n)
{
    gradient_add_l1(out + at, w + at, (real)0.7, n);
    for (size_t i = at; i < at + n; i++)
        want[i] = g[i] + (real)((w[i] > 0) - (w[i] < 0)) * (real)0.7;
}

static void scale(size_t at, size_t n)
{
    weights_scale(out + at, (real)0.9, n);
    for (size_t i = at; i < at + n; i++)
        want[i] = g[i] * (real)0.9;
}

static void shrink(size_t at, size_t n)
{
    weights_shrink(out + at, (real)0.25, n);
    for (size_t i = at; i < at + n; i++)
        want[i] = g[i] > (real)0.25    ? g[i] - (real)0.25
                  : g[i] < -(real)0.25 ? g[i] + (real)0.25
                                       : 0;
}

static void vector_code_has_the_bits_of_the_formulas(void **unused)
{
    (void)unused;
    for_many(add);
    for_many(share);
    for_many(add_l2);
    for_many(add_l1);
    for_many(scale);
    for_many(shrink);
}

static double norm_of(const real *x, size_t n)
{
    double squares = 0;

    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    return sqrt(squares);
}

static void a_long_gradient_is_shortened_to_the_norm_in_its_direction(void **unused)
{
    (void)unused;
    for (size_t n = 1; n <= LONGEST; n += n < 70 ? 1 : LONGEST - 70) {
        draw(n, 1);
        g[1]        = 3; /* not all zero */
        double norm = norm_of(g + 1, n) / 2;
        gradient_share(out + 1, g + 1, 1, norm * 0.25, n);
        for (size_t i = 1; i <= n; i++)
            assert_true(fabs((double)out[i] - (double)g[i] / 8) <=
                        4 * (double)REAL_EPSILON * fabs((double)g[i]));
        gradient_share(out + 1, g + 1, (real)0.5, norm * 1.001, n); /* short enough */
        for (size_t i = 1; i <= n; i++)
            assert_true(out[i] == g[i] / 2);
    }
}

/* 1e30 has no square in floats. */
static void the_largest_gradients_can_be_shortened(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < 12; i++)
        g[i] = i % 2 ? (real)1e30 : -(real)1e30;
    gradient_share(out, g, 1, 6, 12);
    for (size_t i = 0; i < 12; i++)
        assert_true(fabs(fabs((double)out[i]) - 6 / sqrt(12)) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_code_has_the_bits_of_the_formulas),
        cmocka_unit_test(a_long_gradient_is_shortened_to_the_norm_in_its_direction),
        cmocka_unit_test(the_largest_gradients_can_be_shortened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
