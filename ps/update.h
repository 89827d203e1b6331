/* update - one step applied to a table.
 *
 *   w = w (1 - lr lambda)^k            penalty: decay
 *   g = (sum of the workers' gradients, in rank order) / samples of the step
 *   g = g min(1, row_norm / |g|)       where clip.row_norm is set
 *   g = g + lambda / n_j w             penalty: minibatch_aware (DIN, eq. 7)
 *   g = g + lambda w                   penalty: l2
 *   g = g + lambda sign(w)             penalty: l1
 *   w, state = rule(w, state, g)       once per row
 *
 * Decoupled, minibatch_aware and l2 come after the rule: w = w - lr lambda / n_j w; and l1 is
 * w = sign(w) max(|w| - lr lambda, 0). n_j is the number of samples with the id: exact, or
 * seen before this step; at least 1. k is how many steps the clock has made since the row was
 * last touched, this one included: 1 for a row that every step touches. They are made up for
 * with the learning rate of this step, and a step that was skipped counts.
 *
 * Only rows of the step are touched, each once, however many workers name it, and no
 * arithmetic depends on how rows lie on shards or when messages came. A worker names an id
 * once in a pull; of one that it names more often the first gradient counts, the others are
 * dropped and counted in table.repeated. */
#ifndef DIPS_PS_UPDATE_H
#define DIPS_PS_UPDATE_H

#include "common/arena.h"
#include "ps/table.h"

/* One worker's part of the step: its ticket and its push. */
typedef struct update_part {
    size_t          n;
    const uint64_t *ids;
    const uint32_t *counts;    /* samples of the part with the id; NULL: not told */
    uint32_t       *rows;      /* as the pull found them; brought up to date */
    const real     *gradients; /* (n, dim) sums over samples */
} update_part;

typedef struct update_step {
    int64_t step;
    double  samples;  /* of all workers; above 0 */
    double  lr;       /* of this step */
    double  row_norm; /* 0: no clipping */
    bool    shared;   /* other parts of this step are applied by themselves: a row that it
                         has touched may be one that another part names */
} update_step;

/* Apply the parts, in rank order, to a table whose clock is at the step; then it is one
 * further. Rows that are not there yet are born first. scratch is the caller's to reset. */
MUST_CHECK err_t update_apply(table *t, update_part *parts, int n_parts,
                              const update_step *step, arena *scratch);

#endif
