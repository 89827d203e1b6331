/* places - which rows the ids of a slot read in this pass: their places among the distinct ids
 * of the batch, or -1 where `drop_ids` discards one. */
#ifndef DIPS_WORKER_LAYERS_PLACES_H
#define DIPS_WORKER_LAYERS_PLACES_H

#include "worker/graph.h"

/* *places (ids of the slot): the batch's own, or the step's arena's. */
MUST_CHECK err_t places_take(int **places, const schema *s, int slot, pass *p);

#endif
