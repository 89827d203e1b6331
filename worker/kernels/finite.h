#ifndef DIPS_WORKER_KERNELS_FINITE_H
#define DIPS_WORKER_KERNELS_FINITE_H

#include "worker/kernels/kernel.h"

/* finite - whether none of x (n) is infinite or NaN. */
bool all_finite(const real *x, size_t n);

#endif
