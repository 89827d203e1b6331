/* norm - batch normalisation per channel (Ioffe and Szegedy 2015):
 *     xh = (x - mean) inv,  inv = 1/sqrt(var + eps);   y = gamma xh + beta
 *   x, y, g, gx (N, D);  mean, inv, gamma, beta (D) */
#ifndef DIPS_WORKER_KERNELS_NORM_H
#define DIPS_WORKER_KERNELS_NORM_H

#include "worker/kernels/kernel.h"

void norm_forward(real *y, const real *x, const real *mean, const real *inv, const real *gamma,
                  const real *beta, int N, int D);

/* sum_g[d] = sum_n g (the gradient of beta);  sum_gxh[d] = sum_n g xh (that of gamma) */
void norm_backward_sums(double *sum_g, double *sum_gxh, const real *g, const real *x,
                        const real *mean, const real *inv, int N, int D);

/* gx = gamma inv (g - mean_g - xh mean_gxh), or += where add; means over the rows that
 * made mean and inv, 0 where those are constants. gx may be g. */
void norm_backward(real *gx, const real *g, const real *x, const real *mean, const real *inv,
                   const real *gamma, const real *mean_g, const real *mean_gxh, bool add, int N,
                   int D);

#endif
