#include "worker/kernels/norm.h"
#include "worker/layers/layers.h"
#include "worker/layers/statistics.h"

static err_t batch_norm_forward(node *n, pass *p)
{
    const tensor *x = n->inputs[0];
    statistics   *s;

    TRY(graph_output(n, p, x->rows));
    TRY(arena_take(p->arena, sizeof *s, &s));
    TRY(statistics_take(s, n->config, x, p));
    norm_forward(n->output->x, x->x, s->mean, s->inv, n->params[0]->w, n->params[1]->w, x->rows,
                 x->cols);
    n->scratch = s;
    return OK;
}

static err_t batch_norm_backward(node *n, pass *p)
{
    tensor           *x     = n->inputs[0];
    const statistics *s     = n->scratch;
    const param      *gamma = n->params[0], *beta = n->params[1];
    int               D = x->cols;
    double           *sums; /* of g, then of g xh */
    real             *means;

    TRY(arena_take(p->arena, 2 * (size_t)D * sizeof *sums, &sums));
    TRY(arena_take(p->arena, 2 * (size_t)D * sizeof *means, &means));
    norm_backward_sums(sums, sums + D, n->output->g, x->x, s->mean, s->inv, x->rows, D);
    for (int d = 0; d < D; d++) {
        beta->g[d] += (real)sums[d];
        gamma->g[d] += (real)sums[D + d];
    }
    TRY(statistics_means(s, n->config, sums, means, 2 * D, p));
    norm_backward(x->g, n->output->g, x->x, s->mean, s->inv, gamma->w, means, means + D,
                  !n->fresh[0], x->rows, D);
    return OK;
}

static const layer batch_norm_layer = {.name       = "batch norm",
                                       .forward    = batch_norm_forward,
                                       .backward   = batch_norm_backward,
                                       .overwrites = true,
                                       .in_place   = true};

tensor *batch_norm(graph *g, tensor *x, const char *name)
{
    const config *c = graph_config(g);

    if (!x)
        return NULL;
    node *n =
        graph_add(g, &batch_norm_layer, 1, &x, x->cols, x->per, sizeof(statistics_config));
    node_vector(g, n, 0, name, "gamma", x->cols, 1);
    node_vector(g, n, 1, name, "beta", x->cols, 0);
    if (n)
        statistics_build(g, n->config, name, x->cols, c->batch_norm.momentum, c->batch_norm.eps,
                         c->batch_norm.sync);
    return node_output(n);
}
