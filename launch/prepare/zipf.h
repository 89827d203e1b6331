/* zipf - bounded Zipf numbers without tables.
 *
 * P(k) is proportional to k^-s for k = 1 .. n. Rejection-inversion (Hormann and
 * Derflinger 1996): constant time and memory for any n, more than 3 of 4 draws are
 * accepted at once. s = 0 is the uniform distribution. */
#ifndef DIPS_LAUNCH_PREPARE_ZIPF_H
#define DIPS_LAUNCH_PREPARE_ZIPF_H

#include "common/rng.h"

typedef struct zipf {
    uint64_t n;
    double   s;
    double   low, high; /* of the integrated hat */
    double   cut;       /* k - x below it needs no further look */
} zipf;

/* n >= 1, s >= 0. */
zipf zipf_of(uint64_t n, double s);

/* A rank in 1 .. n. */
uint64_t zipf_draw(const zipf *z, rng *r);

#endif
