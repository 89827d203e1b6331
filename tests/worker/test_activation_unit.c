/* The activation unit, whose layers are one, against the same layers one by one: scores, all
 * gradients, and what becomes of the moments. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/rng.h"
#include "worker/layers/layers.h"

#define NEAR (sizeof(real) == sizeof(float) ? 2e-4 : 1e-10)

/* The history is wider than the candidate; widths are no multiples of a vector. */
#define YAML                                                                                   \
    "tables: {item: {dim: 19}, cate: {dim: 3}, tag: {dim: 2}}\n"                               \
    "features:\n"                                                                              \
    "  item: {table: item}\n"                                                                  \
    "  cate: {table: cate}\n"                                                                  \
    "  history: {columns: {item: {table: item}, cate: {table: cate}, tag: {table: tag}}}\n"    \
    "model: {kind: din, candidate: [item, cate], history: history,\n"                          \
    "        attention: {units: [%s], activation: %s, parts: [%s], normalize: %s, scaled: "    \
    "%s}}\n"                                                                                   \
    "dice: {sync: %s}\n"                                                                       \
    "train: {precision: %s}\n"

static const char *const candidate[] = {"item", "cate"};
static const char *const events[]    = {"history.item", "history.cate", "history.tag"};

static void inputs(graph *g, tensor **q, tensor **k)
{
    config_names names = {2, (char **)candidate};
    int          slots[3];

    for (int i = 0; i < 3; i++)
        slots[i] = schema_find_slot(graph_schema(g), events[i]);
    *q = embed_features(g, &names);
    *k = embed_slots(g, 3, slots);
}

/* Each event's score times the event, so that every score has a gradient of its own. */
static tensor *answer(graph *g, tensor *scores, tensor *k)
{
    return linear(g, weighted_sum(g, scores, k), 1, "answer");
}

static tensor *at_once(graph *g)
{
    const attention_config *c = &graph_config(g)->model.attention;
    tensor                 *q, *k;

    inputs(g, &q, &k);
    return answer(g, activation_unit(g, q, k, c, "unit"), k);
}

/* Scores, weights and sums in one layer, which reads events and writes their gradients by
 * pieces: twice, as two layers may read the same events. */
static tensor *summed(graph *g)
{
    const attention_config *c = &graph_config(g)->model.attention;
    tensor                 *q, *k;

    inputs(g, &q, &k);
    return linear(g, CONCAT(g, attention(g, q, k, c, "unit"), attention(g, q, k, c, "other")),
                  1, "answer");
}

/* The same in layers of their own. */
static tensor *taken_apart(graph *g, tensor *q, tensor *k, const char *name)
{
    const attention_config *c      = &graph_config(g)->model.attention;
    double                  factor = c->scaled ? 1 / sqrt(k->cols) : 1;
    tensor                 *scores = activation_unit(g, q, k, c, name);

    scores = c->normalize == NORMALIZE_SOFTMAX ? softmax_events(g, scores, factor)
                                               : scale(g, scores, factor);
    return weighted_sum(g, scores, k);
}

static tensor *apart(graph *g)
{
    tensor *q, *k;

    inputs(g, &q, &k);
    return linear(g, CONCAT(g, taken_apart(g, q, k, "unit"), taken_apart(g, q, k, "other")), 1,
                  "answer");
}

static tensor *one_by_one(graph *g)
{
    const attention_config *c = &graph_config(g)->model.attention;
    char                    name[64];
    tensor                 *q, *k, *x = NULL;

    inputs(g, &q, &k);
    for (int i = 0; i < c->units.n; i++) {
        int out = c->units.at[i];
        snprintf(name, sizeof name, "unit.%d", i);
        x = i ? linear(g, x, out, name) : pair_linear(g, q, k, c->n_parts, c->parts, out, name);
        x = activation(g, x, c->activation, name);
    }
    x = x ? linear(g, x, 1, "unit.output")
          : pair_linear(g, q, k, c->n_parts, c->parts, 1, "unit.output");
    return answer(g, x, k);
}

/* ---- comparing ---- */

typedef struct setting {
    const char *units, *activation, *parts, *sync, *normalize, *scaled;
} setting;

static const setting settings[] = {
    {"5, 18, 3", "dice", "q, k, q-k, q*k", "false", "none", "false"},
    {"17", "dice", "q, k, q-k, q*k", "true", "softmax", "true"},
    {"40, 16", "dice", "k, q*k", "true", "none", "true"},
    {"5, 18, 3", "prelu", "q, k, q-k, q*k", "false", "none", "false"},
    {"18, 4", "relu", "q, q-k, q*k", "false", "softmax", "false"},
    {"18, 4", "sigmoid", "q*k", "false", "none", "false"},
    {"18, 4", "none", "k", "false", "none", "true"},
    {"7, 4", "sigmoid", "q", "false", "softmax", "true"},
    {"", "dice", "q, k, q-k, q*k", "false", "none", "false"},
};

/* Histories of none, of one event, of several to a piece, and longer than a piece. */
static const int lengths[] = {0, 1, 3, 140, 60, 2, 0, 55, 80};

static void open_unit(world *w, const setting *s, const char *precision,
                      tensor *(*build)(graph *g), bool training)
{
    char yaml[1024];

    snprintf(yaml, sizeof yaml, YAML, s->units, s->activation, s->parts, s->normalize,
             s->scaled, s->sync, precision);
    world_open_graph(w, yaml, build);
    world_rows(w, 30, .6);
    world_draw(w, 19, sizeof lengths / sizeof *lengths, lengths, 4);
    for (int i = 0; i < dense_count(w->dense); i++) {
        param *p = dense_at(w->dense, i);
        for (size_t j = 0; j < p->count; j++)
            p->w[j] = (real)((p->trained ? .0 : .7) + .3 * sin(1 + i + 1.7 * (double)j));
    }
    w->training = training;
}

static void compare(const char *what, const real *a, const real *b, size_t n)
{
    double most = 1;

    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)b[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= NEAR * most))
            fail_msg("%s[%zu]: %.9g, wanted %.9g", what, i, (double)a[i], (double)b[i]);
}

static void compare_worlds(const setting *s, tensor *(*one)(graph *g),
                           tensor *(*other)(graph *g), bool training)
{
    world a, b;

    open_unit(&a, s, "fp32", one, training);
    open_unit(&b, s, "fp32", other, training);
    double loss = world_backward(&a), want = world_backward(&b);
    assert_near(loss, want, NEAR);
    assert_int_equal(dense_count(a.dense), dense_count(b.dense));
    for (int i = 0; i < dense_count(a.dense); i++) {
        param *p = dense_at(a.dense, i), *q = dense_at(b.dense, i);
        assert_string_equal(p->name, q->name);
        compare(p->name, p->g, q->g, p->count);
    }
    for (int t = 0; t < 3; t++)
        compare("rows", a.gradients[t], b.gradients[t], world_row_numbers(&a, t));
    world_update(&a, loss, .1);
    world_update(&b, want, .1);
    for (int i = 0; training && i < dense_count(a.dense); i++)
        compare(dense_at(a.dense, i)->name, dense_at(a.dense, i)->w, dense_at(b.dense, i)->w,
                dense_at(a.dense, i)->count);
    world_close(&a);
    world_close(&b);
}

static void its_layers_at_once_are_its_layers_one_by_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        compare_worlds(&settings[i], at_once, one_by_one, true);
        compare_worlds(&settings[i], at_once, one_by_one, false);
    }
}

static void attention_in_one_layer_is_attention_in_several(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        compare_worlds(&settings[i], summed, apart, true);
        compare_worlds(&settings[i], summed, apart, false);
    }
}

/* ---- in bf16 ---- */

static double norm(const real *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* |a - b| / |b| of n numbers. */
static double distance(const real *a, const real *b, size_t n)
{
    double far = 0;

    for (size_t i = 0; i < n; i++)
        far += pow((double)a[i] - (double)b[i], 2);
    return far > 0 ? sqrt(far) / norm(b, n) : 0;
}

/* A bf16 is off by 2^-9 of it or less; a few layers of them, and the way back, by some times
 * that: a bias' gradient, whose terms cancel, the most. */
static void compare_with_bf16(const setting *s, bool training)
{
    world a, b;

    open_unit(&a, s, "bf16", at_once, training);
    open_unit(&b, s, "fp32", at_once, training);
    double loss = world_backward(&a), want = world_backward(&b), far = 0, most = .03;
    assert_near(loss, want, 2e-3);
    for (int i = 0; i < dense_count(a.dense) && far <= most; i++) {
        param *p = dense_at(a.dense, i), *q = dense_at(b.dense, i);
        far = distance(p->g, q->g, p->count);
        if (far > most)
            fail_msg("the gradient of %s is off by %.3g of it", p->name, far);
    }
    for (int t = 0; t < 3; t++) {
        far = distance(a.gradients[t], b.gradients[t], world_row_numbers(&a, t));
        if (far > most || far == 0)
            fail_msg("the gradient of table %d is off by %.3g of it", t, far);
    }
    world_close(&a);
    world_close(&b);
}

static void in_bf16_it_is_near_what_it_is_in_reals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (*settings[i].units && (!strcmp(settings[i].activation, "dice") ||
                                   !strcmp(settings[i].activation, "sigmoid"))) {
            compare_with_bf16(&settings[i], true);
            compare_with_bf16(&settings[i], false);
        }
}

/* Rows and weights of -1, 0 and 1, and logits so large that a gradient is 0 or 1: what is
 * multiplied has 8 bits at most, and no sum needs more than 24. */
static void open_whole_numbers(world *w, const setting *s, const char *precision)
{
    rng r = rng_named(8, RNG_TEST, 6, 0);

    open_unit(w, s, precision, at_once, true);
    for (int i = 0; i < dense_count(w->dense); i++) {
        param *p = dense_at(w->dense, i);
        for (size_t j = 0; j < p->count; j++)
            p->w[j] = (real)((double)rng_below(&r, 3) - 1);
    }
    for (int t = 0; t < 3; t++)
        for (size_t j = 0; j < world_row_numbers(w, t); j++)
            w->rows[t][j] = (real)(rng_below(&r, 4) == 0 ? (double)rng_below(&r, 3) - 1 : 0);
    dense_find(w->dense, "answer.bias")->w[0] = 100000;
}

static void compare_whole_numbers(const setting *s)
{
    world a, b;

    open_whole_numbers(&a, s, "bf16");
    open_whole_numbers(&b, s, "fp32");
    assert_true(world_backward(&a) == world_backward(&b));
    for (int i = 0; i < dense_count(a.dense); i++) {
        param *p = dense_at(a.dense, i), *q = dense_at(b.dense, i);
        for (size_t j = 0; j < p->count; j++)
            if (p->g[j] != q->g[j])
                fail_msg("the gradient of %s[%zu] is %.9g, wanted %.9g", p->name, j,
                         (double)p->g[j], (double)q->g[j]);
    }
    for (int t = 0; t < 3; t++)
        for (size_t j = 0; j < world_row_numbers(&a, t); j++)
            if (a.gradients[t][j] != b.gradients[t][j])
                fail_msg("the gradient of row number %zu of table %d is %.9g, wanted %.9g", j,
                         t, (double)a.gradients[t][j], (double)b.gradients[t][j]);
    assert_true(norm(b.gradients[0], world_row_numbers(&b, 0)) > 1);
    world_close(&a);
    world_close(&b);
}

static void what_bf16_holds_is_not_changed_by_it(void **state)
{
    static const setting whole[] = {
        {"18, 4", "none", "q, k, q-k, q*k", "false", "none", "false"},
        {"5, 18, 3", "relu", "k, q*k", "false", "none", "false"},
        {"40, 17", "relu", "q, q-k, q*k", "false", "none", "false"},
        {"16", "none", "q*k", "false", "none", "false"},
        {"33, 3", "relu", "k", "false", "none", "false"},
        {"7, 4", "none", "q", "false", "none", "false"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        compare_whole_numbers(&whole[i]);
}

static void in_bf16_it_has_the_same_bits_again(void **state)
{
    world a, b;

    (void)state;
    open_unit(&a, &settings[0], "bf16", at_once, true);
    open_unit(&b, &settings[0], "bf16", at_once, true);
    double loss = world_backward(&a);
    assert_true(loss == world_backward(&b));
    for (int i = 0; i < dense_count(a.dense); i++)
        assert_memory_equal(dense_at(a.dense, i)->g, dense_at(b.dense, i)->g,
                            dense_at(a.dense, i)->count * sizeof(real));
    world_close(&a);
    world_close(&b);
}

/* What is evaluated is not rounded. */
static void evaluations_are_the_same_in_bf16(void **state)
{
    world a, b;

    (void)state;
    open_unit(&a, &settings[0], "bf16", at_once, false);
    open_unit(&b, &settings[0], "fp32", at_once, false);
    assert_true(world_loss(&a) == world_loss(&b));
    assert_memory_equal(a.logits, b.logits, (size_t)a.batch.B * sizeof *a.logits);
    world_close(&a);
    world_close(&b);
}

/* Layers are made in the order, and of the parameters, that checkpoints know. */
static void its_parameters_have_the_names_of_its_layers(void **state)
{
    static const char *const names[] = {
        "unit.0.weight", "unit.0.bias",   "unit.0.alpha",       "unit.0.mean",
        "unit.0.var",    "unit.1.weight", "unit.1.bias",        "unit.1.alpha",
        "unit.1.mean",   "unit.1.var",    "unit.output.weight", "unit.output.bias",
    };
    world w;

    (void)state;
    open_unit(&w, &(setting){"4, 3", "dice", "k", "false", "none", "false"}, "fp32", at_once,
              true);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_non_null(dense_find(w.dense, names[i]));
    world_close(&w);
}

static void a_unit_of_too_many_layers_is_refused(void **state)
{
    int              units[21];
    attention_config c = {.n_parts = 1, .parts = {PART_K}, .units = {21, units}};
    world            w;
    tensor          *q, *k;

    (void)state;
    for (int i = 0; i < 21; i++)
        units[i] = 1;
    open_unit(&w, &settings[0], "fp32", at_once, true);
    inputs(w.graph, &q, &k);
    activation_unit(w.graph, q, k, &c, "deep");
    assert_int_equal(graph_error(w.graph), ERR_CONFIG);
    assert_non_null(strstr(err_text(), "64"));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_layers_at_once_are_its_layers_one_by_one),
        cmocka_unit_test(what_bf16_holds_is_not_changed_by_it),
        cmocka_unit_test(in_bf16_it_is_near_what_it_is_in_reals),
        cmocka_unit_test(in_bf16_it_has_the_same_bits_again),
        cmocka_unit_test(evaluations_are_the_same_in_bf16),
        cmocka_unit_test(attention_in_one_layer_is_attention_in_several),
        cmocka_unit_test(its_parameters_have_the_names_of_its_layers),
        cmocka_unit_test(a_unit_of_too_many_layers_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
