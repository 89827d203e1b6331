/* LR, FM and AFM: what they compute against the plain equations, where they meet, what becomes
 * of bags, numbers and missing fields, and how large batches are cut. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/layers/layers.h"

#define NEAR (sizeof(real) == sizeof(float) ? 2e-5 : 1e-11)

#define DIM 4
#define FEATURES                                                                               \
    "tables: {user: {dim: 4}, item: {dim: 4}, tag: {dim: 4}}\n"                                \
    "features:\n"                                                                              \
    "  user: {table: user}\n"                                                                  \
    "  item: {table: item}\n"                                                                  \
    "  tags: {table: tag, pool: mean}\n"                                                       \
    "  size: {kind: float, width: 2}\n"                                                        \
    "  age: {kind: float}\n"                                                                   \
    "  history: {columns: {item: {table: item}, tags: {table: tag, pool: sum}}}\n"
#define INPUTS                                                                                 \
    "profile: [user, size], candidate: [item, tags], context: [age], history: history, "       \
    "pool: mean, "
#define MODEL(kind, rest) FEATURES "model: {kind: " kind ", " INPUTS rest "}\n"
#define FIELDS            7 /* user, item, tags, size, age, history.item, history.tags */
#define SMALL_AFM         "afm: {attention_factor: 3}"

static const int lengths[] = {3, 0, 1, 5};

static void scatter_params(world *w)
{
    for (int i = 0; i < dense_count(w->dense); i++) {
        param *p = dense_at(w->dense, i);
        for (size_t k = 0; p->trained && k < p->count; k++)
            p->w[k] = (real)(.4 * sin(1 + i + .7 * (double)k));
    }
}

static void open_drawn(world *w, const char *yaml, int B)
{
    world_open(w, yaml);
    world_rows(w, 6, .5);
    world_draw(w, B, 4, lengths, 3);
    scatter_params(w);
    world_loss(w);
}

static const batch_slot *slot_of(const world *w, const char *name)
{
    return &w->batch.slots[schema_find_slot(w->schema, name)];
}

/* ---- the plain equations ---- */

typedef struct sample {
    double x[FIELDS][DIM];
    bool   there[FIELDS];
} sample;

static void add_row(double x[DIM], const world *w, const char *table, int place, double weight)
{
    int t = schema_find_table(w->schema, table);

    for (int d = 0; d < DIM; d++)
        x[d] += weight * (double)w->rows[t][place * DIM + d];
}

/* The items of a slot from row begin to row end, each of the weight given. */
static bool add_bags(double x[DIM], const world *w, const char *slot, const char *table,
                     int begin, int end, double weight)
{
    const batch_slot *s = slot_of(w, slot);

    if (s->offsets) {
        begin = s->offsets[begin];
        end   = s->offsets[end];
    }
    for (int i = begin; i < end; i++)
        add_row(x, w, table, s->distinct[i], weight);
    return end > begin;
}

static void add_numbers(double x[DIM], const world *w, const char *name, int width, int b)
{
    char               full[64];
    const batch_float *f = &w->batch.floats[schema_find_float(w->schema, name)];

    snprintf(full, sizeof full, "fields.%s.weight", name);
    const param *rows = dense_find(w->dense, full);
    for (int d = 0; d < width; d++)
        for (int i = 0; i < DIM; i++)
            x[i] += (double)f->x[b * width + d] * (double)rows->w[d * DIM + i];
}

/* The fields of sample b, in the model's order. */
static void plain_fields(sample *s, const world *w, int b)
{
    const int *events = w->batch.sequences[0].offsets, *tags = slot_of(w, "tags")->offsets;
    int        T = events[b + 1] - events[b], n_tags = tags[b + 1] - tags[b];

    memset(s, 0, sizeof *s);
    s->there[0] = add_bags(s->x[0], w, "user", "user", b, b + 1, 1);
    s->there[1] = add_bags(s->x[1], w, "item", "item", b, b + 1, 1);
    s->there[2] = add_bags(s->x[2], w, "tags", "tag", b, b + 1, n_tags ? 1. / n_tags : 0);
    s->there[3] = s->there[4] = true;
    add_numbers(s->x[3], w, "size", 2, b);
    add_numbers(s->x[4], w, "age", 1, b);
    s->there[5] =
        add_bags(s->x[5], w, "history.item", "item", events[b], events[b + 1], T ? 1. / T : 0);
    s->there[6] =
        add_bags(s->x[6], w, "history.tags", "tag", events[b], events[b + 1], T ? 1. / T : 0);
}

static double plain_first_order(const sample *s, const world *w)
{
    double y = (double)dense_find(w->dense, "output.bias")->w[0];

    for (int f = 0; f < FIELDS; f++)
        y += s->x[f][0];
    return y;
}

static double plain_pairs(const sample *s)
{
    double y = 0;

    for (int i = 0; i < FIELDS; i++)
        for (int j = i + 1; j < FIELDS; j++)
            for (int d = 1; d < DIM; d++)
                y += s->x[i][d] * s->x[j][d];
    return y;
}

static double plain_score(const world *w, const double q[DIM - 1])
{
    const param *W     = dense_find(w->dense, "attention.0.weight");
    const param *b     = dense_find(w->dense, "attention.0.bias");
    const param *h     = dense_find(w->dense, "attention.output.weight");
    double       score = 0;

    for (int t = 0; t < W->shape[0]; t++) {
        double z = (double)b->w[t];
        for (int d = 0; d < DIM - 1; d++)
            z += (double)W->w[t * (DIM - 1) + d] * q[d];
        score += (double)h->w[t] * fmax(z, 0);
    }
    return score;
}

static double plain_attention(const sample *s, const world *w)
{
    const param *p   = dense_find(w->dense, "output.weight");
    double       sum = 0, y = 0;

    for (int i = 0; i < FIELDS; i++)
        for (int j = i + 1; j < FIELDS; j++) {
            double q[DIM - 1], pq = 0;
            for (int d = 0; d < DIM - 1; d++) {
                q[d] = s->x[i][d + 1] * s->x[j][d + 1];
                pq += (double)p->w[d] * q[d];
            }
            double a = s->there[i] && s->there[j] ? exp(plain_score(w, q)) : 0;
            sum += a;
            y += a * pq;
        }
    return y / sum;
}

static void models_compute_their_equations(void **state)
{
    world  lr, fm, afm;
    sample s;

    (void)state;
    open_drawn(&lr, MODEL("lr", ""), 40);
    open_drawn(&fm, MODEL("fm", ""), 40);
    open_drawn(&afm, MODEL("afm", SMALL_AFM), 40);
    for (int b = 0; b < 40; b++) {
        plain_fields(&s, &lr, b);
        assert_near((double)lr.logits[b], plain_first_order(&s, &lr), NEAR);
        plain_fields(&s, &fm, b);
        assert_near((double)fm.logits[b], plain_first_order(&s, &fm) + plain_pairs(&s), NEAR);
        plain_fields(&s, &afm, b);
        assert_near((double)afm.logits[b],
                    plain_first_order(&s, &afm) + plain_attention(&s, &afm), NEAR);
    }
    world_close(&lr);
    world_close(&fm);
    world_close(&afm);
}

/* ---- limits ---- */

static void fill(world *w, const char *name, double value)
{
    param *p = dense_find(w->dense, name);

    for (size_t k = 0; k < p->count; k++)
        p->w[k] = (real)value;
}

#define ALWAYS_THERE                                                                           \
    "tables: {a: {dim: 5}, b: {dim: 5}, c: {dim: 5}, d: {dim: 5}}\n"                           \
    "features: {a: {table: a}, b: {table: b}, c: {table: c}, d: {table: d}}\n"
#define FOUR "profile: [a], candidate: [b, c], context: [d], first_order: none"

/* Equal weights: each of the 6 pairs has one sixth. */
static void without_attention_afm_is_fm_over_the_number_of_pairs(void **state)
{
    world fm, afm;

    (void)state;
    open_drawn(&fm, ALWAYS_THERE "model: {kind: fm, " FOUR "}\n", 9);
    open_drawn(&afm, ALWAYS_THERE "model: {kind: afm, " FOUR "}\n", 9);
    fill(&fm, "output.bias", 0);
    fill(&afm, "output.bias", 0);
    fill(&afm, "attention.output.weight", 0);
    fill(&afm, "output.weight", 1);
    world_loss(&fm);
    world_loss(&afm);
    for (int b = 0; b < 9; b++) {
        assert_true(fm.logits[b] != 0);
        assert_near((double)afm.logits[b], (double)fm.logits[b] / 6, NEAR);
    }
    world_close(&fm);
    world_close(&afm);
}

/* A sample whose bags and history are empty is scored as though the model had no such fields.
 */
static void what_a_sample_lacks_takes_no_attention(void **state)
{
    world all, fewer;

    (void)state;
    open_drawn(&all, MODEL("afm", SMALL_AFM), 20);
    open_drawn(&fewer,
               FEATURES "model: {kind: afm, profile: [user, size], candidate: [item], "
                        "context: [age], " SMALL_AFM "}\n",
               20);
    for (int i = 0; i < dense_count(fewer.dense); i++) {
        param *p = dense_at(fewer.dense, i);
        if (p->trained)
            memcpy(p->w, dense_find(all.dense, p->name)->w, p->count * sizeof *p->w);
    }
    world_loss(&fewer);
    const int *tags    = slot_of(&all, "tags")->offsets;
    int        lacking = 0;
    for (int b = 0; b < 20; b++)
        if (tags[b] == tags[b + 1] && lengths[b % 4] == 0) {
            assert_near((double)all.logits[b], (double)fewer.logits[b], NEAR);
            lacking++;
        }
    assert_true(lacking > 0);
    world_close(&all);
    world_close(&fewer);
}

/* Nothing to cross is no reason for NaN. */
static void samples_without_any_field_have_the_bias_alone(void **state)
{
    world w;

    (void)state;
    open_drawn(
        &w, FEATURES "model: {kind: afm, candidate: [tags], history: history, " SMALL_AFM "}\n",
        8);
    fill(&w, "output.bias", -2);
    w.batch.slots[schema_find_slot(w.schema, "tags")].offsets = (int[9]){0};
    w.batch.slots[schema_find_slot(w.schema, "tags")].n       = 0;
    world_backward(&w);
    assert_true(w.logits[1] == -2); /* sample 1 has no events either */
    assert_true(dense_finite(w.dense));
    world_close(&w);
}

/* ---- how a batch is cut ---- */

static void add_gradients(real *sum, const world *w)
{
    for (int i = 0; i < dense_count(w->dense); i++) {
        const param *p = dense_at(w->dense, i);
        for (size_t k = 0; p->trained && k < p->count; k++)
            *sum++ += p->g[k];
    }
    for (int t = 0; t < w->schema->n_tables; t++)
        for (size_t k = 0; k < world_row_numbers(w, t); k++)
            *sum++ += w->gradients[t][k];
}

/* A batch of sample b alone, of features of one id each. */
static batch only(const batch *all, batch_slot *slots, int n_slots, int b)
{
    batch one = *all;

    one.B          = 1;
    one.weight_sum = 1;
    one.label      = all->label + b;
    one.slots      = slots;
    for (int i = 0; i < n_slots; i++)
        slots[i] = (batch_slot){1, 1, NULL, all->slots[i].ids + b, all->slots[i].distinct + b};
    return one;
}

/* 45 pairs a sample and 60 samples: many chunks, which end within a sample. */
static void chunks_of_pairs_do_not_show(void **state)
{
    enum { B = 60, NUMBERS = 4096 };
    static real together[NUMBERS], apart[NUMBERS], logits[B];
    world       w;
    batch_slot  slots[10];

    (void)state;
    open_drawn(&w,
               "tables: {t: {dim: 7}}\n"
               "features: {a: {table: t}, b: {table: t}, c: {table: t}, d: {table: t},\n"
               "           e: {table: t}, f: {table: t}, g: {table: t}, h: {table: t},\n"
               "           i: {table: t}, j: {table: t}}\n"
               "model: {kind: afm, profile: [a, b, c, d, e], candidate: [f, g, h, i, j],\n"
               "        afm: {attention_factor: 5}}\n",
               B);
    memset(together, 0, sizeof together);
    memset(apart, 0, sizeof apart);
    world_backward(&w);
    memcpy(logits, w.logits, sizeof logits);
    add_gradients(together, &w);
    batch all = w.batch;
    for (int b = 0; b < B; b++) {
        w.batch = only(&all, slots, 10, b);
        world_backward(&w);
        assert_near((double)w.logits[0], (double)logits[b], NEAR);
        add_gradients(apart, &w);
    }
    for (int i = 0; i < NUMBERS; i++)
        assert_near((double)together[i], (double)apart[i], NEAR);
    world_close(&w);
}

/* ---- numerics ---- */

/* Scores of about 1e4 and more: one pair takes all, and the gradient is finite. */
static void extreme_scores_stay_numbers(void **state)
{
    static const double sizes[] = {1e4, -1e4};
    world               w;

    (void)state;
    for (int i = 0; i < 2; i++) {
        open_drawn(&w, MODEL("afm", SMALL_AFM), 12);
        fill(&w, "attention.output.weight", sizes[i]);
        fill(&w, "attention.0.weight", 10);
        assert_true(isfinite(world_backward(&w)));
        assert_true(dense_finite(w.dense));
        for (size_t k = 0; k < world_row_numbers(&w, 0); k++)
            assert_true(isfinite((double)w.gradients[0][k]));
        world_close(&w);
    }
}

/* ---- training ---- */

/* With plain SGD and no gradient, a step is w (1 - lr lambda) for W, and nothing else moves. */
static void the_attention_s_weight_alone_has_its_l2(void **state)
{
    world w;
    real  before[3 * 3];

    (void)state;
    open_drawn(
        &w,
        MODEL("afm", "afm: {attention_factor: 3, attention_l2: 0.5}") "dense: {optimizer: sgd, "
                                                                      "lr: 0.1}\n",
        4);
    param *W  = dense_find(w.dense, "attention.0.weight");
    param *h  = dense_find(w.dense, "attention.output.weight");
    real   h0 = h->w[0];
    memcpy(before, W->w, sizeof before);
    dense_clear_gradients(w.dense);
    world_update(&w, 0, 0);
    for (int k = 0; k < 9; k++)
        assert_near((double)W->w[k], .95 * (double)before[k], 1e-6);
    assert_true(h->w[0] == h0);
    world_close(&w);
}

/* One pair more attended than the rest; means move by 1 % a step. */
static void the_mean_weight_of_each_pair_is_kept(void **state)
{
    world  w;
    double sum = 0;

    (void)state;
    open_drawn(&w, ALWAYS_THERE "model: {kind: afm, " FOUR "}\n", 9);
    fill(&w, "attention.output.weight", 0);
    world_update(&w, world_backward(&w), 0);
    const param *mean = dense_find(w.dense, "attention.mean");
    assert_int_equal(mean->count, 6);
    for (int p = 0; p < 6; p++) {
        assert_near((double)mean->w[p], .01 / 6, 1e-7);
        sum += (double)mean->w[p];
    }
    assert_near(sum, .01, 1e-7);
    world_close(&w);
}

/* ---- names and refusals ---- */

static void fields_are_named_in_their_order(void **state)
{
    static const char *const wanted[] = {"user", "item",         "tags",        "size",
                                         "age",  "history.item", "history.tags"};
    const char              *names[FIELDS_MAX];
    world                    w;

    (void)state;
    world_open(&w, MODEL("fm", ""));
    assert_int_equal(fields_names(names, w.schema, &w.config->model), FIELDS);
    for (int f = 0; f < FIELDS; f++)
        assert_string_equal(names[f], wanted[f]);
    world_close(&w);
}

#define TWO_DIMS                                                                               \
    "tables: {a: {dim: 5}, b: {dim: 4}, one: {dim: 1}}\n"                                      \
    "features: {a: {table: a}, b: {table: b}, one: {table: one}, two: {table: one},\n"         \
    "           x: {kind: float}}\n"

static void what_cannot_be_crossed_is_said(void **state)
{
    (void)state;
    world_refused(TWO_DIMS "model: {kind: fm, profile: [a, b]}\n", "table a has 5, table b 4");
    world_refused(TWO_DIMS "model: {kind: afm, profile: [a]}\n", "has 1, wanted at least 2");
    world_refused(TWO_DIMS "model: {kind: fm, profile: [x]}\n", "name a feature of ids");
    world_refused(TWO_DIMS "model: {kind: fm, profile: [one, two]}\n",
                  "wanted a dim of at least 2");
    world_refused(TWO_DIMS "model: {kind: lr, profile: [one], first_order: none}\n",
                  "lr has nothing else");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_compute_their_equations),
        cmocka_unit_test(without_attention_afm_is_fm_over_the_number_of_pairs),
        cmocka_unit_test(what_a_sample_lacks_takes_no_attention),
        cmocka_unit_test(samples_without_any_field_have_the_bias_alone),
        cmocka_unit_test(chunks_of_pairs_do_not_show),
        cmocka_unit_test(extreme_scores_stay_numbers),
        cmocka_unit_test(the_attention_s_weight_alone_has_its_l2),
        cmocka_unit_test(the_mean_weight_of_each_pair_is_kept),
        cmocka_unit_test(fields_are_named_in_their_order),
        cmocka_unit_test(what_cannot_be_crossed_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
