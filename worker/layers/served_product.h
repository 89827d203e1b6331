/* served_product - products of many rows with the same weights, in passes that do not learn.
 *
 * Tiles (product_bf16.h) multiply halves some ten times as fast as vectors multiply reals, so
 * that where a machine has them three products of halves take less time than one of reals:
 * with x = x' + x'' + rest, x' and x'' of 8 significant bits and the rest under 2^-17 |x|,
 *
 *     A B = A' B' + A' B'' + A'' B' + (under 2^-15 |A| |B|)
 *
 * Sums are fp32. Elsewhere, where K is too small to gain, and in the double build, products are
 * those of product.h. */
#ifndef DIPS_WORKER_LAYERS_SERVED_PRODUCT_H
#define DIPS_WORKER_LAYERS_SERVED_PRODUCT_H

#include "worker/graph.h"
#include "worker/kernels/product_bf16.h"

/* B (K, N), N whole vectors. */
typedef struct served_weights {
    int         K, N;
    bool        split;
    const real *at; /* (K, stride), the caller's */
    int         stride;
    uint32_t   *upper, *lower; /* right (deep K / 2, N) */
} served_weights;

/* Room for A (rows, K). */
typedef struct served_rows {
    int         K, deep;
    bool        split;
    const real *at; /* (rows, stride), the caller's */
    int         stride;
    uint16_t   *upper, *lower; /* left (rows, deep) */
} served_rows;

/* Whether this machine gains by splitting; asks the kernel for its leave, so ask once. */
bool served_product_splits(void);

/* split: the answer of served_product_splits. */
MUST_CHECK err_t served_weights_open(served_weights *w, int K, int N, bool split, pass *p);
MUST_CHECK err_t served_rows_open(served_rows *a, int rows, const served_weights *w, pass *p);

/* Weights and rows 0 .. M-1 are these from now on; they must stay as they are. */
void served_weights_set(served_weights *w, const real *at, int stride);
void served_rows_set(served_rows *a, const real *at, int stride, int M);

/* C = first + A B for rows begin .. begin+M-1 of A. first and its stride as in product.h. */
void served_product(real *C, int stride, const real *first, int first_stride,
                    const served_rows *a, int begin, const served_weights *w, int M);

#endif
