/* Gated recurrent units against their equations, written down once more without vectors, groups
 * or gradients; and what must hold of them whatever their weights are. */
#include "tests/worker/fixture.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "worker/kernels/tanh.h"
#include "worker/layers/layers.h"
#include "worker/layers/time_major.h"

#define NEAR (sizeof(real) == sizeof(float) ? 3e-6 : 1e-13)

#define UNITS 5
#define YAML                                                                                   \
    "tables: {item: {dim: 3}, gate: {dim: 1}}\n"                                               \
    "features:\n"                                                                              \
    "  history: {columns: {item: {table: item}, gate: {table: gate}}}\n"                       \
    "model: {history: history}\n"

/* What the graph under test computes; set before world_open_graph. */
static gru_kind kind;
static tensor  *states, *last, *again, *inputs, *gates;

static tensor *embedded(graph *g, const char *slot)
{
    return embed_slots(g, 1, (int[]){schema_find_slot(graph_schema(g), slot)});
}

/* States, and last states by both ways. */
static tensor *build(graph *g)
{
    inputs = embedded(g, "history.item");
    gates  = embedded(g, "history.gate");
    states = gru(g, inputs, gates, kind, UNITS, "first");
    last   = last_event(g, states);
    again  = gru_last(g, inputs, gates, kind, UNITS, "second");
    return linear(g, CONCAT(g, last, again, last_event(g, gates)), 1, "output");
}

static void scatter(world *w, double deviation)
{
    rng r = rng_named(3, RNG_TEST, 3, 0);

    for (int i = 0; i < dense_count(w->dense); i++)
        for (size_t k = 0; k < dense_at(w->dense, i)->count; k++)
            dense_at(w->dense, i)->w[k] = (real)(deviation * rng_normal(&r));
}

/* `second` gets the weights of `first`. */
static void share_weights(world *w)
{
    static const char *const parts[] = {"input.weight", "recurrent.weight", "bias"};

    for (int i = 0; i < 3; i++) {
        char from[64], to[64];
        snprintf(from, sizeof from, "first.%s", parts[i]);
        snprintf(to, sizeof to, "second.%s", parts[i]);
        const param *p = dense_find(w->dense, from);
        memcpy(dense_find(w->dense, to)->w, p->w, p->count * sizeof *p->w);
    }
}

static void open_drawn(world *w, gru_kind of, int B, int n_lengths, const int *lengths)
{
    kind = of;
    world_open_graph(w, YAML, build);
    world_rows(w, 7, .8);
    for (int i = 0; i < w->n_rows[1]; i++) /* attention lies in 0 .. 1 */
        w->rows[1][i] = (real)i / 6;
    world_draw(w, B, n_lengths, lengths, 2);
    scatter(w, .7);
    share_weights(w);
    world_loss(w);
}

/* ---- the equations, a number at a time ---- */

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

/* sum_d W[row][d] x[d] */
static double times(const param *W, int row, const double *x, int n)
{
    double sum = 0;

    for (int d = 0; d < n; d++)
        sum += (double)W->w[row * n + d] * x[d];
    return sum;
}

static double gate_of(gru_kind of, double u, double a)
{
    switch (of) {
    case GRU_AGRU:
        return a;
    case GRU_AUGRU:
        return a * u;
    case GRU_AUGRU_CODE:
        return 1 - (1 - a) * (1 - u);
    default:
        return u;
    }
}

/* h becomes the state after an input x with attention a. */
static void plain_step(double *h, const double *input, double a, const world *w)
{
    const param *W = dense_find(w->dense, "first.input.weight");
    const param *U = dense_find(w->dense, "first.recurrent.weight");
    const param *b = dense_find(w->dense, "first.bias");
    double       x[3], u[UNITS], r[UNITS], reset[UNITS], next[UNITS];
    bool         before = kind == GRU_RESET_INPUT || kind == GRU_AUGRU_CODE;

    for (int d = 0; d < 3; d++)
        x[d] = kind == GRU_AIGRU ? a * input[d] : input[d];
    for (int i = 0; i < UNITS; i++) {
        int j    = UNITS + i;
        u[i]     = logistic(times(W, i, x, 3) + times(U, i, h, UNITS) + (double)b->w[i]);
        r[i]     = logistic(times(W, j, x, 3) + times(U, j, h, UNITS) + (double)b->w[j]);
        reset[i] = r[i] * h[i];
    }
    for (int i = 0; i < UNITS; i++) {
        int    j = 2 * UNITS + i;
        double m = before ? times(U, j, reset, UNITS) : r[i] * times(U, j, h, UNITS);
        double n = tanh(times(W, j, x, 3) + (double)b->w[j] + m), e = gate_of(kind, u[i], a);
        next[i] = (1 - e) * h[i] + e * n;
    }
    memcpy(h, next, sizeof next);
}

static void check_states(const world *w)
{
    const int *offsets = w->batch.sequences[0].offsets;

    for (int b = 0; b < w->batch.B; b++) {
        double h[UNITS] = {0};
        for (int t = offsets[b]; t < offsets[b + 1]; t++) {
            double x[3];
            for (int d = 0; d < 3; d++)
                x[d] = (double)inputs->x[3 * t + d];
            plain_step(h, x, (double)gates->x[t], w);
            for (int i = 0; i < UNITS; i++)
                assert_near((double)states->x[UNITS * t + i], h[i], NEAR);
        }
        for (int i = 0; i < UNITS; i++) {
            assert_near((double)last->x[UNITS * b + i], h[i], NEAR);
            assert_true(again->x[UNITS * b + i] == last->x[UNITS * b + i]);
        }
    }
}

static const gru_kind kinds[] = {GRU_PLAIN, GRU_RESET_INPUT, GRU_AIGRU,
                                 GRU_AGRU,  GRU_AUGRU,       GRU_AUGRU_CODE};

#define KINDS (sizeof kinds / sizeof *kinds)

/* More samples than a group has, and both in training and not. */
static void every_kind_is_its_equations(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        world w;
        open_drawn(&w, kinds[i], GROUP_SEQUENCES + 9, 7, (int[]){3, 0, 1, 12, 2, 5, 1});
        check_states(&w);
        w.training = false;
        world_loss(&w);
        check_states(&w);
        world_close(&w);
    }
}

/* ---- limits ---- */

static void set_attention(world *w, real a)
{
    for (int i = 0; i < w->n_rows[1]; i++)
        w->rows[1][i] = a;
    world_loss(w);
}

static void compare_states(const world *a, const real *want, double tolerance)
{
    size_t n = (size_t)a->batch.sequences[0].events * UNITS;

    for (size_t k = 0; k < n; k++)
        assert_near((double)states->x[k], (double)want[k], tolerance);
}

/* The states of a kind with attention a, compared with those of another without. */
static void check_limit(gru_kind of, real a, gru_kind like)
{
    world  w;
    int    lengths[] = {4, 1, 6};
    real  *want;
    size_t bytes;

    open_drawn(&w, like, 5, 3, lengths);
    bytes = (size_t)w.batch.sequences[0].events * UNITS * sizeof *want;
    want  = malloc(bytes);
    assert_non_null(want);
    memcpy(want, states->x, bytes);
    world_close(&w);
    open_drawn(&w, of, 5, 3, lengths);
    set_attention(&w, a);
    compare_states(&w, want, NEAR);
    world_close(&w);
    free(want);
}

static void attention_of_one_or_zero_is_a_limit(void **state)
{
    static const gru_kind frozen[] = {GRU_AGRU, GRU_AUGRU};
    world                 w;

    (void)state;
    check_limit(GRU_AUGRU, 1, GRU_PLAIN);
    check_limit(GRU_AIGRU, 1, GRU_PLAIN);
    check_limit(GRU_AUGRU_CODE, 0, GRU_RESET_INPUT);
    for (int i = 0; i < 2; i++) {
        open_drawn(&w, frozen[i], 3, 1, (int[]){4});
        set_attention(&w, 0);
        for (int k = 0; k < 12 * UNITS; k++)
            assert_true(states->x[k] == 0);
        world_close(&w);
    }
    open_drawn(&w, GRU_AIGRU, 1, 1, (int[]){2}); /* no input, and yet it moves */
    set_attention(&w, 0);
    assert_true(fabs((double)states->x[UNITS] - (double)states->x[0]) > 1e-3);
    world_close(&w);
}

/* ---- invariances ---- */

/* A sample's states are the same bits alone and among others, in any place. */
static void samples_do_not_see_each_other(void **state)
{
    world w;
    real  among[12 * UNITS];
    int  *place, alone[12], offsets[] = {0, 12};

    (void)state;
    open_drawn(&w, GRU_AUGRU, GROUP_SEQUENCES + 9, 7, (int[]){3, 0, 1, 12, 2, 5, 1});
    int first = w.batch.sequences[0].offsets[66]; /* 66 mod 7 is 3: of 12 events */
    memcpy(among, states->x + first * UNITS, sizeof among);
    for (int k = 0; k < w.schema->n_slots; k++) {
        place = w.batch.slots[k].distinct;
        memcpy(alone, place + first, sizeof alone);
        memcpy(place, alone, sizeof alone);
        w.batch.slots[k].rows = w.batch.slots[k].n = 12;
    }
    w.batch.B                    = 1;
    w.batch.sequences[0].events  = 12;
    w.batch.sequences[0].offsets = offsets;
    world_loss(&w);
    assert_memory_equal(states->x, among, sizeof among);
    world_close(&w);
}

/* ---- extremes ---- */

static void assert_finite(const real *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_true(isfinite(x[i]));
}

static void check_extreme(gru_kind of, double deviation, int length)
{
    world w;

    open_drawn(&w, of, 1, 1, &length);
    scatter(&w, deviation);
    world_backward(&w);
    assert_finite(states->x, (size_t)length * UNITS);
    for (int i = 0; i < dense_count(w.dense); i++)
        assert_finite(dense_at(w.dense, i)->g, dense_at(w.dense, i)->count);
    for (int t = 0; t < w.schema->n_tables; t++)
        assert_finite(w.gradients[t], world_row_numbers(&w, t));
    world_close(&w);
}

static void long_histories_and_huge_weights_stay_finite(void **state)
{
    (void)state;
    for (size_t i = 0; i < KINDS; i++) {
        check_extreme(kinds[i], .5, 1000);
        check_extreme(kinds[i], 1e4, 50);
        check_extreme(kinds[i], 1, 1);
    }
}

/* ---- parts ---- */

static void the_tangent_is_right_everywhere(void **state)
{
    double worst = 0;
    rng    r     = rng_named(1, RNG_TEST, 4, 0);

    (void)state;
    for (int i = 0; i < 200000; i++) {
        real   x    = (real)(rng_normal(&r) * pow(10, 6 * rng_uniform(&r) - 5));
        double want = tanh((double)x);
        worst       = fmax(worst, fabs((double)tanh_vector(x) - want) / fabs(want));
    }
    assert_true(worst < (sizeof(real) == sizeof(float) ? 4 * (double)FLT_EPSILON : 1e-15));
    assert_true(tanh_vector(0) == 0);
    assert_near((double)tanh_vector((real)1e30), 1, 1e-6);
    assert_near((double)tanh_vector((real)-INFINITY), -1, 1e-6);
    assert_true(isnan(tanh_vector((real)NAN)));
}

static void sequences_stand_by_length_and_keep_their_order(void **state)
{
    static const int offsets[] = {0, 2, 2, 5, 7, 8, 11, 13};
    static const int owner[] = {2, 5, 0, 3, 6, 4}, length[] = {3, 3, 2, 2, 2, 1};
    time_major       m;
    arena            a = {0};

    (void)state;
    MUST(time_major_sort(&m, offsets, 7, &a));
    assert_int_equal(m.n, 6);
    assert_int_equal(m.longest, 3);
    for (int i = 0; i < m.n; i++) {
        assert_int_equal(m.owner[i], owner[i]);
        assert_int_equal(m.length[i], length[i]);
        assert_int_equal(m.first[i], offsets[owner[i]]);
    }
    time_group g = time_major_group(&m, 0);
    assert_int_equal(g.events, 13);
    for (int t = 0; t <= 3; t++)
        assert_int_equal(time_group_at(&g, t), ((int[]){6, 5, 2, 0})[t]);
    arena_clear(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_its_equations),
        cmocka_unit_test(attention_of_one_or_zero_is_a_limit),
        cmocka_unit_test(samples_do_not_see_each_other),
        cmocka_unit_test(long_histories_and_huge_weights_stay_finite),
        cmocka_unit_test(the_tangent_is_right_everywhere),
        cmocka_unit_test(sequences_stand_by_length_and_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
