/* shared_unit - DIN's activation unit where many candidates share one history.
 *
 * With W = [Wq Wk Wd Wp] by parts as in folded_pair.h, what is one event's is taken into the
 * weights, rather than what is one candidate's:
 *
 *     z_c = q_c W_t + s_t,    W_t = (Wq + Wd) + diag(k_t) Wp,    s_t = k_t (Wk - Wd) + b
 *
 * There are fewer events than candidates, so fewer W_t to make, and each meets a product of
 * many rows. All layers of a piece of candidates are computed while it is in the caches. Only
 * for passes that do not learn. */
#ifndef DIPS_WORKER_LAYERS_SHARED_UNIT_H
#define DIPS_WORKER_LAYERS_SHARED_UNIT_H

#include "worker/layers/folded_pair.h"
#include "worker/layers/hidden.h"

typedef struct shared_unit {
    const pair_parts    *parts;
    int                  n;      /* hidden layers */
    const hidden_config *hidden; /* (n) */
    param *const        *params; /* weight, bias and alpha of each, then weight and bias of the
                                    score */
} shared_unit;

/* scores (events of all candidates) of candidates q and the events k of their requests. */
MUST_CHECK err_t shared_unit_forward(const shared_unit *u, real *scores, const tensor *q,
                                     const tensor *k, pass *p);

/* scores (events of all candidates) = q . k: a product for each request. */
void shared_dot(real *scores, const tensor *q, const tensor *k, const pass *p);

/* y (candidates, Dk) = sum of the events k of their requests by the weights w (events of all
 * candidates): a product for each request. */
void shared_sum(tensor *y, const real *w, const tensor *k, const pass *p);

#endif
