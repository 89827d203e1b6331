/* exponential - e^s of scores that are kept within bounds.
 *
 *     w = e^c,  c = s within -20 .. 20;    gs = gw w inside, 0 beyond     (n numbers)
 *
 * e^20 is 4.9e8: two such weights times rows are far from the largest float. NaN stays. */
#ifndef DIPS_WORKER_KERNELS_EXPONENTIAL_H
#define DIPS_WORKER_KERNELS_EXPONENTIAL_H

#include "worker/kernels/kernel.h"

#define EXPONENT_MOST 20

void exponential_forward(real *w, const real *s, size_t n);
void exponential_backward(real *gs, const real *gw, const real *w, const real *s, bool add,
                          size_t n);

#endif
