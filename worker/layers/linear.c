/* y = x W^T + b, and y = x W. */
#include "worker/kernels/column.h"
#include "worker/kernels/gemm.h"
#include "worker/layers/layers.h"

/* ---- linear:  gx = gy W,   gW = gy^T x,   gb = sum_n gy_n ---- */

static err_t linear_forward(node *n, pass *p)
{
    const tensor *x = n->inputs[0];
    tensor       *y = n->output;

    TRY(graph_output(n, p, x->rows));
    gemm(y->x, y->cols, plain(x->x, x->cols), transposed(n->params[0]->w, x->cols), x->rows,
         y->cols, x->cols, false);
    column_add(y->x, n->params[1]->w, y->rows, y->cols);
    return OK;
}

static err_t linear_backward(node *n, pass *p)
{
    tensor       *x = n->inputs[0];
    const tensor *y = n->output;
    const param  *W = n->params[0];

    (void)p;
    column_sum(n->params[1]->g, y->g, y->rows, y->cols);
    gemm(W->g, x->cols, transposed(y->g, y->cols), plain(x->x, x->cols), y->cols, x->cols,
         x->rows, true);
    if (x->wants_gradient)
        gemm(x->g, x->cols, plain(y->g, y->cols), plain(W->w, x->cols), x->rows, x->cols,
             y->cols, !n->fresh[0]);
    return OK;
}

static const layer linear_layer = {.name       = "linear",
                                   .forward    = linear_forward,
                                   .backward   = linear_backward,
                                   .overwrites = true};

tensor *linear(graph *g, tensor *x, int out, const char *name)
{
    if (!x)
        return NULL;
    node *n = graph_add(g, &linear_layer, 1, &x, out, x->per, 0);
    node_weight(g, n, 0, name, out, x->cols);
    node_vector(g, n, 1, name, "bias", out, 0);
    return node_output(n);
}

/* ---- project:  gx = gy W^T,   gW = x^T gy ---- */

static err_t project_forward(node *n, pass *p)
{
    const tensor *x = n->inputs[0];
    tensor       *y = n->output;

    TRY(graph_output(n, p, x->rows));
    gemm(y->x, y->cols, plain(x->x, x->cols), plain(n->params[0]->w, y->cols), x->rows, y->cols,
         x->cols, false);
    return OK;
}

static err_t project_backward(node *n, pass *p)
{
    tensor       *x = n->inputs[0];
    const tensor *y = n->output;
    const param  *W = n->params[0];

    (void)p;
    gemm(W->g, y->cols, transposed(x->x, x->cols), plain(y->g, y->cols), x->cols, y->cols,
         x->rows, true);
    if (x->wants_gradient)
        gemm(x->g, x->cols, plain(y->g, y->cols), transposed(W->w, y->cols), x->rows, x->cols,
             y->cols, !n->fresh[0]);
    return OK;
}

static const layer project_layer = {.name       = "project",
                                    .forward    = project_forward,
                                    .backward   = project_backward,
                                    .overwrites = true};

tensor *project(graph *g, tensor *x, int out, const char *name)
{
    if (!x)
        return NULL;
    node *n = graph_add(g, &project_layer, 1, &x, out, x->per, 0);
    node_weight(g, n, 0, name, x->cols, out);
    return node_output(n);
}
