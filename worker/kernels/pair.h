/* pair - the first layer of an activation unit for one sample: its candidate q taken into the
 * weights that its events k_t meet.
 *
 *     W_q = K + diag(q) P,   z = k W_q
 *
 * K (D, U) multiplies k, P (Dq, U) the products q * k; Dq <= D, and rows of K behind Dq stand
 * alone. All arrays have `stride` numbers a row. */
#ifndef DIPS_WORKER_KERNELS_PAIR_H
#define DIPS_WORKER_KERNELS_PAIR_H

#include "worker/kernels/kernel.h"

/* W[d,:] = K[d,:] + q[d] P[d,:]   W, K (D, stride);  P (Dq, stride);  q (Dq) */
void pair_weights(real *W, const real *K, const real *P, const real *q, int D, int Dq,
                  int stride);

/* The same transposed: W[u,:] = K[u,:] + q * P[u,:]   W, K, P (U, stride);  q padded */
void pair_weights_transposed(real *W, const real *K, const real *P, const real *q, int U,
                             int stride);

/* From the gradients gW (PAIR_LOT, D, stride) of W_q of some samples, whose q and gq are q[i]
 * and gq[i]:
 *     gK += gW;   gP[d,:] += q[d] gW[d,:];   gq[d] += gW[d,:] . P[d,:]
 * K and P are as large as the first cache: they pass by once for all these samples. */
#define PAIR_LOT 4
void pair_weights_backward(real *gK, real *gP, real *const *gq, const real *gW, const real *P,
                           const real *const *q, int D, int Dq, int stride);

#endif
