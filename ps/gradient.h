/* gradient - from the sum that workers pushed to what a row's rule is given, and what the
 * penalties do to weights. n is a row's dim; the arrays do not overlap.
 *
 * The same bits on every CPU: no fused products, and sums in a fixed order. */
#ifndef DIPS_PS_GRADIENT_H
#define DIPS_PS_GRADIENT_H

#include <stddef.h>

#include "common/real.h"

/* sum += g */
void gradient_add(real *restrict sum, const real *restrict g, size_t n);

/* sum = a + b */
void gradient_join(real *restrict sum, const real *restrict a, const real *restrict b,
                   size_t n);

/* g = sum share; where norm > 0 and |g| > norm: g = g norm / |g|. The squares of |g| are
 * added in doubles, in the order of common/lanes.h. */
void gradient_share(real *restrict g, const real *restrict sum, real share, double norm,
                    size_t n);

/* g += strength w: the gradient of strength/2 |w|^2 */
void gradient_add_l2(real *restrict g, const real *restrict w, real strength, size_t n);

/* g += strength sign(w), sign(0) = 0: the gradient of strength |w|_1 */
void gradient_add_l1(real *restrict g, const real *restrict w, real strength, size_t n);

/* w = factor w */
void weights_scale(real *w, real factor, size_t n);

/* w = sign(w) max(|w| - step, 0): what l1 does by itself, stopping at 0 */
void weights_shrink(real *w, real step, size_t n);

#endif
