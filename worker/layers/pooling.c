/* Rows of an axis to rows of its parent: sum, mean, time decay, and weights that a model
 * computes. */
#include "worker/kernels/segment.h"
#include "worker/layers/layers.h"
#include "worker/layers/shared_unit.h"

/* ---- fixed weights ---- */

typedef struct pooling {
    pool_kind kind;
    double    half_life;
    bool      normalized;
} pooling;

/* *w: the events' weights, or NULL where all are 1. */
static err_t pool_weights(const pooling *c, const tensor *x, pass *p, real **w)
{
    const batch *b = p->batch;

    *w = NULL;
    if (c->kind == POOL_SUM)
        return OK;
    TRY(arena_take(p->arena, (size_t)x->rows * sizeof **w, w));
    if (c->kind == POOL_MEAN) {
        mean_weights(*w, pass_offsets(p, x->per), pass_parent_rows(p, x->per));
        return OK;
    }
    const batch_sequence *s = &b->sequences[x->per];
    if (x->rows > 0 && (!b->time || !s->time))
        return err_set(
            ERR_DATA,
            "pooling by time decay needs the time of samples and events, and the data "
            "have no tensor `time`");
    if (x->rows > 0)
        decay_weights(*w, b->time, s->time, c->half_life, c->normalized, s->offsets, b->B);
    return OK;
}

static err_t pool_forward(node *n, pass *p)
{
    const tensor *x = n->inputs[0];
    real         *w;

    TRY(graph_output(n, p, pass_parent_rows(p, x->per)));
    TRY(pool_weights(n->config, x, p, &w));
    segment_sum(n->output->x, x->cols, w, x->x, x->cols, pass_offsets(p, x->per), false,
                n->output->rows, x->cols);
    n->scratch = w;
    return OK;
}

static err_t pool_backward(node *n, pass *p)
{
    tensor *x = n->inputs[0];

    segment_spread(x->g, x->cols, n->scratch, n->output->g, x->cols, pass_offsets(p, x->per),
                   !n->fresh[0], n->output->rows, x->cols);
    return OK;
}

static const layer pool_layer = {
    .name = "pool", .forward = pool_forward, .backward = pool_backward, .overwrites = true};

static bool has_time(graph *g, int per)
{
    const schema *s = graph_schema(g);

    return per < s->n_sequences && s->sequences[per].timed;
}

tensor *pool_events(graph *g, tensor *events, pool_kind kind, double half_life, bool normalized)
{
    if (!events)
        return NULL;
    if (kind == POOL_DECAY && !has_time(g, events->per))
        return graph_fail(g, err_set(ERR_CONFIG,
                                     "model.pool decay needs events with a column of kind "
                                     "time"));
    if (kind == POOL_DECAY && !(half_life > 0))
        return graph_fail(g,
                          err_set(ERR_CONFIG,
                                  "model.half_life is %g seconds, pool decay wants more than 0",
                                  half_life));
    node *n = graph_add(g, &pool_layer, 1, &events, events->cols, graph_parent(g, events->per),
                        sizeof(pooling));
    if (n)
        *(pooling *)n->config = (pooling){kind, half_life, normalized};
    return node_output(n);
}

/* ---- computed weights:  y_b = sum_t w_t k_t;   gw_t = gy_b . k_t,   gk_t = w_t gy_b ---- */

static err_t weighted_forward(node *n, pass *p)
{
    const tensor *w = n->inputs[0], *k = n->inputs[1];

    TRY(graph_output(n, p, pass_parent_rows(p, k->per)));
    if (pass_shares(p, n, 1)) {
        shared_sum(n->output, w->x, k, p);
        return OK;
    }
    segment_sum(n->output->x, k->cols, w->x, k->x, k->cols, pass_offsets(p, k->per), false,
                n->output->rows, k->cols);
    return OK;
}

static err_t weighted_backward(node *n, pass *p)
{
    tensor     *w = n->inputs[0], *k = n->inputs[1];
    const real *g       = n->output->g;
    const int  *offsets = pass_offsets(p, k->per);

    if (w->wants_gradient)
        segment_dot(w->g, k->x, k->cols, g, k->cols, offsets, !n->fresh[0], n->output->rows,
                    k->cols);
    if (k->wants_gradient)
        segment_spread(k->g, k->cols, w->x, g, k->cols, offsets, !n->fresh[1], n->output->rows,
                       k->cols);
    return OK;
}

static const layer weighted_layer = {.name       = "weighted sum",
                                     .forward    = weighted_forward,
                                     .backward   = weighted_backward,
                                     .overwrites = true,
                                     .shares     = 1 << 1};

tensor *weighted_sum(graph *g, tensor *weights, tensor *events)
{
    if (!weights || !events)
        return NULL;
    return node_output(graph_add(g, &weighted_layer, 2, (tensor *[]){weights, events},
                                 events->cols, graph_parent(g, events->per), 0));
}

/* ---- softmax over the rows that have the same parent ---- */

static err_t softmax_events_forward(node *n, pass *p)
{
    const tensor *s = n->inputs[0];

    TRY(graph_output(n, p, s->rows));
    softmax_forward(n->output->x, s->x, *(const real *)n->config, pass_offsets(p, s->per),
                    pass_parent_rows(p, s->per));
    return OK;
}

static err_t softmax_events_backward(node *n, pass *p)
{
    tensor *s = n->inputs[0];

    softmax_backward(s->g, n->output->g, n->output->x, *(const real *)n->config,
                     pass_offsets(p, s->per), !n->fresh[0], pass_parent_rows(p, s->per));
    return OK;
}

static const layer softmax_layer = {.name       = "softmax",
                                    .forward    = softmax_events_forward,
                                    .backward   = softmax_events_backward,
                                    .overwrites = true,
                                    .in_place   = true};

tensor *softmax_events(graph *g, tensor *scores, double factor)
{
    node *n =
        scores ? graph_add(g, &softmax_layer, 1, &scores, 1, scores->per, sizeof(real)) : NULL;

    if (n)
        *(real *)n->config = (real)factor;
    return node_output(n);
}
