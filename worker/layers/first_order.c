/* The linear part of factorization machines:  y = w0 + sum_f w_f + higher. */
#include "worker/layers/layers.h"

typedef struct first_order_config {
    int n, width;
    int weights; /* of each field that are w: 1 or 0 */
} first_order_config;

static err_t first_order_forward(node *n, pass *p)
{
    const first_order_config *c = n->config;
    const tensor             *x = n->inputs[0];
    tensor                   *y = n->output;

    TRY(graph_output(n, p, x->rows));
    for (int b = 0; b < y->rows; b++) {
        const real *x_b = x->x + (size_t)b * (size_t)x->cols;
        real        sum = n->params[0]->w[0];
        for (int f = 0; f < c->n * c->weights; f++)
            sum += x_b[f * c->width];
        y->x[b] = sum + (n->n_inputs > 1 ? n->inputs[1]->x[b] : 0);
    }
    return OK;
}

static err_t first_order_backward(node *n, pass *p)
{
    const first_order_config *c = n->config;
    tensor                   *x = n->inputs[0], *higher = n->n_inputs > 1 ? n->inputs[1] : NULL;
    const real               *gy = n->output->g;

    (void)p;
    for (int b = 0; b < n->output->rows; b++) {
        n->params[0]->g[0] += gy[b];
        for (int f = 0; x->wants_gradient && f < c->n * c->weights; f++)
            x->g[(size_t)b * (size_t)x->cols + (size_t)(f * c->width)] += gy[b];
        if (higher && higher->wants_gradient)
            higher->g[b] += gy[b];
    }
    return OK;
}

static const layer first_order_layer = {
    .name = "first order", .forward = first_order_forward, .backward = first_order_backward};

tensor *first_order(graph *g, const fields *f, tensor *higher, const char *name)
{
    node *n = graph_add(g, &first_order_layer, higher ? 2 : 1, (tensor *[]){f->x, higher}, 1,
                        PER_SAMPLE, sizeof(first_order_config));

    if (n)
        *(first_order_config *)n->config = (first_order_config){f->n, f->width, f->first};
    node_vector(g, n, 0, name, "bias", 1, 0);
    return node_output(n);
}
