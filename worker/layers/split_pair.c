#include "worker/layers/split_pair.h"

#include "worker/kernels/halves.h"
#include "worker/kernels/split.h"

/* *at, count things of `size` bytes. */
static err_t take(pass *p, void *at, size_t size, int rows, int columns)
{
    return arena_take(p->arena, size * (size_t)rows * (size_t)columns, at);
}

/* ---- the weights ---- */

/* Both as right operands, from rows of halves. */
static err_t lay_out_weights(split_pair *a, const split_weights *w, pass *p)
{
    uint16_t *V, *Vt;

    TRY(take(p, &V, sizeof *V, a->in, a->wide_U));
    TRY(take(p, &Vt, sizeof *Vt, a->U, a->wide_in));
    TRY(take(p, &a->V, sizeof *a->V, a->deep_in / 2, a->wide_U));
    TRY(take(p, &a->Vt, sizeof *a->Vt, a->deep_U / 2, a->wide_in));
    halves_round(V, a->wide_U, w->K, w->U_stride, NULL, a->k_width, w->U, a->wide_U);
    halves_round(ROW(V, a->k_width, a->wide_U), a->wide_U, w->P, w->U_stride, NULL, a->p_width,
                 w->U, a->wide_U);
    halves_round(Vt, a->wide_in, w->Kt, w->D_stride, NULL, a->U, a->k_width, a->k_width);
    halves_round(Vt + a->k_width, a->wide_in, w->Pt, w->D_stride, NULL, a->U, a->p_width,
                 a->wide_in - a->k_width);
    halves_pair(a->V, a->wide_U, V, a->wide_U, a->in, a->wide_U);
    halves_pair(a->Vt, a->wide_in, Vt, a->wide_in, a->U, a->wide_in);
    return OK;
}

err_t split_pair_open(split_pair *a, bf16_path path, const tensor *q, const tensor *k,
                      bool with_k, bool with_product, const split_weights *w, int longest,
                      pass *p)
{
    *a          = (split_pair){.path = path, .q = q, .Dk = k->cols};
    a->offsets  = pass_offsets(p, k->per);
    a->k_width  = with_k ? k->cols : 0;
    a->p_width  = with_product ? q->cols : 0;
    a->in       = a->k_width + a->p_width;
    a->U        = w->U;
    a->U_stride = w->U_stride;
    a->deep_in  = bf16_deep(a->in);
    a->wide_in  = bf16_wide(a->in);
    a->deep_U   = bf16_deep(a->U);
    a->wide_U   = bf16_wide(a->U);
    TRY(take(p, &a->parts, sizeof *a->parts, bf16_wide(longest), a->deep_in));
    return lay_out_weights(a, w, p);
}

/* ---- a piece ---- */

static int events_of(const split_pair *a, int begin, int end)
{
    return a->offsets[end] - a->offsets[begin];
}

/* [k, q * k] of samples begin .. end-1. */
static void round_parts(split_pair *a, const real *k, int begin, int end)
{
    int deep = a->deep_in, after_k = deep - a->k_width;

    for (int b = begin; b < end; b++) {
        int         before = events_of(a, begin, b), T = events_of(a, b, b + 1);
        const real *k_b = ROW(k, before, a->Dk), *q = ROW(a->q->x, b, a->q->cols);
        uint16_t   *parts = ROW(a->parts, before, deep);
        halves_round(parts, deep, k_b, a->Dk, NULL, T, a->k_width,
                     a->p_width ? a->k_width : deep);
        if (a->p_width)
            halves_round(parts + a->k_width, deep, k_b, a->Dk, q, T, a->p_width, after_k);
    }
}

void split_pair_forward(split_pair *a, real *z, const real *k, int begin, int end)
{
    round_parts(a, k, begin, end);
    product_bf16(a->path, z, a->U_stride, z, a->U_stride, (bf16_left){a->parts, a->deep_in},
                 (bf16_right){a->V, a->wide_U}, events_of(a, begin, end), a->U_stride, a->in);
}

err_t split_pair_open_backward(split_pair *a, int longest, pass *p)
{
    int whole = bf16_deep(longest);

    TRY(take(p, &a->gz, sizeof *a->gz, whole, a->deep_U));
    TRY(take(p, &a->gz_turned, sizeof *a->gz_turned, a->wide_U, whole));
    TRY(take(p, &a->pairs, sizeof *a->pairs, whole / 2, a->wide_in));
    TRY(take(p, &a->g_parts, sizeof *a->g_parts, longest, a->wide_in));
    return arena_take_zero(p->arena, (size_t)a->U * (size_t)a->wide_in * sizeof *a->gV, &a->gV);
}

/* gV^T += gz^T [k, q * k] */
static void weight_gradient(split_pair *a, int N)
{
    int whole = bf16_deep(N);

    halves_turn(a->gz_turned, whole, a->gz, a->deep_U, N, a->U);
    halves_pair(a->pairs, a->wide_in, a->parts, a->deep_in, N, a->wide_in);
    product_bf16(a->path, a->gV, a->wide_in, a->gV, a->wide_in,
                 (bf16_left){a->gz_turned, whole}, (bf16_right){a->pairs, a->wide_in}, a->U,
                 a->wide_in, N);
}

static void inputs_gradient(split_pair *a, real *gk, bool add, real *gq, const real *k,
                            int begin, int end)
{
    int Dq = a->q->cols;

    for (int b = begin; b < end; b++) {
        int             before = events_of(a, begin, b);
        const real     *g      = ROW(a->g_parts, before, a->wide_in);
        split_gradients parts  = {a->k_width ? g : NULL, a->p_width ? g + a->k_width : NULL,
                                 a->wide_in};
        split_backward(gk ? ROW(gk, before, a->Dk) : NULL, add, ROW(gq, b, Dq), parts,
                       ROW(k, before, a->Dk), a->Dk, ROW(a->q->x, b, Dq),
                       events_of(a, b, b + 1), a->k_width ? a->k_width : a->p_width, Dq);
    }
}

void split_pair_backward(split_pair *a, real *gk, bool add, real *gq, const real *gz,
                         const real *k, int begin, int end)
{
    int N = events_of(a, begin, end);

    if (N == 0 || a->in == 0)
        return;
    round_parts(a, k, begin, end);
    halves_round(a->gz, a->deep_U, gz, a->U_stride, NULL, N, a->U, a->deep_U);
    weight_gradient(a, N);
    product_bf16(a->path, a->g_parts, a->wide_in, NULL, 0, (bf16_left){a->gz, a->deep_U},
                 (bf16_right){a->Vt, a->wide_in}, N, a->wide_in, a->U);
    inputs_gradient(a, gk, add, gq, k, begin, end);
}

void split_pair_close_backward(const split_pair *a, real *gK, real *gP)
{
    for (int u = 0; u < a->U; u++) {
        const real *gV_u = ROW(a->gV, u, a->wide_in);
        for (int d = 0; d < a->k_width; d++)
            ROW(gK, d, a->U_stride)[u] += gV_u[d];
        for (int d = 0; d < a->p_width; d++)
            ROW(gP, d, a->U_stride)[u] += gV_u[a->k_width + d];
    }
}
