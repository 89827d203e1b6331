/* lanes - sums of squares in a fixed order that vectors can keep.
 *
 * Of x[n], n >= 8, lane k of 8 adds the squares of columns k, k + 8, ... of the full eights;
 * the columns behind them go to the last lanes. Of a shorter x lane k has column k. Then
 * lanes k and k + 4 are added, k and k + 2, and the last two. */
#ifndef DIPS_COMMON_LANES_H
#define DIPS_COMMON_LANES_H

#include <stddef.h>
#include <string.h>

#include "common/clones.h"
#include "common/real.h"

#define LANES 8

/* The lane of column i of n. */
static inline size_t lane_of(size_t i, size_t n)
{
    return i >= n - n % LANES && n >= LANES ? i - (n - LANES) : i % LANES;
}

typedef real lanes __attribute__((vector_size(LANES * sizeof(real))));

/* The 8 numbers at x, those of the first `done` lanes 0. */
INLINE void lanes_load(lanes *v, const real *x, size_t done)
{
    memcpy(v, x, sizeof *v);
    for (size_t k = 0; k < LANES; k++)
        (*v)[k] = k < done ? 0 : (*v)[k];
}

/* Sum of x^2 in reals. */
INLINE real lanes_squares(const real *x, size_t n)
{
    lanes  sum = {0}, v;
    size_t i   = 0;

    for (; i + LANES <= n; i += LANES) {
        lanes_load(&v, x + i, 0);
        sum += v * v;
    }
    if (n < LANES)
        for (size_t k = 0; k < n; k++)
            sum[k] = x[k] * x[k];
    else if (i < n) {
        lanes_load(&v, x + n - LANES, LANES - (n - i));
        sum += v * v;
    }
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

/* The same in doubles: no square of a float overflows. */
INLINE double lanes_squares_wide(const real *x, size_t n)
{
    double sum[LANES] = {0};
    size_t eights     = n < LANES ? 0 : n / LANES * LANES;

    for (size_t i = 0; i < eights; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            sum[k] += (double)x[i + k] * (double)x[i + k];
    for (size_t i = eights; i < n; i++)
        sum[lane_of(i, n)] += (double)x[i] * (double)x[i];
    return ((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]));
}

#endif
