/* sample_count - in how many samples an id is: a number that stops at the highest. */
#ifndef DIPS_PS_SAMPLE_COUNT_H
#define DIPS_PS_SAMPLE_COUNT_H

#include <stdint.h>

static inline uint32_t sample_count_add(uint32_t a, uint32_t b)
{
    return a + b < a ? UINT32_MAX : a + b;
}

#endif
