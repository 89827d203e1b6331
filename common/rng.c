#include "common/rng.h"

#include <math.h>

void rng_normal_pair(rng *r, double pair[2])
{
    double u      = 1 - rng_uniform(r); /* (0, 1]: its logarithm is finite */
    double radius = sqrt(-2 * log(u));
    double angle  = 6.283185307179586 * rng_uniform(r);

    pair[0] = radius * cos(angle);
    pair[1] = radius * sin(angle);
}

double rng_normal(rng *r)
{
    double pair[2];

    rng_normal_pair(r, pair);
    return pair[0];
}
