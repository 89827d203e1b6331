/* served_gru - the last states of gated recurrent units where many candidates share a history.
 *
 * A candidate has its own attention and so its own states, but inputs are the history's:
 * their part of the gates, W x_t + b, is made once for a request. What is left of a step is one
 * product of all candidates' states with U, and a pass over its sums that makes the next
 * states. Candidates go through all steps in groups, whose states and sums stay in the caches.
 * Only for passes that do not learn. */
#ifndef DIPS_WORKER_LAYERS_SERVED_GRU_H
#define DIPS_WORKER_LAYERS_SERVED_GRU_H

#include "worker/layers/layers.h"

typedef struct served_gru {
    gru_kind     kind;
    int          units;
    const param *input, *recurrent, *bias; /* as gru of layers.h names them */
} served_gru;

/* y (candidates, units) from the events x of their requests and the attention a (events of all
 * candidates). */
MUST_CHECK err_t served_gru_forward(tensor *y, const served_gru *u, const tensor *x,
                                    const tensor *a, pass *p);

#endif
