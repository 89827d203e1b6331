/* saved_cut - a checkpoint that is read without the servers and workers that wrote it.
 *
 * A warm start and `dips recall` read the rows of a table where they lie: in the files of the
 * shards, which are mapped (ps/snapshot.h draws them). A delta is read together with those that
 * it stands upon (common/chain_rows.h), as if it were a full checkpoint of its step. */
#ifndef DIPS_COMMON_SAVED_CUT_H
#define DIPS_COMMON_SAVED_CUT_H

#include "common/chain_rows.h"
#include "common/manifest_chain.h"
#include "common/powers.h"

typedef struct saved_cut {
    manifest_chain  chain;
    const manifest *manifest; /* of the checkpoint itself; lent by the chain */
    const char     *folder;   /* likewise */
    config         *config;   /* of the run; NULL: this program cannot read it */
} saved_cut;

/* Open the checkpoint that path means (manifest_find); saved_cut_close, after a failure too. */
MUST_CHECK err_t saved_cut_open(saved_cut *c, const char *path);
void             saved_cut_close(saved_cut *c);

/* What penalty: decay takes of a weight of table in a step, as it was at the cut of a run of c;
 * 0 where the table has another penalty. */
double saved_cut_decay(const config *c, int64_t step, const char *table);

/* The number of a table among the manifest's, or -1. */
int saved_cut_find_table(const saved_cut *c, const char *name);

/* ---- rows ---- */

/* A tensor with a row's numbers, in the files of all links. */
typedef struct saved_column {
    uint64_t                   width; /* numbers of a row */
    const safetensors_tensor **at;    /* [link]; owned */
} saved_column;

/* The rows of a table that one shard has in some buckets: by bucket, within a bucket by id, and
 * numbered 0 .. n-1. Of a chain 8 bytes of memory are taken for each. */
typedef struct saved_rows {
    const char   *table;
    uint64_t      n;
    int           dim;
    int           links;
    safetensors **files;  /* [link]; owned, with the following */
    chain_part   *parts;  /* [link] */
    uint64_t     *places; /* (n) of a chain: the row's element in its link's file, which the
                             upper 16 bits tell; NULL: of a full checkpoint */
    uint64_t    *begins;  /* (HASH_BUCKETS + 1) where each bucket's rows begin */
    uint64_t     base;    /* of a full checkpoint: the element of row 0 */
    saved_column weight, count, touched;
    uint64_t     clock; /* of the cut */
    double       decay; /* of a weight in a step; 0: none */
    powers       left;  /* (1 - decay)^steps */
} saved_rows;

/* Open those that shard k has in the buckets first .. end-1; table is lent, and one of the
 * manifest's. saved_rows_close, after a failure too. ERR_FORMAT says what is wrong with which
 * file. */
MUST_CHECK err_t saved_rows_open(saved_rows *r, const saved_cut *c, const char *table, int k,
                                 uint32_t first, uint32_t end);
void             saved_rows_close(saved_rows *r);

/* The row of id; false: it has none here. */
bool saved_rows_find(const saved_rows *r, uint64_t id, uint64_t *row);

/* The ids of rows first .. first+n-1; and their weights, as a pull at the cut would have told
 * them: decayed since they were touched, where the table's penalty is decay. w (n, dim) */
void saved_rows_ids(const saved_rows *r, uint64_t first, uint64_t n, uint64_t *ids);
void saved_rows_weights(const saved_rows *r, uint64_t first, uint64_t n, real *w);

/* In how many samples the id of a row occurs, or occurred. */
uint32_t saved_rows_count(const saved_rows *r, uint64_t row);

/* Open the tensors T.WHAT, of width numbers a row; saved_column_close, after a failure too. */
MUST_CHECK err_t saved_column_open(saved_column *c, const saved_rows *r, const char *what,
                                   uint64_t width);
void             saved_column_close(saved_column *c);

/* x (width) = the numbers of a row. */
void saved_column_read(const saved_column *c, const saved_rows *r, uint64_t row, real *x);

#endif
