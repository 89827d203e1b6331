#include "worker/kernels/exponential.h"

CLONES void exponential_forward(real *w, const real *s, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        real c = s[i] < -EXPONENT_MOST ? -EXPONENT_MOST : s[i];
        c      = c > EXPONENT_MOST ? EXPONENT_MOST : c;
        w[i]   = exp_vector(c);
    }
}

CLONES void exponential_backward(real *gs, const real *gw, const real *w, const real *s,
                                 bool add, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        bool inside = s[i] >= -EXPONENT_MOST && s[i] <= EXPONENT_MOST;
        gs[i]       = (add ? gs[i] : 0) + (inside ? gw[i] * w[i] : 0);
    }
}
