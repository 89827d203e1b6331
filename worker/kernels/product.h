/* product - small products of matrices that lie in the caches.
 *
 * A library's gemm copies its operands into a layout of its own first; where they are a few
 * tens of kilobytes and used once, that costs as much as the product. This one reads them
 * where they are: a tile of C stays in registers while it runs along K, a column of A
 * meets a row of B at each step. Vectors run along N; 512 or 256 bits wide, as the
 * machine has them, else plain loops. Long sums are the caller's to cut: every number of C is
 * a single running sum over K. */
#ifndef DIPS_WORKER_KERNELS_PRODUCT_H
#define DIPS_WORKER_KERNELS_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/real.h"
#include "worker/kernels/ahead.h"

/* A matrix whose number (i, j) is at[i row + j column]; a transpose swaps the two. */
typedef struct strided {
    const real *at;
    ptrdiff_t   row, column;
} strided;

static inline strided rows_of(const real *at, int stride)
{
    return (strided){at, stride, 1};
}

static inline strided columns_of(const real *at, int stride)
{
    return (strided){at, 1, stride};
}

/* C = first + A B.   C (M, N) with stride numbers a row;  A (M, K);  B (K, N) with b_stride
 *   first  (M, N) with first_stride: C itself adds to C, a stride of 0 adds one row to every
 *          row of C; NULL: nothing
 * Any size may be 0. */
void product(real *C, int stride, const real *first, int first_stride, strided A, const real *B,
             int b_stride, int M, int N, int K);

/* The same, and lines of a are asked for meanwhile; a may be NULL. */
void product_ahead(ahead *a, real *C, int stride, const real *first, int first_stride,
                   strided A, const real *B, int b_stride, int M, int N, int K);

/* The same with vectors of 512 or 256 bits, or by plain loops (0). false: the machine has no
 * such vectors, and nothing was done. */
bool product_by(int bits, real *C, int stride, const real *first, int first_stride, strided A,
                const real *B, int b_stride, int M, int N, int K);

#endif
