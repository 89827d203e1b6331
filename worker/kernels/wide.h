/* wide - functions of vectors of 512 bits, for kernels that are written in them, on x86-64 and
 * in floats. Whoever calls asks wide_vectors() (kernel.h) first. */
#ifndef DIPS_WORKER_KERNELS_WIDE_H
#define DIPS_WORKER_KERNELS_WIDE_H

#include "worker/kernels/kernel.h"

#if defined(__x86_64__) && !defined(DIPS_PLAIN_KERNELS) && !defined(DIPS_REAL_IS_DOUBLE)
#define WIDE_KERNELS

#include <immintrin.h>

#define WIDE   __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma")))
#define LANES  16
#define LOG2_E 0x1.715476p+0f

typedef __m512 vector;

/* (2^r - 1) / r for |r| <= 1/2; 1 + r times it is 2^r to 9e-8. */
WIDE INLINE vector power_slope(vector r)
{
    vector p = r * 0x1.5bba14p-10f + 0x1.3cea88p-7f;

    p = p * r + 0x1.c6b752p-5f;
    p = p * r + 0x1.ebf9bcp-3f;
    return p * r + 0x1.62e42ap-1f;
}

/* 1 / x of x in [1, 2^127): the machine's guess to 14 bits, and a step of Newton's. */
WIDE INLINE vector inverse(vector x)
{
    vector y = _mm512_rcp14_ps(x);

    return y + y * (1 - x * y);
}

/* Vectors that go through a function side by side: a sigmoid is a chain of some twenty
 * instructions that wait for each other, and a processor's scheduler holds about a hundred.
 * Three such chains, one behind the other, leave it waiting half of the time; steps of four do
 * not. */
#define LOT 4

/* t becomes 1 / (1 + 2^t), of n <= LOT vectors: t = m + r with an integer m and |r| <= 1/2.
 * Beyond t = 126 that of 126; far below, 2^t is 0. NaN stays NaN: a minimum gives its second.
 */
WIDE UNROLLED void falling_sigmoids(vector *t, const int n)
{
    vector r[LOT], power[LOT];

    for (int i = 0; i < n; i++) {
        t[i] = _mm512_min_ps(_mm512_set1_ps(126), t[i]);
        r[i] = _mm512_reduce_ps(t[i], 0);
    }
    for (int i = 0; i < n; i++)
        power[i] = power_slope(r[i]) * r[i] + 1;
    for (int i = 0; i < n; i++)
        power[i] = 1 + _mm512_scalef_ps(power[i], t[i] - r[i]);
    for (int i = 0; i < n; i++)
        t[i] = inverse(power[i]);
}

WIDE INLINE vector falling_sigmoid(vector t)
{
    falling_sigmoids(&t, 1);
    return t;
}

WIDE INLINE vector wide_sigmoid(vector x)
{
    return falling_sigmoid(x * -LOG2_E);
}

/* e / (e + 2), e = 2^t - 1 = 2^n r q(r) + (2^n - 1) with 2^t = e^2x: where x is small n is 0,
 * and nothing cancels. Beyond t = 64 in size that of 64; NaN stays NaN. */
WIDE INLINE vector wide_tanh(vector x)
{
    vector t =
        _mm512_max_ps(_mm512_set1_ps(-64), _mm512_min_ps(_mm512_set1_ps(64), x * (2 * LOG2_E)));
    vector r = _mm512_reduce_ps(t, 0), power = _mm512_scalef_ps(_mm512_set1_ps(1), t - r);
    vector e = power_slope(r) * r * power + (power - 1);

    return e * inverse(e + 2);
}

#endif

#endif
