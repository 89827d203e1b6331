#include "worker/kernels/cross.h"

/* Vector of field f of sample b in x. */
static inline size_t vector_at(const field_layout *l, int b, int f)
{
    return ((size_t)b * (size_t)l->F + (size_t)f) * (size_t)l->width + (size_t)l->first;
}

/* ---- factorization machine ---- */

CLONES void cross_sum_forward(real *y, real *sums, const real *x, const field_layout *l, int B)
{
    for (int b = 0; b < B; b++) {
        real *s = ROW(sums, b, l->k), dot = 0;
        memset(s, 0, (size_t)l->k * sizeof *s);
        for (int f = 0; f < l->F; f++) {
            const real *v = x + vector_at(l, b, f);
#pragma omp simd reduction(+ : dot)
            for (int d = 0; d < l->k; d++) {
                dot += s[d] * v[d];
                s[d] += v[d];
            }
        }
        y[b] = dot;
    }
}

CLONES void cross_sum_backward(real *gx, const real *gy, const real *x, const real *sums,
                               const field_layout *l, int B)
{
    for (int b = 0; b < B; b++) {
        const real *s = ROW(sums, b, l->k);
        for (int f = 0; f < l->F; f++) {
            const real *v  = x + vector_at(l, b, f);
            real       *gv = gx + vector_at(l, b, f);
#pragma omp simd
            for (int d = 0; d < l->k; d++)
                gv[d] += gy[b] * (s[d] - v[d]);
        }
    }
}

/* ---- products ---- */

INLINE void products(real *q, int stride, const real *x, const field_layout *l,
                     const int (*pairs)[2], size_t begin, int N, int k)
{
    int P = cross_count(l->F), p = (int)(begin % (size_t)P), b = (int)(begin / (size_t)P);

    for (int n = 0; n < N; n++) {
        const real *vi  = x + vector_at(l, b, pairs[p][0]);
        const real *vj  = x + vector_at(l, b, pairs[p][1]);
        real       *q_n = ROW(q, n, stride);
#pragma omp simd
        for (int d = 0; d < k; d++)
            q_n[d] = vi[d] * vj[d];
        if (++p == P) {
            p = 0;
            b++;
        }
    }
}

CLONES void cross_products(real *q, int stride, const real *x, const field_layout *l,
                           const int (*pairs)[2], size_t begin, int N)
{
    BY_LENGTH(l->k, products, q, stride, x, l, pairs, begin, N);
}

INLINE void products_backward(real *gx, const real *gq, int stride, const real *x,
                              const field_layout *l, const int (*pairs)[2], size_t begin, int N,
                              int k)
{
    int P = cross_count(l->F), p = (int)(begin % (size_t)P), b = (int)(begin / (size_t)P);

    for (int n = 0; n < N; n++) {
        size_t      i = vector_at(l, b, pairs[p][0]), j = vector_at(l, b, pairs[p][1]);
        const real *vi = x + i, *vj = x + j, *gq_n = ROW(gq, n, stride);
        real       *gi = gx + i, *gj = gx + j;
#pragma omp simd
        for (int d = 0; d < k; d++) {
            gi[d] += gq_n[d] * vj[d];
            gj[d] += gq_n[d] * vi[d];
        }
        if (++p == P) {
            p = 0;
            b++;
        }
    }
}

CLONES void cross_products_backward(real *gx, const real *gq, int stride, const real *x,
                                    const field_layout *l, const int (*pairs)[2], size_t begin,
                                    int N)
{
    BY_LENGTH(l->k, products_backward, gx, gq, stride, x, l, pairs, begin, N);
}

/* ---- attention over pairs ---- */

INLINE void pool_forward(real *y, const real *a, const real *x, const field_layout *l, int B,
                         int k)
{
    for (int b = 0; b < B; b++) {
        real *y_b = ROW(y, b, k);
        memset(y_b, 0, (size_t)k * sizeof *y_b);
        for (int i = 0; i < l->F; i++)
            for (int j = i + 1; j < l->F; j++) {
                const real *vi = x + vector_at(l, b, i), *vj = x + vector_at(l, b, j);
                real        a_ij = *a++;
#pragma omp simd
                for (int d = 0; d < k; d++)
                    y_b[d] += a_ij * vi[d] * vj[d];
            }
    }
}

CLONES void cross_pool_forward(real *y, const real *a, const real *x, const field_layout *l,
                               int B)
{
    BY_LENGTH(l->k, pool_forward, y, a, x, l, B);
}

INLINE void pool_backward(real *ga, real *gx, const real *gy, const real *a, const real *x,
                          const field_layout *l, int B, int k)
{
    for (int b = 0; b < B; b++) {
        const real *gy_b = ROW(gy, b, k);
        for (int i = 0; i < l->F; i++)
            for (int j = i + 1; j < l->F; j++) {
                size_t      at_i = vector_at(l, b, i), at_j = vector_at(l, b, j);
                const real *vi = x + at_i, *vj = x + at_j;
                real       *gi = gx + at_i, *gj = gx + at_j, a_ij = *a++, dot = 0;
#pragma omp simd reduction(+ : dot)
                for (int d = 0; d < k; d++) {
                    real gq = a_ij * gy_b[d];
                    dot += gy_b[d] * vi[d] * vj[d];
                    gi[d] += gq * vj[d];
                    gj[d] += gq * vi[d];
                }
                *ga++ += dot;
            }
    }
}

CLONES void cross_pool_backward(real *ga, real *gx, const real *gy, const real *a,
                                const real *x, const field_layout *l, int B)
{
    BY_LENGTH(l->k, pool_backward, ga, gx, gy, a, x, l, B);
}

/* 1 for each pair of fields that are both there, else 0. */
static void crosses_there(real *there, const real *present, int F)
{
    for (int i = 0; i < F; i++)
        for (int j = i + 1; j < F; j++)
            *there++ = !present || (present[i] > 0 && present[j] > 0);
}

CLONES void cross_softmax(real *a, const real *s, const real *present, int F, int B)
{
    int P = cross_count(F);

    for (int b = 0; b < B; b++) {
        real       *a_b = ROW(a, b, P), most = -INFINITY, sum = 0;
        const real *s_b = ROW(s, b, P);
        crosses_there(a_b, present ? ROW(present, b, F) : NULL, F);
        for (int p = 0; p < P; p++)
            most = fmax_real(most, a_b[p] > 0 ? s_b[p] : most);
#pragma omp simd reduction(+ : sum)
        for (int p = 0; p < P; p++) {
            a_b[p] = a_b[p] > 0 ? exp_vector(s_b[p] - most) : 0;
            sum += a_b[p];
        }
        real share = sum > 0 ? 1 / sum : 0;
        for (int p = 0; p < P; p++)
            a_b[p] *= share;
    }
}

CLONES void cross_softmax_backward(real *gs, const real *ga, const real *a, int F, int B)
{
    int P = cross_count(F);

    for (int b = 0; b < B; b++) {
        real       *gs_b = ROW(gs, b, P), dot = 0;
        const real *ga_b = ROW(ga, b, P), *a_b = ROW(a, b, P);
#pragma omp simd reduction(+ : dot)
        for (int p = 0; p < P; p++)
            dot += a_b[p] * ga_b[p];
#pragma omp simd
        for (int p = 0; p < P; p++)
            gs_b[p] = a_b[p] * (ga_b[p] - dot);
    }
}

CLONES void rectified_score_backward(real *gz, const real *gs, const real *h, const real *y,
                                     int N, int stride)
{
    for (int n = 0; n < N; n++) {
        real       *gz_n = ROW(gz, n, stride), gs_n = gs[n];
        const real *y_n  = ROW(y, n, stride);
#pragma omp simd
        for (int t = 0; t < stride; t++) {
            real g  = gs_n * h[t]; /* whatever y is: a product is cheaper than a branch */
            gz_n[t] = y_n[t] > 0 ? g : 0;
        }
    }
}
