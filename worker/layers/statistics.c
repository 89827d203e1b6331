#include "worker/layers/statistics.h"

#include <math.h>
#include <string.h>

#include "worker/kernels/column.h"

void statistics_build(graph *g, statistics_config *c, const char *place, int cols,
                      double momentum, double eps, bool sync)
{
    err_t e = dense_moments(graph_dense(g), &c->moving, place, cols, momentum);

    if (e != OK)
        graph_fail(g, e);
    c->eps  = eps;
    c->sync = sync;
}

/* This worker's moments: mean, and squares = sum (x - mean)^2, become those of all
 * workers' rows. Sent relative to the moving mean, which is the same everywhere:
 *     n,   n (mean - moving),   squares + n (mean - moving)^2 */
static err_t join_workers(const statistics_config *c, double *rows, double *mean,
                          double *squares, int cols, pass *p)
{
    double *sent;

    TRY(arena_take(p->arena, (size_t)(1 + 2 * cols) * sizeof *sent, &sent));
    sent[0] = *rows;
    for (int d = 0; d < cols; d++) {
        double far         = mean[d] - (double)c->moving->mean[d];
        sent[1 + d]        = *rows * far;
        sent[1 + cols + d] = squares[d] + *rows * far * far;
    }
    TRY(comm_sum_double(p->workers, sent, (size_t)(1 + 2 * cols)));
    *rows = sent[0];
    if (*rows == 0)
        return OK;
    for (int d = 0; d < cols; d++) {
        double far = sent[1 + d] / *rows;
        mean[d]    = (double)c->moving->mean[d] + far;
        squares[d] = fmax(sent[1 + cols + d] - *rows * far * far, 0);
    }
    return OK;
}

/* Take the batch's moments; c->moving keeps them for dense_reduce. *rows: of this worker; then
 * over how many they are. */
static err_t take_batch(const statistics_config *c, double *mean, double *squares, double *rows,
                        int cols, pass *p)
{
    c->moving->rows = *rows;
    if (c->sync && p->workers)
        TRY(join_workers(c, rows, mean, squares, cols, p));
    if (*rows == 0)
        return OK;
    for (int d = 0; d < cols; d++) {
        c->moving->batch_mean[d] = (real)mean[d];
        c->moving->batch_var[d]  = (real)(squares[d] / *rows);
    }
    return OK;
}

err_t statistics_take_moments(statistics *s, const statistics_config *c, double *batch_mean,
                              double *batch_squares, int batch_rows, int cols, pass *p)
{
    size_t      bytes = (size_t)cols * sizeof(real);
    const real *mean = c->moving->mean, *var = c->moving->var;

    TRY(arena_take(p->arena, bytes, &s->mean));
    TRY(arena_take(p->arena, bytes, &s->inv));
    s->rows = 0;
    if (p->training) {
        double rows = batch_rows;
        TRY(take_batch(c, batch_mean, batch_squares, &rows, cols, p));
        if (rows >= 2) {
            s->rows = rows;
            mean    = c->moving->batch_mean;
            var     = c->moving->batch_var;
        }
    }
    memcpy(s->mean, mean, bytes);
    for (int d = 0; d < cols; d++)
        s->inv[d] = (real)(1 / sqrt((double)var[d] + c->eps));
    return OK;
}

err_t statistics_take(statistics *s, const statistics_config *c, const tensor *x, pass *p)
{
    double *mean, *squares;

    TRY(arena_take(p->arena, (size_t)x->cols * sizeof *mean, &mean));
    TRY(arena_take(p->arena, (size_t)x->cols * sizeof *squares, &squares));
    if (p->training)
        column_moments(mean, squares, x->x, x->rows, x->cols);
    return statistics_take_moments(s, c, mean, squares, x->rows, x->cols, p);
}

err_t statistics_means(const statistics *s, const statistics_config *c, double *sums,
                       real *means, int n, pass *p)
{
    if (p->training && c->sync && p->workers)
        TRY(comm_sum_double(p->workers, sums, (size_t)n));
    for (int d = 0; d < n; d++)
        means[d] = s->rows > 0 ? (real)(sums[d] / s->rows) : 0;
    return OK;
}
