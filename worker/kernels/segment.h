/* segment - sums over the events of each sample, without padding.
 *
 * Sample b has the rows offsets[b] .. offsets[b+1]-1 of an array of events. Three
 * operations are each other's gradients:
 *     y_b = sum_t w_t x_t      x_t = w_t y_b      w_t = x_t . y_b
 *   y (B, D) with y_stride;  x (E, D) with x_stride;  w (E), or NULL: all 1
 * Each adds where add, and overwrites otherwise. */
#ifndef DIPS_WORKER_KERNELS_SEGMENT_H
#define DIPS_WORKER_KERNELS_SEGMENT_H

#include "worker/kernels/kernel.h"

void segment_sum(real *y, int y_stride, const real *w, const real *x, int x_stride,
                 const int *offsets, bool add, int B, int D);
void segment_spread(real *x, int x_stride, const real *w, const real *y, int y_stride,
                    const int *offsets, bool add, int B, int D);
void segment_dot(real *w, const real *x, int x_stride, const real *y, int y_stride,
                 const int *offsets, bool add, int B, int D);

/* a_t = e^(scale s_t - m) / sum_j e^(scale s_j - m) over the events of each sample, m the
 * greatest scale s_j.   a, s (E) */
void softmax_forward(real *a, const real *s, real scale, const int *offsets, int B);

/* gs_t = scale a_t (ga_t - sum_j a_j ga_j) */
void softmax_backward(real *gs, const real *ga, const real *a, real scale, const int *offsets,
                      bool add, int B);

/* w_t = 2^(-(now_b - time_t) / half_life), divided by sum_j w_j where normalized (its
 * denominator at least 1e-12). An event later than now counts as now. */
void decay_weights(real *w, const int64_t *now, const int64_t *time, double half_life,
                   bool normalized, const int *offsets, int B);

/* w_t = 1 / (events of its sample) */
void mean_weights(real *w, const int *offsets, int B);

#endif
