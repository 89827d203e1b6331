/* slab_array - an array that grows without moving, out of a slab's runs.
 *
 * Its blocks grow with it: 2^(steps + 1) of one element, then 2^steps each of 2, 4, 8, ...
 * elements, up to 2^most; from there on all have 2^most. So a short array is not longer than
 * it must be, and a long one has few blocks. Element i lies in block
 *
 *      (k << steps) + (i >> k),   k = min(most, max(0, floor(log2 i) - steps))
 *
 * at place i mod 2^k. The directory of blocks, a run of u32 out of another slab, doubles. */
#ifndef DIPS_PS_SLAB_ARRAY_H
#define DIPS_PS_SLAB_ARRAY_H

#include "ps/slab.h"

typedef struct slab_array {
    uint32_t *blocks; /* number of each block's first element; lent by the directories' slab */
    uint32_t  n_blocks;
    uint32_t  directory; /* where blocks is */
} slab_array;

/* How the blocks of an array grow. */
typedef struct slab_shape {
    int steps, most;
} slab_shape;

/* log2 of the length of the block that holds element i. */
static inline int slab_array_block_bits(slab_shape shape, uint32_t i)
{
    int k = 31 - __builtin_clz(i | UINT32_C(1) << shape.steps) - shape.steps;
    return k < shape.most ? k : shape.most;
}

/* The block that holds element i. */
static inline uint32_t slab_array_block(slab_shape shape, uint32_t i)
{
    int k = slab_array_block_bits(shape, i);
    return ((uint32_t)k << shape.steps) + (i >> k);
}

/* Where element i lies. */
typedef struct slab_place {
    uint32_t block, inside;
} slab_place;

static inline slab_place slab_array_place(slab_shape shape, uint32_t i)
{
    int k = slab_array_block_bits(shape, i);
    return (slab_place){((uint32_t)k << shape.steps) + (i >> k), i & ((UINT32_C(1) << k) - 1)};
}

/* The number in the slab of the element that lies there. */
static inline uint32_t slab_array_at(const slab_array *a, slab_place place)
{
    return a->blocks[place.block] + place.inside;
}

/* The number in the slab of element i of the array, which is that long. */
static inline uint32_t slab_array_number(const slab_array *a, slab_shape shape, uint32_t i)
{
    return slab_array_at(a, slab_array_place(shape, i));
}

/* log2 of the length of the block that would be added next. */
static inline int slab_array_next_bits(const slab_array *a, slab_shape shape)
{
    int k = (int)(a->n_blocks >> shape.steps);

    k -= k > 0;
    return k < shape.most ? k : shape.most;
}

/* Elements of the array: of all its blocks. */
static inline uint32_t slab_array_length(const slab_array *a, slab_shape shape)
{
    int k = slab_array_next_bits(a, shape);
    return (a->n_blocks - ((uint32_t)k << shape.steps)) << k;
}

/* Add a block, of the length that is next: its first element is number. Where this fails,
 * the array is as it was. */
MUST_CHECK err_t slab_array_push(slab_array *a, uint32_t number, slab *directories);

/* See that the array has elements 0 .. n-1, from the slab elements; what it had stays. Fewer
 * may have been added where this fails, which does no harm. */
MUST_CHECK err_t slab_array_reserve(slab_array *a, slab_shape shape, uint32_t n, slab *elements,
                                    slab *directories);

#endif
