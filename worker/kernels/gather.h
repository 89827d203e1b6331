/* gather - rows of a table by number, and their gradients back.
 *
 *   table, gradients (rows, D);  y, gy (N, D) with a stride;  place (n)
 * Item i of a bag is one of place[offsets[n]] .. place[offsets[n+1]-1]; without offsets
 * row n has the one place[n]. A place below 0 is left out: it reads as zero. */
#ifndef DIPS_WORKER_KERNELS_GATHER_H
#define DIPS_WORKER_KERNELS_GATHER_H

#include "worker/kernels/kernel.h"

/* y_n = table[place[n]] */
void gather_forward(real *y, int stride, const real *table, const int *place, int N, int D);

/* gradients[place[n]] += gy_n */
void gather_backward(real *gradients, const real *gy, int stride, const int *place, int N,
                     int D);

/* y_n = sum, or mean, over the items of bag n that are there; an empty bag is zero. */
void gather_bags_forward(real *y, int stride, const real *table, const int *place,
                         const int *offsets, bool mean, int N, int D);
void gather_bags_backward(real *gradients, const real *gy, int stride, const int *place,
                          const int *offsets, bool mean, int N, int D);

#endif
