/* powers - b^n for many whole n of one b, from a few products.
 *
 * n is taken as digits of 6 bits; each digit's powers stand in a table, so that b^n costs
 * one product per digit above the first. The table is made in long doubles: with 64 bits of
 * mantissa, as x86 has them, its relative error stays below that of the double while n is
 * below a thousand, and below 2^-40 up to n = 2^24. */
#ifndef DIPS_COMMON_POWERS_H
#define DIPS_COMMON_POWERS_H

#include <stdint.h>

#define POWERS_DIGIT  6                                        /* bits */
#define POWERS_DIGITS ((32 + POWERS_DIGIT - 1) / POWERS_DIGIT) /* of a uint32_t */

typedef struct powers {
    double at[POWERS_DIGITS][1 << POWERS_DIGIT]; /* [i][k]: b^(k 64^i) */
} powers;

static inline void powers_init(powers *p, double b)
{
    long double step = b;

    for (int i = 0; i < POWERS_DIGITS; i++) {
        long double power = 1;
        for (int k = 0; k < 1 << POWERS_DIGIT; k++) {
            p->at[i][k] = (double)power;
            power *= step;
        }
        step = power; /* b^(64^(i+1)) */
    }
}

static inline double powers_of(const powers *p, uint32_t n)
{
    double power = p->at[0][n & ((1 << POWERS_DIGIT) - 1)];

    for (int i = 1; n >>= POWERS_DIGIT; i++)
        power *= p->at[i][n & ((1 << POWERS_DIGIT) - 1)];
    return power;
}

#endif
