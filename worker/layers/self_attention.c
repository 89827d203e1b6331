/* Multi-head self-attention within groups of rows, as the events of a session:
 *
 *     [Q K V] = x [W^Q W^K W^V],   y = norm(x + [O_1 ... O_H] W^O),   O_h as heads.h says
 *
 * with scores divided by the square root of the width of x (DSIN, eq. 4). A piece of
 * groups at a time goes through all of it in the caches; Q, K and V are kept for backward,
 * which makes the heads' weights and their results again. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "worker/kernels/heads.h"
#include "worker/kernels/product.h"
#include "worker/layers/folded_pair.h"
#include "worker/layers/layers.h"
#include "worker/layers/residual.h"

/* Parameters of a node. */
enum { QUERY, KEY, VALUE, OUTPUT, NORM };

typedef struct block_config {
    int    heads;
    bool   blinding;
    double eps;
} block_config;

/* One node and batch. */
typedef struct block {
    const node *n;
    residual    end;
    heads       h;
    const int  *offsets;
    int         groups, D, stride; /* stride of qkv: its 3 D numbers in whole vectors */
    int         O_stride, longest;
    bool        whole;          /* Q, K, V of all rows are kept */
    real       *qkv;            /* (rows, stride) */
    real       *O;              /* (a piece, O_stride) */
    real       *in, *in_back;   /* (D, stride) [W^Q W^K W^V]; (3 D, D) the same transposed */
    real       *out;            /* (D, O_stride) W^O, or NULL */
    real       *gs, *gO, *gqkv; /* of a piece */
} block;

/* Groups begin .. end-1 and their rows. */
typedef struct piece {
    int begin, end, first, rows;
} piece;

static piece next_piece(const block *k, int begin)
{
    int end = piece_end(k->offsets, begin, k->groups);

    return (piece){begin, end, k->offsets[begin], k->offsets[end] - k->offsets[begin]};
}

static real *qkv_of(const block *k, const piece *e)
{
    return k->whole ? ROW(k->qkv, e->first, k->stride) : k->qkv;
}

/* ---- opening ---- */

static err_t take(pass *p, real **at, int rows, int stride)
{
    return arena_take_zero(p->arena, (size_t)rows * (size_t)stride * sizeof **at, at);
}

/* to (in, stride), from column `first` on, = W^T of W (out, in). */
static void turn(real *to, int stride, int first, const param *W)
{
    int out = W->shape[0], in = W->shape[1];

    for (int o = 0; o < out; o++)
        for (int i = 0; i < in; i++)
            ROW(to, i, stride)[first + o] = ROW(W->w, o, in)[i];
}

static err_t open_weights(block *k, pass *p)
{
    TRY(take(p, &k->in, k->D, k->stride));
    for (int i = QUERY; i <= VALUE; i++)
        turn(k->in, k->stride, i * k->D, k->n->params[i]);
    if (!k->n->params[OUTPUT])
        return OK;
    TRY(take(p, &k->out, k->D, k->O_stride));
    turn(k->out, k->O_stride, 0, k->n->params[OUTPUT]);
    return OK;
}

static err_t open_heads(block *k, const block_config *c, int longest_group, pass *p)
{
    int room = padded(longest_group);

    k->h = (heads){
        .H = c->heads, .D = k->D, .scale = (real)(1 / sqrt(k->D)), .blinding = c->blinding};
    TRY(take(p, &k->h.A, longest_group, room));
    TRY(take(p, &k->h.gA, longest_group, room));
    TRY(take(p, &k->h.Kt, k->D, room));
    return take(p, &k->h.Vt, k->D, room);
}

static int longest_group(const int *offsets, int groups)
{
    int most = 0;

    for (int i = 0; i < groups; i++)
        if (offsets[i + 1] - offsets[i] > most)
            most = offsets[i + 1] - offsets[i];
    return most;
}

static err_t open_block(block *k, const node *n, pass *p)
{
    const block_config *c = n->config;
    const tensor       *x = n->inputs[0];

    *k          = (block){.n       = n,
                          .offsets = pass_offsets(p, x->per),
                          .groups  = pass_parent_rows(p, x->per),
                          .D       = x->cols,
                          .stride  = padded(3 * x->cols),
                          .whole   = pass_learns(p)};
    k->O_stride = padded(k->D);
    k->longest  = piece_longest(k->offsets, k->groups);
    TRY(open_weights(k, p));
    TRY(open_heads(k, c, longest_group(k->offsets, k->groups), p));
    TRY(arena_take(p->arena,
                   (size_t)(k->whole ? x->rows : k->longest) * (size_t)k->stride *
                       sizeof *k->qkv,
                   &k->qkv));
    TRY(take(p, &k->O, k->longest, k->O_stride));
    return residual_open(&k->end, n, NORM, c->eps, k->longest, p);
}

/* ---- forward ---- */

static void add_rows(real *to, const real *from, int from_stride, int N, int D)
{
    for (int n = 0; n < N; n++)
        for (int d = 0; d < D; d++)
            ROW(to, n, D)[d] += ROW(from, n, from_stride)[d];
}

static void forward_piece(block *k, const piece *e)
{
    int         D = k->D;
    const real *x = ROW(k->n->inputs[0]->x, e->first, D);
    real       *s = residual_rows(&k->end, e->first), *qkv = qkv_of(k, e);

    product(qkv, k->stride, NULL, 0, rows_of(x, D), k->in, k->stride, e->rows, k->stride, D);
    for (int i = e->begin; i < e->end; i++) {
        int at = k->offsets[i] - e->first, T = k->offsets[i + 1] - k->offsets[i];
        if (T > 0)
            heads_forward(ROW(k->O, at, k->O_stride), k->O_stride, &k->h,
                          ROW(qkv, at, k->stride), k->stride, T);
    }
    if (k->out) {
        product(s, D, x, D, rows_of(k->O, k->O_stride), k->out, k->O_stride, e->rows, D, D);
    } else {
        memcpy(s, x, (size_t)e->rows * (size_t)D * sizeof *s);
        add_rows(s, k->O, k->O_stride, e->rows, D);
    }
    residual_forward(&k->end, e->first, e->rows);
}

static err_t block_forward(node *n, pass *p)
{
    block *k;

    TRY(graph_output(n, p, n->inputs[0]->rows));
    TRY(arena_take(p->arena, sizeof *k, &k));
    TRY(open_block(k, n, p));
    for (piece e = {0}; e.end < k->groups;) {
        e = next_piece(k, e.end);
        forward_piece(k, &e);
    }
    n->scratch = k;
    return OK;
}

/* ---- backward ---- */

static err_t open_backward(block *k, pass *p)
{
    size_t square = (size_t)k->D * (size_t)k->D;

    TRY(take(p, &k->in_back, 3 * k->D, k->D));
    for (int i = QUERY; i <= VALUE; i++)
        memcpy(k->in_back + (size_t)i * square, k->n->params[i]->w, square * sizeof(real));
    TRY(take(p, &k->gs, k->longest, k->D));
    TRY(take(p, &k->gO, k->longest, k->O_stride));
    return take(p, &k->gqkv, k->longest, k->stride);
}

/* gO = gs W^O */
static void backward_output(block *k, const piece *e)
{
    int D = k->D;

    if (k->out) {
        product(k->gO, k->O_stride, NULL, 0, rows_of(k->gs, D), k->n->params[OUTPUT]->w, D,
                e->rows, D, D);
        return;
    }
    for (int i = 0; i < e->rows; i++)
        memcpy(ROW(k->gO, i, k->O_stride), ROW(k->gs, i, D), (size_t)D * sizeof *k->gO);
}

/* gW += g^T x,   g (N, stride), x (N, x_stride) */
static void weight_gradient(param *W, const real *g, int stride, const real *x, int x_stride,
                            int N)
{
    int out = W->shape[0], in = W->shape[1];

    product(W->g, in, W->g, in, columns_of(g, stride), x, x_stride, out, in, N);
}

/* gx = gs + gqkv [W^Q W^K W^V]^T, or += */
static void backward_input(block *k, const piece *e)
{
    tensor *x  = k->n->inputs[0];
    int     D  = k->D;
    real   *gx = ROW(x->g, e->first, D);

    if (!k->n->fresh[0])
        add_rows(k->gs, gx, D, e->rows, D);
    product(gx, D, k->gs, D, rows_of(k->gqkv, k->stride), k->in_back, D, e->rows, D, 3 * D);
}

static void backward_piece(block *k, const piece *e)
{
    const node *n = k->n;
    int         D = k->D;
    const real *x = ROW(n->inputs[0]->x, e->first, D), *qkv = qkv_of(k, e);

    residual_backward(&k->end, k->gs, ROW(n->output->g, e->first, D), e->first, e->rows);
    backward_output(k, e);
    for (int i = e->begin; i < e->end; i++) {
        int at = k->offsets[i] - e->first, T = k->offsets[i + 1] - k->offsets[i];
        if (T > 0)
            heads_backward(ROW(k->gqkv, at, k->stride), ROW(k->O, at, k->O_stride),
                           ROW(k->gO, at, k->O_stride), k->O_stride, &k->h,
                           ROW(qkv, at, k->stride), k->stride, T);
    }
    if (k->out)
        weight_gradient(n->params[OUTPUT], k->gs, D, k->O, k->O_stride, e->rows);
    for (int i = QUERY; i <= VALUE; i++)
        weight_gradient(n->params[i], k->gqkv + i * D, k->stride, x, D, e->rows);
    if (n->inputs[0]->wants_gradient)
        backward_input(k, e);
}

static err_t block_backward(node *n, pass *p)
{
    block *k = n->scratch;

    TRY(open_backward(k, p));
    for (piece e = {0}; e.end < k->groups;) {
        e = next_piece(k, e.end);
        backward_piece(k, &e);
    }
    return OK;
}

static const layer block_layer = {.name       = "self-attention",
                                  .forward    = block_forward,
                                  .backward   = block_backward,
                                  .overwrites = true};

/* ---- building ---- */

tensor *self_attention(graph *g, tensor *x, const transformer_config *c, const char *name)
{
    static const char *const words[] = {
        [QUERY] = "query", [KEY] = "key", [VALUE] = "value", [OUTPUT] = "output"};

    if (!x)
        return NULL;
    if (x->cols % c->heads != 0)
        return graph_fail(g, err_set(ERR_CONFIG,
                                     "model.transformer.heads is %d, which does not divide "
                                     "the %d numbers of an event",
                                     c->heads, x->cols));
    node *n = graph_add(g, &block_layer, 1, &x, x->cols, x->per, sizeof(block_config));
    if (n)
        *(block_config *)n->config = (block_config){c->heads, c->blinding, c->norm_eps};
    for (int i = QUERY; i <= OUTPUT; i++) {
        char place[2 * CONFIG_NAME_MAX];
        snprintf(place, sizeof place, "%s.%s", name, words[i]);
        if (i != OUTPUT || c->output)
            node_weight(g, n, i, place, x->cols, x->cols);
    }
    if (c->layer_norm)
        residual_build(g, n, NORM, x->cols, name);
    return node_output(n);
}
