/* What must hold of Base and DIN whatever their weights are: invariances, limits, statistics,
 * dropout, and the shape of errors. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/layers/layers.h"

#define NEAR (sizeof(real) == sizeof(float) ? 2e-5 : 1e-11)

#define FEATURES                                                                               \
    "tables: {user: {dim: 2}, item: {dim: 3}, cate: {dim: 2}}\n"                               \
    "features:\n"                                                                              \
    "  user: {table: user}\n"                                                                  \
    "  item: {table: item}\n"                                                                  \
    "  cate: {table: cate}\n"                                                                  \
    "  history: {columns: {item: {table: item}, cate: {table: cate}, time: {kind: time}}}\n"
#define MODEL(kind, rest)                                                                      \
    FEATURES "model: {kind: " kind ", profile: [user], candidate: [item, cate], "              \
             "history: history, mlp: {units: [3], activation: prelu}, " rest "}\n"
#define DIN(attention)                                                                         \
    MODEL("din", "attention: {units: [4], activation: sigmoid, " attention "}")

static const int lengths[] = {3, 0, 1, 5};

static void open_drawn(world *w, const char *yaml)
{
    world_open(w, yaml);
    world_rows(w, 6, 1);
    world_draw(w, 8, 4, lengths, 3);
    world_loss(w);
}

/* Give w the dense values of from, by name, where both have them. */
static void copy_params(world *w, const world *from)
{
    for (int i = 0; i < dense_count(w->dense); i++) {
        param       *p     = dense_at(w->dense, i);
        const param *other = dense_find(from->dense, p->name);
        if (other)
            memcpy(p->w, other->w, p->count * sizeof *p->w);
    }
}

static void assert_same_logits(world *a, world *b, double tolerance)
{
    world_loss(a);
    world_loss(b);
    for (int i = 0; i < a->batch.B; i++)
        assert_near((double)a->logits[i], (double)b->logits[i], tolerance);
}

/* ---- invariances ---- */

static void swap_ids(int *x, int i, int j)
{
    int kept = x[i];

    x[i] = x[j];
    x[j] = kept;
}

static void check_order(const char *yaml, bool matters)
{
    world  w;
    double before;

    open_drawn(&w, yaml);
    before = (double)w.logits[3];
    for (int k = 0; k < w.schema->n_slots; k++) /* sample 3 has the events 4 .. 8 */
        if (w.schema->slots[k].sequence >= 0)
            swap_ids(w.batch.slots[k].distinct, 4, 8);
    w.batch.sequences[0].time[4] = 1000000;
    w.batch.sequences[0].time[8] = 990000;
    world_loss(&w);
    if (matters)
        assert_true(fabs((double)w.logits[3] - before) > 1e-3);
    else
        assert_near((double)w.logits[3], before, NEAR);
    world_close(&w);
}

static void the_order_of_events_matters_to_decay_and_states_alone(void **state)
{
    (void)state;
    check_order(MODEL("base", "pool: sum"), false);
    check_order(MODEL("base", "pool: mean"), false);
    check_order(MODEL("base", "pool: decay, half_life: 3600"), true);
    check_order(DIN("normalize: none"), false);
    check_order(DIN("normalize: softmax"), false);
    check_order(MODEL("dien", "auxiliary: {kind: none}"), true);
}

/* Swap two samples that have equally many events. */
static void samples_do_not_see_each_other(void **state)
{
    world  w;
    double first, second;

    (void)state;
    open_drawn(&w, DIN("normalize: none"));
    first  = (double)w.logits[2];
    second = (double)w.logits[6];
    for (int k = 0; k < w.schema->n_slots; k++) {
        bool event = w.schema->slots[k].sequence >= 0;
        swap_ids(w.batch.slots[k].distinct, event ? 3 : 2, event ? 12 : 6);
    }
    world_loss(&w);
    assert_near((double)w.logits[2], second, NEAR);
    assert_near((double)w.logits[6], first, NEAR);
    world_close(&w);
}

/* A row that stands for two ids gets the sum of their gradients; one that no id names, none. */
static void gradients_of_a_repeated_id_add(void **state)
{
    world w;
    real  apart[6], together[6];
    int  *item;

    (void)state;
    open_drawn(&w, DIN("normalize: none"));
    item = w.batch.slots[schema_find_slot(w.schema, "history.item")].distinct;
    for (int i = 0; i < w.batch.sequences[0].events; i++)
        item[i] = i % 2;
    for (int i = 0; i < w.batch.B; i++)
        w.batch.slots[schema_find_slot(w.schema, "item")].distinct[i] = 2;
    memcpy(w.rows[1] + 3, w.rows[1], 3 * sizeof(real)); /* rows 0 and 1 alike */
    world_backward(&w);
    memcpy(apart, w.gradients[1], sizeof apart);
    for (int i = 0; i < w.batch.sequences[0].events; i++)
        item[i] = 0;
    world_backward(&w);
    memcpy(together, w.gradients[1], sizeof together);
    for (int d = 0; d < 3; d++) {
        assert_near((double)together[d], (double)apart[d] + (double)apart[3 + d], NEAR);
        assert_true(together[3 + d] == 0);
    }
    world_close(&w);
}

/* ---- limits ---- */

static void set_constant_score(world *w, double score)
{
    param *weight = dense_find(w->dense, "attention.output.weight");

    memset(weight->w, 0, weight->count * sizeof *weight->w);
    dense_find(w->dense, "attention.output.bias")->w[0] = (real)score;
}

static void check_equal(const char *one, const char *other, bool constant, double tolerance)
{
    world a, b;

    open_drawn(&a, one);
    open_drawn(&b, other);
    copy_params(&b, &a);
    if (constant)
        set_constant_score(&a, 1);
    assert_same_logits(&a, &b, tolerance);
    world_close(&a);
    world_close(&b);
}

static void models_meet_in_their_limits(void **state)
{
    (void)state;
    check_equal(DIN("normalize: none"), MODEL("base", "pool: sum"), true, NEAR);
    check_equal(DIN("normalize: softmax"), MODEL("base", "pool: mean"), true, NEAR);
    check_equal(MODEL("base", "pool: decay, half_life: 1.0e+12, decay_normalized: true"),
                MODEL("base", "pool: mean"), false, 1e-6);
    check_equal(MODEL("base", "pool: decay, half_life: 1.0e+12"), MODEL("base", "pool: sum"),
                false, 1e-6);
}

/* W = I makes the bilinear score the inner product. */
static void a_bilinear_score_of_the_identity_is_dot(void **state)
{
    world a, b;

    (void)state;
    open_drawn(&a, MODEL("din", "attention: {score: bilinear}"));
    open_drawn(&b, MODEL("din", "attention: {score: dot}"));
    copy_params(&b, &a);
    param *w = dense_find(a.dense, "attention.weight");
    for (int i = 0; i < w->shape[0]; i++)
        for (int j = 0; j < w->shape[1]; j++)
            w->w[i * w->shape[1] + j] = i == j;
    assert_same_logits(&a, &b, NEAR);
    world_close(&a);
    world_close(&b);
}

/* The factored first layer against the plain one: the same weight in another order of parts. */
static void parts_may_come_in_any_order(void **state)
{
    world a, b;

    (void)state;
    open_drawn(&a, DIN("parts: [q, k, q-k, q*k]"));
    open_drawn(&b, DIN("parts: [q*k, q-k, k, q]"));
    copy_params(&b, &a);
    param *from = dense_find(a.dense, "attention.0.weight"),
          *to   = dense_find(b.dense, "attention.0.weight");
    for (int u = 0; u < 4; u++)
        for (int part = 0; part < 4; part++)
            memcpy(to->w + u * 20 + 5 * (3 - part), from->w + u * 20 + 5 * part,
                   5 * sizeof(real));
    assert_same_logits(&a, &b, NEAR);
    world_close(&a);
    world_close(&b);
}

/* ---- Dice and its statistics ---- */

#define NUMBERS                                                                                \
    "tables: {user: {dim: 1}}\nfeatures: {user: {table: user}, x: {kind: float}}\n"            \
    "model: {kind: base, profile: [x]}\n"

static config_names x_names = {1, (char *[]){"x"}};

static tensor *dice_of_x(graph *g)
{
    return activation(g, embed_features(g, &x_names), ACTIVATION_DICE, "unit");
}

static void open_dice(world *w, int B, real *x)
{
    world_open_graph(w, NUMBERS, dice_of_x);
    world_rows(w, 1, 1);
    world_draw(w, B, 1, (int[]){0}, 1);
    w->batch.floats[0].x = x;
}

/* Batches of mean 3 and variance 4 move mean and var by 1 % a step: after three steps
 * (1 - .99^3) 3 and .99^3 + (1 - .99^3) 4. */
static void moving_moments_follow_by_their_momentum(void **state)
{
    world  w;
    real   x[]  = {1, 5, 1, 5};
    double kept = .99 * .99 * .99;

    (void)state;
    open_dice(&w, 4, x);
    for (int step = 0; step < 3; step++)
        world_update(&w, world_backward(&w), 0);
    assert_near((double)dense_find(w.dense, "unit.mean")->w[0], (1 - kept) * 3, NEAR);
    assert_near((double)dense_find(w.dense, "unit.var")->w[0], kept + (1 - kept) * 4, NEAR);
    world_close(&w);
}

static double dice(double x, double mean, double var, double alpha)
{
    double p = 1 / (1 + exp(-(x - mean) / sqrt(var + 1e-8)));

    return p * x + (1 - p) * alpha * x;
}

static void evaluation_and_single_rows_use_moving_moments(void **state)
{
    world w;
    real  x[] = {2, -1};

    (void)state;
    open_dice(&w, 2, x);
    dense_find(w.dense, "unit.mean")->w[0]  = (real).5;
    dense_find(w.dense, "unit.var")->w[0]   = 4;
    dense_find(w.dense, "unit.alpha")->w[0] = (real).25;
    world_loss(&w);
    assert_near((double)w.logits[0], dice(2, .5, 2.25, .25), NEAR); /* the batch's own */
    w.training = false;
    world_loss(&w);
    assert_near((double)w.logits[0], dice(2, .5, 4, .25), NEAR);
    assert_near((double)w.logits[1], dice(-1, .5, 4, .25), NEAR);
    w.training = true;
    w.batch.B  = 1;
    world_update(&w, world_backward(&w), 0);
    assert_near((double)dense_find(w.dense, "unit.var")->w[0], 4,
                0); /* one row moves nothing */
    world_loss(&w);
    assert_near((double)w.logits[0], dice(2, .5, 4, .25), 1e-2); /* alpha was updated */
    world_close(&w);
}

/* ---- dropout ---- */

static tensor *dropout_of_x(graph *g)
{
    return dropout(g, embed_features(g, &x_names), .25, "layer");
}

static void dropout_is_the_same_wherever_a_sample_is_computed(void **state)
{
    enum { B = 4000 };
    static real x[B], all[B];
    world       w;
    int         kept = 0;

    (void)state;
    for (int i = 0; i < B; i++)
        x[i] = 1;
    world_open_graph(&w, NUMBERS, dropout_of_x);
    world_rows(&w, 1, 1);
    world_draw(&w, B, 1, (int[]){0}, 1);
    w.batch.floats[0].x = x;
    world_loss(&w);
    memcpy(all, w.logits, sizeof all);
    for (int i = 0; i < B; i++) {
        assert_true(all[i] == 0 || all[i] == (real)(1 / .75));
        kept += all[i] != 0;
    }
    assert_in_range(kept, B * 3 / 4 - 120, B * 3 / 4 + 120); /* 4.4 standard deviations */
    w.batch.B     = 1000;
    w.batch.first = 3000;
    world_loss(&w);
    assert_memory_equal(w.logits, all + 3000, 1000 * sizeof(real));
    w.step_number = 1;
    world_loss(&w);
    assert_memory_not_equal(w.logits, all + 3000, 1000 * sizeof(real));
    w.training = false;
    world_loss(&w);
    assert_memory_equal(w.logits, x, 1000 * sizeof(real));
    world_close(&w);
}

static config_names user_names = {1, (char *[]){"user"}};

static tensor *user_alone(graph *g)
{
    return embed_features(g, &user_names);
}

static void discarded_ids_embed_as_zero_in_training_alone(void **state)
{
    enum { B = 4000 };
    world w;
    int   kept = 0;

    (void)state;
    world_open_graph(
        &w,
        "tables: {user: {dim: 1}}\nfeatures: {user: {table: user, drop_ids: 0.5}}\n"
        "model: {kind: base, profile: [user]}\n",
        user_alone);
    world_rows(&w, 1, 1);
    w.rows[0][0] = 3;
    world_draw(&w, B, 1, (int[]){0}, 1);
    world_loss(&w);
    for (int i = 0; i < B; i++) {
        assert_true(w.logits[i] == 0 || w.logits[i] == 3);
        kept += w.logits[i] != 0;
    }
    assert_in_range(kept, B / 2 - 140, B / 2 + 140);
    w.training = false;
    world_loss(&w);
    for (int i = 0; i < B; i++)
        assert_true(w.logits[i] == 3);
    world_close(&w);
}

/* ---- numbers ---- */

static tensor *x_alone(graph *g)
{
    return embed_features(g, &x_names);
}

static void check_transform(const char *how, double mean, double deviation, real x, double want)
{
    char  yaml[512];
    world w;

    snprintf(yaml, sizeof yaml,
             "features: {x: {kind: float, transform: %s}}\nmodel: {kind: base, profile: [x]}\n",
             how);
    world_open_graph(&w, yaml, x_alone);
    world_draw(&w, 1, 1, (int[]){0}, 1);
    w.batch.floats[0].x = &x;
    if (dense_find(w.dense, "x.mean")) {
        dense_find(w.dense, "x.mean")->w[0]      = (real)mean;
        dense_find(w.dense, "x.deviation")->w[0] = (real)deviation;
    }
    world_loss(&w);
    assert_near((double)w.logits[0], want, NEAR);
    world_close(&w);
}

static void numbers_are_transformed(void **state)
{
    (void)state;
    check_transform("none", 0, 1, -7, -7);
    check_transform("log", 0, 1, (real)1.7182818284590452, 1);
    check_transform("log", 0, 1, (real)-1.7182818284590452, -1);
    check_transform("standard", 10, 4, 12, .5);
}

/* ---- refusals ---- */

static void what_a_model_cannot_do_is_said(void **state)
{
    (void)state;
    world_refused(FEATURES "model: {kind: dim, profile: [user]}", "model.kind is");
    world_refused(FEATURES "model: {kind: base}", "no inputs");
    world_refused(FEATURES "model: {kind: din, candidate: [item]}", "needs a history");
    world_refused(FEATURES "model: {kind: din, candidate: [user], history: history}",
                  "shares a table");
    world_refused(FEATURES "model: {kind: din, candidate: [item], history: history, "
                           "attention: {groups: separate}}",
                  "history.cate has no candidate feature of its table");
    world_refused(FEATURES "model: {kind: din, candidate: [item], history: history, "
                           "attention: {units: [2], parts: [q, q]}}",
                  "model.attention.parts");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_events_matters_to_decay_and_states_alone),
        cmocka_unit_test(samples_do_not_see_each_other),
        cmocka_unit_test(gradients_of_a_repeated_id_add),
        cmocka_unit_test(models_meet_in_their_limits),
        cmocka_unit_test(a_bilinear_score_of_the_identity_is_dot),
        cmocka_unit_test(parts_may_come_in_any_order),
        cmocka_unit_test(moving_moments_follow_by_their_momentum),
        cmocka_unit_test(evaluation_and_single_rows_use_moving_moments),
        cmocka_unit_test(dropout_is_the_same_wherever_a_sample_is_computed),
        cmocka_unit_test(discarded_ids_embed_as_zero_in_training_alone),
        cmocka_unit_test(numbers_are_transformed),
        cmocka_unit_test(what_a_model_cannot_do_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
