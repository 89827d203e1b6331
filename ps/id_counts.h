/* id_counts - in how many training samples each id of a table occurs, as `dips prepare`
 * counted them.
 *
 *   counts.safetensors, per table T:
 *     T.ids      U64 [r]      by bucket, then ascending
 *     T.count    U32 [r]      at least 1
 *     T.buckets  U64 [4097]   bucket b's ids are ids[buckets[b]] .. ids[buckets[b+1] - 1]
 *
 * The file stays mapped; a shard reads an id's count when its row is born. */
#ifndef DIPS_PS_ID_COUNTS_H
#define DIPS_PS_ID_COUNTS_H

#include <stdint.h>

#include "common/safetensors.h"

/* The counts of one table; all zero: there are none. Lent by the file. */
typedef struct id_counts {
    const safetensors_tensor *ids, *count, *buckets;
} id_counts;

/* Find table's tensors in file and check them: types, sizes, and that the ids of the
 * buckets first .. end-1 stand in their buckets and ascend. A table that the file does not
 * have leaves *c all zero. */
MUST_CHECK err_t id_counts_init(id_counts *c, const safetensors *file, const char *table,
                                uint64_t salt, uint32_t first, uint32_t end);

/* Bring near what id_counts_find will most likely look at. */
void id_counts_prefetch(const id_counts *c, uint32_t bucket, uint64_t id);

/* The count of id, which belongs to bucket; 0 where it does not occur. */
uint32_t id_counts_find(const id_counts *c, uint32_t bucket, uint64_t id);

#endif
