/* The first layer of DIN's activation unit, without its input.
 *
 * Of the concatenation [q, k, q-k, q*k] of a candidate and an event, most depends on one of
 * the two alone. With W = [Wq Wk Wd Wp] by parts,
 *
 *     z_t = k_t (Wk - Wd)^T + (q * k_t) Wp^T + s,    s = q (Wq + Wd)^T + b
 *
 * where s is one row per sample. With X_t = [k_t, q * k_t], V = [Wk - Wd, Wp], z = X V^T + s:
 *
 *     gs = sum_t gz_t,  gV = gz^T X,  gX = gz V;   gb = sum gs,  g(Wq + Wd) = gs^T q,
 *     gq = gs (Wq + Wd) + sum_t gX_p * k_t,        gk_t = gX_k + q * gX_p
 *
 * Half of the plain arithmetic. X is formed for a few samples at a time, so that it
 * stays in the cache, and again in backward. Where k is wider than q, Wd and Wp meet
 * its first Dq columns. */
#include <string.h>

#include "worker/kernels/column.h"
#include "worker/kernels/gemm.h"
#include "worker/kernels/pair.h"
#include "worker/kernels/segment.h"
#include "worker/layers/layers.h"

#define PIECE_EVENTS 1024
#define PARTS        4

typedef struct pair_config {
    int  first[PARTS]; /* column of W at which a part begins, or -1 */
    int  in;           /* columns of W */
    bool with_q, with_k, with_product;
} pair_config;

/* All of one node and batch, by its letters above. */
typedef struct pair {
    const pair_config *c;
    const tensor      *q, *k, *z;
    const int         *offsets;
    int                B, Dq, Dk, Dx, U; /* Dx: columns of X */
    bool               copied;           /* X is formed; else it is k itself, or nothing */
    real              *V;                /* (U, Dx) */
    real              *Vq;               /* (U, Dq)  Wq + Wd */
    real              *X;                /* (events of a piece, Dx) */
    real              *gX;               /* the same */
} pair;

/* ---- the weights V and Vq from W, and back ---- */

/* to[u, :] += factor W[u, first : first + cols] */
static void add_part(real *to, int stride, const real *W, int in, int first, real factor, int U,
                     int cols)
{
    for (int u = 0; first >= 0 && u < U; u++)
        for (int d = 0; d < cols; d++)
            ROW(to, u, stride)[d] += factor * ROW(W, u, in)[first + d];
}

/* gW[u, first : first + cols] += factor from[u, :] */
static void return_part(real *gW, int in, int first, const real *from, int stride, real factor,
                        int U, int cols)
{
    for (int u = 0; first >= 0 && u < U; u++)
        for (int d = 0; d < cols; d++)
            ROW(gW, u, in)[first + d] += factor * ROW(from, u, stride)[d];
}

static int k_columns(const pair *a)
{
    return a->c->with_k ? a->Dk : 0;
}

static void fold_weights(pair *a, const real *W)
{
    const int *first = a->c->first, in = a->c->in;

    add_part(a->V, a->Dx, W, in, first[PART_K], 1, a->U, a->Dk);
    add_part(a->V, a->Dx, W, in, first[PART_DIFFERENCE], -1, a->U, a->Dq);
    add_part(a->V + k_columns(a), a->Dx, W, in, first[PART_PRODUCT], 1, a->U, a->Dq);
    add_part(a->Vq, a->Dq, W, in, first[PART_Q], 1, a->U, a->Dq);
    add_part(a->Vq, a->Dq, W, in, first[PART_DIFFERENCE], 1, a->U, a->Dq);
}

static void unfold_gradients(const pair *a, real *gW, const real *gV, const real *gVq)
{
    const int *first = a->c->first, in = a->c->in;

    return_part(gW, in, first[PART_K], gV, a->Dx, 1, a->U, a->Dk);
    return_part(gW, in, first[PART_DIFFERENCE], gV, a->Dx, -1, a->U, a->Dq);
    return_part(gW, in, first[PART_PRODUCT], gV + k_columns(a), a->Dx, 1, a->U, a->Dq);
    return_part(gW, in, first[PART_Q], gVq, a->Dq, 1, a->U, a->Dq);
    return_part(gW, in, first[PART_DIFFERENCE], gVq, a->Dq, 1, a->U, a->Dq);
}

/* ---- pieces ---- */

/* Samples b .. *end-1 have at most PIECE_EVENTS events, or are a single one. */
static int piece_end(const int *offsets, int b, int B)
{
    int end = b + 1;

    while (end < B && offsets[end + 1] - offsets[b] <= PIECE_EVENTS)
        end++;
    return end;
}

static int longest_piece(const int *offsets, int B)
{
    int most = 0;

    for (int b = 0, end; b < B; b = end) {
        end = piece_end(offsets, b, B);
        if (offsets[end] - offsets[b] > most)
            most = offsets[end] - offsets[b];
    }
    return most;
}

/* X of the samples b .. end-1: formed, or k where nothing is to be formed. */
static const real *piece_input(const pair *a, int b, int end)
{
    const real *k = ROW(a->k->x, a->offsets[b], a->Dk);

    if (!a->copied)
        return k;
    pair_forward(a->X, ROW(a->q->x, b, a->Dq), k, a->c->with_k, a->offsets + b, end - b, a->Dq,
                 a->Dk);
    return a->X;
}

static err_t open_pair(pair *a, const node *n, pass *p)
{
    const pair_config *c = n->config;
    const tensor      *q = n->inputs[0], *k = n->inputs[1];

    *a = (pair){
        .c = c, .q = q, .k = k, .z = n->output, .B = p->batch->B, .Dq = q->cols, .Dk = k->cols};
    a->U       = n->output->cols;
    a->Dx      = k_columns(a) + (c->with_product ? a->Dq : 0);
    a->copied  = c->with_product;
    a->offsets = p->batch->sequences[k->per].offsets;
    TRY(arena_take_zero(p->arena, (size_t)a->U * (size_t)a->Dx * sizeof *a->V, &a->V));
    TRY(arena_take_zero(p->arena, (size_t)a->U * (size_t)a->Dq * sizeof *a->Vq, &a->Vq));
    size_t piece = (size_t)longest_piece(a->offsets, a->B) * (size_t)a->Dx * sizeof(real);
    TRY(arena_take(p->arena, a->copied ? piece : 0, &a->X));
    TRY(arena_take(p->arena, a->copied ? piece : 0, &a->gX));
    fold_weights(a, n->params[0]->w);
    return OK;
}

/* ---- forward ---- */

static err_t pair_linear_forward(node *n, pass *p)
{
    pair *a;
    real *s;

    TRY(graph_output(n, p, n->inputs[1]->rows));
    TRY(arena_take(p->arena, sizeof *a, &a));
    TRY(open_pair(a, n, p));
    TRY(arena_take_zero(p->arena, (size_t)a->B * (size_t)a->U * sizeof *s, &s));
    if (a->c->with_q)
        gemm(s, a->U, plain(a->q->x, a->Dq), transposed(a->Vq, a->Dq), a->B, a->U, a->Dq,
             false);
    column_add(s, n->params[1]->w, a->B, a->U);
    for (int b = 0, end; b < a->B; b = end) {
        end           = piece_end(a->offsets, b, a->B);
        const real *X = piece_input(a, b, end);
        int         T = a->offsets[end] - a->offsets[b];
        real       *z = ROW(n->output->x, a->offsets[b], a->U);
        gemm(z, a->U, plain(X, a->Dx), transposed(a->V, a->Dx), T, a->U, a->Dx, false);
        segment_spread(n->output->x, a->U, NULL, ROW(s, b, a->U), a->U, a->offsets + b, true,
                       end - b, a->U);
    }
    n->scratch = a;
    return OK;
}

/* ---- backward ---- */

/* The part of the gradients that goes by the sample: gb, gVq, gq. */
static err_t backward_samples(const pair *a, const node *n, real *gVq, pass *p)
{
    tensor *q = n->inputs[0];
    real   *gs;

    TRY(arena_take(p->arena, (size_t)a->B * (size_t)a->U * sizeof *gs, &gs));
    segment_sum(gs, a->U, NULL, a->z->g, a->U, a->offsets, false, a->B, a->U);
    column_sum(n->params[1]->g, gs, a->B, a->U);
    gemm(gVq, a->Dq, transposed(gs, a->U), plain(q->x, a->Dq), a->U, a->Dq, a->B, false);
    if (q->wants_gradient)
        gemm(q->g, a->Dq, plain(gs, a->U), plain(a->Vq, a->Dq), a->B, a->Dq, a->U,
             !n->fresh[0]);
    return OK;
}

/* The part that goes by the event, of samples b .. end-1: gV, gk, gq. */
static void backward_events(const pair *a, real *gV, real *gq, real *gk, bool add, int b,
                            int end)
{
    int         T  = a->offsets[end] - a->offsets[b];
    const real *gz = ROW(a->z->g, a->offsets[b], a->U), *X = piece_input(a, b, end);
    real       *gk_b = ROW(gk, a->offsets[b], a->Dk);

    gemm(gV, a->Dx, transposed(gz, a->U), plain(X, a->Dx), a->U, a->Dx, T, true);
    if (!a->copied) {
        gemm(gk_b, a->Dk, plain(gz, a->U), plain(a->V, a->Dx), T, a->Dx, a->U, add);
        return;
    }
    gemm(a->gX, a->Dx, plain(gz, a->U), plain(a->V, a->Dx), T, a->Dx, a->U, false);
    pair_backward(ROW(gq, b, a->Dq), gk_b, a->gX, ROW(a->q->x, b, a->Dq),
                  ROW(a->k->x, a->offsets[b], a->Dk), a->c->with_k, a->offsets + b, add,
                  end - b, a->Dq, a->Dk);
}

/* Where t's gradient goes: memory that nobody reads where none is wanted. */
static err_t gradient_of(const tensor *t, pass *p, real **g)
{
    *g = t->g;
    return t->wants_gradient
               ? OK
               : arena_take_zero(p->arena, (size_t)t->rows * (size_t)t->cols * sizeof **g, g);
}

static err_t pair_linear_backward(node *n, pass *p)
{
    const pair   *a = n->scratch;
    const tensor *k = n->inputs[1];
    real         *gV, *gVq, *gq, *gk;

    TRY(arena_take_zero(p->arena, (size_t)a->U * (size_t)a->Dx * sizeof *gV, &gV));
    TRY(arena_take_zero(p->arena, (size_t)a->U * (size_t)a->Dq * sizeof *gVq, &gVq));
    TRY(gradient_of(n->inputs[0], p, &gq));
    TRY(gradient_of(k, p, &gk));
    TRY(backward_samples(a, n, gVq, p));
    if (a->Dx == 0 && n->fresh[1])
        memset(gk, 0, (size_t)k->rows * (size_t)k->cols * sizeof *gk);
    for (int b = 0, end; a->Dx > 0 && b < a->B; b = end) {
        end = piece_end(a->offsets, b, a->B);
        backward_events(a, gV, gq, gk, !n->fresh[1], b, end);
    }
    unfold_gradients(a, n->params[0]->g, gV, gVq);
    return OK;
}

static const layer pair_layer = {.name       = "pair linear",
                                 .forward    = pair_linear_forward,
                                 .backward   = pair_linear_backward,
                                 .overwrites = true};

/* ---- building ---- */

static bool place_parts(graph *g, pair_config *c, int n_parts, const part_kind *parts, int Dq,
                        int Dk)
{
    for (int i = 0; i < PARTS; i++)
        c->first[i] = -1;
    for (int i = 0; i < n_parts; i++) {
        if (c->first[parts[i]] >= 0) {
            graph_fail(g, err_set(ERR_CONFIG, "model.attention.parts names a part twice"));
            return false;
        }
        c->first[parts[i]] = c->in;
        c->in += parts[i] == PART_K ? Dk : Dq;
    }
    c->with_product = c->first[PART_PRODUCT] >= 0;
    c->with_q       = c->first[PART_Q] >= 0 || c->first[PART_DIFFERENCE] >= 0;
    c->with_k       = c->first[PART_K] >= 0 || c->first[PART_DIFFERENCE] >= 0;
    return true;
}

tensor *pair_linear(graph *g, tensor *q, tensor *k, int n_parts, const part_kind *parts,
                    int out, const char *name)
{
    pair_config c = {0};

    if (!q || !k || !place_parts(g, &c, n_parts, parts, q->cols, k->cols))
        return NULL;
    if (c.in == 0)
        return graph_fail(g, err_set(ERR_CONFIG, "model.attention.parts is empty"));
    node *n = graph_add(g, &pair_layer, 2, (tensor *[]){q, k}, out, k->per, sizeof c);
    if (n)
        *(pair_config *)n->config = c;
    node_weight(g, n, 0, name, out, c.in);
    node_vector(g, n, 1, name, "bias", out, 0);
    return node_output(n);
}
