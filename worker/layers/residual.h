/* residual - how a block of the transformer ends:
 *
 *     y = LayerNorm(s),  s = x + what the block made of x;   or y = s
 *
 * Blocks go over the rows of a batch in pieces that stay in the caches; s is kept for
 * backward where it is normalised. Rows have D numbers. */
#ifndef DIPS_WORKER_LAYERS_RESIDUAL_H
#define DIPS_WORKER_LAYERS_RESIDUAL_H

#include "worker/graph.h"

/* Of one node and batch. */
typedef struct residual {
    param *gamma, *beta; /* NULL: no norm */
    real   eps;
    int    D;
    bool   whole; /* s of all rows is kept, or of a piece */
    real  *y, *s, *mean, *inv;
} residual;

/* Make NAME.norm.gamma and NAME.norm.beta n's parameters i and i + 1. */
void residual_build(graph *g, node *n, int i, int D, const char *name);

/* After graph_output. i: of its parameters, which may be NULL; longest: rows of a piece. */
MUST_CHECK err_t residual_open(residual *r, const node *n, int i, double eps, int longest,
                               pass *p);

/* Where s of the rows from `first` on is to be written. */
real *residual_rows(const residual *r, int first);

/* s of rows first .. first+N-1 is complete: it becomes y. */
void residual_forward(residual *r, int first, int N);

/* gs (N, D) from gy (N, D) of the same rows; gradients of gamma and beta are added to. */
void residual_backward(const residual *r, real *gs, const real *gy, int first, int N);

#endif
