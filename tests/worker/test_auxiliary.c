/* DIEN's auxiliary loss against its formula, and what holds of losses beside that of clicks. */
#include "tests/worker/fixture.h"

#include <math.h>
#include <string.h>

#include "worker/layers/layers.h"

#define NEAR (sizeof(real) == sizeof(float) ? 1e-5 : 1e-12)

#define FEATURES                                                                               \
    "tables: {item: {dim: 3}, other: {dim: 3}}\n"                                              \
    "features:\n"                                                                              \
    "  item: {table: item}\n"                                                                  \
    "  history: {columns: {item: {table: item}, other: {table: item}}}\n"
#define YAML(auxiliary)                                                                        \
    FEATURES "model: {kind: dien, candidate: [item], history: history, mlp: {units: [3], "     \
             "activation: prelu}, auxiliary: {negatives: [other], " auxiliary "}}\n"

/* The loss alone, of embeddings in place of states. */
static tensor *states, *events, *negatives, *losses;

static tensor *column(graph *g, const char *slot)
{
    return embed_slots(g, 1, (int[]){schema_find_slot(graph_schema(g), slot)});
}

static tensor *build(graph *g)
{
    states    = column(g, "history.item");
    events    = column(g, "history.item");
    negatives = column(g, "history.other");
    losses    = auxiliary_loss(g, states, events, negatives, &graph_config(g)->model.auxiliary,
                               "auxiliary");
    graph_add_loss(g, losses, graph_config(g)->model.auxiliary.weight);
    return linear(g, last_event(g, events), 1, "output");
}

static real weights[] = {.5, 2, 0, 1, 3, 1};

static void open_drawn(world *w, const char *yaml)
{
    world_open_graph(w, yaml, build);
    world_rows(w, 6, 1);
    world_draw(w, 6, 4, (int[]){3, 0, 1, 70}, 3);
    w->batch.weight = weights;
    world_loss(w);
}

static double softplus(double z)
{
    return fmax(z, 0) + log1p(exp(-fabs(z)));
}

static double dot(const real *x, const real *y)
{
    return (double)x[0] * (double)y[0] + (double)x[1] * (double)y[1] +
           (double)x[2] * (double)y[2];
}

static double net_layer(const param *w, const param *b, int o, const double *x)
{
    double sum = (double)b->w[o];

    for (int i = 0; i < w->shape[1]; i++)
        sum += (double)w->w[o * w->shape[1] + i] * x[i];
    return sum;
}

/* Of hidden layers of 4 and 2. */
static double net(const world *w, const real *h, const real *e)
{
    double x[6], a[4], b[2];

    for (int d = 0; d < 3; d++) {
        x[d]     = (double)h[d];
        x[3 + d] = (double)e[d];
    }
    for (int o = 0; o < 4; o++)
        a[o] = 1 / (1 + exp(-net_layer(dense_find(w->dense, "auxiliary.0.weight"),
                                       dense_find(w->dense, "auxiliary.0.bias"), o, x)));
    for (int o = 0; o < 2; o++)
        b[o] = 1 / (1 + exp(-net_layer(dense_find(w->dense, "auxiliary.1.weight"),
                                       dense_find(w->dense, "auxiliary.1.bias"), o, a)));
    return net_layer(dense_find(w->dense, "auxiliary.output.weight"),
                     dense_find(w->dense, "auxiliary.output.bias"), 0, b);
}

static double pair(const world *w, bool by_net, const real *h, const real *e)
{
    return by_net ? net(w, h, e) : dot(h, e);
}

static double loss_of(const world *w, bool by_net, int b)
{
    const int *offsets = w->batch.sequences[0].offsets;
    double     sum     = 0;

    for (int j = offsets[b]; j < offsets[b + 1] - 1; j++) {
        const real *h = states->x + 3 * j;
        sum += softplus(-pair(w, by_net, h, events->x + 3 * (j + 1))) +
               softplus(pair(w, by_net, h, negatives->x + 3 * (j + 1)));
    }
    return sum;
}

static void check_losses(const char *yaml, bool by_net, double factor)
{
    world  w;
    double sum = 0;

    open_drawn(&w, yaml);
    for (int b = 0; b < w.batch.B; b++) {
        double want = factor * loss_of(&w, by_net, b);
        assert_near((double)losses->x[b], want, NEAR);
        sum += (double)weights[b] * want;
    }
    pass p = {.batch = &w.batch};
    assert_near(graph_auxiliary(w.graph, &p), .5 * sum, NEAR);
    world_close(&w);
}

static void the_loss_of_a_sample_is_its_formula(void **state)
{
    (void)state;
    check_losses(YAML("kind: dot, weight: 0.5, mean_over: samples"), false, 1);
    check_losses(YAML("units: [4, 2], weight: 0.5, mean_over: samples"), true, 1);
}

/* Samples of 3, 0, 1, 70, 3 and 0 events with the weights above: 7.5 samples and
 * .5 2 + 1 69 + 3 2 = 76 pairs of events. */
static void over_events_it_is_their_mean(void **state)
{
    (void)state;
    check_losses(YAML("kind: dot, weight: 0.5"), false, 7.5 / 76);
}

static void a_batch_without_two_events_of_a_sample_has_none(void **state)
{
    world w;

    (void)state;
    world_open_graph(&w, YAML("mean_over: events"), build);
    world_rows(&w, 6, 1);
    world_draw(&w, 4, 2, (int[]){1, 0}, 3);
    world_backward(&w);
    for (int b = 0; b < 4; b++)
        assert_true(losses->x[b] == 0);
    world_close(&w);
}

/* Negatives and the net are for training. */
static void prediction_leaves_it_out(void **state)
{
    world w;
    real *x;

    (void)state;
    world_open(&w, YAML("units: [4]"));
    world_rows(&w, 6, 1);
    world_draw(&w, 6, 3, (int[]){3, 0, 5}, 3);
    assert_true(graph_has_auxiliary(w.graph));
    w.training                                                          = false;
    w.batch.slots[schema_find_slot(w.schema, "history.other")].distinct = NULL;
    world_loss(&w);
    x = w.logits;
    assert_true(isfinite(x[0]));
    world_close(&w);
}

static void no_inner_product_is_too_large(void **state)
{
    world w;

    (void)state;
    world_open_graph(&w, YAML("kind: dot"), build);
    world_rows(&w, 6, 100);
    world_draw(&w, 6, 2, (int[]){3, 9}, 3);
    assert_true(isfinite(world_backward(&w)));
    for (size_t k = 0; k < world_row_numbers(&w, 0); k++)
        assert_true(isfinite(w.gradients[0][k]));
    world_close(&w);
}

static void what_dien_cannot_do_is_said(void **state)
{
    (void)state;
    world_refused(FEATURES "model: {kind: dien, candidate: [item], history: history}",
                  "model.auxiliary.negatives names no columns of history history");
    world_refused(FEATURES "model: {kind: dien, candidate: [item], history: history, "
                           "auxiliary: {negatives: [none]}}",
                  "names none, and history history has no column of ids of that name");
    world_refused(FEATURES "model: {kind: dien, candidate: [item], history: history, "
                           "auxiliary: {negatives: [item, other]}}",
                  "history history has no column of ids");
    world_refused(YAML("kind: dot}, evolution: {units: 4"), "no inner product");
    world_refused(YAML("units: []"), "model.auxiliary.units is empty");
    world_refused(YAML("kind: none}, attention: {normalize: none"), "wanted softmax");
    world_refused(YAML("kind: none}, attention: {groups: separate"), "wanted joint");
    world_refused(YAML("kind: none}, evolution: {units: 4}, attention: {score: dot"),
                  "wanted the same, or score bilinear");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loss_of_a_sample_is_its_formula),
        cmocka_unit_test(over_events_it_is_their_mean),
        cmocka_unit_test(a_batch_without_two_events_of_a_sample_has_none),
        cmocka_unit_test(prediction_leaves_it_out),
        cmocka_unit_test(no_inner_product_is_too_large),
        cmocka_unit_test(what_dien_cannot_do_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
