#include "worker/kernels/dice_wide.h"

#ifdef DICE_WIDE

#define LOG_2 0x1.62e43p-1f

/* 16 columns. t is (x - mean) scale, scale = -inv log2(e); rest = 1 - a. */
typedef struct columns {
    __mmask16 there; /* lanes behind the last column are neither read nor written */
    vector    mean, inv, scale, a, rest;
} columns;

/* Rows are taken LOT at a time where all lanes are there, else (one) behind the mask, which
 * costs an instruction each time. */
WIDE INLINE vector load(const columns *c, const float *x, const int rows)
{
    return rows == LOT ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(c->there, x);
}

WIDE INLINE void store(const columns *c, float *x, vector v, const int rows)
{
    if (rows == LOT)
        _mm512_storeu_ps(x, v);
    else
        _mm512_mask_storeu_ps(x, c->there, v);
}

WIDE INLINE int next_rows(const columns *c, int left)
{
    return c->there == 0xffff && left >= LOT ? LOT : 1;
}

/* call(..., rows), which is an UNROLLED function, with rows as a constant. */
#define OF_ROWS(rows, call, ...)                                                               \
    do {                                                                                       \
        if ((rows) == LOT)                                                                     \
            call(__VA_ARGS__, LOT);                                                            \
        else                                                                                   \
            call(__VA_ARGS__, 1);                                                              \
    } while (0)

WIDE INLINE columns columns_at(int d, int D, const float *mean, const float *inv,
                               const float *a)
{
    columns c = {.there = D - d < LANES ? (__mmask16)((1u << (D - d)) - 1) : 0xffff};

    c.mean  = load(&c, mean + d, 1);
    c.inv   = load(&c, inv + d, 1);
    c.scale = c.inv * -LOG2_E;
    c.a     = load(&c, a + d, 1);
    c.rest  = 1 - c.a;
    return c;
}

WIDE INLINE vector scaled(const columns *c, vector x)
{
    return (x - c->mean) * c->scale;
}

/* How far behind a row that of the next N lies, where nothing else says what is next; else 0.
 */
static size_t rows_behind(const ahead *next, int N, int D)
{
    return next ? 0 : (size_t)N * (size_t)D;
}

INLINE void fetch_rows(const float *x, size_t behind, int rows, int D)
{
    for (int n = 0; behind && n < rows; n++)
        fetch(ROW(x, n, D), behind);
}

/* ---- forward ---- */

#define ROWS 16 /* of a vector of columns, before the next */

WIDE UNROLLED void forward_rows(const columns *c, float *y, const float *x, int D,
                                const int rows)
{
    vector x_n[LOT], p[LOT];

    for (int n = 0; n < rows; n++) {
        x_n[n] = load(c, ROW(x, n, D), rows);
        p[n]   = scaled(c, x_n[n]);
    }
    falling_sigmoids(p, rows);
    for (int n = 0; n < rows; n++)
        store(c, ROW(y, n, D), x_n[n] * (c->a + p[n] * c->rest), rows);
}

WIDE static void forward(float *y, const float *x, const float *mean, const float *inv,
                         const float *a, int N, int D, ahead *next)
{
    size_t behind = rows_behind(next, N, D);

    for (int begin = 0; begin < N; begin += ROWS)
        for (int d = 0; d < D; d += LANES) {
            columns c   = columns_at(d, D, mean, inv, a);
            int     end = least(begin + ROWS, N);
            ahead_ask_for(next, end - begin);
            for (int n = begin, rows; n < end; n += rows) {
                const float *x_n = ROW(x, n, D) + d;
                float       *y_n = ROW(y, n, D) + d;
                rows             = next_rows(&c, end - n);
                fetch_rows(x_n, behind, rows, D);
                OF_ROWS(rows, forward_rows, &c, y_n, x_n, D);
            }
        }
}

/* ---- backward ---- */

/* What the gradients of some numbers are made of. */
typedef struct derivatives {
    vector g[LOT], x[LOT], t[LOT];
    vector slope[LOT], lower[LOT], bend[LOT]; /* a + p rest, (1 - p) x g, p lower:
                                                 gh = rest bend */
} derivatives;

WIDE UNROLLED void derive(const columns *c, derivatives *of, const float *g, const float *x,
                          int D, const int rows)
{
    vector p[LOT];

    for (int n = 0; n < rows; n++) {
        of->g[n] = load(c, ROW(g, n, D), rows);
        of->x[n] = load(c, ROW(x, n, D), rows);
        of->t[n] = p[n] = scaled(c, of->x[n]);
    }
    falling_sigmoids(p, rows);
    for (int n = 0; n < rows; n++) {
        of->slope[n] = c->a + p[n] * c->rest;
        of->lower[n] = (1 - p[n]) * (of->g[n] * of->x[n]);
        of->bend[n]  = p[n] * of->lower[n];
    }
}

/* Sums over a block of rows, of lower, bend and bend t. */
typedef struct sums {
    vector lower, bend, bent;
} sums;

WIDE INLINE void sums_add(sums *s, const derivatives *of, const int rows)
{
    for (int n = 0; n < rows; n++) {
        s->lower += of->lower[n];
        s->bend += of->bend[n];
        s->bent += of->bend[n] * of->t[n];
    }
}

/* Columns whose sums lie side by side on the stack. */
#define CHUNK 16

WIDE static void sums_flush(const sums *s, float *ga, double *sum_gh, double *sum_ghxh,
                            const float *a, int D)
{
    for (int d = 0; d < D; d++) {
        float rest = 1 - a[d];
        ga[d] += s[d / LANES].lower[d % LANES];
        sum_gh[d] += (double)(rest * s[d / LANES].bend[d % LANES]);
        sum_ghxh[d] += (double)(rest * -LOG_2 * s[d / LANES].bent[d % LANES]);
    }
}

/* The sums, and where changed is not NULL it becomes g slope + inv gh, and y is made. */
WIDE UNROLLED void sum_rows(const columns *c, sums *s, float *changed, float *y, const float *g,
                            const float *x, int D, const int rows)
{
    derivatives of;
    vector      factor = c->inv * c->rest;

    derive(c, &of, g, x, D, rows);
    sums_add(s, &of, rows);
    for (int n = 0; changed && n < rows; n++) {
        store(c, ROW(y, n, D), of.x[n] * of.slope[n], rows);
        store(c, ROW(changed, n, D), of.g[n] * of.slope[n] + factor * of.bend[n], rows);
    }
}

/* Blocks of rows by chunks of columns; changed: NULL, or g itself. */
WIDE INLINE void backward_blocks(float *changed, float *y, float *ga, double *sum_gh,
                                 double *sum_ghxh, const float *g, const float *x,
                                 const float *mean, const float *inv, const float *a, int N,
                                 int D, ahead *next)
{
    size_t behind = changed ? rows_behind(next, N, D) : 0;

    for (int first = 0; first < D; first += CHUNK * LANES)
        for (int block = 0; block < N; block += BLOCK_ROWS) {
            int  stop = least(N, block + BLOCK_ROWS), last = least(D, first + CHUNK * LANES);
            sums s[CHUNK];
            memset(s, 0, sizeof s);
            for (int begin = block; begin < stop; begin += ROWS)
                for (int d = first; d < last; d += LANES) {
                    columns c  = columns_at(d, D, mean, inv, a);
                    sums   *to = &s[(d - first) / LANES], here = *to;
                    int     end = least(begin + ROWS, stop);
                    ahead_ask_for(next, end - begin);
                    for (int n = begin, rows; n < end; n += rows) {
                        size_t at  = (size_t)n * (size_t)D + (size_t)d;
                        float *g_n = changed ? changed + at : NULL,
                              *y_n = changed ? y + at : NULL;
                        rows       = next_rows(&c, end - n);
                        fetch_rows(x + at, behind, rows, D);
                        fetch_rows(g + at, behind, rows, D);
                        OF_ROWS(rows, sum_rows, &c, &here, g_n, y_n, g + at, x + at, D);
                    }
                    *to = here;
                }
            sums_flush(s, ga + first, sum_gh + first, sum_ghxh + first, a + first,
                       last - first);
        }
}

WIDE static void backward_sums(float *ga, double *sum_gh, double *sum_ghxh, const float *g,
                               const float *x, const float *mean, const float *inv,
                               const float *a, int N, int D)
{
    memset(sum_gh, 0, (size_t)D * sizeof *sum_gh);
    memset(sum_ghxh, 0, (size_t)D * sizeof *sum_ghxh);
    backward_blocks(NULL, NULL, ga, sum_gh, sum_ghxh, g, x, mean, inv, a, N, D, NULL);
}

WIDE static void backward_rows(float *g, float *y, float *ga, double *sum_gh, double *sum_ghxh,
                               const float *x, const float *mean, const float *inv,
                               const float *a, int N, int D, ahead *next)
{
    backward_blocks(g, y, ga, sum_gh, sum_ghxh, g, x, mean, inv, a, N, D, next);
}

/* What the means take away of a column: inv mean_gh, and what times t is inv xh mean_ghxh. */
typedef struct taken {
    vector same, by_t;
} taken;

WIDE INLINE taken taken_at(const columns *c, const float *mean_gh, const float *mean_ghxh)
{
    return (taken){c->inv * load(c, mean_gh, 1), c->inv * load(c, mean_ghxh, 1) * -LOG_2};
}

WIDE UNROLLED void gradient_rows(const columns *c, const taken *means, float *gx,
                                 const float *g, const float *x, bool add, int D,
                                 const int rows)
{
    derivatives of;
    vector      factor = c->inv * c->rest;

    derive(c, &of, g, x, D, rows);
    for (int n = 0; n < rows; n++) {
        vector v = of.g[n] * of.slope[n] +
                   (factor * of.bend[n] - (means->same + means->by_t * of.t[n]));
        if (add)
            v += load(c, ROW(gx, n, D), rows);
        store(c, ROW(gx, n, D), v, rows);
    }
}

WIDE static void backward(float *gx, const float *g, const float *x, const float *mean,
                          const float *inv, const float *a, const float *mean_gh,
                          const float *mean_ghxh, bool add, int N, int D, ahead *next)
{
    size_t behind = rows_behind(next, N, D);

    for (int begin = 0; begin < N; begin += ROWS)
        for (int d = 0; d < D; d += LANES) {
            columns c     = columns_at(d, D, mean, inv, a);
            taken   means = taken_at(&c, mean_gh + d, mean_ghxh + d);
            int     end   = least(begin + ROWS, N);
            ahead_ask_for(next, end - begin);
            for (int n = begin, rows; n < end; n += rows) {
                size_t at = (size_t)n * (size_t)D + (size_t)d;
                rows      = next_rows(&c, end - n);
                fetch_rows(x + at, behind, rows, D);
                OF_ROWS(rows, gradient_rows, &c, &means, gx + at, g + at, x + at, add, D);
            }
        }
}

WIDE UNROLLED void means_rows(const columns *c, const taken *means, float *gx, const float *g,
                              const float *x, int D, const int rows)
{
    for (int n = 0; n < rows; n++) {
        vector t = scaled(c, load(c, ROW(x, n, D), rows));
        store(c, ROW(gx, n, D), load(c, ROW(g, n, D), rows) - (means->same + means->by_t * t),
              rows);
    }
}

WIDE static void backward_means(float *gx, const float *g, const float *x, const float *mean,
                                const float *inv, const float *mean_gh, const float *mean_ghxh,
                                int N, int D, ahead *next)
{
    size_t behind = rows_behind(next, N, D);

    for (int begin = 0; begin < N; begin += ROWS)
        for (int d = 0; d < D; d += LANES) {
            columns c     = columns_at(d, D, mean, inv, mean);
            taken   means = taken_at(&c, mean_gh + d, mean_ghxh + d);
            int     end   = least(begin + ROWS, N);
            ahead_ask_for(next, end - begin);
            for (int n = begin, rows; n < end; n += rows) {
                size_t at = (size_t)n * (size_t)D + (size_t)d;
                rows      = next_rows(&c, end - n);
                fetch_rows(x + at, behind, rows, D);
                fetch_rows(g + at, behind, rows, D);
                OF_ROWS(rows, means_rows, &c, &means, gx + at, g + at, x + at, D);
            }
        }
}

const dice_kernels dice_wide = {.forward        = forward,
                                .backward_sums  = backward_sums,
                                .backward       = backward,
                                .backward_rows  = backward_rows,
                                .backward_means = backward_means};

#endif
