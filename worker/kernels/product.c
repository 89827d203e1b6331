#include "worker/kernels/product.h"

#include "worker/kernels/kernel.h"

/* One product, by the letters of product.h. */
typedef struct product_work {
    real       *C;
    const real *first;
    strided     A;
    const real *B;
    int         stride, first_stride, b_stride, M, N, K;
    ahead      *ahead;
} product_work;

#if defined(__x86_64__) && !defined(DIPS_PLAIN_KERNELS)
#define WIDE_PRODUCTS

#include <immintrin.h>

#ifdef DIPS_REAL_IS_DOUBLE
#define BY_REAL(of_float, of_double) of_double
#else
#define BY_REAL(of_float, of_double) of_float
#endif

/* What differs between widths:
 *   NAME, TARGET     of functions, and the instructions they may use
 *   LANES            numbers in a vector
 *   ROWS_V           rows of a tile that is V vectors wide: its sums, a row of B and a number
 *                    of A fill the registers
 *   MASK_OF(n)       the first n lanes; LOAD and STORE touch these alone */
#define MOST_ROWS 12

/* Steps along K for each line that is asked for meanwhile: asked for faster than memory answers,
 * lines stop the multiplications. */
#define STEPS_A_LINE 2

#define NAME(function) function##_512
#define TARGET         __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma")))
#define LANES          BY_REAL(16, 8)
#define MOST_VECTORS   5
#define ROWS_5         5
#define ROWS_4         6
#define ROWS_3         8
#define ROWS_2         12
#define ROWS_1         12
#define MASK           BY_REAL(__mmask16, __mmask8)
#define MASK_OF(n)     ((MASK)((1u << (n)) - 1))
#define LOAD(x, mask)  BY_REAL(_mm512_maskz_loadu_ps, _mm512_maskz_loadu_pd)(mask, x)
#define STORE(x, mask, v)                                                                      \
    BY_REAL(_mm512_mask_storeu_ps, _mm512_mask_storeu_pd)                                      \
    (x, mask, BY_REAL((__m512)v, (__m512d)v))
#include "worker/kernels/product_tile.h"

#define NAME(function) function##_256
#define TARGET         __attribute__((target("avx2,fma")))
#define LANES          BY_REAL(8, 4)
#define MOST_VECTORS   3
#define ROWS_3         4
#define ROWS_2         6
#define ROWS_1         8
#define MASK           __m256i
#define MASK_OF(n)                                                                             \
    BY_REAL(                                                                                   \
        _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)),   \
        _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3)))
#define LOAD(x, mask) BY_REAL(_mm256_maskload_ps, _mm256_maskload_pd)(x, mask)
#define STORE(x, mask, v)                                                                      \
    BY_REAL(_mm256_maskstore_ps, _mm256_maskstore_pd)(x, mask, BY_REAL((__m256)v, (__m256d)v))
#include "worker/kernels/product_tile.h"

#endif

/* ---- plain loops ---- */

static void row_begin(real *c, const real *first, int N)
{
    for (int n = 0; n < N; n++)
        c[n] = first ? first[n] : 0;
}

static void row_add(real *c, real a, const real *b, int N)
{
#pragma omp simd
    for (int n = 0; n < N; n++)
        c[n] += a * b[n];
}

static void product_plain(const product_work *w)
{
    for (int m = 0; m < w->M; m++) {
        real *C_m = ROW(w->C, m, w->stride);
        row_begin(C_m, w->first ? ROW(w->first, m, w->first_stride) : NULL, w->N);
        for (int k = 0; k < w->K; k++)
            row_add(C_m, w->A.at[m * w->A.row + k * w->A.column], ROW(w->B, k, w->b_stride),
                    w->N);
    }
}

/* ---- by width ---- */

/* Vectors of how many bits the machine has for product_work. */
static int widest(void)
{
#ifdef WIDE_PRODUCTS
    if (wide_vectors())
        return 512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return 256;
#endif
    return 0;
}

static void run(int bits, const product_work *w)
{
    switch (bits) {
#ifdef WIDE_PRODUCTS
    case 512:
        product_512(w);
        return;
    case 256:
        product_256(w);
        return;
#endif
    default:
        product_plain(w);
    }
}

void product_ahead(ahead *a, real *C, int stride, const real *first, int first_stride,
                   strided A, const real *B, int b_stride, int M, int N, int K)
{
    const product_work w = {C, first, A, B, stride, first_stride, b_stride, M, N, K, a};

    run(widest(), &w);
}

void product(real *C, int stride, const real *first, int first_stride, strided A, const real *B,
             int b_stride, int M, int N, int K)
{
    product_ahead(NULL, C, stride, first, first_stride, A, B, b_stride, M, N, K);
}

bool product_by(int bits, real *C, int stride, const real *first, int first_stride, strided A,
                const real *B, int b_stride, int M, int N, int K)
{
    const product_work w = {C, first, A, B, stride, first_stride, b_stride, M, N, K, NULL};

    if (bits > widest())
        return false;
    run(bits, &w);
    return true;
}
