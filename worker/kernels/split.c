#include "worker/kernels/split.h"

/* gk[d] = (add ? gk[d] : 0) + (gk_part ? gk_part[d] : 0) + (gp ? q[d] gp[d] : 0) */
INLINE void row_backward(real *restrict gk, const bool add, const real *restrict gk_part,
                         const real *restrict gp, const real *restrict q, int columns)
{
#pragma omp simd
    for (int d = 0; d < columns; d++) {
        real g = add ? gk[d] : 0;
        if (gk_part)
            g += gk_part[d];
        if (gp)
            g += q[d] * gp[d];
        gk[d] = g;
    }
}

INLINE void rows_backward(real *gk, const bool add, split_gradients g, int k_stride,
                          const real *q, int T, int D, int Dq)
{
    if (!g.product)
        Dq = 0;
    for (int t = 0; t < T; t++) {
        real       *gk_t    = ROW(gk, t, k_stride);
        const real *gp      = g.product ? ROW(g.product, t, g.stride) : NULL;
        const real *gk_part = g.k ? ROW(g.k, t, g.stride) : NULL;
        if (gk_part && gp)
            row_backward(gk_t, add, gk_part, gp, q, Dq);
        else if (gp)
            row_backward(gk_t, add, NULL, gp, q, Dq);
        if (D > Dq)
            row_backward(gk_t + Dq, add, gk_part ? gk_part + Dq : NULL, NULL, NULL, D - Dq);
    }
}

INLINE void candidate_backward(real *restrict gq, const real *restrict gp, int stride,
                               const real *restrict k, int k_stride, int T, int Dq)
{
    for (int d = 0; d < Dq; d += VECTOR) {
        int  columns     = least(VECTOR, Dq - d);
        real sum[VECTOR] = {0};
        for (int t = 0; t < T; t++)
#pragma omp simd
            for (int c = 0; c < columns; c++)
                sum[c] += ROW(k, t, k_stride)[d + c] * ROW(gp, t, stride)[d + c];
        for (int c = 0; c < columns; c++)
            gq[d + c] += sum[c];
    }
}

CLONES void split_backward(real *gk, bool add, real *gq, split_gradients g, const real *k,
                           int k_stride, const real *q, int T, int D, int Dq)
{
    if (gk && add)
        rows_backward(gk, true, g, k_stride, q, T, D, Dq);
    else if (gk)
        rows_backward(gk, false, g, k_stride, q, T, D, Dq);
    if (g.product)
        candidate_backward(gq, g.product, g.stride, k, k_stride, T, Dq);
}
