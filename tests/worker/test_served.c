/* What passes that serve requests compute in their own way: products of split weights against
 * sums in double, a step of shared inputs against one of rows of their own, and models with
 * layers wide enough for split products against each candidate as a sample. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "worker/kernels/recurrent.h"
#include "worker/layers/served_product.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void draw(real *x, size_t n, double deviation, uint64_t seed)
{
    rng r = rng_named(seed, RNG_TEST, 5, 0);

    for (size_t i = 0; i < n; i++)
        x[i] = (real)(deviation * rng_normal(&r));
}

/* ---- products ---- */

enum { MOST = 96, STRIDE = 144 };

static real A[MOST * STRIDE], B[STRIDE * STRIDE], C[MOST * STRIDE], first[STRIDE];

/* Against sums in double of A B: what splitting leaves out, and the rounding of K additions. */
static void check_product(int M, int N, int K, int begin, pass *p)
{
    served_weights w;
    served_rows    a;
    double         split = K >= 32 && sizeof(real) == sizeof(float) ? 0x1p-15 : 0;
    double         near = split + (K + 1) * (sizeof(real) == sizeof(float) ? 0x1p-24 : 0x1p-53);

    arena_reset(p->arena);
    MUST(served_weights_open(&w, K, N, served_product_splits(), p));
    MUST(served_rows_open(&a, begin + M, &w, p));
    served_weights_set(&w, B, STRIDE);
    served_rows_set(&a, A, STRIDE, begin + M);
    served_product(C, STRIDE, first, 0, &a, begin, &w, M);
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            double want = (double)first[n], size = fabs(want);
            for (int k = 0; k < K; k++) {
                double term = (double)A[(begin + m) * STRIDE + k] * (double)B[k * STRIDE + n];
                want += term;
                size += fabs(term);
            }
            if (!(fabs((double)C[m * STRIDE + n] - want) <= near * size))
                fail_msg("(%d, %d, %d): C[%d, %d] is %.9g, wanted %.9g", M, N, K, m, n,
                         (double)C[m * STRIDE + n], want);
        }
}

static void split_products_are_those_of_reals(void **state)
{
    static const int Ks[] = {1, 20, 31, 32, 33, 48, 128}, Ms[] = {0, 1, 16, 37, 80};
    arena            memory = {0};
    pass             p      = {.arena = &memory};

    (void)state;
    print_message("products are%s split on this machine\n",
                  served_product_splits() ? "" : " not");
    draw(A, COUNT(A), 1, 1);
    draw(B, COUNT(B), .3, 2);
    draw(first, COUNT(first), 1, 3);
    for (size_t k = 0; k < COUNT(Ks); k++)
        for (size_t m = 0; m < COUNT(Ms); m++)
            for (int N = VECTOR; N <= STRIDE; N += 2 * VECTOR)
                check_product(Ms[m], N, Ks[k], (int)m * 3, &p);
    arena_clear(&memory);
}

/* ---- a step of a gated recurrent unit ---- */

enum { ROWS = 5, H = 3 * VECTOR, Z = 4 * H };

static void shared_inputs_step_as_rows_of_their_own(void **state)
{
    static real z[ROWS * Z], shared[ROWS * Z], h[ROWS * H], want[ROWS * H], w[3 * H], b[3 * H];
    real        s[ROWS], p[ROWS], q[ROWS];

    (void)state;
    draw(shared, COUNT(shared), 2, 6);
    draw(want, COUNT(want), .5, 7);
    draw(w, COUNT(w), 1, 8);
    draw(b, COUNT(b), 1, 9);
    draw(s, ROWS, 1, 10);
    draw(p, ROWS, .3, 11);
    draw(q, ROWS, .3, 12);
    memcpy(h, want, sizeof h);
    for (int i = 0; i < ROWS; i++)
        for (int d = 0; d < H; d++) {
            real *to = z + i * Z + d, *from = shared + i * Z + d;
            for (int gate = 0; gate < 3; gate++)
                to[gate * H] =
                    s[i] * w[gate * H + d] + b[gate * H + d] + (gate < 2 ? from[gate * H] : 0);
            to[3 * H] = from[2 * H];
        }
    gru_forward(z, Z, want, H, p, q, ROWS, H);
    gru_forward_shared(h, H, shared, Z, w, b, s, p, q, ROWS, H);
    for (int i = 0; i < ROWS * H; i++)
        assert_near((double)h[i], (double)want[i], sizeof(real) == 4 ? 1e-6 : 1e-14);
}

/* One row: its gates and its state, from z_u, z_r, z_n and m of 0, and a state of 0. */
static void saturated_gates_are_their_limits(void **state)
{
    static const double x[]           = {0,    1e-6, -1e-3, .3,  -2,        9,        -30,
                                         88.5, -104, 300,   1e4, -INFINITY, INFINITY, -1e30};
    real                z[4 * VECTOR] = {0}, h[VECTOR] = {0}, p = 0, q = 1;

    (void)state;
    for (size_t i = 0; i < COUNT(x); i++) {
        memset(h, 0, sizeof h);
        memset(z, 0, sizeof z);
        for (int d = 0; d < VECTOR; d++)
            z[d] = z[VECTOR + d] = z[2 * VECTOR + d] = (real)x[i];
        gru_forward(z, 4 * VECTOR, h, VECTOR, &p, &q, 1, VECTOR);
        double u = 1 / (1 + exp(-x[i])), n = tanh(x[i]);
        double near = 1e-6 + fmin(fabs(x[i]), 100) * 1.2e-7; /* e^-x rounds with x */
        assert_near((double)z[0], u, near * u + 1e-37);
        assert_near((double)z[2 * VECTOR], n, 1e-6 * fabs(n));
        assert_near((double)h[VECTOR - 1], u * n, near * fabs(u * n) + 1e-37);
    }
    z[0] = z[VECTOR] = z[2 * VECTOR] = (real)NAN;
    gru_forward(z, 4 * VECTOR, h, VECTOR, &p, &q, 1, VECTOR);
    assert_true(isnan(z[0]) && isnan(z[VECTOR]) && isnan(z[2 * VECTOR]) && isnan(h[0]));
}

/* ---- models ---- */

#define FEATURES                                                                               \
    "tables: {user: {dim: 4}, item: {dim: 40}, cate: {dim: 5}}\n"                              \
    "features: {user: {table: user}, item: {table: item}, cate: {table: cate},\n"              \
    "  history: {columns: {item: {table: item}, cate: {table: cate}}}}\n"                      \
    "model: {profile: [user], candidate: [item, cate], history: history,\n"                    \
    "  mlp: {units: [9]}, auxiliary: {kind: none}, "

static const char *const models_with_wide_layers[] = {
    "kind: dien, evolution: {kind: augru}}",
    "kind: dien, evolution: {kind: augru_code, units: 40}}",
    "kind: dien, evolution: {kind: agru, units: 70}}",
    "kind: dien, evolution: {kind: aigru, units: 33}, attention: {score: mlp, units: [36]}}",
    "kind: din, attention: {units: [80, 40], activation: dice}}",
    "kind: din, attention: {units: [50, 33, 20], activation: sigmoid, normalize: softmax}}",
    "kind: din, attention: {units: [40, 33], activation: prelu, parts: [q, k]}}",
};

/* Weights as large as those of trained models: sums of some units. */
static void scatter(world *w)
{
    for (int i = 0; i < dense_count(w->dense); i++) {
        param *p = dense_at(w->dense, i);
        if (!strstr(p->name, ".var") && !strstr(p->name, ".mean"))
            draw(p->w, p->count, 1.5 / sqrt(p->n_dims == 2 ? p->shape[1] : 4),
                 20 + (uint64_t)i);
    }
}

/* More candidates than a group has, fewer than a tile has, and none. */
static void check_ranking(const char *kind)
{
    static const int counts[] = {211, 1, 0, 30};
    char             yaml[2048];
    world            w;
    requests         r;

    snprintf(yaml, sizeof yaml, "%s%s\n", FEATURES, kind);
    world_open(&w, yaml);
    world_rows(&w, 50, .5);
    scatter(&w);
    world_draw(&w, 4, 4, (int[]){17, 3, 5, 0}, 3);
    world_requests(&w, &r, COUNT(counts), counts, 5);
    size_t n     = (size_t)r.each.B;
    real  *alone = malloc(n * sizeof *alone);
    assert_non_null(alone);
    memcpy(alone, world_rank(&w, &r, true), n * sizeof *alone);
    const real *together = world_rank(&w, &r, false);
    double      worst = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)together[i] - (double)alone[i]));
        size  = fmax(size, fabs((double)alone[i]));
    }
    print_message("%s: logits up to %.1f are %.1e apart at most\n", kind, size, worst);
    assert_true(worst <= (sizeof(real) == sizeof(float) ? 1e-5 : 1e-12));
    free(alone);
    world_close(&w);
}

static void wide_layers_rank_as_they_predict(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(models_with_wide_layers); i++)
        check_ranking(models_with_wide_layers[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_products_are_those_of_reals),
        cmocka_unit_test(shared_inputs_step_as_rows_of_their_own),
        cmocka_unit_test(saturated_gates_are_their_limits),
        cmocka_unit_test(wide_layers_rank_as_they_predict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
