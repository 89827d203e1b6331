/* loss - binary cross entropy of logits z against labels y of 0 or 1. */
#ifndef DIPS_WORKER_KERNELS_LOSS_H
#define DIPS_WORKER_KERNELS_LOSS_H

#include "worker/kernels/kernel.h"

/* sum_i w_i (softplus(z_i) - y_i z_i), softplus(z) = max(z, 0) + log(1 + e^-|z|): no z is
 * too large for it.   z, y, w (n); w NULL: all 1 */
double cross_entropy_forward(const real *z, const real *y, const real *w, int n);

/* gz_i += w_i (sigmoid(z_i) - y_i) */
void cross_entropy_backward(real *gz, const real *z, const real *y, const real *w, int n);

/* p_i = sigmoid(z_i), in double: no p is 0 or 1 while |z| < 36 */
void cross_entropy_probabilities(double *p, const real *z, int n);

#endif
