#include "ps/gradient.h"

#include <math.h>

#include "common/lanes.h"

INLINE void add(real *restrict sum, const real *restrict g, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += g[i];
}

CLONES void gradient_add(real *restrict sum, const real *restrict g, size_t n)
{
    BY_LENGTH(n, add, sum, g);
}

INLINE void join(real *restrict sum, const real *restrict a, const real *restrict b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = a[i] + b[i];
}

CLONES void gradient_join(real *restrict sum, const real *restrict a, const real *restrict b,
                          size_t n)
{
    BY_LENGTH(n, join, sum, a, b);
}

INLINE void scale(real *g, const real *x, real factor, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g[i] = x[i] * factor;
}

INLINE void share_clipped(real *restrict g, const real *restrict sum, real share, double norm,
                          size_t n)
{
    scale(g, sum, share, n);
    double squares = lanes_squares_wide(g, n);
    if (squares > norm * norm)
        scale(g, g, (real)(norm / sqrt(squares)), n);
}

CLONES void gradient_share(real *restrict g, const real *restrict sum, real share, double norm,
                           size_t n)
{
    if (norm > 0)
        BY_LENGTH(n, share_clipped, g, sum, share, norm);
    else
        BY_LENGTH(n, scale, g, sum, share);
}

INLINE void add_l2(real *restrict g, const real *restrict w, real strength, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g[i] += strength * w[i];
}

CLONES void gradient_add_l2(real *restrict g, const real *restrict w, real strength, size_t n)
{
    BY_LENGTH(n, add_l2, g, w, strength);
}

INLINE void add_l1(real *restrict g, const real *restrict w, real strength, size_t n)
{
    for (size_t i = 0; i < n; i++)
        g[i] += w[i] > 0 ? strength : w[i] < 0 ? -strength : 0;
}

CLONES void gradient_add_l1(real *restrict g, const real *restrict w, real strength, size_t n)
{
    BY_LENGTH(n, add_l1, g, w, strength);
}

CLONES void weights_scale(real *w, real factor, size_t n)
{
    BY_LENGTH(n, scale, w, w, factor);
}

INLINE void shrink(real *w, real step, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        real left = fabs_real(w[i]) - step;
        w[i]      = left > 0 ? (w[i] > 0 ? left : -left) : 0;
    }
}

CLONES void weights_shrink(real *w, real step, size_t n)
{
    BY_LENGTH(n, shrink, w, step);
}
