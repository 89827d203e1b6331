/* data_shard - one file of samples, mapped and checked against the schema.
 *
 *   label     [n]             0 or 1
 *   F         [n]             ids of a feature, one a sample
 *   F.offsets [n+1], F [m]    ids of a bag: sample i has F[offsets[i]] .. F[offsets[i+1]-1]
 *   F         [n] or [n, d]   numbers
 *   S.offsets [n+1]           events of a sequence, in the same manner
 *   S.C       [m]             an id of each event; with S.C.offsets [m+1] a bag of them
 *   S.time    [m]             seconds, where the schema has a column of kind time; in order
 *   weight, time, group  [n]  optional; `user` stands in for a missing group
 *
 * Ids, offsets and times are of any 32- or 64-bit integer dtype. Tensors of other names
 * are nobody's business. */
#ifndef DIPS_WORKER_DATA_DATA_SHARD_H
#define DIPS_WORKER_DATA_DATA_SHARD_H

#include "common/safetensors.h"
#include "common/schema.h"

typedef struct data_ids {
    const safetensors_tensor *ids;     /* NULL: negatives that are not needed */
    const safetensors_tensor *offsets; /* NULL: one id per row */
} data_ids;

typedef struct data_events {
    const safetensors_tensor *offsets;
    const safetensors_tensor *time; /* NULL: the schema wants none */
} data_events;

typedef struct data_shard {
    safetensors               *file;
    uint64_t                   samples;
    const safetensors_tensor  *label;                 /* NULL: none, and none needed */
    const safetensors_tensor  *weight, *time, *group; /* NULL: none */
    data_ids                  *slots;                 /* (n_slots of the schema) */
    data_events               *sequences;             /* (n_sequences) */
    const safetensors_tensor **floats;                /* (n_floats) */
} data_shard;

/* Open path and check all that the schema needs of it: names, dtypes, lengths, offsets,
 * labels, weights. What is wrong is said with file, tensor, place and value: ERR_DATA, or
 * the error of safetensors_open. Initialises d; data_shard_clear, after a failure too. */
MUST_CHECK err_t data_shard_open(data_shard *d, const schema *s, const char *path,
                                 bool need_label);
void             data_shard_clear(data_shard *d);

/* The same of a file that is open already; taken, also on failure. */
MUST_CHECK err_t data_shard_use(data_shard *d, const schema *s, safetensors *file,
                                bool need_label);

#endif
