#include "worker/kernels/layer_norm.h"

CLONES void layer_norm_forward(real *y, int y_stride, real *mean, real *inv, const real *x,
                               int x_stride, const real *gamma, const real *beta, real eps,
                               int N, int D)
{
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, x_stride);
        real       *y_n = ROW(y, n, y_stride);
        real        sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
        for (int d = 0; d < D; d++)
            sum += x_n[d];
        real m = sum / (real)D;
#pragma omp simd reduction(+ : squares)
        for (int d = 0; d < D; d++)
            squares += (x_n[d] - m) * (x_n[d] - m);
        real i = 1 / sqrt_real(squares / (real)D + eps);
#pragma omp simd
        for (int d = 0; d < D; d++)
            y_n[d] = gamma[d] * ((x_n[d] - m) * i) + beta[d];
        mean[n] = m;
        inv[n]  = i;
    }
}

CLONES void layer_norm_backward(real *gx, int gx_stride, real *ggamma, real *gbeta,
                                const real *g, int g_stride, const real *x, int x_stride,
                                const real *mean, const real *inv, const real *gamma, int N,
                                int D)
{
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, x_stride), *g_n = ROW(g, n, g_stride);
        real       *gx_n = ROW(gx, n, gx_stride), m = mean[n], i = inv[n];
        real        sum = 0, sum_xh = 0;
#pragma omp simd reduction(+ : sum, sum_xh)
        for (int d = 0; d < D; d++) {
            real xh = (x_n[d] - m) * i, gg = gamma[d] * g_n[d];
            ggamma[d] += g_n[d] * xh;
            gbeta[d] += g_n[d];
            sum += gg;
            sum_xh += gg * xh;
        }
        sum /= (real)D;
        sum_xh /= (real)D;
#pragma omp simd
        for (int d = 0; d < D; d++) {
            real xh = (x_n[d] - m) * i;
            gx_n[d] = i * (gamma[d] * g_n[d] - sum - xh * sum_xh);
        }
    }
}
