/* shard_writer - the samples of one split ("train") as a row of data shards.
 *
 * Columns are collected in memory; when samples or bytes reach a limit they become
 * FOLDER/train-00000.safetensors, then -00001, and so on. */
#ifndef DIPS_LAUNCH_PREPARE_SHARD_WRITER_H
#define DIPS_LAUNCH_PREPARE_SHARD_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/safetensors.h"
#include "launch/prepare/counts.h"

/* A tensor of a shard. */
typedef struct shard_column {
    const char *name;    /* "history.goods"; lent */
    dtype       type;    /* DTYPE_U64, DTYPE_I64 or DTYPE_F32 */
    int         width;   /* of a row of F32; 0 or 1: the tensor has one dimension */
    bool        offsets; /* U64 that begin with 0 and grow by each row's length */
    int         table;   /* its ids are counted for this table; -1: not ids */
} shard_column;

typedef struct shard_limits {
    uint64_t samples; /* of a shard */
    uint64_t bytes;   /* of memory for one */
} shard_limits;

typedef struct shard_writer shard_writer;

/* The samples that will be FOLDER/SPLIT-*.safetensors; strings and columns are lent.
 * counts (lent) sees every id; NULL: not counted. shard_writer_free. */
MUST_CHECK err_t shard_writer_new(shard_writer **out, const char *folder, const char *split,
                                  const shard_column *columns, int n_columns,
                                  shard_limits limits, counts *counted);
void             shard_writer_free(shard_writer **w);

/* Add n elements to a column of the sample at hand. */
MUST_CHECK err_t shard_writer_u64(shard_writer *w, int column, const uint64_t *x, size_t n);
MUST_CHECK err_t shard_writer_i64(shard_writer *w, int column, const int64_t *x, size_t n);
MUST_CHECK err_t shard_writer_f32(shard_writer *w, int column, const float *x, size_t n);

/* The next row of an offsets column has n elements. */
MUST_CHECK err_t shard_writer_length(shard_writer *w, int column, uint64_t n);

/* The sample at hand is complete. */
MUST_CHECK err_t shard_writer_end_sample(shard_writer *w);

/* Write what is left; a split without samples has no files. */
MUST_CHECK err_t shard_writer_finish(shard_writer *w);

uint64_t shard_writer_samples(const shard_writer *w); /* of all its shards */
int      shard_writer_shards(const shard_writer *w);

#endif
