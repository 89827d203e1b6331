#include "common/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN       64
#define FIRST_CHUNK ((size_t)1 << 20)

struct arena_chunk {
    arena_chunk *older;
    size_t       bytes; /* behind this header, which takes ALIGN bytes */
};

static err_t add_chunk(arena *a, size_t least)
{
    size_t bytes = a->total ? a->total : FIRST_CHUNK;

    if (bytes < least)
        bytes = least;
    arena_chunk *chunk = aligned_alloc(ALIGN, ALIGN + bytes);
    if (!chunk)
        return err_memory(bytes, "a step's arena");
    chunk->older = a->chunk;
    chunk->bytes = bytes;
    a->chunk     = chunk;
    a->used      = 0;
    a->total += bytes;
    return OK;
}

err_t arena_take(arena *a, size_t bytes, void *out)
{
    if (bytes > SIZE_MAX / 4)
        return err_memory(bytes, "a step's arena");
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    if (!a->chunk || a->chunk->bytes - a->used < bytes)
        TRY(add_chunk(a, bytes));
    void *piece = (char *)a->chunk + ALIGN + a->used;
    a->used += bytes;
    memcpy(out, &piece, sizeof piece);
    return OK;
}

err_t arena_take_zero(arena *a, size_t bytes, void *out)
{
    void *piece = NULL;

    TRY(arena_take(a, bytes, &piece));
    memset(piece, 0, bytes);
    memcpy(out, &piece, sizeof piece);
    return OK;
}

/* Several chunks become one of their size, so that the next step fits in it. */
void arena_reset(arena *a)
{
    size_t total = a->total;

    if (a->chunk && a->chunk->older) {
        arena_clear(a);
        if (add_chunk(a, total) != OK)
            return; /* the next take asks again and reports it */
    }
    a->used = 0;
}

void arena_clear(arena *a)
{
    while (a->chunk) {
        arena_chunk *older = a->chunk->older;
        free(a->chunk);
        a->chunk = older;
    }
    a->used = a->total = 0;
}
