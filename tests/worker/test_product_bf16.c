/* Products of bf16 against sums in double over operands that are rounded by the definition, on
 * every path that the machine has. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <string.h>

#include "common/rng.h"
#include "worker/kernels/halves.h"
#include "worker/kernels/product_bf16.h"

#define MOST   96 /* rows, columns, and steps along K */
#define STRIDE 128

static real     A[MOST * STRIDE], B[MOST * STRIDE], C[MOST * STRIDE], first[MOST * STRIDE];
static uint16_t left[MOST * STRIDE], rows[MOST * STRIDE];
static uint32_t right[MOST * STRIDE];
static double   near_A[MOST * STRIDE], near_B[MOST * STRIDE]; /* rounded */

/* ---- rounding by its definition ---- */

/* x, as a float, to 8 significant bits. */
static double nearest(double x)
{
    int    exponent;
    double fraction = frexp((double)(float)x, &exponent);

    if (x == 0 || !isfinite(x))
        return x;
    double rounded = ldexp(nearbyint(ldexp(fraction, 8)), exponent - 8);
    return fabs(rounded) >= ldexp(1, 128) ? copysign(INFINITY, x) : rounded;
}

static double value_of(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float    x;

    memcpy(&x, &bits, sizeof x);
    return (double)x;
}

static void assert_rounded(uint16_t half, double x)
{
    double got = value_of(half), want = nearest(x);

    if (isnan(want) ? !isnan(got) : !(got == want && signbit(got) == signbit(want)))
        fail_msg("%.9g became %.9g, wanted %.9g", x, got, want);
}

/* Of all exponents but the least, ties and what overflows among them. */
static float any_number(rng *r)
{
    uint32_t bits = (uint32_t)rng_next(r);
    float    x;

    switch (rng_below(r, 4)) {
    case 0:
        bits = (bits & UINT32_C(0xffff0000)) | UINT32_C(0x8000);
        break;
    case 1:
        bits |= UINT32_C(0x7f000000);
        break;
    }
    if ((bits & UINT32_C(0x7f800000)) == 0)
        bits |= UINT32_C(0x00800000);
    memcpy(&x, &bits, sizeof x);
    return x;
}

static void rounding_is_to_the_nearest_and_ties_to_even(void **state)
{
    rng r = rng_named(3, RNG_TEST, 0, 0);

    (void)state;
    for (int round = 0; round < 200; round++) {
        for (int n = 0; n < STRIDE; n++)
            A[n] = (real)any_number(&r);
        halves_round(left, STRIDE, A, STRIDE, NULL, 1, STRIDE, STRIDE);
        halves_round_plain(rows, STRIDE, A, STRIDE, NULL, 1, STRIDE, STRIDE);
        for (int n = 0; n < STRIDE; n++) {
            assert_rounded(left[n], (double)A[n]);
            assert_rounded(rows[n], (double)A[n]);
        }
    }
    A[0] = (real)(1 + 1. / 256), A[1] = (real)(1 + 3. / 256), A[2] = (real)-0.,
    A[3] = (real)NAN;
    halves_round(left, STRIDE, A, STRIDE, NULL, 1, 4, 4);
    assert_int_equal(left[0], 0x3f80);
    assert_int_equal(left[1], 0x3f82);
    assert_int_equal(left[2], 0x8000);
    assert_true(isnan(value_of(left[3])));
}

/* ---- layouts ---- */

#define MARK 0x1234

static void draw(real *x, double scale, uint64_t seed)
{
    rng r = rng_named(seed, RNG_TEST, 1, 0);

    for (int i = 0; i < MOST * STRIDE; i++)
        x[i] = (real)(scale * rng_normal(&r));
}

static void mark(void *at, size_t bytes)
{
    for (size_t i = 0; i < bytes / 2; i++)
        ((uint16_t *)at)[i] = MARK;
}

typedef void (*rounding)(uint16_t *, int, const real *, int, const real *, int, int, int);

static void check_round(rounding round, int N, int whole, bool scaled)
{
    const real *factor = scaled ? first : NULL;

    mark(left, sizeof left);
    round(left, STRIDE, A, STRIDE - 5, factor, 3, N, whole);
    for (int m = 0; m < 4; m++)
        for (int n = 0; n < STRIDE; n++) {
            uint16_t half = left[m * STRIDE + n];
            real     x    = A[m * (STRIDE - 5) + n];
            if (m == 3 || n >= whole)
                assert_int_equal(half, MARK);
            else if (n >= N)
                assert_int_equal(half, 0);
            else
                assert_rounded(half, (double)(scaled ? x * factor[n] : x));
        }
}

static void rows_are_rounded_up_to_their_end_and_no_further(void **state)
{
    (void)state;
    draw(A, 1, 1);
    draw(first, 1, 2);
    for (int N = 0; N <= 70; N++)
        for (int whole = N; whole <= N + 34; whole += 1 + whole % 5) {
            check_round(halves_round, N, whole, false);
            check_round(halves_round, N, whole, true);
            check_round(halves_round_plain, N, whole, true);
        }
}

static void pairs_are_neighbours_of_a_column(void **state)
{
    (void)state;
    for (int i = 0; i < MOST * STRIDE; i++)
        rows[i] = (uint16_t)(7 * i + 1);
    for (int K = 0; K <= 70; K++)
        for (int N = 1; N <= 40; N += 13) {
            mark(right, sizeof right);
            halves_pair(right, STRIDE, rows, STRIDE, K, N);
            for (int p = 0; p <= bf16_deep(K) / 2; p++)
                for (int n = 0; n < N + 2; n++) {
                    uint32_t lower = 2 * p < K ? rows[2 * p * STRIDE + n] : 0;
                    uint32_t upper = 2 * p + 1 < K ? rows[(2 * p + 1) * STRIDE + n] : 0;
                    bool     there = p < bf16_deep(K) / 2 && n < N;
                    assert_int_equal(right[p * STRIDE + n],
                                     there ? lower | upper << 16 : MARK << 16 | MARK);
                }
        }
}

typedef void (*turning)(uint16_t *, int, const uint16_t *, int, int, int);

static void check_turn(turning turn, int K, int N)
{
    mark(left, sizeof left);
    turn(left, STRIDE, rows, STRIDE, K, N);
    for (int n = 0; n < N; n++)
        for (int k = 0; k < STRIDE; k++)
            assert_int_equal(left[n * STRIDE + k], k < K              ? rows[k * STRIDE + n]
                                                   : k < bf16_deep(K) ? 0
                                                                      : MARK);
}

static void columns_become_rows(void **state)
{
    (void)state;
    for (int i = 0; i < MOST * STRIDE; i++)
        rows[i] = (uint16_t)(7 * i + 1);
    for (int K = 0; K <= 70; K++)
        for (int N = 1; N <= 80; N += 13) {
            check_turn(halves_turn, K, N);
            check_turn(halves_turn_plain, K, N);
        }
}

/* ---- two halves ---- */

static uint16_t lower_left[MOST * STRIDE];
static uint32_t lower_right[MOST * STRIDE];

static void two_halves_leave_less_than_2_to_the_minus_17(void **state)
{
    (void)state;
    draw(A, 3, 6);
    halves_split(left, lower_left, STRIDE, A, STRIDE - 5, MOST, 50, 64);
    for (int m = 0; m < MOST; m++)
        for (int n = 0; n < 64; n++) {
            uint16_t upper = left[m * STRIDE + n], lower = lower_left[m * STRIDE + n];
            double   x = n < 50 ? (double)A[m * (STRIDE - 5) + n] : 0;
            assert_rounded(upper, x);
            assert_true(fabs(x - value_of(upper) - value_of(lower)) <= 0x1p-17 * fabs(x));
        }
    A[0] = (real)NAN;
    halves_split(left, lower_left, STRIDE, A, STRIDE, 1, 1, 1);
    assert_true(isnan(value_of(left[0])));
}

static void pairs_of_two_halves_are_those_of_rows(void **state)
{
    (void)state;
    draw(A, 3, 7);
    for (int K = 0; K <= 70; K++)
        for (int N = 1; N <= 40; N += 13) {
            halves_split(left, lower_left, STRIDE, A, STRIDE - 3, K, N, N);
            mark(right, sizeof right);
            mark(lower_right, sizeof lower_right);
            halves_split_pairs(right, lower_right, STRIDE, A, STRIDE - 3, K, N);
            for (int p = 0; p <= bf16_deep(K) / 2; p++)
                for (int n = 0; n < N + 2; n++) {
                    bool there = p < bf16_deep(K) / 2 && n < N;
                    int  even = 2 * p * STRIDE + n, odd = even + STRIDE, at = p * STRIDE + n;
                    uint32_t first_u = 2 * p < K ? left[even] : 0;
                    uint32_t first_l = 2 * p < K ? lower_left[even] : 0;
                    uint32_t next_u  = 2 * p + 1 < K ? left[odd] : 0;
                    uint32_t next_l  = 2 * p + 1 < K ? lower_left[odd] : 0;
                    uint32_t none    = MARK << 16 | MARK;
                    assert_int_equal(right[at], there ? first_u | next_u << 16 : none);
                    assert_int_equal(lower_right[at], there ? first_l | next_l << 16 : none);
                }
        }
}

/* ---- products ---- */

typedef enum { NOTHING, ONE_ROW, A_MATRIX, ITSELF, KINDS } first_kind;

typedef struct shape {
    bf16_path  path;
    int        M, N, K;
    first_kind kind;
} shape;

/* Operands rounded and laid out; what may be read behind them is NaN. */
static void lay_out(const shape *s)
{
    memset(left, 0xff, sizeof left);
    memset(right, 0xff, sizeof right);
    memset(rows, 0xff, sizeof rows);
    halves_round(left, STRIDE, A, STRIDE, NULL, s->M, s->K, bf16_deep(s->K));
    halves_round(rows, STRIDE, B, STRIDE, NULL, s->K, s->N, s->N);
    halves_pair(right, STRIDE, rows, STRIDE, s->K, s->N);
}

static const real *first_of(const shape *s, int *stride)
{
    *stride = s->kind == ONE_ROW ? 0 : s->kind == A_MATRIX ? STRIDE - 3 : STRIDE - 1;
    return s->kind == NOTHING ? NULL : s->kind == ITSELF ? C : first;
}

static double begin(const shape *s, int m, int n, const real *before)
{
    switch (s->kind) {
    case ONE_ROW:
        return (double)first[n];
    case A_MATRIX:
        return (double)first[m * (STRIDE - 3) + n];
    case ITSELF:
        return (double)before[m * (STRIDE - 1) + n];
    default:
        return 0;
    }
}

/* Each of K additions may round by 2^-24 of the sum of sizes. Numbers around C stay. */
static void check(const shape *s, double near)
{
    static real before[MOST * STRIDE];
    int         stride = STRIDE - 1, first_stride;
    const real *from   = first_of(s, &first_stride);

    for (int i = 0; i < MOST * STRIDE; i++)
        before[i] = C[i] = (real)(i % 17 - 8);
    lay_out(s);
    product_bf16(s->path, C, stride, from, first_stride, (bf16_left){left, STRIDE},
                 (bf16_right){right, STRIDE}, s->M, s->N, s->K);
    for (int m = 0; m < MOST; m++)
        for (int n = 0; n < stride; n++) {
            double want = (double)before[m * stride + n], size = 1;
            if (m < s->M && n < s->N) {
                want = begin(s, m, n, before);
                size += fabs(want);
                for (int k = 0; k < s->K; k++) {
                    double term = near_A[m * STRIDE + k] * near_B[k * STRIDE + n];
                    want += term;
                    size += fabs(term);
                }
            }
            if (!(fabs((double)C[m * stride + n] - want) <= near * size))
                fail_msg("%s, (%d, %d, %d): C[%d, %d] is %.9g, wanted %.9g",
                         bf16_path_name(s->path), s->M, s->N, s->K, m, n,
                         (double)C[m * stride + n], want);
        }
}

static void check_all(double near)
{
    static const int Ms[] = {0, 1, 7, 15, 16, 17, 32, 33, 50, 81};
    static const int Ns[] = {0, 1, 15, 16, 18, 32, 40, 80};
    static const int Ks[] = {0, 1, 2, 31, 32, 33, 50, 80};
    shape            s;

    for (int i = 0; i < MOST * STRIDE; i++) {
        near_A[i] = nearest((double)A[i]);
        near_B[i] = nearest((double)B[i]);
    }
    for (s.path = 0; s.path < BF16_PATHS; s.path++)
        for (size_t i = 0; bf16_has_path(s.path) && i < sizeof Ms / sizeof *Ms; i++)
            for (size_t j = 0; j < sizeof Ns / sizeof *Ns; j++)
                for (size_t k = 0; k < sizeof Ks / sizeof *Ks; k++) {
                    s.M = Ms[i], s.N = Ns[j], s.K = Ks[k];
                    s.kind = (first_kind)((i + j + k) % KINDS);
                    check(&s, near);
                }
}

/* bf16 holds integers up to 256, and fp32 their sums. */
static void sums_of_small_integers_are_exact(void **state)
{
    rng r = rng_named(5, RNG_TEST, 2, 0);

    (void)state;
    for (int i = 0; i < MOST * STRIDE; i++) {
        A[i]     = (real)((double)rng_below(&r, 513) - 256);
        B[i]     = (real)((double)rng_below(&r, 17) - 8);
        first[i] = (real)((double)rng_below(&r, 513) - 256);
    }
    check_all(0);
}

static void sums_are_those_of_the_rounded_operands(void **state)
{
    (void)state;
    draw(A, 1, 3);
    draw(B, .1, 4);
    draw(first, 1, 5);
    check_all(80 * 0x1p-24);
}

static void loops_are_on_every_machine(void **state)
{
    (void)state;
    assert_true(bf16_has_path(BF16_LOOPS));
    assert_true(bf16_has_path(bf16_best_path()));
    if (sizeof(real) == sizeof(double))
        assert_int_equal(bf16_best_path(), BF16_LOOPS);
    for (bf16_path path = 0; path < BF16_PATHS; path++)
        print_message("bf16 by %s: %s\n", bf16_path_name(path),
                      bf16_has_path(path) ? "compared" : "not on this machine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounding_is_to_the_nearest_and_ties_to_even),
        cmocka_unit_test(rows_are_rounded_up_to_their_end_and_no_further),
        cmocka_unit_test(pairs_are_neighbours_of_a_column),
        cmocka_unit_test(columns_become_rows),
        cmocka_unit_test(two_halves_leave_less_than_2_to_the_minus_17),
        cmocka_unit_test(pairs_of_two_halves_are_those_of_rows),
        cmocka_unit_test(loops_are_on_every_machine),
        cmocka_unit_test(sums_of_small_integers_are_exact),
        cmocka_unit_test(sums_are_those_of_the_rounded_operands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
