#include "worker/kernels/recurrent.h"

#include "worker/kernels/recurrent_wide.h"
#include "worker/kernels/tanh.h"

CLONES static void forward(real *z, int z_stride, real *h, int h_stride, const real *p,
                           const real *q, int N, int H)
{
    for (int i = 0; i < N; i++) {
        real *restrict u = ROW(z, i, z_stride), *restrict r = u + H, *restrict n = r + H;
        const real *restrict m = n + H;
        real *restrict h_i     = ROW(h, i, h_stride);
        real p_i = p[i], q_i = q[i];
#pragma omp simd
        for (int d = 0; d < H; d++) {
            u[d] = sigmoid(u[d]);
            r[d] = sigmoid(r[d]);
            n[d] = tanh_vector(n[d] + r[d] * m[d]);
            h_i[d] += (p_i + q_i * u[d]) * (n[d] - h_i[d]);
        }
    }
}

CLONES static void forward_shared(real *h, int h_stride, const real *z, int z_stride,
                                  const real *w, const real *b, const real *s, const real *p,
                                  const real *q, int N, int H)
{
    for (int i = 0; i < N; i++) {
        const real *restrict z_u = ROW(z, i, z_stride), *restrict z_r = z_u + H;
        const real *restrict m = z_r + H;
        real *restrict h_i     = ROW(h, i, h_stride);
        real p_i = p[i], q_i = q[i], s_i = s[i];
#pragma omp simd
        for (int d = 0; d < H; d++) {
            real u = sigmoid(z_u[d] + (s_i * w[d] + b[d]));
            real r = sigmoid(z_r[d] + (s_i * w[H + d] + b[H + d]));
            real n = tanh_vector(s_i * w[2 * H + d] + b[2 * H + d] + r * m[d]);
            h_i[d] += (p_i + q_i * u) * (n - h_i[d]);
        }
    }
}

void gru_forward(real *z, int z_stride, real *h, int h_stride, const real *p, const real *q,
                 int N, int H)
{
#ifdef WIDE_KERNELS
    if (wide_vectors() && H % VECTOR == 0) {
        gru_forward_wide(z, z_stride, h, h_stride, p, q, N, H);
        return;
    }
#endif
    forward(z, z_stride, h, h_stride, p, q, N, H);
}

void gru_forward_shared(real *h, int h_stride, const real *z, int z_stride, const real *w,
                        const real *b, const real *s, const real *p, const real *q, int N,
                        int H)
{
#ifdef WIDE_KERNELS
    if (wide_vectors() && H % VECTOR == 0) {
        gru_forward_shared_wide(h, h_stride, z, z_stride, w, b, s, p, q, N, H);
        return;
    }
#endif
    forward_shared(h, h_stride, z, z_stride, w, b, s, p, q, N, H);
}

CLONES void gru_backward(real *z, int z_stride, real *g, int g_stride, const real *h,
                         int h_stride, const real *p, const real *q, real *gp, real *gq, int N,
                         int H)
{
    for (int i = 0; i < N; i++) {
        real *restrict u = ROW(z, i, z_stride), *restrict r = u + H, *restrict n = r + H;
        real *restrict m = n + H, *restrict g_i = ROW(g, i, g_stride);
        const real *restrict h_i = ROW(h, i, h_stride);
        real p_i = p[i], q_i = q[i], sum_p = 0, sum_q = 0;
#pragma omp simd reduction(+ : sum_p, sum_q)
        for (int d = 0; d < H; d++) {
            real e = p_i + q_i * u[d], ge = g_i[d] * (n[d] - h_i[d]);
            real gn = g_i[d] * e * (1 - n[d] * n[d]), r_d = r[d];
            sum_p += ge;
            sum_q += ge * u[d];
            g_i[d] -= g_i[d] * e;
            u[d] = q_i * ge * u[d] * (1 - u[d]);
            r[d] = gn * m[d] * r_d * (1 - r_d);
            n[d] = gn;
            m[d] = gn * r_d;
        }
        gp[i] = sum_p;
        gq[i] = sum_q;
    }
}

/* ---- the reset gate before the product ---- */

CLONES void gru_reset_forward(real *z, int z_stride, const real *h, int h_stride, int N, int H)
{
    for (int i = 0; i < N; i++) {
        real *restrict u = ROW(z, i, z_stride), *restrict r = u + H, *restrict m = u + 3 * H;
        const real *restrict h_i = ROW(h, i, h_stride);
#pragma omp simd
        for (int d = 0; d < H; d++) {
            u[d] = sigmoid(u[d]);
            r[d] = sigmoid(r[d]);
            m[d] = r[d] * h_i[d];
        }
    }
}

CLONES void gru_input_forward(real *z, int z_stride, real *h, int h_stride, const real *p,
                              const real *q, int N, int H)
{
    for (int i = 0; i < N; i++) {
        real *restrict u = ROW(z, i, z_stride), *restrict n = u + 2 * H;
        real *restrict h_i = ROW(h, i, h_stride);
        real p_i = p[i], q_i = q[i];
#pragma omp simd
        for (int d = 0; d < H; d++) {
            n[d] = tanh_vector(n[d]);
            h_i[d] += (p_i + q_i * u[d]) * (n[d] - h_i[d]);
        }
    }
}

CLONES void gru_input_backward(real *z, int z_stride, real *g, int g_stride, const real *h,
                               int h_stride, const real *p, const real *q, real *gp, real *gq,
                               int N, int H)
{
    for (int i = 0; i < N; i++) {
        real *restrict u = ROW(z, i, z_stride), *restrict n = u + 2 * H;
        real *restrict g_i       = ROW(g, i, g_stride);
        const real *restrict h_i = ROW(h, i, h_stride);
        real p_i = p[i], q_i = q[i], sum_p = 0, sum_q = 0;
#pragma omp simd reduction(+ : sum_p, sum_q)
        for (int d = 0; d < H; d++) {
            real e = p_i + q_i * u[d], ge = g_i[d] * (n[d] - h_i[d]);
            sum_p += ge;
            sum_q += ge * u[d];
            n[d] = g_i[d] * e * (1 - n[d] * n[d]);
            g_i[d] -= g_i[d] * e;
            u[d] = q_i * ge * u[d] * (1 - u[d]);
        }
        gp[i] = sum_p;
        gq[i] = sum_q;
    }
}

CLONES void gru_reset_backward(real *z, int z_stride, real *g, int g_stride, const real *gm,
                               int gm_stride, const real *h, int h_stride, int N, int H)
{
    for (int i = 0; i < N; i++) {
        real *restrict r = ROW(z, i, z_stride) + H, *restrict g_i = ROW(g, i, g_stride);
        const real *restrict gm_i = ROW(gm, i, gm_stride), *restrict h_i = ROW(h, i, h_stride);
#pragma omp simd
        for (int d = 0; d < H; d++) {
            g_i[d] += gm_i[d] * r[d];
            r[d] = gm_i[d] * h_i[d] * r[d] * (1 - r[d]);
        }
    }
}
