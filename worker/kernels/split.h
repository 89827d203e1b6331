/* split - back from the two parts [k, q * k] that a sample's rows are multiplied as. */
#ifndef DIPS_WORKER_KERNELS_SPLIT_H
#define DIPS_WORKER_KERNELS_SPLIT_H

#include "worker/kernels/kernel.h"

/* The gradients of both parts; either may be NULL: without. */
typedef struct split_gradients {
    const real *k, *product; /* (T, D), (T, Dq), each with stride */
    int         stride;
} split_gradients;

/* gk_t = g.k_t + [q * g.product_t, 0], or += where add;   gq += sum_t k_t * g.product_t
 *   gk, k (T, D) with k_stride;  gk NULL: not wanted;  q, gq (Dq), Dq <= D */
void split_backward(real *gk, bool add, real *gq, split_gradients g, const real *k,
                    int k_stride, const real *q, int T, int D, int Dq);

#endif
