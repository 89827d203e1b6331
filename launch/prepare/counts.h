/* counts - in how many samples each id occurs: what the adaptive penalty divides by.
 *
 * Per table a map in memory adds up; when the maps are as large as they may be, one is
 * emptied into a sorter, which spills. counts.safetensors, for each table T:
 *     T.ids      U64 [n]      by bucket, then by id
 *     T.count    U32 [n]      samples that contain the id, wherever in the sample it
 *                             stands and however often; stops at 2^32 - 1
 *     T.buckets  U64 [4097]   ids of bucket b are T.ids[T.buckets[b] .. T.buckets[b+1]) */
#ifndef DIPS_LAUNCH_PREPARE_COUNTS_H
#define DIPS_LAUNCH_PREPARE_COUNTS_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

typedef struct counts counts;

/* Counts for the tables with these names (lent), in about memory bytes and unnamed
 * files in folder (lent). counts_free. */
MUST_CHECK err_t counts_new(counts **out, const char *const *tables, int n_tables,
                            size_t memory, const char *folder);
void             counts_free(counts **c);

/* The sample at hand contains these ids of table. */
MUST_CHECK err_t counts_see(counts *c, int table, const uint64_t *ids, size_t n);

/* The sample at hand is complete. */
MUST_CHECK err_t counts_end_sample(counts *c);

/* Write the file; nothing can be counted any more. */
MUST_CHECK err_t counts_write(counts *c, const char *path);

#endif
