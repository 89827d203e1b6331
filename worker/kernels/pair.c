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

/* One row of the samples' gW, which lie `apart` from each other; dot: gW . P of each. */
INLINE void row_backward(real *gK, real *gP, real *dot, const real *gW, size_t apart,
                         const real *P, const real *q, int stride)
{
    const real *a = gW, *b = gW + apart, *c = gW + 2 * apart, *d = gW + 3 * apart;
    const real  q_a = q[0], q_b = q[1], q_c = q[2], q_d = q[3];
    real        by_a = 0, by_b = 0, by_c = 0, by_d = 0;

#pragma omp simd reduction(+ : by_a, by_b, by_c, by_d)
    for (int u = 0; u < stride; u++) {
        real g_a = a[u], g_b = b[u], g_c = c[u], g_d = d[u], w = P[u];
        gK[u] += (g_a + g_b) + (g_c + g_d);
        gP[u] += (q_a * g_a + q_b * g_b) + (q_c * g_c + q_d * g_d);
        by_a += g_a * w;
        by_b += g_b * w;
        by_c += g_c * w;
        by_d += g_d * w;
    }
    dot[0] = by_a;
    dot[1] = by_b;
    dot[2] = by_c;
    dot[3] = by_d;
}

CLONES void pair_weights_backward(real *gK, real *gP, real *const *gq, const real *gW,
                                  const real *P, const real *const *q, int D, int Dq,
                                  int stride)
{
    const size_t apart = (size_t)D * (size_t)stride;

    for (int d = 0; d < Dq; d++) {
        const real q_d[PAIR_LOT] = {q[0][d], q[1][d], q[2][d], q[3][d]};
        real       dot[PAIR_LOT];
        row_backward(ROW(gK, d, stride), ROW(gP, d, stride), dot, ROW(gW, d, stride), apart,
                     ROW(P, d, stride), q_d, stride);
        for (int i = 0; i < PAIR_LOT; i++)
            gq[i][d] += dot[i];
    }
    for (int d = Dq; d < D; d++)
        for (int i = 0; i < PAIR_LOT; i++) {
            const real *gW_d = ROW(gW + (size_t)i * apart, d, stride);
            real       *gK_d = ROW(gK, d, stride);
#pragma omp simd
            for (int u = 0; u < stride; u++)
                gK_d[u] += gW_d[u];
        }
}
