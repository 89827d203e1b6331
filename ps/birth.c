#include "ps/birth.h"

#include <string.h>

#include "common/clones.h"

#define PIECE 32 /* draws at a time */

INLINE float float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

INLINE uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* log u for u in (0, 1], not below the smallest normal float: u = m 2^e with m in
 * [sqrt(1/2), sqrt(2)), log m = 2 artanh s with s = (m - 1) / (m + 1), whose series in s^2
 * is cut to three terms (minimax, 1e-9). 0 at 1 and below 0 elsewhere. */
INLINE float log_of(float u)
{
    const uint32_t root_half = 0x3f3504f3; /* bits of sqrt(1/2) */
    uint32_t       above     = bits_of(u) + (0x3f800000 - root_half);
    float          e         = (float)((int32_t)(above >> 23) - 127);
    float          m         = float_of((above & 0x007fffff) + root_half);
    float          s = (m - 1) / (m + 1), z = s * s;
    float          series = 0x1.31e2f2p-2f;

    series = series * z + 0x1.995ebap-2f;
    series = series * z + 0x1.55557ap-1f;
    series = series * z + 2;
    return e * 0x1.62e43p-1f + series * s;
}

/* Cosine and sine of 2 pi turn / 2^32: of the angle to the nearest quarter turn by
 * polynomials (minimax, 4e-9), then turned by quarters. */
INLINE void turn_of(uint32_t turn, float *cosine, float *sine)
{
    uint32_t quarter = (turn + (UINT32_C(1) << 29)) >> 30;
    float    x       = (float)(int32_t)(turn - (quarter << 30)) * 0x1.921fb6p-30f;
    float    z = x * x, s = -0x1.994eb4p-13f, c = 0x1.9a025ap-16f;

    s = s * z + 0x1.11076p-7f;
    s = s * z - 0x1.555546p-3f;
    s = s * z * x + x;
    c = c * z - 0x1.6c0c8cp-10f;
    c = c * z + 0x1.55554ap-5f;
    c = c * z - 0.5f;
    c = c * z + 1;
    float along = quarter & 1 ? s : c, across = quarter & 1 ? c : s;
    *cosine = float_of(bits_of(along) ^ (quarter + 1) >> 1 << 31);
    *sine   = float_of(bits_of(across) ^ quarter >> 1 << 31);
}

/* The two columns of each of n draws, at most PIECE, from draw number first on. */
INLINE void normal_draws(float *a, float *b, rng stream, size_t first, size_t n)
{
    uint32_t low[PIECE], high[PIECE];

    for (size_t q = 0; q < n; q++) {
        uint64_t draw = rng_draw(stream, first + q);
        low[q]        = (uint32_t)draw;
        high[q]       = (uint32_t)(draw >> 32);
    }
    for (size_t q = 0; q < n; q++) {
        float u      = ((float)(int32_t)(low[q] >> 1) + 0.5f) * 0x1p-31f;
        float radius = sqrtf(-2 * log_of(u)), cosine, sine;
        turn_of(high[q], &cosine, &sine);
        a[q] = radius * cosine;
        b[q] = radius * sine;
    }
}

/* (bits + 1/2) / 2^31 - 1, by way of the signed number that bits - 2^31 is. */
INLINE float uniform_of(uint32_t bits)
{
    return ((float)(int32_t)(bits ^ UINT32_C(0x80000000)) + 0.5f) * 0x1p-31f;
}

INLINE void uniform_draws(float *a, float *b, rng stream, size_t first, size_t n)
{
    for (size_t q = 0; q < n; q++) {
        uint64_t draw = rng_draw(stream, first + q);
        a[q]          = uniform_of((uint32_t)draw);
        b[q]          = uniform_of((uint32_t)(draw >> 32));
    }
}

typedef void draws(float *a, float *b, rng stream, size_t first, size_t n);

/* Draws are made by eights, which vectors like; the last few may be for nothing. */
INLINE void fill(draws *make, real scale, rng stream, real *w, size_t n)
{
    size_t half = (n + 1) / 2, rest = n - half;
    float  a[PIECE], b[PIECE];

    for (size_t first = 0; first < half; first += PIECE) {
        size_t m = half - first < PIECE ? half - first : PIECE;
        make(a, b, stream, first, (m + 7) & ~(size_t)7);
        for (size_t q = 0; q < m; q++)
            w[first + q] = scale * (real)a[q];
        for (size_t q = 0; q < m && first + q < rest; q++)
            w[half + first + q] = scale * (real)b[q];
    }
}

CLONES static void normal(real scale, rng stream, real *w, size_t n)
{
    BY_LENGTH(n, fill, normal_draws, scale, stream, w);
}

CLONES static void uniform(real scale, rng stream, real *w, size_t n)
{
    BY_LENGTH(n, fill, uniform_draws, scale, stream, w);
}

void birth_value(init_kind kind, double scale, rng stream, real *w, size_t n)
{
    switch (kind) {
    case INIT_ZERO:
        memset(w, 0, n * sizeof *w);
        break;
    case INIT_UNIFORM:
        uniform((real)scale, stream, w, n);
        break;
    case INIT_NORMAL:
        normal((real)scale, stream, w, n);
        break;
    }
}
