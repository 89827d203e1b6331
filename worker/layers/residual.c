#include "worker/layers/residual.h"

#include <stdio.h>
#include <string.h>

#include "worker/kernels/layer_norm.h"

void residual_build(graph *g, node *n, int i, int D, const char *name)
{
    char place[2 * CONFIG_NAME_MAX];

    snprintf(place, sizeof place, "%s.norm", name);
    node_vector(g, n, i, place, "gamma", D, 1);
    node_vector(g, n, i + 1, place, "beta", D, 0);
}

err_t residual_open(residual *r, const node *n, int i, double eps, int longest, pass *p)
{
    const tensor *y    = n->output;
    size_t        rows = (size_t)(pass_learns(p) ? y->rows : longest);

    *r = (residual){.gamma = n->params[i],
                    .beta  = n->params[i + 1],
                    .eps   = (real)eps,
                    .D     = y->cols,
                    .whole = pass_learns(p),
                    .y     = y->x};
    if (!r->gamma)
        return OK;
    TRY(arena_take(p->arena, rows * (size_t)r->D * sizeof *r->s, &r->s));
    TRY(arena_take(p->arena, rows * sizeof *r->mean, &r->mean));
    return arena_take(p->arena, rows * sizeof *r->inv, &r->inv);
}

real *residual_rows(const residual *r, int first)
{
    if (!r->gamma)
        return ROW(r->y, first, r->D);
    return r->whole ? ROW(r->s, first, r->D) : r->s;
}

void residual_forward(residual *r, int first, int N)
{
    int at = r->whole ? first : 0;

    if (r->gamma)
        layer_norm_forward(ROW(r->y, first, r->D), r->D, r->mean + at, r->inv + at,
                           residual_rows(r, first), r->D, r->gamma->w, r->beta->w, r->eps, N,
                           r->D);
}

void residual_backward(const residual *r, real *gs, const real *gy, int first, int N)
{
    if (r->gamma)
        layer_norm_backward(gs, r->D, r->gamma->g, r->beta->g, gy, r->D,
                            residual_rows(r, first), r->D, r->mean + first, r->inv + first,
                            r->gamma->w, N, r->D);
    else
        memcpy(gs, gy, (size_t)N * (size_t)r->D * sizeof *gs);
}
