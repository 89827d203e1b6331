/* dice_score - Dice in the last layer of an activation unit, and the score above it, in one:
 *     s_n = c + y_n . w,   y = dice(x) as in dice.h
 * What has one number a row above it, and one a column, needs no array of y nor of its
 * gradient g_nd = gs_n w_d.
 *   x, gx (N, D), D whole vectors;  s, gs (N);  w, gw, mean, inv, a, ga (D)
 *   next  what to ask for meanwhile (ahead.h), or NULL */
#ifndef DIPS_WORKER_KERNELS_DICE_SCORE_H
#define DIPS_WORKER_KERNELS_DICE_SCORE_H

#include "worker/kernels/ahead.h"

/* What belongs to a column. */
typedef struct dice_columns {
    const real *mean, *inv, *a, *w;
} dice_columns;

void dice_score(real *s, real c, const real *x, dice_columns of, int N, int D, ahead *next);

/* gw += sum_n gs_n y_n, and what dice_backward_rows adds to:
 *     ga += sum_n (1 - p) x g,   sum_gh += sum_n gh,   sum_ghxh += sum_n gh xh */
void dice_score_sums(real *gw, real *ga, double *sum_gh, double *sum_ghxh, const real *gs,
                     const real *x, dice_columns of, int N, int D, ahead *next);

/* gx as of dice_backward */
void dice_score_backward(real *gx, const real *gs, const real *x, dice_columns of,
                         const real *mean_gh, const real *mean_ghxh, int N, int D, ahead *next);

/* The same by vectors of 512 bits, or (0) by plain loops. NULL: the machine has none such. */
typedef struct dice_score_kernels {
    void (*score)(real *s, real c, const real *x, const dice_columns *of, int N, int D,
                  ahead *next);
    void (*sums)(real *gw, real *ga, double *sum_gh, double *sum_ghxh, const real *gs,
                 const real *x, const dice_columns *of, int N, int D, ahead *next);
    void (*backward)(real *gx, const real *gs, const real *x, const dice_columns *of,
                     const real *mean_gh, const real *mean_ghxh, int N, int D, ahead *next);
} dice_score_kernels;

const dice_score_kernels *dice_score_by(int bits);

#endif
