/* ahead - memory that is needed soon, asked for while there is work to do.
 *
 * A pass goes piece by piece over arrays that are larger than the caches, and over rows that
 * lie anywhere. What the next piece reads or writes is listed here, line by line; the kernels
 * of the present piece, which find their own numbers in the cache, ask for a line every few
 * vectors, so that memory works while they multiply. Asking early or twice, or not at all,
 * changes no result. Which kernels can: product.h and dice.h. */
#ifndef DIPS_WORKER_KERNELS_AHEAD_H
#define DIPS_WORKER_KERNELS_AHEAD_H

#include "worker/kernels/kernel.h"

#define AHEAD_LINES 4096 /* of a piece, at most: the others are read when they are needed */
#define LINE_BYTES 64

typedef struct ahead {
    const void **lines; /* (AHEAD_LINES)  lent */
    int          n, next;
    int          rate; /* lines for each vector of kernels that do not multiply */
} ahead;

/* All of `bytes` bytes. */
void ahead_range(ahead *a, const void *at, size_t bytes);

/* Rows place[0] .. place[N-1] of table (rows, D); places below 0 are none. */
void ahead_rows(ahead *a, const real *table, const int *place, int N, int D);

/* The next lines, `most` or fewer: how many, and where they are listed. */
static inline int ahead_take(ahead *a, int most, const void *const **lines)
{
    int n = least(most, a->n - a->next);

    *lines = a->lines + a->next;
    a->next += n;
    return n;
}

/* Into the second cache: the first is full of what is worked on. */
INLINE void ahead_ask(const void *line)
{
    __builtin_prefetch(line, 0, 2);
}

/* For `vectors` vectors of work; a NULL: nothing. */
INLINE void ahead_ask_for(ahead *a, int vectors)
{
    const void *const *lines;

    if (!a)
        return;
    int n = ahead_take(a, vectors * a->rate, &lines);
    for (int i = 0; i < n; i++)
        ahead_ask(lines[i]);
}

#endif
