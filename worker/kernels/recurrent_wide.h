/* recurrent_wide - the passes of recurrent.h by vectors of 512 bits: H is whole vectors. */
#ifndef DIPS_WORKER_KERNELS_RECURRENT_WIDE_H
#define DIPS_WORKER_KERNELS_RECURRENT_WIDE_H

#include "worker/kernels/wide.h"

#ifdef WIDE_KERNELS
void gru_forward_wide(float *z, int z_stride, float *h, int h_stride, const float *p,
                      const float *q, int N, int H);
void gru_forward_shared_wide(float *h, int h_stride, const float *z, int z_stride,
                             const float *w, const float *b, const float *s, const float *p,
                             const float *q, int N, int H);
#endif

#endif
