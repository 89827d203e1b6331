/* variants - every model in every option: what the tests of all models are run over.
 *
 *     static bool check(const model *m, const variant *v)      whether m takes v
 *     {
 *         world w;
 *         bool  taken = open_variant(&w, m, v);
 *         ...
 *         world_close(&w);
 *         return taken;
 *     }
 *     each_variant(models[i], check);
 *
 * A model is covered by being in models[]: it is offered all of variants[], and has to take
 * one. What one model alone knows stands in own_variants[]. test_models.c says which option of
 * the configuration no variant turns. */
#ifndef DIPS_TESTS_WORKER_VARIANTS_H
#define DIPS_TESTS_WORKER_VARIANTS_H

#include "tests/worker/fixture.h"

#include <stdio.h>
#include <string.h>

#include "common/rng.h"

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
    "  visits: {columns: {item: {table: item}, shops: {table: shop, pool: sum},\n"            \
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
    {USUAL SMALL "attention: {" UNIT ", activation: none, normalize: softmax}", ""},
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
    {HISTORY "[], kind: dot, mean_over: samples}, evolution: {kind: agru}, " SMALL, ""},
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

/* Build model m so. False: m refuses v. world_close in any case. */
static inline bool open_variant(world *w, const model *m, const variant *v)
{
    char  yaml[8192];
    err_t e;

    snprintf(yaml, sizeof yaml, "%smodel: {kind: %s, %s}\n%s\n", FEATURES, m->name, v->model,
             v->others);
    e = world_try(w, yaml);
    if (e != ERR_CONFIG)
        MUST(e);
    return e == OK;
}

/* ---- a point at which nothing is special ---- */

static inline void scatter_params(world *w)
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

/* ---- batches: mixed, a single sample, without any event, and of nothing ---- */

typedef struct shape {
    int  B, n_lengths, lengths[3];
    bool weighted;
} shape;

static const shape shapes[] = {
    {5, 3, {0, 1, 3}, true}, {1, 1, {4}, false}, {2, 1, {0}, false}, {0, 1, {0}, false}};

static real weights[] = {.5, 2, 1, 0, 3};

/* Rows of that deviation, parameters at some point, and batch number i of a list of shapes. */
static inline void set_batch(world *w, const shape *of, size_t i, double deviation)
{
    world_rows(w, 4, deviation);
    scatter_params(w);
    world_draw(w, of->B, of->n_lengths, of->lengths, 3 + i);
    w->batch.weight = of->weighted ? weights : NULL;
}

typedef bool check_function(const model *m, const variant *v);

/* A model that takes none of them has nothing checked. */
static inline void each_variant(const model *m, check_function *check)
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

#endif
