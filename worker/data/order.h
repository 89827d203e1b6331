/* order - which samples a step consists of: a seeded order over all of them.
 *
 * Epoch e is a permutation of 0 .. n-1 that depends on (seed, e, n, block, window) alone:
 * blocks of `block` neighbouring samples are permuted, then the samples within each
 * window of `window` blocks, so that reading stays local while samples mix. A short last
 * block stays last, so that the place of every other block is a multiplication away.
 * Step t takes samples [t mod S * batch, ...) of it, S = ceil(n / batch) steps an epoch;
 * the last one may be short. Worker r of W takes the r-th contiguous part of the step.
 *
 * `data.deal: rows`: every worker has the same order over all files and takes its part.
 * `data.deal: files`: every worker has an order over its own samples (rank r opens the
 * r-th part of the files) and takes part 0 of 1. Its batch is ceil(batch / W), which begins at
 * place r * ceil(batch / W) of the global one; an epoch has as many steps as the worker
 * with the most, and a worker that has run out takes part with nothing until it ends
 * (pipeline.h's epoch_steps and place).
 *
 * `data.deal: dynamic`: every worker has the same order over all files, and takes of each step
 * what deal.h deals it: places of the epoch, a window at a time. */
#ifndef DIPS_WORKER_DATA_ORDER_H
#define DIPS_WORKER_DATA_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

typedef struct order order;

typedef struct order_options {
    uint64_t samples; /* of the data set; may be 0 */
    int      batch;   /* samples of a global step */
    bool     shuffle; /* false: the order of the files */
    int      block, window;
    uint64_t seed;
} order_options;

MUST_CHECK err_t order_new(order **out, const order_options *options);
void             order_free(order **o);

int64_t order_steps_per_epoch(const order *o);
int     order_batch(const order *o); /* samples of a global step */

/* Numbers of the samples of worker's part of step into samples (room for
 * ceil(batch / workers) + 1), *n of them (may be 0); *first = place of the first one in
 * the global step. Keeps one window's permutation; asking for steps in their order
 * computes each window once. */
MUST_CHECK err_t order_part(order *o, int64_t step, int worker, int workers, uint64_t *samples,
                            int *n, uint64_t *first);

/* The numbers of the samples at n places of an epoch, in the same memory. */
void order_samples(order *o, int64_t epoch, uint64_t *places, int n);

#endif
