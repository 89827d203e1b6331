/* product_bf16 by AVX512_BF16: an instruction adds to 16 sums the products of a pair of A and
 * 16 pairs of B. A tile of sums stays in registers while it runs along K. */
#include "worker/kernels/product_bf16_paths.h"

#ifdef BF16_INSTRUCTIONS

#include <immintrin.h>

#define TARGET       __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512bf16")))
#define LANES        16
#define MOST_ROWS    8
#define MOST_VECTORS 3

bool bf16_has_vectors(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512bf16");
}

/* A pair in every lane. */
TARGET INLINE __m512bh spread(const uint16_t *pair)
{
    int32_t word;

    memcpy(&word, pair, sizeof word);
    return (__m512bh)_mm512_set1_epi32(word);
}

TARGET INLINE __m512bh pairs_at(const uint32_t *at)
{
    return (__m512bh)_mm512_loadu_si512(at);
}

/* `rows` rows of C from row m and `vectors` vectors from column n on, of the last of which only
 * the lanes of mask exist. Both counts are constants where this is unrolled. */
TARGET UNROLLED void tile(const bf16_work *w, int m, int n, __mmask16 mask, const int rows,
                          const int vectors)
{
    const bf16_left  A   = w->factors->A;
    const bf16_right B   = w->factors->B;
    const __mmask16  all = 0xffff;
    __m512           sum[MOST_ROWS][MOST_VECTORS];

    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            sum[r][v] = w->first ? _mm512_maskz_loadu_ps(v == vectors - 1 ? mask : all,
                                                         ROW(w->first, m + r, w->first_stride) +
                                                             n + v * LANES)
                                 : _mm512_setzero_ps();
    for (int k = 0; k < w->K; k += 2) {
        const uint16_t *a = ROW(A.at, m, A.stride) + k;
        const uint32_t *b = ROW(B.at, k / 2, B.stride) + n;
        __m512bh        b_v[MOST_VECTORS];
        for (int v = 0; v < vectors; v++)
            b_v[v] = pairs_at(b + v * LANES);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vectors; v++)
                sum[r][v] = _mm512_dpbf16_ps(sum[r][v], spread(ROW(a, r, A.stride)), b_v[v]);
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++)
            _mm512_mask_storeu_ps(ROW(w->C, m + r, w->stride) + n + v * LANES,
                                  v == vectors - 1 ? mask : all, sum[r][v]);
}

#define CASE(count)                                                                            \
    case count:                                                                                \
        tile(w, m, n, mask, count, vectors);                                                   \
        break;

/* A strip of C from column n on. */
TARGET INLINE void strip(const bf16_work *w, int n, __mmask16 mask, const int vectors)
{
    for (int m = 0, rows; m < w->M; m += rows) {
        rows = least(MOST_ROWS, w->M - m);
        switch (rows) {
            CASE(1)
            CASE(2)
            CASE(3)
            CASE(4)
            CASE(5)
            CASE(6)
            CASE(7)
            CASE(8)
        }
    }
}
#undef CASE

TARGET void bf16_by_vectors(const bf16_work *w)
{
    for (int n = 0, vectors; n < w->N; n += vectors * LANES) {
        vectors              = least(MOST_VECTORS, (w->N - n + LANES - 1) / LANES);
        int             last = least(LANES, w->N - n - (vectors - 1) * LANES);
        const __mmask16 mask = (__mmask16)((1u << last) - 1);
        switch (vectors) {
        case 1:
            strip(w, n, mask, 1);
            break;
        case 2:
            strip(w, n, mask, 2);
            break;
        case 3:
            strip(w, n, mask, 3);
            break;
        }
    }
}

#else
typedef int no_vectors; /* an empty file is no C */
#endif
