/* opposite - which columns of the history stand opposite which candidate features.
 *
 * A candidate feature and a history column belong together when they share a table: the
 * goods that is offered and the goods that were clicked. So do a column and its negative, the
 * goods that were not clicked instead (model.auxiliary.negatives), which is no part of events.
 */
#ifndef DIPS_WORKER_MODELS_OPPOSITE_H
#define DIPS_WORKER_MODELS_OPPOSITE_H

#include "worker/layers/layers.h"

#define OPPOSITE_MOST 32

typedef struct opposite {
    int n;                    /* id columns of the history */
    int slots[OPPOSITE_MOST]; /* of the schema: `matched` opposite to features, then the rest */
    int matched;
    char *features[OPPOSITE_MOST]; /* (matched) candidate features, in their order; lent */
    int   n_negatives;
    int   negatives[OPPOSITE_MOST]; /* (n) slots, with a column's negative in its place */
} opposite;

/* Pair the columns of c->history with c->candidate. Without a history all is empty. */
MUST_CHECK err_t opposite_find(opposite *o, const schema *s, const model_config *c);

#endif
