/* optim_rules - see optim_plain.c for the formulas; here they stand in the shape that
 * becomes vector code: loops without branches, lengths of common rows as constants, sums in
 * lanes. */
#include "common/optim_rules.h"

#include "common/lanes.h"

/* ---- sgd, momentum, adagrad: the loops are the formulas ---- */

INLINE void sgd(real lr, real *restrict w, const real *restrict g, size_t n)
{
    for (size_t i = 0; i < n; i++)
        w[i] -= lr * g[i];
}

CLONES void optim_sgd(const optim *o, real lr, real *restrict w, real *restrict state,
                      const real *restrict g, size_t n)
{
    (void)o, (void)state;
    BY_LENGTH(n, sgd, lr, w, g);
}

INLINE void momentum(real lr, real mu, real *restrict w, real *restrict m,
                     const real *restrict g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        m[i] = mu * m[i] + g[i];
        w[i] -= lr * m[i];
    }
}

CLONES void optim_momentum(const optim *o, real lr, real *restrict w, real *restrict state,
                           const real *restrict g, size_t n)
{
    real mu = (real)o->config->momentum;

    BY_LENGTH(n, momentum, lr, mu, w, state, g);
}

INLINE void adagrad(real lr, real eps, real *restrict w, real *restrict sum,
                    const real *restrict g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum[i] += g[i] * g[i];
        w[i] -= lr * g[i] / (sqrt_real(sum[i]) + eps);
    }
}

CLONES void optim_adagrad(const optim *o, real lr, real *restrict w, real *restrict state,
                          const real *restrict g, size_t n)
{
    real eps = (real)o->config->eps;

    BY_LENGTH(n, adagrad, lr, eps, w, state, g);
}

/* ---- rowwise_adagrad ---- */

INLINE void rowwise_adagrad(real lr, real eps, real *restrict w, real *restrict sum,
                            const real *restrict g, size_t n)
{
    *sum += lanes_squares(g, n) / (real)n;
    real rate = lr / (sqrt_real(*sum) + eps);
    for (size_t i = 0; i < n; i++)
        w[i] -= rate * g[i];
}

CLONES void optim_rowwise_adagrad(const optim *o, real lr, real *restrict w,
                                  real *restrict state, const real *restrict g, size_t n)
{
    real eps = (real)o->config->eps;

    BY_LENGTH(n, rowwise_adagrad, lr, eps, w, state, g);
}

/* ---- adam ---- */

/* What depends on t, the row's own updates: the two corrections, ready to multiply. */
typedef struct adam_numbers {
    real b1, b2, rest1, rest2, eps, rate, root; /* rest: what b leaves of 1 */
} adam_numbers;

INLINE void adam(adam_numbers c, real *restrict w, real *restrict m, real *restrict v,
                 const real *restrict g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        m[i] = c.b1 * m[i] + c.rest1 * g[i];
        v[i] = c.b2 * v[i] + c.rest2 * g[i] * g[i];
        w[i] -= c.rate * m[i] / (sqrt_real(v[i]) * c.root + c.eps);
    }
}

CLONES void optim_adam(const optim *o, real lr, real *restrict w, real *restrict state,
                       const real *restrict g, size_t n)
{
    const optimizer_config *c    = o->config;
    real                   *t    = state + 2 * n;
    adam_numbers            with = {.b1    = (real)c->beta1,
                                    .b2    = (real)c->beta2,
                                    .rest1 = (real)(1 - c->beta1),
                                    .rest2 = (real)(1 - c->beta2),
                                    .eps   = (real)c->eps};

    *t += 1;
    uint32_t updates = *t >= 0 && *t < 4e9 ? (uint32_t)*t : UINT32_MAX;
    with.rate        = (real)((double)lr / (1 - powers_of(&o->beta1, updates)));
    with.root        = (real)(1 / sqrt(1 - powers_of(&o->beta2, updates)));
    BY_LENGTH(n, adam, with, w, state, state + n, g);
}

/* ---- ftrl ---- */

typedef struct ftrl_numbers {
    real lr, beta, l1, l2;
} ftrl_numbers;

/* A weight whose gradient is 0 goes through the motions and keeps what it had. */
INLINE void ftrl(ftrl_numbers c, real *restrict w, real *restrict z, real *restrict sum,
                 const real *restrict g, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        real sign_l1 = w[i] > 0 ? c.l1 : w[i] < 0 ? -c.l1 : 0;
        real begun   = sum[i] == 0 ? -w[i] * (c.beta / c.lr + c.l2) - sign_l1 : z[i];
        real after   = sum[i] + g[i] * g[i];
        real root    = sqrt_real(after);
        real moved   = begun + (g[i] - (root - sqrt_real(sum[i])) / c.lr * w[i]);
        real over    = fabs_real(moved) - c.l1;
        real size    = over > 0 ? over / ((c.beta + root) / c.lr + c.l2) : 0;
        w[i]         = g[i] == 0 ? w[i] : moved > 0 ? -size : size;
        z[i]         = g[i] == 0 ? z[i] : moved;
        sum[i]       = g[i] == 0 ? sum[i] : after;
    }
}

CLONES void optim_ftrl(const optim *o, real lr, real *restrict w, real *restrict state,
                       const real *restrict g, size_t n)
{
    const optimizer_config *c    = o->config;
    ftrl_numbers            with = {lr, (real)c->ftrl_beta, (real)c->l1, (real)c->l2};

    if (lr < FTRL_LEAST_RATE)
        return;
    BY_LENGTH(n, ftrl, with, w, state, state + n, g);
}
