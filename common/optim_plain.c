/* optim_plain - the rules as their sources write them: to be read, and for optim_rules.c to
 * be compared with. */
#include "common/optim.h"

#include "common/lanes.h"
#include "common/optim_rules.h"

/* w -= lr g */
static void sgd(const optimizer_config *c, real lr, real *restrict w, real *restrict state,
                const real *restrict g, size_t n)
{
    (void)c, (void)state;
    for (size_t i = 0; i < n; i++)
        w[i] -= lr * g[i];
}

/* m = mu m + g;  w -= lr m
 * torch.optim.SGD with momentum mu, no dampening; its first step, m = g, is ours with m = 0. */
static void momentum(const optimizer_config *c, real lr, real *restrict w, real *restrict state,
                     const real *restrict g, size_t n)
{
    real mu = (real)c->momentum;

    for (size_t i = 0; i < n; i++) {
        state[i] = mu * state[i] + g[i];
        w[i] -= lr * state[i];
    }
}

/* s += g^2;  w -= lr g / (sqrt(s) + eps)
 * Duchi et al. 2011, as torch.optim.Adagrad has it (lr_decay 0). */
static void adagrad(const optimizer_config *c, real lr, real *restrict w, real *restrict state,
                    const real *restrict g, size_t n)
{
    real eps = (real)c->eps;

    for (size_t i = 0; i < n; i++) {
        state[i] += g[i] * g[i];
        w[i] -= lr * g[i] / (sqrt_real(state[i]) + eps);
    }
}

/* s += mean(g^2);  w -= lr / (sqrt(s) + eps) g      s is one number per row
 * FBGEMM's rowwise Adagrad (EXACT_ROWWISE_ADAGRAD), s = 0 at first. */
static void rowwise_adagrad(const optimizer_config *c, real lr, real *restrict w,
                            real *restrict state, const real *restrict g, size_t n)
{
    real lane[LANES] = {0};

    for (size_t i = 0; i < n; i++)
        lane[lane_of(i, n)] += g[i] * g[i];
    for (int half = LANES / 2; half; half /= 2)
        for (int k = 0; k < half; k++)
            lane[k] += lane[k + half];
    *state += lane[0] / (real)n;
    real rate = lr / (sqrt_real(*state) + (real)c->eps);
    for (size_t i = 0; i < n; i++)
        w[i] -= rate * g[i];
}

/* t += 1;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
 * w -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 * Kingma and Ba 2015 as torch.optim.Adam has it. t counts this row's own updates, so a rare
 * row is corrected by what its moments have really seen. A float t stands still at 2^24,
 * long after both corrections have become 1. 1 - b is taken in doubles: of floats, 1 - 0.999
 * is off by 5e-5 of it and 1 - 0.99999 by 1e-3, which the corrections would not undo. */
static void adam(const optimizer_config *c, real lr, real *restrict w, real *restrict state,
                 const real *restrict g, size_t n)
{
    real *restrict m = state;
    real *restrict v = state + n;
    real *restrict t = state + 2 * n;
    real b1 = (real)c->beta1, rest1 = (real)(1 - c->beta1), eps = (real)c->eps;
    real b2 = (real)c->beta2, rest2 = (real)(1 - c->beta2);

    *t += 1;
    real rate = (real)((double)lr / (1 - pow(c->beta1, (double)*t)));
    real root = (real)(1 / sqrt(1 - pow(c->beta2, (double)*t)));
    for (size_t i = 0; i < n; i++) {
        m[i] = b1 * m[i] + rest1 * g[i];
        v[i] = b2 * v[i] + rest2 * g[i] * g[i];
        w[i] -= rate * m[i] / (sqrt_real(v[i]) * root + eps);
    }
}

/* s = (sqrt(n + g^2) - sqrt(n)) / alpha;  z += g - s w;  n += g^2
 * w = 0 if |z| <= l1, else -(z - sgn(z) l1) / ((beta + sqrt(n)) / alpha + l2)
 * McMahan et al. 2013, algorithm 1, alpha being the learning rate.
 *
 * There w is a function of z and starts at 0; embeddings must not, or their gradients are
 * zero for ever. So as long as a weight has seen no gradient (n = 0), its z is the one
 * whose weight it is: z = -w (beta / alpha + l2) - sgn(w) l1. The first update then moves
 * the initial weight instead of replacing it, and a gradient of 0 leaves it as it is. */
static void ftrl(const optimizer_config *c, real lr, real *restrict w, real *restrict state,
                 const real *restrict g, size_t n)
{
    real *restrict z   = state;
    real *restrict sum = state + n; /* the paper's n */
    real beta = (real)c->ftrl_beta, l1 = (real)c->l1, l2 = (real)c->l2;

    if (lr < FTRL_LEAST_RATE)
        return;
    for (size_t i = 0; i < n; i++) {
        if (g[i] == 0)
            continue; /* z, n and so w stay */
        if (sum[i] == 0)
            z[i] = -w[i] * (beta / lr + l2) - (w[i] > 0 ? l1 : w[i] < 0 ? -l1 : 0);
        real after = sum[i] + g[i] * g[i];
        z[i] += g[i] - (sqrt_real(after) - sqrt_real(sum[i])) / lr * w[i];
        sum[i]    = after;
        real over = fabs_real(z[i]) - l1;
        real size = over > 0 ? over / ((beta + sqrt_real(after)) / lr + l2) : 0;
        w[i]      = z[i] > 0 ? -size : size;
    }
}

typedef void plain_rule(const optimizer_config *c, real lr, real *restrict w,
                        real *restrict state, const real *restrict g, size_t n);

void optim_update_plain(const optimizer_config *c, double lr, real *w, real *state,
                        const real *g, size_t n)
{
    static plain_rule *const rules[] = {
        [OPTIMIZER_SGD]             = sgd,
        [OPTIMIZER_MOMENTUM]        = momentum,
        [OPTIMIZER_ADAGRAD]         = adagrad,
        [OPTIMIZER_ROWWISE_ADAGRAD] = rowwise_adagrad,
        [OPTIMIZER_ADAM]            = adam,
        [OPTIMIZER_FTRL]            = ftrl,
    };

    rules[c->kind](c, (real)lr, w, state, g, n);
}
