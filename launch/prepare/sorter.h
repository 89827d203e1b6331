/* sorter - records of one size in order, in bounded memory.
 *
 * Records are pushed, then read back in order, as often as wanted. What does not fit
 * into memory is spilled as sorted runs that are merged while reading. Records that
 * compare equal come back in the order they were pushed. */
#ifndef DIPS_LAUNCH_PREPARE_SORTER_H
#define DIPS_LAUNCH_PREPARE_SORTER_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

typedef struct sorter sorter;

typedef int (*sorter_order)(const void *a, const void *b); /* as qsort's */

/* Records of size bytes; about memory bytes are used, and unnamed files in folder
 * (lent for the life of the sorter). sorter_free. */
MUST_CHECK err_t sorter_new(sorter **out, size_t size, sorter_order order, size_t memory,
                            const char *folder);
void             sorter_free(sorter **s);

/* Add a copy of a record; not after the first sorter_rewind. */
MUST_CHECK err_t sorter_push(sorter *s, const void *record);

/* Begin, or begin again, to read at the least record. */
MUST_CHECK err_t sorter_rewind(sorter *s);

/* The next record in order, lent until the next call; NULL after the last one. */
MUST_CHECK err_t sorter_next(sorter *s, const void **record);

#endif
