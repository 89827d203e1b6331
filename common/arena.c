#include "common/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ALIGN       64
#define FIRST_CHUNK ((size_t)1 << 20)

/* Chunks from here on are whole huge pages: what goes over megabytes several times a step waits
 * for the tables of small ones as long as for memory. */
#define HUGE_PAGE ((size_t)2 << 20)
#define HUGE_FROM (2 * HUGE_PAGE)

struct arena_chunk {
    arena_chunk *older;
    size_t       bytes; /* behind this header, which takes ALIGN bytes */
};

/* NULL: there is no memory. *bytes may become more. */
static arena_chunk *take_chunk(size_t *bytes)
{
    if (*bytes < HUGE_FROM)
        return aligned_alloc(ALIGN, ALIGN + *bytes);
    size_t whole = (ALIGN + *bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void  *chunk = aligned_alloc(HUGE_PAGE, whole);
    if (chunk)
        (void)madvise(chunk, whole, MADV_HUGEPAGE); /* a wish: without it, it is slower */
    *bytes = whole - ALIGN;
    return chunk;
}

static err_t add_chunk(arena *a, size_t least)
{
    size_t bytes = a->total ? a->total : FIRST_CHUNK;

    if (bytes < least)
        bytes = least;
    arena_chunk *chunk = take_chunk(&bytes);
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
