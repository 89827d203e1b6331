#include "worker/layers/folded_pair.h"

#include <string.h>

#include "worker/kernels/column.h"
#include "worker/kernels/pair.h"
#include "worker/kernels/product.h"

/* ---- the weights by parts, and back ---- */

/* to (cols, stride) and its transpose += factor W[u, first : first + cols]. */
static void add_part(real *to, int stride, real *transposed, int t_stride, const param *W,
                     int first, real factor, int cols)
{
    for (int u = 0; first >= 0 && u < W->shape[0]; u++)
        for (int d = 0; d < cols; d++) {
            real w = factor * ROW(W->w, u, W->shape[1])[first + d];
            ROW(to, d, stride)[u] += w;
            ROW(transposed, u, t_stride)[d] += w;
        }
}

/* gW[u, first : first + cols] += factor from[:, u]. */
static void return_part(param *W, int first, const real *from, int stride, real factor,
                        int cols)
{
    for (int u = 0; first >= 0 && u < W->shape[0]; u++)
        for (int d = 0; d < cols; d++)
            ROW(W->g, u, W->shape[1])[first + d] += factor * ROW(from, d, stride)[u];
}

static void fold(folded_pair *a, const param *W)
{
    const int *first = a->parts->first, U = a->U_stride, D = a->D_stride;

    add_part(a->K, U, a->Kt, D, W, first[PART_K], 1, a->Dk);
    add_part(a->K, U, a->Kt, D, W, first[PART_DIFFERENCE], -1, a->Dq);
    add_part(a->P, U, a->Pt, D, W, first[PART_PRODUCT], 1, a->Dq);
    add_part(a->S, U, a->St, a->Dq, W, first[PART_Q], 1, a->Dq);
    add_part(a->S, U, a->St, a->Dq, W, first[PART_DIFFERENCE], 1, a->Dq);
}

static void unfold(const folded_pair *a, param *W)
{
    const int *first = a->parts->first, U = a->U_stride;

    return_part(W, first[PART_K], a->gK, U, 1, a->Dk);
    return_part(W, first[PART_DIFFERENCE], a->gK, U, -1, a->Dq);
    return_part(W, first[PART_PRODUCT], a->gP, U, 1, a->Dq);
    return_part(W, first[PART_Q], a->gS, U, 1, a->Dq);
    return_part(W, first[PART_DIFFERENCE], a->gS, U, 1, a->Dq);
}

/* *at (rows, stride), cleared. */
static err_t take(pass *p, real **at, int rows, int stride)
{
    return arena_take_zero(p->arena, (size_t)rows * (size_t)stride * sizeof **at, at);
}

static err_t take_weights(folded_pair *a, pass *p)
{
    TRY(take(p, &a->K, a->D, a->U_stride));
    TRY(take(p, &a->P, a->Dq, a->U_stride));
    TRY(take(p, &a->S, a->Dq, a->U_stride));
    TRY(take(p, &a->Kt, a->U, a->D_stride));
    TRY(take(p, &a->Pt, a->U, a->D_stride));
    TRY(take(p, &a->St, a->U, a->Dq));
    TRY(take(p, &a->s, a->B, a->U_stride));
    TRY(take(p, &a->W_q, a->D, a->U_stride));
    TRY(take(p, &a->W_qt, a->U, a->D_stride));
    return take(p, &a->q_b, 1, a->D_stride);
}

/* s = q (Wq + Wd) + b */
static void sample_rows(folded_pair *a, const param *b)
{
    for (int i = 0; i < a->B; i++)
        memcpy(ROW(a->s, i, a->U_stride), b->w, (size_t)a->U * sizeof *b->w);
    if (a->parts->with_q)
        product(a->s, a->U_stride, a->s, a->U_stride, rows_of(a->q->x, a->Dq), a->S,
                a->U_stride, a->B, a->U_stride, a->Dq);
}

err_t folded_pair_open(folded_pair *a, const pair_parts *c, const tensor *q, const tensor *k,
                       const param *W, const param *b, pass *p)
{
    *a          = (folded_pair){.parts = c, .q = q, .k = k, .B = q->rows};
    a->offsets  = pass_offsets(p, k->per);
    a->Dq       = q->cols;
    a->Dk       = k->cols;
    a->D        = c->with_k ? a->Dk : c->with_product ? a->Dq : 0;
    a->U        = W->shape[0];
    a->D_stride = padded(a->D);
    a->U_stride = padded(a->U);
    TRY(take_weights(a, p));
    fold(a, W);
    sample_rows(a, b);
    return OK;
}

/* ---- one sample ---- */

static int events_of(const folded_pair *a, int b)
{
    return a->offsets[b + 1] - a->offsets[b];
}

static const real *weights_of(folded_pair *a, int b)
{
    if (!a->parts->with_product)
        return a->K;
    pair_weights(a->W_q, a->K, a->P, ROW(a->q->x, b, a->Dq), a->D, a->Dq, a->U_stride);
    return a->W_q;
}

static const real *transposed_weights_of(folded_pair *a, int b)
{
    if (!a->parts->with_product)
        return a->Kt;
    memcpy(a->q_b, ROW(a->q->x, b, a->Dq), (size_t)a->Dq * sizeof *a->q_b);
    pair_weights_transposed(a->W_qt, a->Kt, a->Pt, a->q_b, a->U, a->D_stride);
    return a->W_qt;
}

void folded_pair_forward(folded_pair *a, real *z, const real *k, int b)
{
    if (events_of(a, b) > 0)
        product_ahead(a->next, z, a->U_stride, ROW(a->s, b, a->U_stride), 0, rows_of(k, a->Dk),
                      weights_of(a, b), a->U_stride, events_of(a, b), a->U_stride, a->D);
}

void folded_pair_spread(const folded_pair *a, real *z, int begin, int end)
{
    for (int b = begin; b < end; b++)
        for (int t = 0; t < events_of(a, b); t++, z += a->U_stride)
            memcpy(z, ROW(a->s, b, a->U_stride), (size_t)a->U_stride * sizeof *z);
}

/* ---- backward ---- */

err_t folded_pair_open_backward(folded_pair *a, const node *n, pass *p)
{
    tensor *q = n->inputs[0];

    TRY(take(p, &a->gK, a->D, a->U_stride));
    TRY(take(p, &a->gP, a->Dq, a->U_stride));
    TRY(take(p, &a->gS, a->Dq, a->U_stride));
    TRY(take(p, &a->gb, 1, a->U_stride));
    TRY(take(p, &a->gs, a->B, a->U_stride));
    TRY(take(p, &a->gW_q, PAIR_LOT * a->D, a->U_stride));
    a->n_waiting = 0;
    if (!q->wants_gradient)
        TRY(take(p, &a->gq, a->B, a->Dq));
    else
        a->gq = q->g;
    if (q->wants_gradient && n->fresh[0])
        memset(q->g, 0, (size_t)a->B * (size_t)a->Dq * sizeof *q->g);
    return OK;
}

/* The gradients of W_q that wait become those of K, P and q; what is missing to a lot is filled
 * up with zeros. */
static void take_apart(folded_pair *a)
{
    const real *q[PAIR_LOT];
    real       *gq[PAIR_LOT];
    int         missing = PAIR_LOT - a->n_waiting;

    if (a->n_waiting == 0)
        return;
    memset(ROW(a->gW_q, a->n_waiting * a->D, a->U_stride), 0,
           (size_t)(missing * a->D) * (size_t)a->U_stride * sizeof *a->gW_q);
    for (int i = 0; i < PAIR_LOT; i++) {
        int b = a->waiting[i < a->n_waiting ? i : 0];
        q[i]  = ROW(a->q->x, b, a->Dq);
        gq[i] = ROW(a->gq, b, a->Dq);
    }
    pair_weights_backward(a->gK, a->gP, gq, a->gW_q, a->P, q, a->D, a->Dq, a->U_stride);
    a->n_waiting = 0;
}

void folded_pair_backward(folded_pair *a, real *gk, const real *gz, const real *k, bool add,
                          int b)
{
    int T = events_of(a, b), U = a->U_stride;

    if (T == 0)
        return;
    column_sum(ROW(a->gs, b, U), gz, T, U);
    if (gk)
        product_ahead(a->next, gk, a->Dk, add ? gk : NULL, a->Dk, rows_of(gz, U),
                      transposed_weights_of(a, b), a->D_stride, T, a->D, a->U);
    if (!a->parts->with_product) {
        product_ahead(a->next, a->gK, U, a->gK, U, columns_of(k, a->Dk), gz, U, a->D, U, T);
        return;
    }
    product_ahead(a->next, ROW(a->gW_q, a->n_waiting * a->D, U), U, NULL, 0,
                  columns_of(k, a->Dk), gz, U, a->D, U, T);
    a->waiting[a->n_waiting++] = b;
    if (a->n_waiting == PAIR_LOT)
        take_apart(a);
}

void folded_pair_sum(folded_pair *a, const real *gz, int begin, int end)
{
    for (int b = begin; b < end; b++) {
        column_sum(ROW(a->gs, b, a->U_stride), gz, events_of(a, b), a->U_stride);
        gz = ROW(gz, events_of(a, b), a->U_stride);
    }
}

void folded_pair_close_backward(folded_pair *a, param *W, param *b)
{
    int U = a->U_stride;

    take_apart(a);
    column_sum(a->gb, a->gs, a->B, U);
    for (int u = 0; u < a->U; u++)
        b->g[u] += a->gb[u];
    if (a->parts->with_q) {
        product(a->gS, U, NULL, 0, columns_of(a->q->x, a->Dq), a->gs, U, a->Dq, U, a->B);
        product(a->gq, a->Dq, a->gq, a->Dq, rows_of(a->gs, U), a->St, a->Dq, a->B, a->Dq, a->U);
    }
    unfold(a, W);
}

/* ---- pieces ---- */

int piece_end(const int *offsets, int b, int B)
{
    int end = b + 1;

    while (end < B && offsets[end + 1] - offsets[b] <= PIECE_EVENTS)
        end++;
    return end;
}

int piece_longest(const int *offsets, int B)
{
    int most = 0;

    for (int b = 0, end; b < B; b = end) {
        end = piece_end(offsets, b, B);
        if (offsets[end] - offsets[b] > most)
            most = offsets[end] - offsets[b];
    }
    return most;
}

/* ---- building ---- */

bool pair_parts_place(graph *g, pair_parts *c, int n_parts, const part_kind *parts, int Dq,
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
    if (c->in == 0) {
        graph_fail(g, err_set(ERR_CONFIG, "model.attention.parts is empty"));
        return false;
    }
    c->with_product = c->first[PART_PRODUCT] >= 0;
    c->with_q       = c->first[PART_Q] >= 0 || c->first[PART_DIFFERENCE] >= 0;
    c->with_k       = c->first[PART_K] >= 0 || c->first[PART_DIFFERENCE] >= 0;
    return true;
}
