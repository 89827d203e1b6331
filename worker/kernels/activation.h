/* activation - functions of one number, forward and backward.
 *
 * g is the gradient of y, gx of x; gx = ... or gx += ... where add. gx may be g itself. */
#ifndef DIPS_WORKER_KERNELS_ACTIVATION_H
#define DIPS_WORKER_KERNELS_ACTIVATION_H

#include "worker/kernels/kernel.h"

/* y = max(0, x);   gx = g where x > 0   (n numbers) */
void relu_forward(real *y, const real *x, size_t n);
void relu_backward(real *gx, const real *g, const real *y, bool add, size_t n);

/* y = 1 / (1 + e^-x);   gx = g y (1 - y) */
void sigmoid_forward(real *y, const real *x, size_t n);
void sigmoid_backward(real *gx, const real *g, const real *y, bool add, size_t n);

/* PReLU, He et al. 2015 (eq. 8 of DIN): y = x where x > 0, else a x;
 * gx = g or g a;  ga[d] += sum_n g x over x <= 0.   x, y, g, gx (N, D);  a, ga (D) */
void prelu_forward(real *y, const real *x, const real *a, int N, int D);
void prelu_backward(real *gx, real *ga, const real *g, const real *x, const real *a, bool add,
                    int N, int D);

#endif
