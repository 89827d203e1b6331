#include "worker/kernels/heads.h"

#include "worker/kernels/product.h"

/* Below every score. */
#define NOWHERE ((real)-1e30)

/* to (D, room) = from^T, from (T, D) with stride. What is behind column T stays. */
static void transpose(real *to, int room, const real *from, int stride, int T, int D)
{
    for (int t = 0; t < T; t++)
        for (int d = 0; d < D; d++)
            ROW(to, d, room)[t] = ROW(from, t, stride)[d];
}

/* Row t of the scores, whole vectors of which T numbers are scores, becomes that of A, 0 behind
 * column T. */
INLINE void attend_row(real *a, real scale, int unseen, int T, const int room)
{
    real most = NOWHERE, sum = 0;

#pragma omp simd reduction(max : most)
    for (int j = 0; j < room; j++) {
        real s = j < T && j != unseen ? a[j] : NOWHERE;
        most   = s > most ? s : most;
    }
#pragma omp simd reduction(+ : sum)
    for (int j = 0; j < room; j++) {
        real e = exp_vector(scale * (a[j] - most));
        e      = j < T && j != unseen ? e : 0;
        a[j]   = e;
        sum += e;
    }
    sum = 1 / sum;
#pragma omp simd
    for (int j = 0; j < room; j++)
        a[j] *= sum;
}

/* The scores S (T, room) of a head become A. */
CLONES static void attend(real *A, int room, real scale, bool blinding, int T)
{
    for (int t = 0; t < T; t++) {
        if (room == VECTOR)
            attend_row(ROW(A, t, VECTOR), scale, blinding ? t : -1, T, VECTOR);
        else
            attend_row(ROW(A, t, room), scale, blinding ? t : -1, T, room);
    }
}

/* gS = scale A (gA - sum_j A_j gA_j), in place of gA; 0 where A is. */
INLINE void attend_row_backward(real *g, const real *a, real scale, int T, const int room)
{
    real dot = 0;

#pragma omp simd reduction(+ : dot)
    for (int j = 0; j < room; j++)
        dot += j < T ? a[j] * g[j] : 0;
#pragma omp simd
    for (int j = 0; j < room; j++)
        g[j] = scale * a[j] * (g[j] - dot);
}

CLONES static void attend_backward(real *gA, const real *A, int room, real scale, int T)
{
    for (int t = 0; t < T; t++) {
        if (room == VECTOR)
            attend_row_backward(ROW(gA, t, VECTOR), ROW(A, t, VECTOR), scale, T, VECTOR);
        else
            attend_row_backward(ROW(gA, t, room), ROW(A, t, room), scale, T, room);
    }
}

static bool finds_nothing(const heads *h, int T)
{
    return h->blinding && T == 1;
}

/* A of head i, whose K^T is made. */
static void weights(const heads *h, int i, const real *qkv, int stride, int T)
{
    int d = h->D / h->H, room = padded(T);

    product(h->A, room, NULL, 0, rows_of(qkv + i * d, stride), ROW(h->Kt, i * d, room), room, T,
            room, d);
    attend(h->A, room, h->scale, h->blinding, T);
}

/* O of head i from its A. */
static void gathered(real *O, int o_stride, const heads *h, int i, const real *qkv, int stride,
                     int T)
{
    int d = h->D / h->H;

    product(O + i * d, o_stride, NULL, 0, rows_of(h->A, padded(T)), qkv + 2 * h->D + i * d,
            stride, T, d, T);
}

void heads_forward(real *O, int o_stride, const heads *h, const real *qkv, int stride, int T)
{
    if (finds_nothing(h, T)) {
        memset(O, 0, (size_t)h->D * sizeof *O);
        return;
    }
    transpose(h->Kt, padded(T), qkv + h->D, stride, T, h->D);
    for (int i = 0; i < h->H; i++) {
        weights(h, i, qkv, stride, T);
        gathered(O, o_stride, h, i, qkv, stride, T);
    }
}

/* Head i's columns of gqkv from its A and gO. */
static void head_backward(real *gqkv, const real *gO, int o_stride, const heads *h, int i,
                          const real *qkv, int stride, int T)
{
    int   d = h->D / h->H, room = padded(T);
    real *gq = gqkv + i * d, *gk = gq + h->D, *gv = gk + h->D;

    gO += i * d;
    product(gv, stride, NULL, 0, columns_of(h->A, room), gO, o_stride, T, d, T);
    product(h->gA, room, NULL, 0, rows_of(gO, o_stride), ROW(h->Vt, i * d, room), room, T, room,
            d);
    attend_backward(h->gA, h->A, room, h->scale, T);
    product(gq, stride, NULL, 0, rows_of(h->gA, room), qkv + h->D + i * d, stride, T, d, T);
    product(gk, stride, NULL, 0, columns_of(h->gA, room), qkv + i * d, stride, T, d, T);
}

void heads_backward(real *gqkv, real *O, const real *gO, int o_stride, const heads *h,
                    const real *qkv, int stride, int T)
{
    if (finds_nothing(h, T)) {
        memset(O, 0, (size_t)h->D * sizeof *O);
        memset(gqkv, 0, 3 * (size_t)h->D * sizeof *gqkv);
        return;
    }
    transpose(h->Kt, padded(T), qkv + h->D, stride, T, h->D);
    transpose(h->Vt, padded(T), qkv + 2 * h->D, stride, T, h->D);
    for (int i = 0; i < h->H; i++) {
        weights(h, i, qkv, stride, T);
        gathered(O, o_stride, h, i, qkv, stride, T);
        head_backward(gqkv, gO, o_stride, h, i, qkv, stride, T);
    }
}
