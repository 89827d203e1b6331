/* slab - equal elements in huge pages, numbered with u32, that never move.
 *
 * Addresses come as regions of up to 64 MiB, on a huge page's boundary; memory comes behind
 * them when they are first touched, or a huge page at a time ahead of that (slab_prefault),
 * so that nobody waits for the system to clear it. Elements are handed out in runs of 2^bits
 * that are numbered in a row. A run given back is handed out again, whole or in parts.
 *
 * One thread owns a slab, so nothing here locks. */
#ifndef DIPS_PS_SLAB_H
#define DIPS_PS_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/vec.h"

#define SLAB_NONE     UINT32_MAX /* the number of no element */
#define SLAB_RUN_BITS 24         /* runs are shorter than 2^SLAB_RUN_BITS */

typedef struct slab {
    size_t      size;                 /* bytes of an element, at least 4 */
    int         region_bits;          /* elements of a region: 2^region_bits */
    uint32_t    next;                 /* elements from here on were never handed out */
    uint32_t    spare[SLAB_RUN_BITS]; /* runs given back: each one's first u32 names the next */
    uint64_t    ready;                /* bytes of the regions, in order, that have memory */
    const char *what;                 /* what the memory is for, in an error's words; lent */
    VEC(char *) regions;
} slab;

/* No elements yet, of size bytes each; slab_clear. */
void slab_init(slab *s, size_t size, const char *what);

/* Take back all elements and all memory. */
void slab_clear(slab *s);

/* The element; lent until its run is given back. */
static inline void *slab_at(const slab *s, uint32_t number)
{
    size_t place = number & ((UINT32_C(1) << s->region_bits) - 1);
    return s->regions.at[number >> s->region_bits] + place * s->size;
}

/* Hand out a run of 2^bits elements, of whatever content: *number is its first. A run must
 * fit in a region. */
MUST_CHECK err_t slab_take(slab *s, int bits, uint32_t *number);

/* Give back the run of 2^bits elements that begins with number. */
void slab_give(slab *s, uint32_t number, int bits);

/* See that memory is there before it is needed: a huge page a call, up to a 64th of what is
 * in use and at most 16 MiB. False when there is enough. */
bool slab_prefault(slab *s);

/* Bytes of memory that elements and what was made ready for them take. */
uint64_t slab_bytes(const slab *s);

/* Bytes of memory for bytes of elements: whole pages, of which a slab's first ones are
 * small. */
uint64_t slab_page_bytes(uint64_t bytes);

/* The same with what slab_prefault makes ready behind them. */
uint64_t slab_ready_bytes(uint64_t bytes);

#endif
