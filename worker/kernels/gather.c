#include "worker/kernels/gather.h"

INLINE void add_row(real *y, const real *x, real w, int D)
{
#pragma omp simd
    for (int d = 0; d < D; d++)
        y[d] += w * x[d];
}

/* Rows are on their way from memory while those before them are copied. */
#define AHEAD 16

INLINE void fetch_ahead(const real *rows, const int *place, int n, int N, int D, bool write)
{
    const real *row =
        n + AHEAD < N && place[n + AHEAD] >= 0 ? ROW(rows, place[n + AHEAD], D) : rows;
    for (int d = 0; d < D; d += VECTOR)
        if (write)
            __builtin_prefetch(row + d, 1);
        else
            __builtin_prefetch(row + d);
}

INLINE void gather_rows(real *y, int stride, const real *table, const int *place, int N, int D)
{
    for (int n = 0; n < N; n++) {
        real *y_n = ROW(y, n, stride);
        fetch_ahead(table, place, n, N, D, false);
        if (place[n] < 0) {
            memset(y_n, 0, (size_t)D * sizeof *y_n);
            continue;
        }
        const real *row = ROW(table, place[n], D);
#pragma omp simd
        for (int d = 0; d < D; d++)
            y_n[d] = row[d];
    }
}

CLONES void gather_forward(real *y, int stride, const real *table, const int *place, int N,
                           int D)
{
    BY_LENGTH(D, gather_rows, y, stride, table, place, N);
}

INLINE void scatter_rows(real *gradients, const real *gy, int stride, const int *place, int N,
                         int D)
{
    for (int n = 0; n < N; n++) {
        fetch_ahead(gradients, place, n, N, D, true);
        if (place[n] >= 0)
            add_row(ROW(gradients, place[n], D), ROW(gy, n, stride), 1, D);
    }
}

CLONES void gather_backward(real *gradients, const real *gy, int stride, const int *place,
                            int N, int D)
{
    BY_LENGTH(D, scatter_rows, gradients, gy, stride, place, N);
}

/* 1, or 1 over the number of items that are there. */
static real bag_weight(const int *place, int begin, int end, bool mean)
{
    int there = 0;

    for (int i = begin; i < end; i++)
        there += place[i] >= 0;
    return mean && there ? 1 / (real)there : 1;
}

CLONES void gather_bags_forward(real *y, int stride, const real *table, const int *place,
                                const int *offsets, bool mean, int N, int D)
{
    for (int n = 0; n < N; n++) {
        real *y_n = ROW(y, n, stride);
        real  w   = bag_weight(place, offsets[n], offsets[n + 1], mean);
        memset(y_n, 0, (size_t)D * sizeof *y_n);
        for (int i = offsets[n]; i < offsets[n + 1]; i++)
            if (place[i] >= 0)
                add_row(y_n, ROW(table, place[i], D), w, D);
    }
}

CLONES void gather_bags_backward(real *gradients, const real *gy, int stride, const int *place,
                                 const int *offsets, bool mean, int N, int D)
{
    for (int n = 0; n < N; n++) {
        real w = bag_weight(place, offsets[n], offsets[n + 1], mean);
        for (int i = offsets[n]; i < offsets[n + 1]; i++)
            if (place[i] >= 0)
                add_row(ROW(gradients, place[i], D), ROW(gy, n, stride), w, D);
    }
}
