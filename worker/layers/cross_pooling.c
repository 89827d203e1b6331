/* The pairs of a sample's fields to one number or vector: all alike, or by weights. */
#include "worker/kernels/cross.h"
#include "worker/layers/layers.h"

static field_layout layout_of(const fields *f)
{
    return (field_layout){f->n, f->width, f->first, f->width - f->first};
}

/* ---- the second-order part of a factorization machine. Rendle 2010, eq. 1 ---- */

static err_t cross_sum_layer_forward(node *n, pass *p)
{
    const field_layout *l = n->config;
    const tensor       *x = n->inputs[0];
    real               *sums;

    TRY(graph_output(n, p, x->rows));
    TRY(arena_take(p->arena, (size_t)x->rows * (size_t)l->k * sizeof *sums, &sums));
    cross_sum_forward(n->output->x, sums, x->x, l, x->rows);
    n->scratch = sums;
    return OK;
}

static err_t cross_sum_layer_backward(node *n, pass *p)
{
    const tensor *x = n->inputs[0];

    (void)p;
    if (x->wants_gradient)
        cross_sum_backward(x->g, n->output->g, x->x, n->scratch, n->config, x->rows);
    return OK;
}

static const layer cross_sum_layer = {.name     = "sum over pairs",
                                      .forward  = cross_sum_layer_forward,
                                      .backward = cross_sum_layer_backward};

tensor *cross_sum(graph *g, const fields *f)
{
    tensor *x = f->x;
    node   *n =
        x ? graph_add(g, &cross_sum_layer, 1, &x, 1, PER_SAMPLE, sizeof(field_layout)) : NULL;

    if (n)
        *(field_layout *)n->config = layout_of(f);
    return node_output(n);
}

/* ---- y_b = sum of a_ij q_ij ---- */

static err_t weighted_crosses_forward(node *n, pass *p)
{
    const tensor *a = n->inputs[0], *x = n->inputs[1];

    TRY(graph_output(n, p, x->rows));
    cross_pool_forward(n->output->x, a->x, x->x, n->config, x->rows);
    return OK;
}

static err_t weighted_crosses_backward(node *n, pass *p)
{
    tensor *a = n->inputs[0], *x = n->inputs[1];

    (void)p;
    if (x->wants_gradient) /* a, which is made of x, then does too */
        cross_pool_backward(a->g, x->g, n->output->g, a->x, x->x, n->config, x->rows);
    return OK;
}

static const layer weighted_crosses_layer = {.name     = "weighted sum over pairs",
                                             .forward  = weighted_crosses_forward,
                                             .backward = weighted_crosses_backward};

tensor *weighted_crosses(graph *g, tensor *weights, const fields *f)
{
    if (!weights || !f->x)
        return NULL;
    node *n = graph_add(g, &weighted_crosses_layer, 2, (tensor *[]){weights, f->x},
                        f->width - f->first, PER_SAMPLE, sizeof(field_layout));
    if (n)
        *(field_layout *)n->config = layout_of(f);
    return node_output(n);
}
