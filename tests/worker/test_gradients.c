/* Every number of every parameter and row of every model by central differences, over
 * configurations that together use every option. New models are covered by being in
 * models[]. In the float build differences are too coarse: skipped there. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/rng.h"

#define STEP      1e-6
#define FLOOR     1e-4
#define TOLERANCE 1e-5

#define FEATURES                                                                               \
    "tables: {user: {dim: 2}, item: {dim: 3}, cate: {dim: 2}, tag: {dim: 2}}\n"                \
    "features:\n"                                                                              \
    "  user: {table: user}\n"                                                                  \
    "  tags: {table: tag, pool: mean}\n"                                                       \
    "  words: {table: tag, pool: sum}\n"                                                       \
    "  age: {kind: float, transform: log}\n"                                                   \
    "  price: {kind: float, transform: standard, width: 2}\n"                                  \
    "  hour: {kind: float}\n"                                                                  \
    "  item: {table: item}\n"                                                                  \
    "  cate: {table: cate}\n"                                                                  \
    "  history: {columns: {cate: {table: cate}, item: {table: item}, time: {kind: time}}}\n"   \
    "  rich: {columns: {rating: {table: user}, item: {table: item}, cate: {table: cate},\n"    \
    "                   tags: {table: tag, pool: mean}, words: {table: tag, pool: sum},\n"     \
    "                   time: {kind: time}}}\n"                                                \
    "  dropped: {columns: {item: {table: item, drop_ids: 0.3},\n"                              \
    "                      tags: {table: tag, pool: mean, drop_ids: 0.5}}}\n"                  \
    "  partial: {table: tag, pool: sum, drop_ids: 0.4}\n"
#define USUAL "profile: [user], candidate: [item, cate], history: history, "
#define SMALL "mlp: {units: [3, 2]}, "
#define UNIT  "units: [4, 3]"
#define PARTS "attention: {" UNIT ", activation: prelu, parts: "

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
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

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

static void check_number(world *w, real *x, real gradient, const char *what, size_t k)
{
    real old = *x;

    *x           = old + (real)STEP;
    double above = world_loss(w);
    *x           = old - (real)STEP;
    double below = world_loss(w);
    *x           = old;
    double slope = (above - below) / (2 * STEP * w->batch.B), g = (double)gradient / w->batch.B;
    if (!(fabs(slope - g) / fmax(FLOOR, fabs(g)) < TOLERANCE))
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

static void check_variant(const model *m, const variant *v)
{
    char  yaml[4096];
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
}

static void every_gradient_is_what_differences_say(void **state)
{
    (void)state;
    if (sizeof(real) < sizeof(double)) {
        print_message("skipped: needs the double build\n");
        skip();
    }
    for (const model *const *m = models; *m; m++)
        for (size_t i = 0; i < COUNT(variants); i++)
            check_variant(*m, &variants[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_gradient_is_what_differences_say)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
