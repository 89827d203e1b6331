/* pair - a candidate beside each event of its sample: what the first layer of DIN's
 * activation unit multiplies after q and q-k have been taken out of the product.
 *
 *   x_t = [k_t, q_b * k_t[0 .. Dq-1]]     (the k part only where with_k)
 *   x (E, (with_k ? Dk : 0) + Dq);  q (B, Dq);  k (E, Dk);  offsets (B+1)
 *
 * Events are counted from offsets[0]: a piece of a batch may be done alone. */
#ifndef DIPS_WORKER_KERNELS_PAIR_H
#define DIPS_WORKER_KERNELS_PAIR_H

#include "worker/kernels/kernel.h"

void pair_forward(real *x, const real *q, const real *k, bool with_k, const int *offsets, int B,
                  int Dq, int Dk);

/* gq_b += sum_t gx_p * k_t;   gk_t = [gx_k] + q_b * gx_p, or += where add;   gx_k, gx_p the
 * two parts of gx_t. */
void pair_backward(real *gq, real *gk, const real *gx, const real *q, const real *k,
                   bool with_k, const int *offsets, bool add, int B, int Dq, int Dk);

#endif
