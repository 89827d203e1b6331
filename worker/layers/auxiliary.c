/* DIEN's auxiliary loss (Zhou et al. 2019, eq. 6): the state after an event has to tell the
 * next event from one that was not.
 *
 *     sum_t softplus(-z(h_t, e_t+1)) + softplus(z(h_t, n_t+1))
 *
 * Rows of all samples are gone through as they lie, row j of h with row j+1 of e and n, so that
 * nothing is copied; where row j is the last of its sample, its pair has no part in the loss,
 * and gradient 0. The net's first layer is split, as h's part serves both pairs:
 *
 *     x = h W_h + b,   a_0 = sigmoid(x + e W_e) and sigmoid(x + n W_e)
 *
 * Of a piece of rows, those of e come first in a and z and those of n behind them, so that each
 * further layer is one product. */
#include <stdio.h>

#include "worker/kernels/activation.h"
#include "worker/kernels/loss.h"
#include "worker/kernels/product.h"
#include "worker/kernels/rows.h"
#include "worker/layers/layers.h"

#define PIECE_ROWS 64

/* A layer of the net; the last one, of width 1, gives z. */
typedef struct net_layer {
    param *weight, *bias;
    int    in, U, stride;
    real  *Wt; /* (in, stride) */
    real  *b;  /* (stride) */
    real  *a;  /* (2 rows, stride) by piece; NULL of the last */
    real  *g;  /* (2 pieces, stride) */
} net_layer;

typedef struct auxiliary {
    auxiliary_kind kind;
    mean_kind      mean_over;
    int            n; /* layers */
} auxiliary;

/* One node and batch. */
typedef struct contrast {
    const auxiliary *c;
    tensor          *h, *e, *no;
    const int       *offsets;
    int              samples, pairs; /* pairs: rows but the last, some of no sample */
    net_layer       *layers;
    real            *z, *gz; /* (2 pairs) by piece */
    real            *sum;    /* (a piece, stride of layer 0) */
    real            *W;      /* (U, in_stride): weight of layer 0, for backward */
    int              in_stride;
    real            *ones;   /* (2 pieces) */
    double           share;  /* what the sum over a sample's events is multiplied by */
} contrast;

/* Rows first .. first+n-1 of h. */
typedef struct piece {
    int first, n;
} piece;

static piece next_piece(const contrast *u, int first)
{
    return (piece){first, least(PIECE_ROWS, u->pairs - first)};
}

/* ---- products ---- */

static void first_layer(const contrast *u, const piece *e, real *a)
{
    const net_layer *l = u->layers;
    const real      *W = ROW(l->Wt, u->h->cols, l->stride);
    int              S = l->stride, H = u->h->cols, D = u->e->cols;
    real            *no = ROW(a, e->n, S);

    product(u->sum, S, l->b, 0, rows_of(ROW(u->h->x, e->first, H), H), l->Wt, S, e->n, S, H);
    product(a, S, u->sum, S, rows_of(ROW(u->e->x, e->first + 1, D), D), W, S, e->n, S, D);
    product(no, S, u->sum, S, rows_of(ROW(u->no->x, e->first + 1, D), D), W, S, e->n, S, D);
    sigmoid_forward(a, a, 2 * (size_t)e->n * (size_t)S);
}

/* z of a piece, by the net. */
static void net_forward(const contrast *u, const piece *e)
{
    int         last = u->c->n - 1, rows = 2 * e->n;
    const real *below = NULL;

    for (int i = 0; i < last; i++) {
        net_layer *l = &u->layers[i];
        real      *a = ROW(l->a, 2 * e->first, l->stride);
        if (i == 0) {
            first_layer(u, e, a);
        } else {
            product(a, l->stride, l->b, 0, rows_of(below, u->layers[i - 1].stride), l->Wt,
                    l->stride, rows, l->stride, l->in);
            sigmoid_forward(a, a, (size_t)rows * (size_t)l->stride);
        }
        below = a;
    }
    const net_layer *l = &u->layers[last];
    real            *z = u->z + 2 * e->first;
    rows_dot(z, below, u->layers[last - 1].stride, l->weight->w, 0, rows, l->in);
    for (int k = 0; k < rows; k++)
        z[k] += l->bias->w[0];
}

/* The gradient of layer i's products becomes that of its weights, and below's. */
static void layer_backward(const contrast *u, const piece *e, int i, const real *g)
{
    net_layer  *l = &u->layers[i], *under = &u->layers[i - 1];
    int         rows = 2 * e->n;
    const real *a    = ROW(under->a, 2 * e->first, under->stride);
    real       *W = l->weight->g, *b = l->bias->g;

    product(W, l->in, W, l->in, columns_of(g, l->stride), a, under->stride, l->U, l->in, rows);
    product(b, 0, b, 0, rows_of(u->ones, rows), g, l->stride, 1, l->U, rows);
    product(under->g, under->stride, NULL, 0, rows_of(g, l->stride), l->weight->w, l->in, rows,
            l->in, l->U);
    sigmoid_backward(under->g, under->g, a, false, (size_t)rows * (size_t)under->stride);
}

/* The gradient of the piece's rows of t, `behind` rows on, from g (rows, stride): g W, W's
 * columns from `column` on. */
static void input_gradient(const contrast *u, tensor *t, bool fresh, const real *g, int column,
                           const piece *e, int behind)
{
    real *to = t->wants_gradient ? ROW(t->g, e->first + behind, t->cols) : NULL;

    if (to)
        product(to, t->cols, fresh ? NULL : to, t->cols, rows_of(g, u->layers->stride),
                u->W + column, u->in_stride, e->n, t->cols, u->layers->U);
}

/* gW += g^T x, W's columns from `column` on. */
static void input_weights(const net_layer *l, const real *g, const tensor *t, int column,
                          const piece *e, int behind)
{
    real *W = l->weight->g + column;

    product(W, l->in, W, l->in, columns_of(g, l->stride), ROW(t->x, e->first + behind, t->cols),
            t->cols, l->U, t->cols, e->n);
}

static void first_backward(const contrast *u, const node *n, const piece *e)
{
    net_layer  *l = u->layers;
    int         S = l->stride, H = u->h->cols;
    const real *no = ROW(l->g, e->n, S);
    real       *b  = l->bias->g;

    memcpy(u->sum, l->g, (size_t)e->n * (size_t)S * sizeof *u->sum);
    rows_scale(u->sum, S, u->ones, no, S, true, e->n, S);
    input_weights(l, u->sum, u->h, 0, e, 0);
    input_weights(l, l->g, u->e, H, e, 1);
    input_weights(l, no, u->no, H, e, 1);
    input_gradient(u, u->h, n->fresh[0], u->sum, 0, e, 0);
    input_gradient(u, u->e, n->fresh[1], l->g, H, e, 1);
    input_gradient(u, u->no, n->fresh[2], no, H, e, 1);
    product(b, 0, b, 0, rows_of(u->ones, e->n), u->sum, S, 1, l->U, e->n);
}

static void net_backward(const contrast *u, const node *n, const piece *e)
{
    const real *g = u->gz + 2 * e->first;

    for (int i = u->c->n - 1; i > 0; i--) {
        layer_backward(u, e, i, g);
        g = u->layers[i - 1].g;
    }
    first_backward(u, n, e);
}

/* ---- the inner product ---- */

static void dot_forward(const contrast *u, const piece *e)
{
    int         D = u->e->cols;
    const real *h = ROW(u->h->x, e->first, D);
    real       *z = u->z + 2 * e->first;

    rows_dot(z, h, D, ROW(u->e->x, e->first + 1, D), D, e->n, D);
    rows_dot(z + e->n, h, D, ROW(u->no->x, e->first + 1, D), D, e->n, D);
}

static void dot_backward(const contrast *u, const node *n, const piece *e)
{
    int         D = u->e->cols;
    const real *h = ROW(u->h->x, e->first, D), *gz = u->gz + 2 * e->first, *gno = gz + e->n;

    if (u->h->wants_gradient) {
        real *gh = ROW(u->h->g, e->first, D);
        rows_scale(gh, D, gz, ROW(u->e->x, e->first + 1, D), D, !n->fresh[0], e->n, D);
        rows_scale(gh, D, gno, ROW(u->no->x, e->first + 1, D), D, true, e->n, D);
    }
    if (u->e->wants_gradient)
        rows_scale(ROW(u->e->g, e->first + 1, D), D, gz, h, D, !n->fresh[1], e->n, D);
    if (u->no->wants_gradient)
        rows_scale(ROW(u->no->g, e->first + 1, D), D, gno, h, D, !n->fresh[2], e->n, D);
}

/* ---- the loss of samples ---- */

/* Pairs of sample b from row j on whose z lie side by side: those of one piece. */
static int pairs_together(const contrast *u, int b, int j)
{
    int piece_end = j / PIECE_ROWS * PIECE_ROWS + PIECE_ROWS;

    return least(u->offsets[b + 1] - 1, piece_end) - j;
}

/* Where z of row j stands with e; *no: with n. */
static size_t place_of(const contrast *u, int j, size_t *no)
{
    piece e = next_piece(u, j / PIECE_ROWS * PIECE_ROWS);

    *no = (size_t)(e.first + j + e.n);
    return (size_t)(e.first + j);
}

static double sample_loss(const contrast *u, int b)
{
    double sum = 0;
    size_t yes, no;

    for (int j = u->offsets[b], n; j < u->offsets[b + 1] - 1; j += n) {
        n   = pairs_together(u, b, j);
        yes = place_of(u, j, &no);
        sum += contrast_forward(u->z + yes, u->z + no, n);
    }
    return sum;
}

static void sample_gradient(const contrast *u, int b, real g)
{
    size_t yes, no;

    for (int j = u->offsets[b], n; j < u->offsets[b + 1] - 1; j += n) {
        n   = pairs_together(u, b, j);
        yes = place_of(u, j, &no);
        contrast_backward(u->gz + yes, u->gz + no, u->z + yes, u->z + no, g, n);
    }
}

/* Collective: samples / pairs of the whole step, both weighted; of this pass where it has no
 * workers. */
static err_t share_of_pairs(contrast *u, pass *p)
{
    const batch *b         = p->batch;
    double       counts[2] = {0};

    for (int i = 0; i < u->samples; i++) {
        double w = b->weight ? (double)b->weight[i] : 1;
        int    n = u->offsets[i + 1] - u->offsets[i];
        counts[0] += w;
        counts[1] += n > 1 ? w * (n - 1) : 0;
    }
    if (p->workers)
        TRY(comm_sum_double(p->workers, counts, 2));
    u->share = counts[1] > 0 ? counts[0] / counts[1] : 0;
    return OK;
}

/* ---- the layer ---- */

static err_t open_layer(contrast *u, net_layer *l, const node *n, int i, int rows, pass *p)
{
    l->weight = n->params[2 * i];
    l->bias   = n->params[2 * i + 1];
    l->U      = l->weight->shape[0];
    l->in     = l->weight->shape[1];
    l->stride = i == u->c->n - 1 ? 1 : padded(l->U);
    if (i == u->c->n - 1)
        return OK;
    size_t stride = (size_t)l->stride;
    TRY(arena_take_zero(p->arena, (size_t)l->in * stride * sizeof(real), &l->Wt));
    TRY(arena_take_zero(p->arena, stride * sizeof(real), &l->b));
    TRY(arena_take(p->arena, (size_t)rows * stride * sizeof(real), &l->a));
    for (int o = 0; o < l->U; o++) {
        l->b[o] = l->bias->w[o];
        for (int k = 0; k < l->in; k++)
            ROW(l->Wt, k, l->stride)[o] = ROW(l->weight->w, o, l->in)[k];
    }
    return OK;
}

static err_t open_contrast(contrast *u, const node *n, pass *p)
{
    *u         = (contrast){.c       = n->config,
                            .h       = n->inputs[0],
                            .e       = n->inputs[1],
                            .no      = n->inputs[2],
                            .offsets = pass_offsets(p, n->inputs[0]->per),
                            .samples = p->batch->B,
                            .share   = 1};
    u->pairs   = u->h->rows > 0 ? u->h->rows - 1 : 0;
    int layers = u->c->n, rows = 2 * u->pairs;
    TRY(arena_take(p->arena, ((size_t)rows + 1) * sizeof *u->z, &u->z));
    TRY(arena_take_zero(p->arena, (size_t)layers * sizeof *u->layers, &u->layers));
    for (int i = 0; i < layers; i++)
        TRY(open_layer(u, &u->layers[i], n, i, rows, p));
    size_t stride = layers ? (size_t)u->layers->stride : 0;
    return arena_take(p->arena, PIECE_ROWS * stride * sizeof *u->sum, &u->sum);
}

static err_t auxiliary_forward(node *n, pass *p)
{
    contrast *u;

    TRY(graph_output(n, p, p->batch->B));
    TRY(arena_take(p->arena, sizeof *u, &u));
    TRY(open_contrast(u, n, p));
    if (u->c->mean_over == MEAN_OVER_EVENTS)
        TRY(share_of_pairs(u, p));
    for (piece e = next_piece(u, 0); e.n > 0; e = next_piece(u, e.first + e.n)) {
        if (u->c->kind == AUXILIARY_DOT)
            dot_forward(u, &e);
        else
            net_forward(u, &e);
    }
    for (int b = 0; b < u->samples; b++)
        n->output->x[b] = (real)(u->share * sample_loss(u, b));
    n->scratch = u;
    return OK;
}

/* The rows that no pair reaches. */
static void clear_row(tensor *t, bool fresh, int row)
{
    if (t->wants_gradient && fresh && t->rows > 0)
        memset(ROW(t->g, row, t->cols), 0, (size_t)t->cols * sizeof *t->g);
}

/* The weights of the first layer, rows apart in the cache. */
static err_t open_first_backward(contrast *u, pass *p)
{
    const net_layer *l = u->layers;

    u->in_stride = odd_vectors(l->in);
    TRY(arena_take(p->arena, (size_t)l->U * (size_t)u->in_stride * sizeof *u->W, &u->W));
    for (int o = 0; o < l->U; o++)
        memcpy(ROW(u->W, o, u->in_stride), ROW(l->weight->w, o, l->in),
               (size_t)l->in * sizeof *u->W);
    return OK;
}

static err_t open_backward(contrast *u, const node *n, pass *p)
{
    if (u->c->kind == AUXILIARY_MLP)
        TRY(open_first_backward(u, p));
    TRY(arena_take_zero(p->arena, (2 * (size_t)u->pairs + 1) * sizeof *u->gz, &u->gz));
    TRY(arena_take(p->arena, 2 * PIECE_ROWS * sizeof *u->ones, &u->ones));
    for (int i = 0; i < 2 * PIECE_ROWS; i++)
        u->ones[i] = 1;
    for (int i = 0; i < u->c->n - 1; i++) {
        net_layer *l    = &u->layers[i];
        size_t     room = 2 * PIECE_ROWS * (size_t)l->stride;
        TRY(arena_take_zero(p->arena, room * sizeof *l->g, &l->g));
    }
    for (int b = 0; b < u->samples; b++)
        sample_gradient(u, b, (real)u->share * n->output->g[b]);
    clear_row(u->h, n->fresh[0], u->h->rows - 1);
    clear_row(u->e, n->fresh[1], 0);
    clear_row(u->no, n->fresh[2], 0);
    return OK;
}

static err_t auxiliary_backward(node *n, pass *p)
{
    contrast *u = n->scratch;

    TRY(open_backward(u, n, p));
    for (piece e = next_piece(u, 0); e.n > 0; e = next_piece(u, e.first + e.n)) {
        if (u->c->kind == AUXILIARY_DOT)
            dot_backward(u, n, &e);
        else
            net_backward(u, n, &e);
    }
    return OK;
}

static const layer auxiliary_layer = {.name       = "auxiliary loss",
                                      .forward    = auxiliary_forward,
                                      .backward   = auxiliary_backward,
                                      .overwrites = true};

/* ---- building ---- */

static void build_net(graph *g, node *n, const config_ints *units, int in, const char *name)
{
    char place[2 * CONFIG_NAME_MAX];

    for (int i = 0; i <= units->n; i++) {
        int U = i < units->n ? units->at[i] : 1;
        if (i < units->n)
            snprintf(place, sizeof place, "%s.%d", name, i);
        else
            snprintf(place, sizeof place, "%s.output", name);
        node_weight(g, n, 2 * i, place, U, in);
        node_vector(g, n, 2 * i + 1, place, "bias", U, 0);
        in = U;
    }
}

tensor *auxiliary_loss(graph *g, tensor *states, tensor *events, tensor *negatives,
                       const auxiliary_config *c, const char *name)
{
    if (!states || !events || !negatives)
        return NULL;
    if (c->kind == AUXILIARY_DOT && states->cols != events->cols)
        return graph_fail(g,
                          err_set(ERR_CONFIG,
                                  "model.auxiliary.kind is dot, the states are %d wide and the "
                                  "events %d: no inner product, wanted the same, or kind mlp",
                                  states->cols, events->cols));
    if (c->kind == AUXILIARY_MLP && c->units.n == 0)
        return graph_fail(
            g, err_set(ERR_CONFIG, "model.auxiliary.units is empty, wanted one layer or more"));
    node *n = graph_add(g, &auxiliary_layer, 3, (tensor *[]){states, events, negatives}, 1,
                        graph_parent(g, states->per), sizeof(auxiliary));
    if (!n)
        return NULL;
    *(auxiliary *)n->config = (auxiliary){.kind      = c->kind,
                                          .mean_over = c->mean_over,
                                          .n = c->kind == AUXILIARY_MLP ? c->units.n + 1 : 0};
    if (c->kind == AUXILIARY_MLP)
        build_net(g, n, &c->units, states->cols + events->cols, name);
    return node_output(n);
}
