/* Dice with the score above it, against the formulas in double. */
#include "tests/worker/fixture.h"

#include <math.h>

#include "common/rng.h"
#include "worker/kernels/dice_score.h"

enum { N = 301, D = 3 * VECTOR, UNITS = D - VECTOR / 2 }; /* the last vector is half zeros */

/* What `real` may be off by after some operations. */
#define NEAR (sizeof(real) == sizeof(float) ? 5e-6 : 1e-13)

/* A batch of what dice and the score read, and means such as a batch's sums would give. */
typedef struct numbers {
    real x[N * D], gs[N], mean[D], inv[D], a[D], w[D], means[2 * D];
} numbers;

static void draw(rng *r, real *to, int rows)
{
    for (int i = 0; i < rows * D; i++)
        to[i] = i % D < UNITS ? (real)rng_normal(r) : 0;
}

static void open_numbers(numbers *b)
{
    rng r = {7};

    draw(&r, b->x, N);
    draw(&r, b->mean, 1);
    draw(&r, b->a, 1);
    draw(&r, b->w, 1);
    draw(&r, b->means, 2);
    for (int n = 0; n < N; n++)
        b->gs[n] = (real)rng_normal(&r);
    for (int d = 0; d < D; d++)
        b->inv[d] = d < UNITS ? (real)(.5 + d % 3) : 0;
}

static dice_columns columns_of(const numbers *b)
{
    return (dice_columns){b->mean, b->inv, b->a, b->w};
}

/* xh and p of number (n, d), and what they make of it: y, and gh for a gradient of 1. */
typedef struct number {
    double x, xh, p, slope, y, gh, w, inv;
} number;

static number number_at(const numbers *b, int n, int d)
{
    number i = {.x = (double)b->x[n * D + d], .w = (double)b->w[d], .inv = (double)b->inv[d]};
    double a = (double)b->a[d];

    i.xh    = (i.x - (double)b->mean[d]) * i.inv;
    i.p     = 1 / (1 + exp(-i.xh));
    i.slope = i.p + (1 - i.p) * a;
    i.y     = i.x * i.slope;
    i.gh    = i.x * (1 - a) * i.p * (1 - i.p);
    return i;
}

static void check_score(const dice_score_kernels *by, const numbers *b)
{
    real         s[N + 1];
    dice_columns of = columns_of(b);

    s[N] = 77;
    by->score(s, (real).25, b->x, &of, N, D, NULL);
    for (int n = 0; n < N; n++) {
        double want = .25;
        for (int d = 0; d < D; d++)
            want += number_at(b, n, d).y * (double)b->w[d];
        assert_near((double)s[n], want, NEAR * 4);
    }
    assert_true(s[N] == 77);
}

static void check_sums(const dice_score_kernels *by, const numbers *b)
{
    real         gw[D], ga[D];
    double       sums[2 * D];
    dice_columns of = columns_of(b);

    for (int d = 0; d < D; d++) {
        gw[d] = ga[d] = (real)d;
        sums[d] = sums[D + d] = d;
    }
    by->sums(gw, ga, sums, sums + D, b->gs, b->x, &of, N, D, NULL);
    for (int d = 0; d < D; d++) {
        double want_w = d, want_a = d, gh = d, ghxh = d;
        for (int n = 0; n < N; n++) {
            number i = number_at(b, n, d);
            double g = (double)b->gs[n] * i.w;
            want_w += (double)b->gs[n] * i.y;
            want_a += (1 - i.p) * i.x * g;
            gh += i.gh * g;
            ghxh += i.gh * g * i.xh;
        }
        assert_near((double)gw[d], want_w, NEAR * 20);
        assert_near((double)ga[d], want_a, NEAR * 20);
        assert_near(sums[d], gh, NEAR * 20);
        assert_near(sums[D + d], ghxh, NEAR * 20);
    }
}

static void check_gradient(const dice_score_kernels *by, const numbers *b)
{
    static real  gx[N * D];
    dice_columns of = columns_of(b);

    by->backward(gx, b->gs, b->x, &of, b->means, b->means + D, N, D, NULL);
    for (int n = 0; n < N; n++)
        for (int d = 0; d < D; d++) {
            number i     = number_at(b, n, d);
            double g     = (double)b->gs[n] * i.w;
            double means = (double)b->means[d] + i.xh * (double)b->means[D + d];
            assert_near((double)gx[n * D + d], g * i.slope + i.inv * (g * i.gh - means),
                        NEAR * 10);
        }
}

static void the_score_its_sums_and_gradient_are_those_of_the_formulas(void **state)
{
    static numbers b;

    (void)state;
    open_numbers(&b);
    for (int bits = 0; bits <= 512; bits += 512)
        if (dice_score_by(bits)) {
            check_score(dice_score_by(bits), &b);
            check_sums(dice_score_by(bits), &b);
            check_gradient(dice_score_by(bits), &b);
        }
}

static void what_is_no_number_has_no_score(void **state)
{
    static numbers b;
    real           s[2];

    (void)state;
    open_numbers(&b);
    b.x[D + 3] = NAN;
    for (int bits = 0; bits <= 512; bits += 512)
        if (dice_score_by(bits)) {
            dice_columns of = columns_of(&b);
            dice_score_by(bits)->score(s, 0, b.x, &of, 2, D, NULL);
            assert_true(!isnan(s[0]) && isnan(s[1]));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_score_its_sums_and_gradient_are_those_of_the_formulas),
        cmocka_unit_test(what_is_no_number_has_no_score),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
