#include "worker/kernels/activation.h"

#include "worker/kernels/wide.h"

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

CLONES static void sigmoid_plain(real *y, const real *x, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = sigmoid(x[i]);
}

#ifdef WIDE_KERNELS
WIDE static void sigmoid_wide(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        __mmask16 there = n - i < LANES ? (__mmask16)((1u << (n - i)) - 1) : 0xffff;
        _mm512_mask_storeu_ps(y + i, there, wide_sigmoid(_mm512_maskz_loadu_ps(there, x + i)));
    }
}
#endif

void sigmoid_forward(real *y, const real *x, size_t n)
{
#ifdef WIDE_KERNELS
    if (wide_vectors()) {
        sigmoid_wide(y, x, n);
        return;
    }
#endif
    sigmoid_plain(y, x, n);
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
