#include "ps/slab_array.h"

#include <string.h>

#define SHORTEST 2 /* log2 of the length of the shortest directory */

/* Twice the room for numbers of blocks, where the directory is full. */
static err_t grow_directory(slab_array *a, slab *directories)
{
    uint32_t n = a->n_blocks, fresh;
    int      bits;

    if (n & (n - 1) || (n && n < 1 << SHORTEST))
        return OK;
    bits = n ? __builtin_ctz(n) : SHORTEST - 1;
    TRY(slab_take(directories, bits + 1, &fresh));
    uint32_t *blocks = slab_at(directories, fresh);
    if (n) {
        memcpy(blocks, a->blocks, n * sizeof *blocks);
        slab_give(directories, a->directory, bits);
    }
    a->blocks    = blocks;
    a->directory = fresh;
    return OK;
}

err_t slab_array_push(slab_array *a, uint32_t number, slab *directories)
{
    TRY(grow_directory(a, directories));
    a->blocks[a->n_blocks++] = number;
    return OK;
}

err_t slab_array_reserve(slab_array *a, slab_shape shape, uint32_t n, slab *elements,
                         slab *directories)
{
    while (slab_array_length(a, shape) < n) {
        int      bits = slab_array_next_bits(a, shape);
        uint32_t number;
        TRY(slab_take(elements, bits, &number));
        err_t err = slab_array_push(a, number, directories);
        if (err != OK) {
            slab_give(elements, number, bits);
            return err;
        }
    }
    return OK;
}
