#include "worker/kernels/recurrent_wide.h"

#ifdef WIDE_KERNELS

WIDE INLINE vector load(const float *x)
{
    return _mm512_loadu_ps(x);
}

/* h + (p + q u) (n - h) */
WIDE INLINE vector moved(vector h, vector n, vector u, float p, float q)
{
    return h + (p + q * u) * (n - h);
}

WIDE void gru_forward_wide(float *z, int z_stride, float *h, int h_stride, const float *p,
                           const float *q, int N, int H)
{
    for (int i = 0; i < N; i++) {
        float *z_i = ROW(z, i, z_stride), *h_i = ROW(h, i, h_stride);
        for (int d = 0; d < H; d += LANES) {
            float *at = z_i + d;
            vector u = wide_sigmoid(load(at)), r = wide_sigmoid(load(at + H));
            vector n = wide_tanh(load(at + 2 * H) + r * load(at + 3 * H));
            _mm512_storeu_ps(at, u);
            _mm512_storeu_ps(at + H, r);
            _mm512_storeu_ps(at + 2 * H, n);
            _mm512_storeu_ps(h_i + d, moved(load(h_i + d), n, u, p[i], q[i]));
        }
    }
}

WIDE void gru_forward_shared_wide(float *h, int h_stride, const float *z, int z_stride,
                                  const float *w, const float *b, const float *s,
                                  const float *p, const float *q, int N, int H)
{
    for (int i = 0; i < N; i++) {
        const float *z_i = ROW(z, i, z_stride);
        float       *h_i = ROW(h, i, h_stride);
        for (int d = 0; d < H; d += LANES) {
            vector x_u = s[i] * load(w + d) + load(b + d);
            vector x_r = s[i] * load(w + H + d) + load(b + H + d);
            vector x_n = s[i] * load(w + 2 * H + d) + load(b + 2 * H + d);
            vector u   = wide_sigmoid(load(z_i + d) + x_u);
            vector r   = wide_sigmoid(load(z_i + H + d) + x_r);
            vector n   = wide_tanh(x_n + r * load(z_i + 2 * H + d));
            _mm512_storeu_ps(h_i + d, moved(load(h_i + d), n, u, p[i], q[i]));
        }
    }
}

#else
typedef int no_wide_gates; /* an empty file is no C */
#endif
