/* halves - matrices rounded to bf16 and laid out for product_bf16.
 *
 * Rounding is to the nearest, ties to even; NaN stays NaN; numbers under 2^-126 may become 0.
 * Only halves_round rounds; the other two lay its halves out anew. What a layout adds along the
 * products' K is zero. */
#ifndef DIPS_WORKER_KERNELS_HALVES_H
#define DIPS_WORKER_KERNELS_HALVES_H

#include "worker/kernels/kernel.h"
#include "worker/kernels/product_bf16.h"

/* A left operand: to[m, n] = x[m, n] factor[n] (NULL: 1), zero from column N up to `whole`.
 *   to (M, whole) with stride halves a row;  x (M, N) with x_stride numbers a row */
void halves_round(uint16_t *to, int stride, const real *x, int x_stride, const real *factor,
                  int M, int N, int whole);

/* A right operand: the words of pairs of rows of x, and a last row without a second with zeros,
 * up to bf16_deep(K) / 2 rows.   to (bf16_deep(K) / 2, N);  x (K, N) */
void halves_pair(uint32_t *to, int stride, const uint16_t *x, int x_stride, int K, int N);

/* A left operand, the transpose of x, zero from column K up to bf16_deep(K).
 *   to (bf16_wide(N), bf16_deep(K));  x (K, N), with room for bf16_wide(N) columns */
void halves_turn(uint16_t *to, int stride, const uint16_t *x, int x_stride, int K, int N);

/* x as two halves, x = upper + lower + rest with the rest under 2^-17 |x|: the lower rounds
 * what rounding has left of x. As a left operand, like halves_round; or as a right one, like
 * halves_pair. */
void halves_split(uint16_t *upper, uint16_t *lower, int stride, const real *x, int x_stride,
                  int M, int N, int whole);
void halves_split_pairs(uint32_t *upper, uint32_t *lower, int stride, const real *x,
                        int x_stride, int K, int N);

/* The same number by number. */
void halves_round_plain(uint16_t *to, int stride, const real *x, int x_stride,
                        const real *factor, int M, int N, int whole);
void halves_turn_plain(uint16_t *to, int stride, const uint16_t *x, int x_stride, int K, int N);

#endif
