/* batch - the samples of one step (a worker's part of them), ragged.
 *
 * No padding anywhere: a sequence's events of all samples stand one after another, and
 * offsets say whose are whose. Arrays are lent by the arena the batch was made in. */
#ifndef DIPS_WORKER_DATA_BATCH_H
#define DIPS_WORKER_DATA_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/real.h"

/* The ids in one slot of the schema. Its rows are the batch's samples, or the events of
 * its sequence. */
typedef struct batch_slot {
    int       rows;    /* B, or events */
    int       n;       /* ids */
    int      *offsets; /* (rows+1) of a bag: row i has ids offsets[i] .. offsets[i+1]-1;
                          NULL: exactly one id per row */
    uint64_t *ids;     /* (n) */
    int      *distinct; /* (n) place of each id among its table's distinct ids (id_set) */
} batch_slot;

typedef struct batch_sequence {
    int      events;  /* of all samples */
    int     *offsets; /* (B+1) */
    int64_t *time;    /* (events) seconds; NULL where the schema has no time column */
} batch_sequence;

typedef struct batch_float {
    int   width;
    real *x; /* (B, width), not transformed */
} batch_float;

typedef struct batch {
    int             B;         /* samples; may be 0 */
    uint64_t        first;     /* place of the first one within the global batch */
    double          weight_sum; /* B, or the sum of weights */
    real           *label;     /* (B) */
    real           *weight;    /* (B) or NULL: all 1 */
    uint64_t       *group;     /* (B) or NULL */
    int64_t        *time;      /* (B) seconds, or NULL */
    batch_slot     *slots;     /* (n_slots of the schema) */
    batch_sequence *sequences; /* (n_sequences) */
    batch_float    *floats;    /* (n_floats) */
} batch;

#endif
