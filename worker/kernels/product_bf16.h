/* product_bf16 - small products of matrices of bf16, with sums in fp32.
 *
 * The instructions that multiply bf16 take pairs: two neighbours along K at once. So each
 * side has its layout, which halves.h makes:
 *
 *     left   A (M, K), row by row: the pairs of a row are neighbours as they are
 *     right  B (K, N), in words: row p holds B[2p, n] in the lower and B[2p + 1, n]
 *            in the upper half of word n
 *
 * Both are zero from K up to the next multiple of 32. Behind row M of A, up to the next
 * multiple of 16, and behind column N of B, likewise, lies memory that is read, whatever it
 * holds.
 *
 * Products are made in tiles (AMX), in vectors (AVX512_BF16), or by loops in the arithmetic of
 * `real` over the same rounded numbers. The three add in different orders, and the first two
 * take numbers under 2^-126 for zero, so their results differ by the rounding of sums. */
#ifndef DIPS_WORKER_KERNELS_PRODUCT_BF16_H
#define DIPS_WORKER_KERNELS_PRODUCT_BF16_H

#include <stdbool.h>
#include <stdint.h>

#include "common/real.h"

typedef enum { BF16_LOOPS, BF16_VECTORS, BF16_TILES, BF16_PATHS } bf16_path;

/* The fastest path of this machine. Tiles need the leave of the kernel, which is asked for here:
 * it then holds for the whole process. Tiles are several times as fast as product.h; vectors
 * half as fast on Intel's CPUs (on AMD's their peak is twice that of fp32), loops a quarter. */
bf16_path bf16_best_path(void);

/* Whether the machine has it; false in the double build but for loops. */
bool bf16_has_path(bf16_path path);

/* "tiles (AMX)" and the like. */
const char *bf16_path_name(bf16_path path);

typedef struct bf16_left {
    const uint16_t *at;
    int             stride; /* halves to a row, a multiple of 32 */
} bf16_left;

typedef struct bf16_right {
    const uint32_t *at;
    int             stride; /* words to a row, a multiple of 16 */
} bf16_right;

/* Sizes made whole: of K in both, of M in A and of N in B. */
static inline int bf16_deep(int K)
{
    return (K + 31) / 32 * 32;
}

static inline int bf16_wide(int n)
{
    return (n + 15) / 16 * 16;
}

typedef struct bf16_factors {
    bf16_left  A;
    bf16_right B;
} bf16_factors;

/* C = first + A B.   C (M, N) with stride numbers a row; nothing else of it is touched
 *   first  (M, N) with first_stride: C itself adds to C, a stride of 0 adds one row to every
 *          row of C; NULL: nothing
 * Any size may be 0. The path must be one that the machine has. */
void product_bf16(bf16_path path, real *C, int stride, const real *first, int first_stride,
                  bf16_left A, bf16_right B, int M, int N, int K);

/* C = first + the sum of n products of such shapes. */
void product_bf16_sum(bf16_path path, real *C, int stride, const real *first, int first_stride,
                      int n, const bf16_factors *factors, int M, int N, int K);

#endif
