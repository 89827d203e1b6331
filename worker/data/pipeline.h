/* pipeline - the next batches, made ready by a thread while this one computes.
 *
 * The thread takes the steps in order: which samples (order), the batch (dataset), its
 * distinct ids (id_set). A ring of depth items bounds it; each item has an arena of its
 * own that the step may take more memory from. What an item holds depends on the options
 * alone, never on timing. */
#ifndef DIPS_WORKER_DATA_PIPELINE_H
#define DIPS_WORKER_DATA_PIPELINE_H

#include "common/clock.h"
#include "worker/data/dataset.h"
#include "worker/data/deal.h"
#include "worker/data/id_set.h"
#include "worker/data/order.h"

typedef struct pipeline_item {
    int64_t step;
    batch   batch;
    id_set *sets; /* (n_tables) */
    arena   arena;
    double  read_s, distinct_s; /* what the thread took for the batch, and for its sets */
} pipeline_item;

typedef struct pipeline_options {
    const dataset *data;
    const schema  *schema;
    order         *order;         /* used by the thread alone until pipeline_free */
    int            worker, workers; /* which part of a step of order; 0 of 1 over own files */
    deal *deal; /* deals the order's places to the workers; used as order is. NULL: each
                   takes its part of every step */
    int64_t        epoch_steps; /* of the run: an order with fewer steps has empty ones last */
    uint64_t       place;         /* added to the place of each sample in the global batch */
    int            shards;
    int64_t        first, end;    /* steps first .. end-1 */
    int            depth;         /* items ready or in use at most, >= 2 */
} pipeline_options;

typedef struct pipeline pipeline;

/* Start the thread; what the options point to must stay until pipeline_free, which ends
 * the thread wherever it is and takes all items back. */
MUST_CHECK err_t pipeline_new(pipeline **out, const pipeline_options *options);
void             pipeline_free(pipeline **p);

/* The item of the next step, lent until pipeline_done. Steps come in order, each once.
 * ERR_TIMEOUT after timeout_s; an error of the thread is given to the caller. */
MUST_CHECK err_t pipeline_next(pipeline *p, pipeline_item **item, double timeout_s);

/* The item is used up: its memory is taken back for a later step. In the order of next. */
void pipeline_done(pipeline *p, pipeline_item *item);

#endif
