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

/* Blocks of columns are whole vectors wherever they can be, and their counts constants: sums
 * then stay in registers from row to row. */
#define BY_COLUMNS(columns, call, ...)                                                         \
    do {                                                                                       \
        switch (columns) {                                                                     \
        case BLOCK_COLUMNS:                                                                    \
            call(__VA_ARGS__, BLOCK_COLUMNS);                                                  \
            break;                                                                             \
        case BLOCK_COLUMNS * 3 / 4:                                                            \
            call(__VA_ARGS__, BLOCK_COLUMNS * 3 / 4);                                          \
            break;                                                                             \
        case BLOCK_COLUMNS / 2:                                                                \
            call(__VA_ARGS__, BLOCK_COLUMNS / 2);                                              \
            break;                                                                             \
        case BLOCK_COLUMNS / 4:                                                                \
            call(__VA_ARGS__, BLOCK_COLUMNS / 4);                                              \
            break;                                                                             \
        default:                                                                               \
            call(__VA_ARGS__, columns);                                                        \
        }                                                                                      \
    } while (0)

/* sum[c] = sum over rows of x[., c], for `columns` columns at x. */
UNROLLED void block_sum(real *sum, const real *x, int rows, int D, const int columns)
{
    real s[BLOCK_COLUMNS] = {0};

    for (int n = 0; n < rows; n++) {
        const real *x_n = ROW(x, n, D);
#pragma omp simd
        for (int c = 0; c < columns; c++)
            s[c] += x_n[c];
    }
    memcpy(sum, s, (size_t)columns * sizeof *sum);
}

CLONES void column_sum(real *sum, const real *x, int N, int D)
{
    for (int d = 0; d < D; d += BLOCK_COLUMNS) {
        int    columns              = least(BLOCK_COLUMNS, D - d);
        double total[BLOCK_COLUMNS] = {0};
        for (int n = 0; n < N; n += BLOCK_ROWS) {
            real part[BLOCK_COLUMNS];
            BY_COLUMNS(columns, block_sum, part, ROW(x, n, D) + d, least(BLOCK_ROWS, N - n), D);
            for (int c = 0; c < columns; c++)
                total[c] += (double)part[c];
        }
        for (int c = 0; c < columns; c++)
            sum[d + c] += (real)total[c];
    }
}

/* sum[c] = sum over rows of x[., c] - from[c], and squares[c] that of its square. */
UNROLLED void block_moments(real *sum, real *squares, const real *from, const real *x, int rows,
                            int D, const int columns)
{
    real s[BLOCK_COLUMNS] = {0}, q[BLOCK_COLUMNS] = {0}, origin[BLOCK_COLUMNS];

    memcpy(origin, from, (size_t)columns * sizeof *from);
    for (int n = 0; n < rows; n++) {
        const real *x_n = ROW(x, n, D);
#pragma omp simd
        for (int c = 0; c < columns; c++) {
            real far = x_n[c] - origin[c];
            s[c] += far;
            q[c] += far * far;
        }
    }
    memcpy(sum, s, (size_t)columns * sizeof *sum);
    memcpy(squares, q, (size_t)columns * sizeof *squares);
}

/* The moments of seen + rows rows from those of both parts, the second of which are told by
 * sums about `from`:
 *     mean_b = from + sum / n_b,   squares_b = square - sum^2 / n_b,
 *     delta = mean_b - mean_a;  mean = mean_a + delta n_b / n;
 *     squares = squares_a + squares_b + delta^2 n_a n_b / n */
static void join_moments(double *mean, double *squares, const real *from, const real *sum,
                         const real *square, int seen, int rows, int columns)
{
    double n = (double)seen + rows;

    for (int c = 0; c < columns; c++) {
        double far = (double)sum[c] / rows, delta = (double)from[c] + far - mean[c];
        double about_mean = (double)square[c] - far * (double)sum[c];
        mean[c] += delta * rows / n;
        squares[c] += (about_mean > 0 ? about_mean : 0) + delta * delta * seen * rows / n;
    }
}

/* One pass over a block: differences are taken from the mean of the rows before it, or from the
 * first row of all, which are near enough to its own mean for their squares to cancel little.
 */
CLONES void column_moments_join(double *mean, double *squares, int seen, const real *x, int N,
                                int D)
{
    for (int n = 0; n < N; n += BLOCK_ROWS) {
        int rows = least(BLOCK_ROWS, N - n);
        for (int d = 0; d < D; d += BLOCK_COLUMNS) {
            int         columns = least(BLOCK_COLUMNS, D - d);
            const real *block   = ROW(x, n, D) + d;
            real        from[BLOCK_COLUMNS], sum[BLOCK_COLUMNS], square[BLOCK_COLUMNS];
            for (int c = 0; c < columns; c++)
                from[c] = seen + n > 0 ? (real)mean[d + c] : block[c];
            BY_COLUMNS(columns, block_moments, sum, square, from, block, rows, D);
            join_moments(mean + d, squares + d, from, sum, square, seen + n, rows, columns);
        }
    }
}

void column_moments(double *mean, double *squares, const real *x, int N, int D)
{
    memset(mean, 0, (size_t)D * sizeof *mean);
    memset(squares, 0, (size_t)D * sizeof *squares);
    column_moments_join(mean, squares, 0, x, N, D);
}
