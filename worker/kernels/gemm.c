#include "worker/kernels/gemm.h"

#include <cblas.h>
#include <string.h>

#ifdef DIPS_REAL_IS_DOUBLE
#define blas_gemm cblas_dgemm
#define blas_gemv cblas_dgemv
#else
#define blas_gemm cblas_sgemm
#define blas_gemv cblas_sgemv
#endif

static void clear(real *C, int stride, int M, int N)
{
    for (int m = 0; m < M; m++)
        memset(C + (size_t)m * (size_t)stride, 0, (size_t)N * sizeof *C);
}

/* y = A x: A (M, K); x and y with a step between their numbers. */
static void gemv(real *y, int y_step, matrix A, const real *x, int x_step, int M, int K,
                 bool add)
{
    int rows = A.transposed ? K : M, cols = A.transposed ? M : K;

    blas_gemv(CblasRowMajor, A.transposed ? CblasTrans : CblasNoTrans, rows, cols, 1, A.at,
              A.stride, x, x_step, add, y, y_step);
}

void gemm(real *C, int stride, matrix A, matrix B, int M, int N, int K, bool add)
{
    if (M == 0 || N == 0)
        return;
    if (K == 0) {
        if (!add)
            clear(C, stride, M, N);
        return;
    }
    if (N == 1) {
        gemv(C, stride, A, B.at, B.transposed ? 1 : B.stride, M, K, add);
    } else if (M == 1) {
        matrix flipped = {B.at, B.stride, !B.transposed};
        gemv(C, 1, flipped, A.at, A.transposed ? A.stride : 1, N, K, add);
    } else {
        blas_gemm(CblasRowMajor, A.transposed ? CblasTrans : CblasNoTrans,
                  B.transposed ? CblasTrans : CblasNoTrans, M, N, K, 1, A.at, A.stride, B.at,
                  B.stride, add, C, stride);
    }
}

void gemm_single_thread(void)
{
    openblas_set_num_threads(1);
}
