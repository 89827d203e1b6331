#include "worker/kernels/lstm.h"

#include "worker/kernels/tanh.h"

/* One row. `looks` whether there are peepholes, `later` whether there is a c': constants
 * where this is inlined. */
INLINE void forward_row(real *h, real *c, real *z, const real *before, const real *p,
                        const bool looks, const bool later, int H)
{
#pragma omp simd
    for (int d = 0; d < H; d++) {
        real c_0 = later ? before[d] : 0;
        real i   = sigmoid(z[d] + (looks ? p[d] * c_0 : 0));
        real f   = sigmoid(z[H + d] + (looks ? p[H + d] * c_0 : 0));
        real g   = tanh_vector(z[2 * H + d]);
        real c_1 = f * c_0 + i * g;
        real o   = sigmoid(z[3 * H + d] + (looks ? p[2 * H + d] * c_1 : 0));

        h[d]         = o * tanh_vector(c_1);
        c[d]         = c_1;
        z[d]         = i;
        z[H + d]     = f;
        z[2 * H + d] = g;
        z[3 * H + d] = o;
    }
}

CLONES void lstm_forward(real *h, real *c, real *z, const real *c_before, const real *p, int N,
                         int H)
{
    for (int n = 0; n < N; n++) {
        real       *h_n = ROW(h, n, H), *c_n = ROW(c, n, H), *z_n = ROW(z, n, 4 * H);
        const real *before = c_before ? ROW(c_before, n, H) : NULL;
        if (p && before)
            forward_row(h_n, c_n, z_n, before, p, true, true, H);
        else if (p)
            forward_row(h_n, c_n, z_n, NULL, p, true, false, H);
        else if (before)
            forward_row(h_n, c_n, z_n, before, NULL, false, true, H);
        else
            forward_row(h_n, c_n, z_n, NULL, NULL, false, false, H);
    }
}

INLINE void backward_row(real *z, real *gc, real *gp, const real *gh, const real *c,
                         const real *before, const real *p, const bool looks, const bool later,
                         int H)
{
#pragma omp simd
    for (int d = 0; d < H; d++) {
        real i = z[d], f = z[H + d], g = z[2 * H + d], o = z[3 * H + d];
        real c_0 = later ? before[d] : 0, t = tanh_vector(c[d]);
        real gz_o = gh[d] * t * o * (1 - o);
        real dc   = gc[d] + gh[d] * o * (1 - t * t) + (looks ? gz_o * p[2 * H + d] : 0);
        real gz_i = dc * g * i * (1 - i), gz_f = dc * c_0 * f * (1 - f);

        if (looks) {
            gp[d] += gz_i * c_0;
            gp[H + d] += gz_f * c_0;
            gp[2 * H + d] += gz_o * c[d];
        }
        gc[d]        = dc * f + (looks ? gz_i * p[d] + gz_f * p[H + d] : 0);
        z[d]         = gz_i;
        z[H + d]     = gz_f;
        z[2 * H + d] = dc * i * (1 - g * g);
        z[3 * H + d] = gz_o;
    }
}

CLONES void lstm_backward(real *z, real *gc, real *gp, const real *gh, const real *c,
                          const real *c_before, const real *p, int N, int H)
{
    for (int n = 0; n < N; n++) {
        const real *gh_n = ROW(gh, n, H), *c_n = ROW(c, n, H);
        real       *z_n = ROW(z, n, 4 * H), *gc_n = ROW(gc, n, H);
        const real *before = c_before ? ROW(c_before, n, H) : NULL;
        if (p && before)
            backward_row(z_n, gc_n, gp, gh_n, c_n, before, p, true, true, H);
        else if (p)
            backward_row(z_n, gc_n, gp, gh_n, c_n, NULL, p, true, false, H);
        else if (before)
            backward_row(z_n, gc_n, NULL, gh_n, c_n, before, NULL, false, true, H);
        else
            backward_row(z_n, gc_n, NULL, gh_n, c_n, NULL, NULL, false, false, H);
    }
}
