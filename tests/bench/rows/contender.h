/* contender - a table of rows that bench_rows times against others.
 *
 * A row is dim weights and one number of state; an update is row-wise Adagrad's,
 *
 *      s += mean(g^2);  w -= lr / (sqrt(s) + eps) g
 *
 * which contender_update writes down for all that are not dips. */
#ifndef DIPS_TESTS_BENCH_ROWS_CONTENDER_H
#define DIPS_TESTS_BENCH_ROWS_CONTENDER_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/real.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CONTENDER_LR  0.05
#define CONTENDER_EPS 1e-8

typedef struct contender {
    const char *name;
    void       *self;

    /* A row of zeros for each id; false: no memory. NULL: its rows are another's. */
    bool (*fill)(void *self, const uint64_t *ids, size_t n);

    /* values (n, dim) = the weights of ids, which all have rows. */
    void (*gather)(void *self, const uint64_t *ids, size_t n, real *values);

    /* Keep as ticket number `ticket` where the rows of ids are. NULL: it has no tickets. */
    void (*find)(void *self, int ticket, const uint64_t *ids, size_t n);

    /* One update of each row: g (n, dim). The ids are those of the ticket. */
    void (*update)(void *self, int ticket, const uint64_t *ids, size_t n, real *g);

    void (*free)(void *self);
} contender;

static inline void contender_update(real *w, real *state, const real *g, int dim)
{
    real sum = 0;

    for (int d = 0; d < dim; d++)
        sum += g[d] * g[d];
    *state += sum / (real)dim;
    real rate = (real)CONTENDER_LR / (sqrt_real(*state) + (real)CONTENDER_EPS);
    for (int d = 0; d < dim; d++)
        w[d] -= rate * g[d];
}

/* std::unordered_map<uint64_t, std::vector<real>>: what a first version does. self NULL: no
 * C++ compiler was there. */
contender contender_unordered(int dim);

/* A table of chains of rows, each from malloc; twice as many rows make it twice as long. */
contender contender_chained(int dim);

#ifdef __cplusplus
}
#endif
#endif
