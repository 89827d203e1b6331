/* snapshot_counters - what a shard's file holds of a table besides rows (ps/snapshot.h).
 *
 * For each table T, where its configuration asks for it:
 *     T.waiting.ids      U64 [w]       admit.counter: exact: the ids that wait, by bucket and
 *     T.waiting.count    U32 [w]       within a bucket by id, and their counts
 *     T.waiting.buckets  U64 [4097]    bucket b's are buckets[b] .. buckets[b+1] - 1
 *     T.sketch           U8 [b, n]     admit.counter: sketch: the b buckets of the shard
 *     T.sketch.form      U64 [3]       k, bits of a cell, m (ps/sketch.h)
 *     T.days             I64 [d, 2]    evict.idle_days: (day, its first step), ascending
 *
 * What a cut does not have begins at zero, so that admission and eviction may be configured
 * later. A sketch of another form than the configuration's is refused. */
#ifndef DIPS_PS_SNAPSHOT_COUNTERS_H
#define DIPS_PS_SNAPSHOT_COUNTERS_H

#include "common/safetensors.h"
#include "ps/table.h"

/* A table's tensors in a file being written; -1: there is none. */
typedef struct counters_tensors {
    int ids, count, buckets, sketch, form, days;
} counters_tensors;

/* Declare them, for so many ids that wait, and days. */
MUST_CHECK err_t counters_declare(counters_tensors *x, safetensors_writer *w, const table *t,
                                  uint64_t waiting, uint64_t days);

/* Take over what file, which is of the buckets first .. end-1, holds for t's buckets.
 * Nothing is believed unchecked. */
MUST_CHECK err_t counters_read(table *t, const safetensors *file, uint32_t first, uint32_t end);

#endif
