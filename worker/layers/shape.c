/* Tensors side by side, averaged, and scaled. */
#include "worker/layers/layers.h"

#include <string.h>

static err_t concat_forward(node *n, pass *p)
{
    tensor *y  = n->output;
    int     at = 0;

    TRY(graph_output(n, p, pass_rows(p, y->per)));
    for (int i = 0; i < n->n_inputs; i++) {
        const tensor *x      = n->inputs[i];
        const int    *origin = pass_shares(p, n, i) ? pass_origin(p, y->per) : NULL;
        for (int r = 0; r < y->rows; r++)
            memcpy(y->x + (size_t)r * (size_t)y->cols + at,
                   x->x + (size_t)(origin ? origin[r] : r) * (size_t)x->cols,
                   (size_t)x->cols * sizeof *x->x);
        at += x->cols;
    }
    return OK;
}

static err_t concat_backward(node *n, pass *p)
{
    const tensor *y  = n->output;
    int           at = 0;

    (void)p;
    for (int i = 0; i < n->n_inputs; i++) {
        tensor *x = n->inputs[i];
        for (int r = 0; x->wants_gradient && r < y->rows; r++)
            for (int d = 0; d < x->cols; d++)
                x->g[(size_t)r * (size_t)x->cols + (size_t)d] +=
                    y->g[(size_t)r * (size_t)y->cols + (size_t)(at + d)];
        at += x->cols;
    }
    return OK;
}

static const layer concat_layer = {
    .name = "concat", .forward = concat_forward, .backward = concat_backward, .shares = ~0u};

tensor *concat(graph *g, int n, tensor *const *parts)
{
    tensor *there[NODE_MAX_INPUTS];
    int     count = 0, cols = 0;

    for (int i = 0; i < n; i++) {
        if (!parts[i])
            continue;
        if (count == NODE_MAX_INPUTS)
            return graph_fail(
                g, err_set(ERR_CONFIG, "more than %d inputs side by side", NODE_MAX_INPUTS));
        there[count++] = parts[i];
        cols += parts[i]->cols;
    }
    if (graph_error(g) != OK)
        return NULL;
    if (count == 0)
        return graph_fail(g, err_set(ERR_CONFIG,
                                     "the model has no inputs: name features in "
                                     "model.profile, model.candidate or model.context"));
    if (count == 1)
        return there[0];
    return node_output(graph_add(g, &concat_layer, count, there, cols, there[0]->per, 0));
}

static err_t average_forward(node *n, pass *p)
{
    const tensor *first = n->inputs[0];
    real          share = 1 / (real)n->n_inputs;

    TRY(graph_output(n, p, first->rows));
    memset(n->output->x, 0, (size_t)first->rows * (size_t)first->cols * sizeof *first->x);
    for (int i = 0; i < n->n_inputs; i++)
        for (size_t k = 0; k < (size_t)first->rows * (size_t)first->cols; k++)
            n->output->x[k] += share * n->inputs[i]->x[k];
    return OK;
}

static err_t average_backward(node *n, pass *p)
{
    const tensor *y     = n->output;
    real          share = 1 / (real)n->n_inputs;

    (void)p;
    for (int i = 0; i < n->n_inputs; i++) {
        tensor *x = n->inputs[i];
        for (size_t k = 0; x->wants_gradient && k < (size_t)y->rows * (size_t)y->cols; k++)
            x->g[k] += share * y->g[k];
    }
    return OK;
}

static const layer average_layer = {
    .name = "average", .forward = average_forward, .backward = average_backward};

tensor *average(graph *g, int n, tensor *const *parts)
{
    return parts[0] ? node_output(graph_add(g, &average_layer, n, parts, parts[0]->cols,
                                            parts[0]->per, 0))
                    : NULL;
}

static err_t scale_forward(node *n, pass *p)
{
    const tensor *x      = n->inputs[0];
    real          factor = *(const real *)n->config;

    TRY(graph_output(n, p, x->rows));
    for (size_t i = 0; i < (size_t)x->rows * (size_t)x->cols; i++)
        n->output->x[i] = factor * x->x[i];
    return OK;
}

static err_t scale_backward(node *n, pass *p)
{
    tensor *x      = n->inputs[0];
    real    factor = *(const real *)n->config;

    (void)p;
    for (size_t i = 0; i < (size_t)x->rows * (size_t)x->cols; i++)
        x->g[i] += factor * n->output->g[i];
    return OK;
}

static const layer scale_layer = {
    .name = "scale", .forward = scale_forward, .backward = scale_backward};

tensor *scale(graph *g, tensor *x, double factor)
{
    node *n = x ? graph_add(g, &scale_layer, 1, &x, x->cols, x->per, sizeof(real)) : NULL;

    if (n)
        *(real *)n->config = (real)factor;
    return node_output(n);
}
