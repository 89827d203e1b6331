/* DSTN: where its modes meet each other and Base, empty lists, and scores beyond all bounds. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define NEAR (sizeof(real) == sizeof(float) ? 2e-5 : 1e-11)

#define FEATURES                                                                               \
    "tables: {user: {dim: 2}, item: {dim: 3}, cate: {dim: 2}}\n"                               \
    "features:\n"                                                                              \
    "  user: {table: user}\n"                                                                  \
    "  item: {table: item}\n"                                                                  \
    "  cate: {table: cate}\n"                                                                  \
    "  above: {columns: {item: {table: item}, cate: {table: cate}}}\n"                         \
    "  clicked: {columns: {cate: {table: cate}, item: {table: item}}}\n"                       \
    "  unclicked: {columns: {item: {table: item}}}\n"
#define TARGET                                                                                 \
    "profile: [user], candidate: [item, cate], mlp: {units: [4, 3], activation: prelu}, "
#define ALL               "contextual: above, clicked: clicked, unclicked: unclicked, "
#define MODEL(kind, rest) FEATURES "model: {kind: " kind ", " TARGET rest "}\n"
#define DSTN(which, mode) MODEL("dstn", which "dstn: {mode: " mode ", hidden: 3}")

static const int lengths[] = {3, 0, 1, 5};

static const char *const kinds[] = {"contextual", "clicked", "unclicked"};

static void open_drawn(world *w, const char *yaml)
{
    world_open(w, yaml);
    world_rows(w, 6, 1);
    world_draw(w, 8, 4, lengths, 3);
    world_loss(w);
}

static void fill(world *w, const char *kind, const char *part, double value)
{
    char name[64];

    snprintf(name, sizeof name, "%s.output.%s", kind, part);
    param *p = dense_find(w->dense, name);
    assert_non_null(p);
    for (size_t k = 0; k < p->count; k++)
        p->w[k] = (real)value;
}

/* Every score is `score`, whatever is scored. */
static void set_scores(world *w, double score)
{
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.output.weight", kinds[i]);
        if (!dense_find(w->dense, name))
            continue;
        fill(w, kinds[i], "weight", 0);
        fill(w, kinds[i], "bias", score);
    }
}

static void assert_same_logits(world *a, world *b)
{
    for (int i = 0; i < dense_count(b->dense); i++) {
        param       *p     = dense_at(b->dense, i);
        const param *other = dense_find(a->dense, p->name);
        if (other && !strncmp(p->name, "mlp", 3))
            memcpy(p->w, other->w, p->count * sizeof *p->w);
    }
    memcpy(dense_find(b->dense, "output.weight")->w, dense_find(a->dense, "output.weight")->w,
           3 * sizeof(real));
    world_loss(a);
    world_loss(b);
    for (int i = 0; i < a->batch.B; i++)
        assert_near((double)a->logits[i], (double)b->logits[i], NEAR);
}

static void check_equal(const char *one, double score, const char *other)
{
    world a, b;

    open_drawn(&a, one);
    open_drawn(&b, other);
    set_scores(&a, score);
    assert_same_logits(&a, &b);
    world_close(&a);
    world_close(&b);
}

static void modes_meet_in_their_limits(void **state)
{
    (void)state;
    check_equal(DSTN(ALL, "interactive"), 0, DSTN(ALL, "pool")); /* e^0 = 1 */
    check_equal(DSTN("contextual: above, ", "self"), 7,
                MODEL("base", "history: above, pool: mean"));
    check_equal(DSTN("unclicked: unclicked, ", "pool"), 0, MODEL("base", "history: unclicked"));
    check_equal(DSTN(ALL, "none"), 0, MODEL("base", ""));
}

/* Copy what both have; in the first layer, the columns of ads (7 to 11) twice as large. */
static void copy_with_double_ads(world *to, const world *from)
{
    for (int i = 0; i < dense_count(to->dense); i++) {
        param *p = dense_at(to->dense, i);
        memcpy(p->w, dense_find(from->dense, p->name)->w, p->count * sizeof *p->w);
    }
    real *W = dense_find(to->dense, "mlp.0.weight")->w;
    for (int u = 0; u < 4; u++)
        for (int d = 7; d < 12; d++)
            W[12 * u + d] *= 2;
}

/* Weights are e^s itself, not shares: with all scores log 2 each ad counts twice, also where
 * there are five of them. */
static void interactive_weights_do_not_compete(void **state)
{
    world a, b;

    (void)state;
    open_drawn(&a, DSTN("contextual: above, ", "interactive"));
    open_drawn(&b, DSTN("contextual: above, ", "pool"));
    set_scores(&a, log(2));
    copy_with_double_ads(&b, &a);
    world_loss(&a);
    world_loss(&b);
    for (int i = 0; i < 8; i++)
        assert_near((double)a.logits[i], (double)b.logits[i], NEAR);
    world_close(&a);
    world_close(&b);
}

/* Swapping two ads of a list changes nothing. */
static void check_order(const char *yaml)
{
    world w;
    real  before[8];

    open_drawn(&w, yaml);
    memcpy(before, w.logits, sizeof before);
    for (int k = 0; k < w.schema->n_slots; k++) {
        int *place = w.batch.slots[k].distinct, first;
        if (w.schema->slots[k].sequence < 0)
            continue;
        first    = place[4]; /* sample 3 has the ads 4 .. 8 */
        place[4] = place[8];
        place[8] = first;
    }
    world_loss(&w);
    for (int b = 0; b < 8; b++)
        assert_near((double)w.logits[b], (double)before[b], NEAR);
    world_close(&w);
}

static void the_order_of_ads_does_not_matter(void **state)
{
    (void)state;
    check_order(DSTN(ALL, "pool"));
    check_order(DSTN(ALL, "self"));
    check_order(DSTN(ALL, "interactive"));
}

/* Sample 1 has no ads: it is scored as the target with zeros beside it, in every mode. */
static void a_sample_without_ads_has_zeros(void **state)
{
    static const char *const yaml[] = {DSTN(ALL, "pool"), DSTN(ALL, "self"),
                                       DSTN(ALL, "interactive")};
    world                    w[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        open_drawn(&w[i], yaml[i]);
        for (int k = 0; k < dense_count(w[i].dense); k++) {
            param *p     = dense_at(w[i].dense, k);
            param *first = dense_find(w[0].dense, p->name);
            if (first)
                memcpy(p->w, first->w, p->count * sizeof *p->w);
        }
        world_loss(&w[i]);
        assert_near((double)w[i].logits[1], (double)w[0].logits[1], NEAR);
        if (i > 0)
            assert_true(fabs((double)w[i].logits[3] - (double)w[0].logits[3]) > 1e-4);
    }
    for (int i = 0; i < 3; i++)
        world_close(&w[i]);
}

static void assert_finite(world *w, double loss)
{
    assert_true(isfinite(loss));
    assert_true(dense_finite(w->dense));
    for (int t = 0; t < w->schema->n_tables; t++)
        for (size_t k = 0; k < world_row_numbers(w, t); k++)
            assert_true(isfinite((double)w->gradients[t][k]));
}

static void scores_are_kept_within_twenty(void **state)
{
    world a, b;

    (void)state;
    open_drawn(&a, DSTN(ALL, "interactive"));
    open_drawn(&b, DSTN(ALL, "interactive"));
    set_scores(&a, 1e4);
    set_scores(&b, 20);
    assert_finite(&a, world_backward(&a));
    world_loss(&b);
    for (int i = 0; i < 8; i++)
        assert_true(a.logits[i] == b.logits[i]);
    assert_true(dense_find(a.dense, "clicked.output.bias")->g[0] == 0); /* out of reach */
    set_scores(&a, -1e4);
    set_scores(&b, -20);
    world_loss(&a);
    world_loss(&b);
    for (int i = 0; i < 8; i++)
        assert_true(a.logits[i] == b.logits[i]);
    world_close(&a);
    world_close(&b);
}

static void extreme_scores_of_self_attention_stay_numbers(void **state)
{
    world w;

    (void)state;
    open_drawn(&w, DSTN(ALL, "self"));
    for (int i = 0; i < 3; i++)
        fill(&w, kinds[i], "weight", i == 1 ? -1e4 : 1e4);
    assert_finite(&w, world_backward(&w));
    world_close(&w);
}

static void each_kind_has_parameters_of_its_own(void **state)
{
    world w;

    (void)state;
    open_drawn(&w, DSTN(ALL, "interactive"));
    for (int i = 0; i < 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.0.weight", kinds[i]);
        const param *p = dense_find(w.dense, name);
        assert_non_null(p);
        assert_int_equal(p->shape[0], 3);
        assert_int_equal(p->shape[1], 7 + (i == 2 ? 3 : 5)); /* the target, then an ad */
    }
    world_close(&w);
}

static void a_model_without_ads_says_so(void **state)
{
    (void)state;
    world_refused(DSTN("", "pool"), "no auxiliary ads");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_meet_in_their_limits),
        cmocka_unit_test(interactive_weights_do_not_compete),
        cmocka_unit_test(the_order_of_ads_does_not_matter),
        cmocka_unit_test(a_sample_without_ads_has_zeros),
        cmocka_unit_test(scores_are_kept_within_twenty),
        cmocka_unit_test(extreme_scores_of_self_attention_stay_numbers),
        cmocka_unit_test(each_kind_has_parameters_of_its_own),
        cmocka_unit_test(a_model_without_ads_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
