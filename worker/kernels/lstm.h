/* lstm - one step of a long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al.
 * 2002 for its peepholes), gates in the order i, f, g, o:
 *
 *     i = sigmoid(z_i + p_i c'),   f = sigmoid(z_f + p_f c'),   g = tanh(z_g),
 *     c = f c' + i g,              o = sigmoid(z_o + p_o c),    h = o tanh(c)
 *
 *   z (N, 4 H)  forward turns it into the gates, backward those into its gradient
 *   c', c, h (N, H);  p (3, H): p_i, p_f, p_o, or NULL;  c' NULL: zero */
#ifndef DIPS_WORKER_KERNELS_LSTM_H
#define DIPS_WORKER_KERNELS_LSTM_H

#include "worker/kernels/kernel.h"

void lstm_forward(real *h, real *c, real *z, const real *c_before, const real *p, int N, int H);

/* From gh, and gc as the step behind left it:
 *     gz_o = gh tanh(c) o (1 - o),    dc = gc + gh o (1 - tanh(c)^2) + gz_o p_o,
 *     gz_i = dc g i (1 - i),  gz_f = dc c' f (1 - f),  gz_g = dc i (1 - g^2),
 *     gc'  = dc f + gz_i p_i + gz_f p_f, in place of gc;
 *     gp_i += sum_n gz_i c',  gp_f += sum_n gz_f c',  gp_o += sum_n gz_o c */
void lstm_backward(real *z, real *gc, real *gp, const real *gh, const real *c,
                   const real *c_before, const real *p, int N, int H);

#endif
