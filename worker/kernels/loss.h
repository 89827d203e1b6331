/* loss - binary cross entropy of logits z against labels y of 0 or 1. */
#ifndef DIPS_WORKER_KERNELS_LOSS_H
#define DIPS_WORKER_KERNELS_LOSS_H

#include "worker/kernels/kernel.h"

/* sum_i w_i (softplus(z_i) - y_i z_i), softplus(z) = max(z, 0) + log(1 + e^-|z|): no z is
 * too large for it.   z, y, w (n); w NULL: all 1 */
double cross_entropy_forward(const real *z, const real *y, const real *w, int n);

/* gz_i += w_i (sigmoid(z_i) - y_i) */
void cross_entropy_backward(real *gz, const real *z, const real *y, const real *w, int n);

/* Of z_i where the answer is yes and n_i where it is no:  sum_i softplus(-z_i) + softplus(n_i);
 * gz_i = -g sigmoid(-z_i),   gn_i = g sigmoid(n_i)   (count numbers) */
double contrast_forward(const real *z, const real *n, int count);
void   contrast_backward(real *gz, real *gn, const real *z, const real *n, real g, int count);

/* p_i = sigmoid(z_i), in double: no p is 0 or 1 while |z| < 36 */
void cross_entropy_probabilities(double *p, const real *z, int n);

#endif
