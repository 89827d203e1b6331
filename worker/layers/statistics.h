/* statistics - mean and deviation of a tensor's columns, as Dice and batch norm use them.
 *
 * In training they are the batch's own (biased variance), over the rows of this worker or,
 * synchronised, of all workers. Where fewer than two rows are there, and outside of
 * training, they are the moving ones and count as constants. */
#ifndef DIPS_WORKER_LAYERS_STATISTICS_H
#define DIPS_WORKER_LAYERS_STATISTICS_H

#include "worker/graph.h"

typedef struct statistics_config {
    moments *moving;
    double   eps;
    bool     sync;
} statistics_config;

/* Of one batch, in the step's arena. */
typedef struct statistics {
    real  *mean, *inv; /* (cols); inv = 1 / sqrt(var + eps) */
    double rows;       /* over which they were taken; 0: constants */
} statistics;

/* Name the moving moments PLACE.mean and PLACE.var; errors are kept in g. */
void statistics_build(graph *g, statistics_config *c, const char *place, int cols,
                      double momentum, double eps, bool sync);

/* Collective where sync. Fill *s for x, and in training c->moving's batch. */
MUST_CHECK err_t statistics_take(statistics *s, const statistics_config *c, const tensor *x,
                                 pass *p);

/* The same for columns whose moments over `rows` rows of this worker are known already (both
 * (cols); changed). Outside of training they are not looked at. */
MUST_CHECK err_t statistics_take_moments(statistics *s, const statistics_config *c,
                                         double *mean, double *squares, int rows, int cols,
                                         pass *p);

/* Collective where sync. means (n): sums (n) over this worker's rows divided by the rows
 * of s; 0 where s are constants. sums becomes the sum over those who share s. */
MUST_CHECK err_t statistics_means(const statistics *s, const statistics_config *c, double *sums,
                                  real *means, int n, pass *p);

#endif
