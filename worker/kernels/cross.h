/* cross - the fields of a sample crossed in pairs.
 *
 * Field f of sample b has a vector v_f of k numbers. Its P = F(F-1)/2 pairs i < j stand in the
 * order (0,1), (0,2), ..., (1,2), ..., their products q_ij = v_i * v_j (element-wise).
 * Gradients are added to. */
#ifndef DIPS_WORKER_KERNELS_CROSS_H
#define DIPS_WORKER_KERNELS_CROSS_H

#include "worker/kernels/kernel.h"

/* Where the vectors lie in x: that of field f of sample b at x + (b F + f) width + first. */
typedef struct field_layout {
    int F, width, first, k;
} field_layout;

static inline int cross_count(int F)
{
    return F * (F - 1) / 2;
}

/* y_b = sum over pairs of the inner products <v_i, v_j>, in F steps that nothing cancels in:
 *     y += <s, v_f>,  s += v_f;    gv_f += gy (s - v_f), s the sum of all
 *   y, gy (B);  sums (B, k), for backward */
void cross_sum_forward(real *y, real *sums, const real *x, const field_layout *l, int B);
void cross_sum_backward(real *gx, const real *gy, const real *x, const real *sums,
                        const field_layout *l, int B);

/* q (N, stride) = the products of pairs begin .. begin+N-1, counted through all samples: pair
 * p of sample b is number b P + p. Numbers behind k are left alone.   pairs (P, 2): i, j */
void cross_products(real *q, int stride, const real *x, const field_layout *l,
                    const int (*pairs)[2], size_t begin, int N);

/* From the gradient gq of those products:   gv_i += gq * v_j,  gv_j += gq * v_i */
void cross_products_backward(real *gx, const real *gq, int stride, const real *x,
                             const field_layout *l, const int (*pairs)[2], size_t begin, int N);

/* y_b = sum over pairs of a_ij q_ij.   y (B, k);  a (B, P) */
void cross_pool_forward(real *y, const real *a, const real *x, const field_layout *l, int B);

/* ga_ij += <gy_b, q_ij>;   gv_i += a_ij gy_b * v_j,  gv_j += a_ij gy_b * v_i */
void cross_pool_backward(real *ga, real *gx, const real *gy, const real *a, const real *x,
                         const field_layout *l, int B);

/* Softmax over the pairs of each sample whose fields are both there (present above 0; NULL: all
 * are); the others have weight 0.   a, s (B, P);  present (B, F) */
void cross_softmax(real *a, const real *s, const real *present, int F, int B);

/* gs = a (ga - sum over pairs of a ga).   gs, ga, a (B, P);  gs may be ga */
void cross_softmax_backward(real *gs, const real *ga, const real *a, int F, int B);

/* The gradient of z where s_n = h . relu(z_n) and y = relu(z) (N, stride):
 *     gz_n = gs_n h where y > 0, else 0.   gs (N);  h (stride) */
void rectified_score_backward(real *gz, const real *gs, const real *h, const real *y, int N,
                              int stride);

#endif
