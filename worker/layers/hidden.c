#include "worker/layers/hidden.h"

#include <string.h>

#include "worker/kernels/activation.h"
#include "worker/kernels/column.h"
#include "worker/kernels/dice.h"
#include "worker/kernels/dice_score.h"
#include "worker/kernels/halves.h"
#include "worker/kernels/product.h"
#include "worker/kernels/segment.h"

/* ---- forward ---- */

/* *at (rows, stride), cleared. */
static err_t take(pass *p, real **at, int rows, int stride)
{
    return arena_take_zero(p->arena, (size_t)rows * (size_t)stride * sizeof **at, at);
}

static err_t take_doubles(pass *p, double **at, int n)
{
    return arena_take_zero(p->arena, (size_t)n * sizeof **at, at);
}

static err_t copy_weights(hidden *h, pass *p)
{
    TRY(take(p, &h->Wt, h->in, h->stride));
    TRY(take(p, &h->W, h->U, h->in_stride));
    for (int u = 0; u < h->U; u++)
        for (int i = 0; i < h->in; i++) {
            real w                        = ROW(h->weight->w, u, h->in)[i];
            ROW(h->W, u, h->in_stride)[i] = w;
            ROW(h->Wt, i, h->stride)[u]   = w;
        }
    return OK;
}

/* *at (rows, columns) of things of `size` bytes. */
static err_t take_halves(pass *p, void *at, size_t size, int rows, int columns)
{
    return arena_take(p->arena, size * (size_t)rows * (size_t)columns, at);
}

/* The weights of both directions as right operands, and room for the rest. */
static err_t open_halves(hidden *h, int rows, pass *p)
{
    hidden_halves *s = &h->halves;
    uint16_t      *Wt, *W;

    *s = (hidden_halves){.deep_in = bf16_deep(h->in),
                         .wide_in = bf16_wide(h->in),
                         .deep_U  = bf16_deep(h->U),
                         .wide_U  = bf16_wide(h->U)};
    TRY(take_halves(p, &Wt, sizeof *Wt, h->in, s->wide_U));
    TRY(take_halves(p, &W, sizeof *W, h->U, s->wide_in));
    TRY(take_halves(p, &s->Wt, sizeof *s->Wt, s->deep_in / 2, s->wide_U));
    TRY(take_halves(p, &s->W, sizeof *s->W, s->deep_U / 2, s->wide_in));
    halves_round(Wt, s->wide_U, h->Wt, h->stride, NULL, h->in, h->U, s->wide_U);
    halves_round(W, s->wide_in, h->W, h->in_stride, NULL, h->U, h->in, s->wide_in);
    halves_pair(s->Wt, s->wide_U, Wt, s->wide_U, h->in, s->wide_U);
    halves_pair(s->W, s->wide_in, W, s->wide_in, h->U, s->wide_in);
    return take_halves(p, &s->below, sizeof *s->below, bf16_wide(rows), s->deep_in);
}

static err_t open_backward_halves(hidden *h, pass *p)
{
    hidden_halves *s     = &h->halves;
    int            whole = bf16_deep(h->rows);

    TRY(take_halves(p, &s->g, sizeof *s->g, whole, s->deep_U));
    TRY(take_halves(p, &s->g_turned, sizeof *s->g_turned, s->wide_U, whole));
    return take_halves(p, &s->pairs, sizeof *s->pairs, whole / 2, s->wide_in);
}

static err_t copy_vector(pass *p, real **to, const param *from, int stride)
{
    TRY(take(p, to, 1, stride));
    memcpy(*to, from->w, from->count * sizeof **to);
    return OK;
}

/* Whether a is what is kept of forward. */
static bool keeps_values(const hidden *h)
{
    return h->c->activation != ACTIVATION_DICE && h->c->activation != ACTIVATION_PRELU;
}

err_t hidden_open(hidden *h, const hidden_config *c, param *const *params, int in, int rows,
                  const bf16_path *bf16, pass *p)
{
    *h           = (hidden){.c = c, .weight = params[0], .bias = params[1], .alpha = params[2]};
    h->bf16      = bf16;
    h->rows      = rows;
    h->in        = in;
    h->in_stride = padded(in);
    h->U         = h->weight->shape[0];
    h->stride    = padded(h->U);
    if (in > 0)
        TRY(copy_weights(h, p));
    if (in > 0 && bf16)
        TRY(open_halves(h, rows, p));
    TRY(copy_vector(p, &h->b, h->bias, h->stride));
    if (keeps_values(h))
        return OK;
    TRY(copy_vector(p, &h->slope, h->alpha, h->stride));
    TRY(take(p, &h->y, rows, h->stride));
    TRY(take(p, &h->gx, rows, h->stride));
    TRY(take(p, &h->mean, 1, h->stride));
    TRY(take(p, &h->inv, 1, h->stride));
    TRY(take_doubles(p, &h->batch_mean, h->stride));
    return take_doubles(p, &h->batch_squares, h->stride);
}

void hidden_product(const hidden *h, real *x, const real *below, int N)
{
    const hidden_halves *s = &h->halves;

    if (h->bf16) {
        halves_round(s->below, s->deep_in, below, h->in_stride, NULL, N, h->in, s->deep_in);
        product_bf16(*h->bf16, x, h->stride, h->b, 0, (bf16_left){s->below, s->deep_in},
                     (bf16_right){s->Wt, s->wide_U}, N, h->stride, h->in);
        return;
    }
    product_ahead(h->next, x, h->stride, h->b, 0, rows_of(below, h->in_stride), h->Wt,
                  h->stride, N, h->stride, h->in);
}

void hidden_settle(hidden *h, real *x, int N, const pass *p)
{
    size_t n = (size_t)N * (size_t)h->stride;

    if (h->c->activation == ACTIVATION_RELU)
        relu_forward(x, x, n);
    if (h->c->activation == ACTIVATION_SIGMOID)
        sigmoid_forward(x, x, n);
    for (size_t i = 0; !h->next && i < n; i += VECTOR)
        fetch_to_write(x + i, n);
    if (h->c->activation == ACTIVATION_DICE && p->training)
        column_moments_join(h->batch_mean, h->batch_squares, h->seen, x, N, h->stride);
    h->seen += N;
}

err_t hidden_statistics(hidden *h, pass *p)
{
    if (h->c->activation != ACTIVATION_DICE)
        return OK;
    TRY(statistics_take_moments(&h->s, &h->c->dice, h->batch_mean, h->batch_squares, h->seen,
                                h->U, p));
    memcpy(h->mean, h->s.mean, (size_t)h->U * sizeof *h->mean);
    memcpy(h->inv, h->s.inv, (size_t)h->U * sizeof *h->inv);
    return OK;
}

const real *hidden_values(hidden *h, const real *x, int N)
{
    if (keeps_values(h))
        return x;
    if (h->c->activation == ACTIVATION_DICE)
        dice_forward(h->y, x, h->mean, h->inv, h->slope, N, h->stride, h->next);
    else
        prelu_forward(h->y, x, h->slope, N, h->stride);
    return h->y;
}

/* ---- the score above ---- */

static dice_columns dice_columns_of(const hidden *h, const real *w)
{
    return (dice_columns){h->mean, h->inv, h->slope, w};
}

void hidden_score(hidden *h, real *s, real c, const real *w, const real *x, int N)
{
    if (h->c->activation == ACTIVATION_DICE) {
        dice_score(s, c, x, dice_columns_of(h, w), N, h->stride, h->next);
        return;
    }
    for (int i = 0; i < N; i++)
        s[i] = c;
    segment_dot(s, hidden_values(h, x, N), h->stride, w, h->stride, (int[]){0, N}, true, 1,
                h->stride);
}

void hidden_score_sums(const hidden *h, real *gw, const real *gs, const real *w, const real *x,
                       int N)
{
    dice_score_sums(gw, h->g_slope, h->sums, h->sums + h->stride, gs, x, dice_columns_of(h, w),
                    N, h->stride, h->next);
}

void hidden_score_gradient(const hidden *h, real *g, const real *gs, const real *w,
                           const real *x, int N)
{
    dice_score_backward(g, gs, x, dice_columns_of(h, w), h->means, h->means + h->stride, N,
                        h->stride, h->next);
}

/* ---- backward ---- */

err_t hidden_open_backward(hidden *h, pass *p)
{
    TRY(take(p, &h->gb, 1, h->stride));
    TRY(take(p, &h->g_slope, 1, h->stride));
    TRY(take_doubles(p, &h->sums, 2 * h->stride));
    if (h->in > 0 && h->bf16)
        TRY(open_backward_halves(h, p));
    return take(p, &h->means, 2, h->stride);
}

const real *hidden_backward_rows(hidden *h, real *g, const real *x, int N)
{
    size_t n = (size_t)N * (size_t)h->stride;

    switch (h->c->activation) {
    case ACTIVATION_DICE:
        dice_backward_rows(g, h->y, h->g_slope, h->sums, h->sums + h->stride, x, h->mean,
                           h->inv, h->slope, N, h->stride, h->next);
        return h->y;
    case ACTIVATION_PRELU:
        prelu_forward(h->y, x, h->slope, N, h->stride);
        prelu_backward(g, h->g_slope, g, x, h->slope, false, N, h->stride);
        return h->y;
    case ACTIVATION_RELU:
        relu_backward(g, g, x, false, n);
        break;
    case ACTIVATION_SIGMOID:
        sigmoid_backward(g, g, x, false, n);
        break;
    case ACTIVATION_NONE:
        break;
    }
    return x;
}

err_t hidden_backward_statistics(hidden *h, pass *p)
{
    if (h->c->activation != ACTIVATION_DICE)
        return OK;
    return statistics_means(&h->s, &h->c->dice, h->sums, h->means, 2 * h->stride, p);
}

const real *hidden_backward_means(hidden *h, const real *g, const real *x, int N)
{
    dice_backward_means(h->gx, g, x, h->mean, h->inv, h->means, h->means + h->stride, N,
                        h->stride, h->next);
    return h->gx;
}

/* gW += g^T a' */
static void weight_gradient_bf16(const hidden *h, const real *below, int N)
{
    const hidden_halves *s     = &h->halves;
    int                  whole = bf16_deep(N);

    halves_round(s->below, s->deep_in, below, h->in_stride, NULL, N, h->in, s->deep_in);
    halves_pair(s->pairs, s->wide_in, s->below, s->deep_in, N, s->wide_in);
    halves_turn(s->g_turned, whole, s->g, s->deep_U, N, h->U);
    product_bf16(*h->bf16, h->weight->g, h->in, h->weight->g, h->in,
                 (bf16_left){s->g_turned, whole}, (bf16_right){s->pairs, s->wide_in}, h->U,
                 h->in, N);
}

void hidden_weight_gradient(const hidden *h, const real *g, const real *below, int N)
{
    if (h->bf16) {
        weight_gradient_bf16(h, below, N);
        return;
    }
    product_ahead(h->next, h->weight->g, h->in, h->weight->g, h->in, columns_of(g, h->stride),
                  below, h->in_stride, h->U, h->in, N);
}

void hidden_bias_gradient(const hidden *h, const real *g, int N)
{
    column_sum(h->gb, g, N, h->stride);
}

void hidden_below(const hidden *h, real *g_below, const real *g, int N)
{
    const hidden_halves *s = &h->halves;

    if (h->bf16) {
        halves_round(s->g, s->deep_U, g, h->stride, NULL, N, h->U, s->deep_U);
        product_bf16(*h->bf16, g_below, h->in_stride, NULL, 0, (bf16_left){s->g, s->deep_U},
                     (bf16_right){s->W, s->wide_in}, N, h->in_stride, h->U);
        return;
    }
    product_ahead(h->next, g_below, h->in_stride, NULL, 0, rows_of(g, h->stride), h->W,
                  h->in_stride, N, h->in_stride, h->U);
}

void hidden_close_backward(hidden *h)
{
    for (int u = 0; u < h->U; u++) {
        if (h->in > 0)
            h->bias->g[u] += h->gb[u];
        if (h->alpha)
            h->alpha->g[u] += h->g_slope[u];
    }
}
