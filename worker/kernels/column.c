#include "worker/kernels/column.h"

CLONES void column_add(real *y, const real *v, int N, int D)
{
    for (int n = 0; n < N; n++) {
        real *y_n = ROW(y, n, D);
#pragma omp simd
        for (int d = 0; d < D; d++)
            y_n[d] += v[d];
    }
}

/* sum[c] = sum over rows of x[., c], for `columns` columns at x. */
static inline void block_sum(real *sum, const real *x, int rows, int columns, int D)
{
    memset(sum, 0, (size_t)columns * sizeof *sum);
    for (int n = 0; n < rows; n++) {
        const real *x_n = ROW(x, n, D);
#pragma omp simd
        for (int c = 0; c < columns; c++)
            sum[c] += x_n[c];
    }
}

CLONES void column_sum(real *sum, const real *x, int N, int D)
{
    for (int d = 0; d < D; d += BLOCK_COLUMNS) {
        int    columns              = least(BLOCK_COLUMNS, D - d);
        double total[BLOCK_COLUMNS] = {0};
        for (int n = 0; n < N; n += BLOCK_ROWS) {
            real part[BLOCK_COLUMNS];
            block_sum(part, ROW(x, n, D) + d, least(BLOCK_ROWS, N - n), columns, D);
            for (int c = 0; c < columns; c++)
                total[c] += (double)part[c];
        }
        for (int c = 0; c < columns; c++)
            sum[d + c] += (real)total[c];
    }
}

/* squares[c] = sum over rows of (x[., c] - mean[c])^2. */
static inline void block_squares(real *squares, const real *x, const real *mean, int rows,
                                 int columns, int D)
{
    memset(squares, 0, (size_t)columns * sizeof *squares);
    for (int n = 0; n < rows; n++) {
        const real *x_n = ROW(x, n, D);
#pragma omp simd
        for (int c = 0; c < columns; c++) {
            real far = x_n[c] - mean[c];
            squares[c] += far * far;
        }
    }
}

/* The moments of seen + rows rows from those of both parts:
 *     delta = mean_b - mean_a;  mean = mean_a + delta n_b / n;
 *     squares = squares_a + squares_b + delta^2 n_a n_b / n */
static void join_moments(double *mean, double *squares, const real *block_mean,
                         const real *block_square, int seen, int rows, int columns)
{
    double n = (double)seen + rows;

    for (int c = 0; c < columns; c++) {
        double delta = (double)block_mean[c] - mean[c];
        mean[c] += delta * rows / n;
        squares[c] += (double)block_square[c] + delta * delta * seen * rows / n;
    }
}

CLONES void column_moments_join(double *mean, double *squares, int seen, const real *x, int N,
                                int D)
{
    for (int n = 0; n < N; n += BLOCK_ROWS) {
        int rows = least(BLOCK_ROWS, N - n);
        for (int d = 0; d < D; d += BLOCK_COLUMNS) {
            int         columns = least(BLOCK_COLUMNS, D - d);
            const real *block   = ROW(x, n, D) + d;
            real        part_mean[BLOCK_COLUMNS], part_squares[BLOCK_COLUMNS];
            block_sum(part_mean, block, rows, columns, D);
            for (int c = 0; c < columns; c++)
                part_mean[c] /= (real)rows;
            block_squares(part_squares, block, part_mean, rows, columns, D);
            join_moments(mean + d, squares + d, part_mean, part_squares, seen + n, rows,
                         columns);
        }
    }
}

void column_moments(double *mean, double *squares, const real *x, int N, int D)
{
    memset(mean, 0, (size_t)D * sizeof *mean);
    memset(squares, 0, (size_t)D * sizeof *squares);
    column_moments_join(mean, squares, 0, x, N, D);
}
