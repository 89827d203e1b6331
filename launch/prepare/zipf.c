#include "launch/prepare/zipf.h"

#include <math.h>

/* (exp(x) - 1) / x and log(1 + x) / x, which are 1 at x = 0: with them the formulas
 * below hold at s = 1 too. */
static double expm1_over(double x)
{
    return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2 * (1 + x / 3);
}

static double log1p_over(double x)
{
    return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x * (0.5 - x / 3);
}

/* h(x) = x^-s, the hat. */
static double hat(double x, double s)
{
    return exp(-s * log(x));
}

/* H(x) = (x^(1-s) - 1) / (1-s), an integral of h. */
static double integral(double x, double s)
{
    double log_x = log(x);
    return expm1_over((1 - s) * log_x) * log_x;
}

/* H(integral_inverse(y)) = y. */
static double integral_inverse(double y, double s)
{
    double t = y * (1 - s);
    if (t < -1) /* rounding at the far end */
        t = -1;
    return exp(log1p_over(t) * y);
}

zipf zipf_of(uint64_t n, double s)
{
    return (zipf){
        .n    = n,
        .s    = s,
        .low  = integral(1.5, s) - 1,
        .high = integral((double)n + 0.5, s),
        .cut  = 2 - integral_inverse(integral(2.5, s) - hat(2, s), s),
    };
}

uint64_t zipf_draw(const zipf *z, rng *r)
{
    if (z->s == 0)
        return 1 + rng_below(r, z->n);
    for (;;) {
        double   u = z->high + rng_uniform(r) * (z->low - z->high);
        double   x = integral_inverse(u, z->s);
        uint64_t k = x < 1 ? 1 : x + 0.5 >= (double)z->n ? z->n : (uint64_t)(x + 0.5);
        if ((double)k - x <= z->cut ||
            u >= integral((double)k + 0.5, z->s) - hat((double)k, z->s))
            return k;
    }
}
