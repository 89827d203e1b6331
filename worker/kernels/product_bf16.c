#include "worker/kernels/product_bf16.h"

#include "worker/kernels/product_bf16_paths.h"

/* ---- loops ---- */

INLINE real widened(uint32_t upper_half)
{
    float x;

    memcpy(&x, &upper_half, sizeof x);
    return (real)x;
}

/* c[n] += a[0] B[0, n] + a[1] B[1, n] */
INLINE void add_pair(real *restrict c, const uint16_t *a, const uint32_t *restrict b, int N)
{
    real a_0 = widened((uint32_t)a[0] << 16), a_1 = widened((uint32_t)a[1] << 16);

#pragma omp simd
    for (int n = 0; n < N; n++)
        c[n] += a_0 * widened(b[n] << 16) + a_1 * widened(b[n] & UINT32_C(0xffff0000));
}

CLONES static void by_loops(const bf16_work *w)
{
    const bf16_left  A = w->factors->A;
    const bf16_right B = w->factors->B;

    for (int m = 0; m < w->M; m++) {
        real           *C_m = ROW(w->C, m, w->stride);
        const uint16_t *A_m = ROW(A.at, m, A.stride);
        if (w->first)
            memmove(C_m, ROW(w->first, m, w->first_stride), (size_t)w->N * sizeof *C_m);
        else
            memset(C_m, 0, (size_t)w->N * sizeof *C_m);
        for (int k = 0; k < w->K; k += 2)
            add_pair(C_m, A_m + k, ROW(B.at, k / 2, B.stride), w->N);
    }
}

/* ---- paths ---- */

bool bf16_has_path(bf16_path path)
{
#ifdef BF16_INSTRUCTIONS
    if (path == BF16_TILES)
        return bf16_has_tiles();
    if (path == BF16_VECTORS)
        return bf16_has_vectors();
#endif
    return path == BF16_LOOPS;
}

bf16_path bf16_best_path(void)
{
#ifdef BF16_INSTRUCTIONS
    if (bf16_has_tiles())
        return BF16_TILES;
    if (bf16_has_vectors())
        return BF16_VECTORS;
#endif
    return BF16_LOOPS;
}

const char *bf16_path_name(bf16_path path)
{
    static const char *const names[BF16_PATHS] = {
        [BF16_LOOPS]   = "loops",
        [BF16_VECTORS] = "vectors (AVX512_BF16)",
        [BF16_TILES]   = "tiles (AMX)",
    };

    return names[path];
}

static void run(bf16_path path, const bf16_work *w)
{
    switch (path) {
#ifdef BF16_INSTRUCTIONS
    case BF16_TILES:
        bf16_by_tiles(w);
        return;
    case BF16_VECTORS:
        bf16_by_vectors(w);
        return;
#endif
    default:
        by_loops(w);
    }
}

void product_bf16_sum(bf16_path path, real *C, int stride, const real *first, int first_stride,
                      int n, const bf16_factors *factors, int M, int N, int K)
{
    bf16_work w = {C, first, stride, first_stride, M, N, K, n, factors};

    if (M == 0 || N == 0)
        return;
    if (path == BF16_TILES) {
        run(path, &w);
        return;
    }
    for (w.n = 1; w.factors < factors + n; w.factors++) {
        run(path, &w);
        w.first        = C;
        w.first_stride = stride;
    }
}

void product_bf16(bf16_path path, real *C, int stride, const real *first, int first_stride,
                  bf16_left A, bf16_right B, int M, int N, int K)
{
    const bf16_factors factors = {A, B};

    product_bf16_sum(path, C, stride, first, first_stride, 1, &factors, M, N, K);
}
