/* The transformer's feed-forward net, row by row:
 *
 *     a = relu(x F_1^T + b_1),   y = norm(x + a F_2^T + b_2)
 *
 * A piece of rows at a time goes through it in the caches; a is kept for backward.
 * Vaswani et al. 2017, section 3.3. */
#include <stdio.h>
#include <string.h>

#include "worker/kernels/activation.h"
#include "worker/kernels/column.h"
#include "worker/kernels/product.h"
#include "worker/layers/layers.h"
#include "worker/layers/residual.h"

#define PIECE_ROWS 128

/* Parameters of a node; biases and norm may be missing. */
enum { WEIGHT_1, WEIGHT_2, BIAS_1, BIAS_2, NORM };

typedef struct net_config {
    double eps;
} net_config;

/* One node and batch. */
typedef struct net {
    const node *n;
    residual    end;
    int         D, U, stride; /* stride of a: its U numbers in whole vectors */
    bool        whole;        /* a of all rows is kept */
    real       *a;            /* (rows, stride) */
    real       *F1, *F2;      /* (D, stride), (U, D): transposes */
    real       *b1;           /* (stride) */
    real       *gs, *ga;      /* of a piece */
    real       *gb1;          /* (stride) */
} net;

static err_t take(pass *p, real **at, int rows, int stride)
{
    return arena_take_zero(p->arena, (size_t)rows * (size_t)stride * sizeof **at, at);
}

/* to (in, stride) = W^T of W (out, in). */
static void turn(real *to, int stride, const param *W)
{
    int out = W->shape[0], in = W->shape[1];

    for (int o = 0; o < out; o++)
        for (int i = 0; i < in; i++)
            ROW(to, i, stride)[o] = ROW(W->w, o, in)[i];
}

static err_t open_net(net *k, const node *n, pass *p)
{
    const tensor *x = n->inputs[0];

    *k = (net){
        .n = n, .D = x->cols, .U = n->params[WEIGHT_1]->shape[0], .whole = pass_learns(p)};
    k->stride   = padded(k->U);
    size_t rows = (size_t)(k->whole ? x->rows : PIECE_ROWS);
    TRY(arena_take(p->arena, rows * (size_t)k->stride * sizeof *k->a, &k->a));
    TRY(take(p, &k->F1, k->D, k->stride));
    TRY(take(p, &k->F2, k->U, k->D));
    turn(k->F1, k->stride, n->params[WEIGHT_1]);
    turn(k->F2, k->D, n->params[WEIGHT_2]);
    TRY(take(p, &k->b1, 1, k->stride));
    if (n->params[BIAS_1])
        memcpy(k->b1, n->params[BIAS_1]->w, (size_t)k->U * sizeof *k->b1);
    return residual_open(&k->end, n, NORM, ((const net_config *)n->config)->eps, PIECE_ROWS, p);
}

/* ---- forward ---- */

static real *a_of(const net *k, int first)
{
    return k->whole ? ROW(k->a, first, k->stride) : k->a;
}

static void forward_piece(net *k, int first, int N)
{
    const real *x = ROW(k->n->inputs[0]->x, first, k->D);
    real       *s = residual_rows(&k->end, first), *a = a_of(k, first);

    product(a, k->stride, k->b1, 0, rows_of(x, k->D), k->F1, k->stride, N, k->stride, k->D);
    relu_forward(a, a, (size_t)N * (size_t)k->stride);
    product(s, k->D, x, k->D, rows_of(a, k->stride), k->F2, k->D, N, k->D, k->U);
    if (k->n->params[BIAS_2])
        column_add(s, k->n->params[BIAS_2]->w, N, k->D);
    residual_forward(&k->end, first, N);
}

static err_t net_forward(node *n, pass *p)
{
    int  rows = n->inputs[0]->rows;
    net *k;

    TRY(graph_output(n, p, rows));
    TRY(arena_take(p->arena, sizeof *k, &k));
    TRY(open_net(k, n, p));
    for (int i = 0; i < rows; i += PIECE_ROWS)
        forward_piece(k, i, least(PIECE_ROWS, rows - i));
    n->scratch = k;
    return OK;
}

/* ---- backward ---- */

/* gW += g^T x,   g (N, stride), x (N, x_stride) */
static void weight_gradient(param *W, const real *g, int stride, const real *x, int x_stride,
                            int N)
{
    int out = W->shape[0], in = W->shape[1];

    product(W->g, in, W->g, in, columns_of(g, stride), x, x_stride, out, in, N);
}

static void backward_piece(net *k, int first, int N)
{
    param *const *params = k->n->params;
    tensor       *x      = k->n->inputs[0];
    const real   *x_rows = ROW(x->x, first, k->D), *a = a_of(k, first);
    real         *gx = x->wants_gradient ? ROW(x->g, first, k->D) : NULL;

    residual_backward(&k->end, k->gs, ROW(k->n->output->g, first, k->D), first, N);
    if (params[BIAS_2])
        column_sum(params[BIAS_2]->g, k->gs, N, k->D);
    weight_gradient(params[WEIGHT_2], k->gs, k->D, a, k->stride, N);
    product(k->ga, k->stride, NULL, 0, rows_of(k->gs, k->D), params[WEIGHT_2]->w, k->U, N, k->U,
            k->D);
    relu_backward(k->ga, k->ga, a, false, (size_t)N * (size_t)k->stride);
    column_sum(k->gb1, k->ga, N, k->stride);
    weight_gradient(params[WEIGHT_1], k->ga, k->stride, x_rows, k->D, N);
    if (!gx)
        return;
    for (int i = 0; !k->n->fresh[0] && i < N * k->D; i++)
        k->gs[i] += gx[i];
    product(gx, k->D, k->gs, k->D, rows_of(k->ga, k->stride), params[WEIGHT_1]->w, k->D, N,
            k->D, k->U);
}

static err_t net_backward(node *n, pass *p)
{
    net *k    = n->scratch;
    int  rows = n->inputs[0]->rows;

    TRY(take(p, &k->gs, PIECE_ROWS, k->D));
    TRY(take(p, &k->ga, PIECE_ROWS, k->stride));
    TRY(take(p, &k->gb1, 1, k->stride));
    for (int i = 0; i < rows; i += PIECE_ROWS)
        backward_piece(k, i, least(PIECE_ROWS, rows - i));
    for (int u = 0; n->params[BIAS_1] && u < k->U; u++)
        n->params[BIAS_1]->g[u] += k->gb1[u];
    return OK;
}

static const layer net_layer = {.name       = "feed-forward net",
                                .forward    = net_forward,
                                .backward   = net_backward,
                                .overwrites = true};

/* ---- building ---- */

tensor *feed_forward(graph *g, tensor *x, const transformer_config *c, const char *name)
{
    char place[2][2 * CONFIG_NAME_MAX];

    if (!x)
        return NULL;
    int   U = c->hidden * x->cols;
    node *n = graph_add(g, &net_layer, 1, &x, x->cols, x->per, sizeof(net_config));
    if (n)
        *(net_config *)n->config = (net_config){c->norm_eps};
    for (int l = 0; l < 2; l++)
        snprintf(place[l], sizeof place[l], "%s.%d", name, l);
    node_weight(g, n, WEIGHT_1, place[0], U, x->cols);
    if (c->bias)
        node_vector(g, n, BIAS_1, place[0], "bias", U, 0);
    node_weight(g, n, WEIGHT_2, place[1], x->cols, U);
    if (c->bias)
        node_vector(g, n, BIAS_2, place[1], "bias", x->cols, 0);
    if (c->layer_norm)
        residual_build(g, n, NORM, x->cols, name);
    return node_output(n);
}
