#include "worker/kernels/norm.h"

CLONES void norm_forward(real *y, const real *x, const real *mean, const real *inv,
                         const real *gamma, const real *beta, int N, int D)
{
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, D);
        real       *y_n = ROW(y, n, D);
#pragma omp simd
        for (int d = 0; d < D; d++)
            y_n[d] = gamma[d] * (x_n[d] - mean[d]) * inv[d] + beta[d];
    }
}

CLONES void norm_backward_sums(double *sum_g, double *sum_gxh, const real *g, const real *x,
                               const real *mean, const real *inv, int N, int D)
{
    memset(sum_g, 0, (size_t)D * sizeof *sum_g);
    memset(sum_gxh, 0, (size_t)D * sizeof *sum_gxh);
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, D), *g_n = ROW(g, n, D);
#pragma omp simd
        for (int d = 0; d < D; d++) {
            sum_g[d] += (double)g_n[d];
            sum_gxh[d] += (double)(g_n[d] * (x_n[d] - mean[d]) * inv[d]);
        }
    }
}

CLONES void norm_backward(real *gx, const real *g, const real *x, const real *mean,
                          const real *inv, const real *gamma, const real *mean_g,
                          const real *mean_gxh, bool add, int N, int D)
{
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, D), *g_n = ROW(g, n, D);
        real       *gx_n = ROW(gx, n, D);
#pragma omp simd
        for (int d = 0; d < D; d++) {
            real xh   = (x_n[d] - mean[d]) * inv[d];
            real gx_d = gamma[d] * inv[d] * (g_n[d] - mean_g[d] - xh * mean_gxh[d]);
            gx_n[d]   = (add ? gx_n[d] : 0) + gx_d;
        }
    }
}
