/* rng - chance as an argument: splitmix64 streams named by what they are for.
 *
 * rng_named(seed, a, b, c) is a stream of its own for every (seed, a, b, c): a row's
 * first value is the stream (seed, RNG_BIRTH, salt of the table, id), so it does not
 * depend on when the row is born or where. */
#ifndef DIPS_COMMON_RNG_H
#define DIPS_COMMON_RNG_H

#include <stdint.h>

#include "common/hash.h"

/* What a stream is for: the first word of its name. */
enum {
    RNG_BIRTH = 1,
    RNG_DENSE,
    RNG_ORDER,
    RNG_DROPOUT,
    RNG_DROP_ID,
    RNG_PREPARE,
    RNG_TEST,
    RNG_ROUND,
    RNG_ADMIT
};

typedef struct rng {
    uint64_t state;
} rng;

/* What the streams (seed, a, b, c) of all c have in common. */
static inline uint64_t rng_family(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t h = hash_mix(seed + UINT64_C(0x9e3779b97f4a7c15));
    h = hash_mix(h ^ (a + UINT64_C(0x9e3779b97f4a7c15)));
    return hash_mix(h + b * UINT64_C(0xd1342543de82ef95));
}

/* The stream (seed, a, b, c) of a family. */
static inline rng rng_member(uint64_t family, uint64_t c)
{
    return (rng){hash_mix(family ^ hash_mix(c + UINT64_C(0x2545f4914f6cdd1d)))};
}

static inline rng rng_named(uint64_t seed, uint64_t a, uint64_t b, uint64_t c)
{
    return rng_member(rng_family(seed, a, b), c);
}

/* Draw number i (0, 1, ...) of the stream, wherever it is: what rng_next gives after i
 * others. Draws of a fresh stream can be made in any order, many at a time. */
static inline uint64_t rng_draw(rng r, uint64_t i)
{
    return hash_mix(r.state + (i + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

/* The next draw. */
static inline uint64_t rng_next(rng *r)
{
    return hash_mix(r->state += UINT64_C(0x9e3779b97f4a7c15));
}

/* Uniform on [0, 1), 53 bits. */
static inline double rng_uniform(rng *r)
{
    return (double)(rng_next(r) >> 11) * 0x1p-53;
}

/* Uniform on 0 .. n-1, n > 0; Lemire's multiplication, bias below n / 2^64. */
static inline uint64_t rng_below(rng *r, uint64_t n)
{
    __extension__ typedef unsigned __int128 u128;
    return (uint64_t)(((u128)rng_next(r) * n) >> 64);
}

/* Two independent N(0, 1) values (Box-Muller). */
void rng_normal_pair(rng *r, double pair[2]);

/* One N(0, 1) value; the pair's second half is dropped. */
double rng_normal(rng *r);

#endif
