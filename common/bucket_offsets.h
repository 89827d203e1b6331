/* bucket_offsets - where the ids of each bucket begin in a shard's file of a checkpoint.
 *
 * A tensor U64 [HASH_BUCKETS + 1] beside a list of n ids (T.buckets, T.evicted.buckets,
 * T.waiting.buckets; ps/snapshot.h): bucket b's are offsets[b] .. offsets[b+1] - 1. */
#ifndef DIPS_COMMON_BUCKET_OFFSETS_H
#define DIPS_COMMON_BUCKET_OFFSETS_H

#include "common/safetensors.h"

/* *out = the tensor called name; ERR_FORMAT unless it goes from 0 to n and never down, and only
 * buckets first .. end-1, the shard's, have ids. */
MUST_CHECK err_t bucket_offsets_expect(const safetensors_tensor **out, const safetensors *file,
                                       const char *name, uint64_t n, uint32_t first,
                                       uint32_t end);

#endif
