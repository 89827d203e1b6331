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

/* Whether the machine has what the kernels with vectors of 512 bits use. */
static inline bool wide_vectors(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#else
    return false;
#endif
}

/* Begin to fetch what lies `ahead` numbers behind x; it may lie past the array's end. */
INLINE void fetch(const real *x, size_t ahead)
{
    __builtin_prefetch((const void *)((uintptr_t)x + ahead * sizeof *x));
}

INLINE void fetch_to_write(const real *x, size_t ahead)
{
    __builtin_prefetch((const void *)((uintptr_t)x + ahead * sizeof *x), 1);
}

#ifdef DIPS_REAL_IS_DOUBLE

static inline real exp_vector(real x)
{
    return exp(x);
}

static inline real sigmoid(real x)
{
    return 1 / (1 + exp(-x));
}

#else

/* e^x = 2^n (1 + p r) for |x| < 88 without a branch, so that loops over it become vector code:
 * x = n log 2 + r with |r| <= log(2)/2; p by a polynomial (minimax of e^r's relative error, 3e-9
 * before rounding); *power = 2^n by the bits of its exponent. NaN stays NaN. */
INLINE float exp_parts(float x, float *r, float *power)
{
    const float shift = 0x1.8p23f; /* adding it rounds to an integer in the low bits */
    float       n     = x * 0x1.715476p+0f + shift;
    uint32_t    bits;

    memcpy(&bits, &n, sizeof bits);
    n -= shift;
    *r      = x - n * 0x1.62e4p-1f;
    *r      = *r - n * 0x1.7f7d1cp-20f;
    float p = 0x1.6a23ccp-10f;
    p       = p * *r + 0x1.123a2p-7f;
    p       = p * *r + 0x1.5558f2p-5f;
    p       = p * *r + 0x1.555492p-3f;
    p       = p * *r + 0x1.fffffcp-2f;
    bits    = (bits + 127u) << 23;
    memcpy(power, &bits, sizeof *power);
    return p * *r + 1.0f;
}

static inline float exp_within(float x)
{
    float r, power, p = exp_parts(x, &r, &power);

    return (p * r + 1.0f) * power;
}

/* The same for all x: saturates at e^-87.3 and e^88.3. */
static inline float exp_vector(float x)
{
    x = x < -87.3f ? -87.3f : x;
    x = x > 88.3f ? 88.3f : x;
    return exp_within(x);
}

/* x, or 86 with its sign beyond that: on the bits, where the least of two is one instruction
 * (compared as floats it is several). The bits of |x| count from those behind infinity, so that
 * NaN comes first, and stays. */
static inline float within_86(float x)
{
    const uint32_t sign = 0x80000000u, behind = 0x7f800001u, most = 0x42ac0000u - behind;
    uint32_t       bits, size;

    memcpy(&bits, &x, sizeof bits);
    size = (bits & ~sign) - behind;
    size = size < most ? size : most;
    bits = (bits & sign) | (size + behind);
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 1/x of x in [1, 2^126) without a division, which takes as long as all the rest of a
 * sigmoid: a guess from the bits, off by at most 1/18, then with e = 1 - x y the steps
 * y (1 + e + e^2) and y (1 + e), which leave e^3 and e^2. NaN stays NaN. */
static inline float reciprocal(float x)
{
    uint32_t bits;
    float    y, e;

    memcpy(&bits, &x, sizeof bits);
    bits = 0x7ef311c2u - bits;
    memcpy(&y, &bits, sizeof y);
    e = 1 - x * y;
    y += y * (e + e * e);
    e = 1 - x * y;
    return y + y * e;
}

/* 1 / (1 + e^-x); beyond |x| = 86 that of 86. */
static inline float sigmoid(float x)
{
    return reciprocal(1 + exp_within(-within_86(x)));
}

#endif

/* Numbers to a vector of 64 bytes, and n made whole vectors. Arrays of our own have rows of
 * whole vectors, zero behind their last column: loops over them need no remainder. */
#define VECTOR (64 / (int)sizeof(real))

static inline int padded(int n)
{
    return (n + VECTOR - 1) / VECTOR * VECTOR;
}

/* The same with an odd number of vectors: rows whose distance is a power of two lie upon each
 * other in the caches. */
static inline int odd_vectors(int n)
{
    return (padded(n) / VECTOR | 1) * VECTOR;
}

#endif
