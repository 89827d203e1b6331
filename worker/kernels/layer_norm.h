/* layer_norm - every row normalised by itself (Ba et al. 2016):
 *     xh = (x - mean) inv,  inv = 1/sqrt(var + eps), mean and biased variance of the row;
 *     y  = gamma xh + beta
 *   x, y (N, D) with strides;  mean, inv (N);  gamma, beta (D) */
#ifndef DIPS_WORKER_KERNELS_LAYER_NORM_H
#define DIPS_WORKER_KERNELS_LAYER_NORM_H

#include "worker/kernels/kernel.h"

/* y may be x. */
void layer_norm_forward(real *y, int y_stride, real *mean, real *inv, const real *x,
                        int x_stride, const real *gamma, const real *beta, real eps, int N,
                        int D);

/* With gg = gamma g and means over a row:
 *     gx = inv (gg - mean(gg) - xh mean(gg xh));   ggamma += sum_n g xh,  gbeta += sum_n g
 * gx may be g. */
void layer_norm_backward(real *gx, int gx_stride, real *ggamma, real *gbeta, const real *g,
                         int g_stride, const real *x, int x_stride, const real *mean,
                         const real *inv, const real *gamma, int N, int D);

#endif
