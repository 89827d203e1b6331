/* heads - scaled dot-product attention of the rows of one group over each other.
 *
 *     S_h = scale Q_h K_h^T,   A_h = softmax of each row of S_h,   O_h = A_h V_h,   h = 1 .. H
 *
 * A head has D/H columns of Q, K and V. blinding leaves a row out of its own softmax; the only
 * row of a group then finds nothing: A = 0, O = 0.
 * Vaswani et al. 2017, section 3.2; Feng et al. 2019 (DSIN), section 3.2.3.
 *
 *   qkv (T, stride)  Q, K and V of a row side by side, D numbers each
 *   O   (T, o_stride)
 * A is T times T numbers a head; it is made again for backward rather than kept. */
#ifndef DIPS_WORKER_KERNELS_HEADS_H
#define DIPS_WORKER_KERNELS_HEADS_H

#include "worker/kernels/kernel.h"

/* Room for a group of up to T rows of finite numbers; lent by the caller. room = padded(T). */
typedef struct heads {
    int   H, D;
    real  scale;
    bool  blinding;
    real *A, *gA;  /* (T, room) of one head */
    real *Kt, *Vt; /* (D, room) transposes */
} heads;

void heads_forward(real *O, int o_stride, const heads *h, const real *qkv, int stride, int T);

/* From gO: the rows of gqkv (T, stride) are written, O is made again.
 *     gV = A^T gO,   gA = gO V^T,   gS = scale A (gA - sum_j A_j gA_j),
 *     gQ = gS K,     gK = gS^T Q */
void heads_backward(real *gqkv, real *O, const real *gO, int o_stride, const heads *h,
                    const real *qkv, int stride, int T);

#endif
