#include "worker/kernels/segment.h"

CLONES void segment_sum(real *y, int y_stride, const real *w, const real *x, int x_stride,
                        const int *offsets, bool add, int B, int D)
{
    for (int b = 0; b < B; b++) {
        real *y_b = ROW(y, b, y_stride);
        if (!add)
            memset(y_b, 0, (size_t)D * sizeof *y_b);
        for (int t = offsets[b]; t < offsets[b + 1]; t++) {
            const real *x_t = ROW(x, t, x_stride);
            real        w_t = w ? w[t] : 1;
#pragma omp simd
            for (int d = 0; d < D; d++)
                y_b[d] += w_t * x_t[d];
        }
    }
}

CLONES void segment_spread(real *x, int x_stride, const real *w, const real *y, int y_stride,
                           const int *offsets, bool add, int B, int D)
{
    for (int b = 0; b < B; b++) {
        const real *y_b = ROW(y, b, y_stride);
        for (int t = offsets[b]; t < offsets[b + 1]; t++) {
            real *x_t = ROW(x, t, x_stride);
            real  w_t = w ? w[t] : 1;
#pragma omp simd
            for (int d = 0; d < D; d++)
                x_t[d] = (add ? x_t[d] : 0) + w_t * y_b[d];
        }
    }
}

CLONES void segment_dot(real *w, const real *x, int x_stride, const real *y, int y_stride,
                        const int *offsets, bool add, int B, int D)
{
    for (int b = 0; b < B; b++) {
        const real *y_b = ROW(y, b, y_stride);
        for (int t = offsets[b]; t < offsets[b + 1]; t++) {
            const real *x_t = ROW(x, t, x_stride);
            real        dot = 0;
#pragma omp simd reduction(+ : dot)
            for (int d = 0; d < D; d++)
                dot += x_t[d] * y_b[d];
            w[t] = (add ? w[t] : 0) + dot;
        }
    }
}

CLONES void softmax_forward(real *a, const real *s, real scale, const int *offsets, int B)
{
    for (int b = 0; b < B; b++) {
        int  begin = offsets[b], end = offsets[b + 1];
        real most = begin < end ? scale * s[begin] : 0, sum = 0;
        for (int t = begin; t < end; t++)
            most = fmax_real(most, scale * s[t]);
#pragma omp simd reduction(+ : sum)
        for (int t = begin; t < end; t++)
            sum += a[t] = exp_vector(scale * s[t] - most);
        for (int t = begin; t < end; t++)
            a[t] /= sum;
    }
}

CLONES void softmax_backward(real *gs, const real *ga, const real *a, real scale,
                             const int *offsets, bool add, int B)
{
    for (int b = 0; b < B; b++) {
        int  begin = offsets[b], end = offsets[b + 1];
        real dot = 0;
#pragma omp simd reduction(+ : dot)
        for (int t = begin; t < end; t++)
            dot += a[t] * ga[t];
#pragma omp simd
        for (int t = begin; t < end; t++)
            gs[t] = (add ? gs[t] : 0) + scale * a[t] * (ga[t] - dot);
    }
}

void decay_weights(real *w, const int64_t *now, const int64_t *time, double half_life,
                   bool normalized, const int *offsets, int B)
{
    for (int b = 0; b < B; b++) {
        double sum = 0;
        for (int t = offsets[b]; t < offsets[b + 1]; t++) {
            double age = now[b] > time[t] ? (double)now[b] - (double)time[t] : 0;
            double w_t = exp2(-age / half_life);
            sum += w_t;
            w[t] = (real)w_t;
        }
        if (!normalized)
            continue;
        for (int t = offsets[b]; t < offsets[b + 1]; t++)
            w[t] = (real)((double)w[t] / fmax(sum, 1e-12));
    }
}

void mean_weights(real *w, const int *offsets, int B)
{
    for (int b = 0; b < B; b++)
        for (int t = offsets[b]; t < offsets[b + 1]; t++)
            w[t] = 1 / (real)(offsets[b + 1] - offsets[b]);
}
