/* The models against numbers of an independent program (PyTorch, double precision):
 * golden.json of the shared reference folder holds logits, loss and, of every gradient, the
 * sum and the norm. Its parameter number t has the values A sin(1 + .37 t + .11 k). */
#include "tests/worker/fixture.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TOLERANCE 1e-9

#define TABLES                                                                                 \
    "tables: {item: {dim: 3}, cate: {dim: 3}, user: {dim: 3}}\n"                               \
    "features:\n"                                                                              \
    "  user: {table: user}\n"                                                                  \
    "  item: {table: item}\n"                                                                  \
    "  cate: {table: cate}\n"                                                                  \
    "  history: {columns: {item: {table: item}, cate: {table: cate}, time: {kind: time},\n"    \
    "    negative_item: {table: item}, negative_cate: {table: cate}}}\n"                        \
    "  above: {columns: {item: {table: item}, cate: {table: cate}}}\n"                         \
    "  clicked: {columns: {item: {table: item}, cate: {table: cate}}}\n"                       \
    "  unclicked: {columns: {item: {table: item}, cate: {table: cate}}}\n"
#define MODEL(kind, rest) AUXILIARY(kind, "", rest)
#define AUXILIARY(kind, auxiliary, rest)                                                       \
    TABLES "model: {kind: " kind ", profile: [user], candidate: [item, cate], "                \
           "auxiliary: {" auxiliary "negatives: [negative_item, negative_cate]}, "             \
           "history: history, " rest "}\n"
#define MLP(activation) "mlp: {units: [5, 4], activation: " activation "}"
#define UNIT            "score: mlp, units: [6, 4], activation: sigmoid"
#define FOUR            "parts: [q, k, q-k, q*k]"
#define DIN(attention)  MODEL("din", MLP("dice") ", attention: {" attention "}")
#define DSTN(mode)                                                                             \
    MODEL("dstn", MLP("prelu") ", contextual: above, clicked: clicked, unclicked: unclicked, " \
                               "dstn: {mode: " mode ", hidden: 4}")
#define DIEN(evolution)                                                                        \
    AUXILIARY("dien", "units: [5], mean_over: events, ",                                       \
              MLP("dice") ", evolution: {kind: " evolution "}")

#define DSIN(sessions, transformer, lstm)                                                      \
    MODEL("dsin", MLP("dice") ", "                                                             \
                              "sessions: {keep: 2, max_len: 4, " sessions "}, "                \
                              "transformer: {heads: 2, " transformer "}, "                     \
                              "lstm: {" lstm "}")

/* What the reference calls our parameters, in the order in which it makes them. */
typedef struct named {
    const char *theirs, *ours; /* ours NULL: a table's rows */
    double      amplitude;
} named;

#define EMBEDDINGS                                                                             \
    {"emb.item", NULL, .5}, {"emb.cate", NULL, .5},                                            \
    {                                                                                          \
        "emb.user", NULL, .5                                                                   \
    }
#define LINEAR(theirs, ours)                                                                   \
    {theirs ".W", ours ".weight", .3},                                                         \
    {                                                                                          \
        theirs ".b", ours ".bias", .1                                                          \
    }
#define HEAD                                                                                   \
    LINEAR("mlp0", "mlp.0"), {"mlp0.alpha", "mlp.0.alpha", .1}, LINEAR("mlp1", "mlp.1"),       \
        {"mlp1.alpha", "mlp.1.alpha", .1}, LINEAR("out", "output")
#define UNITS(theirs, ours)                                                                    \
    LINEAR(theirs "0", ours ".0"), LINEAR(theirs "1", ours ".1"),                              \
        LINEAR(theirs "o", ours ".output")

static const named plain_names[] = {EMBEDDINGS, HEAD, {0}};
static const named unit_names[]  = {EMBEDDINGS, UNITS("att", "attention"), HEAD, {0}};
static const named group_names[] = {
    EMBEDDINGS, UNITS("att0_", "attention.item"), UNITS("att1_", "attention.cate"), HEAD, {0}};
static const named bilinear_names[] = {
    EMBEDDINGS, {"att.W", "attention.weight", .3}, HEAD, {0}};
#define GRU(theirs, ours)                                                                      \
    {theirs ".W", ours ".input.weight", .3}, {theirs ".U", ours ".recurrent.weight", .3},      \
    {                                                                                          \
        theirs ".b", ours ".bias", .1                                                          \
    }
static const named dien_names[] = {EMBEDDINGS,
                                   GRU("gru1", "extractor"),
                                   LINEAR("aux0", "auxiliary.0"),
                                   LINEAR("aux1", "auxiliary.output"),
                                   {"att.W", "attention.weight", .3},
                                   GRU("gru2", "evolution"),
                                   HEAD,
                                   {0}};

#define ENCODING                                                                               \
    {"be.k", "encoding.session", .1}, {"be.t", "encoding.place", .1},                          \
    {                                                                                          \
        "be.c", "encoding.column", .1                                                          \
    }
#define PROJECTION(theirs, ours)                                                               \
    {                                                                                          \
        "att." theirs, "transformer.attention." ours ".weight", .3                             \
    }
#define PROJECTIONS                                                                            \
    PROJECTION("Q", "query"), PROJECTION("K", "key"), PROJECTION("V", "value"),                \
        PROJECTION("O", "output")
#define NET "transformer.feed_forward."
#define NORM(theirs, ours)                                                                     \
    {theirs ".g", ours ".norm.gamma", .3},                                                     \
    {                                                                                          \
        theirs ".b", ours ".norm.beta", .1                                                     \
    }
#define MEMORY(theirs, ours)                                                                   \
    {theirs ".W", "lstm." ours ".0.input.weight", .3},                                         \
        {theirs ".U", "lstm." ours ".0.recurrent.weight", .3},                                 \
    {                                                                                          \
        theirs ".b", "lstm." ours ".0.bias", .1                                                \
    }
#define PEEPHOLES(theirs, ours)                                                                \
    {                                                                                          \
        theirs ".peep", "lstm." ours ".0.peepholes", .1                                        \
    }
#define ACTIVATIONS                                                                            \
    {"act.I", "attention.interest.weight", .3},                                                \
    {                                                                                          \
        "act.H", "attention.evolved.weight", .3                                                \
    }
#define SIMPLE                                                                                 \
    PROJECTIONS, {"ffn1", NET "0.weight", .3}, {"ffn2", NET "1.weight", .3},                   \
        MEMORY("l0", "forward"), MEMORY("l1", "backward"), ACTIVATIONS, HEAD,                  \
    {                                                                                          \
        0                                                                                      \
    }

static const named dsin_be_names[]    = {EMBEDDINGS, ENCODING, SIMPLE};
static const named dsin_nobe_names[]  = {EMBEDDINGS, SIMPLE};
static const named dsin_paper_names[] = {EMBEDDINGS,
                                         ENCODING,
                                         PROJECTIONS,
                                         LINEAR("ffn1", "transformer.feed_forward.0"),
                                         LINEAR("ffn2", "transformer.feed_forward.1"),
                                         NORM("ln1", "transformer.attention"),
                                         NORM("ln2", "transformer.feed_forward"),
                                         MEMORY("l0", "forward"),
                                         PEEPHOLES("l0", "forward"),
                                         MEMORY("l1", "backward"),
                                         PEEPHOLES("l1", "backward"),
                                         ACTIVATIONS,
                                         HEAD,
                                         {0}};

#define SCORE(theirs, ours) LINEAR(theirs "0", ours ".0"), LINEAR(theirs "1", ours ".output")
static const named dstn_names[] = {EMBEDDINGS,
                                   SCORE("ctx", "contextual"),
                                   SCORE("clk", "clicked"),
                                   SCORE("unclk", "unclicked"),
                                   HEAD,
                                   {0}};

typedef struct golden_case {
    const char  *name, *yaml;
    const named *names;
} golden_case;

static const golden_case cases[] = {
    {"base_sum", MODEL("base", "pool: sum, " MLP("prelu")), plain_names},
    {"base_avg", MODEL("base", "pool: mean, " MLP("prelu")), plain_names},
    {"base_decay",
     MODEL("base", "pool: decay, half_life: 3600, decay_normalized: true, " MLP("prelu")),
     plain_names},
    {"din_raw_concat", DIN(UNIT ", " FOUR), unit_names},
    {"din_raw_groups", DIN(UNIT ", " FOUR ", groups: separate"), group_names},
    {"din_softmax_concat", DIN(UNIT ", " FOUR ", normalize: softmax"), unit_names},
    {"din_softmax_groups", DIN(UNIT ", " FOUR ", normalize: softmax, groups: separate"),
     group_names},
    {"din_raw_concat_prelu", MODEL("din", MLP("prelu") ", attention: {" UNIT ", " FOUR "}"),
     unit_names},
    {"din_dot_raw", DIN("score: dot"), plain_names},
    {"din_dot_softmax", DIN("score: dot, normalize: softmax"), plain_names},
    {"din_bilinear_softmax", DIN("score: bilinear, normalize: softmax"), bilinear_names},
    {"din_3part_raw", DIN(UNIT ", parts: [q, k, q-k]"), unit_names},
    {"din_softmax_scaled", DIN(UNIT ", " FOUR ", normalize: softmax, scaled: true"),
     unit_names},
    {"dstn_pool", DSTN("pool"), plain_names},
    {"dstn_self", DSTN("self"), dstn_names},
    {"dstn_int", DSTN("interactive"), dstn_names},
    {"dien_AIGRU", DIEN("aigru"), dien_names},
    {"dien_AGRU", DIEN("agru"), dien_names},
    {"dien_AUGRU", DIEN("augru"), dien_names},
    {"dien_AUGRU_officialcode", DIEN("augru_code"), dien_names},
};

static const golden_case session_cases[] = {
    {"dsin_be", DSIN("", "layer_norm: false, bias: false", "peepholes: false, join: average"),
     dsin_be_names},
    {"dsin_nobe",
     DSIN("encoding: none", "layer_norm: false, bias: false",
          "peepholes: false, join: average"),
     dsin_nobe_names},
    {"dsin_paper", DSIN("", "", ""), dsin_paper_names},
};

/* ---- the reference's batch: three samples with histories of 4, 2 and 0 events ---- */

static int     item[] = {3, 5, 1}, cate[] = {2, 1, 4}, user[] = {1, 2, 0};
static int     item_events[] = {1, 3, 5, 7, 2, 6}, cate_events[] = {4, 2, 1, 3, 1, 2};
static int     item_negatives[] = {2, 4, 6, 1, 5, 3}, cate_negatives[] = {1, 3, 2, 4, 2, 4};
static int     offsets[] = {0, 4, 6, 6};
static int64_t now[]     = {100000, 100000, 100000};
static int64_t times[]   = {100000 - 86400, 100000 - 43200, 100000 - 7200,
                            100000 - 600,   100000 - 3600,  100000 - 60};
static real    label[]   = {1, 0, 1};

/* Auxiliary ads: three above on the page, two, none; and so on. */
static int above_item[] = {1, 3, 5, 2, 6}, above_cate[] = {4, 2, 1, 1, 2};
static int clicked_item[] = {2, 5, 3, 7, 4, 6}, clicked_cate[] = {1, 2, 4, 3, 3, 1};
static int unclicked_item[] = {7, 1, 2}, unclicked_cate[] = {3, 4, 4};
static int above_offsets[] = {0, 3, 5, 5}, clicked_offsets[] = {0, 1, 4, 6},
           unclicked_offsets[] = {0, 2, 2, 3};

static void set_slot(world *w, const char *name, int *distinct, int n)
{
    batch_slot *slot = &w->batch.slots[schema_find_slot(w->schema, name)];

    slot->rows     = n;
    slot->n        = n;
    slot->distinct = distinct;
}

static void set_ads(world *w, const char *name, int *offsets_of, int *items, int *cates)
{
    char slot[64];
    int  n = offsets_of[3];

    w->batch.sequences[schema_find_sequence(w->schema, name)] =
        (batch_sequence){.events = n, .offsets = offsets_of};
    snprintf(slot, sizeof slot, "%s.item", name);
    set_slot(w, slot, items, n);
    snprintf(slot, sizeof slot, "%s.cate", name);
    set_slot(w, slot, cates, n);
}

static void set_batch(world *w)
{
    world_rows(w, 8, 0);
    world_draw(w, 3, 1, (int[]){0}, 1);
    w->batch.label        = label;
    w->batch.time         = now;
    w->batch.sequences[0] = (batch_sequence){.events = 6, .offsets = offsets, .time = times};
    set_slot(w, "item", item, 3);
    set_slot(w, "cate", cate, 3);
    set_slot(w, "user", user, 3);
    set_slot(w, "history.item", item_events, 6);
    set_slot(w, "history.cate", cate_events, 6);
    set_ads(w, "above", above_offsets, above_item, above_cate);
    set_ads(w, "clicked", clicked_offsets, clicked_item, clicked_cate);
    set_ads(w, "unclicked", unclicked_offsets, unclicked_item, unclicked_cate);
    set_slot(w, "history.negative_item", item_negatives, 6);
    set_slot(w, "history.negative_cate", cate_negatives, 6);
}

/* Sessions of 3 and 2 events, of 4, and none. */
static int     item_sessions[]   = {1, 3, 5, 2, 7, 6, 2, 4, 1};
static int     cate_sessions[]   = {4, 2, 1, 1, 3, 2, 1, 3, 4};
static int     session_offsets[] = {0, 5, 9, 9};
static int64_t session_times[]   = {0, 1800, 1801, 3602, 3700, 9, 9, 1000, 2000};

static void set_sessions(world *w)
{
    w->batch.sequences[0] =
        (batch_sequence){.events = 9, .offsets = session_offsets, .time = session_times};
    set_slot(w, "history.item", item_sessions, 9);
    set_slot(w, "history.cate", cate_sessions, 9);
}

/* ---- their parameters ---- */

static real value(double amplitude, int t, size_t k)
{
    return (real)(amplitude * sin(1 + .37 * t + .11 * (double)k));
}

/* Their weights are (in, out), ours (out, in); a bilinear score is k W q there, q W k here.
 * Where they say g, gamma is 1 + g. */
static void set_dense(world *w, const named *name, int t)
{
    param *p = dense_find(w->dense, name->ours);

    assert_non_null(p);
    real first = strstr(name->ours, ".gamma") ? 1 : 0;
    for (int o = 0; o < p->shape[0]; o++)
        for (int i = 0; i < p->shape[1]; i++)
            p->w[o * p->shape[1] + i] =
                first + value(name->amplitude, t, (size_t)(i * p->shape[0] + o));
}

static void set_params(world *w, const named *names)
{
    for (int t = 0; names[t].theirs; t++)
        if (names[t].ours)
            set_dense(w, &names[t], t);
        else
            for (size_t k = 0; k < world_row_numbers(w, t); k++)
                w->rows[t][k] = value(names[t].amplitude, t, k);
}

static void compare_gradient(const char *name, const real *g, size_t n, const json_t *golden)
{
    double sum = 0, squares = 0;

    for (size_t k = 0; k < n; k++) {
        sum += (double)g[k] / 3; /* their loss is a mean, ours a sum */
        squares += (double)g[k] * (double)g[k] / 9;
    }
    if (fabs(sum - json_real_value(json_array_get(golden, 0))) > TOLERANCE ||
        fabs(sqrt(squares) - json_real_value(json_array_get(golden, 1))) > TOLERANCE)
        fail_msg("gradient of %s: sum %.12g norm %.12g, wanted %.12g and %.12g", name, sum,
                 sqrt(squares), json_real_value(json_array_get(golden, 0)),
                 json_real_value(json_array_get(golden, 1)));
}

/* Parameters that gradients move. */
static size_t trained(const world *w)
{
    size_t n = 0;

    for (int i = 0; i < dense_count(w->dense); i++)
        n += dense_at(w->dense, i)->trained;
    return n;
}

static void compare_outputs(const world *w, double loss, const json_t *golden)
{
    assert_near(loss / 3, json_real_value(json_object_get(golden, "loss")), TOLERANCE);
    for (size_t i = 0; i < 3; i++)
        assert_near((double)w->logits[i],
                    json_real_value(json_array_get(json_object_get(golden, "logits"), i)),
                    TOLERANCE);
}

static void compare(world *w, const named *names, double loss, const json_t *golden)
{
    const json_t *gradients = json_object_get(golden, "grads");

    compare_outputs(w, loss, golden);
    for (int t = 0; names[t].theirs; t++) {
        const param *p = names[t].ours ? dense_find(w->dense, names[t].ours) : NULL;
        compare_gradient(names[t].theirs, p ? p->g : w->gradients[t],
                         p ? p->count : world_row_numbers(w, t),
                         json_object_get(gradients, names[t].theirs));
    }
    assert_int_equal(json_object_size(gradients), trained(w) + 3);
}

static void run_case(const golden_case *c, bool in_sessions, const json_t *all)
{
    world         w;
    const json_t *golden = json_object_get(all, c->name);

    assert_non_null(golden);
    print_message("%s\n", c->name);
    world_open(&w, c->yaml);
    set_batch(&w);
    if (in_sessions)
        set_sessions(&w);
    set_params(&w, c->names);
    compare(&w, c->names, world_backward(&w), golden);
    world_close(&w);
}

/* The reference's numbers, or NULL: the test is to be skipped. */
static json_t *load_golden(void)
{
    const char *path = shared_file("reference/golden.json");

    if (sizeof(real) < sizeof(double) || !path) {
        print_message("skipped: %s\n",
                      path ? "needs the double build" : "no shared/reference/golden.json");
        return NULL;
    }
    json_t *all = json_load_file(path, 0, NULL);
    assert_non_null(all);
    return all;
}

static void models_have_the_reference_s_logits_loss_and_gradients(void **state)
{
    json_t *all = load_golden();

    (void)state;
    if (!all)
        skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run_case(&cases[i], false, all);
    for (size_t i = 0; i < sizeof session_cases / sizeof *session_cases; i++)
        run_case(&session_cases[i], true, all);
    assert_int_equal(json_object_size(all), sizeof cases / sizeof *cases +
                                                sizeof session_cases / sizeof *session_cases +
                                                1); /* afm, below */
    json_decref(all);
}

/* ---- AFM: a row is [w, v] here, there the candidate alone has a w, in a table of its own, and
 * the first event of the history, a fourth field, shares the candidate's table ---- */

#define AFM_YAML                                                                               \
    "tables: {item: {dim: 4}, cate: {dim: 4}, user: {dim: 4}, first: {dim: 4}}\n"              \
    "features: {user: {table: user}, item: {table: item}, cate: {table: cate},\n"              \
    "           first: {table: first}}\n"                                                      \
    "model: {kind: afm, profile: [user], candidate: [item, cate], context: [first], "          \
    "afm: {attention_factor: 4}}\n"

static const named afm_names[] = {LINEAR("att", "attention.0"),
                                  {"h", "attention.output.weight", .3},
                                  {"p", "output.weight", .3},
                                  {0}};

/* v of a table's 8 rows, as their embedding number t has it; w of the candidate's. */
static void set_afm_rows(world *w)
{
    static const int theirs[] = {0, 1, 2, 0};

    for (int table = 0; table < 4; table++)
        for (size_t row = 0; row < 8; row++) {
            real *at = w->rows[table] + 4 * row;
            at[0]    = table == 0 ? value(.1, 3, row) : 0;
            for (size_t d = 0; d < 3; d++)
                at[1 + d] = value(.5, theirs[table], 3 * row + d);
        }
}

/* Gradients of v (8, 3) and w (8) of a table; a second one is added to those of v. */
static void split_rows(real *v, real *w, const real *rows, const real *more)
{
    for (size_t row = 0; row < 8; row++) {
        w[row] = rows[4 * row];
        for (size_t d = 0; d < 3; d++)
            v[3 * row + d] = rows[4 * row + 1 + d] + (more ? more[4 * row + 1 + d] : 0);
    }
}

static void compare_afm_rows(const world *w, const json_t *gradients)
{
    static const char *const theirs[] = {"emb.item", "emb.cate", "emb.user"};
    real                     v[24], first_order[8];

    for (int t = 0; t < 3; t++) {
        split_rows(v, first_order, w->gradients[t], t == 0 ? w->gradients[3] : NULL);
        compare_gradient(theirs[t], v, 24, json_object_get(gradients, theirs[t]));
        if (t == 0)
            compare_gradient("lin.item", first_order, 8,
                             json_object_get(gradients, "lin.item"));
    }
}

static void afm_has_the_reference_s_logits_loss_and_gradients(void **state)
{
    static int first[] = {1, 2, 0};
    json_t    *all     = load_golden();
    world      w;

    (void)state;
    if (!all)
        skip();
    const json_t *golden = json_object_get(all, "afm"), *g = json_object_get(golden, "grads");
    world_open(&w, AFM_YAML);
    world_rows(&w, 8, 0);
    world_draw(&w, 3, 1, (int[]){0}, 1);
    w.batch.label = label;
    set_slot(&w, "item", item, 3);
    set_slot(&w, "cate", cate, 3);
    set_slot(&w, "user", user, 3);
    set_slot(&w, "first", first, 3);
    set_afm_rows(&w);
    param *bias = dense_find(w.dense, "output.bias");
    bias->w[0]  = value(.1, 4, 0);
    for (int i = 0; afm_names[i].theirs; i++)
        set_dense(&w, &afm_names[i], 5 + i);
    double loss = world_backward(&w);
    compare_outputs(&w, loss, golden);
    compare_afm_rows(&w, g);
    compare_gradient("bias", bias->g, 1, json_object_get(g, "bias"));
    for (int i = 0; afm_names[i].theirs; i++) {
        const param *p = dense_find(w.dense, afm_names[i].ours);
        compare_gradient(afm_names[i].theirs, p->g, p->count,
                         json_object_get(g, afm_names[i].theirs));
    }
    world_close(&w);
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_have_the_reference_s_logits_loss_and_gradients),
        cmocka_unit_test(afm_has_the_reference_s_logits_loss_and_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
