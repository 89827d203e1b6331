/* dense_state - the inside of a dense: dense.c computes with it, dense_file.c saves and
 * restores it. */
#ifndef DIPS_WORKER_DENSE_STATE_H
#define DIPS_WORKER_DENSE_STATE_H

#include "common/optim.h"
#include "common/vec.h"
#include "worker/dense.h"

/* A moments with its two statistics, whose gradient slots carry what is merged. */
typedef struct merged {
    moments at;
    param  *mean, *var;
} merged;

struct dense {
    const config *config;
    optim         rule;
    VEC(param *) params;
    VEC(merged *) moments;
    size_t  count;   /* reals in all parameters */
    real   *w, *g;   /* (count) once sealed */
    real   *batch;   /* batch_mean and batch_var of all moments */
    double *numbers; /* (STEP_NUMBERS + moments) summed beside the gradients */
    real  **state;   /* (params) of the optimizer; NULL for a statistic */
    real   *states;
};

#endif
