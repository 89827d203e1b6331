/* birth - the first value of a row: numbers that depend on (seed, table, id) alone.
 *
 * Draw q of the stream (seed, RNG_BIRTH, salt of the table, id) has a low and a high half of
 * 32 bits and makes two columns of a row of dim, q and q + (dim + 1) / 2; where dim is odd,
 * the last draw makes one.
 *
 *   uniform   column q           scale ((low  + 1/2) / 2^31 - 1)
 *             the other          scale ((high + 1/2) / 2^31 - 1)
 *   normal    column q           scale r cos a       (Box and Muller 1958)
 *             the other          scale r sin a
 *             r = sqrt(-2 log u),  u = ((low >> 1) + 1/2) / 2^31 as a float
 *             a = 2 pi high / 2^32
 *
 * All of it in floats, each operation rounded by itself, logarithm, sine and cosine by
 * polynomials: the same bits on every CPU, within 2e-6 scale of the formulas. The largest
 * normal value is 6.66 scale. */
#ifndef DIPS_PS_BIRTH_H
#define DIPS_PS_BIRTH_H

#include <stddef.h>

#include "common/config.h"
#include "common/real.h"
#include "common/rng.h"

/* w[n] = a row's first value; stream is fresh. */
void birth_value(init_kind kind, double scale, rng stream, real *w, size_t n);

#endif
