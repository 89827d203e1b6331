/* Three updates of four weights, with a gradient of zero and a weight of zero among them.
 * The numbers come from the rules' definitions computed in Python's doubles: Adam from the
 * paper's corrected moments, FTRL from the sums that its minimisation is stated in. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/optim.h"
#include "common/rng.h"

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

static void update(const optimizer_config *c, double lr, real *w, real *state, const real *g,
                   size_t n)
{
    optim rule;

    optim_init(&rule, c);
    optim_update(&rule, lr, w, state, g, n);
}

/* Three steps from the first weights with c; w[N] and state are left for the caller. */
static void run(const optimizer_config *c, real *w, real *state)
{
    for (int i = 0; i < N; i++)
        w[i] = first[i];
    memset(state, 0, optim_state_size(c->kind, N) * sizeof *state);
    for (int s = 0; s < STEPS; s++)
        update(c, LR, w, state, steps[s], N);
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

/* Both moments are corrected by all that they lack: the first step is lr sign(g), whatever
 * the betas. */
static void adams_first_step_is_the_learning_rate(void **unused)
{
    (void)unused;
    static const double betas[] = {0.9, 0.999, 0.99999, 0.999999};

    for (size_t i = 0; i < sizeof betas / sizeof *betas; i++) {
        optimizer_config c    = {.kind = OPTIMIZER_ADAM, .beta1 = betas[i], .eps = 1e-30};
        real             w[2] = {0}, state[5] = {0}, g[2] = {3, (real)-0.125};
        c.beta2 = betas[i];
        update(&c, LR, w, state, g, 2);
        for (int k = 0; k < 2; k++)
            assert_true(fabs(fabs((double)w[k]) - LR) < 8 * LR * (double)REAL_EPSILON);
    }
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

    update(&ftrl, LR, w, state, zero, N);
    update(&ftrl, LR / 2, w, state, zero, N);
    assert_memory_equal(w, first, sizeof w);
}

static void ftrl_makes_weak_weights_exactly_zero(void **unused)
{
    (void)unused;
    optimizer_config c    = ftrl;
    real             w[1] = {0}, state[2] = {0}, g[1] = {(real)0.04};

    update(&c, LR, w, state, g, 1);
    assert_true(w[0] == 0);
    update(&c, LR, w, state, g, 1);
    assert_true(w[0] < 0);
}

/* Frozen, or at the end of a schedule: a rate of 0 moves nothing, and the next one goes on. */
static void no_rule_moves_at_a_learning_rate_of_zero(void **unused)
{
    (void)unused;
    static const optimizer_kind kinds[] = {OPTIMIZER_SGD,  OPTIMIZER_MOMENTUM,
                                           OPTIMIZER_ADAGRAD, OPTIMIZER_ROWWISE_ADAGRAD,
                                           OPTIMIZER_ADAM, OPTIMIZER_FTRL};

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        optimizer_config c = ftrl;
        real             w[N], state[2 * N + 1] = {0};
        c.kind  = kinds[i];
        c.beta2 = c.eps = 0.5;
        memcpy(w, first, sizeof w);
        update(&c, 0, w, state, steps[0], N);
        assert_memory_equal(w, first, sizeof w);
        update(&c, 1e-44, w, state, steps[1], N);
        for (int k = 0; k < N; k++)
            assert_true(fabs((double)(w[k] - first[k])) < 1e-40);
        update(&c, LR, w, state, steps[2], N);
        for (int k = 0; k < N; k++)
            assert_true(isfinite((double)w[k]) && w[k] != first[k]);
    }
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

/* ---- vector code against the plain twin ---- */

#define LONGEST 4096

static const optimizer_config every_rule[] = {
    {.kind = OPTIMIZER_SGD},
    {.kind = OPTIMIZER_MOMENTUM, .momentum = 0.9},
    {.kind = OPTIMIZER_ADAGRAD, .eps = 1e-10},
    {.kind = OPTIMIZER_ROWWISE_ADAGRAD, .eps = 1e-8},
    {.kind = OPTIMIZER_ADAM, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8},
    {.kind = OPTIMIZER_FTRL, .ftrl_beta = 1, .l1 = 0.05, .l2 = 0.2},
};

/* Weights, state and gradient of one update, each twice, at `shift` reals behind a line. */
typedef struct twins {
    real w[2][LONGEST + 8], state[2][2 * LONGEST + 9], g[LONGEST + 8];
} twins;

/* A normal number; now and then 0, or one that is huge or tiny. */
static real any_number(rng *r)
{
    static const double sizes[] = {1, 1, 1, 1, 1, 0, 1e12, 1e-12};

    return (real)(sizes[rng_below(r, 8)] * rng_normal(r));
}

/* Of adam the corrections may differ in their last bit: pow against a product of powers. */
static void expect_same(const real *a, const real *b, size_t n, optimizer_kind kind)
{
    for (size_t i = 0; i < n; i++) {
        double x = (double)a[i], y = (double)b[i];
        double allowed = kind == OPTIMIZER_ADAM ? 4 * (double)REAL_EPSILON * fabs(x) : 0;
        if (memcmp(&a[i], &b[i], sizeof a[i]) && !(fabs(x - y) <= allowed))
            fail_msg("rule %d, length %zu: number %zu is %.9g, plain %.9g", (int)kind, n, i, x,
                     y);
    }
}

static void run_twins(twins *x, const optimizer_config *c, size_t n, size_t shift, rng *r)
{
    size_t states = optim_state_size(c->kind, n);
    optim  rule;

    optim_init(&rule, c);
    memset(x, 0, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x->w[0][shift + i] = x->w[1][shift + i] = any_number(r);
    for (int step = 0; step < 3; step++) {
        for (size_t i = 0; i < n; i++)
            x->g[shift + i] = any_number(r);
        optim_update(&rule, 0.05, x->w[0] + shift, x->state[0] + shift, x->g + shift, n);
        optim_update_plain(c, 0.05, x->w[1] + shift, x->state[1] + shift, x->g + shift, n);
        expect_same(x->w[0] + shift, x->w[1] + shift, n, c->kind);
        expect_same(x->state[0] + shift, x->state[1] + shift, states, c->kind);
        memcpy(x->w[1], x->w[0], sizeof x->w[0]); /* so that differences do not add up */
        memcpy(x->state[1], x->state[0], sizeof x->state[0]);
    }
    for (size_t i = 0; i < shift; i++)
        assert_true(x->w[0][i] == 0 && x->state[0][i] == 0);
    assert_true(x->w[0][shift + n] == 0 && x->state[0][shift + states] == 0);
}

static void vector_code_has_the_bits_of_the_plain_twin(void **unused)
{
    (void)unused;
    static twins x;
    rng          r = rng_named(1, RNG_TEST, 0, 0);

    for (size_t k = 0; k < sizeof every_rule / sizeof *every_rule; k++) {
        for (size_t n = 1; n <= 70; n++)
            for (size_t shift = 0; shift < 4; shift++)
                run_twins(&x, &every_rule[k], n, shift, &r);
        run_twins(&x, &every_rule[k], LONGEST, 1, &r);
    }
}

static void adams_corrections_are_powers_of_the_rows_own_count(void **unused)
{
    (void)unused;
    static const double betas[] = {0, 0.5, 0.9, 0.999, 0.99999};
    static powers       p;

    for (size_t i = 0; i < sizeof betas / sizeof *betas; i++) {
        powers_init(&p, betas[i]);
        for (uint32_t t = 0; t < (1u << 24); t += 1 + t / 16) {
            double want = pow(betas[i], t);
            if (fabs(powers_of(&p, t) - want) > 1e-12 * want)
                fail_msg("%g^%u is %.17g, wanted %.17g", betas[i], t, powers_of(&p, t), want);
        }
    }
    powers_init(&p, 0.9999999);
    assert_true(powers_of(&p, UINT32_MAX) < 1e-180);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sgd_is_the_plain_step),
        cmocka_unit_test(momentum_is_pytorchs),
        cmocka_unit_test(adagrad_is_pytorchs),
        cmocka_unit_test(rowwise_adagrad_keeps_one_number),
        cmocka_unit_test(adam_corrects_by_the_rows_own_count),
        cmocka_unit_test(adams_first_step_is_the_learning_rate),
        cmocka_unit_test(ftrl_is_mcmahans_about_the_initial_weight),
        cmocka_unit_test(ftrl_keeps_a_weight_that_sees_no_gradient),
        cmocka_unit_test(ftrl_makes_weak_weights_exactly_zero),
        cmocka_unit_test(no_rule_moves_at_a_learning_rate_of_zero),
        cmocka_unit_test(the_parts_of_a_state_add_up),
        cmocka_unit_test(vector_code_has_the_bits_of_the_plain_twin),
        cmocka_unit_test(adams_corrections_are_powers_of_the_rows_own_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
