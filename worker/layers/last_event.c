/* The last event of each sample. */
#include <string.h>

#include "worker/kernels/kernel.h"
#include "worker/layers/layers.h"

static err_t last_forward(node *n, pass *p)
{
    const tensor *x       = n->inputs[0];
    tensor       *y       = n->output;
    const int    *offsets = pass_offsets(p, x->per);
    size_t        bytes   = (size_t)y->cols * sizeof *y->x;

    TRY(graph_output(n, p, pass_rows(p, y->per)));
    for (int b = 0; b < y->rows; b++) {
        if (offsets[b + 1] > offsets[b])
            memcpy(ROW(y->x, b, y->cols), ROW(x->x, offsets[b + 1] - 1, y->cols), bytes);
        else
            memset(ROW(y->x, b, y->cols), 0, bytes);
    }
    return OK;
}

static err_t last_backward(node *n, pass *p)
{
    tensor       *x       = n->inputs[0];
    const tensor *y       = n->output;
    const int    *offsets = pass_offsets(p, x->per);

    for (int b = 0; b < y->rows; b++) {
        if (offsets[b + 1] == offsets[b])
            continue;
        real *g = ROW(x->g, offsets[b + 1] - 1, y->cols);
        for (int d = 0; d < y->cols; d++)
            g[d] += ROW(y->g, b, y->cols)[d];
    }
    return OK;
}

static const layer last_layer = {
    .name = "last event", .forward = last_forward, .backward = last_backward};

tensor *last_event(graph *g, tensor *events)
{
    if (!events)
        return NULL;
    return node_output(
        graph_add(g, &last_layer, 1, &events, events->cols, graph_parent(g, events->per), 0));
}
