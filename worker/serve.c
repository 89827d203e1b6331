#include "worker/serve.h"

#include <string.h>

err_t serve_open(pass *each, const pass *p, int n_axes)
{
    *each       = *p;
    each->batch = p->candidates;
    TRY(arena_take_zero(p->arena, ((size_t)n_axes + 1) * sizeof *each->axes, &each->axes));
    for (int i = 0; i < n_axes; i++)
        each->axes[i].parent = p->axes[i].parent;
    return OK;
}

/* Rows that the groups of the n rows in origin have together. */
static int count_rows(const int *offsets, const int *origin, int n)
{
    int rows = 0;

    for (int i = 0; i < n; i++)
        rows += offsets[origin[i] + 1] - offsets[origin[i]];
    return rows;
}

/* The axis per of the candidates: each row of its parent has the group that the request's row
 * has, which it repeats. An axis that nodes of the candidates make is theirs already. */
static err_t need_axis(pass *each, const pass *p, int per)
{
    if (per == PER_SAMPLE || each->axes[per].origin || !p->axes[per].offsets)
        return OK;
    axis *a = &each->axes[per];
    TRY(need_axis(each, p, a->parent));
    const int *from = p->axes[per].offsets, *above = pass_origin(each, a->parent);
    int        parents = pass_rows(each, a->parent), at = 0, *offsets, *origin;
    a->rows = count_rows(from, above, parents);
    TRY(arena_take(p->arena, ((size_t)parents + 1) * sizeof *offsets, &offsets));
    TRY(arena_take(p->arena, ((size_t)a->rows + 1) * sizeof *origin, &origin));
    for (int i = 0; i < parents; i++) {
        offsets[i] = at;
        for (int k = from[above[i]]; k < from[above[i] + 1]; k++)
            origin[at++] = k;
    }
    offsets[parents] = at;
    a->offsets       = offsets;
    a->origin        = origin;
    return OK;
}

err_t serve_repeat(tensor **t, pass *each, const pass *p)
{
    tensor *from = *t, *to;

    if (from->repeated) {
        *t = from->repeated;
        return OK;
    }
    TRY(need_axis(each, p, from->per));
    const int *origin = pass_origin(each, from->per);
    size_t     bytes  = (size_t)from->cols * sizeof *from->x;
    TRY(arena_take(p->arena, sizeof *to, &to));
    *to             = *from;
    to->per_request = false;
    to->rows        = pass_rows(each, from->per);
    TRY(arena_take(p->arena, (size_t)to->rows * bytes, &to->x));
    for (int i = 0; i < to->rows; i++)
        memcpy((char *)to->x + (size_t)i * bytes, (char *)from->x + (size_t)origin[i] * bytes,
               bytes);
    *t = from->repeated = to;
    return OK;
}

served_group serve_group(const pass *each, int per, int first, int candidates)
{
    const int   *offsets = pass_offsets(each, per), *origin = pass_origin(each, per);
    served_group g = {.first = first, .rows = offsets[first + 1] - offsets[first]};

    g.begin = g.rows > 0 ? origin[offsets[first]] : 0;
    for (g.end = first + 1; g.end < candidates &&
                            offsets[g.end + 1] - offsets[g.end] == g.rows &&
                            (g.rows == 0 || origin[offsets[g.end]] == g.begin);)
        g.end++;
    return g;
}

err_t serve_forward(node *n, pass *each, const pass *p)
{
    tensor *own[NODE_MAX_INPUTS];
    err_t   err = need_axis(each, p, n->output->per);

    memcpy(own, n->inputs, sizeof own);
    for (int i = 0; err == OK && i < n->n_inputs; i++) {
        if (!own[i]->per_request)
            continue;
        err = n->layer->shares >> i & 1 ? need_axis(each, p, own[i]->per)
                               : serve_repeat(&n->inputs[i], each, p);
    }
    if (err == OK)
        err = n->layer->forward(n, each);
    memcpy(n->inputs, own, sizeof own);
    return err;
}
