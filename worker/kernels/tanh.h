/* tanh - the hyperbolic tangent without a branch, so that loops over it become vector code. */
#ifndef DIPS_WORKER_KERNELS_TANH_H
#define DIPS_WORKER_KERNELS_TANH_H

#include "worker/kernels/kernel.h"

#ifdef DIPS_REAL_IS_DOUBLE

static inline real tanh_vector(real x)
{
    return tanh(x);
}

#else

/* tanh x = t / (t + 2), t = e^2x - 1; beyond |x| = 43 that of 43. Of e^2x = 2^n (1 + p r)
 * (exp_parts), t = 2^n p r + (2^n - 1): where x is small n is 0, and nothing cancels: the error
 * stays below 4 units in the last place for every x. NaN stays NaN. */
static inline float tanh_vector(float x)
{
    float r, power, p = exp_parts(within_86(x + x), &r, &power);
    float t = p * r * power + (power - 1.0f);

    return t * reciprocal(t + 2.0f);
}

#endif

#endif
