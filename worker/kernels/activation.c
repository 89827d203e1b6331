#include "worker/kernels/activation.h"

CLONES void relu_forward(real *y, const real *x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : 0;
}

CLONES void relu_backward(real *gx, const real *g, const real *y, bool add, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        gx[i] = (add ? gx[i] : 0) + (y[i] > 0 ? g[i] : 0);
}

CLONES void sigmoid_forward(real *y, const real *x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = sigmoid(x[i]);
}

CLONES void sigmoid_backward(real *gx, const real *g, const real *y, bool add, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        gx[i] = (add ? gx[i] : 0) + g[i] * y[i] * (1 - y[i]);
}

CLONES void prelu_forward(real *y, const real *x, const real *a, int N, int D)
{
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, D);
        real       *y_n = ROW(y, n, D);
#pragma omp simd
        for (int d = 0; d < D; d++)
            y_n[d] = x_n[d] > 0 ? x_n[d] : a[d] * x_n[d];
    }
}

/* ga first: gx may overwrite g. */
CLONES void prelu_backward(real *gx, real *ga, const real *g, const real *x, const real *a,
                           bool add, int N, int D)
{
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, D), *g_n = ROW(g, n, D);
        real       *gx_n = ROW(gx, n, D);
#pragma omp simd
        for (int d = 0; d < D; d++) {
            real g_d = g_n[d];
            ga[d] += x_n[d] > 0 ? 0 : g_d * x_n[d];
            gx_n[d] = (add ? gx_n[d] : 0) + (x_n[d] > 0 ? g_d : a[d] * g_d);
        }
    }
}
