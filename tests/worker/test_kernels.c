/* Kernels against plain twins: the formula in double, one number at a time. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <string.h>

#include "common/rng.h"
#include "worker/kernels/activation.h"
#include "worker/kernels/column.h"
#include "worker/kernels/dice.h"
#include "worker/kernels/finite.h"
#include "worker/kernels/gather.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/loss.h"
#include "worker/kernels/pair.h"
#include "worker/kernels/segment.h"

/* What `real` may be off by after some operations. */
#define NEAR (sizeof(real) == sizeof(float) ? 2e-6 : 1e-13)

static rng chance = {1};

static void draw(real *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = (real)rng_normal(&chance);
}

/* ---- exp ---- */

static void exp_is_that_of_the_library(void **state)
{
    (void)state;
    for (double x = -87; x < 88; x += .000731) {
        real y = exp_vector((real)x);
        assert_near((double)y / exp((double)(real)x), 1, NEAR / 5);
    }
    assert_true(exp_vector(0) == 1);
}

static void exp_saturates_and_keeps_nan(void **state)
{
    (void)state;
    assert_true(sigmoid((real)1e30) == 1);
    assert_true(sigmoid((real)-1e30) >= 0 && sigmoid((real)-1e30) < (real)1e-37);
    assert_true(isnan(sigmoid((real)NAN)));
}

/* ---- finite ---- */

static void sigmoid_is_right_for_every_number(void **state)
{
    (void)state;
    for (double x = -84; x < 84; x += .0037) {
        double want = 1 / (1 + exp(-(double)(real)x)), got = (double)sigmoid((real)x);
        if (!(fabs(got - want) <= 4 * REAL_EPSILON * want))
            fail_msg("sigmoid(%g) is %.10g, wanted %.10g", x, got, want);
    }
    assert_true(sigmoid((real)1e30) == 1 && sigmoid(INFINITY) == 1 && sigmoid(0) == (real).5);
    assert_true(sigmoid((real)-1e30) < 1e-36 && sigmoid(-INFINITY) < 1e-36);
    assert_true(sigmoid((real)-1e30) >= 0 && isnan(sigmoid(NAN)) && isnan(sigmoid(-NAN)));
}

static void one_infinity_or_nan_anywhere_is_seen(void **state)
{
    const real bad[] = {(real)INFINITY, (real)-INFINITY, (real)NAN};
    real       x[67], largest = sizeof(real) == 4 ? (real)3.4e38 : (real)1.7e308;

    (void)state;
    for (int i = 0; i < 67; i++)
        x[i] = i % 3 ? largest : -largest;
    for (size_t n = 0; n <= 67; n++)
        assert_true(all_finite(x, n));
    for (int i = 0; i < 67; i++)
        for (int k = 0; k < 3; k++) {
            real kept = x[i];
            x[i]      = bad[k];
            assert_false(all_finite(x, 67));
            assert_true(all_finite(x, (size_t)i));
            x[i] = kept;
        }
}

/* ---- products ---- */

static void compare_gemm(int M, int N, int K, bool a_transposed, bool b_transposed, bool add)
{
    real   A[64], B[64], C[64], before[64];
    matrix a = {A, 8, a_transposed}, b = {B, 8, b_transposed};

    draw(A, 64);
    draw(B, 64);
    draw(C, 64);
    memcpy(before, C, sizeof C);
    gemm(C, 8, a, b, M, N, K, add);
    for (int m = 0; m < 8; m++)
        for (int n = 0; n < 8; n++) {
            double want = m < M && n < N && !add ? 0 : (double)before[m * 8 + n];
            for (int k = 0; m < M && n < N && k < K; k++)
                want += (double)A[a_transposed ? k * 8 + m : m * 8 + k] *
                        (double)B[b_transposed ? n * 8 + k : k * 8 + n];
            assert_near((double)C[m * 8 + n], want, NEAR * 5);
        }
}

static void products_of_all_small_shapes_are_right(void **state)
{
    (void)state;
    for (int size = 0; size < 6 * 6 * 6; size++)
        for (int form = 0; form < 8; form++)
            compare_gemm(size % 6, size / 6 % 6, size / 36, form & 1, form & 2, form & 4);
}

/* ---- columns ---- */

static void moments_do_not_cancel_far_from_zero(void **state)
{
    enum { N = 1000, D = 70 };
    static real x[N * D];
    double      mean[D], squares[D];

    (void)state;
    for (int n = 0; n < N; n++)
        for (int d = 0; d < D; d++)
            x[n * D + d] = (real)(1000 * d + n % 2); /* mean 1000 d + 1/2, variance 1/4 */
    column_moments(mean, squares, x, N, D);
    for (int d = 0; d < D; d++) {
        assert_near(mean[d], 1000 * d + .5, 1e-6);
        assert_near(squares[d] / N, .25, sizeof(real) == sizeof(float) ? 1e-3 : 1e-9);
    }
}

static void moments_in_pieces_are_those_of_all(void **state)
{
    enum { N = 700, D = 70 };
    static real x[N * D];
    double      mean[D], squares[D], joined_mean[D] = {0}, joined_squares[D] = {0};

    (void)state;
    draw(x, N * D);
    column_moments(mean, squares, x, N, D);
    for (int n = 0, rows = 0; n < N; n += rows) {
        rows = n < 300 ? 150 : n < 301 ? 1 : N - n;
        column_moments_join(joined_mean, joined_squares, n, x + n * D, rows, D);
    }
    for (int d = 0; d < D; d++) {
        assert_near(joined_mean[d], mean[d], NEAR);
        assert_near(joined_squares[d], squares[d], NEAR * 10);
    }
}

static void sums_of_columns_add(void **state)
{
    enum { N = 600, D = 70 };
    static real x[N * D];
    real        sum[D];

    (void)state;
    draw(x, N * D);
    for (int d = 0; d < D; d++)
        sum[d] = 1;
    column_sum(sum, x, N, D);
    for (int d = 0; d < D; d++) {
        double want = 1;
        for (int n = 0; n < N; n++)
            want += (double)x[n * D + d];
        assert_near((double)sum[d], want, NEAR * 10);
    }
}

/* ---- activations ---- */

/* Two rows of one channel with alpha 1/2: mean 0, variance 1, p = sigmoid(-1), sigmoid(1). */
static void dice_has_the_values_of_its_formula(void **state)
{
    real x[] = {-1, 1}, y[2], mean[] = {0}, inv[] = {1}, a[] = {(real).5};

    (void)state;
    dice_forward(y, x, mean, inv, a, 2, 1, NULL);
    assert_near((double)y[0], -.6344707106849976, NEAR);
    assert_near((double)y[1], .8655292893150024, NEAR);
}

/* Zhou et al., derived by hand: the gradient of sum_n g_n y_n, where mean and variance depend
 * on all rows:  d xh_m / d x_n = inv ([m = n] - 1/N - xh_m xh_n / N). */
static void dice_s_gradient_is_the_jacobian_s(void **state)
{
    enum { N = 301, D = 67 };
    static real x[N * D], g[N * D], gx[N * D];
    real        mean[D], inv[D], a[D], ga[D] = {0}, means[2 * D];
    double      center[D], squares[D], sums[2 * D];

    (void)state;
    draw(x, N * D);
    draw(g, N * D);
    draw(a, D);
    column_moments(center, squares, x, N, D);
    for (int d = 0; d < D; d++) {
        mean[d] = (real)center[d];
        inv[d]  = (real)(1 / sqrt(squares[d] / N + 1e-8));
    }
    dice_backward_sums(ga, sums, sums + D, g, x, mean, inv, a, N, D);
    for (int d = 0; d < 2 * D; d++)
        means[d] = (real)(sums[d] / N);
    dice_backward(gx, g, x, mean, inv, a, means, means + D, false, N, D, NULL);

    for (int d = 0; d < D; d += 11) {
        double alpha = (double)a[d], want_ga = 0;
        for (int n = 0; n < N; n++) {
            double want = 0, xh_n = ((double)x[n * D + d] - (double)mean[d]) * (double)inv[d];
            for (int m = 0; m < N; m++) {
                double s = (double)x[m * D + d], xh = (s - (double)mean[d]) * (double)inv[d];
                double p = 1 / (1 + exp(-xh)), g_m = (double)g[m * D + d];
                double by_xh = s * (1 - alpha) * p * (1 - p);
                want += g_m * by_xh * (double)inv[d] * ((m == n) - 1. / N - xh * xh_n / N);
                want += m == n ? g_m * (p + alpha * (1 - p)) : 0;
                want_ga += n == 0 ? g_m * (1 - p) * s : 0;
            }
            assert_near((double)gx[n * D + d], want, NEAR * 5);
        }
        assert_near((double)ga[d], want_ga, NEAR * 50);
    }
}

/* In two, with values that the first half gives back. */
static void check_halves(const dice_kernels *by)
{
    enum { N = 301, D = 67 };
    static real x[N * D], g[N * D], y[N * D], want_y[N * D], gx[N * D], want[N * D];
    real        mean[D], inv[D], a[D], ga[D] = {0}, want_ga[D] = {0}, means[2 * D];
    double      sums[2 * D] = {0}, want_sums[2 * D];

    draw(x, N * D);
    draw(g, N * D);
    draw(a, D);
    draw(mean, D);
    draw(means, 2 * D);
    for (int d = 0; d < D; d++)
        inv[d] = (real)(.5 + d % 3);
    by->forward(want_y, x, mean, inv, a, N, D, NULL);
    by->backward_sums(want_ga, want_sums, want_sums + D, g, x, mean, inv, a, N, D);
    by->backward(want, g, x, mean, inv, a, means, means + D, false, N, D, NULL);
    by->backward_rows(g, y, ga, sums, sums + D, x, mean, inv, a, N, D, NULL);
    by->backward_means(gx, g, x, mean, inv, means, means + D, N, D, NULL);
    for (int i = 0; i < N * D; i++) {
        assert_near((double)gx[i], (double)want[i], NEAR * 5);
        assert_near((double)y[i], (double)want_y[i], NEAR);
    }
    for (int d = 0; d < D; d++) {
        assert_near((double)ga[d], (double)want_ga[d], NEAR * 50);
        assert_near(sums[d], want_sums[d], NEAR * 50);
        assert_near(sums[D + d], want_sums[D + d], NEAR * 50);
    }
}

static void dice_s_gradient_in_halves_is_the_same(void **state)
{
    (void)state;
    for (int bits = 0; bits <= 512; bits += 512)
        if (dice_by(bits))
            check_halves(dice_by(bits));
}

/* Of numbers from far below the mean to far above it, and of the tails of rows: no lane is
 * written that is not there. */
static void dice_is_the_same_by_vectors_of_any_width(void **state)
{
    enum { D = 35, N = 40 };
    real x[N * D], y[N * D + 1], mean[D], inv[D], a[D];

    (void)state;
    for (int d = 0; d < D; d++) {
        mean[d] = (real)(.1 * d - 1);
        inv[d]  = (real)(1 + .1 * d);
        a[d]    = (real)(.02 * d - .3);
    }
    for (int i = 0; i < N * D; i++)
        x[i] = (real)((i % 2 ? 1 : -1) * pow(1.2, i % 60 - 40));
    for (int bits = 0; bits <= 512; bits += 512) {
        if (!dice_by(bits))
            continue;
        y[N * D] = 77;
        dice_by(bits)->forward(y, x, mean, inv, a, N, D, NULL);
        for (int i = 0; i < N * D; i++) {
            int    d = i % D;
            double z = (double)x[i], p = 1 / (1 + exp((double)(mean[d] - x[i]) * (double)inv[d]));
            double want = z * (p + (1 - p) * (double)a[d]);
            assert_near((double)y[i], want, NEAR * fmax(1, fabs(z)));
        }
        assert_true(y[N * D] == 77);
    }
}

static void dice_of_what_is_no_number_is_none(void **state)
{
    real x[] = {NAN, 0}, y[2], mean[] = {0}, inv[] = {1}, a[] = {0};

    (void)state;
    for (int bits = 0; bits <= 512; bits += 512)
        if (dice_by(bits)) {
            dice_by(bits)->forward(y, x, mean, inv, a, 2, 1, NULL);
            assert_true(isnan(y[0]) && y[1] == 0);
        }
}

/* eq. 8: the indicator is s > 0, so that 0 belongs to the lower half. */
static void prelu_at_zero_takes_the_lower_slope(void **state)
{
    real x[] = {0, 2, -2}, y[3], g[] = {1, 1, 1}, gx[3], a[] = {(real).25}, ga[] = {0};

    (void)state;
    prelu_forward(y, x, a, 3, 1);
    prelu_backward(gx, ga, g, x, a, false, 3, 1);
    assert_true(y[0] == 0 && y[1] == 2 && y[2] == (real)-.5);
    assert_true(gx[0] == (real).25 && gx[1] == 1 && gx[2] == (real).25);
    assert_true(ga[0] == -2);
}

static void gradients_are_added_or_written(void **state)
{
    real x[] = {1, -1}, g[] = {3, 5}, kept[] = {10, 10}, over[] = {NAN, NAN};

    (void)state;
    relu_backward(kept, g, x, true, 2);
    relu_backward(over, g, x, false, 2);
    assert_true(kept[0] == 13 && kept[1] == 10 && over[0] == 3 && over[1] == 0);
    relu_backward(g, g, x, false, 2); /* in place */
    assert_true(g[0] == 3 && g[1] == 0);
}

/* ---- a candidate taken into the weights of its events ---- */

static void weights_of_a_sample_are_those_of_its_candidate(void **state)
{
    enum { D = 5, Dq = 3, U = 32 };
    real K[D * U], P[Dq * U], Kt[U * U] = {0}, Pt[U * U] = {0}, q[U] = {0}, W[D * U], Wt[U * U];

    (void)state;
    draw(K, D * U);
    draw(P, Dq * U);
    draw(q, Dq);
    for (int u = 0; u < U; u++)
        for (int d = 0; d < D; d++) {
            Kt[u * U + d] = K[d * U + u];
            Pt[u * U + d] = d < Dq ? P[d * U + u] : 0;
        }
    pair_weights(W, K, P, q, D, Dq, U);
    pair_weights_transposed(Wt, Kt, Pt, q, U, U);
    for (int d = 0; d < D; d++)
        for (int u = 0; u < U; u++) {
            double product = d < Dq ? (double)q[d] * (double)P[d * U + u] : 0;
            assert_near((double)W[d * U + u], (double)K[d * U + u] + product, NEAR);
            assert_near((double)Wt[u * U + d], (double)W[d * U + u], NEAR);
        }
}

static void the_weights_gradients_of_samples_are_taken_apart(void **state)
{
    enum { D = 5, Dq = 3, U = 32, N = PAIR_LOT };
    real gW[N * D * U], P[Dq * U], q[N * Dq], gK[D * U], gP[Dq * U], gq[N * Dq];
    const real *q_of[N];
    real       *gq_of[N];

    (void)state;
    draw(gW, N * D * U);
    draw(P, Dq * U);
    draw(q, N * Dq);
    for (int i = 0; i < D * U; i++)
        gK[i] = 1;
    for (int i = 0; i < Dq * U; i++)
        gP[i] = 2;
    for (int i = 0; i < N * Dq; i++)
        gq[i] = (real)i;
    for (int n = 0; n < N; n++) {
        q_of[n]  = q + n * Dq;
        gq_of[n] = gq + n * Dq;
    }
    pair_weights_backward(gK, gP, gq_of, gW, P, q_of, D, Dq, U);
    for (int i = 0; i < D * U; i++) {
        double want_K = 1, want_P = 2;
        for (int n = 0; n < N; n++) {
            want_K += (double)gW[n * D * U + i];
            want_P += i < Dq * U ? (double)q[n * Dq + i / U] * (double)gW[n * D * U + i] : 0;
        }
        assert_near((double)gK[i], want_K, NEAR * 10);
        if (i < Dq * U)
            assert_near((double)gP[i], want_P, NEAR * 10);
    }
    for (int i = 0; i < N * Dq; i++) {
        double want = i;
        for (int u = 0; u < U; u++)
            want += (double)gW[(i / Dq * D + i % Dq) * U + u] * (double)P[i % Dq * U + u];
        assert_near((double)gq[i], want, NEAR * 10);
    }
}

/* ---- segments ---- */

static const int offsets[] = {0, 2, 2, 5};

static void segments_sum_spread_and_dot(void **state)
{
    real x[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, w[] = {1, 10, 1, 2, 3}, y[6], spread[10],
         dot[5];

    (void)state;
    segment_sum(y, 2, w, x, 2, offsets, false, 3, 2);
    assert_true(y[0] == 31 && y[1] == 42 && y[2] == 0 && y[3] == 0 && y[4] == 46 && y[5] == 52);
    segment_spread(spread, 2, NULL, y, 2, offsets, false, 3, 2);
    assert_true(spread[0] == 31 && spread[3] == 42 && spread[4] == 46 && spread[9] == 52);
    segment_dot(dot, x, 2, y, 2, offsets, false, 3, 2);
    assert_true(dot[0] == 31 + 84 && dot[4] == 9 * 46 + 10 * 52);
}

static void softmax_of_huge_scores_is_finite(void **state)
{
    real s[] = {(real)1e4, (real)-1e4, (real)1e4, (real)1e4, (real)1e4}, a[5];

    (void)state;
    softmax_forward(a, s, 1, offsets, 3);
    assert_true(a[0] == 1 && a[1] < (real)1e-30);
    for (int t = 2; t < 5; t++)
        assert_near((double)a[t], 1. / 3, NEAR);
}

static void decay_halves_by_its_half_life(void **state)
{
    int64_t now[] = {100, 0, 1000}, time[] = {90, 80, 1000, 2000, 960};
    real    w[5];

    (void)state;
    decay_weights(w, now, time, 10, false, offsets, 3);
    assert_true(w[0] == (real).5 && w[1] == (real).25 && w[2] == 1);
    assert_true(w[3] == 1 && w[4] == (real).0625); /* an event of the future is as of now */
    decay_weights(w, now, time, 10, true, offsets, 3);
    assert_near((double)w[0], 2. / 3, NEAR);
}

/* ---- bags ---- */

static void an_empty_bag_is_zero_and_a_mean_counts_what_is_there(void **state)
{
    real table[] = {2, 4, 6}, y[3], g[] = {1, 1, 1}, back[3] = {0};
    int  place[] = {0, -1, 1, 2, -1}, bags[] = {0, 3, 3, 5};

    (void)state;
    gather_bags_forward(y, 1, table, place, bags, true, 3, 1);
    assert_true(y[0] == 3 && y[1] == 0 && y[2] == 6);
    gather_bags_backward(back, g, 1, place, bags, true, 3, 1);
    assert_true(back[0] == (real).5 && back[1] == (real).5 && back[2] == 1);
}

/* ---- loss ---- */

static void the_loss_of_any_logit_is_finite(void **state)
{
    real   z[] = {0, (real)1e4, (real)-1e4, (real)1e4}, y[] = {1, 1, 1, 0}, g[4] = {0};
    double p[4];

    (void)state;
    assert_near(cross_entropy_forward(z, y, NULL, 1), 0.69314718055994531, 1e-15);
    assert_near(cross_entropy_forward(z + 1, y + 1, NULL, 3), 2e4, 1e-12);
    cross_entropy_backward(g, z, y, NULL, 4);
    assert_true(g[0] == (real)-.5 && g[1] == 0 && g[2] == -1 && g[3] == 1);
    cross_entropy_probabilities(p, z, 4);
    assert_true(p[0] == .5 && p[1] == 1 && p[2] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_that_of_the_library),
        cmocka_unit_test(exp_saturates_and_keeps_nan),
        cmocka_unit_test(sigmoid_is_right_for_every_number),
        cmocka_unit_test(one_infinity_or_nan_anywhere_is_seen),
        cmocka_unit_test(products_of_all_small_shapes_are_right),
        cmocka_unit_test(moments_do_not_cancel_far_from_zero),
        cmocka_unit_test(moments_in_pieces_are_those_of_all),
        cmocka_unit_test(sums_of_columns_add),
        cmocka_unit_test(dice_has_the_values_of_its_formula),
        cmocka_unit_test(dice_s_gradient_is_the_jacobian_s),
        cmocka_unit_test(dice_s_gradient_in_halves_is_the_same),
        cmocka_unit_test(dice_is_the_same_by_vectors_of_any_width),
        cmocka_unit_test(dice_of_what_is_no_number_is_none),
        cmocka_unit_test(prelu_at_zero_takes_the_lower_slope),
        cmocka_unit_test(gradients_are_added_or_written),
        cmocka_unit_test(weights_of_a_sample_are_those_of_its_candidate),
        cmocka_unit_test(the_weights_gradients_of_samples_are_taken_apart),
        cmocka_unit_test(segments_sum_spread_and_dot),
        cmocka_unit_test(softmax_of_huge_scores_is_finite),
        cmocka_unit_test(decay_halves_by_its_half_life),
        cmocka_unit_test(an_empty_bag_is_zero_and_a_mean_counts_what_is_there),
        cmocka_unit_test(the_loss_of_any_logit_is_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
