/* bf16 - the upper half of a float: its sign, its exponent, 7 bits of its mantissa.
 *
 * A weight that is rounded to the nearest bf16 stands still under steps below 1/256 of it.
 * Rounded up or down by chance, with the probability that makes it right in the mean, it
 * moves. Infinities and NaNs lose their lower half and stay what they are (a NaN whose
 * payload is in the lower half alone becomes an infinity). What travels once is rounded to
 * the nearest instead: by at most 2^-8 of it, and a bf16 stays what it is. */
#ifndef DIPS_COMMON_BF16_H
#define DIPS_COMMON_BF16_H

#include <stddef.h>
#include <stdint.h>

#include "common/real.h"
#include "common/rng.h"

#define BF16_COLUMNS_OF_DRAW 4 /* rounded by one draw of 64 bits */

/* x[n] = half[n] */
void bf16_widen(real *restrict x, const uint16_t *restrict half, size_t n);

/* half[n] = x[n], rounded up with the probability of what is cut off: 16 bits of draw
 * number i / 4 of the fresh stream `chance`, the (i mod 4)-th from below, are added to the
 * lower half of number i. */
void bf16_round(uint16_t *restrict half, const real *restrict x, rng chance, size_t n);

/* The same, number by number. */
void bf16_round_plain(uint16_t *half, const real *x, rng chance, size_t n);

/* half[n] = x[n], rounded to the nearest, ties to even; NaN stays NaN. */
void bf16_nearest(uint16_t *restrict half, const real *restrict x, size_t n);

#endif
