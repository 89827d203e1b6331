/* Three updates of four weights, with a gradient of zero and a weight of zero among them.
 * The numbers come from the rules' definitions computed in Python's doubles: Adam from the
 * paper's corrected moments, FTRL from the sums that its minimisation is stated in. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/optim.h"

#define N         4
#define STEPS     3
#define LR        0.1
#define TOLERANCE (16 * (double)REAL_EPSILON)

static const real first[N]        = {(real)0.1, (real)-0.2, (real)0.3, 0};
static const real steps[STEPS][N] = {
    {(real)0.5, -1, (real)0.25, 2},
    {(real)-0.3, 0, (real)0.75, (real)-1.5},
    {(real)0.2, (real)0.4, (real)-0.6, (real)0.1},
};

static void check(const real *got, const double *want, int n)
{
    for (int i = 0; i < n; i++)
        if (fabs((double)got[i] - want[i]) > TOLERANCE * fmax(1, fabs(want[i])))
            fail_msg("number %d is %.17g, wanted %.17g", i, (double)got[i], want[i]);
}

/* Three steps from the first weights with c; w[N] and state are left for the caller. */
static void run(const optimizer_config *c, real *w, real *state)
{
    for (int i = 0; i < N; i++)
        w[i] = first[i];
    optim_init_state(c, state, w, N);
    for (int s = 0; s < STEPS; s++)
        optim_update(c, LR, w, state, steps[s], N);
}

static void sgd_is_the_plain_step(void **unused)
{
    (void)unused;
    optimizer_config c = {.kind = OPTIMIZER_SGD};
    real             w[N], none[1];

    run(&c, w, none);
    check(w, (double[]){0.06, -0.14, 0.26, -0.06}, N);
    assert_int_equal(optim_state_size(OPTIMIZER_SGD, N), 0);
}

static void momentum_is_pytorchs(void **unused)
{
    (void)unused;
    optimizer_config c = {.kind = OPTIMIZER_MOMENTUM, .momentum = 0.9};
    real             w[N], m[N];

    run(&c, w, m);
    check(w, (double[]){0.0015, 0.031, 0.14975, -0.267}, N);
    check(m, (double[]){0.335, -0.41, 0.2775, 0.37}, N);
}

static void adagrad_is_pytorchs(void **unused)
{
    (void)unused;
    optimizer_config c = {.kind = OPTIMIZER_ADAGRAD, .eps = 1e-10};
    real             w[N], sum[N];

    run(&c, w, sum);
    check(w,
          (double[]){0.019005291333039777, -0.1371390676419621, 0.16558679686404262,
                     -0.04399680383212741},
          N);
    check(sum, (double[]){0.38, 1.16, 0.985, 6.26}, N);
}

static void rowwise_adagrad_keeps_one_number(void **unused)
{
    (void)unused;
    optimizer_config c = {.kind = OPTIMIZER_ROWWISE_ADAGRAD, .eps = 1e-8};
    real             w[N], sum[1];

    run(&c, w, sum);
    check(w,
          (double[]){0.06405217563248375, -0.14021882545296452, 0.26645903931388015,
                     -0.07562326303847754},
          N);
    check(sum, (double[]){2.19625}, 1);
    assert_int_equal(optim_state_size(OPTIMIZER_ROWWISE_ADAGRAD, N), 1);
}

static void adam_corrects_by_the_rows_own_count(void **unused)
{
    (void)unused;
    optimizer_config c = {.kind = OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    real             w[N], state[2 * N + 1];

    run(&c, w, state);
    check(w,
          (double[]){-0.05389256920911803, -0.008655131426903533, 0.09035411281915623,
                     -0.11838712746452082},
          N);
    check(state, (double[]){0.0335, -0.041, 0.02775, 0.037}, N);
    check(state + N, (double[]){0.00037941025, 0.001158001, 0.0009843125625, 0.006249754}, N);
    check(state + 2 * N, (double[]){3}, 1);
}

static const optimizer_config ftrl = {
    .kind = OPTIMIZER_FTRL, .ftrl_beta = 1, .l1 = 0.05, .l2 = 0.2};

static void ftrl_is_mcmahans_about_the_initial_weight(void **unused)
{
    (void)unused;
    real w[N], state[2 * N];

    run(&ftrl, w, state);
    check(w,
          (double[]){0.07359742001766666, -0.16956961854404778, 0.26870561250987834,
                     -0.024795196559245537},
          N);
    check(state,
          (double[]){-1.2543786507194934, 3.6059307934345437, -5.457624306136694,
                     0.9232866246135862},
          N);
    check(state + N, (double[]){0.38, 1.16, 0.985, 6.26}, N);
}

static void ftrl_keeps_a_weight_that_sees_no_gradient(void **unused)
{
    (void)unused;
    real w[N] = {(real)0.1, (real)-0.2, (real)0.3, 0}, state[2 * N] = {0}, zero[N] = {0};

    optim_update(&ftrl, LR, w, state, zero, N);
    optim_update(&ftrl, LR / 2, w, state, zero, N);
    assert_memory_equal(w, first, sizeof w);
}

static void ftrl_makes_weak_weights_exactly_zero(void **unused)
{
    (void)unused;
    optimizer_config c    = ftrl;
    real             w[1] = {0}, state[2] = {0}, g[1] = {(real)0.04};

    optim_update(&c, LR, w, state, g, 1);
    assert_true(w[0] == 0);
    optim_update(&c, LR, w, state, g, 1);
    assert_true(w[0] < 0);
}

static void the_parts_of_a_state_add_up(void **unused)
{
    (void)unused;
    for (int kind = OPTIMIZER_SGD; kind <= OPTIMIZER_FTRL; kind++) {
        int               n, size = 0;
        const optim_part *parts = optim_parts((optimizer_kind)kind, &n);

        for (int i = 0; i < n; i++)
            size += parts[i].wide ? 7 : 1;
        assert_int_equal(optim_state_size((optimizer_kind)kind, 7), size);
    }
    assert_true(optim_state_size(OPTIMIZER_ADAM, (size_t)1 << 31) == ((size_t)1 << 32) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_is_the_plain_step),
        cmocka_unit_test(momentum_is_pytorchs),
        cmocka_unit_test(adagrad_is_pytorchs),
        cmocka_unit_test(rowwise_adagrad_keeps_one_number),
        cmocka_unit_test(adam_corrects_by_the_rows_own_count),
        cmocka_unit_test(ftrl_is_mcmahans_about_the_initial_weight),
        cmocka_unit_test(ftrl_keeps_a_weight_that_sees_no_gradient),
        cmocka_unit_test(ftrl_makes_weak_weights_exactly_zero),
        cmocka_unit_test(the_parts_of_a_state_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
