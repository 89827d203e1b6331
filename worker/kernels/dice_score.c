#include "worker/kernels/dice_score.h"

#include "worker/kernels/wide.h"

/* ---- plain loops ---- */

/* What a number's gradient is made of: xh, p + a (1 - p), (1 - p) x, and of gh, without g. */
typedef struct number {
    real xh, slope, lower, bend;
} number;

INLINE number number_of(const dice_columns *of, real x, int d)
{
    real xh = (x - of->mean[d]) * of->inv[d], p = sigmoid(xh), lower = (1 - p) * x;

    return (number){xh, of->a[d] + p * (1 - of->a[d]), lower, lower * p * (1 - of->a[d])};
}

CLONES static void plain_score(real *s, real c, const real *x, const dice_columns *of, int N,
                               int D, ahead *next)
{
    for (int n = 0; n < N; n++) {
        const real *x_n = ROW(x, n, D);
        real        sum = 0;
        ahead_ask_for(next, D / VECTOR);
#pragma omp simd reduction(+ : sum)
        for (int d = 0; d < D; d++)
            sum += of->w[d] * x_n[d] * number_of(of, x_n[d], d).slope;
        s[n] = c + sum;
    }
}

/* Of `rows` rows and a vector of columns from d on. */
INLINE void plain_block(real *gw, real *ga, double *sum_gh, double *sum_ghxh, const real *gs,
                        const real *x, const dice_columns *of, int rows, int d, int D)
{
    real y[VECTOR] = {0}, lower[VECTOR] = {0}, bend[VECTOR] = {0}, bent[VECTOR] = {0};

    for (int n = 0; n < rows; n++) {
        const real *x_n = ROW(x, n, D) + d;
#pragma omp simd
        for (int c = 0; c < VECTOR; c++) {
            number i = number_of(of, x_n[c], d + c);
            y[c] += gs[n] * x_n[c] * i.slope;
            lower[c] += gs[n] * i.lower;
            bend[c] += gs[n] * i.bend;
            bent[c] += gs[n] * i.bend * i.xh;
        }
    }
    for (int c = 0; c < VECTOR; c++) {
        gw[d + c] += y[c];
        ga[d + c] += of->w[d + c] * lower[c];
        sum_gh[d + c] += (double)(of->w[d + c] * bend[c]);
        sum_ghxh[d + c] += (double)(of->w[d + c] * bent[c]);
    }
}

CLONES static void plain_sums(real *gw, real *ga, double *sum_gh, double *sum_ghxh,
                              const real *gs, const real *x, const dice_columns *of, int N,
                              int D, ahead *next)
{
    ahead_ask_for(next, N * (D / VECTOR));
    for (int n = 0; n < N; n += BLOCK_ROWS)
        for (int d = 0; d < D; d += VECTOR)
            plain_block(gw, ga, sum_gh, sum_ghxh, gs + n, ROW(x, n, D), of,
                        least(BLOCK_ROWS, N - n), d, D);
}

CLONES static void plain_backward(real *gx, const real *gs, const real *x,
                                  const dice_columns *of, const real *mean_gh,
                                  const real *mean_ghxh, int N, int D, ahead *next)
{
    for (int n = 0; n < N; n++) {
        const real *x_n  = ROW(x, n, D);
        real       *gx_n = ROW(gx, n, D);
        ahead_ask_for(next, D / VECTOR);
#pragma omp simd
        for (int d = 0; d < D; d++) {
            number i = number_of(of, x_n[d], d);
            real   g = gs[n] * of->w[d];
            gx_n[d] =
                g * i.slope + of->inv[d] * (g * i.bend - mean_gh[d] - i.xh * mean_ghxh[d]);
        }
    }
}

static const dice_score_kernels plain = {plain_score, plain_sums, plain_backward};

/* ---- by vectors of 512 bits ---- */

#ifdef WIDE_KERNELS

#define LOG_2 0x1.62e43p-1f
/* 16 columns. t is (x - mean) scale, scale = -inv log2(e); rest = 1 - a. */
typedef struct columns {
    vector mean, scale, a, rest;
} columns;

WIDE INLINE columns columns_at(const dice_columns *of, int d)
{
    columns c = {.mean  = _mm512_loadu_ps(of->mean + d),
                 .scale = _mm512_loadu_ps(of->inv + d) * -LOG2_E,
                 .a     = _mm512_loadu_ps(of->a + d)};

    c.rest = 1 - c.a;
    return c;
}

/* How far behind a row that of the next N lies, where nothing else says what is next; else 0.
 */
static size_t rows_behind(const ahead *next, int N, int D)
{
    return next ? 0 : (size_t)N * (size_t)D;
}

WIDE INLINE vector load_row(const float *x, size_t behind)
{
    if (behind)
        fetch(x, behind);
    return _mm512_loadu_ps(x);
}

/* x of `rows` rows and, p, their sigmoids. */
WIDE UNROLLED void sigmoids(vector *p, vector *t, vector *x, const columns *c, const float *at,
                            size_t behind, int D, const int rows)
{
    for (int n = 0; n < rows; n++) {
        x[n] = load_row(ROW(at, n, D), behind);
        t[n] = p[n] = (x[n] - c->mean) * c->scale;
    }
    falling_sigmoids(p, rows);
}

WIDE UNROLLED void score_rows(float *s, float c, const float *x, const dice_columns *of,
                              size_t behind, int D, const int rows)
{
    vector sum[LOT], x_n[LOT], t[LOT], p[LOT];

    for (int n = 0; n < rows; n++)
        sum[n] = _mm512_setzero_ps();
    for (int d = 0; d < D; d += LANES) {
        columns k = columns_at(of, d);
        vector  w = _mm512_loadu_ps(of->w + d);
        sigmoids(p, t, x_n, &k, x + d, behind, D, rows);
        for (int n = 0; n < rows; n++)
            sum[n] += (w * x_n[n]) * (k.a + p[n] * k.rest);
    }
    for (int n = 0; n < rows; n++)
        s[n] = c + _mm512_reduce_add_ps(sum[n]);
}

WIDE static void wide_score(float *s, float c, const float *x, const dice_columns *of, int N,
                            int D, ahead *next)
{
    size_t behind = rows_behind(next, N, D);
    int    n      = 0;

    for (; n + LOT <= N; n += LOT) {
        ahead_ask_for(next, LOT * (D / LANES));
        score_rows(s + n, c, ROW(x, n, D), of, behind, D, LOT);
    }
    for (; n < N; n++)
        score_rows(s + n, c, ROW(x, n, D), of, behind, D, 1);
}

/* Sums of gs x slope, of gs x (1 - p), that times p, and that times t: w, and 1 - a, come last.
 */
typedef struct sums {
    vector y, lower, bend, bent;
} sums;

WIDE UNROLLED void sum_rows(sums *s, const columns *c, const float *gs, const float *x,
                            size_t behind, int D, const int rows)
{
    vector x_n[LOT], t[LOT], p[LOT];

    sigmoids(p, t, x_n, c, x, behind, D, rows);
    for (int n = 0; n < rows; n++) {
        vector gx = _mm512_set1_ps(gs[n]) * x_n[n], lower = (1 - p[n]) * gx,
               bend = p[n] * lower;
        s->y += gx * (c->a + p[n] * c->rest);
        s->lower += lower;
        s->bend += bend;
        s->bent += bend * t[n];
    }
}

WIDE INLINE void sums_flush(const sums *s, const columns *c, float *gw, float *ga,
                            double *sum_gh, double *sum_ghxh, const float *w)
{
    vector by_w = _mm512_loadu_ps(w), lower = s->lower * by_w, rest = c->rest * by_w;
    vector bend = s->bend * rest, bent = s->bent * rest * -LOG_2;

    for (int d = 0; d < LANES; d++) {
        gw[d] += s->y[d];
        ga[d] += lower[d];
        sum_gh[d] += (double)bend[d];
        sum_ghxh[d] += (double)bent[d];
    }
}

WIDE static void wide_sums(float *gw, float *ga, double *sum_gh, double *sum_ghxh,
                           const float *gs, const float *x, const dice_columns *of, int N,
                           int D, ahead *next)
{
    size_t behind = rows_behind(next, N, D);

    for (int begin = 0; begin < N; begin += BLOCK_ROWS)
        for (int d = 0; d < D; d += LANES) {
            int     end = least(N, begin + BLOCK_ROWS), n = begin;
            columns c = columns_at(of, d);
            sums    s = {0};
            for (; n + LOT <= end; n += LOT) {
                ahead_ask_for(next, LOT);
                sum_rows(&s, &c, gs + n, ROW(x, n, D) + d, behind, D, LOT);
            }
            for (; n < end; n++)
                sum_rows(&s, &c, gs + n, ROW(x, n, D) + d, behind, D, 1);
            sums_flush(&s, &c, gw + d, ga + d, sum_gh + d, sum_ghxh + d, of->w + d);
        }
}

/* What else a column's gradient needs: inv (1 - a), inv mean_gh, and what times t is inv xh
 * mean_ghxh. */
typedef struct gradient_columns {
    columns c;
    vector  w, bend, same, by_t;
} gradient_columns;

WIDE INLINE gradient_columns gradient_columns_at(const dice_columns *of, const float *mean_gh,
                                                 const float *mean_ghxh, int d)
{
    gradient_columns g   = {.c = columns_at(of, d), .w = _mm512_loadu_ps(of->w + d)};
    vector           inv = _mm512_loadu_ps(of->inv + d);

    g.bend = inv * g.c.rest;
    g.same = inv * _mm512_loadu_ps(mean_gh + d);
    g.by_t = inv * _mm512_loadu_ps(mean_ghxh + d) * -LOG_2;
    return g;
}

WIDE UNROLLED void gradient_rows(float *gx, const gradient_columns *of, const float *gs,
                                 const float *x, size_t behind, int D, const int rows)
{
    const columns *c = &of->c;
    vector         x_n[LOT], t[LOT], p[LOT];

    sigmoids(p, t, x_n, c, x, behind, D, rows);
    for (int n = 0; n < rows; n++) {
        vector here = c->a + p[n] * c->rest + of->bend * (p[n] * ((1 - p[n]) * x_n[n]));
        _mm512_storeu_ps(ROW(gx, n, D),
                         of->w * _mm512_set1_ps(gs[n]) * here - (of->same + of->by_t * t[n]));
    }
}

#define ROWS 16 /* of a vector of columns, before the next */

WIDE static void wide_backward(float *gx, const float *gs, const float *x,
                               const dice_columns *of, const float *mean_gh,
                               const float *mean_ghxh, int N, int D, ahead *next)
{
    size_t behind = rows_behind(next, N, D);

    for (int begin = 0; begin < N; begin += ROWS)
        for (int d = 0; d < D; d += LANES) {
            gradient_columns c   = gradient_columns_at(of, mean_gh, mean_ghxh, d);
            int              end = least(N, begin + ROWS), n = begin;
            ahead_ask_for(next, end - begin);
            for (; n + LOT <= end; n += LOT)
                gradient_rows(ROW(gx, n, D) + d, &c, gs + n, ROW(x, n, D) + d, behind, D, LOT);
            for (; n < end; n++)
                gradient_rows(ROW(gx, n, D) + d, &c, gs + n, ROW(x, n, D) + d, behind, D, 1);
        }
}

static const dice_score_kernels wide = {wide_score, wide_sums, wide_backward};

#endif

/* ---- by width ---- */

const dice_score_kernels *dice_score_by(int bits)
{
#ifdef WIDE_KERNELS
    if (bits == 512 && wide_vectors())
        return &wide;
#endif
    return bits == 0 ? &plain : NULL;
}

static const dice_score_kernels *best(void)
{
    const dice_score_kernels *by_vectors = dice_score_by(512);

    return by_vectors ? by_vectors : &plain;
}

void dice_score(real *s, real c, const real *x, dice_columns of, int N, int D, ahead *next)
{
    best()->score(s, c, x, &of, N, D, next);
}

void dice_score_sums(real *gw, real *ga, double *sum_gh, double *sum_ghxh, const real *gs,
                     const real *x, dice_columns of, int N, int D, ahead *next)
{
    best()->sums(gw, ga, sum_gh, sum_ghxh, gs, x, &of, N, D, next);
}

void dice_score_backward(real *gx, const real *gs, const real *x, dice_columns of,
                         const real *mean_gh, const real *mean_ghxh, int N, int D, ahead *next)
{
    best()->backward(gx, gs, x, &of, mean_gh, mean_ghxh, N, D, next);
}
