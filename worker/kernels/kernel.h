/* kernel - what the loops of this folder share.
 *
 * A kernel is plain C over plain arrays, written so that the compiler can use the widest
 * vectors of the machine: CLONES builds a loop several times and picks one when the
 * program starts. Sums that may be taken in any order say so with `omp simd reduction`.
 * Backward kernels add into gradients; those with a parameter `add` overwrite where it
 * is false, which saves clearing large arrays. */
#ifndef DIPS_WORKER_KERNELS_KERNEL_H
#define DIPS_WORKER_KERNELS_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/clones.h"
#include "common/real.h"

/* Rows that are summed in `real` before the sum goes into a double, and columns at a time:
 * keeps accumulators in the first cache and rounding below 1e-5. */
#define BLOCK_ROWS    256
#define BLOCK_COLUMNS 64

static inline int least(int a, int b)
{
    return a < b ? a : b;
}

/* Row n of an array with `stride` numbers a row. */
#define ROW(x, n, stride) ((x) + (size_t)(n) * (size_t)(stride))

#ifdef DIPS_REAL_IS_DOUBLE

static inline real exp_vector(real x)
{
    return exp(x);
}

#else

/* e^x without a branch, so that loops over it become vector code: x = n log 2 + r with
 * |r| <= log(2)/2; e^r by a polynomial (minimax of relative error, 3e-9 before rounding);
 * 2^n by the bits of its exponent. Saturates at e^-87.3 and e^88.3; NaN stays NaN. */
static inline float exp_vector(float x)
{
    const float shift = 0x1.8p23f; /* adding it rounds to an integer in the low bits */

    x          = x < -87.3f ? -87.3f : x;
    x          = x > 88.3f ? 88.3f : x;
    float    n = x * 0x1.715476p+0f + shift;
    uint32_t bits;
    memcpy(&bits, &n, sizeof bits);
    n -= shift;
    float r = x - n * 0x1.62e4p-1f;
    r       = r - n * 0x1.7f7d1cp-20f;
    float p = 0x1.6a23ccp-10f;
    p       = p * r + 0x1.123a2p-7f;
    p       = p * r + 0x1.5558f2p-5f;
    p       = p * r + 0x1.555492p-3f;
    p       = p * r + 0x1.fffffcp-2f;
    p       = p * r + 1.0f;
    p       = p * r + 1.0f;
    bits    = (bits + 127u) << 23;
    memcpy(&n, &bits, sizeof n);
    return p * n;
}

#endif

static inline real sigmoid(real x)
{
    return 1 / (1 + exp_vector(-x));
}

#endif
