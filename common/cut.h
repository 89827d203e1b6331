/* cut - a checkpoint that is read without the servers and workers that wrote it.
 *
 * What a run takes over from another one, and what looks for ids by their embeddings, read
 * the rows of a table where they lie: in the files of the shards, which are mapped. The files
 * are drawn in ps/snapshot.h. */
#ifndef DIPS_COMMON_CUT_H
#define DIPS_COMMON_CUT_H

#include "common/manifest.h"
#include "common/powers.h"

typedef struct saved_cut {
    char     folder[CONFIG_PATH_MAX];
    manifest manifest;
    config  *config; /* of the run; NULL: this program cannot read it */
} saved_cut;

/* Open the checkpoint that path means (manifest_find), which must be a full one; cut_close,
 * after a failure too. */
MUST_CHECK err_t cut_open(saved_cut *c, const char *path);
void             cut_close(saved_cut *c);

/* What penalty: decay takes of a weight of table in a step, as it was at the cut of a run of c;
 * 0 where the table has another penalty. */
double cut_decay(const config *c, int64_t step, const char *table);

/* The number of a table among the manifest's, or -1. */
int cut_find_table(const saved_cut *c, const char *name);

/* The rows of a table in the file of one shard, by bucket and within a bucket by id. */
typedef struct cut_rows {
    safetensors              *file;
    const char               *table;
    uint64_t                  n;
    int                       dim;
    const safetensors_tensor *ids, *weight, *count, *touched, *buckets;
    uint64_t                  clock; /* of the cut */
    double                    decay; /* of a weight in a step; 0: none */
    powers                    left;  /* (1 - decay)^steps */
} cut_rows;

/* Open those of shard k; table is lent, and one of the manifest's. cut_rows_close, after a
 * failure too. */
MUST_CHECK err_t cut_rows_open(cut_rows *r, const saved_cut *c, const char *table, int shard);
void             cut_rows_close(cut_rows *r);

/* The weights of rows first .. first+n-1, as a pull at the cut would have told them: decayed
 * since they were touched, where the table's penalty is decay. w (n, dim) */
void cut_rows_weights(const cut_rows *r, uint64_t first, uint64_t n, real *w);

/* The tensor T.WHAT of the file, or NULL. */
const safetensors_tensor *cut_rows_find(const cut_rows *r, const char *what);

#endif
