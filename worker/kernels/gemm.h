/* gemm - products of matrices: OpenBLAS behind one function. */
#ifndef DIPS_WORKER_KERNELS_GEMM_H
#define DIPS_WORKER_KERNELS_GEMM_H

#include <stdbool.h>

#include "common/real.h"

/* A matrix in row-major order, or its transpose. */
typedef struct matrix {
    const real *at;
    int         stride; /* numbers from one row to the next, as it lies in memory */
    bool        transposed;
} matrix;

static inline matrix plain(const real *at, int stride)
{
    return (matrix){at, stride, false};
}

static inline matrix transposed(const real *at, int stride)
{
    return (matrix){at, stride, true};
}

/* C = A B, or C += A B where add.   C (M, N) with stride numbers a row;  A (M, K), B (K, N)
 * as they are after transposition. Any size may be 0. */
void gemm(real *C, int stride, matrix A, matrix B, int M, int N, int K, bool add);

/* One thread for all products of this process: more cores are more workers. */
void gemm_single_thread(void);

#endif
