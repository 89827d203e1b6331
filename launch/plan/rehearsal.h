/* rehearsal - a worker's part of one step, gone through without servers, to see what it takes.
 *
 * Samples are those of the first file of data.train where it is there; else they are
 * invented: every sequence as long as it may be, a bag of one id, and as many distinct ids
 * as the caller says, or all. Messages are made by the functions that make them in earnest,
 * memory is what the model takes of its arena, and times are CPU time of this thread. */
#ifndef DIPS_LAUNCH_PLAN_REHEARSAL_H
#define DIPS_LAUNCH_PLAN_REHEARSAL_H

#include <stdbool.h>

#include "common/schema.h"
#include "common/wire.h"

typedef struct rehearsal_options {
    const config *config;
    const schema *schema;
    int           shards, workers;
    double distinct; /* share of the ids looked up that are distinct; 0: as in the data, or all */
} rehearsal_options;

/* Means of a step of one worker, and bytes. */
typedef struct rehearsal {
    bool   from_data;     /* the samples are */
    bool   distinct_told; /* by the caller, not counted */
    double samples;
    struct {
        double looked_up; /* ids, each time that one stands in a sample */
        double distinct;
    } tables[WIRE_MAX_TABLES];
    double pull, rows, push; /* of messages, of all shards together */
    double batch;            /* of memory: a batch with its distinct ids */
    double work;             /* of memory: rows, activations, gradients of a step */
    double evaluation;       /* of memory: a batch of train.eval_batch, forward alone */
    double weights;          /* dense weights, not bytes */
    double dense;            /* of memory: them, their gradients, their state */
    double dense_file;       /* of a checkpoint's dense.safetensors */
    double reduced;          /* of the all-reduce, a worker's part */
    double arithmetic_s;     /* forward, backward, update of dense weights */
    double reading_s;        /* samples copied into a batch, ids made distinct */
} rehearsal;

/* ERR_CONFIG where there are no data and a sequence has no max_len; ERR_DATA where the data
 * are bad. */
MUST_CHECK err_t rehearsal_do(rehearsal *r, const rehearsal_options *options);

#endif
