/* rows - products of the rows of two arrays (N, D), which have strides. */
#ifndef DIPS_WORKER_KERNELS_ROWS_H
#define DIPS_WORKER_KERNELS_ROWS_H

#include "worker/kernels/kernel.h"

/* w_i = x_i . y_i */
void rows_dot(real *w, const real *x, int x_stride, const real *y, int y_stride, int N, int D);

/* y_i = w_i x_i, or y_i += where add */
void rows_scale(real *y, int y_stride, const real *w, const real *x, int x_stride, bool add,
                int N, int D);

#endif
