#include "worker/kernels/rows.h"

CLONES void rows_dot(real *w, const real *x, int x_stride, const real *y, int y_stride, int N,
                     int D)
{
    for (int i = 0; i < N; i++) {
        const real *x_i = ROW(x, i, x_stride), *y_i = ROW(y, i, y_stride);
        real        dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int d = 0; d < D; d++)
            dot += x_i[d] * y_i[d];
        w[i] = dot;
    }
}

CLONES void rows_scale(real *y, int y_stride, const real *w, const real *x, int x_stride,
                       bool add, int N, int D)
{
    for (int i = 0; i < N; i++) {
        const real *x_i = ROW(x, i, x_stride);
        real       *y_i = ROW(y, i, y_stride), w_i = w[i];
#pragma omp simd
        for (int d = 0; d < D; d++)
            y_i[d] = (add ? y_i[d] : 0) + w_i * x_i[d];
    }
}
