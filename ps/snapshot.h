/* snapshot - a shard's part of a checkpoint.
 *
 *   shard-KKKK-of-NNNN.safetensors holds, for each table T with r rows here, by bucket and
 *   within a bucket by id:
 *     T.ids      U64 [r]
 *     T.weight   F32 [r, dim]           BF16 where the table is (precision: bf16)
 *     T.@PART    F32 [r] or [r, dim]    each part of the optimizer's state (common/optim.h)
 *     T.count    U32 [r]
 *     T.touched  U32 [r]
 *     T.buckets  U64 [4097]             bucket b's rows are buckets[b] .. buckets[b+1] - 1
 * and the counters of admission and the calendar of eviction (ps/snapshot_counters.h).
 *
 * (F64 in the double build.) Files are written and read a bucket at a time. A cut of any
 * number of shards is read by any number of others: each takes its own buckets.
 *
 * The file of a delta (common/manifest.h) has the same name and the same tensors in the same
 * order, of those rows alone whose T.touched is the parent's step or more: every row that
 * changed since, and those that the last step before the parent touched. And for each table T:
 *     T.evicted          U64 [e]     the ids whose row was removed since the parent, and which
 *                                    have none now, by bucket and within a bucket by id
 *     T.evicted.buckets  U64 [4097]  bucket b's are buckets[b] .. buckets[b+1] - 1
 * Of such an id the parent may have no row either: it came and went in between. To go from the
 * parent to the delta is to remove the rows of T.evicted, and then to put each row of the delta
 * in the place of the one with its id, or beside the others. Counters and calendar are
 * whole. */
#ifndef DIPS_PS_SNAPSHOT_H
#define DIPS_PS_SNAPSHOT_H

#include "common/manifest_chain.h"
#include "ps/pulse.h"
#include "ps/table.h"

/* Write the file of shard k of n, which holds tables[n_tables], into folder: a full cut
 * (ps/cut.h), at once. */
MUST_CHECK err_t snapshot_write(const char *folder, int shard, int shards, table *tables,
                                int n_tables, safetensors_digest *digest);

/* Fill the tables, which are empty, with the rows of their buckets from the files of the cut
 * at step of `shards` shards in folder; shard k owned the buckets first_bucket[k] ..
 * first_bucket[k+1] - 1, as its manifest tells. Nothing in a file is believed unchecked: on
 * failure the tables hold some rows and are to be cleared. */
MUST_CHECK err_t snapshot_read(const char *folder, uint64_t step, int shards,
                               const uint32_t *first_bucket, table *tables, int n_tables);

/* The same from a checkpoint and those that it stands upon, at whose end it is; p beats with
 * every bucket. */
MUST_CHECK err_t snapshot_read_chain(const manifest_chain *chain, table *tables, int n_tables,
                                     const pulse *p);

#endif
