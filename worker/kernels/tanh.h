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

/* tanh x = t / (t + 2), t = e^2x - 1; beyond |x| = 43 that of 43. With 2x = n log 2 + r as in
 * exp_within, t = 2^n (e^r - 1) + (2^n - 1): where x is small n is 0, and nothing cancels: the
 * error stays below 4 units in the last place for every x. NaN stays NaN. */
static inline float tanh_vector(float x)
{
    const float shift = 0x1.8p23f;
    float       y     = within_86(x + x);
    float       n     = y * 0x1.715476p+0f + shift, t, power;
    uint32_t    bits;

    memcpy(&bits, &n, sizeof bits);
    n -= shift;
    float r = y - n * 0x1.62e4p-1f;
    r       = r - n * 0x1.7f7d1cp-20f;
    float p = 0x1.6a23ccp-10f;
    p       = p * r + 0x1.123a2p-7f;
    p       = p * r + 0x1.5558f2p-5f;
    p       = p * r + 0x1.555492p-3f;
    p       = p * r + 0x1.fffffcp-2f;
    p       = p * r + 1.0f;
    bits    = (bits + 127u) << 23;
    memcpy(&power, &bits, sizeof power);
    t = p * r * power + (power - 1.0f);
    return t * reciprocal(t + 2.0f);
}

#endif

#endif
