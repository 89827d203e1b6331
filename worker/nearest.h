/* nearest - the rows whose inner product with a query is largest, exactly.
 *
 * Rows come in blocks, in any order; the best k of each query are kept. Of equal products
 * the smaller id is better, so that the answer depends on nothing but rows and queries. */
#ifndef DIPS_WORKER_NEAREST_H
#define DIPS_WORKER_NEAREST_H

#include <stdint.h>

#include "common/err.h"
#include "common/real.h"

typedef struct nearest nearest;

typedef struct nearest_row {
    uint64_t id;
    real     product;
} nearest_row;

/* For n queries (n, dim), which are copied, k rows each. nearest_free. */
MUST_CHECK err_t nearest_new(nearest **out, int n, int dim, int k, const real *queries);
void             nearest_free(nearest **x);

/* ids (sorted, n of them; lent until nearest_free) are no answer to query q. */
void nearest_exclude(nearest *x, int q, int n, const uint64_t *ids);

/* Look at rows (n, dim) of ids. */
void nearest_add(nearest *x, int n, const uint64_t *ids, const real *rows);

/* The best of query q, best first, *n of them: k, or as many as there are. Lent; nothing can be
 * added any more. */
const nearest_row *nearest_best(nearest *x, int q, int *n);

#endif
