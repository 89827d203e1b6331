#include "worker/kernels/dice_wide.h"

/* What belongs to a column; copied from memory that results might overlap, so that it stays in
 * registers. */
typedef struct column_constants {
    real mean[VECTOR], inv[VECTOR], a[VECTOR], rest[VECTOR]; /* rest: 1 - a */
} column_constants;

INLINE void load_constants(column_constants *k, const real *mean, const real *inv,
                           const real *a, int columns)
{
    for (int c = 0; c < columns; c++) {
        k->mean[c] = mean[c];
        k->inv[c]  = inv[c];
        k->a[c]    = a[c];
        k->rest[c] = 1 - a[c];
    }
}

/* The kernels go down VECTOR columns at a time.
 * BY_COLUMNS calls one for whole vectors, where the count is a constant, and for the rest. */
#define BY_COLUMNS(call, D, ...)                                                               \
    do {                                                                                       \
        int d = 0;                                                                             \
        for (; d + VECTOR <= (D); d += VECTOR)                                                 \
            call(d, VECTOR, D, __VA_ARGS__);                                                   \
        if (d < (D))                                                                           \
            call(d, (D)-d, D, __VA_ARGS__);                                                    \
    } while (0)

INLINE void forward_columns(int d, int columns, int D, real *y, const real *x, const real *mean,
                            const real *inv, const real *a, int N, ahead *next)
{
    column_constants k;

    load_constants(&k, mean + d, inv + d, a + d, columns);
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, D) + d;
        real       *y_n = ROW(y, n, D) + d;
        ahead_ask_for(next, 1);
#pragma omp simd
        for (int c = 0; c < columns; c++) {
            real p = sigmoid((x_n[c] - k.mean[c]) * k.inv[c]);
            y_n[c] = x_n[c] * (k.a[c] + p * k.rest[c]);
        }
    }
}

CLONES static void forward(real *y, const real *x, const real *mean, const real *inv,
                           const real *a, int N, int D, ahead *next)
{
    BY_COLUMNS(forward_columns, D, y, x, mean, inv, a, N, next);
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

CLONES static void backward_sums(real *ga, double *sum_gh, double *sum_ghxh, const real *g,
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

INLINE void gradient_columns(int d, int columns, int D, real *gx, const real *g, const real *x,
                             const real *mean, const real *inv, const real *a,
                             const real *mean_gh, const real *mean_ghxh, bool add, int N,
                             ahead *next)
{
    column_constants k;

    load_constants(&k, mean + d, inv + d, a + d, columns);
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, D) + d, *g_n = ROW(g, n, D) + d;
        real       *gx_n = ROW(gx, n, D) + d;
        ahead_ask_for(next, 1);
#pragma omp simd
        for (int c = 0; c < columns; c++) {
            real xh   = (x_n[c] - k.mean[c]) * k.inv[c];
            real p    = sigmoid(xh);
            real gh   = g_n[c] * x_n[c] * k.rest[c] * p * (1 - p);
            real gx_c = g_n[c] * (k.a[c] + p * k.rest[c]) +
                        k.inv[c] * (gh - mean_gh[d + c] - xh * mean_ghxh[d + c]);
            gx_n[c] = add ? gx_n[c] + gx_c : gx_c;
        }
    }
}

CLONES static void backward(real *gx, const real *g, const real *x, const real *mean,
                            const real *inv, const real *a, const real *mean_gh,
                            const real *mean_ghxh, bool add, int N, int D, ahead *next)
{
    if (add)
        BY_COLUMNS(gradient_columns, D, gx, g, x, mean, inv, a, mean_gh, mean_ghxh, true, N,
                   next);
    else
        BY_COLUMNS(gradient_columns, D, gx, g, x, mean, inv, a, mean_gh, mean_ghxh, false, N,
                   next);
}

INLINE void rows_columns(int d, int columns, int D, real *g, real *y, real *ga, double *sum_gh,
                         double *sum_ghxh, const real *x, const real *mean, const real *inv,
                         const real *a, int N, ahead *next)
{
    real             part_a[VECTOR] = {0}, part_h[VECTOR] = {0}, part_hx[VECTOR] = {0};
    column_constants k;

    load_constants(&k, mean + d, inv + d, a + d, columns);
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, D) + d;
        real       *g_n = ROW(g, n, D) + d, *y_n = ROW(y, n, D) + d;
        ahead_ask_for(next, 1);
#pragma omp simd
        for (int c = 0; c < columns; c++) {
            real xh    = (x_n[c] - k.mean[c]) * k.inv[c];
            real p     = sigmoid(xh);
            real slope = k.a[c] + p * k.rest[c];
            real lower = g_n[c] * x_n[c] * (1 - p);
            real gh    = lower * k.rest[c] * p;
            part_a[c] += lower;
            part_h[c] += gh;
            part_hx[c] += gh * xh;
            y_n[c] = x_n[c] * slope;
            g_n[c] = g_n[c] * slope + k.inv[c] * gh;
        }
    }
    for (int c = 0; c < columns; c++) {
        ga[d + c] += part_a[c];
        sum_gh[d + c] += (double)part_h[c];
        sum_ghxh[d + c] += (double)part_hx[c];
    }
}

CLONES static void backward_rows(real *g, real *y, real *ga, double *sum_gh, double *sum_ghxh,
                                 const real *x, const real *mean, const real *inv,
                                 const real *a, int N, int D, ahead *next)
{
    for (int n = 0; n < N; n += BLOCK_ROWS)
        BY_COLUMNS(rows_columns, D, ROW(g, n, D), ROW(y, n, D), ga, sum_gh, sum_ghxh,
                   ROW(x, n, D), mean, inv, a, least(BLOCK_ROWS, N - n), next);
}

CLONES static void backward_means(real *gx, const real *g, const real *x, const real *mean,
                                  const real *inv, const real *mean_gh, const real *mean_ghxh,
                                  int N, int D, ahead *next)
{
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, D), *g_n = ROW(g, n, D);
        real       *gx_n = ROW(gx, n, D);
        ahead_ask_for(next, D / VECTOR);
#pragma omp simd
        for (int d = 0; d < D; d++)
            gx_n[d] =
                g_n[d] - inv[d] * (mean_gh[d] + (x_n[d] - mean[d]) * inv[d] * mean_ghxh[d]);
    }
}

/* ---- by width ---- */

static const dice_kernels plain = {.forward        = forward,
                                   .backward_sums  = backward_sums,
                                   .backward       = backward,
                                   .backward_rows  = backward_rows,
                                   .backward_means = backward_means};

const dice_kernels *dice_by(int bits)
{
#ifdef DICE_WIDE
    if (bits == 512 && wide_vectors())
        return &dice_wide;
#endif
    return bits == 0 ? &plain : NULL;
}

static const dice_kernels *best(void)
{
    const dice_kernels *wide = dice_by(512);

    return wide ? wide : &plain;
}

void dice_forward(real *y, const real *x, const real *mean, const real *inv, const real *a,
                  int N, int D, ahead *next)
{
    best()->forward(y, x, mean, inv, a, N, D, next);
}

void dice_backward_sums(real *ga, double *sum_gh, double *sum_ghxh, const real *g,
                        const real *x, const real *mean, const real *inv, const real *a, int N,
                        int D)
{
    best()->backward_sums(ga, sum_gh, sum_ghxh, g, x, mean, inv, a, N, D);
}

void dice_backward(real *gx, const real *g, const real *x, const real *mean, const real *inv,
                   const real *a, const real *mean_gh, const real *mean_ghxh, bool add, int N,
                   int D, ahead *next)
{
    best()->backward(gx, g, x, mean, inv, a, mean_gh, mean_ghxh, add, N, D, next);
}

void dice_backward_rows(real *g, real *y, real *ga, double *sum_gh, double *sum_ghxh,
                        const real *x, const real *mean, const real *inv, const real *a, int N,
                        int D, ahead *next)
{
    best()->backward_rows(g, y, ga, sum_gh, sum_ghxh, x, mean, inv, a, N, D, next);
}

void dice_backward_means(real *gx, const real *g, const real *x, const real *mean,
                         const real *inv, const real *mean_gh, const real *mean_ghxh, int N,
                         int D, ahead *next)
{
    best()->backward_means(gx, g, x, mean, inv, mean_gh, mean_ghxh, N, D, next);
}
