/* column - sums and moments of columns, and vectors added to rows. */
#ifndef DIPS_WORKER_KERNELS_COLUMN_H
#define DIPS_WORKER_KERNELS_COLUMN_H

#include "worker/kernels/kernel.h"

/* y[n,d] += v[d]   y (N, D);  v (D) */
void column_add(real *y, const real *v, int N, int D);

/* sum[d] += sum_n x[n,d]   sum (D);  x (N, D) */
void column_sum(real *sum, const real *x, int N, int D);

/* mean[d] = sum_n x[n,d] / N;  squares[d] = sum_n (x[n,d] - mean[d])^2, to the
 * rounding of `real` within blocks of rows (Chan et al. 1983 joins them).  N = 0: both 0. */
void column_moments(double *mean, double *squares, const real *x, int N, int D);

/* The same in pieces: mean and squares are of `seen` rows, and become those of N more. */
void column_moments_join(double *mean, double *squares, int seen, const real *x, int N, int D);

#endif
