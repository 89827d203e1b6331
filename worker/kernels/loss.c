#include "worker/kernels/loss.h"

static double precise_sigmoid(double z)
{
    return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

static double softplus(double z)
{
    return fmax(z, 0) + log1p(exp(-fabs(z)));
}

double cross_entropy_forward(const real *z, const real *y, const real *w, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        double z_i  = (double)z[i];
        double loss = softplus(z_i) - (double)y[i] * z_i;
        sum += w ? (double)w[i] * loss : loss;
    }
    return sum;
}

void cross_entropy_backward(real *gz, const real *z, const real *y, const real *w, int n)
{
    for (int i = 0; i < n; i++) {
        double g = precise_sigmoid((double)z[i]) - (double)y[i];
        gz[i] += (real)(w ? (double)w[i] * g : g);
    }
}

double contrast_forward(const real *z, const real *n, int count)
{
    double sum = 0;

    for (int i = 0; i < count; i++)
        sum += softplus(-(double)z[i]) + softplus((double)n[i]);
    return sum;
}

void contrast_backward(real *gz, real *gn, const real *z, const real *n, real g, int count)
{
    for (int i = 0; i < count; i++) {
        gz[i] = -g * sigmoid(-z[i]);
        gn[i] = g * sigmoid(n[i]);
    }
}

void cross_entropy_probabilities(double *p, const real *z, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = precise_sigmoid((double)z[i]);
}
