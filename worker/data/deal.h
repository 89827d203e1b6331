/* deal - who trains which part of an epoch under `data.deal: dynamic`.
 *
 * An epoch is a row of places 0 .. n-1 (order.h says which sample stands at each). They are
 * dealt in blocks: a worker asks for the next one when it has used up what it holds; when
 * all are dealt, it takes the rear half of the longest piece that another one holds (of
 * equal ones, that of the lowest rank). In a step all workers together bring `batch`
 * samples, worker r as many as under `deal: rows`, so that none of them runs out before the
 * epoch ends, and a block is read by one worker alone.
 *
 * Since no worker is ever a step ahead of another, they ask at steps, not at times, and in
 * the order of ranks within a step. So each worker deals for all of them, by itself and
 * without a message, and every run with the same seed is dealt the same. A checkpoint keeps
 * what is dealt and what of it is held: a run that goes on with as many workers goes on as
 * if it had never ended; with fewer or more, each sample still comes once in the epoch. */
#ifndef DIPS_WORKER_DATA_DEAL_H
#define DIPS_WORKER_DATA_DEAL_H

#include "common/manifest.h"

typedef struct deal deal;

typedef struct deal_options {
    uint64_t samples; /* of an epoch */
    uint64_t block;   /* places that are dealt at a time */
    int      batch;   /* of a step, all workers together */
    int      workers;
} deal_options;

MUST_CHECK err_t deal_new(deal **out, const deal_options *options);
void             deal_free(deal **d);

/* Stand at the beginning of step (counted from the run's first): as dealt says, or, where it
 * is NULL, has nothing or does not fit, as if all steps of the epoch before it had been
 * dealt now. */
MUST_CHECK err_t deal_begin(deal *d, int64_t step, const manifest_dealt *dealt);

/* The places of worker's part of step, which is the one that d stands at or a later one;
 * then d stands behind it. places: caller's, room for ceil(batch / workers); *n of them;
 * *first = place of the first one in the global step. */
void deal_part(deal *d, int64_t step, int worker, uint64_t *places, int *n, uint64_t *first);

/* Deal until d stands at the beginning of step, and tell what a checkpoint of that cut
 * keeps: *dealt is returned, manifest_dealt_clear; at the end of an epoch it has nothing. */
MUST_CHECK err_t deal_record(deal *d, int64_t step, manifest_dealt *dealt);

#endif
