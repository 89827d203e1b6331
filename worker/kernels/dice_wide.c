#include "worker/kernels/dice_wide.h"

#ifdef DICE_WIDE

#define LOG_2 0x1.62e43p-1f

/* 16 columns. t is (x - mean) scale, scale = -inv log2(e); rest = 1 - a. */
typedef struct columns {
    __mmask16 there; /* lanes behind the last column are neither read nor written */
    vector    mean, inv, scale, a, rest;
} columns;

WIDE INLINE vector load(const columns *c, const float *x)
{
    return _mm512_maskz_loadu_ps(c->there, x);
}

WIDE INLINE void store(const columns *c, float *x, vector v)
{
    _mm512_mask_storeu_ps(x, c->there, v);
}

WIDE INLINE columns columns_at(int d, int D, const float *mean, const float *inv,
                               const float *a)
{
    columns c = {.there = D - d < LANES ? (__mmask16)((1u << (D - d)) - 1) : 0xffff};

    c.mean  = load(&c, mean + d);
    c.inv   = load(&c, inv + d);
    c.scale = c.inv * -LOG2_E;
    c.a     = load(&c, a + d);
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

/* ---- forward ---- */

#define ROWS 8 /* of a vector of columns, before the next */

WIDE INLINE void forward_rows(const columns *c, float *y, const float *x, size_t behind,
                              int rows, int D)
{
    for (int n = 0; n < rows; n++) {
        vector x_n = load(c, ROW(x, n, D));
        if (behind)
            fetch(ROW(x, n, D), behind);
        store(c, ROW(y, n, D), x_n * (c->a + falling_sigmoid(scaled(c, x_n)) * c->rest));
    }
}

WIDE static void forward(float *y, const float *x, const float *mean, const float *inv,
                         const float *a, int N, int D, ahead *next)
{
    for (int n = 0; n < N; n += ROWS)
        for (int d = 0; d < D; d += LANES) {
            columns c    = columns_at(d, D, mean, inv, a);
            int     rows = least(ROWS, N - n);
            ahead_ask_for(next, rows);
            forward_rows(&c, ROW(y, n, D) + d, ROW(x, n, D) + d, rows_behind(next, N, D), rows,
                         D);
        }
}

/* ---- backward ---- */

/* What a number's gradient is made of. */
typedef struct derivative {
    vector t, slope, lower, bend; /* a + p rest, (1 - p) x g, p lower: gh = rest bend */
} derivative;

WIDE INLINE derivative derive(const columns *c, vector g, vector x)
{
    derivative of = {.t = scaled(c, x)};
    vector     p  = falling_sigmoid(of.t);

    of.slope = c->a + p * c->rest;
    of.lower = (1 - p) * (g * x);
    of.bend  = p * of.lower;
    return of;
}

/* Sums over a block of rows, of lower, bend and bend t. */
typedef struct sums {
    vector lower, bend, bent;
} sums;

WIDE INLINE void sums_add(sums *s, const derivative *of)
{
    s->lower += of->lower;
    s->bend += of->bend;
    s->bent += of->bend * of->t;
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

WIDE INLINE void sum_rows(const columns *c, sums *s, const float *g, const float *x, int rows,
                          int D)
{
    for (int n = 0; n < rows; n++) {
        derivative of = derive(c, load(c, ROW(g, n, D)), load(c, ROW(x, n, D)));
        sums_add(s, &of);
    }
}

/* g = g slope + inv gh in place, and y. */
WIDE INLINE void change_rows(const columns *c, sums *s, float *g, float *y, const float *x,
                             size_t behind, int rows, int D)
{
    vector factor = c->inv * c->rest;

    for (int n = 0; n < rows; n++) {
        vector     x_n = load(c, ROW(x, n, D)), g_n = load(c, ROW(g, n, D));
        derivative of = derive(c, g_n, x_n);
        if (behind) {
            fetch(ROW(x, n, D), behind);
            fetch_to_write(ROW(g, n, D), behind);
        }
        sums_add(s, &of);
        store(c, ROW(y, n, D), x_n * of.slope);
        store(c, ROW(g, n, D), g_n * of.slope + factor * of.bend);
    }
}

/* Blocks of rows by chunks of columns; changed: NULL, or g itself. */
WIDE INLINE void backward_blocks(float *changed, float *y, float *ga, double *sum_gh,
                                 double *sum_ghxh, const float *g, const float *x,
                                 const float *mean, const float *inv, const float *a, int N,
                                 int D, ahead *next)
{
    for (int first = 0; first < D; first += CHUNK * LANES)
        for (int begin = 0; begin < N; begin += BLOCK_ROWS) {
            int  end = least(N, begin + BLOCK_ROWS), last = least(D, first + CHUNK * LANES);
            sums s[CHUNK];
            memset(s, 0, sizeof s);
            for (int n = begin; n < end; n += ROWS)
                for (int d = first; d < last; d += LANES) {
                    columns c  = columns_at(d, D, mean, inv, a);
                    sums   *to = &s[(d - first) / LANES], here = *to;
                    int     rows = least(ROWS, end - n);
                    ahead_ask_for(next, rows);
                    if (changed)
                        change_rows(&c, &here, ROW(changed, n, D) + d, ROW(y, n, D) + d,
                                    ROW(x, n, D) + d, rows_behind(next, N, D), rows, D);
                    else
                        sum_rows(&c, &here, ROW(g, n, D) + d, ROW(x, n, D) + d, rows, D);
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
    return (taken){c->inv * load(c, mean_gh), c->inv * load(c, mean_ghxh) * -LOG_2};
}

WIDE INLINE void gradient_rows(const columns *c, taken means, float *gx, const float *g,
                               const float *x, bool add, size_t behind, int rows, int D)
{
    vector factor = c->inv * c->rest;

    for (int n = 0; n < rows; n++) {
        vector     x_n = load(c, ROW(x, n, D)), g_n = load(c, ROW(g, n, D));
        derivative of = derive(c, g_n, x_n);
        vector     v  = g_n * of.slope + (factor * of.bend - (means.same + means.by_t * of.t));
        if (behind)
            fetch(ROW(x, n, D), behind);
        if (add)
            v += load(c, ROW(gx, n, D));
        store(c, ROW(gx, n, D), v);
    }
}

WIDE static void backward(float *gx, const float *g, const float *x, const float *mean,
                          const float *inv, const float *a, const float *mean_gh,
                          const float *mean_ghxh, bool add, int N, int D, ahead *next)
{
    for (int n = 0; n < N; n += ROWS)
        for (int d = 0; d < D; d += LANES) {
            columns c     = columns_at(d, D, mean, inv, a);
            taken   means = taken_at(&c, mean_gh + d, mean_ghxh + d);
            int     rows  = least(ROWS, N - n);
            ahead_ask_for(next, rows);
            gradient_rows(&c, means, ROW(gx, n, D) + d, ROW(g, n, D) + d, ROW(x, n, D) + d, add,
                          rows_behind(next, N, D), rows, D);
        }
}

WIDE static void backward_means(float *gx, const float *g, const float *x, const float *mean,
                                const float *inv, const float *mean_gh, const float *mean_ghxh,
                                int N, int D, ahead *next)
{
    for (int n = 0; n < N; n += ROWS)
        for (int d = 0; d < D; d += LANES) {
            columns c      = columns_at(d, D, mean, inv, mean);
            taken   means  = taken_at(&c, mean_gh + d, mean_ghxh + d);
            size_t  behind = rows_behind(next, N, D);
            ahead_ask_for(next, least(ROWS, N - n));
            for (int i = n; i < n + ROWS && i < N; i++) {
                const float *g_i = ROW(g, i, D) + d, *x_i = ROW(x, i, D) + d;
                if (behind) {
                    fetch(x_i, behind);
                    fetch(g_i, behind);
                }
                store(&c, ROW(gx, i, D) + d,
                      load(&c, g_i) - (means.same + means.by_t * scaled(&c, load(&c, x_i))));
            }
        }
}

const dice_kernels dice_wide = {.forward        = forward,
                                .backward_sums  = backward_sums,
                                .backward       = backward,
                                .backward_rows  = backward_rows,
                                .backward_means = backward_means};

#endif
