/* activation - what an activation owns, for the layers that compute it themselves. */
#ifndef DIPS_WORKER_LAYERS_ACTIVATION_H
#define DIPS_WORKER_LAYERS_ACTIVATION_H

#include "worker/layers/statistics.h"

/* NAME.alpha (cols), where kind has one, becomes n's parameter i; NAME.mean and NAME.var are
 * dice's. Errors are kept; n may be NULL. */
void activation_build(graph *g, node *n, int i, statistics_config *dice, activation_kind kind,
                      const char *name, int cols);

#endif
