#include "common/bf16.h"

#include <string.h>

#include "common/clones.h"

#define PIECE 64 /* numbers rounded at a time */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the lowest 16 bits stand first");

INLINE real real_of(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float    x;

    memcpy(&x, &bits, sizeof x);
    return (real)x;
}

INLINE uint16_t half_of(real x, uint32_t chance)
{
    float    value = (float)x;
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    bits += (bits & UINT32_C(0x7f800000)) == UINT32_C(0x7f800000) ? 0 : chance;
    return (uint16_t)(bits >> 16);
}

INLINE void widen(real *restrict x, const uint16_t *restrict half, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = real_of(half[i]);
}

CLONES void bf16_widen(real *restrict x, const uint16_t *restrict half, size_t n)
{
    BY_LENGTH(n, widen, x, half);
}

/* n numbers, at most PIECE, from draw number `first` on. Draws are made by eights, which
 * vectors like; the last few may be for nothing. */
INLINE void round_piece(uint16_t *restrict half, const real *restrict x, rng chance,
                        uint64_t first, size_t n)
{
    uint64_t draw[PIECE / BF16_COLUMNS_OF_DRAW];
    uint16_t bits[PIECE];
    size_t   draws = ((n + BF16_COLUMNS_OF_DRAW - 1) / BF16_COLUMNS_OF_DRAW + 7) & ~(size_t)7;

    for (size_t i = 0; i < draws; i++)
        draw[i] = rng_draw(chance, first + i);
    memcpy(bits, draw, sizeof bits);
    for (size_t i = 0; i < n; i++)
        half[i] = half_of(x[i], bits[i]);
}

INLINE void round_all(uint16_t *restrict half, const real *restrict x, rng chance, size_t n)
{
    for (size_t i = 0; i < n; i += PIECE)
        round_piece(half + i, x + i, chance, i / BF16_COLUMNS_OF_DRAW,
                    n - i < PIECE ? n - i : PIECE);
}

CLONES void bf16_round(uint16_t *restrict half, const real *restrict x, rng chance, size_t n)
{
    BY_LENGTH(n, round_all, half, x, chance);
}

void bf16_round_plain(uint16_t *half, const real *x, rng chance, size_t n)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < n; i++) {
        bits    = i % BF16_COLUMNS_OF_DRAW ? bits >> 16 : rng_next(&chance);
        half[i] = half_of(x[i], (uint16_t)bits);
    }
}

/* To the nearest: half of the last place is added, less one bit where that would take a
 * tie from an even upper half. */
INLINE uint16_t nearest_half(real x)
{
    const uint32_t infinite = UINT32_C(0x7f800000), quiet = UINT32_C(0x40);
    float          value = (float)x;
    uint32_t       bits;

    memcpy(&bits, &value, sizeof bits);
    uint32_t rounded = bits + UINT32_C(0x7fff) + (bits >> 16 & 1);
    return (uint16_t)((bits & INT32_MAX) > infinite ? bits >> 16 | quiet : rounded >> 16);
}

CLONES void bf16_nearest(uint16_t *restrict half, const real *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        half[i] = nearest_half(x[i]);
}
