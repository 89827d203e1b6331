#include "worker/kernels/pair.h"

CLONES void pair_weights(real *W, const real *K, const real *P, const real *q, int D, int Dq,
                         int stride)
{
    for (int d = 0; d < Dq; d++) {
        real       *W_d = ROW(W, d, stride);
        const real *K_d = ROW(K, d, stride), *P_d = ROW(P, d, stride);
#pragma omp simd
        for (int u = 0; u < stride; u++)
            W_d[u] = K_d[u] + q[d] * P_d[u];
    }
    memcpy(ROW(W, Dq, stride), ROW(K, Dq, stride),
           (size_t)(D - Dq) * (size_t)stride * sizeof *W);
}

CLONES void pair_weights_transposed(real *W, const real *K, const real *P, const real *q, int U,
                                    int stride)
{
    for (int u = 0; u < U; u++) {
        real       *W_u = ROW(W, u, stride);
        const real *K_u = ROW(K, u, stride), *P_u = ROW(P, u, stride);
#pragma omp simd
        for (int d = 0; d < stride; d++)
            W_u[d] = K_u[d] + q[d] * P_u[d];
    }
}

CLONES void pair_weights_backward(real *gK, real *gP, real *gq, const real *gW, const real *P,
                                  const real *q, int D, int Dq, int stride)
{
    for (int d = 0; d < Dq; d++) {
        const real *gW_d = ROW(gW, d, stride), *P_d = ROW(P, d, stride);
        real       *gK_d = ROW(gK, d, stride), *gP_d = ROW(gP, d, stride), dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int u = 0; u < stride; u++) {
            gK_d[u] += gW_d[u];
            gP_d[u] += q[d] * gW_d[u];
            dot += gW_d[u] * P_d[u];
        }
        gq[d] += dot;
    }
    for (int d = Dq; d < D; d++) {
        const real *gW_d = ROW(gW, d, stride);
        real       *gK_d = ROW(gK, d, stride);
#pragma omp simd
        for (int u = 0; u < stride; u++)
            gK_d[u] += gW_d[u];
    }
}
