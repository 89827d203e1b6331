#include "worker/kernels/dice.h"

CLONES void dice_forward(real *y, const real *x, const real *mean, const real *inv,
                         const real *a, int N, int D)
{
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, D); /* x[n,:] */
        real       *y_n = ROW(y, n, D); /* y[n,:] */
#pragma omp simd
        for (int d = 0; d < D; d++) {
            real p = sigmoid((x_n[d] - mean[d]) * inv[d]);
            y_n[d] = x_n[d] * (a[d] + p * (1 - a[d]));
        }
    }
}

/* The three sums over `rows` rows and `columns` columns. */
static inline void block_sums(real *ga, real *gh, real *ghxh, const real *g, const real *x,
                              const real *mean, const real *inv, const real *a, int rows,
                              int columns, int D)
{
    for (int n = 0; n < rows; n++) {
        const real *x_n = ROW(x, n, D), *g_n = ROW(g, n, D);
#pragma omp simd
        for (int c = 0; c < columns; c++) {
            real xh = (x_n[c] - mean[c]) * inv[c];
            real p  = sigmoid(xh);
            real gx = g_n[c] * x_n[c] * (1 - p);
            real h  = gx * (1 - a[c]) * p;
            ga[c] += gx;
            gh[c] += h;
            ghxh[c] += h * xh;
        }
    }
}

CLONES void dice_backward_sums(real *ga, double *sum_gh, double *sum_ghxh, const real *g,
                               const real *x, const real *mean, const real *inv, const real *a,
                               int N, int D)
{
    memset(sum_gh, 0, (size_t)D * sizeof *sum_gh);
    memset(sum_ghxh, 0, (size_t)D * sizeof *sum_ghxh);
    for (int n = 0; n < N; n += BLOCK_ROWS) {
        int rows = least(BLOCK_ROWS, N - n);
        for (int d = 0; d < D; d += BLOCK_COLUMNS) {
            int  columns               = least(BLOCK_COLUMNS, D - d);
            real part_a[BLOCK_COLUMNS] = {0}, part_h[BLOCK_COLUMNS] = {0};
            real part_hx[BLOCK_COLUMNS] = {0};
            block_sums(part_a, part_h, part_hx, ROW(g, n, D) + d, ROW(x, n, D) + d, mean + d,
                       inv + d, a + d, rows, columns, D);
            for (int c = 0; c < columns; c++) {
                ga[d + c] += part_a[c];
                sum_gh[d + c] += (double)part_h[c];
                sum_ghxh[d + c] += (double)part_hx[c];
            }
        }
    }
}

/* One row of dice_backward; add is a constant where it is inlined. */
static inline __attribute__((always_inline)) void
backward_row(real *gx, const real *g, const real *x, const real *mean, const real *inv,
             const real *a, const real *mean_gh, const real *mean_ghxh, bool add, int D)
{
#pragma omp simd
    for (int d = 0; d < D; d++) {
        real xh = (x[d] - mean[d]) * inv[d];
        real p  = sigmoid(xh);
        real gh = g[d] * x[d] * (1 - a[d]) * p * (1 - p);
        real gx_d =
            g[d] * (a[d] + p * (1 - a[d])) + inv[d] * (gh - mean_gh[d] - xh * mean_ghxh[d]);
        gx[d] = add ? gx[d] + gx_d : gx_d;
    }
}

CLONES void dice_backward(real *gx, const real *g, const real *x, const real *mean,
                          const real *inv, const real *a, const real *mean_gh,
                          const real *mean_ghxh, bool add, int N, int D)
{
    for (int n = 0; n < N; n++) {
        real       *gx_n = ROW(gx, n, D);
        const real *g_n = ROW(g, n, D), *x_n = ROW(x, n, D);
        if (add)
            backward_row(gx_n, g_n, x_n, mean, inv, a, mean_gh, mean_ghxh, true, D);
        else
            backward_row(gx_n, g_n, x_n, mean, inv, a, mean_gh, mean_ghxh, false, D);
    }
}
