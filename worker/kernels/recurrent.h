/* recurrent - the gates of gated recurrent units, a step of N sequences at a time.
 *
 * The products with the weights are the layer's; what is here reads and writes rows of four
 * parts, each H wide (H whole vectors): z (N, z_stride >= 4 H)
 *
 *     before forward   z_u | z_r | z_n | m   z = W x + b (of u and r also + U h), m = U_n h
 *     after it         u   | r   | n   | m   u, r = sigmoid(z_u, z_r), n = tanh(z_n + r m)
 *     after backward   their gradients
 *
 * A new state is let in by e = p + q u, one p and q for each row: plain 0 and 1; of DIEN's
 * AGRU a and 0, its AUGRU 0 and a, that of its authors' program a and 1 - a.
 *
 *     h' = h + e (n - h)
 *
 * Where the reset gate stands before the product, m is r * h, forward and backward are two
 * functions each with the product of m between them, and n = tanh(z_n), z_n = W x + b + U_n m.
 *
 *   h, h', g (N, H) with the stride named;  p, q, gp, gq (N) */
#ifndef DIPS_WORKER_KERNELS_RECURRENT_H
#define DIPS_WORKER_KERNELS_RECURRENT_H

#include "worker/kernels/kernel.h"

/* h becomes h'. */
void gru_forward(real *z, int z_stride, real *h, int h_stride, const real *p, const real *q,
                 int N, int H);

/* The same for N sequences that have the same input, of which alone z = h U (N, z_stride) has
 * no part: with w = W x (3 H) and b (3 H), a factor s (N) of the input for each,
 *     u, r = sigmoid(z + s w + b),   n = tanh(s w_n + b_n + r * z_n)
 * z stays as it is. */
void gru_forward_shared(real *h, int h_stride, const real *z, int z_stride, const real *w,
                        const real *b, const real *s, const real *p, const real *q, int N,
                        int H);

/* From g, the gradient of h', which becomes the part of that of h that comes directly:
 *     gn = g e (1 - n^2),   gu = q ge u (1 - u),   gr = gn m r (1 - r),   gm = gn r
 *     ge = g . (n - h):     gp = sum ge,   gq = sum ge u;   g (1 - e) is left in g */
void gru_backward(real *z, int z_stride, real *g, int g_stride, const real *h, int h_stride,
                  const real *p, const real *q, real *gp, real *gq, int N, int H);

/* Reset before the product: u, r, m = r * h; then, of z_n + U_n m, n and h'. */
void gru_reset_forward(real *z, int z_stride, const real *h, int h_stride, int N, int H);
void gru_input_forward(real *z, int z_stride, real *h, int h_stride, const real *p,
                       const real *q, int N, int H);

/* Backward of the second: gn, gu, and g (1 - e) in g. Then of the first, from gm (N,
 * gm_stride), the gradient of r * h:     gr = gm h r (1 - r),   g += gm r;   m stays r * h. */
void gru_input_backward(real *z, int z_stride, real *g, int g_stride, const real *h,
                        int h_stride, const real *p, const real *q, real *gp, real *gq, int N,
                        int H);
void gru_reset_backward(real *z, int z_stride, real *g, int g_stride, const real *gm,
                        int gm_stride, const real *h, int h_stride, int N, int H);

#endif
