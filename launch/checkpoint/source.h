/* source - a checkpoint that is read a bucket at a time.
 *
 * A delta is read together with those that it stands upon (common/manifest_chain.h), as if it
 * were a full one of its step. Files are mapped; pages are fetched ahead of the reading and let
 * go behind it, so that what is held in memory at a time is about one bucket of each link of
 * the chain. */
#ifndef DIPS_LAUNCH_CHECKPOINT_SOURCE_H
#define DIPS_LAUNCH_CHECKPOINT_SOURCE_H

#include "common/chain_rows.h"
#include "common/hash.h"
#include "common/manifest_chain.h"
#include "launch/checkpoint/row_form.h"

typedef struct source {
    manifest_chain  chain;
    safetensors  ***files;                  /* [link][shard]; owned */
    uint16_t        shard_of[HASH_BUCKETS]; /* which shard's files have a bucket */
    const manifest *manifest;               /* of the checkpoint itself */
    const char     *folder;                 /* likewise */
    uint64_t        bytes;                  /* of all files */
} source;

/* Open the checkpoint that path means (manifest_find), and check every file of the chain for
 * its size and XXH3: what is made of a source is as whole as the source was. source_close,
 * after a failure too. */
MUST_CHECK err_t source_open(source *s, const char *path);
void             source_close(source *s);

/* The number of a table among the manifest's, or -1. */
int source_find_table(const source *s, const char *name);

/* ---- ids with columns ---- */

/* The tensors of a list in the file of one shard of one link. */
typedef struct source_part {
    chain_part                at;
    const safetensors_tensor *columns[COLUMNS_MOST];
    uint64_t                  fetched, dropped; /* rows in front of which are ... */
} source_part;

/* The rows of a table, or the ids that wait for admission, as they are read. */
typedef struct source_list {
    const source *source; /* lent */
    const char   *table;
    row_form      form;
    source_part **parts; /* [link][shard]; owned */
    int           first; /* link: rows are read of all links, what waits of the last one */
    int           shard; /* of which pages are held; -1: of none */
    chain_bucket  bucket;
    chain_id_list ids;
    char         *columns[COLUMNS_MOST]; /* of a chain's bucket */
    size_t        capacities[COLUMNS_MOST];
} source_list;

/* Open the rows of table t. The tensors are checked here, ids as they are read.
 * source_list_close, after a failure too. */
MUST_CHECK err_t source_rows(source_list *l, const source *s, int t);

/* The ids of table t that wait for admission, with their counts; *there is false where the
 * checkpoint has none such. */
MUST_CHECK err_t source_waiting(source_list *l, const source *s, int t, bool *there);
void             source_list_close(source_list *l);

/* How many ids the buckets first .. end-1 have. Of a chain that is found out by reading them.
 */
MUST_CHECK err_t source_list_count(source_list *l, uint32_t first, uint32_t end, uint64_t *n);

/* The rows of a bucket; buckets are asked for in ascending order, again from any. ERR_FORMAT
 * where an id does not belong there, or does not ascend. */
MUST_CHECK err_t source_list_read(source_list *l, uint32_t bucket, bucket_rows *rows);

/* Nothing more is read for now: what was read last is let go. */
void source_list_leave(source_list *l);

/* ---- what there is besides lists ---- */

/* A tensor T.WHAT that is the same in the files of all shards, or NULL. */
const safetensors_tensor *source_constant(const source *s, int t, const char *what);

/* A bucket's part of T.sketch, of *bytes; NULL where there is no sketch. */
MUST_CHECK err_t source_sketch(const source *s, int t, uint32_t bucket, const void **at,
                               uint64_t *bytes);

#endif
