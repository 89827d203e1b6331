/* optim_rules - the rules of common/optim.h in vector code. */
#ifndef DIPS_COMMON_OPTIM_RULES_H
#define DIPS_COMMON_OPTIM_RULES_H

#include "common/optim.h"

/* FTRL divides by its learning rate: at smaller ones, a schedule's last or 0, it keeps its
 * weights and sums, which no float could tell from moving them. */
#define FTRL_LEAST_RATE ((real)1e-20)

/* One update of w[n] and state by g[n]. */
typedef void optim_rule(const optim *o, real lr, real *restrict w, real *restrict state,
                        const real *restrict g, size_t n);

optim_rule optim_sgd, optim_momentum, optim_adagrad, optim_rowwise_adagrad, optim_adam,
    optim_ftrl;

#endif
