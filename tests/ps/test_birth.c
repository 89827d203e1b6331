/* The first values of rows: the formulas of ps/birth.h by the C library, and what they are
 * distributed as. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ps/birth.h"

enum { DIM = 16, ROWS = 250000, LONGEST = 4096 };

#define PI 3.14159265358979323846

static rng stream(uint64_t id)
{
    return rng_named(1, RNG_BIRTH, 99, id);
}

/* ---- the formulas ---- */

static void normal_by_formula(double *w, rng s, size_t n)
{
    size_t half = (n + 1) / 2;

    for (size_t q = 0; q < half; q++) {
        uint64_t draw   = rng_next(&s);
        float    u      = (float)((uint32_t)draw >> 1) + 0.5f;
        double   radius = sqrt(-2 * log((double)u / 0x1p31));
        double   angle  = 2 * PI * (double)(draw >> 32) / 0x1p32;
        w[q]            = radius * cos(angle);
        if (half + q < n)
            w[half + q] = radius * sin(angle);
    }
}

static void uniform_by_formula(double *w, rng s, size_t n)
{
    size_t half = (n + 1) / 2;

    for (size_t q = 0; q < half; q++) {
        uint64_t draw = rng_next(&s);
        w[q]          = ((double)(uint32_t)draw + .5) / 0x1p31 - 1;
        if (half + q < n)
            w[half + q] = ((double)(draw >> 32) + .5) / 0x1p31 - 1;
    }
}

static void expect_formula(init_kind kind, uint64_t id, size_t n, double scale)
{
    static real   w[LONGEST + 2];
    static double want[LONGEST];

    w[0] = w[n + 1] = 77;
    birth_value(kind, scale, stream(id), w + 1, n);
    if (kind == INIT_NORMAL)
        normal_by_formula(want, stream(id), n);
    else
        uniform_by_formula(want, stream(id), n);
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)w[i + 1] - scale * want[i]) <= 2e-6 * scale))
            fail_msg("id %d, dim %zu: column %zu is %.9g, wanted %.9g", (int)id, n, i,
                     (double)w[i + 1], scale * want[i]);
    assert_true(w[0] == 77 && w[n + 1] == 77);
}

static void first_values_are_those_of_the_formulas(void **unused)
{
    (void)unused;
    for (uint64_t id = 0; id < 20000; id++) {
        expect_formula(INIT_NORMAL, id, 1 + id % 70, 1);
        expect_formula(INIT_UNIFORM, id, 1 + id % 70, 0.3);
    }
    expect_formula(INIT_NORMAL, 1, LONGEST, 0.01);
    expect_formula(INIT_UNIFORM, 1, LONGEST, 0.01);
}

/* A stream whose draw number 0 has these halves. */
static rng stream_of_draw(uint32_t high, uint32_t low)
{
    rng      r = {0};
    uint64_t x = (uint64_t)high << 32 | low;

    /* hash_mix backwards: multiplications by the inverses, shifts undone */
    x ^= x >> 31 ^ x >> 62;
    x *= UINT64_C(0x319642b2d24d8ec3);
    x ^= x >> 27 ^ x >> 54;
    x *= UINT64_C(0x96de1b173f119089);
    x ^= x >> 30 ^ x >> 60;
    r.state = x - UINT64_C(0x9e3779b97f4a7c15);
    return r;
}

/* The draws at which something turns: no logarithm of 0, no root of less than 0, and every
 * quarter of the circle. */
static void the_edges_of_the_formulas_hold(void **unused)
{
    (void)unused;
    static const uint32_t edges[] = {0,          1,          2,          0x1fffffff, 0x20000000,
                                     0x3fffffff, 0x40000000, 0x5fffffff, 0x60000000, 0x7fffffff,
                                     0x80000000, 0x9fffffff, 0xa0000000, 0xbfffffff, 0xc0000000,
                                     0xdfffffff, 0xe0000000, 0xfffffffe, 0xffffffff};
    const size_t          n       = sizeof edges / sizeof *edges;

    for (size_t i = 0; i < n * n; i++) {
        rng    s = stream_of_draw(edges[i / n], edges[i % n]);
        real   w[2];
        double want[2];
        assert_true(rng_draw(s, 0) == ((uint64_t)edges[i / n] << 32 | edges[i % n]));
        birth_value(INIT_NORMAL, 1, s, w, 2);
        normal_by_formula(want, s, 2);
        for (int d = 0; d < 2; d++)
            assert_true(fabs((double)w[d] - want[d]) <= 2e-6);
        birth_value(INIT_UNIFORM, 1, s, w, 2);
        uniform_by_formula(want, s, 2);
        for (int d = 0; d < 2; d++)
            assert_true(fabs((double)w[d] - want[d]) <= 2e-6 && fabs_real(w[d]) <= 1);
    }
}

/* ---- the distributions ---- */

static real *births(init_kind kind)
{
    real *w = malloc(ROWS * DIM * sizeof *w);

    for (uint64_t id = 0; id < ROWS; id++)
        birth_value(kind, 1, stream(id), w + id * DIM, DIM);
    return w;
}

/* Mean, variance and fourth moment of a column, and what they should be: each within five
 * deviations of its estimate (second is the variance, fourth and eighth are moments). */
static void check_moments(const real *w, int d, double second, double fourth, double eighth)
{
    double sum[5] = {0}, n = ROWS;

    for (int i = 0; i < ROWS; i++) {
        double x = (double)w[i * DIM + d];
        sum[1] += x;
        sum[2] += x * x;
        sum[4] += x * x * x * x;
    }
    assert_true(fabs(sum[1] / n) < 5 * sqrt(second / n));
    assert_true(fabs(sum[2] / n - second) < 5 * sqrt((fourth - second * second) / n));
    assert_true(fabs(sum[4] / n - fourth) < 5 * sqrt((eighth - fourth * fourth) / n));
}

/* Columns are uncorrelated, and so are their squares (a pair shares its radius), and a row
 * with that of the next id: sample correlations are below 5 / sqrt(n). */
static void check_independence(const real *w)
{
    for (int a = 0; a < DIM; a++)
        for (int b = 0; b <= a; b++) {
            double sum[6] = {0}, next = 0, n = ROWS - 1;
            for (int i = 0; i < ROWS - 1; i++) {
                double x = (double)w[i * DIM + a], y = (double)w[i * DIM + b];
                sum[0] += x * y;
                sum[1] += x * x;
                sum[2] += y * y;
                sum[3] += x * x * y * y;
                sum[4] += x * x * x * x;
                sum[5] += y * y * y * y;
                next += x * (double)w[(i + 1) * DIM + b];
            }
            for (int k = 0; k < 6; k++)
                sum[k] /= n;
            double squares = (sum[3] - sum[1] * sum[2]) / sqrt((sum[4] - sum[1] * sum[1]) *
                                                               (sum[5] - sum[2] * sum[2]));
            assert_true(fabs(next / n) < 5 / sqrt(n));
            if (a != b && !(fabs(sum[0]) < 5 / sqrt(n) && fabs(squares) < 5 / sqrt(n)))
                fail_msg("columns %d and %d: correlation %g, of squares %g", a, b, sum[0],
                         squares);
        }
}

static int ascending(const void *a, const void *b)
{
    real x = *(const real *)a, y = *(const real *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov and Smirnov: the largest distance between the sample's and the true distribution
 * is below 1.95 / sqrt(n) with probability 0.999. */
static void check_distribution(real *w, size_t n, double (*below)(double x))
{
    double most = 0;

    qsort(w, n, sizeof *w, ascending);
    for (size_t i = 0; i < n; i++) {
        double p = below((double)w[i]);
        most     = fmax(most, fmax(fabs(p - (double)i / (double)n),
                                   fabs(p - (double)(i + 1) / (double)n)));
    }
    if (most > 1.95 / sqrt((double)n))
        fail_msg("the distributions are %g apart, %g deviations", most, most * sqrt((double)n));
}

static double normal_below(double x)
{
    return erfc(-x / sqrt(2)) / 2;
}

static double uniform_below(double x)
{
    return (x + 1) / 2;
}

/* Values beyond 3, 4 and 5 deviations: as many as there should be, by a Poisson's five
 * deviations. */
static void check_tails(const real *w)
{
    double n = (double)ROWS * DIM;

    for (int beyond = 3; beyond <= 5; beyond++) {
        double count = 0, want = n * erfc(beyond / sqrt(2));
        for (size_t i = 0; i < (size_t)ROWS * DIM; i++)
            count += fabs((double)w[i]) > beyond;
        assert_true(fabs(count - want) < 5 * sqrt(want) + 1);
    }
}

static void normal_values_are_normal(void **unused)
{
    (void)unused;
    real *w = births(INIT_NORMAL);

    for (int d = 0; d < DIM; d++)
        check_moments(w, d, 1, 3, 105);
    check_independence(w);
    check_tails(w);
    check_distribution(w, 1000000, normal_below);
    free(w);
}

static void uniform_values_are_uniform(void **unused)
{
    (void)unused;
    real *w = births(INIT_UNIFORM);

    for (int d = 0; d < DIM; d++)
        check_moments(w, d, 1. / 3, 1. / 5, 1. / 9);
    check_distribution(w, 1000000, uniform_below);
    free(w);
}

/* Two columns at a time fill the squares of a 16 x 16 grid evenly: chi-square of 255 degrees
 * is below 255 + 5 sqrt(510). */
static void pairs_of_columns_fill_the_square(void **unused)
{
    (void)unused;
    real *w = births(INIT_UNIFORM);

    for (int a = 0; a < DIM; a += 3)
        for (int b = a + 1; b < DIM; b++) {
            double cell[256] = {0}, chi = 0, want = ROWS / 256.;
            for (int i = 0; i < ROWS; i++) {
                int x = (int)((w[i * DIM + a] + 1) * 8), y = (int)((w[i * DIM + b] + 1) * 8);
                cell[(x > 15 ? 15 : x) * 16 + (y > 15 ? 15 : y)]++;
            }
            for (int i = 0; i < 256; i++)
                chi += (cell[i] - want) * (cell[i] - want) / want;
            assert_true(chi < 255 + 5 * sqrt(510));
        }
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_values_are_those_of_the_formulas),
        cmocka_unit_test(the_edges_of_the_formulas_hold),
        cmocka_unit_test(normal_values_are_normal),
        cmocka_unit_test(uniform_values_are_uniform),
        cmocka_unit_test(pairs_of_columns_fill_the_square),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
