/* Fitting the features with `transform: standard` to the data, before training. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker/graph_state.h"

/* Moments of one feature's columns; (width) each. */
typedef struct fitted {
    double *mean, *squares; /* this worker's; then all's: squares = sum (x - mean)^2 */
    double *sums;           /* (1 + width) on their way over the workers */
    size_t  width;
} fitted;

/* The moments of all workers' n samples from those of each worker (Chan et al. 1983):
 *     N = sum n,   M = sum n mean / N,   S = sum (squares + n (mean - M)^2) */
static err_t join_workers(fitted *f, double n, double *N, comm *workers)
{
    f->sums[0] = n;
    for (size_t d = 0; d < f->width; d++)
        f->sums[1 + d] = n * f->mean[d];
    TRY(comm_sum_double(workers, f->sums, 1 + f->width));
    *N         = f->sums[0];
    double all = *N > 0 ? *N : 1;
    for (size_t d = 0; d < f->width; d++) {
        double mean = f->sums[1 + d] / all, far = f->mean[d] - mean;
        f->squares[d] += n * far * far;
        f->mean[d] = mean;
    }
    return comm_sum_double(workers, f->squares, f->width);
}

/* The deviation is 1 where the numbers do not vary by more than rounding. */
static err_t fit_feature(param *mean, param *deviation, int i, const dataset *train,
                         uint64_t first, uint64_t end, comm *workers, fitted *f)
{
    double N;

    TRY(dataset_float_moments(train, i, first, end, f->mean, f->squares));
    TRY(join_workers(f, (double)(end - first), &N, workers));
    for (size_t d = 0; d < f->width && N > 0; d++) {
        double spread   = sqrt(f->squares[d] / N);
        mean->w[d]      = (real)f->mean[d];
        deviation->w[d] = spread > 1e-12 * fabs(f->mean[d]) ? (real)spread : 1;
    }
    return OK;
}

err_t graph_fit_inputs(graph *g, const dataset *train, uint64_t first, uint64_t end,
                       comm *workers)
{
    char name[sizeof((param *)0)->name];

    for (int i = 0; i < g->schema->n_floats; i++) {
        const schema_float *feature = &g->schema->floats[i];
        snprintf(name, sizeof name, "%s.mean", feature->name);
        param *mean = dense_find(g->dense, name);
        snprintf(name, sizeof name, "%s.deviation", feature->name);
        param *deviation = dense_find(g->dense, name);
        if (feature->transform != TRANSFORM_STANDARD || !mean || !deviation)
            continue; /* the model does not read it */
        size_t  n       = 1 + 3 * mean->count;
        double *numbers = calloc(n, sizeof *numbers);
        if (!numbers)
            return err_memory(n * sizeof *numbers, "moments of a feature");
        fitted f = {.mean    = numbers,
                    .squares = numbers + mean->count,
                    .sums    = numbers + 2 * mean->count,
                    .width   = mean->count};
        err_t  e = fit_feature(mean, deviation, i, train, first, end, workers, &f);
        free(numbers);
        if (e != OK)
            return err_add(e, "fitting feature %s", feature->name);
    }
    return OK;
}
