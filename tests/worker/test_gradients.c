/* Every number of every parameter and row of every model by central differences, over
 * configurations that together use every option. New models are covered by being in
 * models[]. In the float build differences are too coarse: skipped there. And all models and
 * options rank the candidates of a request as they predict samples, and give finite numbers
 * where histories are very long or empty and scores are very large. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"

#define STEP      1e-6
#define FLOOR     1e-4
#define TOLERANCE 1e-5

#define FEATURES                                                                               \
    "tables: {user: {dim: 2}, item: {dim: 3}, cate: {dim: 2}, tag: {dim: 2},\n"                \
    "         shop: {dim: 3}}\n"                                                               \
    "features:\n"                                                                              \
    "  user: {table: user}\n"                                                                  \
    "  tags: {table: tag, pool: mean}\n"                                                       \
    "  words: {table: tag, pool: sum}\n"                                                       \
    "  age: {kind: float, transform: log}\n"                                                   \
    "  price: {kind: float, transform: standard, width: 2}\n"                                  \
    "  hour: {kind: float}\n"                                                                  \
    "  item: {table: item}\n"                                                                  \
    "  cate: {table: cate}\n"                                                                  \
    "  history: {columns: {cate: {table: cate}, item: {table: item}, time: {kind: time},\n"    \
    "    other_item: {table: item}, other_cate: {table: cate}}}\n"                             \
    "  rich: {columns: {rating: {table: user}, item: {table: item}, cate: {table: cate},\n"    \
    "                   tags: {table: tag, pool: mean}, words: {table: tag, pool: sum},\n"     \
    "                   time: {kind: time}}}\n"                                                \
    "  dropped: {columns: {item: {table: item, drop_ids: 0.3},\n"                              \
    "                      tags: {table: tag, pool: mean, drop_ids: 0.5}}}\n"                  \
    "  partial: {table: tag, pool: sum, drop_ids: 0.4}\n"                                      \
    "  shop: {table: shop, drop_ids: 0.3}\n"                                                   \
    "  shops: {table: shop, pool: mean}\n"                                                     \
    "  visits: {columns: {item: {table: item}, shops: {table: shop, pool: sum},\n"             \
    "                     time: {kind: time}}}\n"
#define HISTORY                                                                                \
    "profile: [user], candidate: [item, cate], history: history, auxiliary: {"                 \
    "negatives: [other_item, other_cate], units: "
#define USUAL HISTORY "[3]}, "
#define SMALL "mlp: {units: [3, 2]}, "
#define UNIT  "units: [4, 3]"
#define FIELDS                                                                                 \
    "profile: [shops, age], candidate: [item], context: [shop], history: visits, "
#define ADS   USUAL SMALL "contextual: visits, clicked: history, "
#define PARTS "attention: {" UNIT ", activation: prelu, parts: "

#define DSIN_HEADS(heads, sessions, transformer, lstm)                                         \
    USUAL SMALL "sessions: {" sessions "}, transformer: {heads: " heads ", " transformer       \
                "}, lstm: {" lstm "}"
#define DSIN(sessions, transformer, lstm) DSIN_HEADS("1", sessions, transformer, lstm)

/* What stands in `model: {kind: ..., }`, and other sections. */
typedef struct variant {
    const char *model, *others;
} variant;

static const variant variants[] = {
    {USUAL SMALL "attention: {" UNIT "}", ""},
    {USUAL SMALL "attention: {" UNIT ", activation: sigmoid, normalize: softmax}", ""},
    {USUAL SMALL "attention: {" UNIT ", activation: prelu, normalize: softmax, scaled: true}",
     ""},
    {USUAL SMALL "attention: {" UNIT ", activation: sigmoid, scaled: true}", ""},
    {USUAL SMALL PARTS "[q, k, q-k]}", ""},
    {USUAL SMALL PARTS "[q*k, k]}", ""},
    {USUAL SMALL PARTS "[q*k]}", ""},
    {USUAL SMALL PARTS "[q-k]}", ""},
    {USUAL SMALL PARTS "[q]}", ""},
    {USUAL SMALL PARTS "[k, q]}", ""},
    {USUAL SMALL PARTS "[q-k, q*k, k, q]}", ""},
    {USUAL SMALL "attention: {units: [], normalize: softmax}", ""},
    {USUAL SMALL "attention: {score: dot}", ""},
    {USUAL SMALL "attention: {score: dot, normalize: softmax, scaled: true}", ""},
    {USUAL SMALL "attention: {score: bilinear}", ""},
    {USUAL SMALL "attention: {" UNIT ", groups: separate}", ""},
    {USUAL SMALL "attention: {score: bilinear, groups: separate, normalize: softmax}", ""},
    {USUAL "pool: mean, mlp: {units: [3], activation: relu}, attention: {" UNIT
           ", activation: relu}",
     ""},
    {USUAL "pool: decay, half_life: 9000, mlp: {units: [3], activation: sigmoid}, "
           "attention: {score: dot}",
     ""},
    {USUAL "pool: decay, half_life: 9000, decay_normalized: true, mlp: {units: []}, "
           "attention: {" UNIT "}",
     ""},
    {USUAL "mlp: {units: [4, 3], activation: prelu, batch_norm: true}, attention: {" UNIT "}",
     ""},
    {USUAL "mlp: {units: [4, 3], activation: none, batch_norm: true}, attention: {score: dot}",
     "batch_norm: {sync: true}"},
    {USUAL "mlp: {units: [4, 3], dropout: 0.4}, attention: {" UNIT "}", ""},
    {USUAL SMALL "attention: {" UNIT "}", "dice: {sync: true, eps: 0.01}"},
    {"profile: [user, tags, age, price], candidate: [item, cate], context: [words, hour], "
     "history: rich, " SMALL "attention: {" UNIT ", activation: prelu}",
     ""},
    {"profile: [price, partial], candidate: [item], history: dropped, " SMALL
     "attention: {" UNIT ", normalize: softmax}",
     ""},
    {"candidate: [cate], history: rich, mlp: {units: [2], activation: prelu}, attention: "
     "{score: bilinear}",
     ""},
    {"profile: [user], candidate: [item, tags], context: [hour], " SMALL, ""},
    {HISTORY "[3, 2], mean_over: events, weight: 0.5}, evolution: {kind: augru_code}, " SMALL,
     ""},
    {HISTORY "[], kind: dot}, evolution: {kind: agru}, " SMALL, ""},
    {HISTORY "[], kind: none}, evolution: {kind: aigru, units: 17}, " SMALL, ""},
    {HISTORY "[4]}, evolution: {kind: none, units: 3}, attention: {score: mlp, " UNIT
             ", scaled: true}, " SMALL,
     ""},
    {HISTORY "[3]}, attention: {score: dot}, evolution: {units: 5}, " SMALL, ""},
};

/* Options that one model alone has. */
static const variant dsin_variants[] = {
    {DSIN("gap: 4000", "", ""), ""},
    {DSIN("gap: 4000, keep: 2, max_len: 2, encoding: none", "layer_norm: false, bias: false",
          "peepholes: false, join: average"),
     ""},
    {DSIN("gap: 1000, encoding: sinusoid, number_from: newest", "output: false, hidden: 1", ""),
     ""},
    {DSIN("gap: 20000, number_from: newest, min_len: 2", "blinding: true",
          "units: 2, layers: 2, dropout: 0.3"),
     ""},
    {DSIN_HEADS("5", "gap: 8000", "blinding: true, norm_eps: 0.1",
                "units: 3, layers: 2, join: average, bias: 1"),
     ""},
    {"profile: [user], candidate: [item], history: rich, sessions: {gap: 5000}, " SMALL
     "transformer: {heads: 1}, attention: {" UNIT ", normalize: none}",
     ""},
};

static const variant crossed_variants[] = {
    {FIELDS "pool: mean, afm: {attention_factor: 3, dropout: 0.3, attention_l2: 1}", ""},
    {FIELDS "first_order: none, afm: {attention_factor: 2}", ""},
    {"profile: [price, age], candidate: [item]", ""},
};

static const variant dstn_variants[] = {
    {ADS "unclicked: rich, dstn: {mode: interactive, hidden: 3}", ""},
    {ADS "unclicked: rich, dstn: {mode: self, hidden: 3}", ""},
    {ADS "dstn: {mode: pool}", ""},
    {ADS "dstn: {mode: none}", ""},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct own {
    const char    *model;
    const variant *at;
    size_t         n;
} own_variants[] = {{"lr", crossed_variants, COUNT(crossed_variants)},
                    {"fm", crossed_variants, COUNT(crossed_variants)},
                    {"afm", crossed_variants, COUNT(crossed_variants)},
                    {"dsin", dsin_variants, COUNT(dsin_variants)},
                    {"dstn", dstn_variants, COUNT(dstn_variants)}};

/* ---- a point at which nothing is special ---- */

static void scatter_params(world *w)
{
    rng r = rng_named(11, RNG_TEST, 2, 0);

    for (int i = 0; i < dense_count(w->dense); i++) {
        param *p        = dense_at(w->dense, i);
        bool   positive = strstr(p->name, ".var") || strstr(p->name, ".deviation");
        for (size_t k = 0; k < p->count; k++) {
            double z = .5 * rng_normal(&r);
            p->w[k]  = (real)(positive ? .5 + z * z : z);
        }
    }
}

static real weights[] = {.5, 2, 1, 0, 3};

static double slope_at(world *w, real *x, double step)
{
    real old = *x;

    *x           = old + (real)step;
    double above = world_loss(w);
    *x           = old - (real)step;
    double below = world_loss(w);
    *x           = old;
    return (above - below) / (2 * step * w->batch.B);
}

static bool agree(double g, double slope)
{
    return fabs(slope - g) / fmax(FLOOR, fabs(g)) < TOLERANCE;
}

/* A step ten times as wide has a tenth of the rounding, which small gradients drown in. */
static void check_number(world *w, real *x, real gradient, const char *what, size_t k)
{
    double g = (double)gradient / w->batch.B, slope = slope_at(w, x, STEP);

    if (!agree(g, slope) && !agree(g, slope = slope_at(w, x, 10 * STEP)))
        fail_msg("%s[%zu]: gradient %.10g, by differences %.10g", what, k, g, slope);
}

/* Of the mean loss; a batch of nothing has no gradient to compare, but must run. */
static void check_all(world *w)
{
    world_backward(w);
    if (w->batch.B == 0)
        return;
    for (int i = 0; i < dense_count(w->dense); i++) {
        param *p = dense_at(w->dense, i);
        for (size_t k = 0; p->trained && k < p->count; k++)
            check_number(w, &p->w[k], p->g[k], p->name, k);
    }
    for (int t = 0; t < w->schema->n_tables; t++)
        for (size_t k = 0; k < world_row_numbers(w, t); k++)
            check_number(w, &w->rows[t][k], w->gradients[t][k],
                         w->schema->tables[t].config->name, k);
}

/* ---- batches: mixed, a single sample, without any event, and of nothing ---- */

typedef struct shape {
    int  B, n_lengths, lengths[3];
    bool weighted;
} shape;

static const shape shapes[] = {
    {5, 3, {0, 1, 3}, true}, {1, 1, {4}, false}, {2, 1, {0}, false}, {0, 1, {0}, false}};

/* Whether the model takes the variant. */
static bool check_variant(const model *m, const variant *v)
{
    char  yaml[8192];
    world w;

    snprintf(yaml, sizeof yaml, "%smodel: {kind: %s, %s}\n%s\n", FEATURES, m->name, v->model,
             v->others);
    err_t e = world_try(&w, yaml);
    if (e == ERR_CONFIG)
        print_message("%s refuses {%s}: %s\n", m->name, v->model, err_text());
    else
        MUST(e);
    for (size_t i = 0; e == OK && i < COUNT(shapes); i++) {
        world_rows(&w, 4, .7);
        scatter_params(&w);
        world_draw(&w, shapes[i].B, shapes[i].n_lengths, shapes[i].lengths, 3 + i);
        w.batch.weight = shapes[i].weighted ? weights : NULL;
        check_all(&w);
    }
    world_close(&w);
    return e == OK;
}

/* ---- requests with candidates ---- */

/* Of the same model, in the same state: what is shared, and what is not. */
static void check_ranking(world *w)
{
    static const int counts[] = {3, 1, 7, 0};
    requests         r;
    double           tolerance = sizeof(real) < sizeof(double) ? 1e-5 : 1e-12;

    world_requests(w, &r, COUNT(counts), counts, 5);
    size_t n    = (size_t)r.each.B;
    real  *alone = malloc((n + 1) * sizeof *alone);
    assert_non_null(alone);
    memcpy(alone, world_rank(w, &r, true), n * sizeof *alone);
    const real *together = world_rank(w, &r, false);
    for (size_t i = 0; i < n; i++)
        assert_near((double)together[i], (double)alone[i], tolerance);
    free(alone);
}

/* Whether the model takes the variant. */
static bool rank_variant(const model *m, const variant *v)
{
    char  yaml[4096];
    world w;
    bool  taken = false;

    snprintf(yaml, sizeof yaml, "%smodel: {kind: %s, %s}\n%s\n", FEATURES, m->name, v->model,
             v->others);
    for (size_t i = 0; i < COUNT(shapes) && world_try(&w, yaml) == OK; i++) {
        taken = true;
        world_rows(&w, 4, .7);
        scatter_params(&w);
        world_draw(&w, shapes[i].B, shapes[i].n_lengths, shapes[i].lengths, 3 + i);
        check_ranking(&w);
        if (i + 1 < COUNT(shapes))
            world_close(&w);
    }
    world_close(&w);
    return taken;
}

/* ---- extremes ---- */

/* Embeddings of some size give scores of about its square, and more in a cross of three. */
typedef struct extreme {
    double rows;
    shape  of;
} extreme;

static const extreme extremes[] = {{1, {2, 2, {1000, 0}, false}},   {1, {1, 1, {1000}, false}},
                                   {100, {3, 3, {0, 1, 50}, true}}, {100, {1, 1, {2}, false}},
                                   {1e4, {2, 2, {3, 1}, false}},    {0, {1, 1, {5}, false}},
                                   {100, {1, 1, {0}, false}}};

static void check_finite(const real *x, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite((double)x[i]))
            fail_msg("%s[%zu] is %g", what, i, (double)x[i]);
}

/* Logits in training and without, and all gradients. */
static void check_numbers(world *w)
{
    w->training = true;
    assert_true(isfinite(world_backward(w)));
    for (int i = 0; i < dense_count(w->dense); i++)
        check_finite(dense_at(w->dense, i)->g, dense_at(w->dense, i)->count,
                     dense_at(w->dense, i)->name);
    for (int t = 0; t < w->schema->n_tables; t++)
        check_finite(w->gradients[t], world_row_numbers(w, t),
                     w->schema->tables[t].config->name);
    w->training = false;
    world_loss(w);
    check_finite(w->logits, (size_t)w->batch.B, "logits");
}

/* Whether the model takes the variant. */
static bool extreme_variant(const model *m, const variant *v)
{
    char  yaml[8192];
    world w;

    snprintf(yaml, sizeof yaml, "%smodel: {kind: %s, %s}\n%s\n", FEATURES, m->name, v->model,
             v->others);
    bool taken = world_try(&w, yaml) == OK;
    for (size_t i = 0; taken && i < COUNT(extremes); i++) {
        const shape *of = &extremes[i].of;
        world_rows(&w, 4, extremes[i].rows);
        scatter_params(&w);
        world_draw(&w, of->B, of->n_lengths, of->lengths, 3 + i);
        w.batch.weight = of->weighted ? weights : NULL;
        check_numbers(&w);
    }
    world_close(&w);
    return taken;
}

typedef bool check_function(const model *m, const variant *v);

/* A model that takes none of them has nothing checked. */
static void each_variant(const model *m, check_function *check)
{
    int taken = 0;

    for (size_t i = 0; i < COUNT(variants); i++)
        taken += check(m, &variants[i]);
    for (size_t i = 0; i < COUNT(own_variants); i++)
        for (size_t k = 0; k < own_variants[i].n; k++)
            if (!strcmp(own_variants[i].model, m->name))
                taken += check(m, &own_variants[i].at[k]);
    print_message("%s: %d variants\n", m->name, taken);
    assert_true(taken > 0);
}

static void candidates_of_a_request_are_ranked_as_samples_are(void **state)
{
    (void)state;
    for (const model *const *m = models; *m; m++)
        each_variant(*m, rank_variant);
}

static void numbers_stay_finite_at_extremes(void **state)
{
    (void)state;
    for (const model *const *m = models; *m; m++)
        each_variant(*m, extreme_variant);
}

static void every_gradient_is_what_differences_say(void **state)
{
    (void)state;
    if (sizeof(real) < sizeof(double)) {
        print_message("skipped: needs the double build\n");
        skip();
    }
    for (const model *const *m = models; *m; m++)
        each_variant(*m, check_variant);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_gradient_is_what_differences_say),
        cmocka_unit_test(candidates_of_a_request_are_ranked_as_samples_are),
        cmocka_unit_test(numbers_stay_finite_at_extremes)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
