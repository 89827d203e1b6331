/* chain_rows - which rows a bucket has at the end of a chain, and where they stand.
 *
 * Each link of a chain (common/manifest_chain.h) has files of its own: the full checkpoint all
 * rows of its step, a delta those that changed since its parent, and the ids whose row left. At
 * the end an id's row is that of the newest link that has it, unless a later one says that it
 * left. ps/snapshot.h draws the files.
 *
 * Whoever reads a chain goes bucket by bucket, and in each from the full checkpoint on:
 *
 *     chain_bucket_begin(&b, bucket);
 *     for (int link = 0; link < n; link++)
 *         TRY(chain_bucket_add(&b, link, &parts[link], &first));
 *     b.rows: by id, each with its link and its place there */
#ifndef DIPS_COMMON_CHAIN_ROWS_H
#define DIPS_COMMON_CHAIN_ROWS_H

#include "common/safetensors.h"
#include "common/vec.h"

#define CHAIN_NAME_MAX 112 /* bytes of the name of a tensor */

/* "T.WHAT", or "T.PREFIX.WHAT" */
const char *chain_tensor_name(char name[CHAIN_NAME_MAX], const char *table, const char *prefix,
                              const char *what);

/* The ids of a table in the file of one shard of one link. */
typedef struct chain_part {
    const safetensors        *file; /* lent */
    uint64_t                  n;
    const safetensors_tensor *ids, *buckets;
    const safetensors_tensor *evicted, *evicted_buckets; /* of a delta's rows; else NULL */
} chain_part;

/* The lists of table in file, of the shard that has the buckets first[0] .. first[1]-1; with a
 * prefix ("waiting") a list besides the rows. delta: with the ids that left. ERR_FORMAT where
 * one is missing, or has ids outside of these buckets by its offsets. */
MUST_CHECK err_t chain_part_open(chain_part *p, const safetensors *file, const char *table,
                                 const char *prefix, const uint32_t first[2], bool delta);

/* ids (n) = elements first .. first+n-1 of t, a tensor of p. ERR_FORMAT where one does not
 * belong to bucket of the table with salt, or they do not ascend. */
MUST_CHECK err_t chain_part_ids(uint64_t *ids, const chain_part *p, const safetensors_tensor *t,
                                uint64_t salt, uint32_t bucket, uint64_t first, uint64_t n);

/* A row: element at of its link's file. */
typedef struct chain_row {
    uint64_t id, at;
    int      link;
} chain_row;

typedef VEC(chain_row) chain_row_list;
typedef VEC(uint64_t) chain_id_list;

typedef struct chain_bucket {
    uint64_t       salt; /* of the table; the caller's to set. The rest begins as zeros */
    uint32_t       bucket;
    chain_row_list rows; /* by id */
    chain_row_list merged;
    chain_id_list  ids, evicted;
} chain_bucket;

void chain_bucket_clear(chain_bucket *b);

/* Nothing is known of bucket yet. */
void chain_bucket_begin(chain_bucket *b, uint32_t bucket);

/* Go on to the next link, whose rows begin with element *first. */
MUST_CHECK err_t chain_bucket_add(chain_bucket *b, int link, const chain_part *p,
                                  uint64_t *first);

/* How many rows from b->rows.at[i] on stand side by side in one file. */
size_t chain_bucket_run(const chain_bucket *b, size_t i);

#endif
