#include "worker/kernels/loss.h"

static double precise_sigmoid(double z)
{
    return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z));
}

double cross_entropy_forward(const real *z, const real *y, const real *w, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        double z_i  = (double)z[i];
        double loss = fmax(z_i, 0) + log1p(exp(-fabs(z_i))) - (double)y[i] * z_i;
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

void cross_entropy_probabilities(double *p, const real *z, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = precise_sigmoid((double)z[i]);
}
