#include "worker/kernels/session.h"

static bool apart(int64_t before, int64_t after, int64_t gap)
{
    uint64_t b = (uint64_t)before, a = (uint64_t)after;

    return (before < after ? a - b : b - a) > (uint64_t)gap;
}

/* First event of the session whose last is `last`. */
static int begin_of(const int64_t *time, int last, int64_t gap)
{
    while (last > 0 && !apart(time[last - 1], time[last], gap))
        last--;
    return last;
}

static void turn_around(session *s, int n)
{
    for (int i = 0, j = n - 1; i < j; i++, j--) {
        session kept = s[i];
        s[i]         = s[j];
        s[j]         = kept;
    }
}

int session_cut(session *out, const session_rule *r, const int64_t *time, int n)
{
    int count = 0;

    for (int end = n, first; end > 0 && count < r->keep; end = first) {
        first   = begin_of(time, end - 1, r->gap);
        int len = end - first;
        if (len < r->min_len)
            continue;
        if (len > r->max_len)
            len = r->max_len;
        out[count++] = (session){end - len, len};
    }
    turn_around(out, count);
    return count;
}

CLONES void bias_encoding_forward(real *y, const real *x, real w, const real *v, const real *u,
                                  int n, int D)
{
    for (int t = 0; t < n; t++) {
        const real *x_t = ROW(x, t, D);
        real       *y_t = ROW(y, t, D), place = w + v[t];
#pragma omp simd
        for (int d = 0; d < D; d++)
            y_t[d] = x_t[d] + place + u[d];
    }
}

CLONES void bias_encoding_backward(real *gw, real *gv, real *gu, const real *g, int n, int D)
{
    for (int t = 0; t < n; t++) {
        const real *g_t = ROW(g, t, D);
        real        sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int d = 0; d < D; d++) {
            gu[d] += g_t[d];
            sum += g_t[d];
        }
        gv[t] += sum;
        *gw += sum;
    }
}

CLONES void add_forward(real *y, const real *x, const real *z, size_t N)
{
#pragma omp simd
    for (size_t i = 0; i < N; i++)
        y[i] = x[i] + z[i];
}
