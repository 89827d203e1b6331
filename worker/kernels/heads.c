#include "worker/kernels/heads.h"

#include "worker/kernels/product.h"

/* Far below every score: its share of a softmax is nothing beside the greatest one's 1. */
#define NOWHERE ((real)-1e30)

/* to (D, room) = from^T, from (T, D) with stride; 0 behind column T. */
static void transpose(real *to, int room, const real *from, int stride, int T, int D)
{
    for (int d = 0; d < D; d++) {
        real *to_d = ROW(to, d, room);
        for (int t = 0; t < T; t++)
            to_d[t] = ROW(from, t, stride)[d];
        memset(to_d + T, 0, (size_t)(room - T) * sizeof *to_d);
    }
}

/* The scores S (T, room) of a head become A. */
CLONES static void attend(real *A, int room, real scale, bool blinding, int T)
{
    for (int t = 0; t < T; t++) {
        real *a = ROW(A, t, room), most = NOWHERE, sum = 0;
        if (blinding)
            a[t] = NOWHERE;
        for (int j = T; j < room; j++)
            a[j] = NOWHERE;
#pragma omp simd reduction(max : most)
        for (int j = 0; j < room; j++)
            most = a[j] > most ? a[j] : most;
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < room; j++)
            sum += a[j] = exp_vector(scale * (a[j] - most));
#pragma omp simd
        for (int j = 0; j < room; j++)
            a[j] /= sum;
        if (blinding)
            a[t] = 0;
    }
}

/* gS = scale A (gA - sum_j A_j gA_j), in place of gA. */
CLONES static void attend_backward(real *gA, const real *A, int room, real scale, int T)
{
    for (int t = 0; t < T; t++) {
        const real *a = ROW(A, t, room);
        real       *g = ROW(gA, t, room), dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int j = 0; j < T; j++)
            dot += a[j] * g[j];
#pragma omp simd
        for (int j = 0; j < T; j++)
            g[j] = scale * a[j] * (g[j] - dot);
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
