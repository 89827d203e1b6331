#include "worker/kernels/finite.h"

/* x - x is 0 but of infinities and NaN, and a sum with a NaN in it is none. */
CLONES bool all_finite(const real *x, size_t n)
{
    real sum = 0;

#pragma omp simd reduction(+ : sum)
    for (size_t i = 0; i < n; i++)
        sum += x[i] - x[i];
    return sum == 0;
}
