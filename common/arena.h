/* arena - memory of one step, taken piece by piece and given back all at once.
 *
 * Pieces are 64-byte aligned and never move. After a few steps the arena has grown
 * to the largest step and takes no more from the system. One thread owns it. */
#ifndef DIPS_COMMON_ARENA_H
#define DIPS_COMMON_ARENA_H

#include <stddef.h>

#include "common/err.h"

typedef struct arena_chunk arena_chunk;

typedef struct arena {
    arena_chunk *chunk; /* newest first */
    size_t       used;  /* bytes of the newest chunk */
    size_t       total; /* bytes of all chunks */
} arena;

/* An arena that is all zero is empty and ready. */

/* Store in *out (any pointer's address) bytes of memory, not cleared, lent until
 * the next arena_reset. Zero bytes give a valid pointer too. */
MUST_CHECK err_t arena_take(arena *a, size_t bytes, void *out);

/* The same, cleared to zero. */
MUST_CHECK err_t arena_take_zero(arena *a, size_t bytes, void *out);

/* Give all pieces back; the memory stays for the next step. */
void arena_reset(arena *a);

/* Give everything back to the system. */
void arena_clear(arena *a);

#endif
