/* dataset - the samples of a list of data shards, by number.
 *
 * Opens and checks every file against the schema before the first step (columns there,
 * dtypes and lengths, offsets that begin with 0, never decrease and end with the
 * length, labels 0 or 1): ERR_DATA names file, tensor, place and value. Samples are
 * numbered through the files in their order. data_shard.h draws a file. Nothing in a
 * dataset changes after opening, so threads may share one. */
#ifndef DIPS_WORKER_DATA_DATASET_H
#define DIPS_WORKER_DATA_DATASET_H

#include "common/arena.h"
#include "common/safetensors.h"
#include "common/schema.h"
#include "worker/data/batch.h"
#include "worker/data/data_shard.h"

typedef struct dataset dataset;

/* Open the files (lent for the call). need_label: false for predict on data without
 * labels (label is 0 then). s must outlive the dataset. dataset_close. No files, or none
 * with a sample, are a dataset of 0 samples: a worker with files of its own may have none. */
MUST_CHECK err_t dataset_open(dataset **out, const schema *s, const config_names *files,
                              bool need_label);
void             dataset_close(dataset **d);

/* The same of one shard in memory, without labels; file is taken, also on failure. */
MUST_CHECK err_t dataset_open_one(dataset **out, const schema *s, safetensors *file);

/* The i-th file, 0 <= i < number of files; lent. */
const data_shard *dataset_shard(const dataset *d, int i);

uint64_t dataset_samples(const dataset *d);
bool     dataset_timed(const dataset *d);   /* has `time`, or no samples */
bool     dataset_grouped(const dataset *d); /* has `group`, or else `user` */

/* Make b of the n samples with these numbers, in this order; history_days, max_len and keep
 * of the sequences are applied, columns of gaps made. Everything in b but `distinct` is filled.
 * first is b->first. */
MUST_CHECK err_t dataset_batch(const dataset *d, const uint64_t *samples, int n, uint64_t first,
                               arena *a, batch *b);

/* mean[j], and squares[j] = sum (x[j] - mean[j])^2, of each column of float feature i over
 * samples begin .. end-1, as they stand in the files; 0 of no samples. mean and squares:
 * (width), caller's. ERR_DATA names a number that is not finite. */
MUST_CHECK err_t dataset_float_moments(const dataset *d, int i, uint64_t begin, uint64_t end,
                                       double *mean, double *squares);

#endif
