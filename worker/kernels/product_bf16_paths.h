/* product_bf16_paths - what product_bf16.c asks of the files that use instructions of their
 * own. */
#ifndef DIPS_WORKER_KERNELS_PRODUCT_BF16_PATHS_H
#define DIPS_WORKER_KERNELS_PRODUCT_BF16_PATHS_H

#include "worker/kernels/kernel.h"
#include "worker/kernels/product_bf16.h"

#if defined(__x86_64__) && !defined(DIPS_PLAIN_KERNELS) && !defined(DIPS_REAL_IS_DOUBLE)
#define BF16_INSTRUCTIONS
#endif

/* A product, or a sum of n, by the letters of product_bf16.h. */
typedef struct bf16_work {
    real               *C;
    const real         *first;
    int                 stride, first_stride, M, N, K;
    int                 n;
    const bf16_factors *factors; /* (n); vectors and loops take one */
} bf16_work;

#ifdef BF16_INSTRUCTIONS
bool bf16_has_tiles(void);
void bf16_by_tiles(const bf16_work *w);
bool bf16_has_vectors(void);
void bf16_by_vectors(const bf16_work *w);
#endif

#endif
