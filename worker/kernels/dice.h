/* dice - the activation that adapts to its input's distribution. Zhou et al. 2018, section
 * 5.2:   xh = (x - mean) inv,  inv = 1/sqrt(var + eps);   p = sigmoid(xh);
 *        y  = p x + (1 - p) a x
 * per channel. mean and var are the batch's in training (var biased), moving ones else.
 *   x, y, g, gx (N, D);  mean, inv, a (D)
 *   next  what to ask for meanwhile (ahead.h), or NULL: the N rows behind x, and behind g */
#ifndef DIPS_WORKER_KERNELS_DICE_H
#define DIPS_WORKER_KERNELS_DICE_H

#include "worker/kernels/ahead.h"

void dice_forward(real *y, const real *x, const real *mean, const real *inv, const real *a,
                  int N, int D, ahead *next);

/* What the gradient needs over all rows, with gh = g x (1 - a) p (1 - p), the gradient
 * of xh:   ga[d] += sum_n (1 - p) x g;   sum_gh[d] = sum_n gh;   sum_ghxh[d] = sum_n gh xh */
void dice_backward_sums(real *ga, double *sum_gh, double *sum_ghxh, const real *g,
                        const real *x, const real *mean, const real *inv, const real *a, int N,
                        int D);

/* gx = g (p + a (1 - p)) + inv (gh - mean_gh - xh mean_ghxh), or += where add. The two means
 * are over the rows that made mean and inv; 0 where those are constants. gx may be g. */
void dice_backward(real *gx, const real *g, const real *x, const real *mean, const real *inv,
                   const real *a, const real *mean_gh, const real *mean_ghxh, bool add, int N,
                   int D, ahead *next);

/* The backward pass in two, with one sigmoid in both: first what a row alone says,
 *     g = g (p + a (1 - p)) + inv gh
 * in place, together with the sums of above (the doubles are added to, too) and y again;
 * then what the means take away:   gx = g - inv (mean_gh + xh mean_ghxh) */
void dice_backward_rows(real *g, real *y, real *ga, double *sum_gh, double *sum_ghxh,
                        const real *x, const real *mean, const real *inv, const real *a, int N,
                        int D, ahead *next);
void dice_backward_means(real *gx, const real *g, const real *x, const real *mean,
                         const real *inv, const real *mean_gh, const real *mean_ghxh, int N,
                         int D, ahead *next);

/* The same by vectors of 512 bits, or (0) as the compiler makes them of plain loops. NULL: the
 * machine has no such vectors. */
typedef struct dice_kernels {
    void (*forward)(real *y, const real *x, const real *mean, const real *inv, const real *a,
                    int N, int D, ahead *next);
    void (*backward_sums)(real *ga, double *sum_gh, double *sum_ghxh, const real *g,
                          const real *x, const real *mean, const real *inv, const real *a,
                          int N, int D);
    void (*backward)(real *gx, const real *g, const real *x, const real *mean, const real *inv,
                     const real *a, const real *mean_gh, const real *mean_ghxh, bool add, int N,
                     int D, ahead *next);
    void (*backward_rows)(real *g, real *y, real *ga, double *sum_gh, double *sum_ghxh,
                          const real *x, const real *mean, const real *inv, const real *a,
                          int N, int D, ahead *next);
    void (*backward_means)(real *gx, const real *g, const real *x, const real *mean,
                           const real *inv, const real *mean_gh, const real *mean_ghxh, int N,
                           int D, ahead *next);
} dice_kernels;

const dice_kernels *dice_by(int bits);

#endif
