/* packing - ragged rows side by side by time, for layers that walk along a sequence.
 *
 * The groups of an axis (a sample's events) are sorted by length, the longest first, and
 * step t takes row t of every group that is long enough: rows starts[t] .. starts[t+1]-1 of
 * the packed order. Place i of every step is the same group, so that the state of step t
 * lies in the first rows of the state of step t-1; nothing is computed on padding.
 *
 *     groups  a a a | b | c c          packed  a c b | a c | a
 *
 * Backwards, step t takes row t from the end of each group. */
#ifndef DIPS_WORKER_LAYERS_PACKING_H
#define DIPS_WORKER_LAYERS_PACKING_H

#include "worker/graph.h"

typedef struct packing {
    int  steps, rows;
    int *starts; /* (steps + 1) */
    int *row;    /* (rows) the packed row's place along the axis */
} packing;

/* Rows of step t. */
static inline int packing_width(const packing *k, int t)
{
    return k->starts[t + 1] - k->starts[t];
}

/* Pack the rows along axis per of this batch; equal lengths keep their order. All of k
 * lies in the step's arena. */
MUST_CHECK err_t packing_take(packing *k, int per, bool backwards, pass *p);

/* to (rows, D) in packed order = from along the axis. */
void packing_gather(real *to, const packing *k, const real *from, int D);

/* to along the axis = from (rows, D) in packed order; or += where add. */
void packing_scatter(real *to, const packing *k, const real *from, bool add, int D);

#endif
