#include "worker/kernels/halves.h"

#include "common/bf16.h"

#define PIECE 64 /* numbers rounded at a time */

/* ---- plain ---- */

static void round_piece(uint16_t *to, const real *x, const real *factor, int n)
{
    real scaled[PIECE];

    for (int i = 0; i < n; i++)
        scaled[i] = factor ? x[i] * factor[i] : x[i];
    bf16_nearest(to, scaled, (size_t)n);
}

void halves_round_plain(uint16_t *to, int stride, const real *x, int x_stride,
                        const real *factor, int M, int N, int whole)
{
    for (int m = 0; m < M; m++) {
        uint16_t *to_m = ROW(to, m, stride);
        for (int n = 0; n < N; n += PIECE)
            round_piece(to_m + n, ROW(x, m, x_stride) + n, factor ? factor + n : NULL,
                        least(PIECE, N - n));
        memset(to_m + N, 0, (size_t)(whole - N) * sizeof *to_m);
    }
}

void halves_turn_plain(uint16_t *to, int stride, const uint16_t *x, int x_stride, int K, int N)
{
    for (int n = 0; n < N; n++)
        for (int k = 0; k < bf16_deep(K); k++)
            ROW(to, n, stride)[k] = k < K ? ROW(x, k, x_stride)[n] : 0;
}

CLONES void halves_pair(uint32_t *restrict to, int stride, const uint16_t *restrict x,
                        int x_stride, int K, int N)
{
    int pairs = K / 2, rows = bf16_deep(K) / 2;

    for (int p = 0; p < pairs; p++) {
        const uint16_t *lower = ROW(x, 2 * p, x_stride), *upper = lower + x_stride;
        uint32_t       *to_p = ROW(to, p, stride);
#pragma omp simd
        for (int n = 0; n < N; n++)
            to_p[n] = lower[n] | (uint32_t)upper[n] << 16;
    }
    if (K % 2) {
        for (int n = 0; n < N; n++)
            ROW(to, pairs, stride)[n] = ROW(x, K - 1, x_stride)[n];
        pairs++;
    }
    for (int p = pairs; p < rows; p++)
        memset(ROW(to, p, stride), 0, (size_t)N * sizeof *to);
}

/* ---- by vectors of 512 bits ---- */

#if defined(__x86_64__) && !defined(DIPS_PLAIN_KERNELS) && !defined(DIPS_REAL_IS_DOUBLE)

#include <immintrin.h>

#define LANES        16
#define ROUND_TARGET __attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,avx512bf16")))
#define TURN_TARGET  __attribute__((target("avx512f,avx512vl,avx512bw")))

static bool has_round(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512bf16");
}

static bool has_turn(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw");
}

/* The first n lanes, of which there are LANES or fewer. */
TURN_TARGET INLINE __mmask16 lanes(int n)
{
    return (__mmask16)(n >= LANES ? 0xffff : n <= 0 ? 0 : (1u << n) - 1);
}

ROUND_TARGET INLINE __m512 scaled(const real *x, const real *factor, __mmask16 mask)
{
    __m512 v = _mm512_maskz_loadu_ps(mask, x);

    return factor ? _mm512_mul_ps(v, _mm512_maskz_loadu_ps(mask, factor)) : v;
}

/* Numbers 0 .. there-1 from x on, zero behind, as `room` halves; 32 of both at most. */
ROUND_TARGET INLINE void round_32(uint16_t *to, const real *x, const real *factor, int there,
                                  int room)
{
    __m512 low  = scaled(x, factor, lanes(there));
    __m512 high = there <= LANES
                      ? _mm512_setzero_ps()
                      : scaled(x + LANES, factor ? factor + LANES : NULL, lanes(there - LANES));

    _mm512_mask_storeu_epi16(to, room >= 32 ? 0xffffffff : (1u << room) - 1,
                             (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

ROUND_TARGET INLINE void round_rows(uint16_t *to, int stride, const real *x, int x_stride,
                                    const real *factor, int M, int N, int whole)
{
    for (int m = 0; m < M; m++) {
        const real *x_m  = ROW(x, m, x_stride);
        uint16_t   *to_m = ROW(to, m, stride);
        int         n    = 0;
        for (; n + 32 <= N; n += 32)
            round_32(to_m + n, x_m + n, factor ? factor + n : NULL, 32, 32);
        for (; n < whole; n += 32)
            round_32(to_m + n, x_m + n, factor ? factor + n : NULL, N - n, whole - n);
    }
}

ROUND_TARGET static void round_wide(uint16_t *to, int stride, const real *x, int x_stride,
                                    const real *factor, int M, int N, int whole)
{
    if (factor)
        round_rows(to, stride, x, x_stride, factor, M, N, whole);
    else
        round_rows(to, stride, x, x_stride, NULL, M, N, whole);
}

/* Words (i, j) and (j, i) of 16 vectors change places: first within quarters of 128 bits, by
 * pairs of words, then of double words; then whole quarters. */
TURN_TARGET INLINE void turn_words(__m512i *r)
{
    __m512i t[LANES];

    for (int i = 0; i < LANES; i += 2) {
        t[i]     = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < LANES; i += 4) {
        r[i]     = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++)
        for (int half = 0; half < 2; half++) {
            __m512i a = r[8 * half + i], b = r[8 * half + 4 + i];
            t[8 * half + i]     = _mm512_shuffle_i32x4(a, b, 0x88);
            t[8 * half + 4 + i] = _mm512_shuffle_i32x4(a, b, 0xdd);
        }
    for (int i = 0; i < 8; i++) {
        r[i]     = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
    }
}

/* 32 rows of x, or `there`, and 16 of its columns. */
TURN_TARGET INLINE void turn_block(uint16_t *to, int stride, const uint16_t *x, int x_stride,
                                   int there)
{
    __m512i words[LANES];

    for (int i = 0; i < LANES; i++) {
        const __m256i  none = _mm256_setzero_si256();
        const __m256i *low  = (const void *)ROW(x, 2 * i, x_stride),
                      *high = (const void *)ROW(x, 2 * i + 1, x_stride);
        __m512i lower = _mm512_cvtepu16_epi32(2 * i < there ? _mm256_loadu_si256(low) : none);
        __m512i upper =
            _mm512_cvtepu16_epi32(2 * i + 1 < there ? _mm256_loadu_si256(high) : none);
        words[i] = _mm512_or_si512(lower, _mm512_slli_epi32(upper, 16));
    }
    turn_words(words);
    for (int i = 0; i < LANES; i++)
        _mm512_storeu_si512(ROW(to, i, stride), words[i]);
}

TURN_TARGET static void turn_wide(uint16_t *to, int stride, const uint16_t *x, int x_stride,
                                  int K, int N)
{
    for (int k = 0; k < K; k += 32)
        for (int n = 0; n < N; n += LANES) {
            const uint16_t *from  = ROW(x, k, x_stride) + n;
            uint16_t       *place = ROW(to, n, stride) + k;
            if (k + 32 <= K)
                turn_block(place, stride, from, x_stride, 32);
            else
                turn_block(place, stride, from, x_stride, K - k);
        }
}

#else

static bool has_round(void)
{
    return false;
}

static bool has_turn(void)
{
    return false;
}

#define round_wide halves_round_plain
#define turn_wide  halves_turn_plain

#endif

/* ---- by what the machine has ---- */

void halves_round(uint16_t *to, int stride, const real *x, int x_stride, const real *factor,
                  int M, int N, int whole)
{
    if (has_round())
        round_wide(to, stride, x, x_stride, factor, M, N, whole);
    else
        halves_round_plain(to, stride, x, x_stride, factor, M, N, whole);
}

void halves_turn(uint16_t *to, int stride, const uint16_t *x, int x_stride, int K, int N)
{
    if (has_turn())
        turn_wide(to, stride, x, x_stride, K, N);
    else
        halves_turn_plain(to, stride, x, x_stride, K, N);
}

/* ---- two halves ---- */

typedef struct two_halves {
    uint32_t upper, lower; /* the bits of floats that are halves */
} two_halves;

/* To the nearest, ties to even, on the bits: what is not a number stays so. */
INLINE uint32_t nearest_bits(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return (bits + 0x7fffu + (bits >> 16 & 1)) & 0xffff0000u;
}

INLINE two_halves split(real x)
{
    two_halves s;
    float      upper;

    s.upper = nearest_bits((float)x);
    memcpy(&upper, &s.upper, sizeof upper);
    s.lower = nearest_bits((float)(x - (real)upper));
    return s;
}

CLONES void halves_split(uint16_t *restrict upper, uint16_t *restrict lower, int stride,
                         const real *restrict x, int x_stride, int M, int N, int whole)
{
    for (int m = 0; m < M; m++) {
        const real *restrict x_m   = ROW(x, m, x_stride);
        uint16_t *restrict upper_m = ROW(upper, m, stride);
        uint16_t *restrict lower_m = ROW(lower, m, stride);
#pragma omp simd
        for (int n = 0; n < N; n++) {
            two_halves s = split(x_m[n]);
            upper_m[n]   = (uint16_t)(s.upper >> 16);
            lower_m[n]   = (uint16_t)(s.lower >> 16);
        }
        memset(upper_m + N, 0, (size_t)(whole - N) * sizeof *upper_m);
        memset(lower_m + N, 0, (size_t)(whole - N) * sizeof *lower_m);
    }
}

CLONES void halves_split_pairs(uint32_t *restrict upper, uint32_t *restrict lower, int stride,
                               const real *restrict x, int x_stride, int K, int N)
{
    for (int p = 0; p < bf16_deep(K) / 2; p++) {
        uint32_t *restrict upper_p = ROW(upper, p, stride);
        uint32_t *restrict lower_p = ROW(lower, p, stride);
        const real *restrict even  = ROW(x, 2 * p, x_stride);
        const real *restrict odd   = even + x_stride;
        if (2 * p + 1 < K) {
#pragma omp simd
            for (int n = 0; n < N; n++) {
                two_halves a = split(even[n]), b = split(odd[n]);
                upper_p[n] = a.upper >> 16 | b.upper;
                lower_p[n] = a.lower >> 16 | b.lower;
            }
            continue;
        }
        for (int n = 0; n < N; n++) {
            two_halves a = 2 * p < K ? split(even[n]) : (two_halves){0};
            upper_p[n]   = a.upper >> 16;
            lower_p[n]   = a.lower >> 16;
        }
    }
}
