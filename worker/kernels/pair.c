#include "worker/kernels/pair.h"

CLONES void pair_forward(real *x, const real *q, const real *k, bool with_k, const int *offsets,
                         int B, int Dq, int Dk)
{
    int k_cols = with_k ? Dk : 0, stride = k_cols + Dq;

    for (int b = 0; b < B; b++) {
        const real *q_b = ROW(q, b, Dq);
        for (int t = offsets[b] - offsets[0]; t < offsets[b + 1] - offsets[0]; t++) {
            const real *k_t = ROW(k, t, Dk);
            real       *x_t = ROW(x, t, stride), *product = x_t + k_cols;
#pragma omp simd
            for (int d = 0; d < k_cols; d++)
                x_t[d] = k_t[d];
#pragma omp simd
            for (int d = 0; d < Dq; d++)
                product[d] = q_b[d] * k_t[d];
        }
    }
}

/* gk_t (Dk) from gx_t: the k part, if any, before the product's part is added. */
static inline void k_part(real *gk_t, const real *gx_t, bool with_k, bool add, int Dk)
{
#pragma omp simd
    for (int d = 0; d < Dk; d++)
        gk_t[d] = (add ? gk_t[d] : 0) + (with_k ? gx_t[d] : 0);
}

CLONES void pair_backward(real *gq, real *gk, const real *gx, const real *q, const real *k,
                          bool with_k, const int *offsets, bool add, int B, int Dq, int Dk)
{
    int k_cols = with_k ? Dk : 0, stride = k_cols + Dq;

    for (int b = 0; b < B; b++) {
        const real *q_b  = ROW(q, b, Dq);
        real       *gq_b = ROW(gq, b, Dq);
        for (int t = offsets[b] - offsets[0]; t < offsets[b + 1] - offsets[0]; t++) {
            const real *k_t = ROW(k, t, Dk), *gx_t = ROW(gx, t, stride), *gp = gx_t + k_cols;
            real       *gk_t = ROW(gk, t, Dk);
            k_part(gk_t, gx_t, with_k, add, Dk);
#pragma omp simd
            for (int d = 0; d < Dq; d++) {
                gk_t[d] += q_b[d] * gp[d];
                gq_b[d] += k_t[d] * gp[d];
            }
        }
    }
}
