#include "worker/kernels/exponential.h"
#include "worker/layers/layers.h"

static err_t exponential_layer_forward(node *n, pass *p)
{
    const tensor *s = n->inputs[0];

    TRY(graph_output(n, p, s->rows));
    exponential_forward(n->output->x, s->x, (size_t)s->rows * (size_t)s->cols);
    return OK;
}

static err_t exponential_layer_backward(node *n, pass *p)
{
    tensor *s = n->inputs[0];

    (void)p;
    exponential_backward(s->g, n->output->g, n->output->x, s->x, !n->fresh[0],
                         (size_t)s->rows * (size_t)s->cols);
    return OK;
}

static const layer exponential_layer = {.name       = "exponential",
                                        .forward    = exponential_layer_forward,
                                        .backward   = exponential_layer_backward,
                                        .overwrites = true,
                                        .in_place   = true};

tensor *exponential(graph *g, tensor *scores)
{
    return scores ? node_output(graph_add(g, &exponential_layer, 1, &scores, scores->cols,
                                          scores->per, 0))
                  : NULL;
}
